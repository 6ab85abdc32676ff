/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a guest may take for a step. A guest that hangs must not be waited for without end; one that waits for its turn on the
 * host's processors, as twenty that boot at once on one of them do, does not hang. By the monitor's processor time the two are
 * told apart: a guest that halts for ever uses none, one that spins has soon used more than any step needs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vm_deadline {
	uint64_t at_ns;			/* 0: none */
	uint64_t end_ns;		/* whatever it does */
	uint64_t cpu_start_ns;		/* the monitor's processor time when the step began, and when it was looked at last */
	uint64_t cpu_seen_ns;
};

/* From now on, on a clock that only rises. cpu_ns: of the monitor so far. */
void vm_deadline_begin(struct vm_deadline *d, uint64_t now_ns, uint64_t cpu_ns);

/* It was reached (at_ns): has the step to end? If not, at_ns is when to ask again. */
bool vm_deadline_over(struct vm_deadline *d, uint64_t now_ns, uint64_t cpu_ns);

/* Processor time of a process, all its threads; 0: there is none. */
uint64_t vm_processor_time(pid_t pid);
