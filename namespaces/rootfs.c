/* SPDX-License-Identifier: Apache-2.0 */
/* The root mount, and what is hidden in it. See mount.h. */
#include "namespaces/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

int rootfs_open(const char *rootfs, int *ret_tree)
{
	/* The slash makes a file in its place an error here, not a riddle later. */
	_cleanup_free_ char *path = str_printf("%s/", rootfs);
	int fd;

	if (path == NULL)
		return ERR_NOMEM();
	fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0)
		return ERR(-errno, "config.json: root.path: cannot open the root file system \"%s\"", rootfs);
	*ret_tree = fd;
	return 0;
}

int rootfs_attach(const char *rootfs, unsigned long isolate, int *tree)
{
	struct mount_attr attr = { .propagation = isolate };
	int r;

	if (*tree < 0) {
		/* Of this namespace's mounts, which are isolated already. */
		r = rootfs_open(rootfs, tree);
		if (r < 0)
			return r;
	} else if (mount_setattr(*tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0) {
		/* The clone of a shared mount is its peer: as a slave or alone, what is mounted below does not reach the host. */
		return ERR(-errno, "cannot isolate the root file system \"%s\"", rootfs);
	}
	/* By path: the runtime's word, not the image's, and in our own mount namespace. */
	r = move_mount(*tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS);
	/*
	 * A directory on the way that this user namespace's root may not search: over "/" then, where our own
	 * root and the host's paths stay what they are. (Not always: hooks look for mounts below rootfs' path.)
	 */
	if (r < 0 && errno == EACCES)
		r = move_mount(*tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? ERR(-errno, "cannot attach the root file system \"%s\"", rootfs) : 0;
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

/* Takes the mount point (field 5) out of a line of mountinfo when the type is proc or sysfs. */
static const char *host_view(char *line)
{
	char *type = strstr(line, " - "), *save = NULL, *point = NULL;

	if (type == NULL || !(str_starts(type, " - proc ") || str_starts(type, " - sysfs ")))
		return NULL;
	point = strtok_r(line, " ", &save);
	for (int i = 1; i < 5 && point != NULL; i++)
		point = strtok_r(NULL, " ", &save);
	return point;
}

/*
 * MS_MOVE leaves the old root's mounts in the namespace, covered. A full /proc or /sys
 * among them would let the container's users mount unmasked ones of their own (the kernel's
 * mount_too_revealing() finds them), so all of these go first, but those of the container.
 */
static int drop_host_views(const char *rootfs)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", (size_t)64 * 1024 * 1024, &text, NULL);

	if (r < 0)
		return ERR(r, "cannot read the list of mounts");
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		const char *point = host_view(line);
		size_t len = strlen(rootfs);

		if (point == NULL || (strncmp(point, rootfs, len) == 0 && (point[len] == '/' || point[len] == '\0')))
			continue;
		/* EINVAL: it lay below one that is gone already. An escaped name fails here, and so closed. */
		if (umount2(point, MNT_DETACH) < 0 && errno != EINVAL)
			return ERR(-errno, "cannot unmount the host's \"%s\"", point);
	}
	return 0;
}

static int move(const char *rootfs)
{
	char real[PATH_MAX];	/* as mountinfo has it */
	int r;

	if (realpath(rootfs, real) == NULL)
		return ERR(-errno, "cannot find the root file system \"%s\"", rootfs);
	r = drop_host_views(real);
	if (r < 0)
		return r;
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return ERR(-errno, "cannot move the root file system to \"/\"");
	if (chroot(".") < 0)
		return ERR(-errno, "cannot chroot");
	return 0;
}

int rootfs_pivot(int root, const char *rootfs, bool no_pivot)
{
	int r;

	if (fchdir(root) < 0)
		return ERR(-errno, "cannot enter the root file system");
	r = no_pivot ? move(rootfs) : pivot();
	/* umount2(".") has left us in the new root; process_enter_cwd() goes on from there. */
	return r;
}

int rootfs_chroot(int root)
{
	if (fchdir(root) < 0 || chroot(".") < 0)
		return ERR(-errno, "cannot chroot into the root file system");
	return 0;
}

#define PROC "/proc"
/* Of a procfs' root directory (the kernel's PROC_ROOT_INO). */
#define PROC_ROOT_INODE 1

int hide_open_proc(int root, int *ret_proc)
{
	_cleanup_close_ int fd = FD_NONE;
	struct statfs fs;
	struct stat st;
	int r = path_open(root, PROC, O_PATH | O_DIRECTORY | O_NOFOLLOW, &fd);

	if (r == 0 && (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0))
		r = -errno;
	if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -ELOOP)
		return ERR(r, "cannot open \"" PROC "\" to hide paths in it");
	if (r < 0 || fs.f_type != PROC_SUPER_MAGIC || st.st_ino != PROC_ROOT_INODE)
		return ERR_PLAIN(-EPERM, "\"" PROC "\" is not the procfs that was mounted there: somebody changes the root file system");
	*ret_proc = take_fd(&fd);
	return 0;
}

