/* SPDX-License-Identifier: Apache-2.0 */
/* See hooks.h. */
#include "runtime/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/process.h"
#include "oci/json.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define OUTPUT_TAIL 512

static int state_memfd(const struct state *s, enum container_status status, pid_t pid, int *ret_fd)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = FD_NONE;
	size_t len;
	int r;

	if (w == NULL)
		return ERR_NOMEM();
	state_write_oci(w, s, status, pid, 0);
	text = json_writer_take(w, &len);
	if (text == NULL)
		return ERR_NOMEM();
	fd = memfd_create("state", MFD_CLOEXEC);
	if (fd < 0)
		return ERR(-errno, "cannot make a memfd");
	r = fd_write_all(fd, text, len);
	if (r < 0)
		return ERR(r, "cannot write the state for a hook");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Where and as what a hook runs. */
struct hook_place {
	const char *cwd;	/* NULL: as it is, or */
	int dir;		/* this one, unless FD_NONE */
	int (*enter)(const void *data);	/* NULL: nothing changes */
	const void *data;
};

/* In the hook's process. */
static void hook_child(const struct plan_hook *h, const struct hook_place *place, int in, int out)
{
	static const char *const no_env[] = { NULL };
	const char *const fallback[] = { h->path, NULL };

	/* A hook must not outlive the command that runs it: nobody would wait for it, or end it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	umask(022);	/* the container's init works without one */
	proc_default_signals(UINT64_MAX);
	/* As with other runtimes a hook starts in the bundle, or in the root file system; in the container's root there is neither. */
	if ((place->cwd != NULL && chdir(place->cwd) < 0) || (place->dir >= 0 && fchdir(place->dir) < 0))
		_exit(126);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || process_seal_fds(3) < 0)
		_exit(127);
	if (place->enter != NULL && place->enter(place->data) < 0) {
		dprintf(2, "%s", err_text());
		_exit(126);
	}
	execve(h->path, (char *const *)(uintptr_t)(h->args != NULL ? h->args : fallback),
	       (char *const *)(uintptr_t)(h->env != NULL ? h->env : no_env));
	dprintf(2, "%s", strerror(errno));
	_exit(127);
}

/* The last of what it printed, one line, for the error. */
static void output_tail(int fd, char *tail)
{
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > OUTPUT_TAIL - 1 ? size - (OUTPUT_TAIL - 1) : 0;
	ssize_t n = pread(fd, tail, OUTPUT_TAIL - 1, from);

	if (n < 0)
		n = 0;
	while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
		n--;
	tail[n] = '\0';
}

static int hook_wait(const struct plan_hook *h, const char *kind, int pidfd, int out)
{
	char tail[OUTPUT_TAIL];
	int status = 0;
	int timeout = h->timeout == 0 ? -1 : h->timeout > 2000000 ? 2000000000 : (int)h->timeout * 1000;
	int r = proc_wait(pidfd, timeout, &status);

	if (r == -ETIMEDOUT) {
		(void)proc_send_signal(pidfd, SIGKILL);
		(void)proc_wait(pidfd, -1, &status);
		return ERR_PLAIN(r, "%s hook \"%s\" took longer than its timeout of %u s", kind, h->path, h->timeout);
	}
	if (r < 0)
		return ERR(r, "cannot wait for the %s hook \"%s\"", kind, h->path);
	if (status == 0)
		return 0;
	output_tail(out, tail);
	return ERR_PLAIN(-ECANCELED, "%s hook \"%s\" failed with status %d%s%s", kind, h->path, status,
			 tail[0] != '\0' ? ": " : "", tail);
}

static int hook_run(const struct plan_hook *h, const char *kind, const struct hook_place *place, int in)
{
	_cleanup_close_ int out = memfd_create("output", MFD_CLOEXEC), pidfd = FD_NONE;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;

	if (out < 0 || lseek(in, 0, SEEK_SET) < 0)
		return ERR(-errno, "cannot prepare the %s hook \"%s\"", kind, h->path);
	pid = sys_clone3(&args);
	if (pid == 0)
		hook_child(h, place, in, out);
	if (pid < 0)
		return ERR(-errno, "cannot start the %s hook \"%s\"", kind, h->path);
	return hook_wait(h, kind, pidfd, out);
}

static int run_list(const char *kind, const struct plan_hooks *hooks, const struct hook_place *place, int in)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < hooks->n; i++)
		r = hook_run(&hooks->v[i], kind, place, in);
	return r;
}

int hooks_run(enum hook_kind kind, const struct plan_hooks *hooks, const struct state *s, enum container_status status,
	      pid_t pid)
{
	const struct hook_place place = { .cwd = s->bundle, .dir = FD_NONE };
	_cleanup_close_ int in = FD_NONE;
	uint64_t began = clock_now_ns();
	int r = hooks->n > 0 ? state_memfd(s, status, pid, &in) : 0;

	if (r == 0)
		r = run_list(hook_kind_name(kind), hooks, &place, in);
	if (r == 0 && hooks->n > 0)
		log_debug("%s hooks: %zu, in %llu ms", hook_kind_name(kind), hooks->n, (unsigned long long)(clock_now_ns() - began) / 1000000);
	return r;
}

int hooks_run_in_root(const struct plan_hooks *hooks, const struct state *s, pid_t pid, int root)
{
	const struct hook_place place = { .cwd = root < 0 ? s->bundle : NULL, .dir = root };
	_cleanup_close_ int in = FD_NONE;
	int r = hooks->n > 0 ? state_memfd(s, STATUS_CREATING, pid, &in) : 0;

	return r < 0 ? r : run_list(hook_kind_name(HOOK_CREATE_CONTAINER), hooks, &place, in);
}

int hooks_run_inside(const struct plan_hooks *hooks, const struct state *s, pid_t pid, int (*enter)(const void *data),
		     const void *data)
{
	const struct hook_place place = { .dir = FD_NONE, .enter = enter, .data = data };
	_cleanup_close_ int in = FD_NONE;
	int r = hooks->n > 0 ? state_memfd(s, STATUS_CREATED, pid, &in) : 0;

	return r < 0 ? r : run_list(hook_kind_name(HOOK_START_CONTAINER), hooks, &place, in);
}

void hooks_run_all(enum hook_kind kind, const struct plan_hooks *hooks, const struct state *s,
		   enum container_status status, pid_t pid)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct plan_hooks one = { &hooks->v[i], 1 };

		if (hooks_run(kind, &one, s, status, pid) < 0)
			log_warning("%s", err_text());
	}
	err_clear();
}
