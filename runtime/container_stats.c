/* SPDX-License-Identifier: Apache-2.0 */
/* The container back end's statistics and events: its cgroup's. See backend.h. */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/container_parts.h"

static int use_cgroup(struct instance *i)
{
	int r = container_use_cgroup(i);

	return r == -ENOTSUP ? ERR_HINT(r, "with --cgroup-manager=disabled nothing counts what a container uses") : r;
}

int container_stats(struct instance *i, struct cgroup_stats *ret)
{
	pid_t *pids = NULL;
	size_t n = 0;
	int r;

	*ret = (struct cgroup_stats){ .n_rdma = 0 };
	r = use_cgroup(i);
	if (r == 0)
		r = cgroup_stats_read(i->cgroup, ret);
	if (r < 0 || ret->pids.current.has)
		return r;
	/* Without the controller: the processes (it would count threads). */
	r = cgroup_pids(i->cgroup, &pids, &n);
	free(pids);
	ret->pids.current = (struct cgroup_number){ .has = r == 0, .value = n };
	return r;
}

int container_oom(struct instance *i, struct cgroup_oom *ret)
{
	int r = container_use_cgroup(i);

	*ret = (struct cgroup_oom){ .limit = CGROUP_UNLIMITED };
	if (r == -ENOTSUP || r == -ENOENT) {
		err_clear();
		r = 0;
	} else if (r == 0) {
		r = cgroup_oom_read(i->cgroup, ret);
	}
	if (ret->kills == 0 && i->oom_seen.kills > 0)
		*ret = i->oom_seen;
	return r;
}

int container_watch(struct instance *i, struct backend_watch *ret)
{
	struct backend_watch w = BACKEND_WATCH_NULL;
	int r = container_use_pidfd(i);

	if (r == 0)
		r = use_cgroup(i);
	if (r == 0)
		r = cgroup_oom_watch(i->cgroup, &w.oom.fd);
	/* Without a cgroup there is still an end to wait for. */
	if (r == -ENOTSUP)
		err_clear();
	else if (r < 0)
		return r;
	w.oom.events = POLLPRI;
	w.end.fd = fcntl(i->pidfd, F_DUPFD_CLOEXEC, 0);
	w.end.events = POLLIN;
	if (w.end.fd < 0) {
		r = ERR(-errno, "cannot keep the container's process in view");
		fd_close(&w.oom.fd);
		return r;
	}
	*ret = w;
	return 0;
}

int container_watch_oom(const struct backend_watch *w, struct cgroup_oom *ret)
{
	int r = cgroup_oom_seen(w->oom.fd, ret);

	return r < 0 && r != -ENOENT ? ERR(r, "cannot read the cgroup's memory.events") : r;
}
