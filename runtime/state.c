/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a container: names, locks, status. The record's text form is in state_json.c. */
#include "runtime/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/state_json.h"

int container_check_id(const char *id)
{
	static const char *const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
	size_t len = strlen(id);

	if (len == 0 || len > 255 || id[0] == '.' || strspn(id, allowed) != len)
		return ERR_PLAIN(-EINVAL, "invalid container id \"%s\": 1 to 255 of [A-Za-z0-9_+.-], not starting with a dot",
				 id);
	return 0;
}

/* mkdir -p of a path the user gave; the last directory is ours, 0700. */
static int make_root(const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, i == len ? 0700 : 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int state_open_root(const char *path, bool create, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && create) {
		int r = make_root(path);

		if (r < 0)
			return ERR(r, "cannot make the state directory \"%s\"", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return ERR(-errno, "cannot open the state directory \"%s\"", path);
	*ret_fd = fd;
	return 0;
}

static int container_init(const char *id, struct container *c)
{
	int r = container_check_id(id);

	if (r < 0)
		return r;
	memcpy(c->id, id, strlen(id) + 1);
	c->arena = arena_new((size_t)64 * 1024 * 1024);
	return c->arena == NULL ? ERR_NOMEM() : 0;
}

static int open_dir(struct container *c)
{
	c->dir = openat(c->root_dir, c->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return c->dir < 0 ? -errno : 0;
}

int container_new(const char *root, const char *id, struct container *c)
{
	int r = container_init(id, c);

	if (r == 0)
		r = state_open_root(root, true, &c->root_dir);
	if (r < 0)
		return r;
	if (mkdirat(c->root_dir, id, 0700) < 0) {
		if (errno == EEXIST)
			return ERR_PLAIN(-EEXIST, "container with id \"%s\" already exists", id);
		return ERR(-errno, "cannot make the state directory of container \"%s\"", id);
	}
	r = open_dir(c);
	if (r == 0 && flock(c->dir, LOCK_EX) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(c->root_dir, id, AT_REMOVEDIR);
		return ERR(r, "cannot lock the state directory of container \"%s\"", id);
	}
	return 0;
}

static int no_such(const char *id)
{
	return ERR_PLAIN(-ENOENT, "container \"%s\" does not exist", id);
}

int container_reload(struct container *c)
{
	int r = state_load(c->arena, c->dir, &c->state);
	struct stat st;

	if (r == -ENOENT) {
		c->has_state = false;
		/* Removed meanwhile, or nothing is written yet. */
		return fstat(c->dir, &st) < 0 || st.st_nlink == 0 ? no_such(c->id) : 0;
	}
	if (r < 0)
		return ERR_CONTEXT(r, "container \"%s\"", c->id);
	c->has_state = true;
	return 0;
}

int container_open(const char *root, const char *id, struct container *c)
{
	int r = container_init(id, c);

	if (r < 0)
		return r;
	c->root_dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->root_dir < 0)
		return errno == ENOENT ? no_such(id) : ERR(-errno, "cannot open the state directory \"%s\"", root);
	r = open_dir(c);
	if (r < 0)
		return r == -ENOENT ? no_such(id) : ERR(r, "cannot open the state of container \"%s\"", id);
	return container_reload(c);
}

static int take_lock(struct container *c, bool wait)
{
	struct stat st;

	while (flock(c->dir, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
		if (errno != EINTR)
			return -errno;
	/* Whoever had it may have removed the container meanwhile. */
	return fstat(c->dir, &st) < 0 || st.st_nlink == 0 ? -ENOENT : 0;
}

int container_lock(struct container *c, bool wait)
{
	int r = take_lock(c, wait);

	if (r == -ENOENT)
		return no_such(c->id);
	return r < 0 ? r : container_reload(c);
}

int container_lock_existing(struct container *c)
{
	return take_lock(c, true);
}

void container_unlock(struct container *c)
{
	(void)flock(c->dir, LOCK_UN);
}

int container_save(struct container *c)
{
	int r = state_save(c->dir, &c->state, !c->has_state);

	if (r < 0)
		return ERR(r, "cannot write the state of container \"%s\"", c->id);
	c->has_state = true;
	return 0;
}

/* A directory in it (the notify socket's) may be written to by a container with privileges: so deep, and no deeper. */
#define REMOVE_DEPTH 16

/* Whatever is in it: what a newer or a killed nacre left. Symbolic links are removed, not followed. */
static int remove_content(int dir, unsigned int depth)
{
	_cleanup_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (d == NULL)
		return -errno;
	take_fd(&fd);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		_cleanup_close_ int sub = FD_NONE;
		int k;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") || unlinkat(dir, e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		k = -errno;
		if (k == -EISDIR && depth > 0) {
			sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			k = sub < 0 ? -errno : remove_content(sub, depth - 1);
			if (k == 0 && unlinkat(dir, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
				k = -errno;
		}
		if (k < 0)
			r = k;
	}
	closedir(d);
	return r;
}

int container_remove(struct container *c)
{
	int r;

	/* What nearly always is all. */
	(void)unlinkat(c->dir, STATE_CONFIG, 0);
	(void)unlinkat(c->dir, STATE_FILE, 0);
	if (unlinkat(c->root_dir, c->id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	r = errno == ENOTEMPTY || errno == EEXIST ? remove_content(c->dir, REMOVE_DEPTH) : -errno;
	if (r == 0 && unlinkat(c->root_dir, c->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? ERR(r, "cannot remove the state directory of container \"%s\"", c->id) : 0;
}

void container_deinit(struct container *c)
{
	fd_close(&c->dir);
	fd_close(&c->root_dir);
	arena_free(c->arena);
	c->arena = NULL;
}

/* Is the lock of the waiting init held? */
static bool waiting(const struct container *c)
{
	_cleanup_close_ int fd = openat(c->dir, STATE_WAITING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Somebody is at work on a container without a pid: being created, or what a killed create left. */
static bool locked(const struct container *c)
{
	_cleanup_close_ int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

enum container_status container_status(const struct container *c, bool frozen, pid_t *ret_pid)
{
	*ret_pid = 0;
	if (!c->has_state || c->state.pid == 0)
		return locked(c) ? STATUS_CREATING : STATUS_STOPPED;
	if (!proc_alive(c->state.pid, c->state.pid_seen))
		return STATUS_STOPPED;
	*ret_pid = c->state.pid;
	if (waiting(c))
		return STATUS_CREATED;
	return frozen ? STATUS_PAUSED : STATUS_RUNNING;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_id(struct container_ids *ids, const char *id)
{
	char **v = reallocarray(ids->v, ids->n + 1, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	ids->v = v;
	v[ids->n] = strdup(id);
	if (v[ids->n] == NULL)
		return ERR_NOMEM();
	ids->n++;
	return 0;
}

const char *state_annotation(const struct state *s, const char *key)
{
	for (size_t i = 0; i < s->n_annotations; i++)
		if (str_eq(s->annotations[i].key, key))
			return s->annotations[i].value;
	return NULL;
}

int container_list(const char *root, struct container_ids *ret_ids)
{
	DIR *d = opendir(root);
	int r = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : ERR(-errno, "cannot read the state directory \"%s\"", root);
	for (struct dirent *e = readdir(d); r == 0 && e != NULL; e = readdir(d))
		if (e->d_name[0] != '.')
			r = add_id(ret_ids, e->d_name);
	closedir(d);
	if (ret_ids->n > 1)
		qsort(ret_ids->v, ret_ids->n, sizeof(*ret_ids->v), by_name);
	return r;
}

void container_ids_deinit(struct container_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		free(ids->v[i]);
	free(ids->v);
	*ids = (struct container_ids){ NULL, 0 };
}
