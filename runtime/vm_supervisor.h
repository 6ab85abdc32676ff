/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of a microVM: the process whose pid is the container's, and whose exit status is that of the guest's
 * process. Theory of operation:
 *
 *   0. of a user's nacre: it becomes root of its user namespace, and opens what create could not (vm_trees.h)
 *   1. in its mount namespace: the tree of files for the guest; NEED_HOOKS, answered by the runtime, as with a container;
 *      createContainer hooks. Until those are done the root file system is at the path that hooks know it by; what they
 *      mount there is the guest's, too
 *   2. the file server, the taps, the monitor: children that end with it
 *   3. its own jail: from here on it has its descriptors and nothing else
 *   4. one event loop: the channel to the guest, the streams of the guest's processes, the socket for commands,
 *      the children's ends, signals. HELLO -> CONFIGURE -> CREATE -> READY to the runtime; then COMMIT or START
 *   5. the end: the guest's process has ended and its output is delivered, or something went wrong; the monitor is killed
 *
 * Two processes instead of one, because whoever parses virtqueues should not have the engine's descriptors and
 * socket, and because KVM and QEMU are the same to this one. What comes from the guest is hostile here, too: channel.h
 * bounds it, vm_guest.c believes nothing that it did not ask for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "microvm/machine.h"
#include "microvm/virtiofsd.h"
#include "namespaces/ns.h"
#include "namespaces/share.h"
#include "runtime/plan.h"
#include "runtime/state.h"

/* What create prepares; the supervisor has a copy of it. */
struct vm_start {
	const struct plan *plan;
	const struct state *state;	/* for hooks' stdin */
	const struct ns_req *ns;
	struct share_req share;
	struct share_entry *entries;	/* of share, see vm_trees.h */
	struct machine_config machine;	/* channel, fs, console and nets are the supervisor's to fill */
	const char *image;		/* the file system of the first disk, which is the root file system; NULL: there is none */
	bool seal_rootfs;		/* the share's is made read-only once the container is created */
	struct virtiofsd_program file_server;
	const char *qemu;		/* NULL: our own monitor */
	bool qemu_kvm;
	const char *const *qemu_parameters;
	size_t n_qemu_parameters;
	size_t spare_nets;		/* network cards for interfaces that come between create and start */
	const char *hostname;		/* of the machine; NULL: as this one's */
	const char *apparmor;		/* the policy with process.apparmorProfile; NULL: none */
	size_t apparmor_size;
	const char *config;		/* the text of config.json */
	size_t config_len;
	int sync;			/* to the runtime */
	int console;			/* socket that gets the terminal's master, FD_NONE */
	int console_copy;		/* where the guest's console is copied to, FD_NONE */
	int waiting;			/* locked until the process runs */
	int listen;			/* VM_SOCKET */
	int socket_file;		/* O_PATH of it: its link count tells when the state directory goes */
	int oom_file;			/* what the guest said of lack of memory is kept here for later */
	int failure_file;		/* why the machine ended, when there is nobody left to tell */
};

/* For ns_spawn(): arg is a struct vm_start. Its result is the exit status. */
int vm_supervisor_main(void *arg);
