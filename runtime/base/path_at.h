/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one resolver of paths inside a root file system.
 *
 * A path there belongs to the image's author: any component may be a symlink to
 * the host, and may be swapped while we look. So a path is only ever a (root fd,
 * text) pair, the kernel resolves it with openat2(RESOLVE_IN_ROOT |
 * RESOLVE_NO_MAGICLINKS) and what comes back is an fd that all further work uses.
 * Symlinks, absolute ones and ".." included, mean what they mean after chroot.
 * Where openat2 is refused (an old seccomp profile around a nested nacre), a walk
 * by component in user space follows the same rules.
 *
 * This closes the class of CVE-2019-18837, 2021-30465, 2023-27561, 2024-45310,
 * 2026-41579 and 2026-47766.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Opens path below root. flags as for openat(2); O_CLOEXEC is added; O_CREAT is
 * not allowed. O_NOFOLLOW concerns the last component. Gives -errno without a text.
 */
int path_open(int root, const char *path, int flags, int *ret_fd);

/*
 * The same, and tells whether a symlink was followed on the way: then the place is not the
 * one that the path names.
 */
int path_open_links(int root, const char *path, int flags, int *ret_fd, bool *ret_links);

/*
 * Opens path as a directory (O_PATH), making what is missing with mode. A dangling
 * symlink on the way has its target made, inside root. -EEXIST/-ENOTDIR as mkdir(2).
 */
int path_mkdirs(int root, const char *path, mode_t mode, int *ret_fd);
int path_mkdirs_links(int root, const char *path, mode_t mode, int *ret_fd, bool *ret_links);

/*
 * Opens path's parent directory (O_PATH), making it if missing, and copies the last
 * component to name (NAME_MAX + 1 bytes). -EINVAL when path has none (it is "/" or ends in "..").
 */
int path_parent(int root, const char *path, mode_t mode, int *ret_dirfd, char *name);

/* Opens (O_PATH) the file at path, making an empty regular file when there is nothing. */
int path_mkfile(int root, const char *path, mode_t dirmode, mode_t mode, int *ret_fd);

/* The walk, for tests: what path_open() does where openat2 is refused. */
int path_walk(int root, const char *path, int flags, int *ret_fd);

/*
 * Lexical clean-up: one leading '/', no empty or "." component, ".." applied without
 * going above "/". out has room for PATH_MAX bytes. For comparing destinations,
 * never for opening. -ENAMETOOLONG.
 */
int path_clean(const char *path, char *out);
