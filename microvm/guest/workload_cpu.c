/* SPDX-License-Identifier: Apache-2.0 */
/* Processor, memory, and what a kernel does for a process. See workload.h. */
#include "microvm/guest/workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define INTEGER_BATCH 100000U
#define SYSCALL_BATCH 1000U
#define COPY_SIZE ((size_t)16 << 20)
#define COPY_PIECE ((size_t)1 << 20)

/* As of CRC-32, whose polynomial this is. */
static void make_table(uint32_t table[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = (table[i] >> 1) ^ ((table[i] & 1) != 0 ? UINT32_C(0xedb88320) : 0);
	}
}

/*
 * A step: a random number, a byte of it through a table, and a branch that is seldom taken, as programs have them. Arithmetic in
 * registers alone would not do: an emulator translates it once, and then it is as fast as without.
 */
int workload_integer(uint64_t *ret_per_second)
{
	uint64_t start = clock_now_ns(), now = start, n = 0, x = start | 1;
	uint32_t table[256], crc = 0;

	make_table(table);
	while (now - start < WORKLOAD_SLICE) {
		for (unsigned int i = 0; i < INTEGER_BATCH; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			crc = table[(crc ^ x) & 0xff] ^ (crc >> 8);
			if ((crc & 15) == 0)
				table[x >> 56] += crc;
		}
		n += INTEGER_BATCH;
		now = clock_now_ns();
	}
	/* So that the compiler cannot do without. */
	if (crc == 0 && x == 0)
		n++;
	*ret_per_second = workload_rate(n, now - start);
	return 0;
}

int workload_memory(uint64_t *ret_bytes_per_second)
{
	_cleanup_free_ char *from = malloc(COPY_SIZE), *to = malloc(COPY_SIZE);
	uint64_t start, now, done = 0;

	if (from == NULL || to == NULL)
		return ERR_NOMEM();
	/* The pages are there before the clock starts. */
	memset(from, 1, COPY_SIZE);
	memset(to, 2, COPY_SIZE);
	start = now = clock_now_ns();
	for (size_t at = 0; now - start < WORKLOAD_SLICE; at = (at + COPY_PIECE) % COPY_SIZE) {
		memcpy(to + at, from + at, COPY_PIECE);
		/* The copy is seen, as far as the compiler knows. */
		__asm__ volatile("" : : "r"(to) : "memory");
		done += COPY_PIECE;
		now = clock_now_ns();
	}
	*ret_bytes_per_second = workload_rate(done, now - start);
	return 0;
}

int workload_syscall(uint64_t *ret_ps)
{
	uint64_t start = clock_now_ns(), now = start, n = 0;

	while (now - start < WORKLOAD_SLICE) {
		for (unsigned int i = 0; i < SYSCALL_BATCH; i++)
			(void)syscall(SYS_getppid);
		n += SYSCALL_BATCH;
		now = clock_now_ns();
	}
	*ret_ps = (uint64_t)((double)(now - start) * 1000.0 / (double)n);
	return 0;
}

/* Gives back each byte; ends with the pipe. */
static void echo(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1 && write(out, &c, 1) == 1) {
	}
	_exit(0);
}

static int end_child(pid_t pid, int r)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)))
		return r < 0 ? r : ERR_PLAIN(-ECHILD, "the other process failed");
	return r;
}

static int ping_pong(int out, int in, uint64_t *ret_ns)
{
	uint64_t start = clock_now_ns(), now = start, n = 0;
	char c = 'x';

	while (now - start < WORKLOAD_SLICE) {
		if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
			return ERR(-errno, "cannot exchange a byte");
		n++;
		now = clock_now_ns();
	}
	/* Two switches a round. */
	*ret_ns = (now - start) / (2 * n);
	return 0;
}

int workload_switch(uint64_t *ret_ns)
{
	int there[2] = { FD_NONE, FD_NONE }, back[2] = { FD_NONE, FD_NONE }, r;
	pid_t pid;

	if (pipe(there) < 0 || pipe(back) < 0)
		return ERR(-errno, "cannot make pipes");
	pid = fork();
	if (pid < 0)
		return ERR(-errno, "cannot fork");
	if (pid == 0) {
		fd_close(&there[1]);
		fd_close(&back[0]);
		echo(there[0], back[1]);
	}
	fd_close(&there[0]);
	fd_close(&back[1]);
	r = ping_pong(there[1], back[0], ret_ns);
	fd_close(&there[1]);
	fd_close(&back[0]);
	return end_child(pid, r);
}

int workload_fork_exec(const char *self, uint64_t *ret_ns)
{
	uint64_t start = clock_now_ns(), now = start, n = 0;

	while (now - start < WORKLOAD_SLICE) {
		pid_t pid = fork();
		int r;

		if (pid < 0)
			return ERR(-errno, "cannot fork");
		if (pid == 0) {
			execl(self, self, "nothing", (char *)NULL);
			_exit(127);
		}
		r = end_child(pid, 0);
		if (r < 0)
			return r;
		n++;
		now = clock_now_ns();
	}
	*ret_ns = (now - start) / n;
	return 0;
}
