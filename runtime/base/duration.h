/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of time as people and Go programs write them. */
#pragma once

#include <stdint.h>

/*
 * "5s", "500ms", "1m30s", "1.5h"; units h, m, s, ms, us (µs), ns. Without a unit: seconds ("5", "0.5").
 * 0 with nanoseconds, -EINVAL (not a duration, no sign allowed) or -ERANGE. Records no error text.
 */
int parse_duration(const char *s, uint64_t *ret_ns);
