/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "runtime/options.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

static const struct option_row *find_long(const struct option_row *rows, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

/* What a long option is called in arg: after one dash or two, before "=". */
static const char *long_name(const char *arg, size_t *ret_len)
{
	const char *name = arg + (arg[1] == '-' ? 2 : 1);

	*ret_len = strcspn(name, "=");
	return name;
}

/*
 * Callers that were written for runc know that Go's flags take a long option after a single dash, too: containerd's shim
 * sends "-no-subreaper". A name that is there wins over a list of short options.
 */
static bool is_long(const struct option_row *rows, size_t n, const char *arg)
{
	size_t len;
	const char *name = long_name(arg, &len);

	return arg[1] == '-' || (len > 1 && find_long(rows, n, name, len) != NULL);
}

static const struct option_row *find_short(const struct option_row *rows, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

static int store_bool(const struct option_row *o, bool *dest, const char *value)
{
	if (value == NULL || str_eq(value, "true") || str_eq(value, "1"))
		*dest = true;
	else if (str_eq(value, "false") || str_eq(value, "0"))
		*dest = false;
	else
		return ERR_PLAIN(-EINVAL, "option --%s: \"%s\" is neither true nor false", o->name, value);
	return 0;
}

static int store_list(struct option_list *list, const char *value)
{
	const char **v = reallocarray(list->v, list->n + 2, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	v[list->n++] = value;
	v[list->n] = NULL;
	list->v = v;
	return 0;
}

static int store(const struct option_row *o, void *dest, const char *value)
{
	char *field = (char *)dest + o->offset;
	uint64_t v;

	switch (o->type) {
	case OPTION_BOOL:
		return store_bool(o, (bool *)(void *)field, value);
	case OPTION_STRING:
		*(const char **)(void *)field = value;
		return 0;
	case OPTION_UINT:
		if (parse_u64(value, 0, INT_MAX, &v) < 0)
			return ERR_PLAIN(-EINVAL, "option --%s: \"%s\" is not a number", o->name, value);
		*(unsigned int *)(void *)field = (unsigned int)v;
		return 0;
	case OPTION_LIST:
		return store_list((struct option_list *)(void *)field, value);
	case OPTION_IGNORED:
		break;
	}
	return 0;
}

/* The words that podman's feature probes look for. */
static int needs_argument(const struct option_row *o)
{
	return ERR_PLAIN(-EINVAL, "option --%s: flag needs an argument", o->name);
}

static int parse_long(const struct option_row *rows, size_t n, void *dest, int argc, char **argv, int *at)
{
	size_t len;
	const char *name = long_name(argv[*at], &len);
	const struct option_row *o = find_long(rows, n, name, len);
	const char *value = name[len] == '=' ? name + len + 1 : NULL;

	if (o == NULL)
		return ERR_PLAIN(-EINVAL, "unknown option \"%s\"", argv[*at]);
	if (o->arg == NULL && value != NULL && o->type != OPTION_BOOL)
		return ERR_PLAIN(-EINVAL, "option --%s takes no value", o->name);
	if (o->arg != NULL && value == NULL) {
		if (*at + 1 >= argc)
			return needs_argument(o);
		value = argv[++*at];
	}
	return store(o, dest, value);
}

static int parse_short(const struct option_row *rows, size_t n, void *dest, int argc, char **argv, int *at)
{
	const char *p = argv[*at] + 1;

	for (; *p != '\0'; p++) {
		const struct option_row *o = find_short(rows, n, *p);
		const char *value = NULL;
		int r;

		if (o == NULL)
			return ERR_PLAIN(-EINVAL, "unknown option \"-%c\"", *p);
		if (o->arg != NULL) {
			if (p[1] != '\0')
				value = p[1] == '=' ? p + 2 : p + 1;
			else if (*at + 1 < argc)
				value = argv[++*at];
			else
				return needs_argument(o);
		}
		r = store(o, dest, value);
		if (r < 0 || o->arg != NULL)
			return r;
	}
	return 0;
}

int options_parse(const struct option_row *rows, size_t n, void *dest, int argc, char **argv, int *at, bool *ret_help)
{
	*ret_help = false;
	for (; *at < argc; ++*at) {
		const char *arg = argv[*at];
		int r;

		if (arg[0] != '-' || arg[1] == '\0')
			return 0;
		if (str_eq(arg, "--")) {
			++*at;
			return 0;
		}
		if (str_eq(arg, "--help") || str_eq(arg, "-help") || str_eq(arg, "-h")) {
			*ret_help = true;
			return 0;
		}
		r = is_long(rows, n, arg) ? parse_long(rows, n, dest, argc, argv, at) :
					    parse_short(rows, n, dest, argc, argv, at);
		if (r < 0)
			return r;
	}
	return 0;
}

bool options_have(const struct option_row *rows, size_t n, const char *word)
{
	size_t len;
	const char *name;

	if (word[0] != '-' || word[1] == '\0')
		return false;
	name = long_name(word, &len);
	return find_long(rows, n, name, len) != NULL;
}

void options_print(const struct option_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char left[64], letter[4] = "   ";

		if (rows[i].help == NULL)
			continue;
		if (rows[i].letter != 0)
			snprintf(letter, sizeof(letter), "-%c,", rows[i].letter);
		snprintf(left, sizeof(left), "  %s --%s%s%s", letter, rows[i].name, rows[i].arg != NULL ? " " : "",
			 rows[i].arg != NULL ? rows[i].arg : "");
		printf("%-34s %s\n", left, rows[i].help);
	}
	printf("%-34s %s\n", "  -h, --help", "this text");
}
