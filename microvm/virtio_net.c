/* SPDX-License-Identifier: Apache-2.0 */
/* A network card over a tap. See virtio_net.h. */
#include "microvm/virtio_net.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/err.h"

#define BIT(n) (UINT64_C(1) << (n))

enum queue { RX, TX, QUEUES };

#define HEADER_SIZE VIRTIO_NET_HEADER_SIZE

_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == HEADER_SIZE, "the header of version 1, which is the tap's");

/* What a guest may leave to the host, and the host to the guest. */
#define OFFLOADS \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
	 BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))

static uint64_t features(void *device)
{
	const struct virtio_net *n = device;

	return BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_EVENT_IDX) |
	       (n->set_offloads != NULL ? OFFLOADS : 0);
}

static bool negotiated(const struct virtio_net *n, unsigned int feature)
{
	return (virtio_mmio_features(n->mmio) & BIT(feature)) != 0;
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < QUEUES ? VIRTIO_NET_QUEUE_SIZE : 0;
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
		events = (n->rx_held && n->frame.len == 0 ? EPOLLIN : 0U) | (n->tx_held ? EPOLLOUT : 0U);
	if (event_loop_modify(n->loop, &n->source, events) < 0 && n->mmio != NULL)
		refuse(n);
}

/* ---- from the tap ---- */

/* The next frame: 1; 0: it is none for the guest, and is dropped; -errno (-EAGAIN: there is none). */
static int read_frame(struct virtio_net *n)
{
	bool many = negotiated(n, VIRTIO_NET_F_MRG_RXBUF);
	size_t max = many ? sizeof(n->frame.bytes) - 1 : n->rx.writable_len;
	ssize_t r;

	do
		r = read(n->source.fd, n->frame.bytes, sizeof(n->frame.bytes));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	/* No frame is empty: there was a header asked for. */
	if (r == 0)
		return -EPIPE;
	if ((size_t)r > max || (size_t)r >= sizeof(n->frame.bytes) || (size_t)r < HEADER_SIZE + ETH_HLEN)
		return 0;
	n->frame.len = (uint32_t)r;
	n->frame.at = 0;
	n->frame.n = 0;
	return 1;
}

/* A buffer has its part of the frame. */
static void fill(struct virtio_net *n, const struct virtqueue_chain *chain)
{
	size_t done = virtqueue_chain_write(chain, 0, n->frame.bytes + n->frame.at, n->frame.len - n->frame.at);

	n->frame.used[n->frame.n++] = (struct virtqueue_used){ .head = chain->head, .len = (uint32_t)done };
	n->frame.at += (uint32_t)done;
}

/*
 * The frame at hand into as many buffers as it needs. 1: it is there; else what virtqueue_pop() has returned, and it goes on
 * from there the next time. The used ones are bounded by the queue: no more can be in flight.
 */
static int place(struct virtio_net *n, struct virtqueue *q)
{
	if (n->frame.n == 0)
		fill(n, &n->rx);
	while (n->frame.at < n->frame.len) {
		int r = virtqueue_pop(q, &n->more);

		if (r != 1)
			return r;
		if (n->more.n_readable > 0 || n->more.writable_len < HEADER_SIZE)
			return -EINVAL;
		fill(n, &n->more);
	}
	return 1;
}

/*
 * 5.1.6.4: in how many buffers the frame is, also without MRG_RXBUF. The rest is the host's kernel's word on checksum and
 * segments, and means something to a driver that has asked for it.
 */
static void write_header(struct virtio_net *n)
{
	struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = 0 };

	if (negotiated(n, VIRTIO_NET_F_GUEST_CSUM))
		memcpy(&h, n->frame.bytes, sizeof(h));
	h.num_buffers = htole16((uint16_t)n->frame.n);
	(void)virtqueue_chain_write(&n->rx, 0, &h, sizeof(h));
}

/* A buffer for the next frame's beginning. 1: it is there. */
static int hold(struct virtio_net *n, struct virtqueue *q)
{
	int r = n->rx_held ? 1 : virtqueue_pop(q, &n->rx);

	if (r != 1)
		return r;
	n->rx_held = true;
	return n->rx.n_readable > 0 || n->rx.writable_len < HEADER_SIZE + ETH_HLEN ? -EINVAL : 1;
}

