/* SPDX-License-Identifier: Apache-2.0 */
/* The systemd manager without a systemd: names of units, and limits as properties. */
#include "tests/unit/test.h"

#include <errno.h>

#include "cgroups/dbus_message.h"
#include "cgroups/resources.h"
#include "cgroups/systemd.h"
#include "cgroups/systemd_properties.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define LONG_NAME "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

TEST(names)
{
	static const struct {
		const char *path;
		bool user;
		const char *slice, *unit;	/* NULL: refused */
		const char *error;
	} cases[] = {
		{ "machine.slice:libpod:abc", false, "machine.slice", "libpod-abc.scope", NULL },
		{ NULL, false, "system.slice", "nacre-ID.scope", NULL },
		{ "", true, "user.slice", "nacre-ID.scope", NULL },
		{ ":crio:x", false, "system.slice", "crio-x.scope", NULL },
		{ ":crio:x", true, "user.slice", "crio-x.scope", NULL },
		{ "-:p:x", false, "-.slice", "p-x.scope", NULL },
		{ "-.slice:p:x", false, "-.slice", "p-x.scope", NULL },
		{ "kubepods-besteffort-pod1_2.slice:cri-containerd:x", false, "kubepods-besteffort-pod1_2.slice",
		  "cri-containerd-x.scope", NULL },
		{ "a.slice::x", false, "a.slice", "-x.scope", NULL },
		{ "/machine.slice/x", false, NULL, NULL,
		  "cgroupsPath \"/machine.slice/x\": expected \"slice:prefix:name\" for systemd cgroups" },
		{ "a.slice:x", false, NULL, NULL, NULL },
		{ "a.slice:b:c:d", false, NULL, NULL, NULL },
		{ "a.slice:b:", false, NULL, NULL, "cgroupsPath \"a.slice:b:\": the scope has no name" },
		{ "a.slice:b:c.slice", false, NULL, NULL,
		  "cgroupsPath \"a.slice:b:c.slice\": \"c.slice\" is a slice, and a container's processes can only be in a scope" },
		{ "a:b:c", false, NULL, NULL, NULL },
		{ ".slice:b:c", false, NULL, NULL, NULL },
		{ "a--b.slice:b:c", false, NULL, NULL, NULL },
		{ "-a.slice:b:c", false, NULL, NULL, NULL },
		{ "a-.slice:b:c", false, NULL, NULL, NULL },
		{ "a/b.slice:b:c", false, NULL, NULL, NULL },
		{ "a.slice:b:c+d", false, NULL, NULL,
		  "cgroupsPath \"a.slice:b:c+d\": unit name \"b-c+d.scope\": systemd allows letters, digits and :-_.\\@ only" },
		{ "a.slice:b:c/../d", false, NULL, NULL, NULL },
		{ "a.slice:b:" LONG_NAME LONG_NAME LONG_NAME, false, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		struct cgroup_scope s = { 0 };
		int r = cgroup_scope_parse(a, cases[i].path, "ID", cases[i].user, &s);

		if (!CHECK_INT(r, cases[i].unit != NULL ? 0 : -EINVAL))
			printf("#   case: %s\n", cases[i].path);
		CHECK_STR(s.slice, cases[i].slice);
		CHECK_STR(s.unit, cases[i].unit);
		CHECK(r < 0 || s.user == cases[i].user);
		if (cases[i].error != NULL)
			CHECK_STR(err_text(), cases[i].error);
	}
}

/* "NAME=VALUE" lines; "-" is infinity; ">=N" after it: the version. */
static char *as_text(const struct systemd_property *p, size_t n)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%s=", p[i].name);
		for (size_t k = 0; p[i].type == 'm' && k < p[i].mask_len; k++)
			buf_printf(&b, "%02x", p[i].mask[k]);
		if (p[i].type == 's')
			buf_puts(&b, p[i].text);
		else if (p[i].type == 't' && p[i].number == UINT64_MAX)
			buf_puts(&b, "-");
		else if (p[i].type == 't')
			buf_printf(&b, "%" PRIu64, p[i].number);
		if (p[i].since > 0)
			buf_printf(&b, ">=%u", p[i].since);
		buf_puts(&b, "\n");
	}
	return buf_take(&b);
}

