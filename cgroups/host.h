/* SPDX-License-Identifier: Apache-2.0 */
/* Finding cgroup2 in a mount table. Private to this folder and its tests. */
#pragma once

struct cgroup_host;

/*
 * The first cgroup2 mount in text, which has the form of /proc/self/mountinfo and
 * is changed. CGROUP_HYBRID when v1 hierarchies are mounted too.
 */
void cgroup_host_from_mountinfo(char *text, struct cgroup_host *ret_host);
