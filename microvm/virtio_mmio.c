/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of virtio over MMIO. See virtio_mmio.h. */
#include "microvm/virtio_mmio.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "runtime/base/err.h"

#define MAGIC 0x74726976	/* "virt" */
#define VERSION 2
#define VENDOR 0x7263616E	/* "nacr" */

#define BIT(n) (UINT64_C(1) << (n))
/* The bits that are about queues and transports (2.2); the rest is the device type's. */
#define TRANSPORT_FEATURES (BIT(50) - BIT(24))
#define OUR_FEATURES BIT(VIRTIO_RING_F_EVENT_IDX)

#define STATUS_STOPPED (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET)

int virtio_mmio_init(struct virtio_mmio *m, const struct guest_memory *memory, const struct virtio_device_ops *ops,
		     void *device, void (*interrupt)(void *data), void *interrupt_data)
{
	uint64_t features = ops->features(device);

	*m = (struct virtio_mmio){
		.ops = ops,
		.device = device,
		.interrupt = interrupt,
		.interrupt_data = interrupt_data,
		.device_features = (features & (~TRANSPORT_FEATURES | OUR_FEATURES)) | BIT(VIRTIO_F_VERSION_1),
	};
	for (unsigned int i = 0;; i++) {
		uint16_t size = ops->queue_size(device, i);

		if (size == 0)
			return 0;
		if (i >= VIRTIO_MMIO_QUEUES_MAX)
			return ERR_PLAIN(-EINVAL, "a virtio device of type %u has more than %d queues", ops->id,
					 VIRTIO_MMIO_QUEUES_MAX);
		if (virtqueue_init(&m->queues[i], memory, size) < 0)
			return ERR_PLAIN(-EINVAL, "a virtio device of type %u has a queue of %u descriptors", ops->id, size);
		m->n_queues = i + 1;
	}
}

/* Are these all set, and is the device not stopped? */
static bool in_status(const struct virtio_mmio *m, uint32_t bits)
{
	return (m->status & (bits | STATUS_STOPPED)) == bits;
}

/* ---- interrupts ---- */

static void interrupt(struct virtio_mmio *m, uint32_t why)
{
	m->interrupt_status |= why;
	m->interrupt(m->interrupt_data);
}

