/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of virtio over MMIO, as a driver uses them, and as none should. */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "microvm/virtio_mmio.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/virtio_driver.h"

#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES VIRTIO_CONFIG_S_FEATURES_OK
#define OK VIRTIO_CONFIG_S_DRIVER_OK
#define FAILED VIRTIO_CONFIG_S_FAILED
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

#define SIZE 8
#define CONFIG_SIZE 10
#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

/* A device of two queues that gives back what it gets, and a config space of ten bytes. */
struct echo {
	struct guest g;
	struct virtio_mmio m;
	struct driver d;		/* of queue 1 */
	struct virtqueue_chain *chain;
	uint8_t config[CONFIG_SIZE];
	unsigned int activations, resets, notifications, interrupts, last_queue;
	int activate_result;
};

static uint64_t echo_features(void *device)
{
	(void)device;
	/* One of the type's own, and all that a transport could be asked for. */
	return UINT64_C(1) << 5 | ((UINT64_C(1) << 50) - (UINT64_C(1) << 24));
}

static uint16_t echo_queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < 2 ? 16 : 0;
}

static void echo_config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	struct echo *e = device;

	if (offset < CONFIG_SIZE)
		memcpy(buf, e->config + offset, len < CONFIG_SIZE - offset ? len : CONFIG_SIZE - offset);
}

static void echo_config_write(void *device, uint32_t offset, const void *buf, uint32_t len)
{
	struct echo *e = device;

	if (offset < CONFIG_SIZE)
		memcpy(e->config + offset, buf, len < CONFIG_SIZE - offset ? len : CONFIG_SIZE - offset);
}

static int echo_activate(void *device, struct virtio_mmio *m)
{
	struct echo *e = device;

	(void)m;
	e->activations++;
	return e->activate_result;
}

static void echo_reset(void *device)
{
	struct echo *e = device;

	e->resets++;
}

static void echo_notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct echo *e = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);

	e->notifications++;
	e->last_queue = index;
	while (virtqueue_pop(q, e->chain) == 1) {
		uint8_t buf[16];
		size_t n = virtqueue_chain_read(e->chain, 0, buf, sizeof(buf));

		n = virtqueue_chain_write(e->chain, 0, buf, n);
		(void)virtqueue_push(q, e->chain->head, (uint32_t)n);
	}
	virtio_mmio_signal(m, index);
}

static const struct virtio_device_ops echo_ops = {
	.id = 42,
	.features = echo_features,
	.queue_size = echo_queue_size,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.activate = echo_activate,
	.reset = echo_reset,
	.notify = echo_notify,
};

static void echo_interrupt(void *data)
{
	struct echo *e = data;

	e->interrupts++;
}

static uint32_t rd(struct echo *e, uint32_t reg)
{
	uint32_t v;

	virtio_mmio_read(&e->m, reg, &v, sizeof(v));
	return le32toh(v);
}

static void wr(struct echo *e, uint32_t reg, uint32_t v)
{
	v = htole32(v);
	virtio_mmio_write(&e->m, reg, &v, sizeof(v));
}

static bool echo_make(struct echo *e)
{
	*e = (struct echo){ .chain = malloc(sizeof(struct virtqueue_chain)) };
	return e->chain != NULL && guest_make(&e->g) &&
	       virtio_mmio_init(&e->m, &e->g.gm, &echo_ops, e, echo_interrupt, e) == 0;
}

static void echo_drop(struct echo *e)
{
	guest_drop(&e->g);
	free(e->chain);
}

static void negotiate(struct echo *e, uint64_t features)
{
	wr(e, VIRTIO_MMIO_STATUS, 0);
	wr(e, VIRTIO_MMIO_STATUS, ACK);
	wr(e, VIRTIO_MMIO_STATUS, ACK | DRIVER);
	for (uint32_t i = 0; i < 2; i++) {
		wr(e, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		wr(e, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
	wr(e, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES);
}

static void set_queue(struct echo *e, uint32_t index, const struct virtqueue_config *c)
{
	wr(e, VIRTIO_MMIO_QUEUE_SEL, index);
	wr(e, VIRTIO_MMIO_QUEUE_NUM, c->size);
	wr(e, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)c->desc);
	wr(e, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(c->desc >> 32));
	wr(e, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)c->avail);
	wr(e, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(c->avail >> 32));
	wr(e, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)c->used);
	wr(e, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(c->used >> 32));
	wr(e, VIRTIO_MMIO_QUEUE_READY, 1);
}

