/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of the D-Bus specification, "Message Protocol". See dbus_message.h. */
#include "cgroups/dbus_message.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "runtime/base/str.h"

#define PROTOCOL_VERSION 1
/* Bit 2 of the flags is "may ask the user for a password": never set, nobody is there to be asked. */
#define NO_FLAGS 0
#define SIGNATURE_MAX 255

/* Codes of the header's fields. */
enum field {
	FIELD_PATH = 1,
	FIELD_INTERFACE,
	FIELD_MEMBER,
	FIELD_ERROR,
	FIELD_REPLY_SERIAL,
	FIELD_DESTINATION,
	FIELD_SENDER,
	FIELD_SIGNATURE,
};

/* ---- building ---- */

void dbus_put_align(struct buf *b, size_t n)
{
	static const char zeros[8];

	if (b->len % n != 0)
		buf_add(b, zeros, n - b->len % n);
}

void dbus_put_byte(struct buf *b, uint8_t v)
{
	buf_add(b, &v, sizeof(v));
}

void dbus_put_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	dbus_put_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	dbus_put_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	dbus_put_align(b, sizeof(v));
	buf_add(b, &v, sizeof(v));
}

void dbus_put_string(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	if (len > DBUS_MESSAGE_MAX) {
		b->failed = true;
		return;
	}
	dbus_put_u32(b, (uint32_t)len);
	buf_add(b, s, len + 1);
}

void dbus_put_signature(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	if (len > SIGNATURE_MAX) {
		b->failed = true;
		return;
	}
	dbus_put_byte(b, (uint8_t)len);
	buf_add(b, s, len + 1);
}

size_t dbus_put_array(struct buf *b, size_t align)
{
	size_t array;

	dbus_put_align(b, sizeof(uint32_t));
	array = b->len;
	dbus_put_u32(b, 0);
	/* Even an empty array is followed by the padding of its first element, which its length does not count. */
	dbus_put_align(b, align);
	return array;
}

void dbus_put_array_end(struct buf *b, size_t array, size_t align)
{
	size_t start = array + sizeof(uint32_t);
	uint32_t len;

	if (b->failed)
		return;
	start = (start + align - 1) / align * align;
	len = htole32((uint32_t)(b->len - start));
	memcpy(b->data + array, &len, sizeof(len));
}

static void put_field(struct buf *b, enum field field, const char *type, const char *value)
{
	if (value == NULL)
		return;
	dbus_put_align(b, 8);
	dbus_put_byte(b, (uint8_t)field);
	dbus_put_signature(b, type);
	if (type[0] == 'g')
		dbus_put_signature(b, value);
	else
		dbus_put_string(b, value);
}

int dbus_message_build(const struct dbus_header *h, const struct buf *body, struct buf *out)
{
	size_t fields, body_len = body != NULL ? body->len : 0;

	if (body_len > DBUS_MESSAGE_MAX)
		return -EMSGSIZE;
	dbus_put_byte(out, 'l');
	dbus_put_byte(out, h->type);
	dbus_put_byte(out, NO_FLAGS);
	dbus_put_byte(out, PROTOCOL_VERSION);
	dbus_put_u32(out, (uint32_t)body_len);
	dbus_put_u32(out, h->serial);
	fields = dbus_put_array(out, 8);
	put_field(out, FIELD_PATH, "o", h->path);
	put_field(out, FIELD_INTERFACE, "s", h->interface);
	put_field(out, FIELD_MEMBER, "s", h->member);
	put_field(out, FIELD_ERROR, "s", h->error);
	put_field(out, FIELD_DESTINATION, "s", h->destination);
	put_field(out, FIELD_SENDER, "s", h->sender);
	put_field(out, FIELD_SIGNATURE, "g", h->signature);
	if (h->reply_serial != 0) {
		dbus_put_align(out, 8);
		dbus_put_byte(out, FIELD_REPLY_SERIAL);
		dbus_put_signature(out, "u");
		dbus_put_u32(out, h->reply_serial);
	}
	dbus_put_array_end(out, fields, 8);
	dbus_put_align(out, 8);
	if (body_len > 0)
		buf_add(out, body->data, body_len);
	if (out->failed || (body != NULL && body->failed))
		return -ENOMEM;
	return out->len > DBUS_MESSAGE_MAX ? -EMSGSIZE : 0;
}

