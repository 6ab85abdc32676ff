/* SPDX-License-Identifier: Apache-2.0 */
/* oci/json.c, oci/json_writer.c and oci/utf8.c. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "oci/json.h"
#include "oci/utf8.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define DEPTH 8
#define TEXT(s) (s), sizeof(s) - 1

struct error_case {
	const char *text;
	size_t len;
	const char *error;	/* NULL: must parse */
};

static const struct error_case error_cases[] = {
	/* documents */
	{ TEXT("{}"), NULL },
	{ TEXT(" \t\r\n[ ]\n"), NULL },
	{ TEXT("true"), NULL },
	{ TEXT("12"), NULL },
	{ TEXT("\"\""), NULL },
	{ TEXT(""), "t: line 1, column 1: unexpected end of text" },
	{ TEXT("  \n "), "t: line 2, column 2: unexpected end of text" },
	{ TEXT("{"), "t: line 1, column 2: unexpected end of text" },
	{ TEXT("{\n  \"a\": [1,\n  2"), "t: line 3, column 4: unexpected end of text" },
	{ TEXT("{\"a\": \"x"), "t: line 1, column 9: unexpected end of text" },
	{ TEXT("{} x"), "t: line 1, column 4: text after the end of the document" },
	{ TEXT("{}{}"), "t: line 1, column 3: text after the end of the document" },
	{ TEXT("1 2"), "t: line 1, column 3: text after the end of the document" },
	{ TEXT("[1 2]"), "t: line 1, column 4: expected ',' or ']'" },
	{ TEXT("[1,]"), "t: line 1, column 4: unexpected token" },
	{ TEXT("{\"a\" 1}"), "t: line 1, column 6: expected ':'" },
	{ TEXT("{\"a\": 1 \"b\": 2}"), "t: line 1, column 9: expected ',' or '}'" },
	{ TEXT("{1: 2}"), "t: line 1, column 2: expected a string as object key" },
	{ TEXT("[1}"), "t: line 1, column 3: expected ',' or ']'" },
	{ TEXT("// comment\n{}"), "t: line 1, column 1: JSON has no comments" },
	{ TEXT("nul"), "t: line 1, column 1: unexpected word" },
	{ TEXT("[nulL]"), "t: line 1, column 2: unexpected word" },
	{ TEXT("[@]"), "t: line 1, column 2: unexpected character" },
	{ TEXT("\xef\xbb\xbf{}"), "t: line 1, column 1: unexpected character" },
	{ TEXT("[\0]"), "t: line 1, column 2: unexpected character" },
	{ TEXT("{}\0"), "t: line 1, column 3: text after the end of the document" },
	/* numbers */
	{ TEXT("[01]"), "t: line 1, column 3: expected ',' or ']'" },
	{ TEXT("[-]"), "t: line 1, column 3: malformed number, a digit is required after the minus sign." },
	{ TEXT("[1.]"), "t: line 1, column 4: malformed number, a digit is required after the decimal point." },
	{ TEXT("[1e]"), "t: line 1, column 4: malformed number, a digit is required after the exponent." },
	{ TEXT("[+1]"), "t: line 1, column 2: unexpected character" },
	{ TEXT("[NaN]"), "t: line 1, column 2: unexpected character" },
	/* strings */
	{ TEXT("[\"\\ud83d\\ude00\"]"), NULL },
	{ TEXT("[\"\\\\u0000\"]"), NULL },
	{ TEXT("[\"\\u0000\"]"), "t: line 1, column 3: a string must not contain a NUL character" },
	{ TEXT("{\"a\\u0000\": 1}"), "t: line 1, column 4: a string must not contain a NUL character" },
	{ TEXT("[\"a\0b\"]"), "t: line 1, column 4: control character in a string" },
	{ TEXT("[\"\\ud83d\"]"), "t: line 1, column 3: half of a surrogate pair in a string" },
	{ TEXT("[\"\\ud83d\\ud83d\"]"), "t: line 1, column 3: half of a surrogate pair in a string" },
	{ TEXT("[\"\\ude00\"]"), "t: line 1, column 3: half of a surrogate pair in a string" },
	{ TEXT("[\"\\ud83d"), "t: line 1, column 3: half of a surrogate pair in a string" },
	{ TEXT("[\"\\x\"]"), "t: line 1, column 4: unknown escape in a string" },
	{ TEXT("[\"\\u12g4\"]"),
	  "t: line 1, column 7: \\u needs four hexadecimal digits" },
	{ TEXT("\"\\"), "t: line 1, column 3: unknown escape in a string" },
	{ TEXT("[\"a\nb\"]"), "t: line 1, column 4: control character in a string" },
	{ TEXT("[\"\xc3\xa9\", \"\xff\"]"), "t: line 1, column 8: invalid UTF-8" },
	{ TEXT("[\"\xc0\x80\"]"), "t: line 1, column 3: invalid UTF-8" },
	{ TEXT("[\"\xed\xa0\x80\"]"), "t: line 1, column 3: invalid UTF-8" },
	{ TEXT("[\"\xf4\x90\x80\x80\"]"), "t: line 1, column 3: invalid UTF-8" },
	/* duplicate keys */
	{ TEXT("{\"a\": 1, \"b\": {\"a\": 1}}"), NULL },
	{ TEXT("{\"a\": 1, \"a\": 1}"), "t: a: is given more than once" },
	{ TEXT("{\"a\": 1, \"\\u0061\": 1}"), "t: a: is given more than once" },
	{ TEXT("{\"x\": [0, {\"y.z\": 1, \"y.z\": 2}]}"), "t: x[1][\"y.z\"]: is given more than once" },
	{ TEXT("{\"\": 1, \"\": 1}"), "t: [\"\"]: is given more than once" },
	{ TEXT("{\"a\\n\": 1, \"a\\n\": 1}"), "t: [\"a\\x0a\"]: is given more than once" },
	{ TEXT("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
	       "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"c\":1}"),
	  "t: c: is given more than once" },
	/* depth */
	{ TEXT("[[[[[[[[]]]]]]]]"), NULL },
	{ TEXT("[[[[[[[[1,2]]]]]]]]"), NULL },
	{ TEXT("[[[[[[[[[]]]]]]]]]"), "t: line 1, column 9: nested deeper than 8 levels" },
	{ TEXT("{\"a\":[[[[[[[{}]]]]]]]}"), "t: line 1, column 13: nested deeper than 8 levels" },
};

