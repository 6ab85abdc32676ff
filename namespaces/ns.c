/* SPDX-License-Identifier: Apache-2.0 */
/* See ns.h. */
#include "namespaces/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define STAGE_STACK ((size_t)256 * 1024)

static const struct {
	const char *type;
	const char *file;	/* in /proc/self/ns */
	unsigned int flag;
} kinds[] = {
	{ "pid", "pid", CLONE_NEWPID },	      { "network", "net", CLONE_NEWNET },    { "mount", "mnt", CLONE_NEWNS },
	{ "ipc", "ipc", CLONE_NEWIPC },	      { "uts", "uts", CLONE_NEWUTS },	     { "user", "user", CLONE_NEWUSER },
	{ "cgroup", "cgroup", CLONE_NEWCGROUP }, { "time", "time", CLONE_NEWTIME },
};

unsigned int ns_flag(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].type, type))
			return kinds[i].flag;
	return 0;
}

const char *ns_name(unsigned int flag)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].flag == flag)
			return kinds[i].type;
	return NULL;
}

size_t ns_count(void)
{
	return ARRAY_SIZE(kinds);
}

unsigned int ns_flag_at(size_t i)
{
	return i < ARRAY_SIZE(kinds) ? kinds[i].flag : 0;
}

int ns_try(unsigned int flag)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(unshare((int)(geteuid() == 0 ? flag : flag | CLONE_NEWUSER)) < 0 ? errno : 0);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int ns_open(const char *path, unsigned int flag, int *ret_fd)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int type;

	if (fd < 0)
		return ERR(-errno, "cannot open the %s namespace \"%s\"", ns_name(flag), path);
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0)
		return ERR_PLAIN(-EINVAL, "\"%s\" is not a namespace", path);
	if ((unsigned int)type != flag)
		return ERR_PLAIN(-EINVAL, "\"%s\" is not a %s namespace", path, ns_name(flag));
	*ret_fd = take_fd(&fd);
	return 0;
}

/* process: "self" or "1". */
static int is_of(const char *process, int fd, unsigned int flag, bool *ret)
{
	struct stat theirs, ours;
	char path[64] = "";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].flag == flag)
			snprintf(path, sizeof(path), "/proc/%s/ns/%s", process, kinds[i].file);
	if (fstat(fd, &theirs) < 0 || stat(path, &ours) < 0)
		return ERR(-errno, "cannot compare %s namespaces", ns_name(flag));
	*ret = theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
	return 0;
}

int ns_is_own(int fd, unsigned int flag, bool *ret_own)
{
	return is_of("self", fd, flag, ret_own);
}

int ns_is_hosts(int fd, unsigned int flag, bool *ret_hosts)
{
	int r = is_of("self", fd, flag, ret_hosts);

	/* Whose process 1 we may not look at has not got its namespaces to give away either. */
	if (r == 0 && !*ret_hosts && is_of("1", fd, flag, ret_hosts) < 0)
		err_clear();
	return r;
}

int ns_hostname(int fd, char *buf, size_t size)
{
	_cleanup_close_ int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (own < 0)
		return ERR(-errno, "cannot open this process's uts namespace");
	if (setns(fd, CLONE_NEWUTS) < 0)
		return ERR(-errno, "cannot enter the uts namespace");
	if (gethostname(buf, size) < 0)
		r = ERR(-errno, "cannot read the host name of the uts namespace");
	if (setns(own, CLONE_NEWUTS) < 0)
		return ERR(-errno, "cannot return to this process's uts namespace");
	return r;
}

static int join_one(const struct ns_join *j)
{
	if (setns(j->fd, (int)j->flag) < 0)
		return ERR(-errno, "cannot join the %s namespace", ns_name(j->flag));
	return 0;
}

static bool joins(const struct ns_req *req, unsigned int flags)
{
	for (size_t i = 0; i < req->n_join; i++)
		if (req->join[i].flag & flags)
			return true;
	return false;
}

static bool has_offsets(const struct ns_req *req)
{
	return req->monotonic.present || req->boottime.present;
}

/* With a new user namespace the time namespace is to be its, as all others are; see ns_own_time(). */
static bool child_makes_time(const struct ns_req *req)
{
	return has_offsets(req) && (req->create & CLONE_NEWUSER);
}

static bool needs_stage(const struct ns_req *req)
{
	return joins(req, CLONE_NEWUSER | CLONE_NEWPID) || (has_offsets(req) && !child_makes_time(req)) ||
	       ((req->create & CLONE_NEWUSER) && joins(req, ~(unsigned int)(CLONE_NEWNS | CLONE_NEWTIME)));
}

