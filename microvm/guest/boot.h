/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel's first program to a machine that can hold a container: file systems, modules, the port to the host. */
#pragma once

/*
 * As the first process, in the initramfs: proc, sysfs and devtmpfs are mounted, standard streams open, the modules of
 * /modules loaded in the order of their names; then the root is a tmpfs (pivot_root(2) cannot leave the initramfs), with
 * cgroup2 and its controllers. -errno with a text.
 */
int guest_boot(void);

/* The virtio-console port of that name, non-blocking, once the host has its end open. -ENODEV, -ETIMEDOUT… with a text. */
int guest_open_port(const char *name, int *ret_fd);

/* Writes text on the console and into the kernel's log, as far as they are there. */
void guest_console(const char *text);

/* The end of the machine. Returns only where that is not ours to decide. */
void guest_power_off(void);
