/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel file, looked at: what kind it is, what of it is loaded where, and where the first CPU starts.
 *
 * Two kinds are taken: an ELF file (vmlinux) with a PVH entry point, and a bzImage (vmlinuz) with the 64-bit entry
 * point, which decompresses itself in the guest. The file is foreign: every number in it is checked against the file's
 * size and the guest's memory before it is believed. Nothing is loaded here, only headers and notes are read.
 *
 * ELF-64 object format; Xen's docs/misc/pvh.pandoc; Linux, Documentation/arch/x86/boot.rst.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KERNEL_SEGMENTS_MAX 16

/* The setup header of a bzImage stands at the same offset of its file and of the zero page (struct boot_params). */
#define KERNEL_SETUP_HEADER 0x1f1
#define KERNEL_SETUP_HEADER_END 0x290

enum kernel_kind {
	KERNEL_PVH,		/* 32-bit protected mode, paging off, EBX: hvm_start_info */
	KERNEL_BZIMAGE,		/* 64-bit mode, identity mapped, RSI: zero page */
};

/* The guest memory that a kernel may be loaded to: [start, end), RAM without holes. */
struct kernel_room {
	uint64_t start, end;
};

/* file_size bytes from file_offset go to guest_addr; what is left of memory_size is zero. All in bytes. */
struct kernel_segment {
	uint64_t file_offset, guest_addr;
	uint64_t file_size, memory_size;
};

struct kernel_image {
	enum kernel_kind kind;
	uint64_t entry;			/* guest physical */
	struct kernel_segment segments[KERNEL_SEGMENTS_MAX];	/* in the file's order, none overlaps another */
	size_t n_segments;
	uint64_t memory_end;		/* below it the kernel needs memory before it can read the memory map */
	uint64_t initrd_max;		/* the last byte of an initrd may be here, not further */
	uint32_t command_line_max;	/* characters, without the NUL */
	/* KERNEL_BZIMAGE only */
	uint64_t pref_address;
	uint32_t init_size;
	uint8_t setup_header[KERNEL_SETUP_HEADER_END - KERNEL_SETUP_HEADER];
	size_t setup_header_size;
};

/*
 * Looks at the regular file behind fd (read with pread(2); its offset stays). *ret_image needs no clean-up. -ENOEXEC
 * (not a kernel that can be started) or -ENOMEM (it does not fit into room), -errno of reading, each with a text that
 * speaks of "the kernel image"; the caller adds its name.
 */
int kernel_image_read(int fd, const struct kernel_room *room, struct kernel_image *ret_image);