static bool same_config(const struct virtqueue_config *a, const struct virtqueue_config *b)
{
	return a->size == b->size && a->desc == b->desc && a->avail == b->avail && a->used == b->used;
}

/* Up to DRIVER_OK, with queue 1 for e->d. */
static void start(struct echo *e, uint64_t features)
{
	const struct virtqueue_config config = driver_config(SIZE);

	memset(e->g.bytes, 0, LOW_SIZE);
	negotiate(e, features);
	set_queue(e, 1, &config);
	driver_make(&e->d, &e->g, SIZE, (features & EVENT_IDX) != 0);
	wr(e, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES | OK);
}

TEST(identity)
{
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	CHECK_INT(rd(&e, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_INT(rd(&e, VIRTIO_MMIO_VERSION), 2);
	CHECK_INT(rd(&e, VIRTIO_MMIO_DEVICE_ID), 42);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), 0);
	/* VERSION_1 and EVENT_IDX of the transport's; no INDIRECT_DESC, no packed ring, nothing else. */
	CHECK_INT(rd(&e, VIRTIO_MMIO_DEVICE_FEATURES), 1 << 5 | 1 << 29);
	wr(&e, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_DEVICE_FEATURES), 1);
	wr(&e, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	CHECK_INT(rd(&e, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	wr(&e, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
	CHECK_INT(rd(&e, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	for (uint32_t i = 0; i < 4; i++) {
		wr(&e, VIRTIO_MMIO_QUEUE_SEL, i);
		CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_NUM_MAX), i < 2 ? 16 : 0);
		CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	CHECK_INT(rd(&e, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	CHECK_INT(rd(&e, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
	echo_drop(&e);
}

TEST(features_rules)
{
	static const struct {
		uint64_t features;
		bool ok;
	} cases[] = {
		{ VERSION_1, true },
		{ VERSION_1 | EVENT_IDX | 1 << 5, true },
		{ 0, false },
		{ EVENT_IDX | 1 << 5, false },
		{ VERSION_1 | 1 << 4, false },
		{ VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC, false },
		{ VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_PACKED, false },
		{ VERSION_1 | UINT64_C(1) << 63, false },
	};
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		negotiate(&e, cases[i].features);
		if (!CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | (cases[i].ok ? FEATURES : 0)))
			printf("#   case %zu\n", i);
		/* From now on they are fixed; a driver that was refused may try others. */
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES, 0);
		CHECK(virtio_mmio_features(&e.m) == (cases[i].ok ? cases[i].features : cases[i].features >> 32 << 32));
	}
	negotiate(&e, VERSION_1);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK(virtio_mmio_features(&e.m) == 0);
	/* Beyond the 64: zeros are fine, anything else is a feature nobody offered. */
	for (uint32_t v = 0; v < 2; v++) {
		wr(&e, VIRTIO_MMIO_STATUS, 0);
		wr(&e, VIRTIO_MMIO_STATUS, ACK | DRIVER);
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES, v);
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		wr(&e, VIRTIO_MMIO_DRIVER_FEATURES, 1);
		wr(&e, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES);
		CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | (v == 0 ? FEATURES : 0));
	}
	echo_drop(&e);
}

/* Each bit after the one before; and without DRIVER the features are not written. */
TEST(status_order)
{
	static const struct {
		uint32_t written[4], status;
	} cases[] = {
		{ { ACK }, ACK },
		{ { DRIVER }, 0 },
		{ { OK }, 0 },
		{ { ACK | DRIVER }, ACK | DRIVER },
		{ { ACK, ACK | OK }, ACK },
		{ { ACK, DRIVER }, ACK | DRIVER },
		/* VERSION_1 was not accepted. */
		{ { ACK, ACK | DRIVER, ACK | DRIVER | FEATURES, 0xF }, ACK | DRIVER },
		{ { 0xF }, ACK | DRIVER },
		{ { FAILED }, FAILED },
		{ { ACK, FAILED, ACK | DRIVER }, ACK | FAILED },
		{ { ACK, ACK | FAILED, ACK }, ACK | FAILED },
		/* The device's own bit is not the driver's, and there are no others. */
		{ { ACK | NEEDS_RESET }, ACK },
		{ { 0xFFFFFF30 | ACK }, ACK },
	};
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wr(&e, VIRTIO_MMIO_STATUS, 0);
		CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), 0);
		for (size_t k = 0; k < ARRAY_SIZE(cases[i].written) && cases[i].written[k] != 0; k++)
			wr(&e, VIRTIO_MMIO_STATUS, cases[i].written[k]);
		if (!CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), cases[i].status))
			printf("#   case %zu\n", i);
	}
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	wr(&e, VIRTIO_MMIO_DRIVER_FEATURES, 1 << 5);
	CHECK(virtio_mmio_features(&e.m) == 0);
	CHECK_INT(e.activations, 0);
	CHECK_INT(e.resets, 0);
	echo_drop(&e);
}

