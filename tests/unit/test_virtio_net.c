/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network card: frames both ways, with and without room for them. A pair of datagram sockets is the wire, which cuts
 * what does not fit and refuses when it is full as a tap does; the last case has a tap.
 */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/virtio_net.h"
#include "runtime/base/str.h"
#include "tests/unit/virtio_device.h"

enum { RX, TX };

#define HEADER 12
#define MTU 1500
#define FRAME_MAX (MTU + 14 + 4)
#define RX_BUFFERS BUFFERS
#define TX_BUFFERS (BUFFERS + 0x4000)
#define MAC { 0x02, 1, 2, 3, 4, 5 }
/* For experiments (IEEE 802): nobody else's frames have it. */
#define OUR_TYPE 0x88B5

struct card {
	struct vm vm;
	struct virtio_net *n;
	int fds[2];		/* the device's, the wire's other end */
};

static bool card_make_over(struct card *k, int tap)
{
	struct virtio_net_options o = { .tap = tap, .mac = MAC, .mtu = MTU };

	k->n = malloc(sizeof(*k->n));
	return k->n != NULL && vm_make(&k->vm) && virtio_net_init(k->n, &o, &k->vm.loop) == 0 &&
	       vm_attach(&k->vm, &virtio_net_ops, k->n);
}

static bool card_make(struct card *k)
{
	*k = (struct card){ .fds = { FD_NONE, FD_NONE } };
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, k->fds) == 0 && card_make_over(k, k->fds[0]);
}

static void card_drop(struct card *k)
{
	virtio_net_deinit(k->n);
	vm_drop(&k->vm);
	fd_close(&k->fds[0]);
	fd_close(&k->fds[1]);
	free(k->n);
}

/* A frame of len bytes, all of them v, behind a header of ones: from the wire. */
static void arrive(struct test *t, struct card *k, uint8_t v, size_t len)
{
	uint8_t buf[HEADER + 4096];

	memset(buf, 0xFF, HEADER);
	memset(buf + HEADER, v, len);
	CHECK_INT(write(k->fds[1], buf, HEADER + len), HEADER + len);
}

static bool full_of(const uint8_t *p, uint8_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != v)
			return false;
	return true;
}

static const uint8_t rx_header[HEADER] = { [10] = 1 };

TEST(config)
{
	static const uint8_t want[12] = { 0x02, 1, 2, 3, 4, 5, 0, 0, 0, 0, MTU & 0xFF, MTU >> 8 };
	struct virtio_net_options o = { .mac = MAC, .mtu = 67 };
	uint8_t config[16];
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_MTU));
	for (uint32_t i = 0; i < sizeof(config); i += 4)
		virtio_mmio_read(&k.vm.m, VIRTIO_MMIO_CONFIG + i, config + i, 4);
	CHECK(memcmp(config, want, sizeof(want)) == 0);
	CHECK(full_of(config + 12, 0, 4));
	virtio_net_deinit(k.n);
	o.tap = k.fds[0];
	CHECK_INT(virtio_net_init(k.n, &o, &k.vm.loop), -EINVAL);
	o.mtu = MTU;
	o.mac[0] = 3;
	CHECK_INT(virtio_net_init(k.n, &o, &k.vm.loop), -EINVAL);
	card_drop(&k);
}

TEST(to_the_guest)
{
	struct card k;
	const uint8_t *buffer;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, EVENT_IDX);
	buffer = k.vm.g.bytes + RX_BUFFERS;
	/* Without a buffer the frame stays where it is, and nobody looks. */
	arrive(t, &k, 'a', 60);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(k.n->source.events, 0);
	vm_send(&k.vm, RX, (const struct piece[]){ { RX_BUFFERS, 20, true }, { RX_BUFFERS + 0x800, 1600, true } }, 2);
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 60);
	CHECK(memcmp(buffer, rx_header, HEADER) == 0 && full_of(buffer + HEADER, 'a', 8));
	CHECK(full_of(buffer + 0x800, 'a', 52) && buffer[0x800 + 52] == 0);
	/* Buffers first: a frame for each, in order. */
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 1600, true }, 1);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS + 0x800, 1600, true }, 1);
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK_INT(k.n->source.events, EPOLLIN);
	arrive(t, &k, 'b', 1514);
	arrive(t, &k, 'c', 14);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 1514);
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 14);
	CHECK(memcmp(buffer, rx_header, HEADER) == 0 && full_of(buffer + HEADER, 'b', 1514));
	CHECK(full_of(buffer + 0x800 + HEADER, 'c', 14));
	CHECK_INT(k.n->source.events, 0);
	CHECK_INT(k.n->counters.rx_frames, 3);
	CHECK_INT(k.n->counters.rx_dropped, 0);
	card_drop(&k);
}

