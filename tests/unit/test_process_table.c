/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a microVM: what the guest reads of its /proc, and the table that the host prints. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "microvm/guest/guest_processes.h"
#include "runtime/base/str.h"
#include "runtime/process_table.h"

#define HEAD "UID          PID    PPID  C STIME TTY          TIME CMD\n"
#define NOW 1795774800	/* 2026-11-27 10:20 UTC */
#define HOUR 3600000U
#define ADD(rows, command, ...) process_rows_add(rows, &(struct process_row){ .command_size = sizeof(command) - 1, __VA_ARGS__ }, command)

static void check_table(struct test *t, const struct process_rows *rows, const char *want)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	setenv("TZ", "UTC", 1);
	tzset();
	process_rows_print(rows, NOW, &out);
	CHECK_STR(out.data, want);
}

TEST(columns)
{
	_cleanup_process_rows_ struct process_rows rows = PROCESS_ROWS_NULL;

	ADD(&rows, "sleep\0001000\0", .pid = 301, .parent = 1, .age_ms = HOUR, .cpu_ms = 0);
	ADD(&rows, "yes\0", .pid = 4194304, .parent = 301, .uid = 4294967294, .terminal = 136 << 8 | 3, .age_ms = 20 * HOUR,
	    .cpu_ms = 19 * HOUR);
	ADD(&rows, "a", .pid = 5, .terminal = 4 << 8 | 64, .age_ms = UINT64_C(24) * 400 * HOUR, .cpu_ms = UINT64_C(49) * HOUR + 61000);
	ADD(&rows, "b", .pid = 6, .terminal = 4 << 8 | 1, .age_ms = UINT64_MAX, .cpu_ms = UINT64_MAX);
	ADD(&rows, "c", .pid = 7, .terminal = 137 << 8 | 2 | 1 << 20, .age_ms = 1, .cpu_ms = 1);
	check_table(t, &rows, HEAD
		    "0            301       1  0 09:20 ?        00:00:00 sleep 1000\n"
		    "4294967294 4194304     301 95 Nov26 pts/3    19:00:00 yes\n"
		    "0              5       0  0  2025 ttyS0    02-01:01:01 a\n"
		    "0              6       0 99  1970 tty1     213503982334-14:25:51 b\n"
		    "0              7       0  0 10:20 pts/514  00:00:00 c\n");
}

/* Who runs in the guest writes them. */
TEST(commands)
{
	_cleanup_process_rows_ struct process_rows rows = PROCESS_ROWS_NULL;
#define ROW "0              1       0  0 10:20 ?        00:00:00 "

	ADD(&rows, "two words\0\0last\0", .pid = 1);
	ADD(&rows, "\033[31mred\n\r\xc3\xa9\x7f\x9b", .pid = 1);
	ADD(&rows, "\0\0", .pid = 1);
	ADD(&rows, "", .pid = 1);
	ADD(&rows, "a b) c", .pid = 1, .is_name = true);
	ADD(&rows, "gone", .pid = 1, .is_name = true, .zombie = true);
	check_table(t, &rows, HEAD ROW "two words  last\n" ROW "?[31mred??????\n" ROW "\n" ROW "\n" ROW "[a b) c]\n" ROW "[gone] <defunct>\n");
}

TEST(many)
{
	_cleanup_process_rows_ struct process_rows rows = PROCESS_ROWS_NULL;
	_cleanup_buf_ struct buf out = BUF_NULL;
	size_t lines = 0;

	for (uint32_t i = 1; i <= 1000; i++)
		CHECK_INT(ADD(&rows, "x", .pid = i), 0);
	process_rows_print(&rows, NOW, &out);
	for (const char *p = out.data; p != NULL && (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	CHECK_INT(lines, 1001);
}

/* ---- the guest's side ---- */

TEST(stat_text)
{
	static const char text[] = "77 (a) S 1 (b) R 5 77 76 34817 -1 4194560 125 0 0 0 150 50 9 9 20 0 1 0 4711 9580544 287 1844";
	struct channel_process p = { .pid = 77 };
	uint64_t started = 0;

	CHECK_INT(guest_process_stat(text, 100, &p, &started), 0);
	CHECK(p.pid == 77 && p.parent == 5 && p.terminal == 34817 && p.state == 'R' && p.cpu_ms == 2000 && p.is_name && started == 4711);
	CHECK(p.command_size == 9 && memcmp(p.command, "a) S 1 (b", 9) == 0);
	CHECK_INT(guest_process_stat("", 100, &p, &started), -EBADMSG);
	CHECK_INT(guest_process_stat("77 sleep S 1", 100, &p, &started), -EBADMSG);
	CHECK_INT(guest_process_stat("77 ) ( S 1", 100, &p, &started), -EBADMSG);
	CHECK_INT(guest_process_stat("77 (x) S 1 2 3 4 5 6 7 8 9 10 11 12", 100, &p, &started), -EBADMSG);
}

/* Two of ours: one with a command line, one that is a zombie. And pids that are none. */
TEST(of_proc)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct channel_frame f;
	struct channel_process p;
	pid_t child = fork(), list[4];
	siginfo_t info;

	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	list[0] = child;
	list[1] = getpid();
	list[2] = 0;
	list[3] = 2000000000;
	guest_processes(list, 4, 0, &b);
	f = (struct channel_frame){ .data = (unsigned char *)b.data, .size = b.len };
	CHECK_INT(channel_get_process(&f, 0, &p), 1);
	CHECK(p.pid == (uint32_t)getpid() && p.parent == (uint32_t)getppid() && p.uid == geteuid() && !p.is_name && p.state == 'R');
	CHECK(memmem(p.command, p.command_size, "test_process_table", 18) != NULL);
	CHECK_INT(channel_get_process(&f, p.pid, &p), 1);
	CHECK(p.pid == (uint32_t)child && p.parent == (uint32_t)getpid() && p.is_name && p.state == 'Z');
	CHECK_INT(channel_get_process(&f, p.pid, &p), 0);
	waitpid(child, NULL, 0);

	buf_deinit(&b);
	guest_processes(list, 4, (uint32_t)getpid(), &b);
	CHECK_INT(b.len, 0);
}

TEST_MAIN(CASE(columns), CASE(commands), CASE(many), CASE(stat_text), CASE(of_proc))
