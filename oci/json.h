/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to yajl: JSON text -> bounded, read-only value tree, and a writer.
 *
 * Reading uses yajl's callback parser with limits of our own (size, depth; yajl's
 * tree parser had CVE-2023-33460). Numbers are kept as text and turned into
 * integers by the one parser when a type is asked for. A duplicate key in an
 * object is refused: two readers of one file must not see two truths.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	const char *key;	/* in an object: the member's name, else NULL */
	const struct json *parent;
	bool boolean;
	const char *text;	/* JSON_NUMBER: as written; JSON_STRING: no embedded NUL */
	const struct json *child;	/* first element or member, in order */
	const struct json *next;
	size_t n;		/* elements or members */
};

/*
 * Parses one JSON document. name is used in error texts, as in
 * `config.json: line 3, column 7: …`. Strings with an embedded NUL, invalid
 * UTF-8, depth over max_depth and trailing text are refused. -EINVAL, -ENOMEM.
 * Everything is allocated in a.
 */
int json_parse(struct arena *a, const char *name, const char *text, size_t len, unsigned int max_depth,
	       const struct json **ret_root);

/* The member of an object, NULL if absent (or j is not an object). */
const struct json *json_member(const struct json *j, const char *key);

/* The path from the root, as "linux.namespaces[2].path", in a; "" for the root. */
const char *json_path(struct arena *a, const struct json *j);

const char *json_type_name(enum json_type t);	/* "a string", "an object"… */

/* A foreign text for an error text, in a: quoted, on one line, cut when long. Never NULL. */
const char *json_quote(struct arena *a, const char *s);

/* Writer: pretty or compact JSON into memory, by yajl_gen. Failures stick until json_writer_take(). */
struct json_writer;
struct json_writer *json_writer_new(bool pretty);
void json_writer_free(struct json_writer *w);
void json_writer_freep(struct json_writer **w);
#define _cleanup_json_writer_ __attribute__((cleanup(json_writer_freep)))
void json_object_open(struct json_writer *w);
void json_object_close(struct json_writer *w);
void json_array_open(struct json_writer *w);
void json_array_close(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_string(struct json_writer *w, const char *s);	/* NULL: null; invalid UTF-8 bytes become U+FFFD */
void json_int(struct json_writer *w, int64_t v);
void json_uint(struct json_writer *w, uint64_t v);
void json_hundredths(struct json_writer *w, uint64_t v);	/* 1234 is 12.34 */
void json_bool(struct json_writer *w, bool v);
void json_null(struct json_writer *w);
void json_value(struct json_writer *w, const struct json *j);	/* as it was read, whole */
/* key + value in one */
void json_kv_string(struct json_writer *w, const char *key, const char *value);
void json_kv_int(struct json_writer *w, const char *key, int64_t v);
void json_kv_uint(struct json_writer *w, const char *key, uint64_t v);
void json_kv_hundredths(struct json_writer *w, const char *key, uint64_t v);
void json_kv_bool(struct json_writer *w, const char *key, bool v);
/* key + array of strings */
void json_kv_strings(struct json_writer *w, const char *key, const char *const *v, size_t n);
/* The text (malloc'ed, the caller's) with a trailing newline when pretty; NULL after any failure. */
char *json_writer_take(struct json_writer *w, size_t *ret_len);
/* Writes that text to standard output, as whole lines and at once. -errno with a text. */
int json_writer_print(struct json_writer *w);
