/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include "cgroups/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/path.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* A cgroup directory's 60 files are 2.5 KiB of entries. */
#define DENTS_SIZE 8192

/* Names of one directory's children, each with its NUL, one after the other. */
struct level {
	struct buf names;
	size_t next;	/* offset of the first not yet visited */
	char *name;	/* this directory's own name; NULL at the top */
};

struct levels {
	struct level *v;
	size_t n, cap;
};

static void level_deinit(struct level *l)
{
	buf_deinit(&l->names);
	free(l->name);
	l->name = NULL;
}

static void levels_deinit(struct levels *s)
{
	while (s->n > 0)
		level_deinit(&s->v[--s->n]);
	free(s->v);
	s->v = NULL;
}
#define _cleanup_levels_ __attribute__((cleanup(levels_deinit)))

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

static int list_children(int dirfd, struct buf *names)
{
	/* A description of its own: the caller's has an offset that is not ours to move. */
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char dents[DENTS_SIZE] __attribute__((aligned(__alignof__(struct dirent64))));
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = getdents64(fd, dents, sizeof(dents))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(dents + at);

			if (d->d_type == DT_DIR && !str_eq(d->d_name, ".") && !str_eq(d->d_name, ".."))
				buf_add(names, d->d_name, strlen(d->d_name) + 1);
			at += d->d_reclen;
		}
	}
	if (n < 0)
		return -errno;
	return names->failed ? -ENOMEM : 0;
}

/* Makes the directory fd, called name, the deepest level. */
static int push(struct levels *s, int fd, const char *name)
{
	struct level l = { .names = BUF_NULL };
	int r;

	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 8 : s->cap * 2;
		struct level *v = reallocarray(s->v, cap, sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	if (name != NULL && (l.name = strdup(name)) == NULL)
		return -ENOMEM;
	r = list_children(fd, &l.names);
	if (r < 0 && !is_gone(r)) {
		level_deinit(&l);
		return r;
	}
	s->v[s->n++] = l;
	return 0;
}

static int enter(int fd, const struct cgroup_visit *visit, void *arg)
{
	return visit->enter != NULL ? visit->enter(fd, arg) : 0;
}

/* From a finished directory back to its parent. */
static int pop(struct levels *s, int *fd, const struct cgroup_visit *visit, void *arg)
{
	struct level *l = &s->v[s->n - 1];
	int parent, r = cgroup_open_child(*fd, "..", O_RDONLY, &parent);

	if (r < 0)
		return r;
	fd_close(fd);
	*fd = parent;
	if (visit->leave != NULL)
		r = visit->leave(parent, l->name, arg);
	level_deinit(l);
	s->n--;
	return r;
}

int cgroup_tree_walk(int top_fd, const struct cgroup_visit *visit, void *arg)
{
	_cleanup_levels_ struct levels s = { NULL, 0, 0 };
	_cleanup_close_ int fd = fcntl(top_fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = enter(fd, visit, arg);
	if (r == 0)
		r = push(&s, fd, NULL);
	while (r == 0) {
		struct level *l = &s.v[s.n - 1];
		const char *name = l->names.data + l->next;
		int child;

		if (l->next == l->names.len) {
			if (s.n == 1)
				break;
			r = pop(&s, &fd, visit, arg);
			continue;
		}
		l->next += strlen(name) + 1;
		r = cgroup_open_child(fd, name, O_RDONLY, &child);
		if (is_gone(r)) {
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		fd_close(&fd);
		fd = child;
		r = enter(fd, visit, arg);
		if (r == 0)
			r = push(&s, fd, name);
	}
	return r;
}
