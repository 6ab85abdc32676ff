/* SPDX-License-Identifier: Apache-2.0 */
/* See variant.h. A text is read from left to right by a cursor; nothing is looked up twice. */
#include "cgroups/variant.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cgroups/dbus_message.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

struct cursor {
	struct arena *a;
	const char *text, *p;
};

/* A value before its type is settled. Numbers are kept as text until then. */
struct scalar {
	char named;		/* the type that was named; 0: none */
	char natural;		/* what it is without one: b s i d */
	bool b;
	const char *s;		/* the string, or the number's text */
};

static const struct {
	const char *name;
	char type;
	int64_t min;		/* integers only */
	uint64_t max;
} types[] = {
	{ "boolean", 'b', 0, 0 },
	{ "byte", 'y', 0, UINT8_MAX },
	{ "int16", 'n', INT16_MIN, INT16_MAX },
	{ "uint16", 'q', 0, UINT16_MAX },
	{ "int32", 'i', INT32_MIN, INT32_MAX },
	{ "uint32", 'u', 0, UINT32_MAX },
	{ "int64", 'x', INT64_MIN, INT64_MAX },
	{ "uint64", 't', 0, UINT64_MAX },
	{ "double", 'd', 0, 0 },
	{ "string", 's', 0, 0 },
};

static int bad(const struct cursor *c, const char *what)
{
	return ERR_PLAIN(-EINVAL, "%s at character %zu of \"%.200s\"", what, (size_t)(c->p - c->text) + 1, c->text);
}

static void skip_space(struct cursor *c)
{
	while (isspace((unsigned char)*c->p))
		c->p++;
}

/* ---- strings ---- */

bool variant_is_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p != '\0') {
		unsigned int n = *p < 0x80 ? 0 : *p >= 0xC2 && *p < 0xE0 ? 1 : *p >= 0xE0 && *p < 0xF0 ? 2 : 3;
		uint32_t code = n == 0 ? *p : *p & (0x3FU >> n);

		if (*p >= 0x80 && (*p < 0xC2 || *p > 0xF4))
			return false;
		p++;
		for (unsigned int i = 0; i < n; i++, p++) {
			if ((*p & 0xC0) != 0x80)
				return false;
			code = code << 6 | (*p & 0x3FU);
		}
		/* Written longer than need be, halves of UTF-16 pairs, beyond the end. */
		if ((n == 2 && code < 0x800) || (n == 3 && code < 0x10000) || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF)
			return false;
	}
	return true;
}

static void put_utf8(struct buf *b, uint32_t code)
{
	char out[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	if (n == 1)
		out[0] = (char)code;
	for (size_t i = n; n > 1 && i-- > 0; code >>= 6)
		out[i] = (char)(i > 0 ? 0x80 | (code & 0x3F) : (0xF00U >> n & 0xFF) | code);
	buf_add(b, out, n);
}

/* Of four digits or eight: behind the letter u or U. */
static int unicode_escape(struct cursor *c, int digits, struct buf *b)
{
	uint32_t code = 0;

	for (int i = 0; i < digits; i++, c->p++) {
		unsigned char ch = (unsigned char)*c->p;

		if (!isxdigit(ch))
			return bad(c, "no hexadecimal digit");
		code = code << 4 | (uint32_t)(isdigit(ch) ? ch - '0' : tolower(ch) - 'a' + 10);
		if (code > 0x10FFFF)
			return bad(c, "no such character");
	}
	if (code == 0 || (code >= 0xD800 && code < 0xE000))
		return bad(c, "no such character");
	put_utf8(b, code);
	return 0;
}

static int escape(struct cursor *c, struct buf *b)
{
	static const char letters[] = "abfnrtv", meaning[] = "\a\b\f\n\r\t\v";
	char ch = *c->p;
	const char *letter;

	if (ch == '\0')
		return bad(c, "the string has no end");
	c->p++;
	if (ch == 'u' || ch == 'U')
		return unicode_escape(c, ch == 'u' ? 4 : 8, b);
	letter = strchr(letters, ch);
	if (letter != NULL)
		buf_add(b, &meaning[letter - letters], 1);
	else if (ch != '\n')
		buf_add(b, &ch, 1);
	return 0;
}

static int parse_string(struct cursor *c, struct scalar *ret)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	char quote = *c->p++;
	int r = 0;

	while (r == 0 && *c->p != quote) {
		if (*c->p == '\0')
			return bad(c, "the string has no end");
		if (*c->p == '\\') {
			c->p++;
			r = escape(c, &b);
		} else
			buf_add(&b, c->p++, 1);
	}
	if (r < 0)
		return r;
	c->p++;
	ret->natural = 's';
	ret->s = b.failed ? NULL : arena_strndup(c->a, b.data != NULL ? b.data : "", b.len);
	if (ret->s == NULL)
		return ERR_NOMEM();
	return variant_is_utf8(ret->s) ? 0 : bad(c, "no UTF-8 in the string before this");
}

/* ---- numbers ---- */

