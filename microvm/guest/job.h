/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: one request of the host, worked on in a forked copy of the guest's program, so that nothing that takes its time,
 * fails badly or is killed for lack of memory holds up the rest. Its answer comes through a pipe: le32 errno, then the
 * answer or the error's text; end of file ends it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/str.h"

struct channel_frame;
struct guest_description;

struct job_call {
	const struct guest_description *description;
	const struct channel_frame *frame;
	int console;		/* unix socket that gets a terminal's master; 0: none */
	int report, go;		/* the ends of the two pipes in the job */
};

/* 0 with the answer's bytes added, or -errno with a text. */
typedef int job_work(const struct job_call *c, struct buf *answer);

struct job {
	struct job *next;
	pid_t pid;
	int from, go;		/* our ends: its answer; closed, or a byte written: it may go on */
	uint16_t type;
	uint32_t session, serial;
	struct buf in;
	size_t in_max;
	uint16_t rows, columns;	/* of EXEC: the terminal's size; 0: not known */
	bool made;		/* of EXEC: the process waits, and the answer is that of EXEC_START */
	bool started;		/* EXEC_START has come */
};

struct job_setup {
	job_work *work;
	const int *stdio;	/* three fds; NULL: /dev/null */
	int console, log;
};

/* Takes type, session, serial from the frame. *ret_job is the caller's to free, after the fields are set. */
int job_start(const struct guest_description *d, const struct channel_frame *f, const struct job_setup *s, struct job **ret_job);

/* Reads what has come. 1: it has ended, all is in j->in; 0: not yet; -errno with a text: it is to be given up. */
int job_read(struct job *j);

/* After its end: 0 or the error's code; *ret_answer is in j->in. What it said nothing of is an error with a text. */
int job_result(const struct job *j, size_t from, const char **ret_answer, size_t *ret_size);

void job_free(struct job *j);

/* In the job: an errno and a number, for EXEC's and CREATE's process. */
int job_report(const struct job_call *c, pid_t pid);
/* In the job: waits until it may go on. -ECANCELED with a text: it must not. */
int job_wait(const struct job_call *c);
