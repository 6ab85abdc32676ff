/* SPDX-License-Identifier: Apache-2.0 */
/* A container's resctrl groups, for both back ends: see cgroups/resctrl.h. */
#include "runtime/container_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * The record that is written before says what will be made, for the case that we are killed in between. Until the container is there
 * resctrl_made has what was made: a group with a closID stays when its container goes, but not when that has never come to be.
 */
int container_make_resctrl(struct instance *i, const struct plan *p)
{
	_cleanup_free_ char *root = NULL;
	int r;

	if (p->resctrl == NULL)
		return 0;
	r = resctrl_find(&root);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json: linux.intelRdt");
	r = resctrl_make(root, p->resctrl, &i->c->state.resctrl_made);
	return r < 0 ? ERR_CONTEXT(r, "config.json") : 0;
}

int container_join_resctrl(const struct instance *i, pid_t pid)
{
	const struct state *s = &i->c->state;
	_cleanup_free_ char *root = NULL;
	int r;

	if (s->resctrl_group == NULL)
		return 0;
	r = resctrl_find(&root);
	return r < 0 ? r : resctrl_assign(root, s->resctrl_group, s->resctrl_monitor ? s->id : NULL, pid);
}

int container_update_resctrl(const struct instance *i, const char *l3, const char *mem_bw, char **ret_before)
{
	const struct state *s = &i->c->state;
	_cleanup_free_ char *root = NULL;
	int r;

	*ret_before = NULL;
	if (l3 == NULL && mem_bw == NULL)
		return 0;
	if (s->resctrl_group == NULL)
		return ERR_PLAIN(-ENOTSUP, "container \"%s\" has no resctrl group: its config.json has no linux.intelRdt", i->c->id);
	r = resctrl_find(&root);
	return r < 0 ? r : resctrl_update(root, s->resctrl_group, l3, mem_bw, ret_before);
}

void container_restore_resctrl(const struct instance *i, const char *before)
{
	_cleanup_free_ char *root = NULL;

	if (before != NULL && resctrl_find(&root) == 0)
		resctrl_restore(root, i->c->state.resctrl_group, before);
}

int container_remove_resctrl(const struct instance *i)
{
	const struct state *s = &i->c->state;
	_cleanup_free_ char *root = NULL;

	if (s->resctrl_group == NULL || s->resctrl_made == 0)
		return 0;
	/* Unmounted meanwhile: its groups went with it. */
	if (resctrl_find(&root) < 0) {
		err_clear();
		return 0;
	}
	return resctrl_remove(root, s->resctrl_group, s->id, s->resctrl_made);
}
