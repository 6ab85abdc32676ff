/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM: what is decided without it (the probe, CPUID, the segment table, exits made up), then guests of a few
 * instructions, written as bytes with their meaning beside them. They are small enough for a para-virtual KVM,
 * which emulates them. Without /dev/kvm these are skipped. No guest can hang the test: alarm(2) ends it.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "microvm/cpuid_x86_64.h"
#include "microvm/kvm.h"
#include "microvm/vcpu.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

/* The probe ---------------------------------------------------------------- */

#define CPU(flags) \
	"processor\t: 0\nmodel name\t: a vmx b\nflags\t\t: " flags "\nbugs\t\t: svm\n\n" \
	"processor\t: 1\nflags\t\t: " flags "\n"

TEST(probe_decides)
{
	static const struct {
		const char *what;
		int open_error, api_version;
		unsigned int lacks;	/* bits of enum kvm_need */
		const char *cpuinfo;
		int r;
		const char *text;	/* how it begins */
	} cases[] = {
		{ "intel", 0, 12, 0, CPU("fpu vmx sse2"), 0, "" },
		{ "amd, the last flag", 0, 12, 0, CPU("fpu svm"), 0, "" },
		{ "no device", -ENOENT, 0, 0, CPU("vmx"), -ENOENT, "there is no /dev/kvm" },
		{ "no permission", -EACCES, 0, 0, CPU("vmx"), -EACCES, "cannot open /dev/kvm: Permission denied" },
		{ "refused by a cgroup", -EPERM, 0, 0, CPU("vmx"), -EPERM, "cannot open /dev/kvm: Operation not permitted" },
		{ "no driver", -ENODEV, 0, 0, CPU("vmx"), -ENODEV, "cannot open /dev/kvm: No such device" },
		{ "out of descriptors", -EMFILE, 0, 0, CPU("vmx"), -EMFILE, "cannot open /dev/kvm: Too many open files" },
		{ "another interface", 0, 11, 0, CPU("vmx"), -EPROTO, "/dev/kvm speaks version 11 of its interface, not 12" },
		{ "one capability", 0, 12, 1U << KVM_NEED_IMMEDIATE_EXIT, CPU("vmx"), -ENOSYS,
		  "this host's KVM lacks KVM_CAP_IMMEDIATE_EXIT" },
		{ "two capabilities", 0, 12, 1U << KVM_NEED_IRQFD | 1U << KVM_NEED_USER_MEMORY, CPU(""), -ENOSYS,
		  "this host's KVM lacks KVM_CAP_USER_MEMORY KVM_CAP_IRQFD" },
		{ "neither flag", 0, 12, 0, CPU("fpu hypervisor svme xvmx"), -EOPNOTSUPP, "this host's KVM is para-virtual" },
		{ "no flags at all", 0, 12, 0, CPU(""), -EOPNOTSUPP, "this host's KVM is para-virtual" },
		{ "no flags line", 0, 12, 0, "vmx\n", -EOPNOTSUPP, "this host's KVM is para-virtual" },
		{ "empty", 0, 12, 0, "", -EOPNOTSUPP, "this host's KVM is para-virtual" },
		{ "cut off", 0, 12, 0, "flags", -EOPNOTSUPP, "this host's KVM is para-virtual" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_answers a = { .open_error = cases[i].open_error, .api_version = cases[i].api_version };

		for (unsigned int k = 0; k < KVM_NEEDS; k++)
			a.has[k] = !(cases[i].lacks & 1U << k);
		err_clear();
		if (!CHECK_INT(kvm_judge(&a, cases[i].cpuinfo), cases[i].r) || !CHECK(str_starts(err_text(), cases[i].text)))
			printf("#   case: %s (%s)\n", cases[i].what, err_text());
		/* Whoever can do something about it is told what. */
		CHECK((cases[i].r == 0 || cases[i].r == -EMFILE) == (*err_hint_text() == '\0'));
	}
}

TEST(probe_answers)
{
	int r = kvm_probe();

	printf("# here: %d %s\n", r, r < 0 ? err_text() : "usable");
	CHECK(r <= 0);
}

/* CPUID -------------------------------------------------------------------- */

static void add_leaf(struct cpuid *c, const struct kvm_cpuid_entry2 *e)
{
	c->entries[c->nent++] = *e;
}

#define SUB KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* A host's processor with its own numbers everywhere: all bits set that the guest must not see. */
static struct cpuid *host_cpuid(const char vendor[12], uint32_t leaves)
{
	struct cpuid *c = calloc(1, sizeof(*c));
	struct kvm_cpuid_entry2 zero = { .eax = leaves };
	const struct kvm_cpuid_entry2 more[] = {
		{ .function = 1, .eax = 0x306a9, .ebx = 0x7f400800, .ecx = 1U << 15 | 1U << 5 | 1, .edx = 1U << 28 | 1 },
		{ .function = 4, .index = 0, .flags = SUB, .eax = 0xffffc021 },	/* level 1 */
		{ .function = 4, .index = 1, .flags = SUB, .eax = 0xffffc063 },	/* level 3 */
		{ .function = 4, .index = 2, .flags = SUB, .eax = 0 },
		{ .function = 6, .eax = 6, .ecx = 9 },
		{ .function = 7, .index = 0, .flags = SUB, .ebx = 1, .ecx = 1U << 5 | 2, .edx = 1U << 29 | 4 },
		{ .function = 7, .index = 1, .flags = SUB, .ecx = 1U << 5, .edx = 1U << 29 },
		{ .function = 0xa, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4 },
		{ .function = 0xb, .index = 0, .flags = SUB, .eax = 9, .ebx = 9, .ecx = 9, .edx = 9 },
		{ .function = 0x1f, .index = 0, .flags = SUB, .eax = 9 },
		{ .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
		{ .function = 0x40000001, .eax = 0xffff },
		{ .function = 0x80000001, .ecx = 1U << 2 | 2 },
		{ .function = 0x80000008, .ecx = 0x70ff },
		{ .function = 0x8000000a, .eax = 1, .ebx = 8, .edx = 0xffff },
		{ .function = 0x8000001e, .eax = 99, .ebx = 0x1ff, .ecx = 0x701 },
	};

	memcpy(&zero.ebx, vendor, 4);
	memcpy(&zero.edx, vendor + 4, 4);
	memcpy(&zero.ecx, vendor + 8, 4);
	add_leaf(c, &zero);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		add_leaf(c, &more[i]);
	return c;
}

static const struct kvm_cpuid_entry2 *leaf(struct cpuid *c, uint32_t function, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none = { .eax = 0xdead };
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, function, index);

	return e != NULL ? e : &none;
}

TEST(cpuid_of_a_core)
{
	struct cpuid *c = host_cpuid("GenuineIntel", 0x1f);

	cpuid_normalise(c, &(const struct cpuid_place){ .index = 2, .n_vcpus = 3, .apic_timer = true });
	CHECK_INT(leaf(c, 1, 0)->eax, 0x306a9);
	CHECK_INT(leaf(c, 1, 0)->ebx, 0x02040800);
	CHECK_INT(leaf(c, 1, 0)->ecx, 1U << 31 | 1U << 24 | 1);
	CHECK_INT(leaf(c, 1, 0)->edx, 1U << 28 | 1);
	CHECK_INT(leaf(c, 4, 0)->eax, 3U << 26 | 0x21);
	CHECK_INT(leaf(c, 4, 1)->eax, 3U << 26 | 3U << 14 | 0x63);
	CHECK_INT(leaf(c, 4, 2)->eax, 0);
	CHECK_INT(leaf(c, 6, 0)->eax, 4);
	CHECK_INT(leaf(c, 6, 0)->ecx, 1);
	CHECK_INT(leaf(c, 7, 0)->ecx, 2);
	CHECK_INT(leaf(c, 7, 0)->edx, 1U << 29 | 4);
	CHECK_INT(leaf(c, 7, 1)->ecx, 1U << 5);
	CHECK_INT(leaf(c, 0xa, 0)->eax | leaf(c, 0xa, 0)->ebx | leaf(c, 0xa, 0)->ecx | leaf(c, 0xa, 0)->edx, 0);
	/* Threads: none to tell apart; cores: two bits for three; then the end. */
	CHECK_INT(leaf(c, 0xb, 0)->eax, 0);
	CHECK_INT(leaf(c, 0xb, 0)->ebx, 1);
	CHECK_INT(leaf(c, 0xb, 0)->ecx, 0x100);
	CHECK_INT(leaf(c, 0xb, 1)->eax, 2);
	CHECK_INT(leaf(c, 0xb, 1)->ebx, 3);
	CHECK_INT(leaf(c, 0xb, 1)->ecx, 0x201);
	CHECK_INT(leaf(c, 0xb, 2)->ebx, 0);
	CHECK_INT(leaf(c, 0xb, 2)->edx, 2);
	CHECK(cpuid_find(c, 0x1f, 0) == NULL);
	CHECK_INT(leaf(c, 0x40000000, 0)->ebx, 0x4b4d564b);
	CHECK_INT(leaf(c, 0x40000001, 0)->eax, 0xffff & ~(1U << 4 | 1U << 10 | 1U << 14));
	free(c);
}

TEST(cpuid_of_amd)
{
	struct cpuid *c = host_cpuid("AuthenticAMD", 0xd);

	cpuid_normalise(c, &(const struct cpuid_place){ .index = 1, .n_vcpus = 2, .apic_timer = true });
	CHECK_INT(leaf(c, 7, 0)->edx, 4);
	CHECK_INT(leaf(c, 0x80000001, 0)->ecx, 2);
	CHECK_INT(leaf(c, 0x8000000a, 0)->eax | leaf(c, 0x8000000a, 0)->ebx | leaf(c, 0x8000000a, 0)->edx, 0);
	CHECK_INT(leaf(c, 0x80000008, 0)->ecx, 0x1001);
	CHECK_INT(leaf(c, 0x8000001e, 0)->eax, 1);
	CHECK_INT(leaf(c, 0x8000001e, 0)->ebx, 1);
	CHECK_INT(leaf(c, 0x8000001e, 0)->ecx, 0);
	free(c);
}

TEST(cpuid_of_one)
{
	struct cpuid *c = host_cpuid("AuthenticAMD", 7);

	/* An old processor has no leaf 0xb to be told of. */
	cpuid_normalise(c, &(const struct cpuid_place){ .index = 0, .n_vcpus = 1, .apic_timer = false });
	CHECK_INT(leaf(c, 1, 0)->ebx, 0x00010800);
	CHECK_INT(leaf(c, 1, 0)->ecx, 1U << 31 | 1);
	CHECK_INT(leaf(c, 1, 0)->edx, 1);
	CHECK_INT(leaf(c, 0x80000001, 0)->ecx, 0);
	CHECK_INT(leaf(c, 0x80000008, 0)->ecx, 0);
	CHECK(cpuid_find(c, 0xb, 0) == NULL);
	/* A full table stays one. */
	c->entries[0].eax = 0xd;
	while (c->nent < CPUID_ENTRIES_MAX - 1)
		add_leaf(c, &(const struct kvm_cpuid_entry2){ .function = 0x80000000 });
	cpuid_normalise(c, &(const struct cpuid_place){ .index = 0, .n_vcpus = 1, .apic_timer = false });
	CHECK_INT(c->nent, CPUID_ENTRIES_MAX);
	free(c);
}

TEST(segment_table)
{
	uint64_t gdt[VCPU_GDT_ENTRIES];

	/* As the manuals of the processor have them: flat, accessed. */
	vcpu_gdt(VCPU_PROTECTED_32, gdt);
	CHECK_INT(gdt[0] | gdt[1] | gdt[5], 0);
	CHECK_INT(gdt[2], 0x00cf9b000000ffff);
	CHECK_INT(gdt[3], 0x00cf93000000ffff);
	CHECK_INT(gdt[4], 0x00008b0000000067);
	vcpu_gdt(VCPU_LONG_64, gdt);
	CHECK_INT(gdt[2], 0x00af9b000000ffff);
}

/* Devices ------------------------------------------------------------------ */

#define MEMORY 0x30000U
#define READ_ONLY 0x20000U	/* from here on */
#define CODE 0x1000U
#define DEVICE 0xd0000000U

struct machine {
	struct kvm_vm vm;
	struct vcpu cpu;
	uint8_t *memory;
	const char *input;	/* what port 0x71 gives, byte by byte */
	struct vcpu *stop;	/* to be stopped when port 0x71 is read */
	char trace[256];	/* the writes: "PORT:DATA " or "ADDRESS=DATA ", hexadecimal */
	unsigned int writes;	/* __atomic */
};

static void trace(struct machine *m, uint64_t where, char mark, const uint8_t *data, uint32_t size)
{
	size_t len = strlen(m->trace);
	uint64_t value = 0;

	memcpy(&value, data, size);
	snprintf(m->trace + len, sizeof(m->trace) - len, "%" PRIx64 "%c%" PRIx64 " ", where, mark, value);
	__atomic_add_fetch(&m->writes, 1, __ATOMIC_SEQ_CST);
}

static bool pio_read(void *owner, uint16_t port, uint8_t *data, uint32_t size)
{
	struct machine *m = owner;

	(void)size;
	if (port != 0x71)
		return false;
	data[0] = (uint8_t)*m->input;
	if (*m->input != '\0')
		m->input++;
	if (m->stop != NULL)
		vcpu_stop(m->stop);
	return true;
}

static enum vcpu_end pio_write(void *owner, uint16_t port, const uint8_t *data, uint32_t size)
{
	trace(owner, port, ':', data, size);
	return port == 0x73 ? VCPU_POWER_OFF : port == 0x74 ? VCPU_RESET : VCPU_GOES_ON;
}

static bool mmio_read(void *owner, uint64_t addr, uint8_t *data, uint32_t size)
{
	(void)owner;
	if (addr != DEVICE || size != 4)
		return false;
	data[0] = 0x41;
	return true;
}

static enum vcpu_end mmio_write(void *owner, uint64_t addr, const uint8_t *data, uint32_t size)
{
	trace(owner, addr, '=', data, size);
	return VCPU_GOES_ON;
}

static const struct vcpu_ops ops = { pio_read, mmio_read, pio_write, mmio_write };

/* Exits made up ------------------------------------------------------------ */

/* A processor without KVM: two pages that a KVM_RUN would have filled. */
struct pretence {
	struct machine m;
	struct vcpu cpu;
};

static void pretend(struct pretence *p, uint32_t exit_reason)
{
	*p = (struct pretence){ .m.input = "abcdefgh" };
	p->cpu = (struct vcpu){ .fd = -1, .run_size = 8192, .ops = &ops, .owner = &p->m };
	p->cpu.run = calloc(1, p->cpu.run_size);
	p->cpu.run->exit_reason = exit_reason;
}

static void pretend_io(struct pretence *p, uint8_t direction, uint8_t size, uint32_t count, uint64_t offset)
{
	pretend(p, KVM_EXIT_IO);
	p->cpu.run->io.direction = direction;
	p->cpu.run->io.size = size;
	p->cpu.run->io.count = count;
	p->cpu.run->io.port = 0x71;
	p->cpu.run->io.data_offset = offset;
}

TEST(exits_stay_inside_their_pages)
{
	static const struct {
		uint8_t size;
		uint32_t count;
		uint64_t offset;
		enum vcpu_end end;
	} cases[] = {
		{ 1, 1, 4096, VCPU_GOES_ON },		{ 4, 1024, 4096, VCPU_GOES_ON },
		{ 1, 1, 8191, VCPU_GOES_ON },		{ 2, 1, 8190, VCPU_GOES_ON },
		{ 1, 0, 8192, VCPU_GOES_ON },		{ 4, 1025, 4096, VCPU_FAILED },
		{ 1, 1, 8192, VCPU_FAILED },		{ 2, 1, 8191, VCPU_FAILED },
		{ 1, 1, 8193, VCPU_FAILED },		{ 1, 1, UINT64_MAX, VCPU_FAILED },
		{ 4, UINT32_MAX, 4096, VCPU_FAILED },	{ 4, 1, UINT64_MAX - 3, VCPU_FAILED },
		{ 0, 1, 4096, VCPU_FAILED },		{ 3, 1, 4096, VCPU_FAILED },
		{ 8, 1, 4096, VCPU_FAILED },		{ 255, 1, 4096, VCPU_FAILED },
	};
	struct pretence p;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (uint8_t out = 0; out < 2; out++) {
			pretend_io(&p, out, cases[i].size, cases[i].count, cases[i].offset);
			if (!CHECK_INT(vcpu_dispatch(&p.cpu), cases[i].end))
				printf("#   case: %zu\n", i);
			CHECK((cases[i].end == VCPU_FAILED) == (p.cpu.reason[0] != '\0'));
			free(p.cpu.run);
		}
	for (uint32_t len = 0; len < 12; len++) {
		pretend(&p, KVM_EXIT_MMIO);
		p.cpu.run->mmio.phys_addr = UINT64_MAX;
		p.cpu.run->mmio.len = len;
		CHECK_INT(vcpu_dispatch(&p.cpu), len >= 1 && len <= 8 ? VCPU_GOES_ON : VCPU_FAILED);
		free(p.cpu.run);
	}
}

TEST(exits_are_told)
{
	struct pretence p;

	pretend(&p, KVM_EXIT_INTERNAL_ERROR);
	p.cpu.run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	p.cpu.run->emulation_failure.ndata = 3;
	p.cpu.run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	p.cpu.run->emulation_failure.insn_size = 2;
	memcpy(p.cpu.run->emulation_failure.insn_bytes, "\x0f\x0b", 2);
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_FAILED);
	CHECK_STR(p.cpu.reason, "KVM cannot emulate an instruction of the guest: 0f 0b");
	p.cpu.run->emulation_failure.insn_size = 255;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_FAILED);
	p.cpu.run->emulation_failure.ndata = 0;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_FAILED);
	CHECK_STR(p.cpu.reason, "KVM cannot emulate an instruction of the guest");
	p.cpu.run->internal.suberror = 77;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_FAILED);
	CHECK_STR(p.cpu.reason, "KVM cannot run the guest: internal error 77");
	p.cpu.run->exit_reason = 12345;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_FAILED);
	CHECK_STR(p.cpu.reason, "KVM gave the guest back for reason 12345, which nacre does not know");
	p.cpu.run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	p.cpu.run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_POWER_OFF);
	p.cpu.run->system_event.type = KVM_SYSTEM_EVENT_RESET;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_RESET);
	p.cpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
	CHECK_INT(vcpu_dispatch(&p.cpu), VCPU_SHUTDOWN);
	free(p.cpu.run);
}

