/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id-mapped mounts (mount_setattr(2), MOUNT_ATTR_IDMAP, 5.12). The kernel takes the maps from a user namespace,
 * which must exist although nobody lives in it: a process is born into it, hands out the namespace's fd and ends.
 *
 * In a mount's maps container_id is the owner in the source's file system, and host_id whom the mount shows in its place,
 * as the runtime's own user namespace counts. So the maps of a container's user namespace show its own ids to it.
 */
#pragma once

#include "namespaces/mount_options.h"
#include "namespaces/userns.h"

/*
 * A user namespace with just these maps, alive as long as *ret_fd (close-on-exec). No process is left, whether it
 * succeeds or not.
 */
int idmap_userns(const struct userns_req *maps, int *ret_fd);

/*
 * Gives the detached tree of a bind mount (mount_open_tree()) the maps of a user namespace: to its top, or with
 * ridmap to all of it. What the kernel refuses (-EINVAL: a file system that cannot do it; -EPERM) gets a text.
 */
int idmap_apply(const struct mount_req *m, int tree, int userns);

/* The user namespace of the id-mapped mount before: most often the next has the same maps. */
struct idmap_memory {
	const struct userns_req *maps;
	int userns;
};

#define IDMAP_MEMORY_NULL { .maps = NULL, .userns = -1 }

/* idmap_apply() with the mount's own maps, or with those of a user namespace that is joined. */
int idmap_tree(const struct mount_req *m, int tree, int joined, struct idmap_memory *last);
void idmap_memory_deinit(struct idmap_memory *m);
#define _cleanup_idmap_memory_ __attribute__((cleanup(idmap_memory_deinit)))
