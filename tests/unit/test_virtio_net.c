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

#define BIT(n) (UINT64_C(1) << (n))
#define MRG_RXBUF BIT(VIRTIO_NET_F_MRG_RXBUF)
#define SEND_OFFLOADS (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN))
#define GUEST_OFFLOADS \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))

struct card {
	struct vm vm;
	struct virtio_net *n;
	int fds[2];		/* the device's, the wire's other end */
};

/* In the place of a tap's, for the pair of sockets: what it was told goes out at its wire end. */
static int tell_offloads(int tap, unsigned int flags)
{
	return write(tap, &flags, sizeof(flags)) == (ssize_t)sizeof(flags) ? 0 : -errno;
}

static int refuse_offloads(int tap, unsigned int flags)
{
	(void)tap;
	(void)flags;
	return -EINVAL;
}

typedef int set_offloads(int tap, unsigned int flags);

static bool card_make_over(struct card *k, int tap, set_offloads *set)
{
	struct virtio_net_options o = { .tap = tap, .mac = MAC, .mtu = MTU, .set_offloads = set };

	k->n = malloc(sizeof(*k->n));
	return k->n != NULL && vm_make(&k->vm) && virtio_net_init(k->n, &o, &k->vm.loop) == 0 &&
	       vm_attach(&k->vm, &virtio_net_ops, k->n);
}

static bool card_make_with(struct card *k, set_offloads *set)
{
	*k = (struct card){ .fds = { FD_NONE, FD_NONE } };
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, k->fds) == 0 && card_make_over(k, k->fds[0], set);
}

static bool card_make(struct card *k)
{
	return card_make_with(k, NULL);
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
	uint8_t buf[HEADER + 0x4000];

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
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_MTU | MRG_RXBUF));
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

/* ---- many buffers for a frame ---- */

static void give(struct card *k, unsigned int i, uint32_t len)
{
	vm_send(&k->vm, RX, &(struct piece){ RX_BUFFERS + i * 0x800U, len, true }, 1);
}

TEST(many_buffers)
{
	const uint8_t *buffer;
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, EVENT_IDX | MRG_RXBUF);
	buffer = k.vm.g.bytes + RX_BUFFERS;
	arrive(t, &k, 'a', 5000);
	arrive(t, &k, 'b', 60);
	give(&k, 0, 2000);
	give(&k, 1, 2000);
	CHECK(vm_settle(&k.vm));
	/* Not a part of it is seen, and the tap is left alone, before all of it is there. */
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK_INT(k.n->source.events, 0);
	CHECK_INT(k.vm.m.queues[RX].in_flight, 2);
	give(&k, 2, 2000);
	CHECK_INT(vm_used(&k.vm, RX), 2000);
	CHECK_INT(vm_used(&k.vm, RX), 2000);
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 5000 - 4000);
	CHECK(full_of(buffer, 0, 10) && buffer[10] == 3 && buffer[11] == 0);
	CHECK(full_of(buffer + HEADER, 'a', 2000 - HEADER) && full_of(buffer + 0x800, 'a', 2000) && full_of(buffer + 0x1000, 'a', 1012));
	CHECK(buffer[0x1000 + 1012] == 0);
	/* The next one is whole, and its header says one. */
	give(&k, 3, 1600);
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 60);
	CHECK(memcmp(buffer + 0x1800, rx_header, HEADER) == 0);
	CHECK_INT(k.n->counters.rx_frames, 2);
	CHECK_INT(k.n->counters.rx_dropped, 0);
	card_drop(&k);
}

/* A frame that waits for its last buffer when the driver goes is not the next one's. */
TEST(many_buffers_reset)
{
	struct card k;

	if (!CHECK(card_make(&k)))
		return;
	vm_start(&k.vm, MRG_RXBUF);
	arrive(t, &k, 'a', 5000);
	give(&k, 0, 2000);
	CHECK_INT(k.n->frame.len, HEADER + 5000);
	vm_write32(&k.vm, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(k.n->frame.len, 0);
	vm_start(&k.vm, MRG_RXBUF);
	give(&k, 0, 2000);
	arrive(t, &k, 'b', 60);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 60);
	CHECK(k.vm.g.bytes[RX_BUFFERS + HEADER] == 'b');
	card_drop(&k);
}

TEST(many_buffers_broken_rules)
{
	static const struct piece cases[] = { { RX_BUFFERS + 0x800, 2000, false }, { RX_BUFFERS + 0x800, HEADER - 1, true } };
	struct card k;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!CHECK(card_make(&k)))
			return;
		vm_start(&k.vm, MRG_RXBUF);
		arrive(t, &k, 'a', 5000);
		give(&k, 0, 2000);
		vm_send(&k.vm, RX, &cases[i], 1);
		CHECK(vm_needs_reset(&k.vm));
		CHECK_INT(vm_used(&k.vm, RX), -1);
		card_drop(&k);
	}
}

