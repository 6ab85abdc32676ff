/* SPDX-License-Identifier: Apache-2.0 */
/* Which images a machine gets as a disk. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/disk_image.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

struct place {
	char dir[32], path[64];
};

static bool make_place(struct test *t, struct place *p)
{
	strcpy(p->dir, "/tmp/nacre-image.XXXXXX");
	if (!CHECK(mkdtemp(p->dir) != NULL))
		return false;
	snprintf(p->path, sizeof(p->path), "%s/image", p->dir);
	return true;
}

static void end_place(struct place *p)
{
	(void)unlink(p->path);
	(void)rmdir(p->path);
	(void)rmdir(p->dir);
}

static void write_at(struct test *t, const char *path, off_t size, off_t at, const char *bytes, size_t n)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, size) == 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
}

TEST(file_systems)
{
	static const struct {
		off_t at;
		const char *bytes, *name;
	} cases[] = {
		{ 1080, "\x53\xef", "ext4" }, { 0, "XFSB", "xfs" }, { 65600, "_BHRfS_M", "btrfs" }, { 1024, "\xe2\xe1\xf5\xe0", "erofs" },
		{ 0, "hsqs", "squashfs" },
	};
	struct place p;

	if (!make_place(t, &p))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disk_image image = { .fd = FD_NONE };

		write_at(t, p.path, 1 << 20, cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
		if (CHECK_INT(disk_image_open(p.path, i % 2 == 0, &image), 0)) {
			CHECK_STR(image.file_system, cases[i].name);
			CHECK_INT(fcntl(image.fd, F_GETFL) & O_ACCMODE, i % 2 == 0 ? O_RDONLY : O_RDWR);
		}
		fd_close(&image.fd);
	}
	end_place(&p);
}

static void try_refused(struct test *t, const char *path, int want, const char *why)
{
	struct disk_image image = { .fd = FD_NONE };

	CHECK_INT(disk_image_open(path, false, &image), want);
	if (!CHECK(strstr(err_text(), why) != NULL))
		printf("#   %s\n", err_text());
	CHECK(image.fd < 0);
}

TEST(refused)
{
	static const struct {
		off_t size, at;
		const char *bytes, *why;
	} cases[] = {
		{ 0, 0, "", "no file system" }, { 1 << 20, 0, "", "no file system" }, { 1081, 1080, "\x53", "no file system" },
		{ 4096, 0, "QFI\xfb", "is a qcow2 image" }, { 4096, 0, "KDMV", "a VMDK image" }, { 4096, 0, "conectix", "a VHD image" },
		{ 4096, 64, "\x7f\x10\xda\xbe", "a VDI image" }, { 4096, 510, "\x55\xaa", "with partitions" },
	};
	struct place p;

	if (!make_place(t, &p))
		return;
	try_refused(t, p.path, -ENOENT, "cannot open the image");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_at(t, p.path, cases[i].size, cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
		try_refused(t, p.path, -EINVAL, cases[i].why);
	}
	CHECK(unlink(p.path) == 0 && mkdir(p.path, 0700) == 0);
	try_refused(t, p.path, -EINVAL, "is a directory");
	CHECK(rmdir(p.path) == 0 && mkfifo(p.path, 0600) == 0);
	try_refused(t, p.path, -EINVAL, "is a special file");
	CHECK(unlink(p.path) == 0 && symlink("/dev/null", p.path) == 0);
	try_refused(t, p.path, -ELOOP, "is a symbolic link");
	try_refused(t, "/dev/null", -EINVAL, "is a special file");
	end_place(&p);
}

TEST(lock)
{
	struct disk_image first = { .fd = FD_NONE }, second = { .fd = FD_NONE };
	struct place p;

	if (!make_place(t, &p))
		return;
	write_at(t, p.path, 4096, 0, "XFSB", 4);
	CHECK_INT(disk_image_open(p.path, false, &first), 0);
	try_refused(t, p.path, -EBUSY, "in use");
	CHECK_INT(disk_image_open(p.path, true, &second), -EBUSY);
	fd_close(&first.fd);
	CHECK_INT(disk_image_open(p.path, true, &first), 0);
	CHECK_INT(disk_image_open(p.path, true, &second), 0);
	try_refused(t, p.path, -EBUSY, "in use");
	fd_close(&first.fd);
	fd_close(&second.fd);
	end_place(&p);
}

TEST_MAIN(CASE(file_systems), CASE(refused), CASE(lock))
