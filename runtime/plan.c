/* SPDX-License-Identifier: Apache-2.0 */
/* struct spec -> struct plan. See plan.h. */
#include "runtime/plan.h"

#include <errno.h>
#include <sched.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/machine_mounts.h"
#include "runtime/notify.h"
#include "runtime/plan_parts.h"
#include "runtime/plan_rules.h"
#include "runtime/plan_vm.h"

static const char *const hook_names[HOOK_KINDS] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};

const char *hook_kind_name(enum hook_kind k)
{
	return hook_names[k];
}

const char *isolation_name(enum isolation i)
{
	return i == ISOLATION_MICROVM ? "microvm" : "container";
}

bool plan_has_ns(const struct plan *p, unsigned int flag)
{
	for (size_t i = 0; i < p->n_ns; i++)
		if (p->ns[i].flag == flag)
			return true;
	return false;
}

bool plan_has_new_ns(const struct plan *p, unsigned int flag)
{
	for (size_t i = 0; i < p->n_ns; i++)
		if (p->ns[i].flag == flag)
			return p->ns[i].path == NULL;
	return false;
}

static int build_root(struct plan *p, const struct plan_options *o)
{
	const struct spec *s = p->spec;

	if (o->isolation == ISOLATION_MICROVM && s->vm.image.path != NULL)
		p->rootfs = s->vm.image.path;
	else if (s->root.path == NULL)
		return ERR_PLAIN(-EINVAL, "config.json: %s: is required", s->has_root ? "root.path" : "root");
	else if (s->root.path[0] == '/')
		p->rootfs = s->root.path;
	else
		p->rootfs = arena_printf(p->arena, "%s/%s", o->bundle, s->root.path);
	if (p->rootfs == NULL)
		return ERR_NOMEM();
	p->rootfs_readonly = s->root.readonly;
	return 0;
}

static void build_offset(const struct spec_time_offset *in, struct ns_time_offset *out)
{
	out->present = in->present;
	out->secs = in->secs;
	out->nanosecs = in->nanosecs;
}

struct userns_range *plan_map(struct arena *a, const struct spec_id_map *in, size_t n)
{
	struct userns_range *out = arena_array(a, n, sizeof(*out));

	for (size_t i = 0; out != NULL && i < n; i++)
		out[i] = (struct userns_range){ in[i].container_id, in[i].host_id, in[i].size };
	return out;
}

static int build_namespaces(struct plan *p)
{
	const struct spec_linux *l = &p->spec->linux_;

	for (size_t i = 0; i < l->n_namespaces && p->n_ns < ARRAY_SIZE(p->ns); i++) {
		p->ns[p->n_ns].flag = ns_flag(l->namespaces[i].type);
		p->ns[p->n_ns++].path = l->namespaces[i].path;
	}
	build_offset(&l->monotonic, &p->monotonic);
	build_offset(&l->boottime, &p->boottime);
	p->userns.uid = plan_map(p->arena, l->uid_map, l->n_uid_map);
	p->userns.gid = plan_map(p->arena, l->gid_map, l->n_gid_map);
	if (p->userns.uid == NULL || p->userns.gid == NULL)
		return ERR_NOMEM();
	p->userns.n_uid = l->n_uid_map;
	p->userns.n_gid = l->n_gid_map;
	if (plan_has_new_ns(p, CLONE_NEWUSER) && (l->n_uid_map == 0 || l->n_gid_map == 0))
		return ERR_PLAIN(-EINVAL, "config.json: linux.uidMappings, linux.gidMappings: a new user namespace needs both");
	p->loopback = plan_has_new_ns(p, CLONE_NEWNET);
	p->hostname = p->spec->hostname;
	p->domainname = p->spec->domainname;
	return 0;
}

static int copy_kv(struct arena *a, const struct spec_kv *in, size_t n, const struct plan_kv **ret)
{
	struct plan_kv *out = arena_array(a, n, sizeof(*out));

	if (out == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++)
		out[i] = (struct plan_kv){ in[i].key, in[i].value };
	*ret = out;
	return 0;
}

static int build_hook_list(struct plan *p, enum hook_kind kind, const struct spec_hook_list *in)
{
	struct plan_hook *out = arena_array(p->arena, in->n, sizeof(*out));

	if (out == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n; i++) {
		const struct spec_hook *h = &in->v[i];

		out[i] = (struct plan_hook){
			.path = h->path,
			.args = h->args.n > 0 ? h->args.v : NULL,
			.env = h->env.v,
			.timeout = h->timeout,
		};
		/* runtime-spec "startContainer": without an env of its own, the process' one. */
		if (kind == HOOK_START_CONTAINER && !h->has_env && p->has_process)
			out[i].env = (const char *const *)p->process.env;
	}
	p->hooks[kind].v = out;
	p->hooks[kind].n = in->n;
	return 0;
}

