/* SPDX-License-Identifier: Apache-2.0 */
/* nacre doctor: what a microVM takes on this host: a kernel, a file server, and something that runs it. */
#include "runtime/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "microvm/kernel_find.h"
#include "microvm/kvm.h"
#include "microvm/qemu.h"
#include "microvm/virtiofsd.h"
#include "oci/host_config.h"
#include "runtime/backend.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/guest_program.h"
#include "runtime/isolation.h"
#include "runtime/plan_vm.h"

#define ARENA_MAX ((size_t)1 << 20)
#define TUN_DEVICE "/dev/net/tun"

/* The recorded error as a line. */
static void tell_error(struct doctor *d, const char *name)
{
	const char *fix = err_hint_text();

	doctor_tell(d, name, DOCTOR_LIMITED, *fix != '\0' ? fix : NULL, "%s", err_text());
	err_clear();
}

/* *ret as from an empty file when it cannot be used. */
static void look_at_config(struct doctor *d, struct arena *a, struct host_config *ret)
{
	const char *path = d->host_config != NULL ? d->host_config : HOST_CONFIG_PATH;
	bool there = access(path, F_OK) == 0;

	if (host_config_load(a, d->host_config, ret) < 0) {
		tell_error(d, "config");
		host_config_init(ret);
		return;
	}
	doctor_tell(d, "config", DOCTOR_OK, NULL, "%s%s: a bundle that says nothing becomes a %s", path, there ? "" : " is not there",
		    ret->isolation != NULL && str_eq(ret->isolation, isolation_name(ISOLATION_MICROVM)) ? "microVM" : "container");
}

static bool look_at_qemu(struct doctor *d, const struct host_config *c)
{
	const char *path = NULL;

	if (qemu_find(c->hypervisor.path, &path) < 0) {
		tell_error(d, "qemu");
		return false;
	}
	doctor_tell(d, "qemu", DOCTOR_OK, NULL, "%s", path);
	return true;
}

static bool look_at_virtiofsd(struct doctor *d, const struct host_config *c)
{
	struct virtiofsd_program p;

	if (virtiofsd_find(c->virtiofsd, &p) < 0) {
		tell_error(d, "virtiofsd");
		return false;
	}
	doctor_tell(d, "virtiofsd", DOCTOR_OK, NULL, "%s", p.path);
	return true;
}

static bool look_at_guest_program(struct doctor *d)
{
	char link[64], path[PATH_MAX] = "";
	_cleanup_close_ int fd = FD_NONE;

	if (guest_program_open(&fd) < 0) {
		tell_error(d, "guest-program");
		return false;
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		path[0] = '\0';
	doctor_tell(d, "guest-program", DOCTOR_OK, NULL, "%s", path);
	return true;
}

/* A microVM without an interface needs it not. */
static void look_at_tun(struct doctor *d)
{
	_cleanup_close_ int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		doctor_tell(d, "network", DOCTOR_OK, NULL, TUN_DEVICE " is there, for a microVM's network");
	else
		doctor_tell(d, "network", DOCTOR_LIMITED, "modprobe tun; in a container, pass the device in",
			    "cannot open " TUN_DEVICE ", without which a microVM has no network: %s", strerror(errno));
}

static bool look_at_guest_kernel(struct doctor *d, const struct host_config *c)
{
	static const char *const installed[] = KERNEL_INSTALLED;
	const struct kernel_search s = {
		.path = c->kernel.path,
		.installed = installed,
		.n_installed = ARRAY_SIZE(installed),
		.boot = KERNEL_BOOT,
		.modules = KERNEL_MODULES,
	};
	_cleanup_kernel_found_ struct kernel_found k = KERNEL_FOUND_NULL;

	if (kernel_find(&s, &k) < 0) {
		tell_error(d, "guest-kernel");
		return false;
	}
	doctor_tell(d, "guest-kernel", DOCTOR_OK, NULL, "%s%s%s", k.path, k.modules != NULL ? ", modules in " : ", no modules",
		    k.modules != NULL ? k.modules : "");
	return true;
}

static void look_at_kvm(struct doctor *d)
{
	if (kvm_probe() == 0)
		doctor_tell(d, "kvm", DOCTOR_OK, NULL, "runs unmodified kernels");
	else
		tell_error(d, "kvm");
}

static void look_at_acceleration(struct doctor *d, struct arena *a, bool qemu, bool others)
{
	static const char *const names[] = {
		[VM_MONITOR_KVM] = "hardware (nacre's own monitor), since KVM works",
		[VM_MONITOR_QEMU_KVM] = "hardware (QEMU), since KVM works",
		[VM_MONITOR_QEMU_TCG] = "software emulation (QEMU), ten times slower and more, since KVM cannot be used",
	};
	enum vm_monitor monitor = VM_MONITOR_QEMU_TCG;
	struct vm_host host = { .cpus = 1 };
	const char *why = NULL;

	if (vm_host_probe(a, &host) < 0 || vm_monitor_choose(a, NULL, false, &host, &monitor, &why) < 0) {
		tell_error(d, "acceleration");
		return;
	}
	if (backend_find(isolation_name(ISOLATION_MICROVM)) == NULL)
		doctor_tell(d, "acceleration", DOCTOR_LIMITED, NULL, "microVMs are not built into this nacre; it would be %s",
			    names[monitor]);
	else if (!others || (monitor != VM_MONITOR_KVM && !qemu))
		doctor_tell(d, "acceleration", DOCTOR_LIMITED, "see the lines above", "no microVM can be run; it would be %s",
			    names[monitor]);
	else
		doctor_tell(d, "acceleration", monitor == VM_MONITOR_KVM ? DOCTOR_OK : DOCTOR_LIMITED, NULL, "%s",
			    names[monitor]);
}

void doctor_look_at_microvms(struct doctor *d)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	struct host_config c;
	bool qemu, virtiofsd, kernel, program;

	if (a == NULL)
		return;
	look_at_config(d, a, &c);
	look_at_kvm(d);
	qemu = look_at_qemu(d, &c);
	virtiofsd = look_at_virtiofsd(d, &c);
	kernel = look_at_guest_kernel(d, &c);
	program = look_at_guest_program(d);
	look_at_tun(d);
	look_at_acceleration(d, a, qemu, virtiofsd && kernel && program);
}
