/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that plan.c puts together, in this order: each reads its piece of the spec and what is in the plan already.
 * Private to plan*.c. Errors name the JSON path.
 */
#pragma once

#include <stddef.h>

struct arena;
struct plan;
struct process_req;
struct spec_process;
struct plan_options;
struct spec_id_map;
struct userns_range;

/* An id map of the spec as a request's; NULL: no memory. In a. */
struct userns_range *plan_map(struct arena *a, const struct spec_id_map *in, size_t n);

/* mounts, linux.rootfsPropagation, linux.mountLabel; after the namespaces. */
int plan_build_mounts(struct plan *p);
/* spec->mounts alone, of a container that is there already. */
int plan_build_live_mounts(struct plan *p, unsigned int ns_flags);
/* linux.netDevices. */
int plan_build_network(struct plan *p);
/* linux.devices. */
int plan_build_devices(struct plan *p);
/* linux.cgroupsPath, linux.resources, the annotations of systemd's properties; after the mounts. */
int plan_build_cgroup(struct plan *p, const struct plan_options *o);
/* linux.intelRdt. */
int plan_build_resctrl(struct plan *p);
/* linux.seccomp. */
int plan_build_seccomp(struct plan *p);

/* process.scheduler, ioPriority and execCPUAffinity; of exec's process, too. sp must outlive *q. */
int plan_scheduling(struct arena *a, const struct spec_process *sp, struct process_req *q);
/* linux.memoryPolicy. */
int plan_build_memory_policy(struct plan *p);