TEST(grammar)
{
	for (size_t i = 0; i < ARRAY_SIZE(error_cases); i++) {
		const struct error_case *c = &error_cases[i];
		_cleanup_arena_ struct arena *a = arena_new(0);
		const struct json *root = NULL;
		int r;

		err_clear();
		r = json_parse(a, "t", c->text, c->len, DEPTH, &root);
		if (!CHECK_INT(r, c->error != NULL ? -EINVAL : 0) ||
		    !CHECK_STR(err_text(), c->error != NULL ? c->error : ""))
			printf("#   case: %s\n", c->text);
		CHECK((root != NULL) == (c->error == NULL));
	}
}

static const struct json *parse(struct test *t, struct arena *a, const char *text)
{
	const struct json *root = NULL;

	CHECK_INT(json_parse(a, "t", text, strlen(text), DEPTH, &root), 0);
	return root;
}

TEST(tree)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	const struct json *root = parse(t, a, "{\"a\": [1, -2.50e+3, \"x\\ty\", true, false, null], \"b\": {\"c\": {}}}");
	const struct json *v, *c;

	if (!CHECK(root != NULL))
		return;
	CHECK_INT(root->type, JSON_OBJECT);
	CHECK_INT(root->n, 2);
	CHECK(root->parent == NULL && root->key == NULL && root->next == NULL);
	v = json_member(root, "a");
	if (!CHECK(v != NULL && v->type == JSON_ARRAY && v->n == 6 && v->parent == root))
		return;
	CHECK_STR(v->key, "a");
	v = v->child;
	CHECK(v->type == JSON_NUMBER && v->key == NULL);
	CHECK_STR(v->text, "1");
	v = v->next;
	CHECK_STR(v->text, "-2.50e+3");
	CHECK_STR(json_path(a, v), "a[1]");
	v = v->next;
	CHECK_INT(v->type, JSON_STRING);
	CHECK_STR(v->text, "x\ty");
	v = v->next;
	CHECK(v->type == JSON_BOOL && v->boolean);
	v = v->next;
	CHECK(v->type == JSON_BOOL && !v->boolean);
	v = v->next;
	CHECK(v->type == JSON_NULL && v->next == NULL);
	c = json_member(json_member(root, "b"), "c");
	CHECK(c != NULL && c->type == JSON_OBJECT && c->n == 0 && c->child == NULL);
	CHECK_STR(json_path(a, c), "b.c");
	CHECK_STR(json_path(a, root), "");
	CHECK(json_member(root, "c") == NULL && json_member(v, "c") == NULL && json_member(NULL, "c") == NULL);
}

