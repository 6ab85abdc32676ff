/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio console with one named port. See virtio_console.h. */
#include "microvm/virtio_console.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/err.h"

#define BIT(n) (UINT64_C(1) << (n))

#define PORT 1
#define PORTS 2

/* 5.3.2: the control queues are between those of ports 0 and 1. */
enum queue { PORT0_RX, PORT0_TX, CONTROL_RX, CONTROL_TX, RX, TX, QUEUES };

/* As many pages as Linux puts there; the channel's window is 64 of them. */
#define DATA_QUEUE_SIZE 64
#define OTHER_QUEUE_SIZE 16

/* What one turn may send, and one call receive: a peer that keeps up would otherwise keep us. */
#define TURN_BYTES (1U << 20)

/* What the driver is to be told, in this order. */
enum tell { TELL_ADD, TELL_NAME, TELL_OPEN };

static uint64_t features(void *device)
{
	(void)device;
	return BIT(VIRTIO_CONSOLE_F_MULTIPORT) | BIT(VIRTIO_RING_F_EVENT_IDX);
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	if (index >= QUEUES)
		return 0;
	return index >= RX ? DATA_QUEUE_SIZE : OTHER_QUEUE_SIZE;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	const struct virtio_console_config config = { .max_nr_ports = htole32(PORTS) };

	(void)device;
	if (offset < sizeof(config))
		memcpy(buf, (const uint8_t *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* The driver broke a rule. */
static void refuse(struct virtio_console *c)
{
	virtio_mmio_needs_reset(c->mmio);
}

/* The socket matters only when there is a place for its bytes, or bytes for it. */
static void watch(struct virtio_console *c)
{
	uint32_t events = 0;

	if (c->mmio != NULL && virtio_mmio_running(c->mmio)) {
		if (c->receiving && c->guest_open && c->rx_held)
			events |= EPOLLIN;
		if (c->sending && c->tx_held)
			events |= EPOLLOUT;
	}
	if (event_loop_modify(c->loop, &c->source, events) < 0 && c->mmio != NULL)
		refuse(c);
}

/* ---- what the driver is told ---- */

static void tell(struct virtio_console *c, enum tell what)
{
	c->to_tell |= UINT32_C(1) << what;
}

/* The bytes of a message; how many. */
static size_t make_message(const struct virtio_console *c, enum tell what, uint8_t buf[])
{
	struct virtio_console_control m = { .id = htole32(PORT) };
	size_t extra = 0;

	switch (what) {
	case TELL_ADD:
		m.event = htole16(VIRTIO_CONSOLE_PORT_ADD);
		m.value = htole16(1);
		break;
	case TELL_NAME:
		m.event = htole16(VIRTIO_CONSOLE_PORT_NAME);
		m.value = htole16(1);
		extra = strlen(c->name);
		memcpy(buf + sizeof(m), c->name, extra);
		break;
	case TELL_OPEN:
		m.event = htole16(VIRTIO_CONSOLE_PORT_OPEN);
		m.value = htole16(c->receiving && c->sending ? 1 : 0);
		break;
	}
	memcpy(buf, &m, sizeof(m));
	return sizeof(m) + extra;
}

static void tell_driver(struct virtio_console *c)
{
	struct virtqueue *q = virtio_mmio_queue(c->mmio, CONTROL_RX);
	uint8_t buf[sizeof(struct virtio_console_control) + VIRTIO_CONSOLE_NAME_MAX];

	while (q != NULL && c->to_tell != 0 && virtqueue_pop(q, &c->control) == 1) {
		enum tell what = (enum tell)__builtin_ctz(c->to_tell);
		size_t len = make_message(c, what, buf);

		if (c->control.n_readable > 0 || c->control.writable_len < len) {
			refuse(c);
			break;
		}
		(void)virtqueue_chain_write(&c->control, 0, buf, len);
		(void)virtqueue_push(q, c->control.head, (uint32_t)len);
		c->to_tell &= c->to_tell - 1;
	}
	virtio_mmio_signal(c->mmio, CONTROL_RX);
}

/* ---- what the driver tells ---- */

/* Numbers of other ports, and events that are none of a driver's, have no effect. */
static void handle_message(struct virtio_console *c, const struct virtio_console_control *m)
{
	bool yes = le16toh(m->value) != 0, ours = le32toh(m->id) == PORT;

	switch (le16toh(m->event)) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (yes)
			tell(c, TELL_ADD);
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (!yes || !ours)
			break;
		tell(c, TELL_NAME);
		tell(c, TELL_OPEN);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (ours)
			c->guest_open = yes;
		break;
	}
}

static void hear_driver(struct virtio_console *c)
{
	struct virtqueue *q = virtio_mmio_queue(c->mmio, CONTROL_TX);

	while (q != NULL && virtqueue_pop(q, &c->control) == 1) {
		struct virtio_console_control m;

		if (c->control.n_writable > 0 || virtqueue_chain_read(&c->control, 0, &m, sizeof(m)) < sizeof(m)) {
			refuse(c);
			break;
		}
		handle_message(c, &m);
		(void)virtqueue_push(q, c->control.head, 0);
	}
	virtio_mmio_signal(c->mmio, CONTROL_TX);
	virtio_mmio_notify(c->mmio, CONTROL_RX);
	virtio_mmio_notify(c->mmio, RX);
}

/* ---- the port ---- */

static void socket_ended(struct virtio_console *c, bool *direction)
{
	*direction = false;
	tell(c, TELL_OPEN);
	virtio_mmio_notify(c->mmio, CONTROL_RX);
}

/* As much as there is into the buffer at hand. False: nothing more, now or ever. */
static bool receive_one(struct virtio_console *c, struct virtqueue *q)
{
	struct msghdr msg = { .msg_iov = c->iov };
	ssize_t n;

	msg.msg_iovlen = virtqueue_chain_iov(&c->rx, true, 0, TURN_BYTES, c->iov);
	do
		n = recvmsg(c->source.fd, &msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		socket_ended(c, &c->receiving);
		return false;
	}
	c->rx_held = false;
	return virtqueue_push(q, c->rx.head, (uint32_t)n) == 0;
}

static void receive(struct virtio_console *c)
{
	struct virtqueue *q = virtio_mmio_queue(c->mmio, RX);

	while (q != NULL && c->multiport && c->guest_open && c->receiving) {
		if (!c->rx_held && virtqueue_pop(q, &c->rx) != 1)
			break;
		c->rx_held = true;
		if (c->rx.n_readable > 0) {
			refuse(c);
			break;
		}
		if (!receive_one(c, q))
			break;
	}
	virtio_mmio_signal(c->mmio, RX);
}

/* Some of the chain at hand; how much. -EAGAIN: the socket is full. */
static ssize_t send_some(struct virtio_console *c, size_t most)
{
	struct msghdr msg = { .msg_iov = c->iov };
	ssize_t n;

	/* Nobody reads it any more. */
	if (!c->sending)
		return (ssize_t)(c->tx.readable_len - c->sent);
	msg.msg_iovlen = virtqueue_chain_iov(&c->tx, false, c->sent, most, c->iov);
	n = sendmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0 || errno == EINTR)
		return n >= 0 ? n : 0;
	if (errno == EAGAIN)
		return -EAGAIN;
	socket_ended(c, &c->sending);
	return 0;
}

static void send_chains(struct virtio_console *c)
{
	struct virtqueue *q = virtio_mmio_queue(c->mmio, TX);
	size_t left = TURN_BYTES;

	while (q != NULL && c->multiport && left > 0) {
		ssize_t n;

		if (!c->tx_held) {
			if (virtqueue_pop(q, &c->tx) != 1)
				break;
			c->tx_held = true;
			c->sent = 0;
		}
		if (c->tx.n_writable > 0) {
			refuse(c);
			break;
		}
		n = send_some(c, left);
		if (n < 0)
			break;
		left -= (size_t)n < left ? (size_t)n : left;
		c->sent += (uint64_t)n;
		if (c->sent < c->tx.readable_len)
			continue;
		c->tx_held = false;
		(void)virtqueue_push(q, c->tx.head, 0);
	}
	/* A chain at hand comes back with the socket's event; without one the queue has to be looked at again. */
	if (q != NULL && left == 0 && !c->tx_held) {
		virtqueue_end_turn(q);
		(void)virtqueue_pop(q, &c->tx);
	}
	virtio_mmio_signal(c->mmio, TX);
}

/* What a driver without ports writes to its console goes nowhere. */
static void drop_chains(struct virtio_console *c)
{
	struct virtqueue *q = virtio_mmio_queue(c->mmio, PORT0_TX);

	while (q != NULL && virtqueue_pop(q, &c->control) == 1)
		(void)virtqueue_push(q, c->control.head, 0);
	virtio_mmio_signal(c->mmio, PORT0_TX);
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_console *c = device;

	(void)m;
	switch (index) {
	case PORT0_TX:
		drop_chains(c);
		break;
	case CONTROL_RX:
		tell_driver(c);
		break;
	case CONTROL_TX:
		hear_driver(c);
		break;
	case RX:
		receive(c);
		break;
	case TX:
		send_chains(c);
		break;
	}
	watch(c);
}

static void socket_ready(void *data, uint32_t events)
{
	struct virtio_console *c = data;

	/* A hang-up is for whoever waits. */
	if ((events & ~(uint32_t)EPOLLOUT) != 0)
		virtio_mmio_notify(c->mmio, RX);
	if ((events & ~(uint32_t)EPOLLIN) != 0)
		virtio_mmio_notify(c->mmio, TX);
	watch(c);
}

/* ---- life ---- */

static void forget(struct virtio_console *c)
{
	c->mmio = NULL;
	c->multiport = c->guest_open = c->rx_held = c->tx_held = false;
	c->to_tell = 0;
	watch(c);
}

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_console *c = device;

	forget(c);
	c->mmio = m;
	c->multiport = (virtio_mmio_features(m) & BIT(VIRTIO_CONSOLE_F_MULTIPORT)) != 0;
	return 0;
}

static void reset(void *device)
{
	forget(device);
}

const struct virtio_device_ops virtio_console_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.activate = activate,
	.reset = reset,
	.notify = notify,
};

int virtio_console_init(struct virtio_console *c, const struct virtio_console_options *o, struct event_loop *loop)
{
	if (o->name[0] == '\0' || strlen(o->name) > VIRTIO_CONSOLE_NAME_MAX)
		return ERR_PLAIN(-EINVAL, "the name of a console's port has 1 to %d characters", VIRTIO_CONSOLE_NAME_MAX);
	*c = (struct virtio_console){
		.name = o->name,
		.loop = loop,
		.source = { .fd = o->socket, .ready = socket_ready, .data = c },
		.receiving = true,
		.sending = true,
	};
	return event_loop_add(loop, &c->source);
}

void virtio_console_deinit(struct virtio_console *c)
{
	event_loop_remove(c->loop, &c->source);
}
