/* SPDX-License-Identifier: Apache-2.0 */
/* create of the container back end: what is prepared for the child, its birth, the answers to it. */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "namespaces/devices.h"
#include "namespaces/host_root.h"
#include "namespaces/idmap.h"
#include "namespaces/mount.h"
#include "namespaces/net_move.h"
#include "namespaces/procfs.h"
#include "runtime/base/arena.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/child.h"
#include "runtime/container_parts.h"
#include "runtime/hooks.h"

/*
 * libseccomp takes fifteen milliseconds for an engine's profile, the first time (seccomp/README.md): the
 * runtime compiles while the child is building, and hands the program over in memory that both
 * share and no fd leads to. Complete before START or COMMIT is sent, read after.
 */
struct filter_share {
	struct seccomp_program program;
	unsigned char bytes[SECCOMP_PROGRAM_MAX];
};

/* What create prepares for the child; the child inherits it, the runtime closes it. */
struct build {
	struct instance *i;
	struct ns_req ns;
	struct child_init child;
	struct filter_share *filter;	/* NULL: no seccomp */
	int *trees, *nodes;
	char *cgroup_dir;
};

static void build_deinit(struct build *b)
{
	for (size_t i = 0; b->trees != NULL && i < b->i->plan->n_mounts; i++)
		fd_close(&b->trees[i]);
	free(b->trees);
	for (size_t i = 0; b->nodes != NULL && i < b->i->plan->n_devices; i++)
		fd_close(&b->nodes[i]);
	free(b->nodes);
	for (size_t i = 0; i < b->ns.n_join; i++)
		fd_close(&b->ns.join[i].fd);
	fd_close(&b->child.rootfs);
	fd_close(&b->child.listen);
	fd_close(&b->child.socket_file);
	fd_close(&b->child.p.proc);
	fd_close(&b->child.p.sync);
	if (b->filter != NULL)
		munmap(b->filter, sizeof(*b->filter));
	free(b->cgroup_dir);
}
#define _cleanup_build_ __attribute__((cleanup(build_deinit)))

static int open_namespaces(struct build *b)
{
	const struct plan *p = b->i->plan;

	b->ns.monotonic = p->monotonic;
	b->ns.boottime = p->boottime;
	for (size_t i = 0; i < p->n_ns; i++) {
		struct ns_join *j = &b->ns.join[b->ns.n_join];
		int r;

		if (p->ns[i].path == NULL) {
			b->ns.create |= p->ns[i].flag;
			continue;
		}
		r = ns_open(p->ns[i].path, p->ns[i].flag, &j->fd);
		if (r < 0)
			return r;
		j->flag = p->ns[i].flag;
		b->ns.n_join++;
	}
	return 0;
}

static int joined_userns(const struct build *b)
{
	for (size_t i = 0; i < b->ns.n_join; i++)
		if (b->ns.join[i].flag == CLONE_NEWUSER)
			return b->ns.join[i].fd;
	return FD_NONE;
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/*
 * runtime-spec "mounts": in the listed order. Its source is a path in the root file system, where an earlier mount of the
 * list is by then: only the child sees that, when it comes to it. In a user namespace it cannot be left to it, nor can an id map.
 */
static bool in_earlier_mount(const struct plan *p, size_t i)
{
	const struct mount_req *m = &p->mounts[i];
	size_t n = strlen(p->rootfs);

	if (plan_has_ns(p, CLONE_NEWUSER) || m->idmap != MOUNT_IDMAP_NONE || !below(m->source, p->rootfs))
		return false;
	/* Also one below the source comes along, with rbind. */
	for (size_t k = 0; k < i; k++)
		if (below(m->source + n, p->mounts[k].target) || below(p->mounts[k].target, m->source + n))
			return true;
	return false;
}

static int open_each_tree(struct build *b)
{
	_cleanup_idmap_memory_ struct idmap_memory last = IDMAP_MEMORY_NULL;
	const struct plan *p = b->i->plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_mounts; i++) {
		if (!p->mounts[i].bind || p->mounts[i].remount || in_earlier_mount(p, i))
			continue;
		r = mount_open_tree(&p->mounts[i], &b->trees[i]);
		if (r == 0 && p->mounts[i].idmap != MOUNT_IDMAP_NONE)
			r = idmap_tree(&p->mounts[i], b->trees[i], joined_userns(b), &last);
	}
	return r;
}

/* The child, in its user namespace, opens the trees: it can do nothing about the ids of the host's file systems. */
static int leave_trees(const struct plan *p)
{
	for (size_t i = 0; i < p->n_mounts; i++)
		if (p->mounts[i].idmap != MOUNT_IDMAP_NONE)
			return ERR(-EPERM, "cannot map the ids of the mount \"%s\" at \"%s\" without root on the host",
				   p->mounts[i].source, p->mounts[i].target);
	err_clear();
	return 0;
}

