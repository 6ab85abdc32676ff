/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root file system and the sources of bind mounts, opened for the share (namespaces/share.h) of a microVM. By create, with the host's
 * view; a user's create cannot clone mounts, and leaves it to the supervisor, which is root of a user namespace by then.
 */
#pragma once

struct vm_start;

/*
 * s->plan's, into s->share and s->entries, which has room for as many as the plan has mounts: n_entries counts those that are open,
 * after an error, too. -errno with text.
 */
int vm_trees_open(struct vm_start *s);
