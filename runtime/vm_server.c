/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's socket: the commands that act on a running microVM. See vm_control.h. */
#include "runtime/vm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/le.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/vm_size.h"

static void send_reply(struct vm_connection *c, int err, const void *text, size_t len)
{
	struct vm_message m = { .type = VM_REPLY, .err = err, .len = (uint32_t)len };

	if (len > VM_TEXT_MAX) {
		static const char too_long[] = "the guest's answer is too long";

		m.err = -EMSGSIZE;
		m.len = sizeof(too_long) - 1;
		text = too_long;
	}
	/* It may be gone; then there is nobody to tell. */
	(void)vm_message_send(c->fd, &m, text, NULL, 0, MSG_DONTWAIT);
}

static void refuse(struct vm_connection *c, int err)
{
	send_reply(c, err, err_text(), strlen(err_text()));
	err_clear();
}

/* ---- sessions ---- */

static void free_session(struct vm_connection *c)
{
	if (c->session == NULL)
		return;
	vm_session_deinit(c->session);
	(void)vm_guest_send(c->vm, CHANNEL_FREE, c->session->id, 0, NULL, 0);
	free(c->session);
	c->session = NULL;
}

static void hang_up(struct vm_connection *c)
{
	struct vm_supervisor *vm = c->vm;

	event_loop_remove(&vm->loop, &c->source);
	fd_close(&c->fd);
	/* Whoever waited for it was killed: that ends the process, since nobody could any more. */
	free_session(c);
	*c = (struct vm_connection){ .vm = vm, .fd = FD_NONE };
	vm_guest_flush(vm);
}

struct vm_session *vm_server_session(struct vm_supervisor *vm, uint32_t id)
{
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++)
		if (vm->connections[i].session != NULL && vm->connections[i].session->id == id)
			return vm->connections[i].session;
	return NULL;
}

void vm_server_exited(struct vm_supervisor *vm, uint32_t session, int status)
{
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++) {
		struct vm_connection *c = &vm->connections[i];

		if (c->session != NULL && c->session->id == session) {
			c->exited = true;
			c->status = status;
		}
	}
}

void vm_server_update(struct vm_supervisor *vm)
{
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++) {
		struct vm_connection *c = &vm->connections[i];
		struct vm_message m = { .type = VM_EXITED };

		if (c->session == NULL)
			continue;
		vm_session_update(c->session);
		if (!c->exited || !vm_session_drained(c->session))
			continue;
		m.value = c->status;
		(void)vm_message_send(c->fd, &m, NULL, NULL, 0, MSG_DONTWAIT);
		free_session(c);
	}
}

void vm_server_oom(struct vm_supervisor *vm, const struct channel_oom *oom)
{
	const struct vm_message m = { .type = VM_OOM_EVENT, .len = CHANNEL_OOM_SIZE };
	unsigned char bytes[CHANNEL_OOM_SIZE];

	channel_put_oom(bytes, oom);
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++)
		if (vm->connections[i].watches)
			(void)vm_message_send(vm->connections[i].fd, &m, (const char *)bytes, NULL, 0, MSG_DONTWAIT);
}

/* ---- requests ---- */

/* A sealed memory file of at most SPEC_MAX_BYTES, mapped; sealed, because a file that shrinks would be SIGBUS. */
static int map_payload(int fd, void **ret_map, size_t *ret_len)
{
	const int need = F_SEAL_SHRINK | F_SEAL_WRITE;
	struct stat st;
	int seals = fd >= 0 ? fcntl(fd, F_GET_SEALS) : -1;

	if (seals < 0 || (seals & need) != need || fstat(fd, &st) < 0 || st.st_size <= 0 ||
	    (uint64_t)st.st_size > SPEC_MAX_BYTES)
		return ERR_PLAIN(-EPROTO, "the request's payload is not as it should be");
	*ret_map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (*ret_map == MAP_FAILED)
		return ERR(-errno, "cannot map the request's payload");
	*ret_len = (size_t)st.st_size;
	return 0;
}

static int to_guest(struct vm_connection *c, enum channel_type type, uint32_t session, const void *data, size_t len)
{
	int r;

	c->serial = vm_guest_serial(c->vm);
	r = vm_guest_send(c->vm, type, session, c->serial, data, len);
	if (r < 0)
		c->serial = 0;
	return r;
}