/* Guests ------------------------------------------------------------------- */

static void teardown(struct machine *m)
{
	vcpu_deinit(&m->cpu);
	kvm_vm_deinit(&m->vm);
	munmap(m->memory, MEMORY);
	alarm(0);
}

/* Page tables that map the first gigabyte to itself, in pages of 2 MiB: three levels at 0x9000, 0xa000, 0xb000. */
static void map_identity(uint8_t *memory)
{
	uint64_t table[512] = { 0xa003 };

	memcpy(memory + 0x9000, table, sizeof(table));
	table[0] = 0xb003;
	memcpy(memory + 0xa000, table, sizeof(table));
	for (uint64_t i = 0; i < 512; i++)
		table[i] = i << 21 | 0x83;
	memcpy(memory + 0xb000, table, sizeof(table));
}

static int add_memory(struct machine *m)
{
	const struct kvm_slot ram = { .guest_addr = 0, .size = READ_ONLY, .host = m->memory };
	const struct kvm_slot rom = {
		.guest_addr = READ_ONLY, .size = MEMORY - READ_ONLY, .host = m->memory + READ_ONLY, .read_only = true,
	};
	int r = kvm_vm_add_memory(&m->vm, &ram);

	return r < 0 ? r : kvm_vm_add_memory(&m->vm, &rom);
}

