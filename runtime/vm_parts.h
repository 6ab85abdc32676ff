/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a microVM's supervisor share. Private to them (vm_*.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "microvm/channel.h"
#include "microvm/event_loop.h"
#include "runtime/vm_console.h"
#include "runtime/vm_control.h"
#include "runtime/vm_deadline.h"
#include "runtime/vm_network.h"
#include "runtime/vm_process.h"
#include "runtime/vm_qmp.h"
#include "runtime/vm_session.h"
#include "runtime/vm_supervisor.h"

#define VM_CONNECTIONS_MAX 256

/* Session numbers of the channel: the container's first process, exec's from there on. */
#define VM_SESSION_INIT 1U
#define VM_SESSION_FIRST 2U
#define VM_SESSION_MACHINE 0U

enum vm_stage {
	VM_STAGE_BOOT,		/* the kernel starts; no word from the guest program yet */
	VM_STAGE_CONFIGURE,
	VM_STAGE_CREATE,
	VM_STAGE_CREATED,	/* waits for COMMIT or START */
	VM_STAGE_STARTING,
	VM_STAGE_RUNNING,
	VM_STAGE_ENDED,		/* the guest's process has; its output may still be on the way */
};

struct vm_supervisor;

/* A command that speaks to us. */
struct vm_connection {
	struct vm_supervisor *vm;
	int fd;				/* FD_NONE: a free place */
	struct event_source source;
	uint32_t serial;		/* of its request that the guest has not answered; 0: none */
	uint16_t request;		/* enum vm_message_type */
	bool watches;			/* wants VM_OOM_EVENT */
	struct vm_session *session;	/* exec's; NULL: none */
	bool exited;			/* the session's process has ended, with status */
	int32_t status;
};

struct vm_supervisor {
	const struct vm_start *start;
	enum vm_stage stage;
	bool committed;			/* our creator may go */
	bool refused;			/* the failure is what the guest program said; its console adds nothing */
	bool paused;
	struct event_loop loop;
	struct channel channel;
	int channel_fd;
	struct event_source channel_source;
	struct vm_console console;
	struct vm_process file_server, monitor;
	struct event_source file_server_source, monitor_source;
	int control;			/* to the monitor: packets of machine.h, or QEMU's protocol */
	struct event_source control_source;
	struct vm_qmp qmp;
	uint64_t balloon;		/* as the monitor answered last */
	struct vm_network network;
	int sync;
	struct event_source sync_source;
	int signals;
	struct event_source signals_source;
	int pts;			/* the terminal's slave, which is our controlling terminal; FD_NONE */
	struct vm_session init;
	bool init_exited;
	int init_status;		/* as of waitpid(2) */
	struct event_source listen_source;
	struct vm_connection connections[VM_CONNECTIONS_MAX];
	uint32_t next_session, next_serial;
	uint64_t panic_ns;		/* the guest's kernel panics; until then it has to reset the machine, on CLOCK_MONOTONIC; 0: none */
	struct vm_deadline deadline;	/* of the stage */
	bool over;			/* the loop ends */
	int failure;			/* -errno with the recorded text; 0: none */
};

/* ---- vm_guest.c: the channel ---- */

int vm_guest_open(struct vm_supervisor *vm, int fd);
void vm_guest_close(struct vm_supervisor *vm);
/* Sends a frame; a guest that takes none is noticed by the stage's time limit or by who waits for the answer. */
int vm_guest_send(struct vm_supervisor *vm, enum channel_type type, uint32_t session, uint32_t serial, const void *data,
		  size_t size);
/* What it has sent already, before its end is believed. */
void vm_guest_drain(struct vm_supervisor *vm);
/* A number for a request: never 0, not one of the stages'. */
uint32_t vm_guest_serial(struct vm_supervisor *vm);
/* After something was put into the channel. */
void vm_guest_flush(struct vm_supervisor *vm);

/* ---- vm_server.c: the commands ---- */

int vm_server_open(struct vm_supervisor *vm);
void vm_server_close(struct vm_supervisor *vm);
/* The guest's answer to a command's request; true when it was one's. */
bool vm_server_reply(struct vm_supervisor *vm, uint32_t serial, int err, const struct channel_frame *answer);
/* A session's process has ended; its output may still be on the way. */
void vm_server_exited(struct vm_supervisor *vm, uint32_t session, int status);
/* Tells those that have got all. */
void vm_server_update(struct vm_supervisor *vm);
void vm_server_oom(struct vm_supervisor *vm, const struct channel_oom *oom);
struct vm_session *vm_server_session(struct vm_supervisor *vm, uint32_t id);

/* ---- vm_memory.c ---- */

/* Listens to control. */
int vm_memory_open(struct vm_supervisor *vm);
/* The guest is to do without less bytes of its memory. *ret_missing: those it has yet to give, when it was heard of last. */
int vm_memory_ask(struct vm_supervisor *vm, uint64_t less, uint64_t *ret_missing);

/* ---- vm_supervisor.c ---- */

/* It cannot go on: code is -errno, the text is recorded. */
void vm_fail(struct vm_supervisor *vm, int code);
void vm_stage(struct vm_supervisor *vm, enum vm_stage stage);
/* The terminal's size, if it has one and it was ever set. */
void vm_forward_size(struct vm_supervisor *vm);
/* START was answered. */
void vm_started(struct vm_supervisor *vm);
