/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See guest_net.h. Order: all cards are found and named first, since a name may be another's
 * of before; then each is configured and set up with its addresses, without duplicate
 * address detection: the host has done that. Routes come last, those without a gateway before
 * those whose gateway they lead to.
 */
#include "microvm/guest/guest_net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/guest/rtnl.h"
#include "namespaces/net_config.h"
#include "namespaces/netlink.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define FOREVER 0xffffffffU
/* A dump that a change ran into is asked for again, this often. */
#define TRIES 10
#define DRIVER "/sys/bus/virtio/drivers/virtio_net"

struct card {
	int index;	/* 0: not there (yet) */
	char name[NET_NAME_SIZE];
};

struct guest_net {
	int fd;
	bool late;	/* the cards have the MACs of net_mac_spare() */
	const struct net_config *c;
	struct card cards[NET_INTERFACES_MAX];
};

/* ---- cards ---- */

static bool is_card(const struct guest_net *g, size_t n, const void *mac)
{
	uint8_t spare[NET_MAC_SIZE];

	net_mac_spare((unsigned int)n, spare);
	return memcmp(mac, g->late ? spare : g->c->interfaces[n].mac, NET_MAC_SIZE) == 0;
}

static int take_card(const struct nlmsghdr *h, void *data)
{
	struct guest_net *g = data;
	size_t n = g->late ? NET_INTERFACES_MAX : g->c->n_interfaces;
	struct ifinfomsg ifi;
	const void *mac, *name;
	size_t mac_size = 0, name_size = 0;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(ifi)))
		return 0;
	memcpy(&ifi, rtnl_payload(h), sizeof(ifi));
	mac = rtnl_find(h, sizeof(ifi), IFLA_ADDRESS, &mac_size);
	name = rtnl_find(h, sizeof(ifi), IFLA_IFNAME, &name_size);
	if (mac == NULL || mac_size != NET_MAC_SIZE || name == NULL || name_size == 0 || name_size > NET_NAME_SIZE)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct card *card = &g->cards[i];

		if (card->index != 0 || !is_card(g, i, mac))
			continue;
		card->index = ifi.ifi_index;
		memcpy(card->name, name, name_size);
		card->name[NET_NAME_SIZE - 1] = '\0';
		break;
	}
	return 0;
}

static int find_cards(struct guest_net *g)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	int r = -EINTR;

	for (unsigned int i = 0; i < TRIES && r == -EINTR; i++) {
		struct rtnl_message m;

		memset(g->cards, 0, sizeof(g->cards));
		rtnl_begin(&m, RTM_GETLINK, 0, &ifi, sizeof(ifi));
		r = rtnl_dump(g->fd, &m, take_card, g);
	}
	if (r < 0)
		return ERR(r, "cannot list the network cards of the guest");
	for (size_t i = 0; i < g->c->n_interfaces; i++) {
		char mac[NET_MAC_TEXT];

		net_mac_print(g->c->interfaces[i].mac, mac);
		if (g->cards[i].index == 0)
			return ERR_PLAIN(-ENODEV, "the guest has no network card %s for \"%s\"", mac,
					 g->c->interfaces[i].name);
	}
	return 0;
}

static int rename_card(struct guest_net *g, struct card *card, const char *name)
{
	const struct ifinfomsg ifi = { .ifi_index = card->index };
	struct rtnl_message m;
	int r;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put_string(&m, IFLA_IFNAME, name);
	r = rtnl_talk(g->fd, &m);
	if (r < 0)
		return ERR(r, "cannot rename the guest's network card \"%s\" to \"%s\"", card->name, name);
	(void)snprintf(card->name, sizeof(card->name), "%s", name);
	return 0;
}

/* Those with another name step aside first: two cards may have each other's. */
static int name_cards(struct guest_net *g)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->c->n_interfaces; i++) {
		char aside[NET_NAME_SIZE];

		(void)snprintf(aside, sizeof(aside), "nacre_card%u", (unsigned int)i);
		if (!str_eq(g->cards[i].name, g->c->interfaces[i].name))
			r = rename_card(g, &g->cards[i], aside);
	}
	for (size_t i = 0; r >= 0 && i < g->c->n_interfaces; i++)
		if (!str_eq(g->cards[i].name, g->c->interfaces[i].name))
			r = rename_card(g, &g->cards[i], g->c->interfaces[i].name);
	return r;
}

/* ---- an interface ---- */

static bool has_ipv6(const char *interface)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s", interface);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