static int hide_open(const struct hide_place *at, const char *path, int *ret_fd)
{
	bool in_proc = at->proc >= 0 && str_starts(path, PROC "/") && strstr(path, "/..") == NULL;

	return path_open(in_proc ? at->proc : at->root, in_proc ? path + strlen(PROC) : path, O_PATH, ret_fd);
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

/*
 * These loops run once, in a child that soon executes another program, which ends all fds
 * at once: those of a short list are left to that, a long list is closed as it goes.
 */
#define MASK_KEEP_OPEN 64

/*
 * A read-only empty tmpfs. When there are many (kubelets mask a directory per CPU) one serves
 * all: the first takes it, the others a clone. *tree: an fd to be closed by the caller, sooner or later.
 */
static int mask_dir(int target, bool many, const char *context, int *shared, int *tree)
{
	const char *const data[] = { "nr_blocks=1", "nr_inodes=1", context };
	int r;

	if (!many && context == NULL) {
		r = fchdir(target);
		if (r == 0)
			r = mount("tmpfs", ".", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "nr_blocks=1,nr_inodes=1");
		return r < 0 ? -errno : 0;
	}
	if (*shared >= 0) {
		*tree = open_tree(*shared, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
		return *tree < 0 ? -errno : mount_attach(*tree, target);
	}
	r = mount_new("tmpfs", "tmpfs", data, ARRAY_SIZE(data) - (context == NULL),
		      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, shared);
	return r < 0 ? r : mount_attach(*shared, target);
}

/*
 * Most are files, so /dev/null is tried first; the kernel refuses a file over a directory
 * (EINVAL), and the clone serves the next one.
 */
static int mask_file(int target, int host_null, int *spare, int *tree)
{
	int r;

	if (*spare < 0)
		*spare = open_tree(host_null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = *spare < 0 ? -errno : mount_attach(*spare, target);
	if (r == 0)
		*tree = take_fd(spare);
	return r;
}

static void mask_done(size_t i, int *target, int *tree)
{
	if (i >= MASK_KEEP_OPEN) {
		fd_close(target);
		fd_close(tree);
	}
}

int mask_paths(const struct hide_place *at, int host_null, const char *const *paths, size_t n)
{
	_cleanup_free_ char *context = NULL;
	int shared = FD_NONE, spare = FD_NONE;

	if (at->label != NULL && (context = str_printf("context=%s", at->label)) == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++) {
		int target = FD_NONE, tree = FD_NONE;
		int r = hide_open(at, paths[i], &target);

		if (r == -ENOENT || r == -ENOTDIR)
			continue;	/* the target only: nothing there, nothing to hide */
		if (r == 0)
			r = mask_file(target, host_null, &spare, &tree);
		if (r == -EINVAL || r == -ENOTDIR)
			r = mask_dir(target, n > MASK_KEEP_OPEN, context, &shared, &tree);
		if (r < 0)
			return ERR(r, "cannot mask \"%s\"", paths[i]);
		mask_done(i, &target, &tree);
	}
	return 0;
}

/* The name of what lies in the procfs itself, and NULL of all else. No link there leads out of it: what is asked for needs no descriptor. */
static const char *name_in_proc(const struct hide_place *at, const char *path)
{
	const char *name = path + strlen(PROC "/");

	if (at->proc < 0 || !str_starts(path, PROC "/") || strchr(name, '/') != NULL || str_in(name, (const char *const[]){ "", ".", ".." }, 3))
		return NULL;
	return name;
}

static int make_readonly(int tree)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	return tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int readonly_in_proc(int proc, const char *name, int *tree)
{
	int r;

	*tree = open_tree(proc, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	r = make_readonly(*tree);
	if (r == 0 && move_mount(*tree, "", proc, name, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0)
		r = -errno;
	return r;
}

static int readonly_at(const struct hide_place *at, const char *path, int *target, int *tree)
{
	int r = hide_open(at, path, target);

	if (r < 0)
		return r;
	*tree = open_tree(*target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	r = make_readonly(*tree);
	return r < 0 ? r : mount_attach(*tree, *target);
}

int readonly_paths(const struct hide_place *at, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = name_in_proc(at, paths[i]);
		int target = FD_NONE, tree = FD_NONE;
		int r = name != NULL ? readonly_in_proc(at->proc, name, &tree) : readonly_at(at, paths[i], &target, &tree);

		/* Nothing there: nothing was opened. */
		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		if (r < 0)
			return ERR(r, "cannot make \"%s\" read-only", paths[i]);
		mask_done(i, &target, &tree);
	}
	return 0;
}
