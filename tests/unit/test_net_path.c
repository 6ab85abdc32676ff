/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a microVM without one: three network namespaces of our own. `outside` has one
 * end of two veth pairs, `container` the other ends, configured as an engine does. Their frames
 * go through taps to `guest`, whose network cards are two taps again; a process that copies
 * frames stands for the virtual machine. The configuration goes the way it goes for a guest:
 * read, written as JSON, read from it, applied. Then the kernels of outside and guest talk.
 */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "microvm/guest/guest_net.h"
#include "namespaces/net_config.h"
#include "namespaces/net_tap.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/net_wire.h"

#define N_CARDS 2
#define WAIT_MS 5000
/* A lost frame, of the handshake as well, is sent again after a time that doubles: on a busy machine several get lost. */
#define STREAM_WAIT_MS 40000
#define NOTHING_MS 300

struct bench {
	int home, outside, container, guest;	/* network namespaces */
	int taps[N_CARDS], cards[N_CARDS];
	pid_t copier;
};

/* ---- tools ---- */

static bool sh(const char *script)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-euc", script, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status != 0)
		printf("# failed (%d): %s\n", status, script);
	return status == 0;
}

static bool sh_in(int ns, const char *script)
{
	return setns(ns, CLONE_NEWNET) == 0 && sh(script);
}

