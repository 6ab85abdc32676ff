/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of caches and memory bandwidth (Intel RDT, AMD QoS) by the kernel's resctrl file system: runtime-spec
 * "linux.intelRdt". It lives beside the cgroups because it is of their kind: a directory is a group, its file "tasks"
 * takes who belongs to it, a child process begins in its parent's group.
 *
 * Groups are directories right below the file system's root; the root is the default group. In a group, mon_groups/NAME
 * counts for some of its processes alone. Each function takes the root's path, so that it need not be the host's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct resctrl_req {
	const char *clos;		/* a group's name, or "/"; NULL: a group of the container's own */
	const char *id;			/* the container's: names its own group, and its monitoring group */
	const char *l3, *mem_bw;	/* lines of the schemata file; NULL: none */
	const char *const *lines;	/* more of them, written after those two */
	size_t n_lines;
	bool monitor;			/* a monitoring group, too */
};

/* What was made for a container, and has to be removed with it. */
#define RESCTRL_MADE_GROUP 1U
#define RESCTRL_MADE_MONITOR 2U

/* May this be the name of a group? Not a path, and not one of the names that the kernel has there. */
bool resctrl_name_ok(const char *name);

/* The group of q: its directory below the root, "" for the root itself. */
const char *resctrl_group(const struct resctrl_req *q);

/* Where the file system is mounted; malloc'ed. -ENOTSUP with a text: nowhere. */
int resctrl_find(char **ret_root);

/*
 * Makes the groups that are to be made, and writes the schemata. A group that is there already must have the l3 and
 * mem_bw that are asked for (-EEXIST otherwise), one that is not there must have something to be made with (-ENOENT).
 * *made has what was made, also after a failure; what it had before is replaced.
 */
int resctrl_make(const char *root, const struct resctrl_req *q, unsigned int *made);

/* Puts a process, and with it the children that it will have, into the group, and its monitoring group id (NULL: none). */
int resctrl_assign(const char *root, const char *group, const char *id, pid_t pid);

/*
 * Another l3 and mem_bw (NULL: as it is) for a group. *ret_before: its schemata as they were, malloc'ed, for
 * resctrl_restore(), which warns of what it cannot do. After a failure nothing has changed.
 */
int resctrl_update(const char *root, const char *group, const char *l3, const char *mem_bw, char **ret_before);
void resctrl_restore(const char *root, const char *group, const char *before);

/* Removes what was made. What is gone already is no error. */
int resctrl_remove(const char *root, const char *group, const char *id, unsigned int made);

/* Has the text of a schemata file all that the lines say? For tests. */
bool resctrl_schemata_match(const char *text, const char *lines);
