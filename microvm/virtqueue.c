/* SPDX-License-Identifier: Apache-2.0 */
/* The device's side of a split virtqueue. See virtqueue.h. */
#include "microvm/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "microvm/guest_memory.h"

/* 2.7: each area's alignment; a ring is followed by the other side's event index. */
#define DESC_ALIGN 16
#define AVAIL_ALIGN 2
#define USED_ALIGN 4
#define EVENT_SIZE sizeof(uint16_t)

static bool power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

int virtqueue_init(struct virtqueue *q, const struct guest_memory *memory, uint16_t size_max)
{
	if (!power_of_two(size_max) || size_max > VIRTQUEUE_SIZE_MAX)
		return -EINVAL;
	*q = (struct virtqueue){ .memory = memory, .size_max = size_max };
	return 0;
}

void virtqueue_reset(struct virtqueue *q)
{
	*q = (struct virtqueue){ .memory = q->memory, .size_max = q->size_max };
}

int virtqueue_set_config(struct virtqueue *q, const struct virtqueue_config *config)
{
	if (q->ready)
		return -EBUSY;
	q->config = *config;
	return 0;
}

static int refuse(struct virtqueue *q, const char *why)
{
	q->refused = why;
	return -EINVAL;
}

static int broken(struct virtqueue *q, const char *why)
{
	q->broken = why;
	return -EPROTO;
}

int virtqueue_set_ready(struct virtqueue *q, bool event_idx)
{
	const struct virtqueue_config *c = &q->config;
	const void *desc, *avail;
	void *used;

	if (q->ready)
		return -EBUSY;
	if (!power_of_two(c->size) || c->size > q->size_max)
		return refuse(q, "the size is no power of two, or larger than offered");
	if (c->desc % DESC_ALIGN != 0 || c->avail % AVAIL_ALIGN != 0 || c->used % USED_ALIGN != 0)
		return refuse(q, "an area is not aligned");
	desc = guest_memory_at(q->memory, c->desc, c->size * sizeof(struct vring_desc));
	avail = guest_memory_at(q->memory, c->avail, sizeof(struct vring_avail) + c->size * sizeof(uint16_t) + EVENT_SIZE);
	used = guest_memory_at(q->memory, c->used,
			       sizeof(struct vring_used) + c->size * sizeof(struct vring_used_elem) + EVENT_SIZE);
	if (desc == NULL || avail == NULL || used == NULL)
		return refuse(q, "an area is outside of memory");
	q->size = (uint16_t)c->size;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->event_idx = event_idx;
	q->budget = q->size;
	q->refused = NULL;
	q->ready = true;
	return 0;
}

void virtqueue_begin_turn(struct virtqueue *q)
{
	q->budget = q->size;
	q->turn_over = false;
}

void virtqueue_end_turn(struct virtqueue *q)
{
	q->budget = 0;
}

/* ---- the rings ---- */

/* 2.7.7, 2.7.10: the two event indices are behind the entries of the other one's ring. */
static const uint16_t *used_event(const struct virtqueue *q)
{
	return &q->avail->ring[q->size];
}

static uint16_t *avail_event(struct virtqueue *q)
{
	return (uint16_t *)(void *)&q->used->ring[q->size];
}

/*
 * How many chains wait. More than the descriptors that are left is a lie: the driver owns none of those in flight.
 * Without this an index that jumps back makes 65535 entries out of old ones (CVE-2011-2512, CVE-2016-5403).
 */
static int pending(struct virtqueue *q)
{
	uint16_t n = (uint16_t)(guest_load16_acquire(&q->avail->idx) - q->next_avail);

	if (n > q->size - q->in_flight)
		return broken(q, "more is available than there are descriptors");
	return n;
}

/*
 * Nothing waits: the driver is asked to notify of the next entry. It may have added one just before it could see that,
 * so we look again behind the fence; the driver has its own between its index and its look at ours. Without EVENT_IDX
 * it always notifies: the flags stay 0, as the driver has made them.
 */
static int rearm(struct virtqueue *q)
{
	if (!q->event_idx)
		return 0;
	guest_store16(avail_event(q), q->next_avail);
	guest_fence();
	return pending(q);
}

static struct vring_desc load_desc(const struct virtqueue *q, uint16_t i)
{
	const struct vring_desc *d = &q->desc[i];

	return (struct vring_desc){
		.addr = guest_load64(&d->addr),
		.len = guest_load32(&d->len),
		.flags = guest_load16(&d->flags),
		.next = guest_load16(&d->next),
	};
}

/* Adds what d describes; d is ours. */
static int add_piece(struct virtqueue *q, struct virtqueue_chain *chain, const struct vring_desc *d)
{
	bool writable = (d->flags & VRING_DESC_F_WRITE) != 0;
	void *host;

	/* Not offered: with indirect tables a chain's length would be bounded by nothing that was latched. */
	if ((d->flags & VRING_DESC_F_INDIRECT) != 0)
		return broken(q, "an indirect descriptor, which was not negotiated");
	if (!writable && chain->n_writable > 0)
		return broken(q, "a readable descriptor behind a writable one");
	if (d->len > VIRTQUEUE_CHAIN_BYTES_MAX - chain->readable_len - chain->writable_len)
		return broken(q, "a chain of more than 4 GiB");
	host = guest_memory_at(q->memory, d->addr, d->len);
	if (host == NULL)
		return broken(q, "a descriptor is empty or outside of memory");
	chain->iov[chain->n_readable + chain->n_writable] = (struct iovec){ .iov_base = host, .iov_len = d->len };
	if (writable) {
		chain->n_writable++;
		chain->writable_len += d->len;
	} else {
		chain->n_readable++;
		chain->readable_len += d->len;
	}
	return 0;
}

