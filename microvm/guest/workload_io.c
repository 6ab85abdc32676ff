/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the root file system. See workload.h. */
#include "microvm/guest/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define FILE_SIZE ((size_t)16 << 20)
#define BLOCK ((size_t)256 << 10)
#define PIECE ((size_t)4096)

static int open_data(const char *dir, int flags, int *ret_fd)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/data", dir);
	/* Everybody may write to the folder, and on the host we may be root: a link that stands there is not ours to follow. */
	if ((flags & O_CREAT) != 0 && unlink(path) < 0 && errno != ENOENT)
		return ERR(-errno, "cannot remove \"%s\"", path);
	*ret_fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? ERR(-errno, "cannot open \"%s\"", path) : 0;
}

static int make_block(char **ret_block)
{
	*ret_block = malloc(BLOCK);
	if (*ret_block == NULL)
		return ERR_NOMEM();
	memset(*ret_block, 'x', BLOCK);
	return 0;
}

static int write_file(int fd, const char *block)
{
	for (size_t at = 0; at < FILE_SIZE; at += BLOCK)
		if (pwrite(fd, block, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			return ERR(-errno, "cannot write");
	return fdatasync(fd) < 0 ? ERR(-errno, "cannot write back") : 0;
}

/* Sequential, until it is on the disk. The file stays for the reads. */
int workload_file_write(const char *dir, uint64_t *ret_bytes_per_second)
{
	_cleanup_free_ char *block = NULL;
	_cleanup_close_ int fd = FD_NONE;
	uint64_t start, now, done = 0;
	int r = make_block(&block);

	if (r == 0)
		r = open_data(dir, O_RDWR | O_CREAT | O_EXCL, &fd);
	if (r < 0)
		return r;
	start = now = clock_now_ns();
	while (now - start < WORKLOAD_SLICE) {
		r = write_file(fd, block);
		if (r < 0)
			return r;
		done += FILE_SIZE;
		now = clock_now_ns();
	}
	*ret_bytes_per_second = workload_rate(done, now - start);
	return 0;
}

/* Sequential, from the start again and again; this kernel's own cache is asked to forget the file in between. */
int workload_file_read(const char *dir, uint64_t *ret_bytes_per_second)
{
	_cleanup_free_ char *block = NULL;
	_cleanup_close_ int fd = FD_NONE;
	uint64_t start, now, done = 0;
	int r = make_block(&block);

	if (r == 0)
		r = open_data(dir, O_RDONLY, &fd);
	if (r < 0)
		return r;
	start = now = clock_now_ns();
	for (size_t at = 0; now - start < WORKLOAD_SLICE; at = (at + BLOCK) % FILE_SIZE) {
		if (at == 0)
			(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (pread(fd, block, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			return ERR(-errno, "cannot read");
		done += BLOCK;
		now = clock_now_ns();
	}
	*ret_bytes_per_second = workload_rate(done, now - start);
	return 0;
}

/* Pages at random places, from the cache as far as it has them. */
int workload_file_random(const char *dir, uint64_t *ret_per_second)
{
	_cleanup_close_ int fd = FD_NONE;
	uint64_t start, now, n = 0, x = UINT64_C(88172645463325252);
	char piece[PIECE];
	int r = open_data(dir, O_RDONLY, &fd);

	if (r < 0)
		return r;
	start = now = clock_now_ns();
	while (now - start < WORKLOAD_SLICE) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (pread(fd, piece, PIECE, (off_t)(x % (FILE_SIZE / PIECE) * PIECE)) != (ssize_t)PIECE)
			return ERR(-errno, "cannot read");
		n++;
		now = clock_now_ns();
	}
	*ret_per_second = workload_rate(n, now - start);
	return 0;
}

/* A file made, asked for and removed: one. */
int workload_file_metadata(const char *dir, uint64_t *ret_per_second)
{
	uint64_t start = clock_now_ns(), now = start, n = 0;
	char path[PATH_MAX];

	while (now - start < WORKLOAD_SLICE) {
		struct stat st;
		int fd;

		snprintf(path, sizeof(path), "%s/file-%u", dir, (unsigned int)(n % 64));
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return ERR(-errno, "cannot make \"%s\"", path);
		close(fd);
		if (stat(path, &st) < 0 || unlink(path) < 0)
			return ERR(-errno, "cannot remove \"%s\"", path);
		n++;
		now = clock_now_ns();
	}
	*ret_per_second = workload_rate(n, now - start);
	return 0;
}
