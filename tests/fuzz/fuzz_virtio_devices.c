/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver at each of the virtio devices. The input is the device (enum kind), then a script of steps: a byte
 * that says what (enum step), and its operands. The host's side acts, too: it sends, reads, ends. Whatever the script is,
 * the device stays within memory and its image, and comes to rest when neither side does anything more.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/event_loop.h"
#include "microvm/guest_memory.h"
#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_rng.h"
#include "runtime/base/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOW_SIZE 0x10000
#define HIGH_SIZE 0x2000
#define QUEUES 6
#define STEPS_MAX 1000
#define ROUNDS_MAX 20000

/* Where SETUP has the areas of queue n: each 0x400 bytes after the one before. */
#define QUEUE_SIZE 16
#define QUEUE_STRIDE 0x400
#define AVAIL 0x100
#define USED 0x200

#define IMAGE_SIZE 0x8000

enum kind { CONSOLE, RNG, BALLOON, BLK, BLK_READ_ONLY, NET, KINDS };

enum step {
	REGISTER,	/* u8 register / 4, u32 value */
	CONFIG_WRITE,	/* u8 offset, u8 length, 4 bytes */
	CONFIG_READ,	/* u8 offset, u8 length */
	SETUP,		/* u8: bits 0-2 the size's logarithm, 3 no features, 4 not DRIVER_OK */
	NOTIFY,		/* u8 queue */
	POKE,		/* u16 address, u8 count (at most 32), bytes */
	CHAIN,		/* u8: bits 0-2 the queue, 3-5 pieces less 1, 7 not notified; each piece: u16 address, u16 length, u8 flags */
	PUBLISH,	/* u8: bits 5-7 the queue, the rest is added to its available index */
	CONTINUE,
	LOOP,
	HOST_SEND,	/* u16 bytes */
	HOST_READ,	/* u16 bytes */
	HOST_END,	/* u8: bit 0 nothing more to send, 1 to read, 2 all */
	TARGET,		/* u32 */
	STEPS,
};

enum piece_flag { PIECE_WRITABLE = 1, PIECE_HIGH = 2, PIECE_FAR = 4 };

struct script {
	const uint8_t *p;
	size_t left;
};

struct machine {
	enum kind kind;
	uint8_t *low, *high;
	struct guest_memory gm;
	struct event_loop loop;
	struct virtio_mmio m;
	uint16_t next_desc[QUEUES + 2];
	void *device;
	int fds[2];		/* the device's, the host's; or an image */
};

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static uint32_t take(struct script *s, size_t bytes)
{
	uint32_t v = 0;

	for (size_t i = 0; i < bytes && s->left > 0; i++, s->left--)
		v |= (uint32_t)*s->p++ << (8 * i);
	return v;
}

static void interrupt(void *data)
{
	struct machine *vm = data;

	must((vm->m.interrupt_status & (VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)) != 0);
}

/* ---- the devices ---- */

static const struct virtio_device_ops *make_console(struct machine *vm)
{
	struct virtio_console_options o = { .name = "nacre.channel" };
	int small = 4096;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, vm->fds) == 0);
	must(setsockopt(vm->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
	o.socket = vm->fds[0];
	vm->device = malloc(sizeof(struct virtio_console));
	must(vm->device != NULL && virtio_console_init(vm->device, &o, &vm->loop) == 0);
	return &virtio_console_ops;
}

static const struct virtio_device_ops *make_rng(struct machine *vm)
{
	vm->device = malloc(sizeof(struct virtio_rng));
	must(vm->device != NULL);
	return &virtio_rng_ops;
}

static const struct virtio_device_ops *make_balloon(struct machine *vm)
{
	const struct virtio_balloon_options o = { .memory = &vm->gm, .deflate_on_oom = true };

	vm->device = malloc(sizeof(struct virtio_balloon));
	must(vm->device != NULL);
	virtio_balloon_init(vm->device, &o);
	return &virtio_balloon_ops;
}

static const struct virtio_device_ops *make_blk(struct machine *vm)
{
	struct virtio_blk_options o = { .read_only = vm->kind == BLK_READ_ONLY, .serial = "fuzz" };

	o.image = vm->fds[0] = memfd_create("image", MFD_CLOEXEC);
	must(o.image >= 0 && ftruncate(o.image, IMAGE_SIZE) == 0);
	vm->device = malloc(sizeof(struct virtio_blk));
	must(vm->device != NULL && virtio_blk_init(vm->device, &o) == 0);
	return &virtio_blk_ops;
}

static int take_offloads(int tap, unsigned int flags)
{
	(void)tap;
	(void)flags;
	return 0;
}

static const struct virtio_device_ops *make_net(struct machine *vm)
{
	struct virtio_net_options o = { .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 1500, .set_offloads = take_offloads };

	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, vm->fds) == 0);
	o.tap = vm->fds[0];
	vm->device = malloc(sizeof(struct virtio_net));
	must(vm->device != NULL && virtio_net_init(vm->device, &o, &vm->loop) == 0);
	return &virtio_net_ops;
}

