/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of mounts, whatever kind it is. See mount.h; the steps are in mount_attr.c, mount_fs.c and mount_target.c. */
#include "namespaces/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "namespaces/mount_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

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
		return mount_copy_symlink(c, m, tree);
	r = mount_bind_target(c, m, st.st_mode, &target);
	if (r < 0)
		return r;
	return mount_attach_at(m, tree, target);
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
	return mount_fs_at(c, &v2);
}

/* A tmpfs that is filled before it is seen; a read-only one stays writable until what is below has its mount points. */
static int tmpfs_apply(const struct mount_context *c, const struct mount_req *m, int *ret_late_ro)
{
	_cleanup_close_ int mountfd = FD_NONE, target = FD_NONE;
	int r = mount_fs_target(c, m, &target);

	if (r == 0)
		r = mount_fs(m, m->attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY, &mountfd);
	if (r == 0 && m->copy_up)
		r = mount_fill_tmpfs(m, target, mountfd);
	if (r == 0)
		r = mount_fs_rest(m, mountfd);
	if (r == 0)
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
		return mount_remount(c, m);
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
	r = mount_fs_at(c, m);
	/* sysfs wants the network namespace to belong to this user namespace. */
	if (r == -EPERM && c->user_ns && str_eq(m->fstype, "sysfs"))
		return bind_instead(c, m, "/sys");
	return r;
}
