/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a process in the guest: what comes for it is kept in order, and not for longer than it has to be. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "microvm/channel.h"
#include "microvm/guest/session.h"
#include "runtime/base/sync.h"

#define PORTION 32768U
#define ROUNDS 400U

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static void fill(unsigned char *to, uint64_t from)
{
	for (size_t i = 0; i < PORTION; i++)
		to[i] = byte_at(from + i);
}

/* Reads n bytes, which are those from *at on. */
static bool take(int fd, size_t n, uint64_t *at)
{
	unsigned char got[PORTION];

	while (n > 0) {
		ssize_t m = read(fd, got, n < sizeof(got) ? n : sizeof(got));

		if (m <= 0)
			return false;
		for (ssize_t i = 0; i < m; i++)
			if (got[i] != byte_at((*at)++))
				return false;
		n -= (size_t)m;
	}
	return true;
}

/* A session that nobody on the host asks about any more: only its input counts here. */
static struct session *make(struct test *t, struct session_far *far)
{
	int r;
	struct session *s = session_new(2, far, &r);

	if (!CHECK(s != NULL))
		return NULL;
	s->pid = getpid();
	s->freed = true;
	return s;
}

/* The pipe is full all the time: the reader never catches up, as one that writes to a slow disk. */
TEST(slow_reader)
{
	struct channel c = CHANNEL_NULL(CHANNEL_GUEST);
	struct session_far far;
	struct session *s = make(t, &far);
	unsigned char data[PORTION];
	uint64_t put = 0, got = 0;
	size_t most = 0;

	if (s == NULL)
		return;
	/* A window is on its way before the first byte is read. */
	for (; put < CHANNEL_WINDOW; put += PORTION) {
		fill(data, put);
		CHECK_INT(session_input(s, &c, data, PORTION), 0);
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		CHECK_INT(session_relay(s, &c), 0);
		if (!CHECK(take(far.stdio[CHANNEL_STDIN], PORTION, &got)))
			break;
		fill(data, put);
		CHECK_INT(session_input(s, &c, data, PORTION), 0);
		put += PORTION;
		most = s->input.len > most ? s->input.len : most;
	}
	CHECK(most >= CHANNEL_WINDOW / 2 && most <= 3 * CHANNEL_WINDOW);
	session_input_end(s);
	while (got < put && session_relay(s, &c) == 0 && take(far.stdio[CHANNEL_STDIN], PORTION, &got))
		;
	CHECK_INT(got, put);
	CHECK_INT(session_relay(s, &c), 0);
	CHECK_INT(read(far.stdio[CHANNEL_STDIN], data, 1), 0);
	session_far_close(&far);
	session_free(s);
	channel_deinit(&c);
}

/* What is left when the reader goes is forgotten, and what still comes. */
TEST(reader_goes)
{
	struct channel c = CHANNEL_NULL(CHANNEL_GUEST);
	struct session_far far;
	struct session *s = make(t, &far);
	unsigned char data[PORTION] = { 0 };

	if (s == NULL)
		return;
	for (unsigned int i = 0; i < 8; i++)
		CHECK_INT(session_input(s, &c, data, PORTION), 0);
	CHECK_INT(session_relay(s, &c), 0);
	CHECK(s->input.len - s->input_done > 0);
	signal(SIGPIPE, SIG_IGN);
	session_far_close(&far);
	CHECK_INT(session_relay(s, &c), 0);
	CHECK(s->input.len == 0 && s->fd[CHANNEL_STDIN] < 0);
	CHECK_INT(session_input(s, &c, data, PORTION), 0);
	CHECK_INT(s->input.len, 0);
	session_free(s);
	channel_deinit(&c);
}

/* What one end has to send, to the other. */
static bool carry(struct channel *from, struct channel *to)
{
	const unsigned char *out;
	unsigned char *in;
	size_t size, room;

	while ((out = channel_out(from, &size)) != NULL && size > 0) {
		if (channel_in(to, &in, &room) < 0)
			return false;
		size = size < room ? size : room;
		memcpy(in, out, size);
		channel_received(to, size);
		channel_sent(from, size);
	}
	return true;
}

/* The guest's end of a channel has session 1 open. */
static bool open_channel(struct channel *guest, struct channel *host)
{
	_cleanup_buf_ struct buf hello = BUF_NULL;
	struct channel_frame f;

	channel_put_hello(&hello, "6.1");
	return channel_send(guest, &(struct channel_frame){ .type = CHANNEL_HELLO, .data = (const unsigned char *)hello.data, .size = hello.len }) == 0 &&
	       carry(guest, host) && channel_next(host, &f) == 1 &&
	       channel_send(host, &(struct channel_frame){ .type = CHANNEL_CREATE, .session = 1, .serial = 1, .data = (const unsigned char *)"{}", .size = 2 }) == 0 &&
	       carry(host, guest) && channel_next(guest, &f) == 1;
}

/*
 * Its last words and its end are seen in the same round. A terminal that we hold open, too, has nothing more to wake us with: after
 * this round it is quiet, or the end is told when something else happens, which may be never.
 */
TEST(terminal_that_ends_at_once)
{
	struct channel c = CHANNEL_NULL(CHANNEL_GUEST), host = CHANNEL_NULL(CHANNEL_HOST);
	struct session_far far;
	struct session *s = make(t, &far);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	size_t sent = 0;

	if (s == NULL || !CHECK(master >= 0 && unlockpt(master) == 0) || !CHECK(open_channel(&c, &host)))
		return;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK_INT(fd_send(far.console, master, "console"), 0);
	close(master);
	CHECK_INT(session_take_terminal(s), 0);
	CHECK(s->terminal && s->slave >= 0);
	s->freed = false;
	s->number = 1;
	CHECK_INT(write(slave, "last words", 10), 10);
	close(slave);
	s->ended = true;
	CHECK_INT(session_relay(s, &c), 0);
	CHECK(s->quiet);
	CHECK(channel_out(&c, &sent) != NULL && sent >= 10);
	session_far_close(&far);
	session_free(s);
	channel_deinit(&c);
	channel_deinit(&host);
}

TEST_MAIN(CASE(slow_reader), CASE(reader_goes), CASE(terminal_that_ends_at_once))
