/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces of our own and a wire between two of them: for measuring, where no engine has made a network. They live as long as
 * their descriptors, or processes in them.
 *
 * The caller must have one thread and CAP_SYS_ADMIN and CAP_NET_ADMIN in the user namespace it is in; whatever happens, it is in its own
 * network namespace afterwards. -ENOTRECOVERABLE: it could not go back, and must not go on.
 */
#pragma once

#include <stdint.h>

/* A new network namespace with its loopback interface up. -errno with text. */
int net_ns_make(int *ret_netns);

struct net_veth_end {
	int netns;		/* where it is */
	const char *name;
	const char *address;	/* IPv4, in text */
	uint8_t prefix;		/* bits */
};

/* A pair of connected interfaces, with an address each, up. -errno with text: what is there of it goes with a. */
int net_veth_make(const struct net_veth_end *a, const struct net_veth_end *b);

/* Enters netns; *ret_home is the way back, by net_ns_leave(), which closes it. -errno with text: not entered, *ret_home is FD_NONE. */
int net_ns_enter(int netns, int *ret_home);
int net_ns_leave(int *home);
