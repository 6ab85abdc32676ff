/* SPDX-License-Identifier: Apache-2.0 */
/* net_config_read(): dumps of links, addresses, routes, rules and neighbours. See net_config.h. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "namespaces/net_config.h"
#include "namespaces/net_tap.h"
#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define RTN_NONE(type) ((type) == RTN_BLACKHOLE || (type) == RTN_UNREACHABLE || (type) == RTN_PROHIBIT)

static int unsupported(const char *interface, const char *why)
{
	return ERR_PLAIN(-ENOTSUP, "the network interface \"%s\" cannot be carried into a microVM: %s", interface, why);
}

static int too_many(const char *what, size_t max)
{
	return ERR_PLAIN(-E2BIG, "the network namespace has more than %zu %s, too many for a microVM", max, what);
}

/* What an attribute holds, if it has the size of *ret_v. */
static bool get(const struct nlattr *attr, void *ret_v, size_t size)
{
	if (attr == NULL || mnl_attr_get_payload_len(attr) < size)
		return false;
	memcpy(ret_v, mnl_attr_get_payload(attr), size);
	return true;
}

static uint32_t get_u32(const struct nlattr *attr, uint32_t otherwise)
{
	uint32_t v;

	return get(attr, &v, sizeof(v)) ? v : otherwise;
}

static bool get_ip(const struct nlattr *attr, uint8_t family, struct net_ip *ret)
{
	struct net_ip ip = { .family = family };

	if (net_ip_size(family) == 0 || !get(attr, ip.bytes, net_ip_size(family)))
		return false;
	*ret = ip;
	return true;
}

static bool find_interface(const struct net_config *c, int index, size_t *ret)
{
	for (size_t i = 0; i < c->n_interfaces; i++)
		if (c->interfaces[i].index == index) {
			*ret = i;
			return true;
		}
	return false;
}

/* ---- links ---- */

static const char *kind_of(const struct nlattr *const *info)
{
	return info[IFLA_INFO_KIND] != NULL && mnl_attr_validate(info[IFLA_INFO_KIND], MNL_TYPE_NUL_STRING) >= 0 ?
		       mnl_attr_get_str(info[IFLA_INFO_KIND]) :
		       "";
}

/* NULL, or why frames of this interface cannot be taken at its ingress and given to a tap. */
static const char *link_obstacle(const struct ifinfomsg *ifi, const struct nlattr *const *attr)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_IPVLAN_MAX + 1];
	uint16_t mode = IPVLAN_MODE_L2;
	const char *kind;

	netlink_nested(attr[IFLA_LINKINFO], info, IFLA_INFO_MAX);
	kind = kind_of(info);
	if (ifi->ifi_type != ARPHRD_ETHER)
		return "it is not Ethernet, and a guest's network card is";
	if (get_u32(attr[IFLA_MASTER], 0) != 0)
		return "it is a port of another interface (bridge, bond, VRF)";
	if (str_eq(kind, "ipvlan")) {
		netlink_nested(info[IFLA_INFO_DATA], data, IFLA_IPVLAN_MAX);
		(void)get(data[IFLA_IPVLAN_MODE], &mode, sizeof(mode));
		if (mode != IPVLAN_MODE_L2)
			return "an ipvlan in mode l3 has no Ethernet of its own; mode l2 or a macvlan has";
	}
	/* A bridge, or a vlan and the like over an interface of this same namespace: the frames are taken below it. */
	if (str_eq(kind, "bridge") || str_eq(kind, "bond") || str_eq(kind, "vrf"))
		return "it stands on other interfaces";
	if (!str_eq(kind, "veth") && get_u32(attr[IFLA_LINK], 0) != 0 && attr[IFLA_LINK_NETNSID] == NULL &&
	    get_u32(attr[IFLA_LINK], 0) != (uint32_t)ifi->ifi_index)
		return "it stands on another interface of the same namespace";
	return NULL;
}

