/* SPDX-License-Identifier: Apache-2.0 */
/* See oom.h. */
#include "cgroups/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cgroups/path.h"
#include "cgroups/stats_parse.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* Seven short lines today; room for keys to come. */
#define EVENTS_MAX 1024

int cgroup_oom_watch(int cgroup_fd, int *ret_fd)
{
	int fd = openat(cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT && errno != ENODEV)
		return ERR(-errno, "cannot open the cgroup's memory.events");
	*ret_fd = fd < 0 ? FD_NONE : fd;
	return 0;
}

int cgroup_oom_seen(int watch_fd, struct cgroup_oom *ret)
{
	struct cgroup_memory_events events = { .has = false };
	char text[EVENTS_MAX];
	ssize_t n;

	/* From the start: that also re-arms poll(2). */
	do {
		n = pread(watch_fd, text, sizeof(text) - 1, 0);
	} while (n < 0 && errno == EINTR);
	/* A folder in its place: see cgroups/stats.c. */
	if (n < 0 && errno == EISDIR)
		n = 0;
	if (n < 0)
		return errno == ENODEV ? -ENOENT : -errno;
	text[n] = '\0';
	cgroup_parse_memory_events(text, &events);
	ret->ooms = events.oom;
	ret->kills = events.oom_kill;
	return 0;
}

int cgroup_oom_read(int cgroup_fd, struct cgroup_oom *ret)
{
	struct cgroup_number limit = { .has = false };
	_cleanup_close_ int fd = FD_NONE;
	char text[32];
	int r;

	*ret = (struct cgroup_oom){ .limit = CGROUP_UNLIMITED };
	r = cgroup_oom_watch(cgroup_fd, &fd);
	if (r < 0 || fd < 0)
		return r;
	/* The limit first: of a cgroup that goes meanwhile there must not be counts without it. */
	if (cgroup_read_value(cgroup_fd, "memory.max", text, sizeof(text)) < 0)
		return 0;
	cgroup_parse_number(text, &limit);
	r = cgroup_oom_seen(fd, ret);
	if (r < 0)
		return r == -ENOENT ? 0 : ERR(r, "cannot read the cgroup's memory.events");
	if (limit.has)
		ret->limit = limit.value;
	return 0;
}
