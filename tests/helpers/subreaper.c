/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subreaper COMMAND [ARG...]: runs it as a child of a child subreaper, as conmon and buildah do, and
 * prints "PID STATUS" for each process that ends as our child (128 + N for signal N), until none is left.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t pid;
	int status;

	if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((pid = wait(&status)) > 0)
		printf("%d %d\n", (int)pid, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	return 0;
}
