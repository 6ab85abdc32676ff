/* SPDX-License-Identifier: Apache-2.0 */
/* See qemu.h. */
#include "microvm/qemu.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define ARGUMENTS_FIXED 96
#define ARGUMENTS_PER_DEVICE 6

int qemu_find(const char *configured, const char **ret_path)
{
	static const char *const usual[] = { "/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64",
					     "/usr/libexec/qemu-kvm" };

	if (configured != NULL && access(configured, X_OK) < 0)
		return ERR(-errno, "cannot use the hypervisor \"%s\"", configured);
	*ret_path = configured;
	for (size_t i = 0; *ret_path == NULL && i < ARRAY_SIZE(usual); i++)
		if (access(usual[i], X_OK) == 0)
			*ret_path = usual[i];
	if (*ret_path == NULL)
		return ERR_HINT(ERR_PLAIN(-ENOENT, "QEMU (qemu-system-x86_64) is not installed"),
				"Debian has it in the package qemu-system-x86");
	return 0;
}

struct line {
	struct arena *a;
	const char **v;
	size_t n;
	bool failed;
};

static void add(struct line *l, const char *word)
{
	l->failed = l->failed || word == NULL;
	l->v[l->n++] = word;
}

static void add2(struct line *l, const char *option, const char *value)
{
	add(l, option);
	add(l, value);
}

/*
 * Nothing that QEMU would add by itself, but for its firmware: the default one (SeaBIOS), since with x-option-roms=off it is qboot,
 * which starts no bzImage with QEMU 11 (with 7.2 it did, and no faster). pit and pic: without a timer other than the APIC's a
 * kernel under emulation cannot calibrate it. The CPU is x86-64-v2: what distributions are built for; "max" has AVX, whose
 * emulation is several times slower than the code that does without.
 */
static void add_machine(struct line *l, const struct qemu_request *q)
{
	const struct machine_config *m = q->machine;
	unsigned long long size = m->ram_size;

	add2(l, "-M", "microvm,acpi=on,pcie=off,rtc=on,pit=on,pic=on,isa-serial=on,memory-backend=ram");
	add(l, "-object");
	add(l, arena_printf(l->a, "memory-backend-memfd,id=ram,size=%llu,share=on", size));
	add(l, "-m");
	add(l, arena_printf(l->a, "%llub", size));
	add(l, "-smp");
	add(l, arena_printf(l->a, "%u", m->vcpus));
	if (q->kvm) {
		add2(l, "-accel", "kvm");
		/* As our own monitor's guest: cpuid_x86_64.h. */
		add2(l, "-cpu", "host,vmx=off,svm=off");
	} else {
		/* Several threads of TCG locked up once in ten boots, and one is as fast for one process. */
		add2(l, "-accel", "tcg,thread=single");
		add2(l, "-cpu", "qemu64,+cx16,+lahf-lm,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand");
	}
	add(l, "-nodefaults");
	add(l, "-no-user-config");
	add2(l, "-display", "none");
	add(l, "-no-reboot");
	add2(l, "-global", "virtio-mmio.force-legacy=false");
	add2(l, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void add_kernel(struct line *l, const struct machine_config *m)
{
	add(l, "-kernel");
	add(l, arena_printf(l->a, "/proc/self/fd/%d", m->kernel));
	add(l, "-initrd");
	add(l, arena_printf(l->a, "/proc/self/fd/%d", m->initrd));
	add2(l, "-append", m->command_line);
}

static void add_devices(struct line *l, const struct machine_config *m)
{
	add2(l, "-chardev", "stdio,id=console,signal=off");
	add2(l, "-serial", "chardev:console");
	add2(l, "-device", "virtio-serial-device");
	add(l, "-chardev");
	add(l, arena_printf(l->a, "socket,id=channel,fd=%d", m->channel));
	add2(l, "-device", "virtserialport,chardev=channel,name=" MACHINE_CHANNEL_NAME);
	if (m->control >= 0) {
		add(l, "-chardev");
		add(l, arena_printf(l->a, "socket,id=qmp,fd=%d", m->control));
		add2(l, "-qmp", "chardev:qmp");
	}
	add2(l, "-device", "virtio-rng-device");
	add2(l, "-device", "virtio-balloon-device,free-page-reporting=on");
	if (m->fs >= 0) {
		add(l, "-chardev");
		add(l, arena_printf(l->a, "socket,id=fs,fd=%d", m->fs));
		add2(l, "-device", "vhost-user-fs-device,chardev=fs,tag=" MACHINE_FS_TAG);
	}
	for (size_t i = 0; i < m->n_disks; i++) {
		/* As a descriptor: opening the file again may be denied to it, and would be of something else by then. */
		add(l, "-add-fd");
		add(l, arena_printf(l->a, "fd=%d,set=%zu", m->disks[i].image, i));
		add(l, "-drive");
		add(l, arena_printf(l->a, "if=none,id=disk%zu,format=raw,file=/dev/fdset/%zu,auto-read-only=off,readonly=%s", i, i,
				    m->disks[i].read_only ? "on" : "off"));
		add(l, "-device");
		add(l, arena_printf(l->a, "virtio-blk-device,drive=disk%zu", i));
	}
	for (size_t i = 0; i < m->n_nets; i++) {
		const uint8_t *mac = m->nets[i].mac;

		add(l, "-netdev");
		add(l, arena_printf(l->a, "tap,id=net%zu,fd=%d", i, m->nets[i].tap));
		add(l, "-device");
		add(l, arena_printf(l->a, "virtio-net-device,netdev=net%zu,host_mtu=%u,mac=%02x:%02x:%02x:%02x:%02x:%02x", i,
				    m->nets[i].mtu, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]));
	}
}

int qemu_arguments(struct arena *a, const struct qemu_request *q, const char *const **ret_argv)
{
	size_t max = ARGUMENTS_FIXED + q->n_parameters + ARGUMENTS_PER_DEVICE * (q->machine->n_disks + q->machine->n_nets);
	struct line l = { .a = a, .v = arena_array(a, max, sizeof(*l.v)) };

	if (l.v == NULL)
		return ERR_NOMEM();
	add(&l, q->path);
	add_machine(&l, q);
	add_kernel(&l, q->machine);
	add_devices(&l, q->machine);
	for (size_t i = 0; i < q->n_parameters; i++)
		add(&l, q->parameters[i]);
	if (l.failed)
		return ERR_NOMEM();
	l.v[l.n] = NULL;
	*ret_argv = l.v;
	return 0;
}

#ifdef __x86_64__
/* A virtual machine's host may not tell its clock's rate (CPUID 0x15), so it is measured: 10 ms, good to 0.01 %. */
static uint64_t measure_khz(void)
{
	const uint64_t span = 10 * 1000 * 1000;
	struct timespec t;
	uint64_t start, now, from, to;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	start = (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
	from = __rdtsc();
	do {
		clock_gettime(CLOCK_MONOTONIC_RAW, &t);
		now = (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
		to = __rdtsc();
	} while (now - start < span);
	return (to - from) * 1000000U / (now - start);
}
#else
static uint64_t measure_khz(void)
{
	return 0;
}
#endif

const char *qemu_tcg_command_line(struct arena *a)
{
	uint64_t khz = measure_khz();

	return khz == 0 ? NULL : arena_printf(a, "tsc_early_khz=%" PRIu64 " tsc=reliable no_timer_check reboot=t", khz);
}