static int new_ns(void)
{
	return unshare(CLONE_NEWNET) < 0 ? -1 : open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static bool bench_open(struct bench *b)
{
	*b = (struct bench){ FD_NONE, FD_NONE, FD_NONE, FD_NONE, { FD_NONE, FD_NONE }, { FD_NONE, FD_NONE }, -1 };
	if (geteuid() != 0) {
		test_skip("not root");
		return false;
	}
	if (!sh("ip -V >/dev/null && tc -V >/dev/null")) {
		test_skip("iproute2 is not installed");
		return false;
	}
	b->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	b->outside = new_ns();
	b->container = new_ns();
	b->guest = new_ns();
	if (b->home < 0 || b->guest < 0) {
		test_skip("no new network namespaces here");
		return false;
	}
	if (access("/dev/net/tun", F_OK) < 0 && (!sh("modprobe tun") || access("/dev/net/tun", F_OK) < 0)) {
		test_skip("no /dev/net/tun");
		return false;
	}
	return true;
}

static void stop_copier(struct bench *b)
{
	if (b->copier > 0) {
		(void)kill(b->copier, SIGKILL);
		(void)waitpid(b->copier, NULL, 0);
	}
	b->copier = -1;
}

static void bench_close(struct bench *b)
{
	stop_copier(b);
	for (size_t i = 0; i < N_CARDS; i++) {
		fd_close(&b->taps[i]);
		fd_close(&b->cards[i]);
	}
	if (b->home >= 0)
		(void)setns(b->home, CLONE_NEWNET);
	fd_close(&b->outside);
	fd_close(&b->container);
	fd_close(&b->guest);
	fd_close(&b->home);
}

/* eth0 is one end of a veth pair, or stands on that end, which stays outside. */
static char *eth0_script(const struct bench *b, const char *kind)
{
	if (kind == NULL)
		return str_printf("ip link add out0 mtu 1400 type veth peer name eth0 mtu 1400 "
				  "address 02:00:00:00:00:05 netns /proc/%d/fd/%d\n",
				  getpid(), b->container);
	return str_printf("ip link add out0 mtu 1400 type veth peer name below mtu 1400 address 02:00:00:00:00:%s\n"
			  "ip link set below addrgenmode none up\n"
			  "ip link add eth0 link below mtu 1400 %s netns /proc/%d/fd/%d type %s\n",
			  str_starts(kind, "ipvlan") ? "05" : "04",
			  str_starts(kind, "ipvlan") ? "" : "address 02:00:00:00:00:05", getpid(), b->container, kind);
}

/* The links, as engines set them up: eth0 as by bridge plugins, net1 as by ptp ones. */
static bool wire(const struct bench *b, const char *kind)
{
	_cleanup_free_ char *eth0 = eth0_script(b, kind);
	_cleanup_free_ char *links = str_printf(
		"ip link set lo up\n"
		"%s"
		"ip link add out1 address 02:00:00:00:99:01 type veth peer name net1 address 02:00:00:00:99:05 "
		"netns /proc/%d/fd/%d\n"
		"ip addr add 10.88.0.1/24 dev out0\n"
		"ip addr add fd00:88::1/64 dev out0 nodad\n"
		"ip addr add 10.99.0.1/24 dev out1\n"
		"ip addr add fd00:99::1/64 dev out1 nodad\n"
		"ip addr add 192.0.2.1/32 dev lo\n"
		"ip addr add 2001:db8::1/128 dev lo nodad\n"
		"ip link set out0 up\n"
		"ip link set out1 up\n",
		eth0, getpid(), b->container);

	/* The descriptor stays open while ip looks it up: it is ours, not inherited. */
	return links != NULL && sh_in(b->outside, links) &&
	       sh_in(b->container,
		     "ip link set lo up\n"
		     "ip addr add 10.88.0.5/24 brd 10.88.0.255 dev eth0\n"
		     "ip addr add 10.88.0.6/24 dev eth0\n"
		     "ip link set eth0 up\n"
		     "ip addr add fd00:88::5/64 dev eth0 nodad\n"
		     "ip route add default via 10.88.0.1 metric 100\n"
		     "ip -6 route add default via fd00:88::1 metric 100\n"
		     "ip addr add 10.99.0.5/24 dev net1\n"
		     "ip addr add fd00:99::5/64 dev net1 nodad\n"
		     "ip link set net1 up\n"
		     "ip route del 10.99.0.0/24 dev net1\n"
		     "ip route add 10.99.0.1 dev net1 scope link\n"
		     "ip route add 10.99.0.0/24 via 10.99.0.1 src 10.99.0.5 mtu 1300\n"
		     "ip route add 198.51.100.0/24 via inet6 fd00:99::1 dev net1 onlink\n"
		     "ip route add blackhole 203.0.113.0/24\n"
		     "ip route add 192.0.2.128/25 nexthop via 10.88.0.1 weight 3 nexthop via 10.99.0.1 dev net1\n"
		     "ip -6 route add 2001:db8:2::/64 nexthop via fd00:88::1 nexthop via fd00:99::1\n"
		     "ip neigh add 10.99.0.1 lladdr 02:00:00:00:99:01 dev net1 nud permanent\n"
		     "ip -6 neigh add fd00:99::1 lladdr 02:00:00:00:99:01 dev net1 nud permanent\n"
		     /* Before that they would be left to the guest's kernel, which is as good, but another text. */
		     "for i in $(seq 100); do\n"
		     "[ \"$(ip -6 addr show scope link | grep -c fe80)\" != 2 ] || exit 0\n"
		     "sleep 0.05\n"
		     "done\n"
		     "echo '# no link-local addresses after 5 s'; exit 1\n");
}

/* A guest's network card: a tap whose other side the copier holds. */
static int make_card(const char *name, const uint8_t *mac)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = NET_TAP_HEADER_SIZE;
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return -1;
	req.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(req.ifr_hwaddr.sa_data, mac, NET_MAC_SIZE);
	if (ioctl(fd, SIOCSIFHWADDR, &req) < 0)
		return -1;
	return take_fd(&fd);
}

static void copy_frames(int from, int to)
{
	static char frame[70000];
	ssize_t n;

	while ((n = read(from, frame, sizeof(frame))) > 0)
		if (write(to, frame, (size_t)n) < 0)
			break; /* the card is not up yet: lost, as on a wire */
}

