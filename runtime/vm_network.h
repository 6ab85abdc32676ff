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
	size_t n_spare;		/* of n_nets: those that wait for an interface, which is none of config yet */
};

/*
 * In the container's network namespace. The taps are the caller's, also after a failure. spares: so many network cards more, when there is no
 * interface yet: an engine may bring some before the start (docker from 28 on, podman with a user namespace). -errno with text.
 */
int vm_network_open(struct vm_network *n, size_t spares);
void vm_network_close(struct vm_network *n);