static int set_ipv6(const char *interface, const char *key, unsigned int value)
{
	char path[128], text[12];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface, key);
	(void)snprintf(text, sizeof(text), "%u", value);
	r = file_write_value(AT_FDCWD, path, text);
	return r < 0 ? ERR(r, "cannot write %s to %s", text, path) : 0;
}

/* IN6_ADDR_GEN_MODE_NONE before it is up: its link-local address is among the others, or there is to be none. */
static int no_link_local(struct guest_net *g, const struct card *card)
{
	const struct ifinfomsg ifi = { .ifi_index = card->index };
	const uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct rtnl_message m;
	size_t spec, inet6;
	int r;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	spec = rtnl_nest_open(&m, IFLA_AF_SPEC);
	inet6 = rtnl_nest_open(&m, AF_INET6);
	rtnl_put(&m, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	rtnl_nest_close(&m, inet6);
	rtnl_nest_close(&m, spec);
	r = rtnl_talk(g->fd, &m);
	return r < 0 ? ERR(r, "cannot set the IPv6 address mode of \"%s\"", card->name) : 0;
}

static int prepare_ipv6(struct guest_net *g, const struct net_interface *i, const struct card *card)
{
	int r;

	/* Without IPv6 in the kernel, or with an MTU below its least, it is off by itself. */
	if (!i->ipv6)
		return has_ipv6(i->name) ? set_ipv6(i->name, "disable_ipv6", 1) : 0;
	if (!has_ipv6(i->name))
		return ERR_PLAIN(-EAFNOSUPPORT, "the guest's kernel has no IPv6, and \"%s\" has it on the host", i->name);
	r = set_ipv6(i->name, "disable_ipv6", 0);
	if (r >= 0)
		r = set_ipv6(i->name, "accept_ra", i->accept_ra);
	if (r >= 0)
		r = set_ipv6(i->name, "autoconf", i->autoconf ? 1 : 0);
	if (r >= 0 && !i->link_local)
		r = no_link_local(g, card);
	return r;
}

static int set_mac(struct guest_net *g, const struct net_interface *i, const struct card *card)
{
	const struct ifinfomsg ifi = { .ifi_index = card->index };
	struct rtnl_message m;
	int r;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put(&m, IFLA_ADDRESS, i->mac, sizeof(i->mac));
	r = rtnl_talk(g->fd, &m);
	return r < 0 ? ERR(r, "cannot give the guest's network card the MAC address of \"%s\"", i->name) : 0;
}

static int set_mtu(struct guest_net *g, const struct net_interface *i, const struct card *card)
{
	const struct ifinfomsg ifi = { .ifi_index = card->index };
	struct rtnl_message m;
	int r;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put_u32(&m, IFLA_MTU, i->mtu);
	r = rtnl_talk(g->fd, &m);
	return r < 0 ? ERR(r, "cannot set the MTU of \"%s\" to %u", i->name, i->mtu) : 0;
}

static int set_up(struct guest_net *g, const struct card *card)
{
	const struct ifinfomsg ifi = { .ifi_index = card->index, .ifi_change = IFF_UP, .ifi_flags = IFF_UP };
	struct rtnl_message m;
	int r;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	r = rtnl_talk(g->fd, &m);
	return r < 0 ? ERR(r, "cannot set \"%s\" up", card->name) : 0;
}

static void put_ip(struct rtnl_message *m, uint16_t type, const struct net_ip *ip)
{
	if (ip->family != 0)
		rtnl_put(m, type, ip->bytes, net_ip_size(ip->family));
}

static int add_address(struct guest_net *g, const struct net_address *a)
{
	const struct card *card = &g->cards[a->interface];
	const struct ifaddrmsg ifa = {
		.ifa_family = a->ip.family,
		.ifa_prefixlen = a->prefix,
		.ifa_scope = a->scope,
		.ifa_index = (uint32_t)card->index,
	};
	const struct ifa_cacheinfo times = { .ifa_prefered = a->deprecated ? 0 : FOREVER, .ifa_valid = FOREVER };
	struct rtnl_message m;
	char text[INET6_ADDRSTRLEN];
	uint32_t flags = 0;
	int r;

	if (a->ip.family == AF_INET6)
		flags |= IFA_F_NODAD;
	if (a->no_prefix_route)
		flags |= IFA_F_NOPREFIXROUTE;
	rtnl_begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &ifa, sizeof(ifa));
	put_ip(&m, IFA_LOCAL, &a->ip);
	put_ip(&m, IFA_ADDRESS, a->peer.family != 0 ? &a->peer : &a->ip);
	put_ip(&m, IFA_BROADCAST, &a->broadcast);
	rtnl_put_u32(&m, IFA_FLAGS, flags);
	if (a->metric != 0)
		rtnl_put_u32(&m, IFA_RT_PRIORITY, a->metric);
	rtnl_put(&m, IFA_CACHEINFO, &times, sizeof(times));
	r = rtnl_talk(g->fd, &m);
	net_ip_print(&a->ip, text);
	return r < 0 ? ERR(r, "cannot give \"%s\" the address %s/%u", card->name, text, a->prefix) : 0;
}

