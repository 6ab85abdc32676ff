/* SPDX-License-Identifier: Apache-2.0 */
/* struct spec -> struct plan. See plan.h. */
#include "runtime/plan.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/procfs.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"
#include "runtime/plan_resources.h"
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

static struct userns_range *build_map(struct arena *a, const struct spec_id_map *in, size_t n)
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
	p->userns.uid = build_map(p->arena, l->uid_map, l->n_uid_map);
	p->userns.gid = build_map(p->arena, l->gid_map, l->n_gid_map);
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

/* linux.mountLabel: SELinux' context option, on file systems that have labels of their own to set. */
static int label_mount(struct plan *p, struct mount_req *m)
{
	static const char *const unlabelled[] = { "proc", "sysfs", "mqueue", "cgroup", "cgroup2", "bind", "rbind" };
	const char *label = p->spec->linux_.mount_label;
	const char **data;

	if (label == NULL || *label == '\0' || m->bind || m->remount || m->fstype == NULL ||
	    str_in(m->fstype, unlabelled, ARRAY_SIZE(unlabelled)))
		return 0;
	data = arena_array(p->arena, m->n_data + 1, sizeof(*data));
	if (data == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < m->n_data; i++)
		data[i] = m->data[i];
	data[m->n_data] = arena_printf(p->arena, "context=%s", label);
	if (data[m->n_data++] == NULL)
		return ERR_NOMEM();
	m->data = data;
	return 0;
}

/*
 * Maps without an option mean idmap: the option is there so that a runtime which does not know the maps refuses it. The option
 * without maps means those of the container's user namespace; one that is joined is asked for them when it is there.
 */
static int build_idmap(struct plan *p, const struct spec_mount *in, struct mount_req *m)
{
	struct userns_req *maps;

	if (in->n_uid_map == 0) {
		if (m->idmap != MOUNT_IDMAP_NONE && plan_has_new_ns(p, CLONE_NEWUSER))
			m->idmap_maps = &p->userns;
		return 0;
	}
	if (m->idmap == MOUNT_IDMAP_NONE)
		m->idmap = MOUNT_IDMAP_TOP;
	maps = arena_alloc(p->arena, sizeof(*maps));
	if (maps == NULL)
		return ERR_NOMEM();
	maps->uid = build_map(p->arena, in->uid_map, in->n_uid_map);
	maps->gid = build_map(p->arena, in->gid_map, in->n_gid_map);
	maps->n_uid = in->n_uid_map;
	maps->n_gid = in->n_gid_map;
	m->idmap_maps = maps;
	return maps->uid == NULL || maps->gid == NULL ? ERR_NOMEM() : 0;
}

static int build_mount(struct plan *p, size_t i)
{
	const struct spec_mount *in = &p->spec->mounts[i];
	struct mount_req *m = &p->mounts[i];
	char clean[PATH_MAX];
	int r = path_clean(in->destination, clean);

	if (r < 0)
		return ERR(r, "config.json: mounts[%zu].destination", i);
	m->target = arena_strdup(p->arena, clean);
	if (m->target == NULL)
		return ERR_NOMEM();
	m->source = in->source;
	m->fstype = in->type;
	r = mount_options_parse(p->arena, in->options.v, in->options.n, m);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json: mounts[%zu].options", i);
	r = build_idmap(p, in, m);
	if (r < 0)
		return r;
	r = label_mount(p, m);
	if (r < 0)
		return r;
	/* "bind" as a type is a habit of engines; the options decide (runtime-spec "mounts"). */
	if (m->fstype != NULL && (str_eq(m->fstype, "bind") || str_eq(m->fstype, "rbind")) && !m->bind) {
		m->bind = true;
		m->recursive = str_eq(m->fstype, "rbind");
	}
	if (m->bind && !m->remount) {
		m->fstype = NULL;
		if (m->source == NULL || *m->source == '\0')
			return ERR_PLAIN(-EINVAL, "config.json: mounts[%zu].source: a bind mount needs one", i);
		if (m->source[0] != '/')
			m->source = arena_printf(p->arena, "%s/%s", p->bundle, m->source);
		if (m->source == NULL)
			return ERR_NOMEM();
	} else if (!m->remount && (m->fstype == NULL || *m->fstype == '\0')) {
		return ERR_PLAIN(-EINVAL, "config.json: mounts[%zu].type: is required for a mount that is no bind mount", i);
	}
	return plan_check_mount(p, i);
}

