/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "microvm/guest/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sync.h"

#define SESSION_FAR_NULL { { FD_NONE, FD_NONE, FD_NONE }, FD_NONE }

void session_far_close(struct session_far *far)
{
	for (int i = 0; i < 3; i++)
		fd_close(&far->stdio[i]);
	fd_close(&far->console);
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? ERR(-errno, "cannot set up a stream in the guest") : 0;
}

static int make_streams(struct session *s, struct session_far *far)
{
	for (int i = 0; i < 3; i++) {
		int pair[2], ours = i == CHANNEL_STDIN ? 1 : 0;

		if (pipe2(pair, O_CLOEXEC) < 0)
			return ERR(-errno, "cannot make a pipe in the guest");
		s->fd[i] = pair[ours];
		far->stdio[i] = pair[1 - ours];
		if (set_nonblocking(s->fd[i]) < 0)
			return -EIO;
	}
	return 0;
}

static int make_console(struct session *s, struct session_far *far)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR(-errno, "cannot make a socket in the guest");
	s->console = pair[0];
	far->console = pair[1];
	return set_nonblocking(s->console);
}

struct session *session_new(uint32_t number, struct session_far *far, int *ret_r)
{
	struct session *s = calloc(1, sizeof(*s));

	*far = (struct session_far)SESSION_FAR_NULL;
	if (s == NULL) {
		*ret_r = ERR_NOMEM();
		return NULL;
	}
	s->number = number;
	s->console = s->slave = FD_NONE;
	for (int i = 0; i < CHANNEL_STREAMS; i++)
		s->fd[i] = FD_NONE;
	*ret_r = make_streams(s, far);
	if (*ret_r == 0)
		*ret_r = make_console(s, far);
	if (*ret_r == 0)
		return s;
	session_far_close(far);
	session_free(s);
	return NULL;
}

void session_free(struct session *s)
{
	for (int i = 0; i < CHANNEL_STREAMS; i++)
		fd_close(&s->fd[i]);
	fd_close(&s->console);
	fd_close(&s->slave);
	buf_deinit(&s->input);
	free(s);
}

int session_take_terminal(struct session *s)
{
	_cleanup_close_ int master = FD_NONE;
	int r = fd_receive(s->console, &master);

	fd_close(&s->console);
	/* -EAGAIN, -EPIPE: nothing was sent. */
	if (r == -EAGAIN || r == -EPIPE)
		return 0;
	if (r < 0)
		return ERR(r, "cannot take the terminal in the guest");
	r = set_nonblocking(master);
	if (r < 0)
		return r;
	for (int i = 0; i < CHANNEL_STREAMS; i++)
		fd_close(&s->fd[i]);
	s->fd[CHANNEL_STDIN] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (s->fd[CHANNEL_STDIN] < 0)
		return ERR(-errno, "cannot take the terminal in the guest");
	/* Without it the first close of the terminal inside would be its end; no more is lost when it cannot be had. */
	s->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	s->fd[CHANNEL_STDOUT] = take_fd(&master);
	s->terminal = true;
	return 0;
}

void session_resize(const struct session *s, const struct channel_resize *size)
{
	const struct winsize w = { .ws_row = size->rows, .ws_col = size->columns };

	if (s->terminal && s->fd[CHANNEL_STDOUT] >= 0)
		(void)ioctl(s->fd[CHANNEL_STDOUT], TIOCSWINSZ, &w);
}

/* ---- to the process ---- */

static int no_more_input(struct session *s, struct channel *c)
{
	fd_close(&s->fd[CHANNEL_STDIN]);
	if (!s->freed)
		channel_delivered(c, s->number, CHANNEL_STDIN, s->input.len - s->input_done);
	buf_deinit(&s->input);
	s->input = (struct buf)BUF_NULL;
	s->input_done = 0;
	return s->freed || s->told ? 0 : channel_send_close(c, s->number, CHANNEL_STDIN);
}

