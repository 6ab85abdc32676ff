/* SPDX-License-Identifier: Apache-2.0 */
/* Limits -> cgroup files and values, and /proc/cgroups -> why a controller is missing. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "cgroups/controllers.h"
#include "cgroups/resources.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define RATES(...) { (const struct cgroup_device_rate[]){ __VA_ARGS__ }, sizeof((struct cgroup_device_rate[]){ __VA_ARGS__ }) / sizeof(struct cgroup_device_rate) }

/* "FILE=VALUE" lines; "?" after the value: optional, "+" again, "|FILE=VALUE" instead. */
static char *as_text(const struct cgroup_setting *s, size_t n)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%s=%s%s%s", s[i].file, s[i].value, s[i].optional ? "?" : "", s[i].again ? "+" : "");
		if (s[i].or_file != NULL)
			buf_printf(&b, "|%s=%s", s[i].or_file, s[i].or_value);
		buf_puts(&b, "\n");
	}
	return buf_take(&b);
}

static const struct {
	const char *name;
	struct cgroup_resources r;
	const char *want;
} table[] = {
	{ "nothing", { .memory_limit = 0 }, "" },
	{ "memory", { .memory_limit = 1048576, .memory_reservation = 4096 }, "memory.max=1048576\nmemory.low=4096\n" },
	{ "no memory limit is no swap limit either", { .memory_limit = -1 }, "memory.swap.max=max?\nmemory.max=max?\n" },
	{ "swap counts memory in", { .memory_limit = 100, .memory_swap = 300 }, "memory.swap.max=200\nmemory.max=100\n" },
	{ "as much as memory: no swap", { .memory_limit = 100, .memory_swap = 100 }, "memory.swap.max=0?\nmemory.max=100\n" },
	{ "any swap", { .memory_limit = 100, .memory_swap = -1 }, "memory.swap.max=max?\nmemory.max=100\n" },
	{ "swap with no memory limit", { .memory_limit = -1, .memory_swap = 300 }, "memory.swap.max=300\nmemory.max=max?\n" },
	{ "pids", { .has_pids = true, .pids = 7 }, "pids.max=7\n" },
	{ "no process more: 0 is a limit", { .has_pids = true, .pids = 0 }, "pids.max=0\n" },
	{ "any number of pids", { .has_pids = true, .pids = -1 }, "pids.max=max?\n" },
	{ "shares", { .cpu_shares = 1024 }, "cpu.weight=100\n" },
	{ "quota and period", { .cpu_quota = 5000, .cpu_period = 20000 }, "cpu.max=5000 20000\n" },
	{ "quota alone leaves the period", { .cpu_quota = 5000 }, "cpu.max=5000\n" },
	{ "period alone", { .cpu_period = 50000 }, "cpu.max=max 50000\n" },
	{ "the usual period alone", { .cpu_period = 100000 }, "cpu.max=max 100000?\n" },
	{ "no quota", { .cpu_quota = -1 }, "cpu.max=max?\n" },
	{ "no quota, a period", { .cpu_quota = -1, .cpu_period = 7000 }, "cpu.max=max 7000\n" },
	{ "burst", { .has_cpu_burst = true, .cpu_burst = 50, .cpu_quota = 5000 }, "cpu.max.burst=50+\ncpu.max=5000\n" },
	{ "an idle one has no weight", { .has_cpu_idle = true, .cpu_idle = true, .cpu_shares = 2 }, "cpu.idle=1\n" },
	{ "the weight comes after not idle", { .has_cpu_idle = true, .cpu_shares = 2 }, "cpu.idle=0\ncpu.weight=1\n" },
	{ "cpuset", { .cpus = "0-1", .mems = "0" }, "cpuset.cpus=0-1\ncpuset.mems=0\n" },
	{ "a cpuset in the kernel's own words", { .cpus = "0-31:2/4, N", .mems = "all" }, "cpuset.cpus=0-31:2/4, N\ncpuset.mems=all\n" },
	{ "io weight", { .io_weight = 10 }, "io.bfq.weight=10|io.weight=1\n" },
	{ "the highest io weight", { .io_weight = 1000 }, "io.bfq.weight=1000|io.weight=10000\n" },
	{ "io weight of a device",
	  { .io_weights = (const struct cgroup_device_weight[]){ { { 8, 16 }, 500 } }, .n_io_weights = 1 },
	  "io.bfq.weight=8:16 500|io.weight=8:16 4950\n" },
	{ "throttling",
	  { .io_rates = { RATES({ { 8, 0 }, 1000 }), RATES({ { 8, 0 }, 2000 }, { { 7, 1 }, 0 }), RATES({ { 8, 0 }, 3 }),
			  RATES({ { 8, 0 }, 4 }) } },
	  "io.max=8:0 rbps=1000\nio.max=8:0 wbps=2000\nio.max=7:1 wbps=max\nio.max=8:0 riops=3\nio.max=8:0 wiops=4\n" },
	{ "huge pages", { .hugepages = (const struct cgroup_hugepages[]){ { "2MB", 4194304 } }, .n_hugepages = 1 },
	  "hugetlb.2MB.rsvd.max=4194304?\nhugetlb.2MB.max=4194304\n" },
	{ "rdma", { .rdma = (const struct cgroup_rdma[]){ { "mlx5_1", true, true, 3, 0 }, { "hfi", false, true, 0, 9 }, { "x", false, false, 0, 0 } },
		    .n_rdma = 3 },
	  "rdma.max=mlx5_1 hca_handle=3 hca_object=0\nrdma.max=hfi hca_object=9\n" },
	{ "unified comes last",
	  { .unified = (const struct cgroup_unified[]){ { "memory.max", "5" }, { "io.max", "8:0 rbps=1\n8:16 wbps=2\n" } },
	    .n_unified = 2, .memory_limit = 9 },
	  "memory.max=9\nmemory.max=5\nio.max=8:0 rbps=1\nio.max=8:16 wbps=2\n" },
	{ "an empty unified value is written", { .unified = (const struct cgroup_unified[]){ { "cpuset.cpus", "" } }, .n_unified = 1 },
	  "cpuset.cpus=\n" },
};