static bool start_copier(struct bench *b)
{
	pid_t parent = getpid();

	b->copier = fork();
	if (b->copier == 0) {
		struct pollfd p[2 * N_CARDS];

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 0; i < N_CARDS; i++) {
			p[2 * i] = (struct pollfd){ .fd = b->taps[i], .events = POLLIN };
			p[2 * i + 1] = (struct pollfd){ .fd = b->cards[i], .events = POLLIN };
		}
		while (getppid() == parent && poll(p, 2 * N_CARDS, -1) > 0)
			for (size_t i = 0; i < N_CARDS; i++) {
				copy_frames(b->taps[i], b->cards[i]);
				copy_frames(b->cards[i], b->taps[i]);
			}
		_exit(0);
	}
	return b->copier > 0;
}

static char *config_text(const struct net_config *c)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);

	net_wire_write(w, c);
	return json_writer_take(w, NULL);
}

static char *read_text(int ns, struct net_config *c)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		return NULL;
	if (net_config_read(c) < 0) {
		printf("# %s\n", err_text());
		return NULL;
	}
	return config_text(c);
}

/* As in the guest: from the JSON text to its kernel. */
static int apply(const char *text)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	_cleanup_free_ char *place = malloc(sizeof(struct net_config));
	struct net_config *c = (struct net_config *)(void *)place;
	const struct json *j;
	int r = json_parse(a, "test", text, strlen(text), 16, &j);

	if (r >= 0)
		r = net_wire_read(a, "test", j, c);
	if (r >= 0)
		r = guest_net_apply(c);
	if (r < 0)
		printf("# %s\n", err_text());
	return r;
}

static bool attach(struct bench *b, const struct net_config *c)
{
	int fds[NET_INTERFACES_MAX];

	if (setns(b->container, CLONE_NEWNET) < 0)
		return false;
	if (net_tap_attach_all(c, fds) < 0) {
		printf("# %s\n", err_text());
		return false;
	}
	memcpy(b->taps, fds, sizeof(b->taps));
	return true;
}

/* ---- conversations ---- */

static socklen_t address(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(ip, ':') != NULL) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		(void)inet_pton(AF_INET6, ip, &v6->sin6_addr);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	(void)inet_pton(AF_INET, ip, &v4->sin_addr);
	return sizeof(*v4);
}

static int bound(int ns, int type, const char *ip)
{
	struct sockaddr_storage sa;
	socklen_t size = address(ip, 7777, &sa);
	int one = 1, fd;

	if (setns(ns, CLONE_NEWNET) < 0)
		return -1;
	fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, size) < 0) {
		printf("# bind to %s: %s\n", ip, strerror(errno));
		fd_close(&fd);
	}
	return fd;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* A datagram that may not be fragmented, of as many bytes as payload, from one to the other. */
static bool send_datagram(int from, const char *to, size_t payload)
{
	static const char data[2000];
	struct sockaddr_storage sa;
	socklen_t size = address(to, 7777, &sa);
	int want = IP_PMTUDISC_DO;

	if (sa.ss_family == AF_INET6)
		(void)setsockopt(from, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &want, sizeof(want));
	else
		(void)setsockopt(from, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want));
	return sendto(from, data, payload, 0, (struct sockaddr *)&sa, size) == (ssize_t)payload;
}

/* ip of namespace `server` answers a datagram of namespace `client`. */
static bool talks(int client, const char *client_ip, int server, const char *server_ip, size_t payload)
{
	static char data[2000];
	_cleanup_close_ int s = bound(server, SOCK_DGRAM, server_ip);
	_cleanup_close_ int c = bound(client, SOCK_DGRAM, client_ip);
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	bool ok;

	ok = s >= 0 && c >= 0 && send_datagram(c, server_ip, payload) && readable(s, WAIT_MS) &&
	     recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&from, &size) == (ssize_t)payload &&
	     sendto(s, data, payload, 0, (struct sockaddr *)&from, size) == (ssize_t)payload && readable(c, WAIT_MS) &&
	     recv(c, data, sizeof(data), 0) == (ssize_t)payload;
	if (!ok)
		printf("# no word from %s to %s\n", client_ip, server_ip);
	return ok;
}

