/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's headers: what describes its frame gets through, written anew; everything else does not. */
#include "tests/unit/test.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "microvm/net_offload.h"
#include "runtime/base/str.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ALL (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN))
#define MTU 1500
#define CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6 VIRTIO_NET_HDR_GSO_TCPV6
#define ECN VIRTIO_NET_HDR_GSO_ECN

/* A frame with an IP and a TCP header of these sizes, before it a VLAN tag of this size, behind an IPv6 header these extensions. */
static size_t make_frame(uint8_t buf[NET_OFFLOAD_HEAD_MAX], int version, size_t tag, size_t ip_len, size_t tcp_len)
{
	size_t ip = ETH_HLEN + tag, tcp = ip + ip_len;

	memset(buf, 0, NET_OFFLOAD_HEAD_MAX);
	if (tag > 0)
		buf[12] = 0x81;
	buf[ip - 2] = version == 4 ? 0x08 : 0x86;
	buf[ip - 1] = version == 4 ? 0x00 : 0xDD;
	if (version == 4) {
		buf[ip] = (uint8_t)(0x40 | ip_len / 4);
		buf[ip + 6] = 0x40;	/* not to be fragmented */
		buf[ip + 9] = 6;
	} else {
		buf[ip] = 0x60;
		buf[ip + 6] = ip_len > 40 ? 0 : 6;
		if (ip_len > 40) {
			buf[ip + 40] = 6;
			buf[ip + 41] = (uint8_t)((ip_len - 48) / 8);
		}
	}
	buf[tcp + 12] = (uint8_t)(tcp_len / 4 << 4);
	return tcp;
}

static struct virtio_net_hdr_mrg_rxbuf header(uint8_t flags, uint8_t type, size_t start, size_t offset, size_t size)
{
	return (struct virtio_net_hdr_mrg_rxbuf){
		/* hdr_len and num_buffers are the driver's hints, and not believed. */
		.hdr = { .flags = flags, .gso_type = type, .hdr_len = htole16(0xFFFF), .gso_size = htole16((uint16_t)size),
			 .csum_start = htole16((uint16_t)start), .csum_offset = htole16((uint16_t)offset) },
		.num_buffers = htole16(7),
	};
}

static int check(const struct virtio_net_hdr_mrg_rxbuf *h, const uint8_t *buf, uint32_t len, uint64_t features,
		 struct virtio_net_hdr_mrg_rxbuf *ret)
{
	const struct net_offload_frame f = { .head = buf, .head_len = len < NET_OFFLOAD_HEAD_MAX ? len : NET_OFFLOAD_HEAD_MAX, .len = len };

	return net_offload_check(h, &f, features, MTU, ret);
}

TEST(nothing_asked)
{
	static const uint8_t zero[sizeof(struct virtio_net_hdr_mrg_rxbuf)];
	struct virtio_net_hdr_mrg_rxbuf h = header(VIRTIO_NET_HDR_F_DATA_VALID, 0, 9, 9, 9), ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];

	(void)make_frame(buf, 4, 0, 20, 20);
	CHECK(net_offload_none(&h));
	CHECK_INT(check(&h, buf, 60, ALL, &ret), 0);
	CHECK(memcmp(&ret, zero, sizeof(zero)) == 0);
	/* The MTU, with a tag that is not of it. */
	CHECK_INT(check(&h, buf, 1518, ALL, &ret), 0);
	CHECK_INT(check(&h, buf, 1519, ALL, &ret), -EINVAL);
	CHECK_INT(check(&h, buf, 14, ALL, &ret), 0);
	CHECK_INT(check(&h, buf, 13, ALL, &ret), -EINVAL);
	/* Not negotiated: whatever stands there is nothing, and a large frame is too large. */
	h = header(CSUM, TCP4, 34, 16, 1448);
	CHECK(!net_offload_none(&h));
	CHECK_INT(check(&h, buf, 1518, 0, &ret), 0);
	CHECK(memcmp(&ret, zero, sizeof(zero)) == 0);
	CHECK_INT(check(&h, buf, 1519, 0, &ret), -EINVAL);
}

