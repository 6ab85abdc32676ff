/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's schedulers and its NUMA allocator know of a process: runtime-spec "process.scheduler", "ioPriority",
 * "execCPUAffinity" and "linux.memoryPolicy". The texts are config.json's words, which a plan prints and hands on;
 * the numbers beside them are the kernel's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CPUs or memory nodes: as many as Linux can be built for (CONFIG_NR_CPUS; nodes are fewer). */
#define ID_SET_MAX 8192U
#define MEMORY_NODES_MAX 1024U

struct id_set {
	unsigned long bits[ID_SET_MAX / (8 * sizeof(unsigned long))];
	unsigned int end;	/* one above the highest; 0: empty */
};

/*
 * "0-3,7" (spaces after a comma are allowed) into a set of numbers below max. -EINVAL: not such a list, or a range that goes down;
 * -ERANGE: a number that is not below max. No text: the caller knows the name.
 */
int id_set_parse(const char *text, unsigned int max, struct id_set *ret_set);

/* "0x…", the lowest number in the last bit: for a log. */
#define ID_SET_HEX_SIZE (sizeof("0x") + ID_SET_MAX / 4)
void id_set_hex(const struct id_set *s, char text[ID_SET_HEX_SIZE]);

/* For sched_setattr(2). */
struct scheduler_req {
	const char *policy;		/* "SCHED_…" */
	const char *const *flags;	/* "SCHED_FLAG_…" */
	size_t n_flags;
	uint32_t policy_number;
	uint64_t flag_bits;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;	/* ns */
};

struct io_priority_req {
	const char *class_name;		/* "IOPRIO_CLASS_…" */
	unsigned int class_number;
	unsigned int priority;		/* 0…7 */
};

/* For set_mempolicy(2). */
struct memory_policy_req {
	const char *mode;		/* "MPOL_…" */
	const char *const *flags;	/* "MPOL_F_…" */
	size_t n_flags;
	const char *nodes;		/* NULL: none */
	int mode_bits;			/* MPOL_…, with the flags */
	struct id_set node_set;
};

/* A list of CPUs and its text. */
struct affinity_req {
	const char *text;
	struct id_set cpus;
};

/* The numbers of config.json's words; -EINVAL: not one of them. */
int scheduler_policy(const char *name, uint32_t *ret_number);
int scheduler_flag(const char *name, uint64_t *ret_bit);
int io_priority_class(const char *name, unsigned int *ret_number);
int memory_policy_mode(const char *name, int *ret_number);
int memory_policy_flag(const char *name, int *ret_bit);

/* The words themselves, for `features`: the i'th, or NULL. */
const char *memory_policy_mode_at(size_t i);
const char *memory_policy_flag_at(size_t i);

/*
 * Of the calling process, and with it of what it executes: the first two need CAP_SYS_NICE, of the host, for more than the caller
 * has. -ENOTSUP: the kernel has no such policy. Errors name the JSON path.
 */
int scheduler_set(const struct scheduler_req *s);
/* Of the calling process' group, as the specification has it. */
int io_priority_set(const struct io_priority_req *p);
/* which: "initial" or "final", for the error's text. */
int affinity_set(const struct affinity_req *a, const char *which);
/* The CPUs that the calling process may run on, offline ones left out by the kernel. */
int affinity_get(struct id_set *ret_cpus);
int memory_policy_set(const struct memory_policy_req *m);
