/* SPDX-License-Identifier: Apache-2.0 */
/* See net_wire.h. */
#include "runtime/net_wire.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "namespaces/net_config.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

#define PREFIX_TEXT (INET6_ADDRSTRLEN + 4)

static const struct {
	const char *word;
	uint8_t type;
} route_types[] = {
	{ "unicast", RTN_UNICAST },
	{ "blackhole", RTN_BLACKHOLE },
	{ "unreachable", RTN_UNREACHABLE },
	{ "prohibit", RTN_PROHIBIT },
};

/* ---- writing ---- */

static void write_ip(struct json_writer *w, const char *key, const struct net_ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (ip->family == 0)
		return;
	net_ip_print(ip, text);
	json_kv_string(w, key, text);
}

static void write_prefix(struct json_writer *w, const char *key, const struct net_ip *ip, uint8_t prefix)
{
	char ip_text[INET6_ADDRSTRLEN], text[PREFIX_TEXT];

	net_ip_print(ip, ip_text);
	(void)snprintf(text, sizeof(text), "%s/%u", ip_text, prefix);
	json_kv_string(w, key, text);
}

static void write_mac(struct json_writer *w, const uint8_t mac[NET_MAC_SIZE])
{
	char text[NET_MAC_TEXT];

	net_mac_print(mac, text);
	json_kv_string(w, "mac", text);
}

static void write_number(struct json_writer *w, const char *key, uint32_t v)
{
	if (v != 0)
		json_kv_uint(w, key, v);
}

static void write_true(struct json_writer *w, const char *key, bool v)
{
	if (v)
		json_kv_bool(w, key, true);
}

static void write_interface(struct json_writer *w, const struct net_interface *i)
{
	json_object_open(w);
	json_kv_string(w, "name", i->name);
	write_mac(w, i->mac);
	json_kv_uint(w, "mtu", i->mtu);
	json_kv_bool(w, "ipv6", i->ipv6);
	json_kv_bool(w, "linkLocal", i->link_local);
	json_kv_bool(w, "autoconf", i->autoconf);
	json_kv_uint(w, "acceptRa", i->accept_ra);
	json_object_close(w);
}

static void write_address(struct json_writer *w, const struct net_config *c, const struct net_address *a)
{
	json_object_open(w);
	json_kv_string(w, "interface", c->interfaces[a->interface].name);
	write_prefix(w, "address", &a->ip, a->prefix);
	write_ip(w, "peer", &a->peer);
	write_ip(w, "broadcast", &a->broadcast);
	write_number(w, "scope", a->scope);
	write_true(w, "deprecated", a->deprecated);
	write_true(w, "noPrefixRoute", a->no_prefix_route);
	write_number(w, "metric", a->metric);
	json_object_close(w);
}

static void write_hop(struct json_writer *w, const struct net_config *c, const struct net_hop *h)
{
	json_object_open(w);
	json_kv_string(w, "interface", c->interfaces[h->interface].name);
	write_ip(w, "gateway", &h->gateway);
	write_true(w, "onlink", h->onlink);
	write_number(w, "weight", h->weight);
	json_object_close(w);
}

static void write_route(struct json_writer *w, const struct net_config *c, const struct net_route *r)
{
	json_object_open(w);
	write_prefix(w, "destination", &r->dst, r->prefix);
	for (size_t i = 0; i < ARRAY_SIZE(route_types); i++)
		if (r->type == route_types[i].type && r->type != RTN_UNICAST)
			json_kv_string(w, "type", route_types[i].word);
	json_kv_uint(w, "protocol", r->protocol);
	json_kv_uint(w, "scope", r->scope);
	write_number(w, "tos", r->tos);
	write_ip(w, "source", &r->source);
	write_number(w, "metric", r->metric);
	write_number(w, "mtu", r->mtu);
	write_number(w, "advmss", r->advmss);
	if (r->n_hops > 0) {
		json_key(w, "hops");
		json_array_open(w);
		for (size_t i = 0; i < r->n_hops; i++)
			write_hop(w, c, &r->hops[i]);
		json_array_close(w);
	}
	json_object_close(w);
}

static void write_neighbour(struct json_writer *w, const struct net_config *c, const struct net_neighbour *n)
{
	json_object_open(w);
	json_kv_string(w, "interface", c->interfaces[n->interface].name);
	write_ip(w, "address", &n->ip);
	write_mac(w, n->mac);
	json_object_close(w);
}