/* How the interface's IPv6 is set up: the array of its sysctls, which comes with the link. */
static void take_ipv6(const struct nlattr *spec, struct net_interface *i)
{
	const struct nlattr *families[AF_INET6 + 1], *inet6[IFLA_INET6_MAX + 1];
	int32_t conf[DEVCONF_DISABLE_IPV6 + 1];
	uint8_t mode = IN6_ADDR_GEN_MODE_EUI64;

	netlink_nested(spec, families, AF_INET6);
	netlink_nested(families[AF_INET6], inet6, IFLA_INET6_MAX);
	if (!get(inet6[IFLA_INET6_CONF], conf, sizeof(conf)))
		return; /* a kernel without IPv6, or an MTU too small for it */
	(void)get(inet6[IFLA_INET6_ADDR_GEN_MODE], &mode, sizeof(mode));
	i->ipv6 = conf[DEVCONF_DISABLE_IPV6] == 0;
	i->link_local = i->ipv6 && mode != IN6_ADDR_GEN_MODE_NONE;
	i->autoconf = conf[DEVCONF_AUTOCONF] != 0;
	i->accept_ra = conf[DEVCONF_ACCEPT_RA] <= 0 ? 0 : conf[DEVCONF_ACCEPT_RA] == 1 ? 1 : 2;
}

static int take_link(const struct nlmsghdr *nlh, void *data)
{
	struct net_config *c = data;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[IFLA_MAX + 1];
	struct net_interface i = { 0 };
	const char *obstacle;

	if (nlh->nlmsg_type != RTM_NEWLINK || (ifi->ifi_flags & IFF_LOOPBACK) != 0 || (ifi->ifi_flags & IFF_UP) == 0)
		return 0;
	netlink_attributes(nlh, sizeof(*ifi), attr, IFLA_MAX);
	if (attr[IFLA_IFNAME] == NULL || mnl_attr_get_payload_len(attr[IFLA_IFNAME]) > NET_NAME_SIZE)
		return ERR_PLAIN(-EBADMSG, "the kernel named no name for network interface %d", ifi->ifi_index);
	memcpy(i.name, mnl_attr_get_payload(attr[IFLA_IFNAME]), mnl_attr_get_payload_len(attr[IFLA_IFNAME]));
	i.name[NET_NAME_SIZE - 1] = '\0';
	if (net_tap_is_ours(i.name))
		return c->beside_taps ? 0 : net_tap_busy(i.name);
	obstacle = link_obstacle(ifi, attr);
	if (obstacle != NULL)
		return unsupported(i.name, obstacle);
	if (!net_name_valid(i.name))
		return unsupported(i.name, "its name has characters that nacre does not take");
	i.index = ifi->ifi_index;
	i.all_multicast = (ifi->ifi_flags & IFF_ALLMULTI) != 0;
	i.mtu = get_u32(attr[IFLA_MTU], 0);
	if (!get(attr[IFLA_ADDRESS], i.mac, sizeof(i.mac)) || !net_mac_valid(i.mac))
		return unsupported(i.name, "it has no MAC address");
	if (i.mtu < NET_MTU_MIN || i.mtu > NET_MTU_MAX)
		return unsupported(i.name, "its MTU is not one that a tap can have");
	take_ipv6(attr[IFLA_AF_SPEC], &i);
	if (c->n_interfaces == NET_INTERFACES_MAX)
		return too_many("network interfaces", NET_INTERFACES_MAX);
	c->interfaces[c->n_interfaces++] = i;
	return 0;
}

/* ---- addresses ---- */

/* What the guest's kernel gets by itself (from router advertisements), or what does not work here, either. */
static bool address_passes(const struct ifaddrmsg *ifa, uint32_t flags)
{
	if (net_ip_size(ifa->ifa_family) == 0 || (flags & IFA_F_DADFAILED) != 0)
		return false;
	/* A lease's end (IPv4) is its client's business, outside; here the address lasts. */
	return ifa->ifa_family == AF_INET || ((flags & IFA_F_PERMANENT) != 0 && (flags & IFA_F_TEMPORARY) == 0);
}

