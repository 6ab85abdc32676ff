/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared file system (virtio 1.2, 5.11): here are only its registers. Who works on its queues is a vhost-user back
 * end, virtiofsd: it has the guest's memory, is woken by the queues' doorbells, and interrupts the guest by itself.
 *
 * Doorbells and interrupt go from the guest's kernel to the back end and back without a thread of ours. So nobody here
 * sees when a buffer was used, and could set the bit in InterruptStatus for it: it reads as set while the device is active
 * (virtio_device_ops.queues_elsewhere). An interrupt of this device is for used buffers or for nothing else but a broken
 * device; a driver that looks for used buffers without need finds none. The other way, an eventfd of ours between
 * back end and guest, would cost every request a wake-up of the loop.
 *
 * A back end that dies or breaks the protocol takes the device with it: it needs a reset, which cannot help, and
 * `failed` is told.
 */
#pragma once

#include <stdbool.h>

#include "microvm/event_loop.h"
#include "microvm/vhost_user.h"
#include "microvm/virtio_mmio.h"

#define VIRTIO_FS_TAG_MAX 36
/* One for what must not wait (FORGET, INTERRUPT), one for requests. */
#define VIRTIO_FS_QUEUES 2

struct guest_memory;

struct virtio_fs_options {
	const char *tag;	/* 1 to VIRTIO_FS_TAG_MAX bytes */
	int socket;		/* connected to the back end; borrowed */
	int interrupt;		/* an eventfd that interrupts the guest; borrowed */
	const struct guest_memory *memory;	/* has to stay */
	/* Once, at the first failure after the init; reason is a sentence that begins with "the back end" or the like. */
	void (*failed)(void *data, const char *reason);
	void *data;
};

struct virtio_fs {
	char tag[VIRTIO_FS_TAG_MAX];	/* filled up with zeros; no end when it is full */
	int interrupt;
	const struct guest_memory *memory;
	void (*failed)(void *data, const char *reason);
	void *data;
	struct event_loop *loop;
	struct event_source source;	/* the socket */
	struct vhost_user backend;

	int doorbells[VIRTIO_FS_QUEUES];	/* eventfds: a write to QueueNotify signals them, without us */
	struct virtio_mmio *mmio;	/* NULL: no driver */
	bool started[VIRTIO_FS_QUEUES];
};

extern const struct virtio_device_ops virtio_fs_ops;

/*
 * Waits for the back end's answers. -EINVAL (the tag), -EOPNOTSUPP (a back end from before virtio 1.0, or with too few
 * queues), -errno of vhost_user.h, with text. fs stays where it is until virtio_fs_deinit().
 */
int virtio_fs_init(struct virtio_fs *fs, const struct virtio_fs_options *o, struct event_loop *loop);
/* The back end is told nothing: it sees the socket's end. */
void virtio_fs_deinit(struct virtio_fs *fs);
