/* SPDX-License-Identifier: Apache-2.0 */
#include "microvm/kernel_image.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* A vmlinux has about 5 program headers and 500 bytes of notes. */
#define PROGRAM_HEADERS_MAX 64
#define NOTES_MAX (64U << 10)

#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* COMMAND_LINE_SIZE of Linux on x86, less the NUL: an ELF file does not tell its own. */
#define LINUX_COMMAND_LINE_MAX 2047

/* Fields of the setup header, by their offset in the file (boot.rst, "Details of Header Fields"). */
#define SETUP_SECTS 0x1f1
#define SYSSIZE 0x1f4
#define BOOT_FLAG 0x1fe
#define JUMP_OFFSET 0x201
#define HEADER_MAGIC 0x202
#define VERSION 0x206
#define LOADFLAGS 0x211
#define INITRD_ADDR_MAX 0x22c
#define KERNEL_ALIGNMENT 0x230
#define RELOCATABLE_KERNEL 0x234
#define XLOADFLAGS 0x236
#define CMDLINE_SIZE 0x238
#define PREF_ADDRESS 0x258
#define INIT_SIZE 0x260
#define FIELDS_END 0x264

#define LOADED_HIGH 0x01
#define XLF_KERNEL_64 0x01
#define PROTOCOL_2_12 0x020c
#define SECTOR 512U
/* Where the 64-bit entry point stands in the part that is loaded. */
#define ENTRY_64 0x200

struct image_file {
	int fd;
	uint64_t size;
};

/* All of len bytes, or an error: a file is never believed about its own length. */
static int read_at(const struct image_file *f, uint64_t offset, void *ret_data, size_t len)
{
	uint8_t *to = ret_data;

	if (offset > f->size || len > f->size - offset)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is cut off: its headers speak of more than its %" PRIu64 " bytes",
				 f->size);
	while (len > 0) {
		ssize_t n = pread(f->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR(-errno, "cannot read the kernel image");
		if (n == 0)
			return ERR_PLAIN(-ENOEXEC, "the kernel image became shorter while it was read");
		to += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* alignment: a power of two. */
static uint64_t align_up(uint64_t v, uint64_t alignment)
{
	return (v + alignment - 1) & ~(alignment - 1);
}

/* Adds a segment that lies in the file, in the room, and on none that is there already. */
static int add_segment(const struct image_file *f, const struct kernel_room *room, const struct kernel_segment *s,
		       struct kernel_image *image)
{
	uint64_t end;

	if (s->file_offset > f->size || s->file_size > f->size - s->file_offset)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is cut off: it has %" PRIu64 " bytes, and a segment of %" PRIu64
				 " bytes at %" PRIu64, f->size, s->file_size, s->file_offset);
	if (s->file_size > s->memory_size)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has a segment that is longer in the file than in memory");
	if (__builtin_add_overflow(s->guest_addr, s->memory_size, &end))
		return ERR_PLAIN(-ENOEXEC, "the kernel image has a segment past the end of all addresses");
	if (s->guest_addr < room->start || end > room->end)
		return ERR_PLAIN(-ENOMEM, "the kernel image needs memory from 0x%" PRIx64 " to 0x%" PRIx64
				 ", the VM offers 0x%" PRIx64 " to 0x%" PRIx64, s->guest_addr, end, room->start, room->end);
	for (size_t i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *o = &image->segments[i];

		if (s->guest_addr < o->guest_addr + o->memory_size && o->guest_addr < end)
			return ERR_PLAIN(-ENOEXEC, "the kernel image has segments that overlap at 0x%" PRIx64, s->guest_addr);
	}
	if (image->n_segments == KERNEL_SEGMENTS_MAX)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has more than %d segments", KERNEL_SEGMENTS_MAX);
	image->segments[image->n_segments++] = *s;
	if (end > image->memory_end)
		image->memory_end = end;
	return 0;
}

/* ---- ELF ---- */

/*
 * Looks for the PVH entry point among the notes of one segment. Each step goes on by a note's header at least, and
 * 32-bit sizes cannot overflow the 64-bit sums: it ends whatever the sizes are. 1 when found, 0 when not there.
 */
static int find_entry_note(const uint8_t *notes, size_t size, size_t alignment, uint64_t *ret_entry)
{
	uint64_t pos = 0;

	while (pos < size && size - pos >= sizeof(Elf64_Nhdr)) {
		uint32_t name_size = le32_get(notes + pos), desc_size = le32_get(notes + pos + 4);
		uint32_t type = le32_get(notes + pos + 8);
		uint64_t name = pos + sizeof(Elf64_Nhdr);
		uint64_t desc = align_up(name + name_size, alignment);

		if (desc + desc_size > size)
			return ERR_PLAIN(-ENOEXEC, "the kernel image has a note that is longer than its segment");
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_size == sizeof("Xen") && memcmp(notes + name, "Xen", sizeof("Xen")) == 0) {
			if (desc_size != 4 && desc_size != 8)
				return ERR_PLAIN(-ENOEXEC, "the kernel image's PVH note has %" PRIu32 " bytes, not 4 or 8", desc_size);
			*ret_entry = desc_size == 4 ? le32_get(notes + desc) : le64_get(notes + desc);
			return 1;
		}
		pos = align_up(desc + desc_size, alignment);
	}
	return 0;
}

