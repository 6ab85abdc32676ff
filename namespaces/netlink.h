/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink, by libmnl. The doors to it are the files namespaces/netlink*.c. A microVM's
 * guest program, which is static, has microvm/guest/netlink.c in the place of this one file.
 */
#pragma once

/* Sets the loopback interface of the current network namespace up. AF_NETLINK only: no AF_INET socket needed. */
int netlink_loopback_up(void);
