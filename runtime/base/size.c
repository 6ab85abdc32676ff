/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/size.h"

#include <inttypes.h>
#include <stdio.h>

#include "runtime/base/str.h"

void size_text(uint64_t bytes, const char *space, char out[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t whole = bytes, tenths = 0;
	size_t unit = 0;

	/* Tenths of the unit before are enough: what is smaller never shows. */
	while (whole >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		tenths = (whole % 1024 * 10 + tenths) / 1024;
		whole /= 1024;
		unit++;
	}
	if (whole < 100 && tenths > 0)
		snprintf(out, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%.4s%s", whole, tenths, space, units[unit]);
	else
		snprintf(out, SIZE_TEXT_MAX, "%" PRIu64 "%.4s%s", whole, space, units[unit]);
}
