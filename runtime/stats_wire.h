/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cgroup_stats as JSON, from a virtual machine's guest to its host: every figure, an absent one left out. The
 * reader believes nothing: who writes may be hostile. Pure.
 */
#pragma once

#include <stddef.h>

struct cgroup_stats;

/* One object, malloc'ed text. -ENOMEM with a text. */
int stats_wire_write(const struct cgroup_stats *s, char **ret_text, size_t *ret_len);

/*
 * *ret is overwritten, and the caller's to deinit, also after a failure. What is unknown, of a wrong type, too large or
 * too much is refused: -EINVAL or -ENOMEM with a text.
 */
int stats_wire_read(const char *text, size_t len, struct cgroup_stats *ret);