/* Much by TCP: segments are made and checksums computed on the way, or nothing arrives. */
static bool streams(int client, const char *client_ip, int server, const char *server_ip)
{
	static char data[65536], got[65536];
	_cleanup_close_ int listener = bound(server, SOCK_STREAM, server_ip);
	_cleanup_close_ int c = bound(client, SOCK_STREAM, client_ip);
	_cleanup_close_ int s = FD_NONE;
	struct sockaddr_storage sa;
	socklen_t size = address(server_ip, 7777, &sa);
	size_t sent = 0, received = 0, total = 16 * sizeof(data);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 251);
	if (listener < 0 || c < 0 || listen(listener, 1) < 0 ||
	    (connect(c, (struct sockaddr *)&sa, size) < 0 && errno != EINPROGRESS) ||
	    !readable(listener, STREAM_WAIT_MS)) {
		printf("# no connection from %s to %s (%s)\n", client_ip, server_ip, strerror(errno));
		return false;
	}
	s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (s >= 0 && received < total) {
		size_t at = sent % sizeof(data);
		ssize_t n = sent < total ? send(c, data + at, sizeof(data) - at, MSG_NOSIGNAL) : 0;

		struct pollfd p[2] = { { .fd = s, .events = POLLIN }, { .fd = c, .events = POLLOUT } };

		sent += n > 0 ? (size_t)n : 0;
		/* All that was sent may have come, and the sender still wait for the word that it has: then it goes on first. */
		if (poll(p, sent < total ? 2 : 1, STREAM_WAIT_MS) <= 0)
			break;
		if (p[0].revents == 0)
			continue;
		n = recv(s, got, sizeof(got) - received % sizeof(data), 0);
		if (n <= 0 || memcmp(got, data + received % sizeof(data), (size_t)n) != 0)
			break;
		received += (size_t)n;
	}
	if (received != total)
		printf("# %zu of %zu bytes came from %s to %s\n", received, total, client_ip, server_ip);
	return received == total;
}

/* A guest that joins a group, of which the host knows nothing, gets what is sent to it. */
static bool hears_group(const struct bench *b, const char *group)
{
	_cleanup_close_ int s = bound(b->guest, SOCK_DGRAM, "0.0.0.0");
	_cleanup_close_ int c = bound(b->outside, SOCK_DGRAM, "10.88.0.1");
	struct ip_mreqn join = { .imr_multiaddr.s_addr = inet_addr(group), .imr_address.s_addr = inet_addr("10.88.0.5") };
	struct in_addr from = { inet_addr("10.88.0.1") };

	return s >= 0 && c >= 0 && setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) == 0 &&
	       setsockopt(c, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)) == 0 && send_datagram(c, group, 10) &&
	       readable(s, WAIT_MS);
}

/* ---- cases ---- */

/* From the namespaces' making to the guest's kernel having the configuration. */
static bool start_kind(struct test *t, struct bench *b, const char *kind, struct net_config *c, char **ret_text)
{
	*ret_text = NULL;
	if (!CHECK(wire(b, kind)))
		return false;
	*ret_text = read_text(b->container, c);
	if (!CHECK(*ret_text != NULL) || !CHECK_INT(c->n_interfaces, N_CARDS) || !CHECK(attach(b, c)))
		return false;
	/* The cards have each other's names at first. */
	if (!CHECK(setns(b->guest, CLONE_NEWNET) == 0))
		return false;
	for (size_t i = 0; i < N_CARDS; i++) {
		b->cards[i] = make_card(c->interfaces[N_CARDS - 1 - i].name, c->interfaces[i].mac);
		if (!CHECK(b->cards[i] >= 0))
			return false;
	}
	return CHECK(start_copier(b)) && CHECK_INT(apply(*ret_text), 0);
}

static bool start(struct test *t, struct bench *b, struct net_config *c, char **ret_text)
{
	return start_kind(t, b, NULL, c, ret_text);
}

