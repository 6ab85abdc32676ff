/* SPDX-License-Identifier: Apache-2.0 */
/* mounts add and mounts remove. See lifecycle.h. */
#include "runtime/lifecycle.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

/* Is it one whose mounts can be changed? */
static int check(const struct instance *i, enum container_status status)
{
	const struct container *c = i->c;

	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return ERR_PLAIN(-ESRCH, "cannot change the mounts of container \"%s\": container not running (%s)", c->id,
				 status_name(status));
	/* What mounts is in its cgroup, and would be frozen as well. */
	if (status == STATUS_PAUSED)
		return ERR_HINT(ERR_PLAIN(-EBUSY, "cannot change the mounts of container \"%s\": it is paused", c->id),
				"nacre resume lets it go on");
	if (i->ops->add_mounts == NULL)
		return ERR_PLAIN(-ENOTSUP, "cannot change the mounts of container \"%s\": a %s has those it was made with", c->id,
				 i->ops->name);
	if (!(c->state.ns_flags & CLONE_NEWNS))
		return ERR_PLAIN(-EINVAL, "cannot change the mounts of container \"%s\": it has no mount namespace of its own", c->id);
	return 0;
}

static int open_checked(const char *root, const char *id, struct container *c, struct instance *i)
{
	enum container_status status;
	pid_t pid;
	int r = lifecycle_open_locked(root, id, c, i, &status, &pid);

	return r < 0 ? r : check(i, status);
}

/* The container's mountLabel and id maps are those of its config.json. */
static int plan_more(struct container *c, const struct mounts_options *o, struct plan **ret_plan)
{
	const struct plan_live_options live = {
		.more = o->mounts,
		.name = o->name,
		.bundle = c->state.bundle,
		.ns_flags = c->state.ns_flags,
	};
	struct spec *spec = NULL;
	int r = spec_load(c->dir, STATE_CONFIG, &spec, NULL, NULL);

	return r < 0 ? r : plan_build_live(spec, &live, ret_plan);
}

static int note(struct container *c, const struct plan *p, const uint64_t *ids)
{
	struct state *s = &c->state;
	struct state_mount *v = arena_array(c->arena, s->n_mounts + p->n_mounts, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	if (s->n_mounts > 0)
		memcpy(v, s->mounts, s->n_mounts * sizeof(*v));
	for (size_t k = 0; k < p->n_mounts; k++)
		v[s->n_mounts + k] = (struct state_mount){ p->mounts[k].target, ids[k] };
	s->mounts = v;
	s->n_mounts += p->n_mounts;
	return container_save(c);
}

static int add_planned(struct instance *i, const struct plan *p)
{
	uint64_t *ids = arena_array(i->c->arena, p->n_mounts + 1, sizeof(*ids));
	struct err_kept kept;
	int r = ids == NULL ? ERR_NOMEM() : i->ops->add_mounts(i, p, ids);

	if (r == 0 && p->n_mounts > 0)
		r = note(i->c, p, ids);
	else
		return r;
	if (r == 0)
		return 0;
	/* A mount that no record knows could not be removed any more. */
	err_keep(&kept);
	for (size_t k = p->n_mounts; k > 0; k--)
		(void)i->ops->remove_mount(i, p->mounts[k - 1].target, ids[k - 1], true);
	err_restore(&kept);
	return r;
}

int lifecycle_add_mounts(const char *root, const char *id, const struct mounts_options *o)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_plan_ struct plan *plan = NULL;
	int r = open_checked(root, id, &c, &i);

	if (r == 0)
		r = plan_more(&c, o, &plan);
	return r < 0 ? r : add_planned(&i, plan);
}

/* Out of the record: it is gone, or was taken away by the container. */
static int forget(struct container *c, size_t at)
{
	struct state *s = &c->state;
	struct state_mount *v = arena_array(c->arena, s->n_mounts, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t k = 0; k < s->n_mounts; k++)
		if (k != at)
			v[n++] = s->mounts[k];
	s->mounts = v;
	s->n_mounts = n;
	return container_save(c);
}

/* The last that came to this place lies on top. */
static int remove_one(struct instance *i, const char *target, bool lazy)
{
	const struct state *s = &i->c->state;
	struct err_kept kept;
	size_t k = s->n_mounts;
	int r;

	while (k > 0 && !str_eq(s->mounts[k - 1].target, target))
		k--;
	if (k == 0)
		return ERR_PLAIN(-ENOENT, "no mount was added to container \"%s\" at \"%s\"", i->c->id, target);
	r = i->ops->remove_mount(i, target, s->mounts[k - 1].id, lazy);
	if (r == -EBUSY)
		return ERR_HINT(r, "--lazy takes it out of sight at once; it ends with its last use");
	if (r < 0 && r != -ENOENT)
		return r;
	err_keep(&kept);
	if (forget(i->c, k - 1) < 0)
		return r < 0 ? r : -EIO;
	if (r < 0)
		err_restore(&kept);
	return r;
}

int lifecycle_remove_mounts(const char *root, const char *id, const struct mounts_options *o)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	char target[PATH_MAX];
	int r = open_checked(root, id, &c, &i);

	for (size_t k = 0; r == 0 && k < o->mounts->n_mounts; k++) {
		r = path_clean(o->mounts->mounts[k].destination, target);
		if (r < 0)
			return ERR(r, "%s: [%zu].destination", o->name, k);
		r = remove_one(&i, target, o->lazy);
	}
	return r;
}
