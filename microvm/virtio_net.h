/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card (virtio 1.2, 5.1) over a tap. One queue each way, no control queue.
 *
 * Checksums and the cutting of TCP segments are left to whoever can do it best, as between two containers: a guest
 * that sends much gives frames of up to 64 KiB, which a bridge hands on as they are and the last card cuts, if ever. The header by
 * which it asks for that does not reach the host's kernel; what net_offload.h makes of it does. The other way a header
 * comes from the host's kernel, and is passed on when the guest has asked for such frames.
 *
 * The tap is read only when the guest has given a buffer; without one, frames wait in the tap and are dropped there when
 * it is full. A frame that needs more buffers waits here for them (VIRTIO_NET_F_MRG_RXBUF), or is dropped and counted when the
 * driver knows frames of one buffer only. A frame that the tap does not take (its queue is full) stays in the guest's
 * buffer, and the queue is left alone until it does. One that breaks the MTU, or does not fit its header, is dropped
 * and counted.
 *
 * A chain in the wrong direction, or without room for a header and a frame, makes the device need a reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "microvm/event_loop.h"
#include "microvm/net_offload.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

#define VIRTIO_NET_MAC_SIZE 6
#define VIRTIO_NET_QUEUE_SIZE 256
/* Of version 1, and of our taps. */
#define VIRTIO_NET_HEADER_SIZE 12
/* What IPv4 hosts have to take (RFC 791), and what a frame's length can be. */
#define VIRTIO_NET_MTU_MIN 68
#define VIRTIO_NET_MTU_MAX 65535

struct virtio_net_options {
	int tap;	/* O_NONBLOCK, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, headers of 12 bytes, no offloads; borrowed */
	/*
	 * Tells the tap which frames the guest takes, TUN_F_* of linux/if_tun.h; 0 or -errno. Called when that changes, as a
	 * driver comes or goes. NULL: no offloads are offered. That of a real tap is virtio_net_tap_offloads().
	 */
	int (*set_offloads)(int tap, unsigned int flags);
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

	int (*set_offloads)(int tap, unsigned int flags);
	unsigned int offloads;		/* what it was told last */

	/* ---- while a driver is there ---- */
	struct virtio_mmio *mmio;	/* NULL: it is not */
	bool rx_held, tx_held;		/* a buffer for the next frame; a frame that the tap did not take */
	struct virtqueue_chain rx, tx;
	struct iovec iov[VIRTQUEUE_SIZE_MAX + 2];
	uint8_t head[NET_OFFLOAD_HEAD_MAX];	/* ours, of the frame to send */

	/* The frame from the tap that is being put into buffers, and those that have some of it; len 0: there is none. */
	struct {
		uint32_t len, at;
		size_t n;
		struct virtqueue_used used[VIRTIO_NET_QUEUE_SIZE];
		/* One byte more: a tap cuts what does not fit, and says nothing. */
		uint8_t bytes[VIRTIO_NET_HEADER_SIZE + NET_OFFLOAD_FRAME_MAX + 1];
	} frame;
	struct virtqueue_chain more;	/* a buffer behind the first, rx, which will have the header */
};

/* -errno of TUNSETOFFLOAD. */
int virtio_net_tap_offloads(int tap, unsigned int flags);

extern const struct virtio_device_ops virtio_net_ops;

/* -EINVAL (the MTU; a MAC address that is a group's), -errno of the loop, with text. n stays where it is until deinit. */
int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o, struct event_loop *loop);
void virtio_net_deinit(struct virtio_net *n);
