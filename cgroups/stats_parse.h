/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of the kernel's cgroup files -> struct cgroup_stats. Pure. Private to this folder and its tests.
 *
 * Each text is NUL-terminated and changed. What a line says that is not known here (a later kernel's),
 * or is damaged, is passed over. 0 or -ENOMEM, without text.
 */
#pragma once

#include "cgroups/stats.h"

/* "123", "max", with or without a line end. Anything else leaves has false. */
void cgroup_parse_number(char *text, struct cgroup_number *ret);
void cgroup_parse_cpu(char *text, struct cgroup_cpu_stats *ret);
void cgroup_parse_memory_events(char *text, struct cgroup_memory_events *ret);
void cgroup_parse_psi(char *text, struct cgroup_psi *ret);

/* Takes the text (malloc'ed), even when it fails: the keys point into it. */
int cgroup_parse_memory_stat(char *text, struct cgroup_memory_stats *ret);
int cgroup_parse_io(char *text, struct cgroup_io_stats *ret);
int cgroup_parse_rdma(char *text, struct cgroup_stats *ret);
/* "0-3,7" */
int cgroup_parse_list(char *text, struct cgroup_list *ret);

/* The "max" of hugetlb.SIZE.events; 0 when it is not there. */
uint64_t cgroup_parse_failures(char *text);
/* "hugetlb.2MB.current" -> "2MB"; false for any other file name. */
bool cgroup_parse_hugetlb_name(const char *name, char size[16]);
