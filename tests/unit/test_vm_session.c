/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a process in the guest: both ends of a channel here, pipes for what the engine gives. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/vm_session.h"

#define ID 1U

struct fixture {
	struct channel host, guest;
	struct event_loop loop;
	struct vm_session s;
	int in, out, err;	/* the engine's ends */
};

/* At most one frame's worth from one end to the other. */
static bool carry(struct channel *from, struct channel *to)
{
	size_t size, room;
	const unsigned char *bytes = channel_out(from, &size);
	unsigned char *at;

	if (bytes == NULL || size == 0 || channel_in(to, &at, &room) < 0)
		return false;
	size = size < room ? size : room;
	memcpy(at, bytes, size);
	channel_received(to, size);
	channel_sent(from, size);
	return true;
}

/* The guest sees what there is; *text gets data of stdin, in bytes. 0, or the type of another frame that came. */
static uint16_t guest_reads(struct fixture *f, struct buf *text)
{
	struct channel_frame frame;

	do
		while (channel_next(&f->guest, &frame) == 1) {
			if (frame.type != CHANNEL_DATA)
				return frame.type;
			if (text != NULL)
				buf_add(text, (const char *)frame.data, frame.size);
		}
	while (carry(&f->host, &f->guest));
	return 0;
}

/* The host sees what the guest has sent, as vm_guest.c does. */
static int host_reads(struct fixture *f)
{
	struct channel_frame frame;
	int r = 0;

	do
		while (r == 0 && channel_next(&f->host, &frame) == 1) {
			enum vm_output o = frame.stream == CHANNEL_STDOUT ? VM_STDOUT : VM_STDERR;

			if (frame.type == CHANNEL_DATA)
				r = vm_session_data(&f->s, o, frame.data, frame.size);
			else if (frame.type == CHANNEL_CLOSE && frame.stream == CHANNEL_STDIN)
				vm_session_input_unread(&f->s);
			else if (frame.type == CHANNEL_CLOSE)
				vm_session_close_output(&f->s, o);
		}
	while (r == 0 && carry(&f->guest, &f->host));
	vm_session_update(&f->s);
	return r;
}

static bool open_channel(struct fixture *f)
{
	_cleanup_buf_ struct buf hello = BUF_NULL;
	struct channel_frame frame;

	channel_put_hello(&hello, "6.1");
	return channel_send(&f->guest, &(struct channel_frame){ .type = CHANNEL_HELLO, .data = (const uint8_t *)hello.data, .size = hello.len }) == 0 &&
	       carry(&f->guest, &f->host) && channel_next(&f->host, &frame) == 1 &&
	       channel_send(&f->host, &(struct channel_frame){ .type = CHANNEL_CREATE, .session = ID, .serial = 1, .data = (const uint8_t *)"{}", .size = 2 }) == 0 &&
	       guest_reads(f, NULL) == CHANNEL_CREATE;
}

static bool make(struct fixture *f)
{
	int in[2], out[2], err[2];

	*f = (struct fixture){ .host = CHANNEL_NULL(CHANNEL_HOST), .guest = CHANNEL_NULL(CHANNEL_GUEST), .loop = EVENT_LOOP_NULL };
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || event_loop_init(&f->loop) < 0)
		return false;
	f->in = in[1];
	f->out = out[0];
	f->err = err[0];
	/* As the supervisor does with what blocks. */
	vm_session_reopen(&in[0], O_RDONLY);
	vm_session_reopen(&out[1], O_WRONLY);
	vm_session_reopen(&err[1], O_WRONLY);
	vm_session_init(&f->s, ID, &f->host, &f->loop, &(struct vm_session_fds){ .in = in[0], .out = out[1], .err = err[1] });
	return open_channel(f);
}

static void drop(struct fixture *f)
{
	vm_session_deinit(&f->s);
	event_loop_deinit(&f->loop);
	channel_deinit(&f->host);
	channel_deinit(&f->guest);
	fd_close(&f->in);
	fd_close(&f->out);
	fd_close(&f->err);
}

TEST(input)
{
	_cleanup_buf_ struct buf got = BUF_NULL;
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	/* Before the process is there nothing is read. */
	CHECK(write(f.in, "hello", 5) == 5);
	CHECK_INT(event_loop_run(&f.loop, 0), 0);
	vm_session_open_input(&f.s);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK_INT(guest_reads(&f, &got), 0);
	CHECK(got.len == 5 && memcmp(got.data, "hello", 5) == 0);
	/* The end is the end there, once. */
	fd_close(&f.in);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK_INT(guest_reads(&f, &got), CHANNEL_CLOSE);
	CHECK(f.s.in == FD_NONE);
	CHECK_INT(event_loop_run(&f.loop, 0), 0);
	CHECK_INT(guest_reads(&f, &got), 0);
	drop(&f);
}

