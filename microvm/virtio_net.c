/* SPDX-License-Identifier: Apache-2.0 */
/* A network card over a tap. See virtio_net.h. */
#include "microvm/virtio_net.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/err.h"

#define BIT(n) (UINT64_C(1) << (n))

enum queue { RX, TX, QUEUES };

#define QUEUE_SIZE 256

#define HEADER_SIZE sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* A VLAN tag is not part of the MTU. */
#define VLAN_TAG_SIZE 4

_Static_assert(HEADER_SIZE == 12, "the header of version 1, which is the tap's");

static uint64_t features(void *device)
{
	(void)device;
	return BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_RING_F_EVENT_IDX);
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < QUEUES ? QUEUE_SIZE : 0;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	const struct virtio_net *n = device;
	struct virtio_net_config config = { .mtu = htole16(n->mtu) };

	memcpy(config.mac, n->mac, sizeof(config.mac));
	if (offset < sizeof(config))
		memcpy(buf, (const uint8_t *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* The driver broke a rule. */
static void refuse(struct virtio_net *n)
{
	virtio_mmio_needs_reset(n->mmio);
}

static void watch(struct virtio_net *n)
{
	uint32_t events = 0;

	if (n->mmio != NULL && virtio_mmio_running(n->mmio))
		events = (n->rx_held ? EPOLLIN : 0U) | (n->tx_held ? EPOLLOUT : 0U);
	if (event_loop_modify(n->loop, &n->source, events) < 0 && n->mmio != NULL)
		refuse(n);
}

/* ---- from the tap ---- */

/*
 * The next frame into the buffer at hand: its length, or -errno (-EAGAIN: there is none). A tap cuts what does not fit
 * and says nothing: a byte behind the buffer tells.
 */
static ssize_t read_frame(struct virtio_net *n)
{
	size_t pieces = virtqueue_chain_iov(&n->rx, true, 0, SIZE_MAX, n->iov);
	uint8_t beyond;
	ssize_t r;

	n->iov[pieces] = (struct iovec){ .iov_base = &beyond, .iov_len = 1 };
	do
		r = readv(n->source.fd, n->iov, (int)pieces + 1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	/* No frame is empty: there was a header asked for. */
	return r > 0 ? r : -EPIPE;
}

/* 5.1.6.4: without MRG_RXBUF a frame is in one buffer, and says so. The rest of the header is nobody's but ours. */
static void write_header(struct virtio_net *n)
{
	const struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = htole16(1) };

	(void)virtqueue_chain_write(&n->rx, 0, &h, sizeof(h));
}

static void receive(struct virtio_net *n)
{
	struct virtqueue *q = virtio_mmio_queue(n->mmio, RX);
	/* Dropped frames take no buffer, and would have no end. */
	unsigned int dropped = 0;

	while (q != NULL && dropped < QUEUE_SIZE) {
		ssize_t len;

		if (!n->rx_held && virtqueue_pop(q, &n->rx) != 1)
			break;
		n->rx_held = true;
		if (n->rx.n_readable > 0 || n->rx.writable_len < HEADER_SIZE + ETH_HLEN) {
			refuse(n);
			break;
		}
		len = read_frame(n);
		/* A tap that fails, because its interface is gone, would do so at each event. */
		if (len < 0 && len != -EAGAIN)
			refuse(n);
		if (len < 0)
			break;
		if (len > n->rx.writable_len || len < (ssize_t)(HEADER_SIZE + ETH_HLEN)) {
			n->counters.rx_dropped++;
			dropped++;
			continue;
		}
		write_header(n);
		n->rx_held = false;
		n->counters.rx_frames++;
		(void)virtqueue_push(q, n->rx.head, (uint32_t)len);
	}
	virtio_mmio_signal(n->mmio, RX);
}

/* ---- to the tap ---- */

static bool frame_fits(const struct virtio_net *n)
{
	uint32_t len = n->tx.readable_len - (uint32_t)HEADER_SIZE;

	return len >= ETH_HLEN && len <= ETH_HLEN + VLAN_TAG_SIZE + (uint32_t)n->mtu;
}

/* The frame at hand. False: not now. What the tap does not want is lost, as on a wire. */
static bool write_frame(struct virtio_net *n)
{
	struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = 0 };
	size_t pieces = virtqueue_chain_iov(&n->tx, false, HEADER_SIZE, SIZE_MAX, n->iov + 1);
	ssize_t r = -1;

	n->iov[0] = (struct iovec){ .iov_base = &h, .iov_len = sizeof(h) };
	if (frame_fits(n)) {
		do
			r = writev(n->source.fd, n->iov, (int)pieces + 1);
		while (r < 0 && errno == EINTR);
		if (r < 0 && errno == EAGAIN)
			return false;
	}
	if (r < 0)
		n->counters.tx_dropped++;
	else
		n->counters.tx_frames++;
	return true;
}

static void send_frames(struct virtio_net *n)
{
	struct virtqueue *q = virtio_mmio_queue(n->mmio, TX);

	while (q != NULL) {
		if (!n->tx_held && virtqueue_pop(q, &n->tx) != 1)
			break;
		n->tx_held = true;
		if (n->tx.n_writable > 0 || n->tx.readable_len < HEADER_SIZE) {
			refuse(n);
			break;
		}
		if (!write_frame(n))
			break;
		n->tx_held = false;
		(void)virtqueue_push(q, n->tx.head, 0);
	}
	virtio_mmio_signal(n->mmio, TX);
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_net *n = device;

	(void)m;
	if (index == RX)
		receive(n);
	else
		send_frames(n);
	watch(n);
}

static void tap_ready(void *data, uint32_t events)
{
	struct virtio_net *n = data;

	if (n->rx_held && (events & ~(uint32_t)EPOLLOUT) != 0)
		virtio_mmio_notify(n->mmio, RX);
	if (n->tx_held && (events & ~(uint32_t)EPOLLIN) != 0)
		virtio_mmio_notify(n->mmio, TX);
	watch(n);
}

/* ---- life ---- */

static void forget(struct virtio_net *n)
{
	n->mmio = NULL;
	n->rx_held = n->tx_held = false;
	watch(n);
}

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_net *n = device;

	forget(n);
	n->mmio = m;
	return 0;
}

static void reset(void *device)
{
	forget(device);
}

const struct virtio_device_ops virtio_net_ops = {
	.id = VIRTIO_ID_NET,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.activate = activate,
	.reset = reset,
	.notify = notify,
};

int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o, struct event_loop *loop)
{
	if (o->mtu < VIRTIO_NET_MTU_MIN)
		return ERR_PLAIN(-EINVAL, "an MTU of %u is less than %d", o->mtu, VIRTIO_NET_MTU_MIN);
	if ((o->mac[0] & 1) != 0)
		return ERR_PLAIN(-EINVAL, "a network card cannot have the MAC address of a group");
	*n = (struct virtio_net){
		.loop = loop,
		.source = { .fd = o->tap, .ready = tap_ready, .data = n },
		.mtu = o->mtu,
	};
	memcpy(n->mac, o->mac, sizeof(n->mac));
	return event_loop_add(loop, &n->source);
}

void virtio_net_deinit(struct virtio_net *n)
{
	event_loop_remove(n->loop, &n->source);
}
