/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop over file descriptors: whoever waits for one has a source, and is called when it is ready. Level-triggered:
 * who leaves something behind is called again.
 *
 * A callback may add, modify and remove any source, also its own, and free it then. What was reported for a source before
 * it was removed is not delivered after. A source is removed before its descriptor is closed: a descriptor that another
 * process has, too, would be reported for ever, and its number may belong to something else soon.
 *
 * One thread runs the loop. Others may add, modify and remove sources while it waits, if all of that, and the run, is
 * done with one mutex held: `waiting` is called with true before the loop waits (let go of it) and with false behind it
 * (take it again).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* More are told in the next round. */
#define EVENT_BATCH_MAX 32

struct event_source {
	int fd;			/* borrowed */
	uint32_t events;	/* EPOLLIN, EPOLLOUT, EPOLLRDHUP; 0: nothing is reported, not even a hang-up */
	void (*ready)(void *data, uint32_t events);	/* those asked for, EPOLLERR, EPOLLHUP */
	void *data;

	/* ---- the loop's ---- */
	bool added;
	bool watched;		/* epoll has it */
	bool always;		/* a regular file: epoll cannot watch it, and it is always ready */
	struct event_source *next, *previous;	/* of those always ready */
};

struct event_loop {
	void (*waiting)(void *data, bool begins);	/* NULL: nobody else uses the loop */
	void *waiting_data;

	int epoll;
	int awake;			/* an eventfd that is always readable, watched while a file is to be ready */
	bool awake_watched;
	struct event_source *always, *next_always;
	/* The round's events; those of a source that is removed meanwhile become NULL. */
	struct epoll_event batch[EVENT_BATCH_MAX];
	int n_batch;
};

#define EVENT_LOOP_NULL { .epoll = -EBADF, .awake = -EBADF }

/* -errno with text. */
int event_loop_init(struct event_loop *l);
/* Sources that are still there are forgotten; their descriptors stay open. */
void event_loop_deinit(struct event_loop *l);
#define _cleanup_event_loop_ __attribute__((cleanup(event_loop_deinit)))

/* The source stays the caller's, and has to stay until it is removed. -EEXIST (it is there), or -errno, with text. */
int event_loop_add(struct event_loop *l, struct event_source *s);

/* Other events from now on; what was reported and is not among them is not delivered. -ENOENT, -errno, with text. */
int event_loop_modify(struct event_loop *l, struct event_source *s, uint32_t events);

/* Nothing happens when it is not there. */
void event_loop_remove(struct event_loop *l, struct event_source *s);

/*
 * One round: waits until something is ready, timeout_ms (-1: for ever) or a signal, and calls. How many were called, or
 * -errno with text. Not to be called by a callback.
 */
int event_loop_run(struct event_loop *l, int timeout_ms);
