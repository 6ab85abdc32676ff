/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel files made here, whole and broken in every way that the loader has to notice. */
#include "tests/unit/test.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "microvm/kernel_image.h"
#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define MIB (1ULL << 20)

static const struct kernel_room room = { MIB, 64 * MIB };

static int read_image(const void *data, size_t size, struct kernel_image *ret_image)
{
	_cleanup_close_ int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || fd_write_all(fd, data, size) < 0)
		return -EIO;
	err_clear();
	return kernel_image_read(fd, &room, ret_image);
}

/* ---- ELF: header, 3 program headers, notes at 0x200, text at 0x400, data at 0x600, end at 0x700 ---- */

struct elf {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	char gap[0x200 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
	uint8_t notes[0x200];
	uint8_t loaded[0x300];
};

/* A note of the GNU first, with a name and a descriptor that need padding; then Xen's. */
static size_t put_notes(uint8_t *to, uint32_t entry)
{
	static const char gnu[] = "\4\0\0\0\5\0\0\0\3\0\0\0GNU\0abcde\0\0\0";
	static const char xen[] = "\4\0\0\0\10\0\0\0\22\0\0\0Xen\0";
	size_t n = sizeof(gnu) - 1;

	memcpy(to, gnu, n);
	memcpy(to + n, xen, sizeof(xen) - 1);
	n += sizeof(xen) - 1;
	le64_put(to + n, entry);
	return n + 8;
}

static void make_elf(struct elf *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->e.e_ident, ELFMAG, SELFMAG);
	f->e.e_ident[EI_CLASS] = ELFCLASS64;
	f->e.e_ident[EI_DATA] = ELFDATA2LSB;
	f->e.e_type = ET_EXEC;
	f->e.e_machine = EM_X86_64;
	f->e.e_phoff = sizeof(f->e);
	f->e.e_phentsize = sizeof(f->p[0]);
	f->e.e_phnum = 3;
	f->p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x400, .p_paddr = 16 * MIB, .p_filesz = 0x200, .p_memsz = 0x200 };
	f->p[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x600, .p_paddr = 18 * MIB, .p_filesz = 0x100, .p_memsz = MIB };
	f->p[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x200, .p_align = 4 };
	f->p[2].p_filesz = put_notes(f->notes, 16 * MIB + 0x50);
}

TEST(elf)
{
	struct kernel_image k;
	struct elf f;

	make_elf(&f);
	if (!CHECK_INT(read_image(&f, sizeof(f), &k), 0))
		return;
	CHECK_INT(k.kind, KERNEL_PVH);
	CHECK_INT(k.entry, 16 * MIB + 0x50);
	CHECK_INT(k.n_segments, 2);
	CHECK_INT(k.segments[0].file_offset, 0x400);
	CHECK_INT(k.segments[0].guest_addr, 16 * MIB);
	CHECK_INT(k.segments[0].file_size, 0x200);
	CHECK_INT(k.segments[1].memory_size, MIB);
	CHECK_INT(k.memory_end, 19 * MIB);
	CHECK_INT(k.command_line_max, 2047);
}

/* GNU property notes are aligned to 8, and so are others in their segment. */
TEST(elf_notes_aligned_to_8)
{
	static const char gnu[] = "\4\0\0\0\4\0\0\0\5\0\0\0GNU\0abcd\0\0\0\0";
	static const char xen[] = "\4\0\0\0\4\0\0\0\22\0\0\0Xen\0\0\0\0\1";
	struct kernel_image k;
	struct elf f;

	make_elf(&f);
	memcpy(f.notes, gnu, sizeof(gnu) - 1);
	memcpy(f.notes + sizeof(gnu) - 1, xen, sizeof(xen) - 1);
	f.p[2].p_align = 8;
	f.p[2].p_filesz = sizeof(gnu) + sizeof(xen) - 2;
	CHECK_INT(read_image(&f, sizeof(f), &k), 0);
	CHECK_INT(k.entry, 16 * MIB);
	f.p[2].p_align = 4;
	CHECK_INT(read_image(&f, sizeof(f), &k), -ENOEXEC);
}

