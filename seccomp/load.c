/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a compiled program to the kernel. Runs in the child just before execve,
 * so: async-signal-safe, no allocation, and no error text (the parent, which gets
 * the number, words it). No prctl(PR_SET_SECCOMP) fallback: it knows no flags.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "seccomp/policy.h"
#include "seccomp/seccomp.h"

int seccomp_program_load(const struct seccomp_program *p, int *ret_listener)
{
	uint32_t flags = p->flags;
	struct sock_fprog prog;
	long r;

	if (p->len == 0 || p->len % sizeof(struct sock_filter) != 0 ||
	    p->len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return -EINVAL;
	prog.len = (unsigned short)(p->len / sizeof(struct sock_filter));
	prog.filter = p->filter;
	if (ret_listener == NULL)
		flags &= ~(uint32_t)(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r < 0)
		return -errno;
	/*
	 * What a positive value means depends on the flags: with NEW_LISTENER it is the
	 * fd (that a thread kept TSYNC from working is then -ESRCH, by TSYNC_ESRCH);
	 * otherwise it is the id of such a thread, and nothing was loaded.
	 */
	if ((flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) {
		if (r > 0)
			return -ESRCH;
		r = FD_NONE;
	}
	if (ret_listener != NULL)
		*ret_listener = (int)r;
	return 0;
}

bool seccomp_flag_supported(const char *flag)
{
	uint32_t bit = seccomp_policy_flag(flag);

	if (bit == 0)
		return false;
	/* The kernel refuses this one alone. */
	if (bit == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		bit |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	/* Flags are looked at before the program: EFAULT for the missing program says they passed. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bit, NULL) < 0 && errno == EFAULT;
}
