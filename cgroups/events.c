/* SPDX-License-Identifier: Apache-2.0 */
/* See events.h; and the two questions about it in cgroup.h. */
#include "cgroups/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* Two short lines today; room for keys to come. */
#define EVENTS_MAX 512

static const struct {
	const char *line;
	unsigned int event;
} event_lines[] = {
	{ "populated 1", CGROUP_EVENT_POPULATED },
	{ "frozen 1", CGROUP_EVENT_FROZEN },
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A removed cgroup: ENOENT if it went before the file was opened, ENODEV after. One code for both. */
static int gone_or(int error)
{
	return error == ENODEV ? -ENOENT : -error;
}

static int open_events(int cgroup_fd)
{
	int fd = openat(cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? gone_or(errno) : fd;
}

/* Reading from offset 0 also re-arms poll(2) on this file. */
static int read_events(int fd, unsigned int *ret_events)
{
	char text[EVENTS_MAX], *rest = text, *line;
	unsigned int events = 0;
	ssize_t n;

	do {
		n = pread(fd, text, sizeof(text) - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return gone_or(errno);
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL)
		for (size_t i = 0; i < ARRAY_SIZE(event_lines); i++)
			if (str_eq(line, event_lines[i].line))
				events |= event_lines[i].event;
	*ret_events = events;
	return 0;
}

int cgroup_events_read(int cgroup_fd, unsigned int *ret_events)
{
	_cleanup_close_ int fd = open_events(cgroup_fd);

	return fd < 0 ? fd : read_events(fd, ret_events);
}

int cgroup_events_wait(int cgroup_fd, unsigned int mask, unsigned int want, int timeout_ms)
{
	_cleanup_close_ int fd = open_events(cgroup_fd);
	int64_t deadline = -1;

	if (fd < 0)
		return fd;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		unsigned int events = 0;
		int64_t left = -1;
		int r = read_events(fd, &events);

		if (r < 0 || (events & mask) == want)
			return r;
		/* The clock is asked only when there is something to wait for. */
		if (timeout_ms >= 0 && deadline < 0)
			deadline = now_ms() + timeout_ms;
		if (timeout_ms >= 0)
			left = deadline - now_ms();
		if (timeout_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		/* The state may have changed since the read: kernfs counts events, so poll returns at once then. */
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
	}
}

int cgroup_frozen(int cgroup_fd, bool *ret_frozen)
{
	unsigned int events;
	int r = cgroup_events_read(cgroup_fd, &events);

	if (r < 0)
		return ERR(r, "cannot read the cgroup's events");
	*ret_frozen = (events & CGROUP_EVENT_FROZEN) != 0;
	return 0;
}

int cgroup_wait_empty(int cgroup_fd, int timeout_ms)
{
	int r = cgroup_events_wait(cgroup_fd, CGROUP_EVENT_POPULATED, 0, timeout_ms);

	if (r == -ENOENT)
		return 0;
	if (r == -ETIMEDOUT)
		return ERR_PLAIN(r, "timed out waiting for the processes of the cgroup to end");
	if (r < 0)
		return ERR(r, "cannot wait for the cgroup to become empty");
	return 0;
}
