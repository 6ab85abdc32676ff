/* SPDX-License-Identifier: Apache-2.0 */
/* The channel: both ends against each other, and a peer that breaks the rules. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "microvm/channel.h"
#include "microvm/le.h"
#include "runtime/base/err.h"

struct ends {
	struct channel host, guest;
};

static void ends_deinit(struct ends *e)
{
	channel_deinit(&e->host);
	channel_deinit(&e->guest);
}

#define ENDS struct ends e __attribute__((cleanup(ends_deinit))) = { CHANNEL_NULL(CHANNEL_HOST), CHANNEL_NULL(CHANNEL_GUEST) }

/* At most n bytes at a time from one end to the other; gives how many. */
static size_t carry(struct channel *from, struct channel *to, size_t n)
{
	size_t size, room;
	const unsigned char *out = channel_out(from, &size);
	unsigned char *at;

	if (out == NULL || channel_in(to, &at, &room) < 0)
		return 0;
	size = size < n ? size : n;
	size = size < room ? size : room;
	memcpy(at, out, size);
	channel_received(to, size);
	channel_sent(from, size);
	return size;
}

/* The next frame at `to`; 0 when there is none. */
static int get(struct channel *from, struct channel *to, struct channel_frame *f)
{
	int r;

	while ((r = channel_next(to, f)) == 0 && carry(from, to, SIZE_MAX) > 0)
		;
	return r;
}

static int feed(struct channel *c, const void *data, size_t size)
{
	unsigned char *at;
	size_t room;

	if (channel_in(c, &at, &room) < 0 || room < size)
		return -ENOBUFS;
	memcpy(at, data, size);
	channel_received(c, size);
	return 0;
}

/* A frame in raw bytes, whatever the rules say. */
static int feed_frame(struct channel *c, uint16_t type, uint32_t session, uint32_t serial, const char *data, size_t size)
{
	unsigned char b[512] = { 0 };
	struct channel_frame f;

	le32_put(b, (uint32_t)size);
	le16_put(b + 4, type);
	le32_put(b + 8, session);
	le32_put(b + 12, serial);
	if (size > 0)
		memcpy(b + CHANNEL_HEADER, data, size);
	if (feed(c, b, CHANNEL_HEADER + size) < 0)
		return -ENOBUFS;
	return channel_next(c, &f);
}

static int hello(struct channel *guest)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	channel_put_hello(&b, "6.1.0-1-cloud-amd64");
	return channel_send(guest, &(struct channel_frame){ .type = CHANNEL_HELLO, .data = (unsigned char *)b.data, .size = b.len });
}

static int send_text(struct channel *c, uint16_t type, uint32_t session, uint32_t serial, const char *text)
{
	return channel_send(c, &(struct channel_frame){ .type = type, .session = session, .serial = serial,
							.data = (const unsigned char *)text, .size = strlen(text) });
}

/* Greeted, with session 1. */
static void start(struct test *t, struct ends *e)
{
	struct channel_frame f;

	CHECK_INT(hello(&e->guest), 0);
	CHECK_INT(get(&e->guest, &e->host, &f), 1);
	CHECK_INT(send_text(&e->host, CHANNEL_CREATE, 1, 1, "{}"), 0);
	CHECK_INT(get(&e->host, &e->guest, &f), 1);
	CHECK_INT(channel_send_reply(&e->guest, 1, 1, 0, NULL), 0);
	CHECK_INT(get(&e->guest, &e->host, &f), 1);
	CHECK_INT(f.type, CHANNEL_REPLY);
}