TEST(paths)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	const struct json *root = parse(t, a, "[{\"net.ipv4\": [[7]], \"\\\"\": 1}]");
	const struct json *first;

	if (!CHECK(root != NULL))
		return;
	first = root->child->child;
	CHECK_STR(json_path(a, first->child->child), "[0][\"net.ipv4\"][0][0]");
	CHECK_STR(json_path(a, first->next), "[0][\"\\\"\"]");
}

TEST(quoting)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	char big[500];
	const char *q;

	CHECK_STR(json_quote(a, "plain \xc3\xa9"), "\"plain \xc3\xa9\"");
	CHECK_STR(json_quote(a, "a\nb\x7f\"\\\xff"), "\"a\\x0ab\\x7f\\\"\\\\\\xff\"");
	CHECK_STR(json_quote(a, ""), "\"\"");
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	q = json_quote(a, big);
	CHECK(str_ends(q, "\\x0a...\"") && strlen(q) < 400);
	memset(big, '\\', sizeof(big) - 1);
	CHECK(strlen(json_quote(a, big)) < 400);
}

TEST(type_names)
{
	CHECK_STR(json_type_name(JSON_NULL), "null");
	CHECK_STR(json_type_name(JSON_BOOL), "a boolean");
	CHECK_STR(json_type_name(JSON_NUMBER), "a number");
	CHECK_STR(json_type_name(JSON_STRING), "a string");
	CHECK_STR(json_type_name(JSON_ARRAY), "an array");
	CHECK_STR(json_type_name(JSON_OBJECT), "an object");
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What would take minutes if anything were quadratic; the bound leaves room for sanitizers. */
#define QUICK 5.0

TEST(deep_is_quick)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	_cleanup_buf_ struct buf b = BUF_NULL;
	const struct json *root = NULL;
	double start = seconds();

	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "[");
	CHECK_INT(json_parse(a, "t", b.data, b.len, 64, &root), -EINVAL);
	CHECK_STR(err_text(), "t: line 1, column 65: nested deeper than 64 levels");
	/* And a caller may allow it all: only the text is then at fault. */
	CHECK_INT(json_parse(a, "t", b.data, b.len, 200000, &root), -EINVAL);
	CHECK_STR(err_text(), "t: line 1, column 100001: unexpected end of text");
	CHECK(seconds() - start < QUICK);
}

