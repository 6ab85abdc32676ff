/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest at a virtio device: the memory it has prepared, and what it then does. The input is the length of a script (16
 * bits, little endian), the script, and what is in memory from address 0 on. A script is steps: a byte that says what
 * (enum step), and its operands. Whatever it is, the device's side stays within memory, its turns end, and the registers
 * keep their promises.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "microvm/guest_memory.h"
#include "microvm/virtio_mmio.h"
#include "runtime/base/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOW_SIZE 0x4000
#define HIGH_SIZE 0x1000
#define QUEUES 2
#define QUEUE_MAX 16
#define STEPS_MAX 2000
#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

/* Where SETUP has the areas of queue n: each 0x400 bytes after the one before. */
#define DESC 0
#define AVAIL 0x100
#define USED 0x200
#define QUEUE_STRIDE 0x400

enum step {
	REGISTER,	/* u8 register / 4, u32 value */
	WRITE,		/* u16 offset, u8 length, 8 bytes */
	READ,		/* u16 offset, u8 length */
	SETUP,		/* u8: bits 0-2 the size's logarithm, 3 EVENT_IDX, 4 not DRIVER_OK */
	NOTIFY,		/* u8 queue */
	POKE,		/* u16 address, u16 value */
	PUBLISH,	/* u8: bit 7 the queue, the rest is added to its available index */
	CONTINUE,
	MODE,		/* u8: bit 0 the device keeps what it pops, 1 another vCPU adds an entry for each */
	COMPLETE,	/* u8: how many of these it now pushes */
	CONFIG,
	STEPS,
};

struct script {
	const uint8_t *p;
	size_t left;
};

struct held {
	unsigned int queue;
	uint16_t head;
	uint32_t len;
};

struct machine {
	uint8_t *low, *high;
	struct guest_memory gm;
	struct virtio_mmio m;
	struct virtqueue_chain chain;
	bool hold, refill, active;
	struct held held[QUEUES * QUEUE_MAX];
	size_t n_held;
};

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static uint32_t take(struct script *s, size_t bytes)
{
	uint32_t v = 0;

	for (size_t i = 0; i < bytes && s->left > 0; i++, s->left--)
		v |= (uint32_t)*s->p++ << (8 * i);
	return v;
}

/* ---- the device ---- */

static uint64_t features(void *device)
{
	(void)device;
	return UINT64_MAX;
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < QUEUES ? QUEUE_MAX : 0;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	(void)device;
	must(len <= 4 && offset % len == 0 && offset + len <= VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG);
	memset(buf, 0x5A, len);
}

static void config_write(void *device, uint32_t offset, const void *buf, uint32_t len)
{
	(void)device;
	(void)buf;
	must(len <= 4 && offset % len == 0 && offset + len <= VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG);
}

