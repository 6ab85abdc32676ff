/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio console (virtio 1.2, 5.3) with one named port, which is a stream socket on the host.
 *
 * The port's number is 1. Number 0 exists as two queues only and is never added: without F_MULTIPORT a driver takes it for
 * its console, and must not find the channel there; and QEMU's first serial port has the number 1, too, so that the guest
 * sees the same on both. Linux adds the ports that PORT_ADD names, whatever their numbers below max_nr_ports.
 *
 * Nothing is buffered here. Bytes go from the guest's buffers to the socket and back; a chain that the socket does not
 * take stays the guest's last one until it does, and the socket is read only into a buffer that the guest gave, while
 * it has the port open (CVE-2020-27174). A socket at its end is a port that the host closed; what the guest still sends
 * is written as long as the other end takes it, and dropped then.
 *
 * A driver that breaks the rules (a chain in the wrong direction, a control message or a buffer for one that is too
 * short) makes the device need a reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "microvm/event_loop.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

#define VIRTIO_CONSOLE_NAME_MAX 64

struct virtio_console_options {
	int socket;		/* SOCK_STREAM; borrowed */
	const char *name;	/* of the port, at most VIRTIO_CONSOLE_NAME_MAX bytes; has to stay */
};

struct virtio_console {
	const char *name;
	struct event_loop *loop;
	struct event_source source;
	bool receiving, sending;	/* the socket has not ended in this direction */

	/* ---- while a driver is there ---- */
	struct virtio_mmio *mmio;	/* NULL: it is not */
	bool multiport;
	bool guest_open;
	uint32_t to_tell;		/* control messages for the driver, each at most once */
	/* What the port has in its hands; sent: how much of tx the socket has. */
	bool rx_held, tx_held;
	uint64_t sent;
	struct virtqueue_chain rx, tx, control;
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
};

extern const struct virtio_device_ops virtio_console_ops;

/* -EINVAL (the name), or -errno of the loop, with text. c stays where it is until virtio_console_deinit(). */
int virtio_console_init(struct virtio_console *c, const struct virtio_console_options *o, struct event_loop *loop);
void virtio_console_deinit(struct virtio_console *c);
