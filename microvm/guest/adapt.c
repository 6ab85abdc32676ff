/* SPDX-License-Identifier: Apache-2.0 */
/* See adapt.h. */
#include "microvm/guest/adapt.h"

#include <errno.h>
#include <stdbool.h>

#include "microvm/guest/description.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/machine_mounts.h"
#include "runtime/pod.h"

#define OWN_NETWORK "/proc/self/ns/net"

/* NULL: its source is not in the share. */
static const struct guest_mount *in_share(const struct guest_description *d, size_t mount)
{
	for (size_t i = 0; i < d->n_mounts; i++)
		if (d->mounts[i].index == mount)
			return &d->mounts[i];
	return NULL;
}

static bool has_option(const struct spec_mount *m, const char *option)
{
	return str_in(option, m->options.v, m->options.n);
}

static bool is_bind(const struct spec_mount *m)
{
	return has_option(m, "bind") || has_option(m, "rbind") ||
	       (m->type != NULL && (str_eq(m->type, "bind") || str_eq(m->type, "rbind")));
}

static bool has_namespace(const struct spec *s, const char *type)
{
	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		if (str_eq(s->linux_.namespaces[i].type, type))
			return true;
	return false;
}

static bool is_idmap(const char *option)
{
	return str_eq(option, "idmap") || str_eq(option, "ridmap") || str_starts(option, "idmap=") || str_starts(option, "ridmap=");
}

/*
 * A mount begins with its source's flags, and its own options come after. The ids that the share shows are mapped already.
 */
static int share_options(struct arena *a, const struct guest_mount *shared, struct spec_mount *m)
{
	const char **v = arena_array(a, shared->n_flags + m->options.n + 1, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < shared->n_flags; i++)
		v[n++] = shared->flags[i];
	for (size_t i = 0; i < m->options.n; i++)
		if (!is_idmap(m->options.v[i]))
			v[n++] = m->options.v[i];
	v[n] = NULL;
	m->options = (struct strv){ .v = v, .n = n };
	m->n_uid_map = m->n_gid_map = 0;
	return 0;
}

static int adapt_mount(struct spec *s, struct spec_mount *m, size_t i, const struct guest_description *d)
{
	const struct guest_mount *shared = in_share(d, i);

	if (shared != NULL) {
		if (!is_bind(m))
			return ERR_PLAIN(-EINVAL, "config.json: mounts[%zu]: is in the share, but is no bind mount", i);
		m->source = arena_printf(s->arena, SHARE_MOUNT "/mounts/%zu", i);
		return m->source == NULL ? ERR_NOMEM() : share_options(s->arena, shared, m);
	}
	/* Its source would be a path of the guest's. */
	if (is_bind(m) && !has_option(m, "remount"))
		return ERR_PLAIN(-EINVAL, "config.json: mounts[%zu]: its source is not in the share", i);
	return 0;
}

static int adapt_mounts(struct spec *s, const struct guest_description *d)
{
	struct spec_mount *v = arena_array(s->arena, s->n_mounts, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	if (d->n_mounts > 0 && d->mounts[d->n_mounts - 1].index >= s->n_mounts)
		return ERR_PLAIN(-EINVAL, "the guest description: mounts: config.json has %zu only", s->n_mounts);
	for (size_t i = 0; i < s->n_mounts; i++) {
		int r;

		v[i] = s->mounts[i];
		r = adapt_mount(s, &v[i], i, d);
		if (r < 0)
			return r;
	}
	s->mounts = v;
	return 0;
}

/* The host's user namespace does what the container's would: its root is this machine's, and owns what it owns there. */
static int drop_userns(struct spec *s)
{
	struct spec_linux *l = &s->linux_;
	struct spec_namespace *v = arena_array(s->arena, l->n_namespaces, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < l->n_namespaces; i++)
		if (!str_eq(l->namespaces[i].type, "user"))
			v[n++] = l->namespaces[i];
	l->namespaces = v;
	l->n_namespaces = n;
	l->n_uid_map = l->n_gid_map = 0;
	return 0;
}

static int adapt_namespaces(struct spec *s)
{
	struct spec_linux *l = &s->linux_;
	struct spec_namespace *v = arena_array(s->arena, l->n_namespaces, sizeof(*v));
	bool pod = pod_part(s) == POD_CONTAINER, user_ns = has_namespace(s, "user");

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < l->n_namespaces; i++) {
		v[i] = l->namespaces[i];
		if (str_eq(v[i].type, "network")) {
			v[i].path = user_ns ? NULL : OWN_NETWORK;
			l->network_is_machine = !user_ns;
		} else if (pod && (str_eq(v[i].type, "ipc") || str_eq(v[i].type, "uts"))) {
			v[i].path = NULL;
		} else if (v[i].path != NULL) {
			return ERR_PLAIN(-EINVAL, "config.json: linux.namespaces[%zu].path: a virtual machine cannot join "
					 "the host's %s namespace", i, v[i].type);
		}
	}
	l->namespaces = v;
	/* They were moved on the host, and are this machine's network now. */
	l->n_net_devices = 0;
	return 0;
}

int guest_adapt_resources(struct spec *s)
{
	const struct spec_resources *in = &s->linux_.resources;
	struct spec_kv *unified = arena_array(s->arena, in->n_unified, sizeof(*unified));
	struct spec_resources out = {
		.has_devices = in->has_devices, .device_rules = in->device_rules, .n_device_rules = in->n_device_rules,
		.has_pids = in->has_pids, .pids_limit = in->pids_limit,
		.hugepage_limits = in->hugepage_limits, .n_hugepage_limits = in->n_hugepage_limits,
		.unified = unified,
	};

	if (unified == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_unified; i++)
		if (str_starts(in->unified[i].key, "pids.") || str_starts(in->unified[i].key, "hugetlb."))
			unified[out.n_unified++] = in->unified[i];
	s->linux_.resources = out;
	return 0;
}

int guest_adapt(struct spec *s, const void *data)
{
	const struct guest_description *d = data;
	int r;

	if (d->image.device != NULL) {
		s->has_root = true;
		s->root.path = IMAGE_MOUNT;
	} else if (s->has_root) {
		s->root.path = arena_printf(s->arena, SHARE_MOUNT "%s", d->rootfs);
		if (s->root.path == NULL)
			return ERR_NOMEM();
	}
	r = d->ids_mapped ? drop_userns(s) : 0;
	if (r == 0)
		r = pod_replace_shm(s);
	if (r == 0)
		r = machine_mounts_replace(s);
	if (r == 0)
		r = adapt_mounts(s, d);
	if (r == 0)
		r = adapt_namespaces(s);
	if (r == 0)
		r = guest_adapt_resources(s);
	s->linux_.cgroups_path = NULL;
	/* Of the machine as a whole, on the host. */
	s->linux_.intel_rdt = (struct spec_intel_rdt){ .present = false };
	s->hooks = (struct spec_hooks){ .start_container = s->hooks.start_container };
	s->vm = (struct spec_vm){ .present = false };
	return r;
}
