/* SPDX-License-Identifier: Apache-2.0 */
/* See initramfs_cache.h. */
#include "microvm/initramfs_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

int initramfs_cache_open(const char *path, int *ret_dir)
{
	_cleanup_close_ int dir = FD_NONE;
	struct stat st;

	*ret_dir = FD_NONE;
	/* As it is wanted whatever our umask takes away: only more could be taken. */
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return 0;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno != ELOOP && errno != ENOTDIR)
		return 0;
	if (dir < 0 || fstat(dir, &st) < 0)
		return ERR_PLAIN(-EPERM, "the cache \"%s\" is not a folder", path);
	if (st.st_uid != geteuid())
		return ERR_PLAIN(-EPERM, "the cache \"%s\" belongs to user %u", path, (unsigned int)st.st_uid);
	if (st.st_mode & 077)
		return ERR_PLAIN(-EPERM, "the cache \"%s\" is open to others (its mode is %04o, not 0700)", path,
				 (unsigned int)(st.st_mode & 07777));
	*ret_dir = take_fd(&dir);
	return 0;
}

int initramfs_cache_find(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return FD_NONE;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) && st.st_size > 0)
		return take_fd(&fd);
	(void)unlinkat(dir, name, 0);
	return FD_NONE;
}

/* ---- adding ---- */

struct entry {
	char name[NAME_MAX + 1];
	struct timespec time;
};

static int newest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct entry *)a)->time, *y = &((const struct entry *)b)->time;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return x->tv_nsec < y->tv_nsec ? 1 : x->tv_nsec > y->tv_nsec ? -1 : 0;
}

/* False: there is no more room for it. */
static bool keep_entry(struct entry **v, size_t *n, int dir, const char *name)
{
	struct entry *more;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return true;
	more = reallocarray(*v, *n + 1, sizeof(**v));
	if (more == NULL)
		return false;
	*v = more;
	snprintf(more[*n].name, sizeof(more[*n].name), "%s", name);
	more[*n].time = st.st_mtim;
	(*n)++;
	return true;
}

/* Those of former kernels and of former nacres, and what a killed one was writing. A machine that runs one keeps its descriptor. */
static void remove_oldest(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct entry *v = NULL;
	size_t n = 0;

	if (d == NULL) {
		fd_close(&copy);
		return;
	}
	for (struct dirent *e = readdir(d); e != NULL && keep_entry(&v, &n, dir, e->d_name); e = readdir(d))
		;
	closedir(d);
	if (n > INITRAMFS_CACHE_FILES)
		qsort(v, n, sizeof(*v), newest_first);
	for (size_t i = INITRAMFS_CACHE_FILES; i < n; i++)
		(void)unlinkat(dir, v[i].name, 0);
	free(v);
}

int initramfs_cache_add(int dir, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = FD_NONE;
	uint64_t random = 0;
	char temporary[32];
	int r;

	/* Several may be adding the same one: each writes its own, and the last one stays. */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -errno;
	snprintf(temporary, sizeof(temporary), ".new-%016" PRIx64, random);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, len);
	/* It is read after the next start of the host, too. */
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, temporary, 0);
	else
		remove_oldest(dir);
	return r;
}