#define UNIFIED(...) \
	.unified = (const struct cgroup_unified[]){ __VA_ARGS__ }, \
	.n_unified = sizeof((struct cgroup_unified[]){ __VA_ARGS__ }) / sizeof(struct cgroup_unified)

static const struct {
	struct cgroup_resources r;
	const char *want;
} limits[] = {
	{ { .memory_limit = 0 }, "" },
	{ { .memory_limit = 1048576, .memory_reservation = 4096 }, "MemoryMax=1048576\nMemoryLow=4096\n" },
	{ { .memory_limit = 100, .memory_swap = 300 }, "MemorySwapMax=200\nMemoryMax=100\n" },
	{ { .memory_limit = -1 }, "MemorySwapMax=-\nMemoryMax=-\n" },
	{ { .memory_limit = 100, .memory_swap = 100 }, "MemorySwapMax=0\nMemoryMax=100\n" },
	{ { .has_pids = true, .pids = 7 }, "TasksMax=7\n" },
	{ { .has_pids = true, .pids = -1 }, "TasksMax=-\n" },
	/* The file takes it, the property does not. */
	{ { .has_pids = true, .pids = 0 }, "" },
	{ { .cpu_shares = 1024 }, "CPUWeight=100\n" },
	{ { .cpu_shares = 1024, .has_cpu_idle = true, .cpu_idle = true }, "CPUWeight=0>=252\n" },
	{ { .cpu_shares = 1024, .has_cpu_idle = true }, "CPUWeight=100\n" },
	{ { .has_cpu_idle = true }, "CPUWeight=-\n" },
	{ { .cpu_quota = 50000, .cpu_period = 100000 }, "CPUQuotaPeriodUSec=100000>=242\nCPUQuotaPerSecUSec=500000\n" },
	{ { .cpu_quota = 3333, .cpu_period = 10000 }, "CPUQuotaPeriodUSec=10000>=242\nCPUQuotaPerSecUSec=340000\n" },
	{ { .cpu_quota = 1, .cpu_period = 1000000 }, "CPUQuotaPeriodUSec=1000000>=242\nCPUQuotaPerSecUSec=10000\n" },
	/* The period of cpu.max: 50000 here. */
	{ { .cpu_quota = 50000 }, "CPUQuotaPerSecUSec=1000000\n" },
	{ { .cpu_quota = -1 }, "CPUQuotaPerSecUSec=-\n" },
	{ { .cpu_period = 20000 }, "CPUQuotaPeriodUSec=20000>=242\nCPUQuotaPerSecUSec=-\n" },
	{ { .cpu_quota = INT64_MAX, .cpu_period = 1000 }, "CPUQuotaPeriodUSec=1000>=242\n" },
	{ { .cpus = "0-3,7", .mems = "0" }, "AllowedCPUs=8f>=244\nAllowedMemoryNodes=01>=244\n" },
	{ { .cpus = "8,17-18" }, "AllowedCPUs=000106>=244\n" },
	{ { .cpus = "" }, "AllowedCPUs=>=244\n" },
	{ { .cpus = "3-1" }, "" },
	{ { .cpus = "0-7:1/2" }, "" },
	{ { .cpus = "0-99999" }, "" },
	{ { .cpus = "a" }, "" },
	{ { UNIFIED({ "memory.high", "4096" }, { "memory.min", "1" }, { "memory.zswap.max", "0" }) },
	  "MemoryHigh=4096\nMemoryMin=1>=240\nMemoryZSwapMax=0>=253\n" },
	{ { UNIFIED({ "memory.max", "max" }, { "memory.low", "max" }, { "memory.swap.max", "0" }) },
	  "MemoryMax=-\nMemoryLow=-\nMemorySwapMax=0\n" },
	{ { UNIFIED({ "cpu.max", "20000 40000" }) }, "CPUQuotaPeriodUSec=40000>=242\nCPUQuotaPerSecUSec=500000\n" },
	{ { UNIFIED({ "cpu.max", "max" }, { "cpu.weight", "10000" }) }, "CPUQuotaPerSecUSec=-\nCPUWeight=10000\n" },
	{ { UNIFIED({ "cpu.weight", "10001" }, { "pids.max", "x" }, { "memory.high", "-1" }) }, "" },
	{ { UNIFIED({ "cpuset.cpus", "1" }, { "cpuset.mems", "0-1" }) }, "AllowedCPUs=02>=244\nAllowedMemoryNodes=03>=244\n" },
	{ { UNIFIED({ "memory.oom.group", "1" }) }, "OOMPolicy=kill>=253\n" },
	{ { UNIFIED({ "memory.oom.group", "0" }) }, "OOMPolicy=continue>=253\n" },
	{ { .io_weight = 500 }, "IOWeight=4950\n" },
	{ { .io_weights = (const struct cgroup_device_weight[]){ { { 8, 16 }, 500 } }, .n_io_weights = 1 }, "" },
	{ { UNIFIED({ "io.weight", "default 200" }) }, "IOWeight=200\n" },
	{ { UNIFIED({ "io.weight", "300" }, { "io.weight", "8:0 50" }) }, "IOWeight=300\n" },
	{ { UNIFIED({ "io.max", "8:0 rbps=1" }, { "misc.max", "x 1" }) }, "" },
	/* What comes last wins, and what cannot be told leaves nothing that would contradict it. */
	{ { .memory_limit = 4096, UNIFIED({ "memory.max", "8192" }) }, "MemoryMax=8192\n" },
	{ { .has_pids = true, .pids = 5, UNIFIED({ "pids.max", "0" }) }, "" },
};

