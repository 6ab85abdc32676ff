/* SPDX-License-Identifier: Apache-2.0 */
/* See compare_child.h. */
#include "runtime/compare_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespaces/net_veth.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"

#define TIMEOUT UINT64_C(300000000000)
#define LINE_MAX_BYTES 4096U

extern char **environ;

static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int out, int err)
{
	sigset_t none, all;
	int r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

	sigemptyset(&none);
	sigfillset(&all);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, err, 2);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (r == 0)
		r = posix_spawnattr_setpgroup(attributes, 0);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	return -r;
}

static int spawn(struct compare_child *c, const char *const *argv, int out, int err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int r;

	if (posix_spawn_file_actions_init(&files) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	r = prepare(&files, &attributes, out, err);
	c->started = clock_now_ns();
	/* posix_spawn's prototype wants char *const; it writes to neither. */
	if (r == 0)
		r = -posix_spawn(&c->pid, argv[0], &files, &attributes, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

/* It inherits the namespace that we are in. */
static int spawn_in(struct compare_child *c, const char *const *argv, int out, int err)
{
	int home, back, r;

	if (c->netns < 0)
		return spawn(c, argv, out, err);
	r = net_ns_enter(c->netns, &home);
	if (r < 0)
		return r;
	r = spawn(c, argv, out, err);
	back = net_ns_leave(&home);
	return back < 0 ? back : r;
}

int compare_child_start(struct compare_child *c, const char *const *argv)
{
	int out[2] = { FD_NONE, FD_NONE }, err[2] = { FD_NONE, FD_NONE };
	int r = 0;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0)
		r = spawn_in(c, argv, out[1], err[1]);
	if (r < 0)
		c->pid = 0;
	c->out = take_fd(&out[0]);
	c->err = take_fd(&err[0]);
	fd_close(&out[1]);
	fd_close(&err[1]);
	if (r == 0) {
		c->pidfd = pidfd_open(c->pid, 0);
		r = c->pidfd < 0 ? -errno : 0;
	}
	return r < 0 ? ERR(r, "cannot start %s", c->what) : 0;
}

/* ---- listening ---- */

static int take_line(struct compare_child *c, uint64_t at)
{
	int r = 0;

	c->lines++;
	if (c->on_line != NULL)
		r = c->on_line(c->data, c->line.data != NULL ? c->line.data : "", at);
	buf_deinit(&c->line);
	c->line = (struct buf)BUF_NULL;
	return r;
}

static int read_out(struct compare_child *c)
{
	char bytes[LINE_MAX_BYTES];
	ssize_t n = read(c->out, bytes, sizeof(bytes));
	uint64_t now = clock_now_ns();
	int r = 0;

	if (n <= 0) {
		fd_close(&c->out);
		return 0;
	}
	if (c->first_byte == 0)
		c->first_byte = now;
	for (ssize_t i = 0; r == 0 && i < n; i++) {
		if (bytes[i] == '\n')
			r = take_line(c, now);
		else if (bytes[i] == '\0' || c->line.len >= LINE_MAX_BYTES)
			r = ERR_PLAIN(-EPROTO, "%s printed what is no line of text", c->what);
		else
			buf_add(&c->line, &bytes[i], 1);
	}
	return r;
}

/* The end of it is what counts. */
static void read_err(struct compare_child *c)
{
	char bytes[sizeof(c->said) - 1];
	ssize_t n = read(c->err, bytes, sizeof(bytes));
	size_t keep;

	if (n <= 0) {
		fd_close(&c->err);
		return;
	}
	keep = sizeof(c->said) - 1 - (size_t)n < c->n_said ? sizeof(c->said) - 1 - (size_t)n : c->n_said;
	memmove(c->said, c->said + c->n_said - keep, keep);
	memcpy(c->said + keep, bytes, (size_t)n);
	c->n_said = keep + (size_t)n;
	c->said[c->n_said] = '\0';
}

static void reap(struct compare_child *c)
{
	c->ended = clock_now_ns();
	c->has_ended = true;
	c->pid = 0;
	(void)proc_wait(c->pidfd, -1, &c->status);
	fd_close(&c->pidfd);
}

static bool done(const struct compare_child *c, enum compare_until until)
{
	if (until == COMPARE_LINE)
		return c->lines > 0 || c->out < 0;
	return c->has_ended && (until == COMPARE_ENDED || (c->out < 0 && c->err < 0));
}

/* The last line that it said, without "nacre: error: ". */
static int failed(struct compare_child *c)
{
	char *end = c->said + strlen(c->said), *line;

	while (end > c->said && end[-1] == '\n')
		*--end = '\0';
	line = strrchr(c->said, '\n');
	line = line != NULL ? line + 1 : c->said;
	if (str_starts(line, "nacre: error: "))
		line += strlen("nacre: error: ");
	return ERR_PLAIN(-EIO, "%s: %s", c->what, *line != '\0' ? line : "failed, and did not say why");
}

static int look(struct compare_child *c, int signals, uint64_t deadline)
{
	struct pollfd p[] = {
		{ .fd = c->out, .events = POLLIN },
		{ .fd = c->err, .events = POLLIN },
		{ .fd = c->pidfd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	uint64_t now = clock_now_ns();
	int n, r = 0;

	if (now >= deadline)
		return ERR_PLAIN(-ETIMEDOUT, "%s does not come to an end", c->what);
	n = poll(p, ARRAY_SIZE(p), (int)((deadline - now) / 1000000 + 1));
	if (n < 0 && errno != EINTR)
		return ERR(-errno, "cannot wait for %s", c->what);
	if (n <= 0)
		return 0;
	if (p[3].revents != 0)
		return ERR_PLAIN(-EINTR, "interrupted");
	if (p[2].revents != 0)
		reap(c);
	if (p[1].revents != 0)
		read_err(c);
	if (p[0].revents != 0)
		r = read_out(c);
	return r;
}

int compare_child_wait(struct compare_child *c, int signals, enum compare_until until)
{
	uint64_t deadline = clock_now_ns() + TIMEOUT;
	int r = 0;

	while (r == 0 && !done(c, until))
		r = look(c, signals, deadline);
	/* What it said on its way out is in the pipe by now. */
	if (r == 0 && c->has_ended && c->status != 0) {
		struct pollfd p = { .fd = c->err, .events = POLLIN };

		while (c->err >= 0 && poll(&p, 1, 0) > 0) {
			read_err(c);
			p.fd = c->err;
		}
		return failed(c);
	}
	return r;
}

void compare_child_end(struct compare_child *c)
{
	if (c->pid > 0 && c->pidfd >= 0) {
		(void)proc_send_signal(c->pidfd, SIGKILL);
		reap(c);
	}
	fd_close(&c->out);
	fd_close(&c->err);
	fd_close(&c->pidfd);
	buf_deinit(&c->line);
	c->line = (struct buf)BUF_NULL;
}
