/* SPDX-License-Identifier: Apache-2.0 */
/* See path_at.h. */
#include "runtime/base/path_at.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define MAX_LINKS 40	/* as the kernel's */
#define MAX_DEPTH 256	/* directories deep; only the user-space walk needs a bound */

/* The walk's place: a stack of directories, so that ".." never asks the file system. */
struct walk {
	int root;
	int dirs[MAX_DEPTH];
	size_t depth;
	unsigned int links;
	char rest[PATH_MAX];	/* what is still to be resolved */
};

static int walk_dir(const struct walk *w)
{
	return w->depth > 0 ? w->dirs[w->depth - 1] : w->root;
}

static void walk_pop_to(struct walk *w, size_t depth)
{
	while (w->depth > depth)
		fd_close(&w->dirs[--w->depth]);
}

/* Cuts the next component off rest into name. False at the end. */
static bool walk_next(struct walk *w, char *name, bool *ret_last)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(p, "/");

	if (len == 0)
		return false;
	if (len > NAME_MAX)
		len = NAME_MAX + 1;	/* too long: the kernel will say ENAMETOOLONG */
	memcpy(name, p, len);
	name[len] = '\0';
	p += strcspn(p, "/");
	*ret_last = p[strspn(p, "/")] == '\0';
	memmove(w->rest, p, strlen(p) + 1);
	return true;
}

/* Puts the link's target before rest; an absolute one starts again at the root. */
static int walk_expand(struct walk *w, int linkfd)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(linkfd, "", target, sizeof(target) - 1);
	size_t rest = strlen(w->rest);

	if (n < 0)
		return -errno;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	if (n == 0)
		return -ENOENT;
	if ((size_t)n + 1 + rest >= sizeof(w->rest))
		return -ENAMETOOLONG;
	memmove(w->rest + n + 1, w->rest, rest + 1);
	memcpy(w->rest, target, (size_t)n);
	w->rest[n] = '/';
	if (target[0] == '/')
		walk_pop_to(w, 0);
	return 0;
}

static int walk_enter(struct walk *w, int *fd)
{
	if (w->depth == MAX_DEPTH)
		return -ENAMETOOLONG;
	w->dirs[w->depth++] = take_fd(fd);
	return 0;
}

static int walk_run(struct walk *w, int flags, int *ret_fd)
{
	char name[NAME_MAX + 2];
	bool last;
	int r;

	while (walk_next(w, name, &last)) {
		_cleanup_close_ int fd = FD_NONE;
		struct stat st;

		if (str_eq(name, "."))
			continue;
		if (str_eq(name, "..")) {
			walk_pop_to(w, w->depth > 0 ? w->depth - 1 : 0);
			continue;
		}
		fd = openat(walk_dir(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW))) {
			r = walk_expand(w, fd);
			if (r < 0)
				return r;
			continue;
		}
		if (last && !S_ISDIR(st.st_mode)) {
			/* O_NOFOLLOW: a link swapped in just now is an error, not a way out. */
			*ret_fd = openat(walk_dir(w), name, flags | O_NOFOLLOW | O_CLOEXEC);
			return *ret_fd < 0 ? -errno : 0;
		}
		r = walk_enter(w, &fd);
		if (r < 0)
			return r;
	}
	*ret_fd = openat(walk_dir(w), ".", flags | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

int path_walk(int root, const char *path, int flags, int *ret_fd)
{
	struct walk *w;
	int r;

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->root = root;
	strcpy(w->rest, path);
	r = walk_run(w, flags, ret_fd);
	walk_pop_to(w, 0);
	free(w);
	return r;
}

int path_open(int root, const char *path, int flags, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	if (*path == '\0')
		path = "/";
	/* EAGAIN: a rename or mount raced with a ".."; the kernel asks to try again. */
	for (int tries = 0; tries < 64; tries++) {
		int fd = sys_openat2(root, path, &how);

		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		if (errno == ENOSYS || errno == EPERM)
			return path_walk(root, path, flags, ret_fd);
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int path_open_links(int root, const char *path, int flags, int *ret_fd, bool *ret_links)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
	};
	int fd = sys_openat2(root, *path == '\0' ? "/" : path, &how);

	*ret_links = fd < 0 && errno != ENOENT && errno != ENOTDIR;
	if (fd < 0 && !*ret_links)
		return -errno;
	if (fd < 0)
		return path_open(root, path, flags, ret_fd);
	*ret_fd = fd;
	return 0;
}

int path_clean(const char *path, char *out)
{
	size_t len = 0;

	for (const char *p = path; *p != '\0';) {
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (len + 1 + n >= PATH_MAX)
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return 0;
}

/* Cuts the last component off, what comes before keeps its slash. */
static void cut_last(char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	path[len] = '\0';
}

/*
 * What is found in the way of something new: with a dangling symlink, the path to make instead, rest (with its slash)
 * at its end. Gives 1 and the new path, 0 when it is no symlink, or -errno.
 */
static int dangling(int dirfd, const char *name, const char *prefix, const char *rest, char *out)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	_cleanup_free_ char *joined = NULL;

	if (n < 0)
		return errno == EINVAL ? 0 : -errno;
	target[n] = '\0';
	if (target[0] == '/')
		joined = str_printf("%s%s", target, rest);
	else
		joined = str_printf("%s/%s%s", prefix, target, rest);
	if (joined == NULL)
		return -ENOMEM;
	if (strlen(joined) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(out, joined);
	return 1;
}

/* The longest prefix of path that exists: its fd, and where the rest begins. */
static int longest_prefix(int root, const char *path, int *ret_fd, size_t *ret_len, bool *ret_links)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path);
	int r;

	if (len >= sizeof(prefix))
		return -ENAMETOOLONG;
	memcpy(prefix, path, len + 1);
	for (;;) {
		r = path_open_links(root, len > 0 ? prefix : "/", O_PATH | O_DIRECTORY, ret_fd, ret_links);
		if (r != -ENOENT || len == 0) {
			*ret_len = len;
			return r;
		}
		cut_last(prefix);
		len = strlen(prefix);
	}
}

