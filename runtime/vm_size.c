/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_size.h. */
#include "runtime/vm_size.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/size.h"

#define CPU_PERIOD_DEFAULT 100000U	/* the kernel's */
#define CPU_NUMBER_MAX 8191U		/* the kernel's largest NR_CPUS */

/* ---- processors ---- */

/* A number of at most four digits at *s. */
static int take_number(const char **s, uint64_t *ret)
{
	size_t n = strspn(*s, "0123456789");
	char text[8];

	if (n == 0 || n >= sizeof(text))
		return -EINVAL;
	memcpy(text, *s, n);
	text[n] = '\0';
	*s += n;
	return parse_u64(text, 0, CPU_NUMBER_MAX, ret);
}

/* How many CPUs a list as "0-3,7" names; one that is named twice counts once. */
static int count_cpus(const char *list, unsigned int *ret_n)
{
	unsigned char seen[CPU_NUMBER_MAX + 1] = { 0 };
	const char *s = list;
	uint64_t from, to;

	*ret_n = 0;
	for (;;) {
		if (take_number(&s, &from) < 0)
			return -EINVAL;
		to = from;
		if (*s == '-' && (s++, take_number(&s, &to) < 0 || to < from))
			return -EINVAL;
		for (uint64_t i = from; i <= to; i++) {
			*ret_n += seen[i] == 0;
			seen[i] = 1;
		}
		if (*s != ',')
			return *s == '\0' || strcmp(s, "\n") == 0 ? 0 : -EINVAL;
		s++;
	}
}

