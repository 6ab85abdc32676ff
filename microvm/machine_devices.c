/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's devices, and how its processors reach them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "microvm/acpi.h"
#include "microvm/boot_x86.h"
#include "microvm/machine_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* The keyboard controller, which is none but for this: a kernel that is told so (reboot=k) resets by it. */
#define KEYBOARD_PORT 0x64
#define KEYBOARD_RESET 0xfe

/* The same of a PC's chipset (reboot=p). Its other bits only choose what kind of reset this one begins. */
#define CHIPSET_PORT 0xcf9
#define CHIPSET_RESET 0x04

/* ---- virtio ---- */

static int plug(struct machine *m, const struct virtio_device_ops *ops, void *device)
{
	struct bus_slot *slot;
	int r = bus_take_slot(&m->bus, &slot);

	return r == 0 ? bus_plug(slot, ops, device, NULL) : r;
}

static int add_console(struct machine *m)
{
	const struct virtio_console_options o = { .socket = m->config->channel, .name = MACHINE_CHANNEL_NAME };
	int r;

	if (m->config->channel < 0)
		return 0;
	r = virtio_console_init(&m->console, &o, &m->loop);
	m->has_console = r == 0;
	return r == 0 ? plug(m, &virtio_console_ops, &m->console) : r;
}

/* The guest may do without a device that needs a reset; not without its files. */
static void fs_failed(void *data, const char *reason)
{
	struct machine *m = data;
	char text[MACHINE_REASON_MAX];

	snprintf(text, sizeof(text), "file system \"%s\": %s", MACHINE_FS_TAG, reason);
	machine_end(m, MACHINE_BACKEND_GONE, text);
}

static int add_fs(struct machine *m)
{
	struct virtio_fs_options o = {
		.tag = MACHINE_FS_TAG, .socket = m->config->fs, .memory = &m->memory, .failed = fs_failed, .data = m,
	};
	struct bus_slot *slot;
	int r;

	if (m->config->fs < 0)
		return 0;
	r = bus_take_slot(&m->bus, &slot);
	if (r < 0)
		return r;
	o.interrupt = slot->interrupt;
	r = virtio_fs_init(&m->fs, &o, &m->loop);
	if (r < 0)
		return ERR_CONTEXT(r, "file system \"%s\"", MACHINE_FS_TAG);
	m->has_fs = true;
	return bus_plug(slot, &virtio_fs_ops, &m->fs, m->fs.doorbells);
}

static int add_disks(struct machine *m)
{
	int r = 0;

	if (m->config->n_disks == 0)
		return 0;
	m->disks = calloc(m->config->n_disks, sizeof(*m->disks));
	if (m->disks == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < m->config->n_disks && r == 0; i++) {
		const struct machine_disk *d = &m->config->disks[i];
		const struct virtio_blk_options o = { .image = d->image, .read_only = d->read_only, .serial = d->serial };

		r = virtio_blk_init(&m->disks[i], &o);
		if (r == 0)
			r = plug(m, &virtio_blk_ops, &m->disks[i]);
		if (r < 0)
			return ERR_CONTEXT(r, "disk %zu", i);
	}
	return r;
}

static int add_nets(struct machine *m)
{
	int r = 0;

	if (m->config->n_nets == 0)
		return 0;
	m->nets = calloc(m->config->n_nets, sizeof(*m->nets));
	if (m->nets == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < m->config->n_nets && r == 0; i++) {
		const struct machine_net *n = &m->config->nets[i];
		struct virtio_net_options o = { .tap = n->tap, .mtu = n->mtu, .set_offloads = virtio_net_tap_offloads };

		memcpy(o.mac, n->mac, sizeof(o.mac));
		r = virtio_net_init(&m->nets[i], &o, &m->loop);
		if (r == 0) {
			m->n_nets++;
			r = plug(m, &virtio_net_ops, &m->nets[i]);
		}
		if (r < 0)
			return ERR_CONTEXT(r, "network device %zu", i);
	}
	return r;
}

static int add_rng(struct machine *m)
{
	return plug(m, &virtio_rng_ops, &m->rng);
}

static int add_balloon(struct machine *m)
{
	/* What the host has taken away stays away: it may have given it to somebody else. The guest ends a process instead. */
	const struct virtio_balloon_options o = { .memory = &m->memory, .deflate_on_oom = false };

	virtio_balloon_init(&m->balloon, &o);
	return plug(m, &virtio_balloon_ops, &m->balloon);
}

