/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources -> the requests of cgroups/. Private to runtime/plan*.c and lifecycle_update.c. */
#pragma once

#include <stddef.h>

#include "cgroups/cgroup.h"
#include "cgroups/resources.h"

struct arena;
struct spec_resources;

/*
 * Numbers and lists as they are; no rules but one: what only cgroup v1 has is -ENOTSUP, with its JSON path. In a;
 * strings stay the spec's.
 */
int plan_resources(struct arena *a, const struct spec_resources *in, struct cgroup_resources *ret);

/* The device rules, and behind them what every container may use. */
int plan_device_rules(struct arena *a, const struct spec_resources *in, const struct cgroup_device_rule **ret, size_t *ret_n);