/* The record has it before the child can mount it. Sources of bind mounts are opened by the child: it sees what we see. */
static int open_host_root(struct build *b)
{
	struct container *c = b->i->c;
	int r = host_root_open(b->i->plan->rootfs, &b->child.rootfs, &c->state.root_mount);

	return r < 0 ? r : container_save(c);
}

/*
 * Sources of bind mounts are host paths, opened with the host's view and privileges. Without the privilege
 * (rootless) the child does it, in its user namespace.
 */
static int open_trees(struct build *b)
{
	const struct plan *p = b->i->plan;
	int r;

	b->trees = calloc(p->n_mounts + 1, sizeof(*b->trees));
	if (b->trees == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < p->n_mounts; i++)
		b->trees[i] = FD_NONE;
	b->child.trees = b->trees;
	if (!plan_has_ns(p, CLONE_NEWNS))
		return p->host_mounts ? open_host_root(b) : 0;
	/* With its own mount namespace only, the child sees and may all that we do: it opens the root itself. */
	r = plan_has_ns(p, CLONE_NEWUSER) ? rootfs_open(p->rootfs, &b->child.rootfs) : 0;
	if (r == -EPERM)
		return leave_trees(p);
	return r < 0 ? r : open_each_tree(b);
}

/* In a user namespace the child may make none. */
static int make_nodes(struct build *b)
{
	const struct plan *p = b->i->plan;

	b->nodes = calloc(p->n_devices + 1, sizeof(*b->nodes));
	if (b->nodes == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < p->n_devices; i++)
		b->nodes[i] = FD_NONE;
	b->child.nodes = b->nodes;
	if (p->n_devices == 0 || !plan_has_ns(p, CLONE_NEWUSER) || !plan_has_ns(p, CLONE_NEWNS))
		return 0;
	return device_nodes(p->devices, p->n_devices, &p->userns, joined_userns(b), b->nodes);
}

static int make_cgroup(struct build *b)
{
	int r = container_make_cgroup(b->i, b->i->plan, &b->cgroup_dir);

	b->child.cgroup_dir = b->cgroup_dir;
	return r < 0 ? r : container_make_resctrl(b->i, b->i->plan);
}

