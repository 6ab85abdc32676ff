/* SPDX-License-Identifier: Apache-2.0 */
/* See plan_vm.h. */
#include "runtime/plan_vm.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "microvm/kvm.h"
#include "oci/host_config.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/vm_size.h"

/*
 * What every guest gets. The console is a serial port; a panic or a reboot ends the machine at once; of what a kernel tests
 * and probes at its start, that which no microVM has or needs is left out.
 */
#define COMMAND_LINE "console=ttyS0 8250.nr_uarts=1 panic=-1 net.ifnames=0 no_timer_check cryptomgr.notests random.trust_cpu=on"
#define COMMAND_LINE_MAX 2047U	/* x86: COMMAND_LINE_SIZE without the NUL */

/* ---- who runs it ---- */

int vm_host_probe(struct arena *a, struct vm_host *ret)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	*ret = (struct vm_host){
		.cpus = cpus > 0 ? (unsigned int)cpus : 1,
		.memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
		.uid = geteuid(),
		.gid = getegid(),
	};
	if (kvm_probe() == 0)
		return 0;
	ret->kvm_why = arena_strdup(a, err_text());
	err_clear();
	return ret->kvm_why == NULL ? ERR_NOMEM() : 0;
}

int vm_monitor_choose(struct arena *a, const char *accel, bool qemu, const struct vm_host *h, enum vm_monitor *ret,
		      const char **ret_why)
{
	static const char *const words[] = { "auto", "kvm", "qemu", "tcg" };
	bool automatic = accel == NULL || str_eq(accel, "auto");

	if (accel != NULL && !str_in(accel, words, ARRAY_SIZE(words)))
		return ERR_PLAIN(-EINVAL, "\"%.64s\" is none of auto, kvm, qemu, tcg", accel);
	if (accel != NULL && str_eq(accel, "tcg")) {
		*ret = VM_MONITOR_QEMU_TCG;
		*ret_why = "software emulation was asked for";
		return 0;
	}
	if (accel != NULL && str_eq(accel, "qemu") && h->kvm_why == NULL) {
		*ret = VM_MONITOR_QEMU_KVM;
		*ret_why = "QEMU was asked for, and /dev/kvm works";
		return 0;
	}
	if (h->kvm_why == NULL) {
		*ret = qemu ? VM_MONITOR_QEMU_KVM : VM_MONITOR_KVM;
		*ret_why = qemu ? "config.json names a hypervisor, and /dev/kvm works" : "/dev/kvm works";
		return 0;
	}
	if (!automatic)
		return ERR_PLAIN(-ENOTSUP, "KVM is asked for and cannot be used: %s", h->kvm_why);
	*ret = VM_MONITOR_QEMU_TCG;
	*ret_why = arena_printf(a, "KVM cannot be used: %s", h->kvm_why);
	return *ret_why == NULL ? ERR_NOMEM() : 0;
}

const char *vm_monitor_name(enum vm_monitor m)
{
	static const char *const names[] = {
		[VM_MONITOR_KVM] = "nacre's own monitor, on /dev/kvm",
		[VM_MONITOR_QEMU_KVM] = "QEMU, on /dev/kvm",
		[VM_MONITOR_QEMU_TCG] = "QEMU, which emulates each instruction",
	};

	return names[m];
}

/* A pod's annotations may be its author's, who is who the wall is there against: an emulator is a weaker one than KVM. */
static int check_pods_monitor(const struct plan *p, const struct vm_host *host)
{
	enum vm_monitor usual = VM_MONITOR_KVM;
	const char *why;
	int r = p->pod == POD_NONE ? 0 : vm_monitor_choose(p->arena, NULL, p->spec->vm.hypervisor.path != NULL, host, &usual, &why);

	return r < 0 || p->pod == POD_NONE || usual == p->vm.monitor ? r :
		       ERR_PLAIN(-EPERM, "a pod cannot have another monitor than is usual on this host (%s)", vm_monitor_name(usual));
}

static int build_monitor(struct plan *p, const struct vm_host *host)
{
	int r = vm_monitor_choose(p->arena, spec_annotation(p->spec, ANNOTATION_VM_ACCEL), p->spec->vm.hypervisor.path != NULL, host,
				  &p->vm.monitor, &p->vm.monitor_why);

	if (r == 0)
		r = check_pods_monitor(p, host);
	return r < 0 && r != -ENOMEM ? ERR_CONTEXT(r, "config.json: annotations[\"" ANNOTATION_VM_ACCEL "\"]") : r;
}

/* ---- kernel ---- */

/* A parameter with a space is one word of the command line when it is quoted; unless its writer has done that. */
static void add_parameter(struct buf *b, const char *parameter)
{
	bool quote = strchr(parameter, ' ') != NULL && strchr(parameter, '"') == NULL;

	if (*parameter != '\0')
		buf_printf(b, quote ? " \"%s\"" : " %s", parameter);
}

static int build_command_line(struct plan *p, const struct strv *parameters)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	buf_puts(&b, COMMAND_LINE);
	/* Each line costs the guest time. */
	if (p->vm.console == NULL && !p->vm.console_to_log)
		buf_puts(&b, " quiet");
	for (size_t i = 0; i < parameters->n; i++)
		add_parameter(&b, parameters->v[i]);
	if (b.failed)
		return ERR_NOMEM();
	if (b.len > COMMAND_LINE_MAX)
		return ERR_PLAIN(-E2BIG, "vm.kernel.parameters: the command line would have %zu characters; a kernel takes %u", b.len,
				 COMMAND_LINE_MAX);
	p->vm.command_line = arena_strdup(p->arena, b.data);
	return p->vm.command_line == NULL ? ERR_NOMEM() : 0;
}

