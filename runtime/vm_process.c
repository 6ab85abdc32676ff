/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_process.h. */
#include "runtime/vm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"

static int inherit(const struct vm_process_req *q)
{
	int *keep = calloc(q->n_keep + 1, sizeof(*keep));
	int r;

	if (keep == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_keep; i++) {
		keep[i] = q->keep[i];
		if (keep[i] >= 0 && q->argv != NULL && fcntl(keep[i], F_SETFD, 0) < 0)
			keep[i] = FD_NONE;
	}
	log_close();
	r = fd_close_except(keep, q->n_keep);
	free(keep);
	return r;
}

static int set_stdio(int output)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

/*
 * Of a parent that has ended before it was asked for, no signal comes. The kernel closes its files before it tells its children; its pid
 * cannot be seen from a pid namespace below its own.
 */
static bool parent_is_there(const int lifeline[2])
{
	struct pollfd p = { .fd = lifeline[0], .events = POLLIN };

	close(lifeline[1]);
	return poll(&p, 1, 0) == 0;
}

static int execute(const struct vm_process_req *q)
{
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	_cleanup_free_ char *id = NULL;
	char *env[] = { path, NULL, NULL };

	if (asprintf(&id, "NACRE_ID=%s", q->id) < 0)
		return -ENOMEM;
	env[1] = id;
	execve(q->argv[0], (char *const *)(uintptr_t)q->argv, env);
	return -errno;
}

/* In the child; never returns. */
static void child(const struct vm_process_req *q, const int lifeline[2])
{
	sigset_t none;
	int r;

	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || !parent_is_there(lifeline))
		_exit(127);
	r = set_stdio(q->output);
	if (r == 0)
		r = inherit(q);
	if (r == 0)
		proc_default_signals(~UINT64_C(0));
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (r == 0 && q->run != NULL)
		_exit(q->run(q->data));
	if (r == 0 && q->prepare != NULL && q->prepare(q->data) < 0) {
		dprintf(STDERR_FILENO, "nacre: error: %s\n", err_text());
		_exit(127);
	}
	if (r == 0)
		r = execute(q);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", q->argv != NULL ? q->argv[0] : q->what, strerror(-r));
	_exit(127);
}

int vm_process_start(const struct vm_process_req *q, struct vm_process *ret)
{
	int lifeline[2];
	pid_t pid;

	if (q->own_pids && unshare(CLONE_NEWPID) < 0)
		return ERR(-errno, "cannot make a pid namespace for %s", q->what);
	if (pipe2(lifeline, O_CLOEXEC) < 0)
		return ERR(-errno, "cannot make a pipe for %s", q->what);
	pid = fork();
	if (pid == 0)
		child(q, lifeline);
	close(lifeline[0]);
	if (pid < 0) {
		int r = ERR(-errno, "cannot make a process for %s", q->what);

		close(lifeline[1]);
		return r;
	}
	ret->what = q->what;
	ret->pid = pid;
	ret->lifeline = lifeline[1];
	ret->pidfd = pidfd_open(pid, 0);
	if (ret->pidfd < 0) {
		int r = ERR(-errno, "cannot open the process of %s", q->what);

		vm_process_end(ret);
		return r;
	}
	return 0;
}

void vm_process_end(struct vm_process *p)
{
	if (p->pid == 0)
		return;
	/* It is our child and not reaped: the number is its own. */
	(void)kill(p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	fd_close(&p->pidfd);
	fd_close(&p->lifeline);
}

void vm_process_reap(struct vm_process *p, char *ret, size_t size)
{
	int status = 0;

	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	fd_close(&p->pidfd);
	fd_close(&p->lifeline);
	ret[0] = '\0';
	if (WIFSIGNALED(status))
		snprintf(ret, size, "%s was killed by signal %d", p->what, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(ret, size, "%s ended with status %d", p->what, WEXITSTATUS(status));
}

/* The status is the guest's word: a signal that stops, or a number that is none, must not keep us from ending. */
static bool ends(int sig)
{
	static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		if (sig == stops[i])
			return false;
	return sig >= 1 && sig < NSIG;
}

int vm_end_as(int status)
{
	if (WIFSIGNALED(status) && !ends(WTERMSIG(status)))
		return 128 + WTERMSIG(status);
	if (WIFSIGNALED(status)) {
		sigset_t mask;
		int sig = WTERMSIG(status);

		/* No core: nacre is undumpable. */
		(void)sigaction(sig, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
		sigemptyset(&mask);
		sigaddset(&mask, sig);
		(void)tgkill(getpid(), gettid(), sig);
		(void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
		return 128 + sig;
	}
	return WEXITSTATUS(status);
}
