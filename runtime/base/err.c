/* SPDX-License-Identifier: Apache-2.0 */
/* See err.h. The buffers here are the error channel itself. */
#include "runtime/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char text[ERR_TEXT_MAX];
static char hint[ERR_TEXT_MAX];

__attribute__((format(printf, 2, 0))) static void put(char *buf, const char *fmt, va_list ap)
{
	vsnprintf(buf, ERR_TEXT_MAX, fmt, ap);
}

/* When there is no room left, what stands before is cut: the cause is at the end. */
static void append(const char *s)
{
	static const char cut[] = "...";
	size_t len = strlen(text), n = strlen(s), most = sizeof(text) - 1;

	if (n > most / 2)
		n = most / 2;
	if (len + n > most) {
		len = most - n;
		memcpy(text + len - strlen(cut), cut, strlen(cut));
	}
	memcpy(text + len, s, n);
	text[len + n] = '\0';
}

static void append_cause(const char *cause)
{
	char tail[ERR_TEXT_MAX];

	snprintf(tail, sizeof(tail), ": %.*s", ERR_TEXT_MAX - 3, cause);
	append(tail);
}

int err_set(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(text, fmt, ap);
	va_end(ap);
	hint[0] = '\0';
	append_cause(strerror(-code));
	return code;
}

int err_set_plain(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(text, fmt, ap);
	va_end(ap);
	hint[0] = '\0';
	return code;
}

int err_context(int code, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;

	memcpy(old, text, sizeof(old));
	va_start(ap, fmt);
	put(text, fmt, ap);
	va_end(ap);
	append_cause(old[0] != '\0' ? old : strerror(-code));
	return code;
}

int err_hint(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(hint, fmt, ap);
	va_end(ap);
	return code;
}

const char *err_text(void)
{
	return text;
}

const char *err_hint_text(void)
{
	return hint;
}

void err_clear(void)
{
	text[0] = '\0';
	hint[0] = '\0';
}

void err_keep(struct err_kept *ret)
{
	memcpy(ret->text, text, sizeof(text));
	memcpy(ret->hint, hint, sizeof(hint));
}

void err_restore(const struct err_kept *k)
{
	memcpy(text, k->text, sizeof(text));
	memcpy(hint, k->hint, sizeof(hint));
}
