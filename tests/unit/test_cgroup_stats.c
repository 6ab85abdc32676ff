/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups/stats: the kernel's texts, whole, odd and cut at every byte; and one real cgroup, if this
 * process may make one.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/oom.h"
#include "cgroups/stats_parse.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

TEST(numbers)
{
	static const struct {
		const char *text;
		bool has;
		uint64_t value;
	} cases[] = {
		{ "0\n", true, 0 },
		{ "4096\n", true, 4096 },
		{ "4096", true, 4096 },
		{ "max\n", true, CGROUP_UNLIMITED },
		{ "18446744073709551615\n", true, UINT64_MAX },
		{ "18446744073709551616\n", false, 0 },
		{ "", false, 0 },
		{ "\n", false, 0 },
		{ "ma", false, 0 },
		{ "-1\n", false, 0 },
		{ "1 2\n", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);
		struct cgroup_number n = { .has = !cases[i].has };

		cgroup_parse_number(text, &n);
		CHECK(n.has == cases[i].has);
		if (n.has)
			CHECK(n.value == cases[i].value);
	}
}

static const char cpu_stat[] = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 7\n"
			       "core_sched.force_idle_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250\n"
			       "nr_bursts 2\nburst_usec 3\n";

TEST(cpu)
{
	_cleanup_free_ char *text = strdup(cpu_stat), *bare = strdup("usage_usec 3\nuser_usec 2\nsystem_usec 1\n");
	_cleanup_free_ char *odd = strdup("usage_usec 18446744073709551615\n user_usec 5\nsystem_usec x\n\nnr_periods\n");
	struct cgroup_cpu_stats s = { .has = false };

	cgroup_parse_cpu(text, &s);
	CHECK(s.has);
	CHECK_INT(s.usage_ns, 1500000000);
	CHECK_INT(s.user_ns, 1000000000);
	CHECK_INT(s.system_ns, 500000000);
	CHECK_INT(s.periods, 10);
	CHECK_INT(s.throttled_periods, 4);
	CHECK_INT(s.throttled_ns, 250000);
	CHECK_INT(s.bursts, 2);
	CHECK_INT(s.burst_ns, 3000);
	s = (struct cgroup_cpu_stats){ .has = false };
	cgroup_parse_cpu(bare, &s);
	CHECK_INT(s.usage_ns, 3000);
	CHECK_INT(s.periods, 0);
	s = (struct cgroup_cpu_stats){ .has = false };
	cgroup_parse_cpu(odd, &s);
	CHECK(s.usage_ns == UINT64_MAX);
	CHECK_INT(s.user_ns, 0);
	CHECK_INT(s.system_ns, 0);
}

static const char memory_stat[] = "anon 4096\nfile 8192\nslab 1\nshmem odd\nworkingset_refault_anon 0\n";

TEST(memory_stat_whole)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 };

	CHECK_INT(cgroup_parse_memory_stat(strdup(memory_stat), &s.memory), 0);
	if (!CHECK_INT(s.memory.n_stat, 4))
		return;
	CHECK_STR(s.memory.stat[0].key, "anon");
	CHECK_STR(s.memory.stat[3].key, "workingset_refault_anon");
	CHECK_INT(cgroup_stats_memory(&s, "file"), 8192);
	CHECK_INT(cgroup_stats_memory(&s, "shmem"), 0);
	CHECK_INT(cgroup_stats_memory(&s, "nothing"), 0);
	/* Again, and of nothing: what was there is replaced. */
	CHECK_INT(cgroup_parse_memory_stat(strdup(""), &s.memory), 0);
	CHECK_INT(s.memory.n_stat, 0);
}

TEST(memory_events)
{
	_cleanup_free_ char *text = strdup("low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\nsock_throttled 7\n");
	struct cgroup_memory_events e = { .has = false };

	cgroup_parse_memory_events(text, &e);
	CHECK(e.has);
	CHECK_INT(e.low, 1);
	CHECK_INT(e.high, 2);
	CHECK_INT(e.max, 3);
	CHECK_INT(e.oom, 4);
	CHECK_INT(e.oom_kill, 5);
	CHECK_INT(e.oom_group_kill, 6);
}

static const char pressure[] = "some avg10=1.05 avg60=99.99 avg300=100.00 total=123456789\n"
			       "full avg10=0.00 avg60=0.10 avg300=0.01 total=0\n";

