/* SPDX-License-Identifier: Apache-2.0 */
/* The console's port: the control protocol, and bytes both ways with and without room for them. */
#include "tests/unit/test.h"

#include <linux/virtio_console.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/virtio_console.h"
#include "runtime/base/str.h"
#include "tests/unit/virtio_device.h"

enum { PORT0_RX, PORT0_TX, CONTROL_RX, CONTROL_TX, RX, TX };

#define NAME "nacre.channel"
#define MULTIPORT (UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT)
#define CONTROL_BUFFERS BUFFERS
#define CONTROL_OUT (BUFFERS + 0x800)
#define RX_BUFFERS (BUFFERS + 0x1000)
#define TX_BUFFERS (BUFFERS + 0x2000)

struct console {
	struct vm vm;
	struct virtio_console *c;
	int fds[2];		/* the device's, the host's */
	unsigned int control_buffers;
};

static bool console_make(struct console *k)
{
	struct virtio_console_options o = { .name = NAME };

	*k = (struct console){ .c = malloc(sizeof(*k->c)), .fds = { FD_NONE, FD_NONE } };
	if (k->c == NULL || !vm_make(&k->vm) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, k->fds) < 0)
		return false;
	o.socket = k->fds[0];
	return virtio_console_init(k->c, &o, &k->vm.loop) == 0 && vm_attach(&k->vm, &virtio_console_ops, k->c);
}

static void console_drop(struct console *k)
{
	virtio_console_deinit(k->c);
	vm_drop(&k->vm);
	fd_close(&k->fds[0]);
	fd_close(&k->fds[1]);
	free(k->c);
}

/* A buffer of 32 bytes for a control message. */
static void give_control(struct console *k)
{
	uint64_t at = CONTROL_BUFFERS + k->control_buffers++ % 16 * 32;

	vm_send(&k->vm, CONTROL_RX, &(struct piece){ at, 32, true }, 1);
}

static void say(struct console *k, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = { htole32(id), htole16(event), htole16(value) };

	memcpy(k->vm.g.bytes + CONTROL_OUT, &m, sizeof(m));
	vm_send(&k->vm, CONTROL_TX, &(struct piece){ CONTROL_OUT, sizeof(m), false }, 1);
}

/* The next message of the device is this one, with this text behind it. */
static bool heard(struct console *k, unsigned int buffer, uint16_t event, uint16_t value, const char *text)
{
	const struct virtio_console_control m = { htole32(1), htole16(event), htole16(value) };
	const uint8_t *bytes = k->vm.g.bytes + CONTROL_BUFFERS + buffer * 32;

	return vm_used(&k->vm, CONTROL_RX) == (int64_t)(sizeof(m) + strlen(text)) && memcmp(bytes, &m, sizeof(m)) == 0 &&
	       memcmp(bytes + sizeof(m), text, strlen(text)) == 0;
}

