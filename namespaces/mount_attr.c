/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes and the propagation of a mount or a tree of mounts. See mount.h and mount_parts.h. */
#include "namespaces/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "namespaces/mount_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

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

/* The words of propagation, in order, when all was well until here. */
static int propagate(const struct mount_req *m, int tree, int r)
{
	for (size_t i = 0; r == 0 && i < m->n_propagation; i++)
		r = set_attr(tree, m->propagation[i] & MS_REC ? AT_RECURSIVE : 0, 0, 0,
			     m->propagation[i] & ~(uint64_t)MS_REC);
	return r;
}

static int propagate_again(const struct mount_req *m)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), tree = FD_NONE;
	int r = root < 0 ? -errno : path_open(root, m->target, O_PATH | (m->dest_nofollow ? O_NOFOLLOW : 0), &tree);

	if (r == 0)
		r = propagate(m, tree, 0);
	/* Not there, or no mount: a later one of the list covers it. */
	if (r == -ENOENT || r == -ENOTDIR || r == -EINVAL)
		return 0;
	return r < 0 ? ERR(r, "cannot set the propagation of the mount at \"%s\"", m->target) : 0;
}

int mount_root_propagation(unsigned long flag, const struct mount_req *mounts, size_t n)
{
	unsigned long kind = flag & ~(unsigned long)MS_REC;
	bool early = kind == MS_PRIVATE || kind == MS_SLAVE;
	int r = 0;

	if (mount(NULL, "/", NULL, early ? kind : flag, NULL) < 0)
		return ERR(-errno, "cannot set rootfsPropagation");
	if (early || kind == flag)
		return 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (mounts[i].n_propagation > 0)
			r = propagate_again(&mounts[i]);
	return r;
}

/* As few calls as the combination allows. */
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
