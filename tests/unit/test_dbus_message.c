/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages: there and back, the other byte order, and bytes that are none. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "cgroups/dbus.h"
#include "cgroups/dbus_message.h"
#include "runtime/base/str.h"

/* A signal as systemd sends it, from a big endian machine: JobRemoved(1, "/j", "a.scope", "done"). */
static const char big_endian[] =
	"B\4\1\1\0\0\0!\0\0\0\7\0\0\0B\1\1o\0\0\0\0\2"
	"/j\0\0\0\0\0\0\2\1s\0\0\0\0\4a.bc\0\0\0\0"
	"\3\1s\0\0\0\0\12JobRemoved\0\0\0\0\0\0"
	"\10\1g\0\4uoss\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2"
	"/j\0\0\0\0\0\7a.scope\0\0\0\0\4done"
	"\0";

static int build(const struct dbus_header *h, const struct buf *body, struct buf *out, struct dbus_parsed *ret)
{
	int r = dbus_message_build(h, body, out);

	return r < 0 ? r : dbus_message_parse(out->data, out->len, ret);
}

TEST(there_and_back)
{
	_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
	const struct dbus_header h = {
		.type = DBUS_CALL,
		.serial = 77,
		.path = "/org/freedesktop/systemd1",
		.interface = "a.b",
		.member = "Start",
		.destination = "c.d",
		.signature = "ya(st)snvas",
	};
	struct dbus_parsed m;
	struct dbus_reader r;
	size_t array, size = 0;

	dbus_put_byte(&body, 200);
	array = dbus_put_array(&body, 8);
	for (unsigned int i = 0; i < 3; i++) {
		dbus_put_align(&body, 8);
		dbus_put_string(&body, &"abcdefghi"[i]);
		dbus_put_u64(&body, UINT64_MAX - i);
	}
	dbus_put_array_end(&body, array, 8);
	dbus_put_string(&body, "");
	dbus_put_u16(&body, 0xBEEF);
	dbus_put_signature(&body, "at");
	array = dbus_put_array(&body, 8);
	dbus_put_array_end(&body, array, 8);
	array = dbus_put_array(&body, 4);
	dbus_put_array_end(&body, array, 4);

	if (!CHECK_INT(build(&h, &body, &out, &m), 0))
		return;
	CHECK_INT(dbus_message_size(out.data, out.len, &size), 0);
	CHECK_INT(size, out.len);
	CHECK_INT(dbus_message_size(out.data, 16, &size), 0);
	CHECK_INT(dbus_message_size(out.data, 15, &size), -EAGAIN);
	CHECK_INT(m.h.type, DBUS_CALL);
	CHECK_INT(m.h.serial, 77);
	CHECK_STR(m.h.path, h.path);
	CHECK_STR(m.h.interface, h.interface);
	CHECK_STR(m.h.member, h.member);
	CHECK_STR(m.h.destination, h.destination);
	CHECK_STR(m.h.signature, h.signature);
	CHECK(m.h.sender == NULL && m.h.error == NULL && m.h.reply_serial == 0);
	r = m.body;
	CHECK_INT(dbus_get_byte(&r), 200);
	dbus_skip(&r, "a(st)");
	CHECK_STR(dbus_get_string(&r), "");
	CHECK_INT(dbus_get_u16(&r), 0xBEEF);
	dbus_skip(&r, "vas");
	CHECK(!r.failed && r.pos == r.len);
	/* Once more is too much. */
	CHECK_INT(dbus_get_byte(&r), 0);
	CHECK(r.failed);
	CHECK_STR(dbus_get_string(&r), "");
}

TEST(no_body)
{
	_cleanup_buf_ struct buf out = BUF_NULL;
	const struct dbus_header h = { .type = DBUS_ERROR, .serial = 1, .reply_serial = 9, .error = "a.B", .sender = ":1.5" };
	struct dbus_parsed m;

	if (!CHECK_INT(build(&h, NULL, &out, &m), 0))
		return;
	CHECK_INT(m.h.reply_serial, 9);
	CHECK_STR(m.h.error, "a.B");
	CHECK_STR(m.h.sender, ":1.5");
	CHECK_INT(m.body.len, 0);
}

