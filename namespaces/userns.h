/* SPDX-License-Identifier: Apache-2.0 */
/* User namespace: id maps (user_namespaces(7)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct userns_range {
	uint32_t container_id, host_id, size;
};

struct userns_req {
	const struct userns_range *uid, *gid;
	size_t n_uid, n_gid;
};

/*
 * Writes the maps of pid, which waits in its new user namespace. With privileges
 * directly; without, a map of one's own id directly (setgroups denied first, as the
 * kernel wants) and others by newuidmap(1) and newgidmap(1).
 */
int userns_write_maps(pid_t pid, const struct userns_req *req);

/* In the child, when the maps are there: become id 0 of the namespace, if it has one. */
int userns_become_root(void);

/* Is this process in the host's user namespace, where ids are what they are? What cannot be told: true. */
bool userns_is_initial(void);
