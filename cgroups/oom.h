/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running out of memory: how often, by the kernel's own count (memory.events, sub-cgroups included). Without
 * the memory controller nothing counts.
 */
#pragma once

#include <stdint.h>

struct cgroup_oom {
	uint64_t ooms;		/* the limit of this cgroup, or of one below, left no way but to kill */
	uint64_t kills;		/* processes killed, whosever limit it was: an ancestor's or the host's, too */
	uint64_t limit;		/* memory.max in bytes, CGROUP_UNLIMITED (cgroups/stats.h) without one */
};

/*
 * How often it happened so far, and the limit now. What does not count (no memory controller) and what is
 * gone has never run out of memory: zeros. -errno with text.
 */
int cgroup_oom_read(int cgroup_fd, struct cgroup_oom *ret);

/* memory.events, for poll(2) with POLLPRI. *ret_fd is FD_NONE when nothing counts. -errno with text. */
int cgroup_oom_watch(int cgroup_fd, int *ret_fd);

/* ooms and kills by such an fd, quiet then until the next change. -ENOENT without text: the cgroup was removed. */
int cgroup_oom_seen(int watch_fd, struct cgroup_oom *ret);
