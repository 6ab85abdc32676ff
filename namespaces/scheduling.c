/* SPDX-License-Identifier: Apache-2.0 */
/* See scheduling.h. */
#include "namespaces/scheduling.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* linux/sched.h collides with sched.h in some of its versions, and its SCHED_ISO is a comment. */
enum { POLICY_OTHER, POLICY_FIFO, POLICY_RR, POLICY_BATCH, POLICY_ISO, POLICY_IDLE, POLICY_DEADLINE };

/* Linux 6.9; mode 5, PREFERRED_MANY, is of 5.15. */
enum { MODE_PREFERRED_MANY = 5, MODE_WEIGHTED_INTERLEAVE = 6 };

struct word {
	const char *name;
	uint64_t number;
};

static const struct word policies[] = {
	{ "SCHED_OTHER", POLICY_OTHER }, { "SCHED_FIFO", POLICY_FIFO },
	{ "SCHED_RR", POLICY_RR },	 { "SCHED_BATCH", POLICY_BATCH },
	{ "SCHED_ISO", POLICY_ISO },	 { "SCHED_IDLE", POLICY_IDLE },
	{ "SCHED_DEADLINE", POLICY_DEADLINE },
};

static const struct word flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};

static const struct word io_classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
};

static const struct word memory_modes[] = {
	{ "MPOL_DEFAULT", MPOL_DEFAULT },
	{ "MPOL_BIND", MPOL_BIND },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE },
	{ "MPOL_WEIGHTED_INTERLEAVE", MODE_WEIGHTED_INTERLEAVE },
	{ "MPOL_PREFERRED", MPOL_PREFERRED },
	{ "MPOL_PREFERRED_MANY", MODE_PREFERRED_MANY },
	{ "MPOL_LOCAL", MPOL_LOCAL },
};

static const struct word memory_flags[] = {
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
	{ "MPOL_F_RELATIVE_NODES", 1 << 14 },
	{ "MPOL_F_STATIC_NODES", 1 << 15 },
};

static int number_of(const struct word *v, size_t n, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(v[i].name, name)) {
			*ret = v[i].number;
			return 0;
		}
	}
	return -EINVAL;
}

int scheduler_policy(const char *name, uint32_t *ret_number)
{
	uint64_t v = 0;
	int r = number_of(policies, ARRAY_SIZE(policies), name, &v);

	*ret_number = (uint32_t)v;
	return r;
}

int scheduler_flag(const char *name, uint64_t *ret_bit)
{
	return number_of(flags, ARRAY_SIZE(flags), name, ret_bit);
}

int io_priority_class(const char *name, unsigned int *ret_number)
{
	uint64_t v = 0;
	int r = number_of(io_classes, ARRAY_SIZE(io_classes), name, &v);

	*ret_number = (unsigned int)v;
	return r;
}

int memory_policy_mode(const char *name, int *ret_number)
{
	uint64_t v = 0;
	int r = number_of(memory_modes, ARRAY_SIZE(memory_modes), name, &v);

	*ret_number = (int)v;
	return r;
}

int memory_policy_flag(const char *name, int *ret_bit)
{
	uint64_t v = 0;
	int r = number_of(memory_flags, ARRAY_SIZE(memory_flags), name, &v);

	*ret_bit = (int)v;
	return r;
}

const char *memory_policy_mode_at(size_t i)
{
	return i < ARRAY_SIZE(memory_modes) ? memory_modes[i].name : NULL;
}

const char *memory_policy_flag_at(size_t i)
{
	return i < ARRAY_SIZE(memory_flags) ? memory_flags[i].name : NULL;
}

/* ---- lists ---- */

/* The number that text begins with; *end is behind it. */
static int leading_number(const char *text, unsigned int max, uint64_t *ret, const char **end)
{
	char digits[16];
	size_t n = strspn(text, "0123456789");

	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, n);
	digits[n] = '\0';
	*end = text + n;
	return parse_u64(digits, 0, max - 1, ret);
}

#define BITS_PER_WORD (8 * sizeof(unsigned long))

static void add_range(struct id_set *s, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++)
		s->bits[i / BITS_PER_WORD] |= 1UL << (i % BITS_PER_WORD);
	if (last + 1 > s->end)
		s->end = (unsigned int)last + 1;
}

