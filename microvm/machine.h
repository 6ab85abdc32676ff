/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole machine: memory, processors, devices and an event loop, from a kernel file to the guest's end.
 *
 * Theory of operation. The calling thread builds everything, calls ready(), starts a thread for each processor, and runs
 * the event loop; a processor's thread comes back to us for accesses to ports and registers. One mutex is held by
 * whoever is in a device: the loop for a round's callbacks, a processor for one access. What ends the machine first
 * (a processor, a device, the stop descriptor) is what is told; then all processors are stopped and their threads joined.
 *
 * The jail. After ready() the machine opens nothing: no file, no socket, no descriptor of KVM. ready() may so take all
 * away from the process: its root, its capabilities, its other descriptors' meaning; and install a seccomp filter that
 * allows machine_syscalls_loop[], which every thread that is made later inherits. vcpu_ready() is called by each
 * processor's thread before its first instruction, for a second filter of machine_syscalls_vcpu[].
 *
 * The machine belongs to the process that runs it and is meant to be alone there: a processor is stopped by VCPU_SIGNAL,
 * and its threads block all other signals.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_REASON_MAX 256
#define MACHINE_VCPUS_MAX 64
#define MACHINE_MAC_LEN 6

/* The names by which the guest finds the port and the file system. */
#define MACHINE_CHANNEL_NAME "nacre.channel"
#define MACHINE_FS_TAG "nacre"

/* Raw images; /dev/vda is the first. */
struct machine_disk {
	int image;		/* a regular file or a block device */
	bool read_only;
	const char *serial;	/* at most 20 bytes; NULL: none */
};

/* eth0 is the first. */
struct machine_net {
	int tap;		/* as virtio_net.h wants it: O_NONBLOCK, with IFF_VNET_HDR and headers of 12 bytes */
	uint8_t mac[MACHINE_MAC_LEN];
	uint16_t mtu;
};

/* Every descriptor is borrowed; FD_NONE (any negative number): there is none. */
struct machine_config {
	int kernel;			/* a bzImage, or an ELF file with a PVH entry; a regular file */
	const char *kernel_name;	/* for error texts */
	int initrd;			/* a regular file or a memfd */
	const char *command_line;
	uint64_t ram_size;		/* bytes: whole pages */
	unsigned int vcpus;		/* 1 to MACHINE_VCPUS_MAX */

	int channel;			/* SOCK_STREAM: the port MACHINE_CHANNEL_NAME of a virtio console */
	int fs;				/* a connected vhost-user backend of a virtio-fs device, tag MACHINE_FS_TAG */
	const struct machine_disk *disks;
	size_t n_disks;
	const struct machine_net *nets;
	size_t n_nets;
	/*
	 * What the guest writes to its first serial port. Is set to O_NONBLOCK; what a reader does not take in time is
	 * dropped, and the text says how much: a guest is never held up by it.
	 */
	int console;
	int control;			/* its owner's wishes while it runs: SOCK_SEQPACKET, each packet a struct machine_request (QEMU: a stream, its QMP) */
	int stop;			/* readable: the machine ends (an eventfd, a signalfd for SIGTERM, a pipe's closed end) */

	/* Both may be NULL. Not 0: the machine ends before the guest's first instruction, with that error. */
	int (*ready)(void *data);
	int (*vcpu_ready)(void *data);
	void *data;
};

/*
 * The one wish so far, and what is answered at once: how far the guest is. It gives memory away as well as it can; who waits for
 * it asks again. A packet of another size is passed over.
 */
struct machine_request {
	uint64_t balloon;		/* bytes of the memory that the guest is to do without */
};

struct machine_answer {
	uint64_t balloon;		/* bytes that it says it does without */
};

enum machine_end {
	MACHINE_NOT_RUN,	/* it could not be built; machine_run() fails */
	MACHINE_POWER_OFF,	/* the guest switched itself off */
	MACHINE_RESET,		/* the guest wants to begin anew: a reboot; with panic=-1, a panic */
	MACHINE_TRIPLE_FAULT,
	MACHINE_STOPPED,	/* the stop descriptor */
	MACHINE_BACKEND_GONE,	/* the file system's server died, or does not keep to the protocol */
	MACHINE_FAILED,		/* KVM cannot go on with the guest, or something here failed */
};

/* "power-off", "reset", ...: a word for each, for logs. */
const char *machine_end_name(enum machine_end end);

/*
 * Builds and runs it to its end, which is in *ret_end; reason is a sentence about it, never empty. 0, or -errno with text
 * when it was not run (MACHINE_NOT_RUN; the same text is the reason). When it returns nothing is left: no thread, no
 * descriptor, no mapping.
 */
int machine_run(const struct machine_config *c, enum machine_end *ret_end, char reason[MACHINE_REASON_MAX]);

/* ---- after ready(): the system calls of the machine's own threads (machine_syscalls.c has who needs which) ---- */

/* Numbers of system calls; n of them. What a libc does to make and end a thread is among the first. */
struct machine_syscalls {
	const int *numbers;
	size_t n;
};

extern const struct machine_syscalls machine_syscalls_loop;
extern const struct machine_syscalls machine_syscalls_vcpu;
