/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with one device: its registers, the driver's half of all its queues, and an event loop for the device's host
 * side. Queue n has its areas 0x400 bytes behind those of the one before; from BUFFERS on memory is the test's.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "microvm/event_loop.h"
#include "microvm/virtio_mmio.h"
#include "tests/unit/virtio_driver.h"

#define VM_QUEUES 6
#define VM_QUEUE_SIZE 16
#define VM_QUEUE(n) (UINT64_C(0x1000) + (n) * UINT64_C(0x400))
#define BUFFERS UINT64_C(0x4000)

#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* A piece of a chain. */
struct piece {
	uint64_t addr;
	uint32_t len;
	bool writable;
};

struct vm {
	struct guest g;
	struct event_loop loop;
	struct virtio_mmio m;
	struct driver queues[VM_QUEUES];
	uint16_t next_desc[VM_QUEUES];
	unsigned int interrupts;
};

static inline void vm_interrupt(void *data)
{
	struct vm *vm = data;

	vm->interrupts++;
}

/* The loop and the memory; the device is made between this and vm_attach(). */
static inline bool vm_make(struct vm *vm)
{
	*vm = (struct vm){ .loop = EVENT_LOOP_NULL };
	return guest_make(&vm->g) && event_loop_init(&vm->loop) == 0;
}

static inline bool vm_attach(struct vm *vm, const struct virtio_device_ops *ops, void *device)
{
	return virtio_mmio_init(&vm->m, &vm->g.gm, ops, device, vm_interrupt, vm) == 0;
}

static inline void vm_drop(struct vm *vm)
{
	event_loop_deinit(&vm->loop);
	guest_drop(&vm->g);
}

static inline uint32_t vm_read32(struct vm *vm, uint32_t reg)
{
	uint32_t v;

	virtio_mmio_read(&vm->m, reg, &v, sizeof(v));
	return le32toh(v);
}

static inline void vm_write32(struct vm *vm, uint32_t reg, uint32_t v)
{
	v = htole32(v);
	virtio_mmio_write(&vm->m, reg, &v, sizeof(v));
}

static inline bool vm_needs_reset(struct vm *vm)
{
	return (vm_read32(vm, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

static inline uint64_t vm_offered(struct vm *vm)
{
	uint64_t low, high;

	vm_write32(vm, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = vm_read32(vm, VIRTIO_MMIO_DEVICE_FEATURES);
	vm_write32(vm, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	high = vm_read32(vm, VIRTIO_MMIO_DEVICE_FEATURES);
	return low | high << 32;
}

static inline void vm_start_queue(struct vm *vm, uint32_t i, uint16_t size, bool event_idx)
{
	uint64_t at = VM_QUEUE(i);

	vm_write32(vm, VIRTIO_MMIO_QUEUE_SEL, i);
	vm_write32(vm, VIRTIO_MMIO_QUEUE_NUM, size);
	vm_write32(vm, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at);
	vm_write32(vm, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)at + 0x100);
	vm_write32(vm, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)at + 0x200);
	vm_write32(vm, VIRTIO_MMIO_QUEUE_READY, 1);
	vm->queues[i] = (struct driver){
		.size = size,
		.event_idx = event_idx,
		.desc = (struct vring_desc *)(void *)(vm->g.bytes + at),
		.avail = (struct vring_avail *)(void *)(vm->g.bytes + at + 0x100),
		.used = (struct vring_used *)(void *)(vm->g.bytes + at + 0x200),
	};
	vm->next_desc[i] = 0;
}

/* A reset, then up to DRIVER_OK with these features and VERSION_1, and all queues, of size descriptors. */
static inline void vm_start_sized(struct vm *vm, uint64_t features, uint16_t size)
{
	const uint32_t steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= VERSION_1;
	vm_write32(vm, VIRTIO_MMIO_STATUS, 0);
	memset(vm->g.bytes, 0, LOW_SIZE);
	vm_write32(vm, VIRTIO_MMIO_STATUS, steps);
	for (uint32_t i = 0; i < 2; i++) {
		vm_write32(vm, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		vm_write32(vm, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
	vm_write32(vm, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint32_t i = 0; i < vm->m.n_queues && i < VM_QUEUES; i++)
		vm_start_queue(vm, i, size, (features & EVENT_IDX) != 0);
	vm_write32(vm, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void vm_start(struct vm *vm, uint64_t features)
{
	vm_start_sized(vm, features, VM_QUEUE_SIZE);
}

/* A chain of these pieces, published; the device is not notified. Its head. Descriptors are taken in turns. */
static inline uint16_t vm_add(struct vm *vm, unsigned int queue, const struct piece *pieces, size_t n)
{
	struct driver *d = &vm->queues[queue];
	uint16_t head = vm->next_desc[queue], i = head;

	for (size_t k = 0; k < n; k++) {
		uint16_t next = (uint16_t)((i + 1) % d->size);

		driver_desc(d, i, (struct vring_desc){
			.addr = pieces[k].addr,
			.len = pieces[k].len,
			.flags = (uint16_t)((pieces[k].writable ? VRING_DESC_F_WRITE : 0) | (k + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = next,
		});
		i = next;
	}
	vm->next_desc[queue] = i;
	driver_add(d, head);
	driver_want_interrupt(d);
	(void)driver_publish(d);
	return head;
}

/* The same, with the notification. */
static inline uint16_t vm_send(struct vm *vm, unsigned int queue, const struct piece *pieces, size_t n)
{
	uint16_t head = vm_add(vm, queue, pieces, n);

	vm_write32(vm, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	return head;
}

/* The length of the next used element; -1: there is none. */
static inline int64_t vm_used(struct vm *vm, unsigned int queue)
{
	uint32_t id, len;

	return driver_take(&vm->queues[queue], &id, &len) ? (int64_t)len : -1;
}

/* Rounds of the loop and turns of the queues until there is nothing to do; false: it does not end. */
static inline bool vm_settle(struct vm *vm)
{
	for (unsigned int i = 0; i < 10000; i++) {
		int called = event_loop_run(&vm->loop, 0);

		if (called < 0)
			return false;
		if (called == 0 && vm->m.unfinished == 0)
			return true;
		virtio_mmio_continue(&vm->m);
	}
	return false;
}
