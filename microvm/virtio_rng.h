/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source of randomness (virtio 1.2, 5.4): the kernel's, straight into the guest's buffers. A request gets at most
 * VIRTIO_RNG_REQUEST_MAX bytes, a shorter answer than asked for is within the rules; so a turn costs at most as much as
 * the queue has descriptors. A request with readable pieces makes the device need a reset.
 */
#pragma once

#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

#define VIRTIO_RNG_REQUEST_MAX 4096

struct virtio_rng {
	struct virtqueue_chain chain;
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
};

/* The device is a struct virtio_rng, which needs no preparation and holds nothing. */
extern const struct virtio_device_ops virtio_rng_ops;
