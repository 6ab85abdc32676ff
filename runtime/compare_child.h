/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of compare's: started, listened to, timed. Its standard input is empty, its output comes by two pipes, it has a
 * process group of its own: a terminal's Ctrl-C is compare's to deal with.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/str.h"

struct compare_child {
	const char *what;		/* for error texts: "create" */
	pid_t pid;			/* 0: none, or its end is known */
	int pidfd, out, err;
	int netns;			/* the network namespace that it is started in; FD_NONE: ours */
	struct buf line;		/* what has come of it */
	char said[512];			/* the end of its standard error */
	size_t n_said;
	uint64_t started, first_byte, ended;	/* clock_now_ns(); first_byte 0: none yet */
	bool has_ended;
	int status;			/* as of a shell */
	size_t lines;
	/* For each line of its output, without its end; at: when it was read. 0, or -errno with text, which ends the waiting. */
	int (*on_line)(void *data, const char *line, uint64_t at);
	void *data;
};

#define COMPARE_CHILD_NULL { .what = "", .pidfd = -1, .out = -1, .err = -1, .netns = -1, .line = BUF_NULL }

enum compare_until {
	COMPARE_LINE,		/* it has printed a line */
	COMPARE_ENDED,		/* it has ended; others may hold its pipes */
	COMPARE_CLOSED,		/* it has ended, and its output, too */
};

/* what, netns, on_line and data are set. -errno with text. */
int compare_child_start(struct compare_child *c, const char *const *argv);
/*
 * Waits. signals: a signalfd, whose signals end the waiting (-EINTR). A status that is not 0 is an error with what it said,
 * -EIO. -ETIMEDOUT after five minutes.
 */
int compare_child_wait(struct compare_child *c, int signals, enum compare_until until);
/* Kills and reaps it if it still runs. */
void compare_child_end(struct compare_child *c);
#define _cleanup_compare_child_ __attribute__((cleanup(compare_child_end)))

/* The proportional set size of a process and all its descendants, in bytes. -errno with text. */
int compare_memory(pid_t pid, uint64_t *ret_bytes);