static int make(struct machine *m, bool irqchip, enum vcpu_mode mode)
{
	const struct vcpu_start start = { .mode = mode, .rip = CODE, .rsp = 0x8000, .page_table = 0x9000, .gdt = 0x500 };
	uint64_t gdt[VCPU_GDT_ENTRIES];
	int r = kvm_vm_init(&m->vm, irqchip);

	vcpu_gdt(mode, gdt);
	memcpy(m->memory + 0x500, gdt, sizeof(gdt));
	map_identity(m->memory);
	if (r == 0)
		r = add_memory(m);
	if (r == 0)
		r = vcpu_init(&m->cpu, &m->vm, 0, &ops, m);
	return r == 0 ? vcpu_setup(&m->cpu, &m->vm, 1, &start) : r;
}

/* A machine with code at its start. False when there is none, having said why. */
static bool setup(struct test *t, struct machine *m, bool irqchip, enum vcpu_mode mode, const void *code, size_t len)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		test_skip("/dev/kvm cannot be opened");
		return false;
	}
	close(fd);
	*m = (struct machine){ .vm = KVM_VM_NULL, .cpu.fd = -1, .input = "" };
	m->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(m->memory + CODE, code, len);
	fflush(stdout);		/* what is buffered would be lost */
	alarm(60);
	if (CHECK_INT(make(m, irqchip, mode), 0))
		return true;
	printf("#   %s\n", err_text());
	teardown(m);
	return false;
}

