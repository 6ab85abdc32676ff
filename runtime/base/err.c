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

/* Cut at the end of the buffer, never beyond. */
static void append(const char *s)
{
	size_t len = strlen(text), room = sizeof(text) - 1 - len, n = strlen(s);

	if (n > room)
		n = room;
	memcpy(text + len, s, n);
	text[len + n] = '\0';
}

int err_set(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(text, fmt, ap);
	va_end(ap);
	hint[0] = '\0';
	append(": ");
	append(strerror(-code));
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
	append(": ");
	append(old[0] != '\0' ? old : strerror(-code));
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
