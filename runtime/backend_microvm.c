/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The microVM back end: the bundle inside a virtual machine. See backend.h; create is in microvm_create.c, exec in
 * microvm_exec.c. What acts on a running container is asked of its supervisor (vm_control.h), which asks the guest; limits
 * of the machine are its cgroup's, as a container's are.
 */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/channel.h"
#include "microvm/le.h"
#include "namespaces/net_tap.h"
#include "namespaces/ns.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/container_parts.h"
#include "runtime/microvm_parts.h"
#include "runtime/stats_wire.h"
#include "runtime/vm_control.h"

#define PROCESSES_MAX ((size_t)64 << 20)	/* bytes that the guest may tell of its processes */

static int microvm_commit(struct instance *i)
{
	int r = sync_send(i->sync, SYNC_COMMIT);

	fd_close(&i->sync);
	return r < 0 ? ERR(r, "the microVM's supervisor is gone") : 0;
}

/* One request that is not exec's. */
static int ask(struct instance *i, enum vm_message_type type, int32_t value, uint32_t flag, char **ret, size_t *ret_len)
{
	_cleanup_close_ int sock = FD_NONE;
	int r = vm_connect(i->c->dir, i->c->id, &sock);

	return r < 0 ? r : vm_call(sock, type, value, flag, ret, ret_len);
}

/* How many network cards wait for an interface; a supervisor of before there were any does not know the question. */
static int spare_nets(int sock, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = vm_call(sock, VM_SPARE_NETS, 0, 0, &text, &len);

	*ret_n = 0;
	if (r == -EPROTO) {
		err_clear();
		return 0;
	}
	if (r == 0 && len != sizeof(uint32_t))
		return ERR_PLAIN(-EPROTO, "the supervisor of the microVM speaks another language");
	if (r == 0)
		*ret_n = le32_get((const unsigned char *)text);
	return r;
}

static int microvm_start(struct instance *i)
{
	_cleanup_close_ int sock = FD_NONE;
	_cleanup_free_ char *network = NULL;
	size_t len = 0, spares = 0;
	int r = vm_connect(i->c->dir, i->c->id, &sock);

	/* run: nobody was there in between. */
	if (r == 0 && i->sync < 0)
		r = spare_nets(sock, &spares);
	if (r == 0 && spares > 0)
		r = microvm_late_network(i, spares, &network, &len);
	if (r == 0)
		r = vm_ask(sock, &(struct vm_message){ .type = VM_START, .len = (uint32_t)len }, &(struct vm_extra){ .text = network });
	if (r == 0)
		r = microvm_wait(i, sock, "started");
	if (r == 0)
		r = vm_answer(sock, VM_START, NULL, NULL);
	fd_close(&i->sync);
	if (r == 0)
		unlinkat(i->c->dir, STATE_WAITING, 0);
	return r;
}

/* Is it there to be asked? Before its pid is known it was not made, and afterwards it is gone. */
static bool alive(const struct instance *i)
{
	return i->c->has_state && i->c->state.pid > 0 && proc_alive(i->c->state.pid, i->c->state.pid_seen);
}

/* SIGKILL is the machine's: what no process can refuse needs no guest that answers. Nothing of a machine outlives it. */
static int microvm_signal(struct instance *i, int sig, bool all)
{
	if (sig == SIGKILL)
		return backend_container.signal(i, sig, all);
	return all && !alive(i) ? 0 : ask(i, VM_SIGNAL, sig, all, NULL, NULL);
}

static int microvm_set_paused(struct instance *i, bool paused)
{
	return ask(i, paused ? VM_PAUSE : VM_RESUME, 0, 0, NULL, NULL);
}

static int microvm_paused(struct instance *i, bool *ret_paused)
{
	_cleanup_free_ char *text = NULL;
	struct channel_frame answer = { .size = 0 };
	int r;

	*ret_paused = false;
	/* A created one waits; and it may be waiting for this very command's creator. */
	if (!alive(i) || faccessat(i->c->dir, STATE_WAITING, F_OK, 0) == 0)
		return 0;
	r = ask(i, VM_PAUSED, 0, 0, &text, &answer.size);
	/* It ended just now. */
	if (r < 0 && !alive(i)) {
		err_clear();
		return 0;
	}
	answer.data = (const unsigned char *)text;
	return r < 0 ? r : channel_get_paused(&answer, ret_paused);
}

/* ---- limits ---- */