TEST(many_keys_are_quick)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	_cleanup_buf_ struct buf b = BUF_NULL;
	const struct json *root = NULL;
	double start = seconds();

	buf_puts(&b, "{");
	for (int i = 0; i < 100000; i++)
		buf_printf(&b, "\"key%d\":%d,", i, i);
	buf_puts(&b, "\"last\":null}");
	CHECK_INT(json_parse(a, "t", b.data, b.len, 64, &root), 0);
	CHECK(root != NULL && root->n == 100001);
	b.len -= strlen("\"last\":null}");
	buf_puts(&b, "\"key7\":null}");
	CHECK_INT(json_parse(a, "t", b.data, b.len, 64, &root), -EINVAL);
	CHECK_STR(err_text(), "t: key7: is given more than once");
	CHECK(seconds() - start < QUICK);
}

TEST(memory_limit)
{
	static const char text[] = "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]";

	/* Each limit fails somewhere else: the stack, a node, a key, a text. */
	for (size_t limit = 16; limit < 1200; limit += 16) {
		_cleanup_arena_ struct arena *a = arena_new(limit);
		const struct json *root = NULL;

		CHECK_INT(json_parse(a, "t", text, sizeof(text) - 1, DEPTH, &root), -ENOMEM);
		CHECK_STR(err_text(), "t: too many values, or out of memory");
	}
	for (size_t limit = 16; limit < 400; limit += 16) {
		_cleanup_arena_ struct arena *a = arena_new(limit);
		const char *object = "{\"0123456789\":\"0123456789\",\"b\":1,\"c\":null}";
		const struct json *root = NULL;

		CHECK_INT(json_parse(a, "t", object, strlen(object), DEPTH, &root), -ENOMEM);
	}
}

TEST(utf8_sequences)
{
	CHECK_INT(utf8_char("a", 1), 1);
	CHECK_INT(utf8_char("\xc3\xa9", 2), 2);
	CHECK_INT(utf8_char("\xc3\xa9", 1), 0);
	CHECK_INT(utf8_char("\xe2\x82\xac", 3), 3);
	CHECK_INT(utf8_char("\xf0\x9f\x98\x80", 4), 4);
	CHECK_INT(utf8_char("\xf0\x9f\x98\x80", 3), 0);
	CHECK_INT(utf8_char("\x80", 1), 0);
	CHECK_INT(utf8_char("\xc1\xbf", 2), 0);
	CHECK_INT(utf8_char("\xe0\x9f\xbf", 3), 0);
	CHECK_INT(utf8_char("\xf0\x8f\xbf\xbf", 4), 0);
	CHECK_INT(utf8_char("\xf5\x80\x80\x80", 4), 0);
	CHECK_INT(utf8_valid("", 0), 0);
	CHECK_INT(utf8_valid("0123456789\xc3\xa9 and more ASCII", 27), 27);
	CHECK_INT(utf8_valid("0123456789\xff", 11), 10);
	CHECK_INT(utf8_valid("01234567\xc3", 9), 8);
}

static void write_sample(struct json_writer *w)
{
	static const char *const list[] = { "x", "y" };

	json_object_open(w);
	json_kv_string(w, "string", "a\"b\\c\n\x01/");
	json_kv_string(w, "null", NULL);
	json_kv_int(w, "min", INT64_MIN);
	json_key(w, "max");
	json_uint(w, UINT64_MAX);
	json_kv_bool(w, "yes", true);
	json_kv_strings(w, "list", list, 2);
	json_kv_strings(w, "empty", NULL, 0);
	json_key(w, "nested");
	json_array_open(w);
	json_object_open(w);
	json_object_close(w);
	json_null(w);
	json_array_close(w);
	json_object_close(w);
}

TEST(writer_compact)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	write_sample(w);
	text = json_writer_take(w, &len);
	CHECK_STR(text, "{\"string\":\"a\\\"b\\\\c\\n\\u0001/\",\"null\":null,\"min\":-9223372036854775808,"
			"\"max\":18446744073709551615,\"yes\":true,\"list\":[\"x\",\"y\"],\"empty\":[],"
			"\"nested\":[{},null]}");
	CHECK(text != NULL && len == strlen(text));
	CHECK(json_writer_take(w, &len) == NULL);
}

