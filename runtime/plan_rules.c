/* SPDX-License-Identifier: Apache-2.0 */
/* See plan_rules.h. */
#include "runtime/plan_rules.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "namespaces/procfs.h"
#include "namespaces/userns.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/plan.h"

/* Below /proc only these may be mounted over (lxcfs and the like); anything else could feed lies to tools in the container. */
static const char *const proc_allowed[] = {
	"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg",  "/proc/meminfo",		  "/proc/net/dev",
	"/proc/slabinfo", "/proc/stat",	    "/proc/swaps",    "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
	"/proc/uptime",
};

static const char *const ipc_sysctls[] = {
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
	"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
};

/* Is the container's namespace of this kind another than the runtime's own? */
static int separate(const struct plan *p, unsigned int flag, bool *ret)
{
	for (size_t i = 0; i < p->n_ns; i++) {
		_cleanup_close_ int fd = FD_NONE;
		bool own = false;
		int r;

		if (p->ns[i].flag != flag)
			continue;
		if (p->ns[i].path == NULL) {
			*ret = true;
			return 0;
		}
		r = ns_open(p->ns[i].path, flag, &fd);
		if (r == 0)
			r = ns_is_own(fd, flag, &own);
		*ret = !own;
		return r;
	}
	*ret = false;
	return 0;
}

/* runtime-spec "mounts", idmap and ridmap. Which of the two was the reason is told by what is there. */
static int check_idmap(const struct plan *p, size_t i)
{
	const struct mount_req *m = &p->mounts[i];
	const char *key = p->spec->mounts[i].n_uid_map > 0 ? "uidMappings" : "options";
	bool user_ns = false;
	int r = 0;

	if (m->idmap == MOUNT_IDMAP_NONE)
		return 0;
	if (!m->bind || m->remount)
		return ERR_PLAIN(-EINVAL, "%s[%zu].%s: only a new bind mount can be id-mapped", p->mounts_at, i, key);
	if (m->idmap_maps == NULL)
		r = separate(p, CLONE_NEWUSER, &user_ns);
	if (r < 0 || m->idmap_maps != NULL || user_ns)
		return r;
	return ERR_PLAIN(-EINVAL, "%s[%zu].options: %s: needs uidMappings and gidMappings, or a user namespace that is "
			 "not the host's", p->mounts_at, i, m->idmap == MOUNT_IDMAP_TREE ? "ridmap" : "idmap");
}

int plan_check_mount(const struct plan *p, size_t i)
{
	const struct mount_req *m = &p->mounts[i];

	if (str_eq(m->target, "/"))
		return ERR_PLAIN(-EINVAL, "%s[%zu].destination: \"/\" is the root file system's place", p->mounts_at, i);
	if (m->copy_symlink && (!m->bind || m->remount))
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: copy-symlink: is for a bind mount only", p->mounts_at, i);
	if (m->src_nofollow && (!m->bind || m->remount))
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: src-nofollow: is for a bind mount only", p->mounts_at, i);
	if (m->remount && ((m->sb_set | m->sb_clr) & MOUNT_SB_IVERSION))
		return ERR_PLAIN(-ENOTSUP, "%s[%zu].options: iversion: is for a new file system only", p->mounts_at, i);
	if (m->copy_up && (m->bind || m->remount || !str_eq(m->fstype, "tmpfs")))
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: tmpcopyup: is for a new tmpfs only", p->mounts_at, i);
	if (!str_starts(m->target, "/proc/") || m->remount || str_in(m->target, proc_allowed, ARRAY_SIZE(proc_allowed)))
		return check_idmap(p, i);
	return ERR_PLAIN(-EPERM, "%s[%zu].destination: \"%s\" cannot be mounted because it is inside /proc", p->mounts_at, i,
			 m->target);
}

int plan_check_live_mount(const struct plan *p, size_t i, unsigned int ns_flags)
{
	const struct mount_req *m = &p->mounts[i];
	bool cgroup = m->fstype != NULL && (str_eq(m->fstype, "cgroup") || str_eq(m->fstype, "cgroup2"));

	/* The container may swap what is there for another mount, whose options it would like to see changed. */
	if (m->remount)
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: remount: a running container has mounts added and removed only", p->mounts_at, i);
	if (m->copy_symlink)
		return ERR_PLAIN(-EINVAL, "%s[%zu].options: copy-symlink: makes no mount, which could be removed again", p->mounts_at, i);
	if ((m->sb_set | m->sb_clr) & MOUNT_SB_IVERSION)
		return ERR_PLAIN(-ENOTSUP, "%s[%zu].options: iversion: cannot be set in a running container", p->mounts_at, i);
	/* It shows the processes of whoever mounts it, and what mounts here stays out of the container's pid namespace. */
	if (m->fstype != NULL && str_eq(m->fstype, "proc") && (ns_flags & CLONE_NEWPID))
		return ERR_PLAIN(-ENOTSUP, "%s[%zu].type: proc cannot be mounted into a running container", p->mounts_at, i);
	if (cgroup && !(ns_flags & CLONE_NEWCGROUP))
		return ERR_PLAIN(-ENOTSUP, "%s[%zu].type: %s: needs a cgroup namespace, which the container has not", p->mounts_at, i, m->fstype);
	return 0;
}

