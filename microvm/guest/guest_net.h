/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a container, set up in the guest's kernel as it was on the host. */
#pragma once

struct net_config;

/*
 * In the current network namespace, whose network cards have the MAC addresses of c's
 * interfaces and are down: gives them their names, MTU, IPv6 settings, addresses, routes and
 * permanent neighbours, and sets them up, lo, too. Needs /proc/sys where IPv6 is on.
 * -ENODEV: a card is missing. With a text; what was done before an error stays.
 */
int guest_net_apply(const struct net_config *c);

/*
 * The same in another network namespace, to which the cards are moved from the current one; that is the caller's from then on, also after an error.
 */
int guest_net_move(const struct net_config *c, int ns);

/*
 * The same for cards that have waited for it, with the MAC of net_mac_spare(): card n becomes interface n, and gets its MAC. Those that are
 * left over are taken away from their driver, so that there is no interface which the host does not have. ns: as guest_net_move(); FD_NONE:
 * they stay.
 */
int guest_net_apply_late(const struct net_config *c, int ns);
