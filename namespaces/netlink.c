/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink.h. */
#include "namespaces/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"

/* The first interface of every network namespace. */
#define LOOPBACK_INDEX 1

int netlink_loopback_up(void)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi;
	void *header;
	int r;

	r = netlink_open(&nl);
	if (r < 0)
		return r;
	nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(*ifi), &header);
	ifi = header;
	ifi->ifi_index = LOOPBACK_INDEX;
	ifi->ifi_change = IFF_UP;
	ifi->ifi_flags = IFF_UP;
	r = netlink_ack(nl, nlh);
	return r < 0 ? ERR(r, "cannot set the loopback interface up") : 0;
}
