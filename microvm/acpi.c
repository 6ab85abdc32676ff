/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets and values: ACPI 6.3, sections 5.2.5 (RSDP) to 5.2.12 (MADT), 20.2 (AML), 6.4 (resources). */
#include "microvm/acpi.h"

#include <errno.h>
#include <string.h>

#include "microvm/boot_x86.h"
#include "microvm/le.h"
#include "runtime/base/err.h"

#define TABLE_HEADER 36U
#define TABLE_LENGTH 4
#define TABLE_CHECKSUM 9
#define TABLE_ALIGNMENT 16U

#define RSDP_SIZE 36U
#define RSDP_SIZE_1_0 20U	/* what the first checksum is over */
#define FADT_SIZE 276U
#define FADT_REVISION 6
#define FADT_MINOR 3
#define MADT_REVISION 5
#define DSDT_REVISION 2		/* 64-bit integers in AML */
#define OEM "NACRE "
#define OEM_TABLE "MICROVM "
#define HYPERVISOR "NACRE\0\0"

/* FADT flags (table 5-10) and boot architecture flags (5-11). */
#define FADT_RESET_SUPPORTED (1U << 10)
#define FADT_HW_REDUCED (1U << 20)
#define BOOT_ARCH_NO_VGA (1U << 2)

/* A generic address structure's space and access size. */
#define SPACE_IO 1
#define ACCESS_BYTE 1

static void add_zeros(struct buf *b, size_t n)
{
	static const char zeros[FADT_SIZE];

	buf_add(b, zeros, n);
}

static uint8_t sum(const struct buf *b, size_t from, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s = (uint8_t)(s + (uint8_t)b->data[from + i]);
	return s;
}

/* ---- a table: header, body, and its length and checksum at the end ---- */

static size_t begin_table(struct buf *b, const char *signature, uint8_t revision)
{
	uint8_t h[TABLE_HEADER] = { 0 };
	size_t start;

	if (b->len % TABLE_ALIGNMENT != 0)
		add_zeros(b, TABLE_ALIGNMENT - b->len % TABLE_ALIGNMENT);
	start = b->len;
	memcpy(h, signature, 4);
	h[8] = revision;
	memcpy(h + 10, OEM, 6);
	memcpy(h + 16, OEM_TABLE, 8);
	le32_put(h + 24, 1);
	memcpy(h + 28, OEM, 4);
	le32_put(h + 32, 1);
	buf_add(b, h, sizeof(h));
	return start;
}

static void end_table(struct buf *b, size_t start)
{
	if (b->failed)
		return;
	le32_put(b->data + start + TABLE_LENGTH, (uint32_t)(b->len - start));
	b->data[start + TABLE_CHECKSUM] = 0;
	b->data[start + TABLE_CHECKSUM] = (char)-sum(b, start, b->len - start);
}

/* ---- DSDT: machine code of AML, as a compiler makes it of the ASL beside it ---- */

/*
 * Device (\_SB.Vnnn) {
 *	Name (_HID, "LNRO0005")
 *	Name (_UID, n)
 *	Name (_CCA, 1)
 *	Name (_CRS, ResourceTemplate () {
 *		Memory32Fixed (ReadWrite, address, size)
 *		Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { gsi }
 *	})
 * }
 */
static void add_virtio_device(struct buf *b, unsigned int n)
{
	uint8_t device[] = {
		0x5b, 0x82, 0x49, 0x04, 0x5c, 0x2e, '_', 'S', 'B', '_', 'V', '0', '0', '0',
		0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0x00,
		0x08, '_', 'U', 'I', 'D', 0x0a, 0x00,
		0x08, '_', 'C', 'C', 'A', 0x0a, 0x01,
		0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17,
		0x86, 0x09, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0,
		0x89, 0x06, 0x00, 0x03, 0x01, 0, 0, 0, 0,
		0x79, 0x00,
	};

	device[12] = (uint8_t)('0' + n / 10);
	device[13] = (uint8_t)('0' + n % 10);
	device[35] = (uint8_t)n;
	le32_put(device + 56, (uint32_t)(BOOT_VIRTIO_MMIO + n * BOOT_VIRTIO_MMIO_SIZE));
	le32_put(device + 60, (uint32_t)BOOT_VIRTIO_MMIO_SIZE);
	le32_put(device + 69, BOOT_VIRTIO_GSI + n);
	buf_add(b, device, sizeof(device));
}

/*
 * Device (\_SB.COM1) {
 *	Name (_HID, EisaId ("PNP0501"))
 *	Name (_UID, 0)
 *	Name (_CRS, ResourceTemplate () {
 *		IO (Decode16, 0x3f8, 0x3f8, 1, 8)
 *		Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
 *	})
 * }
 */
static void add_com1(struct buf *b)
{
	static const uint8_t com1[] = {
		0x5b, 0x82, 0x38, 0x5c, 0x2e, '_', 'S', 'B', '_', 'C', 'O', 'M', '1',
		0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01,
		0x08, '_', 'U', 'I', 'D', 0x0a, 0x00,
		0x08, '_', 'C', 'R', 'S', 0x11, 0x16, 0x0a, 0x13,
		0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,
		0x89, 0x06, 0x00, 0x03, 0x01, BOOT_COM1_GSI, 0, 0, 0,
		0x79, 0x00,
	};

	buf_add(b, com1, sizeof(com1));
}

