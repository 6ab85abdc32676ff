/* SPDX-License-Identifier: Apache-2.0 */
/* Split virtqueues: a driver that behaves, and every way not to. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>

#include "runtime/base/str.h"
#include "tests/unit/virtio_driver.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define SIZE 8

struct setup {
	struct guest g;
	struct virtqueue q;
	struct driver d;
};

static bool setup(struct setup *s, uint16_t size, bool event_idx)
{
	const struct virtqueue_config config = driver_config(size);

	if (!guest_make(&s->g))
		return false;
	driver_make(&s->d, &s->g, size, event_idx);
	return virtqueue_init(&s->q, &s->g.gm, size > 256 ? VIRTQUEUE_SIZE_MAX : 256) == 0 && virtqueue_set_config(&s->q, &config) == 0 &&
	       virtqueue_set_ready(&s->q, event_idx) == 0;
}

static struct virtqueue_chain *chain_new(void)
{
	return malloc(sizeof(struct virtqueue_chain));
}

TEST(config_checked)
{
	static const struct {
		uint16_t max;
		struct virtqueue_config config;
		int r;
	} cases[] = {
		{ 256, { 256, 0x1000, 0x2000, 0x3000 }, 0 },
		{ 256, { 1, 0x1000, 0x2000, 0x3000 }, 0 },
		{ 256, { 8, 0, 0x80, 0x98 }, 0 },
		{ 256, { 0, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 3, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 512, 0x1000, 0x4000, 0x5000 }, -EINVAL },
		{ 256, { 0x10000, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 0x10008, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { UINT32_C(1) << 31, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { UINT32_MAX, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		{ 4, { 8, 0x1000, 0x2000, 0x3000 }, -EINVAL },
		/* Alignment: 16, 2, 4. */
		{ 256, { 8, 0x1008, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, 0x2001, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, 0x2000, 0x3002 }, -EINVAL },
		{ 256, { 8, 0x1000, 0x2002, 0x3004 }, 0 },
		/* To the last byte: 16 n, 6 + 2 n, 6 + 8 n. */
		{ 256, { 8, LOW_SIZE - 128, 0x2000, 0x3000 }, 0 },
		{ 256, { 8, LOW_SIZE - 112, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, LOW_SIZE - 22, 0x3000 }, 0 },
		{ 256, { 8, 0x1000, LOW_SIZE - 20, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, 0x2000, LOW_SIZE - 72 }, 0 },
		{ 256, { 8, 0x1000, 0x2000, LOW_SIZE - 68 }, -EINVAL },
		{ 256, { 8, HIGH_ADDR, HIGH_ADDR + 0x80, HIGH_ADDR + HIGH_SIZE - 72 }, 0 },
		{ 256, { 8, HIGH_ADDR - 16, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 8, UINT64_MAX - 15, 0x2000, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, UINT64_MAX - 1, 0x3000 }, -EINVAL },
		{ 256, { 8, 0x1000, 0x2000, UINT64_MAX - 3 }, -EINVAL },
	};
	struct guest g;

	if (!CHECK(guest_make(&g)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtqueue q;
		int r;

		CHECK_INT(virtqueue_init(&q, &g.gm, cases[i].max), 0);
		CHECK_INT(virtqueue_set_config(&q, &cases[i].config), 0);
		r = virtqueue_set_ready(&q, true);
		if (!CHECK_INT(r, cases[i].r))
			printf("#   case %zu\n", i);
		CHECK(q.ready == (r == 0) && (q.refused != NULL) == (r < 0));
		CHECK_INT(virtqueue_pop(&q, NULL), r == 0 ? 0 : -ENOTCONN);
	}
	guest_drop(&g);
}