static void check_traffic(struct test *t, const struct bench *b)
{
	CHECK(talks(b->outside, "10.88.0.1", b->guest, "10.88.0.5", 10));
	CHECK(talks(b->outside, "10.88.0.1", b->guest, "10.88.0.6", 10));
	CHECK(talks(b->outside, "fd00:88::1", b->guest, "fd00:88::5", 10));
	CHECK(talks(b->outside, "10.99.0.1", b->guest, "10.99.0.5", 10));
	CHECK(talks(b->outside, "fd00:99::1", b->guest, "fd00:99::5", 10));
	CHECK(talks(b->guest, "10.88.0.5", b->outside, "192.0.2.1", 10));
	CHECK(talks(b->guest, "fd00:88::5", b->outside, "2001:db8::1", 10));
}

TEST(the_guest_gets_the_network_of_the_container)
{
	static struct net_config c, again;
	struct bench b;
	char *text = NULL;
	_cleanup_free_ char *in_guest = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		check_traffic(t, &b);
		/* The guest's kernel says of itself what the container's namespace was. */
		in_guest = read_text(b.guest, &again);
		CHECK_STR(in_guest, text);
	}
	free(text);
	bench_close(&b);
}

/* The same over an interface that shares a card with others. kind: as for `ip link add … type`. */
static void check_kind(struct test *t, const char *kind)
{
	_cleanup_free_ char *probe = str_printf("ip link add pr0 type veth peer name pr1\n"
						"ip link add pr2 link pr0 type %s 2>/dev/null\n",
						kind);
	static struct net_config c, again;
	struct bench b;
	char *text = NULL;
	_cleanup_free_ char *in_guest = NULL;

	if (!bench_open(&b)) {
		bench_close(&b);
		return;
	}
	if (!sh_in(b.guest, probe)) {
		test_skip("this kernel has no such interfaces");
	} else if (CHECK(sh_in(b.guest, "ip link del pr0")) && start_kind(t, &b, kind, &c, &text)) {
		check_traffic(t, &b);
		CHECK(hears_group(&b, "239.1.2.3"));
		in_guest = read_text(b.guest, &again);
		CHECK_STR(in_guest, text);
	}
	free(text);
	bench_close(&b);
}

TEST(through_a_macvlan)
{
	check_kind(t, "macvlan mode bridge");
}

TEST(through_an_ipvlan)
{
	check_kind(t, "ipvlan mode l2");
}

TEST(an_ipvlan_of_mode_l3_is_refused)
{
	static struct net_config c;
	struct bench b;

	if (bench_open(&b) && CHECK(wire(&b, NULL))) {
		if (!sh_in(b.outside, "ip link add l3 link out0 type ipvlan mode l3 2>/dev/null; ip link set l3 up")) {
			test_skip("this kernel has no ipvlan");
		} else {
			CHECK_INT(net_config_read(&c), -ENOTSUP);
			CHECK(strstr(err_text(), "mode l3") != NULL);
		}
	}
	bench_close(&b);
}

TEST(mtu_and_segments)
{
	static struct net_config c;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		_cleanup_close_ int fd = bound(b.guest, SOCK_DGRAM, "10.88.0.5");

		/* IPv4 and UDP take 28 bytes of the 1400. */
		CHECK(!send_datagram(fd, "10.88.0.1", 1373));
		CHECK_INT(errno, EMSGSIZE);
		fd_close(&fd);
		CHECK(talks(b.outside, "10.88.0.1", b.guest, "10.88.0.5", 1372));
		CHECK(talks(b.guest, "fd00:88::5", b.outside, "fd00:88::1", 1352));
		CHECK(streams(b.outside, "10.88.0.1", b.guest, "10.88.0.5"));
		CHECK(streams(b.outside, "fd00:99::1", b.guest, "fd00:99::5"));
		CHECK(streams(b.guest, "10.99.0.5", b.outside, "10.99.0.1"));
		CHECK(streams(b.guest, "fd00:88::5", b.outside, "2001:db8::1"));
	}
	free(text);
	bench_close(&b);
}

