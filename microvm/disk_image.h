/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw image with a file system, for a machine's disk: opened with care, and known by its superblock. The bytes are the
 * image's maker's; all that is done with them is to compare a few at fixed places, so that what no guest could mount is
 * refused before a machine is started. They never choose how the image is read: it is raw, whatever it looks like.
 */
#pragma once

#include <stdbool.h>

struct disk_image {
	int fd;
	const char *file_system;	/* as mount(2) names it: ext4 (ext2 and ext3, too), xfs, btrfs, erofs, squashfs */
};

/*
 * A regular file or a block device; the last part of path is no symlink, and a block device is not in use. Locked (flock(2)),
 * so that no two machines write to the same file system, nor one while others read: the lock is the open description's and
 * ends with its last descriptor. *ret's fd is the caller's, close-on-exec. -EINVAL (what it is, what is in it), -EBUSY (it is
 * in use), -errno, with text.
 */
int disk_image_open(const char *path, bool read_only, struct disk_image *ret);