/* 32 bits, no irqchip: runs, and compares the end and the writes. */
static void run_guest(struct test *t, const void *code, size_t len, const char *input, enum vcpu_end end, const char *want)
{
	struct machine m;

	if (!setup(t, &m, false, VCPU_PROTECTED_32, code, len))
		return;
	m.input = input;
	if (!CHECK_INT(vcpu_run(&m.cpu), end))
		printf("#   %s\n", m.cpu.reason);
	CHECK_STR(m.trace, want);
	teardown(&m);
}

TEST(guest_computes)
{
	static const uint8_t code[] = {
		0xe4, 0x71,	/* in  al, 0x71 */
		0x04, 0x02,	/* add al, 2 */
		0xe6, 0x72,	/* out 0x72, al */
		0xf4,		/* hlt */
	};

	run_guest(t, code, sizeof(code), "\x28", VCPU_HALT, "72:2a ");
}

TEST(guest_computes_in_64_bits)
{
	static const uint8_t code[] = {
		0x48, 0xb8, 0, 0, 0, 0, 0x2a, 0, 0, 0,	/* mov rax, 0x2a00000000 */
		0x48, 0xc1, 0xe8, 0x20,			/* shr rax, 32 */
		0xe6, 0x72,				/* out 0x72, al */
		0xf4,					/* hlt */
	};
	struct machine m;

	if (!setup(t, &m, false, VCPU_LONG_64, code, sizeof(code)))
		return;
	if (!CHECK_INT(vcpu_run(&m.cpu), VCPU_HALT))
		printf("#   %s\n", m.cpu.reason);
	CHECK_STR(m.trace, "72:2a ");
	teardown(&m);
}