static unsigned int quota_cpus(const struct vm_size_request *q)
{
	uint64_t period = q->cpu_period != 0 ? q->cpu_period : CPU_PERIOD_DEFAULT;
	uint64_t n = (uint64_t)q->cpu_quota / period + ((uint64_t)q->cpu_quota % period != 0);

	return n < VM_VCPUS_MAX ? (unsigned int)n : VM_VCPUS_MAX;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static int size_vcpus(const struct vm_size_request *q, unsigned int *ret)
{
	unsigned int n = least(q->host_cpus, VM_VCPUS_MAX), listed;

	if (q->hw_vcpus > VM_VCPUS_MAX)
		return ERR_PLAIN(-ERANGE, "vm.hwConfig.vcpus: a microVM has at most %u virtual CPUs, not %u", VM_VCPUS_MAX, q->hw_vcpus);
	if (q->hw_vcpus > 0) {
		*ret = q->hw_vcpus;
		return 0;
	}
	if (q->cpus != NULL && *q->cpus != '\0') {
		if (count_cpus(q->cpus, &listed) < 0)
			return ERR_PLAIN(-EINVAL, "linux.resources.cpu.cpus: \"%.64s\" is not a list of CPUs", q->cpus);
		n = least(n, listed);
	} else if (q->cpu_quota <= 0) {
		n = q->emulated ? 1 : least(n, VM_VCPUS_DEFAULT);
	}
	if (q->cpu_quota > 0)
		n = least(n, quota_cpus(q));
	*ret = n;
	return 0;
}

/* ---- memory ---- */

static uint64_t whole_mib(uint64_t bytes)
{
	return bytes / VM_MIB * VM_MIB;
}

/* fixed: one of VM_OVERHEAD_*. What is in the cgroup beside so much memory. */
static uint64_t fixed_overhead(bool qemu)
{
	return qemu ? VM_OVERHEAD_QEMU : VM_OVERHEAD_KVM;
}

static const char *monitor_name(bool qemu)
{
	return qemu ? "QEMU and its helpers" : "the monitor and its helpers";
}

static uint64_t overhead_of(uint64_t fixed, uint64_t memory)
{
	return fixed + (memory > VM_TABLES_INCLUDED ? (memory - VM_TABLES_INCLUDED) / VM_TABLES_SHARE : 0);
}

/* The other way round: the most memory whose overhead fits into the limit, too; that is at least fixed. */
static uint64_t memory_of(uint64_t fixed, uint64_t limit)
{
	uint64_t memory = limit - fixed, beyond;

	if (memory <= VM_TABLES_INCLUDED)
		return memory;
	beyond = memory - VM_TABLES_INCLUDED;
	return VM_TABLES_INCLUDED + beyond - beyond / (VM_TABLES_SHARE + 1) - (beyond % (VM_TABLES_SHARE + 1) != 0);
}

static int too_small(uint64_t limit, uint64_t overhead, const char *monitor)
{
	char l[SIZE_TEXT_MAX], o[SIZE_TEXT_MAX], m[SIZE_TEXT_MAX], need[SIZE_TEXT_MAX];

	size_text(limit, " ", l);
	size_text(overhead, " ", o);
	size_text(VM_MEMORY_MIN, " ", m);
	size_text(VM_MEMORY_MIN + overhead, " ", need);
	return ERR_PLAIN(-ENOSPC, "linux.resources.memory.limit: %s is too small for a microVM, which takes %s: %s for the guest and %s for %s",
			 l, need, m, o, monitor);
}

/* What config.json names itself is taken as it is, or not at all. */
static int exact_memory(const struct vm_size_request *q, uint64_t overhead, uint64_t *ret)
{
	char asked[SIZE_TEXT_MAX], other[SIZE_TEXT_MAX], o[SIZE_TEXT_MAX];

	size_text(q->hw_memory, " ", asked);
	if (q->hw_memory < VM_MEMORY_MIN) {
		size_text(VM_MEMORY_MIN, " ", other);
		return ERR_PLAIN(-ERANGE, "vm.hwConfig.memory: %s is too small for a microVM, which takes %s", asked, other);
	}
	if (q->hw_memory > VM_MEMORY_MAX) {
		size_text(VM_MEMORY_MAX, " ", other);
		return ERR_PLAIN(-ERANGE, "vm.hwConfig.memory: a microVM has at most %s, not %s", other, asked);
	}
	if (q->memory_limit > 0 && whole_mib(q->hw_memory) + overhead > (uint64_t)q->memory_limit) {
		size_text((uint64_t)q->memory_limit, " ", other);
		size_text(overhead, " ", o);
		return ERR_PLAIN(-ENOSPC, "vm.hwConfig.memory: %s and %s for the monitor do not fit into linux.resources.memory.limit, %s", asked,
				 o, other);
	}
	*ret = whole_mib(q->hw_memory);
	return 0;
}

static int size_memory(const struct vm_size_request *q, uint64_t *ret)
{
	uint64_t overhead = fixed_overhead(q->qemu), limit = (uint64_t)q->memory_limit;

	if (q->hw_memory > 0)
		return exact_memory(q, overhead_of(overhead, q->hw_memory), ret);
	if (q->memory_limit <= 0) {
		*ret = VM_MEMORY_DEFAULT;
		return 0;
	}
	if (limit < VM_MEMORY_MIN + overhead)
		return too_small(limit, overhead, monitor_name(q->qemu));
	limit = memory_of(overhead, limit);
	if (q->host_memory >= VM_MEMORY_MIN && limit > q->host_memory)
		limit = q->host_memory;
	*ret = whole_mib(limit < VM_MEMORY_MAX ? limit : VM_MEMORY_MAX);
	return 0;
}

int vm_size(const struct vm_size_request *q, struct vm_size *ret)
{
	int r = size_vcpus(q, &ret->vcpus);

	return r < 0 ? r : size_memory(q, &ret->memory);
}

int vm_size_update(uint64_t booted, uint64_t limit, bool qemu, uint64_t *ret_less)
{
	const uint64_t overhead = fixed_overhead(qemu);
	char l[SIZE_TEXT_MAX], most[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	uint64_t memory;

	*ret_less = 0;
	if (limit == 0)
		return 0;
	if (limit < VM_MEMORY_MIN + overhead)
		return too_small(limit, overhead, monitor_name(qemu));
	memory = memory_of(overhead, limit);
	/* A limit that was no multiple of 1 MiB, or larger than the host, comes back as it was given. */
	if (memory > booted + VM_MIB) {
		size_text(limit, " ", l);
		size_text(booted + overhead_of(overhead, booted), " ", most);
		size_text(booted, " ", b);
		return ERR_PLAIN(-ERANGE, "linux.resources.memory.limit: %s is more than the %s of a microVM that was started with %s of memory, "
				 "which cannot grow", l, most, b);
	}
	*ret_less = memory < booted ? booted - whole_mib(memory) : 0;
	return 0;
}
