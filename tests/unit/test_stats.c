/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/stats_json and runtime/stats_view: figures -> events in runc's shape, and rows for people. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "cgroups/stats_parse.h"
#include "oci/json.h"
#include "runtime/base/str.h"
#include "runtime/stats_json.h"
#include "runtime/stats_view.h"

#define EMPTY_ENTRY "{\"limit\":0,\"failcnt\":0}"
#define SWITCHES                                                                                                       \
	"\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0,\"memory_spread_page\":0,\"memory_spread_slab\":0," \
	"\"memory_pressure\":0,\"sched_load_balance\":0,\"sched_relax_domain_level\":0"

static char *event_text(const struct cgroup_stats *s)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	stats_write_event(w, "a", s);
	return json_writer_take(w, NULL);
}

/* Where no controller is enabled. */
TEST(event_of_nothing)
{
	const struct cgroup_stats s = { .cpu = { .has = true } };
	_cleanup_free_ char *text = event_text(&s);

	CHECK_STR(text, "{\"type\":\"stats\",\"id\":\"a\",\"data\":{\"cpu\":{\"usage\":{\"kernel\":0,\"user\":0},\"throttling\":{}},"
			"\"cpuset\":{\"cpu_exclusive\":0," SWITCHES "},\"memory\":{\"usage\":" EMPTY_ENTRY ",\"swap\":" EMPTY_ENTRY
			",\"kernel\":" EMPTY_ENTRY ",\"kernelTCP\":" EMPTY_ENTRY "},\"pids\":{},\"blkio\":{},\"hugetlb\":{},"
			"\"intel_rdt\":{},\"network_interfaces\":null}}");
}

static void fill(struct cgroup_stats *s)
{
	char cpu[] = "usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 4\nnr_throttled 5\nthrottled_usec 6\n";
	char psi[] = "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
	char io[] = "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n0:9 rbytes=1 wbytes=1 rios=0 wios=0 dbytes=3 dios=1\n";
	char events[] = "max 8\noom 1\noom_kill 2\n", cpus[] = "0-1,3\n", mems[] = "0\n";
	const struct cgroup_hugetlb_stats huge = { .size = "2MB", .current = { true, 1 }, .reserved = { true, 2 }, .failures = 3 };

	*s = (struct cgroup_stats){ .n_rdma = 0 };
	cgroup_parse_cpu(cpu, &s->cpu);
	cgroup_parse_psi(psi, &s->memory.psi);
	(void)cgroup_parse_io(io, &s->io);
	cgroup_parse_memory_events(events, &s->memory.events);
	(void)cgroup_parse_memory_stat(strdup("anon 1\nfile 4096\ninactive_file 1000\n"), &s->memory);
	(void)cgroup_parse_list(cpus, &s->cpus);
	(void)cgroup_parse_list(mems, &s->mems);
	s->memory.current = (struct cgroup_number){ true, 10000 };
	s->memory.max = (struct cgroup_number){ true, 20000 };
	s->memory.peak = (struct cgroup_number){ true, 15000 };
	s->memory.swap_current = (struct cgroup_number){ true, 500 };
	s->memory.swap_max = (struct cgroup_number){ true, 1000 };
	s->pids.current = (struct cgroup_number){ true, 2 };
	s->pids.max = (struct cgroup_number){ true, 9 };
	s->hugetlb = malloc(sizeof(huge));
	if (s->hugetlb != NULL) {
		*s->hugetlb = huge;
		s->n_hugetlb = 1;
	}
}

TEST(event_of_all)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s;
	_cleanup_free_ char *text = NULL;

	fill(&s);
	text = event_text(&s);
	CHECK_STR(text, "{\"type\":\"stats\",\"id\":\"a\",\"data\":{\"cpu\":{\"usage\":{\"total\":3000,\"kernel\":1000,\"user\":2000},"
			"\"throttling\":{\"periods\":4,\"throttledPeriods\":5,\"throttledTime\":6000}},"
			"\"cpuset\":{\"cpus\":[0,1,3],\"cpu_exclusive\":0,\"mems\":[0]," SWITCHES "},"
			"\"memory\":{\"cache\":4096,\"usage\":{\"limit\":20000,\"usage\":10000,\"max\":15000,\"failcnt\":8},"
			"\"swap\":{\"limit\":21000,\"usage\":10500,\"failcnt\":0},\"kernel\":" EMPTY_ENTRY ",\"kernelTCP\":" EMPTY_ENTRY
			",\"raw\":{\"anon\":1,\"file\":4096,\"inactive_file\":1000},"
			"\"psi\":{\"some\":{\"avg10\":1.50,\"avg60\":0.00,\"avg300\":0.00,\"total\":7},"
			"\"full\":{\"avg10\":0.00,\"avg60\":0.00,\"avg300\":0.00,\"total\":0}}},"
			"\"pids\":{\"current\":2,\"limit\":9},\"blkio\":{\"ioServiceBytesRecursive\":["
			"{\"major\":8,\"op\":\"Read\",\"value\":100},{\"major\":8,\"op\":\"Write\",\"value\":200},{\"major\":8,\"op\":\"Discard\"},"
			"{\"minor\":9,\"op\":\"Read\",\"value\":1},{\"minor\":9,\"op\":\"Write\",\"value\":1},"
			"{\"minor\":9,\"op\":\"Discard\",\"value\":3}],\"ioServicedRecursive\":["
			"{\"major\":8,\"op\":\"Read\",\"value\":1},{\"major\":8,\"op\":\"Write\",\"value\":2},{\"major\":8,\"op\":\"Discard\"},"
			"{\"minor\":9,\"op\":\"Read\"},{\"minor\":9,\"op\":\"Write\"},{\"minor\":9,\"op\":\"Discard\",\"value\":1}]},"
			"\"hugetlb\":{\"2MB\":{\"usage\":2,\"failcnt\":3}},\"intel_rdt\":{},\"network_interfaces\":null}}");
}

