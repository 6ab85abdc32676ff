/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink.h. */
#include "namespaces/netlink.h"

#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"

/* The first interface of every network namespace. */
#define LOOPBACK_INDEX 1

int netlink_loopback_up(void)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	int r = netlink_open(&nl);

	if (r < 0)
		return r;
	r = netlink_set_up(nl, LOOPBACK_INDEX);
	return r < 0 ? ERR(r, "cannot set the loopback interface up") : 0;
}
