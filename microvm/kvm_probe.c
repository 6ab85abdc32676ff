/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether KVM can be used here. That /dev/kvm makes VMs does not say it: a para-virtual KVM (inside a VM
 * without nested virtualization) does that, too, but runs only kernels that were written for it. What else it
 * is given it emulates instruction by instruction, and an unmodified kernel soon comes to one that it cannot.
 * The processor's flag tells the two apart.
 */
#include "microvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

static const struct {
	unsigned long cap;
	const char *name;
} needs[KVM_NEEDS] = {
	[KVM_NEED_USER_MEMORY] = { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	[KVM_NEED_IRQCHIP] = { KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	[KVM_NEED_SET_TSS_ADDR] = { KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	[KVM_NEED_EXT_CPUID] = { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	[KVM_NEED_MP_STATE] = { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
	[KVM_NEED_IRQFD] = { KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	[KVM_NEED_IOEVENTFD] = { KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	[KVM_NEED_TSC_DEADLINE_TIMER] = { KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER" },
	[KVM_NEED_READONLY_MEM] = { KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
	[KVM_NEED_IMMEDIATE_EXIT] = { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static const char fix_nested[] = "inside a virtual machine, its host has to offer nested virtualization";

/* Is the word flag in the first line that begins with "flags"? All processors of a host have the same. */
static bool has_flag(const char *cpuinfo, const char *flag)
{
	const char *line = cpuinfo, *end;
	size_t len = strlen(flag);

	while (!str_starts(line, "flags")) {
		line = strchr(line, '\n');
		if (line == NULL)
			return false;
		line++;
	}
	end = line + strcspn(line, "\n");
	for (const char *word = line; word < end;) {
		size_t n = strcspn(word, " \t\n");

		if (n == len && memcmp(word, flag, len) == 0)
			return true;
		word += n;
		word += strspn(word, " \t");
	}
	return false;
}

static int judge_open(int error)
{
	switch (error) {
	case -ENOENT:
		(void)ERR_PLAIN(error, "there is no /dev/kvm");
		return ERR_HINT(error, "load kvm_intel or kvm_amd, with virtualization switched on in the firmware; in a container, pass the "
				"device in; %s", fix_nested);
	case -EACCES:
	case -EPERM:
		(void)ERR(error, "cannot open /dev/kvm");
		return ERR_HINT(error, "run as root or join the group that /dev/kvm belongs to; in a container, pass the device in");
	case -ENODEV:
	case -ENXIO:
		(void)ERR(error, "cannot open /dev/kvm");
		return ERR_HINT(error, "load kvm_intel or kvm_amd, with virtualization switched on in the firmware; %s", fix_nested);
	default:
		return ERR(error, "cannot open /dev/kvm");
	}
}

static int judge_capabilities(const struct kvm_answers *a)
{
	_cleanup_buf_ struct buf lacks = BUF_NULL;

	for (size_t i = 0; i < KVM_NEEDS; i++)
		if (!a->has[i])
			buf_printf(&lacks, " %s", needs[i].name);
	if (lacks.failed)
		return ERR_NOMEM();
	if (lacks.len == 0)
		return 0;
	(void)ERR_PLAIN(-ENOSYS, "this host's KVM lacks%s", lacks.data);
	return ERR_HINT(-ENOSYS, "use Linux 4.11 or later on an x86-64 host");
}

int kvm_judge(const struct kvm_answers *a, const char *cpuinfo)
{
	int r;

	if (a->open_error < 0)
		return judge_open(a->open_error);
	if (a->api_version != KVM_API_VERSION) {
		(void)ERR_PLAIN(-EPROTO, "/dev/kvm speaks version %d of its interface, not %d", a->api_version, KVM_API_VERSION);
		return ERR_HINT(-EPROTO, "use Linux 2.6.22 or later");
	}
	r = judge_capabilities(a);
	if (r < 0)
		return r;
	if (!has_flag(cpuinfo, "vmx") && !has_flag(cpuinfo, "svm")) {
		(void)ERR_PLAIN(-EOPNOTSUPP, "this host's KVM is para-virtual (the processor has neither vmx nor svm) and boots no "
				"unmodified kernel");
		return ERR_HINT(-EOPNOTSUPP, "%s", fix_nested);
	}
	return 0;
}

static void ask(struct kvm_answers *a)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*a = (struct kvm_answers){ .open_error = fd < 0 ? -errno : 0 };
	if (fd < 0)
		return;
	a->api_version = ioctl(fd, KVM_GET_API_VERSION, 0UL);
	for (size_t i = 0; i < KVM_NEEDS; i++)
		a->has[i] = ioctl(fd, KVM_CHECK_EXTENSION, needs[i].cap) > 0;
}

int kvm_probe(void)
{
	_cleanup_free_ char *cpuinfo = NULL;
	struct kvm_answers a;
	size_t len;
	int r;

	/* Some kilobytes for each processor. */
	r = file_read(AT_FDCWD, "/proc/cpuinfo", 64U << 20, &cpuinfo, &len);
	if (r < 0)
		return ERR(r, "cannot read /proc/cpuinfo");
	ask(&a);
	return kvm_judge(&a, cpuinfo);
}
