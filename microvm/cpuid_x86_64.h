/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPUID instruction tells a guest: what KVM can offer here, made true for this guest. Pure. */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* KVM takes at most 256 (since Linux 5.11; 80 before). */
#define CPUID_ENTRIES_MAX 256

/* A struct kvm_cpuid2 with its room: the ioctls take it as one. */
struct cpuid {
	uint32_t nent;		/* entries in use */
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/* Which processor it is for. The guest sees one socket of n_vcpus cores with a thread each; APIC ids are the numbers. */
struct cpuid_place {
	unsigned int index, n_vcpus;
	bool apic_timer;	/* a local APIC of the kernel's, which has the TSC deadline mode */
};

/*
 * From the answer of KVM_GET_SUPPORTED_CPUID (the host's processor with its own numbers in it) to what this
 * processor of the guest is told. KVM's own leaves (0x4000000x) stay: kvmclock, among others; but asynchronous page faults.
 * Virtualization inside of the guest (VMX, SVM) is not offered, and so refused by KVM: no container has a use for it without
 * /dev/kvm, and the emulation of it is where a guest's kernel has got at its host before (CVE-2021-3653, CVE-2021-3656).
 */
void cpuid_normalise(struct cpuid *c, const struct cpuid_place *place);

/* NULL when there is no such leaf. For a leaf without subleaves, sub is 0. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *c, uint32_t leaf, uint32_t sub);