/* ---- signatures ---- */

static const struct {
	char type;
	uint8_t align;
} alignments[] = {
	{ 'y', 1 }, { 'b', 4 }, { 'n', 2 }, { 'q', 2 }, { 'i', 4 }, { 'u', 4 }, { 'x', 8 }, { 't', 8 }, { 'd', 8 },
	{ 's', 4 }, { 'o', 4 }, { 'g', 1 }, { 'h', 4 }, { 'a', 4 }, { 'v', 1 }, { '(', 8 }, { '{', 8 },
};

/* 0: no type begins so. */
static size_t alignment(char type)
{
	for (size_t i = 0; i < ARRAY_SIZE(alignments); i++)
		if (alignments[i].type == type)
			return alignments[i].align;
	return 0;
}

static bool is_basic(char type)
{
	return type != '\0' && strchr("ybnqiuxtdsogh", type) != NULL;
}

/*
 * How many characters of s are one complete type; 0: it is none. depth: what is left of it. No overread: the NUL is
 * no type, so nothing goes on behind it.
 */
static size_t type_len(const char *s, unsigned int depth)
{
	size_t len, n;

	if (is_basic(s[0]) || s[0] == 'v')
		return 1;
	if (depth == 0)
		return 0;
	if (s[0] == 'a' && s[1] == '{') {
		/* A dictionary: the key is basic, the value one type. */
		n = is_basic(s[2]) ? type_len(s + 3, depth - 1) : 0;
		return n > 0 && s[3 + n] == '}' ? n + 4 : 0;
	}
	if (s[0] == 'a') {
		n = type_len(s + 1, depth - 1);
		return n > 0 ? n + 1 : 0;
	}
	if (s[0] != '(' || s[1] == ')')
		return 0;
	for (len = 1; s[len] != ')'; len += n) {
		n = type_len(s + len, depth - 1);
		if (n == 0)
			return 0;
	}
	return len + 1;
}

