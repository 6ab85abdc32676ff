/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_up.h. */
#include "namespaces/copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define CHUNK (1 << 20)

struct place {
	int from, to;
	const char *name;
};

static int copy_dir(int from, int to, unsigned int depth);

static int copy_bytes(int from, int to)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, CHUNK);

		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int copy_file(const struct place *p)
{
	_cleanup_close_ int in = openat(p->from, p->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = FD_NONE;

	if (in < 0)
		return -errno;
	out = openat(p->to, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return out < 0 ? -errno : copy_bytes(in, out);
}

static int copy_link(const struct place *p)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(p->from, p->name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, p->to, p->name) < 0 ? -errno : 0;
}

static int copy_sub_dir(const struct place *p, unsigned int depth)
{
	_cleanup_close_ int in = openat(p->from, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = FD_NONE;

	if (in < 0)
		return -errno;
	if (mkdirat(p->to, p->name, 0700) < 0)
		return -errno;
	out = openat(p->to, p->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return out < 0 ? -errno : copy_dir(in, out, depth + 1);
}

/* The owner first: a change of it takes set-user-ID bits away. */
static int copy_owner(const struct place *p, const struct stat *st)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };

	if (fchownat(p->to, p->name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(p->to, p->name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(p->to, p->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_one(const struct place *p, unsigned int depth)
{
	struct stat st;
	int r;

	if (fstatat(p->from, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		r = copy_file(p);
		break;
	case S_IFDIR:
		r = copy_sub_dir(p, depth);
		break;
	case S_IFLNK:
		r = copy_link(p);
		break;
	default:
		r = mknodat(p->to, p->name, (st.st_mode & S_IFMT) | 0600, st.st_rdev) < 0 ? -errno : 0;
	}
	return r < 0 ? r : copy_owner(p, &st);
}

static int copy_entries(DIR *d, int to, unsigned int depth)
{
	for (;;) {
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(d);
		if (e == NULL)
			return errno == 0 ? 0 : ERR(-errno, "cannot read a directory to copy");
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		r = copy_one(&(struct place){ dirfd(d), to, e->d_name }, depth);
		if (r < 0)
			return err_text()[0] != '\0' ? ERR_CONTEXT(r, "%s", e->d_name) : ERR(r, "cannot copy \"%s\"", e->d_name);
	}
}

static int copy_dir(int from, int to, unsigned int depth)
{
	_cleanup_close_ int fd = FD_NONE;
	DIR *d;
	int r;

	if (depth > COPY_UP_DEPTH_MAX)
		return ERR_PLAIN(-ELOOP, "directories deeper than %d are not copied", COPY_UP_DEPTH_MAX);
	fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR(-errno, "cannot read a directory to copy");
	d = fdopendir(fd);
	if (d == NULL)
		return ERR(-errno, "cannot read a directory to copy");
	(void)take_fd(&fd);
	r = copy_entries(d, to, depth);
	closedir(d);
	return r;
}

int copy_up(int from, int to)
{
	err_clear();
	return copy_dir(from, to, 0);
}

int copy_up_root(int from, int to)
{
	struct stat st;

	if (fstat(from, &st) < 0 || fchownat(to, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0 ||
	    fchmodat(to, ".", st.st_mode & 07777, 0) < 0)
		return ERR(-errno, "cannot copy a directory's mode and owner");
	return 0;
}
