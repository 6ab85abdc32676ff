/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify(3) for a container in a unit of Type=notify. The manager's socket ($NOTIFY_SOCKET) is not for the container,
 * which could say anything there (MAINPID=). So it gets one of ours:
 *
 *   create   makes the directory "notify" beside the state, mounts it read-only at /run/notify and sets the process'
 *            NOTIFY_SOCKET; a container whose config.json sets that variable is its engine's affair, and left alone
 *   start    binds the socket in the directory before the process runs, and waits until the container has said READY=1
 *            or has ended; run -d the same, run while it waits anyhow
 *
 * Of all that is said only READY=1 goes on. Who does not stay (start, run -d) adds MAINPID=, the container's pid.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/base/fd.h"
#include "runtime/plan.h"

#define NOTIFY_DIR "notify"		/* in the state directory */
#define NOTIFY_MOUNT "/run/notify"	/* in the container */

struct notify {
	int sock;		/* the container's messages come here; FD_NONE: there is nothing to forward (any more) */
	const char *upstream;	/* the manager's socket: a path, or '@' and an abstract name; getenv's */
};

#define NOTIFY_NULL { .sock = FD_NONE, .upstream = NULL }

/* $NOTIFY_SOCKET of ours, NULL when there is none. -EINVAL: sd_notify(3) would not take it either. */
int notify_upstream(const char **ret);

/* Adds mount and variable to a plan; dir: NOTIFY_DIR's absolute path. Nothing when the process has such a variable. */
int notify_plan(struct plan *p, const char *dir);

/* create: the directory, as planned. state: fd of the state directory. */
int notify_prepare(int state, const struct plan *p);

/* Before the process runs: binds the socket. Nothing (sock stays FD_NONE) without $NOTIFY_SOCKET or the directory. */
int notify_listen(int state, struct notify *n);

/*
 * What has come, after poll(2). When READY=1 was in it, that has been passed on, with main_pid unless that is 0, and sock is
 * closed. A manager that does not take it is worth a warning: the container runs.
 */
void notify_forward(struct notify *n, pid_t main_pid);

/* Until READY=1 has come, or the process of pidfd has ended. */
int notify_wait(struct notify *n, int pidfd, pid_t main_pid);

/* Does a message of len bytes have the line READY=1? Pure. */
bool notify_is_ready(const char *message, size_t len);

void notify_deinit(struct notify *n);
#define _cleanup_notify_ __attribute__((cleanup(notify_deinit)))
