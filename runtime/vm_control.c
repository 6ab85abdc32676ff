/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_control.h. */
#include "runtime/vm_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* The guest answers at once or not at all; a host that is ten times too slow is allowed for. */
#define REPLY_TIMEOUT_MS 60000

/* The kernel's numbers of errors are below. */
#define ERRNO_END 4096

union control {
	struct cmsghdr header;
	/* cppcheck-suppress unusedStructMember */
	char space[CMSG_SPACE(VM_FDS_MAX * sizeof(int))];
};

int vm_message_send(int sock, const struct vm_message *h, const char *text, const int *fds, size_t n_fds, int flags)
{
	struct vm_message copy = *h;
	struct iovec iov[2] = {
		{ .iov_base = &copy, .iov_len = sizeof(copy) },
		{ .iov_base = (void *)(uintptr_t)text, .iov_len = h->len },
	};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = h->len > 0 ? 2 : 1 };
	union control c;
	ssize_t n;

	copy.version = VM_CONTROL_VERSION;
	if (n_fds > 0) {
		memset(&c, 0, sizeof(c));
		m.msg_control = &c;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c.header.cmsg_level = SOL_SOCKET;
		c.header.cmsg_type = SCM_RIGHTS;
		c.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&c.header), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *m, int ret_fds[VM_FDS_MAX])
{
	size_t have = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (have < VM_FDS_MAX)
				ret_fds[have++] = fd;
			else
				close(fd);
		}
	}
}

/* n: as of recvmsg(2). A message of no bytes looks like the end, and may have brought descriptors. */
static int check_message(const struct vm_message *h, size_t n, int flags)
{
	if (n == 0)
		return -EPIPE;
	if (n < sizeof(*h) || (flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return -EPROTO;
	return h->version == VM_CONTROL_VERSION && h->len == n - sizeof(*h) ? 0 : -EPROTO;
}

int vm_message_receive(int sock, struct vm_message *ret, char *text, int ret_fds[VM_FDS_MAX], int flags)
{
	struct iovec iov[2] = {
		{ .iov_base = ret, .iov_len = sizeof(*ret) },
		{ .iov_base = text, .iov_len = VM_TEXT_MAX },
	};
	union control c;
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = &c, .msg_controllen = sizeof(c) };
	ssize_t n;
	int r;

	for (size_t i = 0; i < VM_FDS_MAX; i++)
		ret_fds[i] = FD_NONE;
	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(&m, ret_fds);
	r = check_message(ret, (size_t)n, m.msg_flags);
	for (size_t i = 0; r < 0 && i < VM_FDS_MAX; i++)
		fd_close(&ret_fds[i]);
	if (r == 0)
		text[ret->len] = '\0';
	return r;
}

int vm_payload(const char *data, size_t len, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("nacre-request", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return ERR(-errno, "cannot make a memory file");
	r = fd_write_all(fd, data, len);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	if (r < 0)
		return ERR(r, "cannot fill a memory file");
	*ret_fd = take_fd(&fd);
	return 0;
}

int vm_connect(int state_dir, const char *id, int *ret_sock)
{
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	/* By the directory's fd: a state directory's path may be longer than sun_path. */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", state_dir, VM_SOCKET);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot reach the supervisor of container \"%s\"", id);
	*ret_sock = take_fd(&sock);
	return 0;
}

/* What waits for programs of the user's (startContainer hooks; an exec, for the container to be resumed) takes its time. */
static int await_reply(int sock, enum vm_message_type type)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int n, timeout = type == VM_START || type == VM_EXEC || type == VM_EXEC_START ? -1 : REPLY_TIMEOUT_MS;

	do
		n = poll(&p, 1, timeout);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ERR(-errno, "cannot wait for the microVM");
	return n == 0 ? ERR_PLAIN(-ETIMEDOUT, "the microVM does not answer") : 0;
}

int vm_ask(int sock, const struct vm_message *h, const struct vm_extra *extra)
{
	int r = vm_message_send(sock, h, extra->text, extra->fds, extra->n_fds, 0);

	return r < 0 ? ERR_PLAIN(r, "the microVM is gone") : 0;
}

int vm_answer(int sock, enum vm_message_type request, char **ret_text, size_t *ret_len)
{
	_cleanup_free_ char *answer = NULL;
	int none[VM_FDS_MAX];
	struct vm_message reply;
	int r = await_reply(sock, request);

	if (r < 0)
		return r;
	answer = malloc(VM_TEXT_MAX + 1);
	if (answer == NULL)
		return ERR_NOMEM();
	r = vm_message_receive(sock, &reply, answer, none, 0);
	for (size_t i = 0; i < VM_FDS_MAX; i++)
		fd_close(&none[i]);
	if (r < 0)
		return ERR_PLAIN(r, r == -EPIPE ? "the microVM ended" : "the supervisor of the microVM speaks another language");
	if (reply.type != VM_REPLY || reply.err > 0 || reply.err <= -ERRNO_END)
		return ERR_PLAIN(-EPROTO, "the supervisor of the microVM speaks another language");
	/* A guest may give none. */
	if (reply.err < 0 && answer[0] == '\0')
		return ERR(reply.err, "the microVM refuses");
	if (reply.err < 0)
		return ERR_PLAIN(reply.err, "%s", answer);
	if (ret_len != NULL)
		*ret_len = reply.len;
	if (ret_text != NULL) {
		*ret_text = answer;
		answer = NULL;
	}
	return 0;
}

int vm_call_with(int sock, const struct vm_message *h, const struct vm_extra *extra, char **ret_text, size_t *ret_len)
{
	int r = vm_ask(sock, h, extra);

	return r < 0 ? r : vm_answer(sock, h->type, ret_text, ret_len);
}

int vm_call(int sock, enum vm_message_type type, int32_t value, uint32_t flag, char **ret_text, size_t *ret_len)
{
	const struct vm_message h = { .type = (uint16_t)type, .value = value, .flag = flag };

	return vm_call_with(sock, &h, &(struct vm_extra){ .text = NULL }, ret_text, ret_len);
}
