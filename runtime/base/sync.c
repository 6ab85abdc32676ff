/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/sync.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

_Static_assert(sizeof(((struct sync_msg *)0)->text) == ERR_TEXT_MAX, "an error text fits a message");

int sync_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return ERR(-errno, "cannot make a socket pair");
	return 0;
}

static int send_msg(int fd, const struct sync_msg *m)
{
	size_t len = offsetof(struct sync_msg, text) + strlen(m->text) + 1;
	ssize_t n;

	do {
		n = send(fd, m, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int sync_send(int fd, enum sync_stage stage)
{
	struct sync_msg m = { .stage = stage };

	return send_msg(fd, &m);
}

void sync_send_error(int fd, int err)
{
	struct sync_msg m = { .stage = SYNC_ERROR, .err = err };

	strncpy(m.text, err_text(), sizeof(m.text) - 1);
	(void)send_msg(fd, &m);
}

int sync_recv(int fd, struct sync_msg *ret_msg)
{
	const size_t head = offsetof(struct sync_msg, text);
	ssize_t n;

	memset(ret_msg, 0, sizeof(*ret_msg));
	do {
		n = recv(fd, ret_msg, sizeof(*ret_msg), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return ERR(-errno, "cannot receive from the other process");
	if (n <= 0) {
		ret_msg->stage = SYNC_EOF;
		return 0;
	}
	if ((size_t)n <= head || ret_msg->stage == SYNC_EOF || ret_msg->stage > SYNC_LAST ||
	    ret_msg->text[(size_t)n - head - 1] != '\0')
		return ERR_PLAIN(-EPROTO, "malformed message from the other process");
	if (ret_msg->stage == SYNC_ERROR)
		return ERR_PLAIN(ret_msg->err < 0 ? ret_msg->err : -EPROTO, "%s", ret_msg->text);
	return 0;
}

int sync_expect(int fd, enum sync_stage stage, const char *what)
{
	struct sync_msg m;
	int r = sync_recv(fd, &m);

	if (r < 0)
		return r;
	if (m.stage == SYNC_EOF)
		return ERR_PLAIN(-EPIPE, "%s ended unexpectedly", what);
	if (m.stage != stage)
		return ERR_PLAIN(-EPROTO, "%s sent message %u where %u was due", what, m.stage, stage);
	return 0;
}

/* One fd beside a few bytes. Not to be copied: the header points into it. */
struct fd_message {
	struct msghdr header;
	struct iovec iov;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static void fd_message_init(struct fd_message *m, void *payload, size_t len)
{
	*m = (struct fd_message){ .iov = { .iov_base = payload, .iov_len = len } };
	m->header.msg_iov = &m->iov;
	m->header.msg_iovlen = 1;
	m->header.msg_control = m->control.buf;
	m->header.msg_controllen = sizeof(m->control.buf);
}

int fd_send(int sock, int fd, const char *payload)
{
	struct fd_message m;
	struct cmsghdr *c;

	fd_message_init(&m, (void *)(uintptr_t)payload, strlen(payload));
	c = CMSG_FIRSTHDR(&m.header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &m.header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int fd_receive(int sock, int *ret_fd)
{
	struct fd_message m;
	char payload[256];
	struct cmsghdr *c;
	ssize_t n;

	fd_message_init(&m, payload, sizeof(payload));
	n = recvmsg(sock, &m.header, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m.header);
	if (n == 0 || c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return n == 0 ? -EPIPE : -EPROTO;
	memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return 0;
}
