/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container back end: composes namespaces/, cgroups/ and seccomp/ into a container. See
 * backend.h. create is in container_create.c, exec in container_exec.c, statistics in container_stats.c.
 */
#include "runtime/backend.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "namespaces/host_root.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/child.h"
#include "runtime/container_parts.h"
#include "runtime/seccomp_listener.h"

/* How long killed processes may take to be gone: kernel work only, so an upper bound for a loaded host. */
#define EMPTY_TIMEOUT_MS 30000

int container_check_seccomp(const struct plan *p)
{
	for (size_t i = 0; p->seccomp.flags != NULL && i < p->seccomp.n_flags; i++)
		if (!seccomp_flag_supported(p->seccomp.flags[i]))
			return ERR_PLAIN(-ENOTSUP, "config.json: linux.seccomp.flags[%zu]: this kernel has no %s", i,
					 p->seccomp.flags[i]);
	return p->seccomp_listener != NULL ? seccomp_listener_check(p->seccomp_listener) : 0;
}

static int container_check(const struct plan *p)
{
	struct cgroup_host host;
	int r = container_check_seccomp(p);

	if (r < 0)
		return r;
	if (p->cgroup_path == NULL && p->scope.unit == NULL)
		return 0;
	r = cgroup_host_probe(&host);
	if (r < 0)
		return r;
	return host.mode == CGROUP_NONE ? ERR_PLAIN(-ENOENT, "no cgroup2 file system is mounted on this host") : 0;
}

/* Where cgroup2 is mounted; asked once. */
int container_use_host(struct instance *i)
{
	int r = i->host_known ? 0 : cgroup_host_probe(&i->host);

	if (r == 0 && i->host.mode == CGROUP_NONE)
		r = ERR_HINT(ERR_PLAIN(-ENOENT, "no cgroup2 file system is mounted on this host"),
			     "mount one at /sys/fs/cgroup, or run with --cgroup-manager=disabled");
	i->host_known = r == 0;
	return r;
}

void container_socket_address(int dir, struct sockaddr_un *a)
{
	/* By the directory's fd: sun_path holds 107 bytes, a state directory's path may have more. */
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dir, STATE_SOCKET);
}

int container_read_ignored(struct child_process *c)
{
	int r = proc_ignored_signals(&c->ignored_signals);

	return r < 0 ? ERR(r, "cannot read which signals are ignored") : 0;
}

/*
 * What has to be set from outside: the child may lack the right in its user namespace. Where it has it, a hard limit that
 * the kernel refuses is told now, not when the process is started.
 */
int container_set_from_outside(const struct process_req *p, pid_t pid)
{
	int r = 0;

	if (p->has_oom_score_adj)
		r = process_oom_score(pid, p->oom_score_adj);
	if (r == 0)
		r = process_raise_rlimits(pid, p->rlimits, p->n_rlimits);
	return r;
}

static int container_commit(struct instance *i)
{
	int r = sync_send(i->sync, SYNC_COMMIT);

	fd_close(&i->sync);
	return r < 0 ? ERR(r, "the container's first process is gone") : 0;
}

