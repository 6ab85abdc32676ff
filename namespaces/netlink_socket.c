/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink_socket.h. */
#include "namespaces/netlink_socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* The kernel fills a dump's messages to at most this. */
#define ANSWER_SIZE ((size_t)32 * 1024)

int netlink_open(struct mnl_socket **ret_nl)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (nl == NULL)
		return ERR(-errno, "cannot open a netlink socket");
	*ret_nl = nl;
	return 0;
}

void netlink_closep(struct mnl_socket **nl)
{
	if (*nl != NULL)
		mnl_socket_close(*nl);
	*nl = NULL;
}

struct nlmsghdr *netlink_begin(void *buf, uint16_t type, uint16_t flags, size_t header_size, void **ret_header)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	/* One request at a time: the number only tells answers from what nobody asked for. */
	nlh->nlmsg_seq = 1;
	*ret_header = mnl_nlmsg_put_extra_header(nlh, header_size);
	return nlh;
}

/* A signal is not an answer: whoever waited again after it would read this one's. */
static ssize_t receive(struct mnl_socket *nl, void *buf, size_t size)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(nl, buf, size);
	while (n < 0 && errno == EINTR);
	return n;
}

int netlink_ack(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	char buf[NETLINK_REQUEST_SIZE * 2] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = receive(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	/* An acknowledgement is an error message with code 0; port 0: from the kernel to whoever asked. */
	return mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, 0, NULL, NULL) < 0 ? -errno : 0;
}

int netlink_set_up(struct mnl_socket *nl, int index)
{
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header);

	*(struct ifinfomsg *)header = (struct ifinfomsg){ .ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = IFF_UP };
	return netlink_ack(nl, nlh);
}

struct dump {
	netlink_each *each;
	void *data;
	int r;
};

static int dump_one(const struct nlmsghdr *nlh, void *data)
{
	struct dump *d = data;

	d->r = d->each(nlh, d->data);
	return d->r < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

/* After a change the library stops in the middle; what is left of the answer must not stay in the socket. */
static bool has_end(const void *buf, size_t size)
{
	const struct nlmsghdr *nlh = buf;

	for (int left = (int)size; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		if (nlh->nlmsg_type == NLMSG_DONE)
			return true;
	return false;
}

/* All of the answer, by way of buf of ANSWER_SIZE. */
static int read_dump(struct mnl_socket *nl, unsigned int seq, char *buf, struct dump *d)
{
	bool interrupted = false;
	int r = MNL_CB_OK;

	while (r == MNL_CB_OK) {
		ssize_t n = receive(nl, buf, ANSWER_SIZE);

		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, seq, 0, dump_one, d);
		if (d->r < 0)
			return d->r;
		if (r < 0 && errno == EINTR) {
			interrupted = true;
			r = has_end(buf, (size_t)n) ? MNL_CB_STOP : MNL_CB_OK;
		}
	}
	if (r < 0)
		return -errno;
	return interrupted ? -EINTR : 0;
}

int netlink_dump(struct mnl_socket *nl, struct nlmsghdr *nlh, netlink_each *each, void *data)
{
	struct dump d = { .each = each, .data = data };
	_cleanup_free_ char *buf = NULL;

	nlh->nlmsg_flags |= NLM_F_DUMP;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	buf = malloc(ANSWER_SIZE);
	if (buf == NULL)
		return ERR_NOMEM();
	return read_dump(nl, nlh->nlmsg_seq, buf, &d);
}

struct table {
	const struct nlattr **v;
	uint16_t max;
};

static int table_one(const struct nlattr *attr, void *data)
{
	struct table *t = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= t->max)
		t->v[type] = attr;
	return MNL_CB_OK;
}

void netlink_attributes(const struct nlmsghdr *nlh, size_t header_size, const struct nlattr **table, uint16_t max)
{
	struct table t = { table, max };

	memset((void *)table, 0, (max + 1UL) * sizeof(*table));
	(void)mnl_attr_parse(nlh, (unsigned int)header_size, table_one, &t);
}

void netlink_payload(const void *payload, size_t len, const struct nlattr **table, uint16_t max)
{
	struct table t = { table, max };

	memset((void *)table, 0, (max + 1UL) * sizeof(*table));
	(void)mnl_attr_parse_payload(payload, len, table_one, &t);
}

void netlink_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
	if (nest != NULL)
		netlink_payload(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), table, max);
	else
		netlink_payload("", 0, table, max);
}