/* Too large for the buffer, too short to be one: the same buffer has the next. */
TEST(frames_dropped)
{
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, 0);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, HEADER + 100, true }, 1);
	arrive(t, &k, 'a', 101);
	arrive(t, &k, 'b', 1500);
	arrive(t, &k, 'c', 13);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK_INT(k.n->counters.rx_dropped, 3);
	arrive(t, &k, 'd', 100);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 100);
	CHECK(full_of(k.vm.g.bytes + RX_BUFFERS + HEADER, 'd', 100) && k.vm.g.bytes[RX_BUFFERS + HEADER + 100] == 0);
	card_drop(&k);
}

TEST(to_the_wire)
{
	static const struct {
		uint32_t len;
		bool sent;
	} cases[] = { { 0, false }, { 13, false }, { 14, true }, { 1514, true }, { FRAME_MAX, true }, { FRAME_MAX + 1, false },
		      { 0x3000, false } };
	uint8_t buf[4096];
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, EVENT_IDX);
	memset(k.vm.g.bytes + TX_BUFFERS, 0xFF, HEADER);
	memset(k.vm.g.bytes + TX_BUFFERS + HEADER, 'x', 0x4000);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, HEADER + cases[i].len, false }, 1);
		CHECK_INT(vm_used(&k.vm, TX), 0);
		if (!CHECK_INT(read(k.fds[1], buf, sizeof(buf)), cases[i].sent ? (int)cases[i].len + HEADER : -1))
			printf("#   case %zu\n", i);
		/* The guest asks for offloads that it was not offered: the wire does not hear of it. */
		CHECK(!cases[i].sent || (full_of(buf, 0, HEADER) && full_of(buf + HEADER, 'x', cases[i].len)));
	}
	vm_send(&k.vm, TX, (const struct piece[]){ { TX_BUFFERS, 5, false }, { TX_BUFFERS + 5, 17, false },
		{ TX_BUFFERS + 100, 30, false } }, 3);
	CHECK_INT(read(k.fds[1], buf, sizeof(buf)), HEADER + 40);
	CHECK_INT(k.n->counters.tx_frames, 4);
	CHECK_INT(k.n->counters.tx_dropped, 4);
	card_drop(&k);
}

/* A wire that is full: the frame waits, the others behind it, and none is lost. */
TEST(wire_is_full)
{
	unsigned int sent = 0, used = 0, received = 0;
	uint8_t buf[2048];
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, EVENT_IDX);
	for (; sent < 2000 && !k.n->tx_held; sent++) {
		memset(k.vm.g.bytes + TX_BUFFERS + HEADER, (int)(sent % 256), 60);
		vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, HEADER + 60, false }, 1);
		while (vm_used(&k.vm, TX) == 0)
			used++;
	}
	if (!CHECK(k.n->tx_held))
		return;
	CHECK_INT(used, sent - 1);
	CHECK_INT(k.n->source.events, EPOLLOUT);
	/* Left alone while it is so. */
	vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS + 0x1000, HEADER + 60, false }, 1);
	sent++;
	CHECK(vm_settle(&k.vm));
	CHECK_INT(k.vm.m.queues[TX].in_flight, 1);
	while (read(k.fds[1], buf, sizeof(buf)) == HEADER + 60) {
		if (received < sent - 1)
			CHECK_INT(buf[HEADER], received % 256);
		received++;
		CHECK(vm_settle(&k.vm));
	}
	while (vm_used(&k.vm, TX) == 0)
		used++;
	CHECK_INT(received, sent);
	CHECK_INT(used, sent);
	CHECK_INT(k.n->counters.tx_dropped, 0);
	CHECK_INT(k.n->source.events, 0);
	card_drop(&k);
}

TEST(reset)
{
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, 0);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 1600, true }, 1);
	CHECK(k.n->rx_held);
	vm_write32(&k.vm, VIRTIO_MMIO_STATUS, 0);
	CHECK(!k.n->rx_held);
	arrive(t, &k, 'a', 60);
	CHECK_INT(event_loop_run(&k.vm.loop, 0), 0);
	CHECK_INT(k.vm.g.bytes[RX_BUFFERS], 0);
	/* The next driver gets it. */
	vm_start(&k.vm, 0);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 1600, true }, 1);
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 60);
	card_drop(&k);
}

