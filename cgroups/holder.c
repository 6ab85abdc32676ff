/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroups/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/sys.h"

/*
 * Out of memory, the kernel is to take the process that this one waits for. Without the right (a user's own
 * scope), or without /proc, it may take this one as well.
 */
static void refuse_oom_kill(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)dprintf(fd, "-1000");
}

__attribute__((noreturn)) static void hold(pid_t parent)
{
	/* What a terminal sends to the runtime's process group is not for this one; SIGTERM from systemd is. */
	setsid();
	prctl(PR_SET_NAME, "nacre-holder");
	/* The parent may have ended before; then nobody else would end this one. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	refuse_oom_kill();
	/* Pipes of an engine must not stay open by it, nor anything of the host be reached through it. */
	(void)close_range(0, ~0U, 0);
	proc_default_signals(UINT64_MAX);
	for (;;)
		pause();
}

int holder_start(pid_t *ret_pid, int *ret_pidfd)
{
	int pidfd = FD_NONE;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD };
	pid_t parent = getpid(), pid = sys_clone3(&args);

	if (pid == 0)
		hold(parent);
	if (pid < 0)
		return ERR(-errno, "cannot make a process to start the scope with");
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

void holder_end(int *pidfd)
{
	int status;

	if (*pidfd < 0)
		return;
	(void)proc_send_signal(*pidfd, SIGKILL);
	(void)proc_wait(*pidfd, -1, &status);
	fd_close(pidfd);
}