static int add_neighbour(struct guest_net *g, const struct net_neighbour *n)
{
	const struct card *card = &g->cards[n->interface];
	const struct ndmsg ndm = {
		.ndm_family = n->ip.family,
		.ndm_ifindex = card->index,
		.ndm_state = NUD_PERMANENT,
	};
	struct rtnl_message m;
	char text[INET6_ADDRSTRLEN];
	int r;

	rtnl_begin(&m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &ndm, sizeof(ndm));
	put_ip(&m, NDA_DST, &n->ip);
	rtnl_put(&m, NDA_LLADDR, n->mac, sizeof(n->mac));
	r = rtnl_talk(g->fd, &m);
	net_ip_print(&n->ip, text);
	return r < 0 ? ERR(r, "cannot give \"%s\" the neighbour %s", card->name, text) : 0;
}

static int configure_card(struct guest_net *g, size_t n)
{
	const struct net_interface *i = &g->c->interfaces[n];
	int r = g->late ? set_mac(g, i, &g->cards[n]) : 0;

	if (r >= 0)
		r = set_mtu(g, i, &g->cards[n]);
	if (r >= 0)
		r = prepare_ipv6(g, i, &g->cards[n]);
	if (r >= 0)
		r = set_up(g, &g->cards[n]);
	for (size_t k = 0; r >= 0 && k < g->c->n_addresses; k++)
		if (g->c->addresses[k].interface == n)
			r = add_address(g, &g->c->addresses[k]);
	return r;
}

/* ---- routes ---- */

static void put_gateway(struct rtnl_message *m, const struct net_route *r, const struct net_hop *h)
{
	size_t size = net_ip_size(h->gateway.family);
	uint8_t via[sizeof(struct rtvia) + sizeof(h->gateway.bytes)] = { 0 };
	uint16_t family = h->gateway.family;

	if (size == 0)
		return;
	if (family == r->family) {
		rtnl_put(m, RTA_GATEWAY, h->gateway.bytes, size);
		return;
	}
	memcpy(via, &family, sizeof(family));
	memcpy(via + sizeof(struct rtvia), h->gateway.bytes, size);
	rtnl_put(m, RTA_VIA, via, sizeof(struct rtvia) + size);
}

static void put_hops(struct guest_net *g, struct rtnl_message *m, const struct net_route *r)
{
	size_t nest = rtnl_nest_open(m, RTA_MULTIPATH);

	for (size_t i = 0; i < r->n_hops; i++) {
		const struct net_hop *h = &r->hops[i];
		struct rtnexthop hop = {
			.rtnh_flags = h->onlink ? RTNH_F_ONLINK : 0,
			.rtnh_hops = h->weight,
			.rtnh_ifindex = g->cards[h->interface].index,
		};
		uint8_t *place = rtnl_put_raw(m, &hop, sizeof(hop));

		put_gateway(m, r, h);
		if (place == NULL || m->bad)
			return;
		hop.rtnh_len = (uint16_t)(m->bytes + m->header.nlmsg_len - place);
		memcpy(place, &hop, sizeof(hop));
	}
	rtnl_nest_close(m, nest);
}

static void put_metrics(struct rtnl_message *m, const struct net_route *r)
{
	size_t nest;

	if (r->mtu == 0 && r->advmss == 0)
		return;
	nest = rtnl_nest_open(m, RTA_METRICS);
	if (r->mtu != 0)
		rtnl_put_u32(m, RTAX_MTU, r->mtu);
	if (r->advmss != 0)
		rtnl_put_u32(m, RTAX_ADVMSS, r->advmss);
	rtnl_nest_close(m, nest);
}

