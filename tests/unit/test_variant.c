/* SPDX-License-Identifier: Apache-2.0 */
/* GVariant's text form -> D-Bus variants. */
#include "tests/unit/test.h"

#include <errno.h>

#include "cgroups/systemd.h"
#include "cgroups/systemd_properties.h"
#include "cgroups/variant.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* "TYPE VALUE VALUE…" */
static char *as_text(const struct variant *v)
{
	struct buf b = BUF_NULL;

	buf_printf(&b, "%s%c", v->array ? "a" : "", v->type);
	for (size_t i = 0; i < v->n; i++) {
		if (v->type == 's')
			buf_printf(&b, " [%s]", v->v[i].s);
		else if (v->type == 'b')
			buf_printf(&b, " %s", v->v[i].b ? "true" : "false");
		else if (v->type == 'd')
			buf_printf(&b, " %.17g", v->v[i].d);
		else if (strchr("nix", v->type) != NULL)
			buf_printf(&b, " %" PRId64, (int64_t)v->v[i].number);
		else
			buf_printf(&b, " %" PRIu64, v->v[i].number);
	}
	return buf_take(&b);
}

static const struct {
	const char *text, *want;	/* NULL: refused */
	const char *error;
} table[] = {
	{ "true", "b true", NULL },
	{ " false\n", "b false", NULL },
	{ "boolean true", "b true", NULL },
	{ "5", "i 5", NULL },
	{ "-5", "i -5", NULL },
	{ "0", "i 0", NULL },
	{ "2147483647", "i 2147483647", NULL },
	{ "-2147483648", "i -2147483648", NULL },
	{ "2147483648", NULL, "2147483648 is no int32: out of its range, in \"2147483648\"" },
	{ "uint64 123456789", "t 123456789", NULL },
	{ "uint64 18446744073709551615", "t 18446744073709551615", NULL },
	{ "uint64 18446744073709551616", NULL, NULL },
	{ "uint64 -1", NULL, NULL },
	{ "int64 -9223372036854775808", "x -9223372036854775808", NULL },
	{ "int16 -32768", "n -32768", NULL },
	{ "int16 32768", NULL, NULL },
	{ "uint16 65535", "q 65535", NULL },
	{ "uint32 4294967295", "u 4294967295", NULL },
	{ "uint32 4294967296", NULL, NULL },
	{ "byte 255", "y 255", NULL },
	{ "byte 256", NULL, NULL },
	{ "double 3", "d 3", NULL },
	{ "1.5", "d 1.5", NULL },
	{ "-0.25e2", "d -25", NULL },
	{ "1e3", "d 1000", NULL },
	{ "0.1", "d 0.10000000000000001", NULL },
	{ "1e-400", "d 0", NULL },
	{ "1e400", NULL, NULL },
	{ "1e99999", NULL, NULL },
	{ ".", NULL, NULL },
	{ "1.5.5", NULL, NULL },
	{ "int32 1.5", NULL, "1.5 is no int32, in \"int32 1.5\"" },
	{ "010", NULL, NULL },
	{ "0x10", NULL, NULL },
	{ "+5", NULL, NULL },
	{ "5 6", NULL, "something behind the value at character 3 of \"5 6\"" },
	{ "'a b'", "s [a b]", NULL },
	{ "\"it's\"", "s [it's]", NULL },
	{ "string 'x'", "s [x]", NULL },
	{ "''", "s []", NULL },
	{ "'a\\'b\\\\\\n\\t\\q'", "s [a'b\\\n\tq]", NULL },
	{ "'\\u00e4\\U0001F600'", "s [\xc3\xa4\xf0\x9f\x98\x80]", NULL },
	{ "'\\u20ac\\u0041'", "s [\xe2\x82\xac" "A]", NULL },
	{ "'\xc3\xa4'", "s [\xc3\xa4]", NULL },
	{ "'\xc3'", NULL, NULL },
	{ "'\xff'", NULL, NULL },
	{ "'\xed\xa0\x80'", NULL, NULL },
	{ "'\xc0\x80'", NULL, NULL },
	{ "'\\u0000'", NULL, NULL },
	{ "'\\ud800'", NULL, NULL },
	{ "'\\U00110000'", NULL, NULL },
	{ "'\\u12'", NULL, NULL },
	{ "'abc", NULL, "the string has no end at character 5 of \"'abc\"" },
	{ "'abc\\", NULL, NULL },
	{ "abc", NULL, "not a value (strings stand in quotes) at character 1 of \"abc\"" },
	{ "", NULL, "a value is missing at character 1 of \"\"" },
	{ "uint32", NULL, NULL },
	{ "uint32 'a'", NULL, NULL },
	{ "string 5", NULL, NULL },
	{ "boolean 1", NULL, NULL },
	{ "['a', \"b\"]", "as [a] [b]", NULL },
	{ "[1,2 , 3]", "ai 1 2 3", NULL },
	{ "[uint32 1, 2]", "au 1 2", NULL },
	{ "[1, uint32 2]", "au 1 2", NULL },
	{ "[1, 2.5]", "ad 1 2.5", NULL },
	{ "[true,false]", "ab true false", NULL },
	{ "[byte 1, 255]", "ay 1 255", NULL },
	{ "[1,]", "ai 1", NULL },
	{ "[1,2,3,4,5,6,7,8,9]", "ai 1 2 3 4 5 6 7 8 9", NULL },
	{ "@as []", "as", NULL },
	{ "@at [1, 2]", "at 1 2", NULL },
	{ "@t 5", "t 5", NULL },
	{ "[]", NULL, "an empty array has no type: \"@as []\" is an array of strings" },
	{ "@as 'a'", NULL, NULL },
	{ "@s ['a']", NULL, NULL },
	{ "@a{sv} []", NULL, NULL },
	{ "@", NULL, NULL },
	{ "@as", NULL, NULL },
	{ "[1, 'a']", NULL, NULL },
	{ "[uint32 1, int32 2]", NULL, "elements of different types in \"[uint32 1, int32 2]\"" },
	{ "[1 2]", NULL, "neither , nor ] at character 4 of \"[1 2]\"" },
	{ "[1", NULL, NULL },
	{ "[[1]]", NULL, NULL },
	{ "('a', 1)", NULL, NULL },
	{ "{'a': 1}", NULL, NULL },
};

