/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process in the foreground: waits for it, forwards signals to it, and when it has a
 * terminal of ours, relays that (raw mode, window size) until it ends. One poll(2) loop:
 * signalfd, pidfd, and the two directions of the terminal.
 */
#pragma once

#include <stdbool.h>
#include <termios.h>

#include "runtime/backend.h"
#include "runtime/notify.h"

struct foreground {
	int signals;		/* signalfd; all signals are blocked from prepare on */
	int console_parent, console_child;	/* how the terminal's master comes to us */
	int ptm;
	bool raw;		/* our own terminal is in raw mode; saved holds what it was */
	struct termios saved;
	/*
	 * watch.oom may be set by the caller, and ops then, too; what it told last is in oom_seen. For a cgroup that is
	 * taken away, and its counts with it, as soon as the last process has ended.
	 */
	const struct backend_ops *ops;
	struct backend_watch watch;
	struct cgroup_oom oom_seen;
	struct notify notify;	/* the caller's: what the container says there is passed on meanwhile */
};

#define FOREGROUND_NULL                                                                                                \
	{ .signals = -1, .console_parent = -1, .console_child = -1, .ptm = -1, .raw = false, .ops = NULL,              \
	  .watch = BACKEND_WATCH_NULL, .notify = NOTIFY_NULL }

/* Before the process is made, so that no signal is lost. terminal: a socket pair for its master is made. */
int foreground_prepare(struct foreground *f, bool terminal);
/* When it has been created: takes the master, sets raw mode and the size. Nothing without a terminal. */
int foreground_take_terminal(struct foreground *f);
/*
 * The counts as they are, into oom_seen: for a moment in which the process may just have been killed. What cannot be
 * read changes nothing.
 */
void foreground_note_oom(struct foreground *f);
/* Until it ends; the shell's status (128 + signal). Reaps it. */
int foreground_wait(struct foreground *f, int pidfd, int *ret_status);
/* The terminal as it was. */
void foreground_deinit(struct foreground *f);
#define _cleanup_foreground_ __attribute__((cleanup(foreground_deinit)))