static int parse_number(struct cursor *c, struct scalar *ret)
{
	const char *start = c->p;

	ret->natural = 'i';
	for (; isalnum((unsigned char)*c->p) || (*c->p != '\0' && strchr("+-.", *c->p) != NULL); c->p++)
		if (strchr(".eE", *c->p) != NULL)
			ret->natural = 'd';
	ret->s = arena_strndup(c->a, start, (size_t)(c->p - start));
	return ret->s != NULL ? 0 : ERR_NOMEM();
}

/* Leading zeros would be octal to GVariant. */
static int to_integer(const char *s, int64_t min, uint64_t max, uint64_t *ret)
{
	const char *first = s[0] == '-' ? s + 1 : s;
	int64_t v;
	int r;

	if (first[0] == '0' && first[1] != '\0')
		return -EINVAL;
	if (s[0] != '-')
		return parse_u64(s, 0, max, ret);
	r = parse_i64(s, min, 0, &v);
	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

/* Adds to *mantissa as many digits as it holds; *ret_rest: those that it does not. Returns how many there were. */
static size_t digits(const char *s, uint64_t *mantissa, size_t *ret_rest)
{
	size_t n;

	*ret_rest = 0;
	for (n = 0; isdigit((unsigned char)s[n]); n++) {
		if (*mantissa < UINT64_MAX / 10 - 1)
			*mantissa = *mantissa * 10 + (uint64_t)(s[n] - '0');
		else
			++*ret_rest;
	}
	return n;
}

/* "-12.5e-3". Right to the last digit but one or so, which is enough for what properties there are. */
static int to_double(const char *s, double *ret)
{
	bool negative = *s == '-';
	uint64_t mantissa = 0;
	size_t whole, part = 0, rest, part_rest = 0;
	int64_t exponent = 0;
	long double v;

	s += negative ? 1 : 0;
	whole = digits(s, &mantissa, &rest);
	s += whole;
	if (*s == '.') {
		part = digits(s + 1, &mantissa, &part_rest);
		s += part + 1;
	}
	if (whole + part == 0)
		return -EINVAL;
	if (*s == 'e' || *s == 'E') {
		s += s[1] == '+' ? 2 : 1;
		if (parse_i64(s, -5000, 5000, &exponent) < 0)
			return -EINVAL;
	} else if (*s != '\0')
		return -EINVAL;
	exponent += (int64_t)rest - (int64_t)(part - part_rest);
	v = (long double)mantissa;
	for (; exponent > 0 && v > 0 && v <= (long double)__DBL_MAX__; exponent--)
		v *= 10;
	for (; exponent < 0 && v > 0; exponent++)
		v /= 10;
	if (v > (long double)__DBL_MAX__)
		return -ERANGE;
	*ret = (double)(negative ? -v : v);
	return 0;
}

/* ---- values ---- */

static char type_named(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i].name) == len && strncmp(types[i].name, word, len) == 0)
			return types[i].type;
	return 0;
}

/* A value that is no array, perhaps with its type's name before it. */
static int parse_scalar(struct cursor *c, struct scalar *ret)
{
	size_t len = 0;

	*ret = (struct scalar){ 0 };
	while (isalnum((unsigned char)c->p[len]))
		len++;
	ret->named = type_named(c->p, len);
	if (ret->named != 0) {
		c->p += len;
		skip_space(c);
		for (len = 0; isalnum((unsigned char)c->p[len]);)
			len++;
	}
	if (*c->p == '\'' || *c->p == '"')
		return parse_string(c, ret);
	if (isdigit((unsigned char)*c->p) || *c->p == '-' || *c->p == '.')
		return parse_number(c, ret);
	ret->natural = 'b';
	ret->b = len == 4 && strncmp(c->p, "true", len) == 0;
	if (!ret->b && (len != 5 || strncmp(c->p, "false", len) != 0))
		return bad(c, *c->p == '\0' ? "a value is missing" : "not a value (strings stand in quotes)");
	c->p += len;
	return 0;
}

/* One of the elements, of the type that all have. */
static int settle(const struct cursor *c, const struct scalar *s, char type, union variant_value *ret)
{
	const char *name = NULL;
	int r = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].type != type)
			continue;
		name = types[i].name;
		if (type == 'd' && (s->natural == 'i' || s->natural == 'd'))
			r = to_double(s->s, &ret->d);
		else if (types[i].max > 0 && s->natural == 'i')
			r = to_integer(s->s, types[i].min, types[i].max, &ret->number);
	}
	if (type == 's' && s->natural == 's') {
		ret->s = s->s;
		r = 0;
	}
	if (type == 'b' && s->natural == 'b') {
		ret->b = s->b;
		r = 0;
	}
	if (r == -ERANGE)
		return ERR_PLAIN(-EINVAL, "%s is no %s: out of its range, in \"%.200s\"", s->s, name, c->text);
	if (r < 0)
		return ERR_PLAIN(-EINVAL, "%s is no %s, in \"%.200s\"", s->natural == 'b' ? "a boolean" : s->s, name, c->text);
	return 0;
}

