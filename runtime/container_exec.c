/* SPDX-License-Identifier: Apache-2.0 */
/* exec of the container back end: by a stage process, see child.h. */
#include "runtime/backend.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/pidfd.h>

#include "namespaces/procfs.h"
#include "namespaces/scheduling.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/path_at.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/child.h"
#include "runtime/container_parts.h"

/* Where the container's first process is by now, which must be below the container's own cgroup. */
static int open_init_cgroup(struct instance *i, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	char top[PATH_MAX];
	int r = cgroup_of(i->c->state.pid, &path);

	if (r == 0)
		r = path_clean(i->c->state.cgroup_path, top);
	if (r < 0)
		return r;
	if (!str_starts(path, top) || path[strlen(top)] != '/')
		return ERR_PLAIN(-EBUSY, "cannot start a process in the container's cgroup: it hands controllers to sub-cgroups, and its "
				 "first process is elsewhere, in \"%s\"", path);
	return cgroup_open(&i->host, path, ret_fd);
}

int container_spawn_inside(struct instance *i, const char *sub, int (*fn)(void *arg), void *arg, int *ret_pidfd)
{
	_cleanup_close_ int cgroup = FD_NONE;
	const struct ns_req none = { 0 };
	pid_t pid;
	int r = container_open_cgroup(i, sub, &cgroup);

	if (r < 0)
		return ERR_CONTEXT(r, "cannot enter the cgroup of container \"%s\"", i->c->id);
	r = ns_spawn(&none, cgroup, fn, arg, &pid, ret_pidfd);
	if ((r != -EBUSY && r != -EOPNOTSUPP) || sub != NULL)
		return r;
	/* The container has made sub-cgroups and hands controllers down, as a systemd in it does. */
	fd_close(&cgroup);
	r = open_init_cgroup(i, &cgroup);
	return r < 0 ? r : ns_spawn(&none, cgroup, fn, arg, &pid, ret_pidfd);
}

/* The stage process (see child.h), in the container's cgroup. */
static int exec_spawn(struct instance *i, struct child_exec *c, const struct exec_launch *l, int *ret_pidfd)
{
	c->pidfd = i->pidfd;
	c->ns_flags = i->c->state.ns_flags;
	c->user_ns = (c->ns_flags & CLONE_NEWUSER) != 0;
	c->chroot = c->ns_flags & CLONE_NEWNS ? NULL : i->c->state.rootfs;
	c->keyring = i->c->state.keyring;
	return container_spawn_inside(i, l->cgroup, child_exec_stage, c, ret_pidfd);
}

static int exec_serve(struct instance *i, const struct child_exec *c, int sync, pid_t *ret_pid, int *ret_pidfd)
{
	int r = sync_expect(sync, SYNC_READY, "the new process");

	if (r < 0)
		return r;
	/* It is our own child and not reaped, so the number is still its own. */
	*ret_pid = ns_sibling_pid(c->made);
	*ret_pidfd = pidfd_open(*ret_pid, 0);
	if (*ret_pidfd < 0)
		return ERR(-errno, "cannot open the new process");
	r = container_join_resctrl(i, *ret_pid);
	return r < 0 ? r : container_set_from_outside(c->p.req, *ret_pid);
}

/* Nothing stays alive, and no zombie to whoever gets our children when we end. The stage is gone: nothing new comes. */
static void end_new(const struct child_exec *c)
{
	pid_t pid = ns_sibling_pid(c->made);
	_cleanup_close_ int pidfd = pid > 0 ? pidfd_open(pid, 0) : FD_NONE;
	int status;

	if (pidfd < 0)
		return;
	(void)proc_send_signal(pidfd, SIGKILL);
	(void)proc_wait(pidfd, -1, &status);
}

static int exec_run(struct instance *i, const struct exec_launch *l, struct child_exec *c, int sync, pid_t *ret_pid,
		    int *ret_pidfd)
{
	_cleanup_close_ int stage = FD_NONE;
	int status, r = exec_spawn(i, c, l, &stage);

	fd_close(&c->p.sync);
	if (r < 0)
		return r;
	r = exec_serve(i, c, sync, ret_pid, ret_pidfd);
	(void)proc_wait(stage, -1, &status);
	if (r < 0) {
		end_new(c);
		fd_close(ret_pidfd);
	}
	return r;
}

static int read_filter(struct instance *i, struct seccomp_program *prog, struct child_exec *c)
{
	int r = seccomp_program_read(i->c->dir, STATE_SECCOMP, prog);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return ERR(r, "cannot read the seccomp filter of container \"%s\"", i->c->id);
	c->p.seccomp = prog;
	return 0;
}

/* As the container's first process has it; linux.memoryPolicy was checked at create. */
static int use_memory_policy(const struct state *s, struct memory_policy_req *m, struct child_exec *c)
{
	if (!s->has_memory_policy)
		return 0;
	*m = (struct memory_policy_req){ .mode = "container's policy", .nodes = s->memory_nodes, .mode_bits = s->memory_policy };
	c->p.memory_policy = m;
	if (s->memory_nodes != NULL && id_set_parse(s->memory_nodes, MEMORY_NODES_MAX, &m->node_set) < 0)
		return ERR_PLAIN(-EBADMSG, "its state file is damaged: \"memoryNodes\" is not a list of memory nodes");
	return 0;
}

static int use_affinity(const struct affinity_req *a)
{
	char mask[ID_SET_HEX_SIZE];
	struct id_set cpus;
	int r = affinity_set(a, "initial");

	if (r < 0)
		return r;
	/* Read back for the log only: no reason to fail. */
	if (affinity_get(&cpus) < 0) {
		err_clear();
		return 0;
	}
	id_set_hex(&cpus, mask);
	log_debug("initial CPU affinity: %s", mask);
	return 0;
}

int container_exec(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync)
{
	struct process_req process = *l->process;
	struct seccomp_program filter = { 0 };
	struct memory_policy_req memory;
	struct child_exec c = {
		.p = CHILD_PROCESS_NULL,
	};
	int pair[2] = { FD_NONE, FD_NONE }, r = container_use_pidfd(i);

	process.has_personality = i->c->state.has_personality;
	process.personality = i->c->state.personality;
	c.p.req = &process;
	c.p.console = l->console;
	c.p.affinity = process.affinity_final;
	*ret_pid = 0;
	*ret_pidfd = FD_NONE;
	if (r == 0)
		r = container_read_ignored(&c.p);
	if (r == 0)
		r = read_filter(i, &filter, &c);
	if (r == 0)
		r = use_memory_policy(&i->c->state, &memory, &c);
	/* Of the runtime itself, and so of what it makes until that is in the container's cgroup and has a cpuset of its own. */
	if (r == 0 && process.affinity_initial != NULL)
		r = use_affinity(process.affinity_initial);
	if (r == 0 && (process.apparmor != NULL || process.selinux != NULL))
		r = procfs_open(&c.p.proc);
	if (r == 0)
		r = ns_sibling_new(&c.made);
	if (r == 0)
		r = sync_pair(pair);
	c.p.sync = pair[1];
	if (r == 0)
		r = exec_run(i, l, &c, pair[0], ret_pid, ret_pidfd);
	*ret_sync = r == 0 ? take_fd(&pair[0]) : FD_NONE;
	fd_close(&pair[0]);
	fd_close(&c.p.sync);
	fd_close(&c.p.proc);
	ns_sibling_free(c.made);
	seccomp_program_deinit(&filter);
	return r;
}

int container_exec_start(struct instance *i, int sync, pid_t pid)
{
	return container_let_go(&i->c->state, STATUS_RUNNING, pid, sync);
}
