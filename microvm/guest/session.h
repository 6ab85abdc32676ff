/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of the container that the host sees: its standard streams, as pipes or a terminal, relayed byte for byte,
 * and its end. All descriptors here are non-blocking: after each round of poll(2) everything is tried.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "microvm/channel.h"
#include "runtime/base/str.h"

struct session {
	struct session *next;
	uint32_t number;
	pid_t pid;			/* 0: not made yet */
	int fd[CHANNEL_STREAMS];	/* our ends */
	int console;			/* where a terminal's master would come from */
	bool terminal;
	int slave;			/* of a terminal: held open until the process ends, so that it may close its own for a while */
	struct buf input;		/* come; not yet taken by the process, from input_done on, is at most a window */
	size_t input_done;
	bool input_ended;
	bool ended;			/* the process; status as of wait(2) */
	int status;
	uint64_t kills_before;		/* of the container for lack of memory, when this was made */
	bool quiet;			/* ended, and all that it has written is sent */
	bool told;			/* EXITED was sent: what still comes (others hold the streams) is dropped */
	bool freed;			/* the host has forgotten it */
};

/* What goes to the process. console: a connected socket. */
struct session_far {
	int stdio[3];
	int console;
};

/* Pipes for a new one; *far is the caller's to close. NULL and *ret_r on failure, with a text. */
struct session *session_new(uint32_t number, struct session_far *far, int *ret_r);
void session_far_close(struct session_far *far);
void session_free(struct session *s);

/* The process is there: has it sent a terminal? Then the pipes are gone. -errno with a text. */
int session_take_terminal(struct session *s);
void session_resize(const struct session *s, const struct channel_resize *size);

/* Bytes for the process; the end of them. */
int session_input(struct session *s, struct channel *c, const void *data, size_t size);
void session_input_end(struct session *s);

/* Moves what can be moved. -errno with a text: memory, or the channel. */
int session_relay(struct session *s, struct channel *c);

/* Adds at most CHANNEL_STREAMS entries of what there is to wait for; gives how many. */
size_t session_wait(const struct session *s, const struct channel *c, struct pollfd *at);

/* Could it send more if it were allowed to? Then its end is not to be waited for. */
bool session_stuck(const struct session *s, const struct channel *c);
