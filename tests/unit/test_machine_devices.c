/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each virtio device of a machine, driven by a guest of a few instructions that any KVM can run: a list of accesses to
 * registers and rings, assembled here, of which the guest tells what it saw through the serial port. The devices'
 * own tests have the rules; this is the way from an instruction of the guest to the device, and back into its memory.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "microvm/boot_x86.h"
#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/small_machine.h"
#include "tests/unit/vhost_backend.h"

/* Where this guest has its things: queue n has 0x4000 bytes. */
#define RINGS 0x200000U
#define DESC(q) (RINGS + (q) * 0x4000U)
#define AVAIL(q) (DESC(q) + 0x1000U)
#define USED(q) (DESC(q) + 0x2000U)
#define DATA 0x300000U
#define SIZE 8U
#define QUEUES_MAX 6

/* ---- the guest ---- */

struct guest {
	uint8_t code[sizeof(((struct kernel *)NULL)->code)];
	size_t n;
	bool helped;			/* the test has a thread of its own meanwhile */
	uint32_t window;		/* of the device that is spoken to */
	uint16_t added[QUEUES_MAX], next_desc[QUEUES_MAX];
};

static void emit(struct guest *g, const void *bytes, size_t n)
{
	/* One that is too long ends in zeros, which are no instructions of any use: the test fails. */
	if (n <= sizeof(g->code) - g->n) {
		memcpy(g->code + g->n, bytes, n);
		g->n += n;
	}
}

static void emit32(struct guest *g, uint32_t v)
{
	uint8_t b[4];

	le32_put(b, v);
	emit(g, b, sizeof(b));
}

/* mov dword [addr], v */
static void poke(struct guest *g, uint32_t addr, uint32_t v)
{
	emit(g, "\xc7\x05", 2);
	emit32(g, addr);
	emit32(g, v);
}

static void set(struct guest *g, uint32_t reg, uint32_t v)
{
	poke(g, g->window + reg, v);
}

/* again: mov eax, [addr]; cmp eax, v; jne again */
static void await(struct guest *g, uint32_t addr, uint32_t v)
{
	emit(g, "\xa1", 1);
	emit32(g, addr);
	emit(g, "\x3d", 1);
	emit32(g, v);
	emit(g, "\x75\xf4", 2);
}

/* The used ring's flags are 0: its first four bytes are the index. */
static void await_used(struct guest *g, unsigned int q, uint16_t index)
{
	await(g, USED(q), (uint32_t)index << 16);
}

/* mov esi, addr; mov ecx, n; mov dx, COM1; rep outsb */
static void say(struct guest *g, uint32_t addr, uint32_t n)
{
	emit(g, "\xbe", 1);
	emit32(g, addr);
	emit(g, "\xb9", 1);
	emit32(g, n);
	emit(g, "\x66\xba\xf8\x03\xf3\x6e", 6);
}

/* mov eax, [window + reg]; mov dx, COM1; out dx, al */
static void say_register(struct guest *g, uint32_t reg)
{
	emit(g, "\xa1", 1);
	emit32(g, g->window + reg);
	emit(g, "\x66\xba\xf8\x03\xee", 5);
}

static void power_down(struct guest *g)
{
	static const uint8_t code[] = { POWER_OFF, 0xf4 };

	emit(g, code, sizeof(code));
}

