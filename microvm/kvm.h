/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/kvm and one virtual machine of it: its memory and its event descriptors. The processors are
 * in vcpu.h.
 *
 *	kvm_vm_init  ->  kvm_vm_add_memory ...  ->  vcpu_init, vcpu_setup  ->  vcpu_run in a thread each
 *
 * Functions return 0 or -errno with a recorded text. The VM belongs to the process that made it: KVM
 * refuses every ioctl of another memory space (EIO), so nothing here survives fork(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where Intel processors without "unrestricted guest" keep three pages for real mode, with KVM's identity map
 * in the page below: guest memory must leave KVM_RESERVED_START .. 4 GiB free.
 */
#define KVM_TSS_ADDR 0xfffbd000U
#define KVM_RESERVED_START 0xfffbc000U

/* Capabilities that an unmodified kernel needs. kvm_probe.c has their names. */
enum kvm_need {
	KVM_NEED_USER_MEMORY,
	KVM_NEED_IRQCHIP,
	KVM_NEED_SET_TSS_ADDR,
	KVM_NEED_EXT_CPUID,
	KVM_NEED_MP_STATE,
	KVM_NEED_IRQFD,
	KVM_NEED_IOEVENTFD,
	KVM_NEED_TSC_DEADLINE_TIMER,
	KVM_NEED_READONLY_MEM,
	KVM_NEED_IMMEDIATE_EXIT,
	KVM_NEEDS
};

/* What /dev/kvm answered. */
struct kvm_answers {
	int open_error;		/* 0, or -errno of opening it: the rest is unknown then */
	int api_version;
	bool has[KVM_NEEDS];
};

/*
 * Can this host run a virtual machine with an unmodified kernel? 0, or a text that says why not, and a hint:
 *
 *	-ENOENT, -EACCES, ...	/dev/kvm cannot be opened
 *	-EPROTO			another version of the interface
 *	-ENOSYS			capabilities are missing; they are listed
 *	-EOPNOTSUPP		a para-virtual KVM: it makes VMs, and emulates each instruction of theirs (some not at all)
 *
 * Opens /dev/kvm and makes no VM.
 */
int kvm_probe(void);

/* Its decision, without looking at the host. cpuinfo: the text of /proc/cpuinfo. */
int kvm_judge(const struct kvm_answers *a, const char *cpuinfo);

struct kvm_vm {
	int kvm;		/* /dev/kvm */
	int fd;
	size_t run_size;	/* of a processor's struct kvm_run with what follows it */
	bool irqchip;
	uint32_t slots, max_slots;	/* of memory */
};

#define KVM_VM_NULL { -1, -1, 0, false, 0, 0 }

/*
 * A VM without memory or processors. irqchip: the kernel has the PICs, the IOAPIC and a local APIC in each
 * processor, as irqfds and more than one processor need; without, HLT ends vcpu_run().
 */
int kvm_vm_init(struct kvm_vm *ret_vm, bool irqchip);
/* Takes one that was never made. Memory and eventfds given to it stay the caller's. */
void kvm_vm_deinit(struct kvm_vm *vm);
#define _cleanup_kvm_vm_ __attribute__((cleanup(kvm_vm_deinit)))

struct kvm_slot {
	uint64_t guest_addr;	/* bytes; it, size and host are multiples of the page size */
	uint64_t size;
	void *host;		/* the caller's mapping, which must outlive the VM */
	bool read_only;		/* a guest's write becomes an MMIO exit */
};

/* Slots may not overlap (-EEXIST). */
int kvm_vm_add_memory(struct kvm_vm *vm, const struct kvm_slot *slot);

/*
 * Writing to eventfd raises the interrupt gsi (edge). Needs the irqchip. With resample_fd (or negative) the line is
 * level-triggered: it stays up until the guest's end-of-interrupt, which lowers it and signals resample_fd.
 */
int kvm_vm_irqfd(const struct kvm_vm *vm, int eventfd, uint32_t gsi, int resample_fd);

/* Undoes kvm_vm_irqfd(). */
int kvm_vm_irqfd_remove(const struct kvm_vm *vm, int eventfd, uint32_t gsi);

struct kvm_doorbell {
	uint64_t addr;		/* guest address, or port */
	uint32_t size;		/* of the write: 1, 2, 4, 8; 0: any */
	bool pio;
	bool match;		/* only writes of this value; needs a size */
	uint64_t value;
};

/* Such writes of the guest signal eventfd and do not end KVM_RUN: the value is lost. */
int kvm_vm_ioeventfd(const struct kvm_vm *vm, int eventfd, const struct kvm_doorbell *d);
/* With the same doorbell. */
int kvm_vm_ioeventfd_remove(const struct kvm_vm *vm, int eventfd, const struct kvm_doorbell *d);
