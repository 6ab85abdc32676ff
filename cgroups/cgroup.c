/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup's life in the file system: create, open, enter, remove. Paths are walked
 * as path.h says. A one-level path that does not exist takes four system calls:
 * open the mount, mkdir, open, close.
 */
#include "cgroups/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroups/controllers.h"
#include "cgroups/events.h"
#include "cgroups/path.h"
#include "cgroups/tree.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* Each new try needs somebody else to have removed an ancestor in between, so this ends soon. */
#define CREATE_TRIES 100
/* How long processes that were killed may take to end before "it still has processes" is the answer. */
#define REMOVE_WAIT_MS 500
#define REMOVE_TRIES 3

/* A directory that is just being removed gives ENOENT or ENODEV: one code for both. */
static int make_dir(int dirfd, const char *name)
{
	if (mkdirat(dirfd, name, 0755) < 0)
		return errno == ENODEV ? -ENOENT : -errno;
	return 0;
}

static int remove_dir(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return errno == ENODEV ? -ENOENT : -errno;
	return 0;
}

/*
 * Opens (O_PATH) the directory that holds the component `until`. -ENOENT when there
 * is none (no text); other errors with text.
 */
static int open_parent(const struct cgroup_host *host, const char *path, const struct cgroup_part *until, int *ret_fd)
{
	_cleanup_close_ int dir = FD_NONE;
	struct cgroup_part part = { 0, 0 };
	int r = cgroup_open_mount(host, &dir);

	if (r < 0)
		return r;
	while (cgroup_part_next(path, &part) && part.start < until->start) {
		char name[NAME_MAX + 1];
		int next;

		cgroup_part_name(path, &part, name);
		r = cgroup_open_child(dir, name, O_PATH, &next);
		if (r == -ENOENT)
			return r;
		if (r < 0)
			return ERR(r, "cannot open cgroup \"%.*s\"", (int)part.end, path);
		fd_close(&dir);
		dir = next;
	}
	*ret_fd = take_fd(&dir);
	return 0;
}

static struct cgroup_part last_part(const char *path)
{
	struct cgroup_part part = { 0, 0 };

	while (cgroup_part_next(path, &part))
		;
	return part;
}

/* The component before `part`; false at the first. */
static bool part_before(const char *path, struct cgroup_part *part)
{
	struct cgroup_part p = { 0, 0 }, before = { 0, 0 };

	while (cgroup_part_next(path, &p) && p.start < part->start)
		before = p;
	*part = before;
	return before.end > 0;
}

/*
 * Removes the components of path that begin at or after from, starting with
 * `part` and going up, as far as they are empty.
 */
static int remove_upwards(const struct cgroup_host *host, const char *path, struct cgroup_part part, size_t from)
{
	do {
		_cleanup_close_ int dir = FD_NONE;
		char name[NAME_MAX + 1];
		int r;

		if (part.start < from)
			return 0;
		r = open_parent(host, path, &part, &dir);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		cgroup_part_name(path, &part, name);
		r = remove_dir(dir, name);
		/* In use by somebody: then so are those above. */
		if (r == -EBUSY)
			return 0;
		/* ENOTDIR: creation failed at a name that is a file's; what it made is above that. */
		if (r < 0 && r != -ENOENT && r != -ENOTDIR)
			return ERR(r, "cannot remove cgroup \"%.*s\"", (int)part.end, path);
	} while (part_before(path, &part));
	return 0;
}

/* One component on the way down. *ret_made: it was not there. No text. */
static int descend(int dirfd, const char *name, bool last, int *ret_fd, bool *ret_made)
{
	int r = -ENOENT;

	*ret_made = false;
	/* An ancestor is usually there, the last usually not. */
	if (!last)
		r = cgroup_open_child(dirfd, name, O_PATH, ret_fd);
	if (r != -ENOENT)
		return r;
	r = make_dir(dirfd, name);
	if (r < 0 && r != -EEXIST)
		return r;
	*ret_made = r == 0;
	return cgroup_open_child(dirfd, name, last ? O_RDONLY : O_PATH, ret_fd);
}

