/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the kernel's schedulers know of this process, a line each:
 *   scheduler POLICY PRIORITY NICE FLAGS [RUNTIME DEADLINE PERIOD]
 *   io CLASS PRIORITY
 *   cpus N,N,…
 *   memory MODE N,N,…
 */
#include <linux/ioprio.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void print_set(const unsigned long *bits, unsigned int n)
{
	const char *comma = " ";

	for (unsigned int i = 0; i < n; i++) {
		if (bits[i / 64] >> (i % 64) & 1) {
			printf("%s%u", comma, i);
			comma = ",";
		}
	}
	putchar('\n');
}

int main(void)
{
	unsigned long cpus[128] = { 0 }, nodes[16] = { 0 };
	struct attr a = { .size = sizeof(a) };
	long io = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	int mode = -1;

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0)
		perror("sched_getattr");
	printf("scheduler %u %u %d %llu", a.policy, a.priority, a.nice, (unsigned long long)a.flags);
	/* With the fair policies, runtime is Linux 6.12's time slice. */
	if (a.policy == 6)
		printf(" %llu %llu %llu", (unsigned long long)a.runtime, (unsigned long long)a.deadline,
		       (unsigned long long)a.period);
	putchar('\n');
	printf("io %ld %ld\n", IOPRIO_PRIO_CLASS(io), io & (IOPRIO_NR_LEVELS - 1));
	if (syscall(SYS_sched_getaffinity, 0, sizeof(cpus), cpus) < 0)
		perror("sched_getaffinity");
	printf("cpus");
	print_set(cpus, 8 * sizeof(cpus));
	if (syscall(SYS_get_mempolicy, &mode, nodes, 8 * sizeof(nodes), NULL, 0) < 0)
		perror("get_mempolicy");
	printf("memory %d", mode);
	print_set(nodes, 8 * sizeof(nodes));
	return 0;
}
