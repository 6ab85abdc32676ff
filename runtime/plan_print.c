/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan in words. One walk makes a list of (step, what) pairs; the text and the JSON form
 * print the same list, so that they cannot tell different stories.
 */
#include "runtime/plan.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "namespaces/apparmor.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/size.h"
#include "runtime/base/str.h"
#include "runtime/plan_vm.h"

struct printer {
	struct json_writer *json;	/* NULL: text */
	const char *where;		/* of a microVM's steps: on the host, or in the guest; NULL: no such difference */
	const char *section;
	unsigned int n;
};

__attribute__((format(printf, 3, 4))) static void step(struct printer *p, const char *section, const char *fmt, ...)
{
	char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	if (p->json != NULL) {
		json_object_open(p->json);
		json_kv_int(p->json, "step", ++p->n);
		if (p->where != NULL)
			json_kv_string(p->json, "where", p->where);
		json_kv_string(p->json, "kind", section);
		json_kv_string(p->json, "what", line);
		json_object_close(p->json);
	} else {
		bool again = p->section != NULL && str_eq(p->section, section);

		printf("%2u  ", ++p->n);
		if (p->where != NULL)
			printf("%-7s", p->where);
		printf("%-14s %s\n", again ? "" : section, line != NULL ? line : "");
	}
	p->section = section;
	free(line);
}

static void print_cgroup(struct printer *p, const struct plan *plan)
{
	if (plan->cgroup_path != NULL) {
		step(p, "cgroup", "create %s", plan->cgroup_path);
	} else if (plan->scope.unit != NULL) {
		step(p, "cgroup", "%s's systemd: %s in %s", plan->scope.user ? "the user" : "the system", plan->scope.unit,
		     plan->scope.slice);
		for (size_t i = 0; i < plan->n_unit_properties; i++)
			step(p, "unit", "%s = %s", plan->unit_properties[i].name, plan->unit_properties[i].value);
	} else {
		step(p, "cgroup", "none (disabled)");
		return;
	}
	if (plan->delegate_cgroup)
		step(p, "cgroup", "give to user %u", plan->cgroup_owner);
}

/* A microVM's guest counts its own processes and huge pages; time, memory and I/O of it all are the host's to limit. */
static bool limits_in_guest(const struct cgroup_setting *s)
{
	return str_starts(s->file, "pids.") || str_starts(s->file, "hugetlb.");
}

static void print_limits(struct printer *p, const struct plan *plan, bool host, bool guest)
{
	for (size_t i = 0; i < plan->n_settings; i++)
		if (limits_in_guest(&plan->settings[i]) ? guest : host)
			step(p, "limit", "%s = %s", plan->settings[i].file, plan->settings[i].value);
}

static void print_device_rules(struct printer *p, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_device_rules; i++) {
		const struct cgroup_device_rule *d = &plan->device_rules[i];
		char major[24] = "*", minor[24] = "*";

		if (d->major >= 0)
			snprintf(major, sizeof(major), "%lld", d->major);
		if (d->minor >= 0)
			snprintf(minor, sizeof(minor), "%lld", d->minor);
		step(p, "devices", "%s %c %s:%s %s%s%s", d->allow ? "allow" : "deny", d->type, major, minor,
		     d->read ? "r" : "", d->write ? "w" : "", d->mknod ? "m" : "");
	}
}

static void print_id_maps(struct printer *p, const char *where, const struct userns_req *maps)
{
	for (size_t i = 0; i < maps->n_uid; i++)
		step(p, "id map", "%suid %u -> host %u, %u ids", where, maps->uid[i].container_id, maps->uid[i].host_id,
		     maps->uid[i].size);
	for (size_t i = 0; i < maps->n_gid; i++)
		step(p, "id map", "%sgid %u -> host %u, %u ids", where, maps->gid[i].container_id, maps->gid[i].host_id,
		     maps->gid[i].size);
}

