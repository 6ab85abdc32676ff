/* SPDX-License-Identifier: Apache-2.0 */
/* See spec_read.h. Nothing here knows the specification's properties. */
#include "oci/spec_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

static const char *const no_strings[] = { NULL };

int spec_bad(const struct spec_reader *r, const struct json *j, const char *fmt, ...)
{
	const char *path = json_path(r->arena, j);
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ERR_PLAIN(-EINVAL, "%s: %s%s%s", r->name, path, path[0] != '\0' ? ": " : "", text);
}

int spec_bad_type(const struct spec_reader *r, const struct json *j, const char *want)
{
	return spec_bad(r, j, "must be %s, not %s", want, json_type_name(j->type));
}

int spec_missing(const struct spec_reader *r, const struct json *j, const char *property)
{
	const char *path = json_path(r->arena, j);

	return ERR_PLAIN(-EINVAL, "%s: %s%s%s: is missing", r->name, path, path[0] != '\0' ? "." : "", property);
}

static void *at(void *object, size_t offset)
{
	return (char *)object + offset;
}

/* Objects */

void spec_shape_init(const struct shape *s, void *object)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct field *f = &s->fields[i];

		if (f->is_strv)
			*(struct strv *)at(object, f->at) = (struct strv){ .v = no_strings };
		else if (f->read == read_embedded)
			spec_shape_init(f->shape, at(object, f->at));
	}
}

static int read_member(const struct spec_reader *r, const struct json *m, const struct shape *s, void *object,
		       uint64_t *seen)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct field *f = &s->fields[i];
		int ret;

		if (!str_eq(f->name, m->key))
			continue;
		if (f->if_said && m->type == JSON_OBJECT && !spec_says_something(m))
			return 0;	/* as if it were not there: "present" stays false, too */
		ret = f->read(r, m, f, object);
		if (ret < 0)
			return ret;
		*seen |= UINT64_C(1) << i;
		if (f->has_aux)
			*(bool *)at(object, f->aux) = true;
		return 0;
	}
	/* unknown: the specification has it ignored */
	return r->strict ? spec_bad(r, m, "is not known here") : 0;
}

int spec_read_object(const struct spec_reader *r, const struct json *j, const struct shape *s, void *object)
{
	uint64_t seen = 0;

	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	for (const struct json *m = j->child; m != NULL; m = m->next) {
		int ret = m->type != JSON_NULL ? read_member(r, m, s, object, &seen) : 0;

		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < s->n_fields; i++)
		if (s->fields[i].required && (seen & (UINT64_C(1) << i)) == 0)
			return spec_missing(r, j, s->fields[i].name);
	return s->finish != NULL ? s->finish(r, j, object) : 0;
}

int read_embedded(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return spec_read_object(r, j, f->shape, at(object, f->at));
}

int read_pointed(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	void *pointed = arena_alloc(r->arena, f->shape->size);
	int ret;

	if (pointed == NULL)
		return ERR_NOMEM();
	spec_shape_init(f->shape, pointed);
	ret = spec_read_object(r, j, f->shape, pointed);
	if (ret == 0)
		*(const void **)at(object, f->at) = pointed;
	return ret;
}

int read_list(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	char *v;
	size_t i = 0;

	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	v = arena_array(r->arena, j->n, f->shape->size);
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		void *element = v + i++ * f->shape->size;
		int ret;

		spec_shape_init(f->shape, element);
		ret = spec_read_object(r, e, f->shape, element);
		if (ret < 0)
			return ret;
	}
	*(const void **)at(object, f->at) = v;
	*(size_t *)at(object, f->aux) = j->n;
	return 0;
}

int read_string_map(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_kv *v;
	size_t n = 0;

	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	v = arena_array(r->arena, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *m = j->child; m != NULL; m = m->next) {
		if (m->key[0] == '\0')
			return spec_bad(r, j, "has an entry with an empty name");
		if (m->type == JSON_NULL)
			continue;
		if (m->type != JSON_STRING)
			return spec_bad_type(r, m, json_type_name(JSON_STRING));
		v[n++] = (struct spec_kv){ .key = m->key, .value = m->text };
	}
	*(const struct spec_kv **)at(object, f->at) = v;
	*(size_t *)at(object, f->aux) = n;
	return 0;
}

bool spec_says_something(const struct json *j)
{
	if (j->type == JSON_NUMBER)
		return true;
	if (j->type == JSON_BOOL)
		return j->boolean;
	if (j->type == JSON_STRING)
		return j->text[0] != '\0';
	/* As deep as json_parse() lets it be. */
	for (const struct json *c = j->child; c != NULL; c = c->next)
		if (spec_says_something(c))
			return true;
	return false;
}

int read_unsupported(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	(void)object;
	return spec_says_something(j) ? spec_bad(r, j, "this version of nacre cannot apply it") : 0;
}

/* CPUs, memory nodes. N or N-M between commas; whoever reads the numbers checks their values. */
static bool is_number_list(const char *s)
{
	for (;;) {
		size_t n = strspn(s, "0123456789");

		if (n == 0)
			return false;
		s += n;
		if (*s == '-') {
			n = strspn(++s, "0123456789");
			if (n == 0)
				return false;
			s += n;
		}
		if (*s == '\0')
			return true;
		if (*s++ != ',')
			return false;
		s += strspn(s, " ");
	}
}

