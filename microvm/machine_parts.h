/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine is made of, for the files machine*.c only. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/bus.h"
#include "microvm/event_loop.h"
#include "microvm/guest_memory.h"
#include "microvm/kvm.h"
#include "microvm/machine.h"
#include "microvm/serial.h"
#include "microvm/vcpu.h"
#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_fs.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_rng.h"

struct machine;

struct machine_vcpu {
	struct machine *machine;
	struct vcpu vcpu;
	pthread_t thread;
	bool made, started;	/* vcpu is there; thread is */
};

struct machine {
	const struct machine_config *config;
	struct guest_memory memory;
	struct kvm_vm vm;
	struct event_loop loop;
	/* Held by whoever is in a device, in the loop or in what follows. */
	pthread_mutex_t lock;

	enum machine_end end;	/* the first; MACHINE_NOT_RUN: it goes on */
	char reason[MACHINE_REASON_MAX];
	int wake;		/* an eventfd: the loop looks at the end, and at the bus */
	struct event_source wake_source, stop_source, control_source;

	struct machine_vcpu *vcpus;	/* config->vcpus */

	/* ---- devices (machine_devices.c) ---- */
	struct bus bus;
	int serial_interrupt;
	struct serial serial;
	struct virtio_console console;
	struct virtio_fs fs;
	struct virtio_rng rng;
	struct virtio_balloon balloon;
	struct virtio_blk *disks;
	struct virtio_net *nets;
	size_t n_nets;		/* of them, those that are there */
	bool has_serial, has_console, has_fs;
};

/* All devices of the config. -errno with text; what is there then ends by machine_devices_deinit(). */
int machine_devices_init(struct machine *m);
void machine_devices_deinit(struct machine *m);

/* Kernel, initrd and tables into the memory; the first processor's registers. After the devices. -errno with text. */
int machine_load(struct machine *m, struct vcpu_start *ret_start);

/* How processors reach the devices; the owner is the machine. They take the lock. */
extern const struct vcpu_ops machine_vcpu_ops;

/* It ends, unless it does already. With the lock held; from any thread. reason is cut where it is too long. */
void machine_end(struct machine *m, enum machine_end end, const char *reason);