static int write_input(struct session *s, struct channel *c)
{
	while (s->fd[CHANNEL_STDIN] >= 0 && s->input_done < s->input.len) {
		ssize_t n = write(s->fd[CHANNEL_STDIN], s->input.data + s->input_done, s->input.len - s->input_done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return no_more_input(s, c);	/* nobody reads it */
		s->input_done += (size_t)n;
		channel_delivered(c, s->number, CHANNEL_STDIN, (size_t)n);
	}
	if (s->input_done == s->input.len)
		s->input_done = s->input.len = 0;
	/* A terminal has no end that could be told so. */
	if (s->input_ended && s->input.len == 0 && !s->terminal)
		fd_close(&s->fd[CHANNEL_STDIN]);
	return 0;
}

/*
 * The bytes that were written already, once they are as many as the others. A process that is slower than its input never takes
 * all of it, and without this the guest's memory would in the end hold everything that it was ever given.
 */
static void drop_written(struct session *s)
{
	size_t rest = s->input.len - s->input_done;

	if (s->input_done == 0 || s->input_done < rest)
		return;
	memmove(s->input.data, s->input.data + s->input_done, rest);
	s->input.len = rest;
	s->input_done = 0;
}

int session_input(struct session *s, struct channel *c, const void *data, size_t size)
{
	if (s->fd[CHANNEL_STDIN] < 0) {
		channel_delivered(c, s->number, CHANNEL_STDIN, size);
		return 0;
	}
	drop_written(s);
	buf_add(&s->input, data, size);
	return s->input.failed ? ERR_NOMEM() : 0;
}

void session_input_end(struct session *s)
{
	s->input_ended = true;
}

/* ---- from the process ---- */

static int close_output(struct session *s, struct channel *c, enum channel_stream k)
{
	fd_close(&s->fd[k]);
	/* Without its master a terminal hangs up. */
	if (s->terminal) {
		fd_close(&s->fd[CHANNEL_STDIN]);
		fd_close(&s->slave);
	}
	return s->told || s->freed ? 0 : channel_send_close(c, s->number, k);
}

/* What others write after the end is read all the same: they must not stand still, or be killed, because of it. */
static bool is_dropped(const struct session *s)
{
	return s->told || s->freed;
}

/* *ret_more: it is not known to have nothing left. */
static int read_output(struct session *s, struct channel *c, enum channel_stream k, bool *ret_more)
{
	unsigned char bytes[CHANNEL_DATA_MAX];
	bool dropped = is_dropped(s);
	size_t room = dropped ? sizeof(bytes) : channel_room(c, s->number, k);
	ssize_t n;

	*ret_more = false;
	if (s->fd[k] < 0)
		return 0;
	if (!dropped && channel_unread(c, s->number, k))
		return close_output(s, c, k);
	*ret_more = true;
	if (room == 0)
		return 0;
	n = read(s->fd[k], bytes, room);
	if (n > 0)
		return dropped ? 0 : channel_send_data(c, s->number, k, bytes, (size_t)n);
	if (n < 0 && errno == EINTR)
		return 0;
	*ret_more = false;
	/* EIO: the last one has closed the terminal. */
	return n < 0 && errno == EAGAIN ? 0 : close_output(s, c, k);
}

/*
 * After the process' end, all that it has left, as far as the host takes it: a terminal that is held open here has no other end, and
 * nothing wakes us once it is empty.
 */
static int read_outputs(struct session *s, struct channel *c, enum channel_stream k, bool *ret_more)
{
	int r;

	do
		r = read_output(s, c, k, ret_more);
	while (r == 0 && *ret_more && s->ended && !is_dropped(s) && channel_room(c, s->number, k) > 0);
	return r;
}

int session_relay(struct session *s, struct channel *c)
{
	bool more_out = false, more_err = false;
	int r = s->pid > 0 ? write_input(s, c) : 0;

	if (is_dropped(s))
		fd_close(&s->slave);
	if (r == 0)
		r = read_outputs(s, c, CHANNEL_STDOUT, &more_out);
	if (r == 0)
		r = read_outputs(s, c, CHANNEL_STDERR, &more_err);
	/* What others, left behind in the background, may yet write is not this process'. */
	s->quiet = s->ended && !more_out && !more_err;
	return r;
}

size_t session_wait(const struct session *s, const struct channel *c, struct pollfd *at)
{
	size_t n = 0;

	if (s->fd[CHANNEL_STDIN] >= 0 && s->pid > 0 && s->input_done < s->input.len)
		at[n++] = (struct pollfd){ .fd = s->fd[CHANNEL_STDIN], .events = POLLOUT };
	for (unsigned int k = CHANNEL_STDOUT; k < CHANNEL_STREAMS; k++)
		if (s->fd[k] >= 0 && (is_dropped(s) || channel_room(c, s->number, (enum channel_stream)k) > 0))
			at[n++] = (struct pollfd){ .fd = s->fd[k], .events = POLLIN };
	return n;
}

bool session_stuck(const struct session *s, const struct channel *c)
{
	for (unsigned int k = CHANNEL_STDOUT; k < CHANNEL_STREAMS; k++)
		if (s->fd[k] >= 0 && channel_room(c, s->number, (enum channel_stream)k) == 0)
			return true;
	return false;
}
