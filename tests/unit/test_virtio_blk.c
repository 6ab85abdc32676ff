/* SPDX-License-Identifier: Apache-2.0 */
/* The disk: what requests do, and which are refused. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/virtio_blk.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/virtio_device.h"

#define SECTORS 64
#define HEADER BUFFERS
#define STATUS (BUFFERS + 0x10)
#define DATA (BUFFERS + 0x1000)
#define FLUSH (UINT64_C(1) << VIRTIO_BLK_F_FLUSH)
#define RO (UINT64_C(1) << VIRTIO_BLK_F_RO)
#define CLEARS (UINT64_C(1) << VIRTIO_BLK_F_DISCARD | UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES)
#define LIMITS (UINT64_C(1) << VIRTIO_BLK_F_SIZE_MAX | UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX)
#define NOT_WRITTEN 0xEE

struct disk {
	struct vm vm;
	struct virtio_blk *b;
	int image;
};

/* A disk of SECTORS sectors and a few bytes, each sector full of its number plus 1. */
static bool disk_make(struct disk *k, bool read_only)
{
	struct virtio_blk_options o = { .read_only = read_only, .serial = "serial" };
	uint8_t sector[512];

	*k = (struct disk){ .b = malloc(sizeof(*k->b)), .image = memfd_create("disk", MFD_CLOEXEC) };
	if (k->b == NULL || k->image < 0 || !vm_make(&k->vm))
		return false;
	for (int i = 0; i < SECTORS; i++) {
		memset(sector, i + 1, sizeof(sector));
		if (write(k->image, sector, sizeof(sector)) != sizeof(sector))
			return false;
	}
	if (write(k->image, sector, 100) != 100)
		return false;
	o.image = k->image;
	return virtio_blk_init(k->b, &o) == 0 && vm_attach(&k->vm, &virtio_blk_ops, k->b);
}

static void disk_drop(struct disk *k)
{
	vm_drop(&k->vm);
	fd_close(&k->image);
	free(k->b);
}

static uint8_t image_byte(const struct disk *k, off_t at)
{
	uint8_t v = 0xEE;

	return pread(k->image, &v, 1, at) == 1 ? v : 0xEE;
}

static void put_header(struct disk *k, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(k->vm.g.bytes + HEADER, &h, sizeof(h));
	k->vm.g.bytes[STATUS] = NOT_WRITTEN;
}

/* The status of a request with len bytes of data at DATA; ret_used: what the driver is told was written. */
static uint8_t request(struct disk *k, uint32_t type, uint64_t sector, uint32_t len, int64_t *ret_used)
{
	bool writable = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct piece pieces[3] = { { HEADER, sizeof(struct virtio_blk_outhdr), false }, { DATA, len, writable } };
	size_t n = len > 0 ? 2 : 1;

	put_header(k, type, sector);
	pieces[n++] = (struct piece){ STATUS, 1, true };
	vm_send(&k->vm, 0, pieces, n);
	if (!vm_settle(&k->vm))
		return NOT_WRITTEN;
	*ret_used = vm_used(&k->vm, 0);
	return k->vm.g.bytes[STATUS];
}

TEST(read_write)
{
	struct disk k;
	int64_t used;

	if (!CHECK(disk_make(&k, false)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | FLUSH | LIMITS | CLEARS));
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG), SECTORS);
	CHECK_INT(vm_read32(&k.vm, VIRTIO_MMIO_CONFIG + 4), 0);
	for (unsigned int i = 0; i < 2; i++) {
		vm_start(&k.vm, EVENT_IDX | (i == 0 ? FLUSH : 0));
		CHECK_INT(request(&k, VIRTIO_BLK_T_IN, 3, 1024, &used), VIRTIO_BLK_S_OK);
		CHECK_INT(used, 1025);
		CHECK(k.vm.g.bytes[DATA] == 4 && k.vm.g.bytes[DATA + 511] == 4 && k.vm.g.bytes[DATA + 512] == 5);
		CHECK(k.vm.g.bytes[DATA + 1023] == 5 && k.vm.g.bytes[DATA + 1024] == 0);
		memset(k.vm.g.bytes + DATA, 0xA0 + (int)i, 1024);
		CHECK_INT(request(&k, VIRTIO_BLK_T_OUT, 10, 1024, &used), VIRTIO_BLK_S_OK);
		CHECK_INT(used, 1);
		CHECK(image_byte(&k, 10 * 512 - 1) == 10 && image_byte(&k, 10 * 512) == 0xA0 + i);
		CHECK(image_byte(&k, 12 * 512 - 1) == 0xA0 + i && image_byte(&k, 12 * 512) == 13);
		CHECK_INT(request(&k, VIRTIO_BLK_T_FLUSH, 0, 0, &used), VIRTIO_BLK_S_OK);
		/* The last one. */
		CHECK_INT(request(&k, VIRTIO_BLK_T_IN, SECTORS - 1, 512, &used), VIRTIO_BLK_S_OK);
		CHECK_INT(k.vm.g.bytes[DATA], SECTORS);
	}
	CHECK_INT(k.vm.interrupts, 8);
	disk_drop(&k);
}

