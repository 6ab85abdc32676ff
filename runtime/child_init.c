/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process until it becomes the user's. Theory of operation:
 *
 *   1. user namespace: ask for the id maps, become its root
 *   2. join, unshare what clone3 could not; keyring, names, loopback
 *   3. root file system: all mounts, devices, masks below the root's fd; the host's
 *      tree is still there, so hooks and host sources resolve
 *   4. hooks of the runtime (NEED_HOOKS, run by the runtime), then createContainer here
 *   5. read-only root, pivot; from here on every path is the container's
 *   6. READY; wait for START. While waiting nothing is held but the socket, and the
 *      process ends when its creator dies before COMMIT or its state directory goes
 *   7. startContainer hooks, identity, seccomp, execve
 */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/devices.h"
#include "namespaces/host_root.h"
#include "namespaces/mount.h"
#include "namespaces/netlink.h"
#include "namespaces/procfs.h"
#include "namespaces/userns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/hooks.h"

/*
 * How often a waiting init looks whether its socket is still in the state directory. No inotify:
 * to close one takes the kernel 15 ms (it waits for grace periods), at the execve that `start` waits for.
 */
#define LINK_CHECK_MS 1000

static int enter_namespaces(const struct child_init *c)
{
	bool user = plan_has_ns(c->plan, CLONE_NEWUSER);
	int r = 0;

	if (plan_has_new_ns(c->plan, CLONE_NEWUSER)) {
		r = ns_own_time(c->ns);
		if (r < 0)
			return r;
		r = sync_send(c->p.sync, SYNC_NEED_MAPS);
		if (r < 0)
			return ERR(r, "cannot ask for the id maps");
		r = sync_expect(c->p.sync, SYNC_MAPS_DONE, "the runtime");
	}
	/* The child of a runtime without root was dumpable until here (see main.c). */
	if (r == 0 && user && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = ERR(-errno, "cannot make ourselves undumpable");
	if (r == 0 && user)
		r = userns_become_root();
	if (r == 0)
		r = ns_enter(c->ns);
	return r;
}

/* Before the sysctls, which may be of these devices. */
static int get_devices(const struct child_init *c)
{
	int r = c->plan->n_net_devices > 0 ? sync_send(c->p.sync, SYNC_NEED_DEVICES) : 0;

	if (r < 0)
		return ERR(r, "cannot ask for the network devices");
	return c->plan->n_net_devices > 0 ? sync_expect(c->p.sync, SYNC_DEVICES_DONE, "the runtime") : 0;
}

static int set_names(const struct plan *p)
{
	if (p->hostname != NULL && sethostname(p->hostname, strlen(p->hostname)) < 0)
		return ERR(-errno, "cannot set the hostname \"%s\"", p->hostname);
	if (p->domainname != NULL && setdomainname(p->domainname, strlen(p->domainname)) < 0)
		return ERR(-errno, "cannot set the domainname \"%s\"", p->domainname);
	return 0;
}

static int make_mounts(const struct child_init *c, int root, int *late_ro)
{
	const struct plan *p = c->plan;
	const struct mount_context context = {
		.root = root,
		.cgroup_dir = c->cgroup_dir,
		.cgroup_ns = plan_has_ns(p, CLONE_NEWCGROUP),
		.user_ns = plan_has_ns(p, CLONE_NEWUSER),
	};

	for (size_t i = 0; i < p->n_mounts; i++) {
		int r = mount_apply(&context, &p->mounts[i], c->trees[i], &late_ro[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_devices(const struct child_init *c, int root)
{
	const struct plan *p = c->plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_devices; i++) {
		r = device_make(root, &p->devices[i], c->nodes[i]);
		if (r < 0)
			return ERR_CONTEXT(r, "config.json: linux.devices[%zu]", i);
	}
	return r < 0 || !p->default_devices ? r : device_defaults(root);
}

/* Of the last mount that is there, or goes over all. */
static bool mounts_proc(const struct plan *p)
{
	bool proc = false;

	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_req *m = &p->mounts[i];

		if (!m->remount && (str_eq(m->target, "/proc") || str_eq(m->target, "/")))
			proc = str_eq(m->target, "/proc") && !m->bind && m->fstype != NULL && str_eq(m->fstype, "proc");
	}
	return proc;
}

static int hide_paths(const struct plan *p, int root)
{
	struct hide_place at = { .root = root, .proc = FD_NONE, .label = p->mount_label };
	int null = FD_NONE, r = 0;

	if (p->n_masked + p->n_readonly > 0 && mounts_proc(p))
		r = hide_open_proc(root, &at.proc);
	if (r == 0 && p->n_masked > 0) {
		r = mask_open_null(&null);
		if (r == 0)
			r = mask_paths(&at, null, p->masked_paths, p->n_masked);
	}
	if (r == 0)
		r = readonly_paths(&at, p->readonly_paths, p->n_readonly);
	/* The descriptors are left to execve(2), also those of what is hidden now: process_enter_cwd() follows none of them. */
	return r;
}

/* The working directory is made if the image lacks it, while the root is still writable. */
static int make_cwd(const struct plan *p, int root)
{
	_cleanup_close_ int fd = FD_NONE;
	int r;

	if (!p->has_process || str_eq(p->process.cwd, "/"))
		return 0;
	r = path_mkdirs(root, p->process.cwd, 0755, &fd);
	/* A file in its place, or a read-only root: entering it will say so. */
	if (r < 0 && r != -ENOTDIR && r != -EROFS && r != -EACCES)
		return ERR(r, "cannot make the working directory \"%s\"", p->process.cwd);
	return 0;
}

static int fill_root(struct child_init *c, int root)
{
	const struct plan *p = c->plan;
	int *late_ro = calloc(p->n_mounts + 1, sizeof(*late_ro));
	int r;

	if (late_ro == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < p->n_mounts; i++)
		late_ro[i] = FD_NONE;
	r = make_mounts(c, root, late_ro);
	if (r == 0)
		r = make_devices(c, root);
	if (r == 0 && p->has_process)
		r = child_open_terminal(&c->p, root, p->default_devices);
	if (r == 0)
		r = make_cwd(p, root);
	for (size_t i = 0; i < p->n_mounts; i++) {
		if (r == 0 && late_ro[i] >= 0) {
			r = mount_set_readonly(late_ro[i]);
			if (r < 0)
				ERR(r, "cannot make the mount at \"%s\" read-only", p->mounts[i].target);
		}
		fd_close(&late_ro[i]);
	}
	free(late_ro);
	return r < 0 ? r : hide_paths(p, root);
}

static int run_create_hooks(const struct child_init *c, int root)
{
	const struct plan *p = c->plan;
	int r;

	if (p->hooks[HOOK_PRESTART].n > 0 || p->hooks[HOOK_CREATE_RUNTIME].n > 0) {
		r = sync_send(c->p.sync, SYNC_NEED_HOOKS);
		if (r < 0)
			return ERR(r, "cannot ask for the hooks");
		r = sync_expect(c->p.sync, SYNC_HOOKS_DONE, "the runtime");
		if (r < 0)
			return r;
	}
	if (p->hooks[HOOK_CREATE_CONTAINER].n == 0)
		return 0;
	return hooks_run_in_root(&p->hooks[HOOK_CREATE_CONTAINER], c->state, getpid(), root);
}

/* The mount that becomes "/", where paths of the host's are still found. */
static int attach_root(const struct plan *p, int *root)
{
	int r;

	if (p->host_mounts)
		return host_root_attach(p->rootfs, *root);
	r = mount_isolate(p->isolate);
	return r < 0 ? r : rootfs_attach(p->rootfs, p->isolate, root);
}

static int make_root(struct child_init *c)
{
	_cleanup_close_ int root = take_fd(&c->rootfs);
	const struct plan *p = c->plan;
	int r = attach_root(p, &root);

	if (r == 0)
		r = fill_root(c, root);
	if (r == 0)
		r = run_create_hooks(c, root);
	if (r == 0 && p->rootfs_readonly) {
		r = mount_set_readonly(root);
		if (r < 0)
			return ERR(r, "cannot make the root file system read-only");
	}
	if (r == 0)
		r = p->host_mounts ? rootfs_chroot(root) : rootfs_pivot(root, p->rootfs, p->no_pivot);
	if (r == 0 && p->root_propagation != 0)
		r = mount_root_propagation(p->root_propagation, p->mounts, p->n_mounts);
	return r;
}

/* No mount namespace, and nothing to be mounted: a chroot, and devices neither made nor hidden. */
static int chroot_only(struct child_init *c)
{
	_cleanup_close_ int root = open(c->plan->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (root < 0)
		return ERR(-errno, "cannot open the root file system \"%s\"", c->plan->rootfs);
	if (c->plan->has_process) {
		r = child_open_terminal(&c->p, root, false);
		if (r < 0)
			return r;
	}
	r = run_create_hooks(c, root);
	return r < 0 ? r : rootfs_chroot(root);
}

static int set_sysctls(const struct child_init *c)
{
	for (size_t i = 0; i < c->plan->n_sysctl; i++) {
		int r = procfs_sysctl(c->p.proc, c->plan->sysctl[i].key, c->plan->sysctl[i].value);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * While building, a createContainer hook may take for ever; the end of the creator ends us all the
 * same. (After the change of ids, which would reset it.)
 */
static int die_with_creator(bool on)
{
	return prctl(PR_SET_PDEATHSIG, on ? SIGKILL : 0, 0, 0, 0) < 0 ? ERR(-errno, "cannot bind our life to the creator's") : 0;
}

/* With SELinux it has the process' label, not ours: else the process itself may not search it. */
static int new_keyring(struct child_init *c)
{
	const char *label = c->plan->has_process ? c->plan->process.selinux : NULL;
	int r = label != NULL ? lsm_label_keys(c->p.proc, label) : 0;

	if (r == 0)
		r = process_session_keyring(c->state->keyring, true);
	return r == 0 && label != NULL ? lsm_label_keys(c->p.proc, NULL) : r;
}

static int build(struct child_init *c)
{
	const struct plan *p = c->plan;
	bool hooks = p->hooks[HOOK_CREATE_CONTAINER].n > 0;
	int r;

	umask(0);
	r = enter_namespaces(c);
	if (r == 0 && hooks)
		r = die_with_creator(true);
	if (r == 0 && c->state->keyring != NULL)
		r = new_keyring(c);
	if (r == 0)
		r = set_names(p);
	if (r == 0 && p->loopback)
		r = netlink_loopback_up();
	if (r == 0)
		r = get_devices(c);
	if (r == 0)
		r = set_sysctls(c);
	if (r == 0)
		r = child_open_labels(&c->p);
	if (r == 0)
		r = plan_has_ns(p, CLONE_NEWNS) || p->host_mounts ? make_root(c) : chroot_only(c);
	if (r == 0 && p->has_process)
		r = child_prepare(&c->p);
	/* From READY on its end of the socket tells; and it may go after COMMIT. */
	return r < 0 || !hooks ? r : die_with_creator(false);
}

/* ---- waiting for start ---- */

static void end_by_signal(int sig)
{
	_exit(128 + sig);
}

/*
 * The kernel spares the first process of a pid namespace every signal that it has no handler for. Who waits is to end of
 * what would end its like elsewhere: an engine that cancels a start sends the stop signal, and waits. execve(2) takes the
 * handlers away.
 */
static void end_by_signals(void)
{
	static const int named[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM };
	const struct sigaction end = { .sa_handler = end_by_signal };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		sigaddset(&set, named[i]);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaddset(&set, sig);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&set, sig) == 1)
			(void)sigaction(sig, &end, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static bool socket_gone(const struct child_init *c)
{
	struct stat st;

	return fstat(c->socket_file, &st) < 0 || st.st_nlink == 0;
}

/* A connection to start.sock: START makes it the new channel; anything else is hung up on. */
static bool accept_start(struct child_init *c)
{
	_cleanup_close_ int conn = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC);
	struct sync_msg m;

	if (conn < 0 || sync_recv(conn, &m) < 0 || m.stage != SYNC_START)
		return false;
	fd_close(&c->p.sync);
	c->p.sync = take_fd(&conn);
	return true;
}

/* 1: START came by the creator's socket. 0: go on. -errno: the creator is gone too early. */
static int creator_spoke(struct child_init *c, bool *committed)
{
	struct sync_msg m;
	int r = sync_recv(c->p.sync, &m);

	if (r < 0)
		return r;
	if (m.stage == SYNC_START)
		return 1;
	if (m.stage == SYNC_COMMIT && c->listen >= 0) {
		*committed = true;
		return 0;
	}
	if (m.stage == SYNC_EOF && *committed) {
		fd_close(&c->p.sync);
		return 0;
	}
	return -EPIPE;
}

static int wait_for_start(struct child_init *c)
{
	bool committed = false;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = c->p.sync, .events = POLLIN },
			{ .fd = committed ? c->listen : -1, .events = POLLIN },
		};
		int n = 1;

		/* run: the creator's socket is all there is, so just receive. */
		if (c->listen < 0)
			fds[0].revents = POLLIN;
		else
			n = poll(fds, ARRAY_SIZE(fds), LINK_CHECK_MS);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents != 0) {
			int r = creator_spoke(c, &committed);

			if (r != 0)
				return r < 0 ? r : 0;
		}
		if (fds[1].revents != 0 && accept_start(c))
			return 0;
		if (n == 0 && socket_gone(c))
			return -ENOENT;
	}
}

/* The labels are for what this process executes next, and for what its children do. */
static int run_start_hooks(struct child_init *c)
{
	const struct plan_hooks *hooks = &c->plan->hooks[HOOK_START_CONTAINER];
	int r;

	if (hooks->n == 0)
		return 0;
	r = child_set_labels(&c->p);
	return r < 0 ? r : hooks_run_inside(hooks, c->state, getpid(), child_enter_hook, &c->p);
}

static int run(struct child_init *c)
{
	int r;

	if (!c->plan->has_process)
		return ERR_PLAIN(-EINVAL, "cannot start container \"%s\": config.json has no process", c->plan->id);
	r = run_start_hooks(c);
	/* One code for all that a hook fails with: it tells `start` to destroy the container. */
	return r < 0 ? -ECANCELED : child_execute(&c->p);
}

/* What building needs stays. */
static int close_runtimes_fds(const struct child_init *c)
{
	size_t n = c->plan->n_mounts, n_nodes = c->plan->n_devices;
	int *keep = calloc(n + n_nodes + 4, sizeof(*keep));
	int r;

	if (keep == NULL)
		return ERR_NOMEM();
	memcpy(keep, c->trees, n * sizeof(*keep));
	memcpy(keep + n, c->nodes, n_nodes * sizeof(*keep));
	n += n_nodes;
	keep[n++] = c->rootfs;
	keep[n++] = c->waiting;
	keep[n++] = c->listen;
	keep[n++] = c->socket_file;
	for (size_t i = 0; i < c->ns->n_join; i++) {
		int *more = realloc(keep, (n + 1) * sizeof(*keep));

		if (more == NULL) {
			free(keep);
			return ERR_NOMEM();
		}
		keep = more;
		keep[n++] = c->ns->join[i].fd;
	}
	r = child_close_fds(&c->p, keep, n);
	free(keep);
	return r;
}

/* Before a wait that may last: no directory, nothing but what the wait itself is made of. run does not wait. */
static int close_build_fds(const struct child_init *c)
{
	const int keep[] = { c->waiting, c->listen, c->socket_file };

	return c->listen >= 0 ? child_close_fds(&c->p, keep, ARRAY_SIZE(keep)) : 0;
}

int child_init_main(void *arg)
{
	struct child_init *c = arg;
	int r;

	r = close_runtimes_fds(c);
	if (r == 0)
		r = build(c);
	if (r == 0)
		r = close_build_fds(c);
	if (r == 0) {
		if (c->listen >= 0)
			end_by_signals();
		r = sync_send(c->p.sync, SYNC_READY);
		if (r < 0)
			return 1;
		/* Nobody to tell: whoever could start us is gone. */
		if (wait_for_start(c) < 0)
			return 1;
		r = run(c);
	}
	if (c->p.sync >= 0)
		sync_send_error(c->p.sync, r);
	return 1;
}
