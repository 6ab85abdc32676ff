/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's header and its frame. The input: the features (a byte), the frame's length beyond what is here (two), the MTU (two), the
 * header (12), the frame's beginning. What gets through is within the frame and the MTU, and was asked for.
 */
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "microvm/net_offload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BIT(n) (UINT64_C(1) << (n))
#define FIXED 5

static void must(int true_of_all)
{
	if (!true_of_all)
		__builtin_trap();
}

static void check_result(const struct virtio_net_hdr *asked, const struct virtio_net_hdr *h, const struct net_offload_frame *f, uint16_t mtu)
{
	uint32_t start = le16toh(h->csum_start), segment = (uint32_t)le16toh(h->hdr_len) + le16toh(h->gso_size);

	must((h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 && f->len >= 14);
	must(h->flags == 0 || start + le16toh(h->csum_offset) + 2 <= f->len);
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		must(f->len <= 18U + mtu && h->hdr_len == 0 && h->gso_size == 0);
		return;
	}
	must(h->gso_type == asked->gso_type && h->flags != 0 && h->gso_size != 0);
	must(start < le16toh(h->hdr_len) && le16toh(h->hdr_len) < f->len && segment <= 18U + mtu && f->len <= NET_OFFLOAD_FRAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int bits[] = { VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_ECN };
	struct virtio_net_hdr_mrg_rxbuf asked, ret;
	struct net_offload_frame f;
	uint64_t features = 0;
	uint16_t mtu;

	if (size < FIXED + sizeof(asked))
		return 0;
	for (unsigned int i = 0; i < 4; i++)
		features |= (data[0] & 1U << i) != 0 ? BIT(bits[i]) : 0;
	mtu = (uint16_t)(data[3] << 8 | data[4]);
	memcpy(&asked, data + FIXED, sizeof(asked));
	f.head = data + FIXED + sizeof(asked);
	f.len = (uint32_t)(size - FIXED - sizeof(asked));
	f.head_len = f.len < NET_OFFLOAD_HEAD_MAX ? f.len : NET_OFFLOAD_HEAD_MAX;
	if (f.head_len == NET_OFFLOAD_HEAD_MAX)
		f.len += (uint32_t)(data[1] << 8 | data[2]);
	if (net_offload_check(&asked, &f, features, mtu, &ret) == 0)
		check_result(&asked.hdr, &ret.hdr, &f, mtu);
	return 0;
}
