/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink_socket.h. */
#include "namespaces/netlink_socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
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

int netlink_ack(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	char buf[NETLINK_REQUEST_SIZE * 2] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	/* An acknowledgement is an error message with code 0; port 0: from the kernel to whoever asked. */
	return mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, 0, NULL, NULL) < 0 ? -errno : 0;
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

int netlink_dump(struct mnl_socket *nl, struct nlmsghdr *nlh, netlink_each *each, void *data)
{
	_cleanup_free_ char *buf = malloc(ANSWER_SIZE);
	struct dump d = { .each = each, .data = data };
	int r = MNL_CB_OK;

	if (buf == NULL)
		return ERR_NOMEM();
	nlh->nlmsg_flags |= NLM_F_DUMP;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, ANSWER_SIZE);

		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, 0, dump_one, &d);
	}
	if (d.r < 0)
		return d.r;
	return r < 0 ? -errno : 0;
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
