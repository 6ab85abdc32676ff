/* SPDX-License-Identifier: Apache-2.0 */
/* A container's cgroup at its creation, by either manager. See container_parts.h. */
#include "runtime/container_parts.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "namespaces/userns.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

/* The cgroup by systemd: the scope, started around a process that holds the place of the child. */
static int start_scope(struct instance *i, const struct plan *p)
{
	struct state *s = &i->c->state;
	_cleanup_free_ char *path = NULL, *description = container_scope_description(s);
	const struct cgroup_scope_req req = {
		.scope = p->scope,
		.description = description,
		.properties = p->unit_properties,
		.n_properties = p->n_unit_properties,
		.resources = &p->resources,
	};
	int r = description == NULL ? ERR_NOMEM() : cgroup_scope_start(&req, &path, &i->holder);

	if (r < 0)
		return r;
	s->cgroup_path = arena_strdup(i->c->arena, path);
	if (s->cgroup_path == NULL)
		return ERR_NOMEM();
	s->cgroup_created_from = strlen(path);
	s->cgroup_owned = true;
	r = cgroup_open(&i->host, path, &i->cgroup);
	/* systemd takes a directory that is there already as it is. */
	return r < 0 ? r : cgroup_refuse_frozen(i->cgroup, path);
}

/* In a user namespace nobody makes device nodes: those that are there are the host's, with the host's permissions. */
static bool no_device_nodes(const struct plan *p)
{
	return plan_has_ns(p, CLONE_NEWUSER) || !userns_is_initial();
}

/*
 * A user who may not make cgroups, or a nested runtime that sees them read-only: the cgroup that nobody asked for is left
 * out, if nothing is asked of it either. Device rules hold without it where nobody can make device nodes.
 */
static bool can_do_without(const struct plan *p, int r)
{
	return (r == -EACCES || r == -EPERM || r == -EROFS) && p->cgroup_made_up && p->n_settings == 0 &&
	       (p->n_device_rules == 0 || no_device_nodes(p));
}

/* Only root loads the program; a user's container in a cgroup of the user's own has the user's rights to devices at most. */
static int limit_devices(const struct instance *i, const struct plan *p)
{
	const struct state *s = &i->c->state;
	/* One that existed, empty, may have our program from an earlier life. */
	bool first = p->scope.unit != NULL || s->cgroup_created_from < strlen(s->cgroup_path);
	int r = first ? cgroup_devices_first(i->cgroup, p->device_rules, p->n_device_rules) :
			cgroup_devices_apply(i->cgroup, p->device_rules, p->n_device_rules);

	if (r != -EPERM || !no_device_nodes(p))
		return r;
	log_write(LOG_LEVEL_INFO, "config.json: linux.resources.devices: held by the user namespace alone: %s", err_text());
	err_clear();
	return 0;
}

/* A limit of processes that leaves no room for two; NULL: none. */
static const struct cgroup_setting *tight_pids(const struct plan *p)
{
	const struct cgroup_setting *found = NULL;

	for (size_t i = 0; i < p->n_settings; i++)
		if (str_eq(p->settings[i].file, "pids.max"))
			found = &p->settings[i];
	return found != NULL && (str_eq(found->value, "0") || str_eq(found->value, "1")) ? found : NULL;
}

/* Beside the holder, which counts, the first process could not be born: it gets room until the holder has gone. */
static int make_room(const struct instance *i, const struct plan *p)
{
	static const struct cgroup_setting two = { .file = "pids.max", .value = "2" };

	if (i->holder == FD_NONE || tight_pids(p) == NULL)
		return 0;
	return cgroup_settings_write(&i->host, i->c->state.cgroup_path, i->cgroup, &two, 1);
}

int container_release_holder(struct instance *i, const struct plan *p)
{
	const struct cgroup_setting *limit = i->holder != FD_NONE ? tight_pids(p) : NULL;

	cgroup_scope_release(&i->holder);
	return limit == NULL ? 0 : cgroup_settings_write(&i->host, i->c->state.cgroup_path, i->cgroup, limit, 1);
}

int container_make_cgroup(struct instance *i, const struct plan *p, char **ret_dir)
{
	struct state *s = &i->c->state;
	int r;

	if (p->cgroup_path == NULL && p->scope.unit == NULL)
		return 0;
	r = container_use_host(i);
	if (r == 0 && p->scope.unit != NULL)
		r = start_scope(i, p);
	else if (r == 0)
		r = cgroup_create(&i->host, p->cgroup_path, &i->cgroup, &s->cgroup_created_from);
	if (r < 0 && can_do_without(p, r)) {
		log_write(LOG_LEVEL_INFO, "goes without a cgroup: %s", err_text());
		err_clear();
		s->cgroup_path = NULL;
		return 0;
	}
	if (r == -EACCES || r == -EPERM)
		ERR_HINT(r, "without the right to make cgroups, run with --cgroup-manager=disabled");
	/* What was made is gone again; one that was there is somebody else's, and stays even if it is empty. */
	if (r < 0 && !s->cgroup_owned)
		s->cgroup_path = NULL;
	if (r < 0)
		return r;
	log_debug("cgroup: %s", s->cgroup_path);
	s->cgroup_owned = true;
	r = cgroup_settings_write(&i->host, s->cgroup_path, i->cgroup, p->settings, p->n_settings);
	if (r == 0)
		r = make_room(i, p);
	if (r == 0 && p->delegate_cgroup)
		r = cgroup_delegate(i->cgroup, p->cgroup_owner);
	if (r < 0)
		return r;
	*ret_dir = str_printf("%s%s%s", i->host.mount, s->cgroup_path[0] == '/' ? "" : "/", s->cgroup_path);
	if (*ret_dir == NULL)
		return ERR_NOMEM();
	return limit_devices(i, p);
}