TEST(checksum)
{
	struct virtio_net_hdr_mrg_rxbuf h = header(CSUM | VIRTIO_NET_HDR_F_DATA_VALID, 0, 34, 6, 0), ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];

	(void)make_frame(buf, 4, 0, 20, 20);
	CHECK_INT(check(&h, buf, 60, ALL, &ret), 0);
	CHECK(ret.hdr.flags == CSUM && ret.hdr.gso_type == 0 && ret.hdr.hdr_len == 0 && ret.num_buffers == 0);
	CHECK(ret.hdr.csum_start == htole16(34) && ret.hdr.csum_offset == htole16(6));
	CHECK_INT(check(&h, buf, 1519, ALL, &ret), -EINVAL);
	/* The two bytes are within the frame, and within what was looked at. */
	h = header(CSUM, 0, 34, 24, 0);
	CHECK_INT(check(&h, buf, 60, ALL, &ret), 0);
	CHECK_INT(check(&h, buf, 59, ALL, &ret), -EINVAL);
	h = header(CSUM, 0, 0xFFFF, 0xFFFF, 0);
	CHECK_INT(check(&h, buf, 1500, ALL, &ret), -EINVAL);
	h = header(CSUM, 0, 13, 16, 0);
	CHECK_INT(check(&h, buf, 60, ALL, &ret), -EINVAL);
}

TEST(segments)
{
	static const struct {
		int version;
		size_t tag, ip, tcp;
	} frames[] = { { 4, 0, 20, 20 }, { 4, 4, 20, 32 }, { 4, 0, 60, 60 }, { 6, 0, 40, 20 }, { 6, 4, 40, 60 }, { 6, 0, 56, 32 } };
	struct virtio_net_hdr_mrg_rxbuf ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		uint8_t type = frames[i].version == 4 ? TCP4 : TCP6;
		size_t at = make_frame(buf, frames[i].version, frames[i].tag, frames[i].ip, frames[i].tcp);
		struct virtio_net_hdr_mrg_rxbuf h = header(CSUM, type, at, 16, 1300);

		if (!CHECK_INT(check(&h, buf, 60000, ALL, &ret), 0))
			printf("#   frame %zu\n", i);
		CHECK(ret.hdr.flags == CSUM && ret.hdr.gso_type == type && ret.hdr.gso_size == htole16(1300));
		CHECK(ret.hdr.hdr_len == htole16((uint16_t)(at + frames[i].tcp)) && ret.num_buffers == 0);
		CHECK(ret.hdr.csum_start == htole16((uint16_t)at) && ret.hdr.csum_offset == htole16(16));
		/* Each of these lies about it in one way. */
		h = header(CSUM, type ^ TCP4 ^ TCP6, at, 16, 1300);
		CHECK_INT(check(&h, buf, 60000, ALL, &ret), -EINVAL);
		h = header(CSUM, type, at + 4, 16, 1300);
		CHECK_INT(check(&h, buf, 60000, ALL, &ret), -EINVAL);
		h = header(CSUM, type, at, 6, 1300);
		CHECK_INT(check(&h, buf, 60000, ALL, &ret), -EINVAL);
		h = header(0, type, at, 16, 1300);
		CHECK_INT(check(&h, buf, 60000, ALL, &ret), -EINVAL);
		h = header(CSUM, type, at, 16, 1300);
		CHECK_INT(check(&h, buf, (uint32_t)(at + frames[i].tcp), ALL, &ret), -EINVAL);
		CHECK_INT(check(&h, buf, (uint32_t)(at + 19), ALL, &ret), -EINVAL);
		CHECK_INT(check(&h, buf, NET_OFFLOAD_FRAME_MAX + 1, ALL, &ret), -EINVAL);
		CHECK_INT(check(&h, buf, NET_OFFLOAD_FRAME_MAX, ALL, &ret), 0);
	}
}

