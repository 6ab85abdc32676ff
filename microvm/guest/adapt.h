/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's config.json, as the guest has to read it: its paths are the share's, and what the host has done already, or
 * does from outside of the virtual machine, is not done once more inside. Pure.
 *
 *	root, bind mounts	in the share
 *	namespaces		network: the guest's own, which has the cards; with a user namespace a new one, to which the cards are
 *				moved, so that its root has the rights over it. The others are new; so are ipc and uts of a pod, whose
 *				name is the machine's then
 *	/dev/shm		the pod's is a tmpfs of its own (runtime/pod.h)
 *	cgroupsPath		the guest has its own tree
 *	resources		pids, devices, hugepages, and unified keys of those. The rest are limits of the host's cgroup
 *	hooks			startContainer. The others are the host's
 *	vm			is what brought us here
 */
#pragma once

#include <stddef.h>

struct guest_description;
struct spec;

/* Changes s, in whose arena new texts are. -EINVAL or -ENOMEM with a text. data is a struct guest_description. */
int guest_adapt(struct spec *s, const void *data);

/* The same for resources alone (update): of a spec that has only them. -ENOMEM with a text. */
int guest_adapt_resources(struct spec *s);
