/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One processor of a virtual machine: made, set up, and run by a thread of its own until it is stopped, the
 * guest ends, or it cannot go on.
 *
 * Theory of operation. KVM_RUN enters the guest and comes back for what the kernel leaves to us: an access to
 * a port or to an address without memory, which the caller's vcpu_ops answer, or an end.
 *
 * Stopping without a race. vcpu_stop() sets a flag, then immediate_exit in the pages shared with KVM, then
 * sends VCPU_SIGNAL to the thread. Outside KVM_RUN the second counts: KVM looks at it on entry. Inside, the
 * signal counts: KVM goes back to user space before it would enter the guest with one pending. The handler does
 * nothing; it is there so that the signal interrupts. The loop looks at the flag only when KVM_RUN says EINTR,
 * because KVM_RUN first completes the access that it came back for: a stopped guest stands between
 * instructions, with its registers true.
 *
 * Errors. The recorded text of err.h is for one thread only, so what went wrong while running is in reason.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "microvm/kvm.h"

struct kvm_run;

/* Why vcpu_run() returned. */
enum vcpu_end {
	VCPU_GOES_ON,		/* never returned; what a vcpu_ops write says when nothing ends */
	VCPU_STOPPED,		/* vcpu_stop(); vcpu_run() may be called again */
	VCPU_POWER_OFF,		/* a device, or KVM, says that the guest switched itself off */
	VCPU_RESET,		/* a device, or KVM, says that the guest wants to begin anew */
	VCPU_SHUTDOWN,		/* triple fault: on a PC this is a reset; after a panic some kernels use it */
	VCPU_HALT,		/* HLT in a VM without irqchip; vcpu_run() goes on after it */
	VCPU_FAILED,		/* it cannot go on; reason says why, the debug log has the registers */
};

/*
 * The devices. Called in the processor's thread, so by several at once: they do their own locking. size is 1, 2, 4
 * (ports) or 1 to 8 (memory); data has that many bytes, and the address may be any that the guest names. A member may be NULL.
 */
struct vcpu_ops {
	/* Fills data and returns true; false when nothing answers there: zeros, or ones where a PC has them. */
	bool (*pio_read)(void *owner, uint16_t port, uint8_t *data, uint32_t size);
	bool (*mmio_read)(void *owner, uint64_t addr, uint8_t *data, uint32_t size);
	/* What this means for the processor: VCPU_GOES_ON, also when nothing is there, or its end. */
	enum vcpu_end (*pio_write)(void *owner, uint16_t port, const uint8_t *data, uint32_t size);
	enum vcpu_end (*mmio_write)(void *owner, uint64_t addr, const uint8_t *data, uint32_t size);
};

struct vcpu {
	int fd;
	unsigned int index;	/* and its APIC id */
	bool irqchip;		/* as the VM's */
	struct kvm_run *run;	/* shared with KVM, run_size bytes */
	size_t run_size;
	const struct vcpu_ops *ops;
	void *owner;
	/* Written by the other threads (__atomic). */
	bool stop;
	pid_t tid;		/* of the thread in vcpu_run(); 0: none */
	char reason[256];
};

/*
 * Makes processor number index (from 0; 0 is the one that boots). ops and owner stay the caller's and outlive it. The
 * struct may not move afterwards. Sets the process' disposition of VCPU_SIGNAL. 0 or -errno with text; after a failure
 * there is nothing to deinit.
 */
int vcpu_init(struct vcpu *v, const struct kvm_vm *vm, unsigned int index, const struct vcpu_ops *ops, void *owner);
/* No thread may be in vcpu_run(). */
void vcpu_deinit(struct vcpu *v);

/* ---- the state to start from (vcpu_x86_64.c) ---- */

enum vcpu_mode {
	VCPU_PROTECTED_32,	/* 32 bits, no paging, flat segments: the PVH entry */
	VCPU_LONG_64,		/* 64 bits with the caller's page tables: the 64-bit boot protocol */
};

struct vcpu_start {
	enum vcpu_mode mode;
	uint64_t rip, rsp;
	uint64_t rbx;		/* PVH: address of the start info */
	uint64_t rsi;		/* boot protocol: address of the zero page */
	uint64_t page_table;	/* VCPU_LONG_64: guest address of the top table */
	uint64_t gdt;		/* guest address of the table that vcpu_gdt() gives */
};

/* Selectors as the 64-bit boot protocol wants them. */
#define VCPU_SELECTOR_CODE 0x10
#define VCPU_SELECTOR_DATA 0x18
#define VCPU_SELECTOR_TASK 0x20
#define VCPU_GDT_ENTRIES 6

/* The segment table that agrees with what vcpu_setup() puts into the segment registers: the caller copies it to start->gdt. */
void vcpu_gdt(enum vcpu_mode mode, uint64_t ret_gdt[VCPU_GDT_ENTRIES]);

/*
 * Gives it CPUID, MSRs, the local APIC's lines, and what start says; start is NULL for a processor that waits for
 * the first one's startup message. n_vcpus: how many the VM will have, at most 255. 0
 * or -errno with text.
 */
int vcpu_setup(struct vcpu *v, const struct kvm_vm *vm, unsigned int n_vcpus, const struct vcpu_start *start);

/* Its registers to the debug log. Only while nothing runs it, or in its thread. */
void vcpu_log_registers(const struct vcpu *v);

/* ---- running ---- */

/*
 * Sent to a processor's thread only. Keep it out of signalfds and out of what is forwarded to the guest; vcpu_run()
 * unblocks it for itself.
 */
#define VCPU_SIGNAL SIGRTMIN

/* Runs it in the calling thread. */
enum vcpu_end vcpu_run(struct vcpu *v);

/*
 * From any thread, at any time between vcpu_init() and vcpu_deinit(): the vcpu_run() that is under way, or else the
 * next one, returns VCPU_STOPPED soon (or another end that came first: then the request stays).
 */
void vcpu_stop(struct vcpu *v);

/* One exit of KVM_RUN, as v->run tells it: answered, or the end it means. vcpu_run() calls this; so do tests. */
enum vcpu_end vcpu_dispatch(struct vcpu *v);
