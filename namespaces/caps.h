/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities: names -> masks -> the calling thread. The one door to libcap. runtime-spec "process.capabilities". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caps_req {
	bool present;		/* false: no process.capabilities: every set becomes empty */
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

/* Bit of "CAP_KILL" (any case); -EINVAL for a name this library does not know. */
int caps_from_name(const char *name, uint64_t *ret_bit);
/* "CAP_KILL" of bit i, NULL when there is none. For `features` and `explain`. */
const char *caps_name(unsigned int i);

/* The highest capability of the running kernel. */
unsigned int caps_last(void);

/* What the calling thread may hand out: its permitted set, to warn about the rest. */
int caps_permitted(uint64_t *ret_permitted);

/*
 * In two steps around setresuid(2), because the bounding set needs CAP_SETPCAP: first
 * caps_drop_bounding() and keep-caps, then caps_apply() of the four other sets.
 * What the thread does not have must have been left out before (the specification: a
 * warning, not an error; see caps_permitted()), here it is -EPERM.
 */
int caps_drop_bounding(const struct caps_req *c);
int caps_keep_over_setuid(bool keep);
int caps_apply(const struct caps_req *c);
