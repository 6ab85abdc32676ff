/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QMP, by which QEMU takes wishes while it runs (QEMU's "Machine Protocol Reference"; what is here has been in it since
 * 1.0), as far as a balloon needs it: a line of JSON each, the answers in the order of the commands, events between them.
 *
 *	GREETING -> the capabilities are agreed on -> one command at a time: the size that is wanted, the size that is
 *
 * Bytes in, a command out; nothing waits. QEMU runs a guest: a line has a limit, what is no JSON ends the talk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The greeting and each answer to these commands have less than 500. */
#define VM_QMP_LINE_MAX 4096
#define VM_QMP_COMMAND_MAX 128

struct vm_qmp {
	uint64_t ram;		/* bytes that the guest was started with */
	uint64_t less;		/* bytes that it is to do without */
	uint64_t balloon;	/* bytes that it said last it does without */
	bool ask;		/* how far is it? */

	bool greeted, agreed, waiting, asked, broken;
	uint64_t told;		/* less, as QEMU was told */
	size_t len;
	char line[VM_QMP_LINE_MAX];
};

/* What came. -EPROTO with text: it is not QMP; nothing is sent or believed from then on. -ENOMEM with text. */
int vm_qmp_receive(struct vm_qmp *q, const char *data, size_t len);

/* The command to send now, whole and at once: its length; 0: none, or QEMU owes an answer. ret has VM_QMP_COMMAND_MAX bytes. */
size_t vm_qmp_next(struct vm_qmp *q, char *ret);
