/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interface of a network namespace, given to a microVM: a tap beside it, and a redirect
 * from the ingress of each to the egress of the other. Frames are taken before the host's
 * stack sees them, so only the guest answers.
 *
 * The interface keeps its addresses: nothing can reach the host's stack through them any more,
 * an ipvlan finds its frames by them, engines show them, and a later run in the same namespace
 * reads them again. What a process of the namespace itself sends still leaves by the interface;
 * the answers go to the guest.
 *
 * The tap is not persistent: it is gone, with its redirect, as soon as the last copy of its
 * descriptor is closed. The interface's own redirect then leads nowhere; it goes with the
 * namespace, by net_tap_clean() when the microVM is deleted, or the next net_tap_attach() replaces it.
 *
 * While it is given away, the interface takes all multicasts (IFF_ALLMULTI), since the host does not know
 * which groups the guest joins.
 *
 * Rules of the namespace's packet filter (nftables) see none of these frames: they stand behind the ingress.
 *
 * All functions but the last act in the current network namespace.
 */
#pragma once

#include <stdbool.h>

#include "namespaces/net_config.h"

/* The size of the header before each frame: struct virtio_net_hdr_v1, little-endian, num_buffers included. */
#define NET_TAP_HEADER_SIZE 12

/*
 * Makes the tap of interface number n of the namespace ("tapN_nacre", the interface's MTU, up, no offloads:
 * the kernel finishes checksums and segments before a frame is read, unless TUNSETOFFLOAD says otherwise) and
 * both redirects. *ret_fd: the tap, non-blocking, close-on-exec; a frame a read, after NET_TAP_HEADER_SIZE bytes.
 *
 * -EBUSY: another microVM has this namespace's taps, or the interface has an ingress qdisc that is not nacre's;
 * -ENOTSUP, -ENOENT with a hint: the kernel lacks tun or the traffic control that this needs. Nothing is left behind.
 */
int net_tap_attach(const struct net_interface *i, unsigned int n, int *ret_fd);

/*
 * The same for interfaces that come later: the tap only, up, with the largest MTU.
 */
int net_tap_spare(unsigned int n, int *ret_fd);

/*
 * Interface i is given to the tap that net_tap_spare() has made as number n in this namespace, maybe in another process: MTU
 * and redirects. Again is no error. -ENODEV: there is no such tap; else as net_tap_attach().
 */
int net_tap_give(const struct net_interface *i, unsigned int n);

/*
 * That for all interfaces of c, tap N for interface N: ret_fds[0 … c->n_interfaces - 1]. All or nothing.
 */
int net_tap_attach_all(const struct net_config *c, int ret_fds[NET_INTERFACES_MAX]);

/*
 * Removes every redirect that nacre has made and whose tap is gone, so that the namespace's own stack can be
 * reached again. Those of a microVM that runs stay. The count of removed ones is not told; none is no error.
 */
int net_tap_clean(void);

/* The same in another network namespace (a descriptor of it), and back; needs CAP_SYS_ADMIN there and here. */
int net_tap_clean_in(int ns);

/* Is this the name of such a tap? */
bool net_tap_is_ours(const char *name);

/* One that is there already: -EBUSY with its text. */
int net_tap_busy(const char *name);
