/* SPDX-License-Identifier: Apache-2.0 */
/* See net_config.h. Nothing here asks the kernel: the guest's program has this file, too. */
#include "namespaces/net_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

size_t net_ip_size(uint8_t family)
{
	switch (family) {
	case AF_INET:
		return sizeof(struct in_addr);
	case AF_INET6:
		return sizeof(struct in6_addr);
	default:
		return 0;
	}
}

bool net_ip_equal(const struct net_ip *a, const struct net_ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, net_ip_size(a->family)) == 0;
}

bool net_ip_is_link_local(const struct net_ip *ip)
{
	return ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool net_ip_same_prefix(const struct net_ip *a, const struct net_ip *b, uint8_t prefix)
{
	size_t whole = prefix / 8;
	unsigned int rest = prefix % 8U;

	if (a->family != b->family || prefix > net_ip_size(a->family) * 8)
		return false;
	if (memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

int net_ip_parse(const char *text, struct net_ip *ret)
{
	struct net_ip ip = { .family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET };

	if (inet_pton(ip.family, text, ip.bytes) != 1)
		return -EINVAL;
	*ret = ip;
	return 0;
}

void net_ip_print(const struct net_ip *ip, char ret_text[INET6_ADDRSTRLEN])
{
	if (net_ip_size(ip->family) == 0 || inet_ntop(ip->family, ip->bytes, ret_text, INET6_ADDRSTRLEN) == NULL)
		ret_text[0] = '\0';
}

bool net_mac_valid(const uint8_t mac[NET_MAC_SIZE])
{
	static const uint8_t zero[NET_MAC_SIZE];

	return (mac[0] & 1) == 0 && memcmp(mac, zero, NET_MAC_SIZE) != 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int net_mac_parse(const char *text, uint8_t ret_mac[NET_MAC_SIZE])
{
	uint8_t mac[NET_MAC_SIZE];

	if (strlen(text) != NET_MAC_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < NET_MAC_SIZE; i++) {
		int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i + 1 < NET_MAC_SIZE && text[3 * i + 2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(high * 16 + low);
	}
	if (!net_mac_valid(mac))
		return -EINVAL;
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}

void net_mac_spare(unsigned int n, uint8_t ret_mac[NET_MAC_SIZE])
{
	/* Locally administered; no frame ever has it. */
	const uint8_t mac[NET_MAC_SIZE] = { 0x02, 'n', 'a', 'c', 'r', (uint8_t)n };

	memcpy(ret_mac, mac, sizeof(mac));
}

void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char ret_text[NET_MAC_TEXT])
{
	(void)snprintf(ret_text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		       mac[5]);
}

bool net_name_valid(const char *name)
{
	static const char *const others[] = { ".", "..", "lo", "all", "default" };
	size_t len = strlen(name);

	if (len == 0 || len >= NET_NAME_SIZE || str_in(name, others, ARRAY_SIZE(others)))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		/* The kernel: no '/', ':' or space. Ours: printable, or it could not be named in a text. */
		if (c <= ' ' || c >= 0x7f || c == '/' || c == ':' || c == '%')
			return false;
	}
	return true;
}

/* Is r what the kernel adds by itself for the address a? */
static bool is_prefix_route(const struct net_route *r, const struct net_address *a)
{
	const struct net_ip *net = a->peer.family != 0 ? &a->peer : &a->ip;

	return r->protocol == RTPROT_KERNEL && r->type == RTN_UNICAST && r->n_hops == 1 &&
	       r->hops[0].interface == a->interface && r->hops[0].gateway.family == 0 && r->prefix == a->prefix &&
	       net_ip_same_prefix(&r->dst, net, a->prefix);
}

static bool has_prefix_route(const struct net_config *c, const struct net_address *a)
{
	/* The kernel makes none for a single IPv4 address. */
	if (a->ip.family == AF_INET && a->prefix == 32 && a->peer.family == 0)
		return true;
	for (size_t i = 0; i < c->n_routes; i++)
		if (is_prefix_route(&c->routes[i], a))
			return true;
	return false;
}

/* A peer has a route of its own in IPv6, beside the one of the address. */
static bool is_own_route(const struct net_route *r, const struct net_address *a)
{
	return r->protocol == RTPROT_KERNEL && r->n_hops == 1 && r->hops[0].interface == a->interface &&
	       r->hops[0].gateway.family == 0 && a->ip.family == AF_INET6 && r->prefix == 128 &&
	       net_ip_equal(&r->dst, &a->ip);
}

static bool made_by_kernel(const struct net_config *c, const struct net_route *r)
{
	for (size_t i = 0; i < c->n_addresses; i++)
		if (is_prefix_route(r, &c->addresses[i]) || is_own_route(r, &c->addresses[i]))
			return true;
	return false;
}

/* The link-local prefix's route comes with an address that the guest's kernel will make. */
static bool made_with_link_local(const struct net_config *c, const struct net_route *r)
{
	return r->protocol == RTPROT_KERNEL && r->family == AF_INET6 && net_ip_is_link_local(&r->dst) &&
	       r->n_hops == 1 && c->interfaces[r->hops[0].interface].link_local;
}

void net_config_settle(struct net_config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_addresses; i++) {
		struct net_address *a = &c->addresses[i];

		if (a->ip.family == AF_INET6 && net_ip_is_link_local(&a->ip))
			c->interfaces[a->interface].link_local = false;
		if (!has_prefix_route(c, a))
			a->no_prefix_route = true;
	}
	for (size_t i = 0; i < c->n_routes; i++)
		if (!made_by_kernel(c, &c->routes[i]) && !made_with_link_local(c, &c->routes[i]))
			c->routes[n++] = c->routes[i];
	c->n_routes = n;
}

int net_config_check_unique(const struct net_config *c)
{
	for (size_t i = 0; i < c->n_interfaces; i++)
		for (size_t k = i + 1; k < c->n_interfaces; k++) {
			const struct net_interface *a = &c->interfaces[i], *b = &c->interfaces[k];

			if (str_eq(a->name, b->name))
				return ERR_PLAIN(-ENOTSUP, "there are two network interfaces \"%s\"", a->name);
			if (memcmp(a->mac, b->mac, NET_MAC_SIZE) == 0)
				return ERR_PLAIN(-ENOTSUP,
						 "the network interfaces \"%s\" and \"%s\" have the same MAC address, "
						 "by which a microVM tells them apart",
						 a->name, b->name);
		}
	return 0;
}
