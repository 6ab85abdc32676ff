/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigreport [COUNT]: prints "ready", then the name of each signal that arrives, one a line, and ends
 * after COUNT of them (default: never). What cannot be waited for (KILL, STOP) acts as usual.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report(int sig)
{
	const char *name = sigabbrev_np(sig);

	if (name != NULL)
		printf("%s\n", name);
	else
		printf("RTMIN+%d\n", sig - SIGRTMIN);
}

int main(int argc, char **argv)
{
	int left = argc > 1 ? atoi(argv[1]) : -1;
	sigset_t all;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	printf("ready\n");
	while (left != 0) {
		int sig;

		if (sigwait(&all, &sig) != 0)
			return 1;
		report(sig);
		if (left > 0)
			left--;
	}
	return 0;
}
