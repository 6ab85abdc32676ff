/* SPDX-License-Identifier: Apache-2.0 */
/*
 * D-Bus messages as bytes: building (little endian) and reading (both). Pure: no connection here.
 *
 * What is read comes from another process. A message is checked as a whole when it is parsed, its body against
 * its signature; what is read from it after that by this signature cannot fail. Whatever the bytes are, nothing
 * outside of them is looked at, and neither depth nor length is theirs to choose.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* The longest message taken or made; D-Bus itself allows 128 MiB. */
#define DBUS_MESSAGE_MAX ((size_t)1024 * 1024)
/* Containers in containers, variants included. */
#define DBUS_DEPTH_MAX 32
/* A message begins with as many bytes, which tell its length. */
#define DBUS_HEADER_MIN 16

enum dbus_type {
	DBUS_CALL = 1,
	DBUS_RETURN = 2,
	DBUS_ERROR = 3,
	DBUS_SIGNAL = 4,
};

/* Strings that a message does not have are NULL. */
struct dbus_header {
	uint8_t type;		/* enum dbus_type, or one that is to be ignored */
	uint32_t serial, reply_serial;
	const char *path, *interface, *member, *error, *destination, *sender;
	const char *signature;	/* NULL: no body */
};

/* ---- building ---- */

/*
 * Each aligns itself, counting from the beginning of b, which is that of a message's body. Failures stick
 * (struct buf). Strings have to be UTF-8, or the other end closes the connection.
 */
void dbus_put_align(struct buf *b, size_t n);
void dbus_put_byte(struct buf *b, uint8_t v);
void dbus_put_u16(struct buf *b, uint16_t v);
void dbus_put_u32(struct buf *b, uint32_t v);
void dbus_put_u64(struct buf *b, uint64_t v);
void dbus_put_string(struct buf *b, const char *s);
void dbus_put_signature(struct buf *b, const char *s);
/* align: of the elements (8 for structures). Returns what dbus_put_array_end() wants to know. */
size_t dbus_put_array(struct buf *b, size_t align);
void dbus_put_array_end(struct buf *b, size_t array, size_t align);

/* The whole message, added to the empty out. -ENOMEM; -EMSGSIZE beyond DBUS_MESSAGE_MAX. */
int dbus_message_build(const struct dbus_header *h, const struct buf *body, struct buf *out);

/* ---- reading ---- */

struct dbus_reader {
	const uint8_t *data;	/* offsets, and so alignment, count from here */
	size_t len, pos;
	bool swapped;		/* the other byte order */
	bool failed;		/* sticks; from then on 0 and "" are read */
};

struct dbus_parsed {
	struct dbus_header h;		/* the strings are in the bytes that were parsed */
	struct dbus_reader body;
};

/*
 * The length of the message that begins so. -EAGAIN: fewer than DBUS_HEADER_MIN bytes; -EBADMSG: no message,
 * or one longer than DBUS_MESSAGE_MAX. No text, here and below.
 */
int dbus_message_size(const void *data, size_t len, size_t *ret_size);

/* A message of len bytes. -EBADMSG */
int dbus_message_parse(const void *data, size_t len, struct dbus_parsed *ret);

uint8_t dbus_get_byte(struct dbus_reader *r);
uint16_t dbus_get_u16(struct dbus_reader *r);
uint32_t dbus_get_u32(struct dbus_reader *r);
uint64_t dbus_get_u64(struct dbus_reader *r);
/* 's' and 'o'. Into the bytes, never NULL. */
const char *dbus_get_string(struct dbus_reader *r);
const char *dbus_get_signature(struct dbus_reader *r);
/* A whole value of each of the types of signature is passed over. */
void dbus_skip(struct dbus_reader *r, const char *signature);