TEST(ports_without_a_device)
{
	static const uint8_t code[] = {
		0xe4, 0x64, 0xe6, 0x72,	/* in al, 0x64; out 0x72, al */
		0xe4, 0x61, 0xe6, 0x72,	/* in al, 0x61; out 0x72, al */
		0xf4,			/* hlt */
	};

	run_guest(t, code, sizeof(code), "", VCPU_HALT, "72:ff 72:0 ");
}

TEST(strings_of_port_accesses)
{
	static const uint8_t code[] = {
		0xba, 0x71, 0, 0, 0,	/* mov edx, 0x71 */
		0xbf, 0, 0x20, 0, 0,	/* mov edi, 0x2000 */
		0xb9, 5, 0, 0, 0,	/* mov ecx, 5 */
		0xf3, 0x6c,		/* rep insb */
		0x42,			/* inc edx */
		0xbe, 0, 0x20, 0, 0,	/* mov esi, 0x2000 */
		0xb9, 5, 0, 0, 0,	/* mov ecx, 5 */
		0xf3, 0x6e,		/* rep outsb */
		0xf4,			/* hlt */
	};

	run_guest(t, code, sizeof(code), "\1\2\3\4\5", VCPU_HALT, "72:1 72:2 72:3 72:4 72:5 ");
}

TEST(memory_of_devices)
{
	static const uint8_t code[] = {
		0xa1, 0, 0, 0, 0xd0,	/* mov eax, [0xd0000000] */
		0x40,			/* inc eax */
		0xa3, 4, 0, 0, 0xd0,	/* mov [0xd0000004], eax */
		0xa0, 0, 0x10, 0, 0xd0,	/* mov al, [0xd0001000]: nobody there */
		0xa2, 8, 0, 0, 0xd0,	/* mov [0xd0000008], al */
		0xf4,			/* hlt */
	};

	run_guest(t, code, sizeof(code), "", VCPU_HALT, "d0000004=42 d0000008=ff ");
}

TEST(memory_that_is_read_only)
{
	static const uint8_t code[] = {
		0xc7, 0x05, 0, 0, 2, 0, 7, 0, 0, 0,	/* mov dword [0x20000], 7 */
		0xa0, 0, 0, 2, 0,			/* mov al, [0x20000] */
		0xe6, 0x72,				/* out 0x72, al */
		0xf4,					/* hlt */
	};

	run_guest(t, code, sizeof(code), "", VCPU_HALT, "20000=7 72:0 ");
}

