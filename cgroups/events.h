/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.events: the file by which the kernel tells that a cgroup got empty or
 * froze. Private to this folder.
 */
#pragma once

#define CGROUP_EVENT_POPULATED 1U	/* a process that lives, here or below */
#define CGROUP_EVENT_FROZEN 2U

/* The bits that are set now. -ENOENT when the cgroup was removed. No text. */
int cgroup_events_read(int cgroup_fd, unsigned int *ret_events);

/*
 * Waits until (events & mask) == want, by poll(2). timeout_ms < 0: for ever.
 * -ETIMEDOUT; -ENOENT when the cgroup was or is removed. No text.
 */
int cgroup_events_wait(int cgroup_fd, unsigned int mask, unsigned int want, int timeout_ms);