static int activate(void *device, struct virtio_mmio *m)
{
	struct machine *vm = device;

	must(!vm->active && (m->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0);
	vm->active = true;
	return 0;
}

static void reset(void *device)
{
	struct machine *vm = device;

	must(vm->active);
	vm->active = false;
	vm->n_held = 0;
}

static bool within(const uint8_t *base, uint64_t size, const struct iovec *piece)
{
	uint64_t offset = (uint64_t)((const uint8_t *)piece->iov_base - base);

	return (const uint8_t *)piece->iov_base >= base && offset < size && piece->iov_len <= size - offset;
}

/* Inside memory, counted rightly; the first and the last byte of each piece are touched, for the sanitizer. */
static void check_chain(struct machine *vm, const struct virtqueue *q)
{
	const struct virtqueue_chain *c = &vm->chain;
	unsigned int n = (unsigned int)c->n_readable + c->n_writable;
	uint64_t sums[2] = { 0, 0 };
	uint8_t buf[40];
	size_t done;

	must(n >= 1 && n <= q->size && c->head < q->size);
	for (unsigned int i = 0; i < n; i++) {
		const struct iovec *piece = &c->iov[i];
		volatile uint8_t *bytes = piece->iov_base;
		bool writable = i >= c->n_readable;

		must(piece->iov_len > 0);
		must(within(vm->low, LOW_SIZE, piece) || within(vm->high, HIGH_SIZE, piece));
		sums[writable ? 1 : 0] += piece->iov_len;
		if (writable)
			bytes[0] = bytes[piece->iov_len - 1];
		else
			(void)(bytes[0] + bytes[piece->iov_len - 1]);
	}
	must(sums[0] == c->readable_len && sums[1] == c->writable_len && sums[0] + sums[1] <= VIRTQUEUE_CHAIN_BYTES_MAX);
	done = virtqueue_chain_read(c, 3, buf, sizeof(buf));
	must(done == (sums[0] < 3 ? 0 : sums[0] - 3 < sizeof(buf) ? sums[0] - 3 : sizeof(buf)));
	/* What was read is written: so a guest has words of its own put where it wants them, rings included. */
	must(virtqueue_chain_write(c, 0, buf, done) == (done < sums[1] ? done : sums[1]));
}

/* As a driver would, where SETUP has the queue: how's bit 7 is which, the rest how many. */
static void publish(struct machine *vm, uint32_t how)
{
	uint8_t *idx = vm->low + (how >> 7) * QUEUE_STRIDE + AVAIL + 2;
	uint16_t v;

	memcpy(&v, idx, sizeof(v));
	v = (uint16_t)(v + (how & 0x7F));
	memcpy(idx, &v, sizeof(v));
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct machine *vm = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);
	unsigned int popped = 0;

	must(vm->active && q != NULL);
	while (virtqueue_pop(q, &vm->chain) == 1) {
		must(++popped <= q->size);
		check_chain(vm, q);
		if (vm->refill)
			publish(vm, index << 7 | 1);
		if (vm->hold) {
			must(vm->n_held < QUEUES * QUEUE_MAX);
			vm->held[vm->n_held++] = (struct held){ index, vm->chain.head, vm->chain.writable_len };
			continue;
		}
		must(virtqueue_push(q, vm->chain.head, vm->chain.writable_len) == 0);
		must(virtqueue_push(q, vm->chain.head, 0) < 0);
	}
	virtio_mmio_signal(m, index);
	must(q->broken == NULL || (m->status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0);
}

static void complete(struct machine *vm, size_t n)
{
	for (; n > 0 && vm->n_held > 0; n--) {
		const struct held *h = &vm->held[--vm->n_held];
		struct virtqueue *q = virtio_mmio_queue(&vm->m, h->queue);

		/* Whatever was written since: what was popped can be pushed, unless the queue is broken. */
		must(q != NULL && (virtqueue_push(q, h->head, h->len) == 0 || q->broken != NULL));
		virtio_mmio_signal(&vm->m, h->queue);
	}
}

static void interrupt(void *data)
{
	struct machine *vm = data;

	must((vm->m.interrupt_status & (VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)) != 0);
}

static const struct virtio_device_ops ops = {
	.id = 4,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.config_write = config_write,
	.activate = activate,
	.reset = reset,
	.notify = notify,
};

/* ---- the promises ---- */

static void check_queue(const struct virtqueue *q)
{
	unsigned int heads = 0;

	for (size_t i = 0; i < sizeof(q->heads) / sizeof(q->heads[0]); i++)
		heads += (unsigned int)__builtin_popcountll(q->heads[i]);
	must(heads == q->in_flight && heads <= q->size);
	if (!q->ready) {
		must(heads == 0 && q->broken == NULL);
		return;
	}
	must(q->size == q->config.size && q->size <= QUEUE_MAX && (q->size & (q->size - 1)) == 0);
}

static void check(const struct machine *vm)
{
	const struct virtio_mmio *m = &vm->m;
	uint32_t s = m->status;

	must((s & VIRTIO_CONFIG_S_DRIVER) == 0 || (s & VIRTIO_CONFIG_S_ACKNOWLEDGE) != 0);
	must((s & VIRTIO_CONFIG_S_FEATURES_OK) == 0 || (s & VIRTIO_CONFIG_S_DRIVER) != 0);
	must((s & VIRTIO_CONFIG_S_DRIVER_OK) == 0 || (s & VIRTIO_CONFIG_S_FEATURES_OK) != 0);
	must((s & ~UINT32_C(0xCF)) == 0);
	must(vm->active == m->active && m->active == ((s & VIRTIO_CONFIG_S_DRIVER_OK) != 0));
	if ((s & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
		must((m->driver_features & ~m->device_features) == 0 && (m->driver_features & VERSION_1) != 0);
	must(m->n_queues == QUEUES && m->unfinished < 1 << QUEUES);
	for (unsigned int i = 0; i < QUEUES; i++)
		check_queue(&m->queues[i]);
}

/* One write; a queue that is ready before and after it is where it was. */
static void write_bytes(struct machine *vm, uint64_t offset, const void *bytes, uint32_t len)
{
	struct virtqueue before[QUEUES];

	memcpy(before, vm->m.queues, sizeof(before));
	virtio_mmio_write(&vm->m, offset, bytes, len);
	for (unsigned int i = 0; i < QUEUES; i++) {
		const struct virtqueue *a = &before[i], *b = &vm->m.queues[i];

		if (a->ready && b->ready)
			must(a->size == b->size && a->desc == b->desc && a->avail == b->avail && a->used == b->used &&
			     a->event_idx == b->event_idx && memcmp(&a->config, &b->config, sizeof(a->config)) == 0);
	}
	check(vm);
}

static void write32(struct machine *vm, uint32_t reg, uint32_t v)
{
	write_bytes(vm, reg, &v, sizeof(v));
}

/* ---- the guest ---- */

static void setup(struct machine *vm, uint32_t how)
{
	write32(vm, VIRTIO_MMIO_STATUS, 0);
	write32(vm, VIRTIO_MMIO_STATUS, 3);
	write32(vm, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write32(vm, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	write32(vm, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	write32(vm, VIRTIO_MMIO_DRIVER_FEATURES, (how >> 3 & 1) << VIRTIO_RING_F_EVENT_IDX);
	write32(vm, VIRTIO_MMIO_STATUS, 11);
	for (uint32_t i = 0; i < QUEUES; i++) {
		write32(vm, VIRTIO_MMIO_QUEUE_SEL, i);
		write32(vm, VIRTIO_MMIO_QUEUE_NUM, UINT32_C(1) << (how & 7));
		write32(vm, VIRTIO_MMIO_QUEUE_DESC_LOW, i * QUEUE_STRIDE + DESC);
		write32(vm, VIRTIO_MMIO_QUEUE_AVAIL_LOW, i * QUEUE_STRIDE + AVAIL);
		write32(vm, VIRTIO_MMIO_QUEUE_USED_LOW, i * QUEUE_STRIDE + USED);
		write32(vm, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	if ((how >> 4 & 1) == 0)
		write32(vm, VIRTIO_MMIO_STATUS, 15);
}

static void read_bytes(struct machine *vm, uint64_t offset, uint32_t len)
{
	uint8_t buf[9];

	memset(buf, 0xEE, sizeof(buf));
	virtio_mmio_read(&vm->m, offset, buf, len);
	must(buf[len] == 0xEE);
}

static void step(struct machine *vm, struct script *s)
{
	uint8_t bytes[8];
	uint32_t a, b;

	switch (take(s, 1) % STEPS) {
	case REGISTER:
		a = take(s, 1);
		write32(vm, a * 4, take(s, 4));
		break;
	case WRITE:
		a = take(s, 2);
		b = take(s, 1) % 9;
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)take(s, 1);
		write_bytes(vm, a, bytes, b);
		break;
	case READ:
		a = take(s, 2);
		read_bytes(vm, a, take(s, 1) % 9);
		break;
	case SETUP:
		setup(vm, take(s, 1));
		break;
	case NOTIFY:
		virtio_mmio_notify(&vm->m, take(s, 1));
		break;
	case POKE:
		a = take(s, 2) % (LOW_SIZE - 1);
		b = take(s, 2);
		vm->low[a] = (uint8_t)b;
		vm->low[a + 1] = (uint8_t)(b >> 8);
		break;
	case PUBLISH:
		publish(vm, take(s, 1));
		break;
	case CONTINUE:
		virtio_mmio_continue(&vm->m);
		break;
	case MODE:
		a = take(s, 1);
		vm->hold = (a & 1) != 0;
		vm->refill = (a & 2) != 0;
		break;
	case COMPLETE:
		complete(vm, take(s, 1));
		break;
	case CONFIG:
		virtio_mmio_config_changed(&vm->m);
		break;
	}
	check(vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct machine vm = { .gm = GUEST_MEMORY_NULL };
	struct guest_region low = { .addr = 0, .size = LOW_SIZE, .fd = FD_NONE };
	struct guest_region high = { .addr = GUEST_HOLE_END, .size = HIGH_SIZE, .fd = FD_NONE };
	size_t script = take(&s, 2), memory;

	script = script < s.left ? script : s.left;
	memory = s.left - script < LOW_SIZE ? s.left - script : LOW_SIZE;
	s.left = script;
	/* Two blocks, so that the sanitizer sees the ends of each. */
	low.host = vm.low = aligned_alloc(GUEST_PAGE_SIZE, LOW_SIZE);
	high.host = vm.high = aligned_alloc(GUEST_PAGE_SIZE, HIGH_SIZE);
	must(vm.low != NULL && vm.high != NULL);
	memset(vm.low, 0, LOW_SIZE);
	memset(vm.high, 0, HIGH_SIZE);
	if (memory > 0)
		memcpy(vm.low, s.p + script, memory);
	must(guest_memory_add(&vm.gm, &low) == 0 && guest_memory_add(&vm.gm, &high) == 0);
	must(virtio_mmio_init(&vm.m, &vm.gm, &ops, &vm, interrupt, &vm) == 0);
	for (int i = 0; i < STEPS_MAX && s.left > 0; i++)
		step(&vm, &s);
	write32(&vm, VIRTIO_MMIO_STATUS, 0);
	must(!vm.active && vm.m.unfinished == 0);
	free(vm.low);
	free(vm.high);
	return 0;
}
