/* SPDX-License-Identifier: Apache-2.0 */
/* mounts add and mounts remove of the container back end: a process in the container's namespaces does it, see child.h. */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "namespaces/idmap.h"
#include "namespaces/mount.h"
#include "namespaces/procfs.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/child.h"
#include "runtime/container_parts.h"

/* Runs c in the container, until it has told how it went. */
static int run_inside(struct instance *i, struct child_mounts *c)
{
	_cleanup_close_ int ours = FD_NONE, theirs = FD_NONE, proc = FD_NONE, child = FD_NONE;
	int pair[2], status, r = container_use_pidfd(i);

	if (r == 0)
		r = procfs_open(&proc);
	if (r == 0)
		r = sync_pair(pair);
	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	c->sync = theirs;
	c->proc = proc;
	c->pidfd = i->pidfd;
	c->ns_flags = i->c->state.ns_flags;
	r = container_spawn_inside(i, NULL, child_mounts_main, c, &child);
	fd_close(&theirs);
	if (r < 0)
		return r;
	r = sync_expect(ours, SYNC_READY, "the process that mounts");
	(void)proc_wait(child, -1, &status);
	return r;
}

/* A mount whose ids are those of a user namespace that the container has joined: whatever its first process is in. */
static int open_userns(struct instance *i, int *ret_fd)
{
	char path[64];
	int r = container_use_pidfd(i);

	if (r < 0 || !(i->c->state.ns_flags & CLONE_NEWUSER))
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)i->c->state.pid);
	r = ns_open(path, CLONE_NEWUSER, ret_fd);
	/* It was that process' for sure if it is still there. */
	return r < 0 ? r : proc_send_signal(i->pidfd, 0);
}

static int map_ids(struct instance *i, const struct plan *p, const int *trees)
{
	_cleanup_idmap_memory_ struct idmap_memory last = IDMAP_MEMORY_NULL;
	_cleanup_close_ int userns = FD_NONE;
	int r = 0;

	for (size_t k = 0; r == 0 && k < p->n_mounts; k++) {
		if (p->mounts[k].idmap == MOUNT_IDMAP_NONE)
			continue;
		if (userns < 0)
			r = open_userns(i, &userns);
		if (r == 0)
			r = idmap_tree(&p->mounts[k], trees[k], userns, &last);
	}
	return r;
}

static bool maps_ids(const struct plan *p)
{
	for (size_t k = 0; k < p->n_mounts; k++)
		if (p->mounts[k].idmap != MOUNT_IDMAP_NONE)
			return true;
	return false;
}

/* With the host's view and privileges; without the privilege the child does it, as at create. */
static int open_trees(struct instance *i, struct child_mounts *c)
{
	const struct plan *p = c->plan;
	int r = 0;

	for (size_t k = 0; r == 0 && k < p->n_mounts; k++)
		if (p->mounts[k].bind)
			r = mount_open_tree(&p->mounts[k], &c->trees[k]);
	if (r == -EPERM && (i->c->state.ns_flags & CLONE_NEWUSER) && !maps_ids(p)) {
		for (size_t k = 0; k < p->n_mounts; k++)
			fd_close(&c->trees[k]);
		err_clear();
		c->open_trees = true;
		return 0;
	}
	return r < 0 ? r : map_ids(i, p, c->trees);
}

static int add_with(struct instance *i, const struct plan *p, int *trees, uint64_t *ids)
{
	size_t size = p->n_mounts * sizeof(*ids);
	struct child_mounts c = { .plan = p, .trees = trees };
	int r = open_trees(i, &c);

	if (r < 0)
		return r;
	c.ids = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c.ids == MAP_FAILED)
		return ERR(-errno, "cannot map memory");
	r = run_inside(i, &c);
	if (r == 0)
		memcpy(ids, c.ids, size);
	munmap(c.ids, size);
	return r;
}

int container_add_mounts(struct instance *i, const struct plan *p, uint64_t *ids)
{
	int *trees = calloc(p->n_mounts + 1, sizeof(*trees));
	int r;

	if (trees == NULL)
		return ERR_NOMEM();
	for (size_t k = 0; k < p->n_mounts; k++)
		trees[k] = FD_NONE;
	r = p->n_mounts > 0 ? add_with(i, p, trees, ids) : 0;
	for (size_t k = 0; k < p->n_mounts; k++)
		fd_close(&trees[k]);
	free(trees);
	return r;
}

int container_remove_mount(struct instance *i, const char *target, uint64_t id, bool lazy)
{
	struct child_mounts c = { .target = target, .id = id, .lazy = lazy };

	return run_inside(i, &c);
}