/* Of one mount, after it. */
static void print_idmap(struct printer *p, const struct plan *plan, const struct mount_req *m)
{
	_cleanup_free_ char *where = NULL;

	if (m->idmap == MOUNT_IDMAP_NONE)
		return;
	if (m->idmap_maps == NULL) {
		step(p, "id map", "on %s: that of the user namespace joined", m->target);
	} else if (m->idmap_maps == &plan->userns) {
		step(p, "id map", "on %s: the container's", m->target);
	} else {
		where = str_printf("on %s: ", m->target);
		print_id_maps(p, where != NULL ? where : "", m->idmap_maps);
	}
}

/* A pod's container in a machine of its own: what it takes of the pod's is the name. */
static bool print_pods_namespace(struct printer *p, const struct plan *plan, const struct plan_ns *ns)
{
	if (plan->isolation != ISOLATION_MICROVM || plan->pod != POD_CONTAINER || ns->path == NULL)
		return false;
	if (ns->flag == CLONE_NEWIPC)
		step(p, "namespace", "new ipc, not the pod's %s", ns->path);
	else if (ns->flag == CLONE_NEWUTS && plan->hostname == NULL)
		step(p, "namespace", "new uts, with the host name of %s", ns->path);
	else if (ns->flag == CLONE_NEWUTS)
		step(p, "namespace", "new uts, not the pod's %s", ns->path);
	else
		return false;
	return true;
}

static void print_namespace(struct printer *p, const struct plan *plan, const struct plan_ns *ns)
{
	if (print_pods_namespace(p, plan, ns))
		return;
	if (ns->path == NULL)
		step(p, "namespace", "new %s", ns_name(ns->flag));
	else
		step(p, "namespace", "join %s %s", ns_name(ns->flag), ns->path);
}

/* All of them, but those in skip (CLONE_NEW*). */
static void print_namespaces(struct printer *p, const struct plan *plan, unsigned int skip)
{
	for (size_t i = 0; i < plan->n_ns; i++)
		if (!(plan->ns[i].flag & skip))
			print_namespace(p, plan, &plan->ns[i]);
	if (!(skip & CLONE_NEWUSER))
		print_id_maps(p, "", &plan->userns);
	if (plan->monotonic.present)
		step(p, "time", "monotonic %+lld s", (long long)plan->monotonic.secs);
	if (plan->boottime.present)
		step(p, "time", "boottime %+lld s", (long long)plan->boottime.secs);
	if (plan->new_keyring)
		step(p, "keyring", "new session keyring _ses.%s.*", plan->id);
	if (plan->hostname != NULL)
		step(p, "hostname", "%s", plan->hostname);
	if (plan->domainname != NULL)
		step(p, "domainname", "%s", plan->domainname);
	if (plan->loopback)
		step(p, "network", "loopback up");
	for (size_t i = 0; i < plan->n_net_devices; i++)
		step(p, "network", "the host's device \"%s\" is moved in as \"%s\"", plan->net_devices[i].name,
		     plan->net_devices[i].new_name);
	for (size_t i = 0; i < plan->n_sysctl; i++)
		step(p, "sysctl", "%s = %s", plan->sysctl[i].key, plan->sysctl[i].value);
}

static void print_mounts(struct printer *p, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_req *m = &plan->mounts[i];

		step(p, "mount", "%s%s on %s (%s)", m->remount ? "remount " : m->recursive ? "rbind " : m->bind ? "bind " : "",
		     m->remount ? "" : m->bind ? m->source : m->fstype, m->target, mount_attr_text(plan->arena, m));
		print_idmap(p, plan, m);
	}
	for (size_t i = 0; i < plan->n_devices; i++)
		step(p, "device", "%s %c %u:%u mode %04o owner %u:%u", plan->devices[i].path,
		     plan->devices[i].type == S_IFCHR ? 'c' : plan->devices[i].type == S_IFBLK ? 'b' : 'p',
		     plan->devices[i].major, plan->devices[i].minor, (unsigned int)plan->devices[i].mode,
		     plan->devices[i].uid, plan->devices[i].gid);
	if (plan->default_devices && (plan_has_ns(plan, CLONE_NEWNS) || plan->host_mounts))
		step(p, "device", "the default ones (null zero full random urandom tty, links, ptmx)");
	for (size_t i = 0; i < plan->n_masked; i++)
		step(p, "mask", "%s", plan->masked_paths[i]);
	for (size_t i = 0; i < plan->n_readonly; i++)
		step(p, "read-only", "%s", plan->readonly_paths[i]);
	if (plan->root_propagation != 0)
		step(p, "propagation", "%s on /", mount_propagation_word(plan->root_propagation));
}

