/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup of a plan: its place or scope, its limits, who owns it. See plan_parts.h. */
#include "runtime/plan_parts.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/caller.h"
#include "runtime/plan.h"
#include "runtime/plan_resources.h"

int plan_build_resctrl(struct plan *p)
{
	const struct spec_intel_rdt *in = &p->spec->linux_.intel_rdt;
	struct resctrl_req *q;

	if (!in->present)
		return 0;
	if (in->clos_id != NULL && !str_eq(in->clos_id, "/") && !resctrl_name_ok(in->clos_id))
		return ERR_PLAIN(-EINVAL, "config.json: linux.intelRdt.closID: \"%.64s\" cannot be the name of a resctrl group", in->clos_id);
	q = arena_alloc(p->arena, sizeof(*q));
	if (q == NULL)
		return ERR_NOMEM();
	*q = (struct resctrl_req){
		.clos = in->clos_id,
		.id = p->id,
		.l3 = in->l3_cache_schema,
		.mem_bw = in->mem_bw_schema,
		.lines = in->schemata.v,
		.n_lines = in->schemata.n,
		.monitor = in->monitoring,
	};
	p->resctrl = q;
	return 0;
}

static int build_limits(struct plan *p)
{
	const struct spec_resources *in = &p->spec->linux_.resources;
	int r = plan_resources(p->arena, in, &p->resources);

	if (r < 0)
		return ERR_CONTEXT(r, "config.json");
	/* 0 in the file is a cgroup that the first process cannot enter; as with runc: that one, and no more. update means what it says. */
	if (p->resources.has_pids && p->resources.pids == 0)
		p->resources.pids = 1;
	r = cgroup_settings(p->arena, &p->resources, &p->settings, &p->n_settings);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json: linux.resources");
	return plan_device_rules(p->arena, in, &p->device_rules, &p->n_device_rules);
}

/* The host's id of the container's user; false: a user namespace that is joined, whose map is not ours to know. */
static bool host_uid(const struct plan *p, uid_t uid, uid_t *ret)
{
	*ret = uid;
	if (!plan_has_ns(p, CLONE_NEWUSER))
		return true;
	for (size_t i = 0; i < p->userns.n_uid; i++) {
		const struct userns_range *m = &p->userns.uid[i];

		if (uid >= m->container_id && uid - m->container_id < m->size) {
			*ret = m->host_id + (uid - m->container_id);
			return true;
		}
	}
	return false;
}

/* runtime-spec "Cgroup ownership": with a cgroup namespace of its own and a cgroup mount that it may write to. */
static void build_delegation(struct plan *p)
{
	bool writable = false;

	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_req *m = &p->mounts[i];

		if (m->fstype != NULL && (str_eq(m->fstype, "cgroup") || str_eq(m->fstype, "cgroup2")))
			writable = !(m->attr_set & MOUNT_ATTR_RDONLY);
	}
	p->delegate_cgroup = writable && plan_has_new_ns(p, CLONE_NEWCGROUP) && p->spec->process != NULL &&
			     host_uid(p, p->spec->process->user.uid, &p->cgroup_owner) && p->cgroup_owner != 0;
}

/* --cgroup-manager=disabled is the caller's word that it goes without. */
static int warn_no_limits(struct plan *p)
{
	struct cgroup_resources r;
	struct cgroup_setting *v;
	size_t n = 0;
	int k = plan_resources(p->arena, &p->spec->linux_.resources, &r);

	if (k == 0)
		k = cgroup_settings(p->arena, &r, &v, &n);
	if (k < 0 || n > 0)
		log_warning("config.json: linux.resources: not applied, since there is no cgroup");
	err_clear();
	return 0;
}

/*
 * CVE-2024-3154: a pod's annotations may be its author's, and a unit's properties can restart the host (SuccessAction), stop its
 * services (Conflicts) and take limits away. These are what engines write there themselves, and only about how the unit ends. A user's
 * manager has no more rights than the user, whose pod it is (podman).
 */
static int check_pods_property(const struct plan *p, const char *name)
{
	static const char *const harmless[] = { "After", "CollectMode", "DefaultDependencies", "Delegate", "KillSignal", "TimeoutStopSec",
						"TimeoutStopUSec" };

	return p->pod == POD_NONE || p->scope.user || str_in(name, harmless, ARRAY_SIZE(harmless)) ? 0 :
		       ERR_PLAIN(-EPERM, "is a property of a unit of the host, which no pod may choose");
}

/* Annotations org.systemd.property.NAME, as other runtimes know them. */
static int build_unit_properties(struct plan *p)
{
	static const char prefix[] = "org.systemd.property.";
	const struct spec *s = p->spec;
	struct cgroup_unit_property *v = arena_array(p->arena, s->n_annotations, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < s->n_annotations; i++) {
		const struct spec_kv *a = &s->annotations[i];
		int r;

		if (!str_starts(a->key, prefix))
			continue;
		v[n] = (struct cgroup_unit_property){ a->key + strlen(prefix), a->value };
		r = check_pods_property(p, v[n].name);
		if (r == 0)
			r = cgroup_unit_property_check(&v[n++]);
		if (r < 0)
			return ERR_CONTEXT(r, "config.json: annotations[\"%s\"]", a->key);
	}
	p->unit_properties = v;
	p->n_unit_properties = n;
	return 0;
}

static int build_scope(struct plan *p, const struct plan_options *o)
{
	int r = cgroup_scope_parse(p->arena, p->spec->linux_.cgroups_path, o->id, caller_is_user(), &p->scope);

	if (r < 0)
		return ERR_CONTEXT(r, "config.json: linux.cgroupsPath");
	r = build_unit_properties(p);
	return r < 0 ? r : build_limits(p);
}

int plan_build_cgroup(struct plan *p, const struct plan_options *o)
{
	const struct spec_linux *l = &p->spec->linux_;

	p->cgroup_manager = o->cgroup_manager;
	if (o->cgroup_manager == CGROUP_MANAGER_DISABLED)
		return warn_no_limits(p);
	build_delegation(p);
	if (o->cgroup_manager == CGROUP_MANAGER_SYSTEMD)
		return build_scope(p, o);
	p->cgroup_made_up = l->cgroups_path == NULL || *l->cgroups_path == '\0';
	if (!p->cgroup_made_up)
		p->cgroup_path = l->cgroups_path;
	else	/* a cgroup's name has at most 255 bytes, as an ID has */
		p->cgroup_path = arena_printf(p->arena, strlen(o->id) > 255 - strlen("nacre-") ? "/%s" : "/nacre-%s", o->id);
	return p->cgroup_path == NULL ? ERR_NOMEM() : build_limits(p);
}