void net_wire_write(struct json_writer *w, const struct net_config *c)
{
	json_object_open(w);
	json_key(w, "interfaces");
	json_array_open(w);
	for (size_t i = 0; i < c->n_interfaces; i++)
		write_interface(w, &c->interfaces[i]);
	json_array_close(w);
	json_key(w, "addresses");
	json_array_open(w);
	for (size_t i = 0; i < c->n_addresses; i++)
		write_address(w, c, &c->addresses[i]);
	json_array_close(w);
	json_key(w, "routes");
	json_array_open(w);
	for (size_t i = 0; i < c->n_routes; i++)
		write_route(w, c, &c->routes[i]);
	json_array_close(w);
	json_key(w, "neighbours");
	json_array_open(w);
	for (size_t i = 0; i < c->n_neighbours; i++)
		write_neighbour(w, c, &c->neighbours[i]);
	json_array_close(w);
	json_object_close(w);
}

/* ---- reading ---- */

struct reader {
	struct arena *arena;
	const char *name;
	struct net_config *c;
};

static int bad(const struct reader *r, const struct json *j, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int bad(const struct reader *r, const struct json *j, const char *fmt, ...)
{
	const char *path = json_path(r->arena, j);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ERR_PLAIN(-EINVAL, "%s: %s: %s", r->name, path, text);
}

/* An object that has no other properties than these. */
static int check_object(const struct reader *r, const struct json *j, const char *const *keys, size_t n)
{
	if (j->type != JSON_OBJECT)
		return bad(r, j, "must be an object, not %s", json_type_name(j->type));
	for (const struct json *m = j->child; m != NULL; m = m->next)
		if (!str_in(m->key, keys, n))
			return bad(r, m, "is not a property of a network description");
	return 0;
}

/* The property, *ret_j NULL when it is absent and need not be there. */
static int member(const struct reader *r, const struct json *o, const char *key, enum json_type type,
		  const struct json **ret_j)
{
	const struct json *j = json_member(o, key);

	*ret_j = j;
	if (j != NULL && j->type != type)
		return bad(r, j, "must be %s, not %s", json_type_name(type), json_type_name(j->type));
	return 0;
}

static int required(const struct reader *r, const struct json *o, const char *key, enum json_type type,
		    const struct json **ret_j)
{
	int err = member(r, o, key, type, ret_j);

	if (err < 0)
		return err;
	return *ret_j == NULL ? bad(r, o, "\"%s\" is missing", key) : 0;
}

static int read_bool(const struct reader *r, const struct json *o, const char *key, bool *ret)
{
	const struct json *j;
	int err = member(r, o, key, JSON_BOOL, &j);

	if (err >= 0 && j != NULL)
		*ret = j->boolean;
	return err;
}

static int read_u32(const struct reader *r, const struct json *o, const char *key, uint32_t max, uint32_t *ret)
{
	const struct json *j;
	uint64_t v;
	int err = member(r, o, key, JSON_NUMBER, &j);

	if (err < 0 || j == NULL)
		return err;
	if (parse_u64(j->text, 0, max, &v) < 0)
		return bad(r, j, "must be an integer from 0 to %u", max);
	*ret = (uint32_t)v;
	return 0;
}

static int read_u8(const struct reader *r, const struct json *o, const char *key, uint8_t max, uint8_t *ret)
{
	uint32_t v = *ret;
	int err = read_u32(r, o, key, max, &v);

	*ret = (uint8_t)v;
	return err;
}

/* family: the one it must have; 0: either. */
static int read_ip(const struct reader *r, const struct json *o, const char *key, uint8_t family, struct net_ip *ret)
{
	const struct json *j;
	int err = member(r, o, key, JSON_STRING, &j);

	if (err < 0 || j == NULL)
		return err;
	if (net_ip_parse(j->text, ret) < 0)
		return bad(r, j, "must be an IP address, not %s", json_quote(r->arena, j->text));
	if (family != 0 && ret->family != family)
		return bad(r, j, "must be an %s address", family == AF_INET ? "IPv4" : "IPv6");
	return 0;
}

static int read_prefix(const struct reader *r, const struct json *o, const char *key, struct net_ip *ret_ip,
		       uint8_t *ret_prefix)
{
	const struct json *j;
	const char *slash;
	char text[INET6_ADDRSTRLEN] = "";
	uint64_t prefix;
	int err = required(r, o, key, JSON_STRING, &j);

	if (err < 0)
		return err;
	slash = strchr(j->text, '/');
	if (slash != NULL && (size_t)(slash - j->text) < sizeof(text))
		memcpy(text, j->text, (size_t)(slash - j->text));
	if (slash == NULL || net_ip_parse(text, ret_ip) < 0 ||
	    parse_u64(slash + 1, 0, net_ip_size(ret_ip->family) * 8, &prefix) < 0)
		return bad(r, j, "must be ADDRESS/LENGTH, not %s", json_quote(r->arena, j->text));
	*ret_prefix = (uint8_t)prefix;
	return 0;
}

static int read_mac(const struct reader *r, const struct json *o, uint8_t ret[NET_MAC_SIZE])
{
	const struct json *j;
	int err = required(r, o, "mac", JSON_STRING, &j);

	if (err < 0)
		return err;
	if (net_mac_parse(j->text, ret) < 0)
		return bad(r, j, "must be the MAC address of one card, not %s", json_quote(r->arena, j->text));
	return 0;
}

static int read_interface_ref(const struct reader *r, const struct json *o, size_t *ret)
{
	const struct json *j;
	int err = required(r, o, "interface", JSON_STRING, &j);

	if (err < 0)
		return err;
	for (size_t i = 0; i < r->c->n_interfaces; i++)
		if (str_eq(r->c->interfaces[i].name, j->text)) {
			*ret = i;
			return 0;
		}
	return bad(r, j, "%s is not among the interfaces", json_quote(r->arena, j->text));
}

static int read_interface(const struct reader *r, const struct json *o)
{
	static const char *const keys[] = { "name", "mac", "mtu", "ipv6", "linkLocal", "autoconf", "acceptRa" };
	struct net_interface *i = &r->c->interfaces[r->c->n_interfaces];
	const struct json *j;
	uint32_t accept_ra = 0;
	int err = check_object(r, o, keys, ARRAY_SIZE(keys));

	if (err >= 0)
		err = required(r, o, "name", JSON_STRING, &j);
	if (err < 0)
		return err;
	if (!net_name_valid(j->text))
		return bad(r, j, "%s is not the name of an interface", json_quote(r->arena, j->text));
	(void)snprintf(i->name, sizeof(i->name), "%s", j->text);
	err = read_mac(r, o, i->mac);
	if (err >= 0)
		err = read_u32(r, o, "mtu", NET_MTU_MAX, &i->mtu);
	if (err >= 0 && i->mtu < NET_MTU_MIN)
		err = bad(r, o, "\"mtu\" must be at least %d", NET_MTU_MIN);
	if (err >= 0)
		err = read_bool(r, o, "ipv6", &i->ipv6);
	if (err >= 0)
		err = read_bool(r, o, "linkLocal", &i->link_local);
	if (err >= 0)
		err = read_bool(r, o, "autoconf", &i->autoconf);
	if (err >= 0)
		err = read_u32(r, o, "acceptRa", 2, &accept_ra);
	i->accept_ra = (uint8_t)accept_ra;
	r->c->n_interfaces++;
	return err;
}

static int read_address(const struct reader *r, const struct json *o)
{
	static const char *const keys[] = { "interface", "address", "peer", "broadcast", "scope", "deprecated",
					    "noPrefixRoute", "metric" };
	struct net_address *a = &r->c->addresses[r->c->n_addresses++];
	int err = check_object(r, o, keys, ARRAY_SIZE(keys));

	if (err >= 0)
		err = read_interface_ref(r, o, &a->interface);
	if (err >= 0)
		err = read_prefix(r, o, "address", &a->ip, &a->prefix);
	if (err >= 0)
		err = read_ip(r, o, "peer", a->ip.family, &a->peer);
	if (err >= 0)
		err = read_ip(r, o, "broadcast", AF_INET, &a->broadcast);
	if (err >= 0 && a->broadcast.family != 0 && a->ip.family != AF_INET)
		err = bad(r, o, "IPv6 has no broadcast address");
	if (err >= 0)
		err = read_u8(r, o, "scope", UINT8_MAX, &a->scope);
	if (err >= 0)
		err = read_bool(r, o, "deprecated", &a->deprecated);
	if (err >= 0)
		err = read_bool(r, o, "noPrefixRoute", &a->no_prefix_route);
	if (err >= 0)
		err = read_u32(r, o, "metric", UINT32_MAX, &a->metric);
	return err;
}

static int read_hop(const struct reader *r, const struct json *o, struct net_route *route)
{
	static const char *const keys[] = { "interface", "gateway", "onlink", "weight" };
	struct net_hop *h = &route->hops[route->n_hops++];
	int err = check_object(r, o, keys, ARRAY_SIZE(keys));

	if (err >= 0)
		err = read_interface_ref(r, o, &h->interface);
	/* IPv4 may go by an IPv6 gateway, not the other way round. */
	if (err >= 0)
		err = read_ip(r, o, "gateway", route->family == AF_INET6 ? AF_INET6 : 0, &h->gateway);
	if (err >= 0)
		err = read_bool(r, o, "onlink", &h->onlink);
	if (err >= 0)
		err = read_u8(r, o, "weight", UINT8_MAX, &h->weight);
	return err;
}

static int read_hops(const struct reader *r, const struct json *o, struct net_route *route)
{
	const struct json *j;
	int err = member(r, o, "hops", JSON_ARRAY, &j);

	if (err < 0)
		return err;
	if ((route->type == RTN_UNICAST) != (j != NULL && j->n > 0))
		return bad(r, o, "a route has \"hops\" exactly when it is a unicast one");
	if (j != NULL && j->n > NET_HOPS_MAX)
		return bad(r, j, "has more than %d entries", NET_HOPS_MAX);
	for (const struct json *h = j != NULL ? j->child : NULL; err >= 0 && h != NULL; h = h->next)
		err = read_hop(r, h, route);
	return err;
}

static int read_type(const struct reader *r, const struct json *o, uint8_t *ret)
{
	const struct json *j;
	int err = member(r, o, "type", JSON_STRING, &j);

	*ret = RTN_UNICAST;
	if (err < 0 || j == NULL)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(route_types); i++)
		if (str_eq(j->text, route_types[i].word)) {
			*ret = route_types[i].type;
			return 0;
		}
	return bad(r, j, "%s is not a type of route", json_quote(r->arena, j->text));
}

