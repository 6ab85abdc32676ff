/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of microvm/vhost_user.h for tests: a back end in a thread of its own, over a socket pair, written from
 * QEMU's docs/interop/vhost-user.rst without the front end's code. It answers what it should, but for the one message for
 * which a test has told it something else.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"

enum {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
};

#define VU_VERSION 1U
#define VU_REPLY 4U
#define VU_NEED_REPLY 8U
#define VU_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VU_MQ 1U
#define VU_REPLY_ACK 8U

#define VU_RECORDS 64
#define VU_PAYLOAD 512
#define VU_FDS 8

struct vu_header {
	uint32_t request, flags, size;
};

/* What came. */
struct vu_record {
	struct vu_header h;
	uint8_t payload[VU_PAYLOAD];
	int fds[VU_FDS];
	size_t n_fds;
};

/* How the answer to `spoilt` is not what it should be. */
enum vu_spoil {
	VU_GOOD,
	VU_SILENT,		/* none */
	VU_HANG_UP,
	VU_HALF,		/* half of it, and then the end */
	VU_OTHER_REQUEST,
	VU_NO_REPLY_FLAG,
	VU_OTHER_VERSION,
	VU_TOO_LONG,
	VU_TOO_SHORT,
	VU_WITH_FD,
	VU_REFUSE,		/* well-formed, and not 0; for a queue's index another */
	VU_BYTE_BY_BYTE,	/* allowed: it is a stream */
};

struct vhost_backend {
	int ours, theirs;
	uint64_t features, protocol_features, queues;
	uint32_t spoilt;
	enum vu_spoil how;
	bool acks;		/* REPLY_ACK was agreed on */
	struct vu_record records[VU_RECORDS];
	size_t n;
	pthread_t thread;
};

/* False: the end. */
static inline bool vu_receive(int fd, struct vu_record *r)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VU_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = &r->h, .iov_len = sizeof(r->h) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	if (recvmsg(fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(r->h) || r->h.size > sizeof(r->payload))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL) {
		r->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(r->fds, CMSG_DATA(c), r->n_fds * sizeof(int));
	}
	return r->h.size == 0 || recv(fd, r->payload, r->h.size, MSG_WAITALL) == (ssize_t)r->h.size;
}

static inline void vu_send_with_fd(int fd, const void *data, size_t len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* value: of a number or of a queue's state, both have 8 bytes. */
static inline void vu_answer(struct vhost_backend *b, uint32_t request, uint64_t value)
{
	enum vu_spoil how = request == b->spoilt ? b->how : VU_GOOD;
	struct { struct vu_header h; uint64_t value[2]; } m = { .h = { request, VU_VERSION | VU_REPLY, 8 } };
	size_t len = sizeof(m.h) + 8;

	if (how == VU_REFUSE)
		value++;
	m.h.request += how == VU_OTHER_REQUEST;
	m.h.flags &= how == VU_NO_REPLY_FLAG ? ~VU_REPLY : ~0U;
	m.h.flags ^= how == VU_OTHER_VERSION ? 3U : 0;
	m.h.size = how == VU_TOO_LONG ? 16 : how == VU_TOO_SHORT ? 4 : 8;
	len = how == VU_HALF ? sizeof(m.h) + 4 : sizeof(m.h) + m.h.size;
	memcpy((char *)&m + sizeof(m.h), &value, sizeof(value));
	if (how == VU_WITH_FD)
		vu_send_with_fd(b->theirs, &m, len);
	for (size_t i = 0; how == VU_BYTE_BY_BYTE && i < len; i++)
		(void)send(b->theirs, (char *)&m + i, 1, MSG_NOSIGNAL);
	if (how != VU_WITH_FD && how != VU_BYTE_BY_BYTE && how != VU_SILENT && how != VU_HANG_UP)
		(void)send(b->theirs, &m, len, MSG_NOSIGNAL);
	if (how == VU_HALF || how == VU_HANG_UP)
		(void)shutdown(b->theirs, SHUT_RDWR);
}

static inline void vu_serve(struct vhost_backend *b, const struct vu_record *r)
{
	uint64_t number;

	memcpy(&number, r->payload, sizeof(number));
	if (r->h.request == VU_SET_PROTOCOL_FEATURES)
		b->acks = (number & VU_REPLY_ACK) != 0;
	switch (r->h.request) {
	case VU_GET_FEATURES:
		vu_answer(b, r->h.request, b->features);
		break;
	case VU_GET_PROTOCOL_FEATURES:
		vu_answer(b, r->h.request, b->protocol_features);
		break;
	case VU_GET_QUEUE_NUM:
		vu_answer(b, r->h.request, b->queues);
		break;
	case VU_GET_VRING_BASE:
		vu_answer(b, r->h.request, number & UINT32_MAX);
		break;
	default:
		if ((r->h.flags & VU_NEED_REPLY) != 0)
			vu_answer(b, r->h.request, 0);
		break;
	}
}

static inline void *vu_thread(void *arg)
{
	struct vhost_backend *b = arg;

	while (b->n < VU_RECORDS && vu_receive(b->theirs, &b->records[b->n])) {
		vu_serve(b, &b->records[b->n]);
		/* A test may look at them meanwhile. */
		__atomic_store_n(&b->n, b->n + 1, __ATOMIC_SEQ_CST);
	}
	(void)shutdown(b->theirs, SHUT_RDWR);
	return NULL;
}

/* b's features and what is spoilt are set before. */
static inline bool vhost_backend_start(struct vhost_backend *b)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	b->ours = pair[0];
	b->theirs = pair[1];
	return pthread_create(&b->thread, NULL, vu_thread, b) == 0;
}

/* The front end hangs up; afterwards the records are the test's to look at. */
static inline void vhost_backend_stop(struct vhost_backend *b)
{
	(void)shutdown(b->ours, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	fd_close(&b->ours);
	fd_close(&b->theirs);
}

static inline void vhost_backend_forget(struct vhost_backend *b)
{
	for (size_t i = 0; i < b->n; i++)
		for (size_t k = 0; k < b->records[i].n_fds; k++)
			close(b->records[i].fds[k]);
}