/* No limit stays the greatest number, also where a sum is made of it. */
TEST(event_without_limits)
{
	struct cgroup_stats s = {
		.memory = {
			.current = { true, 1 }, .max = { true, CGROUP_UNLIMITED },
			.swap_current = { true, 1 }, .swap_max = { true, CGROUP_UNLIMITED },
		},
		.pids = { .current = { true, 1 }, .max = { true, CGROUP_UNLIMITED } },
	};
	_cleanup_free_ char *text = event_text(&s);

	CHECK(text != NULL && strstr(text, "\"usage\":{\"limit\":18446744073709551615,\"usage\":1,\"failcnt\":0},"
					   "\"swap\":{\"limit\":18446744073709551615,\"usage\":2,\"failcnt\":0}") != NULL);
	CHECK(text != NULL && strstr(text, "\"pids\":{\"current\":1}") != NULL);
}

TEST(event_oom)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;

	stats_write_oom(w, "a");
	text = json_writer_take(w, NULL);
	CHECK_STR(text, "{\"type\":\"oom\",\"id\":\"a\"}");
}

static char *row_text(const struct stats_row *row)
{
	struct buf b = BUF_NULL;

	stats_table_row(&b, 4, row);
	return buf_take(&b);
}

static char *row_json(const struct stats_row *row)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	stats_row_json(w, row);
	return json_writer_take(w, NULL);
}

TEST(row_of_nothing)
{
	const struct cgroup_stats s = { .n_rdma = 0 };
	_cleanup_free_ char *text = NULL, *json = NULL;
	struct stats_mark mark = { .has = false };
	struct stats_row row;

	stats_row_fill(&row, "a", &s, 1, &mark);
	stats_row_fill(&row, "a", &s, 2, &mark);
	text = row_text(&row);
	CHECK_STR(text, "a            -                  - / -       -       -                  - / -  -\n");
	json = row_json(&row);
	CHECK_STR(json, "{\"id\":\"a\",\"cpuPercent\":null,\"memoryUsage\":null,\"memoryLimit\":null,\"memoryPercent\":null,"
			"\"pids\":null,\"ioRead\":null,\"ioWritten\":null,\"pressure\":null}");
}

TEST(row_of_all)
{
	_cleanup_free_ char *first = NULL, *text = NULL, *json = NULL;
	_cleanup_cgroup_stats_ struct cgroup_stats s;
	struct stats_mark mark = { .has = false };
	struct stats_row row;

	fill(&s);
	s.cpu.psi.has = true;
	s.io.psi = (struct cgroup_psi){ .has = true, .some = { .avg10 = 10000 } };
	stats_row_fill(&row, "a", &s, 1000, &mark);
	CHECK(!row.cpu.has);
	first = row_text(&row);
	/* A second later, half a second of processor time. */
	s.cpu.usage_ns += 500000000;
	stats_row_fill(&row, "a", &s, 1000001000, &mark);
	text = row_text(&row);
	CHECK_STR(first, "a            -       8.7KiB / 19.5KiB   45.00       2            101B / 201B  0.00 / 1.50 / 100.00\n");
	CHECK_STR(text, "a        50.00       8.7KiB / 19.5KiB   45.00       2            101B / 201B  0.00 / 1.50 / 100.00\n");
	json = row_json(&row);
	CHECK_STR(json, "{\"id\":\"a\",\"cpuPercent\":50.00,\"memoryUsage\":9000,\"memoryLimit\":20000,\"memoryPercent\":45.00,"
			"\"pids\":2,\"ioRead\":101,\"ioWritten\":201,\"pressure\":{\"cpu\":0.00,\"memory\":1.50,\"io\":100.00}}");
}

/* Clocks and counters that stand still or go back, sizes at their ends. */
TEST(row_edges)
{
	struct cgroup_stats s = { .cpu = { .has = true, .usage_ns = 100 }, .memory = { .current = { true, UINT64_MAX - 1 } } };
	struct stats_mark mark = { .has = false };
	struct stats_row row;

	stats_row_fill(&row, "a", &s, 100, &mark);
	stats_row_fill(&row, "a", &s, 100, &mark);
	CHECK(!row.cpu.has);
	s.cpu.usage_ns = 50;
	stats_row_fill(&row, "a", &s, 200, &mark);
	CHECK(!row.cpu.has);
	s.cpu.usage_ns = UINT64_MAX;
	stats_row_fill(&row, "a", &s, 201, &mark);
	CHECK(row.cpu.has && row.cpu.value == UINT64_MAX);
	s.memory.max = (struct cgroup_number){ true, 0 };
	stats_row_fill(&row, "a", &s, 300, &mark);
	CHECK(row.memory_limit.has && !row.memory_percent.has);
	s.memory.max.value = UINT64_MAX - 1;
	stats_row_fill(&row, "a", &s, 400, &mark);
	CHECK_INT(row.memory_percent.value, 10000);
	s.memory.max.value = CGROUP_UNLIMITED;
	stats_row_fill(&row, "a", &s, 500, &mark);
	CHECK(!row.memory_limit.has && !row.memory_percent.has);
}

TEST_MAIN(CASE(event_of_nothing), CASE(event_of_all), CASE(event_without_limits), CASE(event_oom), CASE(row_of_nothing),
	  CASE(row_of_all), CASE(row_edges))
