/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/net_wire.c: what is written is read again; what is not a network description is refused. */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "namespaces/net_config.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/net_wire.h"

static struct net_config config, again;

static int read_config(const char *text, struct net_config *ret)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	const struct json *j;
	int r = json_parse(a, "t", text, strlen(text), 16, &j);

	return r < 0 ? r : net_wire_read(a, "t", j, ret);
}

static char *write_config(const struct net_config *c)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	net_wire_write(w, c);
	return json_writer_take(w, NULL);
}

static struct net_ip ip(const char *text)
{
	struct net_ip v = { 0 };

	(void)net_ip_parse(text, &v);
	return v;
}

/* Every field differs from its default somewhere. */
static void fill(struct net_config *c)
{
	memset(c, 0, sizeof(*c));
	c->n_interfaces = 2;
	c->interfaces[0] = (struct net_interface){ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 1400, .ipv6 = true,
						   .link_local = true, .autoconf = true, .accept_ra = 2 };
	c->interfaces[1] = (struct net_interface){ .name = "net \"1\"", .mac = { 2, 0, 0, 0, 0, 0xfe }, .mtu = 65521 };
	memcpy(c->interfaces[1].name, "net\"1\"", 7);
	c->n_addresses = 3;
	c->addresses[0] = (struct net_address){ .ip = ip("10.0.0.5"), .broadcast = ip("10.0.0.255"), .prefix = 24 };
	c->addresses[1] = (struct net_address){ .interface = 1, .ip = ip("fe80::5"), .prefix = 64, .scope = 253,
						.deprecated = true, .no_prefix_route = true };
	c->addresses[2] = (struct net_address){ .interface = 1, .ip = ip("10.1.0.5"), .peer = ip("10.1.0.1"), .prefix = 32,
						.metric = UINT32_MAX };
	c->n_routes = 4;
	c->routes[0] = (struct net_route){ .family = AF_INET, .type = RTN_UNICAST, .protocol = 3, .dst = ip("0.0.0.0"),
					   .metric = 100, .n_hops = 1 };
	c->routes[0].hops[0].gateway = ip("10.0.0.1");
	c->routes[1] = (struct net_route){ .family = AF_INET6, .type = RTN_UNICAST, .protocol = 4, .dst = ip("fd00::"),
					   .prefix = 8, .source = ip("fe80::5"), .mtu = 1300, .advmss = 1200, .n_hops = 2 };
	c->routes[1].hops[0] = (struct net_hop){ .gateway = ip("fe80::1"), .onlink = true, .weight = 255 };
	c->routes[1].hops[1] = (struct net_hop){ .interface = 1 };
	c->routes[2] = (struct net_route){ .family = AF_INET, .type = RTN_BLACKHOLE, .protocol = 3, .dst = ip("10.9.0.0"),
					   .prefix = 16, .scope = 253, .tos = 16 };
	c->routes[3] = (struct net_route){ .family = AF_INET, .type = RTN_UNICAST, .protocol = 3, .dst = ip("10.8.0.0"),
					   .prefix = 16, .n_hops = 1 };
	c->routes[3].hops[0] = (struct net_hop){ .interface = 1, .gateway = ip("fe80::1") };
	c->n_neighbours = 1;
	c->neighbours[0] = (struct net_neighbour){ .interface = 1, .ip = ip("10.1.0.1"), .mac = { 2, 1, 1, 1, 1, 1 } };
}

TEST(round_trip)
{
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;

	fill(&config);
	first = write_config(&config);
	if (!CHECK(first != NULL) || !CHECK_INT(read_config(first, &again), 0)) {
		printf("# %s\n# %s\n", err_text(), first);
		return;
	}
	second = write_config(&again);
	CHECK_STR(second, first);
	/* And in the struct: no field has the same text by accident. */
	CHECK(memcmp(config.interfaces, again.interfaces, sizeof(config.interfaces)) == 0);
	CHECK(memcmp(config.addresses, again.addresses, sizeof(config.addresses)) == 0);
	CHECK(memcmp(config.routes, again.routes, sizeof(config.routes)) == 0);
	CHECK(memcmp(config.neighbours, again.neighbours, sizeof(config.neighbours)) == 0);
	CHECK_INT(again.n_addresses, config.n_addresses);
	CHECK_INT(again.n_routes, config.n_routes);
}