/* As when a guest's driver takes over checksums and segments: frames of up to 64 KiB, finished by nobody on the way. */
TEST(offloads)
{
	static struct net_config c;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

		for (size_t i = 0; i < N_CARDS; i++) {
			CHECK_INT(ioctl(b.taps[i], TUNSETOFFLOAD, offloads), 0);
			CHECK_INT(ioctl(b.cards[i], TUNSETOFFLOAD, offloads), 0);
		}
		check_traffic(t, &b);
		CHECK(streams(b.outside, "10.88.0.1", b.guest, "10.88.0.5"));
		CHECK(streams(b.outside, "fd00:99::1", b.guest, "fd00:99::5"));
		CHECK(streams(b.guest, "10.99.0.5", b.outside, "10.99.0.1"));
		CHECK(streams(b.guest, "fd00:88::5", b.outside, "2001:db8::1"));
	}
	free(text);
	bench_close(&b);
}

TEST(the_host_stack_does_not_answer)
{
	static struct net_config c;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		_cleanup_close_ int host = bound(b.container, SOCK_DGRAM, "10.88.0.5");

		CHECK(talks(b.outside, "10.88.0.1", b.guest, "10.88.0.5", 10));
		CHECK(!readable(host, NOTHING_MS));
		/* Nor does the tap have an address by which it could. */
		CHECK(sh_in(b.container, "! ip addr show dev tap0_nacre | grep inet"));
		CHECK(sh_in(b.container, "ip link show dev tap0_nacre | grep -q 'mtu 1400'"));
		CHECK(sh_in(b.container, "ip link show dev tap1_nacre | grep -q 'mtu 1500'"));
	}
	free(text);
	bench_close(&b);
}

TEST(a_second_microvm_is_refused)
{
	static struct net_config c, again;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		_cleanup_close_ int fd = FD_NONE;

		CHECK(setns(b.container, CLONE_NEWNET) == 0);
		CHECK_INT(net_config_read(&again), -EBUSY);
		CHECK(strstr(err_text(), "serves another microVM") != NULL);
		CHECK_INT(net_tap_attach(&c.interfaces[0], 0, &fd), -EBUSY);
		CHECK(strstr(err_text(), "serves another microVM") != NULL);
		CHECK_INT(net_tap_attach(&c.interfaces[0], 7, &fd), -EBUSY);
		CHECK(strstr(err_text(), "given to another microVM") != NULL);
		/* Cleaning takes nothing from the one that runs, either. */
		CHECK_INT(net_tap_clean(), 0);
		check_traffic(t, &b);
	}
	free(text);
	bench_close(&b);
}

/* Who cleans up waits until another one's redirect is complete, or gone; but for no one who just keeps the lock. */
TEST(cleaning_waits_for_its_turn)
{
	struct bench b;
	int status = -1;

	if (bench_open(&b)) {
		_cleanup_close_ int lock = FD_NONE;
		pid_t pid;

		CHECK(setns(b.container, CLONE_NEWNET) == 0);
		lock = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		CHECK(lock >= 0 && flock(lock, LOCK_EX) == 0);
		pid = fork();
		if (pid == 0)
			_exit(net_tap_clean() == 0 ? 7 : 1);
		usleep(200000);
		CHECK_INT(waitpid(pid, &status, WNOHANG), 0);
		fd_close(&lock);
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
		lock = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		CHECK(lock >= 0 && flock(lock, LOCK_EX) == 0);
		CHECK_INT(net_tap_clean(), 0);
	}
	bench_close(&b);
}

/* As after a kill: the taps are gone, the redirects of the veths are not. */
static void end_uncleanly(struct bench *b)
{
	stop_copier(b);
	for (size_t i = 0; i < N_CARDS; i++)
		fd_close(&b->taps[i]);
}

