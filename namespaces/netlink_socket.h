/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with rtnetlink. Private to namespaces/netlink*.c, the doors to libmnl. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;
struct nlmsghdr;
struct nlattr;

#define NETLINK_TRIES 10

/* Room for one request; the kernel's answers have buffers of their own. */
#define NETLINK_REQUEST_SIZE 1024

/* In the current network namespace. With an error text. */
int netlink_open(struct mnl_socket **ret_nl);
void netlink_closep(struct mnl_socket **nl);
#define _cleanup_netlink_ __attribute__((cleanup(netlink_closep)))

/* Begins a request in buf: the family's header (zeroed, header_size bytes) follows at *ret_header. */
struct nlmsghdr *netlink_begin(void *buf, uint16_t type, uint16_t flags, size_t header_size, void **ret_header);

/* Sends a request and waits for its acknowledgement. -errno as the kernel gave it, no error text. */
int netlink_ack(struct mnl_socket *nl, struct nlmsghdr *nlh);

/* Sets the interface of that index up. As netlink_ack(). */
int netlink_set_up(struct mnl_socket *nl, int index);

/*
 * Asks for a dump: each(message, data) is called for every object; its first negative value
 * ends the dump and is returned (the rest of the answer stays in the socket: close it). -EINTR:
 * the list changed meanwhile; ask again, NETLINK_TRIES times. No error text of its own.
 */
typedef int netlink_each(const struct nlmsghdr *nlh, void *data);
int netlink_dump(struct mnl_socket *nl, struct nlmsghdr *nlh, netlink_each *each, void *data);

/*
 * The attributes of a message after its family's header of header_size bytes, of a run of
 * bytes, or of a nest (may be NULL), by type: table[0 … max] is set, NULL for what is absent;
 * types beyond max are left out.
 */
void netlink_attributes(const struct nlmsghdr *nlh, size_t header_size, const struct nlattr **table, uint16_t max);
void netlink_payload(const void *payload, size_t len, const struct nlattr **table, uint16_t max);
void netlink_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max);
