/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk (virtio 1.2, 5.2): a raw image, which is never looked into for a format. Requests are done at once, one after the
 * other: none is in flight when the driver resets the device (CVE-2026-45782).
 *
 * What a request asks for is checked before anything is done: whole sectors and at least one, inside the disk, at
 * most VIRTIO_BLK_REQUEST_MAX bytes; a read-only disk is so here, whatever the guest believes. A request that breaks this
 * fails with VIRTIO_BLK_S_IOERR, one of another type with VIRTIO_BLK_S_UNSUPP. A chain without a byte for that status
 * makes the device need a reset.
 *
 * There is a write-back cache, the host's: FLUSH empties it. A driver without F_FLUSH gets every write flushed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

#define VIRTIO_BLK_REQUEST_MAX (UINT32_C(16) << 20)
#define VIRTIO_BLK_SERIAL_MAX 20

struct virtio_blk_options {
	int image;		/* a regular file or a block device, opened for writing too unless read_only; borrowed */
	bool read_only;
	const char *serial;	/* at most VIRTIO_BLK_SERIAL_MAX bytes; NULL: none */
};

struct virtio_blk {
	int image;
	bool read_only;
	uint64_t sectors;	/* of 512 bytes; what is left over cannot be reached */
	char serial[VIRTIO_BLK_SERIAL_MAX];	/* filled up with zeros; no end when it is full */
	bool write_through;	/* the driver knows no FLUSH */
	uint32_t done;		/* bytes of this turn */
	struct virtqueue_chain chain;
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
};

extern const struct virtio_device_ops virtio_blk_ops;

/* The size is what the image has now. -EINVAL (what it is, how it is opened, the serial), -errno, with text. */
int virtio_blk_init(struct virtio_blk *b, const struct virtio_blk_options *o);