TEST(nothing)
{
	_cleanup_free_ char *text = NULL;

	memset(&config, 0, sizeof(config));
	text = write_config(&config);
	CHECK_STR(text, "{\"interfaces\":[],\"addresses\":[],\"routes\":[],\"neighbours\":[]}");
	CHECK_INT(read_config(text, &again), 0);
	CHECK_INT(again.n_interfaces, 0);
}

#define ETH0 "{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500}"
#define WITH(addresses, routes, neighbours) \
	"{\"interfaces\":[" ETH0 "],\"addresses\":[" addresses "],\"routes\":[" routes "],\"neighbours\":[" neighbours "]}"
#define INTERFACES(list) "{\"interfaces\":[" list "],\"addresses\":[],\"routes\":[],\"neighbours\":[]}"
#define ADDRESS(rest) WITH("{\"interface\":\"eth0\"," rest "}", "", "")
#define ROUTE(rest) WITH("", "{" rest "}", "")
#define HOP "\"hops\":[{\"interface\":\"eth0\"}]"

static const struct {
	const char *text, *error;
} refused[] = {
	{ "[]", "t: : must be an object, not an array" },
	{ "{}", "t: : \"interfaces\" is missing" },
	{ "{\"interfaces\":{}}", "t: interfaces: must be an array, not an object" },
	{ "{\"more\":1}", "t: more: is not a property of a network description" },
	{ "{\"interfaces\":[]}", "t: : \"addresses\" is missing" },
	{ INTERFACES("7"), "t: interfaces[0]: must be an object, not a number" },
	{ INTERFACES("{}"), "t: interfaces[0]: \"name\" is missing" },
	{ INTERFACES("{\"name\":\"a/b\"}"), "t: interfaces[0].name: \"a/b\" is not the name of an interface" },
	{ INTERFACES("{\"name\":\"../../x\"}"), "t: interfaces[0].name: \"../../x\" is not the name of an interface" },
	{ INTERFACES("{\"name\":\"a234567890123456\"}"),
	  "t: interfaces[0].name: \"a234567890123456\" is not the name of an interface" },
	{ INTERFACES("{\"name\":\"a\"}"), "t: interfaces[0]: \"mac\" is missing" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"ff:ff:ff:ff:ff:ff\"}"),
	  "t: interfaces[0].mac: must be the MAC address of one card, not \"ff:ff:ff:ff:ff:ff\"" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"02:00:00:00:00:01\"}"), "t: interfaces[0]: \"mtu\" must be at least 68" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":65522}"),
	  "t: interfaces[0].mtu: must be an integer from 0 to 65521" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500.5}"),
	  "t: interfaces[0].mtu: must be an integer from 0 to 65521" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500,\"acceptRa\":3}"),
	  "t: interfaces[0].acceptRa: must be an integer from 0 to 2" },
	{ INTERFACES("{\"name\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500,\"ipv6\":1}"),
	  "t: interfaces[0].ipv6: must be a boolean, not a number" },
	{ INTERFACES(ETH0 "," ETH0), "there are two network interfaces \"eth0\"" },
	{ WITH("{}", "", ""), "t: addresses[0]: \"interface\" is missing" },
	{ WITH("{\"interface\":\"eth1\"}", "", ""), "t: addresses[0].interface: \"eth1\" is not among the interfaces" },
	{ ADDRESS("\"address\":\"10.0.0.1\""), "t: addresses[0].address: must be ADDRESS/LENGTH, not \"10.0.0.1\"" },
	{ ADDRESS("\"address\":\"10.0.0.1/33\""), "t: addresses[0].address: must be ADDRESS/LENGTH, not \"10.0.0.1/33\"" },
	{ ADDRESS("\"address\":\"::1/-1\""), "t: addresses[0].address: must be ADDRESS/LENGTH, not \"::1/-1\"" },
	{ ADDRESS("\"address\":\"/8\""), "t: addresses[0].address: must be ADDRESS/LENGTH, not \"/8\"" },
	{ ADDRESS("\"address\":\"1:1111111111111111111111111111111111111111111111111/8\""),
	  "t: addresses[0].address: must be ADDRESS/LENGTH, not \"1:1111111111111111111111111111111111111111111111111/8\"" },
	{ ADDRESS("\"address\":\"10.0.0.1/8\",\"peer\":\"::1\""), "t: addresses[0].peer: must be an IPv4 address" },
	{ ADDRESS("\"address\":\"::1/8\",\"broadcast\":\"10.0.0.1\""), "t: addresses[0]: IPv6 has no broadcast address" },
	{ ADDRESS("\"address\":\"::1/8\",\"scope\":256"), "t: addresses[0].scope: must be an integer from 0 to 255" },
	{ ROUTE("\"destination\":\"::/0\""), "t: routes[0]: a route has \"hops\" exactly when it is a unicast one" },
	{ ROUTE("\"destination\":\"::/0\",\"type\":\"blackhole\"," HOP),
	  "t: routes[0]: a route has \"hops\" exactly when it is a unicast one" },
	{ ROUTE("\"destination\":\"::/0\",\"type\":\"local\"," HOP), "t: routes[0].type: \"local\" is not a type of route" },
	{ ROUTE("\"destination\":\"::/0\",\"metric\":4294967296," HOP),
	  "t: routes[0].metric: must be an integer from 0 to 4294967295" },
	{ ROUTE("\"destination\":\"::/0\",\"hops\":[{\"interface\":\"eth0\",\"gateway\":\"10.0.0.1\"}]"),
	  "t: routes[0].hops[0].gateway: must be an IPv6 address" },
	{ ROUTE("\"destination\":\"::/0\",\"hops\":[{\"interface\":\"lo\"}]"),
	  "t: routes[0].hops[0].interface: \"lo\" is not among the interfaces" },
	{ ROUTE("\"destination\":\"::/0\",\"hops\":[1,2,3,4,5]"), "t: routes[0].hops: has more than 4 entries" },
	{ ROUTE("\"destination\":\"::/0\",\"source\":\"10.0.0.1\"," HOP), "t: routes[0].source: must be an IPv6 address" },
	{ WITH("", "", "{\"interface\":\"eth0\",\"mac\":\"02:00:00:00:00:01\"}"), "t: neighbours[0]: \"address\" is missing" },
	{ WITH("", "", "{\"interface\":\"eth0\",\"address\":\"::1\"}"), "t: neighbours[0]: \"mac\" is missing" },
};

