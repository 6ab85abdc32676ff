/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's end of the channel: what the guest sends is answered here, and not believed. The codec has
 * checked each frame's form; whether it is expected now is decided here: a reply nobody waits for, a session that is not
 * there, an end before the beginning. What could be a late word of something that ended is passed over, everything else ends
 * the microVM.
 */
#include "runtime/vm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/vm_describe.h"

#define READ_SIZE 65536

/* Serials of the supervisor's own requests. */
enum { SERIAL_CONFIGURE = 1, SERIAL_CREATE, SERIAL_FIRST = 16 };

uint32_t vm_guest_serial(struct vm_supervisor *vm)
{
	if (vm->next_serial < SERIAL_FIRST)
		vm->next_serial = SERIAL_FIRST;
	return vm->next_serial++;
}

int vm_guest_send(struct vm_supervisor *vm, enum channel_type type, uint32_t session, uint32_t serial, const void *data,
		  size_t size)
{
	const struct channel_frame f = { .type = (uint16_t)type, .session = session, .serial = serial, .data = data, .size = size };

	return channel_send(&vm->channel, &f);
}

/* ---- frames ---- */

static int unexpected(void)
{
	return ERR_PLAIN(-EPROTO, "the guest answers what it was not asked");
}

static int guest_hello(struct vm_supervisor *vm, const struct channel_frame *f)
{
	_cleanup_free_ char *description = NULL;
	struct channel_hello hello;
	size_t len = 0;
	int r = channel_get_hello(f, &hello);

	if (r == 0 && vm->stage != VM_STAGE_BOOT)
		r = ERR_PLAIN(-EPROTO, "the guest greets twice");
	if (r == 0)
		r = vm_describe(vm->start, &vm->network.config, &description, &len);
	if (r < 0)
		return r;
	vm_stage(vm, VM_STAGE_CONFIGURE);
	return vm_guest_send(vm, CHANNEL_CONFIGURE, VM_SESSION_MACHINE, SERIAL_CONFIGURE, description, len);
}

static int guest_configured(struct vm_supervisor *vm)
{
	if (vm->stage != VM_STAGE_CONFIGURE)
		return unexpected();
	vm_stage(vm, VM_STAGE_CREATE);
	return vm_guest_send(vm, CHANNEL_CREATE, VM_SESSION_INIT, SERIAL_CREATE, vm->start->config, vm->start->config_len);
}

static int guest_created(struct vm_supervisor *vm)
{
	if (vm->stage != VM_STAGE_CREATE)
		return unexpected();
	vm_stage(vm, VM_STAGE_CREATED);
	/* Until now the guest had no terminal that could have taken it. */
	vm_forward_size(vm);
	/* Who may enter the file server's mount namespace is the runtime, not we any more. */
	if (sync_send(vm->sync, SYNC_READY) < 0 ||
	    (vm->start->seal_rootfs && fd_send(vm->sync, vm->file_server.pidfd, "files") < 0))
		return ERR_PLAIN(-EPIPE, "the runtime is gone");
	return 0;
}

static int guest_reply(struct vm_supervisor *vm, const struct channel_frame *f)
{
	struct channel_frame answer;
	int code, r = channel_get_reply(f, &code, &answer);

	if (r < 0)
		return r;
	if (f->serial == SERIAL_CONFIGURE || f->serial == SERIAL_CREATE) {
		vm->refused = code < 0;
		if (code < 0)
			return ERR_PLAIN(code, "%.*s", (int)answer.size, (const char *)answer.data);
		return f->serial == SERIAL_CONFIGURE ? guest_configured(vm) : guest_created(vm);
	}
	/* Who has asked may be gone. */
	(void)vm_server_reply(vm, f->serial, code, &answer);
	return 0;
}

static struct vm_session *session_of(struct vm_supervisor *vm, uint32_t id)
{
	return id == VM_SESSION_INIT ? &vm->init : vm_server_session(vm, id);
}

static int guest_data(struct vm_supervisor *vm, const struct channel_frame *f)
{
	struct vm_session *s = session_of(vm, f->session);

	if (f->stream == CHANNEL_STDIN)
		return ERR_PLAIN(-EPROTO, "the guest sends to a stream that is not its to send");
	/* Of a session that was given up: late, and nobody's. */
	return s == NULL ? 0 : vm_session_data(s, f->stream == CHANNEL_STDOUT ? VM_STDOUT : VM_STDERR, f->data, f->size);
}

static void guest_close(struct vm_supervisor *vm, const struct channel_frame *f)
{
	struct vm_session *s = session_of(vm, f->session);

	if (s == NULL)
		return;
	if (f->stream == CHANNEL_STDIN)
		vm_session_input_unread(s);
	else
		vm_session_close_output(s, f->stream == CHANNEL_STDOUT ? VM_STDOUT : VM_STDERR);
}

