/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers: which there are, handing them down to sub-cgroups, and why one is missing.
 * A set is an unsigned int, a bit each.
 */
#pragma once

#define CGROUP_CONTROLLERS 8

struct cgroup_host;

/* "cpu" …; i < CGROUP_CONTROLLERS. */
const char *cgroup_controller_name(unsigned int i);

/* The set in dirfd's cgroup.controllers or cgroup.subtree_control. 0 or -errno, no text. */
int cgroup_controllers_read(int dirfd, const char *file, unsigned int *ret_set);

/*
 * Makes as many of *set as it can available to dirfd's sub-cgroups, and takes the others out of *set. No
 * error: somebody who needs one of those finds it missing, and asks cgroup_explain_missing().
 */
void cgroup_controllers_hand_down(int dirfd, unsigned int *set);

/*
 * The cgroup `path` has not got `file`: says why in a text and a hint (the controller is missing, and where it got lost; or
 * the kernel does not know the file). A negative errno.
 */
int cgroup_explain_missing(const struct cgroup_host *host, const char *path, const char *file);

/* The kernel's word on a controller that the root of the cgroup2 tree does not have. */
enum cgroup_absence {
	CGROUP_IN_V1,		/* bound to a cgroup v1 hierarchy */
	CGROUP_SWITCHED_OFF,	/* cgroup_disable= on the kernel's command line */
	CGROUP_NOT_DELEGATED,	/* the root we see is not the host's, and has not been given it */
	CGROUP_NOT_BUILT,
};

/* From /proc/cgroups, which is changed; pure, for tests. */
enum cgroup_absence cgroup_absence_from(char *proc_cgroups, unsigned int controller);
enum cgroup_absence cgroup_absence(unsigned int controller);