static int read_route(const struct reader *r, const struct json *o)
{
	static const char *const keys[] = { "destination", "type", "protocol", "scope", "tos", "source",
					    "metric", "mtu", "advmss", "hops" };
	struct net_route *route = &r->c->routes[r->c->n_routes++];
	int err = check_object(r, o, keys, ARRAY_SIZE(keys));

	if (err >= 0)
		err = read_prefix(r, o, "destination", &route->dst, &route->prefix);
	route->family = route->dst.family;
	if (err >= 0)
		err = read_type(r, o, &route->type);
	if (err >= 0)
		err = read_u8(r, o, "protocol", UINT8_MAX, &route->protocol);
	if (err >= 0)
		err = read_u8(r, o, "scope", UINT8_MAX, &route->scope);
	if (err >= 0)
		err = read_u8(r, o, "tos", UINT8_MAX, &route->tos);
	if (err >= 0)
		err = read_ip(r, o, "source", route->family, &route->source);
	if (err >= 0)
		err = read_u32(r, o, "metric", UINT32_MAX, &route->metric);
	if (err >= 0)
		err = read_u32(r, o, "mtu", UINT32_MAX, &route->mtu);
	if (err >= 0)
		err = read_u32(r, o, "advmss", UINT32_MAX, &route->advmss);
	return err < 0 ? err : read_hops(r, o, route);
}

