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

static int enter_root(const struct child_exec *c, int *ret_root)
{
	int root;

	if (c->chroot != NULL) {
		root = open(c->chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return ERR(-errno, "cannot open the root file system \"%s\"", c->chroot);
		*ret_root = root;
		return rootfs_chroot(root);
	}
	/* setns(2) into the mount namespace has made its root ours. */
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return ERR(-errno, "cannot open the container's root");
	*ret_root = root;
	return 0;
}

static int enter(struct child_exec *c)
{
	_cleanup_close_ int root = FD_NONE;
	int r = ns_join_pidfd(c->pidfd, c->ns_flags);

	fd_close(&c->pidfd);
	if (r == 0 && c->user_ns)
		r = userns_become_root();
	if (r == 0 && c->keyring != NULL)
		r = process_session_keyring(c->keyring);
	if (r == 0)
		r = enter_root(c, &root);
	if (r == 0)
		r = child_open_terminal(&c->p, root, false);
	return r < 0 ? r : child_prepare(&c->p);
}

int child_exec_main(void *arg)
{
	struct child_exec *c = arg;
	int r;

	r = child_close_fds(&c->p, &c->pidfd, 1);
	if (r == 0)
		r = child_open_labels(&c->p);
	if (r == 0)
		r = enter(c);
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
