/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: ownership by attribute, whole reads and writes. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* What an unset fd holds; any negative value is "none". */
#define FD_NONE (-EBADF)

void fd_closep(int *fd);
#define _cleanup_close_ __attribute__((cleanup(fd_closep)))

/* Ownership moves to the caller; the variable becomes FD_NONE. */
int take_fd(int *fd);
/* Closes if open; errno survives. The variable becomes FD_NONE. */
void fd_close(int *fd);

/*
 * Closes every fd from 3 on but the n of keep (negative ones are skipped; the array is
 * sorted in place). For a child that must not carry the runtime's fds into a container.
 */
int fd_close_except(int *keep, size_t n);

/* Writes all of it, or -errno. No error text. */
int fd_write_all(int fd, const void *data, size_t len);

/*
 * Reads to the end of file into a malloc'ed, NUL-terminated buffer, at most max
 * bytes (-EFBIG beyond). 0 or -errno, no error text.
 */
int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len);

/* The same when the caller knows already that it is a regular file of this size (what it grows to meanwhile is read, too). */
int fd_read_regular(int fd, size_t size, size_t max, char **ret_data, size_t *ret_len);

/* openat(dirfd, path, O_RDONLY) + fd_read_all. */
int file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len);

/*
 * One write(2) of a short value into an existing kernel file (sysctl, cgroup,
 * uid_map); flags as for openat, O_WRONLY|O_CLOEXEC are added. 0 or -errno.
 */
int file_write_value(int dirfd, const char *path, const char *value);

/*
 * Writes a file that must not exist yet, in a directory that nobody reads before it is
 * complete.
 */
int file_create(int dirfd, const char *name, const void *data, size_t len, mode_t mode);

/* Writes a file of a person's: it is made, or emptied first. What path leads to is the caller's business. */
int file_write(const char *path, const void *data, size_t len, mode_t mode);

/*
 * Replaces dirfd/name atomically; the caller holds the lock that makes it the only writer. A temporary
 * O_EXCL file beside it, then rename(2). Readers see the old or the new content, never a part. No fsync:
 * the state directory is volatile by design (/run), it must survive a killed
 * process, not a power failure.
 */
int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode);