TEST(properties)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		_cleanup_free_ char *got = NULL;
		struct systemd_property *p = NULL;
		size_t n = 0;

		CHECK_INT(systemd_properties(a, &limits[i].r, 50000, &p, &n), 0);
		got = as_text(p, n);
		if (!CHECK_STR(got, limits[i].want))
			printf("#   case %zu\n", i);
	}
}

TEST(refused_as_the_files_are)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	const struct cgroup_resources r = { .memory_swap = 100 };
	struct systemd_property *p = NULL;
	size_t n = 0;

	CHECK_INT(systemd_properties(a, &r, 100000, &p, &n), -EINVAL);
}

TEST(property_bytes)
{
	static const uint8_t mask[] = { 0x8F, 0x01 };
	static const struct systemd_property all[] = {
		{ .name = "MemoryMax", .type = 't', .number = 5 },
		{ .name = "OOMPolicy", .type = 's', .text = "kill" },
		{ .name = "AllowedCPUs", .type = 'm', .mask = mask, .mask_len = 2 },
		{ .name = "AllowedCPUs", .type = 'm' },
	};
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct dbus_reader r;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		systemd_property_put(&b, &all[i]);
	r = (struct dbus_reader){ .data = (const uint8_t *)b.data, .len = b.len };
	dbus_skip(&r, "(sv)(sv)");
	CHECK(!r.failed);
	while (r.pos % 8 != 0)
		(void)dbus_get_byte(&r);
	CHECK_STR(dbus_get_string(&r), "AllowedCPUs");
	CHECK_STR(dbus_get_signature(&r), "ay");
	CHECK_INT(dbus_get_u32(&r), 2);
	CHECK_INT(dbus_get_byte(&r), 0x8F);
	CHECK_INT(dbus_get_byte(&r), 0x01);
	dbus_skip(&r, "(sv)");
	CHECK(!r.failed && r.pos == r.len);
}

TEST_MAIN(CASE(names), CASE(properties), CASE(refused_as_the_files_are), CASE(property_bytes))
