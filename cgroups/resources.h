/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits: what is asked for, in the terms of runtime-spec "linux.resources", and the
 * cgroup v2 files and values that it comes to. The conversion is pure, so that it can be printed
 * before it is done (`explain`) and checked against a table (tests/unit/test_cgroup_settings.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct cgroup_host;

struct cgroup_device_number {
	uint32_t major, minor;
};

struct cgroup_device_weight {
	struct cgroup_device_number device;
	uint16_t weight;	/* 10…1000 */
};

struct cgroup_device_rate {
	struct cgroup_device_number device;
	uint64_t rate;		/* bytes or operations a second; 0: no limit */
};

enum cgroup_throttle {
	CGROUP_THROTTLE_READ_BPS,
	CGROUP_THROTTLE_WRITE_BPS,
	CGROUP_THROTTLE_READ_IOPS,
	CGROUP_THROTTLE_WRITE_IOPS,
	CGROUP_THROTTLES,
};

struct cgroup_rates {
	const struct cgroup_device_rate *v;
	size_t n;
};

struct cgroup_hugepages {
	const char *size;	/* "2MB", "1GB", "64KB" */
	uint64_t limit;		/* bytes */
};

struct cgroup_rdma {
	const char *device;	/* "mlx5_1" */
	bool has_handles, has_objects;
	uint32_t handles, objects;
};

struct cgroup_unified {
	const char *file;	/* "memory.high" */
	const char *value;	/* lines; each is one write(2) */
};

/*
 * Zeroed, it asks for nothing. Memory is in bytes and -1 is "no limit", 0 is "leave it". Times are
 * in microseconds.
 */
struct cgroup_resources {
	int64_t memory_limit, memory_reservation;
	int64_t memory_swap;		/* memory and swap together, as in cgroup v1 */
	bool memory_check;		/* an update to below what is in use is refused */
	uint64_t cpu_shares;		/* 2…262144, as in cgroup v1; 0: leave it */
	int64_t cpu_quota;		/* 0: leave it; negative: no limit */
	uint64_t cpu_period;		/* 0: leave it */
	bool has_cpu_burst, has_cpu_idle;
	uint64_t cpu_burst;
	bool cpu_idle;
	const char *cpus, *mems;	/* lists, "0-3,7"; NULL: leave them */
	bool has_pids;
	int64_t pids;			/* 0 is a limit; negative: none */
	uint16_t io_weight;		/* 10…1000, 0: leave it */
	const struct cgroup_device_weight *io_weights;
	size_t n_io_weights;
	struct cgroup_rates io_rates[CGROUP_THROTTLES];
	const struct cgroup_hugepages *hugepages;
	size_t n_hugepages;
	const struct cgroup_rdma *rdma;
	size_t n_rdma;
	const struct cgroup_unified *unified;
	size_t n_unified;
};

/* One write(2). */
struct cgroup_setting {
	const char *file, *value;
	const char *or_file, *or_value;	/* where file does not exist; NULL: nothing else would do */
	bool optional;			/* without the file there is nothing to limit */
	bool demand;			/* optional, but not for want of the controller */
	bool again;			/* -EINVAL may be due to another setting: tried again after the last */
};

/*
 * In the order in which they are to be written; the caller's unified ones come last and so win. In a.
 * -EINVAL with a text that names the property ("memory.swap: …").
 */
int cgroup_settings(struct arena *a, const struct cgroup_resources *r, struct cgroup_setting **ret, size_t *ret_n);

/* cgroup v1 cpu.shares -> cpu.weight, so that 2, 1024 and 262144 become 1, 100 and 10000. */
uint64_t cgroup_weight_from_shares(uint64_t shares);

/*
 * Writes them into the cgroup `path`, open as cgroup_fd, that nobody uses yet. An error names the file, the
 * value and what is behind it. A controller that is missing is handed down (controllers.h).
 */
int cgroup_settings_write(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_setting *s,
			  size_t n);

/*
 * What an update leaves open, from the present values: the memory limit when only swap is given, the quota when
 * only the period is. -errno without a text.
 */
int cgroup_resources_complete(int cgroup_fd, struct cgroup_resources *r);

/* What a cgroup had before cgroup_update(), to be taken back or forgotten by cgroup_update_end(). */
struct cgroup_undo;

/*
 * Changes a cgroup in use: what r leaves open is completed, memory_check is made, and when one write fails those
 * before it are taken back. -EBUSY: memory_check, and more is in use than the new limit. *ret_undo: for
 * a caller that has more to do than this, NULL after a failure.
 */
int cgroup_update(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_resources *r,
		  struct cgroup_undo **ret_undo);

/* take_back: writes the old values; what cannot be is in the log. Frees u, which may be NULL. */
void cgroup_update_end(int cgroup_fd, struct cgroup_undo *u, bool take_back);
