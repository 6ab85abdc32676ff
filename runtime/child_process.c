/* SPDX-License-Identifier: Apache-2.0 */
/* The common end of init and exec: terminal, stdio, identity, filter, execve. See child.h. */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "namespaces/devices.h"
#include "namespaces/procfs.h"
#include "namespaces/scheduling.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"

int child_close_fds(const struct child_process *c, const int *others, size_t n)
{
	const int own[] = { c->sync, c->console, c->proc, c->apparmor, c->selinux };
	size_t preserved = c->req->preserve_fds, total = ARRAY_SIZE(own) + preserved + n;
	int *keep = calloc(total, sizeof(*keep));
	int r;

	if (keep == NULL)
		return ERR_NOMEM();
	memcpy(keep, own, sizeof(own));
	for (size_t i = 0; i < preserved; i++)
		keep[ARRAY_SIZE(own) + i] = 3 + (int)i;
	if (n > 0)
		memcpy(keep + ARRAY_SIZE(own) + preserved, others, n * sizeof(*others));
	log_close();
	r = fd_close_except(keep, total);
	free(keep);
	return r < 0 ? ERR(r, "cannot close the runtime's file descriptors") : 0;
}

int child_open_terminal(struct child_process *c, int root, bool bind_console)
{
	_cleanup_close_ int ptm = FD_NONE;
	const struct process_req *p = c->req;
	int r;

	if (!p->terminal)
		return 0;
	r = console_open(root, &ptm, &c->pts);
	if (r == 0 && bind_console)
		r = console_bind(root, c->pts);
	if (r == 0 && p->has_console_size)
		r = console_resize(ptm, p->console_height, p->console_width);
	if (r < 0)
		return r;
	if (p->uid != 0 && fchown(c->pts, p->uid, (gid_t)-1) < 0)
		return ERR(-errno, "cannot give the terminal to user %u", p->uid);
	r = fd_send(c->console, ptm, "ptm");
	return r < 0 ? ERR(r, "cannot send the terminal to the console socket") : 0;
}

/*
 * A pipe or file of the caller's as stdio belongs to the caller: a process of another
 * user could not open /dev/stdout. /dev/null stays the host's.
 */
static int own_stdio(const struct process_req *p)
{
	for (int fd = 0; p->uid != 0 && fd < 3; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			return ERR(-errno, "cannot look at fd %d", fd);
		if (st.st_uid == p->uid || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
			continue;
		/* EINVAL: an id that this user namespace does not map; EPERM, EROFS: somebody else's file. */
		if (fchown(fd, p->uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM && errno != EROFS)
			return ERR(-errno, "cannot give fd %d to user %u", fd, p->uid);
	}
	return 0;
}

int child_prepare(struct child_process *c)
{
	struct process_req *p = c->req;
	int r;

	if (c->pts >= 0) {
		r = process_take_terminal(c->pts);
		if (r < 0)
			return r;
	} else if (setsid() < 0 && errno != EPERM) {
		return ERR(-errno, "cannot make a session");
	}
	r = own_stdio(p);
	if (r == 0)
		r = process_enter_cwd(p->cwd);
	if (r == 0)
		r = process_set_home(p);
	if (r == 0)
		r = process_find_executable(p, &c->path);
	return r;
}

int child_open_labels(struct child_process *c)
{
	int r = 0;

	if (c->req->apparmor != NULL)
		r = procfs_open_attr(c->proc, true, &c->apparmor);
	if (r == 0 && c->req->selinux != NULL)
		r = procfs_open_attr(c->proc, false, &c->selinux);
	fd_close(&c->proc);
	return r;
}

int child_set_labels(struct child_process *c)
{
	int r = 0;

	if (c->apparmor >= 0)
		r = lsm_set_apparmor(c->apparmor, c->req->apparmor);
	if (r == 0 && c->selinux >= 0)
		r = lsm_set_selinux(c->selinux, c->req->selinux);
	fd_close(&c->apparmor);
	fd_close(&c->selinux);
	return r;
}

/* fds 3…2+n cross execve whatever their flag was; everything behind does not. */
static int set_fds(const struct process_req *p)
{
	for (unsigned int fd = 3; fd < 3 + p->preserve_fds; fd++)
		if (fcntl((int)fd, F_SETFD, 0) < 0)
			return ERR(-errno, "cannot preserve fd %u", fd);
	return process_seal_fds(3 + p->preserve_fds);
}

/* As late as it goes: a process under SCHED_DEADLINE cannot fork, and nothing of ours should wait behind a SCHED_IDLE. */
static int set_scheduling(const struct child_process *c)
{
	const struct process_req *p = c->req;
	int r = c->memory_policy != NULL ? memory_policy_set(c->memory_policy) : 0;

	if (r == 0 && c->affinity != NULL)
		r = affinity_set(c->affinity, "final");
	if (r == 0 && p->io_priority != NULL)
		r = io_priority_set(p->io_priority);
	if (r == 0 && p->scheduler != NULL)
		r = scheduler_set(p->scheduler);
	return r;
}

static int load_for_hook(const struct child_process *c)
{
	int r = c->seccomp != NULL ? seccomp_program_load(c->seccomp, NULL) : 0;

	return r < 0 ? ERR(r, "cannot load the seccomp filter") : 0;
}

int child_enter_hook(const void *data)
{
	const struct child_process *c = data;
	const struct process_req *p = c->req;
	int r = 0;

	if (p->has_personality && personality(p->personality) < 0)
		r = ERR(-errno, "cannot set the personality");
	if (r == 0 && !p->no_new_privs)
		r = load_for_hook(c);
	if (r == 0)
		r = process_set_identity(p);
	/* Another uid has put it out. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (r == 0 && p->no_new_privs) {
		r = process_set_no_new_privs();
		if (r == 0)
			r = load_for_hook(c);
	}
	return r;
}

/*
 * Order: labels and fds need the runtime's rights; a filter without no_new_privs
 * needs CAP_SYS_ADMIN, so it goes before the identity; with it, it goes last, so that it need
 * allow little but execve.
 */
int child_execute(struct child_process *c)
{
	struct process_req *p = c->req;
	int r = child_set_labels(c);

	if (r == 0 && p->has_personality && personality(p->personality) < 0)
		r = ERR(-errno, "cannot set the personality");
	if (r == 0)
		r = child_prepare_filter(c);
	if (r == 0)
		r = set_scheduling(c);
	if (r == 0)
		r = set_fds(p);
	/* What a shell's "nohup" or "&" and engines (SIGPIPE) left ignored must not be inherited. */
	proc_default_signals(c->ignored_signals);
	if (r == 0 && c->restore_nofile && setrlimit(RLIMIT_NOFILE, &c->nofile) < 0)
		r = ERR(-errno, "cannot restore the limit of open files");
	if (r == 0 && !p->no_new_privs)
		r = child_load_filter(c);
	if (r == 0)
		r = process_set_identity(p);
	if (r == 0 && p->no_new_privs) {
		r = process_set_no_new_privs();
		if (r == 0)
			r = child_load_filter(c);
	}
	return r < 0 ? r : process_exec(c->path, p);
}
