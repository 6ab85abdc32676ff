/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hog MIB [COMMAND...]: uses MIB MiB of memory and then waits for a signal. With COMMAND, a child does that, and
 * the command is executed when the child has ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void eat(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *p = malloc(1024 * 1024);

		if (p != NULL)
			memset(p, 1, 1024 * 1024);
	}
	puts("full");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc < 2)
		return 2;
	if (argc == 2) {
		eat((size_t)atoi(argv[1]));
		return 0;
	}
	pid = fork();
	if (pid == 0) {
		eat((size_t)atoi(argv[1]));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	execvp(argv[2], argv + 2);
	return 1;
}
