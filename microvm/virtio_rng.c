/* SPDX-License-Identifier: Apache-2.0 */
/* A source of randomness. See virtio_rng.h. */
#include "microvm/virtio_rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <sys/random.h>

/* Linux has one request at a time. */
#define QUEUE_SIZE 8

static uint64_t features(void *device)
{
	(void)device;
	return UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index == 0 ? QUEUE_SIZE : 0;
}

/* How many bytes of the chain are random now; 0: none could be had. */
static uint32_t fill(struct virtio_rng *rng)
{
	size_t n = virtqueue_chain_iov(&rng->chain, true, 0, VIRTIO_RNG_REQUEST_MAX, rng->iov);
	uint32_t done = 0;

	for (size_t i = 0; i < n; i++) {
		ssize_t got;

		do
			got = getrandom(rng->iov[i].iov_base, rng->iov[i].iov_len, 0);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			break;
		done += (uint32_t)got;
		if ((size_t)got < rng->iov[i].iov_len)
			break;
	}
	return done;
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_rng *rng = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);

	while (q != NULL && virtqueue_pop(q, &rng->chain) == 1) {
		uint32_t done = rng->chain.n_readable == 0 ? fill(rng) : 0;

		/* 5.4.6.2: an answer has one byte at least. */
		if (done == 0) {
			virtio_mmio_needs_reset(m);
			break;
		}
		(void)virtqueue_push(q, rng->chain.head, done);
	}
	virtio_mmio_signal(m, index);
}

const struct virtio_device_ops virtio_rng_ops = {
	.id = VIRTIO_ID_RNG,
	.features = features,
	.queue_size = queue_size,
	.notify = notify,
};
