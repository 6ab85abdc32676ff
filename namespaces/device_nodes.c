/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes for a container in a user namespace. See devices.h. */
#include "namespaces/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespaces/mount.h"
#include "namespaces/ns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/base/sys.h"

#define MAP_TEXT_MAX 65536

/* ---- the id maps of a user namespace that is joined: /proc tells them of a process in it ---- */

struct maps {
	struct userns_range *uid, *gid;
	struct userns_req req;
};

static void maps_deinit(struct maps *m)
{
	free(m->uid);
	free(m->gid);
}
#define _cleanup_maps_ __attribute__((cleanup(maps_deinit)))

/* Three numbers a line. */
static int parse_map(char *text, struct userns_range **ret, size_t *ret_n)
{
	size_t lines = 0, n = 0;
	char *save = NULL, *word;

	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	word = strtok_r(text, " \n", &save);
	*ret = calloc(lines + 1, sizeof(**ret));
	if (*ret == NULL)
		return ERR_NOMEM();
	for (; word != NULL; n++) {
		uint64_t v[3] = { 0 };

		for (size_t i = 0; i < 3; i++, word = strtok_r(NULL, " \n", &save))
			if (n >= lines || word == NULL || parse_u64(word, 0, UINT32_MAX, &v[i]) < 0)
				return ERR_PLAIN(-EPROTO, "cannot read the id maps of a user namespace");
		(*ret)[n] = (struct userns_range){ (uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2] };
	}
	*ret_n = n;
	return 0;
}

static int read_map(pid_t pid, const char *file, struct userns_range **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = file_read(AT_FDCWD, path, MAP_TEXT_MAX, &text, &len);
	return r < 0 ? ERR(r, "cannot read the id maps of a user namespace") : parse_map(text, ret, ret_n);
}

struct ends {
	int own, runtime;
};

/* In the user namespace, until the runtime hangs up. */
static int stay(void *arg)
{
	struct ends *e = arg;
	struct sync_msg m;

	fd_close(&e->runtime);
	return sync_recv(e->own, &m);
}

static int read_maps(int userns, struct maps *ret)
{
	const struct ns_req req = { .join = { { CLONE_NEWUSER, userns } }, .n_join = 1 };
	_cleanup_close_ int own = FD_NONE, far = FD_NONE, pidfd = FD_NONE;
	struct ends e;
	int pair[2], status, r = sync_pair(pair);
	pid_t pid;

	if (r < 0)
		return r;
	own = pair[0];
	far = pair[1];
	e = (struct ends){ .own = far, .runtime = own };
	r = ns_spawn(&req, -1, stay, &e, &pid, &pidfd);
	if (r < 0)
		return r;
	r = read_map(pid, "uid_map", &ret->uid, &ret->req.n_uid);
	if (r == 0)
		r = read_map(pid, "gid_map", &ret->gid, &ret->req.n_gid);
	ret->req.uid = ret->uid;
	ret->req.gid = ret->gid;
	fd_close(&far);
	fd_close(&own);
	(void)proc_wait(pidfd, -1, &status);
	return r;
}

/* ---- the nodes ---- */

static int to_host(const struct userns_range *v, size_t n, uint32_t id, const char *what, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (id < v[i].container_id || id - v[i].container_id >= v[i].size)
			continue;
		*ret = v[i].host_id + (id - v[i].container_id);
		return 0;
	}
	return ERR_PLAIN(-EINVAL, "%s: %u is not mapped in the user namespace", what, id);
}

