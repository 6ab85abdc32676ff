/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink without a library: the guest's program is static, and libmnl comes as a shared
 * library only. A request is built in a buffer of fixed size; what does not fit makes it
 * bad, which rtnl_talk() reports. Answers are read with bounds.
 */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_MESSAGE_SIZE 1024

struct rtnl_message {
	union {
		struct nlmsghdr header;
		uint8_t bytes[RTNL_MESSAGE_SIZE];
	};
	bool bad;
};

/* A request of this type, with the family's header (size bytes of family_header). */
void rtnl_begin(struct rtnl_message *m, uint16_t type, uint16_t flags, const void *family_header, size_t size);
void rtnl_put(struct rtnl_message *m, uint16_t type, const void *data, size_t size);
void rtnl_put_u32(struct rtnl_message *m, uint16_t type, uint32_t v);
void rtnl_put_string(struct rtnl_message *m, uint16_t type, const char *s);
/* Bytes without a type, such as a struct rtnexthop within RTA_MULTIPATH: their place, NULL when they do not fit. */
void *rtnl_put_raw(struct rtnl_message *m, const void *data, size_t size);
/* An attribute of attributes; open's result belongs to close. */
size_t rtnl_nest_open(struct rtnl_message *m, uint16_t type);
void rtnl_nest_close(struct rtnl_message *m, size_t at);

/* A socket in the current network namespace: fd, or -errno without a text. */
int rtnl_open(void);

/* Sends m and waits for the kernel's word: 0 or -errno, no text. -EMSGSIZE: m is bad. */
int rtnl_talk(int fd, struct rtnl_message *m);

/* Asks for a dump; each object goes to each(), whose first negative value is returned. 0 or -errno, no text. */
typedef int rtnl_each(const struct nlmsghdr *h, void *data);
int rtnl_dump(int fd, struct rtnl_message *m, rtnl_each *each, void *data);

/* The attribute of a message after its family's header of header_size bytes, its size in *ret_size; NULL: absent. */
const void *rtnl_find(const struct nlmsghdr *h, size_t header_size, uint16_t type, size_t *ret_size);