static int guest_update(struct instance *i, const char *text, size_t len)
{
	const struct vm_message h = { .type = VM_UPDATE };
	_cleanup_close_ int payload = FD_NONE, sock = FD_NONE;
	int r = vm_payload(text, len, &payload);

	if (r == 0)
		r = vm_connect(i->c->dir, i->c->id, &sock);
	return r < 0 ? r : vm_call_with(sock, &h, &(struct vm_extra){ .fds = &payload, .n_fds = 1 }, NULL, NULL);
}

/* The host's part can be taken back, so the guest's comes last. */
static int microvm_update(struct instance *i, const struct update_req *u)
{
	struct update_req host = { .resources = microvm_host_resources(i->c->arena, &u->resources) };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	bool any = false;

	text = microvm_guest_resources(u, &len, &any);
	if (text == NULL)
		return ERR_NOMEM();
	if (any) {
		int r = guest_update(i, text, len);

		if (r < 0)
			return r;
	}
	if (host.resources.memory_limit != 0)
		return microvm_update_memory(i, &host);
	return i->c->state.cgroup_owned ? backend_container.update(i, &host) : 0;
}

/* ---- what it uses ---- */

static int microvm_pids(struct instance *i, pid_t **ret_pids, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	struct channel_frame answer = { .size = 0 };
	int r = ask(i, VM_PIDS, 0, 0, &text, &answer.size);

	answer.data = (const unsigned char *)text;
	return r < 0 ? r : channel_get_pids(&answer, ret_pids, ret_n);
}

static int add_process(struct process_rows *rows, const struct channel_process *p)
{
	return process_rows_add(rows, &(struct process_row){
		.pid = p->pid, .parent = p->parent, .uid = p->uid, .terminal = p->terminal, .age_ms = p->age_ms, .cpu_ms = p->cpu_ms,
		.zombie = p->state == 'Z', .is_name = p->is_name, .command_size = p->command_size,
	}, p->command);
}

/* Those above *last, as many as fit in one answer; *last is then the last of them. */
static int some_processes(struct instance *i, uint32_t *last, struct process_rows *rows, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	struct channel_frame answer = { .size = 0 };
	struct channel_process p;
	int r = ask(i, VM_PROCESSES, (int)*last, 0, &text, &answer.size);

	*ret_size = answer.size;
	answer.data = (const unsigned char *)text;
	while (r == 0 && (r = channel_get_process(&answer, *last, &p)) == 1) {
		*last = p.pid;
		r = add_process(rows, &p);
	}
	return r;
}

/* Until there are no more; it is the guest that says so. */
static int microvm_processes(struct instance *i, struct process_rows *rows)
{
	uint32_t last = 0;
	size_t total = 0, size;
	int r;

	do {
		r = some_processes(i, &last, rows, &size);
		total += size;
		if (r == 0 && total > PROCESSES_MAX)
			r = ERR_PLAIN(-E2BIG, "the container has too many processes to list");
	} while (r == 0 && size > 0);
	return r;
}

/* Did it end just now, so that nobody answered? Its socket goes a moment before its process does. */
static bool gone(const struct instance *i, int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || !alive(i);
}

static int microvm_stats(struct instance *i, struct cgroup_stats *ret)
{
	struct cgroup_oom host = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	*ret = (struct cgroup_stats){ .n_rdma = 0 };
	r = ask(i, VM_STATS, 0, 0, &text, &len);
	if (r < 0)
		return gone(i, r) ? -ENOENT : r;
	r = stats_wire_read(text, len, ret);
	/* In the guest there is no limit: it is the machine's, on the host. */
	if (r < 0)
		return r;
	if (backend_container.oom(i, &host) < 0)
		err_clear();
	else if (host.limit > 0 && host.limit < ret->memory.max.value)
		ret->memory.max.value = host.limit;
	return 0;
}

