/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_console.h. */
#include "runtime/vm_console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

#define SEPARATOR " | "

/* Whole lines, or pieces of a long one. What is not printable the log makes so. */
static void add_to_log(struct vm_console *c, char ch)
{
	if (ch != '\n' && ch != '\r' && ch != '\0')
		c->line[c->line_len++] = ch;
	if (c->line_len > 0 && (ch == '\n' || c->line_len == sizeof(c->line) - 1)) {
		c->line[c->line_len] = '\0';
		log_debug("guest: %s", c->line);
		c->line_len = 0;
	}
}

void vm_console_add(struct vm_console *c, const char *text, size_t len)
{
	for (size_t i = 0; c->to_log && i < len; i++)
		add_to_log(c, text[i]);
	if (c->copy >= 0 && write(c->copy, text, len) < 0 && errno != EAGAIN && errno != EINTR)
		fd_close(&c->copy);
	for (size_t i = 0; i < len; i++) {
		c->kept[(c->at + c->len) % VM_CONSOLE_KEPT] = text[i];
		if (c->len < VM_CONSOLE_KEPT)
			c->len++;
		else
			c->at = (c->at + 1) % VM_CONSOLE_KEPT;
	}
}

static char at(const struct vm_console *c, size_t i)
{
	return c->kept[(c->at + i) % VM_CONSOLE_KEPT];
}

/* Where the kernel says that it gives up; what follows is registers. c->len: it does not. */
static size_t find_panic(const struct vm_console *c)
{
	static const char word[] = "Kernel panic - not syncing";
	size_t n = sizeof(word) - 1;

	for (size_t i = 0; i + n <= c->len; i++) {
		size_t k = 0;

		while (k < n && at(c, i + k) == word[k])
			k++;
		if (k == n)
			return i;
	}
	return c->len;
}

static void ready(void *data, uint32_t events)
{
	struct vm_console *c = data;
	char bytes[4096];
	ssize_t n = read(c->from, bytes, sizeof(bytes));

	(void)events;
	if (n > 0) {
		vm_console_add(c, bytes, (size_t)n);
		c->panicked = c->panicked || find_panic(c) < c->len;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		event_loop_remove(c->loop, &c->source);
		fd_close(&c->from);
	}
}

int vm_console_init(struct vm_console *c, struct event_loop *loop, int copy, int *ret_to)
{
	int pair[2], r;

	c->from = FD_NONE;
	c->copy = copy;
	c->loop = loop;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return ERR(-errno, "cannot make a pipe for the guest's console");
	c->from = pair[0];
	*ret_to = pair[1];
	if (fcntl(c->from, F_SETFL, O_NONBLOCK) < 0)
		return ERR(-errno, "cannot prepare the guest's console");
	c->source = (struct event_source){ .fd = c->from, .events = EPOLLIN, .ready = ready, .data = c };
	r = event_loop_add(loop, &c->source);
	return r < 0 ? ERR(r, "cannot watch the guest's console") : 0;
}

void vm_console_deinit(struct vm_console *c)
{
	if (c->from >= 0)
		event_loop_remove(c->loop, &c->source);
	fd_close(&c->from);
	fd_close(&c->copy);
}

void vm_console_drain(struct vm_console *c)
{
	char bytes[4096];
	ssize_t n;

	/* Bounded: who writes may still be there. */
	for (size_t all = 0; c->from >= 0 && all < 4 * VM_CONSOLE_KEPT; all += (size_t)n) {
		n = read(c->from, bytes, sizeof(bytes));
		if (n <= 0)
			return;
		vm_console_add(c, bytes, (size_t)n);
	}
}

/* Where the last line ends. */
static size_t find_end(const struct vm_console *c)
{
	size_t end = c->len;

	while (end > 0 && (at(c, end - 1) == '\n' || at(c, end - 1) == '\r'))
		end--;
	return end;
}

/* As far before the end as max bytes reach, from a line's beginning, unless the last line alone is longer. */
static size_t find_start(const struct vm_console *c, size_t end, size_t max)
{
	size_t start = end, n = 0;

	while (start > 0) {
		n += at(c, start - 1) == '\n' ? strlen(SEPARATOR) : 1;
		if (n > max)
			break;
		start--;
	}
	for (size_t i = start; start > 0 && i < end; i++)
		if (at(c, i) == '\n')
			return i + 1;
	return start;
}

/* ch is a new line's, or shown. */
static size_t put(char *ret, size_t n, char ch)
{
	if (ch == '\n' && n > 0) {
		memcpy(ret + n, SEPARATOR, strlen(SEPARATOR));
		return n + strlen(SEPARATOR);
	}
	if (ch == '\r' || ch == '\n')
		return n;
	ret[n] = ch >= ' ' && ch <= '~' ? ch : '?';
	return n + 1;
}

void vm_console_tail(const struct vm_console *c, char *ret, size_t max)
{
	size_t panic = find_panic(c), end = find_end(c), n = 0;
	bool panicked = panic < c->len;
	size_t i = panicked ? panic : find_start(c, end, max - 1 - strlen(SEPARATOR));

	for (; i < end && n + strlen(SEPARATOR) < max; i++) {
		if (panicked && at(c, i) == '\n')
			break;
		n = put(ret, n, at(c, i));
	}
	ret[n] = '\0';
}
