/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one tree of directories that a virtual machine gets of the host: a root file system and the sources of bind
 * mounts, put together in a mount namespace of their own, for a file server to export.
 *
 *	DIR/rootfs      the root file system
 *	DIR/mounts/N    the source of bind mount number N, a directory or a file
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The source of a bind mount, as mount_open_tree() gives it; the flags that it was opened with hold here. */
struct share_entry {
	size_t index;		/* N */
	uint64_t attrs;		/* MOUNT_ATTR_* that its top has, for who tells the virtual machine; not used here */
	int tree;
};

struct share_req {
	const char *dir;	/* absolute; what is there is covered in this mount namespace */
	int rootfs;		/* detached tree; FD_NONE: it is not among it */
	const char *rootfs_at;	/* it lies there, a directory, until share_take_rootfs(); NULL: at its place from the beginning */
	const struct share_entry *entries;
	size_t n_entries;
};

/*
 * In the caller's own mount namespace, which nobody else uses: isolates it from the host's, and makes the tree. What is
 * above the entries cannot be written. The trees are taken. -errno with text.
 */
int share_build(const struct share_req *r);

/*
 * The root file system goes to its place, and with it what others have mounted there meanwhile: below it, or over it. Nothing,
 * if it is there already.
 */
int share_take_rootfs(const struct share_req *r);

/*
 * Makes DIR/rootfs read-only where a file server shows it that has DIR as the root of a mount namespace of its own; pidfd is
 * the server's. Only the root file system's own mount: what is below has its own flags. For a
 * process of its own, which does not come back from there; user_ns: it belongs to a user namespace of the caller's making (Linux 5.8 for setns(2) by a pidfd). -errno with text.
 */
int share_enter_and_seal(int pidfd, bool user_ns);