TEST(offers_checked)
{
	static const uint16_t good[] = { 1, 2, 256, 1024 }, bad[] = { 0, 3, 1000, 2048, 0x8000, 0xFFFF };
	struct guest_memory gm = GUEST_MEMORY_NULL;
	struct virtqueue q;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(virtqueue_init(&q, &gm, good[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(virtqueue_init(&q, &gm, bad[i]), -EINVAL);
}

/* CVE-2026-5747: nothing moves while the queue is ready. */
TEST(config_latched)
{
	const struct virtqueue_config other = { .size = 256, .desc = 0x10, .avail = 2, .used = 4 };
	struct setup s;

	if (!CHECK(setup(&s, SIZE, false)))
		return;
	CHECK_INT(virtqueue_set_config(&s.q, &other), -EBUSY);
	CHECK_INT(virtqueue_set_ready(&s.q, true), -EBUSY);
	CHECK_INT(s.q.config.size, SIZE);
	CHECK_INT(s.q.config.desc, DESC_ADDR);
	CHECK_INT(s.q.size, SIZE);
	CHECK(!s.q.event_idx);
	virtqueue_reset(&s.q);
	CHECK_INT(s.q.config.size, 0);
	CHECK_INT(s.q.size_max, 256);
	CHECK_INT(virtqueue_set_config(&s.q, &other), 0);
	CHECK_INT(virtqueue_set_ready(&s.q, true), 0);
	CHECK_INT(s.q.size, 256);
	guest_drop(&s.g);
}

TEST(one_chain)
{
	struct setup s;
	struct virtqueue_chain *c = chain_new();
	uint8_t buf[64];
	uint32_t id, len;

	if (!CHECK(c != NULL && setup(&s, SIZE, false)))
		return;
	driver_desc(&s.d, 3, (struct vring_desc){ DATA_ADDR, 4, NEXT, 0 });
	driver_desc(&s.d, 0, (struct vring_desc){ HIGH_ADDR, 3, NEXT, 7 });
	driver_desc(&s.d, 7, (struct vring_desc){ DATA_ADDR + 0x100, 2, NEXT | WRITE, 1 });
	driver_desc(&s.d, 1, (struct vring_desc){ HIGH_ADDR + HIGH_SIZE - 5, 5, WRITE, 99 });
	memcpy(s.g.bytes + DATA_ADDR, "abcd", 4);
	memcpy(s.g.bytes + LOW_SIZE, "efg", 3);
	CHECK_INT(virtqueue_pop(&s.q, c), 0);
	driver_add(&s.d, 3);
	CHECK(driver_publish(&s.d));
	if (!CHECK_INT(virtqueue_pop(&s.q, c), 1))
		return;
	CHECK_INT(c->head, 3);
	CHECK_INT(c->n_readable, 2);
	CHECK_INT(c->n_writable, 2);
	CHECK_INT(c->readable_len, 7);
	CHECK_INT(c->writable_len, 7);
	CHECK(c->iov[3].iov_base == s.g.bytes + LOW_SIZE + HIGH_SIZE - 5 && c->iov[3].iov_len == 5);
	CHECK_INT(virtqueue_pop(&s.q, c), 0);

	CHECK_INT(virtqueue_chain_read(c, 0, buf, sizeof(buf)), 7);
	CHECK(memcmp(buf, "abcdefg", 7) == 0);
	CHECK_INT(virtqueue_chain_read(c, 3, buf, 2), 2);
	CHECK(memcmp(buf, "de", 2) == 0);
	CHECK_INT(virtqueue_chain_read(c, 6, buf, 5), 1);
	CHECK_INT(virtqueue_chain_read(c, 7, buf, 5), 0);
	CHECK_INT(virtqueue_chain_read(c, UINT64_MAX, buf, 5), 0);
	CHECK_INT(virtqueue_chain_read(c, 0, buf, 0), 0);
	CHECK_INT(virtqueue_chain_write(c, 1, "0123456789", 10), 6);
	CHECK(s.g.bytes[DATA_ADDR + 0x101] == '0' && s.g.bytes[DATA_ADDR + 0x102] == 0);
	CHECK(memcmp(s.g.bytes + LOW_SIZE + HIGH_SIZE - 5, "12345", 5) == 0);
	CHECK_INT(virtqueue_chain_write(c, 7, "x", 1), 0);

	CHECK_INT(virtqueue_push(&s.q, 0, 7), -EINVAL);
	CHECK_INT(virtqueue_push(&s.q, 0xFFFF, 7), -EINVAL);
	CHECK(!virtqueue_needs_interrupt(&s.q));
	CHECK_INT(virtqueue_push(&s.q, 3, 7), 0);
	CHECK_INT(virtqueue_push(&s.q, 3, 7), -EINVAL);
	CHECK(virtqueue_needs_interrupt(&s.q));
	CHECK(!virtqueue_needs_interrupt(&s.q));
	CHECK(driver_take(&s.d, &id, &len) && id == 3 && len == 7);
	CHECK(!driver_take(&s.d, &id, &len));
	guest_drop(&s.g);
	free(c);
}

/* A table of chains that start at descriptor 0, and what becomes of them. `broken` is a word of the reason. */
TEST(hostile_chains)
{
	static const struct {
		const char *broken;	/* NULL: it is all right */
		uint16_t head;
		struct vring_desc desc[SIZE];
	} cases[] = {
		{ NULL, 0, { { DATA_ADDR, 1, 0, 0 } } },
		{ NULL, 7, { [7] = { DATA_ADDR, 1, WRITE, 0xFFFF } } },
		/* next counts only with its flag. */
		{ NULL, 0, { { DATA_ADDR, 1, 0, 0xFFFF } } },
		/* The longest. */
		{ NULL, 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 1, NEXT, 2 }, { DATA_ADDR, 1, NEXT, 3 },
			{ DATA_ADDR, 1, NEXT, 4 }, { DATA_ADDR, 1, NEXT, 5 }, { DATA_ADDR, 1, NEXT, 6 },
			{ DATA_ADDR, 1, NEXT, 7 }, { DATA_ADDR, 1, 0, 0 } } },
		{ "loop", 0, { { DATA_ADDR, 1, NEXT, 0 } } },
		{ "loop", 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 1, NEXT, 0 } } },
		{ "loop", 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 1, NEXT | WRITE, 2 }, { DATA_ADDR, 1, NEXT | WRITE, 1 } } },
		{ "loop", 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 1, NEXT, 2 }, { DATA_ADDR, 1, NEXT, 3 },
			{ DATA_ADDR, 1, NEXT, 4 }, { DATA_ADDR, 1, NEXT, 5 }, { DATA_ADDR, 1, NEXT, 6 },
			{ DATA_ADDR, 1, NEXT, 7 }, { DATA_ADDR, 1, NEXT, 0 } } },
		{ "table", SIZE, { { DATA_ADDR, 1, 0, 0 } } },
		{ "table", 0xFFFF, { { DATA_ADDR, 1, 0, 0 } } },
		{ "table", 0, { { DATA_ADDR, 1, NEXT, SIZE } } },
		{ "table", 0, { { DATA_ADDR, 1, NEXT, 0xFFFF } } },
		{ "indirect", 0, { { DATA_ADDR, 16, INDIRECT, 0 } } },
		{ "indirect", 0, { { DATA_ADDR, 16, INDIRECT | NEXT, 1 }, { DATA_ADDR, 1, 0, 0 } } },
		{ "indirect", 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 16, INDIRECT, 0 } } },
		{ "behind", 0, { { DATA_ADDR, 1, NEXT | WRITE, 1 }, { DATA_ADDR, 1, 0, 0 } } },
		{ "behind", 0, { { DATA_ADDR, 1, NEXT, 1 }, { DATA_ADDR, 1, NEXT | WRITE, 2 }, { DATA_ADDR, 1, 0, 0 } } },
		{ "outside", 0, { { DATA_ADDR, 0, 0, 0 } } },
		{ "outside", 0, { { 0, 0, WRITE, 0 } } },
		{ "outside", 0, { { LOW_SIZE, 1, 0, 0 } } },
		{ "outside", 0, { { LOW_SIZE - 1, 2, WRITE, 0 } } },
		{ "outside", 0, { { HIGH_ADDR - 1, 2, 0, 0 } } },
		{ "outside", 0, { { UINT64_MAX, 1, 0, 0 } } },
		{ "outside", 0, { { UINT64_MAX, UINT32_MAX, WRITE, 0 } } },
		{ "outside", 0, { { DATA_ADDR, UINT32_MAX, WRITE, 0 } } },
		{ "outside", 0, { { DATA_ADDR, 1, NEXT, 1 }, { HIGH_ADDR + HIGH_SIZE, 1, 0, 0 } } },
		/* Flags that nobody knows are nobody's. */
		{ NULL, 0, { { DATA_ADDR, 1, 0xFFF8, 0xFFFF } } },
	};
	struct virtqueue_chain *c = chain_new();

	for (size_t i = 0; c != NULL && i < ARRAY_SIZE(cases); i++) {
		struct setup s;

		if (!CHECK(setup(&s, SIZE, false)))
			return;
		for (uint16_t k = 0; k < SIZE; k++)
			driver_desc(&s.d, k, cases[i].desc[k]);
		driver_add(&s.d, cases[i].head);
		(void)driver_publish(&s.d);
		if (!CHECK_INT(virtqueue_pop(&s.q, c), cases[i].broken == NULL ? 1 : -EPROTO) ||
		    !CHECK((s.q.broken == NULL) == (cases[i].broken == NULL)) ||
		    !CHECK(s.q.broken == NULL || strstr(s.q.broken, cases[i].broken) != NULL))
			printf("#   case %zu: %s\n", i, s.q.broken != NULL ? s.q.broken : "");
		if (cases[i].broken != NULL) {
			/* For good, and nothing was used. */
			CHECK_INT(virtqueue_pop(&s.q, c), -EPROTO);
			CHECK_INT(virtqueue_push(&s.q, 0, 0), -EPROTO);
			CHECK(!virtqueue_needs_interrupt(&s.q));
			CHECK_INT(s.d.used->idx, 0);
			CHECK_INT(s.q.in_flight, 0);
			virtqueue_reset(&s.q);
			CHECK(s.q.broken == NULL);
			CHECK_INT(virtqueue_pop(&s.q, c), -ENOTCONN);
		}
		guest_drop(&s.g);
	}
	free(c);
}

