/* SPDX-License-Identifier: Apache-2.0 */
/* The door of guest memory: what is inside, what is not, and what another process sees of it. */
#include "tests/unit/test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/virtio_driver.h"

#define NONE UINT64_MAX
#define HIGH_END (HIGH_ADDR + HIGH_SIZE)

TEST(door)
{
	static const struct {
		uint64_t addr, len;
		uint64_t offset;	/* in the buffer; NONE: refused */
	} cases[] = {
		{ 0, 1, 0 },
		{ 0, LOW_SIZE, 0 },
		{ 0, LOW_SIZE + 1, NONE },
		{ 0, 0, NONE },
		{ 1, LOW_SIZE, NONE },
		{ LOW_SIZE - 1, 1, LOW_SIZE - 1 },
		{ LOW_SIZE - 1, 2, NONE },
		{ LOW_SIZE, 1, NONE },
		{ LOW_SIZE, 0, NONE },
		{ 0, UINT64_MAX, NONE },
		{ 1, UINT64_MAX, NONE },
		{ UINT64_MAX, 1, NONE },
		{ UINT64_MAX, UINT64_MAX, NONE },
		{ UINT64_MAX - 1, 3, NONE },
		{ HIGH_ADDR - 1, 1, NONE },
		{ HIGH_ADDR - 1, 2, NONE },
		{ HIGH_ADDR, 1, LOW_SIZE },
		{ HIGH_ADDR, HIGH_SIZE, LOW_SIZE },
		{ HIGH_ADDR, HIGH_SIZE + 1, NONE },
		{ HIGH_END - 8, 8, LOW_SIZE + HIGH_SIZE - 8 },
		{ HIGH_END - 8, 9, NONE },
		{ HIGH_END, 1, NONE },
		{ HIGH_ADDR, UINT64_MAX - HIGH_ADDR + 1, NONE },
		{ HIGH_ADDR, UINT64_MAX - HIGH_ADDR + 2, NONE },
		{ UINT64_C(1) << 63, UINT64_C(1) << 63, NONE },
	};
	struct guest g;

	if (!CHECK(guest_make(&g)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint8_t *p = guest_memory_at(&g.gm, cases[i].addr, cases[i].len);

		if (!CHECK(p == (cases[i].offset == NONE ? NULL : g.bytes + cases[i].offset)))
			printf("#   case %zu\n", i);
		CHECK(p == NULL || guest_owns(&g, p, cases[i].len));
	}
	guest_drop(&g);
}

/* Around each edge, all lengths up to a few: the door says what counting byte by byte says. */
TEST(door_edges)
{
	static const uint64_t edges[] = { 0, LOW_SIZE, HIGH_ADDR, HIGH_END };
	struct guest g;

	if (!CHECK(guest_make(&g)))
		return;
	for (size_t e = 0; e < ARRAY_SIZE(edges); e++)
		for (uint64_t addr = edges[e] - 5; addr != edges[e] + 5; addr++)
			for (uint64_t len = 1; len < 10; len++) {
				bool inside = true;

				for (uint64_t a = addr; a != addr + len; a++)
					inside = inside && (a < LOW_SIZE || (a >= HIGH_ADDR && a < HIGH_END));
				CHECK((guest_memory_at(&g.gm, addr, len) != NULL) == inside);
			}
	guest_drop(&g);
}

TEST(regions_refused)
{
	static uint8_t host[4 * GUEST_PAGE_SIZE] __attribute__((aligned(GUEST_PAGE_SIZE)));
	static const struct {
		uint64_t addr, size;
		size_t host;	/* offset */
		int r;
	} cases[] = {
		{ LOW_SIZE, 0, 0, -EINVAL },
		{ LOW_SIZE + 1, 0x1000, 0, -EINVAL },
		{ LOW_SIZE, 0x1001, 0, -EINVAL },
		{ LOW_SIZE, 0x1000, 8, -EINVAL },
		{ 0, 0x1000, 0, -EINVAL },
		{ LOW_SIZE - 0x1000, 0x2000, 0, -EINVAL },
		{ HIGH_ADDR - 0x1000, 0x2000, 0, -EINVAL },
		{ LOW_SIZE, HIGH_ADDR, 0, -EINVAL },
		{ UINT64_MAX - 0xFFF, 0x1000, 0, -EINVAL },
		{ UINT64_MAX - 0xFFF, 0x2000, 0, -EINVAL },
		{ UINT64_MAX - 0x1FFF, 0x1000, 0, 0 },
		{ LOW_SIZE, 0x1000, 0x1000, 0 },
		{ 2 * LOW_SIZE, 0x1000, 0x2000, -ENOSPC },
	};
	struct guest g;

	if (!CHECK(guest_make(&g)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct guest_region region = {
			.addr = cases[i].addr, .size = cases[i].size, .host = host + cases[i].host, .fd = FD_NONE,
		};

		err_clear();
		if (!CHECK_INT(guest_memory_add(&g.gm, &region), cases[i].r))
			printf("#   case %zu\n", i);
		CHECK((err_text()[0] != '\0') == (cases[i].r < 0));
	}
	CHECK(guest_memory_at(&g.gm, UINT64_MAX - 0x1FFF, 0x1000) == host);
	CHECK(guest_memory_at(&g.gm, UINT64_MAX - 0x1FFF, 0x1001) == NULL);
	/* Two regions side by side are still two. */
	CHECK(guest_memory_at(&g.gm, LOW_SIZE - 1, 2) == NULL);
	guest_drop(&g);
}

TEST(copies_and_values)
{
	struct guest g;
	uint8_t in[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, out[8] = { 0 };

	if (!CHECK(guest_make(&g)))
		return;
	CHECK_INT(guest_memory_write(&g.gm, LOW_SIZE - 8, in, 8), 0);
	CHECK_INT(guest_memory_read(&g.gm, LOW_SIZE - 8, out, 8), 0);
	CHECK(memcmp(in, out, 8) == 0);
	CHECK_INT(guest_memory_write(&g.gm, LOW_SIZE - 7, out + 1, 8), -EFAULT);
	CHECK_INT(guest_memory_read(&g.gm, HIGH_END - 7, out, 8), -EFAULT);
	CHECK_INT(guest_memory_read(&g.gm, 0, out, 0), -EFAULT);
	CHECK(memcmp(g.bytes + LOW_SIZE - 8, in, 8) == 0);
	CHECK_INT(guest_load16((const uint16_t *)(void *)(g.bytes + LOW_SIZE - 8)), 0x0201);
	CHECK_INT(guest_load16_acquire((const uint16_t *)(void *)(g.bytes + LOW_SIZE - 6)), 0x0403);
	CHECK_INT(guest_load32((const uint32_t *)(void *)(g.bytes + LOW_SIZE - 4)), 0x08070605);
	CHECK(guest_load64((const __u64 *)(void *)(g.bytes + LOW_SIZE - 8)) == UINT64_C(0x0807060504030201));
	guest_store16((uint16_t *)(void *)g.bytes, 0x1122);
	guest_store16_release((uint16_t *)(void *)(g.bytes + 2), 0x3344);
	guest_store32((uint32_t *)(void *)(g.bytes + 4), 0x55667788);
	CHECK(memcmp(g.bytes, "\x22\x11\x44\x33\x88\x77\x66\x55", 8) == 0);
	guest_drop(&g);
}

/* RAM on both sides of the hole, one file, the same bytes through the descriptor. */
TEST(around_the_hole)
{
	_cleanup_guest_memory_ struct guest_memory gm;
	const uint64_t size = GUEST_HOLE_START + 0x200000;
	uint8_t *shared, *p;
	int r = guest_memory_init(&gm, size);

	if (r == -ENOMEM) {
		test_skip("no 3 GiB of addresses here");
		return;
	}
	if (!CHECK_INT(r, 0) || !CHECK_INT(gm.n, 2))
		return;
	CHECK(guest_memory_at(&gm, 0, GUEST_HOLE_START) != NULL);
	CHECK(guest_memory_at(&gm, GUEST_HOLE_START - 1, 2) == NULL);
	CHECK(guest_memory_at(&gm, GUEST_HOLE_START, 1) == NULL);
	CHECK(guest_memory_at(&gm, GUEST_HOLE_END - 1, 1) == NULL);
	p = guest_memory_at(&gm, GUEST_HOLE_END, 0x200000);
	CHECK(guest_memory_at(&gm, GUEST_HOLE_END, 0x200001) == NULL);
	if (!CHECK(p != NULL))
		return;
	p[5] = 77;
	shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, gm.regions[1].fd, (off_t)gm.regions[1].offset);
	if (CHECK(shared != MAP_FAILED)) {
		CHECK_INT(shared[5], 77);
		(void)munmap(shared, 4096);
	}
	/* Whoever shares the file can neither cut it off below us nor make it grow. */
	CHECK(ftruncate(gm.fd, 4096) < 0 && errno == EPERM);
	CHECK(ftruncate(gm.fd, (off_t)size + 4096) < 0 && errno == EPERM);
}

TEST(one_region)
{
	_cleanup_guest_memory_ struct guest_memory gm;

	if (!CHECK_INT(guest_memory_init(&gm, 0x400000), 0))
		return;
	CHECK_INT(gm.n, 1);
	CHECK(guest_memory_at(&gm, 0x3FFFFF, 1) != NULL);
	CHECK(guest_memory_at(&gm, 0x400000, 1) == NULL);
	CHECK(guest_memory_at(&gm, GUEST_HOLE_END, 1) == NULL);
	guest_memory_deinit(&gm);
	CHECK(guest_memory_at(&gm, 0, 1) == NULL);
}

/* Pages are given back to the system, not only unmapped here; what is no page of guest memory is refused. */
TEST(discard)
{
	static const struct {
		uint64_t offset, len;
	} refused[] = {
		{ 0x1000, 0 }, { 0x1000, 0xFFF }, { 0x1001, 0x1000 }, { 0x3FF000, 0x2000 }, { 0x400000, 0x1000 },
		{ -UINT64_C(0x1000), 0x2000 }, { 0, UINT64_MAX - 0xFFF },
	};
	struct guest_memory gm;
	struct stat st;
	uint8_t *p;

	if (!CHECK_INT(guest_memory_init(&gm, 0x400000), 0))
		return;
	p = guest_memory_at(&gm, 0, 0x400000);
	memset(p, 0xFF, 0x400000);
	CHECK(fstat(gm.fd, &st) == 0 && st.st_blocks == 0x400000 / 512);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		CHECK_INT(guest_memory_discard(&gm, p + refused[i].offset, refused[i].len), -EINVAL);
	CHECK(fstat(gm.fd, &st) == 0 && st.st_blocks == 0x400000 / 512);
	CHECK_INT(guest_memory_discard(&gm, p + 0x101000, 0x100000), 0);
	CHECK(fstat(gm.fd, &st) == 0 && st.st_blocks == 0x300000 / 512 && st.st_size == 0x400000);
	CHECK(p[0x100FFF] == 0xFF && p[0x101000] == 0 && p[0x200FFF] == 0 && p[0x201000] == 0xFF);
	guest_memory_deinit(&gm);
}

TEST(sizes_refused)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4097, GUEST_MEMORY_MAX + 4096, UINT64_MAX, UINT64_MAX - 4095 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_guest_memory_ struct guest_memory gm;

		CHECK_INT(guest_memory_init(&gm, sizes[i]), -EINVAL);
		CHECK_INT(gm.n, 0);
	}
}

TEST_MAIN(CASE(door), CASE(door_edges), CASE(regions_refused), CASE(copies_and_values), CASE(around_the_hole), CASE(one_region), CASE(discard),
	  CASE(sizes_refused))
