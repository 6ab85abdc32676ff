/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of a container without a mount namespace: what is mounted in it is mounted in the host's. So that all of it can be found
 * and undone, the root file system is first mounted on itself, privately, and everything else below that one mount, which is known by
 * the kernel's id of it. The record has the id before the mount is to be seen anywhere: whoever deletes the container finds it, also
 * when its creator was killed in between.
 */
#pragma once

#include <stdint.h>

/*
 * The root file system as a detached tree, and the id that it will have when it is attached; closed, it is gone.
 * -EINVAL: it is the host's own root. -errno with text.
 */
int host_root_open(const char *rootfs, int *ret_tree, uint64_t *ret_id);

/* Over its own path. No mount that is made below it shows up in other mount namespaces. -errno with text. */
int host_root_attach(const char *rootfs, int tree);

/*
 * With all that is mounted below it; who still uses a file there keeps it until it ends. 0 also when it is not what is mounted there
 * (any more). -errno with text.
 */
int host_root_remove(const char *rootfs, uint64_t id);