static int read_neighbour(const struct reader *r, const struct json *o)
{
	static const char *const keys[] = { "interface", "address", "mac" };
	struct net_neighbour *n = &r->c->neighbours[r->c->n_neighbours++];
	int err = check_object(r, o, keys, ARRAY_SIZE(keys));

	if (err >= 0)
		err = read_interface_ref(r, o, &n->interface);
	if (err >= 0)
		err = read_ip(r, o, "address", 0, &n->ip);
	if (err >= 0 && n->ip.family == 0)
		err = bad(r, o, "\"address\" is missing");
	return err < 0 ? err : read_mac(r, o, n->mac);
}

static int read_list(const struct reader *r, const struct json *o, const char *key, size_t max,
		     int (*read_one)(const struct reader *r, const struct json *o))
{
	const struct json *list;
	int err = required(r, o, key, JSON_ARRAY, &list);

	if (err < 0)
		return err;
	if (list->n > max)
		return bad(r, list, "has more than %zu entries", max);
	for (const struct json *j = list->child; err >= 0 && j != NULL; j = j->next)
		err = read_one(r, j);
	return err;
}

int net_wire_read(struct arena *a, const char *name, const struct json *j, struct net_config *ret)
{
	static const char *const keys[] = { "interfaces", "addresses", "routes", "neighbours" };
	const struct reader r = { a, name, ret };
	int err;

	memset(ret, 0, sizeof(*ret));
	err = check_object(&r, j, keys, ARRAY_SIZE(keys));
	if (err >= 0)
		err = read_list(&r, j, "interfaces", NET_INTERFACES_MAX, read_interface);
	if (err >= 0)
		err = net_config_check_unique(ret);
	if (err >= 0)
		err = read_list(&r, j, "addresses", NET_ADDRESSES_MAX, read_address);
	if (err >= 0)
		err = read_list(&r, j, "routes", NET_ROUTES_MAX, read_route);
	if (err >= 0)
		err = read_list(&r, j, "neighbours", NET_NEIGHBOURS_MAX, read_neighbour);
	return err;
}