/* Header, data and status in pieces that have nothing to do with them. */
TEST(pieces)
{
	struct disk k;

	if (!CHECK(disk_make(&k, false)))
		return;
	vm_start(&k.vm, FLUSH);
	put_header(&k, VIRTIO_BLK_T_OUT, 1);
	memset(k.vm.g.bytes + HEADER + 16, 0xB0, 512);
	memset(k.vm.g.bytes + DATA, 0xB1, 512);
	vm_send(&k.vm, 0, (const struct piece[]){ { HEADER, 3, false }, { HEADER + 3, 13 + 500, false }, { HEADER + 516, 12, false },
		{ DATA, 512, false }, { DATA + 0x800, 1, true } }, 5);
	CHECK_INT(vm_used(&k.vm, 0), 1);
	CHECK_INT(k.vm.g.bytes[DATA + 0x800], VIRTIO_BLK_S_OK);
	CHECK(image_byte(&k, 512) == 0xB0 && image_byte(&k, 1023) == 0xB0 && image_byte(&k, 1024) == 0xB1);
	CHECK(image_byte(&k, 1536) == 4);
	put_header(&k, VIRTIO_BLK_T_IN, 2);
	vm_send(&k.vm, 0, (const struct piece[]){ { HEADER, 16, false }, { DATA, 100, true }, { HIGH_ADDR, 413, true } }, 3);
	CHECK_INT(vm_used(&k.vm, 0), 513);
	CHECK(k.vm.g.bytes[DATA + 99] == 0xB1 && k.vm.g.bytes[LOW_SIZE + 411] == 0xB1 && k.vm.g.bytes[LOW_SIZE + 412] == 0);
	disk_drop(&k);
}

TEST(get_id)
{
	struct disk k;
	int64_t used;

	if (!CHECK(disk_make(&k, false)))
		return;
	vm_start(&k.vm, FLUSH);
	memset(k.vm.g.bytes + DATA, 'x', 64);
	CHECK_INT(request(&k, VIRTIO_BLK_T_GET_ID, 0, 20, &used), VIRTIO_BLK_S_OK);
	CHECK_INT(used, 21);
	CHECK(memcmp(k.vm.g.bytes + DATA, "serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0x", 21) == 0);
	CHECK_INT(request(&k, VIRTIO_BLK_T_GET_ID, 0, 3, &used), VIRTIO_BLK_S_OK);
	CHECK_INT(used, 4);
	CHECK_INT(request(&k, VIRTIO_BLK_T_GET_ID, 0, 40, &used), VIRTIO_BLK_S_OK);
	CHECK_INT(used, 20);
	disk_drop(&k);
}