static void print_hooks(struct printer *p, const struct plan *plan, enum hook_kind kind)
{
	for (size_t i = 0; i < plan->hooks[kind].n; i++)
		step(p, "hook", "%s: %s", hook_kind_name(kind), plan->hooks[kind].v[i].path);
}

static void print_caps(struct printer *p, const char *set, uint64_t mask)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	for (unsigned int i = 0; caps_name(i) != NULL; i++)
		if (mask & ((uint64_t)1 << i))
			buf_printf(&b, " %s", caps_name(i));
	if (b.len > 0)
		step(p, "capabilities", "%s:%s", set, b.data);
}

static void print_scheduling(struct printer *p, const struct plan *plan)
{
	const struct scheduler_req *s = plan->process.scheduler;
	const struct io_priority_req *io = plan->process.io_priority;
	const struct memory_policy_req *m = plan->memory_policy;
	const struct resctrl_req *rdt = plan->resctrl;

	if (rdt != NULL)
		step(p, "resctrl", "group \"%s\"%s%s%s%s, %zu more schemata%s", rdt->clos != NULL ? rdt->clos : rdt->id,
		     rdt->l3 != NULL ? ", " : "", rdt->l3 != NULL ? rdt->l3 : "", rdt->mem_bw != NULL ? ", " : "",
		     rdt->mem_bw != NULL ? rdt->mem_bw : "", rdt->n_lines, rdt->monitor ? ", monitored" : "");

	if (m != NULL)
		step(p, "memory", "%s%s%s", m->mode, m->nodes != NULL ? " on nodes " : "", m->nodes != NULL ? m->nodes : "");
	if (io != NULL)
		step(p, "I/O", "%s, priority %u", io->class_name, io->priority);
	if (s == NULL)
		return;
	if (s->runtime > 0)
		step(p, "scheduler", "%s, runtime %llu deadline %llu period %llu ns", s->policy, (unsigned long long)s->runtime,
		     (unsigned long long)s->deadline, (unsigned long long)s->period);
	else
		step(p, "scheduler", "%s, priority %u, nice %d", s->policy, s->priority, s->nice);
}

static void print_process(struct printer *p, const struct plan *plan)
{
	const struct process_req *q = &plan->process;
	_cleanup_buf_ struct buf args = BUF_NULL;

	if (!plan->has_process)
		return;
	step(p, "user", "%u:%u", q->uid, q->gid);
	print_caps(p, "bounding", q->caps.bounding);
	print_caps(p, "effective", q->caps.effective);
	print_caps(p, "permitted", q->caps.permitted);
	print_caps(p, "inheritable", q->caps.inheritable);
	print_caps(p, "ambient", q->caps.ambient);
	if (q->caps.bounding == 0 && q->caps.permitted == 0)
		step(p, "capabilities", "none");
	for (size_t i = 0; i < q->n_rlimits; i++)
		step(p, "rlimit", "%s %llu:%llu", q->rlimits[i].name, (unsigned long long)q->rlimits[i].soft,
		     (unsigned long long)q->rlimits[i].hard);
	print_scheduling(p, plan);
	if (q->no_new_privs)
		step(p, "privileges", "no_new_privs");
	if (plan->has_seccomp)
		step(p, "seccomp", "default %s, %zu rules%s%s", plan->seccomp.default_action, plan->seccomp.n_rules,
		     plan->seccomp_listener != NULL ? ", listener to " : "",
		     plan->seccomp_listener != NULL ? plan->seccomp_listener : "");
	if (q->apparmor != NULL)
		step(p, "AppArmor", "profile %s%s", q->apparmor,
		     plan->isolation == ISOLATION_MICROVM && !str_eq(q->apparmor, APPARMOR_UNCONFINED) ? ", whose policy goes into the guest" : "");
	if (q->selinux != NULL)
		step(p, "SELinux", "label %s", q->selinux);
	for (size_t i = 0; q->args[i] != NULL; i++)
		buf_printf(&args, "%s%s", i > 0 ? " " : "", q->args[i]);
	step(p, "process", "%s  (cwd %s%s)", args.data != NULL ? args.data : "", q->cwd, q->terminal ? ", terminal" : "");
}