static void start_queue(struct guest *g, unsigned int q)
{
	set(g, VIRTIO_MMIO_QUEUE_SEL, q);
	set(g, VIRTIO_MMIO_QUEUE_NUM, SIZE);
	set(g, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC(q));
	set(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL(q));
	set(g, VIRTIO_MMIO_QUEUE_USED_LOW, USED(q));
	set(g, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* The device in this slot, up to DRIVER_OK with n queues. */
static void start_device(struct guest *g, unsigned int slot, uint32_t features, unsigned int n)
{
	const uint32_t steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	g->window = (uint32_t)(BOOT_VIRTIO_MMIO + slot * BOOT_VIRTIO_MMIO_SIZE);
	set(g, VIRTIO_MMIO_STATUS, 0);
	set(g, VIRTIO_MMIO_STATUS, steps);
	set(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(g, VIRTIO_MMIO_DRIVER_FEATURES, features);
	set(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(g, VIRTIO_MMIO_DRIVER_FEATURES, 1U << (VIRTIO_F_VERSION_1 - 32));
	set(g, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int q = 0; q < n; q++)
		start_queue(g, q);
	set(g, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

struct piece {
	uint32_t addr, len;
	bool writable;
};

/* A chain into queue q, and the notification. */
static void give(struct guest *g, unsigned int q, const struct piece *p, size_t n)
{
	uint32_t head = g->next_desc[q];

	for (size_t i = 0; i < n; i++) {
		uint32_t at = DESC(q) + g->next_desc[q]++ * 16U;
		uint32_t flags = (p[i].writable ? VRING_DESC_F_WRITE : 0U) | (i + 1 < n ? VRING_DESC_F_NEXT : 0U);

		poke(g, at, p[i].addr);
		poke(g, at + 8, p[i].len);
		poke(g, at + 12, flags | (uint32_t)g->next_desc[q] << 16);
	}
	/* Two entries of 16 bits in each word of the ring; those behind are not published yet. */
	poke(g, AVAIL(q) + 4 + g->added[q] * 2U, head);
	g->added[q]++;
	poke(g, AVAIL(q), (uint32_t)g->added[q] << 16);
	set(g, VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

static struct guest *new_guest(void)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (g != NULL)
		emit(g, "\xfc", 1);	/* cld */
	return g;
}

/* Its end, and what it said in o->console. */
static bool go(struct test *t, struct machine_config *c, struct guest *g, struct outcome *o)
{
	bool ran;

	power_down(g);
	ran = g->helped ? run_only(t, c, g->code, g->n, o) : run(t, c, g->code, g->n, o);
	free(g);
	if (!ran)
		return false;
	if (!CHECK_INT(o->end, MACHINE_POWER_OFF))
		printf("#   %s\n", o->reason);
	return o->end == MACHINE_POWER_OFF;
}

/* ---- randomness ---- */

TEST(rng)
{
	struct machine_config c = CONFIG();
	struct guest *g = new_guest();
	uint8_t zero[16] = { 0 };
	struct outcome o;

	if (!CHECK(g != NULL))
		return;
	start_device(g, 0, 0, 1);
	give(g, 0, &(struct piece){ DATA, 16, true }, 1);
	await_used(g, 0, 1);
	say_register(g, VIRTIO_MMIO_INTERRUPT_STATUS);
	set(g, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	say_register(g, VIRTIO_MMIO_INTERRUPT_STATUS);
	say(g, USED(0) + 8, 1);
	say(g, DATA, 17);
	if (!go(t, &c, g, &o))
		return;
	CHECK(o.console[0] == 1 && o.console[1] == 0);
	CHECK_INT(o.console[2], 16);
	/* 2^-128 that it is not so. */
	CHECK(memcmp(o.console + 3, zero, 16) != 0 && o.console[19] == 0);
}

/* A descriptor outside of memory: the device gives up, and the guest sees it. */
TEST(broken_driver)
{
	struct machine_config c = CONFIG();
	struct guest *g = new_guest();
	struct outcome o;

	if (!CHECK(g != NULL))
		return;
	start_device(g, 0, 0, 1);
	give(g, 0, &(struct piece){ 0xc0000000, 16, true }, 1);
	await(g, g->window + VIRTIO_MMIO_STATUS, 0x4f);
	say(g, USED(0), 4);
	if (go(t, &c, g, &o))
		CHECK(memcmp(o.console, "\0\0\0\0", 4) == 0);
}

/* ---- a disk ---- */

static void ask_disk(struct guest *g, uint32_t type, uint32_t sector, bool writes)
{
	poke(g, DATA, type);
	poke(g, DATA + 4, 0);
	poke(g, DATA + 8, sector);
	poke(g, DATA + 12, 0);
	give(g, 0, (const struct piece[]){ { DATA, 16, false }, { DATA + 0x1000, 512, !writes }, { DATA + 0x2000, 1, true } }, 3);
	await_used(g, 0, g->added[0]);
	say(g, DATA + 0x2000, 1);
}

TEST(blk)
{
	static uint8_t image[4 * 512];
	struct machine_disk disk = { .image = memfd_create("disk", MFD_CLOEXEC), .serial = "disk-1" };
	struct machine_config c = CONFIG(.disks = &disk, .n_disks = 1);
	struct guest *g = new_guest();
	struct outcome o;

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)('A' + i / 512);
	if (!CHECK(g != NULL && disk.image >= 0 && fd_write_all(disk.image, image, sizeof(image)) == 0))
		return;
	start_device(g, 0, 0, 1);
	say_register(g, VIRTIO_MMIO_CONFIG);	/* its size in sectors */
	poke(g, DATA + 0x2000, 0xff);
	ask_disk(g, 0, 1, false);
	say(g, DATA + 0x1000, 4);
	poke(g, DATA + 0x1000, 0x2e776f6e);	/* "now." */
	ask_disk(g, 1, 3, true);
	/* Behind its end. */
	g->next_desc[0] = 0;
	ask_disk(g, 0, 4, false);
	if (go(t, &c, g, &o)) {
		CHECK(memcmp(o.console, "\4\0BBBB\0\1", 8) == 0);
		CHECK(pread(disk.image, image, sizeof(image), 0) == (ssize_t)sizeof(image));
		CHECK(memcmp(image + 1536, "now.BBBB", 8) == 0 && image[511] == 'A' && image[1535] == 'C');
	}
	close(disk.image);
}

/* ---- the channel's port ---- */

enum { CONTROL_RX = 2, CONTROL_TX, PORT_RX, PORT_TX, CONSOLE_QUEUES };

static void tell_console(struct guest *g, uint32_t port, uint32_t event)
{
	poke(g, DATA, port);
	poke(g, DATA + 4, event | 1U << 16);
	give(g, CONTROL_TX, &(struct piece){ DATA, 8, false }, 1);
	await_used(g, CONTROL_TX, g->added[CONTROL_TX]);
}

TEST(console)
{
	struct machine_config c = CONFIG();
	struct guest *g = new_guest();
	char got[16] = "";
	struct outcome o;
	int fds[2];

	if (!CHECK(g != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0))
		return;
	c.channel = fds[0];
	CHECK(send(fds[1], "to the guest", 12, 0) == 12);
	start_device(g, 0, 1U << VIRTIO_CONSOLE_F_MULTIPORT, CONSOLE_QUEUES);
	for (uint32_t i = 0; i < 3; i++)
		give(g, CONTROL_RX, &(struct piece){ DATA + 0x1000 + i * 0x100, 64, true }, 1);
	tell_console(g, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY);
	tell_console(g, 1, VIRTIO_CONSOLE_PORT_READY);
	await_used(g, CONTROL_RX, 3);
	say(g, DATA + 0x1100 + 8, sizeof(MACHINE_CHANNEL_NAME) - 1);
	tell_console(g, 1, VIRTIO_CONSOLE_PORT_OPEN);
	give(g, PORT_RX, &(struct piece){ DATA + 0x2000, 64, true }, 1);
	await_used(g, PORT_RX, 1);
	say(g, DATA + 0x2000, 13);
	poke(g, DATA + 0x3000, 0x6b636162);	/* "back" */
	give(g, PORT_TX, &(struct piece){ DATA + 0x3000, 4, false }, 1);
	await_used(g, PORT_TX, 1);
	if (go(t, &c, g, &o)) {
		CHECK_STR(o.console, MACHINE_CHANNEL_NAME "to the guest");
		CHECK_INT(recv(fds[1], got, sizeof(got) - 1, MSG_DONTWAIT), 4);
		CHECK_STR(got, "back");
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- a network card ---- */

#define HEADER 12U

TEST(net)
{
	uint8_t frame[HEADER + 60] = { 0 };
	struct machine_net net = { .mac = { 2, 'n', 'a', 'c', 'r', 'e' }, .mtu = 1400 };
	struct machine_config c = CONFIG(.nets = &net, .n_nets = 1);
	struct guest *g = new_guest();
	struct outcome o;
	int fds[2];

	/* As a tap: a frame a read, a frame a write. */
	if (!CHECK(g != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0))
		return;
	net.tap = fds[0];
	memset(frame + HEADER, 'f', 60);
	CHECK(write(fds[1], frame, sizeof(frame)) == (ssize_t)sizeof(frame));
	start_device(g, 0, 0, 2);
	say_register(g, VIRTIO_MMIO_CONFIG + 4);
	give(g, 0, &(struct piece){ DATA, 2048, true }, 1);
	await_used(g, 0, 1);
	say(g, USED(0) + 8, 1);
	say(g, DATA + HEADER + 59, 2);
	/* It goes back as it came, with another first byte. */
	poke(g, DATA + HEADER, 0x66666667);
	give(g, 1, &(struct piece){ DATA, sizeof(frame), false }, 1);
	await_used(g, 1, 1);
	if (go(t, &c, g, &o)) {
		CHECK(memcmp(o.console, "rHf\0", 4) == 0);	/* the MAC's fifth byte; 72 bytes */
		memset(frame, 0xff, sizeof(frame));
		CHECK(read(fds[1], frame, sizeof(frame)) == (ssize_t)sizeof(frame));
		CHECK(frame[0] == 0 && memcmp(frame + HEADER, "gfff", 4) == 0 && frame[sizeof(frame) - 1] == 'f');
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- the balloon ---- */

/* The host's wishes: 8 KiB, and when the guest has given them, nothing. */
struct wishes {
	int fd;
	uint64_t given;
	bool done;
};

static void *wish(void *arg)
{
	static const struct timespec nap = { .tv_nsec = 5000000 };
	struct machine_request q = { .balloon = 8192 };
	struct machine_answer a = { .balloon = 1 };
	struct wishes *w = arg;

	for (int i = 0; i < 4000 && a.balloon != q.balloon; i++) {
		if (send(w->fd, &q, sizeof(q), MSG_NOSIGNAL) < 0 || recv(w->fd, &a, sizeof(a), 0) != (ssize_t)sizeof(a))
			return NULL;
		nanosleep(&nap, NULL);
	}
	w->given = a.balloon;
	q.balloon = 0;
	w->done = send(w->fd, &q, sizeof(q), MSG_NOSIGNAL) > 0;
	return NULL;
}

TEST(balloon)
{
	struct machine_config c = CONFIG();
	struct guest *g = new_guest();
	struct wishes w = { 0 };
	pthread_t thread;
	struct outcome o;
	int fds[2];

	if (!CHECK(g != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0))
		return;
	c.control = fds[0];
	w.fd = fds[1];
	g->helped = true;
	if (!CHECK(pthread_create(&thread, NULL, wish, &w) == 0))
		return;
	/* Behind the generator of random bytes. */
	start_device(g, 1, 0, 2);
	poke(g, DATA + 0x10000, 0x31313131);
	poke(g, DATA + 0x12000, 0x32323232);
	await(g, g->window + VIRTIO_MMIO_CONFIG, 2);
	poke(g, DATA, (DATA + 0x10000) >> 12);
	poke(g, DATA + 4, (DATA + 0x11000) >> 12);
	give(g, 0, &(struct piece){ DATA, 8, false }, 1);
	await_used(g, 0, 1);
	/* Those pages are gone: what is read there is zero. Their neighbour is not. */
	say(g, DATA + 0x10000, 1);
	say(g, DATA + 0x12000, 1);
	set(g, VIRTIO_MMIO_CONFIG + 4, 2);
	await(g, g->window + VIRTIO_MMIO_CONFIG, 0);
	give(g, 1, &(struct piece){ DATA, 8, false }, 1);
	await_used(g, 1, 1);
	set(g, VIRTIO_MMIO_CONFIG + 4, 0);
	poke(g, DATA + 0x10000, 0x33);
	say(g, DATA + 0x10000, 1);
	if (go(t, &c, g, &o))
		CHECK(memcmp(o.console, "\0002" "3", 3) == 0);
	(void)shutdown(fds[1], SHUT_RDWR);
	pthread_join(thread, NULL);
	CHECK(o.r < 0 || test_skip_reason != NULL || (w.given == 8192 && w.done));
	close(fds[0]);
	close(fds[1]);
}

/* ---- the shared file system ---- */

/* A back end that works on the request queue once: it writes into the buffer and raises the interrupt. */
struct server {
	struct vhost_backend b;
	bool served;
};

static const struct vu_record *find(const struct vhost_backend *b, uint32_t request, uint32_t queue)
{
	size_t n = __atomic_load_n(&b->n, __ATOMIC_SEQ_CST);

	for (size_t i = 0; i < n; i++)
		if (b->records[i].h.request == request && (request == VU_SET_MEM_TABLE || b->records[i].payload[0] == queue))
			return &b->records[i];
	return NULL;
}

/* All that this guest uses lies in the first region, which begins at 0 of the guest. */
static void serve_once(struct server *s)
{
	const struct vu_record *table = find(&s->b, VU_SET_MEM_TABLE, 0), *call = find(&s->b, VU_SET_VRING_CALL, 1);
	uint64_t offset, one = 1;
	uint8_t *memory;

	if (table == NULL || call == NULL)
		return;
	memcpy(&offset, table->payload + 8 + 24, sizeof(offset));
	memory = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, table->fds[0], (off_t)offset);
	if (memory == MAP_FAILED)
		return;
	memcpy(memory + DATA + 0x1000, "from the back end", 17);
	le32_put(memory + USED(1) + 4, 0);
	le32_put(memory + USED(1) + 8, 17);
	__atomic_store_n((uint32_t *)(void *)(memory + USED(1)), 1U << 16, __ATOMIC_SEQ_CST);
	s->served = memcmp(memory + DATA, "ask!", 4) == 0 && write(call->fds[0], &one, sizeof(one)) == (ssize_t)sizeof(one);
	munmap(memory, RAM);
}

static void *serve(void *arg)
{
	static const struct timespec nap = { .tv_nsec = 2000000 };
	struct server *s = arg;
	const struct vu_record *kick = NULL;

	for (int i = 0; i < 10000 && kick == NULL; i++) {
		kick = find(&s->b, VU_SET_VRING_KICK, 1);
		nanosleep(&nap, NULL);
	}
	if (kick != NULL && poll(&(struct pollfd){ .fd = kick->fds[0], .events = POLLIN }, 1, 20000) == 1)
		serve_once(s);
	return NULL;
}

TEST(fs)
{
	struct server *s = calloc(1, sizeof(*s));
	struct machine_config c = CONFIG();
	struct guest *g = new_guest();
	pthread_t thread;
	struct outcome o;

	if (!CHECK(s != NULL && g != NULL))
		return;
	s->b.features = UINT64_C(1) << VIRTIO_F_VERSION_1 | VU_PROTOCOL_FEATURES;
	s->b.protocol_features = VU_MQ | VU_REPLY_ACK;
	s->b.queues = 2;
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		test_skip("there is no /dev/kvm");
		return;
	}
	if (!CHECK(vhost_backend_start(&s->b) && pthread_create(&thread, NULL, serve, s) == 0))
		return;
	c.fs = s->b.ours;
	g->helped = true;
	start_device(g, 0, 0, 2);
	poke(g, DATA, 0x216b7361);	/* "ask!" */
	give(g, 1, (const struct piece[]){ { DATA, 4, false }, { DATA + 0x1000, 64, true } }, 2);
	await_used(g, 1, 1);
	say_register(g, VIRTIO_MMIO_INTERRUPT_STATUS);
	say(g, DATA + 0x1000, 17);
	if (go(t, &c, g, &o))
		CHECK_STR(o.console, "\1from the back end");
	pthread_join(thread, NULL);
	CHECK(s->served);
	vhost_backend_stop(&s->b);
	vhost_backend_forget(&s->b);
	free(s);
}

TEST_MAIN(CASE(rng), CASE(broken_driver), CASE(blk), CASE(console), CASE(net), CASE(balloon), CASE(fs))
