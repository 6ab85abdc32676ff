/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a cgroup's descendants. Private to this folder.
 *
 * A container with a delegated tree decides how deep and wide it is, so neither
 * file descriptors nor stack grow with it: one fd moves down and up (".." is safe,
 * cgroup2 has no rename), the names yet to visit are on the heap.
 */
#pragma once

struct cgroup_visit {
	/* Called for the top and each descendant before its children; NULL: skip. Negative: stop. */
	int (*enter)(int fd, void *arg);
	/* Called for each descendant after its children, not for the top. */
	int (*leave)(int parent_fd, const char *name, void *arg);
};

/* 0, what a callback returned, or -errno without text. Descendants that vanish meanwhile are no error. */
int cgroup_tree_walk(int top_fd, const struct cgroup_visit *visit, void *arg);
