/* SPDX-License-Identifier: Apache-2.0 */
/* sec_swap A B MILLISECONDS: exchanges the two names, again and again: a directory and a symlink of a shared volume. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	long end;

	if (argc < 4)
		return 2;
	end = now_ms() + atol(argv[3]);
	while (now_ms() < end) {
		/* An odd number, so that either is a symlink half of the time, in no beat with the other side. */
		for (int i = 0; i < 7; i++)
			if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) < 0)
				return 1;
	}
	return 0;
}
