/* SPDX-License-Identifier: Apache-2.0 */
/* Starting what runs a microVM's guest: the file server, the taps, the monitor. Called by the supervisor. */
#pragma once

#include "runtime/vm_network.h"
#include "runtime/vm_process.h"
#include "runtime/vm_supervisor.h"

struct vm_monitor_ends {
	struct vm_process *file_server, *process;	/* to be filled */
	int channel;			/* this end of the channel to the guest */
	int control;			/* this end of machine_config's, or of QEMU's monitor protocol */
};

/*
 * output: where all of them print to. What was started before a failure is the caller's to end. -errno with text.
 */
int vm_monitor_start(const struct vm_start *s, const struct vm_network *n, int output, struct vm_monitor_ends *ret);
