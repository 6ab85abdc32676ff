/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a network namespace, as data: what an engine (netavark, CNI, a
 * hand) has set up there, so that a microVM's kernel can be given the same.
 *
 * Carried: each interface but lo that is up and Ethernet, with its addresses; the routes
 * of the main table; neighbours that never expire. Left to the guest's kernel, which does
 * the same work with the same MAC: prefix routes of addresses, what router advertisements
 * bring, privacy addresses. What is there and cannot be carried (other kinds of interface,
 * routing rules, encapsulation) is refused, so that no network half works. Packet filter rules are
 * not looked at, nor is what only tunes a route (window, hop limit…) or names an address (label).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_INTERFACES_MAX 16
#define NET_ADDRESSES_MAX 64
#define NET_ROUTES_MAX 256
#define NET_HOPS_MAX 4		/* of one route */
#define NET_NEIGHBOURS_MAX 64
#define NET_NAME_SIZE 16		/* IFNAMSIZ: <net/if.h> and <linux/if.h> do not go together in every file */
#define NET_MAC_SIZE 6
#define NET_MAC_TEXT 18
#define NET_MTU_MIN 68		/* IPv4's least */
#define NET_MTU_MAX 65521		/* a tap's most */

/* family 0: none. Bytes beyond the family's size are 0. */
struct net_ip {
	uint8_t family;		/* AF_INET, AF_INET6 */
	uint8_t bytes[16];
};

struct net_interface {
	char name[NET_NAME_SIZE];
	uint8_t mac[NET_MAC_SIZE];
	uint32_t mtu;
	bool ipv6;		/* IPv6 is on */
	bool link_local;	/* the kernel makes the link-local address: none is among the addresses */
	bool autoconf;		/* addresses from router advertisements */
	uint8_t accept_ra;	/* as the sysctl: 0, 1, 2 */
	/* Where it was read; not part of the description. */
	int index;		/* ifindex */
	bool all_multicast;	/* IFF_ALLMULTI */
};

struct net_address {
	size_t interface;	/* index into interfaces */
	struct net_ip ip;
	struct net_ip peer;	/* of a point-to-point address */
	struct net_ip broadcast;
	uint8_t prefix;
	uint8_t scope;		/* RT_SCOPE_* */
	bool deprecated;	/* not chosen as a source */
	bool no_prefix_route;	/* the kernel adds no route to the prefix */
	uint32_t metric;	/* of the prefix route; 0: the kernel's own */
};

struct net_hop {
	size_t interface;
	struct net_ip gateway;	/* may be IPv6 for an IPv4 route */
	bool onlink;
	uint8_t weight;		/* rtnh_hops: the weight less one */
};

struct net_route {
	uint8_t family;
	uint8_t type;		/* RTN_UNICAST; RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT have no hops */
	uint8_t protocol;	/* RTPROT_* */
	uint8_t scope;
	uint8_t tos;
	uint8_t prefix;		/* of dst; 0 with dst all 0: the default route */
	struct net_ip dst;
	struct net_ip source;	/* the preferred source address */
	uint32_t metric;
	uint32_t mtu, advmss;	/* 0: none */
	struct net_hop hops[NET_HOPS_MAX];
	size_t n_hops;
};

struct net_neighbour {
	size_t interface;
	struct net_ip ip;
	uint8_t mac[NET_MAC_SIZE];
};

/* About 50 KiB: not for a stack. */
struct net_config {
	struct net_interface interfaces[NET_INTERFACES_MAX];
	size_t n_interfaces;
	struct net_address addresses[NET_ADDRESSES_MAX];
	size_t n_addresses;
	struct net_route routes[NET_ROUTES_MAX];
	size_t n_routes;
	struct net_neighbour neighbours[NET_NEIGHBOURS_MAX];
	size_t n_neighbours;
	/* While it is read: nacre's taps are passed over; else they are -EBUSY. */
	bool beside_taps;
};

/*
 * Reads the current network namespace (netlink_config.c). -ENOTSUP: something there cannot
 * be carried; -E2BIG: more than the bounds above; -EBUSY: another microVM serves it. With a text.
 */
int net_config_read(struct net_config *ret);

/* The same in a namespace whose taps of nacre's are the caller's own: they are passed over. */
int net_config_read_beside_taps(struct net_config *ret);

/* ---- pure ---- */

/* 4 or 16; 0 for what is neither family. */
size_t net_ip_size(uint8_t family);
bool net_ip_equal(const struct net_ip *a, const struct net_ip *b);
bool net_ip_is_link_local(const struct net_ip *ip);
/* Are the first prefix bits the same, in the same family? */
bool net_ip_same_prefix(const struct net_ip *a, const struct net_ip *b, uint8_t prefix);
/* Text of either family. -EINVAL, no error text. */
int net_ip_parse(const char *text, struct net_ip *ret);
void net_ip_print(const struct net_ip *ip, char ret_text[INET6_ADDRSTRLEN]);

/* "02:00:00:00:00:01"; no group address, not all zero. -EINVAL, no error text. */
int net_mac_parse(const char *text, uint8_t ret_mac[NET_MAC_SIZE]);
bool net_mac_valid(const uint8_t mac[NET_MAC_SIZE]);
void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char ret_text[NET_MAC_TEXT]);
/* Of the network card number n of a guest that waits for an interface (net_tap_spare()), until it gets that one's. */
void net_mac_spare(unsigned int n, uint8_t ret_mac[NET_MAC_SIZE]);

/* What the kernel takes for the name of an interface; "lo" and "all", "default" (folders of sysctls) are none of ours. */
bool net_name_valid(const char *name);

/*
 * After the raw reading: takes out the prefix routes that the kernel makes from the addresses, and marks
 * the addresses whose prefix route somebody has removed (CNI's ptp plugin does).
 */
void net_config_settle(struct net_config *c);

/* Interfaces are told apart by name and by MAC: -ENOTSUP with a text when two share one. */
int net_config_check_unique(const struct net_config *c);