static int build_hooks(struct plan *p)
{
	const struct spec_hooks *h = &p->spec->hooks;
	const struct spec_hook_list *lists[HOOK_KINDS] = {
		&h->prestart, &h->create_runtime, &h->create_container, &h->start_container, &h->poststart, &h->poststop,
	};

	for (int k = 0; k < HOOK_KINDS; k++) {
		int r = build_hook_list(p, (enum hook_kind)k, lists[k]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int build_process(struct plan *p, const struct plan_options *o)
{
	const char *keep = spec_annotation(p->spec, ANNOTATION_KEEP_GROUPS);
	int r;

	if (p->spec->process == NULL)
		return 0;
	r = plan_process(p->arena, p->spec->process, o->preserve_fds, o->listen_fds, &p->process);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json");
	p->has_process = true;
	p->process.keep_groups = keep != NULL && !str_eq(keep, "0");
	/* In a user namespace, or a machine, of its own the container gets them from the kernel. */
	if (!plan_has_ns(p, CLONE_NEWUSER) && p->isolation != ISOLATION_MICROVM) {
		r = plan_drop_ungrantable(&p->process.caps);
		if (r < 0)
			return r;
	}
	if (p->spec->linux_.personality_domain != NULL) {
		p->process.has_personality = true;
		p->process.personality = str_eq(p->spec->linux_.personality_domain, "LINUX32") ? 0x0008UL : 0UL;
	}
	return 0;
}

static int build_isolation(struct plan *p, const struct plan_options *o)
{
	p->vm.console_to_log = o->debug;
	if (o->isolation == ISOLATION_MICROVM)
		return plan_build_vm(p, o->host_config, o->host);
	/* Only who asks for a container in so many words gets here with one, and a pod's sandbox, which engines give none. */
	if (p->spec->vm.present)
		log_warning("config.json: vm: not applied, since it was asked to be a container, not a microVM");
	return 0;
}

/* Engines put their defaults and the user's paths together: one mount for each is enough. */
static int each_once(struct plan *p, const struct strv *in, const char *const **ret_v, size_t *ret_n)
{
	const char **v = arena_array(p->arena, in->n, sizeof(*v)), ***work = arena_array(p->arena, in->n, sizeof(*work));

	if (v == NULL || work == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n; i++)
		v[i] = in->v[i];
	*ret_n = str_keep_last(v, in->n, false, work);
	*ret_v = v;
	return 0;
}

static int build_hidden(struct plan *p)
{
	const struct spec_linux *l = &p->spec->linux_;
	int r = each_once(p, &l->masked_paths, &p->masked_paths, &p->n_masked);

	return r < 0 ? r : each_once(p, &l->readonly_paths, &p->readonly_paths, &p->n_readonly);
}

static int build_all(struct plan *p, const struct plan_options *o)
{
	const struct spec_linux *l = &p->spec->linux_;
	int r = build_root(p, o);

	if (r == 0)
		r = build_hidden(p);
	if (r == 0)
		r = build_namespaces(p);
	if (r == 0)
		r = plan_build_mounts(p);
	if (r == 0)
		r = plan_build_devices(p);
	if (r == 0)
		r = plan_build_cgroup(p, o);
	if (r == 0)
		r = build_process(p, o);
	if (r == 0 && o->notify_dir != NULL)
		r = notify_plan(p, o->notify_dir);
	if (r == 0)
		r = plan_build_memory_policy(p);
	if (r == 0)
		r = plan_build_resctrl(p);
	if (r == 0)
		r = plan_build_seccomp(p);
	if (r == 0)
		r = build_hooks(p);
	if (r == 0)
		r = plan_build_network(p);
	if (r == 0)
		r = copy_kv(p->arena, l->sysctl, l->n_sysctl, &p->sysctl);
	p->n_sysctl = l->n_sysctl;
	if (r == 0)
		r = copy_kv(p->arena, p->spec->annotations, p->spec->n_annotations, &p->annotations);
	p->n_annotations = p->spec->n_annotations;
	if (r == 0)
		r = build_isolation(p, o);
	return r < 0 ? r : plan_check(p);
}

int plan_build(struct spec *spec, const struct plan_options *o, struct plan **ret_plan)
{
	struct plan *p = arena_alloc(spec->arena, sizeof(*p));
	int r;

	if (p == NULL) {
		spec_free(spec);
		return ERR_NOMEM();
	}
	p->spec = spec;
	p->arena = spec->arena;
	p->id = o->id;
	p->bundle = o->bundle;
	p->oci_version = spec->oci_version;
	p->mounts_at = "config.json: mounts";
	p->no_pivot = o->no_pivot;
	p->new_keyring = !o->no_new_keyring;
	if (spec->linux_.mount_label != NULL && *spec->linux_.mount_label != '\0')
		p->mount_label = spec->linux_.mount_label;
	p->isolation = o->isolation;
	p->pod = pod_part(spec);
	p->pod_sandbox = o->pod_sandbox;
	r = p->isolation == ISOLATION_MICROVM ? pod_replace_shm(spec) : 0;
	if (r == 0 && p->isolation == ISOLATION_MICROVM)
		r = machine_mounts_replace(spec);
	if (r == 0)
		r = build_all(p, o);
	if (r < 0) {
		plan_free(p);
		return r;
	}
	*ret_plan = p;
	return 0;
}

int plan_build_live(struct spec *spec, const struct plan_live_options *o, struct plan **ret_plan)
{
	struct plan *p = arena_alloc(spec->arena, sizeof(*p));
	int r = 0;

	if (p == NULL) {
		spec_free(spec);
		return ERR_NOMEM();
	}
	spec->mounts = o->more->mounts;
	spec->n_mounts = o->more->n_mounts;
	p->spec = spec;
	p->arena = spec->arena;
	p->bundle = o->bundle;
	p->mounts_at = arena_printf(p->arena, "%s: ", o->name);
	if (p->mounts_at == NULL)
		r = ERR_NOMEM();
	if (r == 0)
		r = build_namespaces(p);
	if (r == 0)
		r = plan_build_live_mounts(p, o->ns_flags);
	if (r < 0) {
		plan_free(p);
		return r;
	}
	*ret_plan = p;
	return 0;
}

void plan_free(struct plan *p)
{
	if (p != NULL)
		spec_free(p->spec);	/* its arena holds the plan too */
}

void plan_freep(struct plan **p)
{
	plan_free(*p);
	*p = NULL;
}