TEST(psi)
{
	static const char *const odd[] = { "", "\n", "some", "some \n", "none avg10=1.00", "some avg10=1 avg60=x.yz avg300=1.234" };
	_cleanup_free_ char *text = strdup(pressure);
	struct cgroup_psi p = { .has = false };

	cgroup_parse_psi(text, &p);
	CHECK(p.has);
	CHECK_INT(p.some.avg10, 105);
	CHECK_INT(p.some.avg60, 9999);
	CHECK_INT(p.some.avg300, 10000);
	CHECK_INT(p.some.total_usec, 123456789);
	CHECK_INT(p.full.avg10, 0);
	CHECK_INT(p.full.avg60, 10);
	CHECK_INT(p.full.avg300, 1);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		_cleanup_free_ char *o = strdup(odd[i]);

		p = (struct cgroup_psi){ .has = false };
		cgroup_parse_psi(o, &p);
		CHECK_INT(p.some.avg10 + p.some.avg60 + p.some.avg300, 0);
	}
}

static const char io_stat[] = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n"
			      "259:65535 rbytes=10 wbytes=20 rios=30 wios=40 dbytes=50 dios=60\n";

TEST(io)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 }, odd = { .n_rdma = 0 };
	_cleanup_free_ char *text = strdup(io_stat);
	/* What Linux 5.17 to 6.x prints of idle devices: no line end after them. */
	_cleanup_free_ char *idle = strdup("7:7 7:6 253:0 rbytes=1 wios=2\n8:0 \nrbytes=9\n11:0 \n");

	CHECK_INT(cgroup_parse_io(text, &s.io), 0);
	if (!CHECK_INT(s.io.n_devices, 2))
		return;
	CHECK_INT(s.io.devices[0].major, 8);
	CHECK_INT(s.io.devices[0].minor, 0);
	CHECK_INT(s.io.devices[0].rbytes, 1);
	CHECK_INT(s.io.devices[0].dios, 6);
	CHECK_INT(s.io.devices[1].major, 259);
	CHECK_INT(s.io.devices[1].minor, 65535);
	CHECK_INT(s.io.devices[1].wbytes, 20);
	CHECK_INT(s.io.devices[1].wios, 40);
	CHECK_INT(s.io.devices[1].dbytes, 50);
	CHECK_INT(cgroup_parse_io(idle, &odd.io), 0);
	if (!CHECK_INT(odd.io.n_devices, 2))
		return;
	CHECK_INT(odd.io.devices[0].major, 253);
	CHECK_INT(odd.io.devices[0].wios, 2);
	CHECK_INT(odd.io.devices[1].rbytes, 9);
}

TEST(lists)
{
	static const struct {
		const char *text, *joined;
	} cases[] = {
		{ "0-3,7\n", "0 1 2 3 7 " },
		{ "0\n", "0 " },
		{ "", "" },
		{ "\n", "" },
		{ "65535", "65535 " },
		{ "65536,0-4294967295", "" },
		{ "3-1,4", "4 " },
		{ "0-2,0-2,1,5", "0 1 2 5 " },
		{ "x,-,1-,2", "2 " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);
		_cleanup_buf_ struct buf b = BUF_NULL;
		struct cgroup_list l = { .has = false };

		CHECK_INT(cgroup_parse_list(text, &l), 0);
		CHECK(l.has);
		for (size_t k = 0; k < l.n; k++)
			buf_printf(&b, "%d ", l.v[k]);
		CHECK_STR(b.data != NULL ? b.data : "", cases[i].joined);
		free(l.v);
	}
}

TEST(hugetlb)
{
	static const struct {
		const char *name, *size;
	} cases[] = {
		{ "hugetlb.2MB.current", "2MB" }, { "hugetlb.1GB.current", "1GB" },
		{ "hugetlb.2MB.max", NULL }, { "hugetlb.2MB.rsvd.current", NULL },
		{ "hugetlb..current", NULL }, { "hugetlb.current", NULL },
		{ "memory.current", NULL }, { "hugetlb.0123456789012345.current", NULL },
		{ "hugetlb.2MB.current.x", NULL }, { "", NULL },
	};
	char size[16], text[] = "max 12\n", empty[] = "";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK(cgroup_parse_hugetlb_name(cases[i].name, size) == (cases[i].size != NULL));
		if (cases[i].size != NULL)
			CHECK_STR(size, cases[i].size);
	}
	CHECK_INT(cgroup_parse_failures(text), 12);
	CHECK_INT(cgroup_parse_failures(empty), 0);
}