/* The longest chain of the largest queue fits; one that comes back to its beginning does not write behind it. */
TEST(largest_queue)
{
	struct {
		struct virtqueue_chain chain;
		uint8_t behind[64];
	} *c = calloc(1, sizeof(*c));
	struct setup s;

	for (uint16_t loop = 0; c != NULL && loop < 2; loop++) {
		if (!CHECK(setup(&s, VIRTQUEUE_SIZE_MAX, true)))
			return;
		for (uint16_t k = 0; k < VIRTQUEUE_SIZE_MAX; k++)
			driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR + k, 1, NEXT, (uint16_t)(k + 1) });
		s.d.desc[VIRTQUEUE_SIZE_MAX - 1].flags = htole16(loop != 0 ? NEXT : 0);
		s.d.desc[VIRTQUEUE_SIZE_MAX - 1].next = 0;
		driver_add(&s.d, 0);
		(void)driver_publish(&s.d);
		CHECK_INT(virtqueue_pop(&s.q, &c->chain), loop != 0 ? -EPROTO : 1);
		CHECK(loop != 0 || c->chain.readable_len == VIRTQUEUE_SIZE_MAX);
		for (size_t i = 0; i < sizeof(c->behind); i++)
			CHECK_INT(c->behind[i], 0);
		guest_drop(&s.g);
	}
	free(c);
}

