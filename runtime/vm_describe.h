/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest program is told beside config.json (microvm/guest/description.h has the reader). */
#pragma once

#include <stddef.h>

struct net_config;
struct vm_start;

/* The text is malloc'ed. It has the time of now and fresh entropy, so it is made just before it is sent. -errno with text. */
int vm_describe(const struct vm_start *s, const struct net_config *n, char **ret_text, size_t *ret_len);