static const char rdma_current[] = "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n";

TEST(rdma)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 };
	_cleanup_free_ char *text = strdup(rdma_current);

	CHECK_INT(cgroup_parse_rdma(text, &s), 0);
	if (!CHECK_INT(s.n_rdma, 2))
		return;
	CHECK_STR(s.rdma[0].device, "mlx4_0");
	CHECK_INT(s.rdma[0].handles, 2);
	CHECK_INT(s.rdma[0].objects, 2000);
	CHECK_INT(s.rdma[1].handles, 3);
	CHECK_INT(s.rdma[1].objects, 0);
}

static void parse_all(const char *text, size_t len)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 };
	struct cgroup_number n;

	for (int i = 0; i < 8; i++) {
		/* Of exactly this size, so that a sanitizer sees a byte too far. */
		char *copy = strndup(text, len);

		if (copy == NULL)
			return;
		switch (i) {
		case 0: cgroup_parse_number(copy, &n); break;
		case 1: cgroup_parse_cpu(copy, &s.cpu); break;
		case 2: cgroup_parse_memory_events(copy, &s.memory.events); break;
		case 3: cgroup_parse_psi(copy, &s.memory.psi); break;
		case 4: (void)cgroup_parse_io(copy, &s.io); break;
		case 5: (void)cgroup_parse_rdma(copy, &s); break;
		case 6: (void)cgroup_parse_list(copy, &s.cpus); break;
		default: (void)cgroup_parse_memory_stat(strdup(copy), &s.memory); break;
		}
		free(copy);
	}
}

/* Every parser with every text, cut at every byte, and with every byte replaced by one that separates. */
TEST(cut_and_damaged)
{
	static const char *const texts[] = { cpu_stat, memory_stat, pressure, io_stat, rdma_current, "0-3,7\n", "max\n",
					     "= =\n:=: 1:=2\n\n  \n" };
	static const char bad[] = " \n=:,-.9";

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t len = strlen(texts[i]);

		for (size_t cut = 0; cut <= len; cut++)
			parse_all(texts[i], cut);
		for (size_t at = 0; at < len; at += 3) {
			_cleanup_free_ char *copy = strdup(texts[i]);

			for (size_t k = 0; k < strlen(bad); k++) {
				copy[at] = bad[k];
				parse_all(copy, len);
			}
		}
	}
	CHECK(true);
}

/* What every cgroup has; and that what is not enabled is absent, not an error. */
TEST(real)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 }, gone = { .n_rdma = 0 };
	_cleanup_close_ int fd = FD_NONE;
	struct cgroup_oom oom = { .kills = 1 };
	struct cgroup_host host;
	char path[64];
	size_t from;

	if (cgroup_host_probe(&host) < 0 || host.mode == CGROUP_NONE || geteuid() != 0 || access(host.mount, W_OK) < 0) {
		test_skip("needs root and a writable cgroup2");
		return;
	}
	snprintf(path, sizeof(path), "/nacre-test-stats-%ld", (long)getpid());
	if (!CHECK_INT(cgroup_create(&host, path, &fd, &from), 0))
		return;
	CHECK_INT(cgroup_stats_read(fd, &s), 0);
	CHECK(s.cpu.has);
	CHECK_INT(s.cpu.usage_ns, 0);
	CHECK_INT(cgroup_oom_read(fd, &oom), 0);
	CHECK_INT(oom.kills, 0);
	CHECK(oom.limit == CGROUP_UNLIMITED);
	CHECK_INT(cgroup_remove(&host, path, from), 0);
	CHECK_INT(cgroup_stats_read(fd, &gone), -ENOENT);
	CHECK_STR(err_text(), "the cgroup is gone");
	CHECK_INT(cgroup_oom_read(fd, &oom), 0);
	CHECK_INT(oom.kills, 0);
}

TEST_MAIN(CASE(numbers), CASE(cpu), CASE(memory_stat_whole), CASE(memory_events), CASE(psi), CASE(io), CASE(lists), CASE(hugetlb),
	  CASE(rdma), CASE(cut_and_damaged), CASE(real))
