/* SPDX-License-Identifier: Apache-2.0 */
/* See disk_image.h. */
#include "microvm/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define MAGIC_MAX 8

struct magic {
	off_t at;
	size_t len;
	const char *bytes, *name;
};

/* Superblocks. */
static const struct magic file_systems[] = {
	{ 1024 + 0x38, 2, "\x53\xef", "ext4" }, { 0, 4, "XFSB", "xfs" }, { 0x10000 + 0x40, 8, "_BHRfS_M", "btrfs" },
	{ 1024, 4, "\xe2\xe1\xf5\xe0", "erofs" }, { 0, 4, "hsqs", "squashfs" },
};

/* What a person may have taken for a raw image; the last is at the end of a master boot record, and of a boot sector. */
static const struct magic others[] = {
	{ 0, 4, "QFI\xfb", "a qcow2 image" }, { 0, 4, "KDMV", "a VMDK image" }, { 0, 8, "conectix", "a VHD image" },
	{ 0, 8, "vhdxfile", "a VHDX image" }, { 64, 4, "\x7f\x10\xda\xbe", "a VDI image" },
	{ 510, 2, "\x55\xaa", "a disk with partitions" },
};

static int find(int fd, const struct magic *v, size_t n, const char **ret_name)
{
	*ret_name = NULL;
	for (size_t i = 0; i < n && *ret_name == NULL; i++) {
		char got[MAGIC_MAX];
		ssize_t len = pread(fd, got, v[i].len, v[i].at);

		if (len < 0)
			return -errno;
		if ((size_t)len == v[i].len && memcmp(got, v[i].bytes, v[i].len) == 0)
			*ret_name = v[i].name;
	}
	return 0;
}

static int look(int fd, const char *path, const char **ret_name)
{
	const char *other = NULL;
	int r = find(fd, file_systems, ARRAY_SIZE(file_systems), ret_name);

	if (r == 0 && *ret_name == NULL)
		r = find(fd, others, ARRAY_SIZE(others), &other);
	if (r < 0)
		return ERR(r, "cannot read the image \"%s\"", path);
	if (*ret_name != NULL)
		return 0;
	if (other != NULL)
		return ERR_PLAIN(-EINVAL, "\"%s\" is %s, not a raw image of a file system", path, other);
	return ERR_PLAIN(-EINVAL, "\"%s\" has no file system that is known (ext2 to ext4, xfs, btrfs, erofs, squashfs)", path);
}

/* Looked at before it is opened, since that alone may block (a FIFO) or do something (a device). */
static int open_found(const char *path, int found, bool read_only, int *ret_fd)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY;
	struct stat st;
	char link[32];

	if (fstat(found, &st) < 0)
		return ERR(-errno, "cannot look at the image \"%s\"", path);
	if (S_ISLNK(st.st_mode))
		return ERR_PLAIN(-ELOOP, "the image \"%s\" is a symbolic link", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ERR_PLAIN(-EINVAL, "the image \"%s\" is %s, not a regular file or a block device", path,
				 S_ISDIR(st.st_mode) ? "a directory" : "a special file");
	/* A block device that is mounted, or part of something that is. */
	if (S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
	*ret_fd = open(link, flags);
	return *ret_fd < 0 ? ERR(-errno, "cannot open the image \"%s\"%s", path, read_only ? "" : " for writing") : 0;
}

int disk_image_open(const char *path, bool read_only, struct disk_image *ret)
{
	_cleanup_close_ int found = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = FD_NONE;
	int r = found < 0 ? ERR(-errno, "cannot open the image \"%s\"", path) : open_found(path, found, read_only, &fd);

	if (r < 0)
		return r;
	if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? ERR_PLAIN(-EBUSY, "the image \"%s\" is in use by another microVM", path) :
					      ERR(-errno, "cannot lock the image \"%s\"", path);
	r = look(fd, path, &ret->file_system);
	if (r == 0)
		ret->fd = take_fd(&fd);
	return r;
}