TEST(places_refused)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} cases[] = {
		{ SECTORS, 512 }, { SECTORS - 1, 1024 }, { 0, (SECTORS + 1) * 512 }, { 0, 511 }, { 0, 513 }, { 0, 0 }, { 0, 1 },
		{ UINT64_MAX, 512 }, { UINT64_MAX / 512, 512 }, { UINT64_MAX / 512 + 1, 512 }, { UINT64_C(1) << 55, 512 },
		{ UINT64_C(1) << 63, 512 },
	};
	struct disk k;
	int64_t used;

	if (!CHECK(disk_make(&k, false)))
		return;
	vm_start(&k.vm, FLUSH);
	memset(k.vm.g.bytes + DATA, 0xCC, 0x9000);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++)
			if (!CHECK_INT(request(&k, type, cases[i].sector, cases[i].len, &used), VIRTIO_BLK_S_IOERR))
				printf("#   case %zu\n", i);
	}
	CHECK_INT(k.vm.g.bytes[DATA], 0xCC);
	for (int i = 0; i < SECTORS; i++)
		CHECK_INT(image_byte(&k, i * 512), i + 1);
	CHECK(!vm_needs_reset(&k.vm));
	disk_drop(&k);
}

static uint8_t clear(struct disk *k, uint32_t type, const struct virtio_blk_discard_write_zeroes *ranges, uint32_t n)
{
	int64_t used;

	memcpy(k->vm.g.bytes + DATA, ranges, n * sizeof(*ranges));
	return request(k, type, 0, n * (uint32_t)sizeof(*ranges), &used);
}

static struct virtio_blk_discard_write_zeroes range(uint64_t sector, uint32_t n, uint32_t flags)
{
	return (struct virtio_blk_discard_write_zeroes){ htole64(sector), htole32(n), htole32(flags) };
}

TEST(clears)
{
	struct virtio_blk_discard_write_zeroes r[17] = { range(8, 8, 0), range(24, 16, 0) };
	struct disk k;

	if (!CHECK(disk_make(&k, false)))
		return;
	vm_start(&k.vm, FLUSH);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, r, 2), VIRTIO_BLK_S_OK);
	CHECK(image_byte(&k, 8 * 512 - 1) == 8 && image_byte(&k, 8 * 512) == 0 && image_byte(&k, 16 * 512) == 17);
	CHECK(image_byte(&k, 24 * 512) == 0 && image_byte(&k, 40 * 512 - 1) == 0 && image_byte(&k, 40 * 512) == 41);
	r[0] = range(50, 1, 0);
	r[1] = range(52, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	r[2] = range(53, 0, 0);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_WRITE_ZEROES, r, 3), VIRTIO_BLK_S_OK);
	CHECK(image_byte(&k, 50 * 512 - 1) == 50 && image_byte(&k, 50 * 512) == 0 && image_byte(&k, 51 * 512) == 52);
	CHECK(image_byte(&k, 52 * 512) == 0 && image_byte(&k, 53 * 512) == 54);
	/* All or nothing: the second range is wrong. */
	r[0] = range(0, 8, 0);
	for (size_t i = 0; i < 6; i++) {
		const struct virtio_blk_discard_write_zeroes wrong[] = {
			range(SECTORS, 1, 0), range(SECTORS - 1, 2, 0), range(UINT64_MAX, 1, 0), range(0, UINT32_MAX, 0),
			range(1, 1, 2), range(1, 1, 0x80000000),
		};

		r[1] = wrong[i];
		CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, r, 2), i < 4 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP);
		CHECK_INT(clear(&k, VIRTIO_BLK_T_WRITE_ZEROES, r, 2), i < 4 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP);
	}
	r[0] = range(0, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, r, 1), VIRTIO_BLK_S_UNSUPP);
	r[0] = r[1] = range(0, 8, 0);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, r, 0), VIRTIO_BLK_S_IOERR);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, r, 17), VIRTIO_BLK_S_IOERR);
	CHECK_INT(image_byte(&k, 0), 1);
	disk_drop(&k);
}

TEST(read_only)
{
	const struct virtio_blk_discard_write_zeroes r = range(0, 8, 0);
	struct disk k;
	int64_t used;

	if (!CHECK(disk_make(&k, true)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | FLUSH | LIMITS | RO));
	/* The driver does not even know. */
	vm_start(&k.vm, 0);
	CHECK_INT(request(&k, VIRTIO_BLK_T_OUT, 0, 512, &used), VIRTIO_BLK_S_IOERR);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_DISCARD, &r, 1), VIRTIO_BLK_S_IOERR);
	CHECK_INT(clear(&k, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1), VIRTIO_BLK_S_IOERR);
	CHECK_INT(image_byte(&k, 0), 1);
	CHECK_INT(request(&k, VIRTIO_BLK_T_IN, 0, 512, &used), VIRTIO_BLK_S_OK);
	CHECK_INT(request(&k, VIRTIO_BLK_T_FLUSH, 0, 0, &used), VIRTIO_BLK_S_OK);
	disk_drop(&k);
}

