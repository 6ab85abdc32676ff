/* SPDX-License-Identifier: Apache-2.0 */
/* See net_veth.h. */
#include "namespaces/net_veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>

#include "namespaces/netlink.h"
#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

#define REQUEST(buf) char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)))

/* ---- in and out ---- */

static int open_own(int *ret_netns)
{
	*ret_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret_netns < 0 ? ERR(-errno, "cannot open the network namespace") : 0;
}

int net_ns_leave(int *home)
{
	int r = setns(*home, CLONE_NEWNET) < 0 ? ERR_PLAIN(-ENOTRECOVERABLE, "cannot go back to our own network namespace: %s", strerror(errno)) : 0;

	fd_close(home);
	return r;
}

int net_ns_enter(int netns, int *ret_home)
{
	int r = open_own(ret_home);

	if (r == 0 && setns(netns, CLONE_NEWNET) < 0) {
		r = ERR(-errno, "cannot enter the network namespace");
		fd_close(ret_home);
	}
	return r;
}

int net_ns_make(int *ret_netns)
{
	_cleanup_close_ int home = FD_NONE;
	int r = open_own(&home), back;

	*ret_netns = FD_NONE;
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return ERR(-errno, "cannot make a network namespace");
	r = netlink_loopback_up();
	if (r == 0)
		r = open_own(ret_netns);
	back = net_ns_leave(&home);
	if (back < 0)
		fd_close(ret_netns);
	return back < 0 ? back : r;
}

/* ---- the pair ---- */

/* In a's namespace, its other end in b's. */
static int make_pair(const struct net_veth_end *a, const struct net_veth_end *b)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	REQUEST(buf);
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &header);
	struct nlattr *info, *data, *peer;
	int r = netlink_open(&nl);

	if (r < 0)
		return r;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, a->name);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	*(struct ifinfomsg *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg)) = (struct ifinfomsg){ .ifi_index = 0 };
	mnl_attr_put_strz(nlh, IFLA_IFNAME, b->name);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)b->netns);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	r = netlink_ack(nl, nlh);
	return r < 0 ? ERR(r, "cannot make a pair of veth interfaces") : 0;
}

static int add_address(struct mnl_socket *nl, unsigned int index, const struct net_veth_end *e)
{
	REQUEST(buf);
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg), &header);
	struct in_addr address;

	if (inet_pton(AF_INET, e->address, &address) != 1)
		return -EINVAL;
	*(struct ifaddrmsg *)header = (struct ifaddrmsg){ .ifa_family = AF_INET, .ifa_prefixlen = e->prefix, .ifa_index = index };
	mnl_attr_put(nlh, IFA_LOCAL, sizeof(address), &address);
	mnl_attr_put(nlh, IFA_ADDRESS, sizeof(address), &address);
	return netlink_ack(nl, nlh);
}

/* In e's namespace. */
static int configure(const struct net_veth_end *e)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	unsigned int index = if_nametoindex(e->name);
	int r = index == 0 ? ERR(-errno, "cannot find the interface \"%s\"", e->name) : netlink_open(&nl);

	if (r < 0)
		return r;
	r = add_address(nl, index, e);
	if (r < 0)
		return ERR(r, "cannot give \"%s\" the address \"%s\"", e->name, e->address);
	r = netlink_set_up(nl, (int)index);
	return r < 0 ? ERR(r, "cannot set \"%s\" up", e->name) : 0;
}

static int in_namespace(const struct net_veth_end *e, const struct net_veth_end *peer)
{
	int home, r = net_ns_enter(e->netns, &home), back;

	if (r < 0)
		return r;
	if (peer != NULL)
		r = make_pair(e, peer);
	if (r == 0)
		r = configure(e);
	back = net_ns_leave(&home);
	return back < 0 ? back : r;
}

int net_veth_make(const struct net_veth_end *a, const struct net_veth_end *b)
{
	int r = in_namespace(a, b);

	return r < 0 ? r : in_namespace(b, NULL);
}
