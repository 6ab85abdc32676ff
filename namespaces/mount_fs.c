/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system anew, or with other options: by a file system context (fsopen(2)), or by mount(2) where that is shorter or the only
 * way. See mount_parts.h.
 */
#include "namespaces/mount_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

/* strndup_user() in fsconfig(2) takes at most this many bytes of a value. */
#define FSCONFIG_VALUE_MAX 255

static const struct {
	uint32_t flag;
	const char *set, *clear;
	unsigned long ms;
} sb_flags[] = {
	{ MOUNT_SB_SYNC, "sync", "async", MS_SYNCHRONOUS },
	{ MOUNT_SB_DIRSYNC, "dirsync", NULL, MS_DIRSYNC },
	{ MOUNT_SB_LAZYTIME, "lazytime", "nolazytime", MS_LAZYTIME },
	{ MOUNT_SB_MAND, "mand", "nomand", MS_MANDLOCK },
	{ MOUNT_SB_IVERSION, NULL, NULL, MS_I_VERSION },
	{ MOUNT_SB_SILENT, NULL, NULL, MS_SILENT },
};

static const struct {
	uint64_t attr;
	unsigned long ms;
} legacy_attrs[] = {
	{ MOUNT_ATTR_RDONLY, MS_RDONLY },	{ MOUNT_ATTR_NOSUID, MS_NOSUID },
	{ MOUNT_ATTR_NODEV, MS_NODEV },		{ MOUNT_ATTR_NOEXEC, MS_NOEXEC },
	{ MOUNT_ATTR_NOATIME, MS_NOATIME },	{ MOUNT_ATTR_STRICTATIME, MS_STRICTATIME },
	{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME }, { MOUNT_ATTR_NOSYMFOLLOW, 256 /* MS_NOSYMFOLLOW */ },
};

/* ---- by a context ---- */

/*
 * The kernel explains a refused option in the file system context's own log
 * ("e tmpfs: Bad value for 'size'"): worth more than "Invalid argument".
 */
static int context_error(int fsfd, int code, const char *fstype, const char *target)
{
	char line[512];
	ssize_t n = read(fsfd, line, sizeof(line) - 1);

	if (n <= 2)
		return ERR(code, "cannot mount %s at \"%s\"", fstype, target);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return ERR(code, "cannot mount %s at \"%s\": %s", fstype, target, line + 2);
}

static int context_option(int fsfd, const char *word)
{
	const char *eq = strchr(word, '=');
	char key[128];

	if (eq == NULL)
		return fsconfig(fsfd, FSCONFIG_SET_FLAG, word, NULL, 0);
	if ((size_t)(eq - word) >= sizeof(key)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(key, word, (size_t)(eq - word));
	key[eq - word] = '\0';
	return fsconfig(fsfd, FSCONFIG_SET_STRING, key, eq + 1, 0);
}

static int context_sb_flags(int fsfd, const struct mount_req *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(sb_flags); i++) {
		const char *word = NULL;

		if (m->sb_set & sb_flags[i].flag)
			word = sb_flags[i].set;
		else if (m->remount && (m->sb_clr & sb_flags[i].flag))
			word = sb_flags[i].clear;
		if (word != NULL && fsconfig(fsfd, FSCONFIG_SET_FLAG, word, NULL, 0) < 0)
			return -1;
	}
	return 0;
}