/* A chain's sum is 32 bits wide: two pieces of 3 GiB are refused though each is in memory. Nothing is touched. */
TEST(chain_bytes)
{
	_cleanup_guest_memory_ struct guest_memory gm;
	const struct virtqueue_config config = driver_config(SIZE);
	struct virtqueue_chain *c = chain_new();
	struct guest g = { 0 };
	struct virtqueue q;
	struct driver d;

	if (guest_memory_init(&gm, GUEST_HOLE_START) < 0) {
		test_skip("no 3 GiB of addresses here");
		free(c);
		return;
	}
	g.bytes = guest_memory_at(&gm, 0, LOW_SIZE);
	for (uint32_t last = UINT32_MAX - (uint32_t)GUEST_HOLE_START, i = 0; c != NULL && i < 2; i++) {
		memset(g.bytes, 0, LOW_SIZE);
		driver_make(&d, &g, SIZE, false);
		driver_desc(&d, 0, (struct vring_desc){ 0, (uint32_t)GUEST_HOLE_START, NEXT, 1 });
		driver_desc(&d, 1, (struct vring_desc){ 0, last + i, WRITE, 0 });
		driver_add(&d, 0);
		(void)driver_publish(&d);
		CHECK_INT(virtqueue_init(&q, &gm, SIZE), 0);
		CHECK_INT(virtqueue_set_config(&q, &config), 0);
		CHECK_INT(virtqueue_set_ready(&q, false), 0);
		CHECK_INT(virtqueue_pop(&q, c), i == 0 ? 1 : -EPROTO);
		CHECK(i == 1 || c->writable_len == last);
	}
	free(c);
}