TEST(no_input_at_all)
{
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	fd_close(&f.s.in);
	vm_session_open_input(&f.s);
	CHECK_INT(guest_reads(&f, NULL), CHANNEL_CLOSE);
	drop(&f);
}

/* A guest that does not read stops who writes to it, and nothing is lost when it goes on. */
TEST(input_waits_for_credit)
{
	_cleanup_buf_ struct buf got = BUF_NULL;
	static char block[4096];
	size_t sent = 0, before;
	struct fixture f;

	if (!CHECK(make(&f) && fcntl(f.in, F_SETFL, O_NONBLOCK) == 0))
		return;
	vm_session_open_input(&f.s);
	for (int quiet = 0; quiet < 2;) {
		ssize_t n;

		memset(block, 'a' + (int)(sent / sizeof(block)) % 26, sizeof(block));
		n = write(f.in, block, sizeof(block));
		sent += n > 0 ? (size_t)n : 0;
		quiet = event_loop_run(&f.loop, 0) == 0 && n < 0 ? quiet + 1 : 0;
		CHECK_INT(guest_reads(&f, &got), 0);
	}
	CHECK_INT(got.len, CHANNEL_WINDOW);
	CHECK(sent > CHANNEL_WINDOW && !f.s.in_watched);
	/* What is there reads it all. */
	do {
		before = got.len;
		channel_delivered(&f.guest, ID, CHANNEL_STDIN, before % CHANNEL_WINDOW == 0 ? CHANNEL_WINDOW : 0);
		(void)host_reads(&f);
		while (event_loop_run(&f.loop, 0) > 0)
			CHECK_INT(guest_reads(&f, &got), 0);
	} while (got.len > before && got.len < sent);
	CHECK_INT(got.len, sent);
	for (size_t i = 0; i < got.len; i++)
		if (!CHECK(got.data[i] == 'a' + (int)(i / sizeof(block)) % 26))
			break;
	drop(&f);
}

/* The process does not read it any more: whoever writes to us gets SIGPIPE or EPIPE. */
TEST(input_that_nobody_reads)
{
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	vm_session_open_input(&f.s);
	CHECK_INT(channel_send_close(&f.guest, ID, CHANNEL_STDIN), 0);
	CHECK_INT(host_reads(&f), 0);
	CHECK(f.s.in == FD_NONE && !f.s.in_watched);
	signal(SIGPIPE, SIG_IGN);
	CHECK(write(f.in, "x", 1) < 0 && errno == EPIPE);
	drop(&f);
}

TEST(output)
{
	char got[64] = "";
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDOUT, "out", 3), 0);
	CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDERR, "error", 5), 0);
	CHECK_INT(channel_send_close(&f.guest, ID, CHANNEL_STDOUT), 0);
	CHECK_INT(host_reads(&f), 0);
	CHECK(!vm_session_drained(&f.s));
	CHECK_INT(event_loop_run(&f.loop, 1000), 2);
	CHECK(vm_session_drained(&f.s));
	CHECK(read(f.out, got, sizeof(got)) == 3 && memcmp(got, "out", 3) == 0);
	CHECK(read(f.err, got, sizeof(got)) == 5 && memcmp(got, "error", 5) == 0);
	/* What it closed is closed here, and the other is not. */
	CHECK_INT(read(f.out, got, sizeof(got)), 0);
	CHECK(fcntl(f.err, F_SETFL, O_NONBLOCK) == 0 && read(f.err, got, sizeof(got)) < 0 && errno == EAGAIN);
	drop(&f);
}

/* Its reader stands still, then it reads: the ring goes round, in order, and credit comes back only for what was written. */
TEST(output_that_waits)
{
	static char piece[3001], got[1 << 20];
	size_t sent = 0, have = 0, read_now;
	struct fixture f;
	ssize_t n;

	if (!CHECK(make(&f) && fcntl(f.out, F_SETFL, O_NONBLOCK) == 0))
		return;
	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (char)((sent + i) % 251);
		if (channel_room(&f.guest, ID, CHANNEL_STDOUT) >= sizeof(piece)) {
			CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDOUT, piece, sizeof(piece)), 0);
			sent += sizeof(piece);
		}
		CHECK_INT(host_reads(&f), 0);
		CHECK(f.s.out[VM_STDOUT].len <= CHANNEL_WINDOW);
		CHECK(event_loop_run(&f.loop, 0) >= 0);
		(void)guest_reads(&f, NULL);
		read_now = round % 3 == 0 ? 7000 : 0;
		n = read_now > 0 ? read(f.out, got + have, read_now) : 0;
		have += n > 0 ? (size_t)n : 0;
	}
	for (int quiet = 0; quiet < 3 && have < sizeof(got) - 65536;) {
		n = read(f.out, got + have, 65536);
		have += n > 0 ? (size_t)n : 0;
		quiet = event_loop_run(&f.loop, 0) == 0 && n <= 0 ? quiet + 1 : 0;
	}
	CHECK(sent > CHANNEL_WINDOW);
	CHECK_INT(have, sent);
	for (size_t i = 0; i < have; i++)
		if (!CHECK(got[i] == (char)(i % 251)))
			break;
	CHECK(vm_session_drained(&f.s));
	drop(&f);
}

