/* SPDX-License-Identifier: Apache-2.0 */
/* See rtnl.h. */
#include "microvm/guest/rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* The kernel fills a dump's messages to at most this. */
#define ANSWER_SIZE ((size_t)32 * 1024)

static void *add(struct rtnl_message *m, size_t size)
{
	size_t at = NLMSG_ALIGN(m->header.nlmsg_len);

	if (m->bad || size > sizeof(m->bytes) || at > sizeof(m->bytes) - size) {
		m->bad = true;
		return NULL;
	}
	m->header.nlmsg_len = (uint32_t)(at + size);
	return m->bytes + at;
}

void *rtnl_put_raw(struct rtnl_message *m, const void *data, size_t size)
{
	void *place = add(m, size);

	if (place != NULL && size > 0)
		memcpy(place, data, size);
	return place;
}

void rtnl_begin(struct rtnl_message *m, uint16_t type, uint16_t flags, const void *family_header, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->header.nlmsg_len = NLMSG_HDRLEN;
	m->header.nlmsg_type = type;
	m->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	/* One request at a time: the number only tells answers from what nobody asked for. */
	m->header.nlmsg_seq = 1;
	(void)rtnl_put_raw(m, family_header, size);
}

void rtnl_put(struct rtnl_message *m, uint16_t type, const void *data, size_t size)
{
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type };

	if (size > sizeof(m->bytes)) {
		m->bad = true;
		return;
	}
	(void)rtnl_put_raw(m, &a, sizeof(a));
	(void)rtnl_put_raw(m, data, size);
}

void rtnl_put_u32(struct rtnl_message *m, uint16_t type, uint32_t v)
{
	rtnl_put(m, type, &v, sizeof(v));
}

void rtnl_put_string(struct rtnl_message *m, uint16_t type, const char *s)
{
	rtnl_put(m, type, s, strlen(s) + 1);
}

size_t rtnl_nest_open(struct rtnl_message *m, uint16_t type)
{
	size_t at = NLMSG_ALIGN(m->header.nlmsg_len);

	rtnl_put(m, type, NULL, 0);
	return at;
}

void rtnl_nest_close(struct rtnl_message *m, size_t at)
{
	uint16_t len = (uint16_t)(m->header.nlmsg_len - at);

	if (!m->bad)
		memcpy(m->bytes + at + offsetof(struct rtattr, rta_len), &len, sizeof(len));
}

int rtnl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static int request(int fd, struct rtnl_message *m, uint16_t flags)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (m->bad)
		return -EMSGSIZE;
	m->header.nlmsg_flags |= flags;
	return sendto(fd, m->bytes, m->header.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ?
		       -errno :
		       0;
}

/* From the kernel only: others may write to the socket, too. */
static ssize_t answer(int fd, void *buf, size_t size)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { .iov_base = buf, .iov_len = size };
		struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n = recvmsg(fd, &msg, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((msg.msg_flags & MSG_TRUNC) != 0)
			return -EMSGSIZE;
		if (from.nl_pid == 0)
			return n;
	}
}

/* NLMSG_ERROR: the code, which is 0 for an acknowledgement. */
static int error_of(const struct nlmsghdr *h)
{
	int code;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EBADMSG;
	memcpy(&code, NLMSG_DATA(h), sizeof(code));
	return code > 0 ? -EBADMSG : code;
}

/* What one read brought: 1 when the answer is complete. */
static int take(const void *buf, size_t size, rtnl_each *each, void *data)
{
	const struct nlmsghdr *h = buf;

	for (unsigned int left = (unsigned int)size; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		int r = 0;

		if (h->nlmsg_seq != 1)
			continue;
		if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
			return -EINTR;
		if (h->nlmsg_type == NLMSG_ERROR) {
			r = error_of(h);
			return r < 0 ? r : 1;
		}
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (each != NULL)
			r = each(h, data);
		if (r < 0)
			return r;
	}
	return 0;
}

static int answers(int fd, rtnl_each *each, void *data)
{
	_cleanup_free_ char *buf = malloc(ANSWER_SIZE);
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (r == 0) {
		ssize_t n = answer(fd, buf, ANSWER_SIZE);

		r = n < 0 ? (int)n : take(buf, (size_t)n, each, data);
	}
	return r < 0 ? r : 0;
}

int rtnl_talk(int fd, struct rtnl_message *m)
{
	int r = request(fd, m, NLM_F_ACK);

	return r < 0 ? r : answers(fd, NULL, NULL);
}

int rtnl_dump(int fd, struct rtnl_message *m, rtnl_each *each, void *data)
{
	int r = request(fd, m, NLM_F_DUMP);

	return r < 0 ? r : answers(fd, each, data);
}

const void *rtnl_find(const struct nlmsghdr *h, size_t header_size, uint16_t type, size_t *ret_size)
{
	const uint8_t *at = (const uint8_t *)h + NLMSG_LENGTH(NLMSG_ALIGN(header_size));
	size_t left = h->nlmsg_len >= NLMSG_LENGTH(NLMSG_ALIGN(header_size)) ?
			      h->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(header_size)) :
			      0;

	while (left >= sizeof(struct rtattr)) {
		struct rtattr a;
		size_t size;

		memcpy(&a, at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > left)
			return NULL;
		if ((a.rta_type & NLA_TYPE_MASK) == type) {
			*ret_size = a.rta_len - RTA_LENGTH(0);
			return at + RTA_LENGTH(0);
		}
		size = RTA_ALIGN(a.rta_len);
		at += size;
		left = size < left ? left - size : 0;
	}
	return NULL;
}
