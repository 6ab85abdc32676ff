/* SPDX-License-Identifier: Apache-2.0 */
/* The front end's half of vhost-user. See vhost_user.h. */
#include "microvm/vhost_user.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "microvm/guest_memory.h"
#include "runtime/base/err.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Feature bits beside the device's. */
#define F_PROTOCOL_FEATURES 30
#define PROTOCOL_F_MQ 0
#define PROTOCOL_F_REPLY_ACK 3

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
};

/* Flags of a message. */
#define VERSION 1U
#define VERSION_MASK 3U
#define IS_REPLY 4U
#define NEED_REPLY 8U

/* Both ends are on one machine: its byte order. */
struct header {
	uint32_t request, flags;
	uint32_t size;			/* of what follows */
};

struct region {
	uint64_t guest_addr, size, user_addr, offset;
};

struct memory_table {
	uint32_t n, padding;
	struct region regions[GUEST_REGIONS_MAX];
};

/* Whole structs are sent: the other end reads the members. */
struct queue_state {
	/* cppcheck-suppress unusedStructMember */
	uint32_t index, number;
};

struct queue_addresses {
	/* cppcheck-suppress unusedStructMember */
	uint32_t index, flags;
	/* cppcheck-suppress unusedStructMember */
	uint64_t desc, used, avail, log;
};

#define PAYLOAD_MAX sizeof(struct memory_table)

/* A message to the back end. */
struct message {
	enum request request;
	const void *payload;
	size_t size;
	const int *fds;
	size_t n_fds;			/* at most GUEST_REGIONS_MAX */
};

static int check(int r, struct vhost_user *v)
{
	if (r < 0)
		v->failed = true;
	return r;
}

/* ---- sending ---- */

