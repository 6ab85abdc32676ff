/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the VM: the only way that a stock kernel learns of its CPUs, of the virtio-mmio devices and of how
 * to switch off. "Hardware-reduced" ACPI (ACPI 6.3, section 3.11.1): the kernel then looks for no PIC, PIT, RTC or
 * keyboard controller, which would cost it time and us devices.
 *
 * RSDP -> XSDT -> FADT -> DSDT, and MADT. The DSDT has COM1 (PNP0501: without it a tty on it never gets its interrupt),
 * one LNRO0005 for each virtio device, in the order that the kernel probes them, and \_S5.
 */
#pragma once

#include <stdint.h>

#include "runtime/base/str.h"

/* I/O ports of the FADT's registers, one byte each. */
#define ACPI_SLEEP_CONTROL_PORT 0x600
#define ACPI_SLEEP_STATUS_PORT 0x601	/* reads 0 */
#define ACPI_RESET_PORT 0x604

/* What the guest writes to them: to be switched off (SLP_EN and the type 5 of \_S5), to be reset. */
#define ACPI_SLEEP_S5 ((1 << 5) | (5 << 2))
#define ACPI_RESET_VALUE 1

/* Local APICs have 8-bit numbers here, and 255 means all of them. */
#define ACPI_CPUS_MAX 254

struct acpi_request {
	uint64_t addr;			/* guest physical, for the first byte: the RSDP's, a multiple of 16 */
	unsigned int cpus;		/* 1 to ACPI_CPUS_MAX; number n has the APIC number n */
	unsigned int virtio_devices;	/* 0 to BOOT_VIRTIO_MAX, at BOOT_VIRTIO_MMIO and BOOT_VIRTIO_GSI onwards */
};

/*
 * The tables, to be copied to request->addr in guest memory that the memory map calls reserved; at most 8 KiB. out is
 * empty before. -EINVAL or -ENOMEM with a text.
 */
int acpi_build(const struct acpi_request *request, struct buf *out);