TEST(a_second_run_after_an_unclean_end)
{
	static struct net_config c, again;
	struct bench b;
	char *text = NULL;
	_cleanup_free_ char *second = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		end_uncleanly(&b);
		CHECK(sh_in(b.container, "tc qdisc show dev eth0 | grep -q ingress"));
		second = read_text(b.container, &again);
		CHECK_STR(second, text);
		CHECK(attach(&b, &again));
		CHECK(start_copier(&b));
		check_traffic(t, &b);
	}
	free(text);
	bench_close(&b);
}

TEST(the_multicast_flag_comes_and_goes)
{
	static struct net_config c, again;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		CHECK(sh_in(b.container, "ip link show dev eth0 | grep -q ALLMULTI"));
		/* Twice left behind, and still known as nacre's. */
		end_uncleanly(&b);
		CHECK_INT(net_config_read(&again), 0);
		CHECK(attach(&b, &again));
		end_uncleanly(&b);
		CHECK(sh_in(b.container, "ip link show dev eth0 | grep -q ALLMULTI"));
		CHECK_INT(net_tap_clean(), 0);
		CHECK(sh_in(b.container, "! ip link show | grep -q ALLMULTI"));
		/* Somebody else's stays. */
		CHECK(sh_in(b.container, "ip link set eth0 allmulticast on"));
		CHECK_INT(net_config_read(&again), 0);
		CHECK(attach(&b, &again));
		end_uncleanly(&b);
		CHECK_INT(net_tap_clean(), 0);
		CHECK(sh_in(b.container, "ip link show dev eth0 | grep -q ALLMULTI"));
		CHECK(sh_in(b.container, "! ip link show dev net1 | grep -q ALLMULTI"));
	}
	free(text);
	bench_close(&b);
}

TEST(cleaned_the_namespace_is_its_own_again)
{
	static struct net_config c;
	struct bench b;
	char *text = NULL;

	if (bench_open(&b) && start(t, &b, &c, &text)) {
		end_uncleanly(&b);
		CHECK(setns(b.container, CLONE_NEWNET) == 0);
		CHECK_INT(net_tap_clean(), 0);
		CHECK(sh_in(b.container, "! tc qdisc show | grep -q ingress"));
		CHECK(sh_in(b.container, "! ip link show | grep -q nacre"));
		CHECK(talks(b.outside, "10.88.0.1", b.container, "10.88.0.5", 10));
		CHECK(talks(b.outside, "fd00:88::1", b.container, "fd00:88::5", 10));
		CHECK(setns(b.container, CLONE_NEWNET) == 0);
		CHECK_INT(net_tap_clean(), 0);
	}
	free(text);
	bench_close(&b);
}

TEST(traffic_control_of_others_is_not_touched)
{
	static struct net_config c;
	struct bench b;
	int fds[NET_INTERFACES_MAX];

	/* The second interface's: what the first had already must go again. */
	if (bench_open(&b) && CHECK(wire(&b, NULL)) &&
	    CHECK(sh_in(b.container, "tc qdisc add dev net1 ingress\n"
				     "tc filter add dev net1 ingress protocol ip pref 5 u32 match u32 0 0 "
				     "action mirred egress redirect dev lo"))) {
		CHECK_INT(net_config_read(&c), 0);
		CHECK_INT(net_tap_attach_all(&c, fds), -EBUSY);
		CHECK(strstr(err_text(), "not nacre's") != NULL);
		CHECK(strstr(err_text(), "\"net1\"") != NULL);
		CHECK(sh_in(b.container, "! tc qdisc show dev eth0 | grep -q ingress"));
		CHECK_INT(net_tap_clean(), 0);
		CHECK(sh_in(b.container, "tc filter show dev net1 ingress | grep -q u32"));
		CHECK(sh_in(b.container, "! ip link show | grep -q nacre"));
	}
	bench_close(&b);
}

