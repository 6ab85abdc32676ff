/* SPDX-License-Identifier: Apache-2.0 */
/* Starting what runs a microVM's guest: the file server, the taps, the monitor. Called by the supervisor. */
#pragma once

#include "runtime/vm_network.h"
#include "runtime/vm_process.h"
#include "runtime/vm_supervisor.h"

/*
 * output: where all of them print to. *ret_channel: this end of the channel to the guest. What was started before a failure is the
 * caller's to end. -errno with text.
 */
int vm_monitor_start(const struct vm_start *s, const struct vm_network *n, int output, struct vm_process *ret_file_server, struct vm_process *ret_monitor,
		     int *ret_channel);