/*
 * runtime-spec config-linux "Default Filesystems": a config.json that names no mounts at
 * all gets the four that a Linux program expects. One that names some is taken at its word.
 */
static int build_default_mounts(struct plan *p)
{
	static const struct {
		const char *target, *type, *data[4];
		uint64_t attrs;
	} list[] = {
		{ "/proc", "proc", { NULL }, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC },
		{ "/dev/pts", "devpts", { "newinstance", "ptmxmode=0666", "mode=0620", NULL },
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC },
		{ "/dev/shm", "tmpfs", { "mode=1777", "size=65536k", NULL },
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC },
		{ "/sys", "sysfs", { NULL },
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY },
	};

	p->mounts = arena_array(p->arena, ARRAY_SIZE(list), sizeof(*p->mounts));
	if (p->mounts == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct mount_req *m = &p->mounts[p->n_mounts++];

		m->target = list[i].target;
		m->fstype = m->source = list[i].type;
		m->attr_set = list[i].attrs;
		m->data = arena_array(p->arena, ARRAY_SIZE(list[i].data), sizeof(*m->data));
		if (m->data == NULL)
			return ERR_NOMEM();
		while (list[i].data[m->n_data] != NULL) {
			m->data[m->n_data] = list[i].data[m->n_data];
			m->n_data++;
		}
	}
	return 0;
}

static int build_mounts(struct plan *p)
{
	const struct spec *s = p->spec;
	const char *propagation = s->linux_.rootfs_propagation;
	int r;

	p->default_devices = true;
	p->isolate = MS_SLAVE;
	if (propagation != NULL) {
		p->root_propagation = mount_propagation_flag(propagation);
		if ((p->root_propagation & ~(unsigned long)MS_REC) == MS_PRIVATE)
			p->isolate = MS_PRIVATE;
	}
	if (!plan_has_ns(p, CLONE_NEWNS))
		return plan_check_no_mount_ns(p);
	if (s->n_mounts == 0)
		return build_default_mounts(p);
	p->mounts = arena_array(p->arena, s->n_mounts, sizeof(*p->mounts));
	if (p->mounts == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < s->n_mounts; i++) {
		p->n_mounts = i + 1;
		r = build_mount(p, i);
		if (r < 0)
			return r;
		/* A bound /dev is the host's or a volume: nodes of ours do not belong there. */
		if (p->mounts[i].bind && str_eq(p->mounts[i].target, "/dev"))
			p->default_devices = false;
	}
	return 0;
}

