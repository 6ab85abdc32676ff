/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of one process in the guest, seen from the host: what is read here goes to the guest as far as it gives credit, what
 * the guest sends is written here, and credit is given back for what was written. Bytes are neither changed nor lost; a
 * side that does not read stops the other, and nobody else.
 *
 * The descriptors are the engine's: they may be shared with other processes, so their flags stay as they are, and the
 * ones that can block are opened anew (vm_session_reopen()) where that is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/channel.h"
#include "microvm/event_loop.h"

enum vm_output { VM_STDOUT, VM_STDERR, VM_OUTPUTS };

/* What the guest has sent and nobody has taken yet: never more than the credit that it has. */
struct vm_out {
	struct vm_session *session;
	int fd;			/* FD_NONE: closed, or never there: what comes is thrown away */
	struct event_source source;
	bool watched;
	uint8_t *data;		/* CHANNEL_WINDOW bytes, from the first use on; a ring */
	size_t at, len;
	bool ended;		/* the guest has closed it */
};

struct vm_session {
	uint32_t id;
	struct channel *channel;
	struct event_loop *loop;
	int in;			/* FD_NONE: closed */
	struct event_source in_source;
	bool in_watched;
	bool terminal;
	struct vm_out out[VM_OUTPUTS];
};

struct vm_session_fds {
	int in, out, err;	/* taken; FD_NONE: none */
	bool terminal;		/* in and out are a terminal of ours, in raw mode: the end of input is its hang-up */
};

/* Both stay the caller's. Does not watch anything before vm_session_update(). */
void vm_session_init(struct vm_session *s, uint32_t id, struct channel *channel, struct event_loop *loop,
		     const struct vm_session_fds *fds);
void vm_session_deinit(struct vm_session *s);

/* Once the guest has such a process: standard input is read from now on. */
void vm_session_open_input(struct vm_session *s);

/* The process in the guest does not read its standard input any more. */
void vm_session_input_unread(struct vm_session *s);

/* DATA of the guest for this session. -EPROTO with text: it sends more than it may; -ENOMEM. */
int vm_session_data(struct vm_session *s, enum vm_output stream, const uint8_t *data, size_t len);
void vm_session_close_output(struct vm_session *s, enum vm_output stream);

/* After anything has happened to the channel: credit may have come, or room in its buffer. */
void vm_session_update(struct vm_session *s);

/* All that the guest has sent is written, or nobody takes it. */
bool vm_session_drained(const struct vm_session *s);

/*
 * The same file under an own, non-blocking description, in place of *fd: pipes and terminals; everything else, and what may not
 * be opened, stays.
 */
void vm_session_reopen(int *fd, int access_mode);
