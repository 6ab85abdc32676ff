/* SPDX-License-Identifier: Apache-2.0 */
/* See boot_x86.h. Everything written is below 1 MiB, at constant addresses: one check of the window serves for all. */
#include "microvm/boot_x86.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "microvm/acpi.h"
#include "microvm/le.h"
#include "runtime/base/err.h"

/* boot.rst wants __BOOT_CS and __BOOT_DS so; PVH does not mind. A task segment's descriptor has two entries in 64-bit mode. */
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TASK 0x20
#define GDT_SIZE 0x30U

#define CR0_PE 0x1ULL
#define CR0_ET 0x10ULL
#define CR0_PG 0x80000000ULL
#define CR4_PAE 0x20ULL
#define EFER_LME 0x100ULL
#define EFER_LMA 0x400ULL
#define RFLAGS_FIXED 0x2ULL

#define PAGE_PRESENT 0x1ULL
#define PAGE_WRITE 0x2ULL
#define PAGE_HUGE 0x80ULL
#define HUGE_PAGE (2ULL << 20)
#define PAGE_DIRECTORIES 4U
#define PAGE_ENTRIES 512U

/* struct hvm_start_info and its parts. */
#define START_INFO_MAGIC 0x336ec578U
#define START_INFO_VERSION 1
#define START_INFO_SIZE 56U
#define MODULE_SIZE 32U
#define MEMORY_MAP_ENTRY 24U

/* struct boot_params, the "zero page". */
#define ZP_ACPI_RSDP_ADDR 0x70
#define ZP_E820_ENTRIES 0x1e8
#define ZP_TYPE_OF_LOADER 0x210
#define ZP_CODE32_START 0x214
#define ZP_RAMDISK_IMAGE 0x218
#define ZP_RAMDISK_SIZE 0x21c
#define ZP_CMD_LINE_PTR 0x228
#define ZP_E820_TABLE 0x2d0
#define E820_ENTRY 20U
#define LOADER_UNDEFINED 0xff

/* ---- memory ---- */

static int check_ram_size(uint64_t ram_size)
{
	if (ram_size < BOOT_RAM_MIN || ram_size > BOOT_RAM_MAX || ram_size % BOOT_PAGE != 0)
		return ERR_PLAIN(-EINVAL, "a VM cannot have %" PRIu64 " bytes of memory: it takes whole pages, 2 MiB to 1 TiB", ram_size);
	return 0;
}

uint64_t boot_low_ram_end(uint64_t ram_size)
{
	return ram_size < BOOT_HOLE ? ram_size : BOOT_HOLE;
}

int boot_memory_map(uint64_t ram_size, struct boot_memory ret_map[BOOT_MEMORY_MAX])
{
	uint64_t low_end = boot_low_ram_end(ram_size);
	int n = 0, r = check_ram_size(ram_size);

	if (r < 0)
		return r;
	ret_map[n++] = (struct boot_memory){ 0, BOOT_FIRMWARE, BOOT_RAM };
	ret_map[n++] = (struct boot_memory){ BOOT_FIRMWARE, BOOT_HIGH_MEMORY - BOOT_FIRMWARE, BOOT_RESERVED };
	ret_map[n++] = (struct boot_memory){ BOOT_HIGH_MEMORY, low_end - BOOT_HIGH_MEMORY, BOOT_RAM };
	if (ram_size > low_end)
		ret_map[n++] = (struct boot_memory){ BOOT_ABOVE_4G, ram_size - low_end, BOOT_RAM };
	return n;
}

int boot_place_initrd(const struct kernel_image *kernel, uint64_t ram_size, uint64_t size, uint64_t *ret_addr)
{
	uint64_t end = boot_low_ram_end(ram_size);

	if (kernel->initrd_max < end)
		end = kernel->initrd_max + 1;
	if (size == 0 || size > end || (end - size) / BOOT_PAGE * BOOT_PAGE < kernel->memory_end)
		return ERR_PLAIN(-ENOMEM, "an initrd of %" PRIu64 " bytes does not fit between the kernel, which needs memory up to "
				 "0x%" PRIx64 ", and 0x%" PRIx64, size, kernel->memory_end, end);
	*ret_addr = (end - size) / BOOT_PAGE * BOOT_PAGE;
	return 0;
}

/* ---- the CPU's own tables ---- */

/* The 8 bytes that a segment register would be loaded from. */
static uint64_t descriptor(const struct boot_segment *s)
{
	uint64_t limit = s->granularity ? s->limit >> 12 : s->limit;
	uint64_t access = (uint64_t)s->type | (s->code_or_data ? 1U << 4 : 0) | (s->present ? 1U << 7 : 0);
	uint64_t flags = (s->long_mode ? 1U << 1 : 0) | (s->default_32 ? 1U << 2 : 0) | (s->granularity ? 1U << 3 : 0);

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 0xf) << 48 | flags << 52 |
	       (s->base >> 24 & 0xff) << 56;
}