static int connect_init(struct instance *i)
{
	struct sockaddr_un a;

	container_socket_address(i->c->dir, &a);
	i->sync = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (i->sync < 0 || connect(i->sync, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot reach the waiting process of container \"%s\"", i->c->id);
	return 0;
}

/* The child waits for DONE, busily: nothing is waited for here. */
static int hand_listener_on(const struct state *s, enum container_status status, pid_t pid, int sync, int *agent)
{
	_cleanup_close_ int listener = FD_NONE;
	int r = *agent >= 0 ? fd_receive(sync, &listener) : -EPROTO;

	if (r < 0)
		return ERR(r, "cannot receive the seccomp listener");
	r = seccomp_listener_send(*agent, s, status, pid, listener);
	/* One message a connection. */
	fd_close(agent);
	if (r == 0 && sync_send(sync, SYNC_LISTENER_DONE) < 0)
		r = ERR_PLAIN(-EPIPE, "the container's process ended unexpectedly");
	return r;
}

int container_let_go(const struct state *s, enum container_status status, pid_t pid, int sync)
{
	_cleanup_close_ int agent = FD_NONE;
	struct sync_msg m;
	int r = seccomp_listener_connect(s, &agent);

	if (r == 0 && sync_send(sync, SYNC_START) < 0)
		r = ERR_PLAIN(-EPIPE, "the waiting process of container \"%s\" is gone", s->id);
	if (r == 0)
		r = sync_recv(sync, &m);
	if (r == 0 && m.stage == SYNC_NEED_LISTENER) {
		r = hand_listener_on(s, status, pid, sync, &agent);
		if (r == 0)
			r = sync_recv(sync, &m);
	}
	if (r < 0)
		return r;
	/* The socket is close-on-exec: end of file is the kernel's word that execve succeeded (or that it was killed). */
	return m.stage == SYNC_EOF ? 0 : ERR_PLAIN(-EPROTO, "unexpected message from the container's process");
}

static int container_start(struct instance *i)
{
	int r = i->sync < 0 ? connect_init(i) : 0;

	/* "creating" is what peers say here, which load the filter during create. */
	if (r == 0)
		r = container_let_go(&i->c->state, STATUS_CREATING, i->c->state.pid, i->sync);
	fd_close(&i->sync);
	/*
	 * execve closes the socket and drops the lock in no fixed order: without the file nobody can find the
	 * container still "created" once we have returned.
	 */
	if (r == 0)
		unlinkat(i->c->dir, STATE_WAITING, 0);
	if (r == 0 && i->plan == NULL)	/* start, not run: there is a socket */
		unlinkat(i->c->dir, STATE_SOCKET, 0);
	return r;
}

int container_open_cgroup(struct instance *i, const char *sub, int *ret_fd)
{
	const struct state *s = &i->c->state;
	_cleanup_free_ char *path = NULL;
	int r;

	*ret_fd = FD_NONE;
	if (s->cgroup_path == NULL || !s->cgroup_owned)
		return 0;
	r = container_use_host(i);
	if (r < 0)
		return r;
	path = str_printf("%s/%s", s->cgroup_path, sub != NULL ? sub : "");
	if (path == NULL)
		return ERR_NOMEM();
	return cgroup_open(&i->host, path, ret_fd);
}

int container_use_cgroup(struct instance *i)
{
	int r = i->cgroup < 0 ? container_open_cgroup(i, NULL, &i->cgroup) : 0;

	if (r < 0)
		return r;
	return i->cgroup < 0 ? ERR_PLAIN(-ENOTSUP, "container \"%s\" has no cgroup", i->c->id) : 0;
}

int container_use_pidfd(struct instance *i)
{
	int r = i->pidfd < 0 ? proc_pidfd(i->c->state.pid, i->c->state.pid_seen, &i->pidfd) : 0;

	/* The words that containerd's shim and CRI-O look for. */
	return r < 0 ? ERR_PLAIN(-ESRCH, "container \"%s\": container not running: no such process", i->c->id) : 0;
}

static int container_signal(struct instance *i, int sig, bool all)
{
	int r;

	if (all && i->c->state.cgroup_owned) {
		r = container_use_cgroup(i);
		if (r < 0)
			return r;
		return sig == SIGKILL ? cgroup_kill(i->cgroup) : cgroup_signal_all(i->cgroup, sig);
	}
	r = container_use_pidfd(i);
	if (r < 0)
		return r;
	r = proc_send_signal(i->pidfd, sig);
	return r < 0 ? ERR(r, "cannot send signal %d to container \"%s\"", sig, i->c->id) : 0;
}

static int container_set_paused(struct instance *i, bool paused)
{
	int r = container_use_cgroup(i);

	return r < 0 ? r : cgroup_freeze(i->cgroup, paused, EMPTY_TIMEOUT_MS);
}

static int container_paused(struct instance *i, bool *ret_paused)
{
	int r;

	*ret_paused = false;
	if (!i->c->has_state || !i->c->state.cgroup_owned)
		return 0;
	r = i->cgroup < 0 ? container_open_cgroup(i, NULL, &i->cgroup) : 0;
	if (r == -ENOENT) {
		err_clear();	/* removed from outside: the process tells the rest */
		return 0;
	}
	return r < 0 ? r : cgroup_frozen(i->cgroup, ret_paused);
}

char *container_scope_description(const struct state *s)
{
	return str_printf("nacre container %s, created %s", s->id, s->created);
}

static struct cgroup_scope scope_of(const struct state *s)
{
	return (struct cgroup_scope){ .slice = s->cgroup_slice, .unit = s->cgroup_unit, .user = s->cgroup_user };
}

/* systemd writes the files by its own lights, in whole percents of CPU time: so they are written again after it. */
static int scope_update(struct instance *i, const struct cgroup_resources *r)
{
	const struct cgroup_scope scope = scope_of(&i->c->state);
	struct cgroup_undo *undo = NULL;
	int ret = cgroup_scope_update(&scope, i->cgroup, r);

	if (ret == 0)
		ret = cgroup_update(&i->host, i->c->state.cgroup_path, i->cgroup, r, &undo);
	cgroup_update_end(i->cgroup, undo, false);
	return ret;
}

static int container_update(struct instance *i, const struct update_req *u)
{
	struct cgroup_devices_undo devices = CGROUP_DEVICES_UNDO_NULL;
	struct cgroup_undo *undo = NULL;
	int r = container_use_cgroup(i);

	if (r == 0)
		r = container_use_host(i);
	if (r == 0)
		r = cgroup_update(&i->host, i->c->state.cgroup_path, i->cgroup, &u->resources, &undo);
	if (r == 0 && u->has_devices)
		r = cgroup_devices_replace(i->cgroup, u->device_rules, u->n_device_rules, &devices);
	if (r == 0 && i->c->state.cgroup_unit != NULL)
		r = scope_update(i, &u->resources);
	cgroup_devices_end(i->cgroup, &devices, r < 0);
	cgroup_update_end(i->cgroup, undo, r < 0);
	return r;
}

static int container_pids(struct instance *i, pid_t **ret_pids, size_t *ret_n)
{
	int r;

	if (i->c->state.cgroup_owned) {
		r = container_use_cgroup(i);
		return r < 0 ? r : cgroup_pids(i->cgroup, ret_pids, ret_n);
	}
	/* Without a cgroup only the first process is known. */
	*ret_pids = calloc(1, sizeof(**ret_pids));
	if (*ret_pids == NULL)
		return ERR_NOMEM();
	(*ret_pids)[0] = i->c->state.pid;
	*ret_n = i->c->state.pid > 0 ? 1 : 0;
	return 0;
}

/* SIGKILL to the init; as our child it is reaped here, otherwise its end is awaited. */
static int end_init(struct instance *i)
{
	int status, r;

	if (i->pidfd < 0 && proc_pidfd(i->c->state.pid, i->c->state.pid_seen, &i->pidfd) < 0)
		return 0;
	r = proc_send_signal(i->pidfd, SIGKILL);
	if (r < 0 && r != -ESRCH)
		return ERR(r, "cannot kill container \"%s\"", i->c->id);
	return proc_await_end(i->pidfd, EMPTY_TIMEOUT_MS, &status) == -ETIMEDOUT ?
		       ERR_PLAIN(-ETIMEDOUT, "container \"%s\" does not end", i->c->id) : 0;
}

/* systemd removes the cgroup, and what the container made below it. */
static int stop_scope(const struct state *s)
{
	const struct cgroup_scope scope = scope_of(s);

	return cgroup_scope_stop(&scope, NULL);
}

/* A create was refused because somebody else has such a unit, or it got as far as making its own: the description tells. */
static int stop_unfinished_scope(const struct container *c)
{
	const struct cgroup_scope scope = scope_of(&c->state);
	_cleanup_free_ char *description = container_scope_description(&c->state);

	int r = description == NULL ? ERR_NOMEM() : cgroup_scope_stop(&scope, description);

	/* No systemd: that is why there was no scope. */
	if (r == -ENOENT || r == -ECONNREFUSED) {
		err_clear();
		return 0;
	}
	return r;
}

static int end_cgroup(struct instance *i)
{
	const struct cgroup_host *host = &i->host;
	const struct state *s = &i->c->state;
	bool empty = false;
	int r = 0;

	if (i->cgroup < 0) {
		r = cgroup_open(host, s->cgroup_path, &i->cgroup);
		if (r == -ENOENT) {
			err_clear();
			return 0;
		}
	}
	/* Our own child was reaped, and with the first process of its pid namespace all others are gone. */
	if (r == 0 && s->cgroup_owned && s->cgroup_unit == NULL && s->pid == 0 && (s->ns_flags & CLONE_NEWPID) && i->plan != NULL) {
		if (cgroup_remove_leaf(i->cgroup, s->cgroup_path, s->cgroup_created_from) == 0)
			return 0;
	}
	if (r == 0 && s->cgroup_owned) {
		r = cgroup_wait_empty(i->cgroup, 0);
		empty = r == 0;
		if (r == -ETIMEDOUT)
			r = cgroup_kill(i->cgroup);
	}
	if (r == 0 && s->cgroup_owned && !empty)
		r = cgroup_wait_empty(i->cgroup, EMPTY_TIMEOUT_MS);
	fd_close(&i->cgroup);
	if (r == 0 && s->cgroup_unit != NULL)
		return stop_scope(s);
	if (r == 0)
		r = cgroup_remove(host, s->cgroup_path, s->cgroup_created_from);
	/* A cgroup that a refused create did not make is not ours to empty. */
	if (r == -EBUSY && !s->cgroup_owned) {
		err_clear();
		return 0;
	}
	return r;
}

/* Its processes, and what counted and limited them. */
static int end_processes(struct instance *i)
{
	const struct state *s = &i->c->state;
	int r = 0;

	fd_close(&i->sync);	/* a waiting init of ours ends by this alone */
	cgroup_scope_release(&i->holder);
	if (s->pid > 0)
		r = end_init(i);
	if (r == 0)
		r = container_remove_resctrl(i);
	/*
	 * systemd's and the path not known: create was killed on the way. With it went the holder and the child, all that was
	 * in the scope; but systemd does not notice the end of a holder that was ending while it was put there.
	 */
	if (r == 0 && s->cgroup_path == NULL && s->cgroup_unit != NULL)
		return stop_unfinished_scope(i->c);
	if (r < 0 || s->cgroup_path == NULL)
		return r;
	if (container_use_host(i) < 0) {
		err_clear();	/* nowhere: then it cannot be left there either */
		return 0;
	}
	return end_cgroup(i);
}

static int container_destroy(struct instance *i)
{
	const struct state *s = &i->c->state;
	int r = end_processes(i);

	/* Now that nobody is left who could still attach it. */
	return r == 0 && s->root_mount != 0 ? host_root_remove(s->rootfs, s->root_mount) : r;
}

const struct backend_ops backend_container = {
	.name = "container",
	.check = container_check,
	.create = container_create,
	.commit = container_commit,
	.start = container_start,
	.exec = container_exec,
	.exec_start = container_exec_start,
	.signal = container_signal,
	.set_paused = container_set_paused,
	.paused = container_paused,
	.update = container_update,
	.pids = container_pids,
	.stats = container_stats,
	.out_of_memory = "memory ran out: not its own limit, but another cgroup's or the host's, was reached",
	.oom = container_oom,
	.watch = container_watch,
	.watch_oom = container_watch_oom,
	.add_mounts = container_add_mounts,
	.remove_mount = container_remove_mount,
	.destroy = container_destroy,
};
