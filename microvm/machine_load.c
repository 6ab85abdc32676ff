/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a machine's memory before its first instruction. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/acpi.h"
#include "microvm/boot_x86.h"
#include "microvm/kernel_image.h"
#include "microvm/machine_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* size bytes of the file from offset on; what names it in the error text. */
static int load(const struct machine *m, uint64_t addr, int fd, uint64_t offset, uint64_t size)
{
	uint8_t *to = guest_memory_at(&m->memory, addr, size);

	if (to == NULL)
		return ERR_PLAIN(-ENOMEM, "%" PRIu64 " bytes at 0x%" PRIx64 " are outside of the guest's memory", size, addr);
	while (size > 0) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR(-errno, "cannot read it");
		if (n == 0)
			return ERR_PLAIN(-EIO, "it became shorter while it was read");
		to += n;
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

static int load_kernel(const struct machine *m, struct kernel_image *ret_image)
{
	const struct kernel_room room = { .start = BOOT_HIGH_MEMORY, .end = boot_low_ram_end(m->config->ram_size) };
	int r = kernel_image_read(m->config->kernel, &room, ret_image);

	/* The rest of a segment's memory is zero as all memory is yet. */
	for (size_t i = 0; i < ret_image->n_segments && r == 0; i++) {
		const struct kernel_segment *s = &ret_image->segments[i];

		if (s->file_size > 0)
			r = load(m, s->guest_addr, m->config->kernel, s->file_offset, s->file_size);
	}
	return r < 0 ? ERR_CONTEXT(r, "kernel \"%s\"", m->config->kernel_name) : 0;
}

static int load_initrd(const struct machine *m, struct boot_request *b)
{
	struct stat st;
	int r;

	if (m->config->initrd < 0)
		return 0;
	if (fstat(m->config->initrd, &st) < 0)
		return ERR(-errno, "cannot look at the initramfs");
	b->initrd_size = (uint64_t)st.st_size;
	if (b->initrd_size == 0)
		return ERR_PLAIN(-EINVAL, "the initramfs is empty, or not a regular file");
	r = boot_place_initrd(b->kernel, b->ram_size, b->initrd_size, &b->initrd_addr);
	if (r == 0)
		r = load(m, b->initrd_addr, m->config->initrd, 0, b->initrd_size);
	return r < 0 ? ERR_CONTEXT(r, "initramfs") : 0;
}

static int load_tables(const struct machine *m)
{
	const struct acpi_request request = { .addr = BOOT_ACPI, .cpus = m->config->vcpus, .virtio_devices = m->bus.n };
	_cleanup_buf_ struct buf tables = { .data = NULL };
	int r = acpi_build(&request, &tables);

	if (r < 0)
		return r;
	if (guest_memory_write(&m->memory, BOOT_ACPI, tables.data, tables.len) < 0)
		return ERR_PLAIN(-ENOMEM, "the guest's memory is too small for its ACPI tables");
	return 0;
}

int machine_load(struct machine *m, struct vcpu_start *ret_start)
{
	struct kernel_image image = { .n_segments = 0 };
	struct boot_request b = {
		.kernel = &image,
		.ram_size = m->config->ram_size,
		.command_line = m->config->command_line,
		.rsdp_addr = BOOT_ACPI,
	};
	const struct guest_region *low = &m->memory.regions[0];
	const struct guest_window window = { .host = low->host, .addr = low->addr, .size = low->size };
	struct boot_registers regs;
	int r = load_kernel(m, &image);

	if (r == 0)
		r = load_initrd(m, &b);
	if (r == 0)
		r = load_tables(m);
	if (r == 0)
		r = boot_prepare(&window, &b, &regs);
	if (r < 0)
		return r;
	*ret_start = (struct vcpu_start){
		.mode = image.kind == KERNEL_PVH ? VCPU_PROTECTED_32 : VCPU_LONG_64,
		.rip = regs.rip,
		.rsp = regs.rsp,
		.rbx = regs.rbx,
		.rsi = regs.rsi,
		.page_table = regs.cr3,
		.gdt = regs.gdt_base,
	};
	return 0;
}
