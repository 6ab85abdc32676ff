/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: found or made below the container's root, and a mount put on top. See mount_parts.h. */
#include "namespaces/mount_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

/*
 * The plan has refused places inside /proc by their names; a symlink of the image may lead there under another one, and
 * in a running container any place may be a procfs by now.
 */
static int refuse_proc(const struct mount_context *c, const struct mount_req *m, int target, bool links)
{
	struct statfs fs;

	if (!links && !c->live)
		return 0;
	if (fstatfs(target, &fs) < 0)
		return ERR(-errno, "cannot look at the mount point \"%s\"", m->target);
	if (fs.f_type == PROC_SUPER_MAGIC && (links || !(str_eq(m->target, "/proc") || str_starts(m->target, "/proc/"))))
		return ERR_PLAIN(-EPERM, "\"%s\" cannot be mounted because %s inside /proc", m->target,
				 links ? "a symlink leads it" : "it is");
	return 0;
}

/* proc and sysfs, and what says dest-nofollow, only on a real directory: a symlink there was CVE-2023-27561. */
int mount_fs_target(const struct mount_context *c, const struct mount_req *m, int *ret_fd)
{
	bool strict = m->dest_nofollow || str_eq(m->fstype, "proc") || str_eq(m->fstype, "sysfs"), links = false;
	int r;

	if (strict) {
		r = path_open(c->root, m->target, O_PATH | O_NOFOLLOW | O_DIRECTORY, ret_fd);
		if (r == -ENOTDIR || r == -ELOOP)
			return ERR_PLAIN(-ENOTDIR, "cannot mount %s at \"%s\": it must be mounted on ordinary directory, not on a symlink or a file",
					 m->fstype, m->target);
		if (r == 0)
			return 0;
	}
	r = path_mkdirs_links(c->root, m->target, 0755, ret_fd, &links);
	if (r < 0)
		return ERR(r, "cannot make the mount point \"%s\"", m->target);
	return refuse_proc(c, m, *ret_fd, links);
}

/* As path_mkdirs() and path_mkfile(), but a symlink in the last place is the mount point itself. */
static int nofollow_target(const struct mount_context *c, const struct mount_req *m, bool dir, int *ret_fd, bool *ret_links)
{
	_cleanup_close_ int parent = FD_NONE;
	char name[NAME_MAX + 1];
	int r = path_open_links(c->root, m->target, O_PATH | O_NOFOLLOW, ret_fd, ret_links);

	if (r != -ENOENT)
		return r;
	*ret_links = true;
	r = path_parent(c->root, m->target, 0755, &parent, name);
	if (r < 0)
		return r;
	if ((dir ? mkdirat(parent, name, 0755) : mknodat(parent, name, S_IFREG | 0644, 0)) < 0 && errno != EEXIST)
		return -errno;
	*ret_fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

int mount_bind_target(const struct mount_context *c, const struct mount_req *m, mode_t type, int *ret_fd)
{
	bool links = false;
	int r;

	if (m->dest_nofollow) {
		r = nofollow_target(c, m, S_ISDIR(type), ret_fd, &links);
	} else if (S_ISDIR(type)) {
		r = path_mkdirs_links(c->root, m->target, 0755, ret_fd, &links);
	} else {
		r = path_open_links(c->root, m->target, O_PATH, ret_fd, &links);
		if (r == -ENOENT) {
			links = true;	/* not asked: one more look then */
			r = path_mkfile(c->root, m->target, 0755, 0644, ret_fd);
		}
	}
	if (r < 0)
		return ERR(r, "cannot make the mount point \"%s\"", m->target);
	return refuse_proc(c, m, *ret_fd, links);
}

int mount_copy_symlink(const struct mount_context *c, const struct mount_req *m, int link)
{
	_cleanup_close_ int parent = FD_NONE;
	char name[NAME_MAX + 1], to[PATH_MAX] = "", there[PATH_MAX] = "";
	struct statfs fs;
	int r = path_parent(c->root, m->target, 0755, &parent, name);

	if (r < 0)
		return ERR(r, "cannot make the directory of the symlink \"%s\"", m->target);
	if (fstatfs(parent, &fs) < 0 || readlinkat(link, "", to, sizeof(to) - 1) < 0)
		return ERR(-errno, "cannot copy the symlink \"%s\" to \"%s\"", m->source, m->target);
	if (fs.f_type == PROC_SUPER_MAGIC)
		return ERR_PLAIN(-EPERM, "\"%s\" cannot be made because a symlink leads it inside /proc", m->target);
	if (symlinkat(to, parent, name) == 0)
		return 0;
	if (errno != EEXIST)
		return ERR(-errno, "cannot make the symlink \"%s\"", m->target);
	if (readlinkat(parent, name, there, sizeof(there) - 1) < 0 || !str_eq(to, there))
		return ERR_PLAIN(-EEXIST, "cannot copy the symlink \"%s\" to \"%s\": something else is there", m->source, m->target);
	return 0;
}

int mount_attach(int mountfd, int target)
{
	if (move_mount(mountfd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

int mount_attach_at(const struct mount_req *m, int mountfd, int target)
{
	int r = mount_attach(mountfd, target);

	/* move_mount(2) has one word for many things. docker knows this error by its last words, as mount(2) has it (daemon/errors.go). */
	if (r == -EINVAL && is_directory(mountfd) != is_directory(target))
		return ERR_PLAIN(-ENOTDIR, "cannot mount \"%s\" at \"%s\": one is a directory, the other is none: not a directory",
				 m->bind ? m->source : m->fstype, m->target);
	if (r < 0)
		return ERR(r, "cannot mount %s%s%s at \"%s\"", m->bind ? "\"" : "",
			   m->bind ? m->source : m->fstype, m->bind ? "\"" : "", m->target);
	return 0;
}
