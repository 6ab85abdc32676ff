/* SPDX-License-Identifier: Apache-2.0 */
/* The traffic control that net_tap.c needs. Private to namespaces/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;

/* What stands at the ingress of an interface. */
enum tc_ingress {
	TC_NONE,
	TC_BARE,	/* a qdisc without filters: does nothing, whoever made it */
	TC_LEFTOVER,	/* nacre's redirect, its tap gone */
	TC_REDIRECT,	/* nacre's redirect, in use */
	TC_FOREIGN,	/* anything else */
};

/* With an error text. */
int tc_ingress_read(struct mnl_socket *nl, int index, enum tc_ingress *ret);

/* Ingress qdisc and a filter that sends all of it out of the interface `to`. With an error text. */
int tc_redirect_add(struct mnl_socket *nl, int from, int to);

/* Removes the ingress qdisc with its filters; none is no error. With an error text. */
int tc_ingress_remove(struct mnl_socket *nl, int index);

/* MTU, no link-local address of its own, no ARP, up. With an error text. */
int tc_tap_up(struct mnl_socket *nl, int index, uint32_t mtu);

/* The interfaces of the namespace that have an ingress qdisc, at most max of them. With an error text. */
int tc_ingress_list(struct mnl_socket *nl, int *indexes, size_t max, size_t *ret_n);