/* As Linux does it: ready, the port, open. */
static void open_port(struct console *k, uint64_t features)
{
	k->control_buffers = 0;
	vm_start(&k->vm, features);
	for (unsigned int i = 0; i < 8; i++)
		give_control(k);
	say(k, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
	say(k, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	say(k, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	for (unsigned int i = 0; i < 3; i++)
		(void)vm_used(&k->vm, CONTROL_RX);
}

TEST(control)
{
	struct console k;
	uint8_t config[12];

	if (!CHECK(console_make(&k)))
		return;
	CHECK(vm_offered(&k.vm) == (VERSION_1 | EVENT_IDX | MULTIPORT));
	for (uint32_t i = 0; i < sizeof(config); i += 4)
		virtio_mmio_read(&k.vm.m, VIRTIO_MMIO_CONFIG + i, config + i, 4);
	CHECK(memcmp(config, "\0\0\0\0\2\0\0\0\0\0\0\0", sizeof(config)) == 0);
	vm_start(&k.vm, MULTIPORT | EVENT_IDX);
	/* Nothing before the driver speaks, and without buffers later. */
	give_control(&k);
	CHECK_INT(vm_used(&k.vm, CONTROL_RX), -1);
	say(&k, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
	CHECK_INT(vm_used(&k.vm, CONTROL_TX), 0);
	CHECK(heard(&k, 0, VIRTIO_CONSOLE_PORT_ADD, 1, ""));
	say(&k, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK_INT(vm_used(&k.vm, CONTROL_RX), -1);
	give_control(&k);
	CHECK(heard(&k, 1, VIRTIO_CONSOLE_PORT_NAME, 1, NAME));
	CHECK_INT(vm_used(&k.vm, CONTROL_RX), -1);
	give_control(&k);
	CHECK(heard(&k, 2, VIRTIO_CONSOLE_PORT_OPEN, 1, ""));
	/* The same again and again is one message of each; what is not ours has no effect. */
	for (unsigned int i = 0; i < 40; i++) {
		say(&k, 1, VIRTIO_CONSOLE_PORT_READY, 1);
		say(&k, 0, VIRTIO_CONSOLE_PORT_READY, 1);
		say(&k, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
		say(&k, 1, VIRTIO_CONSOLE_PORT_READY, 0);
		say(&k, 1, 77, 1);
		say(&k, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	}
	CHECK(!k.c->guest_open);
	for (unsigned int i = 0; i < 5; i++)
		give_control(&k);
	CHECK(heard(&k, 3, VIRTIO_CONSOLE_PORT_NAME, 1, NAME));
	CHECK(heard(&k, 4, VIRTIO_CONSOLE_PORT_OPEN, 1, ""));
	CHECK_INT(vm_used(&k.vm, CONTROL_RX), -1);
	CHECK(!vm_needs_reset(&k.vm));
	console_drop(&k);
}

/* Without F_MULTIPORT there is a console, on which nothing happens. */
TEST(no_multiport)
{
	struct console k;
	char buf[4];

	if (!CHECK(console_make(&k)))
		return;
	open_port(&k, 0);
	vm_send(&k.vm, PORT0_TX, &(struct piece){ TX_BUFFERS, 10, false }, 1);
	CHECK_INT(vm_used(&k.vm, PORT0_TX), 0);
	vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, 10, false }, 1);
	CHECK_INT(vm_used(&k.vm, TX), -1);
	CHECK_INT(recv(k.fds[1], buf, sizeof(buf), MSG_DONTWAIT), -1);
	console_drop(&k);
}

TEST(to_the_host)
{
	struct console k;
	char buf[16];
	unsigned int interrupts;

	if (!CHECK(console_make(&k)))
		return;
	for (unsigned int i = 0; i < 2; i++) {
		open_port(&k, MULTIPORT | (i != 0 ? EVENT_IDX : 0));
		interrupts = k.vm.interrupts;
		memcpy(k.vm.g.bytes + TX_BUFFERS, "hello, world", 12);
		vm_send(&k.vm, TX, (const struct piece[]){ { TX_BUFFERS, 5, false }, { TX_BUFFERS + 5, 7, false } }, 2);
		CHECK_INT(vm_used(&k.vm, TX), 0);
		CHECK_INT(k.vm.interrupts, interrupts + 1);
		CHECK_INT(recv(k.fds[1], buf, sizeof(buf), MSG_DONTWAIT), 12);
		CHECK(memcmp(buf, "hello, world", 12) == 0);
	}
	console_drop(&k);
}

/* A chain that the socket has no room for waits, in order, and nothing of it is lost or sent twice. */
TEST(to_the_host_that_does_not_read)
{
	struct console k;
	uint64_t received = 0;
	unsigned int used = 0, added = 0;
	uint8_t expected = 0;
	int size = 4096;

	if (!CHECK(console_make(&k)))
		return;
	CHECK_INT(setsockopt(k.fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	open_port(&k, MULTIPORT);
	for (size_t i = 0; i < 0x4000; i++)
		k.vm.g.bytes[TX_BUFFERS + i] = (uint8_t)(i % 251);
	for (; added < 8; added++)
		vm_send(&k.vm, TX, (const struct piece[]){ { TX_BUFFERS, 251 * 40, false }, { TX_BUFFERS, 251 * 24, false } }, 2);
	CHECK(vm_settle(&k.vm));
	CHECK(k.c->tx_held);
	while (vm_used(&k.vm, TX) == 0)
		used++;
	CHECK(used < 8);
	/* The queue was left alone. */
	CHECK(k.vm.m.queues[TX].in_flight == 1);
	for (;;) {
		uint8_t buf[1000];
		ssize_t n = recv(k.fds[1], buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++, expected = (uint8_t)((expected + 1) % 251))
			if (buf[i] != expected && !CHECK_INT(buf[i], expected))
				return;
		received += (uint64_t)n;
		CHECK(vm_settle(&k.vm));
	}
	CHECK_INT(received, 8 * 251 * 64);
	while (vm_used(&k.vm, TX) == 0)
		used++;
	CHECK_INT(used, 8);
	CHECK(!k.c->tx_held);
	CHECK_INT(k.c->source.events & EPOLLOUT, 0);
	console_drop(&k);
}

static bool put(struct console *k, const char *text)
{
	return write(k->fds[1], text, strlen(text)) == (ssize_t)strlen(text) && vm_settle(&k->vm);
}

TEST(to_the_guest)
{
	struct console k;

	if (!CHECK(console_make(&k)))
		return;
	vm_start(&k.vm, MULTIPORT | EVENT_IDX);
	/* Not open: Linux would throw it away. */
	CHECK(put(&k, "early"));
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), -1);
	say(&k, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK_INT(vm_used(&k.vm, RX), 5);
	CHECK(memcmp(k.vm.g.bytes + RX_BUFFERS, "early", 6) == 0);
	/* No buffer: it stays in the socket. */
	CHECK(put(&k, "0123456789"));
	CHECK_INT(k.c->source.events, 0);
	vm_send(&k.vm, RX, (const struct piece[]){ { RX_BUFFERS, 3, true }, { RX_BUFFERS + 0x100, 4, true } }, 2);
	CHECK_INT(vm_used(&k.vm, RX), 7);
	CHECK(memcmp(k.vm.g.bytes + RX_BUFFERS, "012", 3) == 0);
	CHECK(memcmp(k.vm.g.bytes + RX_BUFFERS + 0x100, "3456\0", 5) == 0);
	/* A buffer that is there already is filled when bytes come. */
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	CHECK_INT(vm_used(&k.vm, RX), 3);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK_INT(k.c->source.events, EPOLLIN);
	CHECK(put(&k, "late"));
	CHECK_INT(vm_used(&k.vm, RX), 4);
	/* Closed by the guest. */
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	say(&k, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	CHECK(put(&k, "closed"));
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK_INT(k.c->source.events, 0);
	say(&k, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK_INT(vm_used(&k.vm, RX), 6);
	console_drop(&k);
}

/* The host is gone: the guest is told once, gets what was sent before, and its bytes are dropped. */
TEST(end_of_file)
{
	struct console k;

	if (!CHECK(console_make(&k)))
		return;
	open_port(&k, MULTIPORT);
	CHECK(put(&k, "last"));
	fd_close(&k.fds[1]);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS + 16, 16, true }, 1);
	CHECK(vm_settle(&k.vm));
	CHECK_INT(vm_used(&k.vm, RX), 4);
	CHECK_INT(vm_used(&k.vm, RX), -1);
	CHECK(heard(&k, 3, VIRTIO_CONSOLE_PORT_OPEN, 0, ""));
	CHECK_INT(vm_used(&k.vm, CONTROL_RX), -1);
	for (unsigned int i = 0; i < 20; i++) {
		vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, 0x1000, false }, 1);
		CHECK(vm_settle(&k.vm));
		CHECK_INT(vm_used(&k.vm, TX), 0);
	}
	CHECK_INT(k.c->source.events, 0);
	/* A new driver learns it from the start. */
	open_port(&k, MULTIPORT);
	CHECK(memcmp(k.vm.g.bytes + CONTROL_BUFFERS + 64, "\1\0\0\0\6\0\0\0", 8) == 0);
	CHECK(!vm_needs_reset(&k.vm));
	console_drop(&k);
}

/* A reset while chains are in the device's hands. */
TEST(reset)
{
	struct console k;
	int size = 4096;

	if (!CHECK(console_make(&k)))
		return;
	CHECK_INT(setsockopt(k.fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	open_port(&k, MULTIPORT);
	vm_send(&k.vm, RX, &(struct piece){ RX_BUFFERS, 16, true }, 1);
	for (unsigned int i = 0; i < 4; i++)
		vm_send(&k.vm, TX, &(struct piece){ TX_BUFFERS, 0x6000, false }, 1);
	CHECK(vm_settle(&k.vm));
	CHECK(k.c->rx_held && k.c->tx_held);
	CHECK_INT(k.c->source.events, EPOLLIN | EPOLLOUT);
	vm_write32(&k.vm, VIRTIO_MMIO_STATUS, 0);
	CHECK(!k.c->rx_held && !k.c->tx_held);
	CHECK_INT(k.c->source.events, 0);
	fd_close(&k.fds[1]);
	CHECK_INT(event_loop_run(&k.vm.loop, 0), 0);
	console_drop(&k);
}

TEST(broken_rules)
{
	static const struct {
		unsigned int queue;
		struct piece piece;
	} cases[] = {
		{ CONTROL_TX, { CONTROL_OUT, 7, false } },
		{ CONTROL_TX, { CONTROL_OUT, 8, true } },
		{ CONTROL_RX, { CONTROL_OUT, 7, true } },
		{ CONTROL_RX, { CONTROL_OUT, 64, false } },
		{ RX, { RX_BUFFERS, 16, false } },
		{ TX, { TX_BUFFERS, 16, true } },
		/* These are the queue's own. */
		{ TX, { TX_BUFFERS, 0, false } },
		{ RX, { LOW_SIZE - 8, 16, true } },
	};
	struct console k;

	if (!CHECK(console_make(&k)))
		return;
	CHECK(put(&k, "something to read"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_start(&k.vm, MULTIPORT);
		say(&k, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
		say(&k, 1, VIRTIO_CONSOLE_DEVICE_READY, 1);
		CHECK(!vm_needs_reset(&k.vm));
		vm_send(&k.vm, cases[i].queue, &cases[i].piece, 1);
		if (!CHECK(vm_needs_reset(&k.vm)))
			printf("#   case %zu\n", i);
		CHECK_INT(k.c->source.events, 0);
		CHECK(vm_settle(&k.vm));
	}
	console_drop(&k);
}

TEST(name_refused)
{
	struct virtio_console_options o = { .name = "", .socket = FD_NONE };
	char name[VIRTIO_CONSOLE_NAME_MAX + 2];
	struct console k;

	if (!CHECK(console_make(&k)))
		return;
	virtio_console_deinit(k.c);
	CHECK_INT(virtio_console_init(k.c, &o, &k.vm.loop), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	o.name = name;
	CHECK_INT(virtio_console_init(k.c, &o, &k.vm.loop), -EINVAL);
	console_drop(&k);
}

TEST_MAIN(CASE(control), CASE(no_multiport), CASE(to_the_host), CASE(to_the_host_that_does_not_read), CASE(to_the_guest),
	  CASE(end_of_file), CASE(reset), CASE(broken_rules), CASE(name_refused))
