/* SPDX-License-Identifier: Apache-2.0 */
/* A balloon. See virtio_balloon.h. */
#include "microvm/virtio_balloon.h"

#include <endian.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* From REPORTING on, all of them report. */
enum queue { INFLATE, DEFLATE, REPORTING, QUEUES = 5 };

/* Linux reports 32 blocks at a time. */
#define QUEUE_SIZE 64

static uint64_t features(void *device)
{
	const struct virtio_balloon *b = device;

	return BIT(VIRTIO_BALLOON_F_REPORTING) | BIT(VIRTIO_RING_F_EVENT_IDX) |
	       (b->deflate_on_oom ? BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) : 0);
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < QUEUES ? QUEUE_SIZE : 0;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	const struct virtio_balloon *b = device;
	const struct virtio_balloon_config config = { .num_pages = htole32(b->target), .actual = htole32(b->actual) };

	if (offset < sizeof(config))
		memcpy(buf, (const uint8_t *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* The driver says how large the balloon is, in one piece; the rest is the host's. */
static void config_write(void *device, uint32_t offset, const void *buf, uint32_t len)
{
	struct virtio_balloon *b = device;
	uint32_t v;

	if (offset != offsetof(struct virtio_balloon_config, actual) || len != sizeof(v))
		return;
	memcpy(&v, buf, sizeof(v));
	b->actual = le32toh(v);
}

static void discard(struct virtio_balloon *b, void *p, uint64_t len)
{
	/* What cannot be given back stays the guest's: it costs memory, nothing else. */
	if (guest_memory_discard(b->memory, p, len) == 0)
		b->discarded += len;
}

/* ---- the balloon ---- */

/* The n pages from number first on. False: they are not all memory. */
static bool discard_run(struct virtio_balloon *b, uint32_t first, uint64_t n)
{
	uint64_t len = n * VIRTIO_BALLOON_PAGE_SIZE;
	void *p = guest_memory_at(b->memory, (uint64_t)first * VIRTIO_BALLOON_PAGE_SIZE, len);

	if (p != NULL)
		discard(b, p, len);
	return p != NULL;
}

/* Neighbours together, in whichever order: a call for each page is what makes balloons slow. */
static bool discard_pages(struct virtio_balloon *b, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t first = le32toh(b->pages[i]), last = first;
		size_t k = i + 1;

		for (; k < n; k++) {
			uint32_t page = le32toh(b->pages[k]);

			if (page == (uint64_t)last + 1)
				last = page;
			else if ((uint64_t)page + 1 == first)
				first = page;
			else
				break;
		}
		if (!discard_run(b, first, (uint64_t)last - first + 1))
			return false;
		i = k;
	}
	return true;
}

/* A request to inflate, or to deflate: there the pages come back by being touched. */
static bool resize(struct virtio_balloon *b, bool inflate)
{
	const struct virtqueue_chain *c = &b->chain;

	if (c->n_writable > 0 || c->readable_len % sizeof(b->pages[0]) != 0 || c->readable_len > sizeof(b->pages))
		return false;
	(void)virtqueue_chain_read(c, 0, b->pages, sizeof(b->pages));
	return !inflate || discard_pages(b, c->readable_len / sizeof(b->pages[0]));
}

/* ---- free page reporting ---- */

/* The pieces are the memory that is free; of its first and last page only what is whole. */
static bool report(struct virtio_balloon *b)
{
	const struct virtqueue_chain *c = &b->chain;

	if (c->n_readable > 0)
		return false;
	for (uint16_t i = 0; i < c->n_writable; i++) {
		uint64_t skip = -(uintptr_t)c->iov[i].iov_base % GUEST_PAGE_SIZE;
		uint64_t len = c->iov[i].iov_len;

		if (len < skip + GUEST_PAGE_SIZE)
			continue;
		discard(b, (uint8_t *)c->iov[i].iov_base + skip, (len - skip) / GUEST_PAGE_SIZE * GUEST_PAGE_SIZE);
	}
	return true;
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_balloon *b = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);

	while (q != NULL && virtqueue_pop(q, &b->chain) == 1) {
		bool ok;

		if (index < REPORTING)
			ok = resize(b, index == INFLATE);
		else
			ok = report(b);
		if (!ok) {
			virtio_mmio_needs_reset(m);
			break;
		}
		(void)virtqueue_push(q, b->chain.head, 0);
	}
	virtio_mmio_signal(m, index);
}

/* ---- life ---- */

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_balloon *b = device;

	b->mmio = m;
	return 0;
}

/* A driver that starts has an empty balloon. */
static void reset(void *device)
{
	struct virtio_balloon *b = device;

	b->mmio = NULL;
	b->actual = 0;
}

const struct virtio_device_ops virtio_balloon_ops = {
	.id = VIRTIO_ID_BALLOON,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.config_write = config_write,
	.activate = activate,
	.reset = reset,
	.notify = notify,
};

void virtio_balloon_init(struct virtio_balloon *b, const struct virtio_balloon_options *o)
{
	*b = (struct virtio_balloon){ .memory = o->memory, .deflate_on_oom = o->deflate_on_oom };
}

void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages)
{
	if (pages == b->target)
		return;
	b->target = pages;
	if (b->mmio != NULL)
		virtio_mmio_config_changed(b->mmio);
}
