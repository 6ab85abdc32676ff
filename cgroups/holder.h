/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that does nothing, so that a new scope is not empty. Private to this folder.
 */
#pragma once

#include <sys/types.h>

/*
 * A child of the caller in its cgroup: in a session of its own, no descriptors open, the last to be killed for
 * memory, gone when the thread that made it is. *ret_pidfd: for holder_end().
 */
int holder_start(pid_t *ret_pid, int *ret_pidfd);

/* Ends and reaps it, and closes the pidfd (FD_NONE then). Safe when there is none. */
void holder_end(int *pidfd);
