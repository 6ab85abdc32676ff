/* SPDX-License-Identifier: Apache-2.0 */
/* See process.h. */
#include "namespaces/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static const struct {
	const char *name;
	int resource;
} rlimits[] = {
	{ "RLIMIT_AS", RLIMIT_AS },		{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },		{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },		{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING }, { "RLIMIT_STACK", RLIMIT_STACK },
};

int rlimit_resource(const char *name, int *ret_resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimits); i++) {
		if (str_eq(rlimits[i].name, name)) {
			*ret_resource = rlimits[i].resource;
			return 0;
		}
	}
	return -EINVAL;
}

int process_oom_score(pid_t pid, int score)
{
	char path[64], text[16];
	int r;

	if (pid == 0)
		snprintf(path, sizeof(path), "/proc/self/oom_score_adj");
	else
		snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	snprintf(text, sizeof(text), "%d", score);
	r = file_write_value(AT_FDCWD, path, text);
	return r < 0 ? ERR(r, "cannot set oomScoreAdj to %d", score) : 0;
}

int process_raise_rlimits(pid_t pid, const struct rlimit_req *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rlimit now;

		if (prlimit(pid, (__rlimit_resource_t)v[i].resource, NULL, &now) < 0)
			return ERR(-errno, "cannot read %s", v[i].name);
		if (v[i].hard <= now.rlim_max)
			continue;
		now.rlim_max = v[i].hard;
		if (prlimit(pid, (__rlimit_resource_t)v[i].resource, &now, NULL) < 0)
			return ERR(-errno, "cannot raise the hard limit of %s to %llu", v[i].name,
				   (unsigned long long)v[i].hard);
	}
	return 0;
}

/* KEY_POS_ALL and KEY_USR_SEARCH of the kernel's: all for who has it in hand; for processes of its owner, to be found by its name. */
#define KEYRING_RIGHTS (0x3f000000UL | 0x00080000UL)

int process_session_keyring(const char *name, bool to_be_joined)
{
	long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);

	if (key < 0 && (errno == ENOSYS || errno == EPERM))
		return 0;
	if (key < 0 || (to_be_joined && syscall(SYS_keyctl, KEYCTL_SETPERM, key, KEYRING_RIGHTS) < 0))
		return ERR_HINT(ERR(-errno, "cannot make a session keyring"),
				"--no-new-keyring keeps the caller's; /proc/sys/kernel/keys has the limits");
	return 0;
}

/* Not by a link of /proc to a descriptor, of which some are still open, a few on what is hidden in the container (CVE-2024-21626). */
static int change_directory(const char *cwd)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };
	int fd, r;

	if (str_eq(cwd, "/"))
		return chdir(cwd);
	fd = sys_openat2(AT_FDCWD, cwd, &how);
	/* A kernel, or a filter, that does not know it: where it leads is looked at all the same. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return chdir(cwd);
	if (fd < 0)
		return -1;
	r = fchdir(fd);
	close(fd);
	return r;
}

int process_enter_cwd(const char *cwd)
{
	char where[PATH_MAX];
	long n;

	if (change_directory(cwd) < 0)
		return ERR(-errno, "cannot enter the working directory \"%s\"", cwd);
	if (str_eq(cwd, "/"))
		return 0;	/* wherever the root is */
	/* The system call, not the library's: glibc falls back to a walk that hides the fact. */
	n = syscall(SYS_getcwd, where, sizeof(where));
	if (n < 0)
		return ERR(-errno, "cannot tell where the working directory \"%s\" is", cwd);
	if (where[0] != '/')
		return ERR_PLAIN(-EPERM, "the working directory \"%s\" is outside of the container's root", cwd);
	return 0;
}

int process_take_terminal(int pts)
{
	if (setsid() < 0 && errno != EPERM)
		return ERR(-errno, "cannot make a session");
	if (ioctl(pts, TIOCSCTTY, 0) < 0)
		return ERR(-errno, "cannot take the controlling terminal");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(pts, fd) < 0)
			return ERR(-errno, "cannot connect stdio to the terminal");
	return 0;
}

static int set_rlimits(const struct process_req *p)
{
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct rlimit_req *l = &p->rlimits[i];
		struct rlimit v = { .rlim_cur = l->soft, .rlim_max = l->hard };

		if (setrlimit((__rlimit_resource_t)l->resource, &v) < 0)
			return ERR(-errno, "cannot set %s to %llu:%llu", l->name, (unsigned long long)l->soft,
				   (unsigned long long)l->hard);
	}
	return 0;
}

static int set_ids(const struct process_req *p)
{
	/* EPERM with nothing to set: a user namespace made without root, where setgroups(2) is denied. */
	if (!p->keep_groups && setgroups(p->n_groups, p->groups) < 0 && !(errno == EPERM && p->n_groups == 0))
		return ERR(-errno, "cannot set the supplementary groups");
	if (setresgid(p->gid, p->gid, p->gid) < 0)
		return ERR(-errno, "cannot become group %u", p->gid);
	if (setresuid(p->uid, p->uid, p->uid) < 0)
		return ERR(-errno, "cannot become user %u", p->uid);
	return 0;
}

int process_set_identity(const struct process_req *p)
{
	int r = set_rlimits(p);

	if (r == 0)
		r = caps_drop_bounding(&p->caps);
	if (r == 0 && p->uid != 0)
		r = caps_keep_over_setuid(true);
	if (r == 0)
		r = set_ids(p);
	if (r == 0 && p->uid != 0)
		r = caps_keep_over_setuid(false);
	if (r == 0)
		r = caps_apply(&p->caps);
	if (r == 0)
		umask(p->has_umask ? p->umask : 0022);
	return r;
}

int process_set_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? ERR(-errno, "cannot set no_new_privs") : 0;
}

int process_seal_fds(unsigned int first)
{
	if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return ERR(-errno, "cannot mark the runtime's file descriptors close-on-exec");
	return 0;
}
