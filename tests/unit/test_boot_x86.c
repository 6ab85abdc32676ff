/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel finds in its memory and registers, at the offsets of the documents that boot_x86.h names. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "microvm/boot_x86.h"
#include "microvm/le.h"
#include "runtime/base/err.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static const struct kernel_image pvh = {
	.kind = KERNEL_PVH, .entry = 0x1000850, .memory_end = 60 * MIB, .initrd_max = UINT32_MAX, .command_line_max = 2047,
	.segments = { { 0x1000, 16 * MIB, MIB, 44 * MIB } }, .n_segments = 1,
};

static struct kernel_image bzimage(void)
{
	struct kernel_image k = {
		.kind = KERNEL_BZIMAGE, .entry = 0x1000200, .memory_end = 60 * MIB, .initrd_max = 0x7fffffff, .command_line_max = 2047,
		.segments = { { 0x1000, 16 * MIB, MIB, 44 * MIB } }, .n_segments = 1, .setup_header_size = 0x26c - 0x1f1,
	};

	memset(k.setup_header, 0x5a, k.setup_header_size);
	return k;
}

/* Low memory full of rubbish: what has to be 0 is written. */
static uint8_t *memory(struct guest_window *ret_low)
{
	uint8_t *m = malloc(BOOT_HIGH_MEMORY);

	if (m != NULL)
		memset(m, 0xcc, BOOT_HIGH_MEMORY);
	*ret_low = (struct guest_window){ m, 0, BOOT_HIGH_MEMORY };
	return m;
}

TEST(memory_maps)
{
	struct boot_memory m[BOOT_MEMORY_MAX];

	if (!CHECK_INT(boot_memory_map(128 * MIB, m), 3))
		return;
	CHECK(m[0].addr == 0 && m[0].size == 0x9fc00 && m[0].type == BOOT_RAM);
	CHECK(m[1].addr == 0x9fc00 && m[1].size == 0x60400 && m[1].type == BOOT_RESERVED);
	CHECK(m[2].addr == MIB && m[2].size == 127 * MIB && m[2].type == BOOT_RAM);
	CHECK_INT(boot_memory_map(3 * GIB, m), 3);
	CHECK_INT(m[2].size, 3 * GIB - MIB);
	if (!CHECK_INT(boot_memory_map(5 * GIB, m), 4))
		return;
	CHECK_INT(m[2].size, 3 * GIB - MIB);
	CHECK(m[3].addr == 4 * GIB && m[3].size == 2 * GIB && m[3].type == BOOT_RAM);
	CHECK_INT(boot_memory_map(0, m), -EINVAL);
	CHECK_INT(boot_memory_map(MIB, m), -EINVAL);
	CHECK_INT(boot_memory_map(128 * MIB + 1, m), -EINVAL);
	CHECK_INT(boot_memory_map(UINT64_MAX, m), -EINVAL);
}

TEST(initrd_places)
{
	struct kernel_image k = pvh;
	uint64_t addr = 1;

	CHECK_INT(boot_place_initrd(&k, 128 * MIB, 5000, &addr), 0);
	CHECK_INT(addr, 128 * MIB - 0x2000);
	CHECK_INT(boot_place_initrd(&k, 128 * MIB, 68 * MIB, &addr), 0);
	CHECK_INT(addr, 60 * MIB);
	CHECK_INT(boot_place_initrd(&k, 128 * MIB, 68 * MIB + 1, &addr), -ENOMEM);
	CHECK_INT(boot_place_initrd(&k, 128 * MIB, 129 * MIB, &addr), -ENOMEM);
	CHECK_INT(boot_place_initrd(&k, 128 * MIB, UINT64_MAX, &addr), -ENOMEM);
	CHECK_INT(boot_place_initrd(&k, 128 * MIB, 0, &addr), -ENOMEM);
	CHECK_INT(boot_place_initrd(&k, 8 * GIB, 0x1000, &addr), 0);
	CHECK_INT(addr, 3 * GIB - 0x1000);
	k.initrd_max = 0x37ffffff;
	CHECK_INT(boot_place_initrd(&k, 8 * GIB, 0x1000, &addr), 0);
	CHECK_INT(addr, 0x38000000 - 0x1000);
	k.initrd_max = 10;
	CHECK_INT(boot_place_initrd(&k, 8 * GIB, 1, &addr), -ENOMEM);
}

