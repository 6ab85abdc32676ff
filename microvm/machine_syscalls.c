/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a running machine's threads. Two lists, since a processor's thread makes no thread and waits for
 * nothing but the guest. Who adds a call to a device adds it here: the test of a whole machine runs under these lists.
 */
#include <sys/syscall.h>

#include "microvm/machine.h"
#include "runtime/base/str.h"

/* clang-format off */

/* Both: locks, the heap, the end of a thread and of the process, a signal that interrupts. */
#define COMMON \
	SYS_futex, \
	SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_mremap, \
	SYS_rt_sigprocmask, SYS_rt_sigreturn, \
	SYS_exit, SYS_exit_group, \
	SYS_restart_syscall, \
	SYS_close, \
	SYS_clock_gettime

/*
 * A device's work, done by whoever comes: eventfds and interrupts, the channel, the back end of the file system (whose
 * socket has its own limits), disks, randomness, memory that goes back, sources of the loop. The error channel's text and
 * the log are write(2).
 */
#define DEVICES \
	SYS_read, SYS_write, SYS_readv, SYS_writev, \
	SYS_sendmsg, SYS_recvmsg, SYS_recvfrom, \
	SYS_preadv, SYS_pwritev, SYS_fdatasync, SYS_fallocate, \
	SYS_getrandom, \
	SYS_epoll_ctl

/* ioctl: KVM_RUN, and the registers of a processor that failed, for the log. gettid and tgkill: how it is stopped. */
static const int vcpu[] = {
	COMMON,
	DEVICES,
	SYS_ioctl,
	SYS_gettid, SYS_getpid, SYS_tgkill,
	SYS_set_robust_list, SYS_rseq, SYS_sched_getaffinity,
};

/* The loop, which also makes the processors' threads and ends them. A filter that is installed later is a call of ready(). */
static const int loop[] = {
	COMMON,
	DEVICES,
	SYS_poll, SYS_epoll_wait,
	SYS_clone, SYS_clone3, SYS_rt_sigaction, SYS_set_robust_list, SYS_rseq, SYS_sched_getaffinity,
	SYS_gettid, SYS_getpid, SYS_tgkill,
	/* Of the processors' threads, which begin with the loop's filter: theirs is installed by vcpu_ready(). */
	SYS_ioctl, SYS_prctl, SYS_seccomp,
};

/* clang-format on */

const struct machine_syscalls machine_syscalls_loop = { .numbers = loop, .n = ARRAY_SIZE(loop) };
const struct machine_syscalls machine_syscalls_vcpu = { .numbers = vcpu, .n = ARRAY_SIZE(vcpu) };
