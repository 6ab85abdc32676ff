/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd is told of a container's limits: unit properties, made of the files and values that cgroup_settings()
 * gives, so that the arithmetic exists once. Pure. Private to this folder and its tests.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct cgroup_resources;
struct cgroup_unit_property;
struct variant;

/* The kernel's cpu.max period where nothing was written, in microseconds. */
#define CGROUP_CPU_PERIOD 100000

struct systemd_property {
	const char *name;
	char type;		/* 't', 's', or 'm': a mask as an array of bytes, the lowest first */
	uint64_t number;
	const char *text;
	const uint8_t *mask;
	size_t mask_len;
	unsigned int since;	/* the first version of systemd that knows it; 0: all that run with cgroup v2 */
	bool start_only;	/* cannot be changed later */
};

/*
 * Those limits that systemd has properties for; the others, and values that a property cannot take (pids.max 0, a
 * list that is none), are left to the files. period: of cpu.max where r names none. In a. -EINVAL with a text as
 * from cgroup_settings().
 *
 * A quota comes as CPU time a second, rounded up to a hundredth: the drop-in from which systemd reads it again
 * has whole percents in it, rounded down.
 */
int systemd_properties(struct arena *a, const struct cgroup_resources *r, uint64_t period, struct systemd_property **ret,
		       size_t *ret_n);

/* The property as an element of an array of type "(sv)". */
void systemd_property_put(struct buf *b, const struct systemd_property *p);

/*
 * An annotation's property. Names in seconds are runc's way to write those in microseconds: TimeoutStopSec
 * "int32 5" is TimeoutStopUSec "uint64 5000000". In a. -EINVAL with a text.
 */
int systemd_unit_property_parse(struct arena *a, const struct cgroup_unit_property *p, const char **ret_name,
				struct variant *ret);
