/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's program does once the machine is up: it is to the container what an engine's monitor is on a host. One
 * poll(2) loop over the port, the processes' streams, the jobs' answers and SIGCHLD; nothing in it waits for the container.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "microvm/channel.h"
#include "microvm/guest/description.h"
#include "runtime/backend.h"

struct arena;
struct job;
struct session;

/* A process that ended before the job that made it could name it. */
struct agent_end {
	pid_t pid;
	int status;
};

struct agent {
	struct channel channel;
	int port, signals;
	int log_from, log_to;		/* what jobs have to say besides their answer */
	struct arena *arena;
	struct guest_description description;
	bool configured, finishing, shutdown;
	struct session *sessions;
	struct job *jobs;
	struct agent_end *ends;
	size_t n_ends, cap_ends;
	struct backend_watch watch;	/* oom only */
	struct cgroup_oom oom;
	struct pollfd *polls;
	size_t cap_polls;
};

#define AGENT_NULL                                                                                                          \
	{ .channel = CHANNEL_NULL(CHANNEL_GUEST), .port = FD_NONE, .signals = FD_NONE, .log_from = FD_NONE, .log_to = FD_NONE, \
	  .watch = BACKEND_WATCH_NULL }

/* Until the host says so, or is gone (0); -errno with a text. port becomes the agent's. */
int agent_run(struct agent *a, int port);

/* The last words, to whoever still reads: best effort, for a second at most. */
void agent_log(struct agent *a, const char *text);

void agent_deinit(struct agent *a);

/* ---- between agent.c and agent_frames.c ---- */

struct session *agent_session(const struct agent *a, uint32_t number);
void agent_drop_session(struct agent *a, struct session *s);
int agent_reply(struct agent *a, uint32_t session, uint32_t serial, int code, const void *data, size_t size);
/* One frame of the host's. A failure that is the request's becomes its reply; one of the channel is returned. */
int agent_frame(struct agent *a, const struct channel_frame *f);
/* A job has said which process it has made (EXEC), or has ended. */
int agent_job_made(struct agent *a, struct job *j);
int agent_job_ended(struct agent *a, struct job *j);
/* When the container has ended, and everybody's output is told: the job whose end is EXITED of session 1. */
int agent_finish(struct agent *a);
/* How often memory ran out, as far as it is told. */
void agent_look_oom(struct agent *a);
