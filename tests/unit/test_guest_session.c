/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a process in the guest: what comes for it is kept in order, and not for longer than it has to be. */
#include "tests/unit/test.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "microvm/channel.h"
#include "microvm/guest/session.h"

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

TEST_MAIN(CASE(slow_reader), CASE(reader_goes))