/* How large a segment may be: neither thousands out of one frame, nor more than a wire takes. */
TEST(segment_sizes)
{
	static const struct {
		size_t size;
		int want;
	} cases[] = { { 0, -EINVAL }, { 7, -EINVAL }, { 8, 0 }, { 1460, 0 }, { 1464, 0 }, { 1465, -EINVAL }, { 0xFFFF, -EINVAL } };
	struct virtio_net_hdr_mrg_rxbuf ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];
	size_t at = make_frame(buf, 4, 0, 20, 20);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_net_hdr_mrg_rxbuf h = header(CSUM, TCP4, at, 16, cases[i].size);

		if (!CHECK_INT(check(&h, buf, 30000, ALL, &ret), cases[i].want))
			printf("#   size %zu\n", cases[i].size);
	}
}

TEST(not_negotiated)
{
	static const struct {
		uint8_t type;
		int version;
		unsigned int need;
	} cases[] = { { TCP4, 4, VIRTIO_NET_F_HOST_TSO4 }, { TCP6, 6, VIRTIO_NET_F_HOST_TSO6 }, { TCP4 | ECN, 4, VIRTIO_NET_F_HOST_ECN } };
	static const uint8_t unknown[] = { VIRTIO_NET_HDR_GSO_UDP, 5 /* UDP_L4 */, 2, 6, 0x7F, ECN, 0xFF };
	struct virtio_net_hdr_mrg_rxbuf h, ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		at = make_frame(buf, cases[i].version, 0, cases[i].version == 4 ? 20 : 40, 20);
		h = header(CSUM, cases[i].type, at, 16, 1000);
		CHECK_INT(check(&h, buf, 30000, ALL, &ret), 0);
		CHECK_INT(ret.hdr.gso_type, cases[i].type);
		CHECK_INT(check(&h, buf, 30000, ALL & ~BIT(cases[i].need), &ret), -EINVAL);
	}
	at = make_frame(buf, 4, 0, 20, 20);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		h = header(CSUM, unknown[i], at, 16, 1000);
		CHECK_INT(check(&h, buf, 30000, ALL, &ret), -EINVAL);
	}
}

/* A frame whose own bytes are not those of a TCP segment that can be cut: one byte is wrong. */
TEST(frames_that_lie)
{
	static const struct {
		int version;
		size_t at;
		uint8_t byte;
	} cases[] = {
		{ 4, 12, 0x09 },			/* no IP */
		{ 4, 14, 0x65 }, { 4, 14, 0x44 },	/* another version, a header too short */
		{ 4, 14, 0x4F },			/* a longer header: TCP is elsewhere */
		{ 4, 20, 0x20 }, { 4, 21, 0x01 },	/* fragments */
		{ 4, 23, 17 },				/* UDP */
		{ 4, 46, 0x40 },			/* a TCP header too short */
		{ 6, 14, 0x45 }, { 6, 20, 17 }, { 6, 20, 44 }, { 6, 20, 0 }, { 6, 66, 0x10 },
	};
	struct virtio_net_hdr_mrg_rxbuf h, ret;
	uint8_t buf[NET_OFFLOAD_HEAD_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t at = make_frame(buf, cases[i].version, 0, cases[i].version == 4 ? 20 : 40, 20);

		h = header(CSUM, cases[i].version == 4 ? TCP4 : TCP6, at, 16, 1000);
		CHECK_INT(check(&h, buf, 30000, ALL, &ret), 0);
		buf[cases[i].at] = cases[i].byte;
		if (!CHECK_INT(check(&h, buf, 30000, ALL, &ret), -EINVAL))
			printf("#   case %zu\n", i);
	}
	/* Extensions without end. */
	(void)make_frame(buf, 6, 0, 40, 20);
	memset(buf + 20, 0, sizeof(buf) - 20);
	h = header(CSUM, TCP6, 54, 16, 1000);
	CHECK_INT(check(&h, buf, 30000, ALL, &ret), -EINVAL);
}

TEST_MAIN(CASE(nothing_asked), CASE(checksum), CASE(segments), CASE(segment_sizes), CASE(not_negotiated), CASE(frames_that_lie))