TEST(hostile_texts)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		err_clear();
		if (!CHECK(read_config(refused[i].text, &again) < 0) || !CHECK_STR(err_text(), refused[i].error))
			printf("#   %s\n", refused[i].text);
	}
}

/* A list with one entry too many must not be written beyond the struct's arrays. */
TEST(too_long_lists)
{
	static const struct {
		const char *before, *entry, *after, *error;
		size_t max;
	} lists[] = {
		{ "{\"interfaces\":[", ETH0, "]}", "t: interfaces: has more than 16 entries", NET_INTERFACES_MAX },
		{ "{\"interfaces\":[" ETH0 "],\"addresses\":[", "{\"interface\":\"eth0\",\"address\":\"::1/8\"}",
		  "],\"routes\":[],\"neighbours\":[]}", "t: addresses: has more than 64 entries", NET_ADDRESSES_MAX },
		{ "{\"interfaces\":[" ETH0 "],\"addresses\":[],\"routes\":[", "{\"destination\":\"::/0\"," HOP "}",
		  "],\"neighbours\":[]}", "t: routes: has more than 256 entries", NET_ROUTES_MAX },
		{ "{\"interfaces\":[" ETH0 "],\"addresses\":[],\"routes\":[],\"neighbours\":[",
		  "{\"interface\":\"eth0\",\"address\":\"::1\",\"mac\":\"02:00:00:00:00:01\"}", "]}",
		  "t: neighbours: has more than 64 entries", NET_NEIGHBOURS_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t extra = 0; extra < 2; extra++) {
			_cleanup_buf_ struct buf b = BUF_NULL;

			buf_puts(&b, lists[i].before);
			for (size_t k = 0; k < lists[i].max + extra; k++)
				buf_printf(&b, "%s%s", k > 0 ? "," : "", lists[i].entry);
			buf_puts(&b, lists[i].after);
			err_clear();
			if (extra == 1) {
				CHECK_INT(read_config(b.data, &again), -EINVAL);
				CHECK_STR(err_text(), lists[i].error);
			} else if (i > 0) { /* sixteen interfaces of one name are refused for that */
				CHECK_INT(read_config(b.data, &again), 0);
			}
		}
}

TEST_MAIN(CASE(round_trip), CASE(nothing), CASE(hostile_texts), CASE(too_long_lists))
