/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_trees.h. */
#include "runtime/vm_trees.h"

#include <errno.h>
#include <stdlib.h>

#include "namespaces/idmap.h"
#include "namespaces/mount.h"
#include "runtime/base/fd.h"
#include "runtime/vm_supervisor.h"

/*
 * Hooks of these kinds may mount something below the root file system: those that run in its mount namespace, and those
 * that enter it by the pid that they are told.
 */
static bool hooks_may_mount(const struct plan *p)
{
	return p->hooks[HOOK_PRESTART].n > 0 || p->hooks[HOOK_CREATE_RUNTIME].n > 0 || p->hooks[HOOK_CREATE_CONTAINER].n > 0;
}

/*
 * Sources of bind mounts are host paths; read-only ones are so here, whatever the guest does. Their ids are
 * mapped here, too: the guest's file system (FUSE) has no id-mapped mounts, and its ids are what the file server tells.
 */
static int open_entry(const struct mount_req *m, struct share_entry *e, struct idmap_memory *last)
{
	int r = mount_open_tree(m, &e->tree);

	/* A user namespace of the host's is not joined, see check_namespaces(). */
	if (r == 0 && m->idmap != MOUNT_IDMAP_NONE)
		r = idmap_tree(m, e->tree, FD_NONE, last);
	return r < 0 ? r : mount_attrs(e->tree, &e->attrs);
}

int vm_trees_open(struct vm_start *s)
{
	_cleanup_idmap_memory_ struct idmap_memory last = IDMAP_MEMORY_NULL;
	const struct plan *p = s->plan;
	int r = p->vm.image == NULL ? rootfs_open(p->rootfs, &s->share.rootfs) : 0;

	s->share.rootfs_at = hooks_may_mount(p) ? p->rootfs : NULL;
	s->share.entries = s->entries;
	for (size_t k = 0; r == 0 && k < p->n_mounts; k++) {
		struct share_entry *e = &s->entries[s->share.n_entries];

		if (!p->mounts[k].bind || p->mounts[k].remount)
			continue;
		*e = (struct share_entry){ .index = k, .tree = FD_NONE };
		s->share.n_entries++;
		r = open_entry(&p->mounts[k], e, &last);
	}
	return r;
}