int mount_new(const char *fstype, const char *source, const char *const *data, size_t n_data, unsigned int attrs,
	      int *ret_fd)
{
	_cleanup_close_ int fsfd = fsopen(fstype, FSOPEN_CLOEXEC);

	if (fsfd < 0)
		return -errno;
	if (source != NULL && fsconfig(fsfd, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return -errno;
	for (size_t i = 0; i < n_data; i++)
		if (context_option(fsfd, data[i]) < 0)
			return -errno;
	if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	*ret_fd = fsmount(fsfd, FSMOUNT_CLOEXEC, attrs);
	return *ret_fd < 0 ? -errno : 0;
}

int mount_fs(const struct mount_req *m, uint64_t attrs, int *ret_fd)
{
	const char *fstype = m->fstype;
	_cleanup_close_ int fsfd = fsopen(fstype, FSOPEN_CLOEXEC);

	if (fsfd < 0)
		return ERR(-errno, "cannot mount %s at \"%s\"", fstype, m->target);
	if (m->source != NULL && fsconfig(fsfd, FSCONFIG_SET_STRING, "source", m->source, 0) < 0)
		return context_error(fsfd, -errno, fstype, m->target);
	for (size_t i = 0; i < m->n_data; i++)
		if (context_option(fsfd, m->data[i]) < 0)
			return context_error(fsfd, -errno, fstype, m->target);
	if (context_sb_flags(fsfd, m) < 0)
		return context_error(fsfd, -errno, fstype, m->target);
	if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_error(fsfd, -errno, fstype, m->target);
	*ret_fd = fsmount(fsfd, FSMOUNT_CLOEXEC, (unsigned int)attrs);
	if (*ret_fd < 0)
		return ERR(-errno, "cannot mount %s at \"%s\"", fstype, m->target);
	return 0;
}

int mount_remount(const struct mount_context *c, const struct mount_req *m)
{
	_cleanup_close_ int target = FD_NONE, fsfd = FD_NONE;
	int r = path_open(c->root, m->target, O_PATH, &target);

	if (r == 0)
		r = mount_tree_attributes(m, target, false);
	if (r < 0)
		return ERR(r, "cannot remount \"%s\"", m->target);
	if (m->bind || (m->n_data == 0 && m->sb_set == 0 && m->sb_clr == 0))
		return 0;
	fsfd = fspick(target, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
	if (fsfd < 0)
		return ERR(-errno, "cannot remount \"%s\"", m->target);
	for (size_t i = 0; i < m->n_data; i++)
		if (context_option(fsfd, m->data[i]) < 0)
			return context_error(fsfd, -errno, "(remount)", m->target);
	if (context_sb_flags(fsfd, m) < 0 || fsconfig(fsfd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return context_error(fsfd, -errno, "(remount)", m->target);
	return 0;
}

/* ---- by mount(2) ---- */

/*
 * mount(2) onto ".", after fchdir(2) to the target's fd: as safe as move_mount(2), since no path of the image
 * is resolved, and two calls in place of six and more. It cannot say why it refused, nor
 * what is listed here; both are the new API's.
 */
static bool mount2_can(const struct mount_req *m)
{
	for (size_t i = 0; i < m->n_data; i++)
		if (strchr(m->data[i], ',') != NULL)	/* its data is one text with commas between */
			return false;
	return true;
}

/* What only mount(2) can: iversion, and values past fsconfig's limit (overlay's lowerdir). */
static bool mount2_must(const struct mount_req *m)
{
	if (m->sb_set & MOUNT_SB_IVERSION)
		return true;
	for (size_t i = 0; i < m->n_data; i++) {
		const char *eq = strchr(m->data[i], '=');

		if (eq != NULL && strlen(eq + 1) > FSCONFIG_VALUE_MAX)
			return true;
	}
	return false;
}

/* Leaves the working directory at the target; rootfs_pivot() sets it anew. -errno without a text. */
static int mount2_at(const struct mount_req *m, const char *fstype, int target)
{
	_cleanup_buf_ struct buf data = BUF_NULL;
	unsigned long flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(legacy_attrs); i++)
		if (m->attr_set & legacy_attrs[i].attr)
			flags |= legacy_attrs[i].ms;
	for (size_t i = 0; i < ARRAY_SIZE(sb_flags); i++)
		if (m->sb_set & sb_flags[i].flag)
			flags |= sb_flags[i].ms;
	for (size_t i = 0; i < m->n_data; i++)
		buf_printf(&data, "%s%s", i > 0 ? "," : "", m->data[i]);
	if (data.failed)
		return -ENOMEM;
	if (fchdir(target) < 0 || mount(m->source != NULL ? m->source : "none", ".", fstype, flags, data.data) < 0)
		return -errno;
	return 0;
}

/* Of the options those that mount(2) has no flags for. */
static bool mount2_lacks(const struct mount_req *m)
{
	return m->n_propagation > 0 || m->rattr_set != 0 || m->rattr_clr != 0 || m->label != NULL;
}

/* The descriptor of a mount is one of a path only, which takes no attributes of files. */
static int label_root(const struct mount_req *m, int mountfd)
{
	_cleanup_close_ int fd = openat(mountfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsetxattr(fd, "security.selinux", m->label, strlen(m->label), 0) < 0)
		return ERR(-errno, "cannot give the mount at \"%s\" the SELinux label \"%s\"", m->target, m->label);
	return 0;
}

int mount_fs_rest(const struct mount_req *m, int mountfd)
{
	struct mount_req rest = *m;
	int r;

	rest.attr_set = rest.attr_clr = 0;
	r = mount_tree_attributes(&rest, mountfd, false);
	if (r < 0)
		return ERR(r, "cannot set the options of the mount at \"%s\"", m->target);
	return m->label != NULL ? label_root(m, mountfd) : 0;
}

/* These, at the mount that mount(2) has made; it has given no descriptor, so the mount is found by its place. */
static int mount2_finish(const struct mount_context *c, const struct mount_req *m)
{
	_cleanup_close_ int mountfd = FD_NONE;
	int r = path_open(c->root, m->target, O_PATH | O_DIRECTORY, &mountfd);

	return r < 0 ? ERR(r, "cannot set the options of the mount at \"%s\"", m->target) : mount_fs_rest(m, mountfd);
}

int mount_fs_at(const struct mount_context *c, const struct mount_req *m)
{
	_cleanup_close_ int mountfd = FD_NONE;
	int target = FD_NONE, r = mount_fs_target(c, m, &target);

	if (r < 0)
		return r;
	if (mount2_can(m) && (!mount2_lacks(m) || mount2_must(m))) {
		/* The target's fd stays open: see "fds" in mount.h. */
		r = mount2_at(m, m->fstype, target);
		if (r == 0)
			return mount2_lacks(m) ? mount2_finish(c, m) : 0;
	}
	if (mount2_must(m))
		return ERR(r < 0 ? r : -EINVAL, "cannot mount %s at \"%s\"", m->fstype, m->target);
	r = mount_fs(m, m->attr_set, &mountfd);
	if (r == 0)
		r = mount_fs_rest(m, mountfd);
	return r < 0 ? r : mount_attach_at(m, mountfd, target);
}
