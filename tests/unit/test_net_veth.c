/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/net_veth: two namespaces that can talk, and the way back from each. */
#include "namespaces/net_veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "tests/unit/test.h"

static ino_t own_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

static ino_t namespace_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static bool can_make(int *ret_a, int *ret_b)
{
	int r;

	*ret_a = *ret_b = FD_NONE;
	if (geteuid() != 0) {
		test_skip("not root");
		return false;
	}
	r = net_ns_make(ret_a);
	if (r == 0)
		r = net_ns_make(ret_b);
	if (r < 0)
		test_skip("no new network namespaces here");
	err_clear();
	return r == 0;
}

/* A datagram socket of that namespace. */
static int socket_in(struct test *t, int netns, const char *address)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7) };
	int home, fd = FD_NONE;

	if (!CHECK_INT(net_ns_enter(netns, &home), 0))
		return FD_NONE;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(inet_pton(AF_INET, address, &a.sin_addr) == 1);
	CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_INT(net_ns_leave(&home), 0);
	CHECK_INT(home, FD_NONE);
	return fd;
}

TEST(two_namespaces_talk)
{
	_cleanup_close_ int a = FD_NONE, b = FD_NONE, from = FD_NONE, to = FD_NONE;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(0xc0000202) };
	struct pollfd p = { .events = POLLIN };
	struct net_veth_end one = { .name = "one", .address = "192.0.2.1", .prefix = 30 };
	struct net_veth_end two = { .name = "two", .address = "192.0.2.2", .prefix = 30 };
	ino_t own = own_namespace();

	if (!can_make(&a, &b))
		return;
	one.netns = a;
	two.netns = b;
	CHECK(own == own_namespace() && namespace_of(a) != own && namespace_of(b) != own && namespace_of(a) != namespace_of(b));
	if (!CHECK_INT(net_veth_make(&one, &two), 0)) {
		printf("#   %s\n", err_text());
		return;
	}
	CHECK(own == own_namespace() && if_nametoindex("one") == 0 && if_nametoindex("two") == 0);
	from = socket_in(t, a, "192.0.2.1");
	to = socket_in(t, b, "192.0.2.2");
	CHECK_INT(sendto(from, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
	p.fd = to;
	CHECK_INT(poll(&p, 1, 5000), 1);
	/* Each has a loopback interface that is up. */
	CHECK(socket_in(t, a, "127.0.0.1") >= 0);
}

TEST(what_cannot_be_made)
{
	_cleanup_close_ int a = FD_NONE, b = FD_NONE;
	struct net_veth_end one = { .name = "one", .address = "no address", .prefix = 30 };
	struct net_veth_end two = { .name = "two", .address = "192.0.2.2", .prefix = 30 };
	ino_t own = own_namespace();
	int home = FD_NONE;

	CHECK(net_ns_enter(STDIN_FILENO, &home) < 0);
	CHECK_INT(home, FD_NONE);
	if (!can_make(&a, &b))
		return;
	one.netns = a;
	two.netns = b;
	CHECK_INT(net_veth_make(&one, &two), -EINVAL);
	CHECK(strstr(err_text(), "cannot give \"one\" the address \"no address\"") != NULL);
	/* Its name is taken now. */
	one.address = "192.0.2.1";
	CHECK_INT(net_veth_make(&one, &two), -EEXIST);
	CHECK(own == own_namespace());
}

TEST_MAIN(CASE(two_namespaces_talk), CASE(what_cannot_be_made))