TEST(ends_by_a_device)
{
	static const uint8_t off[] = { 0xe6, 0x73 /* out 0x73, al */, 0xe6, 0x72 /* out 0x72, al */ };
	static const uint8_t reset[] = { 0xe6, 0x74 /* out 0x74, al */, 0xe6, 0x72 /* out 0x72, al */ };

	run_guest(t, off, sizeof(off), "", VCPU_POWER_OFF, "73:0 ");
	run_guest(t, reset, sizeof(reset), "", VCPU_RESET, "74:0 ");
}

TEST(triple_fault)
{
	/* Its exception finds no table (limit 0), nor does the double fault. */
	static const uint8_t code[] = { 0x0f, 0x0b /* ud2 */ };

	run_guest(t, code, sizeof(code), "", VCPU_SHUTDOWN, "");
}

TEST(memory_that_cannot_be)
{
	static const struct {
		uint64_t guest_addr, size;
		size_t host;	/* from the mapping's start */
		int r;
	} cases[] = {
		{ 0x100000, 0, 0, -EINVAL },
		{ 0x100001, 4096, 0, -EINVAL },
		{ 0x100000, 4097, 0, -EINVAL },
		{ 0x100000, 4096, 1, -EINVAL },
		{ UINT64_MAX - 4095, 8192, 0, -EINVAL },
		{ 0x1000, 4096, 0, -EEXIST },
	};
	static const uint8_t code[] = { 0xf4 /* hlt */ };
	struct machine m;

	if (!setup(t, &m, false, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct kvm_slot slot = {
			.guest_addr = cases[i].guest_addr, .size = cases[i].size, .host = m.memory + cases[i].host,
		};

		CHECK_INT(kvm_vm_add_memory(&m.vm, &slot), cases[i].r);
	}
	/* None of them took a slot. */
	CHECK_INT(m.vm.slots, 2);
	CHECK_INT(vcpu_run(&m.cpu), VCPU_HALT);
	teardown(&m);
}

/* Stopping ----------------------------------------------------------------- */

struct runner {
	struct vcpu *cpu;
	enum vcpu_end end;
	pthread_t thread;
};

static void *run_thread(void *arg)
{
	struct runner *r = arg;

	r->end = vcpu_run(r->cpu);
	return NULL;
}

static void start(struct runner *r, struct vcpu *cpu)
{
	*r = (struct runner){ .cpu = cpu };
	pthread_create(&r->thread, NULL, run_thread, r);
}

static void nap(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* Waits until the guest has written n times; false after ten seconds. */
static bool wait_for_writes(const struct machine *m, unsigned int n)
{
	for (unsigned int i = 0; i < 10000; i++, nap(1))
		if (__atomic_load_n(&m->writes, __ATOMIC_SEQ_CST) >= n)
			return true;
	return false;
}

/* A stop that was lost would be waited for until the alarm; a busy machine may well take a while. */
#define SOON_NS (UINT64_C(5) * 1000 * 1000 * 1000)

/* Stops it after delay ms; its end, and whether it came soon. */
static enum vcpu_end stop_after(struct runner *r, long delay, bool *ret_soon)
{
	uint64_t asked;

	if (delay > 0)
		nap(delay);
	asked = clock_now_ns();
	vcpu_stop(r->cpu);
	pthread_join(r->thread, NULL);
	*ret_soon = clock_now_ns() - asked < SOON_NS;
	return r->end;
}

static void stop_often(struct test *t, struct vcpu *cpu)
{
	/* Before the thread has begun, as it begins, in the guest. */
	static const long delays[] = { 0, 0, 0, 0, 0, 1, 2, 20 };

	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		struct runner r;
		bool soon;

		start(&r, cpu);
		CHECK_INT(stop_after(&r, delays[i], &soon), VCPU_STOPPED);
		CHECK(soon);
	}
	/* A request with nobody there stops the next run, once; two requests are one. */
	vcpu_stop(cpu);
	vcpu_stop(cpu);
	CHECK_INT(vcpu_run(cpu), VCPU_STOPPED);
}

TEST(stopped_in_a_loop)
{
	static const uint8_t code[] = { 0xeb, 0xfe /* jmp to itself */ };
	struct machine m;

	if (!setup(t, &m, false, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	stop_often(t, &m.cpu);
	teardown(&m);
}

TEST(stopped_between_accesses)
{
	static const uint8_t code[] = {
		0xe4, 0x71,	/* in al, 0x71 */
		0xeb, 0xfc,	/* jmp back to it */
	};
	struct machine m;

	if (!setup(t, &m, false, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	stop_often(t, &m.cpu);
	teardown(&m);
}

TEST(stopped_while_halted)
{
	static const uint8_t code[] = {
		0xfa,		/* cli */
		0xf4,		/* hlt: with an irqchip KVM waits in there */
		0xeb, 0xfc,	/* jmp back to cli */
	};
	struct machine m;

	if (!setup(t, &m, true, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	stop_often(t, &m.cpu);
	teardown(&m);
}

TEST(stopped_while_waiting_for_the_first)
{
	static const uint8_t code[] = { 0xf4 /* hlt */ };
	struct machine m;
	struct vcpu second;

	if (!setup(t, &m, true, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	if (CHECK_INT(vcpu_init(&second, &m.vm, 1, &ops, &m), 0)) {
		CHECK_INT(vcpu_setup(&second, &m.vm, 2, NULL), 0);
		stop_often(t, &second);
		vcpu_deinit(&second);
	}
	teardown(&m);
}

TEST(first_starts_the_second)
{
	static const uint8_t code[] = {
		0xc7, 0x05, 0x10, 3, 0xe0, 0xfe, 0, 0, 0, 1,	/* mov dword [0xfee00310], 1 << 24: to processor 1 */
		0xc7, 0x05, 0, 3, 0xe0, 0xfe, 0, 0xc5, 0, 0,	/* mov dword [0xfee00300], 0xc500: INIT */
		0xc7, 0x05, 0, 3, 0xe0, 0xfe, 4, 0x46, 0, 0,	/* mov dword [0xfee00300], 0x4604: start at page 4 */
		0xfa, 0xf4, 0xeb, 0xfc,				/* cli; hlt; jmp back to cli */
	};
	static const uint8_t second_code[] = {			/* 16 bits */
		0xb0, 9, 0xe6, 0x72,				/* mov al, 9; out 0x72, al */
		0xe6, 0x73,					/* out 0x73, al: power off */
	};
	struct runner first_runner, second_runner;
	struct vcpu second;
	struct machine m;
	bool soon;

	if (!setup(t, &m, true, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	memcpy(m.memory + 0x4000, second_code, sizeof(second_code));
	if (CHECK_INT(vcpu_init(&second, &m.vm, 1, &ops, &m), 0)) {
		CHECK_INT(vcpu_setup(&second, &m.vm, 2, NULL), 0);
		start(&second_runner, &second);
		start(&first_runner, &m.cpu);
		if (!CHECK(wait_for_writes(&m, 2)))
			vcpu_stop(&second);
		pthread_join(second_runner.thread, NULL);
		if (!CHECK_INT(second_runner.end, VCPU_POWER_OFF))
			printf("#   %s\n", second.reason);
		CHECK_INT(stop_after(&first_runner, 0, &soon), VCPU_STOPPED);
		CHECK_STR(m.trace, "72:9 73:9 ");
		vcpu_deinit(&second);
	}
	teardown(&m);
}

/* The request comes while a read is answered: the guest stops after the read, its result in the register. */
TEST(stopped_in_a_read)
{
	static const uint8_t code[] = {
		0xe4, 0x71,	/* in  al, 0x71 */
		0xe6, 0x72,	/* out 0x72, al */
		0xf4,		/* hlt */
	};
	struct kvm_regs regs = { 0 };
	struct machine m;

	if (!setup(t, &m, false, VCPU_PROTECTED_32, code, sizeof(code)))
		return;
	m.input = "\x2a";
	m.stop = &m.cpu;
	CHECK_INT(vcpu_run(&m.cpu), VCPU_STOPPED);
	CHECK_STR(m.trace, "");
	CHECK_INT(ioctl(m.cpu.fd, KVM_GET_REGS, &regs), 0);
	CHECK_INT(regs.rip, CODE + 2);
	CHECK_INT(regs.rax & 0xff, 0x2a);
	CHECK_INT(vcpu_run(&m.cpu), VCPU_HALT);
	CHECK_STR(m.trace, "72:2a ");
	teardown(&m);
}

/* Events ------------------------------------------------------------------- */

static uint64_t drain(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

TEST(doorbells)
{
	static const uint8_t code[] = {
		0xb0, 0x55,					/* mov al, 0x55 */
		0xe6, 0x90,					/* out 0x90, al: the first doorbell */
		0xc7, 0x05, 0, 0x20, 0, 0xd0, 1, 0, 0, 0,	/* mov dword [0xd0002000], 1: the second wants 2 */
		0xc7, 0x05, 0, 0x20, 0, 0xd0, 2, 0, 0, 0,	/* mov dword [0xd0002000], 2 */
		0xe6, 0x72,					/* out 0x72, al */
		0xf4,						/* hlt */
	};
	const struct kvm_doorbell port = { .addr = 0x90, .size = 1, .pio = true };
	const struct kvm_doorbell memory = { .addr = 0xd0002000, .size = 4, .match = true, .value = 2 };
	int a = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct machine m;

	if (setup(t, &m, false, VCPU_PROTECTED_32, code, sizeof(code))) {
		CHECK_INT(kvm_vm_ioeventfd(&m.vm, a, &port), 0);
		CHECK_INT(kvm_vm_ioeventfd(&m.vm, b, &memory), 0);
		CHECK_INT(kvm_vm_ioeventfd(&m.vm, b, &memory), -EEXIST);
		CHECK_INT(vcpu_run(&m.cpu), VCPU_HALT);
		CHECK_STR(m.trace, "d0002000=1 72:55 ");
		CHECK_INT(drain(a), 1);
		CHECK_INT(drain(b), 1);
		CHECK_INT(kvm_vm_ioeventfd_remove(&m.vm, a, &port), 0);
		CHECK_INT(kvm_vm_ioeventfd_remove(&m.vm, b, &memory), 0);
		CHECK_INT(kvm_vm_ioeventfd_remove(&m.vm, b, &memory), -ENOENT);
		teardown(&m);
	}
	close(a);
	close(b);
}

#define HANDLER 0x1100U
#define TABLE_REGISTER 0x1200U	/* what lidt reads */
#define TABLE 0x3000U
#define VECTOR 0x30U

/* The guest's interrupt table: one gate, for VECTOR. */
static void add_interrupt_table(uint8_t *memory, const void *handler, size_t len)
{
	const uint16_t limit = 256 * 8 - 1;
	const uint32_t base = TABLE;
	/* A 32-bit interrupt gate, present: offset in two halves around selector and type. */
	const uint64_t gate = (HANDLER & 0xffff) | (uint64_t)VCPU_SELECTOR_CODE << 16 | 0x8eULL << 40 | (uint64_t)(HANDLER >> 16) << 48;

	memcpy(memory + HANDLER, handler, len);
	memcpy(memory + TABLE_REGISTER, &limit, sizeof(limit));
	memcpy(memory + TABLE_REGISTER + 2, &base, sizeof(base));
	memcpy(memory + TABLE + VECTOR * 8, &gate, sizeof(gate));
}

TEST(interrupt_wakes_a_halted_guest)
{
	static const uint8_t code[] = {
		0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1,			/* mov al, 0xff; out 0x21, al; out 0xa1, al: the PICs off */
		0x0f, 0x01, 0x1d, 0, 0x12, 0, 0,			/* lidt [0x1200] */
		0xc7, 0x05, 0xf0, 0, 0xe0, 0xfe, 0xff, 1, 0, 0,		/* mov dword [0xfee000f0], 0x1ff: the local APIC on */
		0xc7, 0x05, 0, 0, 0xc0, 0xfe, 0x1a, 0, 0, 0,		/* mov dword [0xfec00000], 0x1a: the IOAPIC's pin 5, */
		0xc7, 0x05, 0x10, 0, 0xc0, 0xfe, 0x30, 0, 0, 0,		/* mov dword [0xfec00010], 0x30: this vector, */
		0xc7, 0x05, 0, 0, 0xc0, 0xfe, 0x1b, 0, 0, 0,		/* mov dword [0xfec00000], 0x1b: upper half: */
		0xc7, 0x05, 0x10, 0, 0xc0, 0xfe, 0, 0, 0, 0,		/* mov dword [0xfec00010], 0: to processor 0 */
		0xb0, 1, 0xe6, 0x72,					/* mov al, 1; out 0x72, al: ready */
		0xfb,							/* sti */
		0xf4,							/* hlt */
	};
	/* It does not return: KVM's emulator, where it is in use, has no iret for protected mode. */
	static const uint8_t handler[] = {
		0xb0, 2, 0xe6, 0x72,					/* mov al, 2; out 0x72, al: awake */
		0xe6, 0x73,						/* out 0x73, al: power off */
	};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct machine m;
	struct runner r;
	uint64_t one = 1;

	if (setup(t, &m, true, VCPU_PROTECTED_32, code, sizeof(code))) {
		add_interrupt_table(m.memory, handler, sizeof(handler));
		CHECK_INT(kvm_vm_irqfd(&m.vm, fd, 5, -1), 0);
		start(&r, &m.cpu);
		CHECK(wait_for_writes(&m, 1));
		nap(20);	/* by now it has halted */
		CHECK(write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
		if (!CHECK(wait_for_writes(&m, 3)))
			vcpu_stop(&m.cpu);
		pthread_join(r.thread, NULL);
		if (!CHECK_INT(r.end, VCPU_POWER_OFF))
			printf("#   %s\n", m.cpu.reason);
		CHECK_STR(m.trace, "72:1 72:2 73:2 ");
		CHECK_INT(kvm_vm_irqfd_remove(&m.vm, fd, 5), 0);
		teardown(&m);
	}
	close(fd);
}

TEST_MAIN(CASE(probe_decides), CASE(probe_answers), CASE(cpuid_of_a_core), CASE(cpuid_of_amd), CASE(cpuid_of_one),
	  CASE(segment_table), CASE(exits_stay_inside_their_pages), CASE(exits_are_told), CASE(guest_computes),
	  CASE(guest_computes_in_64_bits), CASE(ports_without_a_device), CASE(strings_of_port_accesses), CASE(memory_of_devices),
	  CASE(memory_that_is_read_only), CASE(ends_by_a_device), CASE(triple_fault), CASE(memory_that_cannot_be),
	  CASE(stopped_in_a_loop), CASE(stopped_between_accesses), CASE(stopped_while_halted),
	  CASE(stopped_while_waiting_for_the_first), CASE(first_starts_the_second), CASE(stopped_in_a_read), CASE(doorbells),
	  CASE(interrupt_wakes_a_halted_guest))
