/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, fd to fd: fsopen/open_tree make a detached mount, the resolver gives the
 * target's fd, move_mount joins them. No path of the image is ever resolved by mount(2).
 *
 * fds: what is called in the child for each of many mounts or paths leaves some O_PATH
 * fds open. The child executes another program soon and marks all close-on-exec by one
 * close_range(2) before; for a container with many entries the caller raises the soft
 * RLIMIT_NOFILE first and restores it before that program (see container_create.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "namespaces/mount_options.h"

/*
 * Clones the source of a bind mount as a detached tree with its attributes and
 * propagation set. In the runtime's own namespaces: the source is a host path. A tree
 * without a propagation word is a slave of the host's mount.
 */
int mount_open_tree(const struct mount_req *m, int *ret_tree);

/* The MOUNT_ATTR_* flags that the mount of fd has, and MOUNT_ATTR_RDONLY also when its file system has it. -errno with text. */
int mount_attrs(int fd, uint64_t *ret_attrs);

struct mount_context {
	int root;		/* fd of the container's root mount */
	const char *cgroup_dir;	/* host path of the container's cgroup, NULL: none */
	bool cgroup_ns;		/* the container has a cgroup namespace of its own */
	bool user_ns;
	bool live;		/* it runs, and nothing that was true of its mounts need be true any more: mount_live.h */
};

/*
 * Mounts m in the container's mount namespace. tree: what mount_open_tree() gave for a
 * bind mount (FD_NONE: opened here, when the caller's privileges did not suffice outside
 * the user namespace). A read-only tmpfs is mounted writable; *ret_late_ro is then its fd,
 * for mount_set_readonly() once everything below is there; FD_NONE otherwise.
 */
int mount_apply(const struct mount_context *c, const struct mount_req *m, int tree, int *ret_late_ro);

int mount_set_readonly(int mountfd);

/* Makes all mounts of this mount namespace slaves (or private) of the host's. */
int mount_isolate(unsigned long flag);

/*
 * linux.rootfsPropagation, once the root file system is "/": of its mount, and with MS_REC of those below but for mounts with
 * words of their own. Of a private tree and of one of slaves only the root changes here: what is mounted is so from the start
 * (rootfs_attach(), the words that the plan adds), as a mount that has left its peer group does not come back to it. For the same
 * reason a mount that is shared by its own word, below a root that is unbindable with all below, shares with nobody outside.
 */
int mount_root_propagation(unsigned long flag, const struct mount_req *mounts, size_t n);

/* mount fd -> on top of target fd. */
int mount_attach(int mountfd, int target);

/* A new detached mount of fstype; key/value options are pairs, NULL value: a flag. -errno, without a text. */
int mount_new(const char *fstype, const char *source, const char *const *data, size_t n_data, unsigned int attrs,
	      int *ret_fd);

/*
 * Root file system. rootfs_open(): the host path as a detached tree, recursive, with the
 * runtime's rights; needed only when the child is in a user namespace that may not reach it.
 */
int rootfs_open(const char *rootfs, int *ret_tree);
/*
 * In the child, after mount_isolate(): attaches the tree (opened here when *tree is
 * FD_NONE) over its own path, so that it is a mount that can become "/". isolate: mount_isolate()'s.
 */
int rootfs_attach(const char *rootfs, unsigned long isolate, int *tree);
/* pivot_root(2) into root, old root gone; no_pivot: MS_MOVE + chroot, for a root on ramfs. */
int rootfs_pivot(int root, const char *rootfs, bool no_pivot);
/* Without a mount namespace: chroot(2) only. */
int rootfs_chroot(int root);

/* Where paths are hidden: below root, those in /proc below proc, if that is not FD_NONE. */
struct hide_place {
	int root, proc;
	const char *label;	/* of what hides a directory: SELinux', NULL: none */
};

/*
 * The procfs that was mounted at /proc: who shares the root file system may have moved its mount point away and put something else
 * there, where what is to be hidden does not exist (CVE-2019-19921). -errno with text, and -EPERM when that is so.
 */
int hide_open_proc(int root, int *ret_proc);
/* linux.maskedPaths and readonlyPaths, before pivot. host_null: /dev/null, checked by mask_open_null(). */
int mask_open_null(int *ret_fd);
int mask_paths(const struct hide_place *at, int host_null, const char *const *paths, size_t n);
int readonly_paths(const struct hide_place *at, const char *const *paths, size_t n);