static int build_devices(struct plan *p)
{
	const struct spec_linux *l = &p->spec->linux_;
	struct device_req *d = arena_array(p->arena, l->n_devices, sizeof(*d));

	if (d == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < l->n_devices; i++) {
		const struct spec_device *in = &l->devices[i];

		if (in->major < 0 || in->minor < 0 || in->major > UINT_MAX || in->minor > UINT_MAX)
			return ERR_PLAIN(-ERANGE, "config.json: linux.devices[%zu]: major or minor out of range", i);
		d[i] = (struct device_req){
			.path = in->path,
			.type = in->type == 'c' ? S_IFCHR : in->type == 'b' ? S_IFBLK : S_IFIFO,
			.major = (unsigned int)in->major,
			.minor = (unsigned int)in->minor,
			.mode = in->has_mode ? (mode_t)in->mode & 07777 : 0666,
			.uid = in->has_uid ? in->uid : 0,
			.gid = in->has_gid ? in->gid : 0,
		};
	}
	p->devices = d;
	p->n_devices = l->n_devices;
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

static int build_limits(struct plan *p)
{
	const struct spec_resources *in = &p->spec->linux_.resources;
	int r = plan_resources(p->arena, in, &p->resources);

	if (r < 0)
		return ERR_CONTEXT(r, "config.json");
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
	int r = cgroup_scope_parse(p->arena, p->spec->linux_.cgroups_path, o->id, geteuid() != 0, &p->scope);

	if (r < 0)
		return ERR_CONTEXT(r, "config.json: linux.cgroupsPath");
	r = build_unit_properties(p);
	return r < 0 ? r : build_limits(p);
}

static int build_cgroup(struct plan *p, const struct plan_options *o)
{
	const struct spec_linux *l = &p->spec->linux_;

	p->cgroup_manager = o->cgroup_manager;
	if (o->cgroup_manager == CGROUP_MANAGER_DISABLED)
		return warn_no_limits(p);
	build_delegation(p);
	if (o->cgroup_manager == CGROUP_MANAGER_SYSTEMD)
		return build_scope(p, o);
	if (l->cgroups_path != NULL && *l->cgroups_path != '\0')
		p->cgroup_path = l->cgroups_path;
	else	/* a cgroup's name has at most 255 bytes, as an ID has */
		p->cgroup_path = arena_printf(p->arena, strlen(o->id) > 255 - strlen("nacre-") ? "/%s" : "/nacre-%s", o->id);
	return p->cgroup_path == NULL ? ERR_NOMEM() : build_limits(p);
}

static int build_seccomp(struct plan *p)
{
	const struct spec_seccomp *in = &p->spec->linux_.seccomp;
	struct seccomp_rule *rules;

	if (!in->present)
		return 0;
	if (in->listener_path != NULL)
		return ERR_PLAIN(-ENOTSUP, "config.json: linux.seccomp.listenerPath: this version of nacre cannot apply it");
	rules = arena_array(p->arena, in->n_rules, sizeof(*rules));
	if (rules == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_rules; i++) {
		const struct spec_seccomp_rule *r = &in->rules[i];
		struct seccomp_arg *args = arena_array(p->arena, r->n_args, sizeof(*args));

		if (args == NULL)
			return ERR_NOMEM();
		for (size_t k = 0; k < r->n_args; k++)
			args[k] = (struct seccomp_arg){ r->args[k].index, r->args[k].value, r->args[k].value_two,
							r->args[k].op };
		rules[i] = (struct seccomp_rule){ r->names.v, r->names.n, r->action, r->has_errno_ret, r->errno_ret,
						  args, r->n_args };
	}
	p->has_seccomp = true;
	p->seccomp = (struct seccomp_req){
		.default_action = in->default_action,
		.has_default_errno_ret = in->has_default_errno_ret,
		.default_errno_ret = in->default_errno_ret,
		.architectures = in->architectures.v,
		.n_architectures = in->architectures.n,
		/* NULL, no list: the filter gets SPEC_ALLOW as with other runtimes; an empty list is no flags. */
		.flags = in->has_flags ? in->flags.v : NULL,
		.n_flags = in->flags.n,
		.rules = rules,
		.n_rules = in->n_rules,
	};
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
	int r;

	if (p->spec->process == NULL)
		return 0;
	r = plan_process(p->arena, p->spec->process, o->preserve_fds, o->listen_fds, &p->process);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json");
	p->has_process = true;
	/* In a user namespace of its own the container gets them from the kernel. */
	if (!plan_has_ns(p, CLONE_NEWUSER)) {
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
	p->isolation = o->isolation;
	p->vm.console_to_log = o->debug;
	if (o->isolation == ISOLATION_MICROVM)
		return plan_build_vm(p, o->host_config, o->host);
	/* Only who asks for a container in so many words gets here with one. */
	if (p->spec->vm.present)
		log_warning("config.json: vm: not applied, since it was asked to be a container, not a microVM");
	return 0;
}

static int build_all(struct plan *p, const struct plan_options *o)
{
	const struct spec_linux *l = &p->spec->linux_;
	int r = build_root(p, o);

	p->masked_paths = l->masked_paths.v;
	p->n_masked = l->masked_paths.n;
	p->readonly_paths = l->readonly_paths.v;
	p->n_readonly = l->readonly_paths.n;
	if (r == 0)
		r = build_namespaces(p);
	if (r == 0)
		r = build_mounts(p);
	if (r == 0)
		r = build_devices(p);
	if (r == 0)
		r = build_cgroup(p, o);
	if (r == 0)
		r = build_process(p, o);
	if (r == 0)
		r = build_seccomp(p);
	if (r == 0)
		r = build_hooks(p);
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
	p->no_pivot = o->no_pivot;
	p->new_keyring = !o->no_new_keyring;
	r = build_all(p, o);
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
