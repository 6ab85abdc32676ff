/* SPDX-License-Identifier: Apache-2.0 */
/* The state that a processor starts with. The order matters: KVM looks at CPUID when MSRs and control registers are set. */
#include "microvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "microvm/cpuid_x86_64.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

#define CR0_PE 0x1U
#define CR0_ET 0x10U
#define CR0_PG 0x80000000U
#define CR4_PAE 0x20U
#define EFER_LME 0x100U
#define EFER_LMA 0x400U
#define RFLAGS_ONE 0x2U		/* a bit that is always set */

/* ---- CPUID ---- */

static void free_cpuid(struct cpuid **c)
{
	free(*c);
}

static int set_cpuid(const struct vcpu *v, const struct kvm_vm *vm, unsigned int n_vcpus)
{
	const struct cpuid_place place = { .index = v->index, .n_vcpus = n_vcpus, .apic_timer = v->irqchip };
	__attribute__((cleanup(free_cpuid))) struct cpuid *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return ERR_NOMEM();
	c->nent = CPUID_ENTRIES_MAX;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return ERR(-errno, "cannot ask KVM what processor it offers");
	cpuid_normalise(c, &place);
	if (ioctl(v->fd, KVM_SET_CPUID2, c) < 0)
		return ERR(-errno, "cannot set the features of processor %u", v->index);
	return 0;
}

/* ---- MSRs ---- */

/* As after reset, and what firmware would have done: fast strings, and write-back as the memory's default type. */
static const struct kvm_msr_entry boot_msrs[] = {
	{ .index = 0x174, .data = 0 },				/* SYSENTER_CS */
	{ .index = 0x175, .data = 0 },				/* SYSENTER_ESP */
	{ .index = 0x176, .data = 0 },				/* SYSENTER_EIP */
	{ .index = 0xc0000081, .data = 0 },			/* STAR */
	{ .index = 0xc0000083, .data = 0 },			/* CSTAR */
	{ .index = 0xc0000082, .data = 0 },			/* LSTAR */
	{ .index = 0xc0000084, .data = 0 },			/* SYSCALL_MASK */
	{ .index = 0xc0000102, .data = 0 },			/* KERNEL_GS_BASE */
	{ .index = 0x10, .data = 0 },				/* TSC */
	{ .index = 0x1a0, .data = 1 },				/* MISC_ENABLE: fast strings */
	{ .index = 0x2ff, .data = 1U << 11 | 6 },		/* MTRRdefType: enabled, write-back */
};

static int set_msrs(const struct vcpu *v)
{
	_Alignas(struct kvm_msrs) char room[sizeof(struct kvm_msrs) + sizeof(boot_msrs)] = { 0 };
	struct kvm_msrs *msrs = (struct kvm_msrs *)room;
	int n;

	msrs->nmsrs = ARRAY_SIZE(boot_msrs);
	memcpy(msrs->entries, boot_msrs, sizeof(boot_msrs));
	/* The number that were set; it ends with the first that KVM refuses. */
	n = ioctl(v->fd, KVM_SET_MSRS, msrs);
	if (n < 0)
		return ERR(-errno, "cannot set the MSRs of processor %u", v->index);
	if ((size_t)n < ARRAY_SIZE(boot_msrs))
		return ERR_PLAIN(-EIO, "KVM does not let MSR 0x%x of processor %u be set", boot_msrs[n].index, v->index);
	return 0;
}

/* ---- local APIC ---- */

#define APIC_LVT0 0x350
#define APIC_LVT1 0x360
#define APIC_DELIVERY_MODE 0x700U
#define APIC_NMI 0x400U
#define APIC_EXTINT 0x700U

static void set_delivery(struct kvm_lapic_state *apic, size_t reg, uint32_t mode)
{
	uint32_t lvt;

	memcpy(&lvt, apic->regs + reg, sizeof(lvt));
	lvt = (lvt & ~APIC_DELIVERY_MODE) | mode;
	memcpy(apic->regs + reg, &lvt, sizeof(lvt));
}

