/* SPDX-License-Identifier: Apache-2.0 */
/* Offloads that a guest asks for. See net_offload.h. */
#include "microvm/net_offload.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

#define IPV4_MIN 20
#define IPV6_SIZE 40
#define TCP_MIN 20
#define TCP_CHECKSUM 16
/* As the kernel's own (TCP_MIN_GSO_SIZE, Linux 6.10): less would make thousands of packets out of one frame. */
#define SEGMENT_MIN 8

/* What a frame that is to be cut is, by its own bytes. */
struct tcp_frame {
	uint8_t gso_type;
	uint16_t transport;	/* where TCP begins */
	uint16_t headers;	/* where its data begin */
};

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool has(const struct net_offload_frame *f, size_t at, size_t len)
{
	return at <= f->head_len && len <= f->head_len - at;
}

/* Where TCP begins behind the IPv4 header at `at`; 0: it does not, or the packet is a fragment. */
static size_t behind_ipv4(const struct net_offload_frame *f, size_t at)
{
	const uint8_t *ip = f->head + at;
	size_t len;

	if (!has(f, at, IPV4_MIN) || ip[0] >> 4 != 4)
		return 0;
	len = (size_t)(ip[0] & 0xF) * 4;
	/* More fragments, or an offset. */
	if (len < IPV4_MIN || ip[9] != IPPROTO_TCP || (be16(ip + 6) & 0x3FFF) != 0)
		return 0;
	return at + len;
}

/* The same for IPv6, over the extensions that an unfragmented packet may have. */
static size_t behind_ipv6(const struct net_offload_frame *f, size_t at)
{
	uint8_t next;

	if (!has(f, at, IPV6_SIZE) || f->head[at] >> 4 != 6)
		return 0;
	next = f->head[at + 6];
	at += IPV6_SIZE;
	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
		if (!has(f, at, 8))
			return 0;
		next = f->head[at];
		at += 8 + (size_t)f->head[at + 1] * 8;
	}
	return next == IPPROTO_TCP ? at : 0;
}

static bool parse_tcp(const struct net_offload_frame *f, struct tcp_frame *ret)
{
	size_t at = ETH_HLEN, transport, len;
	uint16_t type;

	if (!has(f, 0, ETH_HLEN))
		return false;
	type = be16(f->head + at - 2);
	if (type == ETH_P_8021Q) {
		at += NET_OFFLOAD_TAG_SIZE;
		if (!has(f, 0, at))
			return false;
		type = be16(f->head + at - 2);
	}
	if (type != ETH_P_IP && type != ETH_P_IPV6)
		return false;
	transport = type == ETH_P_IP ? behind_ipv4(f, at) : behind_ipv6(f, at);
	if (transport == 0 || !has(f, transport, TCP_MIN))
		return false;
	len = (size_t)(f->head[transport + 12] >> 4) * 4;
	if (len < TCP_MIN || !has(f, transport, len))
		return false;
	*ret = (struct tcp_frame){
		.gso_type = type == ETH_P_IP ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
		.transport = (uint16_t)transport,
		.headers = (uint16_t)(transport + len),
	};
	return true;
}

bool net_offload_none(const struct virtio_net_hdr_mrg_rxbuf *asked)
{
	return (asked->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 && asked->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE;
}

static bool negotiated(uint8_t gso_type, uint64_t features)
{
	uint8_t type = gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if ((gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0 && (features & BIT(VIRTIO_NET_F_HOST_ECN)) == 0)
		return false;
	return (type == VIRTIO_NET_HDR_GSO_TCPV4 && (features & BIT(VIRTIO_NET_F_HOST_TSO4)) != 0) ||
	       (type == VIRTIO_NET_HDR_GSO_TCPV6 && (features & BIT(VIRTIO_NET_F_HOST_TSO6)) != 0);
}

/* 5.1.6.2.2: a frame to be cut asks for the checksum, too, and its kind is the frame's. */
static int check_segments(const struct virtio_net_hdr *asked, const struct net_offload_frame *f, uint64_t features, uint16_t mtu,
			  struct virtio_net_hdr *ret)
{
	uint16_t size = le16toh(asked->gso_size);
	struct tcp_frame tcp;

	if (!negotiated(asked->gso_type, features) || (asked->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || !parse_tcp(f, &tcp))
		return -EINVAL;
	if ((asked->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != tcp.gso_type || le16toh(asked->csum_start) != tcp.transport ||
	    le16toh(asked->csum_offset) != TCP_CHECKSUM)
		return -EINVAL;
	/* Something to cut, into packets that the MTU allows. */
	if (f->len <= tcp.headers || size < SEGMENT_MIN || (uint32_t)tcp.headers + size > ETH_HLEN + NET_OFFLOAD_TAG_SIZE + (uint32_t)mtu)
		return -EINVAL;
	ret->gso_type = asked->gso_type;
	ret->gso_size = asked->gso_size;
	ret->hdr_len = htole16(tcp.headers);
	return 0;
}

/* The kernel sums up from csum_start to the end, and writes two bytes, into the frame. */
static int check_checksum(const struct virtio_net_hdr *asked, const struct net_offload_frame *f, struct virtio_net_hdr *ret)
{
	uint32_t start = le16toh(asked->csum_start), offset = le16toh(asked->csum_offset);

	if (start < ETH_HLEN || start + offset + 2 > f->head_len)
		return -EINVAL;
	ret->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret->csum_start = asked->csum_start;
	ret->csum_offset = asked->csum_offset;
	return 0;
}

int net_offload_check(const struct virtio_net_hdr_mrg_rxbuf *asked, const struct net_offload_frame *f, uint64_t features, uint16_t mtu,
		      struct virtio_net_hdr_mrg_rxbuf *ret)
{
	bool none = (features & BIT(VIRTIO_NET_F_CSUM)) == 0 || net_offload_none(asked);
	bool cut = !none && asked->hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE;
	uint32_t max = cut ? NET_OFFLOAD_FRAME_MAX : ETH_HLEN + NET_OFFLOAD_TAG_SIZE + (uint32_t)mtu;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (f->len < ETH_HLEN || f->len > max)
		return -EINVAL;
	if (cut)
		r = check_segments(&asked->hdr, f, features, mtu, &ret->hdr);
	return none || r < 0 ? r : check_checksum(&asked->hdr, f, &ret->hdr);
}
