/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink.h. */
#include "namespaces/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "runtime/base/err.h"

/* The first interface of every network namespace. */
#define LOOPBACK_INDEX 1

static int request(struct mnl_socket *nl)
{
	char buf[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;
	ssize_t n;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = 0;
	ifi->ifi_index = LOOPBACK_INDEX;
	ifi->ifi_change = IFF_UP;
	ifi->ifi_flags = IFF_UP;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	/* An acknowledgement is an error message with code 0; port 0: from the kernel to whoever asked. */
	return mnl_cb_run(buf, (size_t)n, 1, 0, NULL, NULL) < 0 ? -errno : 0;
}

int netlink_loopback_up(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	if (nl == NULL)
		return ERR(-errno, "cannot open a netlink socket");
	r = request(nl);
	mnl_socket_close(nl);
	return r < 0 ? ERR(r, "cannot set the loopback interface up") : 0;
}
