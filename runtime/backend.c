/* SPDX-License-Identifier: Apache-2.0 */
/* Which back end, and what both share. See backend.h. */
#include "runtime/backend.h"

#include <errno.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

const struct backend_ops *backend_find(const char *name)
{
	for (const struct backend_ops *const *all = backend_all; *all != NULL; all++)
		if (str_eq((*all)->name, name))
			return *all;
	return NULL;
}

int backend_of_plan(const struct plan *p, const struct backend_ops **ret)
{
	*ret = backend_find(isolation_name(p->isolation));
	return *ret == NULL ? ERR_PLAIN(-ENOTSUP, "microVMs are not built into this nacre") : 0;
}

int instance_find_backend(struct instance *i)
{
	const struct container *c = i->c;

	i->ops = c->has_state ? backend_find(c->state.isolation) : NULL;
	if (i->ops == NULL && c->has_state)
		return ERR_PLAIN(-EBADMSG, "container \"%s\": its state file names the isolation \"%s\", which this nacre does not have",
				 c->id, c->state.isolation);
	return 0;
}

void instance_deinit(struct instance *i)
{
	fd_close(&i->sync);
	fd_close(&i->pidfd);
	fd_close(&i->waiting);
	fd_close(&i->cgroup);
	cgroup_scope_release(&i->holder);
}

void backend_watch_deinit(struct backend_watch *w)
{
	fd_close(&w->end.fd);
	fd_close(&w->oom.fd);
}
