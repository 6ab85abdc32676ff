/* SPDX-License-Identifier: Apache-2.0 */
/* A filter run here, not in the kernel: only what libseccomp and seccomp/newer.c write. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "seccomp/seccomp.h"

/* What p says to call d; UINT32_MAX: an instruction that is not known here, or no end. */
static inline uint32_t bpf_eval(const struct seccomp_program *p, const struct seccomp_data *d)
{
	const struct sock_filter *f = p->filter;
	uint32_t a = 0;

	for (size_t i = 0; i < p->len / sizeof(*f); i++) {
		bool yes;

		switch (f[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f[i].k > sizeof(*d) - sizeof(a))
				return UINT32_MAX;
			memcpy(&a, (const char *)d + f[i].k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f[i].k;
			continue;
		case BPF_RET | BPF_K:
			return f[i].k;
		case BPF_JMP | BPF_JA:
			i += f[i].k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f[i].k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f[i].k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f[i].k;
			break;
		default:
			return UINT32_MAX;
		}
		i += yes ? f[i].jt : f[i].jf;
	}
	return UINT32_MAX;
}
