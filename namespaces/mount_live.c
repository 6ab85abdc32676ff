/* SPDX-License-Identifier: Apache-2.0 */
/* See mount_live.h. */
#include "namespaces/mount_live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/mount_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

/* name "": fd itself. -errno without a text; -ENOSYS: the kernel tells no ids. */
static int id_at(int fd, const char *name, uint64_t *ret_id)
{
	struct statx st;

	if (statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &st) < 0)
		return -errno;
	if (!(st.stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE)))
		return -ENOSYS;
	*ret_id = st.stx_mnt_id;
	return 0;
}

int mount_id(int fd, uint64_t *ret_id)
{
	int r = id_at(fd, "", ret_id);

	return r < 0 ? ERR(r, "cannot get the id of a mount") : 0;
}

static int add_bind(const struct mount_context *c, const struct mount_req *m, int tree)
{
	_cleanup_close_ int target = FD_NONE;
	struct stat st;
	int r;

	if (fstat(tree, &st) < 0)
		return ERR(-errno, "cannot look at the source of the mount at \"%s\"", m->target);
	r = mount_bind_target(c, m, st.st_mode, &target);
	return r < 0 ? r : mount_attach_at(m, tree, target);
}

/* fsconfig(2) takes 255 bytes of a value; its refusal would not say so. */
static int check_data(const struct mount_req *m)
{
	for (size_t i = 0; i < m->n_data; i++)
		if (strlen(m->data[i]) > 255)
			return ERR_PLAIN(-ENOTSUP, "cannot mount %s at \"%s\": an option has more than 255 bytes", m->fstype, m->target);
	return 0;
}

static int add_fs(const struct mount_context *c, const struct mount_req *in, int *ret_mount)
{
	_cleanup_covered_mode_ struct covered_mode mode = COVERED_MODE_NULL;
	_cleanup_close_ int mountfd = FD_NONE, target = FD_NONE;
	struct mount_req m = *in;
	int r = check_data(in);

	mount_options_fold(&m);
	if (str_eq(m.fstype, "cgroup"))
		m.fstype = "cgroup2";
	if (r == 0)
		r = mount_as_covered(c, &m, &mode);
	if (r == 0)
		r = mount_fs_target(c, &m, &target);
	/* Writable until it is filled; nobody sees it before. */
	if (r == 0)
		r = mount_fs(&m, m.attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY, &mountfd);
	if (r == 0 && m.copy_up)
		r = mount_fill_tmpfs(&m, target, mountfd);
	if (r < 0)
		return r;
	m.attr_set &= MOUNT_ATTR_RDONLY;
	m.attr_clr = 0;
	r = mount_tree_attributes(&m, mountfd, false);
	if (r < 0)
		return ERR(r, "cannot set the options of the mount at \"%s\"", m.target);
	r = mount_attach_at(&m, mountfd, target);
	*ret_mount = r == 0 ? take_fd(&mountfd) : FD_NONE;
	return r;
}

int mount_live_add(const struct mount_context *c, const struct mount_req *m, int tree, uint64_t *ret_id, int *ret_mount)
{
	int r;

	*ret_mount = FD_NONE;
	if (!m->bind) {
		r = add_fs(c, m, ret_mount);
		return r < 0 ? r : mount_id(*ret_mount, ret_id);
	}
	r = mount_id(tree, ret_id);
	if (r == 0)
		r = add_bind(c, m, tree);
	if (r == 0) {
		*ret_mount = fcntl(tree, F_DUPFD_CLOEXEC, 0);
		if (*ret_mount < 0)
			r = ERR(-errno, "cannot keep a mount in view");
	}
	return r;
}

/* umount2(2) knows names only: the one of an fd, in a procfs where the container has put nothing. Leaves the cwd there. */
static int umount_fd(int proc, int fd, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "self/fd/%d", fd);
	return fchdir(proc) < 0 || umount2(name, flags) < 0 ? -errno : 0;
}

void mount_live_undo(int proc, int mountfd)
{
	(void)umount_fd(proc, mountfd, MNT_DETACH);
}

/* Where fd is now, seen from our root: a name without symlinks, unless it is renamed meanwhile. */
static int name_of(int proc, int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "self/fd/%d", fd);
	n = readlinkat(proc, link, path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return path[0] == '/' && path[1] != '\0' ? 0 : -ENOENT;
}

/*
 * Not lazily: an fd of the mount would itself be a use of it. So by its name in its directory, which is held: the entry
 * that is mounted upon can neither be renamed nor replaced.
 */
static int umount_name(int root, char *path, uint64_t id)
{
	char *name = strrchr(path, '/');
	_cleanup_close_ int dir = FD_NONE;
	uint64_t there = 0;
	int r;

	*name++ = '\0';
	r = path_open(root, *path != '\0' ? path : "/", O_PATH | O_DIRECTORY, &dir);
	if (r == 0)
		r = id_at(dir, name, &there);
	if (r < 0)
		return r;
	if (there != id)
		return -ENOENT;
	return fchdir(dir) < 0 || umount2(name, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int mount_live_remove(int root, int proc, const char *target, uint64_t id, bool lazy)
{
	_cleanup_close_ int fd = FD_NONE;
	char path[PATH_MAX];
	uint64_t there = 0;
	int r = path_open(root, target, O_PATH, &fd);

	if (r == 0)
		r = id_at(fd, "", &there);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || (r == 0 && there != id))
		return ERR_PLAIN(-ENOENT, "the mount that was added at \"%s\" is not there any more, or covered", target);
	if (r == 0 && lazy) {
		r = umount_fd(proc, fd, MNT_DETACH);
	} else if (r == 0) {
		r = name_of(proc, fd, path);
		fd_close(&fd);
		if (r == 0)
			r = umount_name(root, path, id);
	}
	if (r == -EBUSY)
		return ERR_PLAIN(r, "the mount at \"%s\" is in use, or has others below it", target);
	return r < 0 ? ERR(r, "cannot remove the mount at \"%s\"", target) : 0;
}