TEST(greeting)
{
	ENDS;
	struct channel_frame f;
	struct channel_hello h;

	CHECK_INT(send_text(&e.guest, CHANNEL_LOG, 0, 0, "early"), 0);
	CHECK_INT(hello(&e.guest), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(f.type, CHANNEL_LOG);
	CHECK(f.size == 5 && memcmp(f.data, "early", 5) == 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(channel_get_hello(&f, &h), 0);
	CHECK_STR(h.release, "6.1.0-1-cloud-amd64");
	CHECK_INT(get(&e.guest, &e.host, &f), 0);
	CHECK_INT(hello(&e.guest), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), -EPROTO);
	CHECK(strstr(err_text(), "a second greeting") != NULL);
	CHECK_INT(channel_next(&e.host, &f), -EPROTO);
}

TEST(other_version)
{
	ENDS;

	CHECK_INT(feed_frame(&e.host, CHANNEL_HELLO, 0, 0, "\2\0\0\0x", 5), -EPROTO);
	CHECK(strstr(err_text(), "version 2, we 1") != NULL);
	CHECK_INT(feed_frame(&e.host, CHANNEL_LOG, 0, 0, "x", 1), -EPROTO);
}

TEST(byte_by_byte)
{
	ENDS;
	struct channel_frame f;
	size_t n = 0;

	CHECK_INT(hello(&e.guest), 0);
	while (channel_next(&e.host, &f) == 0 && carry(&e.guest, &e.host, 1) == 1)
		n++;
	CHECK_INT(n, CHANNEL_HEADER + 4 + 19);
	CHECK_INT(f.type, CHANNEL_HELLO);
}

/* Large requests, several in the buffer, and the answers' serials. */
TEST(requests)
{
	ENDS;
	struct channel_frame f, a;
	size_t size = CHANNEL_TO_GUEST_MAX;
	unsigned char *big = calloc(1, size + 1);
	int code;

	start(t, &e);
	CHECK(big != NULL);
	big[size - 1] = 7;
	CHECK_INT(channel_send(&e.host, &(struct channel_frame){ .type = CHANNEL_UPDATE, .serial = 5, .data = big, .size = size }), 0);
	CHECK_INT(channel_send(&e.host, &(struct channel_frame){ .type = CHANNEL_UPDATE, .serial = 5, .data = big, .size = size + 1 }), -EMSGSIZE);
	CHECK_INT(channel_send(&e.host, &(struct channel_frame){ .type = CHANNEL_UPDATE, .serial = 6, .data = big, .size = size }), -ENOBUFS);
	CHECK_INT(send_text(&e.host, CHANNEL_STATS, 0, 7, ""), 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK(f.size == size && f.data[size - 1] == 7 && f.serial == 5);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK(f.type == CHANNEL_STATS && f.serial == 7);
	CHECK_INT(channel_send_reply(&e.guest, 0, 7, -ENOENT, &(struct channel_frame){ .data = (const unsigned char *)"gone", .size = 4 }), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(channel_get_reply(&f, &code, &a), 0);
	CHECK(code == -ENOENT && f.serial == 7 && a.size == 4 && memcmp(a.data, "gone", 4) == 0);
	CHECK_INT(channel_send_reply(&e.guest, 0, 7, 0, &(struct channel_frame){ .data = big, .size = CHANNEL_TO_HOST_MAX }), -EMSGSIZE);
	CHECK_INT(channel_send_reply(&e.guest, 0, 7, -EINVAL, &(struct channel_frame){ .data = big, .size = CHANNEL_TO_HOST_MAX }), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(f.size, CHANNEL_TO_HOST_MAX);
	free(big);
}

/* A window's worth without a reader, then in order, and as much again as was delivered. */
TEST(flow)
{
	ENDS;
	struct channel_frame f;
	unsigned char data[CHANNEL_DATA_MAX];
	size_t sent = 0, got = 0, total = 3 * CHANNEL_WINDOW + 17, under_way_max = 0, room;
	bool same = true;

	start(t, &e);
	while (got < total) {
		while ((room = channel_room(&e.guest, 1, CHANNEL_STDOUT)) > 0 && sent < total) {
			size_t n = room < total - sent ? room : total - sent;

			for (size_t i = 0; i < n; i++)
				data[i] = (unsigned char)((sent + i) * 7 >> 3);
			CHECK_INT(channel_send_data(&e.guest, 1, CHANNEL_STDOUT, data, n), 0);
			sent += n;
		}
		under_way_max = sent - got > under_way_max ? sent - got : under_way_max;
		if (!CHECK_INT(get(&e.guest, &e.host, &f), 1))
			break;
		CHECK(f.type == CHANNEL_DATA && f.stream == CHANNEL_STDOUT && f.session == 1);
		for (size_t i = 0; i < f.size; i++)
			same = same && f.data[i] == (unsigned char)((got + i) * 7 >> 3);
		got += f.size;
		channel_delivered(&e.host, 1, CHANNEL_STDOUT, f.size);
		while (get(&e.host, &e.guest, &f) == 1)
			CHECK_INT(f.type, CHANNEL_CREDIT);
	}
	CHECK(same);
	CHECK_INT(sent, total);
	CHECK(under_way_max <= CHANNEL_WINDOW && under_way_max > CHANNEL_WINDOW / 2);
	/* The other streams have windows of their own; who receives does not send. */
	CHECK_INT(channel_room(&e.guest, 1, CHANNEL_STDERR), CHANNEL_DATA_MAX);
	CHECK_INT(channel_room(&e.guest, 1, CHANNEL_STDIN), 0);
	CHECK_INT(channel_room(&e.host, 1, CHANNEL_STDIN), CHANNEL_DATA_MAX);
	CHECK_INT(channel_room(&e.host, 2, CHANNEL_STDIN), 0);
	CHECK_INT(channel_send_data(&e.host, 1, CHANNEL_STDOUT, "x", 1), -EINVAL);
}

TEST(too_much_data)
{
	ENDS;
	struct channel_frame f;
	static unsigned char data[CHANNEL_DATA_MAX];

	start(t, &e);
	for (int i = 0; i < 4; i++)
		CHECK_INT(channel_send_data(&e.guest, 1, CHANNEL_STDOUT, data, sizeof(data)), 0);
	CHECK_INT(channel_send_data(&e.guest, 1, CHANNEL_STDOUT, data, 1), -EINVAL);
	for (int i = 0; i < 4; i++)
		CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(feed_frame(&e.host, CHANNEL_DATA, 1, 0, "\1x", 2), -EPROTO);
	CHECK(strstr(err_text(), "more data than was allowed") != NULL);
}

TEST(closing)
{
	ENDS;
	struct channel_frame f;

	start(t, &e);
	CHECK_INT(channel_send_data(&e.host, 1, CHANNEL_STDIN, "abc", 3), 0);
	CHECK_INT(channel_send_close(&e.host, 1, CHANNEL_STDIN), 0);
	CHECK_INT(channel_send_close(&e.host, 1, CHANNEL_STDIN), 0);
	CHECK_INT(channel_room(&e.host, 1, CHANNEL_STDIN), 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK(f.type == CHANNEL_DATA && f.size == 3 && memcmp(f.data, "abc", 3) == 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK(f.type == CHANNEL_CLOSE && f.stream == CHANNEL_STDIN);
	CHECK_INT(get(&e.host, &e.guest, &f), 0);
	/* The reader of the output has gone. */
	CHECK(!channel_unread(&e.guest, 1, CHANNEL_STDOUT));
	CHECK_INT(channel_send_close(&e.host, 1, CHANNEL_STDOUT), 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK(f.type == CHANNEL_CLOSE && f.stream == CHANNEL_STDOUT);
	CHECK(channel_unread(&e.guest, 1, CHANNEL_STDOUT));
	CHECK_INT(channel_room(&e.guest, 1, CHANNEL_STDOUT), 0);
	CHECK_INT(channel_send_close(&e.guest, 1, CHANNEL_STDOUT), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 1);
	CHECK_INT(feed_frame(&e.host, CHANNEL_DATA, 1, 0, "\1x", 2), -EPROTO);
	CHECK(strstr(err_text(), "data after the end") != NULL);
}

static int exec(struct channel *host, uint32_t session, uint32_t serial, const struct channel_exec *v)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	channel_put_exec(&b, v);
	return channel_send(host, &(struct channel_frame){ .type = CHANNEL_EXEC, .session = session, .serial = serial,
							   .data = (unsigned char *)b.data, .size = b.len });
}

TEST(sessions)
{
	ENDS;
	struct channel_frame f;
	const struct channel_exec v = { .flags = CHANNEL_EXEC_TTY, .rows = 24, .columns = 80, .process = "{}", .process_size = 2,
					.cgroup = "sub", .cgroup_size = 3 };
	struct channel_exec got;

	start(t, &e);
	CHECK_INT(exec(&e.host, 2, 2, &v), 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK_INT(channel_get_exec(&f, &got), 0);
	CHECK(got.flags == CHANNEL_EXEC_TTY && got.rows == 24 && got.columns == 80);
	CHECK(got.process_size == 2 && memcmp(got.process, "{}", 2) == 0 && got.cgroup_size == 3 && memcmp(got.cgroup, "sub", 3) == 0);
	/* Under way when the session is freed: passed over. */
	CHECK_INT(channel_send_data(&e.guest, 2, CHANNEL_STDOUT, "late", 4), 0);
	CHECK_INT(send_text(&e.host, CHANNEL_FREE, 2, 0, ""), 0);
	CHECK_INT(get(&e.guest, &e.host, &f), 0);
	CHECK_INT(get(&e.host, &e.guest, &f), 1);
	CHECK_INT(f.type, CHANNEL_FREE);
	CHECK_INT(channel_room(&e.guest, 2, CHANNEL_STDOUT), 0);
	CHECK(channel_unread(&e.guest, 2, CHANNEL_STDOUT));
	/* A number is never used again, and none may be spoken of that was not given. */
	CHECK_INT(exec(&e.host, 2, 3, &v), -EINVAL);
	CHECK_INT(send_text(&e.host, CHANNEL_CREATE, 1, 3, "{}"), -EINVAL);
	CHECK_INT(feed_frame(&e.host, CHANNEL_DATA, 3, 0, "\1x", 2), -EPROTO);
	for (uint32_t i = 3; i < CHANNEL_SESSIONS_MAX + 2; i++)
		CHECK_INT(exec(&e.host, i, i, &v), 0);
	CHECK_INT(exec(&e.host, CHANNEL_SESSIONS_MAX + 2, 1, &v), -EMFILE);
	CHECK_INT(send_text(&e.host, CHANNEL_FREE, 7, 0, ""), 0);
	CHECK_INT(exec(&e.host, CHANNEL_SESSIONS_MAX + 2, 1, &v), 0);
}

/* What a guest must not send, each after a good start. */
TEST(broken_rules)
{
	static const struct {
		uint16_t type;
		uint32_t session, serial;
		const char *data;
		size_t size;
	} cases[] = {
		{ 0, 0, 0, "", 0 }, { 99, 0, 0, "", 0 }, { UINT16_MAX, 0, 0, "", 0 }, { 4, 0, 0, "", 0 },
		{ CHANNEL_CREATE, 1, 1, "{}", 2 },		/* the other direction */
		{ CHANNEL_DATA, 1, 0, "\1", 1 },		/* nothing */
		{ CHANNEL_DATA, 1, 0, "\0x", 2 },		/* stdin */
		{ CHANNEL_DATA, 1, 0, "\3x", 2 },
		{ CHANNEL_DATA, 1, 1, "\1x", 2 },		/* a serial */
		{ CHANNEL_DATA, 0, 0, "\1x", 2 },
		{ CHANNEL_DATA, 2, 0, "\1x", 2 },		/* a session that never was */
		{ CHANNEL_CLOSE, 1, 0, "\3", 1 }, { CHANNEL_CLOSE, 1, 0, "\1\1", 2 },
		{ CHANNEL_CREDIT, 1, 0, "\0\1\0\0\0", 5 },	/* nothing was sent */
		{ CHANNEL_CREDIT, 1, 0, "\0\0\0\0\0", 5 }, { CHANNEL_CREDIT, 1, 0, "\1\1\0\0\0", 5 },
		{ CHANNEL_CREDIT, 1, 0, "\0\377\377\377\377", 5 },
		{ CHANNEL_REPLY, 0, 0, "\0\0\0\0", 4 },		/* to what? */
		{ CHANNEL_REPLY, 0, 1, "\0\0\0", 3 }, { CHANNEL_REPLY, 9, 1, "\0\0\0\0", 4 },
		{ CHANNEL_EXITED, 1, 0, "\0\0\0\0", 4 }, { CHANNEL_EXITED, 0, 0, "\0\0\0\0\0", 5 },
		{ CHANNEL_HELLO, 0, 0, "\1\0\0\0", 4 },
		{ CHANNEL_LOG, 1, 0, "x", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ENDS;

		start(t, &e);
		if (!CHECK_INT(feed_frame(&e.host, cases[i].type, cases[i].session, cases[i].serial, cases[i].data, cases[i].size), -EPROTO))
			printf("#   case %zu\n", i);
		CHECK(e.host.broken && err_text()[0] != '\0');
	}
}

TEST(headers)
{
	unsigned char h[CHANNEL_HEADER] = { 0 };
	struct channel_frame f;
	ENDS;

	/* Nothing before the greeting; the size is refused before a byte of it has come. */
	CHECK_INT(feed_frame(&e.host, CHANNEL_OOM_EVENT, 0, 0, "012345670123456701234567", 24), -EPROTO);
	CHECK(strstr(err_text(), "no greeting") != NULL);
	channel_deinit(&e.host);
	le32_put(h, CHANNEL_TO_HOST_MAX + 1);
	le16_put(h + 4, CHANNEL_LOG);
	CHECK_INT(feed(&e.host, h, sizeof(h)), 0);
	CHECK_INT(channel_next(&e.host, &f), -EPROTO);
	CHECK(e.host.in.cap <= 2 * CHANNEL_CHUNK);
	channel_deinit(&e.host);
	le32_put(h, 0);
	h[6] = 1;
	CHECK_INT(feed(&e.host, h, sizeof(h)), 0);
	CHECK_INT(channel_next(&e.host, &f), -EPROTO);
}

/* A guest that sends and does not read: what is kept for it has an end. */
TEST(credits_wait)
{
	ENDS;
	struct channel_frame f;
	static unsigned char data[CHANNEL_DATA_MAX];
	size_t size;

	start(t, &e);
	for (int i = 0; i < 8; i++)
		CHECK_INT(channel_send_data(&e.host, 1, CHANNEL_STDIN, data, channel_room(&e.host, 1, CHANNEL_STDIN)), 0);
	CHECK_INT(send_text(&e.host, CHANNEL_UPDATE, 0, 9, "x"), 0);
	while (e.host.out.end - e.host.out.start < CHANNEL_OUT_DATA_MAX)
		CHECK_INT(channel_send(&e.host, &(struct channel_frame){ .type = CHANNEL_UPDATE, .serial = 9, .data = data, .size = sizeof(data) }), 0);
	for (int i = 0; i < 4; i++)
		CHECK_INT(channel_send_data(&e.guest, 1, CHANNEL_STDOUT, data, sizeof(data)), 0);
	while (get(&e.guest, &e.host, &f) == 1)
		channel_delivered(&e.host, 1, CHANNEL_STDOUT, f.size);
	(void)channel_out(&e.host, &size);
	CHECK_INT(e.host.sessions[0].flow[CHANNEL_STDOUT].owed, CHANNEL_WINDOW);
	CHECK_INT(e.host.sessions[0].flow[CHANNEL_STDOUT].credit, 0);
	CHECK_INT(feed_frame(&e.host, CHANNEL_DATA, 1, 0, "\1x", 2), -EPROTO);
	/* As soon as it reads, they go. */
	while (get(&e.host, &e.guest, &f) == 1)
		;
	CHECK_INT(e.host.sessions[0].flow[CHANNEL_STDOUT].owed, 0);
	CHECK_INT(channel_room(&e.guest, 1, CHANNEL_STDOUT), CHANNEL_DATA_MAX);
}

TEST(payloads)
{
	unsigned char b[32];
	struct channel_frame f = { .data = b };
	struct channel_resize size;
	struct channel_signal sig;
	struct channel_exited end;
	struct channel_oom oom;
	struct channel_exec exec_;
	bool paused;

	f.size = channel_put_resize(b, &(struct channel_resize){ .rows = 25, .columns = 65535 });
	CHECK_INT(channel_get_resize(&f, &size), 0);
	CHECK(size.rows == 25 && size.columns == 65535);
	f.size = channel_put_signal(b, &(struct channel_signal){ .signal = 64, .all = true });
	CHECK_INT(channel_get_signal(&f, &sig), 0);
	CHECK(sig.signal == 64 && sig.all);
	b[0] = 65;
	CHECK_INT(channel_get_signal(&f, &sig), -EPROTO);
	b[0] = 0;
	CHECK_INT(channel_get_signal(&f, &sig), -EPROTO);
	b[0] = 9;
	b[4] = 2;
	CHECK_INT(channel_get_signal(&f, &sig), -EPROTO);
	f.size = channel_put_exited(b, &(struct channel_exited){ .status = 9, .oom = true });
	CHECK_INT(channel_get_exited(&f, &end), 0);
	CHECK(end.status == 9 && end.oom);
	for (unsigned int i = 0; i < 3; i++) {
		static const uint32_t no[] = { 0x137f, 0xffff, 0x10000 };	/* stopped, continued, nothing */

		le32_put(b, no[i]);
		CHECK_INT(channel_get_exited(&f, &end), -EPROTO);
	}
	f.size = channel_put_oom(b, &(struct channel_oom){ .ooms = 1, .kills = UINT64_MAX, .limit = 3 });
	CHECK_INT(channel_get_oom(&f, &oom), 0);
	CHECK(oom.ooms == 1 && oom.kills == UINT64_MAX && oom.limit == 3);
	memset(b, 0, sizeof(b));
	f.size = 12;
	CHECK_INT(channel_get_exec(&f, &exec_), 0);
	b[8] = 1;
	CHECK_INT(channel_get_exec(&f, &exec_), -EPROTO);
	b[8] = 0;
	b[0] = 4;
	CHECK_INT(channel_get_exec(&f, &exec_), -EPROTO);
	b[0] = 0;
	f.size = 13;
	CHECK_INT(channel_get_exec(&f, &exec_), -EPROTO);
	f.size = 1;
	b[0] = 1;
	CHECK_INT(channel_get_paused(&f, &paused), 0);
	CHECK(paused);
	b[0] = 3;
	CHECK_INT(channel_get_paused(&f, &paused), -EPROTO);
}

TEST(pids)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	int *got;
	size_t n;
	struct channel_frame f;

	channel_put_pids(&b, (const int[]){ 1, 77, 32768 }, 3);
	f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = b.len };
	CHECK_INT(channel_get_pids(&f, &got, &n), 0);
	CHECK(n == 3 && got[0] == 1 && got[1] == 77 && got[2] == 32768);
	free(got);
	f.size = 11;
	CHECK_INT(channel_get_pids(&f, &got, &n), -EPROTO);
	f.size = 12;
	b.data[3] = -1;
	CHECK_INT(channel_get_pids(&f, &got, &n), -EPROTO);
	f.size = 0;
	CHECK_INT(channel_get_pids(&f, &got, &n), 0);
	CHECK_INT(n, 0);
	free(got);
}

TEST(processes)
{
	const struct channel_process one = { .pid = 7, .parent = 1, .uid = 1000, .terminal = 0x8801, .age_ms = 1ULL << 40, .cpu_ms = 1234,
					     .state = 'S', .command = "sleep\0001000\0", .command_size = 11 };
	const struct channel_process two = { .pid = 9, .state = 'Z', .is_name = true, .command = "x", .command_size = 1 };
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct channel_process got;
	struct channel_frame f;

	CHECK(channel_put_process(&b, &one));
	CHECK(channel_put_process(&b, &two));
	f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = b.len };
	CHECK_INT(channel_get_process(&f, 0, &got), 1);
	CHECK(got.pid == 7 && got.parent == 1 && got.uid == 1000 && got.terminal == 0x8801 && got.age_ms == 1ULL << 40);
	CHECK(got.cpu_ms == 1234 && got.state == 'S' && !got.is_name && got.command_size == 11);
	CHECK(memcmp(got.command, one.command, 11) == 0);
	CHECK_INT(channel_get_process(&f, 7, &got), 1);
	CHECK(got.pid == 9 && got.state == 'Z' && got.is_name && got.command_size == 1 && got.command[0] == 'x');
	CHECK_INT(channel_get_process(&f, 9, &got), 0);
}

TEST(processes_that_cannot_be)
{
	const struct channel_process one = { .pid = 7, .command = "abc", .command_size = 3 };
	struct channel_process got;
	static const struct {
		size_t at;
		char value;
		uint32_t last;
	} cases[] = { { 0, 0, 0 }, { 0, 7, 7 }, { 0, 7, 8 }, { 3, -1, 0 }, { 7, -1, 0 }, { 33, 2, 0 }, { 34, 4, 0 }, { 35, 0x7f, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_NULL;
		struct channel_frame f;

		if (!CHECK(channel_put_process(&b, &one)))
			return;
		b.data[cases[i].at] = cases[i].value;
		f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = b.len };
		CHECK_INT(channel_get_process(&f, cases[i].last, &got), -EPROTO);
	}
	for (size_t size = 1; size < CHANNEL_PROCESS_SIZE + 3; size++) {
		_cleanup_buf_ struct buf b = BUF_NULL;
		struct channel_frame f;

		if (!CHECK(channel_put_process(&b, &one)))
			return;
		f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = size };
		CHECK_INT(channel_get_process(&f, 0, &got), -EPROTO);
	}
}

TEST(processes_fill_an_answer)
{
	static const char command[5000] = "long";
	struct channel_process p = { .pid = 1, .command = command, .command_size = sizeof(command) };
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct channel_process got = { .pid = 0 };
	struct channel_frame f = { .size = 0 };
	uint32_t above;

	while (channel_put_process(&b, &p))
		p.pid++;
	CHECK_INT(p.pid, 1 + CHANNEL_PROCESSES_MAX / (CHANNEL_PROCESS_SIZE + CHANNEL_COMMAND_MAX));
	f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = b.len };
	while (channel_get_process(&f, got.pid, &got) == 1)
		CHECK_INT(got.command_size, CHANNEL_COMMAND_MAX);
	CHECK_INT(f.size, 0);
	f = (struct channel_frame){ .data = (const unsigned char *)"\x01\x02\x00\x00", .size = 4 };
	CHECK_INT(channel_get_processes(&f, &above), 0);
	CHECK_INT(above, 0x201);
	f.size = 3;
	CHECK_INT(channel_get_processes(&f, &above), -EPROTO);
}

TEST_MAIN(CASE(greeting), CASE(other_version), CASE(byte_by_byte), CASE(requests), CASE(flow), CASE(too_much_data), CASE(closing),
	  CASE(sessions), CASE(broken_rules), CASE(headers), CASE(credits_wait), CASE(payloads), CASE(pids), CASE(processes),
	  CASE(processes_that_cannot_be), CASE(processes_fill_an_answer))