/* ---- offloads ---- */

/* Of what it has no need to be told it is not. */
#define NOTHING (~0U)

static unsigned int told(const struct card *k)
{
	unsigned int flags = 0;

	return read(k->fds[1], &flags, sizeof(flags)) == (ssize_t)sizeof(flags) ? flags : NOTHING;
}

TEST(offloads_of_the_tap)
{
	static const struct {
		uint64_t features;
		unsigned int flags;
	} cases[] = {
		{ 0, NOTHING },
		{ MRG_RXBUF | BIT(VIRTIO_NET_F_GUEST_TSO4), NOTHING },
		{ BIT(VIRTIO_NET_F_GUEST_CSUM), TUN_F_CSUM },
		/* It could take them, and has no room. */
		{ GUEST_OFFLOADS, TUN_F_CSUM },
		{ MRG_RXBUF | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6), TUN_F_CSUM | TUN_F_TSO6 },
		{ MRG_RXBUF | GUEST_OFFLOADS, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN },
	};
	struct card k;

	if (!CHECK(card_make_with(&k, tell_offloads)))
		return;
	CHECK((vm_offered(&k.vm) & (SEND_OFFLOADS | GUEST_OFFLOADS)) == (SEND_OFFLOADS | GUEST_OFFLOADS));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_start(&k.vm, cases[i].features);
		if (!CHECK_INT(told(&k), cases[i].flags))
			printf("#   case %zu\n", i);
		vm_write32(&k.vm, VIRTIO_MMIO_STATUS, 0);
		CHECK_INT(told(&k), cases[i].flags == NOTHING ? NOTHING : 0);
	}
	card_drop(&k);
	/* A tap that cannot: the driver does not go on as if it could. */
	if (!CHECK(card_make_with(&k, refuse_offloads)))
		return;
	vm_start(&k.vm, GUEST_OFFLOADS);
	CHECK(vm_needs_reset(&k.vm));
	card_drop(&k);
}

/* What the host's kernel says of a frame is for those who have asked. */
TEST(header_to_the_guest)
{
	struct card k;

	if (!CHECK(card_make_with(&k, tell_offloads)))
		return;
	vm_start(&k.vm, MRG_RXBUF | GUEST_OFFLOADS);
	CHECK(told(&k) != 0);
	give(&k, 0, 2000);
	arrive(t, &k, 'a', 60);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), HEADER + 60);
	CHECK(full_of(k.vm.g.bytes + RX_BUFFERS, 0xFF, 10) && memcmp(k.vm.g.bytes + RX_BUFFERS + 10, rx_header + 10, 2) == 0);
	card_drop(&k);
}

/* An IPv4 TCP segment of len bytes at the TX buffers, behind a header that asks for what it needs. */
static void put_segment(struct card *k, uint32_t len, uint16_t gso_size)
{
	struct virtio_net_hdr_mrg_rxbuf h = {
		.hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = gso_size, .csum_start = 34,
			 .csum_offset = 16 },
	};
	static const uint8_t mac[12] = { 0x02, 9, 9, 9, 9, 9, 0x02, 1, 2, 3, 4, 5 };
	uint8_t *p = k->vm.g.bytes + TX_BUFFERS;
	uint16_t ip_len = htons((uint16_t)(len - ETH_HLEN));

	memset(p, 0, HEADER + 64);
	memcpy(p, &h, sizeof(h));
	p += HEADER;
	memcpy(p, mac, sizeof(mac));
	p[12] = 0x08;
	p[14] = 0x45;
	memcpy(p + 16, &ip_len, 2);
	p[22] = 64;
	p[23] = 6;
	memcpy(p + 26, (const uint8_t[]){ 192, 0, 2, 1, 192, 0, 2, 2 }, 8);
	p[46] = 0x50;
	memset(p + 54, 'x', len - 54);
}

