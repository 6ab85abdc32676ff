/* SPDX-License-Identifier: Apache-2.0 */
/* What a microVM cannot do of a plan, told before anything is made, by its path in config.json. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/ns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/microvm_parts.h"

/*
 * The interfaces of the namespace become the guest's. Those of the host (a pod with hostNetwork has its path) must not: nobody would reach
 * the host any more.
 */
static int check_network(const struct plan_ns *n)
{
	_cleanup_close_ int fd = FD_NONE;
	bool host = false;
	int r = ns_open(n->path, n->flag, &fd);

	if (r == 0)
		r = ns_is_hosts(fd, n->flag, &host);
	return r == 0 && host ? ERR_PLAIN(-ENOTSUP, "config.json: linux.namespaces: \"%s\" (%s) is the host's: a microVM would take its interfaces "
					  "away from it", n->path, ns_name(n->flag)) : r;
}

/*
 * A pod's containers join its namespaces of IPC and of names with every engine, whether they have a use for them or not. To refuse
 * that would be to refuse all pods: of the names the guest gets a copy, of IPC its own. Who asks for one without a pod wants just that.
 */
static int check_join(const struct plan *p, const struct plan_ns *n)
{
	if (n->flag == CLONE_NEWNET)
		return check_network(n);
	if (p->pod == POD_CONTAINER && (n->flag == CLONE_NEWIPC || n->flag == CLONE_NEWUTS))
		return 0;
	return ERR_PLAIN(-ENOTSUP, "config.json: linux.namespaces: \"%s\" (%s) is of the host's kernel, a microVM cannot join it",
			 n->path, ns_name(n->flag));
}

/* Namespaces are the guest's, but for the network one, in which the monitor is. */
static int check_namespaces(const struct plan *p)
{
	static const struct {
		unsigned int flag;
		const char *name;
	} needed[] = { { CLONE_NEWNET, "network" }, { CLONE_NEWPID, "pid" }, { CLONE_NEWIPC, "ipc" }, { CLONE_NEWNS, "mount" } };

	for (size_t k = 0; k < ARRAY_SIZE(needed); k++)
		if (!plan_has_ns(p, needed[k].flag))
			return ERR_PLAIN(-ENOTSUP, "config.json: linux.namespaces: without %s the host's would be shared, which a microVM "
					 "cannot", needed[k].name);
	for (size_t k = 0; k < p->n_ns; k++) {
		int r = p->ns[k].path != NULL ? check_join(p, &p->ns[k]) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Nodes that mean the same in every kernel. */
static bool virtual_device(const struct device_req *d)
{
	static const struct {
		unsigned int major, minor;
	} known[] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 }, { 10, 200 }, { 10, 229 } };

	if (d->type == S_IFIFO)
		return true;
	for (size_t k = 0; k < ARRAY_SIZE(known); k++)
		if (d->type == S_IFCHR && d->major == known[k].major && d->minor == known[k].minor)
			return true;
	return false;
}

static int check_devices(const struct plan *p)
{
	for (size_t k = 0; k < p->n_devices; k++)
		if (!virtual_device(&p->devices[k]))
			return ERR_PLAIN(-ENOTSUP, "config.json: linux.devices: \"%s\" (%u:%u) is a device of the host, which the microVM does "
					 "not have", p->devices[k].path, p->devices[k].major, p->devices[k].minor);
	return 0;
}

/* What is mounted in the guest stays there; what is mounted on the host below a source is seen through the file server, if at all. */
static int check_propagation(const struct mount_req *m, size_t i)
{
	for (size_t k = 0; m->bind && k < m->n_propagation; k++)
		if (m->propagation[k] & MS_SHARED)
			return ERR_PLAIN(-ENOTSUP, "config.json: mounts[%zu].options: %s: what is mounted in a microVM cannot be seen on the "
					 "host", i, m->propagation[k] & MS_REC ? "rshared" : "shared");
	return 0;
}

static int check_mounts(const struct plan *p)
{
	for (size_t i = 0; i < p->n_mounts; i++) {
		int r = check_propagation(&p->mounts[i], i);

		if (r < 0)
			return r;
		if (p->mounts[i].src_nofollow || p->mounts[i].copy_symlink)
			return ERR_PLAIN(-ENOTSUP, "config.json: mounts[%zu].options: %s: the file server of a microVM has no mounts of "
					 "symlinks", i, p->mounts[i].src_nofollow ? "src-nofollow" : "copy-symlink");
		if (!p->mounts[i].bind && p->mounts[i].fstype != NULL && str_eq(p->mounts[i].fstype, "overlay"))
			return ERR_PLAIN(-ENOTSUP, "config.json: mounts[%zu].type: the layers of an overlay are paths of the host, which the "
					 "microVM does not have", i);
	}
	return 0;
}

static int check_process(const struct plan *p)
{
	if (!p->has_process)
		return 0;
	if (p->process.selinux != NULL || p->mount_label != NULL)
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "config.json: %s: the guest's kernel has no SELinux policy",
					  p->process.selinux != NULL ? "process.selinuxLabel" : "linux.mountLabel"),
				"Engines have an option for none, as podman's --security-opt label=disable.");
	if (p->notify)
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "NOTIFY_SOCKET: a unix socket cannot be handed into a microVM"),
				"a unit that runs one has another Type= than notify");
	if (p->process.preserve_fds > 0)
		return ERR_PLAIN(-ENOTSUP, "file descriptors (--preserve-fds, LISTEN_FDS) cannot be handed into a microVM");
	return 0;
}

int microvm_check(const struct plan *p)
{
	int r = backend_container.check(p);

	if (r == 0)
		r = check_namespaces(p);
	if (r == 0)
		r = check_devices(p);
	if (r == 0)
		r = check_mounts(p);
	if (r == 0)
		r = check_process(p);
	return r;
}
