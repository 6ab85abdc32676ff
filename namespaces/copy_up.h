/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount option "tmpcopyup": a new tmpfs begins with what the directory holds that it covers. The tree is an image's, so it is
 * walked from descriptor to descriptor, and no symlink of it is followed.
 */
#pragma once

/* A directory deeper than this below the mount point is refused: each level is a descriptor, and a bit of stack. */
#define COPY_UP_DEPTH_MAX 64

/*
 * Copies everything in the directory from (O_PATH suffices) into the directory to, with modes, owners and times of
 * modification. Mount points in from show what is below them there; hard links become files of their own; extended
 * attributes are not copied. -errno with a text that names the file, below from.
 */
int copy_up(int from, int to);

/* The mode and owner of the directory from itself, for the tmpfs' root. */
int copy_up_root(int from, int to);
