/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asks the host's kernel to do with a frame, by the header in front of it (virtio 1.2, 5.1.6.2): fill in a
 * checksum, cut one large TCP segment into many. The kernel takes such headers from privileged programs and has trusted
 * them more than once (its checks in virtio_net_hdr_to_skb() came one by one, from 2018 to 2024). So no header of a guest gets
 * there: what it asks for is compared with the frame itself, and a new one is written. A frame that does not fit its
 * header is dropped, as one with a bad checksum is on a wire.
 *
 * Pure: bytes in, a header out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

/* A VLAN tag is not part of the MTU. */
#define NET_OFFLOAD_TAG_SIZE 4

/*
 * As much of a frame's beginning as is looked at: Ethernet with a tag, an IPv4 header with options or an IPv6 header with some
 * extensions, a TCP header with options. Who has less of a shorter frame gives that.
 */
#define NET_OFFLOAD_HEAD_MAX 256

/* The largest frame that there is: an IP packet of 64 KiB behind Ethernet with a tag. */
#define NET_OFFLOAD_FRAME_MAX (14 + NET_OFFLOAD_TAG_SIZE + 65535)

struct net_offload_frame {
	const uint8_t *head;	/* the frame from its beginning; the caller's copy, which the guest cannot change any more */
	size_t head_len;	/* min(len, NET_OFFLOAD_HEAD_MAX) */
	uint32_t len;		/* of the whole frame */
};

/* Does it ask for nothing? Then the frame's bytes need no look. */
bool net_offload_none(const struct virtio_net_hdr_mrg_rxbuf *asked);

/*
 * The header for the kernel. features: what was negotiated, of VIRTIO_NET_F_CSUM, _HOST_TSO4, _HOST_TSO6 and _HOST_ECN;
 * without CSUM a header is as if it asked for nothing (the driver may leave anything there). mtu: of an IP packet, and of
 * each that is cut. -EINVAL: the frame is too long or too short, or the header asks for what was not negotiated, or
 * does not describe this frame.
 */
int net_offload_check(const struct virtio_net_hdr_mrg_rxbuf *asked, const struct net_offload_frame *f, uint64_t features,
		      uint16_t mtu, struct virtio_net_hdr_mrg_rxbuf *ret);
