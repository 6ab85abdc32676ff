/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between the parts of a plan: what may not be combined, and what could touch the host. */
#pragma once

#include <stddef.h>

struct plan;

/* One mount: no /proc subpath but a few files (CVE-2019-19921's way in); who may have an id map, and which. */
int plan_check_mount(const struct plan *p, size_t i);
/* One mount that is added to a running container, with the namespaces ns_flags of its own. */
int plan_check_live_mount(const struct plan *p, size_t i, unsigned int ns_flags);
/* Without a mount namespace every mount is the host's, whose "/" stays what it is, and which no user namespace can change. */
int plan_check_host_mounts(const struct plan *p);
/* All the rest, once the plan is complete: sysctls, hostname, LSM labels, preserved combinations. */
int plan_check(const struct plan *p);