/* The child's part of the joins: all of them, or what a stage process cannot do for it. */
static bool childs_join(const struct ns_req *req, unsigned int flag)
{
	/* The mount namespace brings its root and cwd; a time namespace wants memory of one's own. */
	return !needs_stage(req) || flag == CLONE_NEWNS || flag == CLONE_NEWTIME;
}

static pid_t clone_child(const struct ns_req *req, int cgroup_fd, uint64_t extra, int *ret_pidfd)
{
	uint64_t create = req->create & ~(uint64_t)CLONE_NEWCGROUP;
	struct clone_args args = {
		.flags = CLONE_PIDFD | extra,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = extra & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (has_offsets(req))
		create &= ~(uint64_t)CLONE_NEWTIME;
	args.flags |= create;
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return sys_clone3(&args);
}

static int clone_error(int code, const struct ns_req *req, int cgroup_fd)
{
	if (code == -ENOSPC)
		return ERR_HINT(ERR(code, "cannot create the container's namespaces"),
				"a limit in /proc/sys/user/max_*_namespaces is reached");
	if (code == -EPERM && (req->create & CLONE_NEWUSER))
		return ERR_HINT(ERR(code, "cannot create the container's user namespace"),
				"see /proc/sys/user/max_user_namespaces and the distribution's unprivileged user namespace switch");
	if (cgroup_fd >= 0 && (code == -EBUSY || code == -EOPNOTSUPP))
		return ERR(code, "cannot start a process in the container's cgroup (it has sub-cgroups with controllers, or is threaded)");
	return ERR(code, "cannot create the container's process");
}

/* ---- the stage process: see the theory of operation ---- */

struct stage {
	const struct ns_req *req;
	int cgroup_fd;
	int (*fn)(void *arg);
	void *arg;
	/* results, in memory shared with the runtime */
	pid_t pid;
	int pidfd;
	int err;
};

static int write_offset(const char *process, const char *clock, const struct ns_time_offset *o)
{
	char path[64], line[96];
	int r;

	if (!o->present)
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/timens_offsets", process);
	snprintf(line, sizeof(line), "%s %lld %u\n", clock, (long long)o->secs, o->nanosecs);
	r = file_write_value(AT_FDCWD, path, line);
	return r < 0 ? ERR(r, "cannot set the %s clock's offset", clock) : 0;
}

static int write_offsets(const char *process, const struct ns_req *req)
{
	int r = write_offset(process, "monotonic", &req->monotonic);

	return r < 0 ? r : write_offset(process, "boottime", &req->boottime);
}

static int make_time(void)
{
	return unshare(CLONE_NEWTIME) < 0 ? ERR(-errno, "cannot create the time namespace") : 0;
}

static int stage_time(const struct ns_req *req)
{
	int r;

	if (!has_offsets(req) || child_makes_time(req))
		return 0;
	r = make_time();
	return r < 0 ? r : write_offsets("self", req);
}

int ns_own_time(const struct ns_req *req)
{
	return child_makes_time(req) ? make_time() : 0;
}

int ns_own_time_offsets(const struct ns_req *req, pid_t pid)
{
	char process[16];

	if (!child_makes_time(req))
		return 0;
	snprintf(process, sizeof(process), "%d", (int)pid);
	return write_offsets(process, req);
}

/* unshare(2) is for children alone. */
static int enter_own_time(const struct ns_req *req)
{
	_cleanup_close_ int fd = FD_NONE;

	if (!child_makes_time(req))
		return 0;
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWTIME) < 0 ? ERR(-errno, "cannot enter the time namespace") : 0;
}

/* Joins those of the given kinds that are still open; with try, a failure leaves them for a later pass. */
static int stage_pass(const struct ns_req *req, bool *done, unsigned int flags, bool try)
{
	for (size_t i = 0; i < req->n_join; i++) {
		const struct ns_join *j = &req->join[i];
		int r;

		if (done[i] || !(j->flag & flags) || childs_join(req, j->flag))
			continue;
		r = join_one(j);
		if (r < 0 && !try)
			return r;
		done[i] = r == 0;
	}
	return 0;
}

/* With the host's privileges what can be joined, then the user namespace, then what only its root may. */
static int stage_joins(const struct ns_req *req)
{
	const unsigned int others = ~(unsigned int)CLONE_NEWUSER;
	bool done[ARRAY_SIZE(req->join)] = { false };
	int r = stage_pass(req, done, others, joins(req, CLONE_NEWUSER));

	if (r == 0)
		r = stage_pass(req, done, CLONE_NEWUSER, false);
	return r < 0 ? r : stage_pass(req, done, others, false);
}

