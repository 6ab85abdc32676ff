/* SPDX-License-Identifier: Apache-2.0 */
/* What of `mounts` is done in the container's namespaces. See child.h. */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/mount_live.h"
#include "namespaces/userns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/sync.h"

#define JOINED (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP)

static int close_fds(const struct child_mounts *c)
{
	size_t n = c->plan != NULL ? c->plan->n_mounts : 0;
	int *keep = calloc(n + 3, sizeof(*keep));
	int r;

	if (keep == NULL)
		return ERR_NOMEM();
	if (n > 0)
		memcpy(keep, c->trees, n * sizeof(*keep));
	keep[n++] = c->sync;
	keep[n++] = c->pidfd;
	keep[n++] = c->proc;
	log_close();
	r = fd_close_except(keep, n);
	free(keep);
	return r < 0 ? ERR(r, "cannot close the runtime's file descriptors") : 0;
}

/* The host's tree as the user namespace's root has it: its own copy of the mounts, which it may clone from. */
static int open_trees(struct child_mounts *c)
{
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0)
		return ERR(-errno, "cannot make a mount namespace");
	for (size_t i = 0; r == 0 && i < c->plan->n_mounts; i++)
		if (c->plan->mounts[i].bind)
			r = mount_open_tree(&c->plan->mounts[i], &c->trees[i]);
	return r;
}

static int enter(struct child_mounts *c)
{
	bool user = (c->ns_flags & CLONE_NEWUSER) != 0;
	unsigned int now = c->ns_flags & (c->open_trees ? CLONE_NEWUSER : JOINED | CLONE_NEWUSER);
	int r = ns_join_pidfd(c->pidfd, now);

	if (r == 0 && user)
		r = userns_become_root();
	if (r == 0 && c->open_trees)
		r = open_trees(c);
	if (r == 0 && c->open_trees)
		r = ns_join_pidfd(c->pidfd, c->ns_flags & JOINED);
	fd_close(&c->pidfd);
	umask(0);
	return r;
}

/* All of them or none. */
static int add(struct child_mounts *c, int root)
{
	const struct plan *p = c->plan;
	const struct mount_context context = {
		.root = root,
		.cgroup_ns = (c->ns_flags & CLONE_NEWCGROUP) != 0,
		.user_ns = (c->ns_flags & CLONE_NEWUSER) != 0,
		.live = true,
	};
	int *made = calloc(p->n_mounts + 1, sizeof(*made));
	size_t n = 0;
	int r = 0;

	if (made == NULL)
		return ERR_NOMEM();
	for (; r == 0 && n < p->n_mounts; n++)
		r = mount_live_add(&context, &p->mounts[n], c->trees[n], &c->ids[n], &made[n]);
	for (; r < 0 && n > 0; n--) {
		struct err_kept kept;

		err_keep(&kept);
		if (made[n - 1] >= 0)
			mount_live_undo(c->proc, made[n - 1]);
		err_restore(&kept);
	}
	free(made);
	return r;
}

int child_mounts_main(void *arg)
{
	struct child_mounts *c = arg;
	_cleanup_close_ int root = FD_NONE;
	int r = close_fds(c);

	if (r == 0)
		r = enter(c);
	if (r == 0) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = root < 0 ? ERR(-errno, "cannot open the container's root") : 0;
	}
	if (r == 0)
		r = c->plan != NULL ? add(c, root) : mount_live_remove(root, c->proc, c->target, c->id, c->lazy);
	if (r == 0)
		r = sync_send(c->sync, SYNC_READY);
	if (r < 0)
		sync_send_error(c->sync, r);
	return r < 0 ? 1 : 0;
}
