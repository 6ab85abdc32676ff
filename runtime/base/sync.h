/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake between two processes of nacre: typed messages on a
 * SOCK_SEQPACKET socket, so that a message is whole or absent. A short, unknown or
 * unexpected message is an error; end of file is reported as such (SYNC_EOF), because
 * the successful execve(2) of the container's process closes its end.
 */
#pragma once

#include <stdint.h>

enum sync_stage {
	SYNC_EOF = 0,		/* received only: the other end closed */
	SYNC_ERROR,		/* err and text say what failed; the sender is exiting */
	SYNC_NEED_MAPS,		/* child: it is in its new user namespace, waits for the id maps */
	SYNC_MAPS_DONE,		/* parent: they are written */
	SYNC_NEED_DEVICES,	/* child: it is in its network namespace, waits for the host's devices to come there */
	SYNC_DEVICES_DONE,	/* parent: they are there */
	SYNC_NEED_HOOKS,	/* child: namespaces and mounts are there, pivot_root is not done */
	SYNC_HOOKS_DONE,	/* parent: prestart and createRuntime hooks have run */
	SYNC_READY,		/* child: all is applied but the process properties; waits */
	SYNC_COMMIT,		/* creator: the state is complete; from now on wait for `start` without me */
	SYNC_START,		/* parent or `start`: run the process */
	SYNC_NEED_LISTENER,	/* child: the filter is loaded; its listener comes as the next message, by fd_send() */
	SYNC_LISTENER_DONE,	/* parent or `start`: whoever listens has it */
	SYNC_LAST = SYNC_LISTENER_DONE,
};

struct sync_msg {
	uint32_t stage;
	int32_t err;		/* SYNC_ERROR: negative errno */
	char text[2048];	/* SYNC_ERROR: NUL-terminated */
};

/* A connected pair; each end close-on-exec. */
int sync_pair(int ret_fds[2]);

/* 0 or -errno (EPIPE when the other end is gone); never raises SIGPIPE. */
int sync_send(int fd, enum sync_stage stage);
/* Sends SYNC_ERROR with err and the error channel's text. Best effort. */
void sync_send_error(int fd, int err);

/*
 * Waits for one message. 0 with *ret_msg filled (SYNC_EOF included), or -errno with
 * a text. A SYNC_ERROR puts the sender's text into our error channel and returns its code.
 */
int sync_recv(int fd, struct sync_msg *ret_msg);

/* sync_recv() that accepts one stage only; what names it in the error text. */
int sync_expect(int fd, enum sync_stage stage, const char *what);

/* One fd over a connected unix socket, with a few bytes of payload (SCM_RIGHTS needs some). */
int fd_send(int sock, int fd, const char *payload);
int fd_receive(int sock, int *ret_fd);