/* ---- the rest ---- */

static int build_console(struct plan *p)
{
	const char *console = spec_annotation(p->spec, ANNOTATION_VM_CONSOLE);

	if (console == NULL || *console == '\0')
		return 0;
	if (console[0] != '/' && !str_eq(console, "stderr"))
		return ERR_PLAIN(-EINVAL, "config.json: annotations[\"" ANNOTATION_VM_CONSOLE "\"]: must be an absolute path or stderr, not \"%.64s\"",
				 console);
	/* Root writes there. A pod's author, whose annotations they may be, is not the host's. */
	if (console[0] == '/' && p->pod != POD_NONE)
		return ERR_PLAIN(-EPERM, "config.json: annotations[\"" ANNOTATION_VM_CONSOLE "\"]: \"%.64s\" is a file of the host, which no pod may choose",
				 console);
	p->vm.console = console;
	return 0;
}

/*
 * The specification's image is what the kernel boots into, beside root.path, which is the container's. nacre's machine boots
 * into its own initramfs and needs no such thing: with nacre the image is the container's root file system, in root.path's
 * place. With both, one of them would have to be passed over.
 */
static int build_image(struct plan *p)
{
	const struct spec_vm_image *image = &p->spec->vm.image;

	if (image->path != NULL && !str_eq(image->format, "raw"))
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "config.json: vm.image.format: nacre takes raw images, not %s", image->format),
				"qemu-img convert -O raw makes one");
	if (image->path != NULL && p->spec->root.path != NULL)
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "config.json: root.path: with vm.image, the image is the container's root file system"),
				"leave root.path out; root.readonly may stay");
	p->vm.image = image->path;
	return 0;
}

/* By its file's name it comes last, and wins; a value that is none is refused when it is written. */
static int64_t memory_limit(const struct spec_resources *in)
{
	for (size_t i = 0; i < in->n_unified; i++) {
		uint64_t limit = 0;

		if (!str_eq(in->unified[i].key, "memory.max"))
			continue;
		return parse_u64(in->unified[i].value, 1, INT64_MAX, &limit) < 0 ? -1 : (int64_t)limit;
	}
	return in->memory_limit;
}

static int build_size(struct plan *p, const struct vm_host *host)
{
	const struct spec_resources *in = &p->spec->linux_.resources;
	const struct vm_size_request q = {
		.hw_vcpus = p->spec->vm.hw_config.vcpus,
		.hw_memory = p->spec->vm.hw_config.memory,
		.cpu_quota = in->cpu_quota,
		.cpu_period = in->cpu_period,
		.cpus = in->cpus,
		.memory_limit = memory_limit(in),
		.qemu = p->vm.monitor != VM_MONITOR_KVM,
		.emulated = p->vm.monitor == VM_MONITOR_QEMU_TCG,
		.host_cpus = host->cpus,
		.host_memory = host->memory,
	};
	struct vm_size size = { 0 };
	int r = vm_size(&q, &size);

	p->vm.vcpus = size.vcpus;
	p->vm.memory = size.memory;
	return r < 0 ? ERR_CONTEXT(r, "config.json") : 0;
}

/* An object of config.json takes the whole place of the file's: parameters for one kernel may be wrong for another. */
/* A user's machine is in a user namespace: of config.json's maps, or of one id, the user's own. What is in there needs no maps. */
static int build_ids(struct plan *p, const struct vm_host *host)
{
	struct userns_range *own = arena_array(p->arena, 2, sizeof(*own));

	if (own == NULL)
		return ERR_NOMEM();
	own[0] = (struct userns_range){ .host_id = host->uid, .size = 1 };
	own[1] = (struct userns_range){ .host_id = host->gid, .size = 1 };
	p->vm.user_ns = host->uid != 0;
	p->vm.ids = plan_has_ns(p, CLONE_NEWUSER) ?
			    p->userns : (struct userns_req){ .uid = &own[0], .n_uid = 1, .gid = &own[1], .n_gid = 1 };
	return 0;
}

int plan_build_vm(struct plan *p, const struct host_config *file, const struct vm_host *host)
{
	const struct spec_vm *s = &p->spec->vm;
	const struct spec_vm_kernel *kernel = s->present ? &s->kernel : &file->kernel;
	const struct spec_vm_hypervisor *hypervisor = s->hypervisor.path != NULL ? &s->hypervisor : &file->hypervisor;
	int r = build_monitor(p, host);

	p->vm.kernel = kernel->path;
	p->vm.initrd = kernel->initrd;
	p->vm.hypervisor = hypervisor->path;
	p->vm.hypervisor_parameters = hypervisor->parameters.v;
	p->vm.virtiofsd = file->virtiofsd;
	if (r == 0 && p->seccomp_listener != NULL)
		r = ERR_PLAIN(-ENOTSUP, "config.json: linux.seccomp.listenerPath: nobody outside a microVM can answer the system calls of its guest");
	if (r == 0)
		r = build_console(p);
	if (r == 0)
		r = build_command_line(p, &kernel->parameters);
	if (r == 0)
		r = build_image(p);
	if (r == 0)
		r = build_ids(p, host);
	return r < 0 ? r : build_size(p, host);
}