TEST(texts)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		_cleanup_free_ char *got = NULL;
		struct variant v = { 0 };
		int r;

		err_clear();
		r = variant_parse(a, table[i].text, &v);
		if (r == 0)
			got = as_text(&v);
		if (!CHECK_INT(r, table[i].want != NULL ? 0 : -EINVAL) || !CHECK_STR(got, table[i].want))
			printf("#   text: %s (%s)\n", table[i].text, err_text());
		if (table[i].error != NULL)
			CHECK_STR(err_text(), table[i].error);
		CHECK(r == 0 || err_text()[0] != '\0');
	}
}

TEST(bytes)
{
	static const struct {
		const char *text, *bytes;
		size_t len;
	} cases[] = {
		{ "true", "\1b\0\0\1\0\0\0", 8 },
		{ "byte 7", "\1y\0\7", 4 },
		{ "int16 -2", "\1n\0\0\xfe\xff", 6 },
		{ "uint64 5", "\1t\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 16 },
		{ "1.5", "\1d\0\0\0\0\0\0\0\0\0\0\0\0\xf8\x3f", 16 },
		{ "'ab'", "\1s\0\0\2\0\0\0ab\0", 11 },
		{ "['a']", "\2as\0\6\0\0\0\1\0\0\0a\0", 14 },
		{ "@at []", "\2at\0\0\0\0\0", 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		_cleanup_buf_ struct buf b = BUF_NULL;
		struct variant v = { 0 };

		if (!CHECK_INT(variant_parse(a, cases[i].text, &v), 0))
			continue;
		variant_put(&b, &v);
		if (!CHECK_INT(b.len, cases[i].len) || !CHECK(memcmp(b.data, cases[i].bytes, b.len) == 0))
			printf("#   text: %s\n", cases[i].text);
	}
}

TEST(properties)
{
	static const struct {
		struct cgroup_unit_property p;
		const char *name, *want, *error;
	} cases[] = {
		{ { "TimeoutStopUSec", "uint64 5" }, "TimeoutStopUSec", "t 5", NULL },
		{ { "TimeoutStopSec", "5" }, "TimeoutStopUSec", "t 5000000", NULL },
		{ { "TimeoutStopSec", "uint64 5" }, "TimeoutStopUSec", "t 5000000", NULL },
		{ { "TimeoutStopSec", "0.25" }, "TimeoutStopUSec", "t 250000", NULL },
		{ { "RuntimeMaxSec", "byte 1" }, "RuntimeMaxUSec", "t 1000000", NULL },
		{ { "TimeoutStopSec", "-1" }, NULL, NULL, "org.systemd.property.TimeoutStopSec: is out of range" },
		{ { "TimeoutStopSec", "uint64 18446744073709551615" }, NULL, NULL, NULL },
		{ { "TimeoutStopSec", "'5'" }, NULL, NULL, "org.systemd.property.TimeoutStopSec: is not a number of seconds" },
		{ { "TimeoutStopSec", "[5]" }, NULL, NULL, NULL },
		{ { "Sec", "5" }, "Sec", "i 5", NULL },
		{ { "After", "['a.service']" }, "After", "as [a.service]", NULL },
		{ { "CollectMode", "'inactive'" }, "CollectMode", "s [inactive]", NULL },
		{ { "ab", "5" }, NULL, NULL, NULL },
		{ { "", "5" }, NULL, NULL, NULL },
		{ { "A.B", "5" }, NULL, NULL, "org.systemd.property.A.B: the name of a property has letters and digits only" },
		{ { "A\xc3\xa4x", "5" }, NULL, NULL, NULL },
		{ { "PIDs", "[uint32 1]" }, NULL, NULL, "org.systemd.property.PIDs: is set by nacre itself" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		_cleanup_free_ char *got = NULL;
		struct variant v = { 0 };
		const char *name = NULL;
		int r = systemd_unit_property_parse(a, &cases[i].p, &name, &v);

		CHECK_INT(r, cases[i].name != NULL ? 0 : -EINVAL);
		CHECK_INT(cgroup_unit_property_check(&cases[i].p), r);
		if (r == 0)
			got = as_text(&v);
		CHECK_STR(name, cases[i].name);
		CHECK_STR(got, cases[i].want);
		if (cases[i].error != NULL)
			CHECK_STR(err_text(), cases[i].error);
	}
}

TEST_MAIN(CASE(texts), CASE(bytes), CASE(properties))