TEST(writer_numbers)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;

	json_object_open(w);
	json_kv_uint(w, "most", UINT64_MAX);
	json_kv_hundredths(w, "none", 0);
	json_kv_hundredths(w, "small", 5);
	json_kv_hundredths(w, "some", 1230);
	json_kv_hundredths(w, "all", UINT64_MAX);
	json_object_close(w);
	text = json_writer_take(w, NULL);
	CHECK_STR(text, "{\"most\":18446744073709551615,\"none\":0.00,\"small\":0.05,\"some\":12.30,"
			"\"all\":184467440737095516.15}");
}

TEST(writer_pretty)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);
	_cleanup_free_ char *text = NULL;

	json_object_open(w);
	json_kv_int(w, "a", 1);
	json_kv_strings(w, "b", (const char *const[]){ "c" }, 1);
	json_object_close(w);
	text = json_writer_take(w, NULL);
	CHECK_STR(text, "{\n  \"a\": 1,\n  \"b\": [\n    \"c\"\n  ]\n}\n");
}

TEST(writer_round_trip)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);
	_cleanup_free_ char *text = NULL;
	const struct json *root;

	write_sample(w);
	text = json_writer_take(w, NULL);
	if (!CHECK(text != NULL))
		return;
	root = parse(t, a, text);
	if (!CHECK(root != NULL))
		return;
	CHECK_STR(json_member(root, "string")->text, "a\"b\\c\n\x01/");
	CHECK_STR(json_member(root, "min")->text, "-9223372036854775808");
	CHECK_STR(json_member(root, "max")->text, "18446744073709551615");
	CHECK_INT(json_member(root, "nested")->n, 2);
}

TEST(writer_repairs_utf8)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;

	json_array_open(w);
	json_string(w, "\xff");
	json_string(w, "a\xc3\xa9\xc3(\xed\xa0\x80z");
	json_array_close(w);
	text = json_writer_take(w, NULL);
	CHECK_STR(text, "[\"\xef\xbf\xbd\",\"a\xc3\xa9\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"]");
}

TEST(writer_failures_stick)
{
	_cleanup_json_writer_ struct json_writer *empty = json_writer_new(false);
	_cleanup_json_writer_ struct json_writer *open = json_writer_new(false);
	_cleanup_json_writer_ struct json_writer *closed = json_writer_new(false);
	_cleanup_json_writer_ struct json_writer *key = json_writer_new(false);
	_cleanup_json_writer_ struct json_writer *second = json_writer_new(false);
	_cleanup_json_writer_ struct json_writer *deep = json_writer_new(false);
	size_t len;

	CHECK(json_writer_take(empty, &len) == NULL);
	json_object_open(open);
	CHECK(json_writer_take(open, &len) == NULL);
	json_array_open(closed);
	json_array_close(closed);
	json_array_close(closed);
	CHECK(json_writer_take(closed, &len) == NULL);
	json_object_open(key);
	json_int(key, 1);
	json_object_close(key);
	CHECK(json_writer_take(key, &len) == NULL);
	json_int(second, 1);
	json_int(second, 2);
	CHECK(json_writer_take(second, &len) == NULL);
	for (int i = 0; i < 1000; i++)
		json_array_open(deep);
	for (int i = 0; i < 1000; i++)
		json_array_close(deep);
	CHECK(json_writer_take(deep, &len) == NULL);
}

TEST(writer_null_is_harmless)
{
	write_sample(NULL);
	CHECK(json_writer_take(NULL, NULL) == NULL);
	json_writer_free(NULL);
}

TEST_MAIN(CASE(grammar), CASE(tree), CASE(paths), CASE(quoting), CASE(type_names), CASE(deep_is_quick),
	  CASE(many_keys_are_quick), CASE(memory_limit), CASE(utf8_sequences), CASE(writer_compact), CASE(writer_numbers),
	  CASE(writer_pretty), CASE(writer_round_trip), CASE(writer_repairs_utf8), CASE(writer_failures_stick),
	  CASE(writer_null_is_harmless))
