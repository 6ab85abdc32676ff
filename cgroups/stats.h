/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup has used, as plain data. Every figure is the kernel's own; one that it does not give
 * (controller not enabled, kernel older, pressure switched off) is absent, which is no error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a limit of "max" is. */
#define CGROUP_UNLIMITED UINT64_MAX

/* A file of one number. */
struct cgroup_number {
	bool has;
	uint64_t value;
};

/* Pressure stall information: how much of the time some or all tasks waited. */
struct cgroup_psi_line {
	uint32_t avg10, avg60, avg300;	/* hundredths of a percent */
	uint64_t total_usec;
};

struct cgroup_psi {
	bool has;
	struct cgroup_psi_line some, full;
};

/* cpu.stat: the first three exist without the controller, the rest are 0 without it. */
struct cgroup_cpu_stats {
	bool has;
	uint64_t usage_ns, user_ns, system_ns;
	uint64_t periods, throttled_periods, throttled_ns;
	uint64_t bursts, burst_ns;
	struct cgroup_psi psi;
};

/* A line of memory.stat. */
struct cgroup_counter {
	const char *key;	/* in the stats' own memory */
	uint64_t value;
};

struct cgroup_memory_events {
	bool has;
	uint64_t low, high, max, oom, oom_kill, oom_group_kill;
};

struct cgroup_memory_stats {
	/* Bytes. The peaks need Linux 5.19 and 6.5. Swap is swap only, not the sum with memory. */
	struct cgroup_number current, max, peak, swap_current, swap_max, swap_peak;
	struct cgroup_counter *stat;	/* memory.stat, whole, in its order */
	size_t n_stat;
	char *stat_text;		/* what the keys point into */
	struct cgroup_memory_events events;
	struct cgroup_psi psi;
};

struct cgroup_pids_stats {
	struct cgroup_number current, max;
};

struct cgroup_io_device {
	uint32_t major, minor;
	uint64_t rbytes, wbytes, rios, wios, dbytes, dios;
};

struct cgroup_io_stats {
	bool has;
	struct cgroup_io_device *devices;
	size_t n_devices;
	struct cgroup_psi psi;
};

struct cgroup_hugetlb_stats {
	char size[16];			/* "2MB", as the kernel spells it */
	struct cgroup_number current, max;
	struct cgroup_number reserved;	/* with what is reserved and not in use yet */
	uint64_t failures;		/* how often the limit was hit */
};

struct cgroup_rdma_stats {
	char device[64];
	uint64_t handles, objects;
};

/* Numbers of CPUs or memory nodes, ascending as the kernel lists them. */
struct cgroup_list {
	bool has;
	uint16_t *v;
	size_t n;
};

struct cgroup_stats {
	struct cgroup_cpu_stats cpu;
	struct cgroup_memory_stats memory;
	struct cgroup_pids_stats pids;
	struct cgroup_io_stats io;
	struct cgroup_list cpus, mems;	/* cpuset's, effective */
	struct cgroup_hugetlb_stats *hugetlb;
	size_t n_hugetlb;
	struct cgroup_rdma_stats *rdma;
	size_t n_rdma;
};

/*
 * Reads them all; cgroup_fd is the cgroup's directory. *ret_stats is overwritten, and the caller's to
 * deinit, also after a failure. -ENOENT when the cgroup was removed; with text.
 */
int cgroup_stats_read(int cgroup_fd, struct cgroup_stats *ret_stats);

void cgroup_stats_deinit(struct cgroup_stats *s);
#define _cleanup_cgroup_stats_ __attribute__((cleanup(cgroup_stats_deinit)))

/* A counter of memory.stat by its name; 0 when there is none. */
uint64_t cgroup_stats_memory(const struct cgroup_stats *s, const char *key);
