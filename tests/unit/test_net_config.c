/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/net_config.c, and the names of namespaces/net_tap.c: what needs no kernel. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "namespaces/net_config.h"
#include "namespaces/net_tap.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

static struct net_ip ip(const char *text)
{
	struct net_ip v = { 0 };

	(void)net_ip_parse(text, &v);
	return v;
}

TEST(addresses_as_text)
{
	static const char *const good[] = { "10.0.0.1", "255.255.255.255", "::", "::1", "fd00:88::5", "2001:db8::ff" };
	static const char *const wrong[] = { "",	"10.0.0",     "10.0.0.256", "10.0.0.1 ", "10.0.0.01", "0x7f.1",
					     "1.2.3.4.5", "fe80::1%eth0", "::1/64",	    "12345::",	 ":",	      "localhost" };
	struct net_ip v;
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(net_ip_parse(good[i], &v), 0);
		net_ip_print(&v, text);
		CHECK_STR(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!CHECK_INT(net_ip_parse(wrong[i], &v), -EINVAL))
			printf("#   %s\n", wrong[i]);
	v.family = 0;
	net_ip_print(&v, text);
	CHECK_STR(text, "");
}

TEST(prefixes)
{
	static const struct {
		const char *a, *b;
		uint8_t prefix;
		bool same;
	} cases[] = {
		{ "10.1.2.3", "10.1.2.200", 24, true },	 { "10.1.2.3", "10.1.3.3", 24, false },
		{ "10.1.2.3", "10.1.3.3", 23, true },	 { "10.1.2.3", "99.0.0.0", 0, true },
		{ "10.1.2.3", "10.1.2.3", 32, true },	 { "10.1.2.2", "10.1.2.3", 32, false },
		{ "10.1.2.2", "10.1.2.3", 31, true },	 { "10.1.2.3", "10.1.2.3", 33, false },
		{ "fd00::1", "fd00::2", 64, true },	 { "fd00::1", "fd00:0:0:1::1", 64, false },
		{ "fd00::1", "fd00:0:0:1::1", 63, true }, { "fd00::1", "fd00::1", 128, true },
		{ "fd00::1", "fd00::1", 129, false },	 { "::", "0.0.0.0", 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_ip a = ip(cases[i].a), b = ip(cases[i].b);

		if (!CHECK(net_ip_same_prefix(&a, &b, cases[i].prefix) == cases[i].same))
			printf("#   %s %s /%u\n", cases[i].a, cases[i].b, cases[i].prefix);
	}
}

TEST(link_local)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = { { "fe80::1", true }, { "febf::1", true }, { "fec0::1", false }, { "fd00::1", false }, { "169.254.0.1", false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_ip v = ip(cases[i].text);

		CHECK(net_ip_is_link_local(&v) == cases[i].is);
	}
}

TEST(mac_addresses)
{
	static const char *const wrong[] = { "",		  "02:00:00:00:00",	  "02:00:00:00:00:0",  "02:00:00:00:00:01:",
					     "02-00-00-00-00-01", "0g:00:00:00:00:01", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff",
					     "00:00:00:00:00:00" };
	static const uint8_t want[] = { 0x02, 0xab, 0xCD, 0, 0, 0x1f };
	uint8_t mac[NET_MAC_SIZE];
	char text[NET_MAC_TEXT];

	CHECK_INT(net_mac_parse("02:ab:CD:00:00:1f", mac), 0);
	CHECK(memcmp(mac, want, sizeof(mac)) == 0);
	net_mac_print(mac, text);
	CHECK_STR(text, "02:ab:cd:00:00:1f");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!CHECK_INT(net_mac_parse(wrong[i], mac), -EINVAL))
			printf("#   %s\n", wrong[i]);
}

