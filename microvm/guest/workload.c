/* SPDX-License-Identifier: Apache-2.0 */
/* See workload.h: what it is asked for, and what it prints. */
#include "microvm/guest/workload.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/compare.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void say_clocks(const char *word)
{
	printf("%s %llu %llu\n", word, (unsigned long long)clock_ns(CLOCK_REALTIME), (unsigned long long)clock_ns(CLOCK_MONOTONIC));
	fflush(stdout);
}

uint64_t workload_rate(uint64_t amount, uint64_t elapsed_ns)
{
	return (uint64_t)((double)amount * 1e9 / (double)(elapsed_ns > 0 ? elapsed_ns : 1));
}

static void say(const char *metric, int r, uint64_t value)
{
	if (r < 0)
		printf("failed %s %s\n", metric, err_text());
	else
		printf("%s %llu\n", metric, (unsigned long long)value);
	err_clear();
	fflush(stdout);
}

struct part {
	const char *metric;
	int (*measure)(uint64_t *ret);
	int (*measure_at)(const char *where, uint64_t *ret);
	const char *where;	/* with measure_at; NULL: there is none, and nothing to say */
};

static void measure_part(const struct part *p)
{
	uint64_t v = 0;
	int r;

	if (p->measure == NULL && p->where == NULL)
		return;
	r = p->measure != NULL ? p->measure(&v) : p->measure_at(p->where, &v);
	say(p->metric, r, v);
}

/* CPU first, the file system last: what it leaves to be written back must not disturb the others. */
static int bench(const char *self, const char *dir, const char *server)
{
	const struct part parts[] = {
		{ .metric = "integer", .measure = workload_integer },
		{ .metric = "memory", .measure = workload_memory },
		{ .metric = "syscall_ps", .measure = workload_syscall },
		{ .metric = "switch_ns", .measure = workload_switch },
		{ .metric = "tcp_round_trip_ns", .measure = workload_tcp_round_trip },
		{ .metric = "tcp_stream", .measure = workload_tcp_stream },
		{ .metric = "net_round_trip_ns", .measure_at = workload_net_round_trip, .where = server },
		{ .metric = "net_stream", .measure_at = workload_net_stream, .where = server },
		{ .metric = "file_write", .measure_at = workload_file_write, .where = dir },
		{ .metric = "file_read", .measure_at = workload_file_read, .where = dir },
		{ .metric = "file_random", .measure_at = workload_file_random, .where = dir },
		{ .metric = "file_metadata", .measure_at = workload_file_metadata, .where = dir },
		{ .metric = "fork_exec_ns", .measure_at = workload_fork_exec, .where = self },
	};

	say_clocks("begin");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		measure_part(&parts[i]);
	say_clocks("end");
	return ferror(stdout) ? 1 : 0;
}

static int wait_for_term(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("ready");
	fflush(stdout);
	return sigwait(&set, &sig) == 0 ? 0 : 1;
}

bool workload_asked(const char *argv0)
{
	const char *slash = argv0 != NULL ? strrchr(argv0, '/') : NULL;

	return argv0 != NULL && str_eq(slash != NULL ? slash + 1 : argv0, COMPARE_WORKLOAD);
}

int workload_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (str_eq(what, "nothing"))
		return 0;
	if (str_eq(what, "wait"))
		return wait_for_term();
	if (str_eq(what, "hello")) {
		puts("hello");
		return fflush(stdout) == 0 ? 0 : 1;
	}
	if (str_eq(what, "serve"))
		return workload_serve();
	if (str_eq(what, "bench") && argc > 2)
		return bench(argv[0], argv[2], argc > 3 ? argv[3] : NULL);
	fprintf(stderr, COMPARE_WORKLOAD ": for `nacre compare`: hello | wait | nothing | serve | bench DIR [SERVER]\n");
	return 2;
}
