/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * A driver sets the fields of `config` through its transport, then makes the queue ready. From then on the queue works
 * with what it latched: the rings' places, checked once through the door of the memory, and the size. A later write
 * cannot move a ring or change the size below the device's feet (CVE-2026-5747).
 *
 * The rest is the guest's to write at any moment, and none of it is believed: an index is read once, compared with the
 * size, and only then used; a descriptor is read once, into the chain that the device gets. A queue whose driver breaks
 * the rules becomes broken: nothing is taken from it or put into it until a reset. The device tells its driver by
 * DEVICE_NEEDS_RESET (virtio_mmio.h). That is all a guest can do here.
 *
 * Used by one thread at a time; the transport's owner serialises.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct guest_memory;
struct vring_desc;
struct vring_avail;
struct vring_used;

/*
 * The largest queue. The specification allows 32768. A chain is never longer than its queue, so each fits one readv(2)
 * (IOV_MAX), and is 16 KiB here.
 */
#define VIRTQUEUE_SIZE_MAX 1024
/* The most bytes of one chain: what the used ring's len can tell (2.7.5.2 has the same limit for drivers). */
#define VIRTQUEUE_CHAIN_BYTES_MAX UINT32_MAX

/* What a driver writes; any number is possible until the queue is ready. */
struct virtqueue_config {
	uint32_t size;			/* in descriptors */
	uint64_t desc, avail, used;	/* guest physical: Descriptor Area, Driver Area, Device Area */
};

struct virtqueue {
	const struct guest_memory *memory;
	uint16_t size_max;		/* what the device offers */
	struct virtqueue_config config;	/* written by virtqueue_set_config() only */
	bool ready;
	bool event_idx;			/* VIRTIO_F_EVENT_IDX was negotiated */
	/* Why the queue broke, or why it was not made ready; NULL: neither. A constant, for the log. */
	const char *broken;
	const char *refused;

	/* ---- latched by virtqueue_set_ready() ---- */
	uint16_t size;
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	struct vring_used *used;

	/* ---- where we are; free-running, index modulo size ---- */
	uint16_t next_avail, next_used;
	uint16_t in_flight;		/* popped, not pushed */
	uint16_t budget;		/* pops left in this turn */
	bool turn_over;			/* a pop has found none left */
	uint32_t unsignalled;		/* pushed since virtqueue_needs_interrupt() was last asked */
	uint64_t heads[VIRTQUEUE_SIZE_MAX / 64];	/* which are in flight */
};

/* A chain of descriptors; the pointers are from the door, what they point at is the guest's (see guest_memory.h). */
struct virtqueue_chain {
	uint16_t head;				/* its id, for virtqueue_push() */
	uint16_t n_readable, n_writable;	/* pieces: first those to read, then those to write */
	uint32_t readable_len, writable_len;	/* bytes, together at most VIRTQUEUE_CHAIN_BYTES_MAX */
	struct iovec iov[VIRTQUEUE_SIZE_MAX];	/* no piece is empty */
};

/* size_max: a power of two, at most VIRTQUEUE_SIZE_MAX; -EINVAL. The memory stays the caller's, and has to stay. */
int virtqueue_init(struct virtqueue *q, const struct guest_memory *memory, uint16_t size_max);

/* As it was after virtqueue_init(). What was in flight is forgotten: the device has to have ended it before. */
void virtqueue_reset(struct virtqueue *q);

/* -EBUSY when the queue is ready; nothing is changed then. */
int virtqueue_set_config(struct virtqueue *q, const struct virtqueue_config *config);

/*
 * Checks the config (size: a power of two within size_max; areas: aligned as 2.7 says, and inside the memory) and
 * latches it. -EINVAL with `refused` set; -EBUSY when ready already.
 */
int virtqueue_set_ready(struct virtqueue *q, bool event_idx);

/*
 * A device's turn begins: it may pop as many chains as the queue has descriptors. Without such a bound a guest that
 * refills its queue (or lets a buffer overlap the available ring) would keep the device's thread for ever.
 */
void virtqueue_begin_turn(struct virtqueue *q);

/* It has done enough work for this turn: the next pop says so, unless nothing is left. */
void virtqueue_end_turn(struct virtqueue *q);

/*
 * The next available chain.
 * 1: *chain is filled (otherwise its contents are undefined), and in flight until it is pushed;
 * 0: none; the driver will notify when there is one;
 * -EAGAIN: there are more, but the turn is over; no notification will come, the device has to look again by itself;
 * -EPROTO: the queue is broken; -ENOTCONN: not ready.
 * Only 0 has asked for a notification: a device that stops before has to come back by itself.
 */
int virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *chain);

/*
 * The chain with this head is used, len bytes of its writable part were written (from its beginning). -EINVAL: it is
 * not in flight (a mistake of the device); -EPROTO, -ENOTCONN as above. The rings are then left alone.
 */
int virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len);

struct virtqueue_used {
	uint16_t head;
	uint32_t len;
};

/*
 * The same for several that belong together: the driver sees all of them or none (5.1.6.4: a frame in many buffers). With
 * -EINVAL, too, which is for a chain that is not in flight or is there twice, none.
 */
int virtqueue_push_all(struct virtqueue *q, const struct virtqueue_used *used, size_t n);

/* After some pushes: does the driver want an interrupt for them? (2.7.7, 2.7.10) */
bool virtqueue_needs_interrupt(struct virtqueue *q);

/*
 * The one way to copy to and from chains: bounded by the pieces' sum, whatever a header in them claims
 * (CVE-2019-18960). Copies up to len bytes at offset of the part; returns how many there were.
 */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t len);
size_t virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t len);

/*
 * The same for calls that take pieces: those of up to len bytes at offset of one part. How many there are; ret_iov has
 * room for VIRTQUEUE_SIZE_MAX.
 */
size_t virtqueue_chain_iov(const struct virtqueue_chain *chain, bool writable, uint64_t offset, size_t len,
			   struct iovec *ret_iov);
