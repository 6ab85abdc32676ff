/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON value -> C field, by table. Private to oci/.
 *
 * A shape says how one JSON object becomes one C struct: a row per property,
 * with the reader of its type, the place of its value, and the rules that need
 * no other property. What the rows share is done once: null counts as absent,
 * an unknown property is ignored, a required one must be there, and an error
 * names the file, the JSON path and the rule.
 *
 * An optional string that is empty counts as absent too: Go's engines cannot
 * tell the two apart.
 *
 * The F_… macros check at compile time that a field has the type its reader
 * writes. Everything is allocated in the reader's arena; strings are the tree's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/spec.h"

struct json;
struct field;

struct spec_reader {
	const char *name;	/* of the file */
	struct arena *arena;
	bool strict;		/* an unknown property is an error, not ignored */
};

/* A closed vocabulary; what: the noun of the error text, as in `"x" is not a known rlimit`. */
struct words {
	const char *what;
	const char *const *v;
	size_t n;
};

#define WORDS(what_, array) { .what = (what_), .v = (array), .n = sizeof(array) / sizeof((array)[0]) }

struct shape {
	const struct field *fields;	/* at most 64 */
	size_t n_fields;
	size_t size;			/* of the C struct */
	/* Rules between the fields of one object, after all are read; may be NULL. */
	int (*finish)(const struct spec_reader *r, const struct json *j, void *object);
};

#define SHAPE(T, table, finish_) \
	{ .fields = (table), .n_fields = sizeof(table) / sizeof((table)[0]), .size = sizeof(T), .finish = (finish_) }

/* Reads a value that is not null into the object (the C struct of the JSON object it is a property of). */
typedef int field_reader(const struct spec_reader *r, const struct json *j, const struct field *f, void *object);

struct field {
	const char *name;
	field_reader *read;
	size_t at;		/* offset of the value */
	size_t aux;		/* offset of what goes with it: the count of a list, the "has" of an optional value */
	bool has_aux;		/* aux is such a "has", set when the property is there */
	bool is_strv;		/* an absent one becomes the empty list */
	bool if_said;		/* an object that says nothing counts as absent */
	bool required;
	int64_t min;		/* for numbers */
	uint64_t max;
	const struct words *words;
	const struct shape *shape;
};

field_reader read_bool, read_u16, read_u32, read_u64, read_i32, read_i64;
field_reader read_string, read_path, read_word;
/* Arrays of any strings, absolute paths, words of a vocabulary, NAME=VALUE entries. */
field_reader read_strings, read_paths, read_words, read_env;
field_reader read_u32_list;
/* A string with a list of numbers and ranges: "0-3,7", or empty. */
field_reader read_number_list;
/* An object of strings, whose names must not be empty; a null value counts as an absent entry. */
field_reader read_string_map;
/* An object into a struct within the object; into a new one; an array of objects into a new array. */
field_reader read_embedded, read_pointed, read_list;
/* A property that the specification has and struct spec has not: refused unless it says nothing. */
field_reader read_unsupported;
/* The same for a map of names, each of which says something by being there. */

/* Reads the object j into a zeroed struct. */
int spec_read_object(const struct spec_reader *r, const struct json *j, const struct shape *s, void *object);

/* A zeroed struct whose string lists are valid (empty) ones. For one that is not read from a list or pointer. */
void spec_shape_init(const struct shape *s, void *object);

/* -EINVAL with "NAME: PATH: TEXT". */
int spec_bad(const struct spec_reader *r, const struct json *j, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "must be WANT, not a number", WANT as json_type_name(). */
int spec_bad_type(const struct spec_reader *r, const struct json *j, const char *want);
/* "NAME: PATH.PROPERTY: is missing". */
int spec_missing(const struct spec_reader *r, const struct json *j, const char *property);

/* The value of an integer within bounds; errors name j. */
int spec_signed(const struct spec_reader *r, const struct json *j, int64_t min, int64_t max, int64_t *ret_v);
int spec_unsigned(const struct spec_reader *r, const struct json *j, uint64_t min, uint64_t max, uint64_t *ret_v);

/* Does the value say anything? null, false, "", and containers of nothing but those do not. */
bool spec_says_something(const struct json *j);

/* uid_t's and gid_t's -1 means "leave as it is" to the kernel, so it is no id. */
#define SPEC_ID_MAX (UINT32_MAX - 1)

/* offsetof(T, m), refused by the compiler unless the field has the wanted type. */
#define FIELD_AT(T, m, want) \
	(offsetof(T, m) + \
	 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((T *)NULL)->m), want) ? 1 : -1]))

#define F_BOOL(T, name_, m) .name = (name_), .read = read_bool, .at = FIELD_AT(T, m, bool)
#define F_U16(T, name_, m) .name = (name_), .read = read_u16, .at = FIELD_AT(T, m, uint16_t), .max = UINT16_MAX
#define F_U32(T, name_, m, min_, max_) \
	.name = (name_), .read = read_u32, .at = FIELD_AT(T, m, uint32_t), .min = (min_), .max = (max_)
#define F_U64(T, name_, m) .name = (name_), .read = read_u64, .at = FIELD_AT(T, m, uint64_t), .max = UINT64_MAX
#define F_I32(T, name_, m, min_, max_) \
	.name = (name_), .read = read_i32, .at = FIELD_AT(T, m, int32_t), .min = (min_), .max = (max_)
#define F_I64(T, name_, m, min_, max_) \
	.name = (name_), .read = read_i64, .at = FIELD_AT(T, m, int64_t), .min = (min_), .max = (max_)
#define F_STRING(T, name_, m) .name = (name_), .read = read_string, .at = FIELD_AT(T, m, const char *)
#define F_PATH(T, name_, m) .name = (name_), .read = read_path, .at = FIELD_AT(T, m, const char *)
#define F_WORD(T, name_, m, words_) \
	.name = (name_), .read = read_word, .at = FIELD_AT(T, m, const char *), .words = (words_)
#define F_STRV(T, name_, m, read_) .name = (name_), .read = (read_), .at = FIELD_AT(T, m, struct strv), .is_strv = true
#define F_WORDS(T, name_, m, words_) F_STRV(T, name_, m, read_words), .words = (words_)
#define F_MAP(T, name_, m, n_) \
	.name = (name_), .read = read_string_map, .at = FIELD_AT(T, m, const struct spec_kv *), \
	.aux = FIELD_AT(T, n_, size_t)
#define F_LIST(T, name_, E, m, n_, shape_) \
	.name = (name_), .read = read_list, .at = FIELD_AT(T, m, const E *), .aux = FIELD_AT(T, n_, size_t), \
	.shape = (shape_)
#define F_EMBEDDED(T, name_, E, m, shape_) \
	.name = (name_), .read = read_embedded, .at = FIELD_AT(T, m, E), .shape = (shape_)
#define F_UNSUPPORTED(name_) .name = (name_), .read = read_unsupported
/* A reader of its own, which knows the struct. One that reads objects names their shape all the same: tests/spec walks the shapes. */
#define F_OWN(name_, read_) .name = (name_), .read = (read_)
/* Goes with one of the above: the bool that says whether the property was there. */
#define F_HAS(T, m) .aux = FIELD_AT(T, m, bool), .has_aux = true
#define F_REQUIRED .required = true
/* With F_EMBEDDED. Go's engines write an object also where none was asked for. */
#define F_IF_SAID .if_said = true
