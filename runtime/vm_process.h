/* SPDX-License-Identifier: Apache-2.0 */
/* The processes below a microVM's supervisor: the file server and the monitor. They end when the supervisor does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One child of the supervisor. */
struct vm_process {
	const char *what;	/* for error texts: "the file server" */
	pid_t pid;		/* 0: none */
	int pidfd;
	int lifeline;		/* open as long as we are there, by which it knows */
};

#define VM_PROCESS_NULL { .what = "", .pid = 0, .pidfd = -1, .lifeline = -1 }

struct vm_process_req {
	const char *what;
	int output;		/* standard output and error */
	const int *keep;	/* descriptors that it inherits, under the same numbers; FD_NONE is passed over */
	size_t n_keep;
	/* Either a program, or a function in a copy of this process, whose result is the exit status. */
	const char *const *argv;
	/*
	 * The container's. A program has it as NACRE_ID, and a PATH, and nothing of the caller's environment: an engine's may have secrets
	 * in it, and the program is the first thing that a guest would break into.
	 */
	const char *id;
	int (*run)(void *data);
	int (*prepare)(void *data);	/* before the program is executed: 0 or -errno with text; may be NULL */
	void *data;
	/*
	 * It is the first of a pid namespace of its own: root without capabilities may still send signals to whatever is root's, and there
	 * is nobody else's there. All that is started after it would be in that namespace as well, so it is the last one.
	 */
	bool own_pids;
};

/*
 * Starts it, with no signals blocked, standard input from /dev/null, and SIGKILL at its parent's end. A program that cannot be
 * executed ends with 127 and says why on output. -errno with text.
 */
int vm_process_start(const struct vm_process_req *q, struct vm_process *ret);

/* SIGKILL, if it runs, and its end is awaited. */
void vm_process_end(struct vm_process *p);

/*
 * Ends this process as status says (of wait(2)): by the same signal, without a core, or else its result is the exit
 * status to end with.
 */
int vm_end_as(int status);

/* Has ended; reaps it. A text for people, "the monitor was killed by signal 9", in ret (size bytes); "" when it ended with 0. */
void vm_process_reap(struct vm_process *p, char *ret, size_t size);
