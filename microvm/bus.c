/* SPDX-License-Identifier: Apache-2.0 */
/* Where virtio devices are plugged in. See bus.h. */
#include "microvm/bus.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

static int make_eventfd(int *ret_fd)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return ERR(-errno, "cannot make an event descriptor");
	*ret_fd = fd;
	return 0;
}

static uint64_t slot_addr(const struct bus_slot *slot)
{
	return BOOT_VIRTIO_MMIO + slot->number * BOOT_VIRTIO_MMIO_SIZE;
}

/* ---- slots ---- */

void bus_init(struct bus *b, const struct kvm_vm *vm, const struct guest_memory *memory, struct event_loop *loop)
{
	b->vm = vm;
	b->memory = memory;
	b->loop = loop;
	b->n = 0;
}

void bus_deinit(struct bus *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		struct bus_slot *slot = &b->slots[i];

		for (unsigned int k = 0; k < VIRTIO_MMIO_QUEUES_MAX; k++) {
			event_loop_remove(b->loop, &slot->doorbells[k].source);
			fd_close(&slot->doorbells[k].fd);
		}
		fd_close(&slot->interrupt);
	}
	b->n = 0;
}

int bus_take_slot(struct bus *b, struct bus_slot **ret_slot)
{
	struct bus_slot *slot = &b->slots[b->n];
	int r;

	if (b->n >= BOOT_VIRTIO_MAX)
		return ERR_PLAIN(-ENOSPC, "a machine has at most %d virtio devices", BOOT_VIRTIO_MAX);
	*slot = (struct bus_slot){ .bus = b, .number = b->n };
	for (unsigned int k = 0; k < VIRTIO_MMIO_QUEUES_MAX; k++)
		slot->doorbells[k].fd = FD_NONE;
	r = make_eventfd(&slot->interrupt);
	if (r < 0)
		return r;
	/* From here on bus_deinit() sees it. */
	b->n++;
	*ret_slot = slot;
	return kvm_vm_irqfd(b->vm, slot->interrupt, BOOT_VIRTIO_GSI + slot->number, -1);
}

/* ---- notifications and interrupts ---- */

static void interrupt(void *data)
{
	const struct bus_slot *slot = data;
	const uint64_t one = 1;

	/* It fails only when the counter is full: then an interrupt is still to come. */
	(void)!write(slot->interrupt, &one, sizeof(one));
}

static void doorbell_rang(void *data, uint32_t events)
{
	struct bus_doorbell *d = data;
	uint64_t rings;

	(void)events;
	if (read(d->fd, &rings, sizeof(rings)) == (ssize_t)sizeof(rings))
		virtio_mmio_notify(&d->slot->mmio, d->index);
}

static int tie_doorbell(const struct bus_slot *slot, unsigned int index, int fd)
{
	const struct kvm_doorbell d = {
		.addr = slot_addr(slot) + VIRTIO_MMIO_QUEUE_NOTIFY, .size = sizeof(uint32_t), .match = true, .value = index,
	};

	return kvm_vm_ioeventfd(slot->bus->vm, fd, &d);
}

static int watch_doorbell(struct bus_slot *slot, unsigned int index)
{
	struct bus_doorbell *d = &slot->doorbells[index];
	int r = make_eventfd(&d->fd);

	if (r < 0)
		return r;
	d->slot = slot;
	d->index = index;
	d->source = (struct event_source){ .fd = d->fd, .events = EPOLLIN, .ready = doorbell_rang, .data = d };
	r = tie_doorbell(slot, index, d->fd);
	return r == 0 ? event_loop_add(slot->bus->loop, &d->source) : r;
}

int bus_plug(struct bus_slot *slot, const struct virtio_device_ops *ops, void *device, const int *doorbells)
{
	int r = virtio_mmio_init(&slot->mmio, slot->bus->memory, ops, device, interrupt, slot);

	for (unsigned int i = 0; i < slot->mmio.n_queues && r == 0; i++)
		r = doorbells != NULL ? tie_doorbell(slot, i, doorbells[i]) : watch_doorbell(slot, i);
	slot->plugged = r == 0;
	return r;
}

/* ---- accesses ---- */

static struct bus_slot *find_slot(struct bus *b, uint64_t addr, uint64_t *ret_offset)
{
	uint64_t offset = addr - BOOT_VIRTIO_MMIO;

	if (addr < BOOT_VIRTIO_MMIO || offset / BOOT_VIRTIO_MMIO_SIZE >= b->n)
		return NULL;
	*ret_offset = offset % BOOT_VIRTIO_MMIO_SIZE;
	return &b->slots[offset / BOOT_VIRTIO_MMIO_SIZE];
}

bool bus_read(struct bus *b, uint64_t addr, uint8_t *data, uint32_t size)
{
	uint64_t offset;
	struct bus_slot *slot = find_slot(b, addr, &offset);

	if (slot == NULL || !slot->plugged)
		return false;
	virtio_mmio_read(&slot->mmio, offset, data, size);
	return true;
}

bool bus_write(struct bus *b, uint64_t addr, const uint8_t *data, uint32_t size)
{
	uint64_t offset;
	struct bus_slot *slot = find_slot(b, addr, &offset);

	if (slot == NULL || !slot->plugged)
		return false;
	virtio_mmio_write(&slot->mmio, offset, data, size);
	return slot->mmio.unfinished != 0;
}

bool bus_continue(struct bus *b)
{
	bool more = false;

	for (unsigned int i = 0; i < b->n; i++) {
		if (b->slots[i].mmio.unfinished != 0)
			virtio_mmio_continue(&b->slots[i].mmio);
		more = more || b->slots[i].mmio.unfinished != 0;
	}
	return more;
}