static void walk_container(struct printer *p, const struct plan *plan)
{
	print_cgroup(p, plan);
	print_limits(p, plan, true, true);
	print_device_rules(p, plan);
	print_namespaces(p, plan, 0);
	step(p, "root", "%s%s%s", plan->rootfs, plan->rootfs_readonly ? " (read-only)" : "",
	     plan->host_mounts ? ", mounted on itself in the host's own namespace until the container is deleted" : "");
	print_mounts(p, plan);
	print_hooks(p, plan, HOOK_PRESTART);
	print_hooks(p, plan, HOOK_CREATE_RUNTIME);
	print_hooks(p, plan, HOOK_CREATE_CONTAINER);
	step(p, "root", "%s", !plan_has_ns(plan, CLONE_NEWNS) ? "chroot" : plan->no_pivot ? "move and chroot" : "pivot_root");
	step(p, "wait", "for start");
	print_hooks(p, plan, HOOK_START_CONTAINER);
	print_process(p, plan);
	print_hooks(p, plan, HOOK_POSTSTART);
	print_hooks(p, plan, HOOK_POSTSTOP);
}

/* ---- microVM ---- */

static void print_monitor(struct printer *p, const struct plan_vm *vm)
{
	step(p, "monitor", "%s (%s)", vm_monitor_name(vm->monitor), vm->monitor_why);
	if (vm->monitor != VM_MONITOR_KVM)
		step(p, "monitor", "program %s", vm->hypervisor != NULL ? vm->hypervisor : "is looked for");
	for (size_t i = 0; vm->monitor != VM_MONITOR_KVM && vm->hypervisor_parameters[i] != NULL; i++)
		step(p, "monitor", "parameter %s", vm->hypervisor_parameters[i]);
}

static void print_boot(struct printer *p, const struct plan_vm *vm)
{
	char memory[SIZE_TEXT_MAX];

	size_text(vm->memory, " ", memory);
	step(p, "vm", "%u virtual CPU%s, %s of memory", vm->vcpus, vm->vcpus == 1 ? "" : "s", memory);
	step(p, "kernel", "%s", vm->kernel != NULL ? vm->kernel : "is looked for: nacre's guest kernel, else the newest below /boot");
	step(p, "initramfs", "%s%snacre's guest program and the kernel's virtio modules", vm->initrd != NULL ? vm->initrd : "",
	     vm->initrd != NULL ? ", and over it " : "");
	step(p, "command line", "%s", vm->command_line);
}

static void print_vm_devices(struct printer *p, const struct plan *plan)
{
	const struct plan_vm *vm = &plan->vm;

	step(p, "vm device", "serial port: the guest's console%s%s", vm->console != NULL ? ", to " : "",
	     vm->console != NULL ? vm->console : "");
	step(p, "vm device", "virtio-console: the channel between supervisor and guest program");
	step(p, "vm device", "virtio-fs: the share, by %s", vm->virtiofsd != NULL ? vm->virtiofsd : "virtiofsd, which is looked for");
	if (vm->image != NULL)
		step(p, "vm device", "virtio-blk: %s%s", vm->image, plan->rootfs_readonly ? ", read-only" : "");
	if (plan_has_ns(plan, CLONE_NEWNET))
		step(p, "vm device", "virtio-net: one for each interface of the network namespace, once its hooks have run");
	step(p, "vm device", "virtio-rng, virtio-balloon");
}

