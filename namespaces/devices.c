/* SPDX-License-Identifier: Apache-2.0 */
/* See devices.h. */
#include "namespaces/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

#define DEFAULT(path_, major_, minor_) { .path = (path_), .type = S_IFCHR, .major = (major_), .minor = (minor_), .mode = 0666 }

static const struct device_req defaults[] = {
	DEFAULT("/dev/null", 1, 3), DEFAULT("/dev/zero", 1, 5),
	DEFAULT("/dev/full", 1, 7), DEFAULT("/dev/random", 1, 8),
	DEFAULT("/dev/urandom", 1, 9), DEFAULT("/dev/tty", 5, 0),
};

static const struct {
	const char *target, *path;
} links[] = {
	{ "/proc/self/fd", "/dev/fd" },		{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },	{ "/proc/self/fd/2", "/dev/stderr" },
};

static bool is_device(const struct stat *st, const struct device_req *d)
{
	if ((st->st_mode & S_IFMT) != d->type)
		return false;
	return d->type == S_IFIFO || st->st_rdev == makedev(d->major, d->minor);
}

/* A mount of a device over a file at dirfd/name, made if it is missing. */
static int attach_device(int dirfd, const char *name, const struct device_req *d, int tree)
{
	_cleanup_close_ int target = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (target < 0 && errno == ENOENT) {
		_cleanup_close_ int made = openat(dirfd, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);

		if (made < 0)
			return ERR(-errno, "cannot make \"%s\"", d->path);
		target = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (target < 0)
		return ERR(-errno, "cannot make \"%s\"", d->path);
	r = mount_attach(tree, target);
	return r < 0 ? ERR(r, "cannot mount the device \"%s\"", d->path) : 0;
}

/* Its owner and mode are the host's to change; what was asked for must be so already. */
static int check_asked(const struct stat *st, const struct device_req *d)
{
	const char *what = d->has_mode && (st->st_mode & 07777) != d->mode ? "fileMode" :
			   d->has_uid && st->st_uid != d->uid ? "uid" :
			   d->has_gid && st->st_gid != d->gid ? "gid" : NULL;

	return what == NULL ? 0 : ERR_PLAIN(-EPERM, "%s: a user namespace may make no device, and that of the host at \"%s\" has another one",
					    what, d->path);
}

/* The host's node of this path, verified; nothing but a device: no programs, no set-user-id. */
static int device_bind(int dirfd, const char *name, const struct device_req *d)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
	_cleanup_close_ int host = FD_NONE, tree = FD_NONE;
	struct stat st;
	int r;

	host = open(d->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (host < 0 && errno == ENOENT)
		return ERR_PLAIN(-EPERM, "a user namespace may make no device, and the host has none at \"%s\"", d->path);
	if (host < 0 || fstat(host, &st) < 0)
		return ERR(-errno, "cannot use the host's \"%s\"", d->path);
	if (!is_device(&st, d))
		return ERR_PLAIN(-ENODEV, "the host's \"%s\" is not the device that is asked for", d->path);
	r = check_asked(&st, d);
	if (r < 0)
		return r;
	tree = open_tree(host, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return ERR(-errno, "cannot bind the host's \"%s\"", d->path);
	return attach_device(dirfd, name, d, tree);
}

static int make_node(int dir, const char *name, const struct device_req *d, int tree, bool is_default)
{
	struct stat st;

	if (mknodat(dir, name, d->type | d->mode, d->type == S_IFIFO ? 0 : makedev(d->major, d->minor)) < 0) {
		if (errno == EPERM)
			return tree >= 0 ? attach_device(dir, name, d, tree) : device_bind(dir, name, d);
		if (errno != EEXIST)
			return ERR(-errno, "cannot make the device \"%s\"", d->path);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return ERR(-errno, "cannot look at \"%s\"", d->path);
		if (is_device(&st, d))
			return 0;
		if (is_default && S_ISREG(st.st_mode))
			return device_bind(dir, name, d);
		return ERR_PLAIN(-EEXIST, "cannot make the device \"%s\": something else is there", d->path);
	}
	if ((d->uid != 0 || d->gid != 0) && fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return ERR(-errno, "cannot set the owner of the device \"%s\"", d->path);
	return 0;
}

int device_make(int root, const struct device_req *d, int tree)
{
	_cleanup_close_ int dir = FD_NONE;
	char name[NAME_MAX + 1];
	int r = path_parent(root, d->path, 0755, &dir, name);

	if (r < 0)
		return ERR(r, "cannot make the directory of the device \"%s\"", d->path);
	return make_node(dir, name, d, tree, false);
}

/* /dev/ptmx must lead to this container's devpts; what an image left there goes. */
static int link_ptmx(int dev)
{
	char target[16];
	ssize_t n;

	if (symlinkat("pts/ptmx", dev, "ptmx") == 0)
		return 0;
	if (errno != EEXIST)
		return ERR(-errno, "cannot make \"/dev/ptmx\"");
	n = readlinkat(dev, "ptmx", target, sizeof(target));
	if (n == 8 && memcmp(target, "pts/ptmx", 8) == 0)
		return 0;
	if (unlinkat(dev, "ptmx", 0) < 0 || symlinkat("pts/ptmx", dev, "ptmx") < 0)
		return ERR(-errno, "cannot replace \"/dev/ptmx\"");
	return 0;
}

int device_defaults(int root)
{
	_cleanup_close_ int dev = FD_NONE;
	int r = path_mkdirs(root, "/dev", 0755, &dev);

	if (r < 0)
		return ERR(r, "cannot make \"/dev\"");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(defaults); i++)
		r = make_node(dev, defaults[i].path + strlen("/dev/"), &defaults[i], FD_NONE, true);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].path + strlen("/dev/")) < 0 && errno != EEXIST)
			return ERR(-errno, "cannot make \"%s\"", links[i].path);
	return link_ptmx(dev);
}