/* The available index may run ahead by what the driver owns, not more. */
TEST(hostile_index)
{
	static const struct {
		uint16_t in_flight, jump;
		int r;
	} cases[] = {
		{ 0, 0, 0 }, { 0, 1, 1 }, { 0, SIZE, 1 }, { 0, SIZE + 1, -EPROTO }, { 0, 0x7FFF, -EPROTO },
		{ 0, 0x8000, -EPROTO }, { 0, 0xFFFF, -EPROTO }, { 3, 0, 0 }, { 3, SIZE - 3, 1 }, { 3, SIZE - 2, -EPROTO },
		{ 3, 0xFFFF, -EPROTO }, { SIZE, 0, 0 }, { SIZE, 1, -EPROTO },
	};
	struct virtqueue_chain *c = chain_new();

	for (size_t i = 0; c != NULL && i < ARRAY_SIZE(cases); i++)
		for (int event_idx = 0; event_idx < 2; event_idx++) {
			struct setup s;

			if (!CHECK(setup(&s, SIZE, event_idx != 0)))
				return;
			for (uint16_t k = 0; k < SIZE; k++) {
				driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
				driver_add(&s.d, k);
			}
			s.d.avail->idx = htole16(cases[i].in_flight);
			for (uint16_t k = 0; k < cases[i].in_flight; k++)
				CHECK_INT(virtqueue_pop(&s.q, c), 1);
			s.d.avail->idx = htole16((uint16_t)(cases[i].in_flight + cases[i].jump));
			if (!CHECK_INT(virtqueue_pop(&s.q, c), cases[i].r))
				printf("#   case %zu\n", i);
			guest_drop(&s.g);
		}
	free(c);
}

/* One head twice: refused while the first is in flight, fine after that. */
TEST(head_twice)
{
	struct virtqueue_chain *c = chain_new();
	struct setup s;

	if (!CHECK(c != NULL && setup(&s, SIZE, false)))
		return;
	driver_desc(&s.d, 5, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
	for (int i = 0; i < 3; i++) {
		driver_add(&s.d, 5);
		(void)driver_publish(&s.d);
		CHECK_INT(virtqueue_pop(&s.q, c), 1);
		CHECK_INT(virtqueue_push(&s.q, 5, 0), 0);
	}
	driver_add(&s.d, 5);
	driver_add(&s.d, 5);
	(void)driver_publish(&s.d);
	CHECK_INT(virtqueue_pop(&s.q, c), 1);
	CHECK_INT(virtqueue_pop(&s.q, c), -EPROTO);
	CHECK_INT(virtqueue_push(&s.q, 5, 0), -EPROTO);
	CHECK_INT(le16toh(s.d.used->idx), 3);
	guest_drop(&s.g);
	free(c);
}

/* A driver (another vCPU) that adds an entry for each that is used would keep the device at work for ever. */
TEST(work_is_bounded)
{
	struct virtqueue_chain *c = chain_new();
	struct setup s;
	int r;

	if (!CHECK(c != NULL && setup(&s, SIZE, true)))
		return;
	for (uint16_t k = 0; k < SIZE; k++)
		driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 1, WRITE, 0 });
	driver_add(&s.d, 0);
	(void)driver_publish(&s.d);
	for (int turn = 0; turn < 3; turn++) {
		unsigned int popped = 0;

		virtqueue_begin_turn(&s.q);
		while ((r = virtqueue_pop(&s.q, c)) == 1 && popped < 100) {
			popped++;
			CHECK_INT(virtqueue_push(&s.q, c->head, 0), 0);
			driver_add(&s.d, (uint16_t)(popped % SIZE));
			(void)driver_publish(&s.d);
		}
		CHECK_INT(r, -EAGAIN);
		CHECK_INT(popped, SIZE);
		CHECK(s.q.turn_over);
		CHECK_INT(virtqueue_pop(&s.q, c), -EAGAIN);
	}
	/* What is left fits the next turn: it ends because the queue is empty. */
	virtqueue_begin_turn(&s.q);
	CHECK_INT(virtqueue_pop(&s.q, c), 1);
	CHECK_INT(virtqueue_push(&s.q, c->head, 0), 0);
	for (uint16_t k = 1; k < SIZE; k++)
		driver_add(&s.d, k);
	(void)driver_publish(&s.d);
	for (uint16_t k = 1; k < SIZE; k++)
		CHECK_INT(virtqueue_pop(&s.q, c), 1);
	CHECK_INT(virtqueue_pop(&s.q, c), 0);
	CHECK(!s.q.turn_over);
	guest_drop(&s.g);
	free(c);
}