static int read_notes(const struct image_file *f, const Elf64_Phdr *p, uint64_t *ret_entry)
{
	_cleanup_free_ char *notes = NULL;
	int r;

	if (p->p_filesz > NOTES_MAX)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has %" PRIu64 " bytes of notes, at most %u are read", p->p_filesz, NOTES_MAX);
	notes = malloc(p->p_filesz + 1);
	if (notes == NULL)
		return ERR_NOMEM();
	r = read_at(f, p->p_offset, notes, p->p_filesz);
	if (r < 0)
		return r;
	/* Notes are aligned to 4; only segments that say 8 (GNU properties) are aligned so. */
	return find_entry_note((const uint8_t *)notes, p->p_filesz, p->p_align == 8 ? 8 : 4, ret_entry);
}

static int check_elf_header(const Elf64_Ehdr *e)
{
	/* The fields up to e_machine stand at the same place in a 32-bit file. */
	if (e->e_machine == EM_386 || e->e_ident[EI_CLASS] == ELFCLASS32)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is for a 32-bit CPU; an x86-64 kernel is needed");
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB || e->e_machine != EM_X86_64)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is for another CPU; an x86-64 kernel is needed");
	if (e->e_type != ET_EXEC && e->e_type != ET_DYN)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is an ELF file that cannot be executed");
	if (e->e_phentsize != sizeof(Elf64_Phdr))
		return ERR_PLAIN(-ENOEXEC, "the kernel image has program headers of %u bytes, not %zu", e->e_phentsize, sizeof(Elf64_Phdr));
	if (e->e_phnum == 0 || e->e_phnum > PROGRAM_HEADERS_MAX)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has %u program headers, 1 to %d are taken", e->e_phnum, PROGRAM_HEADERS_MAX);
	return 0;
}

/* The first instruction has to be one that comes from the file, not from the zeros behind it. */
static int check_entry(const struct kernel_image *image)
{
	for (size_t i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *s = &image->segments[i];

		if (image->entry >= s->guest_addr && image->entry - s->guest_addr < s->file_size)
			return image->entry <= UINT32_MAX ? 0 :
				ERR_PLAIN(-ENOEXEC, "the kernel image's PVH entry point is not below 4 GiB");
	}
	return ERR_PLAIN(-ENOEXEC, "the kernel image's entry point 0x%" PRIx64 " is in none of its segments", image->entry);
}

/* Both of a file's structures are read as they are: the monitor runs on the CPU that the kernel is for. */
static int read_elf(const struct image_file *f, const struct kernel_room *room, struct kernel_image *image)
{
	bool have_entry = false;
	Elf64_Ehdr e;
	int r = read_at(f, 0, &e, sizeof(e));

	if (r < 0)
		return r;
	r = check_elf_header(&e);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < e.e_phnum; i++) {
		struct kernel_segment s;
		uint64_t offset;
		Elf64_Phdr p;

		if (__builtin_add_overflow(e.e_phoff, i * sizeof(p), &offset))
			return ERR_PLAIN(-ENOEXEC, "the kernel image has its program headers past the end of any file");
		r = read_at(f, offset, &p, sizeof(p));
		if (r < 0)
			return r;
		if (p.p_type == PT_LOAD && p.p_memsz > 0) {
			s = (struct kernel_segment){ p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz };
			r = add_segment(f, room, &s, image);
		} else if (p.p_type == PT_NOTE && !have_entry) {
			r = read_notes(f, &p, &image->entry);
			have_entry = r > 0;
		}
		if (r < 0)
			return r;
	}
	if (!have_entry)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has no PVH entry point (CONFIG_PVH); a bzImage of it would do");
	image->kind = KERNEL_PVH;
	image->initrd_max = UINT32_MAX;
	image->command_line_max = LINUX_COMMAND_LINE_MAX;
	return check_entry(image);
}

/* ---- bzImage ---- */

static int check_setup_header(const uint8_t *h, size_t end)
{
	uint16_t version = le16_get(h + VERSION);

	if (version < PROTOCOL_2_12)
		return ERR_PLAIN(-ENOEXEC, "the kernel image speaks boot protocol %u.%02u; 2.12 (Linux 3.8) is the oldest that is taken",
				 version >> 8, version & 0xff);
	if (end < FIELDS_END || end > KERNEL_SETUP_HEADER_END)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has a setup header that ends at 0x%zx", end);
	if ((h[LOADFLAGS] & LOADED_HIGH) == 0)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is a zImage, which loads below 1 MiB; a bzImage is needed");
	if ((le16_get(h + XLOADFLAGS) & XLF_KERNEL_64) == 0)
		return ERR_PLAIN(-ENOEXEC, "the kernel image has no 64-bit entry point: it is for a 32-bit CPU");
	return 0;
}