void virtio_mmio_config_changed(struct virtio_mmio *m)
{
	m->config_generation++;
	if ((m->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
		interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_needs_reset(struct virtio_mmio *m)
{
	if ((m->status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0)
		return;
	m->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	/* 2.1.2: only a driver that is there is told. */
	if ((m->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
		interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_signal(struct virtio_mmio *m, unsigned int index)
{
	struct virtqueue *q = virtio_mmio_queue(m, index);

	if (q == NULL)
		return;
	if (q->broken != NULL)
		virtio_mmio_needs_reset(m);
	else if (virtqueue_needs_interrupt(q))
		interrupt(m, VIRTIO_MMIO_INT_VRING);
}

/* ---- queues ---- */

uint64_t virtio_mmio_features(const struct virtio_mmio *m)
{
	return m->driver_features;
}

bool virtio_mmio_running(const struct virtio_mmio *m)
{
	return m->active && in_status(m, VIRTIO_CONFIG_S_DRIVER_OK);
}

struct virtqueue *virtio_mmio_queue(struct virtio_mmio *m, unsigned int index)
{
	if (!m->active || index >= m->n_queues || !m->queues[index].ready)
		return NULL;
	return &m->queues[index];
}

void virtio_mmio_notify(struct virtio_mmio *m, uint32_t index)
{
	struct virtqueue *q = virtio_mmio_queue(m, index);

	if (q == NULL || !virtio_mmio_running(m))
		return;
	m->unfinished &= ~(UINT32_C(1) << index);
	virtqueue_begin_turn(q);
	m->ops->notify(m->device, m, index);
	if (q->turn_over)
		m->unfinished |= UINT32_C(1) << index;
}

void virtio_mmio_continue(struct virtio_mmio *m)
{
	uint32_t unfinished = m->unfinished;

	/* Stopped ones have no next turn. */
	m->unfinished = 0;
	for (unsigned int i = 0; i < m->n_queues; i++)
		if ((unfinished >> i & 1) != 0)
			virtio_mmio_notify(m, i);
}

static struct virtqueue *selected(struct virtio_mmio *m)
{
	return m->queue_sel < m->n_queues ? &m->queues[m->queue_sel] : NULL;
}

/* The selected queue while the driver may set it up: after its features are fixed, before it is there. */
static struct virtqueue *selected_for_setup(struct virtio_mmio *m)
{
	if (!in_status(m, VIRTIO_CONFIG_S_FEATURES_OK) || (m->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
		return NULL;
	return selected(m);
}

static void set_half(uint64_t *v, bool high, uint32_t half)
{
	unsigned int shift = high ? 32 : 0;

	*v = (*v & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)half << shift;
}

/* One of the fields of the selected queue; a queue that is ready refuses it. */
static void write_queue(struct virtio_mmio *m, uint32_t reg, uint32_t v)
{
	struct virtqueue *q = selected_for_setup(m);
	struct virtqueue_config c;

	if (q == NULL)
		return;
	c = q->config;
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_NUM:
		c.size = v;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&c.desc, reg == VIRTIO_MMIO_QUEUE_DESC_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&c.avail, reg == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&c.used, reg == VIRTIO_MMIO_QUEUE_USED_HIGH, v);
		break;
	}
	(void)virtqueue_set_config(q, &c);
}

/* A queue that could not be made ready reads as not ready; 0 makes it as new. */
static void write_queue_ready(struct virtio_mmio *m, uint32_t v)
{
	struct virtqueue *q = selected_for_setup(m);

	if (q != NULL && v == 1)
		(void)virtqueue_set_ready(q, (m->driver_features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0);
	else if (q != NULL && v == 0)
		virtqueue_reset(q);
}

/* ---- features and status ---- */

static void write_driver_features(struct virtio_mmio *m, uint32_t v)
{
	if (!in_status(m, VIRTIO_CONFIG_S_DRIVER) || (m->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
		return;
	if (m->driver_features_sel < 2)
		set_half(&m->driver_features, m->driver_features_sel == 1, v);
	else if (v != 0)
		m->unknown_features = true;
}

/* 2.2.2: nothing that was not offered; and a driver without VERSION_1 would speak another layout of everything. */
static bool features_acceptable(const struct virtio_mmio *m)
{
	return !m->unknown_features && (m->driver_features & ~m->device_features) == 0 &&
	       (m->driver_features & BIT(VIRTIO_F_VERSION_1)) != 0;
}

static void activate(struct virtio_mmio *m)
{
	m->active = true;
	if (m->ops->activate == NULL || m->ops->activate(m->device, m) >= 0)
		return;
	m->active = false;
	virtio_mmio_needs_reset(m);
}

/* The generation goes on: a driver must not take the config space after the reset for the one before. */
static void reset(struct virtio_mmio *m)
{
	if (m->active && m->ops->reset != NULL)
		m->ops->reset(m->device);
	m->active = false;
	for (unsigned int i = 0; i < m->n_queues; i++)
		virtqueue_reset(&m->queues[i]);
	m->driver_features = 0;
	m->unknown_features = false;
	m->unfinished = 0;
	m->device_features_sel = m->driver_features_sel = 0;
	m->queue_sel = m->interrupt_status = m->status = 0;
}

/* 3.1.1: each bit after those before it, and none is ever taken back but by a reset. */
static void write_status(struct virtio_mmio *m, uint32_t v)
{
	static const struct {
		uint32_t bit, after;
	} steps[] = {
		{ VIRTIO_CONFIG_S_ACKNOWLEDGE, 0 },
		{ VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE },
		{ VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER },
		{ VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK },
	};

	if (v == 0) {
		reset(m);
		return;
	}
	if ((v & VIRTIO_CONFIG_S_FAILED) != 0) {
		m->status |= VIRTIO_CONFIG_S_FAILED;
		return;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint32_t bit = steps[i].bit;

		if ((v & ~m->status & bit) == 0 || !in_status(m, steps[i].after))
			continue;
		if (bit == VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(m))
			continue;
		m->status |= bit;
		if (bit == VIRTIO_CONFIG_S_DRIVER_OK)
			activate(m);
	}
}

/* ---- accesses ---- */

/* The half of the features that sel asks for; there are two. */
static uint32_t features_half(uint64_t features, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(features >> (sel * 32)) : 0;
}

static uint32_t interrupt_status(const struct virtio_mmio *m)
{
	return m->interrupt_status | (m->ops->queues_elsewhere && m->active ? VIRTIO_MMIO_INT_VRING : 0);
}

static uint32_t read_register(struct virtio_mmio *m, uint32_t reg)
{
	const struct virtqueue *q = selected(m);

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return m->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return features_half(m->device_features, m->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q != NULL ? q->size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q != NULL && q->ready ? 1 : 0;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return interrupt_status(m);
	case VIRTIO_MMIO_STATUS:
		return m->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		/* 4.2.2: a shared memory region that does not exist has the length -1; 0 would be one without bytes. */
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return m->config_generation;
	default:
		return 0;
	}
}

static void write_register(struct virtio_mmio *m, uint32_t reg, uint32_t v)
{
	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(m, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_queue_ready(m, v);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_mmio_notify(m, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		m->interrupt_status &= ~v;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(m, v);
		break;
	default:
		write_queue(m, reg, v);
	}
}

/* Where in the config space; -1: this is no access to it that a driver may make (4.2.2.2: aligned, 1, 2 or 4 bytes). */
static int config_offset(uint64_t offset, uint32_t len)
{
	if (offset < VIRTIO_MMIO_CONFIG || offset >= VIRTIO_MMIO_SIZE)
		return -1;
	if ((len != 1 && len != 2 && len != 4) || offset % len != 0)
		return -1;
	return (int)(offset - VIRTIO_MMIO_CONFIG);
}

static bool is_register(uint64_t offset, uint32_t len)
{
	return offset < VIRTIO_MMIO_CONFIG && len == sizeof(uint32_t) && offset % sizeof(uint32_t) == 0;
}

void virtio_mmio_read(struct virtio_mmio *m, uint64_t offset, void *data, uint32_t len)
{
	int config = config_offset(offset, len);

	/* Also what a device leaves out: bytes of ours must not get through. */
	memset(data, 0, len);
	if (is_register(offset, len)) {
		uint32_t v = htole32(read_register(m, (uint32_t)offset));

		memcpy(data, &v, sizeof(v));
	} else if (config >= 0 && m->ops->config_read != NULL)
		m->ops->config_read(m->device, (uint32_t)config, data, len);
}

void virtio_mmio_write(struct virtio_mmio *m, uint64_t offset, const void *data, uint32_t len)
{
	int config = config_offset(offset, len);

	if (is_register(offset, len)) {
		uint32_t v;

		memcpy(&v, data, sizeof(v));
		write_register(m, (uint32_t)offset, le32toh(v));
	} else if (config >= 0 && m->ops->config_write != NULL && in_status(m, VIRTIO_CONFIG_S_DRIVER))
		m->ops->config_write(m->device, (uint32_t)config, data, len);
}