/* Name (\_S5, Package () { 5, 5, 0, 0 }): the sleep type that the kernel writes to be switched off. */
static void add_s5(struct buf *b)
{
	static const uint8_t s5[] = {
		0x08, 0x5c, '_', 'S', '5', '_', 0x12, 0x0a, 0x04, 0x0a, 0x05, 0x0a, 0x05, 0x0a, 0x00, 0x0a, 0x00,
	};

	buf_add(b, s5, sizeof(s5));
}

static size_t add_dsdt(struct buf *b, unsigned int virtio_devices)
{
	size_t start = begin_table(b, "DSDT", DSDT_REVISION);

	for (unsigned int i = 0; i < virtio_devices; i++)
		add_virtio_device(b, i);
	add_com1(b);
	add_s5(b);
	end_table(b, start);
	return start;
}

/* ---- the others ---- */

static void put_io_register(uint8_t *to, uint16_t port)
{
	to[0] = SPACE_IO;
	to[1] = 8;
	to[2] = 0;
	to[3] = ACCESS_BYTE;
	le64_put(to + 4, port);
}

static size_t add_fadt(struct buf *b, uint64_t dsdt)
{
	size_t start = begin_table(b, "FACP", FADT_REVISION);
	uint8_t fadt[FADT_SIZE] = { 0 };

	le16_put(fadt + 109, BOOT_ARCH_NO_VGA);
	le32_put(fadt + 112, FADT_HW_REDUCED | FADT_RESET_SUPPORTED);
	put_io_register(fadt + 116, ACPI_RESET_PORT);
	fadt[128] = ACPI_RESET_VALUE;
	fadt[131] = FADT_MINOR;
	le64_put(fadt + 140, dsdt);
	put_io_register(fadt + 244, ACPI_SLEEP_CONTROL_PORT);
	put_io_register(fadt + 256, ACPI_SLEEP_STATUS_PORT);
	memcpy(fadt + 268, HYPERVISOR, 8);
	buf_add(b, fadt + TABLE_HEADER, sizeof(fadt) - TABLE_HEADER);
	end_table(b, start);
	return start;
}

static size_t add_madt(struct buf *b, unsigned int cpus)
{
	size_t start = begin_table(b, "APIC", MADT_REVISION);
	uint8_t apics[8] = { 0 }, cpu[8] = { 0, 8 }, ioapic[12] = { 1, 12 };

	/* Flags 0: there are no 8259s. */
	le32_put(apics, (uint32_t)BOOT_LOCAL_APIC);
	buf_add(b, apics, sizeof(apics));
	le32_put(ioapic + 4, (uint32_t)BOOT_IOAPIC);
	buf_add(b, ioapic, sizeof(ioapic));
	for (unsigned int i = 0; i < cpus; i++) {
		cpu[2] = cpu[3] = (uint8_t)i;
		le32_put(cpu + 4, 1);	/* enabled */
		buf_add(b, cpu, sizeof(cpu));
	}
	end_table(b, start);
	return start;
}

static size_t add_xsdt(struct buf *b, uint64_t fadt, uint64_t madt)
{
	size_t start = begin_table(b, "XSDT", 1);
	uint8_t tables[16];

	le64_put(tables, fadt);
	le64_put(tables + 8, madt);
	buf_add(b, tables, sizeof(tables));
	end_table(b, start);
	return start;
}

/* Over the RSDP_SIZE bytes that are kept free for it at the start. */
static void put_rsdp(struct buf *b, uint64_t xsdt)
{
	char *rsdp = b->data;

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, OEM, 6);
	rsdp[15] = 2;
	le32_put(rsdp + 20, RSDP_SIZE);
	le64_put(rsdp + 24, xsdt);
	rsdp[8] = (char)-sum(b, 0, RSDP_SIZE_1_0);
	rsdp[32] = (char)-sum(b, 0, RSDP_SIZE);
}

int acpi_build(const struct acpi_request *request, struct buf *out)
{
	size_t dsdt, fadt, madt, xsdt;

	if (request->cpus == 0 || request->cpus > ACPI_CPUS_MAX)
		return ERR_PLAIN(-EINVAL, "a VM has 1 to %d CPUs, not %u", ACPI_CPUS_MAX, request->cpus);
	if (request->virtio_devices > BOOT_VIRTIO_MAX)
		return ERR_PLAIN(-EINVAL, "a VM has at most %d virtio devices, not %u", BOOT_VIRTIO_MAX, request->virtio_devices);
	if (request->addr % TABLE_ALIGNMENT != 0 || request->addr > UINT32_MAX)
		return ERR_PLAIN(-EINVAL, "ACPI tables cannot be at 0x%llx", (unsigned long long)request->addr);
	add_zeros(out, RSDP_SIZE);
	dsdt = add_dsdt(out, request->virtio_devices);
	fadt = add_fadt(out, request->addr + dsdt);
	madt = add_madt(out, request->cpus);
	xsdt = add_xsdt(out, request->addr + fadt, request->addr + madt);
	if (out->failed)
		return ERR_NOMEM();
	put_rsdp(out, request->addr + xsdt);
	return 0;
}