TEST(names)
{
	static const char *const good[] = { "eth0", "a", "eth0.100", "abcdefghijklmno", "net-1_x@y" };
	static const char *const wrong[] = { "", "abcdefghijklmnop", ".", "..", "lo", "all", "default", "a/b", "a:b", "a b",
					     "a%d", "a\n", "\xc3\xa9" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK(net_name_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!CHECK(!net_name_valid(wrong[i])))
			printf("#   %s\n", wrong[i]);
	CHECK(net_tap_is_ours("tap0_nacre"));
	CHECK(net_tap_is_ours("tap15_nacre"));
	CHECK(!net_tap_is_ours("tap_nacre"));
	CHECK(!net_tap_is_ours("tap0_nacre2"));
	CHECK(!net_tap_is_ours("xtap0_nacre"));
	CHECK(!net_tap_is_ours("eth0"));
}

static void add_address(struct net_config *c, const char *text, uint8_t prefix)
{
	c->addresses[c->n_addresses++] = (struct net_address){ .ip = ip(text), .prefix = prefix };
}

static void add_route(struct net_config *c, const char *dst, uint8_t prefix, uint8_t protocol, const char *gateway)
{
	struct net_route *r = &c->routes[c->n_routes++];

	*r = (struct net_route){ .type = RTN_UNICAST, .protocol = protocol, .prefix = prefix, .n_hops = 1 };
	r->dst = ip(dst);
	r->family = r->dst.family;
	if (gateway != NULL)
		r->hops[0].gateway = ip(gateway);
}

/* What the kernel adds for addresses goes; all else stays, in order. */
TEST(settled_routes)
{
	static struct net_config c;

	memset(&c, 0, sizeof(c));
	c.n_interfaces = 1;
	c.interfaces[0].link_local = true;
	add_address(&c, "10.0.0.5", 24);
	add_address(&c, "10.7.0.5", 32);
	add_address(&c, "fd00::5", 64);
	add_route(&c, "0.0.0.0", 0, RTPROT_BOOT, "10.0.0.1");
	add_route(&c, "10.0.0.0", 24, RTPROT_KERNEL, NULL);
	add_route(&c, "10.0.0.0", 24, RTPROT_STATIC, NULL);
	add_route(&c, "10.5.0.0", 24, RTPROT_KERNEL, NULL);
	add_route(&c, "fd00::", 64, RTPROT_KERNEL, NULL);
	add_route(&c, "fe80::", 64, RTPROT_KERNEL, NULL);
	net_config_settle(&c);
	CHECK_INT(c.n_routes, 3);
	CHECK_INT(c.routes[0].prefix, 0);
	CHECK_INT(c.routes[1].protocol, RTPROT_STATIC);
	CHECK_INT(c.routes[2].dst.bytes[1], 5);
	CHECK(c.interfaces[0].link_local);
	for (size_t i = 0; i < c.n_addresses; i++)
		CHECK(!c.addresses[i].no_prefix_route);
}

TEST(a_removed_prefix_route_stays_away)
{
	static struct net_config c;

	memset(&c, 0, sizeof(c));
	c.n_interfaces = 1;
	c.interfaces[0].link_local = true;
	add_address(&c, "10.0.0.5", 24);
	add_address(&c, "fe80::5", 64);
	/* The same destination by another way is not it. */
	add_route(&c, "10.0.0.0", 24, RTPROT_BOOT, "10.0.0.1");
	add_route(&c, "fe80::", 64, RTPROT_KERNEL, NULL);
	net_config_settle(&c);
	CHECK_INT(c.n_routes, 1);
	CHECK(c.addresses[0].no_prefix_route);
	CHECK(!c.addresses[1].no_prefix_route);
	CHECK(!c.interfaces[0].link_local);
}

TEST(interfaces_differ)
{
	static struct net_config c;

	memset(&c, 0, sizeof(c));
	c.n_interfaces = 2;
	c.interfaces[0] = (struct net_interface){ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 } };
	c.interfaces[1] = (struct net_interface){ .name = "eth1", .mac = { 2, 0, 0, 0, 0, 2 } };
	CHECK_INT(net_config_check_unique(&c), 0);
	c.interfaces[1].mac[5] = 1;
	CHECK_INT(net_config_check_unique(&c), -ENOTSUP);
	CHECK(strstr(err_text(), "\"eth0\" and \"eth1\" have the same MAC address") != NULL);
	c.interfaces[1].mac[5] = 2;
	c.interfaces[1].name[3] = '0';
	CHECK_INT(net_config_check_unique(&c), -ENOTSUP);
	CHECK_STR(err_text(), "there are two network interfaces \"eth0\"");
}

TEST_MAIN(CASE(addresses_as_text), CASE(prefixes), CASE(link_local), CASE(mac_addresses), CASE(names),
	  CASE(settled_routes), CASE(a_removed_prefix_route_stays_away), CASE(interfaces_differ))