/* What net_config_read() says of the container's namespace after the script; "" when it takes it. */
static const char *refusal(struct bench *b, const char *script)
{
	static struct net_config c;

	if (!sh_in(b->container, script))
		return "the script failed";
	err_clear();
	return net_config_read(&c) == -ENOTSUP ? err_text() : "";
}

TEST(what_cannot_be_carried_is_refused)
{
	struct bench b;

	if (bench_open(&b) && CHECK(wire(&b, NULL))) {
		CHECK(strstr(refusal(&b, "ip tuntap add tun0 mode tun; ip link set tun0 up"), "not Ethernet") != NULL);
		CHECK_STR(refusal(&b, "ip link set tun0 down"), "");
		CHECK(strstr(refusal(&b, "ip rule add from 10.9.9.9 lookup 100"), "routing rules") != NULL);
		CHECK_STR(refusal(&b, "ip rule del from 10.9.9.9 lookup 100"), "");
		CHECK(strstr(refusal(&b, "ip route add local 10.77.0.0/24 dev eth0 table main"), "special type") != NULL);
		CHECK_STR(refusal(&b, "ip route del local 10.77.0.0/24 dev eth0 table main"), "");
		CHECK(strstr(refusal(&b, "ip link add two type veth peer name three\n"
					 "ip link set two address 02:00:00:00:00:05 up\n"),
			     "the same MAC") != NULL);
		CHECK_STR(refusal(&b, "ip link del two"), "");
	}
	bench_close(&b);
}

TEST(an_interface_on_another_is_refused)
{
	struct bench b;

	if (bench_open(&b) && CHECK(wire(&b, NULL))) {
		if (sh_in(b.container, "ip link add link eth0 name up1 type macvlan 2>/dev/null"))
			CHECK(strstr(refusal(&b, "ip link set up1 up"), "of the same namespace") != NULL);
		else
			test_skip("this kernel has no macvlan");
	}
	bench_close(&b);
}

TEST(no_interface_no_card)
{
	static struct net_config c;
	struct bench b;

	if (bench_open(&b) && CHECK(sh_in(b.container, "ip link set lo up"))) {
		CHECK_INT(net_config_read(&c), 0);
		CHECK_INT(c.n_interfaces, 0);
		CHECK_INT(c.n_addresses, 0);
		CHECK_INT(c.n_routes, 0);
		CHECK(setns(b.guest, CLONE_NEWNET) == 0);
		CHECK_INT(guest_net_apply(&c), 0);
		CHECK(sh_in(b.guest, "ip link show dev lo | grep -q ,UP"));
	}
	bench_close(&b);
}

TEST(a_card_that_is_missing_is_named)
{
	static struct net_config c;
	struct bench b;

	if (bench_open(&b) && CHECK(wire(&b, NULL)) && CHECK(setns(b.container, CLONE_NEWNET) == 0) &&
	    CHECK_INT(net_config_read(&c), 0) && CHECK(setns(b.guest, CLONE_NEWNET) == 0)) {
		CHECK_INT(guest_net_apply(&c), -ENODEV);
		CHECK_STR(err_text(), "the guest has no network card 02:00:00:00:00:05 for \"eth0\"");
	}
	bench_close(&b);
}

TEST_MAIN(CASE(the_guest_gets_the_network_of_the_container), CASE(through_a_macvlan),
	  CASE(through_an_ipvlan), CASE(an_ipvlan_of_mode_l3_is_refused), CASE(mtu_and_segments),
	  CASE(offloads), CASE(the_host_stack_does_not_answer), CASE(a_second_microvm_is_refused), CASE(cleaning_waits_for_its_turn),
	  CASE(a_second_run_after_an_unclean_end), CASE(the_multicast_flag_comes_and_goes),
	  CASE(cleaned_the_namespace_is_its_own_again), CASE(traffic_control_of_others_is_not_touched),
	  CASE(what_cannot_be_carried_is_refused), CASE(an_interface_on_another_is_refused),
	  CASE(no_interface_no_card), CASE(a_card_that_is_missing_is_named))