/* One frame. 1: the guest has it; 0: it was dropped; -EAGAIN: not now; else the device cannot go on. */
static int receive_one(struct virtio_net *n, struct virtqueue *q)
{
	int r = hold(n, q);

	if (r == 1 && n->frame.len == 0) {
		r = read_frame(n);
		if (r == 0)
			return 0;
	}
	if (r == 1)
		r = place(n, q);
	/* Of the queue: none is there; the driver or our turn will come. It knows by itself that it is broken. */
	if (r == 0 || r == -EPROTO || r == -ENOTCONN)
		return -EAGAIN;
	if (r < 0)
		return r;
	write_header(n);
	(void)virtqueue_push_all(q, n->frame.used, n->frame.n);
	n->frame.len = 0;
	n->rx_held = false;
	return 1;
}

static void receive(struct virtio_net *n)
{
	struct virtqueue *q = virtio_mmio_queue(n->mmio, RX);
	/* Dropped frames take no buffer, and would have no end. */
	unsigned int dropped = 0;

	while (q != NULL && dropped < VIRTIO_NET_QUEUE_SIZE) {
		int r = receive_one(n, q);

		/* A tap that fails, because its interface is gone, would do so at each event. */
		if (r < 0 && r != -EAGAIN)
			refuse(n);
		if (r < 0)
			break;
		n->counters.rx_frames += r == 1;
		n->counters.rx_dropped += r == 0;
		dropped += r == 0;
	}
	virtio_mmio_signal(n->mmio, RX);
}

/* ---- to the tap ---- */

/*
 * The header for the tap, and in n->iov what is to be written: how many pieces; 0: the frame is not to be sent. The
 * bytes that the header was compared with are sent from the copy, which the guest cannot change any more.
 */
static int prepare_frame(struct virtio_net *n, struct virtio_net_hdr_mrg_rxbuf *header)
{
	struct net_offload_frame f = { .head = n->head, .len = n->tx.readable_len - (uint32_t)HEADER_SIZE };
	struct virtio_net_hdr_mrg_rxbuf asked;
	int pieces = 0;

	(void)virtqueue_chain_read(&n->tx, 0, &asked, sizeof(asked));
	if (!net_offload_none(&asked))
		f.head_len = virtqueue_chain_read(&n->tx, HEADER_SIZE, n->head, sizeof(n->head));
	if (net_offload_check(&asked, &f, virtio_mmio_features(n->mmio), n->mtu, header) < 0)
		return 0;
	n->iov[pieces++] = (struct iovec){ .iov_base = header, .iov_len = sizeof(*header) };
	if (f.head_len > 0)
		n->iov[pieces++] = (struct iovec){ .iov_base = n->head, .iov_len = f.head_len };
	return pieces + (int)virtqueue_chain_iov(&n->tx, false, HEADER_SIZE + f.head_len, SIZE_MAX, n->iov + pieces);
}

/* The frame at hand. False: not now. What the tap does not want is lost, as on a wire. */
static bool write_frame(struct virtio_net *n)
{
	struct virtio_net_hdr_mrg_rxbuf header;
	int pieces = prepare_frame(n, &header);
	ssize_t r = -1;

	if (pieces > 0) {
		do
			r = writev(n->source.fd, n->iov, pieces);
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
	n->frame.len = 0;
	watch(n);
}

/* What the tap may give: frames that this guest takes, and has room for. */
static unsigned int wanted_offloads(const struct virtio_net *n)
{
	unsigned int flags = 0;

	if (!negotiated(n, VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	if (negotiated(n, VIRTIO_NET_F_MRG_RXBUF))
		flags = (negotiated(n, VIRTIO_NET_F_GUEST_TSO4) ? TUN_F_TSO4 : 0U) |
			(negotiated(n, VIRTIO_NET_F_GUEST_TSO6) ? TUN_F_TSO6 : 0U);
	if (flags != 0 && negotiated(n, VIRTIO_NET_F_GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	return flags | TUN_F_CSUM;
}

int virtio_net_tap_offloads(int tap, unsigned int flags)
{
	return ioctl(tap, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

static int tell_tap(struct virtio_net *n, unsigned int flags)
{
	int r;

	if (flags == n->offloads)
		return 0;
	r = n->set_offloads(n->source.fd, flags);
	if (r == 0)
		n->offloads = flags;
	return r;
}

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_net *n = device;

	forget(n);
	n->mmio = m;
	return tell_tap(n, wanted_offloads(n));
}

static void reset(void *device)
{
	struct virtio_net *n = device;

	forget(n);
	/* A frame of the old kind would be too much for a driver that comes now: the next activate() says what it takes. */
	(void)tell_tap(n, 0);
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
		.set_offloads = o->set_offloads,
	};
	memcpy(n->mac, o->mac, sizeof(n->mac));
	return event_loop_add(loop, &n->source);
}

void virtio_net_deinit(struct virtio_net *n)
{
	event_loop_remove(n->loop, &n->source);
}
