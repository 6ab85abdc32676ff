/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the root file system, and TCP over the loopback. See workload.h. */
#include "microvm/guest/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define FILE_SIZE ((size_t)16 << 20)
#define BLOCK ((size_t)256 << 10)
#define PIECE ((size_t)4096)
#define STREAM_PIECE ((size_t)65536)

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

/* ---- TCP ---- */

/* Two ends of a connection over 127.0.0.1. */
static int tcp_pair(int *ret_a, int *ret_b)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	int one = 1;

	*ret_a = *ret_b = FD_NONE;
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		return ERR(-errno, "cannot listen on the loopback");
	*ret_a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_a < 0 || connect(*ret_a, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot connect over the loopback");
	*ret_b = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*ret_b < 0)
		return ERR(-errno, "cannot accept a connection");
	(void)setsockopt(*ret_a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(*ret_b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

static void tcp_echo(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1) {
	}
	_exit(0);
}

static void tcp_source(int fd)
{
	char *block = calloc(1, STREAM_PIECE);

	while (block != NULL && send(fd, block, STREAM_PIECE, MSG_NOSIGNAL) > 0) {
	}
	_exit(0);
}

/* The other end is a process of its own. */
static int tcp_peer(void (*other)(int fd), int *ret_fd, pid_t *ret_pid)
{
	int a, b, r = tcp_pair(&a, &b);

	*ret_pid = r == 0 ? fork() : -1;
	if (r == 0 && *ret_pid < 0)
		r = ERR(-errno, "cannot fork");
	if (*ret_pid == 0) {
		fd_close(&a);
		other(b);
	}
	fd_close(&b);
	if (r < 0)
		fd_close(&a);
	*ret_fd = a;
	return r;
}

int workload_tcp_round_trip(uint64_t *ret_ns)
{
	_cleanup_close_ int fd = FD_NONE;
	uint64_t start, now, n = 0;
	pid_t pid;
	char c = 'x';
	int r = tcp_peer(tcp_echo, &fd, &pid);

	if (r < 0)
		return r;
	start = now = clock_now_ns();
	while (r == 0 && now - start < WORKLOAD_SLICE) {
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			r = ERR(-errno, "cannot exchange a byte");
		n++;
		now = clock_now_ns();
	}
	fd_close(&fd);
	(void)waitpid(pid, NULL, 0);
	*ret_ns = (now - start) / n;
	return r;
}

int workload_tcp_stream(uint64_t *ret_bytes_per_second)
{
	_cleanup_close_ int fd = FD_NONE;
	_cleanup_free_ char *block = NULL;
	uint64_t start, now, done = 0;
	pid_t pid;
	int r = make_block(&block);

	if (r == 0)
		r = tcp_peer(tcp_source, &fd, &pid);
	if (r < 0)
		return r;
	start = now = clock_now_ns();
	while (r == 0 && now - start < WORKLOAD_SLICE) {
		ssize_t n = read(fd, block, BLOCK);

		if (n <= 0)
			r = ERR(n < 0 ? -errno : -EPIPE, "cannot receive");
		else
			done += (uint64_t)n;
		now = clock_now_ns();
	}
	fd_close(&fd);
	(void)waitpid(pid, NULL, 0);
	*ret_bytes_per_second = workload_rate(done, now - start);
	return r;
}