/* A request there and back, by a register and by the call that an ioeventfd leads to. */
TEST(request)
{
	struct echo e;
	uint32_t id, len;

	if (!CHECK(echo_make(&e)))
		return;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		unsigned int interrupts = e.interrupts;

		start(&e, VERSION_1 | (event_idx != 0 ? EVENT_IDX : 0));
		CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK);
		CHECK_INT(e.activations, event_idx + 1);
		memcpy(e.g.bytes + DATA_ADDR, "hello", 5);
		driver_desc(&e.d, 0, (struct vring_desc){ DATA_ADDR, 5, VRING_DESC_F_NEXT, 1 });
		driver_desc(&e.d, 1, (struct vring_desc){ HIGH_ADDR, 64, VRING_DESC_F_WRITE, 0 });
		for (unsigned int i = 0; i < 2; i++) {
			memset(e.g.bytes + LOW_SIZE, 0, 64);
			driver_want_interrupt(&e.d);
			driver_add(&e.d, 0);
			CHECK(driver_publish(&e.d));
			if (i == 0)
				wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
			else
				virtio_mmio_notify(&e.m, 1);
			CHECK(driver_take(&e.d, &id, &len) && id == 0 && len == 5);
			CHECK(memcmp(e.g.bytes + LOW_SIZE, "hello\0", 6) == 0);
			CHECK_INT(e.interrupts, interrupts + i + 1);
			CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
			wr(&e, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
			CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
			wr(&e, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
			CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		}
	}
	CHECK_INT(e.m.unfinished, 0);
	echo_drop(&e);
}

/* Notifications that lead nowhere. */
TEST(notify_refused)
{
	static const uint32_t queues[] = { 0, 2, 15, 16, 17, 32, 0x10001, UINT32_MAX };
	const struct virtqueue_config config = driver_config(SIZE);
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	negotiate(&e, VERSION_1);
	set_queue(&e, 1, &config);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 1);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK(virtio_mmio_queue(&e.m, 1) == NULL);
	start(&e, VERSION_1);
	for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
		wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, queues[i]);
		virtio_mmio_signal(&e.m, queues[i]);
		CHECK(virtio_mmio_queue(&e.m, queues[i]) == NULL);
	}
	CHECK_INT(e.notifications, 0);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(e.notifications, 1);
	wr(&e, VIRTIO_MMIO_STATUS, FAILED);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(e.notifications, 1);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(e.notifications, 1);
	CHECK_INT(e.interrupts, 0);
	echo_drop(&e);
}

/* CVE-2026-5747: the fields of a queue that is ready, or of a device that works. */
TEST(queue_latched)
{
	const struct virtqueue_config config = driver_config(SIZE), other = { 16, 0x10, 0x200, 0x300 };
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	/* Before FEATURES_OK, and of a queue that is not there. */
	set_queue(&e, 1, &config);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK_INT(e.m.queues[1].config.size, 0);
	negotiate(&e, VERSION_1);
	set_queue(&e, 2, &config);
	set_queue(&e, UINT32_MAX, &config);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	/* Ready; then not; then with something else. */
	set_queue(&e, 1, &config);
	set_queue(&e, 1, &other);
	CHECK(same_config(&e.m.queues[1].config, &config));
	wr(&e, VIRTIO_MMIO_QUEUE_READY, 2);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 1);
	wr(&e, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	set_queue(&e, 1, &other);
	CHECK(same_config(&e.m.queues[1].config, &other));
	/* At work: neither the one that is ready nor the other can be changed. */
	start(&e, VERSION_1);
	set_queue(&e, 1, &other);
	set_queue(&e, 0, &other);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	wr(&e, VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(&e, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 1);
	CHECK(same_config(&e.m.queues[1].config, &config));
	CHECK_INT(e.m.queues[1].size, SIZE);
	/* One that cannot be is not ready. */
	negotiate(&e, VERSION_1);
	set_queue(&e, 1, &(struct virtqueue_config){ 32, 0x1000, 0x2000, 0x3000 });
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	set_queue(&e, 1, &(struct virtqueue_config){ 8, UINT64_C(0x700001000), 0x2000, 0x3000 });
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	echo_drop(&e);
}

TEST(broken_queue)
{
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	start(&e, VERSION_1);
	e.d.avail->idx = htole16(SIZE + 1);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK | NEEDS_RESET);
	CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	CHECK_INT(e.interrupts, 1);
	/* Told once; nothing works until the reset. */
	virtio_mmio_signal(&e.m, 1);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	virtio_mmio_notify(&e.m, 1);
	CHECK_INT(e.notifications, 1);
	CHECK_INT(e.interrupts, 1);
	wr(&e, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES | OK);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK | NEEDS_RESET);
	start(&e, VERSION_1);
	CHECK_INT(e.resets, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(e.notifications, 2);
	echo_drop(&e);
}