static int request_exec(struct vm_connection *c, const struct vm_message *m, const char *cgroup, int fds[VM_FDS_MAX])
{
	struct vm_supervisor *vm = c->vm;
	/* Only a terminal comes without a standard error of its own. */
	struct vm_session_fds stdio = { .in = fds[1], .out = fds[2], .err = fds[3], .terminal = fds[3] < 0 };
	_cleanup_buf_ struct buf payload = BUF_NULL;
	void *process = NULL;
	size_t len = 0;
	int r;

	if (c->session != NULL || vm->stage < VM_STAGE_CREATED || vm->stage > VM_STAGE_RUNNING)
		return ERR_PLAIN(-EBUSY, "the container does not run");
	r = map_payload(fds[0], &process, &len);
	if (r < 0)
		return r;
	channel_put_exec(&payload, &(struct channel_exec){ .flags = m->flag, .rows = (uint16_t)((uint32_t)m->value >> 16),
			 .columns = (uint16_t)m->value, .process = process, .process_size = len, .cgroup = cgroup, .cgroup_size = m->len });
	munmap(process, len);
	if (payload.failed)
		return ERR_NOMEM();
	c->session = calloc(1, sizeof(*c->session));
	if (c->session == NULL)
		return ERR_NOMEM();
	vm_session_init(c->session, vm->next_session, &vm->channel, &vm->loop, &stdio);
	for (size_t i = 1; i < VM_FDS_MAX; i++)
		fds[i] = FD_NONE;
	r = to_guest(c, CHANNEL_EXEC, vm->next_session, payload.data, payload.len);
	vm->next_session++;
	if (r < 0) {
		vm_session_deinit(c->session);
		free(c->session);
		c->session = NULL;
	}
	return r;
}

static int request_update(struct vm_connection *c, int payload)
{
	size_t len = 0;
	void *text = NULL;
	int r = map_payload(payload, &text, &len);

	if (r < 0)
		return r;
	r = to_guest(c, CHANNEL_UPDATE, VM_SESSION_MACHINE, text, len);
	munmap(text, len);
	return r;
}

static int request_signal(struct vm_connection *c, const struct vm_message *m)
{
	unsigned char payload[CHANNEL_SIGNAL_SIZE];

	channel_put_signal(payload, &(struct channel_signal){ .signal = (uint32_t)m->value, .all = m->flag != 0 });
	return to_guest(c, CHANNEL_SIGNAL, c->session != NULL ? c->session->id : VM_SESSION_INIT, payload, sizeof(payload));
}

static int request_resize(struct vm_connection *c, const struct vm_message *m)
{
	unsigned char payload[CHANNEL_RESIZE_SIZE];

	if (c->session == NULL)
		return ERR_PLAIN(-EPROTO, "there is no terminal to resize");
	channel_put_resize(payload, &(struct channel_resize){ (uint16_t)((uint32_t)m->value >> 16), (uint16_t)m->value });
	/* No answer: nobody waits for it. */
	return vm_guest_send(c->vm, CHANNEL_RESIZE, c->session->id, 0, payload, sizeof(payload));
}

static int request_processes(struct vm_connection *c, const struct vm_message *m)
{
	unsigned char payload[CHANNEL_PROCESSES_SIZE];

	channel_put_processes(payload, (uint32_t)m->value);
	return to_guest(c, CHANNEL_PROCESSES, VM_SESSION_MACHINE, payload, sizeof(payload));
}

static int request_start(struct vm_connection *c, const struct vm_message *m, const char *network)
{
	if (c->vm->stage != VM_STAGE_CREATED)
		return ERR_PLAIN(-EBUSY, "the container is started already");
	vm_stage(c->vm, VM_STAGE_STARTING);
	return to_guest(c, CHANNEL_START, VM_SESSION_INIT, network, m->len);
}

static int request_spare_nets(struct vm_connection *c)
{
	unsigned char bytes[4];

	le32_put(bytes, (uint32_t)c->vm->network.n_spare);
	send_reply(c, 0, bytes, sizeof(bytes));
	return 0;
}

/* What was given to the guest at its start cannot become more; its share of a limit is reckoned as at the start. */
static int request_memory(struct vm_connection *c, const struct vm_message *m)
{
	struct vm_supervisor *vm = c->vm;
	uint64_t less = 0, missing = 0;
	unsigned char bytes[4];
	int r = vm_size_update(vm->start->machine.ram_size, m->flag * VM_MIB, vm->start->qemu != NULL, &less);

	if (r == 0)
		r = vm_memory_ask(vm, less, &missing);
	if (r < 0)
		return r;
	le32_put(bytes, (uint32_t)((missing + VM_MIB - 1) / VM_MIB));
	send_reply(c, 0, bytes, sizeof(bytes));
	return 0;
}

