/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's /proc says of processes, for a ps(1) on the host. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "microvm/channel.h"
#include "runtime/base/str.h"

/*
 * Of those pids that are above `above`, in ascending order, as many as fit in one answer of CHANNEL_PROCESSES. One that has ended
 * meanwhile is left out. Sorts pids.
 */
void guest_processes(pid_t *pids, size_t n, uint32_t above, struct buf *answer);

/*
 * /proc/PID/stat (NUL-terminated) as far as ret has it: parent, terminal, state, processor time, and the name as command (it points
 * into text; is_name). *ret_started: field 22, in ticks since boot. ticks: of a second. 0, or -EBADMSG without text.
 */
int guest_process_stat(const char *text, uint64_t ticks, struct channel_process *ret, uint64_t *ret_started);
