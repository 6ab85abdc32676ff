/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a microVM is: processors and memory, from what config.json asks for and what the host has. Arithmetic only.
 *
 * Guest and monitor are in one cgroup, so a memory limit has to hold both: the guest gets what the monitor's share leaves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VM_MIB (1ULL << 20)

/*
 * What is in the cgroup beside the guest's memory: monitor, supervisor and virtiofsd. tests/bench/microvm measures their
 * proportional share (PSS) of a container that sleeps, 1 virtual CPU, 256 MiB: 6.4 MiB with nacre's monitor, 57 MiB with QEMU on
 * KVM, 89 MiB with its emulation. The kernel's own (stacks, slabs) was 1.5 MiB in memory.stat; page tables of the guest's memory,
 * for KVM and for each process that maps it (8 bytes a page of 4 KiB, three times), come to 0.6 % of it when all is touched. The rest is
 * for what grows with use: inodes that virtiofsd holds, sessions' buffers, and with emulation the translated code.
 *
 * In these numbers are the page tables of the first VM_TABLES_INCLUDED of memory; what is beyond takes one byte in VM_TABLES_SHARE more.
 */
#define VM_OVERHEAD_KVM (40 * VM_MIB)
#define VM_OVERHEAD_QEMU (200 * VM_MIB)
#define VM_TABLES_INCLUDED (4096 * VM_MIB)
#define VM_TABLES_SHARE 128U

/* Less, and a distribution's kernel with its initramfs does not come up. */
#define VM_MEMORY_MIN (96 * VM_MIB)
/* What nobody has said anything about. */
#define VM_MEMORY_DEFAULT (512 * VM_MIB)
#define VM_MEMORY_MAX (1ULL << 40)	/* what the monitor's memory map can hold */
#define VM_VCPUS_MAX 64U
/* What nobody has said anything about; each costs the guest's kernel time to bring up, and memory. */
#define VM_VCPUS_DEFAULT 4U

struct vm_size_request {
	uint32_t hw_vcpus;		/* vm.hwConfig; 0: absent */
	uint64_t hw_memory;
	int64_t cpu_quota;		/* linux.resources, microseconds; 0: absent, negative: no limit */
	uint64_t cpu_period;		/* 0: absent */
	const char *cpus;		/* list of CPUs; NULL: absent */
	int64_t memory_limit;		/* bytes; 0: absent, negative: no limit */
	bool qemu;			/* the monitor is QEMU */
	bool emulated;			/* its processors are software */
	unsigned int host_cpus;		/* online, at least 1 */
	uint64_t host_memory;		/* bytes; 0: not known */
};

struct vm_size {
	unsigned int vcpus;
	uint64_t memory;		/* of the guest, a multiple of 1 MiB */
};

/*
 * vCPUs: hw_vcpus as it is; else as many as the quota can keep busy and the list has, whichever is less, and never more
 * than the host has; else VM_VCPUS_DEFAULT, or what the host has of them; one when they are emulated (QEMU's threads for several have
 * locked up, tests/host/README.md). Memory: hw_memory; else the limit without the monitor's share, and never more than the host has; else VM_MEMORY_DEFAULT.
 * -ERANGE (more than a microVM can have), -ENOSPC (the limit does not hold guest and monitor), -EINVAL (the list is none),
 * with a text that names the property.
 */
int vm_size(const struct vm_size_request *q, struct vm_size *ret);

/*
 * For a machine that was started with this much memory, which cannot grow, by QEMU or nacre's own monitor: how much of it the guest has to
 * do without for all to stay inside another limit (0: none). -ENOSPC (it would not hold the smallest guest), -ERANGE (it is
 * more than the machine could ever use), with a text.
 */
int vm_size_update(uint64_t booted, uint64_t limit, bool qemu, uint64_t *ret_less);