static void add_fds(struct msghdr *msg, void *control, const int *fds, size_t n)
{
	struct cmsghdr *c;

	if (n == 0)
		return;
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	if (c == NULL)
		return;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

/* Descriptors go with the first byte; what is left of a message, without. */
static int send_all(const struct vhost_user *v, char *data, size_t len, const struct message *m)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(GUEST_REGIONS_MAX * sizeof(int))] = { 0 };
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { .iov_base = data + done, .iov_len = len - done };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (done == 0)
			add_fds(&msg, control, m->fds, m->n_fds);
		n = sendmsg(v->socket, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return ERR_PLAIN(-ETIMEDOUT, "the back end takes no message %d for %d s", m->request, VHOST_USER_TIMEOUT_S);
		if (n < 0 && errno != EINTR)
			return ERR(-errno, "cannot send the back end message %d", m->request);
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int send_message(const struct vhost_user *v, const struct message *m, bool need_reply)
{
	const struct header h = { .request = m->request, .flags = VERSION | (need_reply ? NEED_REPLY : 0), .size = (uint32_t)m->size };
	char data[sizeof(h) + PAYLOAD_MAX];

	if (v->failed)
		return ERR_PLAIN(-EPIPE, "the connection to the back end failed before");
	memcpy(data, &h, sizeof(h));
	if (m->size > 0)
		memcpy(data + sizeof(h), m->payload, m->size);
	return send_all(v, data, sizeof(h) + m->size, m);
}

/* ---- answers ---- */

/* Exactly len bytes. Descriptors are not taken: there is no room for them, and the kernel closes those that came. */
static int receive_all(const struct vhost_user *v, void *data, size_t len, enum request request)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { .iov_base = (char *)data + done, .iov_len = len - done };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n = recvmsg(v->socket, &msg, MSG_CMSG_CLOEXEC);

		if (n == 0)
			return ERR_PLAIN(-EPIPE, "the back end closed the connection instead of answering message %d", request);
		if (n < 0 && errno == EAGAIN)
			return ERR_PLAIN(-ETIMEDOUT, "the back end has not answered message %d for %d s", request,
					 VHOST_USER_TIMEOUT_S);
		if (n < 0 && errno != EINTR)
			return ERR(-errno, "cannot receive the back end's answer to message %d", request);
		if (n > 0 && (msg.msg_flags & MSG_CTRUNC) != 0)
			return ERR_PLAIN(-EPROTO, "the back end sends descriptors with its answer to message %d", request);
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int receive_reply(const struct vhost_user *v, enum request request, void *payload, size_t size)
{
	struct header h;
	int r = receive_all(v, &h, sizeof(h), request);

	if (r < 0)
		return r;
	if (h.request != (uint32_t)request || (h.flags & (VERSION_MASK | IS_REPLY)) != (VERSION | IS_REPLY) || h.size != size)
		return ERR_PLAIN(-EPROTO,
				 "the back end answers message %d with a message %" PRIu32 " (flags 0x%" PRIx32 ", %" PRIu32 " bytes)",
				 request, h.request, h.flags, h.size);
	return receive_all(v, payload, size, request);
}

static int get_number(struct vhost_user *v, enum request request, uint64_t *ret_number)
{
	const struct message m = { .request = request };
	int r = send_message(v, &m, false);

	if (r == 0)
		r = receive_reply(v, request, ret_number, sizeof(*ret_number));
	return check(r, v);
}

/* Something that the back end is told; where it can, it says that it has done it. */
static int tell(struct vhost_user *v, const struct message *m)
{
	bool need_reply = (v->protocol_features & BIT(PROTOCOL_F_REPLY_ACK)) != 0;
	int r = send_message(v, m, need_reply);
	uint64_t result = 0;

	if (r == 0 && need_reply)
		r = receive_reply(v, m->request, &result, sizeof(result));
	if (r == 0 && result != 0)
		r = ERR_PLAIN(-EREMOTEIO, "the back end refuses message %d", m->request);
	return check(r, v);
}

static int tell_number(struct vhost_user *v, enum request request, uint64_t number)
{
	const struct message m = { .request = request, .payload = &number, .size = sizeof(number) };

	return tell(v, &m);
}

static int tell_state(struct vhost_user *v, enum request request, unsigned int index, uint32_t number)
{
	const struct queue_state s = { .index = index, .number = number };
	const struct message m = { .request = request, .payload = &s, .size = sizeof(s) };

	return tell(v, &m);
}

static int tell_eventfd(struct vhost_user *v, enum request request, unsigned int index, int fd)
{
	const uint64_t number = index;
	const struct message m = { .request = request, .payload = &number, .size = sizeof(number), .fds = &fd, .n_fds = 1 };

	return tell(v, &m);
}

/* ---- the connection ---- */

static int set_time_limits(int socket)
{
	const struct timeval limit = { .tv_sec = VHOST_USER_TIMEOUT_S };

	if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return ERR(-errno, "cannot limit the time that the back end has for an answer");
	return 0;
}

static int negotiate_protocol(struct vhost_user *v)
{
	uint64_t offered = 0, queues = 0;
	int r = get_number(v, GET_PROTOCOL_FEATURES, &offered);

	if (r < 0)
		return r;
	offered &= BIT(PROTOCOL_F_MQ) | BIT(PROTOCOL_F_REPLY_ACK);
	r = tell_number(v, SET_PROTOCOL_FEATURES, offered);
	if (r < 0)
		return r;
	v->protocol_features = offered;
	if ((offered & BIT(PROTOCOL_F_MQ)) == 0)
		return 0;
	r = get_number(v, GET_QUEUE_NUM, &queues);
	v->queues = queues < VHOST_USER_QUEUES_MAX ? (unsigned int)queues : VHOST_USER_QUEUES_MAX;
	return r;
}

int vhost_user_init(struct vhost_user *v, int socket)
{
	const struct message owner = { .request = SET_OWNER };
	int r;

	*v = (struct vhost_user){ .socket = socket };
	r = set_time_limits(socket);
	if (r == 0)
		r = get_number(v, GET_FEATURES, &v->features);
	if (r == 0 && (v->features & BIT(F_PROTOCOL_FEATURES)) != 0)
		r = negotiate_protocol(v);
	return r == 0 ? tell(v, &owner) : r;
}

static int tell_memory(struct vhost_user *v, const struct guest_memory *memory)
{
	struct memory_table table = { .n = (uint32_t)memory->n };
	int fds[GUEST_REGIONS_MAX];
	const struct message m = {
		.request = SET_MEM_TABLE,
		.payload = &table,
		.size = offsetof(struct memory_table, regions) + memory->n * sizeof(struct region),
		.fds = fds,
		.n_fds = memory->n,
	};

	for (size_t i = 0; i < memory->n; i++) {
		const struct guest_region *g = &memory->regions[i];

		if (g->fd < 0)
			return ERR_PLAIN(-EINVAL, "the guest's memory at 0x%" PRIx64 " cannot be given to a back end", g->addr);
		table.regions[i] = (struct region){ g->addr, g->size, g->addr, g->offset };
		fds[i] = g->fd;
	}
	return tell(v, &m);
}

int vhost_user_start(struct vhost_user *v, uint64_t features, const struct guest_memory *memory)
{
	int r = tell_number(v, SET_FEATURES, features | (v->features & BIT(F_PROTOCOL_FEATURES)));

	return r == 0 ? tell_memory(v, memory) : r;
}

/* Everything before the kick: a back end begins with the queue when it gets that. */
int vhost_user_start_queue(struct vhost_user *v, const struct vhost_user_queue *q)
{
	const struct queue_addresses a = { .index = q->index, .desc = q->desc, .used = q->used, .avail = q->avail };
	const struct message addresses = { .request = SET_VRING_ADDR, .payload = &a, .size = sizeof(a) };
	int r = tell_state(v, SET_VRING_NUM, q->index, q->size);

	if (r == 0)
		r = tell_state(v, SET_VRING_BASE, q->index, q->base);
	if (r == 0)
		r = tell(v, &addresses);
	if (r == 0)
		r = tell_eventfd(v, SET_VRING_CALL, q->index, q->call);
	if (r == 0)
		r = tell_eventfd(v, SET_VRING_KICK, q->index, q->kick);
	/* Without protocol features a queue is on from its kick; with them it waits for this. */
	if (r == 0 && (v->features & BIT(F_PROTOCOL_FEATURES)) != 0)
		r = tell_state(v, SET_VRING_ENABLE, q->index, 1);
	return r;
}

int vhost_user_stop_queue(struct vhost_user *v, unsigned int index)
{
	const struct queue_state s = { .index = index };
	const struct message m = { .request = GET_VRING_BASE, .payload = &s, .size = sizeof(s) };
	struct queue_state answer = { 0 };
	int r = send_message(v, &m, false);

	if (r == 0)
		r = receive_reply(v, GET_VRING_BASE, &answer, sizeof(answer));
	if (r == 0 && answer.index != index)
		r = ERR_PLAIN(-EPROTO, "the back end answers for queue %" PRIu32 " instead of %u", answer.index, index);
	return check(r, v);
}

int vhost_user_lost(struct vhost_user *v)
{
	ssize_t n;
	char c;

	v->failed = true;
	do
		n = recv(v->socket, &c, sizeof(c), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return ERR_PLAIN(-EPROTO, "the back end sends a message that was not asked for");
	return n == 0 ? ERR_PLAIN(-EPIPE, "the back end closed the connection") : ERR(-errno, "the connection to the back end broke");
}
