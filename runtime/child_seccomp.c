/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter is loaded, and a listener's descriptor handed over. See child.h.
 *
 * The trap: from seccomp(2) on, this thread's calls are under the filter, which may deny
 * sendmsg(2), or hand it to the very agent that has not got the descriptor yet. So a second thread, which the
 * filter does not bind, sends it; and between the load and the end of that thread this one makes no
 * system call at all: it looks at memory. The other ways: pidfd_getfd(2) by the runtime
 * needs ptrace's rights over a process that is undumpable on purpose, which a runtime without root lacks, and
 * somebody has to tell it when; a helper process (crun's) is a child of pid 1 that
 * the user's program would find and have to reap. A thread leaves nothing behind.
 *
 * The thread is the kernel's only, glibc is not told: its setuid() and the like would try to
 * do the same in all threads. It is made before the scheduling policy is set: a SCHED_DEADLINE
 * process cannot make one, and beside a waiting SCHED_FIFO on the same CPU another would never run.
 */
#include "runtime/child.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sync.h"

#define STACK_SIZE ((size_t)64 * 1024)

#define THREAD_FLAGS                                                                                                   \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID)

/* At the bottom of the thread's stack mapping. It lives until execve. */
struct child_handover {
	int sync;
	atomic_int listener;	/* FD_NONE until the filter is loaded */
	atomic_int alive;	/* the kernel writes 0 when the thread has ended */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* The thread. Success ends it alone; failure the whole process: the other thread could not even exit by itself. */
static int hand_over(void *arg)
{
	struct child_handover *h = arg;
	int fd, r;

	/* A moment: what is left to do until the load, and the load. No call of the other thread could wake us after it. */
	while ((fd = atomic_load(&h->listener)) == FD_NONE)
		sched_yield();
	r = sync_send(h->sync, SYNC_NEED_LISTENER);
	if (r == 0)
		r = fd_send(h->sync, fd, "seccomp");
	if (r < 0)
		ERR(r, "cannot send the seccomp listener to the runtime");
	else
		r = sync_expect(h->sync, SYNC_LISTENER_DONE, "the runtime");
	if (r < 0) {
		sync_send_error(h->sync, r);
		_exit(1);
	}
	return 0;
}

int child_prepare_filter(struct child_process *c)
{
	struct child_handover *h;
	char *stack;

	if (c->seccomp == NULL || !c->seccomp->uses_notify)
		return 0;
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return ERR(-errno, "cannot map memory for handing the seccomp listener over");
	h = (struct child_handover *)stack;
	h->sync = c->sync;
	atomic_init(&h->listener, FD_NONE);
	atomic_init(&h->alive, 1);
	if (clone(hand_over, stack + STACK_SIZE, THREAD_FLAGS, h, NULL, NULL, &h->alive) < 0)
		return ERR(-errno, "cannot make a thread for handing the seccomp listener over");
	c->handover = h;
	return 0;
}

int child_load_filter(struct child_process *c)
{
	int listener = FD_NONE;
	int r = c->seccomp != NULL ? seccomp_program_load(c->seccomp, &listener) : 0;

	if (r < 0)
		return ERR(r, "cannot load the seccomp filter");
	if (c->handover == NULL)
		return 0;
	atomic_store(&c->handover->listener, listener);
	while (atomic_load(&c->handover->alive) != 0)
		relax();
	return 0;
}
