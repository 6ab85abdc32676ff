/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup paths: untrusted text from config.json, walked one component at a time by
 * fd, never followed through a symlink. Private to this folder and its tests.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct cgroup_host;

/* One component: the bytes [start, end) of the path. Starts as { 0, 0 }. */
struct cgroup_part {
	size_t start, end;
};

/* Moves to the next component, passing over "/" and "."; false when there is none. */
bool cgroup_part_next(const char *path, struct cgroup_part *part);
bool cgroup_part_is_last(const char *path, const struct cgroup_part *part);
/* The component as a string; path passed cgroup_path_check. */
void cgroup_part_name(const char *path, const struct cgroup_part *part, char name[NAME_MAX + 1]);

/* "a/b" is "/a/b". -EINVAL for "..", a line break, or no component at all; -ENAMETOOLONG. With text. */
int cgroup_path_check(const char *path);

/* The root of the cgroup2 tree, as O_PATH. With text. */
int cgroup_open_mount(const struct cgroup_host *host, int *ret_fd);

/* One component below dirfd. 0 or -errno (ENODEV, a directory just removed, as -ENOENT), no text. */
int cgroup_open_child(int dirfd, const char *name, int flags, int *ret_fd);

/* Reads a small file (cgroup.type) below dirfd into buf, NUL-terminated and without the line end. No text. */
int cgroup_read_value(int dirfd, const char *name, char *buf, size_t size);
