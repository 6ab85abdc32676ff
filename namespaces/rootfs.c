/* SPDX-License-Identifier: Apache-2.0 */
/* The root mount, and what is hidden in it. See mount.h. */
#include "namespaces/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"

int rootfs_open(const char *rootfs, int *ret_tree)
{
	int fd = open_tree(AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return ERR(-errno, "cannot open the root file system \"%s\"", rootfs);
	*ret_tree = fd;
	return 0;
}

int rootfs_attach(const char *rootfs, int tree)
{
	/* By path, in our own mount namespace: an fd from the runtime's namespace is no target here. */
	_cleanup_close_ int place = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct mount_attr attr = { .propagation = MS_SLAVE };
	int r;

	if (place < 0)
		return ERR(-errno, "cannot open the root file system \"%s\"", rootfs);
	/* The clone of a shared mount is its peer: as a slave, what is mounted below does not reach the host. */
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return ERR(-errno, "cannot isolate the root file system \"%s\"", rootfs);
	r = mount_attach(tree, place);
	if (r < 0)
		return ERR(r, "cannot attach the root file system \"%s\"", rootfs);
	return 0;
}

/* As pivot_root(2)'s manual has it: "." over ".", the old root lies on top and goes. */
static int pivot(void)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return ERR_HINT(ERR(-errno, "cannot pivot_root"), "a root on ramfs (an initramfs) needs --no-pivot");
	if (umount2(".", MNT_DETACH) < 0)
		return ERR(-errno, "cannot unmount the old root");
	return 0;
}

/*
 * MS_MOVE leaves the old root's mounts in the namespace, covered. A full /proc or /sys
 * there would let the container mount its own unmasked ones, so they go first.
 */
static int move(void)
{
	static const char *const host[] = { "/proc", "/sys" };

	for (size_t i = 0; i < 2; i++)
		if (umount2(host[i], MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
			return ERR(-errno, "cannot unmount the host's %s", host[i]);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return ERR(-errno, "cannot move the root file system to \"/\"");
	if (chroot(".") < 0)
		return ERR(-errno, "cannot chroot");
	return 0;
}

int rootfs_pivot(int root, bool no_pivot)
{
	int r;

	if (fchdir(root) < 0)
		return ERR(-errno, "cannot enter the root file system");
	r = no_pivot ? move() : pivot();
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return ERR(-errno, "cannot enter the new root");
	return 0;
}

int rootfs_chroot(int root)
{
	if (fchdir(root) < 0 || chroot(".") < 0)
		return ERR(-errno, "cannot chroot into the root file system");
	return 0;
}

int mask_open_null(int *ret_fd)
{
	struct stat st;
	_cleanup_close_ int fd = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) < 0)
		return ERR(-errno, "cannot open the host's /dev/null");
	/* CVE-2025-31133: something else in its place would be bound over what should be hidden. */
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return ERR_PLAIN(-EINVAL, "the host's /dev/null is not the null device");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* One read-only empty tmpfs serves all masked directories: the first takes it, the others a clone. */
static int mask_dir(int target, int *shared)
{
	static const char *const data[] = { "nr_blocks=1", "nr_inodes=1" };
	_cleanup_close_ int clone = FD_NONE;
	int r;

	if (*shared >= 0) {
		clone = open_tree(*shared, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
		return clone < 0 ? -errno : mount_attach(clone, target);
	}
	r = mount_new("tmpfs", "tmpfs", data, 2,
		      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, shared);
	return r < 0 ? r : mount_attach(*shared, target);
}

static int mask_file(int target, int host_null)
{
	_cleanup_close_ int clone = open_tree(host_null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return clone < 0 ? -errno : mount_attach(clone, target);
}

int mask_paths(int root, int host_null, const char *const *paths, size_t n)
{
	_cleanup_close_ int shared = FD_NONE;

	for (size_t i = 0; i < n; i++) {
		_cleanup_close_ int target = FD_NONE;
		struct stat st;
		int r = path_open(root, paths[i], O_PATH, &target);

		if (r == -ENOENT || r == -ENOTDIR)
			continue;	/* the target only: nothing there, nothing to hide */
		if (r == 0 && fstat(target, &st) < 0)
			r = -errno;
		if (r == 0)
			r = S_ISDIR(st.st_mode) ? mask_dir(target, &shared) : mask_file(target, host_null);
		if (r < 0)
			return ERR(r, "cannot mask \"%s\"", paths[i]);
	}
	return 0;
}

int readonly_paths(int root, const char *const *paths, size_t n)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	for (size_t i = 0; i < n; i++) {
		_cleanup_close_ int target = FD_NONE, tree = FD_NONE;
		int r = path_open(root, paths[i], O_PATH, &target);

		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		if (r == 0) {
			tree = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
			if (tree < 0 ||
			    mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
				r = -errno;
		}
		if (r == 0)
			r = mount_attach(tree, target);
		if (r < 0)
			return ERR(r, "cannot make \"%s\" read-only", paths[i]);
	}
	return 0;
}