static void make_device(struct machine *vm)
{
	const struct virtio_device_ops *(*const make[KINDS])(struct machine *vm) = {
		[CONSOLE] = make_console, [RNG] = make_rng, [BALLOON] = make_balloon, [BLK] = make_blk,
		[BLK_READ_ONLY] = make_blk, [NET] = make_net,
	};
	const struct virtio_device_ops *ops = make[vm->kind](vm);

	must(virtio_mmio_init(&vm->m, &vm->gm, ops, vm->device, interrupt, vm) == 0);
}

static void drop_device(struct machine *vm)
{
	if (vm->kind == CONSOLE)
		virtio_console_deinit(vm->device);
	if (vm->kind == NET)
		virtio_net_deinit(vm->device);
	fd_close(&vm->fds[0]);
	fd_close(&vm->fds[1]);
	free(vm->device);
}

/* The image is as long as it was; one that is read-only is empty. */
static void check_image(const struct machine *vm)
{
	struct stat st;

	must(fstat(vm->fds[0], &st) == 0 && st.st_size == IMAGE_SIZE);
	must(vm->kind != BLK_READ_ONLY || st.st_blocks == 0);
}

static void check_queue(const struct machine *vm, unsigned int i, unsigned int held)
{
	const struct virtqueue *q = &vm->m.queues[i];

	/* A broken queue may still have what could not be pushed. */
	if (q->ready && vm->m.active && virtio_mmio_running(&vm->m))
		must(q->in_flight == held);
}

/* A driver that gives up (FAILED) says so to nobody but the transport: the device notices at its next event. */
static bool may_watch(const struct machine *vm)
{
	return vm->m.active && (vm->m.status & VIRTIO_CONFIG_S_NEEDS_RESET) == 0;
}

/* What is not in the device's hands was given back; what is watched is wanted. */
static void check(struct machine *vm)
{
	if (vm->kind == CONSOLE) {
		const struct virtio_console *c = vm->device;

		must(c->source.events == 0 || may_watch(vm));
		check_queue(vm, 2, 0);
		check_queue(vm, 3, 0);
		check_queue(vm, 4, c->rx_held ? 1 : 0);
		check_queue(vm, 5, c->tx_held ? 1 : 0);
	} else if (vm->kind == NET) {
		const struct virtio_net *n = vm->device;

		must(n->source.events == 0 || may_watch(vm));
		/* The first buffer of a frame is the one that is held. */
		check_queue(vm, 0, (n->rx_held ? 1U : 0U) + (n->frame.len > 0 ? (unsigned int)n->frame.n - 1U : 0U));
		check_queue(vm, 1, n->tx_held ? 1 : 0);
	} else {
		for (unsigned int i = 0; i < vm->m.n_queues; i++)
			check_queue(vm, i, 0);
	}
	if (vm->kind == BLK || vm->kind == BLK_READ_ONLY)
		check_image(vm);
}

/* ---- the guest ---- */

static void write32(struct machine *vm, uint32_t reg, uint32_t v)
{
	virtio_mmio_write(&vm->m, reg, &v, sizeof(v));
}

static uint32_t read32(struct machine *vm, uint32_t reg)
{
	uint32_t v;

	virtio_mmio_read(&vm->m, reg, &v, sizeof(v));
	return v;
}