int plan_check_host_mounts(const struct plan *p)
{
	if (p->spec->linux_.rootfs_propagation != NULL)
		return ERR_PLAIN(-EINVAL, "config.json: linux.rootfsPropagation: needs a mount namespace");
	if (!p->host_mounts)
		return 0;
	if (plan_has_ns(p, CLONE_NEWUSER))
		return ERR_PLAIN(-EINVAL, "config.json: mounts, linux.maskedPaths, linux.readonlyPaths, root.readonly: without a mount namespace "
					  "these are mounts of the host's, which a user namespace may not make");
	return 0;
}

static int need_ns(const struct plan *p, unsigned int flag, const char *what, const char *name)
{
	bool ok = false;
	int r = separate(p, flag, &ok);

	if (r < 0)
		return r;
	if (!ok)
		return ERR_PLAIN(-EINVAL, "config.json: %s%s: needs a %s namespace that is not the host's", what, name,
				 ns_name(flag));
	return 0;
}

/* Only what a namespace keeps apart may be set: anything else is the host's. */
static int check_sysctl(const struct plan *p, const struct plan_kv *kv)
{
	const char *key = kv->key;
	char name[256];
	size_t len = strlen(key);

	if (len >= sizeof(name))
		return ERR_PLAIN(-EINVAL, "config.json: linux.sysctl: a name of %zu characters", len);
	memcpy(name, key, len + 1);
	if (strchr(name, '/') != NULL)
		for (char *c = name; *c != '\0'; c++)
			*c = *c == '/' ? '.' : *c;
	if (str_in(name, ipc_sysctls, ARRAY_SIZE(ipc_sysctls)) || str_starts(name, "fs.mqueue."))
		return need_ns(p, CLONE_NEWIPC, "linux.sysctl.", key);
	if (str_starts(name, "net.") && p->spec->linux_.network_is_machine)
		return 0;
	if (str_starts(name, "net."))
		return need_ns(p, CLONE_NEWNET, "linux.sysctl.", key);
	if (str_eq(name, "kernel.domainname") && p->domainname != NULL && !str_eq(kv->value, p->domainname))
		return ERR_PLAIN(-EINVAL, "config.json: linux.sysctl.%s: differs from the property domainname, \"%s\"", key, p->domainname);
	if (str_eq(name, "kernel.domainname"))
		return need_ns(p, CLONE_NEWUTS, "linux.sysctl.", key);
	if (str_eq(name, "kernel.hostname"))
		return ERR_PLAIN(-EINVAL, "config.json: linux.sysctl.%s: use the property hostname", key);
	if (str_starts(name, "user."))
		return need_ns(p, CLONE_NEWUSER, "linux.sysctl.", key);
	return ERR_PLAIN(-EINVAL, "config.json: linux.sysctl.%s: is not in a separate kernel namespace", key);
}

static int check_lsm(const struct plan *p)
{
	const struct process_req *q = &p->process;

	if (q->apparmor != NULL && !lsm_apparmor_enabled())
		return ERR_PLAIN(-ENOTSUP, "config.json: process.apparmorProfile: AppArmor is not enabled on this host");
	if (q->selinux != NULL && !lsm_selinux_enabled())
		return ERR_PLAIN(-ENOTSUP, "config.json: process.selinuxLabel: SELinux is not enabled on this host");
	if (p->mount_label != NULL && !lsm_selinux_enabled())
		return ERR_PLAIN(-ENOTSUP, "config.json: linux.mountLabel: SELinux is not enabled on this host");
	return 0;
}

/* The specification: "MUST have a valid value". Told here, not by the kill that would need it. */
static int check_stop_signal(const struct plan *p)
{
	int sig;

	for (size_t i = 0; i < p->n_annotations; i++) {
		const struct plan_kv *a = &p->annotations[i];

		if (str_eq(a->key, ANNOTATION_STOP_SIGNAL) && *a->value != '\0' && signal_parse(a->value, &sig) < 0)
			return ERR_PLAIN(-EINVAL, "config.json: annotations[\"" ANNOTATION_STOP_SIGNAL "\"]: \"%.64s\" is not a signal", a->value);
	}
	return 0;
}

/* Those of the host's root are not for who may have written a pod's annotations. A user's engine gives the user's own (podman). */
static int check_groups(const struct plan *p)
{
	return p->has_process && p->process.keep_groups && p->pod != POD_NONE && userns_is_initial() ?
		       ERR_PLAIN(-EPERM, "config.json: annotations[\"" ANNOTATION_KEEP_GROUPS "\"]: no pod may choose the groups of who starts it") : 0;
}

int plan_check(const struct plan *p)
{
	int r = check_lsm(p);

	if (r == 0)
		r = check_groups(p);
	if (r == 0)
		r = check_stop_signal(p);

	/* The host's /proc and /sys, locked by the kernel there, would stay below and unmasked. */
	if (r == 0 && p->no_pivot && plan_has_ns(p, CLONE_NEWUSER))
		r = ERR_PLAIN(-EINVAL, "--no-pivot cannot be used with a user namespace: the host's /proc would stay in reach");

	if (r == 0 && p->hostname != NULL)
		r = need_ns(p, CLONE_NEWUTS, "hostname", "");
	if (r == 0 && p->domainname != NULL)
		r = need_ns(p, CLONE_NEWUTS, "domainname", "");
	for (size_t i = 0; r == 0 && i < p->n_net_devices; i++)
		r = need_ns(p, CLONE_NEWNET, "linux.netDevices.", p->net_devices[i].name);
	for (size_t i = 0; r == 0 && i < p->n_sysctl; i++)
		r = check_sysctl(p, &p->sysctl[i]);
	return r;
}
