/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's kernel, the monitor and the file server print: kept at its end, for the report of a failure, and
 * copied to whoever asked for it (--debug, run.nacre.vm.console). Whatever a guest prints, no more than this is kept, and
 * nobody waits for the copy to be read.
 */
#pragma once

#include <stdbool.h>
#include <stdbool.h>
#include <stddef.h>

#include "microvm/event_loop.h"

#define VM_CONSOLE_KEPT 16384

struct vm_console {
	int from;		/* pipe; FD_NONE: none */
	int copy;		/* FD_NONE: none */
	struct event_loop *loop;
	struct event_source source;
	bool to_log;		/* each line is a debug message, too (--debug) */
	char line[256];
	size_t line_len;
	char kept[VM_CONSOLE_KEPT];	/* a ring */
	size_t at, len;
	bool panicked;		/* a kernel said that it gives up; or somebody in the guest who may write to its console */
};

/* Makes the pipe; *ret_to is the end to write to, the caller's. copy is taken. -errno with text. */
int vm_console_init(struct vm_console *c, struct event_loop *loop, int copy, int *ret_to);
void vm_console_deinit(struct vm_console *c);

/* A line of our own, such as what the guest program says through its channel. */
void vm_console_add(struct vm_console *c, const char *text, size_t len);

/* What has come and was not read yet. */
void vm_console_drain(struct vm_console *c);

/*
 * The last lines on one, separated by "|", or a kernel's panic alone: at most max bytes with the NUL, printable:
 * control characters and what is not ASCII become "?", so that a guest cannot write to a terminal through an error message.
 */
void vm_console_tail(const struct vm_console *c, char *ret, size_t max);