/* As firmware leaves it: the PICs on line 0, NMIs on line 1 ("virtual wire mode"). */
static int set_apic_lines(const struct vcpu *v)
{
	struct kvm_lapic_state apic;

	if (ioctl(v->fd, KVM_GET_LAPIC, &apic) < 0)
		return ERR(-errno, "cannot read the local APIC of processor %u", v->index);
	set_delivery(&apic, APIC_LVT0, APIC_EXTINT);
	set_delivery(&apic, APIC_LVT1, APIC_NMI);
	if (ioctl(v->fd, KVM_SET_LAPIC, &apic) < 0)
		return ERR(-errno, "cannot set the local APIC of processor %u", v->index);
	return 0;
}

/* ---- registers ---- */

struct segments {
	struct kvm_segment code, data, task;
};

/* Flat; the types say "accessed" already, because the processor would want to write that into the table. */
static struct segments segments(enum vcpu_mode mode)
{
	struct segments s = {
		.code = { .limit = UINT32_MAX, .selector = VCPU_SELECTOR_CODE, .type = 11, .present = 1, .s = 1, .g = 1 },
		.data = { .limit = UINT32_MAX, .selector = VCPU_SELECTOR_DATA, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1 },
		.task = { .limit = 0x67, .selector = VCPU_SELECTOR_TASK, .type = 11, .present = 1 },
	};

	s.code.l = mode == VCPU_LONG_64;
	s.code.db = mode != VCPU_LONG_64;
	return s;
}

/* A segment register's content as an entry of the table, in the processor's scattered form. Bases are 0 here. */
static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (uint64_t)s->type << 40 | (uint64_t)s->s << 44 | (uint64_t)s->dpl << 45 |
	       (uint64_t)s->present << 47 | (limit >> 16 & 0xf) << 48 | (uint64_t)s->l << 53 | (uint64_t)s->db << 54 |
	       (uint64_t)s->g << 55;
}

void vcpu_gdt(enum vcpu_mode mode, uint64_t ret_gdt[VCPU_GDT_ENTRIES])
{
	struct segments s = segments(mode);

	memset(ret_gdt, 0, VCPU_GDT_ENTRIES * sizeof(*ret_gdt));
	ret_gdt[VCPU_SELECTOR_CODE / 8] = descriptor(&s.code);
	ret_gdt[VCPU_SELECTOR_DATA / 8] = descriptor(&s.data);
	/* In long mode it has two entries; the second is the upper half of the base. */
	ret_gdt[VCPU_SELECTOR_TASK / 8] = descriptor(&s.task);
}

static void start_sregs(struct kvm_sregs *sregs, const struct vcpu_start *start)
{
	struct segments s = segments(start->mode);

	sregs->cs = s.code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = s.data;
	sregs->tr = s.task;
	sregs->gdt.base = start->gdt;
	sregs->gdt.limit = VCPU_GDT_ENTRIES * sizeof(uint64_t) - 1;
	/* Any exception is a triple fault until the guest has a table of its own. */
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (start->mode == VCPU_LONG_64) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = start->page_table;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
}

static int set_registers(const struct vcpu *v, const struct vcpu_start *start)
{
	const struct kvm_regs regs = {
		.rip = start->rip, .rsp = start->rsp, .rbx = start->rbx, .rsi = start->rsi, .rflags = RFLAGS_ONE,
	};
	const struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };	/* as FNINIT and reset leave them */
	struct kvm_sregs sregs;

	/* Read first: it has the APIC's base, too. */
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return ERR(-errno, "cannot read the registers of processor %u", v->index);
	start_sregs(&sregs, start);
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0 ||
	    ioctl(v->fd, KVM_SET_FPU, &fpu) < 0)
		return ERR(-errno, "cannot set the registers of processor %u", v->index);
	return 0;
}

int vcpu_setup(struct vcpu *v, const struct kvm_vm *vm, unsigned int n_vcpus, const struct vcpu_start *start)
{
	int r = set_cpuid(v, vm, n_vcpus);

	if (r == 0)
		r = set_msrs(v);
	if (r == 0 && v->irqchip)
		r = set_apic_lines(v);
	if (r == 0 && start != NULL)
		r = set_registers(v, start);
	return r;
}

void vcpu_log_registers(const struct vcpu *v)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return;
	log_debug("processor %u: rip %llx rflags %llx rsp %llx rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx rbp %llx",
		  v->index, r.rip, r.rflags, r.rsp, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp);
	log_debug("processor %u: cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x base %llx gdt %llx/%x idt %llx/%x", v->index, s.cr0,
		  s.cr2, s.cr3, s.cr4, s.efer, s.cs.selector, s.cs.base, s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit);
}
