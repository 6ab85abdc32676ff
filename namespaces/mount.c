/* SPDX-License-Identifier: Apache-2.0 */
/* See mount.h. */
#include "namespaces/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "namespaces/mount_parts.h"
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

static int set_attr(int fd, unsigned int flags, uint64_t set, uint64_t clr, uint64_t propagation)
{
	struct mount_attr attr = {
		.attr_set = set,
		.attr_clr = clr,
		.propagation = propagation,
	};

	if (mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0)
		return -errno;
	return 0;
}

int mount_attach(int mountfd, int target)
{
	if (move_mount(mountfd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int mount_set_readonly(int mountfd)
{
	return set_attr(mountfd, 0, MOUNT_ATTR_RDONLY, 0, 0);
}

int mount_attrs(int fd, uint64_t *ret_attrs)
{
	static const struct {
		unsigned long flag;
		uint64_t attr;
	} flags[] = {
		{ ST_RDONLY, MOUNT_ATTR_RDONLY },	{ ST_NOSUID, MOUNT_ATTR_NOSUID },
		{ ST_NODEV, MOUNT_ATTR_NODEV },		{ ST_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ ST_NOATIME, MOUNT_ATTR_NOATIME },	{ ST_NODIRATIME, MOUNT_ATTR_NODIRATIME },
		{ 8192 /* ST_NOSYMFOLLOW */, MOUNT_ATTR_NOSYMFOLLOW },
	};
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return ERR(-errno, "cannot read the flags of a mount");
	*ret_attrs = (v.f_flag & (ST_NOATIME | ST_RELATIME)) == 0 ? MOUNT_ATTR_STRICTATIME : 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (v.f_flag & flags[i].flag)
			*ret_attrs |= flags[i].attr;
	return 0;
}

int mount_isolate(unsigned long flag)
{
	if (mount(NULL, "/", NULL, flag | MS_REC, NULL) < 0)
		return ERR(-errno, "cannot change the propagation of the host's mounts");
	return 0;
}

int mount_root_propagation(unsigned long flag)
{
	if (mount(NULL, "/", NULL, flag, NULL) < 0)
		return ERR(-errno, "cannot set rootfsPropagation");
	return 0;
}

/* The words of propagation, in order, when all was well until here. */
static int propagate(const struct mount_req *m, int tree, int r)
{
	for (size_t i = 0; r == 0 && i < m->n_propagation; i++)
		r = set_attr(tree, m->propagation[i] & MS_REC ? AT_RECURSIVE : 0, 0, 0,
			     m->propagation[i] & ~(uint64_t)MS_REC);
	return r;
}

/* Attributes and propagation of a tree; as few calls as the combination allows. */
int mount_tree_attributes(const struct mount_req *m, int tree, bool default_slave)
{
	unsigned int rec = m->recursive ? AT_RECURSIVE : 0;
	uint64_t slave = default_slave && m->n_propagation == 0 ? MS_SLAVE : 0;
	bool own = m->attr_set != 0 || m->attr_clr != 0;
	bool tree_wide = m->rattr_set != 0 || m->rattr_clr != 0;
	int r = 0;

	if (own && !rec && !tree_wide)
		return propagate(m, tree, set_attr(tree, 0, m->attr_set, m->attr_clr, slave));
	if (tree_wide || slave != 0)
		r = set_attr(tree, tree_wide ? AT_RECURSIVE : rec, m->rattr_set, m->rattr_clr, slave);
	if (r == 0 && own)
		r = set_attr(tree, 0, m->attr_set, m->attr_clr, 0);
	return propagate(m, tree, r);
}

/*
 * In a user namespace the flags that a mount brings from outside are locked: words that do not ask to clear them leave them
 * as they are, one that does is told which it was (mount_setattr(2), EPERM).
 */
static int options_error(const struct mount_req *m, int tree, int r)
{
	static const struct {
		uint64_t attr;
		const char *word;
	} lockable[] = { { MOUNT_ATTR_RDONLY, "ro" }, { MOUNT_ATTR_NOSUID, "nosuid" }, { MOUNT_ATTR_NODEV, "nodev" },
			 { MOUNT_ATTR_NOEXEC, "noexec" } };
	uint64_t has = 0;

	if (r == -EPERM && mount_attrs(tree, &has) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(lockable); i++)
			if ((m->attr_clr | m->rattr_clr) & has & lockable[i].attr)
				return ERR_PLAIN(r, "cannot mount \"%s\" at \"%s\": the source is mounted %s, and this user namespace "
						 "may not take that away", m->source, m->target, lockable[i].word);
	return ERR(r, "cannot set the options of the mount \"%s\" at \"%s\"", m->source, m->target);
}

int mount_open_tree(const struct mount_req *m, int *ret_tree)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (m->recursive ? AT_RECURSIVE : 0) |
			     (m->src_nofollow || m->copy_symlink ? AT_SYMLINK_NOFOLLOW : 0);
	_cleanup_close_ int tree = open_tree(AT_FDCWD, m->source, flags);
	int r;

	if (tree < 0)
		return ERR(-errno, "cannot mount \"%s\" at \"%s\"", m->source, m->target);
	r = mount_tree_attributes(m, tree, true);
	if (r < 0)
		return options_error(m, tree, r);
	*ret_tree = take_fd(&tree);
	return 0;
}

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

/* The detached mount of a file system; with the kernel's own words when it refuses. */
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
	return m->n_propagation > 0 || m->rattr_set != 0 || m->rattr_clr != 0;
}

/* These, at the mount that mount(2) has made; it has given no descriptor, so the mount is found by its place. */
static int mount2_finish(const struct mount_context *c, const struct mount_req *m)
{
	struct mount_req rest = *m;
	_cleanup_close_ int mountfd = FD_NONE;
	int r = path_open(c->root, m->target, O_PATH | O_DIRECTORY, &mountfd);

	rest.attr_set = rest.attr_clr = 0;
	if (r == 0)
		r = mount_tree_attributes(&rest, mountfd, false);
	return r < 0 ? ERR(r, "cannot set the options of the mount at \"%s\"", m->target) : 0;
}

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
			return ERR_PLAIN(-ENOTDIR, "cannot mount %s at \"%s\": it is not a real directory in the root file system",
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

/* copy-symlink: no mount, the same symlink at the target. What is there already must be just that. */
static int copy_symlink(const struct mount_context *c, const struct mount_req *m, int link)
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

static int bind_apply(const struct mount_context *c, const struct mount_req *m, int tree)
{
	_cleanup_close_ int own = FD_NONE, target = FD_NONE;
	struct stat st;
	int r;

	if (tree < 0) {
		r = mount_open_tree(m, &own);
		if (r < 0)
			return r;
		tree = own;
	}
	if (fstat(tree, &st) < 0)
		return ERR(-errno, "cannot look at the source of the mount at \"%s\"", m->target);
	if (m->copy_symlink && S_ISLNK(st.st_mode))
		return copy_symlink(c, m, tree);
	r = mount_bind_target(c, m, st.st_mode, &target);
	if (r < 0)
		return r;
	return mount_attach_at(m, tree, target);
}

/* remount: of the mount that is at the target; data and superblock flags when there are any. */
static int remount_apply(const struct mount_context *c, const struct mount_req *m)
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

/* A file system anew, by the shorter of the two ways that can. */
static int fs_mount_at(const struct mount_context *c, const struct mount_req *m)
{
	_cleanup_close_ int mountfd = FD_NONE;
	struct mount_req rest = *m;
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
	if (r < 0)
		return r;
	rest.attr_set = rest.attr_clr = 0;
	r = mount_tree_attributes(&rest, mountfd, false);
	if (r < 0)
		return ERR(r, "cannot set the options of the mount at \"%s\"", m->target);
	return mount_attach_at(m, mountfd, target);
}

/* A host tree in place of a file system that this user namespace may not mount anew. */
static int bind_instead(const struct mount_context *c, const struct mount_req *m, const char *host)
{
	struct mount_req b = *m;
	_cleanup_close_ int tree = FD_NONE, target = FD_NONE;
	int r;

	b.bind = b.recursive = true;
	b.source = host;
	/* What is asked of a mount of its own is asked of all that the host has below its: debugfs, tracefs, cgroups. */
	b.rattr_set |= m->attr_set & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	b.attr_set &= ~b.rattr_set;
	tree = open_tree(AT_FDCWD, host, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return ERR(-errno, "cannot mount \"%s\" at \"%s\"", host, m->target);
	r = mount_tree_attributes(&b, tree, true);
	if (r < 0)
		return ERR(r, "cannot set the options of the mount at \"%s\"", m->target);
	r = mount_fs_target(c, m, &target);
	if (r < 0)
		return r;
	return mount_attach_at(&b, tree, target);
}

/*
 * type cgroup (or cgroup2): a mount of the v2 tree. Without a cgroup namespace of its own the container
 * would see, and as root write, the host's whole tree (CVE-2023-25809): it gets its own cgroup's directory, bound.
 */
static int cgroup_apply(const struct mount_context *c, const struct mount_req *m)
{
	struct mount_req v2 = *m;

	v2.fstype = "cgroup2";
	if (!c->cgroup_ns && c->cgroup_dir != NULL)
		return bind_instead(c, &v2, c->cgroup_dir);
	/*
	 * Neither a cgroup nor a namespace of its own: a new mount would reset the host's cgroup2 options (nsdelegate…),
	 * so the host's is shown, read-only.
	 */
	if (!c->cgroup_ns) {
		/* v1 hierarchies below it, too; whatever an option says */
		v2.attr_set |= MOUNT_ATTR_RDONLY;
		v2.rattr_set |= MOUNT_ATTR_RDONLY;
		v2.attr_clr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
		v2.rattr_clr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
		return bind_instead(c, &v2, "/sys/fs/cgroup");
	}
	return fs_mount_at(c, &v2);
}

/* A tmpfs that is filled before it is seen; a read-only one stays writable until what is below has its mount points. */
static int tmpfs_apply(const struct mount_context *c, const struct mount_req *m, int *ret_late_ro)
{
	_cleanup_close_ int mountfd = FD_NONE, target = FD_NONE;
	struct mount_req rest = *m;
	int r = mount_fs_target(c, m, &target);

	if (r == 0)
		r = mount_fs(m, m->attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY, &mountfd);
	if (r == 0 && m->copy_up)
		r = mount_fill_tmpfs(m, target, mountfd);
	if (r < 0)
		return r;
	rest.attr_set = rest.attr_clr = 0;
	r = mount_tree_attributes(&rest, mountfd, false);
	if (r < 0)
		return ERR(r, "cannot set the options of the mount at \"%s\"", m->target);
	r = mount_attach_at(m, mountfd, target);
	if (r == 0 && (m->attr_set & MOUNT_ATTR_RDONLY))
		*ret_late_ro = take_fd(&mountfd);
	return r;
}

int mount_apply(const struct mount_context *c, const struct mount_req *m, int tree, int *ret_late_ro)
{
	_cleanup_covered_mode_ struct covered_mode mode = COVERED_MODE_NULL;
	struct mount_req fresh = *m;
	int r;

	*ret_late_ro = FD_NONE;
	if (m->remount)
		return remount_apply(c, m);
	if (m->bind)
		return bind_apply(c, m, tree);
	mount_options_fold(&fresh);
	r = mount_as_covered(c, &fresh, &mode);
	if (r < 0)
		return r;
	m = &fresh;
	if (str_eq(m->fstype, "cgroup") || str_eq(m->fstype, "cgroup2"))
		return cgroup_apply(c, m);
	if (str_eq(m->fstype, "tmpfs") && (m->copy_up || (m->attr_set & MOUNT_ATTR_RDONLY)))
		return tmpfs_apply(c, m, ret_late_ro);
	r = fs_mount_at(c, m);
	/* sysfs wants the network namespace to belong to this user namespace. */
	if (r == -EPERM && c->user_ns && str_eq(m->fstype, "sysfs"))
		return bind_instead(c, m, "/sys");
	return r;
}