int id_set_parse(const char *text, unsigned int max, struct id_set *ret_set)
{
	*ret_set = (struct id_set){ .end = 0 };
	for (;;) {
		uint64_t first, last;
		int r = leading_number(text, max, &first, &text);

		last = first;
		if (r == 0 && *text == '-')
			r = leading_number(text + 1, max, &last, &text);
		if (r < 0)
			return r;
		if (last < first)
			return -EINVAL;
		add_range(ret_set, first, last);
		if (*text == '\0')
			return 0;
		if (*text++ != ',')
			return -EINVAL;
		text += strspn(text, " ");
	}
}

void id_set_hex(const struct id_set *s, char text[ID_SET_HEX_SIZE])
{
	size_t word = s->end > 0 ? (s->end - 1) / BITS_PER_WORD : 0;
	int n = snprintf(text, ID_SET_HEX_SIZE, "0x%lx", s->bits[word]);

	while (word-- > 0)
		n += snprintf(text + n, ID_SET_HEX_SIZE - (size_t)n, "%0*lx", (int)BITS_PER_WORD / 4, s->bits[word]);
}

/* ---- the kernel ---- */

static bool is_fair(uint32_t policy)
{
	return policy == POLICY_OTHER || policy == POLICY_BATCH;
}

int scheduler_set(const struct scheduler_req *s)
{
	struct sched_attr a = {
		.size = sizeof(a),
		.sched_policy = s->policy_number,
		.sched_flags = s->flag_bits,
		.sched_nice = s->nice,
		.sched_priority = s->priority,
		.sched_runtime = s->runtime,
		.sched_deadline = s->deadline,
		.sched_period = s->period,
	};

	/* sched_setattr(2) takes the nice value with two policies; with the others it is what they fall back to. */
	if (!is_fair(s->policy_number) && s->nice != 0 && setpriority(PRIO_PROCESS, 0, s->nice) < 0)
		return ERR(-errno, "process.scheduler.nice: cannot set it to %d", s->nice);
	if (syscall(SYS_sched_setattr, 0, &a, 0) == 0)
		return 0;
	if (s->policy_number == POLICY_ISO && errno == EINVAL)
		return ERR_PLAIN(-ENOTSUP, "process.scheduler.policy: this kernel has no SCHED_ISO");
	return ERR(-errno, "process.scheduler: cannot set %s", s->policy);
}

int io_priority_set(const struct io_priority_req *p)
{
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PGRP, 0, IOPRIO_PRIO_VALUE(p->class_number, p->priority)) < 0)
		return ERR(-errno, "process.ioPriority: cannot set %s, %u", p->class_name, p->priority);
	return 0;
}

int affinity_set(const struct affinity_req *a, const char *which)
{
	if (syscall(SYS_sched_setaffinity, 0, sizeof(a->cpus.bits), a->cpus.bits) < 0) {
		if (errno == EINVAL)
			return ERR_PLAIN(-EINVAL, "process.execCPUAffinity.%s: none of the CPUs \"%s\" may be used here", which, a->text);
		return ERR(-errno, "process.execCPUAffinity.%s: cannot set \"%s\"", which, a->text);
	}
	return 0;
}

int affinity_get(struct id_set *ret_cpus)
{
	*ret_cpus = (struct id_set){ .end = 0 };
	if (syscall(SYS_sched_getaffinity, 0, sizeof(ret_cpus->bits), ret_cpus->bits) < 0)
		return ERR(-errno, "cannot read the CPU affinity");
	for (unsigned int i = 0; i < ID_SET_MAX; i++)
		if ((ret_cpus->bits[i / BITS_PER_WORD] >> (i % BITS_PER_WORD) & 1) != 0)
			ret_cpus->end = i + 1;
	return 0;
}

int memory_policy_set(const struct memory_policy_req *m)
{
	/* maxnode counts one more than the kernel reads (its get_nodes()). */
	const unsigned long *nodes = m->node_set.end > 0 ? m->node_set.bits : NULL;

	if (syscall(SYS_set_mempolicy, m->mode_bits, nodes, nodes != NULL ? (unsigned long)m->node_set.end + 1 : 0UL) == 0)
		return 0;
	if (errno == ENOSYS)
		return ERR_PLAIN(-ENOTSUP, "linux.memoryPolicy: this kernel has no memory policies (CONFIG_NUMA)");
	if (errno == EINVAL)
		return ERR_PLAIN(-EINVAL, "linux.memoryPolicy: the kernel takes no %s with these flags%s%s%s (or none of the nodes has memory "
				 "that may be used here)", m->mode, m->nodes != NULL ? " and the nodes \"" : "",
				 m->nodes != NULL ? m->nodes : "", m->nodes != NULL ? "\"" : "");
	return ERR(-errno, "linux.memoryPolicy: cannot set %s", m->mode);
}
