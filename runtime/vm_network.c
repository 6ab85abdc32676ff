/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_network.h. */
#include "runtime/vm_network.h"

#include <errno.h>
#include <string.h>

#include "namespaces/net_tap.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

static int open_spares(struct vm_network *n, size_t spares)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < spares; k++) {
		struct machine_net *m = &n->nets[k];

		*m = (struct machine_net){ .tap = FD_NONE, .mtu = NET_MTU_MAX };
		net_mac_spare((unsigned int)k, m->mac);
		n->n_nets = k + 1;
		r = net_tap_spare((unsigned int)k, &m->tap);
	}
	if (r == 0)
		n->n_spare = spares;
	return r;
}

int vm_network_open(struct vm_network *n, size_t spares)
{
	int r = net_config_read(&n->config);

	for (size_t k = 0; r == 0 && k < n->config.n_interfaces; k++) {
		const struct net_interface *i = &n->config.interfaces[k];
		struct machine_net *m = &n->nets[k];

		m->tap = FD_NONE;
		r = net_tap_attach(i, (unsigned int)k, &m->tap);
		memcpy(m->mac, i->mac, sizeof(m->mac));
		m->mtu = (uint16_t)i->mtu;
		n->n_nets = k + 1;
	}
	if (r < 0 || n->n_nets > 0)
		return r;
	r = open_spares(n, spares);
	/* A host without tun: none was asked for yet, and what comes later cannot be had. */
	if (r == -ENOTSUP) {
		err_clear();
		vm_network_close(n);
		r = 0;
	}
	return r;
}

void vm_network_close(struct vm_network *n)
{
	for (size_t k = 0; k < n->n_nets; k++)
		fd_close(&n->nets[k].tap);
	n->n_nets = 0;
}
