/* SPDX-License-Identifier: Apache-2.0 */
#include "microvm/cpuid_x86_64.h"

#include <stddef.h>
#include <string.h>

#define BIT(n) (1U << (n))

/* Replaces bits first to last of *reg. */
static void set_field(uint32_t *reg, unsigned int first, unsigned int last, uint32_t value)
{
	uint32_t mask = (last - first == 31 ? UINT32_MAX : BIT(last - first + 1) - 1) << first;

	*reg = (*reg & ~mask) | (value << first & mask);
}

static void set_bit(uint32_t *reg, unsigned int bit, bool on)
{
	set_field(reg, bit, bit, on ? 1 : 0);
}

/* Bits that an APIC id of n processors takes. */
static uint32_t id_bits(unsigned int n)
{
	uint32_t bits = 0;

	while (BIT(bits) < n)
		bits++;
	return bits;
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *c, uint32_t leaf, uint32_t sub)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		bool has_subleaves = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (e->function == leaf && (!has_subleaves || e->index == sub))
			return e;
	}
	return NULL;
}

static void drop(struct cpuid *c, uint32_t leaf)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function != leaf)
			c->entries[kept++] = c->entries[i];
	c->nent = kept;
}

/* Leaf 1: what everybody looks at first. */
static void features(struct kvm_cpuid_entry2 *e, const struct cpuid_place *p)
{
	set_field(&e->ebx, 24, 31, p->index);
	set_field(&e->ebx, 16, 23, BIT(id_bits(p->n_vcpus)));
	set_bit(&e->ecx, 5, false);			/* VMX: see cpuid_normalise() */
	set_bit(&e->ecx, 15, false);			/* PDCM: no performance MSRs */
	set_bit(&e->ecx, 24, p->apic_timer);		/* KVM leaves it out: it cannot know of the irqchip */
	set_bit(&e->ecx, 31, true);			/* hypervisor */
	set_bit(&e->edx, 28, p->n_vcpus > 1);		/* HTT: bits 16-23 of EBX count */
}

/* Leaves 4 (Intel) and 0x8000001d (AMD), a subleaf for each cache: who shares it. All cores share the third level. */
static void cache(struct kvm_cpuid_entry2 *e, const struct cpuid_place *p)
{
	uint32_t type = e->eax & 0x1f, level = e->eax >> 5 & 7;

	if (type == 0)
		return;
	set_field(&e->eax, 14, 25, level >= 3 ? BIT(id_bits(p->n_vcpus)) - 1 : 0);
	if (e->function == 4)
		set_field(&e->eax, 26, 31, BIT(id_bits(p->n_vcpus)) - 1);
}

static void normalise_leaf(struct kvm_cpuid_entry2 *e, const struct cpuid_place *p, bool amd)
{
	switch (e->function) {
	case 1:
		features(e, p);
		break;
	case 4:
	case 0x8000001d:
		cache(e, p);
		break;
	case 6:
		set_bit(&e->eax, 1, false);		/* turbo boost */
		set_bit(&e->ecx, 3, false);		/* energy performance bias */
		break;
	case 7:
		if (e->index == 0) {
			set_bit(&e->ecx, 5, false);	/* WAITPKG: lets a guest sit in the processor */
			if (amd)
				set_bit(&e->edx, 29, false);	/* ARCH_CAPABILITIES: KVM emulates it, AMD has it not */
		}
		break;
	case 0xa:					/* performance counters */
	case 0x8000000a:				/* of SVM */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x40000001:
		/*
		 * No asynchronous page faults (bits 4, 10, 14): a task of the guest would sleep while the host gets a page,
		 * and trust in a message that it is there. With memory that is not swapped it gains nothing by that.
		 */
		set_bit(&e->eax, 4, false);
		set_bit(&e->eax, 10, false);
		set_bit(&e->eax, 14, false);
		break;
	case 0x80000001:
		set_bit(&e->ecx, 2, false);		/* SVM: see cpuid_normalise() */
		if (amd)
			set_bit(&e->ecx, 1, p->n_vcpus > 1);	/* the threads of HTT are cores */
		break;
	case 0x80000008:
		if (amd) {
			set_field(&e->ecx, 0, 7, p->n_vcpus - 1);
			set_field(&e->ecx, 12, 15, id_bits(p->n_vcpus));
		}
		break;
	case 0x8000001e:
		e->eax = p->index;
		e->ebx = p->index & 0xff;		/* core; one thread in it */
		e->ecx = 0;				/* node 0 of one */
		break;
	default:
		break;
	}
}

/* Leaf 0xb: threads (level 1), cores (level 2), the end. */
static void add_topology(struct cpuid *c, const struct cpuid_place *p)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .eax = 0, .ebx = 1, .ecx = 1U << 8 },
		{ .eax = id_bits(p->n_vcpus), .ebx = p->n_vcpus, .ecx = 2U << 8 },
		{ 0 },
	};

	for (uint32_t i = 0; i < 3 && c->nent < CPUID_ENTRIES_MAX; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

		*e = levels[i];
		e->function = 0xb;
		e->index = i;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->ecx |= i;
		e->edx = p->index;
	}
}

static bool is_amd(struct cpuid *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0, 0);

	/* "AuthenticAMD" and "HygonGenuine", by the first four letters. */
	return e != NULL && (memcmp(&e->ebx, "Auth", 4) == 0 || memcmp(&e->ebx, "Hygo", 4) == 0);
}

void cpuid_normalise(struct cpuid *c, const struct cpuid_place *place)
{
	const struct kvm_cpuid_entry2 *first = cpuid_find(c, 0, 0);
	bool amd = is_amd(c), topology = first != NULL && first->eax >= 0xb;

	for (uint32_t i = 0; i < c->nent; i++)
		normalise_leaf(&c->entries[i], place, amd);
	/* The host's topology, where KVM passes it on; 0xb says all, and a missing leaf reads as zeros, "none". */
	drop(c, 0xb);
	drop(c, 0x1f);
	drop(c, 0x80000026);
	if (topology)
		add_topology(c, place);
}
