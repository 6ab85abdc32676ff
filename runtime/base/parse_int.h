/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one integer parser (crun's CVE-2026-30892 was a home-made one: "exec -u 1"
 * ran as root). Decimal only; empty text, spaces, a '+', trailing text and values
 * out of [min, max] are refused; *ret_v is written on success only.
 */
#pragma once

#include <stdint.h>

/* 0, -EINVAL (not a number) or -ERANGE. Records no error text: the caller knows the name. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v);
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret_v);
/* A number of bytes as people write it: "512", "64k", "1.5" is none, "2MiB", "1g" (all by 1024); "-1" and "max" are -1. */
int parse_size(const char *s, int64_t *ret_v);
/* An octal number such as a file mode ("0644", "644"); at most 07777. */
int parse_mode(const char *s, uint32_t *ret_v);