static void keep_oom(struct vm_supervisor *vm, const struct channel_oom *oom)
{
	unsigned char bytes[CHANNEL_OOM_SIZE];

	channel_put_oom(bytes, oom);
	if (vm->start->oom_file >= 0)
		(void)!pwrite(vm->start->oom_file, bytes, sizeof(bytes), 0);
}

static int guest_exited(struct vm_supervisor *vm, const struct channel_frame *f)
{
	struct channel_exited e;
	int r = channel_get_exited(f, &e);

	if (r < 0)
		return r;
	if (f->session != VM_SESSION_INIT) {
		vm_server_exited(vm, f->session, e.status);
		return 0;
	}
	if (vm->stage < VM_STAGE_CREATED || vm->init_exited)
		return ERR_PLAIN(-EPROTO, "the guest tells of an end before the beginning");
	vm->init_exited = true;
	vm->init_status = e.status;
	vm_stage(vm, VM_STAGE_ENDED);
	return 0;
}

static int guest_oom(struct vm_supervisor *vm, const struct channel_frame *f)
{
	struct channel_oom oom;
	int r = channel_get_oom(f, &oom);

	if (r < 0)
		return r;
	keep_oom(vm, &oom);
	vm_server_oom(vm, &oom);
	return 0;
}

static int guest_frame(struct vm_supervisor *vm, const struct channel_frame *f)
{
	switch (f->type) {
	case CHANNEL_HELLO:
		return guest_hello(vm, f);
	case CHANNEL_REPLY:
		return guest_reply(vm, f);
	case CHANNEL_DATA:
		return guest_data(vm, f);
	case CHANNEL_CLOSE:
		guest_close(vm, f);
		return 0;
	case CHANNEL_EXITED:
		return guest_exited(vm, f);
	case CHANNEL_OOM_EVENT:
		return guest_oom(vm, f);
	case CHANNEL_LOG:
		vm_console_add(&vm->console, (const char *)f->data, f->size);
		vm_console_add(&vm->console, "\n", 1);
		return 0;
	default:
		return 0;	/* CREDIT: whoever waits for it looks after each round */
	}
}

/* ---- bytes ---- */

/* 1: something came; 0: nothing now, or the end. */
static int read_some(struct vm_supervisor *vm)
{
	struct channel_frame f;
	unsigned char *at;
	size_t room;
	ssize_t n;
	int r = channel_in(&vm->channel, &at, &room);

	if (r < 0)
		return r;
	n = read(vm->channel_fd, at, room);
	/* The end is told by the monitor's, which says how. */
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			vm_guest_close(vm);
		return 0;
	}
	channel_received(&vm->channel, (size_t)n);
	while ((r = channel_next(&vm->channel, &f)) > 0) {
		r = guest_frame(vm, &f);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 1;
}

static void channel_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;

	if ((events & EPOLLOUT) != 0)
		vm_guest_flush(vm);
	if ((events & ~(uint32_t)EPOLLOUT) != 0 && vm->channel_fd >= 0) {
		int r = read_some(vm);

		if (r < 0)
			vm_fail(vm, r);
	}
}

void vm_guest_drain(struct vm_supervisor *vm)
{
	int r = 1;

	while (r > 0 && vm->channel_fd >= 0)
		r = read_some(vm);
	if (r < 0)
		vm_fail(vm, r);
}

void vm_guest_flush(struct vm_supervisor *vm)
{
	uint32_t want = EPOLLIN;

	while (vm->channel_fd >= 0) {
		size_t size;
		const unsigned char *out = channel_out(&vm->channel, &size);
		ssize_t n;

		if (out == NULL)
			break;
		n = send(vm->channel_fd, out, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			want |= errno == EAGAIN ? (uint32_t)EPOLLOUT : 0;
			break;
		}
		channel_sent(&vm->channel, (size_t)n);
	}
	if (vm->channel_fd >= 0 && want != vm->channel_source.events)
		(void)event_loop_modify(&vm->loop, &vm->channel_source, want);
}

int vm_guest_open(struct vm_supervisor *vm, int fd)
{
	int r;

	vm->channel_fd = fd;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return ERR(-errno, "cannot prepare the channel to the guest");
	vm->channel_source = (struct event_source){ .fd = fd, .events = EPOLLIN, .ready = channel_ready, .data = vm };
	r = event_loop_add(&vm->loop, &vm->channel_source);
	return r < 0 ? ERR(r, "cannot watch the channel to the guest") : 0;
}

void vm_guest_close(struct vm_supervisor *vm)
{
	if (vm->channel_fd >= 0)
		event_loop_remove(&vm->loop, &vm->channel_source);
	fd_close(&vm->channel_fd);
}