static void write_gdt(uint8_t *gdt, struct boot_registers *r)
{
	memset(gdt, 0, GDT_SIZE);
	le64_put(gdt + SELECTOR_CODE, descriptor(&r->code));
	le64_put(gdt + SELECTOR_DATA, descriptor(&r->data));
	le64_put(gdt + SELECTOR_TASK, descriptor(&r->task));
	r->gdt_base = BOOT_GDT;
	r->gdt_limit = GDT_SIZE - 1;
}

/* Flat segments: code (execute, read, accessed) for the mode, data (read, write, accessed), a busy task segment. */
static void flat_segments(struct boot_registers *r, bool long_mode)
{
	r->code = (struct boot_segment){
		.limit = UINT32_MAX, .selector = SELECTOR_CODE, .type = 0xb, .code_or_data = true, .present = true,
		.long_mode = long_mode, .default_32 = !long_mode, .granularity = true,
	};
	r->data = (struct boot_segment){
		.limit = UINT32_MAX, .selector = SELECTOR_DATA, .type = 0x3, .code_or_data = true, .present = true,
		.default_32 = true, .granularity = true,
	};
	r->task = (struct boot_segment){ .limit = 0x67, .selector = SELECTOR_TASK, .type = 0xb, .present = true };
}

/* The first 4 GiB at their own addresses, by pages of 2 MiB: more than any kernel below the hole can need. */
static void write_page_tables(uint8_t *pml4)
{
	uint8_t *pdpt = pml4 + BOOT_PAGE, *directories = pdpt + BOOT_PAGE;

	memset(pml4, 0, (2 + PAGE_DIRECTORIES) * BOOT_PAGE);
	le64_put(pml4, (BOOT_PAGE_TABLES + BOOT_PAGE) | PAGE_PRESENT | PAGE_WRITE);
	for (unsigned int i = 0; i < PAGE_DIRECTORIES; i++)
		le64_put(pdpt + i * 8, (BOOT_PAGE_TABLES + (2 + i) * BOOT_PAGE) | PAGE_PRESENT | PAGE_WRITE);
	for (unsigned int i = 0; i < PAGE_DIRECTORIES * PAGE_ENTRIES; i++)
		le64_put(directories + i * 8, i * HUGE_PAGE | PAGE_PRESENT | PAGE_WRITE | PAGE_HUGE);
}

/* ---- PVH ---- */

static void write_start_info(const struct guest_window *low, const struct boot_request *b, const struct boot_memory *map, int n)
{
	uint8_t *info = low->host + BOOT_START_INFO, *module = low->host + BOOT_MODULES, *entry = low->host + BOOT_MEMORY_MAP;

	memset(info, 0, START_INFO_SIZE);
	le32_put(info, START_INFO_MAGIC);
	le32_put(info + 4, START_INFO_VERSION);
	le32_put(info + 12, b->initrd_size > 0 ? 1 : 0);
	le64_put(info + 16, b->initrd_size > 0 ? BOOT_MODULES : 0);
	le64_put(info + 24, BOOT_COMMAND_LINE);
	le64_put(info + 32, b->rsdp_addr);
	le64_put(info + 40, BOOT_MEMORY_MAP);
	le32_put(info + 48, (uint32_t)n);
	memset(module, 0, MODULE_SIZE);
	le64_put(module, b->initrd_addr);
	le64_put(module + 8, b->initrd_size);
	for (int i = 0; i < n; i++, entry += MEMORY_MAP_ENTRY) {
		memset(entry, 0, MEMORY_MAP_ENTRY);
		le64_put(entry, map[i].addr);
		le64_put(entry + 8, map[i].size);
		le32_put(entry + 16, map[i].type);
	}
}

static void pvh_registers(struct boot_registers *r)
{
	flat_segments(r, false);
	r->rbx = BOOT_START_INFO;
	r->cr0 = CR0_PE | CR0_ET;
}

/* ---- bzImage ---- */

