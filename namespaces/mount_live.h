/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that come to a container that runs, and go from it. The caller is a process of the runtime's in its mount and user
 * namespace, not in its pid namespace, and c->live is set.
 *
 * The container is hostile and at work meanwhile: each name in its tree may be swapped for a symlink or another directory
 * between two looks. What is added goes fd to fd, as mount.h has it. What is removed is known by the kernel's id of the mount,
 * never by its name alone: a container that moves a mask or a read-only mount to where a mount is to be removed keeps it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "namespaces/mount.h"

/*
 * STATX_MNT_ID_UNIQUE (6.8), else STATX_MNT_ID: that one may be another mount's, later, but only where the container may
 * mount by itself. -errno with text.
 */
int mount_id(int fd, uint64_t *ret_id);

/*
 * Mounts m. tree: mount_open_tree()'s, for a bind mount; it stays the caller's. *ret_mount refers to the mount, close-on-exec,
 * for mount_live_undo(). -ENOTSUP for what only mount(2) can.
 */
int mount_live_add(const struct mount_context *c, const struct mount_req *m, int tree, uint64_t *ret_id, int *ret_mount);

/* Takes what mount_live_add() made away again. proc: procfs_open()'s. Best effort. */
void mount_live_undo(int proc, int mountfd);

/*
 * Removes the mount that is at target, which must be this one: -ENOENT when it is not there (any more), -EBUSY when another
 * covers it, when it is used, or has mounts below it; with lazy (MNT_DETACH) only the first of these.
 */
int mount_live_remove(int root, int proc, const char *target, uint64_t id, bool lazy);
