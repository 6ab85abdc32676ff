/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an x86-64 kernel finds at its first instruction: the guest's physical layout, the structures in its low memory
 * and the registers of its first CPU. Pure: memory in, plain data out; whoever runs the CPU sets the registers.
 *
 * PVH: Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h. 64-bit boot protocol: Linux,
 * Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/guest_window.h"
#include "microvm/kernel_image.h"

/*
 * The layout, in guest physical addresses. RAM is [0, 3 GiB) and goes on at 4 GiB; the hole has the devices. The first
 * MiB belongs to what is listed here; from BOOT_FIRMWARE on the memory map calls it reserved.
 */
#define BOOT_GDT 0x500ULL
#define BOOT_START_INFO 0x6000ULL	/* PVH: struct hvm_start_info, its module list, its memory map */
#define BOOT_MODULES 0x6040ULL
#define BOOT_MEMORY_MAP 0x7000ULL
#define BOOT_ZERO_PAGE 0x7000ULL	/* bzImage: struct boot_params */
#define BOOT_STACK 0x8ff0ULL
#define BOOT_PAGE_TABLES 0x9000ULL	/* PML4, PDPT, 4 page directories: the first 4 GiB */
#define BOOT_COMMAND_LINE 0x20000ULL
#define BOOT_COMMAND_LINE_SIZE 0x10000ULL	/* with the NUL */
#define BOOT_FIRMWARE 0x9fc00ULL	/* where a PC has the extended BIOS data area */
#define BOOT_ACPI 0xe0000ULL		/* the RSDP, the other tables behind it; a kernel that is not told looks here */
#define BOOT_RESET_VECTOR 0xffff0ULL	/* real mode's: what is there writes to the ACPI tables' reset register (boot_x86.c) */
#define BOOT_HIGH_MEMORY 0x100000ULL
#define BOOT_HOLE 0xc0000000ULL
#define BOOT_VIRTIO_MMIO 0xc0001000ULL	/* one window of BOOT_VIRTIO_MMIO_SIZE per device */
#define BOOT_VIRTIO_MMIO_SIZE 0x1000ULL
#define BOOT_IOAPIC 0xfec00000ULL
#define BOOT_LOCAL_APIC 0xfee00000ULL
#define BOOT_ABOVE_4G 0x100000000ULL

/* Interrupts: COM1 has 4, as on a PC; devices have what is left of the IOAPIC's 24. */
#define BOOT_COM1_GSI 4
#define BOOT_VIRTIO_GSI 5
#define BOOT_VIRTIO_MAX 19

#define BOOT_RAM_MIN (2ULL << 20)
#define BOOT_RAM_MAX (1ULL << 40)	/* 1 TiB: 40 bits, what every CPU with KVM can address */
#define BOOT_PAGE 0x1000ULL

/* The types of the BIOS call e820 (ACPI, "Address Range Types"); PVH has the same. */
enum boot_memory_type { BOOT_RAM = 1, BOOT_RESERVED = 2 };

struct boot_memory {
	uint64_t addr, size;
	enum boot_memory_type type;
};

#define BOOT_MEMORY_MAX 4

/*
 * The memory map of a guest with ram_size bytes (a multiple of BOOT_PAGE, BOOT_RAM_MIN to BOOT_RAM_MAX), ascending.
 * The number of entries, or -EINVAL with a text.
 */
int boot_memory_map(uint64_t ram_size, struct boot_memory ret_map[BOOT_MEMORY_MAX]);

/* Where RAM from address 0 on ends: what a kernel and an initrd are placed in. */
uint64_t boot_low_ram_end(uint64_t ram_size);

/*
 * The address for an initrd of size bytes (not 0): as high in low RAM as the kernel reads it, at a page's start, so that
 * the kernel can grow below. -ENOMEM with a text when it does not fit above the kernel.
 */
int boot_place_initrd(const struct kernel_image *kernel, uint64_t ram_size, uint64_t size, uint64_t *ret_addr);

struct boot_request {
	const struct kernel_image *kernel;	/* its segments are loaded by the caller */
	uint64_t ram_size;
	const char *command_line;
	uint64_t initrd_addr, initrd_size;	/* initrd_size 0: none */
	uint64_t rsdp_addr;			/* 0: the kernel looks for it itself */
};

/* A segment register with its hidden part (Intel SDM volume 3, "Segment Descriptors"). */
struct boot_segment {
	uint64_t base;
	uint32_t limit;		/* in bytes, though granularity says pages */
	uint16_t selector;
	uint8_t type;		/* 4 bits */
	bool code_or_data;	/* S; a system segment without */
	bool present;
	bool long_mode;		/* L */
	bool default_32;	/* D/B */
	bool granularity;	/* G */
};

/* What is not named is 0; interrupts are off. */
struct boot_registers {
	uint64_t rip, rsp, rbx, rsi, rflags;
	uint64_t cr0, cr3, cr4, efer;
	struct boot_segment code, data, task;	/* cs; ds, es, fs, gs and ss; tr */
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

/*
 * Writes what the kernel reads at its start, and what it jumps to at its end, into low, which begins at address 0 and has the first MiB at least, and says
 * what the registers of the first CPU are. 0, -EINVAL (the request contradicts itself) or -E2BIG (the command line is
 * longer than the kernel takes), with a text.
 */
int boot_prepare(const struct guest_window *low, const struct boot_request *b, struct boot_registers *ret_registers);