static int take_address(const struct nlmsghdr *nlh, void *data)
{
	struct net_config *c = data;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[IFA_MAX + 1];
	struct net_address a = { 0 };
	uint32_t flags;

	if (nlh->nlmsg_type != RTM_NEWADDR || !find_interface(c, (int)ifa->ifa_index, &a.interface))
		return 0;
	netlink_attributes(nlh, sizeof(*ifa), attr, IFA_MAX);
	flags = get_u32(attr[IFA_FLAGS], ifa->ifa_flags);
	if (!address_passes(ifa, flags))
		return 0;
	if (!get_ip(attr[IFA_LOCAL], ifa->ifa_family, &a.ip) && !get_ip(attr[IFA_ADDRESS], ifa->ifa_family, &a.ip))
		return ERR_PLAIN(-EBADMSG, "the kernel told an address without its bytes");
	if (get_ip(attr[IFA_ADDRESS], ifa->ifa_family, &a.peer) && net_ip_equal(&a.peer, &a.ip))
		a.peer = (struct net_ip){ 0 };
	(void)get_ip(attr[IFA_BROADCAST], ifa->ifa_family, &a.broadcast);
	a.prefix = ifa->ifa_prefixlen;
	a.scope = ifa->ifa_scope;
	a.deprecated = (flags & IFA_F_DEPRECATED) != 0;
	a.no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0;
	a.metric = get_u32(attr[IFA_RT_PRIORITY], 0);
	if (c->n_addresses == NET_ADDRESSES_MAX)
		return too_many("addresses", NET_ADDRESSES_MAX);
	c->addresses[c->n_addresses++] = a;
	return 0;
}

/* ---- routes ---- */

static int bad_route(const struct net_route *r, const char *why)
{
	char dst[INET6_ADDRSTRLEN];

	net_ip_print(&r->dst, dst);
	return ERR_PLAIN(-ENOTSUP, "the route to %s/%u cannot be carried into a microVM: %s", dst, r->prefix, why);
}

/* One next hop: of the route itself, or of one of several. attr: RTA_* */
static int take_hop(const struct net_config *c, struct net_route *r, const struct nlattr *const *attr, int index,
		    unsigned int flags)
{
	struct net_hop h = { .onlink = (flags & RTNH_F_ONLINK) != 0 };
	struct rtvia via;

	if (attr[RTA_ENCAP] != NULL)
		return bad_route(r, "it encapsulates");
	if (!find_interface(c, index, &h.interface))
		return bad_route(r, "it leads through an interface that is not carried");
	if (!get_ip(attr[RTA_GATEWAY], r->family, &h.gateway) && get(attr[RTA_VIA], &via, sizeof(via))) {
		h.gateway.family = (uint8_t)via.rtvia_family;
		if (net_ip_size(h.gateway.family) == 0 ||
		    mnl_attr_get_payload_len(attr[RTA_VIA]) < sizeof(via) + net_ip_size(h.gateway.family))
			return bad_route(r, "its gateway is of an unknown family");
		memcpy(h.gateway.bytes, (const uint8_t *)mnl_attr_get_payload(attr[RTA_VIA]) + sizeof(via),
		       net_ip_size(h.gateway.family));
	}
	if (r->n_hops == NET_HOPS_MAX)
		return bad_route(r, "it has too many next hops");
	r->hops[r->n_hops++] = h;
	return 0;
}

static int take_hops(const struct net_config *c, struct net_route *r, const struct nlattr *multipath)
{
	const uint8_t *at = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof(struct rtnexthop)) {
		const struct nlattr *attr[RTA_MAX + 1];
		struct rtnexthop hop;
		size_t size;
		int err;

		memcpy(&hop, at, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			return bad_route(r, "its next hops are malformed");
		netlink_payload(at + sizeof(hop), hop.rtnh_len - sizeof(hop), attr, RTA_MAX);
		err = take_hop(c, r, attr, hop.rtnh_ifindex, hop.rtnh_flags);
		if (err < 0)
			return err;
		r->hops[r->n_hops - 1].weight = hop.rtnh_hops;
		size = RTNH_ALIGN(hop.rtnh_len);
		at += size;
		left = size < left ? left - size : 0;
	}
	return 0;
}