static int add_route(struct guest_net *g, const struct net_route *r)
{
	const struct rtmsg rtm = {
		.rtm_family = r->family,
		.rtm_dst_len = r->prefix,
		.rtm_tos = r->tos,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = r->protocol,
		.rtm_scope = r->scope,
		.rtm_type = r->type,
		.rtm_flags = r->n_hops == 1 && r->hops[0].onlink ? RTNH_F_ONLINK : 0,
	};
	struct rtnl_message m;
	char text[INET6_ADDRSTRLEN];
	int err;

	/* Appended, not replaced: two interfaces may have the same destination. */
	rtnl_begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, &rtm, sizeof(rtm));
	if (r->prefix > 0)
		put_ip(&m, RTA_DST, &r->dst);
	put_ip(&m, RTA_PREFSRC, &r->source);
	if (r->metric != 0)
		rtnl_put_u32(&m, RTA_PRIORITY, r->metric);
	put_metrics(&m, r);
	if (r->n_hops == 1) {
		rtnl_put_u32(&m, RTA_OIF, (uint32_t)g->cards[r->hops[0].interface].index);
		put_gateway(&m, r, &r->hops[0]);
	} else if (r->n_hops > 1) {
		put_hops(g, &m, r);
	}
	err = rtnl_talk(g->fd, &m);
	net_ip_print(&r->dst, text);
	/* EEXIST: the very same route is there. */
	return err < 0 && err != -EEXIST ? ERR(err, "cannot add the route to %s/%u", text, r->prefix) : 0;
}

static bool has_gateway(const struct net_route *r)
{
	for (size_t i = 0; i < r->n_hops; i++)
		if (r->hops[i].gateway.family != 0)
			return true;
	return false;
}

static int add_routes(struct guest_net *g, bool with_gateway)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->c->n_routes; i++)
		if (has_gateway(&g->c->routes[i]) == with_gateway)
			r = add_route(g, &g->c->routes[i]);
	return r;
}

/* Its device is still there, and nobody's. */
static int unbind(const struct card *card)
{
	char path[64], target[256];
	const char *name;
	ssize_t n;
	int r;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/device", card->name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return ERR(-errno, "cannot tell which device the guest's network card \"%s\" is", card->name);
	target[n] = '\0';
	name = strrchr(target, '/');
	r = file_write_value(AT_FDCWD, DRIVER "/unbind", name != NULL ? name + 1 : target);
	return r < 0 ? ERR(r, "cannot take the guest's network card \"%s\" away", card->name) : 0;
}

/* A device that was moved has lost its addresses and routes. */
static int move_cards(struct guest_net *g, int ns)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->c->n_interfaces; i++) {
		const struct ifinfomsg ifi = { .ifi_index = g->cards[i].index };
		struct rtnl_message m;

		rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
		rtnl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)ns);
		r = rtnl_talk(g->fd, &m);
		if (r < 0)
			return ERR(r, "cannot move the guest's network card \"%s\" to the container", g->cards[i].name);
	}
	fd_close(&g->fd);
	if (setns(ns, CLONE_NEWNET) < 0)
		return ERR(-errno, "cannot enter the container's network namespace");
	g->fd = rtnl_open();
	return g->fd < 0 ? ERR(g->fd, "cannot open a netlink socket") : find_cards(g);
}

static int apply(struct guest_net *g, int ns)
{
	const struct net_config *c = g->c;
	int r = find_cards(g);

	for (size_t i = c->n_interfaces; r >= 0 && g->late && i < NET_INTERFACES_MAX; i++)
		r = g->cards[i].index != 0 ? unbind(&g->cards[i]) : 0;
	if (r >= 0 && ns >= 0)
		r = move_cards(g, ns);
	if (r >= 0)
		r = netlink_loopback_up();
	if (r >= 0)
		r = name_cards(g);
	for (size_t i = 0; r >= 0 && i < c->n_interfaces; i++)
		r = configure_card(g, i);
	if (r >= 0)
		r = add_routes(g, false);
	if (r >= 0)
		r = add_routes(g, true);
	for (size_t i = 0; r >= 0 && i < c->n_neighbours; i++)
		r = add_neighbour(g, &c->neighbours[i]);
	return r;
}

static int open_and_apply(const struct net_config *c, bool late, int ns)
{
	struct guest_net g = { .fd = rtnl_open(), .c = c, .late = late };
	int r = g.fd < 0 ? ERR(g.fd, "cannot open a netlink socket") : apply(&g, ns);

	fd_close(&g.fd);
	return r;
}

int guest_net_apply(const struct net_config *c)
{
	return open_and_apply(c, false, FD_NONE);
}

int guest_net_move(const struct net_config *c, int ns)
{
	return open_and_apply(c, false, ns);
}

int guest_net_apply_late(const struct net_config *c, int ns)
{
	return open_and_apply(c, true, ns);
}