/* Whoever read it is gone: the guest is told, and what it has sent meanwhile is credited and dropped. */
TEST(output_that_nobody_reads)
{
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	signal(SIGPIPE, SIG_IGN);
	fd_close(&f.out);
	CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDOUT, "lost", 4), 0);
	CHECK_INT(host_reads(&f), 0);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(vm_session_drained(&f.s) && f.s.out[VM_STDOUT].fd == FD_NONE);
	CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDOUT, "too", 3), 0);
	CHECK_INT(host_reads(&f), 0);
	CHECK_INT(f.s.out[VM_STDOUT].len, 0);
	/* It hears of it, and gets its credit back. */
	for (int i = 0; i < 4 && !channel_unread(&f.guest, ID, CHANNEL_STDOUT); i++)
		(void)guest_reads(&f, NULL);
	CHECK(channel_unread(&f.guest, ID, CHANNEL_STDOUT));
	/* The other stream goes on. */
	CHECK_INT(channel_send_data(&f.guest, ID, CHANNEL_STDERR, "e", 1), 0);
	CHECK_INT(host_reads(&f), 0);
	CHECK(!vm_session_drained(&f.s));
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(vm_session_drained(&f.s));
	drop(&f);
}

/* A raw terminal has an end of input only when it hangs up: nobody reads its output any more either, though none is there to tell. */
TEST(terminal_that_hangs_up)
{
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	f.s.terminal = true;
	vm_session_open_input(&f.s);
	fd_close(&f.in);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(f.s.in == FD_NONE && f.s.out[VM_STDOUT].fd == FD_NONE);
	CHECK_INT(guest_reads(&f, NULL), CHANNEL_CLOSE);
	for (int i = 0; i < 4 && !channel_unread(&f.guest, ID, CHANNEL_STDOUT); i++)
		(void)guest_reads(&f, NULL);
	CHECK(channel_unread(&f.guest, ID, CHANNEL_STDOUT));
	drop(&f);
}

/* The codec keeps a guest within its window; this keeps it there by itself. */
TEST(more_than_it_may)
{
	static uint8_t data[CHANNEL_WINDOW];
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	CHECK_INT(vm_session_data(&f.s, VM_STDOUT, data, sizeof(data) - 1), 0);
	CHECK_INT(vm_session_data(&f.s, VM_STDOUT, data, 2), -EPROTO);
	CHECK_STR(err_text(), "the guest sends more output than it may");
	CHECK_INT(vm_session_data(&f.s, VM_STDOUT, data, 1), 0);
	CHECK_INT(vm_session_data(&f.s, VM_STDOUT, data, 1), -EPROTO);
	vm_session_close_output(&f.s, VM_STDERR);
	CHECK_INT(vm_session_data(&f.s, VM_STDERR, data, 1), -EPROTO);
	drop(&f);
}

/* What is shared with others keeps its flags; what is no pipe and no terminal stays as it is. */
TEST(reopened)
{
	int pipe_fds[2], pair[2], fd, before;
	FILE *file = tmpfile();

	if (!CHECK(file != NULL && pipe2(pipe_fds, O_CLOEXEC) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0))
		return;
	fd = dup(pipe_fds[0]);
	vm_session_reopen(&fd, O_RDONLY);
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK) == 0);
	close(fd);
	fd = before = pair[0];
	vm_session_reopen(&fd, O_RDWR);
	CHECK(fd == before && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	fd = before = fileno(file);
	vm_session_reopen(&fd, O_RDWR);
	CHECK(fd == before && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	fd = FD_NONE;
	vm_session_reopen(&fd, O_RDWR);
	CHECK(fd == FD_NONE);
	fclose(file);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(pair[0]);
	close(pair[1]);
}

TEST_MAIN(CASE(input), CASE(no_input_at_all), CASE(input_waits_for_credit), CASE(input_that_nobody_reads), CASE(output),
	  CASE(output_that_waits), CASE(output_that_nobody_reads), CASE(terminal_that_hangs_up),
	  CASE(more_than_it_may), CASE(reopened))
