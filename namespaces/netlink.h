/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink, by libmnl: the one door to it. */
#pragma once

/* Sets the loopback interface of the current network namespace up. AF_NETLINK only: no AF_INET socket needed. */
int netlink_loopback_up(void);