/* 1: this process may not make nodes. */
static int make_node(int dir, const char *name, const struct device_req *d, const struct userns_req *maps, int *ret_tree)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
	uint32_t uid = 0, gid = 0;
	int r = to_host(maps->uid, maps->n_uid, d->uid, "uid", &uid);

	/* Root's, where there is none, is what nobody has asked for. */
	if (r < 0 && d->has_uid)
		return r;
	r = to_host(maps->gid, maps->n_gid, d->gid, "gid", &gid);
	if (r < 0 && d->has_gid)
		return r;
	if (mknodat(dir, name, d->type | 0600, makedev(d->major, d->minor)) < 0) {
		if (errno == EPERM)
			return 1;
		return ERR(-errno, "cannot make the device \"%s\"", d->path);
	}
	/* The mode last: the umask has had its say by then, and a new owner would take bits away. */
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(dir, name, d->mode, 0) < 0)
		return ERR(-errno, "cannot set owner and mode of the device \"%s\"", d->path);
	*ret_tree = open_tree(dir, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (*ret_tree < 0 || mount_setattr(*ret_tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return ERR(-errno, "cannot make a mount of the device \"%s\"", d->path);
	return 0;
}

/*
 * Until Linux 6.15 a mount can be cloned only from what is mounted in the caller's own mount namespace: this one lies on the root of a
 * namespace that nobody sees and that ends with its process. What lies below it is not reached through it, nor is it changed.
 * 1: this process may not.
 */
static int mount_for_nodes(int *ret_dir)
{
	static const char *const data[] = { "mode=700" };
	_cleanup_close_ int dir = FD_NONE, root = FD_NONE;
	int r = mount_isolate(MS_PRIVATE);

	if (r == 0)
		r = mount_new("tmpfs", "devices", data, 1, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, &dir);
	if (r == 0) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = root < 0 ? -errno : mount_attach(dir, root);
	}
	/* Who may not mount may not make nodes either. */
	if (r == -EPERM) {
		err_clear();
		return 1;
	}
	if (r < 0)
		return ERR(r, "cannot make a file system for devices");
	*ret_dir = take_fd(&dir);
	return 0;
}

static int make_nodes(const struct device_req *d, size_t n, const struct userns_req *maps, int *trees)
{
	_cleanup_close_ int dir = FD_NONE;
	int r = mount_for_nodes(&dir);

	for (size_t i = 0; r == 0 && i < n; i++) {
		char name[24];

		snprintf(name, sizeof(name), "%zu", i);
		if (d[i].type != S_IFIFO)
			r = make_node(dir, name, &d[i], maps, &trees[i]);
		if (r < 0)
			return ERR_CONTEXT(r, "config.json: linux.devices[%zu]", i);
	}
	/* 1: it may make none. */
	return r < 0 ? r : 0;
}

/* In a process of its own, which shares the table of descriptors: what it opens is open here. numbers: shared memory. */
static int in_own_mounts(const struct device_req *d, size_t n, const struct userns_req *maps, int *numbers)
{
	_cleanup_close_ int own = FD_NONE, far = FD_NONE;
	int pair[2], pidfd = FD_NONE, status, r = sync_pair(pair);
	struct clone_args call = {
		.flags = CLONE_NEWNS | CLONE_FILES | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD,
	};
	pid_t pid;

	if (r < 0)
		return r;
	own = pair[0];
	far = pair[1];
	pid = sys_clone3(&call);
	if (pid == 0) {
		r = make_nodes(d, n, maps, numbers);
		if (r < 0)
			sync_send_error(far, r);
		else
			(void)sync_send(far, SYNC_READY);
		_exit(0);
	}
	/* No such right: then it has none to make nodes either. */
	if (pid < 0)
		return errno == EPERM ? 0 : ERR(-errno, "cannot make a process for devices");
	r = proc_wait(pidfd, -1, &status);
	fd_close(&pidfd);
	/* It has said all that it will: with this end closed nothing is waited for. */
	fd_close(&far);
	return r < 0 ? ERR(r, "cannot wait for the process for devices") : sync_expect(own, SYNC_READY, "the process for devices");
}

int device_nodes(const struct device_req *d, size_t n, const struct userns_req *maps, int joined, int *trees)
{
	_cleanup_maps_ struct maps read = { .uid = NULL };
	int *numbers, r = joined >= 0 ? read_maps(joined, &read) : 0;

	if (r < 0)
		return r;
	numbers = mmap(NULL, n * sizeof(*numbers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (numbers == MAP_FAILED)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++)
		numbers[i] = FD_NONE;
	r = in_own_mounts(d, n, joined >= 0 ? &read.req : maps, numbers);
	memcpy(trees, numbers, n * sizeof(*numbers));
	(void)munmap(numbers, n * sizeof(*numbers));
	return r;
}
