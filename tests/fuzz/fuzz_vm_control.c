/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's socket: any messages, with any number of descriptors, as its two ends take them. Input: for each message
 * a byte (descriptors in its low 4 bits; 16: it is an answer to somebody who asked), its length in two, its bytes.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/vm_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FDS_MAX 15

static void send_message(int sock, const uint8_t *data, size_t len, size_t n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	int fds[FDS_MAX];

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = sock;
	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert(sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

static void take_request(int sock, char *text, size_t len)
{
	int fds[VM_FDS_MAX];
	struct vm_message m;
	int r = vm_message_receive(sock, &m, text, fds, MSG_DONTWAIT);

	assert(r == 0 || r == -EPROTO || (r == -EPIPE && len == 0));
	assert(r < 0 || (m.version == VM_CONTROL_VERSION && m.len == len - sizeof(m) && m.len <= VM_TEXT_MAX && text[m.len] == '\0'));
	for (size_t i = 0; i < VM_FDS_MAX; i++) {
		assert(r == 0 || fds[i] == FD_NONE);
		fd_close(&fds[i]);
	}
}

static void take_answer(int sock, size_t len)
{
	char *text = NULL;
	size_t n = 0;
	int r = vm_answer(sock, VM_STATS, &text, &n);

	assert(r < 0 ? text == NULL && err_text()[0] != '\0' : text != NULL && n == len - sizeof(struct vm_message) && text[n] == '\0');
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(VM_TEXT_MAX + 1);
	int pair[2], before, after;

	assert(text != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	before = dup(pair[0]);
	close(before);
	while (size >= 3) {
		size_t n_fds = data[0] & 0xf, len = data[1] | (size_t)data[2] << 8;
		int answers = data[0] & 0x10;

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		err_clear();
		send_message(pair[0], data, len, n_fds);
		if (answers)
			take_answer(pair[1], len);
		else
			take_request(pair[1], text, len);
		data += len;
		size -= len;
		after = dup(pair[0]);
		assert(after == before);
		close(after);
	}
	close(pair[0]);
	close(pair[1]);
	free(text);
	return 0;
}
