/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard input and output of a process in a guest, on the host's side: the caller's own descriptors, or a terminal whose
 * master goes to the console socket as a container's does. Its slave is in raw mode: the guest's terminal has the line
 * discipline, every byte goes through here. Used by the supervisor and by exec's proxy.
 */
#pragma once

#include "namespaces/process.h"

struct vm_stdio {
	int in, out, err;	/* owned; FD_NONE: none */
};

#define VM_STDIO_NULL { -1, -1, -1 }

void vm_stdio_close(struct vm_stdio *s);

/* Copies of 0, 1 and 2; those that can block are opened anew where that is allowed. */
int vm_stdio_of_caller(struct vm_stdio *ret);

/* Nothing that this process prints may get into the container's output any more. */
void vm_stdio_forget(void);

/*
 * A new terminal of the host's devpts. The caller is a session leader without terminal, and gets it as controlling
 * terminal: SIGWINCH tells of its size. *ret_pts: the slave, the caller's. -errno with text.
 */
int vm_terminal_open(const struct process_req *p, int console, int *ret_pts, struct vm_stdio *ret);
