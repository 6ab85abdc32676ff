/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's config.json, as the guest has to read it: its paths are the share's, and what the host has done already, or
 * does from outside of the virtual machine, is not done once more inside. Pure.
 *
 *	root, bind mounts	in the share
 *	namespaces		network: the guest's own, which has the cards. The others are new; so are ipc and uts of a pod, whose
 *				name is the machine's then
 *	/dev/shm		the pod's is a tmpfs of its own (runtime/pod.h)
 *	sysfs			with a user namespace: bound from /sys, since the kernel gives a new one only to who owns the
 *				network namespace
 *	sysctl			net.…, with a user namespace: of the machine, see guest_take_sysctls()
 *	cgroupsPath		the guest has its own tree
 *	resources		pids, devices, hugepages, and unified keys of those. The rest are limits of the host's cgroup
 *	hooks			startContainer. The others are the host's
 *	vm			is what brought us here
 */
#pragma once

#include <stddef.h>

struct guest_description;
struct spec;
struct spec_kv;

/* Changes s, in whose arena new texts are. -EINVAL or -ENOMEM with a text. data is a struct guest_description. */
int guest_adapt(struct spec *s, const void *data);

/*
 * Takes the sysctls out of s that its container could not set itself: those of the network, which is the machine's, from inside a
 * user namespace. They are the caller's to set. -ENOMEM with a text.
 */
int guest_take_sysctls(struct spec *s, const struct spec_kv **ret, size_t *ret_n);

/* The same for resources alone (update): of a spec that has only them. -ENOMEM with a text. */
int guest_adapt_resources(struct spec *s);
