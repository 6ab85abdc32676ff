/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of microvm/virtqueue.h for tests: a guest's memory over a buffer, and the driver's half of a split
 * virtqueue in it, written from virtio 1.2, 2.7 without the device's code. It can also do what no driver should.
 */
#pragma once

#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "microvm/guest_memory.h"
#include "microvm/virtqueue.h"
#include "runtime/base/fd.h"

/* Two regions with nothing between them here, and 4 GiB in the guest. */
#define LOW_SIZE UINT64_C(0x10000)
#define HIGH_SIZE UINT64_C(0x2000)
#define HIGH_ADDR GUEST_HOLE_END

/* Where this driver puts things. */
#define DESC_ADDR UINT64_C(0x1000)
#define AVAIL_ADDR UINT64_C(0x6000)
#define USED_ADDR UINT64_C(0x7000)
#define DATA_ADDR UINT64_C(0xA000)

struct guest {
	uint8_t *bytes;
	struct guest_memory gm;
};

static inline bool guest_make(struct guest *g)
{
	struct guest_region low = { .addr = 0, .size = LOW_SIZE, .fd = FD_NONE };
	struct guest_region high = { .addr = HIGH_ADDR, .size = HIGH_SIZE, .fd = FD_NONE };

	g->gm = (struct guest_memory)GUEST_MEMORY_NULL;
	g->bytes = aligned_alloc(GUEST_PAGE_SIZE, LOW_SIZE + HIGH_SIZE);
	if (g->bytes == NULL)
		return false;
	memset(g->bytes, 0, LOW_SIZE + HIGH_SIZE);
	low.host = g->bytes;
	high.host = g->bytes + LOW_SIZE;
	return guest_memory_add(&g->gm, &low) == 0 && guest_memory_add(&g->gm, &high) == 0;
}

static inline void guest_drop(struct guest *g)
{
	free(g->bytes);
}

/* Is all of it inside one of the two regions? Counted here, not asked at the door. */
static inline bool guest_owns(const struct guest *g, const void *p, uint64_t len)
{
	uint64_t offset = (uint64_t)((const uint8_t *)p - g->bytes);

	if ((const uint8_t *)p < g->bytes || offset >= LOW_SIZE + HIGH_SIZE || len == 0)
		return false;
	return len <= (offset < LOW_SIZE ? LOW_SIZE : LOW_SIZE + HIGH_SIZE) - offset;
}

struct driver {
	uint16_t size;
	bool event_idx;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail;	/* the next entry's index; avail->idx is what the device was told of */
	uint16_t seen_used;
};

static inline void driver_make(struct driver *d, struct guest *g, uint16_t size, bool event_idx)
{
	*d = (struct driver){
		.size = size,
		.event_idx = event_idx,
		.desc = (struct vring_desc *)(void *)(g->bytes + DESC_ADDR),
		.avail = (struct vring_avail *)(void *)(g->bytes + AVAIL_ADDR),
		.used = (struct vring_used *)(void *)(g->bytes + USED_ADDR),
	};
}

static inline struct virtqueue_config driver_config(uint16_t size)
{
	return (struct virtqueue_config){ .size = size, .desc = DESC_ADDR, .avail = AVAIL_ADDR, .used = USED_ADDR };
}

static inline void driver_desc(struct driver *d, uint16_t i, struct vring_desc v)
{
	d->desc[i].addr = htole64(v.addr);
	d->desc[i].len = htole32(v.len);
	d->desc[i].flags = htole16(v.flags);
	d->desc[i].next = htole16(v.next);
}

/* One more entry of the available ring, not published. */
static inline void driver_add(struct driver *d, uint16_t head)
{
	d->avail->ring[d->next_avail++ % d->size] = htole16(head);
}

/* Publishes what was added; does the device want to hear of it? */
static inline bool driver_publish(struct driver *d)
{
	uint16_t old = le16toh(d->avail->idx), event;

	__atomic_store_n(&d->avail->idx, htole16(d->next_avail), __ATOMIC_SEQ_CST);
	if (!d->event_idx)
		return (le16toh(d->used->flags) & VRING_USED_F_NO_NOTIFY) == 0;
	event = le16toh(*(uint16_t *)(void *)&d->used->ring[d->size]);
	/* The entry `event` is one of those from old on. */
	return (uint16_t)(event - old) < (uint16_t)(d->next_avail - old);
}

/* The next used element, if there is one. */
static inline bool driver_take(struct driver *d, uint32_t *ret_id, uint32_t *ret_len)
{
	struct vring_used_elem *e = &d->used->ring[d->seen_used % d->size];

	if (le16toh(d->used->idx) == d->seen_used)
		return false;
	*ret_id = le32toh(e->id);
	*ret_len = le32toh(e->len);
	d->seen_used++;
	return true;
}

/* The driver has seen all, and wants an interrupt for the next one. */
static inline void driver_want_interrupt(struct driver *d)
{
	d->avail->ring[d->size] = htole16(d->seen_used);
}