/*
 * Where it goes: its preferred address. A relocatable kernel below that would move itself there anyway before it
 * decompresses, so nothing is won by a lower place; one above is only for a room that starts higher.
 */
static int load_address(const uint8_t *h, const struct kernel_room *room, uint64_t *ret_addr)
{
	uint64_t preferred = le64_get(h + PREF_ADDRESS), alignment = le32_get(h + KERNEL_ALIGNMENT);

	if (preferred >= room->start) {
		*ret_addr = preferred;
		return 0;
	}
	if (h[RELOCATABLE_KERNEL] == 0)
		return ERR_PLAIN(-ENOMEM, "the kernel image can only run at 0x%" PRIx64 ", the VM's memory for it starts at 0x%" PRIx64,
				 preferred, room->start);
	if (alignment == 0 || (alignment & (alignment - 1)) != 0)
		return ERR_PLAIN(-ENOEXEC, "the kernel image asks for an alignment of %" PRIu64 " bytes, no power of two", alignment);
	*ret_addr = align_up(room->start, alignment);
	return 0;
}

/* The part for protected mode; setup code and setup header before it are for a BIOS. */
static int loaded_part(const struct image_file *f, const uint8_t *h, struct kernel_segment *ret_s)
{
	unsigned int setup_sectors = h[SETUP_SECTS] != 0 ? h[SETUP_SECTS] : 4;
	uint64_t offset = (setup_sectors + 1) * SECTOR, size = (uint64_t)le32_get(h + SYSSIZE) * 16;

	/* syssize counts paragraphs of 16 bytes; the last one may be a part of one. What follows is a signature. */
	if (size == 0 || offset >= f->size || f->size - offset + 15 < size)
		return ERR_PLAIN(-ENOEXEC, "the kernel image is cut off: it has %" PRIu64 " bytes, its header speaks of %" PRIu64,
				 f->size, offset + size);
	if (size <= ENTRY_64)
		return ERR_PLAIN(-ENOEXEC, "the kernel image ends before its entry point");
	ret_s->file_offset = offset;
	ret_s->file_size = f->size - offset < size ? f->size - offset : size;
	ret_s->memory_size = le32_get(h + INIT_SIZE);
	return 0;
}

static int read_bzimage(const struct image_file *f, const struct kernel_room *room, struct kernel_image *image)
{
	uint8_t h[KERNEL_SETUP_HEADER_END];
	struct kernel_segment s = { 0 };
	size_t end;
	int r = read_at(f, 0, h, sizeof(h));

	if (r < 0)
		return r;
	/* The header begins with a short jump over itself: that is how it tells its length. */
	end = HEADER_MAGIC + (size_t)h[JUMP_OFFSET];
	r = check_setup_header(h, end);
	if (r == 0)
		r = load_address(h, room, &s.guest_addr);
	if (r == 0)
		r = loaded_part(f, h, &s);
	if (r == 0)
		r = add_segment(f, room, &s, image);
	if (r < 0)
		return r;
	image->kind = KERNEL_BZIMAGE;
	image->entry = s.guest_addr + ENTRY_64;
	image->initrd_max = le32_get(h + INITRD_ADDR_MAX);
	image->command_line_max = le32_get(h + CMDLINE_SIZE);
	image->pref_address = le64_get(h + PREF_ADDRESS);
	image->init_size = le32_get(h + INIT_SIZE);
	image->setup_header_size = end - KERNEL_SETUP_HEADER;
	memcpy(image->setup_header, h + KERNEL_SETUP_HEADER, image->setup_header_size);
	return 0;
}

/* ---- both ---- */

static int read_any(const struct image_file *f, const struct kernel_room *room, struct kernel_image *image)
{
	uint8_t start[HEADER_MAGIC + 4] = { 0 };
	size_t n = f->size < sizeof(start) ? (size_t)f->size : sizeof(start);
	int r = read_at(f, 0, start, n);

	if (r < 0)
		return r;
	if (memcmp(start, ELFMAG, SELFMAG) == 0)
		return read_elf(f, room, image);
	if (le16_get(start + BOOT_FLAG) == 0xaa55 && memcmp(start + HEADER_MAGIC, "HdrS", 4) == 0)
		return read_bzimage(f, room, image);
	return ERR_PLAIN(-ENOEXEC, "the kernel image is neither an ELF file (vmlinux) nor a bzImage (vmlinuz)");
}

int kernel_image_read(int fd, const struct kernel_room *room, struct kernel_image *ret_image)
{
	struct kernel_image image = { 0 };
	struct image_file f = { .fd = fd };
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return ERR(-errno, "cannot look at the kernel image");
	if (!S_ISREG(st.st_mode))
		return ERR_PLAIN(-ENOEXEC, "the kernel image is not a regular file");
	f.size = (uint64_t)st.st_size;
	r = read_any(&f, room, &image);
	if (r < 0)
		return r;
	*ret_image = image;
	return 0;
}
