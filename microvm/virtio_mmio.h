/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register block of one virtio device on the MMIO transport, version 2 (virtio 1.2, 4.2): a state machine between
 * what a driver writes and a device behind virtio_device_ops. It knows neither KVM nor descriptors: accesses come in as
 * offset and bytes, interrupts leave by a function.
 *
 * What a driver may do when (2.1, 3.1.1):
 *
 *	status                 accepted
 *	any                    reset (status 0), the selectors, the acknowledgement of interrupts, reading
 *	DRIVER                 + the driver's features, writing to the config space
 *	DRIVER FEATURES_OK     the queues' fields, making them ready or not; the features are fixed
 *	DRIVER_OK              notifications, writing to the config space; the queues are fixed
 *	FAILED, NEEDS_RESET    only the first line
 *
 * Everything else is ignored, as are accesses that are not 4 bytes at a register or 1, 2 or 4 aligned bytes of the
 * config space; such reads give zeros. No number that a guest writes can be an error here, it can only have no effect.
 *
 * Not thread-safe: whoever owns the device serialises all calls, those of its event loop and those of the vCPUs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/virtqueue.h"

struct guest_memory;
struct virtio_mmio;

#define VIRTIO_MMIO_QUEUES_MAX 16
/* The space of one device, registers and config space. */
#define VIRTIO_MMIO_SIZE 0x1000

/* A device, as its transport sees it. `device` is what virtio_mmio_init() was given. */
struct virtio_device_ops {
	uint32_t id;			/* the device type (virtio 1.2, 5); not 0 */

	/*
	 * Another process works on the queues and raises the interrupt by itself: while the device is active, there may be
	 * a used buffer whenever the driver asks, and so InterruptStatus says.
	 */
	bool queues_elsewhere;

	/*
	 * What is offered: the type's own bits, and VIRTIO_F_EVENT_IDX if whoever works on the queues can do it. Of the
	 * other bits for queues and transports (24 to 49) none gets through; VIRTIO_F_VERSION_1 is added.
	 */
	uint64_t (*features)(void *device);

	/* The largest size of a queue: a power of two up to VIRTQUEUE_SIZE_MAX; 0: there is no such queue, nor one after. */
	uint16_t (*queue_size)(void *device, unsigned int index);

	/*
	 * len (1, 2 or 4) bytes of the config space, little endian. buf is zero: what the config space does not have stays
	 * so. Either may be NULL: no config space; nothing in it can be written.
	 */
	void (*config_read)(void *device, uint32_t offset, void *buf, uint32_t len);
	void (*config_write)(void *device, uint32_t offset, const void *buf, uint32_t len);

	/*
	 * The driver is there (DRIVER_OK): virtio_mmio_features() and the ready ones of virtio_mmio_queue() are what it
	 * chose. An error makes the device need a reset. NULL: nothing to do.
	 */
	int (*activate)(void *device, struct virtio_mmio *m);

	/*
	 * The end of what activate() began. When it returns, no request is in flight and nobody uses a chain any more: the
	 * driver takes its buffers back (CVE-2026-45782). Called only when activate() was and has not failed. NULL: as above.
	 */
	void (*reset)(void *device);

	/* There may be something in the queue; its turn has begun. The device pops, pushes and calls virtio_mmio_signal(). */
	void (*notify)(void *device, struct virtio_mmio *m, unsigned int index);
};

struct virtio_mmio {
	const struct virtio_device_ops *ops;
	void *device;
	void (*interrupt)(void *data);
	void *interrupt_data;

	/* The registers, by their names in 4.2.2. */
	uint64_t device_features, driver_features;
	uint32_t device_features_sel, driver_features_sel;
	uint32_t queue_sel, interrupt_status, status, config_generation;
	bool unknown_features;		/* the driver chose some beyond the 64 that exist */

	bool active;			/* activate() was called, and reset() has to be */
	uint32_t unfinished;		/* bit n: queue n's turn ended before it was empty */
	unsigned int n_queues;		/* at most 32 for the bits above */
	struct virtqueue queues[VIRTIO_MMIO_QUEUES_MAX];
};

/*
 * interrupt: raises the device's (edge-triggered) interrupt, with interrupt_data. Asks ops for features and queues;
 * ops, device and memory stay the caller's, and have to stay. -EINVAL with text: the device offers what cannot be.
 */
int virtio_mmio_init(struct virtio_mmio *m, const struct guest_memory *memory, const struct virtio_device_ops *ops,
		     void *device, void (*interrupt)(void *data), void *interrupt_data);

/* An access to the space of the device, as KVM tells it: little endian bytes, len up to 8; any offset. */
void virtio_mmio_read(struct virtio_mmio *m, uint64_t offset, void *data, uint32_t len);
void virtio_mmio_write(struct virtio_mmio *m, uint64_t offset, const void *data, uint32_t len);

/*
 * The driver notifies queue index (any number): what a write to QueueNotify does, and what whoever reads the queue's
 * ioeventfd calls. Either may leave `unfinished` not 0; then virtio_mmio_continue() has to be called, after other
 * devices had their turns, until it is.
 */
void virtio_mmio_notify(struct virtio_mmio *m, uint32_t index);

/* One more turn for each queue that is not finished. */
void virtio_mmio_continue(struct virtio_mmio *m);

/* ---- for the device ---- */

/* What was negotiated. */
uint64_t virtio_mmio_features(const struct virtio_mmio *m);

/* The driver is there, and the device does not need a reset: what else can call a device has to ask (a descriptor's event). */
bool virtio_mmio_running(const struct virtio_mmio *m);

/* The queue, or NULL when it is not ready, or the driver not there. */
struct virtqueue *virtio_mmio_queue(struct virtio_mmio *m, unsigned int index);

/*
 * The device has done something with the queue: the driver is interrupted if it wants to be, and told when the queue is
 * broken. To be called after every turn, also one that ended by an error.
 */
void virtio_mmio_signal(struct virtio_mmio *m, unsigned int index);

/* The config space has changed: a new generation (4.2.2.1), and an interrupt. */
void virtio_mmio_config_changed(struct virtio_mmio *m);

/* The device cannot go on: DEVICE_NEEDS_RESET (2.1.2). */
void virtio_mmio_needs_reset(struct virtio_mmio *m);
