/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/netlink.h and net_move.h for the guest's program: it stands in for namespaces/netlink.c, which needs libmnl. */
#include "namespaces/netlink.h"

#include <errno.h>
#include <linux/if.h>

#include "microvm/guest/rtnl.h"
#include "namespaces/net_move.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* The first interface of every network namespace. */
#define LOOPBACK_INDEX 1

int netlink_loopback_up(void)
{
	const struct ifinfomsg ifi = { .ifi_index = LOOPBACK_INDEX, .ifi_change = IFF_UP, .ifi_flags = IFF_UP };
	struct rtnl_message m;
	_cleanup_close_ int fd = rtnl_open();
	int r;

	if (fd < 0)
		return ERR(fd, "cannot open a netlink socket");
	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	r = rtnl_talk(fd, &m);
	return r < 0 ? ERR(r, "cannot set the loopback interface up") : 0;
}

/* adapt.c takes linux.netDevices out: the runtime has moved them. */
int net_move(const struct net_move *v, size_t n, int pidfd)
{
	(void)pidfd;
	return ERR_PLAIN(-ENOTSUP, "the network device \"%s\" cannot be moved inside a microVM", n > 0 ? v[0].name : "");
}
