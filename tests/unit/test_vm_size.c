/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/vm_size: processors and memory of a microVM. */
#include "runtime/vm_size.h"

#include <errno.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

#define GIB (1024 * VM_MIB)

TEST(vcpus)
{
	static const struct {
		uint32_t hw;
		int64_t quota;
		uint64_t period;
		const char *cpus;
		unsigned int host, want;
		bool emulated;
	} cases[] = {
		{ .host = 8, .want = 4 },
		{ .host = 2, .want = 2 },
		{ .host = 1, .want = 1 },
		{ .emulated = true, .host = 8, .want = 1 },
		{ .emulated = true, .quota = 200000, .period = 100000, .host = 8, .want = 2 },
		{ .hw = 3, .host = 8, .want = 3 },
		{ .hw = 3, .host = 2, .want = 3 },			/* as it is: slower than asked for, but as many */
		{ .hw = 64, .host = 2, .want = 64 },
		{ .hw = 1, .quota = 400000, .period = 100000, .host = 8, .want = 1 },
		{ .quota = 100000, .period = 100000, .host = 8, .want = 1 },
		{ .quota = 100001, .period = 100000, .host = 8, .want = 2 },
		{ .quota = 1000, .period = 100000, .host = 8, .want = 1 },
		{ .quota = 350000, .host = 8, .want = 4 },		/* the kernel's period */
		{ .quota = 1600000, .period = 100000, .host = 8, .want = 8 },
		{ .quota = INT64_MAX, .period = 1, .host = 100, .want = 64 },
		{ .quota = INT64_MAX, .period = UINT64_MAX, .host = 8, .want = 1 },
		{ .quota = -1, .period = 100000, .host = 8, .want = 4 },
		{ .cpus = "0-3,7", .host = 8, .want = 5 },
		{ .cpus = "0-3,2,3", .host = 8, .want = 4 },
		{ .cpus = "0", .host = 8, .want = 1 },
		{ .cpus = "0-8191", .host = 8, .want = 8 },
		{ .cpus = "", .host = 8, .want = 4 },
		{ .cpus = "0-3", .quota = 150000, .period = 100000, .host = 8, .want = 2 },
		{ .cpus = "1", .quota = 800000, .period = 100000, .host = 8, .want = 1 },
		{ .cpus = "0-127", .host = 256, .want = 64 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_size_request q = { .hw_vcpus = cases[i].hw, .cpu_quota = cases[i].quota, .cpu_period = cases[i].period,
					     .cpus = cases[i].cpus, .host_cpus = cases[i].host, .emulated = cases[i].emulated };
		struct vm_size s = { 0 };

		if (!CHECK_INT(vm_size(&q, &s), 0) || !CHECK_INT(s.vcpus, cases[i].want))
			printf("#   case %zu: %s\n", i, err_text());
	}
}

TEST(memory)
{
	static const struct {
		uint64_t hw;
		int64_t limit;
		uint64_t host, want;
		bool qemu;
	} cases[] = {
		{ .want = VM_MEMORY_DEFAULT },
		{ .limit = -1, .want = VM_MEMORY_DEFAULT },
		{ .limit = GIB, .want = GIB - VM_OVERHEAD_KVM },
		{ .limit = GIB, .want = GIB - VM_OVERHEAD_QEMU, .qemu = true },
		{ .limit = GIB + 12345, .want = GIB - VM_OVERHEAD_KVM },
		{ .limit = VM_MEMORY_MIN + VM_OVERHEAD_KVM, .want = VM_MEMORY_MIN },
		{ .limit = VM_MEMORY_MIN + VM_OVERHEAD_QEMU, .want = VM_MEMORY_MIN, .qemu = true },
		{ .limit = 64 * GIB, .host = 24 * GIB + 4096, .want = 24 * GIB },
		{ .limit = INT64_MAX, .want = VM_MEMORY_MAX },
		{ .hw = 256 * VM_MIB, .want = 256 * VM_MIB },
		{ .hw = 256 * VM_MIB + 1, .want = 256 * VM_MIB },
		{ .hw = VM_MEMORY_MIN, .want = VM_MEMORY_MIN },
		{ .hw = 64 * GIB, .host = 24 * GIB, .want = 64 * GIB },	/* as it is: a guest need not touch all */
		{ .hw = 256 * VM_MIB, .limit = 256 * VM_MIB + VM_OVERHEAD_KVM, .want = 256 * VM_MIB },
		{ .hw = 256 * VM_MIB, .limit = -1, .want = 256 * VM_MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_size_request q = { .hw_memory = cases[i].hw, .memory_limit = cases[i].limit, .host_cpus = 1,
					     .host_memory = cases[i].host, .qemu = cases[i].qemu };
		struct vm_size s = { 0 };

		if (!CHECK_INT(vm_size(&q, &s), 0) || !CHECK_INT((int64_t)s.memory, (int64_t)cases[i].want))
			printf("#   case %zu: %s\n", i, err_text());
	}
}

/* The kernel's page tables of a large guest are in the same limit: all of it fits, and one MiB more would not. */
TEST(large)
{
	static const uint64_t limits[] = { 4 * GIB, 4 * GIB + VM_OVERHEAD_KVM, 4 * GIB + VM_OVERHEAD_KVM + 2 * VM_MIB, 16 * GIB, 16 * GIB + 1, 300 * GIB };
	uint64_t down = 0;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct vm_size_request q = { .memory_limit = (int64_t)limits[i], .host_cpus = 1 };
		struct vm_size s = { 0 };
		uint64_t tables, less = 1;

		if (!CHECK_INT(vm_size(&q, &s), 0))
			continue;
		tables = s.memory > 4 * GIB ? (s.memory - 4 * GIB) / 128 : 0;
		if (!CHECK(s.memory + tables + VM_OVERHEAD_KVM <= limits[i]) ||
		    !CHECK(s.memory + tables + VM_OVERHEAD_KVM + VM_MIB + VM_MIB / 128 > limits[i]))
			printf("#   case %zu: %" PRIu64 "\n", i, s.memory);
		/* What was chosen may be asked for, and the limit given again takes nothing from it. */
		CHECK_INT(vm_size_update(s.memory, limits[i], false, &less), 0);
		CHECK_INT(less, 0);
		q.hw_memory = s.memory;
		CHECK_INT(vm_size(&q, &s), 0);
		q.hw_memory += 2 * VM_MIB;
		CHECK_INT(vm_size(&q, &s), -ENOSPC);
	}
	/* From 16 GiB to 8: 8 GiB without 40 MiB, and without the tables of what is beyond 4 GiB, 31.4 MiB. */
	CHECK_INT(vm_size_update(16 * GIB, 8 * GIB, false, &down), 0);
	CHECK_INT(down / VM_MIB, 16384 - (8192 - 40 - 32));
}

TEST(refusals)
{
	static const struct {
		struct vm_size_request q;
		int want;
		const char *text;
	} cases[] = {
		{ { .hw_vcpus = 65 }, -ERANGE, "vm.hwConfig.vcpus: a microVM has at most 64 virtual CPUs, not 65" },
		{ { .cpus = "x" }, -EINVAL, "linux.resources.cpu.cpus: \"x\" is not a list of CPUs" },
		{ { .cpus = "3-1" }, -EINVAL, "is not a list of CPUs" },
		{ { .cpus = "1," }, -EINVAL, "is not a list of CPUs" },
		{ { .cpus = "1-" }, -EINVAL, "is not a list of CPUs" },
		{ { .cpus = "8192" }, -EINVAL, "is not a list of CPUs" },
		{ { .cpus = "99999999999999999999" }, -EINVAL, "is not a list of CPUs" },
		{ { .hw_memory = VM_MEMORY_MIN - 1 }, -ERANGE, "vm.hwConfig.memory: 95.9 MiB is too small for a microVM, which takes 96 MiB" },
		{ { .hw_memory = VM_MEMORY_MAX + 1 }, -ERANGE, "vm.hwConfig.memory: a microVM has at most" },
		{ { .hw_memory = UINT64_MAX, .memory_limit = INT64_MAX }, -ERANGE, "vm.hwConfig.memory: a microVM has at most" },
		{ { .hw_memory = GIB, .memory_limit = GIB }, -ENOSPC, "do not fit into linux.resources.memory.limit" },
		{ { .memory_limit = 1 }, -ENOSPC, "linux.resources.memory.limit: 1 B is too small for a microVM, which takes 136 MiB: 96" },
		{ { .memory_limit = 136 * VM_MIB - 1 }, -ENOSPC, "is too small for a microVM, which takes 136 MiB: 96" },
		{ { .memory_limit = 200 * VM_MIB, .qemu = true }, -ENOSPC, "is too small for a microVM, which takes 296 MiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_size_request q = cases[i].q;
		struct vm_size s = { 0 };

		q.host_cpus = 4;
		err_clear();
		if (!CHECK_INT(vm_size(&q, &s), cases[i].want) || !CHECK(strstr(err_text(), cases[i].text) != NULL))
			printf("#   case %zu: %s\n", i, err_text());
	}
}

TEST(update)
{
	static const uint64_t own = VM_OVERHEAD_KVM, qemu = VM_OVERHEAD_QEMU;
	static const struct {
		uint64_t booted, limit;
		int want;
		uint64_t less;
		bool qemu;
	} cases[] = {
		{ 512 * VM_MIB, 0, 0, 0, false },
		{ 512 * VM_MIB, 512 * VM_MIB + own, 0, 0, false },
		{ 512 * VM_MIB, 512 * VM_MIB + own + 1000, 0, 0, false },
		{ 512 * VM_MIB, 300 * VM_MIB + own, 0, 212 * VM_MIB, false },
		{ 512 * VM_MIB, 300 * VM_MIB + own + 1, 0, 212 * VM_MIB, false },
		{ 512 * VM_MIB, VM_MEMORY_MIN + own, 0, 512 * VM_MIB - VM_MEMORY_MIN, false },
		{ 512 * VM_MIB, VM_MEMORY_MIN + own - 1, -ENOSPC, 0, false },
		{ 512 * VM_MIB, 1, -ENOSPC, 0, false },
		{ 512 * VM_MIB, 514 * VM_MIB + own, -ERANGE, 0, false },
		{ 512 * VM_MIB, UINT64_MAX, -ERANGE, 0, false },
		/* QEMU's own share is another. */
		{ 512 * VM_MIB, 300 * VM_MIB + qemu, 0, 212 * VM_MIB, true },
		{ 512 * VM_MIB, VM_MEMORY_MIN + qemu - 1, -ENOSPC, 0, true },
		{ 512 * VM_MIB, 514 * VM_MIB + qemu, -ERANGE, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t less = 1;

		CHECK_INT(vm_size_update(cases[i].booted, cases[i].limit, cases[i].qemu, &less), cases[i].want);
		CHECK_INT((int64_t)less, (int64_t)cases[i].less);
	}
}

TEST_MAIN(CASE(vcpus), CASE(memory), CASE(large), CASE(refusals), CASE(update))