static int mkdirs(int root, const char *path, mode_t mode, unsigned int links, int *ret_fd, bool *ret_links)
{
	_cleanup_close_ int dir = FD_NONE;
	char name[NAME_MAX + 1];
	size_t done;
	int r = longest_prefix(root, path, &dir, &done, ret_links);

	if (r < 0)
		return r;
	for (const char *p = path + done; *(p += strspn(p, "/")) != '\0';) {
		size_t n = strcspn(p, "/");
		int next;

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, p, n);
		name[n] = '\0';
		/* ".." after something that did not exist a moment ago: no honest meaning. */
		if (str_eq(name, ".."))
			return -ENOENT;
		if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
			return -errno;
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) {
			char prefix[PATH_MAX], again[PATH_MAX];
			int saved = -errno;

			snprintf(prefix, sizeof(prefix), "%.*s", (int)(p - path), path);
			r = dangling(dir, name, prefix, p + n, again);
			if (r <= 0)
				return r < 0 ? r : saved;
			r = links >= MAX_LINKS ? -ELOOP : mkdirs(root, again, mode, links + 1, ret_fd, ret_links);
			*ret_links = true;
			return r;
		}
		fd_close(&dir);
		dir = next;
		p += n;
	}
	*ret_fd = take_fd(&dir);
	return 0;
}

int path_mkdirs_links(int root, const char *path, mode_t mode, int *ret_fd, bool *ret_links)
{
	return mkdirs(root, path, mode, 0, ret_fd, ret_links);
}

int path_mkdirs(int root, const char *path, mode_t mode, int *ret_fd)
{
	bool links;

	return mkdirs(root, path, mode, 0, ret_fd, &links);
}

int path_parent(int root, const char *path, mode_t mode, int *ret_dirfd, char *name)
{
	size_t len = strlen(path), start;
	char parent[PATH_MAX];

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/'; start--)
		;
	if (start == len || len - start > NAME_MAX || start >= PATH_MAX)
		return start == len ? -EINVAL : -ENAMETOOLONG;
	memcpy(name, path + start, len - start);
	name[len - start] = '\0';
	if (str_eq(name, ".") || str_eq(name, ".."))
		return -EINVAL;
	memcpy(parent, path, start);
	parent[start] = '\0';
	return path_mkdirs(root, parent, mode, ret_dirfd);
}

int path_mkfile(int root, const char *path, mode_t dirmode, mode_t mode, int *ret_fd)
{
	char at[PATH_MAX], name[NAME_MAX + 1];

	if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
		return -ENAMETOOLONG;
	/* Once for each dangling symlink: what it leads to is made instead, inside root. */
	for (int links = 0; links <= MAX_LINKS; links++) {
		_cleanup_close_ int dir = FD_NONE, fd = FD_NONE;
		char again[PATH_MAX];
		int r = path_open(root, at, O_PATH, ret_fd);

		if (r != -ENOENT)
			return r;
		r = path_parent(root, at, dirmode, &dir, name);
		if (r < 0)
			return r;
		fd = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
		if (fd >= 0) {
			*ret_fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
			return *ret_fd < 0 ? -errno : 0;
		}
		if (errno != EEXIST)
			return -errno;
		cut_last(at);
		r = dangling(dir, name, at, "", again);
		if (r <= 0)
			return r < 0 ? r : -EEXIST;
		snprintf(at, sizeof(at), "%s", again);
	}
	return -ELOOP;
}
