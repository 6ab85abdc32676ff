/* SPDX-License-Identifier: Apache-2.0 */
/* microvm/guest/rtnl.c: its messages as libmnl reads them, its bounds, and what it makes of odd answers. */
#include "tests/unit/test.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <unistd.h>

#include "microvm/guest/rtnl.h"

struct seen {
	const struct nlattr *name, *mtu, *nest;
	unsigned int n;
};

static int see(const struct nlattr *attr, void *data)
{
	struct seen *s = data;

	s->n++;
	if (mnl_attr_get_type(attr) == IFLA_IFNAME)
		s->name = attr;
	else if (mnl_attr_get_type(attr) == IFLA_MTU)
		s->mtu = attr;
	else
		s->nest = attr;
	return MNL_CB_OK;
}

TEST(a_message_as_the_library_reads_it)
{
	const struct ifinfomsg ifi = { .ifi_index = 7 };
	const uint8_t one = 1;
	struct rtnl_message m;
	struct seen s = { 0 }, inner = { 0 };
	size_t outer, nest;

	rtnl_begin(&m, RTM_NEWLINK, NLM_F_CREATE, &ifi, sizeof(ifi));
	rtnl_put_string(&m, IFLA_IFNAME, "eth0");
	outer = rtnl_nest_open(&m, IFLA_AF_SPEC);
	nest = rtnl_nest_open(&m, 10);
	rtnl_put(&m, 8, &one, sizeof(one));
	rtnl_nest_close(&m, nest);
	rtnl_nest_close(&m, outer);
	rtnl_put_u32(&m, IFLA_MTU, 1400);
	CHECK(!m.bad);
	CHECK(mnl_nlmsg_ok(&m.header, (int)m.header.nlmsg_len));
	CHECK_INT(m.header.nlmsg_type, RTM_NEWLINK);
	CHECK_INT(m.header.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE);
	CHECK_INT(((const struct ifinfomsg *)mnl_nlmsg_get_payload(&m.header))->ifi_index, 7);
	CHECK(mnl_attr_parse(&m.header, sizeof(ifi), see, &s) > 0);
	if (!CHECK_INT(s.n, 3) || !CHECK(s.name != NULL && s.mtu != NULL && s.nest != NULL))
		return;
	CHECK_STR(mnl_attr_get_str(s.name), "eth0");
	CHECK_INT(mnl_attr_get_u32(s.mtu), 1400);
	CHECK(mnl_attr_parse_nested(s.nest, see, &inner) > 0);
	if (!CHECK_INT(inner.n, 1) || !CHECK(inner.nest != NULL))
		return;
	CHECK_INT(mnl_attr_get_type(inner.nest), 10);
	CHECK_INT(mnl_attr_get_payload_len(inner.nest), 8);
}

TEST(too_much_is_bad_and_stays_bad)
{
	const struct ifinfomsg ifi = { 0 };
	static const uint8_t block[RTNL_MESSAGE_SIZE * 2];
	struct rtnl_message m;
	uint32_t len;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	while (!m.bad)
		rtnl_put(&m, 1, block, 60);
	len = m.header.nlmsg_len;
	CHECK(len <= RTNL_MESSAGE_SIZE);
	rtnl_put(&m, 1, block, 1);
	CHECK_INT(m.header.nlmsg_len, len);
	rtnl_nest_close(&m, rtnl_nest_open(&m, 1));
	CHECK_INT(m.header.nlmsg_len, len);
	CHECK_INT(rtnl_talk(-1, &m), -EMSGSIZE);

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put(&m, 1, block, sizeof(block));
	CHECK(m.bad);
	/* To the last byte, and no further. */
	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put(&m, 1, block, RTNL_MESSAGE_SIZE - m.header.nlmsg_len - RTA_LENGTH(0));
	CHECK(!m.bad);
	CHECK_INT(m.header.nlmsg_len, RTNL_MESSAGE_SIZE);
	rtnl_put(&m, 1, NULL, 0);
	CHECK(m.bad);
}

TEST(attributes_are_found_within_bounds)
{
	const struct ifinfomsg ifi = { 0 };
	struct rtnl_message m;
	const void *found;
	struct rtattr odd = { .rta_len = 400, .rta_type = 3 };
	size_t size = 99;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	CHECK(rtnl_find(&m.header, sizeof(ifi), 1, &size) == NULL);
	rtnl_put(&m, 1, "abc", 3);
	rtnl_put(&m, 2 | NLA_F_NESTED, "de", 2);
	found = rtnl_find(&m.header, sizeof(ifi), 2, &size);
	CHECK(found != NULL && memcmp(found, "de", 2) == 0);
	CHECK_INT(size, 2);
	CHECK(rtnl_find(&m.header, sizeof(ifi), 3, &size) == NULL);
	/* One that claims more than is there, one of no size, and a message shorter than its header. */
	(void)rtnl_put_raw(&m, &odd, sizeof(odd));
	CHECK(rtnl_find(&m.header, sizeof(ifi), 3, &size) == NULL);
	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	odd.rta_len = 0;
	(void)rtnl_put_raw(&m, &odd, sizeof(odd));
	CHECK(rtnl_find(&m.header, sizeof(ifi), 3, &size) == NULL);
	m.header.nlmsg_len = NLMSG_HDRLEN + 1;
	CHECK(rtnl_find(&m.header, sizeof(ifi), 3, &size) == NULL);
}

static int count_loopback(const struct nlmsghdr *h, void *data)
{
	size_t size;
	const char *name = rtnl_find(h, sizeof(struct ifinfomsg), IFLA_IFNAME, &size);

	if (name != NULL && size == 3 && memcmp(name, "lo", 3) == 0)
		(*(int *)data)++;
	return 0;
}

static int refuse(const struct nlmsghdr *h, void *data)
{
	(void)h;
	(void)data;
	return -ECANCELED;
}

/* Reading only: this is the machine's own network namespace. */
TEST(a_dump_and_an_error_of_the_kernel)
{
	const struct ifinfomsg ifi = { 0 }, none = { .ifi_index = 0x7ffffff0 };
	struct rtnl_message m;
	int fd = rtnl_open(), n = 0;

	if (!CHECK(fd >= 0))
		return;
	rtnl_begin(&m, RTM_GETLINK, 0, &ifi, sizeof(ifi));
	CHECK_INT(rtnl_dump(fd, &m, count_loopback, &n), 0);
	CHECK_INT(n, 1);
	rtnl_begin(&m, RTM_GETLINK, 0, &none, sizeof(none));
	CHECK_INT(rtnl_talk(fd, &m), -ENODEV);
	rtnl_begin(&m, RTM_GETLINK, 0, &ifi, sizeof(ifi));
	CHECK_INT(rtnl_dump(fd, &m, refuse, NULL), -ECANCELED);
	(void)close(fd);
}

TEST_MAIN(CASE(a_message_as_the_library_reads_it), CASE(too_much_is_bad_and_stays_bad),
	  CASE(attributes_are_found_within_bounds), CASE(a_dump_and_an_error_of_the_kernel))
