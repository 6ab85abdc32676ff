/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics from a guest: there and back, and what no kernel has said. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "cgroups/stats.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/stats_wire.h"

static void fill(struct cgroup_stats *s)
{
	static struct cgroup_counter stat[] = { { "anon", 4096 }, { "workingset_refault_file", UINT64_MAX } };
	static struct cgroup_io_device devices[] = { { 254, 0, 1, 2, 3, 4, 5, 6 }, { 8, 16, 0, 0, 0, 0, 0, 7 } };
	static uint16_t cpus[] = { 0, 1, 7 };
	static struct cgroup_hugetlb_stats huge[] = { { "2MB", { true, 1 }, { true, CGROUP_UNLIMITED }, { false, 0 }, 9 } };
	static struct cgroup_rdma_stats rdma[] = { { "mlx5_0", 3, 4 } };

	*s = (struct cgroup_stats){
		.cpu = { .has = true, .usage_ns = 17, .burst_ns = 3, .psi = { true, { 1, 2, 3, 4 }, { 5, 6, 7, UINT64_MAX } } },
		.memory = { .current = { true, 0 }, .max = { true, CGROUP_UNLIMITED }, .stat = stat, .n_stat = 2,
			    .events = { .has = true, .oom_kill = 2 } },
		.pids = { .current = { true, 5 } },
		.io = { .has = true, .devices = devices, .n_devices = 2 },
		.cpus = { true, cpus, 3 }, .mems = { true, NULL, 0 },
		.hugetlb = huge, .n_hugetlb = 1, .rdma = rdma, .n_rdma = 1,
	};
}

TEST(there_and_back)
{
	_cleanup_cgroup_stats_ struct cgroup_stats got = { 0 };
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct cgroup_stats s;
	size_t len = 0, len2 = 0;

	fill(&s);
	CHECK_INT(stats_wire_write(&s, &text, &len), 0);
	CHECK_INT(stats_wire_read(text, len, &got), 0);
	CHECK(memcmp(&got.cpu, &s.cpu, sizeof(s.cpu)) == 0 && memcmp(&got.pids, &s.pids, sizeof(s.pids)) == 0);
	CHECK(got.memory.current.has && got.memory.current.value == 0 && !got.memory.peak.has);
	CHECK(got.memory.max.value == CGROUP_UNLIMITED && got.memory.events.oom_kill == 2);
	CHECK_INT(cgroup_stats_memory(&got, "workingset_refault_file"), -1);
	CHECK(got.io.n_devices == 2 && memcmp(got.io.devices, s.io.devices, 2 * sizeof(*s.io.devices)) == 0);
	CHECK(got.cpus.n == 3 && got.cpus.v[2] == 7 && got.mems.has && got.mems.n == 0);
	CHECK(got.n_hugetlb == 1 && !got.hugetlb[0].reserved.has && got.hugetlb[0].failures == 9);
	CHECK(got.n_rdma == 1 && got.rdma[0].objects == 4);
	CHECK_STR(got.rdma[0].device, "mlx5_0");
	CHECK_INT(stats_wire_write(&got, &again, &len2), 0);
	CHECK_STR(again, text);
}

TEST(nothing)
{
	_cleanup_cgroup_stats_ struct cgroup_stats got = { 0 };

	CHECK_INT(stats_wire_read("{}", 2, &got), 0);
	CHECK(!got.cpu.has && !got.pids.current.has && got.cpus.v == NULL);
}

TEST(refused)
{
	static const char *const cases[] = {
		"", "[]", "1", "{", "{}x", "{\"cpu\":1}", "{\"cpu.has\":1}", "{\"cpu.usage_ns\":-1}", "{\"cpu.usage_ns\":1.5}",
		"{\"cpu.usage_ns\":\"1\"}", "{\"cpu.usage_ns\":18446744073709551616}", "{\"cpu.usage_ns\":1,\"cpu.usage_ns\":2}",
		"{\"cpu.psi.some.avg10\":4294967296}", "{\"memory.current\":null}", "{\"memory.stat\":{}}",
		"{\"memory.stat\":[[\"anon\"]]}", "{\"memory.stat\":[[\"\",1]]}", "{\"memory.stat\":[[\"a b\",1]]}",
		"{\"memory.stat\":[[1,1]]}", "{\"memory.stat\":[[\"anon\",1,2]]}",
		"{\"memory.stat\":[[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",1]]}",
		"{\"io.devices\":[[4294967296,1,1,1,1,1,1,1]]}", "{\"io.devices\":[[1,1,1,1,1,1,1]]}", "{\"io.devices\":[1]}",
		"{\"cpus\":[1,1]}", "{\"cpus\":[65536]}", "{\"cpus\":[2,1]}", "{\"cpus\":\"0-3\"}", "{\"mems\":[[]]}",
		"{\"hugetlb\":[[\"2MB\",1,1,1]]}", "{\"hugetlb\":[[\"2MB../../x\",1,1,1,1]]}",
		"{\"hugetlb\":[[\"2222222222222222MB\",1,1,1,1]]}", "{\"hugetlb\":[[\"2MB\",1,1,1,null]]}",
		"{\"rdma\":[[\"a/b\",1,1]]}", "{\"rdma\":[[\"a\",1]]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_cgroup_stats_ struct cgroup_stats got = { 0 };

		err_clear();
		if (!CHECK_INT(stats_wire_read(cases[i], strlen(cases[i]), &got), -EINVAL) || !CHECK(err_text()[0] != '\0'))
			printf("#   case %s\n", cases[i]);
	}
}

TEST(too_many)
{
	_cleanup_cgroup_stats_ struct cgroup_stats got = { 0 };
	_cleanup_buf_ struct buf b = BUF_NULL;

	buf_puts(&b, "{\"memory.stat\":[");
	for (int i = 0; i < 257; i++)
		buf_printf(&b, "%s[\"k%d\",1]", i > 0 ? "," : "", i);
	buf_puts(&b, "]}");
	CHECK_INT(stats_wire_read(b.data, b.len, &got), -EINVAL);
	CHECK(strstr(err_text(), "memory.stat") != NULL);
}

TEST_MAIN(CASE(there_and_back), CASE(nothing), CASE(refused), CASE(too_many))