/* Types that are none, the old SCSI commands among them; an image that became shorter. */
TEST(failures)
{
	static const uint32_t types[] = { 2, 3, 5, 7, 9, 10, 12, 14, 15, 16, 0x80000000, 0x80000001, UINT32_MAX };
	struct disk k;
	int64_t used;

	if (!CHECK(disk_make(&k, false)))
		return;
	vm_start(&k.vm, FLUSH);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		CHECK_INT(request(&k, types[i], 0, 512, &used), VIRTIO_BLK_S_UNSUPP);
	CHECK_INT(ftruncate(k.image, 512), 0);
	CHECK_INT(request(&k, VIRTIO_BLK_T_IN, 0, 1024, &used), VIRTIO_BLK_S_IOERR);
	CHECK_INT(used, 0);
	CHECK_INT(request(&k, VIRTIO_BLK_T_IN, 0, 512, &used), VIRTIO_BLK_S_OK);
	disk_drop(&k);
}

/* A chain with room for a status gets one; without, the device stops. */
TEST(broken_rules)
{
	static const struct {
		struct piece pieces[2];
		bool stops;
	} cases[] = {
		{ { { HEADER, 15, false }, { STATUS, 1, true } }, false },
		{ { { DATA, 512, true }, { STATUS, 1, true } }, false },
		{ { { HEADER, 16, false }, { DATA, 512, false } }, true },
		{ { { HEADER, 1, false }, { DATA, 1, false } }, true },
		{ { { HEADER, 0, false }, { STATUS, 1, true } }, true },
		{ { { HEADER, 16, false }, { LOW_SIZE, 1, true } }, true },
		{ { { STATUS, 1, true }, { HEADER, 16, false } }, true },
	};
	struct disk k;

	if (!CHECK(disk_make(&k, false)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_start(&k.vm, FLUSH);
		put_header(&k, VIRTIO_BLK_T_FLUSH, 0);
		vm_send(&k.vm, 0, cases[i].pieces, 2);
		if (!CHECK(vm_needs_reset(&k.vm) == cases[i].stops))
			printf("#   case %zu\n", i);
		CHECK_INT(k.vm.g.bytes[STATUS], cases[i].stops ? NOT_WRITTEN : VIRTIO_BLK_S_IOERR);
	}
	disk_drop(&k);
}

TEST(images_refused)
{
	struct virtio_blk *b = malloc(sizeof(*b));
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), disk = memfd_create("disk", MFD_CLOEXEC);
	struct virtio_blk_options o = { .image = null };
	char path[64];

	if (!CHECK(b != NULL && null >= 0 && disk >= 0))
		return;
	CHECK_INT(virtio_blk_init(b, &o), -EINVAL);
	o.image = FD_NONE;
	CHECK_INT(virtio_blk_init(b, &o), -EBADF);
	o.image = disk;
	o.serial = "123456789012345678901";
	CHECK_INT(virtio_blk_init(b, &o), -EINVAL);
	o.serial = "12345678901234567890";
	CHECK_INT(virtio_blk_init(b, &o), 0);
	CHECK(b->sectors == 0 && memcmp(b->serial, o.serial, VIRTIO_BLK_SERIAL_MAX) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	for (int i = 0; i < 3; i++) {
		static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR | O_APPEND };
		_cleanup_close_ int again = open(path, flags[i] | O_CLOEXEC);

		o.image = again;
		CHECK(again >= 0);
		o.read_only = false;
		CHECK_INT(virtio_blk_init(b, &o), -EINVAL);
		CHECK(strstr(err_text(), "not opened for") != NULL);
		o.read_only = true;
		CHECK_INT(virtio_blk_init(b, &o), i == 0 ? 0 : -EINVAL);
	}
	free(b);
}

TEST_MAIN(CASE(read_write), CASE(pieces), CASE(get_id), CASE(places_refused), CASE(clears), CASE(read_only), CASE(failures),
	  CASE(broken_rules), CASE(images_refused))