TEST(elf_refused)
{
	struct elf f;
	/* A number of the file changed. width: bytes of it. */
	const struct {
		const void *field;
		size_t width;
		uint64_t value;
		int r;
		const char *text;	/* part of the error */
	} cases[] = {
		{ &f.e.e_ident[EI_CLASS], 1, ELFCLASS32, -ENOEXEC, "32-bit" },
		{ &f.e.e_machine, 2, EM_386, -ENOEXEC, "32-bit" },
		{ &f.e.e_machine, 2, EM_AARCH64, -ENOEXEC, "another CPU" },
		{ &f.e.e_ident[EI_DATA], 1, ELFDATA2MSB, -ENOEXEC, "another CPU" },
		{ &f.e.e_type, 2, ET_REL, -ENOEXEC, "cannot be executed" },
		{ &f.e.e_phentsize, 2, 55, -ENOEXEC, "of 55 bytes" },
		{ &f.e.e_phentsize, 2, 0, -ENOEXEC, "of 0 bytes" },
		{ &f.e.e_phnum, 2, 0, -ENOEXEC, "0 program headers" },
		{ &f.e.e_phnum, 2, 0xffff, -ENOEXEC, "65535 program headers" },
		{ &f.e.e_phoff, 8, sizeof(f) - 3 * 56 + 1, -ENOEXEC, "cut off" },
		{ &f.e.e_phoff, 8, UINT64_MAX, -ENOEXEC, "cut off" },
		{ &f.e.e_phoff, 8, UINT64_MAX - 60, -ENOEXEC, "cut off" },
		{ &f.p[0].p_offset, 8, sizeof(f) - 0x1ff, -ENOEXEC, "cut off" },
		{ &f.p[0].p_offset, 8, UINT64_MAX, -ENOEXEC, "cut off" },
		{ &f.p[0].p_filesz, 8, UINT64_MAX, -ENOEXEC, "cut off" },
		{ &f.p[0].p_filesz, 8, 0x201, -ENOEXEC, "longer in the file" },
		{ &f.p[0].p_paddr, 8, MIB - 1, -ENOMEM, "the VM offers 0x100000 to 0x4000000" },
		{ &f.p[0].p_paddr, 8, 64 * MIB - 0x1ff, -ENOMEM, "the VM offers" },
		{ &f.p[0].p_paddr, 8, UINT64_MAX - 0x1ff, -ENOEXEC, "end of all addresses" },
		{ &f.p[0].p_paddr, 8, UINT64_MAX - 0x200, -ENOMEM, "the VM offers" },
		{ &f.p[1].p_memsz, 8, UINT64_MAX, -ENOEXEC, "end of all addresses" },
		{ &f.p[1].p_memsz, 8, 63 * MIB, -ENOMEM, "the VM offers" },
		{ &f.p[1].p_paddr, 8, 16 * MIB + 0x1ff, -ENOEXEC, "overlap at 0x10001ff" },
		{ &f.p[1].p_paddr, 8, 16 * MIB - 0x1000, -ENOEXEC, "overlap" },
		{ &f.p[2].p_type, 4, PT_NULL, -ENOEXEC, "no PVH entry point" },
		{ &f.p[2].p_filesz, 8, 30, -ENOEXEC, "no PVH entry point" },
		{ &f.p[2].p_filesz, 8, 45, -ENOEXEC, "longer than its segment" },
		{ &f.p[2].p_filesz, 8, 0x10001, -ENOEXEC, "65537 bytes of notes" },
		{ &f.p[2].p_offset, 8, sizeof(f) - 4, -ENOEXEC, "cut off" },
		{ &f.p[2].p_offset, 8, UINT64_MAX, -ENOEXEC, "cut off" },
		{ &f.notes[0], 4, 0xffffffff, -ENOEXEC, "longer than its segment" },
		{ &f.notes[4], 4, 0xffffffff, -ENOEXEC, "longer than its segment" },
		{ &f.notes[4], 4, 0xfffffff0, -ENOEXEC, "longer than its segment" },
		{ &f.notes[24], 4, 3, -ENOEXEC, "no PVH entry point" },
		{ &f.notes[28], 4, 5, -ENOEXEC, "has 5 bytes" },
		{ &f.notes[32], 4, 17, -ENOEXEC, "no PVH entry point" },
		{ &f.notes[36], 1, 'x', -ENOEXEC, "no PVH entry point" },
		{ &f.notes[40], 8, 16 * MIB - 1, -ENOEXEC, "0xffffff is in none" },
		{ &f.notes[40], 8, 18 * MIB + 0x100, -ENOEXEC, "is in none" },
		{ &f.notes[40], 8, UINT64_MAX, -ENOEXEC, "is in none" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kernel_image k;
		uint8_t value[8];
		int r;

		make_elf(&f);
		le64_put(value, cases[i].value);
		memcpy((char *)&f + ((const char *)cases[i].field - (const char *)&f), value, cases[i].width);
		r = read_image(&f, sizeof(f), &k);
		if (!CHECK_INT(r, cases[i].r) || !CHECK(strstr(err_text(), cases[i].text) != NULL))
			printf("#   case %zu (%s): %s\n", i, cases[i].text, err_text());
	}
}

/* Notes without a size: each has to be a step forward (the loop of GHSA-52h2-m2cf-9jh6). */
TEST(elf_empty_notes)
{
	struct kernel_image k;
	struct elf f;

	make_elf(&f);
	memset(f.notes, 0, sizeof(f.notes));
	f.p[2].p_filesz = sizeof(f.notes);
	CHECK_INT(read_image(&f, sizeof(f), &k), -ENOEXEC);
	CHECK(strstr(err_text(), "no PVH entry point") != NULL);
}

TEST(elf_too_many_segments)
{
	struct { Elf64_Ehdr e; Elf64_Phdr p[KERNEL_SEGMENTS_MAX + 1]; } f;
	struct kernel_image k;
	struct elf one;

	make_elf(&one);
	f.e = one.e;
	f.e.e_phnum = ARRAY_SIZE(f.p);
	for (size_t i = 0; i < ARRAY_SIZE(f.p); i++)
		f.p[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = (i + 1) * MIB, .p_memsz = MIB };
	CHECK_INT(read_image(&f, sizeof(f), &k), -ENOEXEC);
	CHECK(strstr(err_text(), "more than 16") != NULL);
}

/* ---- bzImage: 2 sectors of set-up, 4 of kernel ---- */

#define BZ_SIZE 0xc00

static void make_bzimage(uint8_t f[BZ_SIZE])
{
	memset(f, 0, BZ_SIZE);
	f[0] = 'M';
	f[1] = 'Z';
	f[0x1f1] = 1;
	le32_put(f + 0x1f4, 0x800 / 16);
	le16_put(f + 0x1fe, 0xaa55);
	f[0x200] = 0xeb;
	f[0x201] = 0x6a;
	memcpy(f + 0x202, "HdrS", 4);
	le16_put(f + 0x206, 0x20f);
	f[0x211] = 1;
	le32_put(f + 0x22c, 0x7fffffff);
	le32_put(f + 0x230, 2 * MIB);
	f[0x234] = 1;
	le16_put(f + 0x236, 0x7f);
	le32_put(f + 0x238, 2047);
	le64_put(f + 0x258, 16 * MIB);
	le32_put(f + 0x260, 40 * MIB);
}

TEST(bzimage)
{
	uint8_t f[BZ_SIZE];
	struct kernel_image k;

	make_bzimage(f);
	if (!CHECK_INT(read_image(f, sizeof(f), &k), 0))
		return;
	CHECK_INT(k.kind, KERNEL_BZIMAGE);
	CHECK_INT(k.entry, 16 * MIB + 0x200);
	CHECK_INT(k.n_segments, 1);
	CHECK_INT(k.segments[0].file_offset, 0x400);
	CHECK_INT(k.segments[0].file_size, 0x800);
	CHECK_INT(k.segments[0].guest_addr, 16 * MIB);
	CHECK_INT(k.segments[0].memory_size, 40 * MIB);
	CHECK_INT(k.memory_end, 56 * MIB);
	CHECK_INT(k.command_line_max, 2047);
	CHECK_INT(k.initrd_max, 0x7fffffff);
	CHECK_INT(k.setup_header_size, 0x26c - 0x1f1);
	CHECK(memcmp(k.setup_header, f + 0x1f1, k.setup_header_size) == 0);
	CHECK_INT(k.setup_header[k.setup_header_size], 0);
	/* A signature behind the kernel is not loaded; a last paragraph may be incomplete. */
	le32_put(f + 0x1f4, 0x600 / 16);
	CHECK_INT(read_image(f, sizeof(f), &k), 0);
	CHECK_INT(k.segments[0].file_size, 0x600);
	le32_put(f + 0x1f4, 0x800 / 16);
	CHECK_INT(read_image(f, sizeof(f) - 15, &k), 0);
	CHECK_INT(k.segments[0].file_size, 0x800 - 15);
	/* Preferred below the room: a relocatable kernel goes to the room's start. */
	le64_put(f + 0x258, 0);
	CHECK_INT(read_image(f, sizeof(f), &k), 0);
	CHECK_INT(k.segments[0].guest_addr, 2 * MIB);
	CHECK_INT(k.entry, 2 * MIB + 0x200);
}

TEST(bzimage_refused)
{
	static const struct {
		size_t offset, width;
		uint64_t value;
		int r;
		const char *text;
	} cases[] = {
		{ 0x202, 1, 'h', -ENOEXEC, "neither an ELF file" },
		{ 0x1fe, 1, 0, -ENOEXEC, "neither an ELF file" },
		{ 0x206, 2, 0x20b, -ENOEXEC, "protocol 2.11" },
		{ 0x201, 1, 0x61, -ENOEXEC, "ends at 0x263" },
		{ 0x201, 1, 0x8f, -ENOEXEC, "ends at 0x291" },
		{ 0x211, 1, 0, -ENOEXEC, "zImage" },
		{ 0x236, 2, 0x7e, -ENOEXEC, "no 64-bit entry point" },
		{ 0x1f1, 1, 5, -ENOEXEC, "cut off" },
		{ 0x1f1, 1, 0, -ENOEXEC, "cut off" },
		{ 0x1f1, 1, 255, -ENOEXEC, "cut off" },
		{ 0x1f4, 4, 0x81, -ENOEXEC, "cut off" },
		{ 0x1f4, 4, 0xffffffff, -ENOEXEC, "cut off" },
		{ 0x1f4, 4, 0, -ENOEXEC, "cut off" },
		{ 0x1f4, 4, 0x20, -ENOEXEC, "before its entry point" },
		{ 0x260, 4, 0x7ff, -ENOEXEC, "longer in the file" },
		{ 0x260, 4, 0xffffffff, -ENOMEM, "the VM offers" },
		{ 0x260, 4, 48 * MIB + 1, -ENOMEM, "from 0x1000000 to 0x4000001" },
		{ 0x258, 8, UINT64_MAX - 5, -ENOEXEC, "end of all addresses" },
	};
	struct kernel_image k;
	uint8_t f[BZ_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t value[8];

		make_bzimage(f);
		le64_put(value, cases[i].value);
		memcpy(f + cases[i].offset, value, cases[i].width);
		if (!CHECK_INT(read_image(f, sizeof(f), &k), cases[i].r) || !CHECK(strstr(err_text(), cases[i].text) != NULL))
			printf("#   case %zu (%s): %s\n", i, cases[i].text, err_text());
	}
	make_bzimage(f);
	le64_put(f + 0x258, 0);
	le32_put(f + 0x230, 3);
	CHECK_INT(read_image(f, sizeof(f), &k), -ENOEXEC);
	f[0x234] = 0;
	CHECK_INT(read_image(f, sizeof(f), &k), -ENOMEM);
}

TEST(every_length)
{
	uint8_t bz[BZ_SIZE];
	struct kernel_image k = { .n_segments = 99 };
	struct elf f;

	make_elf(&f);
	for (size_t i = 0; i < sizeof(f); i += i < 0x240 ? 1 : 16)
		CHECK_INT(read_image(&f, i, &k), -ENOEXEC);
	make_bzimage(bz);
	for (size_t i = 0; i < sizeof(bz) - 15; i++)
		CHECK_INT(read_image(bz, i, &k), -ENOEXEC);
	/* A result is written on success only. */
	CHECK_INT(k.n_segments, 99);
}

TEST(other_files)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct kernel_image k;

	CHECK_INT(kernel_image_read(dir, &room, &k), -ENOEXEC);
	CHECK(strstr(err_text(), "not a regular file") != NULL);
	CHECK_INT(kernel_image_read(-1, &room, &k), -EBADF);
	CHECK_INT(read_image("\x1f\x8b\x08", 3, &k), -ENOEXEC);
	CHECK(strstr(err_text(), "neither") != NULL);
}

TEST_MAIN(CASE(elf), CASE(elf_notes_aligned_to_8), CASE(elf_refused), CASE(elf_empty_notes), CASE(elf_too_many_segments),
	  CASE(bzimage), CASE(bzimage_refused), CASE(every_length), CASE(other_files))
