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
 * What every container gets if it is there, so that its use can be told (engines read the files). The others
 * cost memory in each cgroup and are handed down when a limit asks for them.
 */
#define CGROUP_CONTROLLERS_USUAL 0x1FU

/*
 * Makes as many of *set as it can available to dirfd's sub-cgroups, and takes the others out of *set. No
 * error: somebody who needs one of those finds it missing, and asks cgroup_controller_demand().
 */
void cgroup_controllers_hand_down(int dirfd, unsigned int *set);

/*
 * The cgroup `path` has not got `file`: has its controller handed down all the way. Where that fails, a
 * text and a hint say what the controller is and where and why it got lost. -ENOENT: the kernel does not know the file.
 */
int cgroup_controller_demand(const struct cgroup_host *host, const char *path, const char *file);

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
