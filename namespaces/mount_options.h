/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options as words (runtime-spec "mounts", fstab vocabulary) -> struct mount_req. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct userns_req;

/* Flags of the superblock; each is the word that fsconfig(2) knows, but the last two. */
enum mount_sb_flag {
	MOUNT_SB_SYNC = 1 << 0,
	MOUNT_SB_DIRSYNC = 1 << 1,
	MOUNT_SB_LAZYTIME = 1 << 2,
	MOUNT_SB_MAND = 1 << 3,
	MOUNT_SB_IVERSION = 1 << 4,	/* mount(2) only: the new API has no word for it, nor for the next */
	MOUNT_SB_SILENT = 1 << 5,
};

/* Whose ids are mapped; the last option word decides. */
enum mount_idmap {
	MOUNT_IDMAP_NONE,
	MOUNT_IDMAP_TOP,	/* "idmap": of the mount itself */
	MOUNT_IDMAP_TREE,	/* "ridmap": of those below it, too */
};

/* One mount of a container: what mount_apply() does. Plain data, printable. */
struct mount_req {
	const char *target;	/* path inside the root file system */
	const char *source;	/* bind: absolute host path; else the name shown in mountinfo (may be NULL) */
	const char *fstype;	/* NULL for a bind mount */
	bool bind, recursive, remount;
	bool src_nofollow, dest_nofollow;	/* a symlink at the end is itself the source, the mount point */
	bool copy_symlink;			/* bind: a source that is a symlink is made again at the target */
	uint64_t rattr_set, rattr_clr;		/* MOUNT_ATTR_*, the whole tree (rro…) */
	uint64_t attr_set, attr_clr;		/* MOUNT_ATTR_*, the mount itself, after those: a later rro takes an earlier ro's place here */
	uint64_t propagation[4];		/* MS_SHARED…, with MS_REC; in order */
	size_t n_propagation;
	uint32_t sb_set, sb_clr;		/* enum mount_sb_flag */
	const char **data;			/* the file system's own: "mode=755", "newinstance" */
	size_t n_data;
	bool copy_up;				/* tmpfs: begins with what it covers (copy_up.h) */
	enum mount_idmap idmap;			/* by idmap_apply(), of a bind mount only */
	const char *idmap_text;			/* "uids=0-1-10;gids=…" of crun's idmap=…; read by idmap_option_parse() */
	const struct userns_req *idmap_maps;	/* NULL: those of the user namespace that the container joins */
	const char *label;			/* SELinux', set on the new file system's root where no option of it does (mqueue). NULL: none */
};

/*
 * Reads n option words into *m (bind, recursive, remount, flags, idmap, data), the last of
 * opposite words winning, also of a word and its recursive sister. Words nobody knows become file system data.
 * -ENOTSUP with a text for crun's words that no kernel can do; -ENOMEM.
 */
int mount_options_parse(struct arena *a, const char *const *options, size_t n, struct mount_req *m);

/*
 * crun's way to write a map into the option: "uids=FROM-TO-LENGTH#…;gids=…", FROM as the source has it, TO on the host; with "@" before
 * a range TO is the container's, and container (its maps, NULL: none) says what that is on the host. -EINVAL with a text that begins with the
 * range. Memory of a.
 */
int idmap_option_parse(struct arena *a, const char *text, const struct userns_req *container, struct userns_req *ret);

/* Of a new file system, which is one mount: the recursive words are said of it. */
void mount_options_fold(struct mount_req *m);

/* All words understood, for `features`. */
const char *mount_option_name(size_t i);	/* NULL past the end */

/* The name of a propagation word's MS_ value; 0 when it is none. */
unsigned long mount_propagation_flag(const char *word);
const char *mount_propagation_word(unsigned long flag);

/* "ro,nosuid,nodev" of attributes, for `explain`; in a. */
const char *mount_attr_text(struct arena *a, const struct mount_req *m);