/* A chain that is longer than the queue has a loop; so no more is walked than the queue's size. */
static int walk(struct virtqueue *q, uint16_t head, struct virtqueue_chain *chain)
{
	uint16_t i = head;

	chain->head = head;
	chain->n_readable = chain->n_writable = 0;
	chain->readable_len = chain->writable_len = 0;
	for (uint16_t n = 0; n < q->size; n++) {
		struct vring_desc d;
		int r;

		if (i >= q->size)
			return broken(q, "a descriptor outside of the table");
		d = load_desc(q, i);
		r = add_piece(q, chain, &d);
		if (r < 0)
			return r;
		if ((d.flags & VRING_DESC_F_NEXT) == 0)
			return 1;
		i = d.next;
	}
	return broken(q, "a chain with a loop");
}

static int usable(const struct virtqueue *q)
{
	if (!q->ready)
		return -ENOTCONN;
	return q->broken != NULL ? -EPROTO : 0;
}

static bool head_in_flight(const struct virtqueue *q, uint16_t head)
{
	return head < q->size && (q->heads[head / 64] >> (head % 64) & 1) != 0;
}

static void head_toggle(struct virtqueue *q, uint16_t head)
{
	q->heads[head / 64] ^= UINT64_C(1) << (head % 64);
}

int virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *chain)
{
	uint16_t head;
	int r;

	r = usable(q);
	if (r < 0)
		return r;
	r = pending(q);
	if (r == 0)
		r = rearm(q);
	if (r <= 0)
		return r;
	if (q->budget == 0) {
		q->turn_over = true;
		return -EAGAIN;
	}
	head = guest_load16(&q->avail->ring[q->next_avail % q->size]);
	/* Two requests with one id: the device could not tell their completions apart. */
	if (head_in_flight(q, head))
		return broken(q, "a chain is available again before it was used");
	r = walk(q, head, chain);
	if (r < 0)
		return r;
	head_toggle(q, head);
	q->in_flight++;
	q->next_avail++;
	q->budget--;
	return 1;
}

/* From in flight to the used ring, where the driver does not look yet. */
static void put_used(struct virtqueue *q, const struct virtqueue_used *u)
{
	struct vring_used_elem *elem = &q->used->ring[q->next_used % q->size];

	guest_store32(&elem->id, u->head);
	guest_store32(&elem->len, u->len);
	q->in_flight--;
	q->next_used++;
	if (q->unsignalled < UINT32_MAX)
		q->unsignalled++;
}

int virtqueue_push_all(struct virtqueue *q, const struct virtqueue_used *used, size_t n)
{
	size_t taken = 0;
	int r = usable(q);

	if (r < 0)
		return r;
	while (taken < n && head_in_flight(q, used[taken].head))
		head_toggle(q, used[taken++].head);
	if (taken < n) {
		while (taken > 0)
			head_toggle(q, used[--taken].head);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++)
		put_used(q, &used[i]);
	/* Last: from here on the driver takes the entries, and may fill the descriptors anew. */
	guest_store16_release(&q->used->idx, q->next_used);
	return 0;
}

int virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len)
{
	return virtqueue_push_all(q, &(struct virtqueue_used){ .head = head, .len = len }, 1);
}

bool virtqueue_needs_interrupt(struct virtqueue *q)
{
	uint32_t pushed = q->unsignalled;

	if (usable(q) < 0 || pushed == 0)
		return false;
	q->unsignalled = 0;
	/* Our index first, then the driver's wish: it writes its wish first, then looks at our index. */
	guest_fence();
	if (!q->event_idx)
		return (guest_load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
	/* Is the entry that it waits for among those pushed? It is as many entries back as the distance says. */
	return (uint16_t)(q->next_used - guest_load16(used_event(q)) - 1) < pushed;
}

/* ---- chains ---- */

/* The bytes of a piece that are at *offset or behind, at most want; *offset is then that of the next piece. */
static struct iovec clip(const struct iovec *piece, uint64_t *offset, size_t want)
{
	size_t skip = *offset < piece->iov_len ? (size_t)*offset : piece->iov_len;
	size_t len = piece->iov_len - skip;

	*offset -= skip;
	return (struct iovec){
		.iov_base = (uint8_t *)piece->iov_base + skip,
		.iov_len = len < want ? len : want,
	};
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < chain->n_readable && done < len; i++) {
		struct iovec part = clip(&chain->iov[i], &offset, len - done);

		guest_copy((uint8_t *)data + done, part.iov_base, part.iov_len);
		done += part.iov_len;
	}
	return done;
}

size_t virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t len)
{
	const struct iovec *iov = chain->iov + chain->n_readable;
	size_t done = 0;

	for (size_t i = 0; i < chain->n_writable && done < len; i++) {
		struct iovec part = clip(&iov[i], &offset, len - done);

		guest_copy(part.iov_base, (const uint8_t *)data + done, part.iov_len);
		done += part.iov_len;
	}
	return done;
}

size_t virtqueue_chain_iov(const struct virtqueue_chain *chain, bool writable, uint64_t offset, size_t len,
			   struct iovec *ret_iov)
{
	const struct iovec *iov = chain->iov + (writable ? chain->n_readable : 0);
	size_t n = writable ? chain->n_writable : chain->n_readable, done = 0, used = 0;

	for (size_t i = 0; i < n && done < len; i++) {
		struct iovec part = clip(&iov[i], &offset, len - done);

		if (part.iov_len == 0)
			continue;
		ret_iov[used++] = part;
		done += part.iov_len;
	}
	return used;
}
