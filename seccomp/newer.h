/* SPDX-License-Identifier: Apache-2.0 */
/* ENOSYS for system calls newer than a profile. Pure. Private to this folder and its tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct seccomp_program;

/* The highest number that the profile names. */
struct newest_call {
	uint32_t arch;		/* AUDIT_ARCH_… */
	uint32_t number;
	uint32_t number_x32;	/* with its bit; UINT32_MAX: x32 is the filter's affair */
};

/* Numbers from here on say nothing about age. */
uint32_t newer_limit(uint32_t arch);

/* Puts the comparisons before the filter of p. 1: they are left out, it would become too long. -ENOMEM without text. */
int newer_prepend(struct seccomp_program *p, const struct newest_call *v, size_t n);
