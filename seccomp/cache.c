/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled programs kept in a directory. Nothing here is an error to anybody: what cannot be read is compiled, what cannot be
 * written is not kept. README.md says who could meddle with the files, and why that comes to nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "seccomp/cache_file.h"
#include "seccomp/compile.h"
#include "seccomp/policy.h"
#include "seccomp/seccomp.h"

/* Whose it is and who else may do something: an owner other than us, or bits that others have. */
static bool ours(const struct stat *st, mode_t others)
{
	return st->st_uid == geteuid() && (st->st_mode & others) == 0;
}

/* Others may look into the parent, not change it: who could rename in there could take our directory away and put back an old one. */
static int open_dir(const struct seccomp_cache *c, bool make, int *ret_dir)
{
	_cleanup_close_ int dir = FD_NONE;
	struct stat st;

	if (fstat(c->parent, &st) < 0)
		return -errno;
	if (!ours(&st, S_IWGRP | S_IWOTH))
		return -EPERM;
	if (make && mkdirat(c->parent, c->name, 0700) < 0 && errno != EEXIST)
		return -errno;
	dir = openat(c->parent, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0)
		return -errno;
	if (!ours(&st, S_IRWXG | S_IRWXO))
		return -EPERM;
	*ret_dir = take_fd(&dir);
	return 0;
}

/* malloc'ed; whatever has that name: a fifo must not hold us up, a link lead nowhere, nor be a second name of another file. */
static int read_file(int dir, const char *name, char **ret_data, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || !ours(&st, S_IRWXG | S_IRWXO))
		return -EPERM;
	if (st.st_size <= 0)
		return -ENODATA;
	return fd_read_regular(fd, (size_t)st.st_size, CACHE_FILE_MAX, ret_data, ret_len);
}

/* true: *ret_prog (but for its flags, which are not in a file) is what would be compiled. */
static bool look_up(const struct seccomp_cache *c, const char *name, const struct buf *key, struct seccomp_program *ret_prog)
{
	_cleanup_close_ int dir = FD_NONE;
	_cleanup_free_ char *data = NULL;
	const char *program = NULL, *why = NULL;
	size_t len = 0;
	int r = open_dir(c, false, &dir);

	if (r == 0)
		r = read_file(dir, name, &data, &len);
	if (r == -ENOENT)
		return false;
	if (data != NULL)
		why = cache_file_parse(data, len, key, &program, &len);
	if (data == NULL || why != NULL) {
		log_debug("seccomp: the kept filter %s is not used: %s", name, why != NULL ? why : strerror(-r));
		return false;
	}
	memmove(data, program, len);
	ret_prog->filter = data;
	ret_prog->len = len;
	data = NULL;
	return true;
}

/* Ours, by its form. */
static bool is_name(const char *name)
{
	return strlen(name) == CACHE_NAME_SIZE - 1 && strspn(name, "0123456789abcdef") == CACHE_NAME_SIZE - 1;
}

static bool older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* How many there are, and the one that was written first. */
static size_t count_files(DIR *d, char ret_oldest[CACHE_NAME_SIZE])
{
	struct timespec first = { 0 };
	size_t n = 0;

	rewinddir(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		struct stat st;

		if (!is_name(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
			continue;
		if (n++ == 0 || older(&st.st_mtim, &first)) {
			first = st.st_mtim;
			memcpy(ret_oldest, e->d_name, CACHE_NAME_SIZE);
		}
	}
	return n;
}

/* Makes room for one. Others may do the same at the same time: then there are fewer for a while, or some more. */
static void drop_oldest(int dir)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	char oldest[CACHE_NAME_SIZE];

	if (d == NULL) {
		fd_close(&again);
		return;
	}
	for (int i = 0; i < SECCOMP_CACHE_FILES && count_files(d, oldest) >= SECCOMP_CACHE_FILES; i++)
		if (unlinkat(dir, oldest, 0) < 0)
			break;
	closedir(d);
}

/* A file without a name until it is whole: nobody sees a part of it, and of a killed writer nothing is left. */
static int write_file(int dir, const char *name, const struct buf *content)
{
	_cleanup_close_ int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char path[32];
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, content->data, content->len);
	if (r < 0)
		return r;
	drop_oldest(dir);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* What has the name was not to be used, or is another run's of this moment. */
	if (errno != EEXIST || unlinkat(dir, name, 0) < 0 || linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

static int keep(const struct seccomp_cache *c, const char *name, const struct buf *key, const struct seccomp_program *p)
{
	_cleanup_close_ int dir = FD_NONE;
	_cleanup_buf_ struct buf content = BUF_NULL;
	int r;

	/* It would not be taken: libseccomp has learned something that this folder has not. */
	if (cache_program_fault(p->filter, p->len) != NULL)
		return -ENOTSUP;
	cache_file_write(key, p, &content);
	if (content.failed)
		return -ENOMEM;
	r = open_dir(c, true, &dir);
	return r < 0 ? r : write_file(dir, name, &content);
}

static bool worth_keeping(const struct seccomp_req *req)
{
	size_t names = 0;

	for (size_t i = 0; i < req->n_rules; i++)
		names += req->rules[i].n_names;
	return names >= SECCOMP_CACHE_FROM;
}

/* The tree takes longer to make; kept, it is loaded more often than made. */
static int compile(const struct seccomp_req *req, bool tree, struct seccomp_program *ret_prog)
{
	size_t unknown = 0;
	int r = seccomp_compile_as(req, tree, ret_prog, &unknown);

	if (r == -E2BIG && tree) {
		err_clear();
		r = seccomp_compile_as(req, false, ret_prog, &unknown);
	}
	if (r == 0)
		log_debug("seccomp: the filter is compiled; %zu system call names are unknown here", unknown);
	return r;
}

static int compile_with_key(const struct seccomp_cache *c, const struct seccomp_req *req, const struct buf *key,
			    struct seccomp_program *ret_prog)
{
	char name[CACHE_NAME_SIZE];
	int r;

	cache_name(key, name);
	if (look_up(c, name, key, ret_prog)) {
		log_debug("seccomp: the filter is kept as %s, nothing is compiled", name);
		ret_prog->flags = seccomp_policy_flags(req);
		ret_prog->uses_notify = seccomp_policy_notifies(req);
		return 0;
	}
	r = compile(req, true, ret_prog);
	if (r < 0)
		return r;
	r = keep(c, name, key, ret_prog);
	if (r < 0)
		log_debug("seccomp: the filter cannot be kept as %s: %s", name, strerror(-r));
	return 0;
}

int seccomp_compile_cached(const struct seccomp_cache *c, const struct seccomp_req *req, struct seccomp_program *ret_prog)
{
	_cleanup_buf_ struct buf key = BUF_NULL;
	int r = seccomp_policy_check(req);

	if (r < 0)
		return r;
	if (c->parent < 0 || !worth_keeping(req))
		return compile(req, false, ret_prog);
	cache_key(req, c->writer, &key);
	if (key.failed || key.len > CACHE_KEY_MAX)
		return compile(req, false, ret_prog);
	return compile_with_key(c, req, &key, ret_prog);
}
