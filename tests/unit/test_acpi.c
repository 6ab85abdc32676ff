/* SPDX-License-Identifier: Apache-2.0 */
/* The tables, found the way that a kernel finds them: from the RSDP on, by length and checksum. */
#include "tests/unit/test.h"

#include <errno.h>

#include "microvm/acpi.h"
#include "microvm/boot_x86.h"
#include "microvm/le.h"

static uint8_t sum(const void *data, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s = (uint8_t)(s + ((const uint8_t *)data)[i]);
	return s;
}

/* The table at a guest address, when it is whole and its sums are right. */
static const uint8_t *table_at(const struct buf *b, uint64_t addr, const char *signature)
{
	uint64_t offset = addr - BOOT_ACPI;
	const uint8_t *p;
	uint32_t len;

	if (b->len < 36 || offset % 16 != 0 || offset > b->len - 36)
		return NULL;
	p = (const uint8_t *)b->data + offset;
	len = le32_get(p + 4);
	return memcmp(p, signature, 4) == 0 && len >= 36 && len <= b->len - offset && sum(p, len) == 0 ? p : NULL;
}

static const uint8_t *xsdt_of(const struct buf *b)
{
	if (b->len < 36 || memcmp(b->data, "RSD PTR ", 8) != 0 || sum(b->data, 20) != 0 || sum(b->data, 36) != 0)
		return NULL;
	return b->data[15] == 2 && le32_get(b->data + 20) == 36 ? table_at(b, le64_get(b->data + 24), "XSDT") : NULL;
}

static const uint8_t *find_table(const struct buf *b, const char *signature)
{
	const uint8_t *xsdt = xsdt_of(b);

	for (uint32_t i = 36; xsdt != NULL && i + 8 <= le32_get(xsdt + 4); i += 8)
		if (table_at(b, le64_get(xsdt + i), signature) != NULL)
			return table_at(b, le64_get(xsdt + i), signature);
	return NULL;
}

TEST(fadt)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	const struct acpi_request request = { .addr = BOOT_ACPI, .cpus = 1, .virtio_devices = 3 };
	const uint8_t *f;

	if (!CHECK_INT(acpi_build(&request, &b), 0))
		return;
	f = find_table(&b, "FACP");
	if (!CHECK(f != NULL))
		return;
	CHECK_INT(le32_get(f + 4), 276);
	CHECK_INT(f[8], 6);
	CHECK_INT(le16_get(f + 109), 4);
	CHECK_INT(le32_get(f + 112), (1 << 20) | (1 << 10));
	CHECK(memcmp(f + 116, "\1\10\0\1\4\6\0\0\0\0\0\0", 12) == 0);
	CHECK_INT(f[128], 1);
	CHECK(memcmp(f + 244, "\1\10\0\1\0\6\0\0\0\0\0\0", 12) == 0);
	CHECK(memcmp(f + 256, "\1\10\0\1\1\6\0\0\0\0\0\0", 12) == 0);
	/* Hardware-reduced: none of the legacy register blocks. */
	CHECK_INT(le32_get(f + 56), 0);
	CHECK_INT(le32_get(f + 64), 0);
	CHECK_INT(le32_get(f + 76), 0);
	CHECK(table_at(&b, le64_get(f + 140), "DSDT") != NULL);
	CHECK_INT(ACPI_SLEEP_S5, 0x34);
}

static void check_madt(struct test *t, unsigned int cpus)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	const struct acpi_request request = { .addr = BOOT_ACPI, .cpus = cpus };
	unsigned int seen = 0, ioapics = 0;
	const uint8_t *m;

	if (!CHECK_INT(acpi_build(&request, &b), 0))
		return;
	m = find_table(&b, "APIC");
	if (!CHECK(m != NULL))
		return;
	CHECK_INT(le32_get(m + 36), 0xfee00000);
	CHECK_INT(le32_get(m + 40), 0);
	CHECK_INT(le32_get(m + 4), 44 + 12 + 8 * cpus);
	for (uint32_t i = 44; i < le32_get(m + 4) && CHECK(m[i + 1] == 8 || m[i + 1] == 12); i += m[i + 1]) {
		if (m[i] == 1) {
			ioapics++;
			CHECK_INT(le32_get(m + i + 4), 0xfec00000);
			CHECK_INT(le32_get(m + i + 8), 0);
		} else {
			CHECK_INT(m[i], 0);
			CHECK_INT(m[i + 2], seen);
			CHECK_INT(m[i + 3], seen++);
			CHECK_INT(le32_get(m + i + 4), 1);
		}
	}
	CHECK_INT(seen, cpus);
	CHECK_INT(ioapics, 1);
	CHECK(b.len <= 8192);
}

TEST(madt)
{
	check_madt(t, 1);
	check_madt(t, 4);
	check_madt(t, ACPI_CPUS_MAX);
}

TEST(dsdt)
{
	/* Compiled by iasl from the ASL in acpi.c, for number 0. */
	static const char virtio[] =
		"\x5b\x82\x49\x04\x5c\x2e_SB_V000\x08_HID\x0dLNRO0005\0\x08_UID\x0a\0\x08_CCA\x0a\x01"
		"\x08_CRS\x11\x1a\x0a\x17\x86\x09\0\x01\0\x10\0\xc0\0\x10\0\0\x89\x06\0\x03\x01\x05\0\0\0\x79\0";
	_cleanup_buf_ struct buf b = BUF_NULL;
	const struct acpi_request request = { .addr = BOOT_ACPI, .cpus = 1, .virtio_devices = BOOT_VIRTIO_MAX };
	const uint8_t *d, *last;

	if (!CHECK_INT(acpi_build(&request, &b), 0) || !CHECK(find_table(&b, "FACP") != NULL))
		return;
	d = table_at(&b, le64_get(find_table(&b, "FACP") + 140), "DSDT");
	if (!CHECK(d != NULL) || !CHECK_INT(le32_get(d + 4), 36 + BOOT_VIRTIO_MAX * 75 + 58 + 17))
		return;
	CHECK_INT(sizeof(virtio) - 1, 75);
	CHECK(memcmp(d + 36, virtio, sizeof(virtio) - 1) == 0);
	last = d + 36 + (BOOT_VIRTIO_MAX - 1) * 75;
	CHECK(memcmp(last + 6, "_SB_V018", 8) == 0);
	CHECK_INT(last[35], 18);
	CHECK_INT(le32_get(last + 56), 0xc0013000);
	CHECK_INT(le32_get(last + 69), 23);
	CHECK(memcmp(last + 75 + 5, "_SB_COM1", 8) == 0);
	CHECK(memcmp(last + 75 + 58, "\x08\\_S5_\x12\x0a\4\x0a\5\x0a\5\x0a\0\x0a\0", 17) == 0);
}

TEST(refused)
{
	static const struct acpi_request cases[] = {
		{ BOOT_ACPI, 0, 0 },
		{ BOOT_ACPI, 255, 0 },
		{ BOOT_ACPI, 1, BOOT_VIRTIO_MAX + 1 },
		{ BOOT_ACPI + 8, 1, 1 },
		{ 1ULL << 32, 1, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_NULL;

		CHECK_INT(acpi_build(&cases[i], &b), -EINVAL);
	}
}

TEST_MAIN(CASE(fadt), CASE(madt), CASE(dsdt), CASE(refused))