TEST(settings)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		_cleanup_free_ char *text = NULL;
		struct cgroup_setting *s = NULL;
		size_t n = 0;

		CHECK_INT(cgroup_settings(a, &table[i].r, &s, &n), 0);
		text = as_text(s, n);
		if (!CHECK_STR(text, table[i].want))
			printf("# %s\n", table[i].name);
	}
}

static const struct {
	const char *name;
	struct cgroup_resources r;
	int code;
	const char *text;
} refused[] = {
	{ "swap without memory", { .memory_swap = 5 }, -EINVAL, "memory.swap: needs memory.limit" },
	{ "less swap than memory", { .memory_swap = 5, .memory_limit = 6 }, -EINVAL, "memory.swap: 5 is below memory.limit, 6" },
	{ "io weight too low", { .io_weight = 9 }, -ERANGE, "blockIO.weight: 9 is not between 10 and 1000" },
	{ "io weight too high", { .io_weight = 1001 }, -ERANGE, "blockIO.weight: 1001" },
	{ "device weight", { .io_weights = (const struct cgroup_device_weight[]){ { { 8, 0 }, 1 } }, .n_io_weights = 1 }, -ERANGE,
	  "blockIO.weightDevice: 1 " },
	{ "huge page size with a slash", { .hugepages = (const struct cgroup_hugepages[]){ { "../2MB", 1 } }, .n_hugepages = 1 }, -EINVAL,
	  "hugepageLimits[0].pageSize" },
	{ "huge page size without a unit", { .hugepages = (const struct cgroup_hugepages[]){ { "2048", 1 } }, .n_hugepages = 1 }, -EINVAL,
	  "hugepageLimits[0].pageSize" },
	{ "no huge page size", { .hugepages = (const struct cgroup_hugepages[]){ { NULL, 1 } }, .n_hugepages = 1 }, -EINVAL,
	  "hugepageLimits[0].pageSize" },
	{ "CPUs in two lines", { .cpus = "1\n2" }, -EINVAL, "cpu.cpus is no list such as 0-3,7" },
	{ "memory nodes by name", { .mems = "first" }, -EINVAL, "cpu.mems is no list" },
	{ "rdma device with a line end", { .rdma = (const struct cgroup_rdma[]){ { "a\nb", true, true, 1, 1 } }, .n_rdma = 1 }, -EINVAL, "rdma" },
	{ "unified outside the cgroup", { .unified = (const struct cgroup_unified[]){ { "../memory.max", "1" } }, .n_unified = 1 }, -EINVAL,
	  "unified: \"../memory.max\"" },
	{ "unified: no cgroup file", { .unified = (const struct cgroup_unified[]){ { "x", "1" } }, .n_unified = 1 }, -EINVAL, "unified: \"x\"" },
};

TEST(refused_limits)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		struct cgroup_setting *s;
		size_t n;

		CHECK_INT(cgroup_settings(a, &refused[i].r, &s, &n), refused[i].code);
		CHECK(strstr(err_text(), refused[i].text) != NULL);
	}
}

/* The curve's fixed points, its monotony, and values that other runtimes document. */
TEST(weight_from_shares)
{
	uint64_t last = 0;

	CHECK_INT((long long)cgroup_weight_from_shares(0), 1);
	CHECK_INT((long long)cgroup_weight_from_shares(2), 1);
	CHECK_INT((long long)cgroup_weight_from_shares(1024), 100);
	CHECK_INT((long long)cgroup_weight_from_shares(262144), 10000);
	CHECK_INT((long long)cgroup_weight_from_shares(UINT64_MAX), 10000);
	CHECK_INT((long long)cgroup_weight_from_shares(512), 59);
	CHECK_INT((long long)cgroup_weight_from_shares(2048), 174);
	for (uint64_t shares = 2; shares <= 262144; shares += 61) {
		uint64_t w = cgroup_weight_from_shares(shares);

		CHECK(w >= last && w >= 1 && w <= 10000);
		last = w;
	}
}

TEST(absent_controllers)
{
	static const char text[] = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
				   "cpu\t3\t10\t1\n"
				   "blkio\t0\t10\t1\n"
				   "memory\t0\t1\t0\n"
				   "pids\n";
	static const struct {
		const char *name;
		enum cgroup_absence want;
	} cases[] = {
		{ "cpu", CGROUP_IN_V1 },	 { "io", CGROUP_NOT_DELEGATED },  { "memory", CGROUP_SWITCHED_OFF },
		{ "pids", CGROUP_NOT_BUILT }, { "rdma", CGROUP_NOT_BUILT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned int c = 0; c < CGROUP_CONTROLLERS; c++) {
			_cleanup_free_ char *copy = strdup(text);

			if (str_eq(cgroup_controller_name(c), cases[i].name))
				CHECK_INT(cgroup_absence_from(copy, c), cases[i].want);
		}
	}
}

TEST_MAIN(CASE(settings), CASE(refused_limits), CASE(weight_from_shares), CASE(absent_controllers))