TEST(pvh_start)
{
	struct boot_registers r;
	struct guest_window low;
	uint8_t *m = memory(&low), *info = m + 0x6000, *map = m + 0x7000;
	const struct boot_request b = {
		.kernel = &pvh, .ram_size = 4 * GIB, .command_line = "console=ttyS0", .initrd_addr = 100 * MIB, .initrd_size = 7,
		.rsdp_addr = BOOT_ACPI,
	};

	if (m == NULL || !CHECK_INT(boot_prepare(&low, &b, &r), 0)) {
		free(m);
		return;
	}
	CHECK_INT(le32_get(info), 0x336ec578);
	CHECK_INT(le32_get(info + 4), 1);
	CHECK_INT(le32_get(info + 8), 0);
	CHECK_INT(le32_get(info + 12), 1);
	CHECK_INT(le64_get(info + 16), 0x6040);
	CHECK_INT(le64_get(info + 24), 0x20000);
	CHECK_INT(le64_get(info + 32), 0xe0000);
	CHECK_INT(le64_get(info + 40), 0x7000);
	CHECK_INT(le32_get(info + 48), 4);
	CHECK_INT(le32_get(info + 52), 0);
	CHECK_INT(le64_get(info + 0x40), 100 * MIB);
	CHECK_INT(le64_get(info + 0x48), 7);
	CHECK_INT(le64_get(info + 0x50), 0);
	CHECK_INT(le64_get(info + 0x58), 0);
	CHECK_INT(le64_get(map + 72), 4 * GIB);
	CHECK_INT(le64_get(map + 80), GIB);
	CHECK_INT(le32_get(map + 88), 1);
	CHECK_INT(le32_get(map + 92), 0);
	CHECK_INT(map[96], 0xcc);
	CHECK_STR((char *)m + 0x20000, "console=ttyS0");
	CHECK_INT(m[0x20000 + 14], 0xcc);
	/* The values that a 32-bit flat GDT has everywhere. */
	CHECK_INT(le64_get(m + r.gdt_base), 0);
	CHECK_INT(le64_get(m + r.gdt_base + r.code.selector), 0x00cf9b000000ffff);
	CHECK_INT(le64_get(m + r.gdt_base + r.data.selector), 0x00cf93000000ffff);
	CHECK_INT(le64_get(m + r.gdt_base + r.task.selector), 0x00008b0000000067);
	CHECK_INT(r.gdt_base, 0x500);
	CHECK_INT(r.gdt_limit, 0x2f);
	CHECK(r.rip == 0x1000850 && r.rbx == 0x6000 && r.rflags == 2);
	CHECK(r.cr0 == 0x11 && r.cr3 == 0 && r.cr4 == 0 && r.efer == 0);
	free(m);
}

TEST(pvh_without_initrd)
{
	struct boot_registers r;
	struct guest_window low;
	uint8_t *m = memory(&low);
	const struct boot_request b = { .kernel = &pvh, .ram_size = 64 * MIB, .command_line = "" };

	if (m != NULL && CHECK_INT(boot_prepare(&low, &b, &r), 0)) {
		CHECK_INT(le32_get(m + 0x600c), 0);
		CHECK_INT(le64_get(m + 0x6010), 0);
		CHECK_INT(le64_get(m + 0x6020), 0);
		CHECK_INT(m[0x20000], 0);
	}
	free(m);
}

static void check_page_tables(struct test *t, const uint8_t *m)
{
	CHECK_INT(le64_get(m + 0x9000), 0xa003);
	CHECK_INT(le64_get(m + 0x9008), 0);
	CHECK_INT(le64_get(m + 0x9ff8), 0);
	CHECK_INT(le64_get(m + 0xa000), 0xb003);
	CHECK_INT(le64_get(m + 0xa018), 0xe003);
	CHECK_INT(le64_get(m + 0xa020), 0);
	CHECK_INT(le64_get(m + 0xb000), 0x83);
	CHECK_INT(le64_get(m + 0xb008), 0x200083);
	CHECK_INT(le64_get(m + 0xc000), 0x40000083);
	CHECK_INT(le64_get(m + 0xeff8), 0xffe00083);
	CHECK_INT(m[0xf000], 0xcc);
}

TEST(bzimage_start)
{
	struct kernel_image k = bzimage();
	struct boot_registers r;
	struct guest_window low;
	uint8_t *m = memory(&low), *zp = m + 0x7000;
	const struct boot_request b = {
		.kernel = &k, .ram_size = 512 * MIB, .command_line = "quiet", .initrd_addr = 100 * MIB, .initrd_size = 70000,
		.rsdp_addr = BOOT_ACPI,
	};

	if (m == NULL || !CHECK_INT(boot_prepare(&low, &b, &r), 0)) {
		free(m);
		return;
	}
	CHECK_INT(le64_get(zp + 0x70), 0xe0000);
	CHECK_INT(zp[0x1e8], 3);
	CHECK_INT(zp[0x1f0], 0);
	CHECK_INT(zp[0x1f1], 0x5a);
	CHECK_INT(zp[0x210], 0xff);
	CHECK_INT(zp[0x211], 0x5a);
	CHECK_INT(le32_get(zp + 0x214), 16 * MIB);
	CHECK_INT(le32_get(zp + 0x218), 100 * MIB);
	CHECK_INT(le32_get(zp + 0x21c), 70000);
	CHECK_INT(le32_get(zp + 0x228), 0x20000);
	CHECK_INT(zp[0x26b], 0x5a);
	CHECK_INT(zp[0x26c], 0);
	CHECK_INT(le64_get(zp + 0x2d0), 0);
	CHECK_INT(le64_get(zp + 0x2d8), 0x9fc00);
	CHECK_INT(le32_get(zp + 0x2e0), 1);
	CHECK_INT(le64_get(zp + 0x2d0 + 40), MIB);
	CHECK_INT(le64_get(zp + 0x2d0 + 48), 511 * MIB);
	CHECK_INT(zp[0xfff], 0);
	check_page_tables(t, m);
	CHECK_INT(r.code.selector, 0x10);
	CHECK_INT(r.data.selector, 0x18);
	CHECK_INT(le64_get(m + 0x510), 0x00af9b000000ffff);
	CHECK_INT(le64_get(m + 0x518), 0x00cf93000000ffff);
	CHECK(r.rip == 0x1000200 && r.rsi == 0x7000 && r.rflags == 2);
	CHECK(r.cr0 == 0x80000011 && r.cr3 == 0x9000 && r.cr4 == 0x20 && r.efer == 0x500);
	CHECK(r.code.long_mode && !r.code.default_32);
	free(m);
}