/* Of the main table, not what others bring by themselves: router advertisements, redirects, a cache. */
static bool route_passes(const struct rtmsg *rtm, const struct nlattr *const *attr)
{
	return net_ip_size(rtm->rtm_family) != 0 && get_u32(attr[RTA_TABLE], rtm->rtm_table) == RT_TABLE_MAIN &&
	       (rtm->rtm_flags & RTM_F_CLONED) == 0 && rtm->rtm_protocol != RTPROT_RA &&
	       rtm->rtm_protocol != RTPROT_REDIRECT;
}

/* ::1 stands in the main table; every kernel makes it by itself. */
static bool is_loopback_route(const struct net_config *c, const struct rtmsg *rtm, const struct nlattr *const *attr)
{
	size_t i;

	return rtm->rtm_protocol == RTPROT_KERNEL && rtm->rtm_type == RTN_UNICAST && attr[RTA_MULTIPATH] == NULL &&
	       attr[RTA_GATEWAY] == NULL && rtm->rtm_family == AF_INET6 && rtm->rtm_dst_len == 128 &&
	       !find_interface(c, (int)get_u32(attr[RTA_OIF], 0), &i);
}

static int take_next_hops(const struct net_config *c, const struct rtmsg *rtm, const struct nlattr *const *attr,
			  struct net_route *r)
{
	if (RTN_NONE(r->type))
		return 0;
	if (r->type != RTN_UNICAST)
		return bad_route(r, "it is of a special type");
	if (attr[RTA_MULTIPATH] != NULL)
		return take_hops(c, r, attr[RTA_MULTIPATH]);
	return take_hop(c, r, attr, (int)get_u32(attr[RTA_OIF], 0), rtm->rtm_flags);
}

static int take_route(const struct nlmsghdr *nlh, void *data)
{
	struct net_config *c = data;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[RTA_MAX + 1], *metrics[RTAX_MAX + 1];
	struct net_route r = { 0 };
	int err;

	netlink_attributes(nlh, sizeof(*rtm), attr, RTA_MAX);
	if (nlh->nlmsg_type != RTM_NEWROUTE || !route_passes(rtm, attr) || is_loopback_route(c, rtm, attr))
		return 0;
	r.family = rtm->rtm_family;
	r.type = rtm->rtm_type;
	r.protocol = rtm->rtm_protocol;
	r.scope = rtm->rtm_scope;
	r.tos = rtm->rtm_tos;
	r.prefix = rtm->rtm_dst_len;
	r.dst.family = r.family;
	(void)get_ip(attr[RTA_DST], r.family, &r.dst);
	if (rtm->rtm_src_len != 0)
		return bad_route(&r, "it depends on the source address");
	(void)get_ip(attr[RTA_PREFSRC], r.family, &r.source);
	r.metric = get_u32(attr[RTA_PRIORITY], 0);
	netlink_nested(attr[RTA_METRICS], metrics, RTAX_MAX);
	r.mtu = get_u32(metrics[RTAX_MTU], 0);
	r.advmss = get_u32(metrics[RTAX_ADVMSS], 0);
	err = take_next_hops(c, rtm, attr, &r);
	if (err < 0)
		return err;
	if (c->n_routes == NET_ROUTES_MAX)
		return too_many("routes", NET_ROUTES_MAX);
	c->routes[c->n_routes++] = r;
	return 0;
}