int read_number_list(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int ret = read_string(r, j, f, object);

	if (ret == 0 && j->text[0] != '\0' && !is_number_list(j->text))
		ret = spec_bad(r, j, "%s is not a list of numbers such as \"0-3,7\"", json_quote(r->arena, j->text));
	return ret;
}

/* Booleans and numbers */

int read_bool(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	if (j->type != JSON_BOOL)
		return spec_bad_type(r, j, json_type_name(JSON_BOOL));
	*(bool *)at(object, f->at) = j->boolean;
	return 0;
}

/* JSON's 1.0 and 1e3 are whole numbers too, but no other reader of a config.json takes them for integers. */
static int check_integer(const struct spec_reader *r, const struct json *j)
{
	if (j->type != JSON_NUMBER)
		return spec_bad_type(r, j, "an integer");
	if (j->text[strspn(j->text, "-0123456789")] != '\0')
		return spec_bad(r, j, "%.40s is not an integer", j->text);
	return 0;
}

int spec_signed(const struct spec_reader *r, const struct json *j, int64_t min, int64_t max, int64_t *ret_v)
{
	int ret = check_integer(r, j);

	if (ret == 0 && parse_i64(j->text, min, max, ret_v) < 0)
		ret = spec_bad(r, j, "%.40s is not in the range %lld to %lld", j->text, (long long)min, (long long)max);
	return ret;
}

int spec_unsigned(const struct spec_reader *r, const struct json *j, uint64_t min, uint64_t max, uint64_t *ret_v)
{
	int ret = check_integer(r, j);

	if (ret == 0 && parse_u64(j->text, min, max, ret_v) < 0)
		ret = spec_bad(r, j, "%.40s is not in the range %llu to %llu", j->text, (unsigned long long)min,
			       (unsigned long long)max);
	return ret;
}

int read_u16(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint64_t v = 0;
	int ret = spec_unsigned(r, j, (uint64_t)f->min, f->max, &v);

	*(uint16_t *)at(object, f->at) = (uint16_t)v;
	return ret;
}

int read_u32(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint64_t v = 0;
	int ret = spec_unsigned(r, j, (uint64_t)f->min, f->max, &v);

	*(uint32_t *)at(object, f->at) = (uint32_t)v;
	return ret;
}

int read_u64(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return spec_unsigned(r, j, (uint64_t)f->min, f->max, at(object, f->at));
}

int read_i32(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int64_t v = 0;
	int ret = spec_signed(r, j, f->min, (int64_t)f->max, &v);

	*(int32_t *)at(object, f->at) = (int32_t)v;
	return ret;
}

int read_i64(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return spec_signed(r, j, f->min, (int64_t)f->max, at(object, f->at));
}

int read_u32_list(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint32_t *v;
	size_t n = 0;

	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	v = arena_array(r->arena, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		uint64_t value;
		int ret = spec_unsigned(r, e, (uint64_t)f->min, f->max, &value);

		if (ret < 0)
			return ret;
		v[n++] = (uint32_t)value;
	}
	*(const uint32_t **)at(object, f->at) = v;
	*(size_t *)at(object, f->aux) = n;
	return 0;
}

/* Strings */

typedef int string_check(const struct spec_reader *r, const struct json *j, const struct field *f);

static int check_path(const struct spec_reader *r, const struct json *j, const struct field *f)
{
	(void)f;
	if (j->text[0] != '/')
		return spec_bad(r, j, "must be an absolute path, not %s", json_quote(r->arena, j->text));
	return 0;
}

static int check_word(const struct spec_reader *r, const struct json *j, const struct field *f)
{
	if (!str_in(j->text, f->words->v, f->words->n))
		return spec_bad(r, j, "%s is not a known %s", json_quote(r->arena, j->text), f->words->what);
	return 0;
}

static int check_env(const struct spec_reader *r, const struct json *j, const struct field *f)
{
	const char *equals = strchr(j->text, '=');

	(void)f;
	if (equals == NULL || equals == j->text)
		return spec_bad(r, j, "must be NAME=VALUE, not %s", json_quote(r->arena, j->text));
	return 0;
}

static int read_one(const struct spec_reader *r, const struct json *j, const struct field *f, void *object,
		    string_check *check)
{
	int ret;

	if (j->type != JSON_STRING)
		return spec_bad_type(r, j, json_type_name(JSON_STRING));
	if (j->text[0] == '\0')
		return f->required ? spec_bad(r, j, "must not be empty") : 0;
	ret = check != NULL ? check(r, j, f) : 0;
	if (ret == 0)
		*(const char **)at(object, f->at) = j->text;
	return ret;
}

static int read_many(const struct spec_reader *r, const struct json *j, const struct field *f, void *object,
		     string_check *check)
{
	const char **v;
	size_t n = 0;

	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	v = arena_array(r->arena, j->n + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		int ret = 0;

		if (e->type != JSON_STRING)
			return spec_bad_type(r, e, json_type_name(JSON_STRING));
		if (check != NULL)
			ret = check(r, e, f);
		if (ret < 0)
			return ret;
		v[n++] = e->text;
	}
	*(struct strv *)at(object, f->at) = (struct strv){ .v = v, .n = n };
	return 0;
}

int read_string(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_one(r, j, f, object, NULL);
}

int read_path(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_one(r, j, f, object, check_path);
}

int read_word(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_one(r, j, f, object, check_word);
}

int read_strings(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_many(r, j, f, object, NULL);
}

int read_paths(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_many(r, j, f, object, check_path);
}

int read_words(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_many(r, j, f, object, check_word);
}

int read_env(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return read_many(r, j, f, object, check_env);
}
