/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a guest's console, and what of it an error message may show. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/vm_console.h"

static struct vm_console *empty(void)
{
	struct vm_console *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->from = c->copy = FD_NONE;
	return c;
}

static void tail(struct test *t, const char *text, size_t max, const char *want)
{
	struct vm_console *c = empty();
	char got[256];

	if (!CHECK(c != NULL))
		return;
	vm_console_add(c, text, strlen(text));
	memset(got, 'X', sizeof(got));
	vm_console_tail(c, got, max);
	CHECK_STR(got, want);
	CHECK(strlen(got) < max && got[max] == 'X');
	free(c);
}

TEST(tails)
{
	tail(t, "", 80, "");
	tail(t, "\r\n\n", 80, "");
	tail(t, "one line", 80, "one line");
	tail(t, "one\r\ntwo\r\n", 80, "one | two");
	/* From a line's beginning, but for a line that is too long as a whole. */
	tail(t, "the first line\nthe second line\n", 20, "the second line");
	tail(t, "0123456789abcdefghij", 11, "defghij");
	/* A line's end takes three bytes here: the last line is what counts, not the first. */
	tail(t, "1\n2\n3\n4\n5\n6\nthe reason\n", 22, "6 | the reason");
	/* A terminal is not written to through an error message. */
	tail(t, "\033[2J\007red\tgr\303\274n\177\n", 80, "?[2J?red?gr??n?");
	/* A panic alone, without the registers. */
	tail(t, "[1] fine\n[2] Kernel panic - not syncing: VFS: no root\n[3] RIP: 0010:x\n", 80, "Kernel panic - not syncing: VFS: no root");
	tail(t, "Kernel panic - not synci", 80, "Kernel panic - not synci");
}

/* Many lines, through the ring's end. */
TEST(only_the_end_is_kept)
{
	struct vm_console *c = empty();
	char got[40], line[32];

	if (!CHECK(c != NULL))
		return;
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		vm_console_add(c, line, strlen(line));
	}
	CHECK_INT(c->len, VM_CONSOLE_KEPT);
	vm_console_tail(c, got, sizeof(got));
	CHECK(str_starts(got, "line 499"));
	CHECK_STR(got + strlen(got) - 9, "line 4999");
	/* A panic that was pushed out by what came after is forgotten; one across the ring's end is found. */
	vm_console_add(c, "Kernel panic - not syncing: first\n", 34);
	for (size_t i = 0; i < VM_CONSOLE_KEPT; i++)
		vm_console_add(c, "x", 1);
	vm_console_tail(c, got, sizeof(got));
	CHECK(str_starts(got, "xxxx"));
	while (c->at != VM_CONSOLE_KEPT - 10)
		vm_console_add(c, "y", 1);
	vm_console_add(c, "\nKernel panic - not syncing: split\n", 35);
	vm_console_tail(c, got, sizeof(got));
	CHECK_STR(got, "Kernel panic - not syncing: split");
	free(c);
}

struct fixture {
	struct event_loop loop;
	struct vm_console *c;
	int to, copied;
};

static bool make(struct fixture *f)
{
	int copy[2];

	*f = (struct fixture){ .loop = EVENT_LOOP_NULL, .c = empty() };
	if (f->c == NULL || pipe2(copy, O_CLOEXEC | O_NONBLOCK) < 0 || event_loop_init(&f->loop) < 0)
		return false;
	f->copied = copy[0];
	return vm_console_init(f->c, &f->loop, copy[1], &f->to) == 0;
}

static void drop(struct fixture *f)
{
	vm_console_deinit(f->c);
	event_loop_deinit(&f->loop);
	fd_close(&f->to);
	fd_close(&f->copied);
	free(f->c);
}

TEST(what_comes_is_copied)
{
	char got[64] = "";
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	CHECK(write(f.to, "a\033b\n", 4) == 4);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	/* The copy has the bytes as they are. */
	CHECK_INT(read(f.copied, got, sizeof(got)), 4);
	CHECK_STR(got, "a\033b\n");
	CHECK(!f.c->panicked);
	CHECK(write(f.to, "Kernel panic - not syn", 22) == 22);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(!f.c->panicked && write(f.to, "cing: now\n", 10) == 10);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(f.c->panicked);
	/* The end of who writes is the end of watching. */
	fd_close(&f.to);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(f.c->from == FD_NONE);
	CHECK_INT(event_loop_run(&f.loop, 0), 0);
	vm_console_drain(f.c);
	drop(&f);
}

/* Nobody waits for the copy's reader, and none of it is missing in what is kept. */
TEST(copy_that_nobody_reads)
{
	char line[1000], got[64];
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	memset(line, '.', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < 300; i++) {
		CHECK(write(f.to, line, sizeof(line)) == (ssize_t)sizeof(line));
		CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	}
	CHECK(f.c->copy >= 0);
	/* A reader that is gone for good is forgotten. */
	signal(SIGPIPE, SIG_IGN);
	fd_close(&f.copied);
	CHECK(write(f.to, "end\n", 4) == 4);
	CHECK_INT(event_loop_run(&f.loop, 1000), 1);
	CHECK(f.c->copy == FD_NONE);
	vm_console_tail(f.c, got, 10);
	CHECK_STR(got, "end");
	drop(&f);
}

/* Who writes without end does not hold up who drains. */
TEST(draining_ends)
{
	char got[64], block[4096];
	struct fixture f;

	if (!CHECK(make(&f)))
		return;
	memset(block, 'z', sizeof(block));
	CHECK(fcntl(f.to, F_SETFL, O_NONBLOCK) == 0 && fcntl(f.to, F_SETPIPE_SZ, 1 << 20) > 0);
	while (write(f.to, block, sizeof(block)) > 0)
		;
	vm_console_drain(f.c);
	CHECK_INT(f.c->len, VM_CONSOLE_KEPT);
	CHECK(read(f.c->from, got, 1) == 1);
	drop(&f);
}

TEST_MAIN(CASE(tails), CASE(only_the_end_is_kept), CASE(what_comes_is_copied), CASE(copy_that_nobody_reads), CASE(draining_ends))
