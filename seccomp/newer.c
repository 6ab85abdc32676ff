/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENOSYS for system calls that a profile cannot know, because they came after it: before the filter, a few
 * instructions that compare the number with the newest one it names. A C library that tries a new call (faccessat2,
 * clone3) and gets the profile's EPERM takes that for the answer; with ENOSYS it tries the older one.
 *
 * runc does this, crun does not. An approximation: numbers are not always given out in order, and what the profile
 * left out on purpose stays what its default says only up to the newest one.
 */
#include "seccomp/newer.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/seccomp.h"

/* x32 calls come as AUDIT_ARCH_X86_64, told apart by this bit. */
#define X32_BIT 0x40000000U
/* arm: the architecture's own calls (set_tls, cacheflush) are up there and have no order in time. */
#define ARM_PRIVATE 0x0f0000U

#define SECTION 7
#define ENOSYS_INDEX 5	/* in the section: the end of a call that is too new */
#define FILTER_INDEX 6	/* on to the filter */

#define LOAD(field) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field)))

/* In a section, at index i: to the indices yes or no. */
static struct sock_filter jump(unsigned int op, uint32_t k, unsigned int i, unsigned int yes, unsigned int no)
{
	return (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | op | BPF_K), k, (uint8_t)(yes - i - 1), (uint8_t)(no - i - 1));
}

static void section(const struct newest_call *n, struct sock_filter s[SECTION], size_t left)
{
	s[0] = jump(BPF_JEQ, n->arch, 0, 1, SECTION);
	s[1] = LOAD(nr);
	s[2] = jump(BPF_JGT, n->number, 2, ENOSYS_INDEX, FILTER_INDEX);
	s[3] = jump(BPF_JGT, n->number, 3, ENOSYS_INDEX, FILTER_INDEX);
	s[4] = jump(BPF_JGT, n->number_x32, 4, ENOSYS_INDEX, FILTER_INDEX);
	s[ENOSYS_INDEX] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	s[FILTER_INDEX] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)left);
	switch (n->arch) {
	case AUDIT_ARCH_X86_64:
		s[2] = jump(BPF_JGE, X32_BIT, 2, 4, 3);
		break;
	case AUDIT_ARCH_ARM:
		s[2] = jump(BPF_JGE, ARM_PRIVATE, 2, FILTER_INDEX, 3);
		break;
	case AUDIT_ARCH_S390:
	case AUDIT_ARCH_S390X:
		/* A number above the kernel's table arrives as 0, where nothing has been for decades. */
		s[2] = jump(BPF_JEQ, 0, 2, ENOSYS_INDEX, 3);
		break;
	default:
		break;
	}
}

uint32_t newer_limit(uint32_t arch)
{
	return arch == AUDIT_ARCH_ARM ? ARM_PRIVATE : UINT32_MAX;
}

int newer_prepend(struct seccomp_program *p, const struct newest_call *v, size_t n)
{
	size_t head = 1 + n * SECTION, head_len = head * sizeof(struct sock_filter);
	struct sock_filter *all;

	/* The filter goes first: one that leaves no room is right without this. */
	if (n == 0)
		return 0;
	if (p->len + head_len > SECCOMP_PROGRAM_MAX)
		return 1;
	all = malloc(head_len + p->len);
	if (all == NULL)
		return -ENOMEM;
	all[0] = LOAD(arch);
	for (size_t i = 0; i < n; i++)
		section(&v[i], all + 1 + i * SECTION, (n - 1 - i) * SECTION);
	/* Its jumps are relative. */
	memcpy(all + head, p->filter, p->len);
	free(p->filter);
	p->filter = all;
	p->len += head_len;
	return 0;
}
