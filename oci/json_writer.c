/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values -> JSON text, see json.h. With json.c the only door to yajl.
 *
 * yajl prints into a struct buf, whose failures stick: yajl's own buffer would
 * crash when memory is short. All functions accept NULL for the writer, so that
 * a caller checks once, at json_writer_take().
 */
#include "oci/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "oci/utf8.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define INDENT "  "
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct json_writer {
	yajl_gen gen;
	struct buf out;
	size_t depth;
	bool begun, failed;
};

static void print(void *ctx, const char *text, size_t len)
{
	struct json_writer *w = ctx;

	buf_add(&w->out, text, len);
}

struct json_writer *json_writer_new(bool pretty)
{
	struct json_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->gen = yajl_gen_alloc(NULL);
	if (w->gen == NULL) {
		free(w);
		return NULL;
	}
	yajl_gen_config(w->gen, yajl_gen_beautify, pretty ? 1 : 0);
	yajl_gen_config(w->gen, yajl_gen_indent_string, INDENT);
	yajl_gen_config(w->gen, yajl_gen_print_callback, print, w);
	return w;
}

void json_writer_free(struct json_writer *w)
{
	if (w == NULL)
		return;
	yajl_gen_free(w->gen);
	buf_deinit(&w->out);
	free(w);
}

void json_writer_freep(struct json_writer **w)
{
	json_writer_free(*w);
	*w = NULL;
}

static bool usable(struct json_writer *w)
{
	if (w == NULL || w->failed)
		return false;
	w->begun = true;
	return true;
}

static void note(struct json_writer *w, yajl_gen_status status)
{
	if (status != yajl_gen_status_ok)
		w->failed = true;
}

void json_object_open(struct json_writer *w)
{
	if (!usable(w))
		return;
	note(w, yajl_gen_map_open(w->gen));
	w->depth++;
}

void json_array_open(struct json_writer *w)
{
	if (!usable(w))
		return;
	note(w, yajl_gen_array_open(w->gen));
	w->depth++;
}

/* yajl does not count: one close too many would walk out of its state array. */
static bool may_close(struct json_writer *w)
{
	if (!usable(w))
		return false;
	if (w->depth == 0) {
		w->failed = true;
		return false;
	}
	w->depth--;
	return true;
}

void json_object_close(struct json_writer *w)
{
	if (may_close(w))
		note(w, yajl_gen_map_close(w->gen));
}

void json_array_close(struct json_writer *w)
{
	if (may_close(w))
		note(w, yajl_gen_array_close(w->gen));
}

static void put_text(struct json_writer *w, const char *s, size_t len)
{
	note(w, yajl_gen_string(w->gen, (const unsigned char *)s, len));
}

/* The same with each invalid byte replaced: output is read by programs that insist on UTF-8. */
static void put_repaired(struct json_writer *w, const char *s, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	while (len > 0) {
		size_t n = utf8_char(s, len);

		if (n > 0)
			buf_add(&b, s, n);
		else
			buf_puts(&b, REPLACEMENT);
		s += n > 0 ? n : 1;
		len -= n > 0 ? n : 1;
	}
	if (b.failed)
		w->failed = true;
	else
		put_text(w, b.data, b.len);
}

void json_string(struct json_writer *w, const char *s)
{
	size_t len;

	if (!usable(w))
		return;
	if (s == NULL) {
		note(w, yajl_gen_null(w->gen));
		return;
	}
	len = strlen(s);
	if (utf8_valid(s, len) == len)
		put_text(w, s, len);
	else
		put_repaired(w, s, len);
}

void json_key(struct json_writer *w, const char *key)
{
	json_string(w, key);
}

void json_int(struct json_writer *w, int64_t v)
{
	if (usable(w))
		note(w, yajl_gen_integer(w->gen, v));
}

/* yajl's integers end at INT64_MAX. */
void json_uint(struct json_writer *w, uint64_t v)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, v);

	if (usable(w))
		note(w, yajl_gen_number(w->gen, text, (size_t)len));
}

void json_hundredths(struct json_writer *w, uint64_t v)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64 ".%02u", v / 100, (unsigned int)(v % 100));

	if (usable(w))
		note(w, yajl_gen_number(w->gen, text, (size_t)len));
}

void json_bool(struct json_writer *w, bool v)
{
	if (usable(w))
		note(w, yajl_gen_bool(w->gen, v));
}

void json_null(struct json_writer *w)
{
	if (usable(w))
		note(w, yajl_gen_null(w->gen));
}

/* As deep as json_parse() lets it be. */
void json_value(struct json_writer *w, const struct json *j)
{
	switch (j->type) {
	case JSON_NULL:
		json_null(w);
		return;
	case JSON_BOOL:
		json_bool(w, j->boolean);
		return;
	case JSON_NUMBER:
		if (usable(w))
			note(w, yajl_gen_number(w->gen, j->text, strlen(j->text)));
		return;
	case JSON_STRING:
		json_string(w, j->text);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	if (j->type == JSON_ARRAY)
		json_array_open(w);
	else
		json_object_open(w);
	for (const struct json *c = j->child; c != NULL; c = c->next) {
		if (j->type == JSON_OBJECT)
			json_key(w, c->key);
		json_value(w, c);
	}
	if (j->type == JSON_ARRAY)
		json_array_close(w);
	else
		json_object_close(w);
}

void json_kv_string(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

void json_kv_int(struct json_writer *w, const char *key, int64_t v)
{
	json_key(w, key);
	json_int(w, v);
}

void json_kv_uint(struct json_writer *w, const char *key, uint64_t v)
{
	json_key(w, key);
	json_uint(w, v);
}

void json_kv_hundredths(struct json_writer *w, const char *key, uint64_t v)
{
	json_key(w, key);
	json_hundredths(w, v);
}

void json_kv_bool(struct json_writer *w, const char *key, bool v)
{
	json_key(w, key);
	json_bool(w, v);
}

void json_kv_strings(struct json_writer *w, const char *key, const char *const *v, size_t n)
{
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < n; i++)
		json_string(w, v[i]);
	json_array_close(w);
}

char *json_writer_take(struct json_writer *w, size_t *ret_len)
{
	size_t len;
	char *text;

	if (w == NULL || w->failed || !w->begun || w->depth > 0)
		return NULL;
	w->failed = true; /* a second document would run into yajl's finished state */
	len = w->out.len;
	text = buf_take(&w->out);
	if (text != NULL && ret_len != NULL)
		*ret_len = len;
	return text;
}

int json_writer_print(struct json_writer *w)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	text = json_writer_take(w, &len);
	if (text == NULL)
		return ERR_NOMEM();
	if (fwrite(text, 1, len, stdout) != len || (text[len - 1] != '\n' && putchar('\n') < 0) || fflush(stdout) != 0)
		return ERR(-errno, "cannot write to standard output");
	return 0;
}