/* The whole way down, once. *ret_created_from is set in any case: what was made is beyond it. No text. */
static int create_once(int mount_fd, const char *path, int *ret_fd, size_t *ret_created_from)
{
	_cleanup_close_ int dir = FD_NONE;
	struct cgroup_part part = { 0, 0 };
	bool any_made = false;
	int at = mount_fd;
	size_t existed = 0;
	unsigned int controllers;

	*ret_created_from = strlen(path);
	(void)cgroup_controllers_read(mount_fd, "cgroup.controllers", &controllers);
	controllers &= CGROUP_CONTROLLERS_USUAL;
	while (cgroup_part_next(path, &part)) {
		char name[NAME_MAX + 1];
		bool made;
		int next, r;

		cgroup_controllers_hand_down(at, &controllers);
		cgroup_part_name(path, &part, name);
		r = descend(at, name, cgroup_part_is_last(path, &part), &next, &made);
		if (made && !any_made)
			*ret_created_from = existed;
		any_made = any_made || made;
		if (r < 0)
			return r;
		existed = part.end;
		fd_close(&dir);
		at = dir = next;
	}
	*ret_fd = take_fd(&dir);
	return 0;
}

static int explain_create(int r, const char *path)
{
	if (r == -EAGAIN)
		return ERR_HINT(ERR(r, "cannot create cgroup \"%s\"", path),
				"cgroup.max.descendants or cgroup.max.depth of a cgroup above it is reached");
	if (r == -ENOTDIR || r == -ELOOP)
		return ERR_PLAIN(r, "cannot create cgroup \"%s\": a component is the name of a file", path);
	return ERR(r, "cannot create cgroup \"%s\"", path);
}

/* A cgroup that is not brand new below a root of its own kind may be unfit to start a container in. */
static int check_fit(int fd, const char *path)
{
	unsigned int events;
	char type[64];
	int r = cgroup_read_value(fd, "cgroup.type", type, sizeof(type));

	if (r < 0)
		return ERR(r, "cannot read the type of cgroup \"%s\"", path);
	if (str_eq(type, "threaded") || str_eq(type, "domain invalid"))
		return ERR_PLAIN(-EOPNOTSUPP, "cgroup \"%s\" is of type \"%s\": no process can be put into it", path, type);
	r = cgroup_events_read(fd, &events);
	if (r < 0)
		return ERR(r, "cannot read the events of cgroup \"%s\"", path);
	if (events & CGROUP_EVENT_POPULATED)
		return ERR_PLAIN(-EBUSY, "cgroup \"%s\" already has processes", path);
	return cgroup_refuse_frozen(fd, path);
}

int cgroup_create(const struct cgroup_host *host, const char *path, int *ret_fd, size_t *ret_created_from)
{
	_cleanup_close_ int mount_fd = FD_NONE, fd = FD_NONE;
	size_t created_from = 0;
	int r = cgroup_path_check(path);

	if (r == 0)
		r = cgroup_open_mount(host, &mount_fd);
	if (r < 0)
		return r;
	for (int i = 0; i < CREATE_TRIES; i++) {
		r = create_once(mount_fd, path, &fd, &created_from);
		if (r != -ENOENT)
			break;
		/* Somebody removed an ancestor under our feet. What is left of ours goes, so that the next try counts right. */
		remove_upwards(host, path, last_part(path), created_from);
	}
	if (r < 0)
		r = explain_create(r, path);
	/* With no ancestor that existed before, the directory is new and its parent is the root: nothing to check. */
	else if (created_from > 0)
		r = check_fit(fd, path);
	if (r < 0) {
		fd_close(&fd);
		remove_upwards(host, path, last_part(path), created_from);
		return r;
	}
	*ret_fd = take_fd(&fd);
	*ret_created_from = created_from;
	return 0;
}

/* open_parent() of the last component, whose name is put into ret_name (NAME_MAX + 1 bytes). */
static int open_holder(const struct cgroup_host *host, const char *path, char *ret_name, int *ret_dir)
{
	struct cgroup_part part;
	int r = cgroup_path_check(path);

	if (r < 0)
		return r;
	part = last_part(path);
	cgroup_part_name(path, &part, ret_name);
	return open_parent(host, path, &part, ret_dir);
}

int cgroup_open(const struct cgroup_host *host, const char *path, int *ret_fd)
{
	_cleanup_close_ int dir = FD_NONE;
	char name[NAME_MAX + 1];
	int fd = FD_NONE, r = open_holder(host, path, name, &dir);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		r = cgroup_open_child(dir, name, O_RDONLY, &fd);
	if (r < 0)
		return ERR(r, "cannot open cgroup \"%s\"", path);
	*ret_fd = fd;
	return 0;
}