/*
 * From inside a cgroup namespace no cgroup outside it can be entered, not by clone3(2) either (ENOENT), where cgroup2 is
 * mounted with nsdelegate, as systemd does. So the stage goes there before it joins one, and its child is born there.
 */
static int stage_cgroup(struct stage *s)
{
	int r = 0;

	if (s->cgroup_fd < 0 || !joins(s->req, CLONE_NEWCGROUP))
		return 0;
	r = file_write_value(s->cgroup_fd, "cgroup.procs", "0");
	if (r < 0)
		return clone_error(r, s->req, s->cgroup_fd);
	s->cgroup_fd = FD_NONE;
	return 0;
}

static int stage_main(void *p)
{
	struct stage *s = p;
	int r = stage_time(s->req);

	if (r == 0)
		r = stage_cgroup(s);
	if (r == 0)
		r = stage_joins(s->req);
	if (r < 0) {
		s->err = r;
		_exit(1);
	}
	s->pid = clone_child(s->req, s->cgroup_fd, CLONE_PARENT, &s->pidfd);
	if (s->pid == 0)
		_exit(s->fn(s->arg));
	if (s->pid < 0)
		s->err = clone_error(-errno, s->req, s->cgroup_fd);
	_exit(0);
}

static int spawn_staged(struct stage *s)
{
	void *stack = mmap(NULL, STAGE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pid_t pid;

	if (stack == MAP_FAILED)
		return ERR(-errno, "cannot map a stack");
	/* CLONE_VFORK: we sleep until it is gone, so the shared memory has one user at a time. */
	pid = clone(stage_main, (char *)stack + STAGE_STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, s);
	if (pid < 0)
		s->err = ERR(-errno, "cannot create a process");
	else
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	munmap(stack, STAGE_STACK);
	return s->err;
}

int ns_spawn(const struct ns_req *req, int cgroup_fd, int (*fn)(void *arg), void *arg, pid_t *ret_pid, int *ret_pidfd)
{
	struct stage s = { .req = req, .cgroup_fd = cgroup_fd, .fn = fn, .arg = arg, .pid = -1, .pidfd = FD_NONE };
	int r;

	if (needs_stage(req)) {
		r = spawn_staged(&s);
		if (r < 0)
			return r;
	} else {
		s.pid = clone_child(req, cgroup_fd, 0, &s.pidfd);
		if (s.pid == 0)
			_exit(fn(arg));
		if (s.pid < 0)
			return clone_error(-errno, req, cgroup_fd);
	}
	*ret_pid = s.pid;
	*ret_pidfd = s.pidfd;
	return 0;
}

struct ns_sibling {
	pid_t pid;
};

int ns_sibling_new(struct ns_sibling **ret_s)
{
	void *p = mmap(NULL, sizeof(**ret_s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return ERR(-errno, "cannot map memory for a new process' pid");
	*ret_s = p;
	return 0;
}

void ns_sibling_free(struct ns_sibling *s)
{
	if (s != NULL)
		munmap(s, sizeof(*s));
}

pid_t ns_sibling_pid(const struct ns_sibling *s)
{
	return __atomic_load_n(&s->pid, __ATOMIC_RELAXED);
}

int ns_spawn_sibling(int (*fn)(void *arg), void *arg, struct ns_sibling *s)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PARENT_SETTID,
		.parent_tid = (uint64_t)(uintptr_t)&s->pid,
	};
	pid_t pid;

	if (madvise(s, sizeof(*s), MADV_DONTFORK) < 0)
		return ERR(-errno, "cannot keep memory from a new process");
	pid = sys_clone3(&args);
	if (pid == 0)
		_exit(fn(arg));
	return pid < 0 ? ERR(-errno, "cannot create the process") : 0;
}

int ns_enter(const struct ns_req *req)
{
	/* By /proc, so before another mount namespace is joined. */
	int r = enter_own_time(req);

	for (size_t i = 0; r == 0 && i < req->n_join; i++)
		if (childs_join(req, req->join[i].flag))
			r = join_one(&req->join[i]);
	if (r < 0)
		return r;
	if ((req->create & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return ERR(-errno, "cannot create the cgroup namespace");
	return 0;
}

int ns_join_pidfd(int pidfd, unsigned int flags)
{
	if (flags != 0 && setns(pidfd, (int)flags) < 0)
		return ERR(-errno, "cannot join the container's namespaces");
	return 0;
}
