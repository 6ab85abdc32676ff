/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where virtio devices are plugged in: slot n is the n-th window of registers and the n-th interrupt of the layout
 * (boot_x86.h). A driver's notification signals an eventfd without an exit of its processor; an interrupt is one, too.
 *
 * Whoever calls in holds the machine's mutex.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/boot_x86.h"
#include "microvm/event_loop.h"
#include "microvm/guest_memory.h"
#include "microvm/kvm.h"
#include "microvm/virtio_mmio.h"

struct bus_slot;

/* The eventfd that a write of `index` to the slot's QueueNotify signals. */
struct bus_doorbell {
	struct bus_slot *slot;
	unsigned int index;
	int fd;
	struct event_source source;
};

struct bus_slot {
	struct bus *bus;
	unsigned int number;
	int interrupt;		/* an eventfd; each write is an edge of the slot's interrupt */
	bool plugged;
	struct virtio_mmio mmio;
	struct bus_doorbell doorbells[VIRTIO_MMIO_QUEUES_MAX];	/* those that the loop watches */
};

struct bus {
	const struct kvm_vm *vm;
	const struct guest_memory *memory;
	struct event_loop *loop;
	struct bus_slot slots[BOOT_VIRTIO_MAX];
	unsigned int n;
};

/* All three stay the caller's, and outlive the bus. It may not move while a slot is in use. */
void bus_init(struct bus *b, const struct kvm_vm *vm, const struct guest_memory *memory, struct event_loop *loop);
/* Before the devices end: nobody is called for them any more. */
void bus_deinit(struct bus *b);

/* The next free slot, its interrupt tied. -ENOSPC or -errno, with text. */
int bus_take_slot(struct bus *b, struct bus_slot **ret_slot);

/*
 * The device is in the slot from now on. doorbells: one eventfd for each queue, whose reader is somebody else; NULL: the
 * loop reads them, and has the device do its work. The caller's device outlives the bus. -errno with text.
 */
int bus_plug(struct bus_slot *slot, const struct virtio_device_ops *ops, void *device, const int *doorbells);

/* False: no slot has this address. */
bool bus_read(struct bus *b, uint64_t addr, uint8_t *data, uint32_t size);
/* True: bus_continue() has work; the loop has to be woken. */
bool bus_write(struct bus *b, uint64_t addr, const uint8_t *data, uint32_t size);

/* Another turn for devices that did not finish theirs. True: there are some still. */
bool bus_continue(struct bus *b);