TEST(other_byte_order)
{
	struct dbus_parsed m;
	struct dbus_reader r;

	if (!CHECK_INT(dbus_message_parse(big_endian, sizeof(big_endian) - 1, &m), 0))
		return;
	CHECK_STR(m.h.path, "/j");
	CHECK_STR(m.h.interface, "a.bc");
	CHECK_STR(m.h.member, "JobRemoved");
	CHECK_INT(m.h.serial, 7);
	r = m.body;
	CHECK_INT(dbus_get_u32(&r), 1);
	CHECK_STR(dbus_get_string(&r), "/j");
	CHECK_STR(dbus_get_string(&r), "a.scope");
	CHECK_STR(dbus_get_string(&r), "done");
	CHECK(!r.failed);
}

/* Every byte of a good message changed to some values, and every length: an answer, and no overread (sanitizers). */
TEST(every_byte_broken)
{
	static const unsigned char values[] = { 0, 1, 'a', 'v', '(', 0x7F, 0x80, 0xFF };
	_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
	const struct dbus_header h = {
		.type = DBUS_SIGNAL, .serial = 3, .path = "/a", .interface = "b.c", .member = "D", .signature = "va{sv}",
	};
	struct dbus_parsed m;
	size_t array, good = 0, tried = 0;

	dbus_put_signature(&body, "(yas)");
	dbus_put_align(&body, 8);
	dbus_put_byte(&body, 1);
	array = dbus_put_array(&body, 4);
	dbus_put_string(&body, "x");
	dbus_put_array_end(&body, array, 4);
	array = dbus_put_array(&body, 8);
	dbus_put_align(&body, 8);
	dbus_put_string(&body, "key");
	dbus_put_signature(&body, "b");
	dbus_put_u32(&body, 1);
	dbus_put_array_end(&body, array, 8);
	if (!CHECK_INT(build(&h, &body, &out, &m), 0))
		return;
	for (size_t i = 0; i < out.len; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			char *copy = malloc(out.len);
			int r;

			if (copy == NULL)
				return;
			memcpy(copy, out.data, out.len);
			copy[i] = (char)values[k];
			r = dbus_message_parse(copy, out.len, &m);
			CHECK(r == 0 || r == -EBADMSG);
			good += r == 0 ? 1 : 0;
			tried++;
			free(copy);
		}
		CHECK_INT(dbus_message_parse(out.data, i, &m), -EBADMSG);
	}
	/* Letters of names may change; hardly anything else. */
	CHECK(good > 0 && good < tried / 2);
}

TEST(signatures)
{
	static const struct {
		const char *signature;
		const char *body;
		size_t len;
		int r;
	} cases[] = {
		{ "", "", 0, 0 },
		{ "y", "a", 1, 0 },
		{ "y", "ab", 2, -EBADMSG },
		{ "b", "\1\0\0\0", 4, 0 },
		{ "b", "\2\0\0\0", 4, -EBADMSG },
		{ "s", "\1\0\0\0a\0", 6, 0 },
		{ "s", "\1\0\0\0ab", 6, -EBADMSG },
		{ "s", "\2\0\0\0a\0\0", 7, -EBADMSG },
		{ "s", "\377\377\377\377a\0", 6, -EBADMSG },
		{ "ay", "\2\0\0\0ab", 6, 0 },
		{ "ay", "\3\0\0\0ab", 6, -EBADMSG },
		{ "ay", "\377\377\377\377ab", 6, -EBADMSG },
		/* The second element would end behind the array. */
		{ "aq", "\3\0\0\0abcd", 8, -EBADMSG },
		{ "at", "\0\0\0\0\0\0\0\0", 8, 0 },
		{ "at", "\0\0\0\0", 4, -EBADMSG },
		{ "at", "\0\0\0\0\0\0\0\1", 8, -EBADMSG },
		{ "v", "\1y\0a", 4, 0 },
		{ "v", "\0\0", 2, -EBADMSG },
		{ "v", "\2yy\0ab", 6, -EBADMSG },
		{ "v", "\1v\0\1v\0\1y\0a", 10, 0 },
		{ "g", "\2ay\0", 4, 0 },
		{ "g", "\2a(\0", 4, -EBADMSG },
		{ "a{yy}", "\2\0\0\0\0\0\0\0ab", 10, 0 },
		{ "{yy}", "ab", 2, -EBADMSG },
		{ "a{vy}", "\0\0\0\0\0\0\0\0", 8, -EBADMSG },
		{ "a{yyy}", "\0\0\0\0\0\0\0\0", 8, -EBADMSG },
		{ "()", "", 0, -EBADMSG },
		{ "(y", "a", 1, -EBADMSG },
		{ "a", "\0\0\0\0", 4, -EBADMSG },
		{ "z", "a", 1, -EBADMSG },
		{ "a(", "\0\0\0\0", 4, -EBADMSG },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaay", "\0\0\0\0", 4, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
		const struct dbus_header h = {
			.type = DBUS_SIGNAL, .serial = 3, .path = "/a", .interface = "b.c", .member = "D",
			.signature = cases[i].signature,
		};
		struct dbus_parsed m;

		buf_add(&body, cases[i].body, cases[i].len);
		if (!CHECK_INT(build(&h, &body, &out, &m), cases[i].r))
			printf("#   signature: %s (%zu)\n", cases[i].signature, i);
	}
}