/* Several that belong together: a driver that looks between them sees none. */
TEST(all_or_none)
{
	static const struct virtqueue_used pair[] = { { 0, 5 }, { 1, 6 } }, twice[] = { { 0, 5 }, { 0, 5 } }, strange[] = { { 0, 5 }, { 2, 6 } };
	struct virtqueue_chain *c = chain_new();
	struct setup s;
	uint32_t id, len;

	if (!CHECK(c != NULL && setup(&s, SIZE, false)))
		return;
	for (uint16_t k = 0; k < 2; k++) {
		driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 8, WRITE, 0 });
		driver_add(&s.d, k);
		CHECK(driver_publish(&s.d));
		CHECK_INT(virtqueue_pop(&s.q, c), 1);
	}
	CHECK_INT(virtqueue_push_all(&s.q, twice, 2), -EINVAL);
	CHECK_INT(virtqueue_push_all(&s.q, strange, 2), -EINVAL);
	CHECK(!driver_take(&s.d, &id, &len) && s.q.in_flight == 2);
	/* What was refused has changed nothing. */
	CHECK_INT(virtqueue_push_all(&s.q, pair, 2), 0);
	CHECK(driver_take(&s.d, &id, &len) && id == 0 && len == 5);
	CHECK(driver_take(&s.d, &id, &len) && id == 1 && len == 6);
	CHECK_INT(s.q.in_flight, 0);
	guest_drop(&s.g);
	free(c);
}

