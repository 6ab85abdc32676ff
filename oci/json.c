/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text -> value tree, see json.h.
 *
 * yajl does the grammar, with a stack of its own: nothing here or there recurses
 * with the input. Three things it is too lenient about are done here, on the
 * text before it sees it: UTF-8, the escape of NUL, and half surrogate pairs
 * (yajl turns one into "?", other readers into U+FFFD: two truths).
 *
 * Every node is one allocation, its text behind it.
 */
#include "oci/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "oci/utf8.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* Objects up to this many members are searched for duplicates pairwise, bigger ones by sorting. */
#define PAIRWISE_MAX 12

/* About the most bytes of a foreign text that an error text shows. */
#define QUOTE_MAX 80

struct frame {
	struct json *node;	/* an open object or array */
	struct json *last;	/* its newest child, NULL if none yet */
};

struct source {
	const char *name, *text;
	size_t len;
};

struct builder {
	const struct source *src;
	struct arena *arena;
	struct frame *stack;
	unsigned int depth, max_depth;
	const char *key;	/* of the member whose value comes next */
	struct json *root;
	yajl_handle yajl;
	size_t good;		/* offset behind the last token taken */
	int r;			/* the error a callback stopped with */
};

/* Line and column count from 1; the column in characters, as editors do. */
static int fail_at(const struct source *src, size_t offset, const char *what)
{
	size_t line = 1, column = 1;

	if (offset > src->len)
		offset = src->len;
	for (size_t i = 0; i < offset; i++) {
		if (src->text[i] == '\n') {
			line++;
			column = 1;
		} else if ((src->text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return ERR_PLAIN(-EINVAL, "%s: line %zu, column %zu: %s", src->name, line, column, what);
}

static int fail_nomem(const struct source *src)
{
	return ERR_PLAIN(-ENOMEM, "%s: too many values, or out of memory", src->name);
}

/* The code unit of a "\uXXXX" at p, -1 if there is none. */
static int escape_unit(const char *p, const char *end)
{
	int unit = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		char c = p[i];
		int digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20) - 'a' + 10;
		else
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* A backslash outside a string is an error of the grammar, so this need not know where strings are. */
static int check_escapes(const struct source *src)
{
	const char *p = src->text, *end = src->text + src->len;

	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		int unit = escape_unit(p, end);
		size_t offset = (size_t)(p - src->text);

		if (unit == 0)
			return fail_at(src, offset, "a string must not contain a NUL character");
		if (unit >= 0xd800 && unit <= 0xdbff) {
			int low = escape_unit(p + 6, end);

			if (low < 0xdc00 || low > 0xdfff)
				return fail_at(src, offset, "half of a surrogate pair in a string");
			p += 12;
		} else if (unit >= 0xdc00 && unit <= 0xdfff) {
			return fail_at(src, offset, "half of a surrogate pair in a string");
		} else if (end - p < 2) {
			break;
		} else {
			p += 2;
		}
	}
	return 0;
}

static int check_text(const struct source *src)
{
	size_t valid = utf8_valid(src->text, src->len);

	if (valid < src->len)
		return fail_at(src, valid, "invalid UTF-8");
	return check_escapes(src);
}

static int compare_keys(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* A member whose name another one has too, in n log n: foreign objects may have 100,000 members. */
static int sorted_duplicate(struct arena *a, const struct json *object, const struct json **ret_dup)
{
	const struct json **members = arena_array(a, object->n, sizeof(*members));
	size_t n = 0;

	if (members == NULL)
		return -ENOMEM;
	for (const struct json *j = object->child; j != NULL; j = j->next)
		members[n++] = j;
	qsort(members, n, sizeof(*members), compare_keys);
	for (size_t i = 1; i < n && *ret_dup == NULL; i++)
		if (str_eq(members[i - 1]->key, members[i]->key))
			*ret_dup = members[i];
	return 0;
}

static const struct json *pairwise_duplicate(const struct json *object)
{
	for (const struct json *j = object->child; j != NULL; j = j->next)
		for (const struct json *k = object->child; k != j; k = k->next)
			if (str_eq(j->key, k->key))
				return j;
	return NULL;
}

static int check_duplicates(const struct builder *b, const struct json *object)
{
	const struct json *dup = NULL;

	if (object->n <= PAIRWISE_MAX)
		dup = pairwise_duplicate(object);
	else if (sorted_duplicate(b->arena, object, &dup) < 0)
		return fail_nomem(b->src);
	if (dup == NULL)
		return 0;
	return ERR_PLAIN(-EINVAL, "%s: %s: is given more than once", b->src->name, json_path(b->arena, dup));
}

/* yajl's callbacks: 1 to go on, 0 to stop with b->r set. */

static struct json *node_add(struct builder *b, enum json_type type, const void *text, size_t len)
{
	struct frame *top = b->depth > 0 ? &b->stack[b->depth - 1] : NULL;
	struct json *j = arena_alloc(b->arena, sizeof(*j) + (text != NULL ? len + 1 : 0));

	if (j == NULL) {
		b->r = fail_nomem(b->src);
		return NULL;
	}
	b->good = yajl_get_bytes_consumed(b->yajl);
	j->type = type;
	if (text != NULL) {
		char *behind = (char *)(j + 1);

		memcpy(behind, text, len);
		j->text = behind;
	}
	j->key = b->key;
	b->key = NULL;
	if (top == NULL) {
		b->root = j;
		return j;
	}
	j->parent = top->node;
	if (top->last != NULL)
		top->last->next = j;
	else
		top->node->child = j;
	top->last = j;
	top->node->n++;
	return j;
}

static int container_open(struct builder *b, enum json_type type)
{
	struct json *j;

	if (b->depth == b->max_depth) {
		char what[64];
		size_t after = yajl_get_bytes_consumed(b->yajl);

		snprintf(what, sizeof(what), "nested deeper than %u levels", b->max_depth);
		b->r = fail_at(b->src, after > 0 ? after - 1 : 0, what);
		return 0;
	}
	j = node_add(b, type, NULL, 0);
	if (j == NULL)
		return 0;
	b->stack[b->depth++] = (struct frame){ .node = j };
	return 1;
}

static int on_null(void *ctx)
{
	return node_add(ctx, JSON_NULL, NULL, 0) != NULL;
}

static int on_boolean(void *ctx, int value)
{
	struct json *j = node_add(ctx, JSON_BOOL, NULL, 0);

	if (j == NULL)
		return 0;
	j->boolean = value != 0;
	return 1;
}

static int on_number(void *ctx, const char *text, size_t len)
{
	return node_add(ctx, JSON_NUMBER, text, len) != NULL;
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	/* yajl gives no pointer for some empty strings. */
	return node_add(ctx, JSON_STRING, len > 0 ? (const char *)text : "", len) != NULL;
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct builder *b = ctx;

	b->good = yajl_get_bytes_consumed(b->yajl);
	b->key = arena_strndup(b->arena, len > 0 ? (const char *)text : "", len);
	if (b->key == NULL)
		b->r = fail_nomem(b->src);
	return b->key != NULL;
}

static int on_object_open(void *ctx)
{
	return container_open(ctx, JSON_OBJECT);
}

static int on_object_close(void *ctx)
{
	struct builder *b = ctx;

	b->good = yajl_get_bytes_consumed(b->yajl);
	b->r = check_duplicates(b, b->stack[--b->depth].node);
	return b->r == 0;
}

static int on_array_open(void *ctx)
{
	return container_open(ctx, JSON_ARRAY);
}

static int on_array_close(void *ctx)
{
	struct builder *b = ctx;

	b->good = yajl_get_bytes_consumed(b->yajl);
	b->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object_open,
	.yajl_map_key = on_key,
	.yajl_end_map = on_object_close,
	.yajl_start_array = on_array_open,
	.yajl_end_array = on_array_close,
};

static void yajl_freep(yajl_handle *h)
{
	if (*h != NULL)
		yajl_free(*h);
}

/*
 * yajl's "parse error: premature EOF\n" in our words; a text not listed only loses its frame. at_token:
 * yajl stands behind the token at fault, else on the character at fault.
 */
static const struct {
	const char *yajl, *ours;
	bool at_token;
} wordings[] = {
	{ "premature EOF", "unexpected end of text", false },
	{ "trailing garbage", "text after the end of the document", true },
	{ "unallowed token at this point in JSON text", "unexpected token", true },
	{ "after key and value, inside map, I expect ',' or '}'", "expected ',' or '}'", true },
	{ "after array element, I expect ',' or ']'", "expected ',' or ']'", true },
	{ "object key and value must be separated by a colon (':')", "expected ':'", true },
	{ "invalid object key (must be a string)", "expected a string as object key", true },
	{ "invalid char in json text.", "unexpected character", true },
	{ "invalid string in json text.", "unexpected word", true },
	{ "probable comment found in input text, comments are not enabled.", "JSON has no comments", true },
	{ "invalid character inside string.", "control character in a string", false },
	{ "inside a string, '\\' occurs before a character which it may not.", "unknown escape in a string", false },
	{ "invalid (non-hex) character occurs after '\\u' inside string.", "\\u needs four hexadecimal digits", false },
};

/* Where the token at fault starts: behind the last good one and what may stand between. */
static size_t token_start(const struct builder *b, size_t offset)
{
	size_t i = b->good;

	while (i + 1 < offset && i + 1 < b->src->len && memchr(" \t\r\n,:", b->src->text[i], 6) != NULL)
		i++;
	return i;
}

static int grammar_error(const struct builder *b, size_t offset)
{
	unsigned char *raw = yajl_get_error(b->yajl, 0, NULL, 0);
	char text[256] = "not JSON";
	const char *what, *colon;

	if (raw != NULL) {
		snprintf(text, sizeof(text), "%.*s", (int)strcspn((char *)raw, "\n"), (char *)raw);
		yajl_free_error(b->yajl, raw);
	}
	colon = strstr(text, "error: ");
	what = colon != NULL ? colon + strlen("error: ") : text;
	for (size_t i = 0; i < ARRAY_SIZE(wordings); i++) {
		if (!str_eq(what, wordings[i].yajl))
			continue;
		what = wordings[i].ours;
		if (wordings[i].at_token)
			offset = token_start(b, offset);
		break;
	}
	return fail_at(b->src, offset, what);
}

int json_parse(struct arena *a, const char *name, const char *text, size_t len, unsigned int max_depth,
	       const struct json **ret_root)
{
	const struct source src = { .name = name, .text = text, .len = len };
	struct builder b = { .src = &src, .arena = a, .max_depth = max_depth };
	__attribute__((cleanup(yajl_freep))) yajl_handle h = NULL;
	yajl_status status;
	size_t offset;
	int r = check_text(&src);

	if (r < 0)
		return r;
	b.stack = arena_array(a, max_depth, sizeof(b.stack[0]));
	h = yajl_alloc(&callbacks, NULL, &b);
	if (b.stack == NULL || h == NULL)
		return fail_nomem(&src);
	b.yajl = h;
	yajl_config(h, yajl_dont_validate_strings, 1); /* check_text() did, and better */
	status = yajl_parse(h, (const unsigned char *)text, len);
	offset = yajl_get_bytes_consumed(h);
	if (status == yajl_status_ok) {
		status = yajl_complete_parse(h);
		offset = len;
	}
	if (b.r < 0)
		return b.r;
	if (status != yajl_status_ok)
		return grammar_error(&b, offset);
	*ret_root = b.root;
	return 0;
}

const struct json *json_member(const struct json *j, const char *key)
{
	if (j == NULL || j->type != JSON_OBJECT)
		return NULL;
	for (const struct json *m = j->child; m != NULL; m = m->next)
		if (str_eq(m->key, key))
			return m;
	return NULL;
}

const char *json_quote(struct arena *a, const char *s)
{
	char out[QUOTE_MAX * 6 + 8];
	size_t len = strlen(s), i = 0, n = 0;
	const char *quoted;

	out[n++] = '"';
	while (i < len && i < QUOTE_MAX) {
		size_t width = utf8_char(s + i, len - i);
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (width == 0 || c < 0x20 || c == 0x7f) {
			n += (size_t)snprintf(out + n, sizeof(out) - n, "\\x%02x", c);
		} else {
			memcpy(out + n, s + i, width);
			n += width;
		}
		i += width > 0 ? width : 1;
	}
	out[n] = '\0';
	quoted = arena_printf(a, "%s%s\"", out, i < len ? "..." : "");
	return quoted != NULL ? quoted : "\"?\"";
}

static bool plain_key(const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t len = strspn(key, plain);

	return len > 0 && len <= QUOTE_MAX && key[len] == '\0';
}

static size_t index_of(const struct json *j)
{
	size_t i = 0;

	for (const struct json *k = j->parent->child; k != j; k = k->next)
		i++;
	return i;
}

const char *json_path(struct arena *a, const struct json *j)
{
	const char *path = "";

	/* From the leaf to the root, putting each step in front. */
	for (; j->parent != NULL && path != NULL; j = j->parent) {
		const char *dot = path[0] != '\0' && path[0] != '[' ? "." : "";

		if (j->key == NULL) {
			path = arena_printf(a, "[%zu]%s%s", index_of(j), dot, path);
		} else if (plain_key(j->key)) {
			path = arena_printf(a, "%s%s%s", j->key, dot, path);
		} else {
			path = arena_printf(a, "[%s]%s%s", json_quote(a, j->key), dot, path);
		}
	}
	return path != NULL ? path : "?";
}

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",
		[JSON_BOOL] = "a boolean",
		[JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string",
		[JSON_ARRAY] = "an array",
		[JSON_OBJECT] = "an object",
	};

	return (size_t)t < ARRAY_SIZE(names) ? names[t] : "?";
}
