/* SPDX-License-Identifier: Apache-2.0 */
/* A microVM's network: what is configured in the network namespace goes to the guest, a tap for each interface. */
#pragma once

#include <stddef.h>

#include "microvm/machine.h"
#include "namespaces/net_config.h"

struct vm_network {
	struct net_config config;
	struct machine_net nets[NET_INTERFACES_MAX];
	size_t n_nets;
};

/* In the container's network namespace. The taps are the caller's, also after a failure. -errno with text. */
int vm_network_open(struct vm_network *n);
void vm_network_close(struct vm_network *n);