/* Variants in variants: as deep as is allowed, and deeper. */
TEST(depth)
{
	for (int levels = 1; levels < 100; levels++) {
		_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
		const struct dbus_header h = {
			.type = DBUS_SIGNAL, .serial = 3, .path = "/a", .interface = "b.c", .member = "D", .signature = "v",
		};
		struct dbus_parsed m;

		for (int i = 1; i < levels; i++)
			dbus_put_signature(&body, "v");
		dbus_put_signature(&body, "y");
		dbus_put_byte(&body, 1);
		CHECK_INT(build(&h, &body, &out, &m), levels < DBUS_DEPTH_MAX ? 0 : -EBADMSG);
	}
}

TEST(limits)
{
	_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
	const struct dbus_header h = { .type = DBUS_CALL, .serial = 1, .path = "/a", .member = "B", .signature = "ay" };
	unsigned char start[DBUS_HEADER_MIN] = "l\1\0\1";
	static char kib[1024];
	size_t array = dbus_put_array(&body, 1), size;

	for (int i = 0; i < 1024; i++)
		buf_add(&body, kib, sizeof(kib));
	dbus_put_array_end(&body, array, 1);
	CHECK_INT(dbus_message_build(&h, &body, &out), -EMSGSIZE);
	start[6] = 0x20;
	CHECK_INT(dbus_message_size(start, sizeof(start), &size), -EBADMSG);
	start[6] = 0;
	start[15] = 0xFF;
	CHECK_INT(dbus_message_size(start, sizeof(start), &size), -EBADMSG);
	start[15] = 0;
	CHECK_INT(dbus_message_size(start, sizeof(start), &size), 0);
	start[3] = 2;
	CHECK_INT(dbus_message_size(start, sizeof(start), &size), -EBADMSG);
}

TEST(addresses)
{
	static const struct {
		const char *address, *path;	/* NULL: none; '@' an abstract one */
	} cases[] = {
		{ "unix:path=/run/bus", "/run/bus" },
		{ "unix:path=/run/bus,guid=0123", "/run/bus" },
		{ "unix:guid=0123,path=/run/bus;unix:path=/other", "/run/bus" },
		{ "tcp:host=path=/x;unix:abstract=a%2Fb%3b", "@a/b;" },
		{ "unix:tmpdir=/tmp;unix:path=/b", "/b" },
		{ "unix:path=/a%zz", NULL },
		{ "unix:path=/a%2", NULL },
		{ "unix:path=/a%00b", NULL },
		{ "unix:path=", NULL },
		{ "unix:", NULL },
		{ "unix", NULL },
		{ "", NULL },
		{ ";;", NULL },
		{ "unix:path=/0123456789012345678901234567890123456789", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[32] = "";
		size_t len = 0;
		int r = dbus_address_parse(cases[i].address, path, sizeof(path), &len);

		CHECK_INT(r, cases[i].path != NULL ? 0 : -EINVAL);
		if (r == 0 && path[0] == '\0') {
			path[0] = '@';
			CHECK_INT(len, strlen(path));
		} else if (r == 0)
			CHECK_INT(len, strlen(path) + 1);
		if (cases[i].path != NULL)
			CHECK_STR(path, cases[i].path);
	}
}

TEST_MAIN(CASE(there_and_back), CASE(no_body), CASE(other_byte_order), CASE(every_byte_broken), CASE(signatures), CASE(depth),
	  CASE(limits), CASE(addresses))