/* What virtiofsd serves: one tree, with the bind mounts beside the root file system. */
static void print_share(struct printer *p, const struct plan *plan)
{
	if (plan->vm.image == NULL)
		step(p, "share", "/rootfs: %s%s", plan->rootfs,
		     plan->rootfs_readonly ? ", read-only once the container is created" : "");
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].bind && !plan->mounts[i].remount)
			step(p, "share", "/mounts/%zu: %s%s", i, plan->mounts[i].source,
			     plan->mounts[i].attr_set & MOUNT_ATTR_RDONLY ? ", read-only" : "");
}

static void go_to(struct printer *p, const char *where)
{
	p->where = where;
	p->section = NULL;
}

static void walk_microvm(struct printer *p, const struct plan *plan)
{
	print_cgroup(p, plan);
	print_limits(p, plan, true, false);
	if (plan->vm.user_ns) {
		step(p, "namespace", "new user, in which the machine's processes are root");
		print_id_maps(p, "", &plan->vm.ids);
	}
	for (size_t i = 0; i < plan->n_ns; i++)
		if (plan->ns[i].flag == CLONE_NEWNET)
			print_namespace(p, plan, &plan->ns[i]);
	print_share(p, plan);
	print_hooks(p, plan, HOOK_PRESTART);
	print_hooks(p, plan, HOOK_CREATE_RUNTIME);
	print_hooks(p, plan, HOOK_CREATE_CONTAINER);
	print_monitor(p, &plan->vm);
	print_boot(p, &plan->vm);
	print_vm_devices(p, plan);
	step(p, "jail", "the monitor, before the guest's first instruction");
	go_to(p, "guest");
	print_limits(p, plan, false, true);
	print_device_rules(p, plan);
	print_namespaces(p, plan, CLONE_NEWNET | (plan->vm.user_ns ? CLONE_NEWUSER : 0));
	step(p, "root", "%s%s", plan->vm.image != NULL ? "the image" : "the share's /rootfs", plan->rootfs_readonly ? " (read-only)" : "");
	print_mounts(p, plan);
	step(p, "wait", "for start");
	print_hooks(p, plan, HOOK_START_CONTAINER);
	print_process(p, plan);
	go_to(p, "host");
	print_hooks(p, plan, HOOK_POSTSTART);
	print_hooks(p, plan, HOOK_POSTSTOP);
}

static void walk(struct printer *p, const struct plan *plan)
{
	p->where = plan->isolation == ISOLATION_MICROVM ? "host" : NULL;
	step(p, "container", "%s from %s, back end %s", plan->id, plan->bundle, isolation_name(plan->isolation));
	if (plan->pod_sandbox)
		step(p, "isolation", "%s", POD_SANDBOX_TEXT);
	if (plan->isolation == ISOLATION_MICROVM)
		walk_microvm(p, plan);
	else
		walk_container(p, plan);
}

int plan_print_text(const struct plan *plan)
{
	struct printer p = { .json = NULL };

	walk(&p, plan);
	return 0;
}

int plan_print_json(const struct plan *plan)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);
	struct printer p = { .json = w };

	if (w == NULL)
		return ERR_NOMEM();
	json_object_open(w);
	json_kv_string(w, "id", plan->id);
	json_kv_string(w, "isolation", isolation_name(plan->isolation));
	json_kv_string(w, "bundle", plan->bundle);
	json_kv_string(w, "rootfs", plan->rootfs);
	json_key(w, "steps");
	json_array_open(w);
	walk(&p, plan);
	json_array_close(w);
	json_object_close(w);
	return json_writer_print(w);
}
