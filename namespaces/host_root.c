/* SPDX-License-Identifier: Apache-2.0 */
/* See host_root.h. */
#include "namespaces/host_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "namespaces/mount_live.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

static int make_private(int tree)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE };

	return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0
		       ? ERR(-errno, "cannot make the mounts of the root file system private") : 0;
}

/* Covered by a mount, the host's root would be out of reach for every path that begins there. */
static int check_not_host(const char *rootfs)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t root_id = 0, id = 0;
	struct stat a, b;
	int r;

	if (root < 0 || fd < 0 || fstat(root, &a) < 0 || fstat(fd, &b) < 0)
		return ERR(-errno, "config.json: root.path: cannot open the root file system \"%s\"", rootfs);
	r = mount_id(root, &root_id);
	if (r == 0)
		r = mount_id(fd, &id);
	if (r < 0)
		return r;
	if (id == root_id && a.st_ino == b.st_ino)
		return ERR_PLAIN(-EINVAL, "config.json: root.path: the host's root needs a mount namespace, or no mounts");
	return 0;
}

int host_root_open(const char *rootfs, int *ret_tree, uint64_t *ret_id)
{
	_cleanup_close_ int tree = FD_NONE;
	int r = check_not_host(rootfs);

	if (r == 0)
		r = rootfs_open(rootfs, &tree);
	if (r == 0)
		r = make_private(tree);
	if (r == 0)
		r = mount_id(tree, ret_id);
	if (r == 0)
		*ret_tree = take_fd(&tree);
	return r;
}

int host_root_attach(const char *rootfs, int tree)
{
	if (move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0)
		return ERR(-errno, "cannot attach the root file system \"%s\"", rootfs);
	/* On a shared mount it has become shared itself. */
	return make_private(tree);
}

int host_root_remove(const char *rootfs, uint64_t id)
{
	_cleanup_close_ int fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t there = 0;
	char name[64];
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : ERR(-errno, "cannot open the root file system \"%s\"", rootfs);
	r = mount_id(fd, &there);
	if (r < 0 || there != id)
		return r;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return umount2(name, MNT_DETACH) < 0 ? ERR(-errno, "cannot unmount the root file system \"%s\"", rootfs) : 0;
}
