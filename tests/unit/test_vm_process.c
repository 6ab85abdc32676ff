/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/vm_process: a process ends as a status says, whatever a guest has written into it. */
#include "runtime/vm_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "tests/unit/test.h"

/* As wait(2) tells of a child that ended so; one that stops instead is told as stopped. */
static int end_of(int status)
{
	int got = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(vm_end_as(status));
	if (pid < 0 || waitpid(pid, &got, WUNTRACED) != pid)
		return -1;
	if (WIFSTOPPED(got)) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	return got;
}

TEST(ends_as_the_status_says)
{
	static const struct {
		int status, want;
	} cases[] = {
		{ 0, 0 }, { 7 << 8, 7 << 8 }, { SIGTERM, SIGTERM }, { SIGKILL, SIGKILL }, { 64, 64 },
		/* These end nothing: the shell's number for them. */
		{ SIGSTOP, (128 + SIGSTOP) << 8 }, { SIGTSTP, (128 + SIGTSTP) << 8 }, { SIGTTIN, (128 + SIGTTIN) << 8 },
		{ SIGTTOU, (128 + SIGTTOU) << 8 }, { SIGCHLD, (128 + SIGCHLD) << 8 }, { 100, (128 + 100) << 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (!CHECK_INT(end_of(cases[i].status), cases[i].want))
			printf("#   case %zu\n", i);
}

TEST_MAIN(CASE(ends_as_the_status_says))