TEST(reset)
{
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(e.resets, 0);
	start(&e, VERSION_1);
	virtio_mmio_config_changed(&e.m);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(e.resets, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), 0);
	CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	wr(&e, VIRTIO_MMIO_QUEUE_SEL, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_QUEUE_READY), 0);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(e.resets, 1);
	/* A device that cannot start has nothing to end. */
	e.activate_result = -EIO;
	start(&e, VERSION_1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK | NEEDS_RESET);
	CHECK(virtio_mmio_queue(&e.m, 1) == NULL);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(e.resets, 1);
	echo_drop(&e);
}

TEST(config_space)
{
	static const struct {
		uint64_t offset;
		uint32_t len;
		const char *bytes;
	} cases[] = {
		{ 0x100, 1, "a" }, { 0x109, 1, "j" }, { 0x10A, 1, "\0" }, { 0x102, 2, "cd" }, { 0x104, 4, "efgh" },
		{ 0x108, 4, "ij\0\0" }, { 0x10C, 4, "\0\0\0\0" }, { 0xFFC, 4, "\0\0\0\0" }, { 0x101, 2, "\0\0" },
		{ 0x102, 4, "\0\0\0\0" }, { 0x100, 8, "\0\0\0\0\0\0\0\0" }, { 0x100, 3, "\0\0\0" }, { 0x1000, 4, "\0\0\0\0" },
		{ UINT64_MAX - 3, 4, "\0\0\0\0" }, { UINT64_C(0x100000100), 4, "\0\0\0\0" },
	};
	struct echo e;
	uint32_t generation, v;

	if (!CHECK(echo_make(&e)))
		return;
	memcpy(e.config, "abcdefghij", CONFIG_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buf[8];

		memset(buf, 0xEE, sizeof(buf));
		virtio_mmio_read(&e.m, cases[i].offset, buf, cases[i].len);
		if (!CHECK(memcmp(buf, cases[i].bytes, cases[i].len) == 0))
			printf("#   case %zu\n", i);
		CHECK(cases[i].len == 8 || buf[cases[i].len] == 0xEE);
	}
	/* Written by a driver only, and where it is aligned. */
	virtio_mmio_write(&e.m, 0x100, "XYZW", 4);
	CHECK(memcmp(e.config, "abcd", 4) == 0);
	negotiate(&e, VERSION_1);
	virtio_mmio_write(&e.m, 0x101, "XYZW", 4);
	virtio_mmio_write(&e.m, 0x100, "XYZWXYZW", 8);
	virtio_mmio_write(&e.m, 0x1000, "XYZW", 4);
	CHECK(memcmp(e.config, "abcdefghij", CONFIG_SIZE) == 0);
	virtio_mmio_write(&e.m, 0x108, "XYZW", 4);
	CHECK(memcmp(e.config, "abcdefghXY", CONFIG_SIZE) == 0);
	/* A change: another generation; an interrupt, if there is a driver. */
	generation = rd(&e, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_mmio_config_changed(&e.m);
	v = rd(&e, VIRTIO_MMIO_CONFIG_GENERATION);
	CHECK(v != generation);
	CHECK_INT(e.interrupts, 0);
	start(&e, VERSION_1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_CONFIG_GENERATION), v);
	virtio_mmio_config_changed(&e.m);
	CHECK(rd(&e, VIRTIO_MMIO_CONFIG_GENERATION) != v);
	CHECK_INT(e.interrupts, 1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	echo_drop(&e);
}

/* Every offset below the config space with every width: only whole registers do anything. */
TEST(odd_accesses)
{
	static const uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct virtio_mmio before;
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	start(&e, VERSION_1);
	memcpy(&before, &e.m, sizeof(before));
	for (uint32_t offset = 0; offset < 0x100; offset++)
		for (uint32_t len = 1; len <= 8; len++) {
			uint8_t buf[8] = { 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE };
			static const uint8_t zeros[8];

			if (len == 4 && offset % 4 == 0)
				continue;
			virtio_mmio_read(&e.m, offset, buf, len);
			CHECK(memcmp(buf, zeros, len) == 0);
			virtio_mmio_write(&e.m, offset, ones, len);
		}
	CHECK(memcmp(&before, &e.m, sizeof(before)) == 0);
	CHECK_INT(e.notifications, 0);
	/* The registers that only legacy devices have, and those for nobody. */
	for (uint32_t reg = 0x28; reg < 0x100; reg += 4)
		if (reg == VIRTIO_MMIO_GUEST_PAGE_SIZE || reg == VIRTIO_MMIO_QUEUE_ALIGN || reg == VIRTIO_MMIO_QUEUE_PFN ||
		    reg >= 0xC0)
			wr(&e, reg, UINT32_MAX);
	CHECK(memcmp(&before, &e.m, sizeof(before)) == 0);
	echo_drop(&e);
}

/* ---- a device that is never done ---- */

/* Each request is available again as soon as it is used. */
static void endless_notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct echo *e = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);

	while (virtqueue_pop(q, e->chain) == 1) {
		e->notifications++;
		(void)virtqueue_push(q, e->chain->head, 0);
		driver_add(&e->d, e->chain->head);
		(void)driver_publish(&e->d);
	}
	virtio_mmio_signal(m, index);
}