/* For both kinds of kernel: mov dx, 0x604; mov al, 1; out dx, al; hlt; and nothing beside it. */
TEST(reset_vector)
{
	static const uint8_t want[] = { 0xcc, 0xba, 0x04, 0x06, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd, 0xcc };
	const struct kernel_image k[] = { pvh, bzimage() };

	for (size_t i = 0; i < 2; i++) {
		struct boot_registers r;
		struct guest_window low;
		uint8_t *m = memory(&low);
		const struct boot_request b = { .kernel = &k[i], .ram_size = 64 * MIB, .command_line = "" };

		if (m != NULL && CHECK_INT(boot_prepare(&low, &b, &r), 0))
			CHECK(memcmp(m + 0xfffef, want, sizeof(want)) == 0);
		free(m);
	}
}

TEST(command_lines)
{
	static char line[BOOT_COMMAND_LINE_SIZE + 1];
	struct kernel_image k = bzimage();
	struct boot_registers r = { .rip = 99 };
	struct guest_window low;
	uint8_t *m = memory(&low);
	const struct boot_request b = { .kernel = &k, .ram_size = 64 * MIB, .command_line = line };

	if (m == NULL)
		return;
	memset(line, 'a', 2048);
	CHECK_INT(boot_prepare(&low, &b, &r), -E2BIG);
	CHECK_STR(err_text(), "the kernel's command line has 2048 characters, the kernel takes 2047");
	CHECK_INT(r.rip, 99);
	line[2047] = '\0';
	CHECK_INT(boot_prepare(&low, &b, &r), 0);
	/* A kernel that takes more than there is room for. */
	k.command_line_max = UINT32_MAX;
	memset(line, 'a', BOOT_COMMAND_LINE_SIZE);
	CHECK_INT(boot_prepare(&low, &b, &r), -E2BIG);
	line[BOOT_COMMAND_LINE_SIZE - 1] = '\0';
	CHECK_INT(boot_prepare(&low, &b, &r), 0);
	CHECK_INT(m[BOOT_COMMAND_LINE + BOOT_COMMAND_LINE_SIZE], 0xcc);
	free(m);
}

TEST(contradictions)
{
	struct boot_registers r;
	struct guest_window low, window;
	uint8_t *m = memory(&low);
	const struct boot_request good = {
		.kernel = &pvh, .ram_size = 128 * MIB, .command_line = "", .initrd_addr = 100 * MIB, .initrd_size = MIB,
	};
	struct boot_request b = good;

	if (m == NULL)
		return;
	CHECK_INT(boot_prepare(&low, &b, &r), 0);
	window = low;
	window.addr = 0x1000;
	CHECK_INT(boot_prepare(&window, &b, &r), -EINVAL);
	window = low;
	window.size--;
	CHECK_INT(boot_prepare(&window, &b, &r), -EINVAL);
	b.ram_size = 60 * MIB - BOOT_PAGE;
	CHECK_INT(boot_prepare(&low, &b, &r), -EINVAL);
	b = good;
	b.initrd_addr = 60 * MIB - 1;
	CHECK_INT(boot_prepare(&low, &b, &r), -EINVAL);
	b.initrd_addr = 127 * MIB + 1;
	CHECK_INT(boot_prepare(&low, &b, &r), -EINVAL);
	b.initrd_addr = UINT64_MAX;
	CHECK_INT(boot_prepare(&low, &b, &r), -EINVAL);
	free(m);
}

TEST_MAIN(CASE(memory_maps), CASE(initrd_places), CASE(pvh_start), CASE(pvh_without_initrd), CASE(bzimage_start), CASE(reset_vector),
	  CASE(command_lines), CASE(contradictions))