/* What the guest has told, also when it is gone by now. */
static int oom_of_file(struct instance *i, struct cgroup_oom *ret)
{
	unsigned char bytes[CHANNEL_OOM_SIZE];
	_cleanup_close_ int fd = openat(i->c->dir, MICROVM_OOM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct channel_frame f = { .data = bytes, .size = sizeof(bytes) };
	struct channel_oom oom;
	int r;

	if (fd < 0 || read(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		return 0;
	r = channel_get_oom(&f, &oom);
	if (r == 0)
		*ret = (struct cgroup_oom){ .ooms = oom.ooms, .kills = oom.kills, .limit = oom.limit };
	return r;
}

/* Either the guest ran out of what it has, or its cgroup on the host out of what it may have. */
static int microvm_oom(struct instance *i, struct cgroup_oom *ret)
{
	int r;

	*ret = (struct cgroup_oom){ .limit = CGROUP_UNLIMITED };
	r = oom_of_file(i, ret);
	if (r < 0 || ret->kills > 0)
		return r;
	return backend_container.oom(i, ret);
}

static char *microvm_failure(struct instance *i)
{
	char *text = NULL;
	size_t len = 0;

	if (file_read(i->c->dir, MICROVM_FAILURE_FILE, ERR_TEXT_MAX, &text, &len) < 0)
		return NULL;
	if (len == 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int microvm_watch(struct instance *i, struct backend_watch *ret)
{
	struct backend_watch w = BACKEND_WATCH_NULL;
	int r = container_use_pidfd(i);

	if (r == 0)
		r = vm_connect(i->c->dir, i->c->id, &w.oom.fd);
	if (r == 0)
		r = vm_call(w.oom.fd, VM_WATCH, 0, 0, NULL, NULL);
	if (r == 0) {
		w.oom.events = POLLIN;
		w.end.events = POLLIN;
		w.end.fd = fcntl(i->pidfd, F_DUPFD_CLOEXEC, 0);
		if (w.end.fd < 0)
			r = ERR(-errno, "cannot keep the microVM's supervisor in view");
	}
	if (r < 0)
		backend_watch_deinit(&w);
	else
		*ret = w;
	return r;
}

static int microvm_watch_oom(const struct backend_watch *w, struct cgroup_oom *ret)
{
	_cleanup_free_ char *text = malloc(VM_TEXT_MAX + 1);
	int fds[VM_FDS_MAX], r;
	struct channel_oom oom;
	struct vm_message m;

	if (text == NULL)
		return ERR_NOMEM();
	r = vm_message_receive(w->oom.fd, &m, text, fds, MSG_DONTWAIT);
	if (r == -EPIPE)
		return -ENOENT;
	if (r == -EAGAIN)
		return 0;
	if (r == 0 && m.type == VM_OOM_EVENT) {
		const struct channel_frame f = { .data = (const unsigned char *)text, .size = m.len };

		r = channel_get_oom(&f, &oom);
	} else if (r == 0) {
		r = ERR_PLAIN(-EPROTO, "the supervisor of the microVM speaks another language");
	}
	if (r == 0)
		*ret = (struct cgroup_oom){ .ooms = oom.ooms, .kills = oom.kills, .limit = oom.limit };
	return r;
}

/*
 * A network namespace that stays gets its own interfaces back. One that is gone by now, or whose name is another's, has
 * nothing of ours; and what cannot be undone there keeps nobody from deleting the container.
 */
static void clean_network(const struct instance *i)
{
	_cleanup_close_ int ns = FD_NONE;
	char path[64];

	if (i->c->dir < 0 || faccessat(i->c->dir, MICROVM_NETWORK_LINK, F_OK, 0) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" MICROVM_NETWORK_LINK, i->c->dir);
	if (ns_open(path, CLONE_NEWNET, &ns) < 0)
		err_clear();
	else if (net_tap_clean_in(ns) < 0)
		log_warning("the network namespace keeps a redirect to the microVM: %s", err_text());
}

/* The supervisor goes, and with it its children; then the cgroup, as a container's. */
static int microvm_destroy(struct instance *i)
{
	int r = backend_container.destroy(i);

	if (r == 0)
		clean_network(i);
	return r;
}

const struct backend_ops backend_microvm = {
	.name = "microvm",
	.check = microvm_check,
	.create = microvm_create,
	.commit = microvm_commit,
	.start = microvm_start,
	.exec = microvm_exec,
	.exec_start = microvm_exec_start,
	.signal = microvm_signal,
	.set_paused = microvm_set_paused,
	.paused = microvm_paused,
	.update = microvm_update,
	.pids = microvm_pids,
	.processes = microvm_processes,
	.stats = microvm_stats,
	.out_of_memory = "the memory of the microVM ran out",
	.oom = microvm_oom,
	.failure = microvm_failure,
	.watch = microvm_watch,
	.watch_oom = microvm_watch_oom,
	.destroy = microvm_destroy,
};
