/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in GVariant's text form, as annotations have them ("uint64 5000000", "['a.service']"), and as a D-Bus
 * variant. Pure.
 *
 * Taken: true, false; numbers in decimal; strings in either quotes; arrays of these. A number is an int32, one with a
 * point or an exponent a double, unless a type is named: before the value (byte, int16, uint16, int32, uint32, int64,
 * uint64, double, boolean, string), or as "@au [1, 2]", which an empty array needs. Not taken, since no property of a
 * scope is of such a type: structures, dictionaries, arrays of arrays, maybe types, byte strings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;

/* Longer texts are refused. */
#define VARIANT_TEXT_MAX ((size_t)64 * 1024)

union variant_value {
	bool b;
	uint64_t number;	/* of all integer types, in two's complement */
	double d;
	const char *s;
};

struct variant {
	char type;		/* D-Bus type code: of the elements, if it is an array */
	bool array;
	size_t n;		/* 1, if it is none */
	union variant_value *v;
};

/* -EINVAL with a text that says what and where. In a. */
int variant_parse(struct arena *a, const char *text, struct variant *ret);

/* Signature and value, for a place in a message whose type is 'v'. */
void variant_put(struct buf *b, const struct variant *v);

/* Would D-Bus take it as a string? */
bool variant_is_utf8(const char *s);
