/* SPDX-License-Identifier: Apache-2.0 */
/* The container back end: composes namespaces/, cgroups/ and seccomp/ into a container. See backend.h. */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "namespaces/procfs.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/child.h"
#include "runtime/hooks.h"

/* How long killed processes may take to be gone: kernel work only, so an upper bound for a loaded host. */
#define EMPTY_TIMEOUT_MS 30000

/*
 * libseccomp takes ten milliseconds for an engine's profile (see seccomp/compile.c): the
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
	int *trees;
	char *cgroup_dir;
};

static void build_deinit(struct build *b)
{
	for (size_t i = 0; b->trees != NULL && i < b->i->plan->n_mounts; i++)
		fd_close(&b->trees[i]);
	free(b->trees);
	for (size_t i = 0; i < b->ns.n_join; i++)
		fd_close(&b->ns.join[i].fd);
	fd_close(&b->child.rootfs);
	fd_close(&b->child.listen);
	fd_close(&b->child.watch);
	fd_close(&b->child.socket_file);
	fd_close(&b->child.p.proc);
	fd_close(&b->child.p.sync);
	if (b->filter != NULL)
		munmap(b->filter, sizeof(*b->filter));
	free(b->cgroup_dir);
}
#define _cleanup_build_ __attribute__((cleanup(build_deinit)))

static int check_manager(const struct plan *p)
{
	if (p->cgroup_manager == CGROUP_MANAGER_SYSTEMD)
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "the systemd cgroup manager is not built yet"),
				"--cgroup-manager=cgroupfs or disabled work");
	return 0;
}

static int container_check(const struct plan *p)
{
	struct cgroup_host host;
	int r = check_manager(p);

	if (r < 0 || p->cgroup_path == NULL)
		return r;
	r = cgroup_host_probe(&host);
	if (r < 0)
		return r;
	return host.mode == CGROUP_NONE ? ERR_PLAIN(-ENOENT, "no cgroup2 file system is mounted on this host") : 0;
}

/* Where cgroup2 is mounted; asked once. */
static int use_host(struct instance *i)
{
	int r = i->host_known ? 0 : cgroup_host_probe(&i->host);

	if (r == 0 && i->host.mode == CGROUP_NONE)
		r = ERR_HINT(ERR_PLAIN(-ENOENT, "no cgroup2 file system is mounted on this host"),
			     "mount one at /sys/fs/cgroup, or run with --cgroup-manager=disabled");
	i->host_known = r == 0;
	return r;
}

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
		return 0;
	/* With its own mount namespace only, the child sees and may all that we do: it opens the root itself. */
	r = plan_has_ns(p, CLONE_NEWUSER) ? rootfs_open(p->rootfs, &b->child.rootfs) : 0;
	if (r == -EPERM)
		return 0;
	for (size_t i = 0; r == 0 && i < p->n_mounts; i++)
		if (p->mounts[i].bind && !p->mounts[i].remount)
			r = mount_open_tree(&p->mounts[i], &b->trees[i]);
	return r;
}

static int make_cgroup(struct build *b)
{
	const struct plan *p = b->i->plan;
	struct state *s = &b->i->c->state;
	int r;

	if (p->cgroup_path == NULL)
		return 0;
	r = use_host(b->i);
	if (r == 0)
		r = cgroup_create(&b->i->host, p->cgroup_path, &b->i->cgroup, &s->cgroup_created_from);
	if (r == -EACCES || r == -EPERM)
		return ERR_HINT(r, "without the right to make cgroups, run with --cgroup-manager=disabled");
	if (r < 0)
		return r;
	s->cgroup_owned = true;
	b->cgroup_dir = str_printf("%s%s%s", b->i->host.mount, p->cgroup_path[0] == '/' ? "" : "/", p->cgroup_path);
	if (b->cgroup_dir == NULL)
		return ERR_NOMEM();
	b->child.cgroup_dir = b->cgroup_dir;
	/* One that existed, empty, may have our program from an earlier life. */
	if (s->cgroup_created_from < strlen(p->cgroup_path))
		return cgroup_devices_first(b->i->cgroup, p->device_rules, p->n_device_rules);
	return cgroup_devices_apply(b->i->cgroup, p->device_rules, p->n_device_rules);
}

