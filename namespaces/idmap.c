/* SPDX-License-Identifier: Apache-2.0 */
/* See idmap.h. */
#include "namespaces/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespaces/ns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sync.h"

struct resident {
	int own, runtime;	/* the ends of a socket */
};

/*
 * In the new namespace. It opens the namespace itself: another process' /proc/PID/ns is for those who may ptrace it.
 * There until the runtime closes its end, or ends.
 */
static int reside(void *arg)
{
	struct resident *s = arg;
	_cleanup_close_ int ns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	struct sync_msg m;

	fd_close(&s->runtime);
	if (ns < 0 || fd_send(s->own, ns, "userns") < 0)
		return 1;
	return sync_recv(s->own, &m) == 0 && m.stage == SYNC_EOF ? 0 : 1;
}

int idmap_userns(const struct userns_req *maps, int *ret_fd)
{
	const struct ns_req req = { .create = CLONE_NEWUSER };
	_cleanup_close_ int own = FD_NONE, far = FD_NONE, pidfd = FD_NONE, ns = FD_NONE;
	struct resident s;
	pid_t pid;
	int pair[2], r = sync_pair(pair);

	if (r < 0)
		return r;
	own = pair[0];
	far = pair[1];
	s = (struct resident){ .own = far, .runtime = own };
	r = ns_spawn(&req, -1, reside, &s, &pid, &pidfd);
	if (r < 0)
		return ERR_CONTEXT(r, "cannot make a user namespace for an id-mapped mount");
	fd_close(&far);
	r = fd_receive(own, &ns);
	if (r < 0)
		ERR(r, "cannot get the user namespace made for an id-mapped mount");
	else
		r = userns_write_maps(pid, maps);
	fd_close(&own);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	*ret_fd = take_fd(&ns);
	return 0;
}

static bool same_ranges(const struct userns_range *a, size_t n_a, const struct userns_range *b, size_t n_b)
{
	return n_a == n_b && memcmp(a, b, n_a * sizeof(*a)) == 0;
}

static bool same_maps(const struct userns_req *a, const struct userns_req *b)
{
	return a != NULL && same_ranges(a->uid, a->n_uid, b->uid, b->n_uid) && same_ranges(a->gid, a->n_gid, b->gid, b->n_gid);
}

int idmap_apply(const struct mount_req *m, int tree, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	bool whole = m->idmap == MOUNT_IDMAP_TREE;
	int r;

	if (mount_setattr(tree, "", AT_EMPTY_PATH | (whole ? AT_RECURSIVE : 0), &attr, sizeof(attr)) == 0)
		return 0;
	r = -errno;
	if (r == -EINVAL)
		return ERR_PLAIN(r, "cannot map the ids of the mount \"%s\" at \"%s\": the file system of the source%s cannot do that "
				 "with this kernel", m->source, m->target, whole ? ", or one mounted below it," : "");
	ERR(r, "cannot map the ids of the mount \"%s\" at \"%s\"", m->source, m->target);
	if (r == -EPERM)
		ERR_HINT(r, "it needs CAP_SYS_ADMIN over the source's file system, and a source that is not id-mapped already");
	return r;
}

int idmap_tree(const struct mount_req *m, int tree, int joined, struct idmap_memory *last)
{
	int r;

	if (m->idmap_maps == NULL)
		return idmap_apply(m, tree, joined);
	if (!same_maps(last->maps, m->idmap_maps)) {
		fd_close(&last->userns);
		last->maps = NULL;
		r = idmap_userns(m->idmap_maps, &last->userns);
		if (r < 0)
			return ERR_CONTEXT(r, "the id map of the mount at \"%s\"", m->target);
		last->maps = m->idmap_maps;
	}
	return idmap_apply(m, tree, last->userns);
}

void idmap_memory_deinit(struct idmap_memory *m)
{
	fd_close(&m->userns);
}
