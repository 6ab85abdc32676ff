/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of bytes for people. */
#pragma once

#include <stdint.h>

#define SIZE_TEXT_MAX 24

/*
 * "512B", "4KiB", "1.5MiB", "100MiB": the greatest unit that leaves at least 1; tenths, cut off, below 100.
 * space stands between number and unit ("" or " ").
 */
void size_text(uint64_t bytes, const char *space, char out[SIZE_TEXT_MAX]);
