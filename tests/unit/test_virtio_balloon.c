/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that the guest gives away: which pages become zeros, and which do not. */
#include "tests/unit/test.h"

#include <linux/virtio_balloon.h>

#include "microvm/virtio_balloon.h"
#include "tests/unit/virtio_device.h"

enum { INFLATE, DEFLATE, STATS, HINTS, REPORTING };

#define REPORTS (UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING)
#define ON_OOM (UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define NUMBERS BUFFERS
/* Pages for the balloon: 8 to 15 of low memory, and those behind the hole. */
#define FIRST 8
#define HIGH_PAGE (HIGH_ADDR >> 12)

struct balloon {
	struct vm vm;
	struct virtio_balloon *b;
};

static bool balloon_make(struct balloon *k, bool deflate_on_oom)
{
	struct virtio_balloon_options o = { .deflate_on_oom = deflate_on_oom };

	*k = (struct balloon){ .b = malloc(sizeof(*k->b)) };
	if (k->b == NULL || !vm_make(&k->vm))
		return false;
	o.memory = &k->vm.g.gm;
	virtio_balloon_init(k->b, &o);
	return vm_attach(&k->vm, &virtio_balloon_ops, k->b);
}

static void balloon_drop(struct balloon *k)
{
	vm_drop(&k->vm);
	free(k->b);
}

/* The pages of the test full of ones. */
static void fill(struct balloon *k)
{
	memset(k->vm.g.bytes + FIRST * 4096, 0xFF, LOW_SIZE - FIRST * 4096 + HIGH_SIZE);
}

/* Which of the low pages are zeros (bits 8 to 15), and of the high ones (16, 17). Half a page is none: a failure. */
static uint32_t gone(struct test *t, const struct balloon *k)
{
	uint32_t pages = 0;

	for (uint32_t page = FIRST; page < 18; page++) {
		const uint8_t *p = k->vm.g.bytes + page * 4096;
		unsigned int zeros = 0;

		for (unsigned int i = 0; i < 4096; i++)
			zeros += p[i] == 0 ? 1 : 0;
		CHECK(zeros == 0 || zeros == 4096);
		if (zeros == 4096)
			pages |= UINT32_C(1) << page;
	}
	return pages;
}

static void give(struct balloon *k, unsigned int queue, const uint32_t *numbers, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = htole32(numbers[i]);

		memcpy(k->vm.g.bytes + NUMBERS + i * sizeof(v), &v, sizeof(v));
	}
	vm_send(&k->vm, queue, &(struct piece){ NUMBERS, n * (uint32_t)sizeof(*numbers), false }, 1);
}

TEST(inflate)
{
	static const struct {
		uint32_t numbers[5], n, gone;
	} cases[] = {
		{ { 9 }, 1, 1 << 9 },
		{ { 9, 10, 11 }, 3, 7 << 9 },
		{ { 12, 11, 10 }, 3, 7 << 10 },
		{ { 10, 11, 9, 14 }, 4, 7 << 9 | 1 << 14 },
		{ { 15, HIGH_PAGE, HIGH_PAGE + 1, 8 }, 4, 1 << 15 | 3 << 16 | 1 << 8 },
		{ { 9, 9, 9 }, 3, 1 << 9 },
	};
	struct balloon k;

	if (!CHECK(balloon_make(&k, false)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | REPORTS));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm_start(&k.vm, EVENT_IDX);
		fill(&k);
		give(&k, INFLATE, cases[i].numbers, cases[i].n);
		CHECK_INT(vm_used(&k.vm, INFLATE), 0);
		if (!CHECK_INT(gone(t, &k), cases[i].gone))
			printf("#   case %zu\n", i);
		fill(&k);
		give(&k, DEFLATE, cases[i].numbers, cases[i].n);
		CHECK_INT(vm_used(&k.vm, DEFLATE), 0);
		CHECK_INT(gone(t, &k), 0);
	}
	CHECK(!vm_needs_reset(&k.vm));
	balloon_drop(&k);
}