static void setup(struct machine *vm, uint32_t how)
{
	bool plain = (how >> 3 & 1) != 0;

	write32(vm, VIRTIO_MMIO_STATUS, 0);
	memset(vm->low, 0, QUEUES * QUEUE_STRIDE);
	memset(vm->next_desc, 0, sizeof(vm->next_desc));
	write32(vm, VIRTIO_MMIO_STATUS, 3);
	for (uint32_t i = 0; i < 2; i++) {
		write32(vm, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		write32(vm, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		write32(vm, VIRTIO_MMIO_DRIVER_FEATURES, plain ? i : read32(vm, VIRTIO_MMIO_DEVICE_FEATURES));
	}
	write32(vm, VIRTIO_MMIO_STATUS, 11);
	for (uint32_t i = 0; i < QUEUES; i++) {
		uint32_t size = UINT32_C(1) << (how & 7), max;

		write32(vm, VIRTIO_MMIO_QUEUE_SEL, i);
		max = read32(vm, VIRTIO_MMIO_QUEUE_NUM_MAX);
		size = size < QUEUE_SIZE ? size : QUEUE_SIZE;
		write32(vm, VIRTIO_MMIO_QUEUE_NUM, size < max ? size : max);
		write32(vm, VIRTIO_MMIO_QUEUE_DESC_LOW, i * QUEUE_STRIDE);
		write32(vm, VIRTIO_MMIO_QUEUE_AVAIL_LOW, i * QUEUE_STRIDE + AVAIL);
		write32(vm, VIRTIO_MMIO_QUEUE_USED_LOW, i * QUEUE_STRIDE + USED);
		write32(vm, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	if ((how >> 4 & 1) == 0)
		write32(vm, VIRTIO_MMIO_STATUS, 15);
}

static void poke16(struct machine *vm, uint32_t at, uint32_t v)
{
	vm->low[at] = (uint8_t)v;
	vm->low[at + 1] = (uint8_t)(v >> 8);
}

static void publish(struct machine *vm, uint32_t queue, uint32_t n)
{
	uint32_t idx = (queue % QUEUES) * QUEUE_STRIDE + AVAIL + 2;

	poke16(vm, idx, (vm->low[idx] | (uint32_t)vm->low[idx + 1] << 8) + n);
}

/* A chain as a driver makes it, of pieces that one may not have. */
static void chain(struct machine *vm, struct script *s)
{
	uint32_t how = take(s, 1), queue = (how & 7) % QUEUES, pieces = (how >> 3 & 7) + 1, at = queue * QUEUE_STRIDE;
	uint32_t size = queue < vm->m.n_queues ? vm->m.queues[queue].size : 0, entry;
	uint16_t i = vm->next_desc[queue];

	if (size == 0)
		return;
	entry = at + AVAIL + 2;
	entry = (vm->low[entry] | (uint32_t)vm->low[entry + 1] << 8) % size;
	poke16(vm, at + AVAIL + 4 + entry * 2, i % size);
	for (uint32_t k = 0; k < pieces; k++, i++) {
		struct vring_desc d = { .addr = take(s, 2), .len = take(s, 2) };
		uint32_t flags = take(s, 1);

		if ((flags & PIECE_HIGH) != 0)
			d.addr += GUEST_HOLE_END;
		if ((flags & PIECE_FAR) != 0)
			d.len |= 0x10000;
		d.flags = (uint16_t)(((flags & PIECE_WRITABLE) != 0 ? VRING_DESC_F_WRITE : 0) |
				     (k + 1 < pieces ? VRING_DESC_F_NEXT : 0));
		d.next = (uint16_t)((i + 1U) % size);
		memcpy(vm->low + at + (i % size) * sizeof(d), &d, sizeof(d));
	}
	vm->next_desc[queue] = i;
	publish(vm, queue, 1);
	if ((how >> 7 & 1) == 0)
		virtio_mmio_notify(&vm->m, queue);
}

static void poke(struct machine *vm, struct script *s)
{
	uint32_t at = take(s, 2), n = take(s, 1) % 33;

	for (uint32_t i = 0; i < n; i++)
		vm->low[(at + i) % LOW_SIZE] = (uint8_t)take(s, 1);
}

static void config(struct machine *vm, struct script *s, bool writes)
{
	uint32_t offset = VIRTIO_MMIO_CONFIG + take(s, 1), len = take(s, 1) % 9;
	uint8_t buf[9];

	memset(buf, 0xEE, sizeof(buf));
	if (writes) {
		for (uint32_t i = 0; i < 4; i++)
			buf[i] = (uint8_t)take(s, 1);
		virtio_mmio_write(&vm->m, offset, buf, len);
		return;
	}
	virtio_mmio_read(&vm->m, offset, buf, len);
	must(buf[len] == 0xEE);
}

/* ---- the host ---- */

static void host_send(struct machine *vm, size_t len)
{
	uint8_t buf[4096];

	memset(buf, 'h', sizeof(buf));
	if (vm->fds[1] >= 0)
		(void)send(vm->fds[1], buf, len % sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void host_read(struct machine *vm, size_t len)
{
	uint8_t buf[0x10000];

	if (vm->fds[1] >= 0)
		(void)recv(vm->fds[1], buf, len % sizeof(buf), MSG_DONTWAIT);
}

static void host_end(struct machine *vm, uint32_t how)
{
	if (vm->fds[1] < 0)
		return;
	if ((how & 4) != 0)
		fd_close(&vm->fds[1]);
	else if ((how & 3) != 0)
		(void)shutdown(vm->fds[1], (how & 3) == 1 ? SHUT_WR : (how & 3) == 2 ? SHUT_RD : SHUT_RDWR);
}

static void step(struct machine *vm, struct script *s)
{
	uint32_t a;

	switch (take(s, 1) % STEPS) {
	case REGISTER:
		a = take(s, 1);
		write32(vm, a * 4, take(s, 4));
		break;
	case CONFIG_WRITE:
		config(vm, s, true);
		break;
	case CONFIG_READ:
		config(vm, s, false);
		break;
	case SETUP:
		setup(vm, take(s, 1));
		break;
	case NOTIFY:
		virtio_mmio_notify(&vm->m, take(s, 1));
		break;
	case POKE:
		poke(vm, s);
		break;
	case CHAIN:
		chain(vm, s);
		break;
	case PUBLISH:
		a = take(s, 1);
		publish(vm, a >> 5, a & 0x1F);
		break;
	case CONTINUE:
		virtio_mmio_continue(&vm->m);
		break;
	case LOOP:
		must(event_loop_run(&vm->loop, 0) >= 0);
		break;
	case HOST_SEND:
		host_send(vm, take(s, 2));
		break;
	case HOST_READ:
		host_read(vm, take(s, 2));
		break;
	case HOST_END:
		host_end(vm, take(s, 1));
		break;
	case TARGET:
		a = take(s, 4);
		if (vm->kind == BALLOON)
			virtio_balloon_set_target(vm->device, a);
		break;
	}
	check(vm);
}

/* Nobody does anything more: the device has nothing to do for ever, either. */
static void settle(struct machine *vm)
{
	for (unsigned int i = 0; i < ROUNDS_MAX; i++) {
		int called = event_loop_run(&vm->loop, 0);

		must(called >= 0);
		if (called == 0 && vm->m.unfinished == 0)
			return;
		virtio_mmio_continue(&vm->m);
		check(vm);
	}
	must(false);
}

static void run(struct machine *vm, struct script *s)
{
	must(event_loop_init(&vm->loop) == 0);
	make_device(vm);
	for (int i = 0; i < STEPS_MAX && s->left > 0; i++)
		step(vm, s);
	settle(vm);
	write32(vm, VIRTIO_MMIO_STATUS, 0);
	check(vm);
	settle(vm);
	drop_device(vm);
	event_loop_deinit(&vm->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct machine vm = { .gm = GUEST_MEMORY_NULL, .loop = EVENT_LOOP_NULL, .fds = { FD_NONE, FD_NONE } };
	struct guest_region low = { .addr = 0, .size = LOW_SIZE, .fd = FD_NONE };
	struct guest_region high = { .addr = GUEST_HOLE_END, .size = HIGH_SIZE, .fd = FD_NONE };

	vm.kind = (enum kind)(take(&s, 1) % KINDS);
	/* Two blocks, so that the sanitizer sees the ends of each. */
	low.host = vm.low = aligned_alloc(GUEST_PAGE_SIZE, LOW_SIZE);
	high.host = vm.high = aligned_alloc(GUEST_PAGE_SIZE, HIGH_SIZE);
	must(vm.low != NULL && vm.high != NULL);
	memset(vm.low, 0, LOW_SIZE);
	memset(vm.high, 0, HIGH_SIZE);
	must(guest_memory_add(&vm.gm, &low) == 0 && guest_memory_add(&vm.gm, &high) == 0);
	run(&vm, &s);
	free(vm.low);
	free(vm.high);
	return 0;
}