static void write_zero_page(const struct guest_window *low, const struct boot_request *b, const struct boot_memory *map, int n)
{
	uint8_t *zp = low->host + BOOT_ZERO_PAGE, *entry = zp + ZP_E820_TABLE;

	/* boot.rst: all 0 but the header, which is copied from the file, with the loader's fields filled in. */
	memset(zp, 0, BOOT_PAGE);
	memcpy(zp + KERNEL_SETUP_HEADER, b->kernel->setup_header, b->kernel->setup_header_size);
	le64_put(zp + ZP_ACPI_RSDP_ADDR, b->rsdp_addr);
	zp[ZP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	le32_put(zp + ZP_CODE32_START, (uint32_t)b->kernel->segments[0].guest_addr);
	/* Both are in low RAM, below 4 GiB. */
	le32_put(zp + ZP_RAMDISK_IMAGE, (uint32_t)b->initrd_addr);
	le32_put(zp + ZP_RAMDISK_SIZE, (uint32_t)b->initrd_size);
	le32_put(zp + ZP_CMD_LINE_PTR, (uint32_t)BOOT_COMMAND_LINE);
	zp[ZP_E820_ENTRIES] = (uint8_t)n;
	for (int i = 0; i < n; i++, entry += E820_ENTRY) {
		le64_put(entry, map[i].addr);
		le64_put(entry + 8, map[i].size);
		le32_put(entry + 16, map[i].type);
	}
}

static void long_mode_registers(struct boot_registers *r)
{
	flat_segments(r, true);
	r->rsi = BOOT_ZERO_PAGE;
	r->cr0 = CR0_PE | CR0_ET | CR0_PG;
	r->cr3 = BOOT_PAGE_TABLES;
	r->cr4 = CR4_PAE;
	r->efer = EFER_LME | EFER_LMA;
}

/* ---- both ---- */

/*
 * All the firmware there is. A kernel with EFI that finds hardware-reduced ACPI does not try its reset register: it calls EFI,
 * which is not there, then a BIOS, by a jump to the reset vector in real mode. Zeros there would keep it busy for ever.
 */
static void write_reset_vector(uint8_t *to)
{
	static const uint8_t code[] = {
		0xba, ACPI_RESET_PORT & 0xff, ACPI_RESET_PORT >> 8,	/* mov dx, ACPI_RESET_PORT */
		0xb0, ACPI_RESET_VALUE,					/* mov al, ACPI_RESET_VALUE */
		0xee,							/* out dx, al */
		0xf4,							/* hlt */
		0xeb, 0xfd,						/* jmp to the hlt */
	};

	memcpy(to, code, sizeof(code));
}

static int check_request(const struct guest_window *low, const struct boot_request *b)
{
	const struct kernel_image *k = b->kernel;
	uint64_t low_end = boot_low_ram_end(b->ram_size), initrd_end;

	if (low->addr != 0 || low->size < BOOT_HIGH_MEMORY)
		return ERR_PLAIN(-EINVAL, "the kernel cannot be started: the first MiB of the VM's memory is not there to be written");
	if (k->memory_end > low_end)
		return ERR_PLAIN(-EINVAL, "the kernel needs memory up to 0x%" PRIx64 ", the VM has it up to 0x%" PRIx64, k->memory_end, low_end);
	if (k->n_segments == 0 || k->setup_header_size > sizeof(k->setup_header))
		return ERR_PLAIN(-EINVAL, "the kernel cannot be started: nothing of it is loaded");
	if (b->initrd_size == 0)
		return 0;
	if (__builtin_add_overflow(b->initrd_addr, b->initrd_size, &initrd_end) || initrd_end > low_end ||
	    b->initrd_addr < k->memory_end || initrd_end - 1 > k->initrd_max)
		return ERR_PLAIN(-EINVAL, "the initrd cannot be at 0x%" PRIx64 ": the kernel or the end of memory is in the way", b->initrd_addr);
	return 0;
}

static int write_command_line(const struct guest_window *low, const struct boot_request *b)
{
	uint64_t max = BOOT_COMMAND_LINE_SIZE - 1;
	size_t len = strlen(b->command_line);

	if (b->kernel->command_line_max < max)
		max = b->kernel->command_line_max;
	if (len > max)
		return ERR_PLAIN(-E2BIG, "the kernel's command line has %zu characters, the kernel takes %" PRIu64, len, max);
	memcpy(low->host + BOOT_COMMAND_LINE, b->command_line, len + 1);
	return 0;
}

int boot_prepare(const struct guest_window *low, const struct boot_request *b, struct boot_registers *ret_registers)
{
	struct boot_registers regs = { .rip = b->kernel->entry, .rsp = BOOT_STACK, .rflags = RFLAGS_FIXED };
	struct boot_memory map[BOOT_MEMORY_MAX];
	int n = boot_memory_map(b->ram_size, map), r;

	if (n < 0)
		return n;
	r = check_request(low, b);
	if (r == 0)
		r = write_command_line(low, b);
	if (r < 0)
		return r;
	if (b->kernel->kind == KERNEL_PVH) {
		pvh_registers(&regs);
		write_start_info(low, b, map, n);
	} else {
		long_mode_registers(&regs);
		write_page_tables(low->host + BOOT_PAGE_TABLES);
		write_zero_page(low, b, map, n);
	}
	write_gdt(low->host + BOOT_GDT, &regs);
	write_reset_vector(low->host + BOOT_RESET_VECTOR);
	*ret_registers = regs;
	return 0;
}
