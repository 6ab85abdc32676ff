/* SPDX-License-Identifier: Apache-2.0 */
/* An additional process of a running container, until it becomes the user's. See child.h. */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "namespaces/userns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sync.h"

static int enter(struct child_exec *c)
{
	_cleanup_close_ int root = FD_NONE;
	int r = c->user_ns ? userns_become_root() : 0;

	if (r == 0 && c->keyring != NULL)
		r = process_session_keyring(c->keyring, false);
	if (r == 0) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return ERR(-errno, "cannot open the container's root");
		r = child_open_terminal(&c->p, root, false);
	}
	return r < 0 ? r : child_prepare(&c->p);
}

static int child_exec_main(void *arg)
{
	struct child_exec *c = arg;
	int r = enter(c);

	/* The runtime writes rlimits and the like from outside before we lose its attention. */
	if (r == 0)
		r = sync_send(c->p.sync, SYNC_READY);
	if (r == 0)
		r = sync_expect(c->p.sync, SYNC_START, "the runtime");
	if (r == 0)
		r = child_execute(&c->p);
	sync_send_error(c->p.sync, r);
	return 1;
}

/* Everything the container's own, nothing the host's: see child.h. */
static int stage_enter(struct child_exec *c)
{
	_cleanup_close_ int root = FD_NONE;
	int r;

	if (c->chroot != NULL) {
		root = open(c->chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return ERR(-errno, "cannot open the root file system \"%s\"", c->chroot);
	}
	/* With the mount namespace its root and working directory come, too. */
	r = ns_join_pidfd(c->pidfd, c->ns_flags);
	fd_close(&c->pidfd);
	return r < 0 || root < 0 ? r : rootfs_chroot(root);
}

int child_exec_stage(void *arg)
{
	struct child_exec *c = arg;
	int r = child_close_fds(&c->p, &c->pidfd, 1);

	if (r == 0)
		r = child_open_labels(&c->p);
	if (r == 0)
		r = child_set_labels(&c->p);
	if (r == 0)
		r = stage_enter(c);
	if (r == 0)
		r = ns_spawn_sibling(child_exec_main, c, c->made);
	if (r < 0)
		sync_send_error(c->p.sync, r);
	return r < 0 ? 1 : 0;
}
