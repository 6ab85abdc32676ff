/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card (virtio 1.2, 5.1) over a tap. One queue each way, no control queue, no offloads: each frame is one that
 * could be on a wire, and its header says nothing. A header from the guest does not reach the host's kernel; the tap gets
 * one of zeros.
 *
 * The tap is read only into a buffer that the guest gave; without one, frames wait in the tap and are dropped there when
 * it is full. A frame that the tap does not take (its queue is full) stays in the guest's buffer, and the queue is left
 * alone until it does. A frame that is larger than the guest's buffer, or than the MTU allows, is dropped and counted.
 *
 * A chain in the wrong direction, or without room for a header and a frame, makes the device need a reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "microvm/event_loop.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

#define VIRTIO_NET_MAC_SIZE 6
/* What IPv4 hosts have to take (RFC 791), and what a frame's length can be. */
#define VIRTIO_NET_MTU_MIN 68
#define VIRTIO_NET_MTU_MAX 65535

struct virtio_net_options {
	int tap;	/* O_NONBLOCK, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, headers of 12 bytes, no offloads; borrowed */
	uint8_t mac[VIRTIO_NET_MAC_SIZE];
	uint16_t mtu;
};

struct virtio_net_counters {
	uint64_t rx_frames, rx_dropped, tx_frames, tx_dropped;
};

struct virtio_net {
	struct event_loop *loop;
	struct event_source source;
	uint8_t mac[VIRTIO_NET_MAC_SIZE];
	uint16_t mtu;
	struct virtio_net_counters counters;

	/* ---- while a driver is there ---- */
	struct virtio_mmio *mmio;	/* NULL: it is not */
	bool rx_held, tx_held;		/* a buffer for the next frame; a frame that the tap did not take */
	struct virtqueue_chain rx, tx;
	struct iovec iov[VIRTQUEUE_SIZE_MAX + 1];
};

extern const struct virtio_device_ops virtio_net_ops;

/* -EINVAL (the MTU; a MAC address that is a group's), -errno of the loop, with text. n stays where it is until deinit. */
int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o, struct event_loop *loop);
void virtio_net_deinit(struct virtio_net *n);
