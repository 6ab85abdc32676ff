/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts and devices of a plan. See plan_parts.h. */
#include "runtime/plan_parts.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"
#include "runtime/plan.h"
#include "runtime/plan_rules.h"

/* Has the user said what the labels of this mount are? Twice is once too often for the kernel. */
static bool has_context(const struct mount_req *m)
{
	static const char *const words[] = { "context=", "defcontext=", "fscontext=", "rootcontext=" };

	for (size_t i = 0; i < m->n_data; i++)
		for (size_t w = 0; w < ARRAY_SIZE(words); w++)
			if (str_starts(m->data[i], words[w]))
				return true;
	return false;
}

/*
 * linux.mountLabel: SELinux' context option, on file systems that have labels of their own to set. mqueue has none such, but its
 * root can be labelled; not that of the host's queues, which other programs use.
 */
static int label_mount(struct plan *p, struct mount_req *m)
{
	static const char *const unlabelled[] = { "proc", "sysfs", "cgroup", "cgroup2", "bind", "rbind" };
	const char *label = p->mount_label;
	const char **data;

	if (label == NULL || m->bind || m->remount || m->fstype == NULL || str_in(m->fstype, unlabelled, ARRAY_SIZE(unlabelled)) ||
	    has_context(m))
		return 0;
	if (str_eq(m->fstype, "mqueue")) {
		m->label = plan_has_ns(p, CLONE_NEWIPC) ? label : NULL;
		return 0;
	}
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

/* crun's "idmap=uids=…;gids=…". */
static int build_idmap_text(struct plan *p, size_t i, struct mount_req *m)
{
	struct userns_req *maps = arena_alloc(p->arena, sizeof(*maps));
	int r;

	if (maps == NULL)
		return ERR_NOMEM();
	if (p->spec->mounts[i].n_uid_map > 0)
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: idmap=%s: the mount has uidMappings already", p->mounts_at, i, m->idmap_text);
	r = idmap_option_parse(p->arena, m->idmap_text, plan_has_new_ns(p, CLONE_NEWUSER) ? &p->userns : NULL, maps);
	m->idmap_maps = maps;
	return r < 0 ? ERR_CONTEXT(r, "%s[%zu].options: idmap", p->mounts_at, i) : 0;
}

/* Words that the kernel passes over when a tree is bound: they are of the file system, which is mounted already. */
static void warn_bind(const struct plan *p, size_t i)
{
	const struct mount_req *m = &p->mounts[i];

	if (!m->bind)
		return;
	for (size_t k = 0; k < m->n_data; k++)
		log_warning("%s[%zu].options: \"%s\" means nothing for a bind mount", p->mounts_at, i, m->data[k]);
	if ((m->sb_set & ~(uint32_t)MOUNT_SB_SILENT) != 0)
		log_warning("%s[%zu].options: sync, dirsync, lazytime, mand and iversion mean nothing for a bind mount", p->mounts_at, i);
}

/*
 * Maps without an option mean idmap: the option is there so that a runtime which does not know the maps refuses it. The option
 * without maps means those of the container's user namespace; one that is joined is asked for them when it is there.
 */
static int build_idmap(struct plan *p, size_t i, struct mount_req *m)
{
	const struct spec_mount *in = &p->spec->mounts[i];
	struct userns_req *maps;

	if (m->idmap_text != NULL)
		return build_idmap_text(p, i, m);

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
	maps->uid = plan_map(p->arena, in->uid_map, in->n_uid_map);
	maps->gid = plan_map(p->arena, in->gid_map, in->n_gid_map);
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
		return ERR(r, "%s[%zu].destination", p->mounts_at, i);
	m->target = arena_strdup(p->arena, clean);
	if (m->target == NULL)
		return ERR_NOMEM();
	m->source = in->source;
	m->fstype = in->type;
	r = mount_options_parse(p->arena, in->options.v, in->options.n, m);
	if (r < 0)
		return ERR_CONTEXT(r, "%s[%zu].options", p->mounts_at, i);
	r = build_idmap(p, i, m);
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
			return ERR_PLAIN(-EINVAL, "%s[%zu].source: a bind mount needs one", p->mounts_at, i);
		if (m->source[0] != '/')
			m->source = arena_printf(p->arena, "%s/%s", p->bundle, m->source);
		if (m->source == NULL)
			return ERR_NOMEM();
	} else if (!m->remount && (m->fstype == NULL || *m->fstype == '\0')) {
		return ERR_PLAIN(-EINVAL, "%s[%zu].type: is required for a mount that is no bind mount", p->mounts_at, i);
	}
	warn_bind(p, i);
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

/* A tree of the host's is a slave if nothing is said, and a new file system its own: only "rprivate" is left to say. */
static void take_root_propagation(const struct plan *p, struct mount_req *m)
{
	if (p->root_propagation == (MS_PRIVATE | MS_REC) && m->bind && m->n_propagation == 0)
		m->propagation[m->n_propagation++] = MS_PRIVATE | (m->recursive ? MS_REC : 0);
}

int plan_build_mounts(struct plan *p)
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
	if (!plan_has_ns(p, CLONE_NEWNS)) {
		p->host_mounts = s->n_mounts > 0 || s->linux_.masked_paths.n > 0 || s->linux_.readonly_paths.n > 0 || s->root.readonly;
		r = plan_check_host_mounts(p);
		if (r < 0 || !p->host_mounts)
			return r;
	} else if (s->n_mounts == 0) {
		return build_default_mounts(p);
	}
	p->mounts = arena_array(p->arena, s->n_mounts, sizeof(*p->mounts));
	if (p->mounts == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < s->n_mounts; i++) {
		p->n_mounts = i + 1;
		r = build_mount(p, i);
		if (r < 0)
			return r;
		take_root_propagation(p, &p->mounts[i]);
		/* A bound /dev is the host's or a volume: nodes of ours do not belong there. */
		if (p->mounts[i].bind && str_eq(p->mounts[i].target, "/dev"))
			p->default_devices = false;
	}
	return 0;
}

int plan_build_live_mounts(struct plan *p, unsigned int ns_flags)
{
	size_t n = p->spec->n_mounts;
	int r = 0;

	p->mounts = arena_array(p->arena, n, sizeof(*p->mounts));
	if (p->mounts == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; r == 0 && i < n; i++) {
		p->n_mounts = i + 1;
		r = build_mount(p, i);
		if (r == 0)
			r = plan_check_live_mount(p, i, ns_flags);
	}
	return r;
}

int plan_build_devices(struct plan *p)
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
			.has_mode = in->has_mode,
			.has_uid = in->has_uid,
			.has_gid = in->has_gid,
		};
	}
	p->devices = d;
	p->n_devices = l->n_devices;
	return 0;
}
