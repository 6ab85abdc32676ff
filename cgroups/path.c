/* SPDX-License-Identifier: Apache-2.0 */
/* See path.h. */
#include "cgroups/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

bool cgroup_part_next(const char *path, struct cgroup_part *part)
{
	size_t start = part->end;
	size_t len;

	do {
		while (path[start] == '/')
			start++;
		len = strcspn(path + start, "/");
		if (len == 0)
			return false;
		part->start = start;
		part->end = start + len;
		start = part->end;
	} while (len == 1 && path[part->start] == '.');
	return true;
}

bool cgroup_part_is_last(const char *path, const struct cgroup_part *part)
{
	struct cgroup_part next = *part;

	return !cgroup_part_next(path, &next);
}

void cgroup_part_name(const char *path, const struct cgroup_part *part, char name[NAME_MAX + 1])
{
	size_t len = part->end - part->start;

	if (len > NAME_MAX)
		len = NAME_MAX;
	memcpy(name, path + part->start, len);
	name[len] = '\0';
}

int cgroup_path_check(const char *path)
{
	struct cgroup_part part = { 0, 0 };
	bool any = false;

	if (strnlen(path, PATH_MAX) == PATH_MAX)
		return ERR_PLAIN(-ENAMETOOLONG, "the cgroup path is longer than %d bytes", PATH_MAX - 1);
	if (strchr(path, '\n') != NULL)
		return ERR_PLAIN(-EINVAL, "the cgroup path contains a line break");
	while (cgroup_part_next(path, &part)) {
		size_t len = part.end - part.start;

		if (len == 2 && path[part.start] == '.' && path[part.start + 1] == '.')
			return ERR_PLAIN(-EINVAL, "cgroup path \"%s\": \"..\" is not allowed", path);
		if (len > NAME_MAX)
			return ERR_PLAIN(-ENAMETOOLONG, "cgroup path \"%s\": a component is longer than %d bytes", path,
					 NAME_MAX);
		any = true;
	}
	if (!any)
		return ERR_PLAIN(-EINVAL, "cgroup path \"%s\" names no cgroup below the root", path);
	return 0;
}

int cgroup_open_mount(const struct cgroup_host *host, int *ret_fd)
{
	int fd;

	if (host->mode == CGROUP_NONE)
		return ERR_PLAIN(-EOPNOTSUPP, "no cgroup2 file system is mounted");
	fd = open(host->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR(-errno, "cannot open \"%s\"", host->mount);
	*ret_fd = fd;
	return 0;
}

int cgroup_open_child(int dirfd, const char *name, int flags, int *ret_fd)
{
	int fd = openat(dirfd, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENODEV ? -ENOENT : -errno;
	*ret_fd = fd;
	return 0;
}

int cgroup_read_value(int dirfd, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* kernfs gives such a file whole in one read. */
	do {
		n = read(fd, buf, size - 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return 0;
}