TEST(broken_rules)
{
	static const struct {
		unsigned int queue;
		struct piece piece;
	} cases[] = {
		{ RX, { RX_BUFFERS, 1600, false } },
		{ RX, { RX_BUFFERS, HEADER + 13, true } },
		{ RX, { RX_BUFFERS, 0, true } },
		{ RX, { LOW_SIZE - 1000, 1600, true } },
		{ TX, { TX_BUFFERS, HEADER + 60, true } },
		{ TX, { TX_BUFFERS, HEADER - 1, false } },
		{ TX, { TX_BUFFERS, 0, false } },
	};
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	arrive(t, &k, 'a', 60);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_start(&k.vm, 0);
		vm_send(&k.vm, cases[i].queue, &cases[i].piece, 1);
		if (!CHECK(vm_needs_reset(&k.vm)))
			printf("#   case %zu\n", i);
		CHECK_INT(vm_used(&k.vm, cases[i].queue), -1);
		CHECK_INT(k.n->source.events, 0);
	}
	card_drop(&k);
}

/* ---- a tap, in a network namespace of its own ---- */

static int make_tap(unsigned int *ret_index)
{
	struct ifreq r = { .ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	_cleanup_close_ int s = FD_NONE, tap = FD_NONE;
	int header = HEADER;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (s < 0 || tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0 || ioctl(tap, TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	r.ifr_flags = IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		return -errno;
	*ret_index = if_nametoindex("tap0");
	return take_fd(&tap);
}

/* The frames of ours that the guest got; buffers of 1600 bytes are given back as they are used. */
static unsigned int take_frames(struct card *k, uint64_t *buffer, size_t *ret_len)
{
	unsigned int ours = 0;
	int64_t len;

	while ((len = vm_used(&k->vm, RX)) >= 0) {
		const uint8_t *frame = k->vm.g.bytes + *buffer + HEADER;

		if (frame[12] == OUR_TYPE >> 8 && frame[13] == (OUR_TYPE & 0xFF)) {
			ours++;
			*ret_len = (size_t)len - HEADER;
		}
		vm_send(&k->vm, RX, &(struct piece){ *buffer, 1600, true }, 1);
		*buffer = *buffer == RX_BUFFERS ? RX_BUFFERS + 0x800 : RX_BUFFERS;
	}
	return ours;
}

TEST(tap)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(OUR_TYPE), .sll_halen = 6, .sll_addr = MAC };
	uint8_t frame[1600] = { 0x02, 1, 2, 3, 4, 5, 0x02, 9, 9, 9, 9, 9, OUR_TYPE >> 8, OUR_TYPE & 0xFF, 'h', 'i' };
	unsigned int index = 0, ours = 0;
	uint64_t buffer = RX_BUFFERS;
	size_t len = 0;
	struct card k;
	int packets;

	k = (struct card){ .fds = { make_tap(&index), FD_NONE } };
	if (k.fds[0] < 0) {
		test_skip("no tap can be made here");
		return;
	}
	packets = k.fds[1] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(OUR_TYPE));
	to.sll_ifindex = (int)index;
	if (!CHECK(packets >= 0 && bind(packets, (struct sockaddr *)&to, sizeof(to)) == 0 && card_make_over(&k, k.fds[0])))
		return;
	vm_start(&k.vm, EVENT_IDX);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 1600, true }, 1);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS + 0x800, 1600, true }, 1);
	CHECK_INT(sendto(packets, frame, 1514, 0, (struct sockaddr *)&to, sizeof(to)), 1514);
	for (unsigned int i = 0; i < 50 && ours == 0; i++) {
		CHECK(event_loop_run(&k.vm.loop, 20) >= 0 && vm_settle(&k.vm));
		ours += take_frames(&k, &buffer, &len);
	}
	CHECK_INT(ours, 1);
	CHECK_INT(len, 1514);
	/* And back, with a header that would have the kernel cut it up. */
	memset(k.vm.g.bytes + TX_BUFFERS, 0xFF, HEADER);
	memcpy(k.vm.g.bytes + TX_BUFFERS + HEADER, frame, 200);
	vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, HEADER + 200, false }, 1);
	CHECK_INT(vm_used(&k.vm, TX), 0);
	CHECK_INT(k.n->counters.tx_frames, 1);
	memset(frame, 0, sizeof(frame));
	ours = 0;
	/* A packet socket sees what was sent, too. */
	for (ssize_t n; (n = recv(packets, frame, sizeof(frame), 0)) > 0;)
		ours += n == 200 && memcmp(frame + 14, "hi", 2) == 0 ? 1 : 0;
	CHECK_INT(ours, 1);
	card_drop(&k);
}

TEST_MAIN(CASE(config), CASE(to_the_guest), CASE(frames_dropped), CASE(to_the_wire), CASE(wire_is_full), CASE(reset),
	  CASE(broken_rules), CASE(tap))