int cgroup_of(pid_t pid, char **ret_path)
{
	static const char removed[] = " (deleted)";
	_cleanup_free_ char *text = NULL;
	char file[64], *save;
	size_t len;
	int r;

	snprintf(file, sizeof(file), "/proc/%ld/cgroup", (long)pid);
	r = file_read(AT_FDCWD, file, 65536, &text, &len);
	if (r < 0)
		return ERR(r, "cannot read %s", file);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (!str_starts(line, "0::") || str_ends(line, removed))
			continue;
		*ret_path = strdup(line + strlen("0::"));
		return *ret_path == NULL ? ERR_NOMEM() : 0;
	}
	return ERR_PLAIN(-ENOENT, "process %ld is in no cgroup of cgroup v2", (long)pid);
}

int cgroup_attach(int cgroup_fd, pid_t pid)
{
	char text[32];
	int r;

	snprintf(text, sizeof(text), "%ld", (long)pid);
	r = file_write_value(cgroup_fd, "cgroup.procs", text);
	if (r == -EOPNOTSUPP)
		return ERR_PLAIN(r, "cannot put process %s into the cgroup: it is threaded, or below a threaded one", text);
	if (r == -EBUSY)
		return ERR_PLAIN(r, "cannot put process %s into the cgroup: it hands controllers to sub-cgroups", text);
	if (r < 0)
		return ERR(r, "cannot put process %s into the cgroup", text);
	return 0;
}

static int remove_visited(int parent_fd, const char *name, void *arg)
{
	int r = remove_dir(parent_fd, name);

	(void)arg;
	return r == -ENOENT ? 0 : r;
}

/* The second reason why rmdir(2) says EBUSY, sub-cgroups; after the first, processes. No text. */
static int remove_below(int fd)
{
	static const struct cgroup_visit visit = { .leave = remove_visited };
	int r = cgroup_events_wait(fd, CGROUP_EVENT_POPULATED, 0, REMOVE_WAIT_MS);

	/* Nothing is taken away from under processes that stay. */
	if (r == -ETIMEDOUT)
		return -EBUSY;
	return r < 0 ? r : cgroup_tree_walk(fd, &visit, NULL);
}

/* The cgroup and its sub-cgroups; no error when it is gone. No text. */
static int remove_tree(int dirfd, const char *name)
{
	_cleanup_close_ int fd = FD_NONE;
	int r = remove_dir(dirfd, name);

	if (r != -EBUSY)
		return r == -ENOENT ? 0 : r;
	r = cgroup_open_child(dirfd, name, O_RDONLY, &fd);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* Again when somebody came in between. */
	for (int i = 0; i < REMOVE_TRIES; i++) {
		r = remove_below(fd);
		if (r == 0)
			r = remove_dir(dirfd, name);
		if (r != -EBUSY)
			break;
	}
	return r == -ENOENT ? 0 : r;
}

int cgroup_remove(const struct cgroup_host *host, const char *path, size_t created_from)
{
	_cleanup_close_ int dir = FD_NONE;
	struct cgroup_part part;
	char name[NAME_MAX + 1];
	int r = open_holder(host, path, name, &dir);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		r = remove_tree(dir, name);
	if (r == -EBUSY)
		return ERR_PLAIN(r, "cannot remove cgroup \"%s\": it still has processes", path);
	if (r < 0 && r != -ENOENT)
		return ERR(r, "cannot remove cgroup \"%s\"", path);
	part = last_part(path);
	return part_before(path, &part) ? remove_upwards(host, path, part, created_from) : 0;
}

int cgroup_remove_leaf(int cgroup_fd, const char *path, size_t created_from)
{
	struct cgroup_part part = last_part(path), before = part;
	char up[NAME_MAX + sizeof("../")];

	cgroup_part_name(path, &part, up + strlen("../"));
	memcpy(up, "../", strlen("../"));
	if (part_before(path, &before) && before.start >= created_from)
		return -ENOTSUP;
	/* ".." is the parent cgroup for sure: cgroup2 has no rename. */
	return unlinkat(cgroup_fd, up, AT_REMOVEDIR) < 0 ? -errno : 0;
}
