/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sec_sys [--i386] NR [ARG...] [-- NR [ARG...]]...: makes system calls by number and prints one
 * word for each: "ok", or the errno's number. --i386: by the 32-bit entry of an x86-64 kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long call_i386(long nr, const unsigned long *a)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2])
			 : "memory", "r8", "r9", "r10", "r11");
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
#else
	(void)nr;
	(void)a;
	fprintf(stderr, "no 32-bit entry here\n");
	exit(77);
#endif
}

int main(int argc, char **argv)
{
	int i386 = argc > 1 && strcmp(argv[1], "--i386") == 0;

	for (int i = 1 + i386; i < argc; i++) {
		unsigned long a[6] = { 0 };
		long nr = strtol(argv[i], NULL, 0), r;

		for (int k = 0; i + 1 < argc && strcmp(argv[i + 1], "--") != 0; i++, k++)
			if (k < 6)
				a[k] = strtoul(argv[i + 1], NULL, 0);
		i++;
		r = i386 ? call_i386(nr, a) : syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r < 0)
			printf("%d\n", errno);
		else
			printf("ok\n");
	}
	return 0;
}
