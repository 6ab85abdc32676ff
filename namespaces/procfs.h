/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's own procfs: a private, detached mount that no image can put anything
 * over (CVE-2019-16884, 2019-19921, 2025-52881). Sysctls and LSM labels are written
 * through it only, below it, across no mount and no symlink but "self".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* fsopen("proc"); where that is refused, the host's /proc, verified. Before entering the container's root. */
int procfs_open(int *ret_proc);

/* key in sysctl's form ("net.ipv4.ip_forward", or with slashes); value as written. */
int procfs_sysctl(int proc, const char *key, const char *value);

/*
 * The file that takes the LSM's word for the next execve(2) of the calling process. Opened
 * early, so that the procfs itself need not stay open; written by lsm_set_*() at the end.
 */
int procfs_open_attr(int proc, bool apparmor, int *ret_fd);

/* AppArmor: "exec PROFILE"; SELinux: the label. */
int lsm_set_apparmor(int attr, const char *profile);
int lsm_set_selinux(int attr, const char *label);

/* SELinux: the label of the keys that the calling process makes from now on; NULL: its own again. */
int lsm_label_keys(int proc, const char *label);

/* What the kernel has: is this LSM switched on? */
int lsm_apparmor_enabled(void);
int lsm_selinux_enabled(void);
