/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. The destination is process wide by nature: the second of the two places with mutable state. */
#include "runtime/base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

static struct {
	int fd;
	enum log_format format;
	enum log_level level;
	bool is_stderr;
} dest = { STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, true };

static const char *const level_names[] = { "error", "warning", "info", "debug" };

int log_open(const char *path, enum log_format format, enum log_level level)
{
	if (path != NULL) {
		int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

		if (fd < 0)
			return ERR(-errno, "cannot open log \"%s\"", path);
		dest.fd = fd;
		dest.is_stderr = false;
	}
	dest.format = format;
	dest.level = level;
	return 0;
}

void log_close(void)
{
	if (!dest.is_stderr)
		fd_close(&dest.fd);
	dest.fd = STDERR_FILENO;
	dest.is_stderr = true;
}

/* A JSON string's inside; control characters and invalid bytes cannot break the line. */
static void add_escaped(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else
			buf_add(b, s, 1);
	}
}

static void add_line(struct buf *b, enum log_level level, const char *text)
{
	char stamp[RFC3339_SIZE];

	clock_rfc3339(stamp);
	if (dest.format == LOG_FORMAT_JSON) {
		buf_puts(b, "{\"level\":\"");
		buf_puts(b, level_names[level]);
		buf_puts(b, "\",\"msg\":\"");
		add_escaped(b, text);
		buf_printf(b, "\",\"time\":\"%s\"}\n", stamp);
		return;
	}
	if (dest.is_stderr)
		buf_printf(b, "nacre: %s%s", level == LOG_LEVEL_ERROR ? "" : level_names[level],
			   level == LOG_LEVEL_ERROR ? "" : ": ");
	else
		buf_printf(b, "%s %s: ", stamp, level_names[level]);
	for (const char *s = text; *s != '\0'; s++)
		buf_add(b, *s == '\n' ? " " : s, 1);
	buf_puts(b, "\n");
}

static void emit(enum log_level level, const char *text)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	add_line(&b, level, text);
	if (!b.failed)
		(void)fd_write_all(dest.fd, b.data, b.len);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (level > dest.level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(level, text);
}

void log_fatal(const char *text, const char *hint)
{
	emit(LOG_LEVEL_ERROR, text);
	if (!dest.is_stderr)
		dprintf(STDERR_FILENO, "nacre: %s\n", text);
	if (*hint != '\0' && isatty(STDERR_FILENO))
		dprintf(STDERR_FILENO, "  hint: %s\n", hint);
}