static bool signature_ok(const char *s, unsigned int depth)
{
	while (*s != '\0') {
		size_t n = type_len(s, depth);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

/* ---- reading ---- */

/* The next n bytes; NULL and failed when there are not as many. */
static const uint8_t *take(struct dbus_reader *r, size_t n)
{
	const uint8_t *p = r->data + r->pos;

	if (r->failed || n > r->len - r->pos) {
		r->failed = true;
		return NULL;
	}
	r->pos += n;
	return p;
}

/* Padding has to be zero. */
static void align_to(struct dbus_reader *r, size_t n)
{
	while (!r->failed && r->pos % n != 0) {
		const uint8_t *p = take(r, 1);

		if (p != NULL && *p != 0)
			r->failed = true;
	}
}

uint8_t dbus_get_byte(struct dbus_reader *r)
{
	const uint8_t *p = take(r, 1);

	return p != NULL ? *p : 0;
}

uint16_t dbus_get_u16(struct dbus_reader *r)
{
	const uint8_t *p;
	uint16_t v = 0;

	align_to(r, sizeof(v));
	p = take(r, sizeof(v));
	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return r->swapped ? __builtin_bswap16(v) : v;
}

uint32_t dbus_get_u32(struct dbus_reader *r)
{
	const uint8_t *p;
	uint32_t v = 0;

	align_to(r, sizeof(v));
	p = take(r, sizeof(v));
	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return r->swapped ? __builtin_bswap32(v) : v;
}

uint64_t dbus_get_u64(struct dbus_reader *r)
{
	const uint8_t *p;
	uint64_t v = 0;

	align_to(r, sizeof(v));
	p = take(r, sizeof(v));
	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return r->swapped ? __builtin_bswap64(v) : v;
}

/* len bytes, none of them NUL, then one. */
static const char *get_text(struct dbus_reader *r, size_t len)
{
	const uint8_t *p = take(r, len);
	const uint8_t *end = take(r, 1);

	if (p == NULL || end == NULL || *end != '\0' || memchr(p, '\0', len) != NULL) {
		r->failed = true;
		return "";
	}
	return (const char *)p;
}

const char *dbus_get_string(struct dbus_reader *r)
{
	uint32_t len = dbus_get_u32(r);

	return get_text(r, len);
}

const char *dbus_get_signature(struct dbus_reader *r)
{
	uint8_t len = dbus_get_byte(r);

	return get_text(r, len);
}

static void skip_types(struct dbus_reader *r, const char *types, size_t len, unsigned int depth);

/* type: that of the elements, len characters of it. */
static void skip_array(struct dbus_reader *r, const char *type, size_t len, unsigned int depth)
{
	uint32_t bytes = dbus_get_u32(r);
	size_t end;

	align_to(r, alignment(type[0]));
	if (r->failed || bytes > r->len - r->pos) {
		r->failed = true;
		return;
	}
	end = r->pos + bytes;
	/* Each element has a byte at least, so this ends; one that goes beyond the array's end is none. */
	while (!r->failed && r->pos < end)
		skip_types(r, type, len, depth);
	if (r->pos != end)
		r->failed = true;
}

static void skip_variant(struct dbus_reader *r, unsigned int depth)
{
	const char *type = dbus_get_signature(r);
	size_t len = r->failed ? 0 : type_len(type, depth);

	if (len == 0 || type[len] != '\0')
		r->failed = true;
	else
		skip_types(r, type, len, depth);
}

static void skip_basic(struct dbus_reader *r, char type)
{
	bool ok = true;

	if (type == 's' || type == 'o')
		(void)dbus_get_string(r);
	else if (type == 'g')
		ok = signature_ok(dbus_get_signature(r), DBUS_DEPTH_MAX);
	else if (type == 'b')
		ok = dbus_get_u32(r) <= 1;
	else {
		align_to(r, alignment(type));
		(void)take(r, alignment(type));
	}
	r->failed = r->failed || !ok;
}

/* types is known to be a sequence of complete types no deeper than depth. */
static void skip_types(struct dbus_reader *r, const char *types, size_t len, unsigned int depth)
{
	const char *end = types + len;

	if (depth == 0) {
		r->failed = true;
		return;
	}
	while (!r->failed && types < end) {
		size_t n = type_len(types, DBUS_DEPTH_MAX);

		if (types[0] == 'a')
			skip_array(r, types + 1, n - 1, depth - 1);
		else if (types[0] == 'v')
			skip_variant(r, depth - 1);
		else if (types[0] == '(') {
			align_to(r, 8);
			skip_types(r, types + 1, n - 2, depth - 1);
		} else if (types[0] == '{') {
			/* Which type_len() knows only with its array: it is all there is. */
			align_to(r, 8);
			skip_types(r, types + 1, len - 2, depth - 1);
			n = len;
		} else
			skip_basic(r, types[0]);
		types += n;
	}
}

void dbus_skip(struct dbus_reader *r, const char *signature)
{
	if (!signature_ok(signature, DBUS_DEPTH_MAX))
		r->failed = true;
	else
		skip_types(r, signature, strlen(signature), DBUS_DEPTH_MAX);
}

/* ---- messages ---- */

/* Fields have a type each; NULL: of a field that is passed over. */
static const char *field_type(uint8_t field)
{
	switch (field) {
	case FIELD_PATH:
		return "o";
	case FIELD_INTERFACE:
	case FIELD_MEMBER:
	case FIELD_ERROR:
	case FIELD_DESTINATION:
	case FIELD_SENDER:
		return "s";
	case FIELD_REPLY_SERIAL:
		return "u";
	case FIELD_SIGNATURE:
		return "g";
	default:
		return NULL;
	}
}

static void read_field(struct dbus_reader *r, struct dbus_header *h)
{
	const char **strings[] = {
		[FIELD_PATH] = &h->path,	       [FIELD_INTERFACE] = &h->interface, [FIELD_MEMBER] = &h->member,
		[FIELD_ERROR] = &h->error,	       [FIELD_DESTINATION] = &h->destination,
		[FIELD_SENDER] = &h->sender,
	};
	uint8_t field;
	const char *type, *want;
	size_t len;

	align_to(r, 8);
	field = dbus_get_byte(r);
	type = dbus_get_signature(r);
	want = field_type(field);
	len = type_len(type, DBUS_DEPTH_MAX);
	if (field == 0 || len == 0 || type[len] != '\0' || (want != NULL && !str_eq(type, want)))
		r->failed = true;
	else if (want == NULL)
		skip_types(r, type, len, DBUS_DEPTH_MAX - 1);
	else if (field == FIELD_REPLY_SERIAL)
		h->reply_serial = dbus_get_u32(r);
	else if (field == FIELD_SIGNATURE)
		h->signature = dbus_get_signature(r);
	else
		*strings[field] = dbus_get_string(r);
}

/* Has it got what a message of its type must have? */
static bool header_complete(const struct dbus_header *h)
{
	if (h->type == 0 || h->serial == 0)
		return false;
	if (h->type == DBUS_CALL)
		return h->path != NULL && h->member != NULL;
	if (h->type == DBUS_SIGNAL)
		return h->path != NULL && h->member != NULL && h->interface != NULL;
	if (h->type == DBUS_ERROR)
		return h->error != NULL && h->reply_serial != 0;
	return h->type != DBUS_RETURN || h->reply_serial != 0;
}

/* The first 16 bytes: of a message whose byte order is known. */
struct fixed {
	bool swapped;
	uint8_t type;
	uint32_t body, serial, fields;
};

static int read_fixed(const void *data, struct fixed *ret)
{
	struct dbus_reader r = { .data = data, .len = DBUS_HEADER_MIN };
	uint8_t order = dbus_get_byte(&r);

	if (order != 'l' && order != 'B')
		return -EBADMSG;
	r.swapped = (order == 'l') != (BYTE_ORDER == LITTLE_ENDIAN);
	ret->swapped = r.swapped;
	ret->type = dbus_get_byte(&r);
	(void)dbus_get_byte(&r);
	if (dbus_get_byte(&r) != PROTOCOL_VERSION)
		return -EBADMSG;
	ret->body = dbus_get_u32(&r);
	ret->serial = dbus_get_u32(&r);
	ret->fields = dbus_get_u32(&r);
	return ret->body > DBUS_MESSAGE_MAX || ret->fields > DBUS_MESSAGE_MAX ? -EBADMSG : 0;
}

/* Where the body starts. */
static size_t header_size(const struct fixed *f)
{
	return ((size_t)DBUS_HEADER_MIN + f->fields + 7) / 8 * 8;
}

int dbus_message_size(const void *data, size_t len, size_t *ret_size)
{
	struct fixed f;
	int r;

	if (len < DBUS_HEADER_MIN)
		return -EAGAIN;
	r = read_fixed(data, &f);
	if (r < 0)
		return r;
	if (header_size(&f) + f.body > DBUS_MESSAGE_MAX)
		return -EBADMSG;
	*ret_size = header_size(&f) + f.body;
	return 0;
}

int dbus_message_parse(const void *data, size_t len, struct dbus_parsed *ret)
{
	struct dbus_reader r = { .data = data, .pos = DBUS_HEADER_MIN }, body;
	struct dbus_header h = { 0 };
	struct fixed f;
	size_t size;

	if (dbus_message_size(data, len, &size) < 0 || size != len || read_fixed(data, &f) < 0)
		return -EBADMSG;
	r.swapped = f.swapped;
	r.len = DBUS_HEADER_MIN + f.fields;
	h.type = f.type;
	h.serial = f.serial;
	while (!r.failed && r.pos < r.len)
		read_field(&r, &h);
	r.len = header_size(&f);
	align_to(&r, 8);
	if (r.failed || !header_complete(&h))
		return -EBADMSG;
	body = (struct dbus_reader){ .data = r.data + r.len, .len = f.body, .swapped = f.swapped };
	ret->h = h;
	ret->body = body;
	dbus_skip(&body, h.signature != NULL ? h.signature : "");
	return body.failed || body.pos != body.len ? -EBADMSG : 0;
}
