/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_session.h. */
#include "runtime/vm_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

#define READ_SIZE 16384

static void watch(struct vm_session *s, struct event_source *source, bool *watched, bool want)
{
	if (want == *watched)
		return;
	if (want)
		*watched = event_loop_add(s->loop, source) == 0;
	else
		event_loop_remove(s->loop, source);
	*watched = want && *watched;
}

/* ---- from here to the guest ---- */

static void close_input(struct vm_session *s)
{
	watch(s, &s->in_source, &s->in_watched, false);
	if (s->in < 0)
		return;
	fd_close(&s->in);
	(void)channel_send_close(s->channel, s->id, CHANNEL_STDIN);
}

void vm_session_input_unread(struct vm_session *s)
{
	watch(s, &s->in_source, &s->in_watched, false);
	fd_close(&s->in);
}

void vm_session_open_input(struct vm_session *s)
{
	if (s->in < 0)
		(void)channel_send_close(s->channel, s->id, CHANNEL_STDIN);
	vm_session_update(s);
}

/* ---- from the guest to here ---- */

static enum channel_stream stream_of(enum vm_output o)
{
	return o == VM_STDOUT ? CHANNEL_STDOUT : CHANNEL_STDERR;
}

static void credit(struct vm_session *s, const struct vm_out *o, size_t n)
{
	if (n > 0)
		channel_delivered(s->channel, s->id, stream_of((enum vm_output)(o - s->out)), n);
}

/* Whoever read it is gone. The process in the guest gets SIGPIPE or EPIPE, as it would here. */
static void nobody_reads(struct vm_session *s, struct vm_out *o)
{
	size_t rest = o->len;

	watch(s, &o->source, &o->watched, false);
	fd_close(&o->fd);
	o->len = 0;
	credit(s, o, rest);
	(void)channel_send_close(s->channel, s->id, stream_of((enum vm_output)(o - s->out)));
}

static ssize_t write_some(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

static void output_ready(void *data, uint32_t events)
{
	struct vm_out *o = data;
	struct vm_session *s = o->session;
	size_t piece = CHANNEL_WINDOW - o->at;
	ssize_t n;

	(void)events;
	if (piece > o->len)
		piece = o->len;
	n = piece > 0 ? write_some(o->fd, o->data + o->at, piece) : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		nobody_reads(s, o);
		return;
	}
	if (n > 0) {
		o->at = (o->at + (size_t)n) % CHANNEL_WINDOW;
		o->len -= (size_t)n;
		credit(s, o, (size_t)n);
	}
	vm_session_update(s);
}

int vm_session_data(struct vm_session *s, enum vm_output stream, const uint8_t *data, size_t len)
{
	struct vm_out *o = &s->out[stream];
	size_t end, first;

	if (o->ended || len > CHANNEL_WINDOW - o->len)
		return ERR_PLAIN(-EPROTO, "the guest sends more output than it may");
	if (o->fd < 0) {
		credit(s, o, len);
		return 0;
	}
	if (o->data == NULL) {
		o->data = malloc(CHANNEL_WINDOW);
		if (o->data == NULL)
			return ERR_NOMEM();
	}
	end = (o->at + o->len) % CHANNEL_WINDOW;
	first = len < CHANNEL_WINDOW - end ? len : CHANNEL_WINDOW - end;
	memcpy(o->data + end, data, first);
	memcpy(o->data, data + first, len - first);
	o->len += len;
	return 0;
}

void vm_session_close_output(struct vm_session *s, enum vm_output stream)
{
	s->out[stream].ended = true;
	vm_session_update(s);
}

static void input_ended(struct vm_session *s)
{
	close_input(s);
	/* Of a terminal that is raw this means a hang-up. Without its reader the one in the guest hangs up as well. */
	if (s->terminal && s->out[VM_STDOUT].fd >= 0)
		nobody_reads(s, &s->out[VM_STDOUT]);
}

static void input_ready(void *data, uint32_t events)
{
	struct vm_session *s = data;
	uint8_t bytes[READ_SIZE];
	size_t room = channel_room(s->channel, s->id, CHANNEL_STDIN);
	ssize_t n;

	(void)events;
	if (room > sizeof(bytes))
		room = sizeof(bytes);
	if (room == 0) {
		vm_session_update(s);
		return;
	}
	n = read(s->in, bytes, room);
	if (n > 0)
		(void)channel_send_data(s->channel, s->id, CHANNEL_STDIN, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		input_ended(s);
	vm_session_update(s);
}

/* ---- both ---- */

void vm_session_update(struct vm_session *s)
{
	watch(s, &s->in_source, &s->in_watched, s->in >= 0 && channel_room(s->channel, s->id, CHANNEL_STDIN) > 0);
	for (int i = 0; i < VM_OUTPUTS; i++) {
		struct vm_out *o = &s->out[i];

		watch(s, &o->source, &o->watched, o->fd >= 0 && o->len > 0);
		/* Its reader sees the end when the process has closed it, not only when the container ends. */
		if (o->ended && o->len == 0)
			fd_close(&o->fd);
	}
}

bool vm_session_drained(const struct vm_session *s)
{
	return (s->out[VM_STDOUT].fd < 0 || s->out[VM_STDOUT].len == 0) && (s->out[VM_STDERR].fd < 0 || s->out[VM_STDERR].len == 0);
}

void vm_session_init(struct vm_session *s, uint32_t id, struct channel *channel, struct event_loop *loop,
		     const struct vm_session_fds *fds)
{
	const int out[VM_OUTPUTS] = { fds->out, fds->err };

	*s = (struct vm_session){ .id = id, .channel = channel, .loop = loop, .in = fds->in, .terminal = fds->terminal };
	s->in_source = (struct event_source){ .fd = fds->in, .events = EPOLLIN, .ready = input_ready, .data = s };
	for (int i = 0; i < VM_OUTPUTS; i++) {
		s->out[i].fd = out[i];
		s->out[i].session = s;
		s->out[i].source = (struct event_source){ .fd = out[i], .events = EPOLLOUT, .ready = output_ready,
							  .data = &s->out[i] };
	}
}

void vm_session_deinit(struct vm_session *s)
{
	watch(s, &s->in_source, &s->in_watched, false);
	fd_close(&s->in);
	for (int i = 0; i < VM_OUTPUTS; i++) {
		watch(s, &s->out[i].source, &s->out[i].watched, false);
		fd_close(&s->out[i].fd);
		free(s->out[i].data);
		s->out[i].data = NULL;
	}
}

void vm_session_reopen(int *fd, int access_mode)
{
	char path[32];
	struct stat st;
	int own;

	if (*fd < 0 || fstat(*fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	own = open(path, access_mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return;
	close(*fd);
	*fd = own;
}
