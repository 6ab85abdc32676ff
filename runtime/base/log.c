/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. The destination is process wide by nature: the second of the two places with mutable state. */
#include "runtime/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

enum log_kind { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_JOURNAL, LOG_TO_SYSLOG };

static struct {
	int fd;
	enum log_format format;
	enum log_level level;
	enum log_kind kind;
	char id[128];	/* of a journal's entries */
} dest = { STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, LOG_TO_STDERR, "" };

static const char *const level_names[] = { "error", "warning", "info", "debug" };

/* syslog(3)'s numbers: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
static const int priorities[] = { 3, 4, 6, 7 };
#define FACILITY_DAEMON (3 << 3)

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0)
		return ERR(-errno, "cannot open log \"%s\"", path);
	dest.fd = fd;
	dest.kind = LOG_TO_FILE;
	return 0;
}

static int open_journal(enum log_kind kind, const char *socket_path, const char *id)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	/* A journal that takes nothing any more costs an entry, not the caller's time. */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (*id == '\0' || strlen(id) >= sizeof(dest.id) || strchr(id, '\n') != NULL) {
		fd_close(&fd);
		return ERR_PLAIN(-EINVAL, "option --log: \"%s\" is not a name for log entries", id);
	}
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		int r = ERR(-errno, "cannot open log at \"%s\"", socket_path);

		fd_close(&fd);
		return r;
	}
	memcpy(dest.id, id, strlen(id) + 1);
	dest.fd = fd;
	dest.kind = kind;
	return 0;
}

int log_open(const char *where, enum log_format format, enum log_level level)
{
	int r = 0;

	if (where != NULL && str_starts(where, "journald:"))
		r = open_journal(LOG_TO_JOURNAL, "/run/systemd/journal/socket", where + strlen("journald:"));
	else if (where != NULL && str_starts(where, "syslog:"))
		r = open_journal(LOG_TO_SYSLOG, "/dev/log", where + strlen("syslog:"));
	else if (where != NULL)
		r = open_file(str_starts(where, "file:") ? where + strlen("file:") : where);
	dest.format = format;
	dest.level = level;
	return r;
}

void log_close(void)
{
	if (dest.kind != LOG_TO_STDERR)
		fd_close(&dest.fd);
	dest.fd = STDERR_FILENO;
	dest.kind = LOG_TO_STDERR;
}

int log_keep(void)
{
	int fd = dest.kind == LOG_TO_STDERR ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : dest.fd;

	if (fd < 0)
		return FD_NONE;
	dest.fd = fd;
	return fd;
}

/*
 * Bytes of the UTF-8 sequence at s (RFC 3629), 0 when it is none: foreign bytes are in
 * paths and ids, and a log that is no JSON costs the reader its error.
 */
static size_t utf8_sequence(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 :
		   s[0] >= 0xf0 && s[0] <= 0xf4	? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* C0, DEL, or one of C1 (two bytes, n), which begin terminal commands as ESC does. */
static bool is_control(const unsigned char *s, size_t n)
{
	return *s < 0x20 || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

/*
 * Text of ours with names of others in it: control characters would be terminal commands to
 * a person and break the line of a log. json: a JSON string's inside.
 */
static void add_safe(struct buf *b, const char *text, bool json)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
		size_t n = utf8_sequence(s);

		if (json && (*s == '"' || *s == '\\'))
			buf_printf(b, "\\%c", *s);
		else if (!json && *s == '\n')
			buf_puts(b, " ");
		else if (is_control(s, n))
			buf_printf(b, json ? "\\u%04x" : "\\x%02x", s[n == 2 ? 1 : 0]);
		else if (n == 0)
			buf_puts(b, "\xef\xbf\xbd");	/* U+FFFD */
		else
			buf_add(b, s, n);
		s += n > 0 ? n : 1;
	}
}

static void add_line(struct buf *b, enum log_level level, const char *text)
{
	char stamp[RFC3339_SIZE];

	/* The journals' own forms: one datagram each. */
	if (dest.kind == LOG_TO_JOURNAL || dest.kind == LOG_TO_SYSLOG) {
		if (dest.kind == LOG_TO_JOURNAL)
			buf_printf(b, "SYSLOG_IDENTIFIER=%s\nPRIORITY=%d\nMESSAGE=", dest.id, priorities[level]);
		else
			buf_printf(b, "<%d>%s[%d]: ", FACILITY_DAEMON | priorities[level], dest.id, (int)getpid());
		add_safe(b, text, false);
		if (dest.kind == LOG_TO_JOURNAL)
			buf_puts(b, "\n");
		return;
	}
	clock_rfc3339(stamp);
	if (dest.format == LOG_FORMAT_JSON) {
		buf_puts(b, "{\"level\":\"");
		buf_puts(b, level_names[level]);
		buf_puts(b, "\",\"msg\":\"");
		add_safe(b, text, true);
		buf_printf(b, "\",\"time\":\"%s\"}\n", stamp);
		return;
	}
	if (dest.kind == LOG_TO_STDERR)
		buf_printf(b, "nacre: %s: ", level_names[level]);
	else
		buf_printf(b, "%s %s: ", stamp, level_names[level]);
	add_safe(b, text, false);
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
	_cleanup_buf_ struct buf b = BUF_NULL;

	emit(LOG_LEVEL_ERROR, text);
	add_safe(&b, text, false);
	if (dest.kind != LOG_TO_STDERR && !b.failed)
		dprintf(STDERR_FILENO, "nacre: error: %s\n", b.data != NULL ? b.data : "");
	if (*hint != '\0' && isatty(STDERR_FILENO))
		dprintf(STDERR_FILENO, "  hint: %s\n", hint);
}