static int request(struct vm_connection *c, const struct vm_message *m, const char *text, int fds[VM_FDS_MAX])
{
	switch (m->type) {
	case VM_START:
		return request_start(c, m, text);
	case VM_SIGNAL:
		return request_signal(c, m);
	case VM_EXEC:
		return request_exec(c, m, text, fds);
	case VM_EXEC_START:
		if (c->session == NULL)
			return ERR_PLAIN(-EPROTO, "there is no process to start");
		return to_guest(c, CHANNEL_EXEC_START, c->session->id, NULL, 0);
	case VM_RESIZE:
		return request_resize(c, m);
	case VM_PAUSE:
		return to_guest(c, CHANNEL_PAUSE, VM_SESSION_MACHINE, NULL, 0);
	case VM_RESUME:
		return to_guest(c, CHANNEL_RESUME, VM_SESSION_MACHINE, NULL, 0);
	case VM_PAUSED:
		/* Told from memory: every look at the container asks this, and a guest that hangs must not hang them. */
		send_reply(c, 0, &c->vm->paused, 1);
		return 0;
	case VM_UPDATE:
		return request_update(c, fds[0]);
	case VM_STATS:
		return to_guest(c, CHANNEL_STATS, VM_SESSION_MACHINE, NULL, 0);
	case VM_PIDS:
		return to_guest(c, CHANNEL_PIDS, VM_SESSION_MACHINE, NULL, 0);
	case VM_PROCESSES:
		return request_processes(c, m);
	case VM_OOM:
		return to_guest(c, CHANNEL_OOM, VM_SESSION_MACHINE, NULL, 0);
	case VM_WATCH:
		c->watches = true;
		send_reply(c, 0, NULL, 0);
		return 0;
	case VM_MEMORY:
		return request_memory(c, m);
	case VM_SPARE_NETS:
		return request_spare_nets(c);
	default:
		return ERR_PLAIN(-EPROTO, "unknown request %u", m->type);
	}
}

static void connection_ready(void *data, uint32_t events)
{
	struct vm_connection *c = data;
	char *text = malloc(VM_TEXT_MAX + 1);
	int fds[VM_FDS_MAX], r = -ENOMEM;
	struct vm_message m;

	(void)events;
	if (text != NULL)
		r = vm_message_receive(c->fd, &m, text, fds, MSG_DONTWAIT);
	if (r < 0) {
		free(text);
		if (r != -EAGAIN)
			hang_up(c);
		return;
	}
	/* One at a time: who does not wait for the answer speaks another language. */
	r = c->serial != 0 && m.type != VM_RESIZE && m.type != VM_SIGNAL ?
		    ERR_PLAIN(-EPROTO, "there is a request under way") : 0;
	if (r == 0) {
		uint32_t before = c->serial;

		c->request = m.type;
		r = request(c, &m, text, fds);
		/* A signal beside a request: its own answer is not waited for. */
		if (before != 0)
			c->serial = before;
	}
	if (r < 0)
		refuse(c, r);
	for (size_t i = 0; i < VM_FDS_MAX; i++)
		fd_close(&fds[i]);
	free(text);
	vm_guest_flush(c->vm);
}

bool vm_server_reply(struct vm_supervisor *vm, uint32_t serial, int err, const struct channel_frame *answer)
{
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++) {
		struct vm_connection *c = &vm->connections[i];

		if (c->fd < 0 || c->serial != serial)
			continue;
		c->serial = 0;
		if (err == 0 && c->request == VM_START)
			vm_started(vm);
		if (err == 0 && (c->request == VM_PAUSE || c->request == VM_RESUME))
			vm->paused = c->request == VM_PAUSE;
		if (err == 0 && c->request == VM_EXEC_START && c->session != NULL)
			vm_session_open_input(c->session);
		if (err < 0 && c->request == VM_EXEC)
			free_session(c);
		send_reply(c, err, answer->data, answer->size);
		return true;
	}
	return false;
}

/* ---- connections ---- */

static void listen_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;
	int fd = accept4(vm->start->listen, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	for (size_t i = 0; fd >= 0 && i < VM_CONNECTIONS_MAX; i++) {
		struct vm_connection *c = &vm->connections[i];

		if (c->fd >= 0)
			continue;
		*c = (struct vm_connection){ .vm = vm, .fd = fd };
		c->source = (struct event_source){ .fd = fd, .events = EPOLLIN, .ready = connection_ready, .data = c };
		if (event_loop_add(&vm->loop, &c->source) < 0)
			fd_close(&c->fd);
		return;
	}
	/* No place: it finds the connection closed. */
	fd_close(&fd);
}

int vm_server_open(struct vm_supervisor *vm)
{
	int r;

	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++)
		vm->connections[i].fd = FD_NONE;
	vm->listen_source = (struct event_source){ .fd = vm->start->listen, .events = EPOLLIN, .ready = listen_ready, .data = vm };
	r = event_loop_add(&vm->loop, &vm->listen_source);
	return r < 0 ? ERR(r, "cannot watch the socket for commands") : 0;
}

void vm_server_close(struct vm_supervisor *vm)
{
	for (size_t i = 0; i < VM_CONNECTIONS_MAX; i++)
		if (vm->connections[i].fd >= 0)
			hang_up(&vm->connections[i]);
}