TEST(plain_flags)
{
	struct virtqueue_chain *c = chain_new();
	struct setup s;

	if (!CHECK(c != NULL && setup(&s, SIZE, false)))
		return;
	driver_desc(&s.d, 0, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
	for (int i = 0; i < 4; i++) {
		s.d.avail->flags = htole16(i % 2 == 0 ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
		driver_add(&s.d, 0);
		CHECK(driver_publish(&s.d));
		CHECK_INT(virtqueue_pop(&s.q, c), 1);
		CHECK_INT(virtqueue_push(&s.q, 0, 0), 0);
		CHECK(virtqueue_needs_interrupt(&s.q) == (i % 2 == 0));
	}
	guest_drop(&s.g);
	free(c);
}

/* used_event against the pushes since the last question, around the wrap, too. */
/* A device that has done enough: the next pop is the next turn's. With nothing left there is none. */
TEST(turn_ended_early)
{
	struct virtqueue_chain *c = chain_new();
	struct setup s;

	if (!CHECK(c != NULL && setup(&s, SIZE, true)))
		return;
	for (uint16_t i = 0; i < 2; i++) {
		driver_desc(&s.d, i, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
		driver_add(&s.d, i);
	}
	(void)driver_publish(&s.d);
	for (unsigned int i = 0; i < 2; i++) {
		virtqueue_begin_turn(&s.q);
		CHECK_INT(virtqueue_pop(&s.q, c), 1);
		virtqueue_end_turn(&s.q);
		CHECK_INT(virtqueue_pop(&s.q, c), i == 0 ? -EAGAIN : 0);
		CHECK(s.q.turn_over == (i == 0));
	}
	guest_drop(&s.g);
	free(c);
}

/* Pieces of one part, cut at both ends. */
TEST(chain_pieces)
{
	static const struct {
		bool writable;
		uint64_t offset;
		size_t len, n, first, last;
	} cases[] = {
		{ false, 0, 100, 2, 10, 20 }, { false, 0, 10, 1, 10, 10 }, { false, 0, 11, 2, 10, 1 },
		{ false, 10, 100, 1, 20, 20 }, { false, 3, 8, 2, 7, 1 }, { false, 29, 100, 1, 1, 1 },
		{ false, 30, 100, 0, 0, 0 }, { false, UINT64_MAX, SIZE_MAX, 0, 0, 0 }, { false, 5, 0, 0, 0, 0 },
		{ true, 0, SIZE_MAX, 1, 40, 40 }, { true, 39, 5, 1, 1, 1 }, { true, 40, 5, 0, 0, 0 },
	};
	struct virtqueue_chain *c = chain_new();
	struct iovec iov[3];
	uint8_t bytes[70];

	if (!CHECK(c != NULL))
		return;
	c->n_readable = 2;
	c->n_writable = 1;
	c->iov[0] = (struct iovec){ bytes, 10 };
	c->iov[1] = (struct iovec){ bytes + 10, 20 };
	c->iov[2] = (struct iovec){ bytes + 30, 40 };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = virtqueue_chain_iov(c, cases[i].writable, cases[i].offset, cases[i].len, iov);

		if (!CHECK_INT(n, cases[i].n))
			printf("#   case %zu\n", i);
		if (n == 0 || n != cases[i].n)
			continue;
		CHECK_INT(iov[0].iov_len, cases[i].first);
		CHECK_INT(iov[n - 1].iov_len, cases[i].last);
		CHECK(iov[0].iov_base == bytes + (cases[i].writable ? 30 : 0) + cases[i].offset);
	}
	free(c);
}

TEST(used_event)
{
	static const struct {
		uint16_t start, pushes, event;
		bool wanted;
	} cases[] = {
		{ 0, 1, 0, true }, { 0, 1, 1, false }, { 0, 1, 0xFFFF, false }, { 0, 3, 2, true }, { 0, 3, 3, false },
		{ 0xFFFE, 1, 0xFFFE, true }, { 0xFFFE, 4, 1, true }, { 0xFFFE, 4, 2, false }, { 0xFFFE, 4, 0xFFFD, false },
		{ 0x7FFF, 2, 0x8000, true }, { 5, 0, 5, false },
	};
	struct virtqueue_chain *c = chain_new();

	for (size_t i = 0; c != NULL && i < ARRAY_SIZE(cases); i++) {
		struct setup s;

		if (!CHECK(setup(&s, SIZE, true)))
			return;
		s.q.next_used = s.q.next_avail = s.d.next_avail = cases[i].start;
		s.d.avail->idx = htole16(cases[i].start);
		for (uint16_t k = 0; k < cases[i].pushes; k++) {
			driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
			driver_add(&s.d, k);
			(void)driver_publish(&s.d);
			CHECK_INT(virtqueue_pop(&s.q, c), 1);
			CHECK_INT(virtqueue_push(&s.q, k, 0), 0);
		}
		s.d.avail->ring[SIZE] = htole16(cases[i].event);
		if (!CHECK(virtqueue_needs_interrupt(&s.q) == cases[i].wanted))
			printf("#   case %zu\n", i);
		guest_drop(&s.g);
	}
	free(c);
}

/*
 * Two that listen only when they are told: the device runs when the driver would kick, the driver looks when it is
 * interrupted. A notification that is lost leaves a chain unused, one too many costs nothing but is counted.
 */
TEST(event_idx_together)
{
	struct virtqueue_chain *c = chain_new();
	unsigned int kicks = 0, interrupts = 0, added = 0, taken = 0;
	struct setup s;

	if (!CHECK(c != NULL && setup(&s, SIZE, true)))
		return;
	for (uint16_t k = 0; k < SIZE; k++)
		driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 1, WRITE, 0 });
	for (unsigned int round = 0; round < 50000; round++) {
		unsigned int batch = 1 + round * 7 % SIZE;
		uint32_t id, len;
		bool kick = false;

		driver_want_interrupt(&s.d);
		for (uint16_t k = 0; k < batch; k++, added++) {
			driver_add(&s.d, k);
			kick = driver_publish(&s.d) || kick;
		}
		if (!CHECK(kick))
			break;
		kicks++;
		virtqueue_begin_turn(&s.q);
		while (virtqueue_pop(&s.q, c) == 1)
			CHECK_INT(virtqueue_push(&s.q, c->head, 1), 0);
		if (!CHECK(virtqueue_needs_interrupt(&s.q)))
			break;
		interrupts++;
		while (driver_take(&s.d, &id, &len))
			taken++;
		if (!CHECK_INT(taken, added))
			break;
	}
	CHECK(added > 3 * 65536);
	CHECK(kicks == interrupts && s.q.broken == NULL);
	guest_drop(&s.g);
	free(c);
}

