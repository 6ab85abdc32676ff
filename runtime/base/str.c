/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_in(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(s, list[i]))
			return true;
	return false;
}

static int compare_texts(const char *a, const char *b, bool names)
{
	while (*a == *b && *a != '\0' && !(names && *a == '=')) {
		a++;
		b++;
	}
	if (names && (*a == '=' || *a == '\0') && (*b == '=' || *b == '\0'))
		return 0;
	return (unsigned char)*a - (unsigned char)*b;
}

/* Equal ones by their places. */
static int compare_slots(const void *a, const void *b, bool names)
{
	const char **x = *(const char **const *)a, **y = *(const char **const *)b;
	int r = compare_texts(*x, *y, names);

	return r != 0 ? r : x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b)
{
	return compare_slots(a, b, true);
}

static int compare_wholes(const void *a, const void *b)
{
	return compare_slots(a, b, false);
}

size_t str_keep_last(const char **v, size_t n, bool names, const char ***work)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		work[i] = &v[i];
	qsort(work, n, sizeof(*work), names ? compare_names : compare_wholes);
	/* The text of a slot is needed for the next comparison: it goes after that. */
	for (size_t i = 0; i + 1 < n; i++)
		if (compare_texts(*work[i], *work[i + 1], names) == 0)
			*work[i] = NULL;
	for (size_t i = 0; i < n; i++)
		if (v[i] != NULL)
			v[left++] = v[i];
	return left;
}

/* Room for len more bytes and the NUL. */
static bool buf_reserve(struct buf *b, size_t len)
{
	size_t need, cap = b->cap != 0 ? b->cap : 256;
	char *p;

	if (b->failed)
		return false;
	if (len > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
		b->failed = true;
		return false;
	}
	need = b->len + len + 1;
	if (need <= b->cap)
		return true;
	while (cap < need)
		cap *= 2;
	p = realloc(b->data, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len < 0)
		b->failed = true;
	else if (buf_reserve(b, (size_t)len)) {
		vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
		b->len += (size_t)len;
	}
	va_end(again);
	va_end(ap);
}

char *buf_take(struct buf *b)
{
	char *p;

	buf_add(b, "", 0);
	if (b->failed) {
		buf_deinit(b);
		return NULL;
	}
	p = b->data;
	*b = (struct buf)BUF_NULL;
	return p;
}

void buf_deinit(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_NULL;
}

char *str_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&s, fmt, ap);
	va_end(ap);
	return r < 0 ? NULL : s;
}

void str_freep(char **s)
{
	free(*s);
	*s = NULL;
}
