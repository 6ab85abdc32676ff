/* SPDX-License-Identifier: Apache-2.0 */
/* What the helpers that take a descriptor from nacre have in common. A header, because each helper is one file. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/helpers/die.h"

/* Bound under another name and renamed, so that the path is there only when connect(2) works. */
static inline int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if ((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s.new", path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0 || rename(a.sun_path, path) < 0)
		die(path);
	return fd;
}

/* One message: its text (*ret_len of at most size bytes) and its one descriptor; -1: no message, or not exactly one. */
static inline int receive_fd(int sock, int flags, char *text, size_t size, size_t *ret_len)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec v = { .iov_base = text, .iov_len = size };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd = -1;

	if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	*ret_len = n > 0 ? (size_t)n : 0;
	return fd;
}