/* The three rules of every namespace look into local, main and default; any other chooses routes by more than the destination. */
static int check_rule(const struct nlmsghdr *nlh, void *data)
{
	static const struct {
		uint32_t priority, table;
	} usual[] = { { 0, RT_TABLE_LOCAL }, { 32766, RT_TABLE_MAIN }, { 32767, RT_TABLE_DEFAULT } };
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[FRA_MAX + 1];

	(void)data;
	if (nlh->nlmsg_type != RTM_NEWRULE || net_ip_size(rule->family) == 0)
		return 0;
	netlink_attributes(nlh, sizeof(*rule), attr, FRA_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (get_u32(attr[FRA_PRIORITY], 0) == usual[i].priority &&
		    get_u32(attr[FRA_TABLE], rule->table) == usual[i].table)
			return 0;
	return ERR_PLAIN(-ENOTSUP, "the network namespace has routing rules (ip rule) of its own: "
				   "they cannot be carried into a microVM");
}

/* ---- neighbours ---- */

static int take_neighbour(const struct nlmsghdr *nlh, void *data)
{
	struct net_config *c = data;
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[NDA_MAX + 1];
	struct net_neighbour n = { 0 };

	if (nlh->nlmsg_type != RTM_NEWNEIGH || (ndm->ndm_state & NUD_PERMANENT) == 0 ||
	    (ndm->ndm_flags & NTF_PROXY) != 0 || !find_interface(c, ndm->ndm_ifindex, &n.interface))
		return 0;
	netlink_attributes(nlh, sizeof(*ndm), attr, NDA_MAX);
	/* Other families: a bridge's or vxlan's forwarding table. */
	if (!get_ip(attr[NDA_DST], ndm->ndm_family, &n.ip) || !get(attr[NDA_LLADDR], n.mac, sizeof(n.mac)))
		return 0;
	if (c->n_neighbours == NET_NEIGHBOURS_MAX)
		return too_many("permanent neighbours", NET_NEIGHBOURS_MAX);
	c->neighbours[c->n_neighbours++] = n;
	return 0;
}

/* ---- all of it ---- */

struct part {
	const char *what;
	uint16_t type;
	size_t header_size;	/* all begin with the family, which stays 0: every one */
	netlink_each *each;
};

static const struct part parts[] = {
	{ "network interfaces", RTM_GETLINK, sizeof(struct ifinfomsg), take_link },
	{ "addresses", RTM_GETADDR, sizeof(struct ifaddrmsg), take_address },
	{ "routes", RTM_GETROUTE, sizeof(struct rtmsg), take_route },
	{ "routing rules", RTM_GETRULE, sizeof(struct fib_rule_hdr), check_rule },
	{ "neighbours", RTM_GETNEIGH, sizeof(struct ndmsg), take_neighbour },
};

static int read_part(struct mnl_socket *nl, const struct part *p, struct net_config *c)
{
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	void *header;
	int r;

	err_clear();
	r = netlink_dump(nl, netlink_begin(buf, p->type, 0, p->header_size, &header), p->each, c);
	/* A kernel without rules has none that could be in the way. */
	if (p->type == RTM_GETRULE && (r == -EOPNOTSUPP || r == -EAFNOSUPPORT) && err_text()[0] == '\0')
		return 0;
	if (r < 0 && r != -EINTR && err_text()[0] == '\0')
		return ERR(r, "cannot list the %s of the network namespace", p->what);
	return r;
}

static int read_once(struct net_config *c, bool beside_taps)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	int r;

	memset(c, 0, sizeof(*c));
	c->beside_taps = beside_taps;
	r = netlink_open(&nl);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		r = read_part(nl, &parts[i], c);
	return r;
}

static int read_all(struct net_config *ret, bool beside_taps)
{
	int r = -EINTR;

	for (unsigned int i = 0; i < NETLINK_TRIES && r == -EINTR; i++)
		r = read_once(ret, beside_taps);
	if (r == -EINTR)
		return ERR_PLAIN(-EAGAIN, "the network namespace changes faster than it can be read");
	if (r < 0)
		return r;
	r = net_config_check_unique(ret);
	if (r < 0)
		return r;
	net_config_settle(ret);
	return 0;
}

int net_config_read(struct net_config *ret)
{
	return read_all(ret, false);
}

int net_config_read_beside_taps(struct net_config *ret)
{
	return read_all(ret, true);
}