static int share_filter(struct build *b)
{
	void *p;
	int r;

	if (!b->i->plan->has_seccomp)
		return 0;
	r = container_check_seccomp(b->i->plan);
	if (r < 0)
		return r;
	p = mmap(NULL, sizeof(*b->filter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return ERR(-errno, "cannot map memory for the seccomp filter");
	b->filter = p;
	b->child.p.seccomp = &b->filter->program;
	return 0;
}

/* While the child builds. */
static int compile_filter(struct build *b, const struct launch *l)
{
	const struct seccomp_cache cache = {
		.parent = l->keep_filter ? b->i->c->root_dir : FD_NONE,
		.name = STATE_FILTERS,
		.writer = "nacre " NACRE_VERSION " " NACRE_COMMIT,
	};
	struct seccomp_program compiled = { 0 };
	int r;

	if (b->filter == NULL)
		return 0;
	r = seccomp_compile_cached(&cache, &b->i->plan->seccomp, &compiled);
	if (r < 0)
		return r;
	if (compiled.len > sizeof(b->filter->bytes))
		r = ERR_PLAIN(-E2BIG, "config.json: linux.seccomp: the filter is too long");
	else
		r = seccomp_program_save(b->i->c->dir, STATE_SECCOMP, &compiled);
	if (r == 0) {
		memcpy(b->filter->bytes, compiled.filter, compiled.len);
		b->filter->program = compiled;
		b->filter->program.filter = b->filter->bytes;
	}
	seccomp_program_deinit(&compiled);
	return r;
}

static int listen_for_start(struct build *b)
{
	struct child_init *c = &b->child;
	struct sockaddr_un a;

	container_socket_address(b->i->c->dir, &a);
	c->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->listen < 0 || bind(c->listen, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(c->listen, 1) < 0)
		return ERR(-errno, "cannot make the start socket");
	c->socket_file = openat(b->i->c->dir, STATE_SOCKET, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (c->socket_file < 0)
		return ERR(-errno, "cannot open the start socket");
	return 0;
}

/* Each mount and path costs up to three fds, here or in the child. */
#define FDS_PER_ENTRY 3
#define FDS_NO_QUESTION 256

static int raise_nofile(struct build *b)
{
	const struct plan *p = b->i->plan;
	size_t need = (p->n_mounts + p->n_devices + p->n_masked + p->n_readonly) * FDS_PER_ENTRY;
	struct rlimit now;

	if (need < FDS_NO_QUESTION)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return ERR(-errno, "cannot read the limit of open files");
	b->child.p.nofile = now;
	b->child.p.restore_nofile = true;
	now.rlim_cur = now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &now) < 0)
		return ERR(-errno, "cannot raise the limit of open files");
	return 0;
}

static bool needs_procfs(const struct plan *p)
{
	return p->n_sysctl > 0 || (p->has_process && (p->process.apparmor != NULL || p->process.selinux != NULL));
}

static int prepare(struct build *b, const struct launch *l)
{
	const struct plan *p = b->i->plan;
	int r = open_namespaces(b);

	if (r == 0)
		r = container_read_ignored(&b->child.p);
	if (r == 0)
		r = raise_nofile(b);
	if (r == 0)
		r = open_trees(b);
	if (r == 0)
		r = make_nodes(b);
	if (r == 0)
		r = share_filter(b);
	if (r == 0 && needs_procfs(p))
		r = procfs_open(&b->child.p.proc);
	if (r == 0)
		r = make_cgroup(b);
	if (r == 0 && l->waits_for_start)
		r = listen_for_start(b);
	return r;
}

static int spawn(struct build *b, const struct launch *l)
{
	struct instance *i = b->i;
	struct child_init *c = &b->child;
	struct process_req process = i->plan->process;
	int pair[2], r = sync_pair(pair);

	if (r < 0)
		return r;
	i->sync = pair[0];
	c->p.sync = pair[1];
	c->p.req = &process;
	c->p.memory_policy = i->plan->memory_policy;
	c->p.console = l->console;
	c->plan = i->plan;
	c->state = &i->c->state;
	c->ns = &b->ns;
	r = ns_spawn(&b->ns, i->cgroup, child_init_main, c, &i->pid, &i->pidfd);
	fd_close(&c->p.sync);
	if (r < 0)
		return r;
	i->c->state.pid = i->pid;
	i->c->state.pid_seen = clock_boot_ticks();
	return container_join_resctrl(i, i->pid);
}

int container_move_devices(struct instance *i)
{
	int r = net_move(i->plan->net_devices, i->plan->n_net_devices, i->pidfd);

	if (r < 0)
		return ERR_CONTEXT(r, "config.json: linux.netDevices");
	if (sync_send(i->sync, SYNC_DEVICES_DONE) < 0)
		return ERR_PLAIN(-EPIPE, "the container's first process ended while its network was made");
	return 0;
}

static int run_hooks(struct instance *i)
{
	const struct plan *p = i->plan;
	int r;

	i->poststop_due = true;
	/* Deprecated, for hooks as old as runtime-spec 1.0, which had them after create: its validation asks for this status, too. */
	r = hooks_run(HOOK_PRESTART, &p->hooks[HOOK_PRESTART], &i->c->state, STATUS_CREATED, i->pid);
	if (r == 0)
		r = hooks_run(HOOK_CREATE_RUNTIME, &p->hooks[HOOK_CREATE_RUNTIME], &i->c->state, STATUS_CREATING, i->pid);
	if (r == 0 && sync_send(i->sync, SYNC_HOOKS_DONE) < 0)
		r = ERR_PLAIN(-EPIPE, "the container's first process ended during the hooks");
	return r;
}

/* Also the offsets of the clocks, which nobody could write but who writes the maps. */
static int write_maps(struct instance *i, const struct userns_req *ids, const struct ns_req *ns)
{
	int r = userns_write_maps(i->pid, ids);

	if (r == 0)
		r = ns_own_time_offsets(ns, i->pid);
	if (r == 0 && sync_send(i->sync, SYNC_MAPS_DONE) < 0)
		r = ERR_PLAIN(-EPIPE, "the container's first process ended unexpectedly");
	return r;
}

int container_answer(struct instance *i, enum sync_stage stage, const struct userns_req *ids, const struct ns_req *ns)
{
	switch (stage) {
	case SYNC_NEED_MAPS:
		return write_maps(i, ids, ns);
	case SYNC_NEED_DEVICES:
		return container_move_devices(i);
	case SYNC_NEED_HOOKS:
		return run_hooks(i);
	default:
		return ERR_PLAIN(-EPIPE, "the container's first process ended unexpectedly");
	}
}

static int serve(struct instance *i, const struct ns_req *ns)
{
	for (;;) {
		struct sync_msg m;
		int r = sync_recv(i->sync, &m);

		if (r == 0 && m.stage == SYNC_READY)
			return 0;
		if (r == 0)
			r = container_answer(i, m.stage, &i->plan->userns, ns);
		if (r < 0)
			return r;
	}
}

int container_create(struct instance *i, const struct launch *l)
{
	_cleanup_build_ struct build b = {
		.i = i,
		.child = {
			.p = CHILD_PROCESS_NULL,
			.rootfs = FD_NONE,
			.waiting = i->waiting,
			.listen = FD_NONE,
			.socket_file = FD_NONE,
		},
	};
	int r = prepare(&b, l);

	if (r == 0)
		r = spawn(&b, l);
	if (r == 0)
		r = compile_filter(&b, l);
	if (r == 0)
		r = serve(i, &b.ns);
	if (r == 0 && i->plan->has_process)
		r = container_set_from_outside(&i->plan->process, i->pid);
	/* On failure it stays: the counts that say why the child died are read, and destroy ends it. */
	if (r == 0)
		r = container_release_holder(i, i->plan);
	return r;
}
