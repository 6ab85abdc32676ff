/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one mount, for mount.c and mount_live.c. Private to namespaces/mount*.c. Errors have a text unless it says else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "namespaces/mount.h"

/* The mount point, made if it is missing: of a file system, of a bind mount whose source has this file type. O_PATH. */
int mount_fs_target(const struct mount_context *c, const struct mount_req *m, int *ret_fd);
int mount_bind_target(const struct mount_context *c, const struct mount_req *m, mode_t type, int *ret_fd);

/* A new file system, detached, with these MOUNT_ATTR_*; with the kernel's own words when it refuses. */
int mount_fs(const struct mount_req *m, uint64_t attrs, int *ret_fd);
/* Of m's options those that a new mount cannot be born with: propagation, and what holds for all below. mountfd: that mount. */
int mount_fs_rest(const struct mount_req *m, int mountfd);
/* A new file system at its mount point, with all its options, by the shorter of the two ways that can (mount_fs(), mount(2)). */
int mount_fs_at(const struct mount_context *c, const struct mount_req *m);

/* remount: of the mount that is at the target; data and superblock flags when there are any. */
int mount_remount(const struct mount_context *c, const struct mount_req *m);

/* copy-symlink: no mount, the same symlink as link's (O_PATH) at the target. What is there already must be just that. */
int mount_copy_symlink(const struct mount_context *c, const struct mount_req *m, int link);

/* The words of m about attributes and propagation. No text. */
int mount_tree_attributes(const struct mount_req *m, int tree, bool default_slave);

/*
 * A tmpfs whose options say no mode gets that of the directory it covers, as with other runtimes: tmpfs' own is 1777, which would
 * open a home to everybody. m: the caller's own copy, which points into keep then. One whose mount point is yet to be made is
 * left as it is.
 */
struct covered_mode {
	char option[16];
	const char **data;
};

#define COVERED_MODE_NULL { "", NULL }

int mount_as_covered(const struct mount_context *c, struct mount_req *m, struct covered_mode *keep);
void covered_mode_deinit(struct covered_mode *keep);
#define _cleanup_covered_mode_ __attribute__((cleanup(covered_mode_deinit)))

/* tmpcopyup: of what is below from. */
int mount_fill_tmpfs(const struct mount_req *m, int from, int to);

/* A detached mount on top of its mount point, which is of the same kind (directory or not). */
int mount_attach_at(const struct mount_req *m, int mountfd, int target);