TEST(segments_to_the_wire)
{
	struct virtio_net_hdr_mrg_rxbuf h;
	static uint8_t buf[0x8000];
	struct card k;

	if (!CHECK(card_make_with(&k, tell_offloads)))
		return;
	vm_start(&k.vm, SEND_OFFLOADS);
	CHECK_INT(told(&k), NOTHING);
	put_segment(&k, 20000, 1400);
	/* Cut in the middle of the headers that are looked at, and elsewhere. */
	vm_send(&k.vm, TX, (const struct piece[]){ { TX_BUFFERS, 30, false }, { TX_BUFFERS + 30, 5000, false },
		{ TX_BUFFERS + 5030, HEADER + 20000 - 5030, false } }, 3);
	CHECK_INT(vm_used(&k.vm, TX), 0);
	CHECK_INT(read(k.fds[1], buf, sizeof(buf)), HEADER + 20000);
	memcpy(&h, buf, sizeof(h));
	CHECK(h.hdr.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && h.hdr.gso_size == 1400 && h.hdr.hdr_len == 54);
	CHECK(memcmp(buf + HEADER, k.vm.g.bytes + TX_BUFFERS + HEADER, 20000) == 0);
	/* One byte of it is otherwise: it is not what its header says. */
	k.vm.g.bytes[TX_BUFFERS + HEADER + 23] = 17;
	vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, HEADER + 20000, false }, 1);
	CHECK_INT(vm_used(&k.vm, TX), 0);
	CHECK(read(k.fds[1], buf, sizeof(buf)) < 0);
	CHECK_INT(k.n->counters.tx_dropped, 1);
	CHECK_INT(k.n->counters.tx_frames, 1);
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
	if (!CHECK(packets >= 0 && bind(packets, (struct sockaddr *)&to, sizeof(to)) == 0 && card_make_over(&k, k.fds[0], virtio_net_tap_offloads)))
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

/* A frame that only offloads make possible, through a real tap: what a packet socket sees of it, and sends. */
static bool make_offload_card(struct card *k)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	unsigned int index = 0;
	int one = 1;

	*k = (struct card){ .fds = { make_tap(&index), FD_NONE } };
	if (k->fds[0] < 0) {
		test_skip("no tap can be made here");
		return false;
	}
	at.sll_ifindex = (int)index;
	k->fds[1] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return setsockopt(k->fds[1], SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == 0 &&
	       bind(k->fds[1], (struct sockaddr *)&at, sizeof(at)) == 0 && card_make_over(k, k->fds[0], virtio_net_tap_offloads);
}

/* The bytes of the next frame of that length that the socket has, behind the header; the kernel's own traffic passes. */
static bool next_frame(const struct card *k, struct virtio_net_hdr *h, uint8_t *buf, size_t len)
{
	struct iovec iov[] = { { h, sizeof(*h) }, { buf, 0x8000 } };
	ssize_t n;

	do
		n = readv(k->fds[1], iov, 2);
	while (n > 0 && (size_t)n != sizeof(*h) + len);
	return n > 0;
}

TEST(segments_through_a_tap)
{
	struct virtio_net_hdr h = { .flags = 0 };
	static uint8_t buf[0x8000];
	struct card k;
	ssize_t sent;
	int64_t len = -1, got = 0;

	if (!CHECK(make_offload_card(&k)))
		return;
	vm_start(&k.vm, EVENT_IDX | MRG_RXBUF | SEND_OFFLOADS | GUEST_OFFLOADS);
	put_segment(&k, 20000, 1400);
	vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, HEADER + 20000, false }, 1);
	CHECK_INT(vm_used(&k.vm, TX), 0);
	CHECK_INT(k.n->counters.tx_frames, 1);
	if (CHECK(next_frame(&k, &h, buf, 20000)))
		CHECK(h.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && h.gso_size == 1400 && buf[54] == 'x' && buf[19999] == 'x');
	/* And back, in one piece: eight buffers of 2000 bytes would not be enough. */
	sent = writev(k.fds[1], (const struct iovec[]){ { &h, sizeof(h) }, { buf, 20000 } }, 2);
	CHECK_INT(sent, sizeof(h) + 20000);
	for (unsigned int i = 0; i < 12; i++)
		give(&k, i % 8, 2000);
	for (unsigned int i = 0; i < 200 && got < HEADER + 20000; i++) {
		CHECK(event_loop_run(&k.vm.loop, 5) >= 0 && vm_settle(&k.vm));
		while ((len = vm_used(&k.vm, RX)) >= 0)
			/* The kernel's own frames are short. */
			got = len == 2000 || got > 0 ? got + len : 0;
	}
	CHECK(got >= HEADER + 20000);
	card_drop(&k);
}

TEST_MAIN(CASE(config), CASE(to_the_guest), CASE(frames_dropped), CASE(to_the_wire), CASE(wire_is_full), CASE(reset),
	  CASE(broken_rules), CASE(many_buffers), CASE(many_buffers_reset), CASE(many_buffers_broken_rules), CASE(offloads_of_the_tap),
	  CASE(header_to_the_guest), CASE(segments_to_the_wire), CASE(tap), CASE(segments_through_a_tap))