/* While the device is at work (it has not yet found the queue empty), a driver with EVENT_IDX need not kick. */
TEST(no_kick_while_busy)
{
	struct virtqueue_chain *c = chain_new();
	struct setup s;

	if (!CHECK(c != NULL && setup(&s, SIZE, true)))
		return;
	for (uint16_t k = 0; k < SIZE; k++)
		driver_desc(&s.d, k, (struct vring_desc){ DATA_ADDR, 1, 0, 0 });
	driver_add(&s.d, 0);
	CHECK(driver_publish(&s.d));
	CHECK_INT(virtqueue_pop(&s.q, c), 1);
	driver_add(&s.d, 1);
	CHECK(!driver_publish(&s.d));
	CHECK_INT(virtqueue_pop(&s.q, c), 1);
	CHECK_INT(virtqueue_pop(&s.q, c), 0);
	driver_add(&s.d, 2);
	CHECK(driver_publish(&s.d));
	guest_drop(&s.g);
	free(c);
}

/* ---- a driver that changes its mind while the device reads ---- */

struct racer {
	struct setup *s;
	bool stop;
};

static void *race(void *data)
{
	static const struct vring_desc a = { DATA_ADDR, 16, 0, 0 }, b = { LOW_SIZE - 1, UINT32_MAX, NEXT | WRITE, 0xFFFF };
	struct racer *r = data;
	struct vring_desc *d = r->s->d.desc;

	for (unsigned int i = 0; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); i++) {
		const struct vring_desc *v = i % 2 == 0 ? &a : &b;

		__atomic_store_n(&d->addr, htole64(v->addr), __ATOMIC_RELAXED);
		__atomic_store_n(&d->len, htole32(v->len), __ATOMIC_RELAXED);
		__atomic_store_n(&d->flags, htole16(v->flags), __ATOMIC_RELAXED);
		__atomic_store_n(&d->next, htole16(v->next), __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever of the two is seen, or a mixture: a chain is inside memory, or there is none. */
TEST(read_once)
{
	const struct virtqueue_config config = driver_config(SIZE);
	struct virtqueue_chain *c = chain_new();
	unsigned int popped = 0, refused = 0;
	struct setup s;
	struct racer r = { .s = &s };
	pthread_t thread;

	if (!CHECK(c != NULL && setup(&s, SIZE, false)) || !CHECK(pthread_create(&thread, NULL, race, &r) == 0))
		return;
	for (int i = 0; i < 200000 && (i < 20000 || popped == 0 || refused == 0); i++) {
		virtqueue_reset(&s.q);
		CHECK_INT(virtqueue_set_config(&s.q, &config), 0);
		CHECK_INT(virtqueue_set_ready(&s.q, false), 0);
		s.d.avail->idx = htole16(1);
		if (virtqueue_pop(&s.q, c) != 1) {
			refused++;
			continue;
		}
		popped++;
		if (!CHECK(c->n_readable + c->n_writable == 1 && guest_owns(&s.g, c->iov[0].iov_base, c->iov[0].iov_len)))
			break;
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	(void)pthread_join(thread, NULL);
	printf("# popped %u, refused %u\n", popped, refused);
	guest_drop(&s.g);
	free(c);
}

TEST_MAIN(CASE(config_checked), CASE(offers_checked), CASE(config_latched), CASE(one_chain), CASE(all_or_none), CASE(hostile_chains),
	  CASE(largest_queue), CASE(chain_bytes), CASE(hostile_index), CASE(head_twice), CASE(work_is_bounded),
	  CASE(plain_flags), CASE(turn_ended_early), CASE(chain_pieces), CASE(used_event), CASE(event_idx_together),
	  CASE(no_kick_while_busy), CASE(read_once))
