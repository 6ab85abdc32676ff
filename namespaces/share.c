/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. */
#include "namespaces/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sys.h"

#define SHARE_ROOTFS "rootfs"
#define SHARE_MOUNTS "mounts"

/* The place for a tree: a directory for a directory, a file for anything else. */
static int make_place(int dir, const char *name, int tree, int *ret_fd)
{
	struct stat st;

	if (fstat(tree, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		if (mkdirat(dir, name, 0755) < 0)
			return -errno;
	} else if (mknodat(dir, name, S_IFREG | 0644, 0) < 0) {
		return -errno;
	}
	*ret_fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static int put(int dir, const char *name, int tree)
{
	_cleanup_close_ int place = FD_NONE;
	int r = make_place(dir, name, tree, &place);

	return r < 0 ? r : mount_attach(tree, place);
}

/* Hooks know the root file system by the path that it has outside. */
static int lay_rootfs(int top, const struct share_req *q)
{
	_cleanup_close_ int place = FD_NONE, at = FD_NONE;
	int r;

	if (q->rootfs < 0)
		return 0;
	if (q->rootfs_at == NULL)
		return put(top, SHARE_ROOTFS, q->rootfs);
	r = make_place(top, SHARE_ROOTFS, q->rootfs, &place);
	if (r < 0)
		return r;
	at = open(q->rootfs_at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? -errno : mount_attach(q->rootfs, at);
}

static int put_entries(int top, const struct share_req *q)
{
	_cleanup_close_ int mounts = FD_NONE;
	char name[24];

	if (mkdirat(top, SHARE_MOUNTS, 0755) < 0)
		return ERR(-errno, "cannot make the tree for the virtual machine");
	mounts = openat(top, SHARE_MOUNTS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mounts < 0)
		return ERR(-errno, "cannot make the tree for the virtual machine");
	for (size_t i = 0; i < q->n_entries; i++) {
		int r;

		snprintf(name, sizeof(name), "%zu", q->entries[i].index);
		r = put(mounts, name, q->entries[i].tree);
		if (r < 0)
			return ERR(r, "cannot put the source of mounts[%zu] into the tree for the virtual machine",
				   q->entries[i].index);
	}
	return 0;
}

int share_build(const struct share_req *q)
{
	static const char *const data[] = { "mode=0755", "size=1m" };
	_cleanup_close_ int top = FD_NONE, dir = FD_NONE;
	int r = mount_isolate(MS_SLAVE);

	if (r < 0)
		return r;
	r = mount_new("tmpfs", "nacre", data, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &top);
	if (r < 0)
		return ERR(r, "cannot make the tree for the virtual machine");
	dir = open(q->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return ERR(-errno, "cannot open \"%s\"", q->dir);
	r = mount_attach(top, dir);
	if (r < 0)
		return ERR(r, "cannot mount the tree for the virtual machine at \"%s\"", q->dir);
	r = lay_rootfs(top, q);
	if (r < 0)
		return ERR(r, "cannot put the root file system into the tree for the virtual machine");
	r = put_entries(top, q);
	if (r < 0)
		return r;
	r = mount_set_readonly(top);
	return r < 0 ? ERR(r, "cannot seal the tree for the virtual machine") : 0;
}

int share_take_rootfs(const struct share_req *q)
{
	_cleanup_close_ int dir = FD_NONE, place = FD_NONE, at = FD_NONE;
	int r;

	if (q->rootfs < 0 || q->rootfs_at == NULL)
		return 0;
	dir = open(q->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	place = dir < 0 ? -1 : openat(dir, SHARE_ROOTFS, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Opened anew: what was mounted over it is what counts. */
	at = open(q->rootfs_at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0 || at < 0)
		return ERR(-errno, "cannot find the root file system at \"%s\" after the hooks", q->rootfs_at);
	r = mount_attach(at, place);
	return r < 0 ? ERR(r, "cannot move the root file system from \"%s\" into the tree for the virtual machine", q->rootfs_at) : 0;
}

int share_enter_and_seal(int pidfd, bool user_ns)
{
	_cleanup_close_ int root = FD_NONE;
	int r;

	/* The file server is the root of its namespace, and so are we after this: "/" is the tree. */
	if (setns(pidfd, CLONE_NEWNS | (user_ns ? CLONE_NEWUSER : 0)) < 0)
		return ERR(-errno, "cannot enter the file server's mount namespace");
	root = open("/" SHARE_ROOTFS, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0)
		return ERR(-errno, "cannot find the root file system in the file server's tree");
	r = mount_set_readonly(root);
	return r < 0 ? ERR(r, "cannot make the root file system read-only for the virtual machine") : 0;
}
