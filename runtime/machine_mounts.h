/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that mean the kernel they are in. Engines bind the host's /sys for a container whose user namespace may not mount one
 * (`nacre spec --rootless` does). A virtual machine has a /sys of its own; the host's would tell it of devices that are not
 * there, and more of the host than it needs to know.
 */
#pragma once

struct spec;

/*
 * s is of a container that becomes a microVM, on the host and in the guest: a bind mount of /sys at /sys becomes a sysfs with the
 * same options. Its mounts are changed, by memory of its arena. -ENOMEM with a text.
 */
int machine_mounts_replace(struct spec *s);