int console_open(int root, int *ret_ptm, int *ret_pts)
{
	_cleanup_close_ int ptm = FD_NONE, pts = FD_NONE;
	struct statfs fs;
	struct stat st;
	int unlock = 0;
	int r = path_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, &ptm);

	if (r < 0)
		return ERR_HINT(ERR(r, "cannot open a terminal at \"/dev/pts/ptmx\""),
				"process.terminal needs a devpts mount at /dev/pts");
	if (fstatfs(ptm, &fs) < 0 || fstat(ptm, &st) < 0)
		return ERR(-errno, "cannot look at \"/dev/pts/ptmx\"");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return ERR_PLAIN(-ENODEV, "\"/dev/pts/ptmx\" is not a terminal multiplexer on devpts");
	if (ioctl(ptm, TIOCSPTLCK, &unlock) < 0)
		return ERR(-errno, "cannot unlock the terminal");
	pts = ioctl(ptm, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pts < 0)
		return ERR(-errno, "cannot open the terminal's other side");
	*ret_ptm = take_fd(&ptm);
	*ret_pts = take_fd(&pts);
	return 0;
}

int console_bind(int root, int pts)
{
	_cleanup_close_ int tree = FD_NONE, target = FD_NONE;
	int r = path_mkfile(root, "/dev/console", 0755, 0600, &target);

	if (r < 0)
		return ERR(r, "cannot make \"/dev/console\"");
	tree = open_tree(pts, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = tree < 0 ? -errno : mount_attach(tree, target);
	if (r < 0)
		return ERR(r, "cannot bind the terminal over \"/dev/console\"");
	return 0;
}

int console_resize(int ptm, uint16_t height, uint16_t width)
{
	struct winsize ws = { .ws_row = height, .ws_col = width };

	if (ioctl(ptm, TIOCSWINSZ, &ws) < 0)
		return ERR(-errno, "cannot set the terminal's size");
	return 0;
}