/* Their common type. */
static int unify(const struct cursor *c, const struct scalar *s, size_t n, char *ret)
{
	char type = *ret, natural = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i].named != 0 && type != 0 && s[i].named != type)
			return ERR_PLAIN(-EINVAL, "elements of different types in \"%.200s\"", c->text);
		if (s[i].named != 0)
			type = s[i].named;
		if (natural == 0 || (natural == 'i' && s[i].natural == 'd'))
			natural = s[i].natural;
	}
	*ret = type != 0 ? type : natural;
	return 0;
}

/* To twice the size; the old ones stay in the arena. */
static struct scalar *grow(struct arena *a, const struct scalar *old, size_t n)
{
	struct scalar *v = arena_array(a, n == 0 ? 1 : 2 * n, sizeof(*v));

	if (v != NULL && n > 0)
		memcpy(v, old, n * sizeof(*v));
	return v;
}

/* Behind the '['. */
static int parse_elements(struct cursor *c, struct scalar **ret, size_t *ret_n)
{
	struct scalar *v = NULL;
	size_t n = 0;
	int r;

	for (skip_space(c); *c->p != ']'; skip_space(c)) {
		/* Full at 0 and at the powers of two. */
		if ((n & (n - 1)) == 0)
			v = grow(c->a, v, n);
		if (v == NULL)
			return ERR_NOMEM();
		r = parse_scalar(c, &v[n++]);
		if (r < 0)
			return r;
		skip_space(c);
		if (*c->p == ']')
			break;
		if (*c->p != ',')
			return bad(c, "neither , nor ]");
		c->p++;
	}
	c->p++;
	*ret = v;
	*ret_n = n;
	return 0;
}

/* "@au " before an array, "@u " before anything else. */
static int parse_annotation(struct cursor *c, char *ret_type, bool *ret_array)
{
	c->p++;
	*ret_array = *c->p == 'a';
	c->p += *ret_array ? 1 : 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == *c->p)
			*ret_type = *c->p;
	if (*ret_type == 0 || !isspace((unsigned char)c->p[1]))
		return bad(c, "not a type that is known here");
	c->p++;
	skip_space(c);
	return 0;
}

static int parse_value(struct cursor *c, struct variant *v)
{
	struct scalar one = { 0 }, *s = &one;
	bool array = false, annotated = *c->p == '@';
	size_t n = 1;
	int r = annotated ? parse_annotation(c, &v->type, &array) : 0;

	if (r < 0)
		return r;
	v->array = *c->p == '[';
	if (annotated && array != v->array)
		return bad(c, "not of the type before it");
	if (v->array) {
		c->p++;
		r = parse_elements(c, &s, &n);
	} else
		r = parse_scalar(c, &one);
	if (r == 0)
		r = unify(c, s, n, &v->type);
	if (r == 0 && v->type == 0)
		r = ERR_PLAIN(-EINVAL, "an empty array has no type: \"@as []\" is an array of strings");
	v->v = arena_array(c->a, n, sizeof(*v->v));
	if (v->v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; r == 0 && i < n; i++)
		r = settle(c, &s[i], v->type, &v->v[i]);
	v->n = n;
	return r;
}

int variant_parse(struct arena *a, const char *text, struct variant *ret)
{
	struct cursor c = { .a = a, .text = text, .p = text };
	struct variant v = { 0 };
	int r;

	if (strlen(text) > VARIANT_TEXT_MAX)
		return ERR_PLAIN(-EINVAL, "longer than %zu characters", VARIANT_TEXT_MAX);
	skip_space(&c);
	r = parse_value(&c, &v);
	if (r < 0)
		return r;
	skip_space(&c);
	if (*c.p != '\0')
		return bad(&c, "something behind the value");
	*ret = v;
	return 0;
}

/* ---- writing ---- */

static void put_value(struct buf *b, char type, const union variant_value *v)
{
	uint64_t number = v->number;

	switch (type) {
	case 's':
		dbus_put_string(b, v->s);
		break;
	case 'b':
		dbus_put_u32(b, v->b ? 1 : 0);
		break;
	case 'd':
		memcpy(&number, &v->d, sizeof(number));
		dbus_put_u64(b, number);
		break;
	case 'y':
		dbus_put_byte(b, (uint8_t)number);
		break;
	case 'n':
	case 'q':
		dbus_put_u16(b, (uint16_t)number);
		break;
	case 'i':
	case 'u':
		dbus_put_u32(b, (uint32_t)number);
		break;
	default:
		dbus_put_u64(b, number);
		break;
	}
}

/* Of a value of this type. */
static size_t alignment(char type)
{
	if (type == 'y')
		return 1;
	if (type == 'n' || type == 'q')
		return 2;
	return strchr("xtd", type) != NULL ? 8 : 4;
}

void variant_put(struct buf *b, const struct variant *v)
{
	char signature[3] = { v->type };
	size_t array = 0;

	if (v->array) {
		signature[0] = 'a';
		signature[1] = v->type;
	}
	dbus_put_signature(b, signature);
	if (v->array)
		array = dbus_put_array(b, alignment(v->type));
	for (size_t i = 0; i < v->n; i++)
		put_value(b, v->type, &v->v[i]);
	if (v->array)
		dbus_put_array_end(b, array, alignment(v->type));
}
