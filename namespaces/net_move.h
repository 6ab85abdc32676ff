/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network devices of the host, moved into a container's network namespace (runtime-spec config-linux "netDevices").
 *
 * By rtnetlink from the namespace of the caller: RTM_NEWLINK with IFLA_NET_NS_FD and the new name. The kernel takes the
 * device down and its addresses away; those that are permanent and global are added again over there, and the device goes
 * up. The caller enters the other namespace only to open a socket in it, and is back at once; it must have one thread.
 * Nothing is moved back when the container ends: the namespace's end is the kernel's business.
 *
 * A microVM's guest program, where no device is to be moved, has microvm/guest/netlink.c in its place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct net_move {
	const char *name;	/* in the caller's namespace */
	const char *new_name;	/* in the other one; "eth%d": the kernel takes the first number that is free */
};

/* What the kernel takes for a device's name; template: one "%d" may be in it. */
bool net_move_name_valid(const char *name, bool template);

/*
 * Moves n devices into the network namespace of the process behind pidfd: all or none. A device that cannot be moved
 * (what was moved before it) is given back, with its name, its addresses and its state. Errors name the device.
 */
int net_move(const struct net_move *v, size_t n, int pidfd);