/* ---- the serial port ---- */

static int add_serial(struct machine *m)
{
	int r;

	m->serial_interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->serial_interrupt < 0)
		return ERR(-errno, "cannot make an event descriptor");
	r = kvm_vm_irqfd(&m->vm, m->serial_interrupt, BOOT_COM1_GSI, -1);
	if (r == 0)
		r = serial_init(&m->serial,
				&(struct serial_options){ .output = m->config->console, .interrupt = m->serial_interrupt }, &m->loop);
	m->has_serial = r == 0;
	return r;
}

/* ---- all of them ---- */

/* In this order they have their windows, and the guest probes them. */
int machine_devices_init(struct machine *m)
{
	int r = add_serial(m);

	bus_init(&m->bus, &m->vm, &m->memory, &m->loop);
	if (r == 0)
		r = add_console(m);
	if (r == 0)
		r = add_fs(m);
	if (r == 0)
		r = add_disks(m);
	if (r == 0)
		r = add_nets(m);
	if (r == 0)
		r = add_rng(m);
	return r == 0 ? add_balloon(m) : r;
}

void machine_devices_deinit(struct machine *m)
{
	bus_deinit(&m->bus);
	if (m->has_fs)
		virtio_fs_deinit(&m->fs);
	if (m->has_console)
		virtio_console_deinit(&m->console);
	if (m->has_serial)
		serial_deinit(&m->serial);
	for (size_t i = 0; i < m->n_nets; i++)
		virtio_net_deinit(&m->nets[i]);
	free(m->nets);
	free(m->disks);
	fd_close(&m->serial_interrupt);
}

/* ---- accesses ---- */

static bool is_serial(uint16_t port, uint32_t size)
{
	return port >= SERIAL_PORT && port < SERIAL_PORT + SERIAL_PORTS && size == 1;
}

static bool pio_read(void *owner, uint16_t port, uint8_t *data, uint32_t size)
{
	struct machine *m = owner;

	if (!is_serial(port, size))
		return false;
	pthread_mutex_lock(&m->lock);
	*data = serial_read(&m->serial, port - SERIAL_PORT);
	pthread_mutex_unlock(&m->lock);
	return true;
}

/* By the reset register of the ACPI tables, where the reset vector leads to, too (boot_x86.h), or in the ways of older PCs. */
static bool is_reset(uint16_t port, uint8_t value)
{
	return (port == ACPI_RESET_PORT && value == ACPI_RESET_VALUE) || (port == KEYBOARD_PORT && value == KEYBOARD_RESET) ||
	       (port == CHIPSET_PORT && (value & CHIPSET_RESET) != 0);
}

static enum vcpu_end pio_write(void *owner, uint16_t port, const uint8_t *data, uint32_t size)
{
	struct machine *m = owner;

	if (is_serial(port, size)) {
		pthread_mutex_lock(&m->lock);
		serial_write(&m->serial, port - SERIAL_PORT, *data);
		pthread_mutex_unlock(&m->lock);
		return VCPU_GOES_ON;
	}
	if (size != 1)
		return VCPU_GOES_ON;
	if (port == ACPI_SLEEP_CONTROL_PORT && *data == ACPI_SLEEP_S5)
		return VCPU_POWER_OFF;
	return is_reset(port, *data) ? VCPU_RESET : VCPU_GOES_ON;
}

static bool mmio_read(void *owner, uint64_t addr, uint8_t *data, uint32_t size)
{
	struct machine *m = owner;
	bool found;

	pthread_mutex_lock(&m->lock);
	found = bus_read(&m->bus, addr, data, size);
	pthread_mutex_unlock(&m->lock);
	return found;
}

static enum vcpu_end mmio_write(void *owner, uint64_t addr, const uint8_t *data, uint32_t size)
{
	struct machine *m = owner;
	const uint64_t one = 1;

	pthread_mutex_lock(&m->lock);
	if (bus_write(&m->bus, addr, data, size))
		(void)!write(m->wake, &one, sizeof(one));
	pthread_mutex_unlock(&m->lock);
	return VCPU_GOES_ON;
}

const struct vcpu_ops machine_vcpu_ops = {
	.pio_read = pio_read,
	.mmio_read = mmio_read,
	.pio_write = pio_write,
	.mmio_write = mmio_write,
};