TEST(turns)
{
	struct virtio_device_ops ops = echo_ops;
	struct echo e;

	ops.notify = endless_notify;
	if (!CHECK(echo_make(&e)))
		return;
	CHECK_INT(virtio_mmio_init(&e.m, &e.g.gm, &ops, &e, echo_interrupt, &e), 0);
	start(&e, VERSION_1);
	driver_desc(&e.d, 0, (struct vring_desc){ DATA_ADDR, 5, 0, 0 });
	driver_add(&e.d, 0);
	(void)driver_publish(&e.d);
	wr(&e, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_INT(e.notifications, SIZE);
	CHECK_INT(e.m.unfinished, 1 << 1);
	virtio_mmio_continue(&e.m);
	CHECK_INT(e.notifications, 2 * SIZE);
	CHECK_INT(e.m.unfinished, 1 << 1);
	/* Not beyond the end of the device. */
	wr(&e, VIRTIO_MMIO_STATUS, FAILED);
	virtio_mmio_continue(&e.m);
	CHECK_INT(e.notifications, 2 * SIZE);
	CHECK_INT(e.m.unfinished, 0);
	echo_drop(&e);
}

/* ---- devices that cannot be ---- */

static uint16_t too_many(void *device, unsigned int index)
{
	(void)device;
	(void)index;
	return 16;
}

static uint16_t odd_size(void *device, unsigned int index)
{
	(void)device;
	return index == 0 ? 48 : 0;
}

TEST(devices_refused)
{
	struct virtio_device_ops ops = echo_ops;
	struct echo e;

	if (!CHECK(echo_make(&e)))
		return;
	ops.queue_size = too_many;
	err_clear();
	CHECK_INT(virtio_mmio_init(&e.m, &e.g.gm, &ops, &e, echo_interrupt, &e), -EINVAL);
	CHECK(err_text()[0] != '\0');
	ops.queue_size = odd_size;
	CHECK_INT(virtio_mmio_init(&e.m, &e.g.gm, &ops, &e, echo_interrupt, &e), -EINVAL);
	echo_drop(&e);
}

/* Nothing but the three functions that have to be there. */
TEST(least_device)
{
	const struct virtio_device_ops ops = {
		.id = 1, .features = echo_features, .queue_size = echo_queue_size, .notify = echo_notify,
	};
	struct echo e;
	uint32_t v = 7;

	if (!CHECK(echo_make(&e)))
		return;
	CHECK_INT(virtio_mmio_init(&e.m, &e.g.gm, &ops, &e, echo_interrupt, &e), 0);
	start(&e, VERSION_1);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES | OK);
	virtio_mmio_read(&e.m, 0x100, &v, 4);
	CHECK_INT(v, 0);
	virtio_mmio_write(&e.m, 0x100, &v, 4);
	wr(&e, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(rd(&e, VIRTIO_MMIO_STATUS), 0);
	echo_drop(&e);
}

TEST_MAIN(CASE(identity), CASE(features_rules), CASE(status_order), CASE(request), CASE(notify_refused),
	  CASE(queue_latched), CASE(broken_queue), CASE(reset), CASE(config_space), CASE(odd_accesses), CASE(turns),
	  CASE(devices_refused), CASE(least_device))