/* On each of the queues that drivers report on. */
TEST(reporting)
{
	static const struct {
		struct piece pieces[2];
		uint32_t gone;
	} cases[] = {
		{ { { 0x9000, 0x1000, true }, { HIGH_ADDR, 0x2000, true } }, 1 << 9 | 3 << 16 },
		{ { { 0x9001, 0x2000, true }, { 0xC000, 0xFFF, true } }, 1 << 10 },
		{ { { 0x9FFF, 0x1001, true }, { 0xC800, 0x1000, true } }, 1 << 10 },
		{ { { 0x9FFF, 2, true }, { 0xF000, 0x1000, true } }, 1 << 15 },
	};
	struct balloon k;

	if (!CHECK(balloon_make(&k, true)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | REPORTS | ON_OOM));
	for (unsigned int queue = STATS; queue <= REPORTING; queue++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			vm_start(&k.vm, REPORTS);
			fill(&k);
			vm_send(&k.vm, queue, cases[i].pieces, 2);
			CHECK_INT(vm_used(&k.vm, queue), 0);
			if (!CHECK_INT(gone(t, &k), cases[i].gone))
				printf("#   case %zu\n", i);
		}
	}
	CHECK(k.b->discarded == UINT64_C(3) * (3 + 1 + 1 + 1) * 4096);
	balloon_drop(&k);
}

TEST(target)
{
	struct balloon k;
	uint32_t generation, v;

	if (!CHECK(balloon_make(&k, false)))
		return;
	virtio_balloon_set_target(k.b, 100);
	CHECK_INT(k.vm.interrupts, 0);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG), 100);
	vm_start(&k.vm, 0);
	generation = vm_read32(&k.vm, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_balloon_set_target(k.b, 100);
	CHECK_INT(k.vm.interrupts, 0);
	virtio_balloon_set_target(k.b, 0x01020304);
	CHECK_INT(k.vm.interrupts, 1);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	CHECK(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG), 0x01020304);
	/* The guest writes its own number, whole, and nothing else. */
	vm_write32(&k.vm, VIRTIO_MMIO_CONFIG + 4, 77);
	vm_write32(&k.vm, VIRTIO_MMIO_CONFIG, 5);
	vm_write32(&k.vm, VIRTIO_MMIO_CONFIG + 8, 5);
	v = 0;
	virtio_mmio_write(&k.vm.m, VIRTIO_MMIO_CONFIG + 4, &v, 1);
	CHECK_INT(k.b->actual, 77);
	CHECK_INT(k.b->target, 0x01020304);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG + 4), 77);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG + 8), 0);
	vm_write32(&k.vm, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(k.b->actual, 0);
	virtio_balloon_set_target(k.b, 3);
	CHECK_INT(k.vm.interrupts, 1);
	balloon_drop(&k);
}

TEST(broken_rules)
{
	static const struct {
		unsigned int queue;
		uint32_t numbers[3];
		struct piece piece;
	} cases[] = {
		/* Behind low memory, in the hole, behind everything, the last number there is. */
		{ INFLATE, { 8, 9, 16 }, { NUMBERS, 12, false } },
		{ INFLATE, { 0xC0000 }, { NUMBERS, 4, false } },
		{ INFLATE, { HIGH_PAGE + 2 }, { NUMBERS, 4, false } },
		{ INFLATE, { UINT32_MAX, 0 }, { NUMBERS, 8, false } },
		/* Half a number, no number, too many, to be written. */
		{ INFLATE, { 8, 9 }, { NUMBERS, 7, false } },
		{ INFLATE, { 8 }, { NUMBERS, 0, false } },
		{ INFLATE, { 8 }, { NUMBERS, VIRTIO_BALLOON_PAGES_MAX * 4 + 4, false } },
		{ INFLATE, { 8 }, { NUMBERS, 4, true } },
		{ DEFLATE, { 8 }, { NUMBERS, 4, true } },
		{ DEFLATE, { 8 }, { NUMBERS, 5, false } },
		{ STATS, { 8 }, { NUMBERS, 10, false } },
		{ REPORTING, { 8 }, { NUMBERS, 0x1000, false } },
		{ REPORTING, { 8 }, { LOW_SIZE - 0x1000, 0x2000, true } },
	};
	struct balloon k;

	if (!CHECK(balloon_make(&k, false)))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm_start(&k.vm, REPORTS);
		for (size_t n = 0; n < 3; n++)
			((uint32_t *)(void *)(k.vm.g.bytes + NUMBERS))[n] = htole32(cases[i].numbers[n]);
		vm_send(&k.vm, cases[i].queue, &cases[i].piece, 1);
		if (!CHECK(vm_needs_reset(&k.vm)))
			printf("#   case %zu\n", i);
		CHECK_INT(vm_used(&k.vm, cases[i].queue), -1);
	}
	balloon_drop(&k);
}

TEST_MAIN(CASE(inflate), CASE(reporting), CASE(target), CASE(broken_rules))
