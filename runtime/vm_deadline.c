/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_deadline.h. */
#include "runtime/vm_deadline.h"

#include <time.h>

#define SECOND UINT64_C(1000000000)
/* With software emulation on a busy machine a stock kernel has needed twenty seconds. */
#define STEP_NS (120 * SECOND)
/* Then it is looked at so often, and must have had so much of a processor since; a guest whose tick is all it does has less. */
#define LOOK_NS (30 * SECOND)
#define ACTIVE_NS (SECOND / 4)
/* More than any step needs, even of a guest that KVM emulates in an emulated host (12 s). */
#define CPU_NS (60 * SECOND)
#define END_NS (1800 * SECOND)

void vm_deadline_begin(struct vm_deadline *d, uint64_t now_ns, uint64_t cpu_ns)
{
	*d = (struct vm_deadline){ .at_ns = now_ns + STEP_NS, .end_ns = now_ns + END_NS, .cpu_start_ns = cpu_ns, .cpu_seen_ns = cpu_ns };
}

bool vm_deadline_over(struct vm_deadline *d, uint64_t now_ns, uint64_t cpu_ns)
{
	bool active = cpu_ns >= d->cpu_seen_ns + ACTIVE_NS, spins = cpu_ns >= d->cpu_start_ns + CPU_NS;

	d->cpu_seen_ns = cpu_ns;
	if (!active || spins || now_ns >= d->end_ns)
		return true;
	d->at_ns = now_ns + LOOK_NS;
	return false;
}

uint64_t vm_processor_time(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}
