/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine with nacre-guest in it, without nacre: QEMU (software emulation), virtiofsd and the host's end of the
 * channel. For tests of the guest's program alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "microvm/channel.h"
#include "runtime/base/str.h"

#define VM_SESSIONS 8
#define VM_TIMEOUT_MS 120000

struct vm_session {
	struct buf out[CHANNEL_STREAMS];
	bool closed[CHANNEL_STREAMS], exited;
	struct channel_exited end;
};

struct vm {
	char dir[64];
	bool bad_module;	/* set before the start: the last module is no module */
	pid_t qemu, files;
	int fd;			/* our end of the port */
	struct channel channel;
	uint32_t serial;
	struct vm_session sessions[VM_SESSIONS];
	bool hello, gone;
	char release[80];
	struct buf log;
	unsigned int oom_events;
	uint64_t started_ns;
	double hello_s, output_s;	/* since QEMU's start */
	/* The last reply. */
	uint32_t reply_serial;
	int reply_code;
	struct buf reply;
};

/* Starts it and waits for its greeting, and tells it what it is. rootfs is below the share. False, with a text on stdout. */
bool vm_start(struct vm *vm, const char *memory, const char *mounts);
void vm_end(struct vm *vm);

/* Sends a request and waits for its reply: its code; the answer in vm->reply. INT_MIN: the machine is gone, or time is up. */
int vm_ask(struct vm *vm, enum channel_type type, uint32_t session, const void *data, size_t size);
void vm_tell(struct vm *vm, enum channel_type type, uint32_t session, const void *data, size_t size);
/* All of it, as credit allows, then the end if so. */
bool vm_write(struct vm *vm, uint32_t session, const void *data, size_t size, bool end);
/* Until that stream's output has this text in it. */
bool vm_expect(struct vm *vm, uint32_t session, enum channel_stream stream, const char *text);
/* Until the session has ended; its wait status, -1 when it does not. */
int vm_wait(struct vm *vm, uint32_t session);
/* CREATE with these args (JSON array) and START: the first code that is not 0. */
int vm_run(struct vm *vm, const char *args, bool terminal);
int vm_create(struct vm *vm, const char *args, bool terminal, const char *more);
int vm_exec(struct vm *vm, uint32_t session, const char *args, const struct channel_exec *options);
/* What the guest's kernel has printed so far. */
bool vm_console_has(const struct vm *vm, const char *text);
/* Takes in what comes for that long. */
void vm_idle(struct vm *vm, int ms);
