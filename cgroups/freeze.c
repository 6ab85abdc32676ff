/* SPDX-License-Identifier: Apache-2.0 */
/* The v2 freezer (5.2): needs no controller, so it works on a hybrid host too. */
#include <errno.h>
#include <stdbool.h>

#include "cgroups/cgroup.h"
#include "cgroups/events.h"
#include "cgroups/path.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/*
 * A thaw takes effect within the write, unless an ancestor is frozen, and then no
 * wait helps. This is slack for a kernel that does it later.
 */
#define THAW_WAIT_MS 1000

int cgroup_refuse_frozen(int cgroup_fd, const char *path)
{
	bool frozen = false;
	char value[16];
	/* With a process that has just come the events say so a moment later, so by the cgroup's own word, too. */
	int r = cgroup_read_value(cgroup_fd, "cgroup.freeze", value, sizeof(value));

	if (r == 0 && str_eq(value, "0"))
		r = cgroup_frozen(cgroup_fd, &frozen);
	else if (r == 0)
		frozen = true;
	else
		r = ERR(r, "cannot read whether cgroup \"%s\" is frozen", path);
	return r == 0 && frozen ? ERR_PLAIN(-EBUSY, "cgroup \"%s\", or one above it, is frozen", path) : r;
}

static int thaw(int cgroup_fd, int timeout_ms)
{
	int r = file_write_value(cgroup_fd, "cgroup.freeze", "0");

	if (r < 0)
		return ERR(r, "cannot thaw the cgroup");
	if (timeout_ms < 0 || timeout_ms > THAW_WAIT_MS)
		timeout_ms = THAW_WAIT_MS;
	r = cgroup_events_wait(cgroup_fd, CGROUP_EVENT_FROZEN, 0, timeout_ms);
	if (r == -ETIMEDOUT)
		return ERR_PLAIN(r, "the cgroup stays frozen: a cgroup above it is frozen");
	if (r < 0)
		return ERR(r, "cannot wait for the cgroup to thaw");
	return 0;
}

int cgroup_freeze(int cgroup_fd, bool freeze, int timeout_ms)
{
	int r;

	if (!freeze)
		return thaw(cgroup_fd, timeout_ms);
	r = file_write_value(cgroup_fd, "cgroup.freeze", "1");
	if (r < 0)
		return ERR(r, "cannot freeze the cgroup");
	r = cgroup_events_wait(cgroup_fd, CGROUP_EVENT_FROZEN, CGROUP_EVENT_FROZEN, timeout_ms);
	if (r == 0)
		return 0;
	/* Some processes stopped and some not is what nobody asked for. */
	file_write_value(cgroup_fd, "cgroup.freeze", "0");
	if (r == -ETIMEDOUT)
		return ERR_PLAIN(r, "timed out waiting for the processes of the cgroup to freeze");
	return ERR(r, "cannot wait for the cgroup to freeze");
}