static int share_filter(struct build *b)
{
	void *p;

	if (!b->i->plan->has_seccomp)
		return 0;
	p = mmap(NULL, sizeof(*b->filter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return ERR(-errno, "cannot map memory for the seccomp filter");
	b->filter = p;
	b->child.p.seccomp = &b->filter->program;
	return 0;
}

/* While the child builds. */
static int compile_filter(struct build *b)
{
	struct seccomp_program compiled = { 0 };
	size_t unknown = 0;
	int r;

	if (b->filter == NULL)
		return 0;
	r = seccomp_compile(&b->i->plan->seccomp, &compiled, &unknown);
	if (r < 0)
		return r;
	log_debug("seccomp: %zu system call names are unknown here", unknown);
	if (compiled.uses_notify)
		r = ERR_PLAIN(-ENOTSUP, "config.json: linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
	else if (compiled.len > sizeof(b->filter->bytes))
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

static void socket_address(int dir, struct sockaddr_un *a)
{
	/* By the directory's fd: sun_path holds 107 bytes, a state directory's path may have more. */
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dir, STATE_SOCKET);
}

static int listen_for_start(struct build *b)
{
	struct child_init *c = &b->child;
	struct sockaddr_un a;
	char dir[64];

	socket_address(b->i->c->dir, &a);
	c->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->listen < 0 || bind(c->listen, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(c->listen, 1) < 0)
		return ERR(-errno, "cannot make the start socket");
	c->socket_file = openat(b->i->c->dir, STATE_SOCKET, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (c->socket_file < 0)
		return ERR(-errno, "cannot open the start socket");
	snprintf(dir, sizeof(dir), "/proc/self/fd/%d", b->i->c->dir);
	c->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->watch >= 0 && inotify_add_watch(c->watch, dir, IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR) < 0)
		fd_close(&c->watch);
	return 0;
}

/* Each mount and path costs up to three fds, here or in the child. */
#define FDS_PER_ENTRY 3
#define FDS_NO_QUESTION 256

static int raise_nofile(struct build *b)
{
	const struct plan *p = b->i->plan;
	size_t need = (p->n_mounts + p->n_masked + p->n_readonly) * FDS_PER_ENTRY;
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

static int read_ignored(struct child_process *c)
{
	int r = proc_ignored_signals(&c->ignored_signals);

	return r < 0 ? ERR(r, "cannot read which signals are ignored") : 0;
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
		r = read_ignored(&b->child.p);
	if (r == 0)
		r = raise_nofile(b);
	if (r == 0)
		r = open_trees(b);
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
	return 0;
}

static int run_hooks(struct instance *i)
{
	const struct plan *p = i->plan;
	int r;

	i->hooks_began = true;
	r = hooks_run(HOOK_PRESTART, &p->hooks[HOOK_PRESTART], &i->c->state, STATUS_CREATING, i->pid);
	if (r == 0)
		r = hooks_run(HOOK_CREATE_RUNTIME, &p->hooks[HOOK_CREATE_RUNTIME], &i->c->state, STATUS_CREATING, i->pid);
	if (r == 0 && sync_send(i->sync, SYNC_HOOKS_DONE) < 0)
		r = ERR_PLAIN(-EPIPE, "the container's first process ended during the hooks");
	return r;
}

/* Answers the child until it is ready. */
static int serve(struct instance *i)
{
	const struct plan *p = i->plan;
	struct sync_msg m;
	int r;

	for (;;) {
		r = sync_recv(i->sync, &m);
		if (r < 0)
			return r;
		switch (m.stage) {
		case SYNC_READY:
			return 0;
		case SYNC_NEED_MAPS:
			r = userns_write_maps(i->pid, &p->userns);
			if (r == 0)
				r = sync_send(i->sync, SYNC_MAPS_DONE);
			break;
		case SYNC_NEED_HOOKS:
			r = run_hooks(i);
			break;
		default:
			return ERR_PLAIN(-EPIPE, "the container's first process ended unexpectedly");
		}
		if (r < 0)
			return r;
	}
}

/* What has to be set from outside: the child may lack the right in its user namespace. */
static int set_from_outside(const struct process_req *p, pid_t pid, bool user_ns)
{
	int r = 0;

	if (p->has_oom_score_adj)
		r = process_oom_score(pid, p->oom_score_adj);
	if (r == 0 && user_ns)
		r = process_raise_rlimits(pid, p->rlimits, p->n_rlimits);
	return r;
}

static int container_create(struct instance *i, const struct launch *l)
{
	_cleanup_build_ struct build b = {
		.i = i,
		.child = {
			.p = CHILD_PROCESS_NULL,
			.rootfs = FD_NONE,
			.waiting = i->waiting,
			.listen = FD_NONE,
			.watch = FD_NONE,
			.socket_file = FD_NONE,
		},
	};
	int r = check_manager(i->plan);

	if (r == 0)
		r = prepare(&b, l);
	if (r == 0)
		r = spawn(&b, l);
	if (r == 0)
		r = compile_filter(&b);
	if (r == 0)
		r = serve(i);
	if (r == 0 && i->plan->has_process)
		r = set_from_outside(&i->plan->process, i->pid, plan_has_ns(i->plan, CLONE_NEWUSER));
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

	socket_address(i->c->dir, &a);
	i->sync = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (i->sync < 0 || connect(i->sync, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot reach the waiting process of container \"%s\"", i->c->id);
	return 0;
}

static int wait_executed(int sync)
{
	struct sync_msg m;
	int r = sync_recv(sync, &m);

	if (r < 0)
		return r;
	/* The socket is close-on-exec: end of file is the kernel's word that execve succeeded (or that it was killed). */
	return m.stage == SYNC_EOF ? 0 : ERR_PLAIN(-EPROTO, "unexpected message from the container's process");
}

static int container_start(struct instance *i)
{
	int r = i->sync < 0 ? connect_init(i) : 0;

	if (r == 0 && sync_send(i->sync, SYNC_START) < 0)
		r = ERR_PLAIN(-EPIPE, "the waiting process of container \"%s\" is gone", i->c->id);
	if (r == 0)
		r = wait_executed(i->sync);
	fd_close(&i->sync);
	if (r == 0 && i->plan == NULL)	/* start, not run: there is a socket */
		unlinkat(i->c->dir, STATE_SOCKET, 0);
	return r;
}

static int open_cgroup(struct instance *i, const char *sub, int *ret_fd)
{
	const struct state *s = &i->c->state;
	_cleanup_free_ char *path = NULL;
	int r;

	*ret_fd = FD_NONE;
	if (s->cgroup_path == NULL || !s->cgroup_owned)
		return 0;
	r = use_host(i);
	if (r < 0)
		return r;
	path = str_printf("%s/%s", s->cgroup_path, sub != NULL ? sub : "");
	if (path == NULL)
		return ERR_NOMEM();
	return cgroup_open(&i->host, path, ret_fd);
}

static int use_cgroup(struct instance *i)
{
	int r = i->cgroup < 0 ? open_cgroup(i, NULL, &i->cgroup) : 0;

	if (r < 0)
		return r;
	return i->cgroup < 0 ? ERR_PLAIN(-ENOTSUP, "container \"%s\" has no cgroup", i->c->id) : 0;
}

static int use_pidfd(struct instance *i)
{
	int r = i->pidfd < 0 ? proc_pidfd(i->c->state.pid, i->c->state.pid_seen, &i->pidfd) : 0;

	/* The words that containerd's shim and CRI-O look for. */
	return r < 0 ? ERR_PLAIN(-ESRCH, "container \"%s\": container not running: no such process", i->c->id) : 0;
}

/* The stage process (see child.h), in the container's cgroup. */
static int exec_spawn(struct instance *i, struct child_exec *c, const struct exec_launch *l, int *ret_pidfd)
{
	_cleanup_close_ int cgroup = FD_NONE;
	const struct ns_req none = { 0 };
	pid_t pid;
	int r = open_cgroup(i, l->cgroup, &cgroup);

	if (r < 0)
		return ERR_CONTEXT(r, "cannot enter the cgroup of container \"%s\"", i->c->id);
	c->pidfd = i->pidfd;
	c->ns_flags = i->c->state.ns_flags;
	c->user_ns = (c->ns_flags & CLONE_NEWUSER) != 0;
	c->chroot = c->ns_flags & CLONE_NEWNS ? NULL : i->c->state.rootfs;
	c->keyring = i->c->state.new_keyring ? i->c->id : NULL;
	return ns_spawn(&none, cgroup, child_exec_stage, c, &pid, ret_pidfd);
}

/* The stage's word, the pid, and the new process' word, READY, come in any order. */
static int exec_await(int sync, pid_t *ret_pid)
{
	bool ready = false;

	while (*ret_pid == 0 || !ready) {
		struct sync_msg m;
		int r = sync_recv(sync, &m);

		if (r < 0)
			return r;
		if (m.stage == SYNC_PID && m.err > 0)
			*ret_pid = m.err;
		else if (m.stage == SYNC_READY)
			ready = true;
		else
			return ERR_PLAIN(-EPIPE, "the new process ended unexpectedly");
	}
	return 0;
}

static int exec_serve(struct instance *i, const struct process_req *p, int sync, pid_t *ret_pid, int *ret_pidfd)
{
	int r = exec_await(sync, ret_pid);

	/* It is our own child and not reaped, so the number is still its own. */
	if (*ret_pid > 0) {
		*ret_pidfd = pidfd_open(*ret_pid, 0);
		if (*ret_pidfd < 0 && r == 0)
			r = ERR(-errno, "cannot open the new process");
	}
	if (r == 0)
		r = set_from_outside(p, *ret_pid, (i->c->state.ns_flags & CLONE_NEWUSER) != 0);
	if (r == 0 && sync_send(sync, SYNC_START) < 0)
		r = ERR_PLAIN(-EPIPE, "the new process ended unexpectedly");
	return r;
}

/* stage: its pidfd. The new process ends by itself when our end of the socket closes; no zombie is left to the caller. */
static int exec_run(struct instance *i, const struct exec_launch *l, struct child_exec *c, int *sync, pid_t *ret_pid,
		    int *ret_pidfd)
{
	_cleanup_close_ int stage = FD_NONE;
	int status, r = exec_spawn(i, c, l, &stage);

	fd_close(&c->p.sync);
	if (r < 0)
		return r;
	r = exec_serve(i, c->p.req, *sync, ret_pid, ret_pidfd);
	if (r < 0)
		fd_close(sync);
	(void)proc_wait(stage, -1, &status);
	if (r < 0 && *ret_pidfd >= 0) {
		(void)proc_send_signal(*ret_pidfd, SIGKILL);
		(void)proc_wait(*ret_pidfd, -1, &status);
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

static int container_exec(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync)
{
	struct process_req process = *l->process;
	struct seccomp_program filter = { 0 };
	struct child_exec c = {
		.p = CHILD_PROCESS_NULL,
	};
	int pair[2] = { FD_NONE, FD_NONE }, r = use_pidfd(i);

	c.p.req = &process;
	c.p.console = l->console;
	*ret_pid = 0;
	*ret_pidfd = FD_NONE;
	if (r == 0)
		r = read_ignored(&c.p);
	if (r == 0)
		r = read_filter(i, &filter, &c);
	if (r == 0 && (process.apparmor != NULL || process.selinux != NULL))
		r = procfs_open(&c.p.proc);
	if (r == 0)
		r = sync_pair(pair);
	c.p.sync = pair[1];
	if (r == 0)
		r = exec_run(i, l, &c, &pair[0], ret_pid, ret_pidfd);
	*ret_sync = r == 0 ? take_fd(&pair[0]) : FD_NONE;
	fd_close(&pair[0]);
	fd_close(&c.p.sync);
	fd_close(&c.p.proc);
	seccomp_program_deinit(&filter);
	return r;
}

static int container_signal(struct instance *i, int sig, bool all)
{
	int r;

	if (all && i->c->state.cgroup_owned) {
		r = use_cgroup(i);
		if (r < 0)
			return r;
		return sig == SIGKILL ? cgroup_kill(i->cgroup) : cgroup_signal_all(i->cgroup, sig);
	}
	r = use_pidfd(i);
	if (r < 0)
		return r;
	r = proc_send_signal(i->pidfd, sig);
	return r < 0 ? ERR(r, "cannot send signal %d to container \"%s\"", sig, i->c->id) : 0;
}

static int container_set_paused(struct instance *i, bool paused)
{
	int r = use_cgroup(i);

	return r < 0 ? r : cgroup_freeze(i->cgroup, paused, EMPTY_TIMEOUT_MS);
}

static int container_paused(struct instance *i, bool *ret_paused)
{
	int r;

	*ret_paused = false;
	if (!i->c->has_state || !i->c->state.cgroup_owned)
		return 0;
	r = i->cgroup < 0 ? open_cgroup(i, NULL, &i->cgroup) : 0;
	if (r == -ENOENT) {
		err_clear();	/* removed from outside: the process tells the rest */
		return 0;
	}
	return r < 0 ? r : cgroup_frozen(i->cgroup, ret_paused);
}

static int container_pids(struct instance *i, pid_t **ret_pids, size_t *ret_n)
{
	int r;

	if (i->c->state.cgroup_owned) {
		r = use_cgroup(i);
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
	if (r == 0 && s->cgroup_owned && s->pid == 0 && (s->ns_flags & CLONE_NEWPID) && i->plan != NULL) {
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
	if (r == 0)
		r = cgroup_remove(host, s->cgroup_path, s->cgroup_created_from);
	/* A cgroup that a refused create did not make is not ours to empty. */
	if (r == -EBUSY && !s->cgroup_owned) {
		err_clear();
		return 0;
	}
	return r;
}

static int container_destroy(struct instance *i)
{
	const struct state *s = &i->c->state;
	int r = 0;

	fd_close(&i->sync);	/* a waiting init of ours ends by this alone */
	if (s->pid > 0)
		r = end_init(i);
	if (r < 0 || s->cgroup_path == NULL)
		return r;
	if (use_host(i) < 0) {
		err_clear();	/* nowhere: then it cannot be left there either */
		return 0;
	}
	return end_cgroup(i);
}

const struct backend_ops backend_container = {
	.name = "container",
	.check = container_check,
	.create = container_create,
	.commit = container_commit,
	.start = container_start,
	.exec = container_exec,
	.exec_done = wait_executed,
	.signal = container_signal,
	.set_paused = container_set_paused,
	.paused = container_paused,
	.pids = container_pids,
	.destroy = container_destroy,
};

const struct backend_ops *backend_find(const char *name)
{
	static const struct backend_ops *const all[] = { &backend_container };

	for (size_t k = 0; k < ARRAY_SIZE(all); k++)
		if (str_eq(all[k]->name, name))
			return all[k];
	return NULL;
}

void instance_deinit(struct instance *i)
{
	fd_close(&i->sync);
	fd_close(&i->pidfd);
	fd_close(&i->waiting);
	fd_close(&i->cgroup);
}
