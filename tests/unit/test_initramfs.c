/* SPDX-License-Identifier: Apache-2.0 */
/* microvm/initramfs: what is in it, and what the cache believes. */
#include "microvm/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/initramfs_cache.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

struct world {
	char top[32];
	char *modules, *cache;
	int guest;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void put(const struct world *w, const char *path, const char *text)
{
	_cleanup_free_ char *whole = str_printf("%s/%s", w->top, path);

	unlink(whole);
	if (file_create(AT_FDCWD, whole, text, strlen(text), 0644) < 0)
		abort();
}

static void world_init(struct world *w)
{
	strcpy(w->top, "/tmp/nacre-test-XXXXXX");
	if (mkdtemp(w->top) == NULL)
		abort();
	w->modules = str_printf("%s/modules", w->top);
	w->cache = str_printf("%s/cache", w->top);
	w->guest = memfd_create("guest", MFD_CLOEXEC);
	if (mkdir(w->modules, 0755) < 0 || fd_write_all(w->guest, "GUEST", 5) < 0)
		abort();
	put(w, "modules/modules.dep", "a.ko:\nsub-b.ko.xz: a.ko\nlost.ko: gone.ko\n/nonexistent/c.ko:\n");
	put(w, "modules/modules.builtin", "kernel/built.ko\n");
	put(w, "modules/a.ko", "module a");
	put(w, "modules/sub-b.ko.xz", "module b");
	(void)log_open(NULL, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);	/* the warnings are wanted */
}

static void world_deinit(struct world *w)
{
	nftw(w->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w->modules);
	free(w->cache);
	fd_close(&w->guest);
}

#define WORLD(w) __attribute__((cleanup(world_deinit))) struct world w; world_init(&(w))

static const struct initramfs_module wanted[] = { { "sub_b", true }, { "a", true }, { "built", true }, { "none", false }, { "lost", false } };

static struct initramfs_request request(const struct world *w)
{
	return (struct initramfs_request){ .guest = w->guest, .modules = w->modules, .wanted = wanted, .n_wanted = ARRAY_SIZE(wanted),
					   .before = FD_NONE };
}

static uint64_t hex(const char *at)
{
	char text[9] = { 0 };

	memcpy(text, at, 8);
	return strtoull(text, NULL, 16);
}

/* "NAME MODE CONTENT;" for each entry of the archive from *at on. */
static void list(const char *data, size_t size, size_t at, struct buf *out)
{
	while (at + 110 <= size && memcmp(data + at, "070701", 6) == 0) {
		uint64_t mode = hex(data + at + 14), file_size = hex(data + at + 54), name_size = hex(data + at + 94);
		const char *name = data + at + 110;
		size_t content = (at + 110 + name_size + 3) / 4 * 4;

		if (str_eq(name, "TRAILER!!!"))
			return;
		buf_printf(out, "%s %o %.*s;", name, (unsigned int)mode, (int)file_size, data + content);
		at = (content + file_size + 3) / 4 * 4;
	}
	buf_puts(out, "broken");
}

static char *content_of(int fd, size_t at)
{
	_cleanup_free_ char *data = NULL;
	struct buf b = BUF_NULL;
	size_t len;

	/* fd is to be at its start. */
	if (fd_read_all(fd, SIZE_MAX / 2, &data, &len) < 0)
		return NULL;
	list(data, len, at, &b);
	return buf_take(&b);
}

static void check_content(struct test *t, int fd, const char *want)
{
	_cleanup_free_ char *got = content_of(fd, 0);

	CHECK_STR(got, want);
}

#define HEAD "dev 40755 ;dev/console 20600 ;init 100500 GUEST;modules 40700 ;"
#define ALL HEAD "modules/000-a.ko 100400 module a;modules/001-sub-b.ko.xz 100400 module b;"

TEST(content)
{
	_cleanup_close_ int fd = FD_NONE, again = FD_NONE;
	WORLD(w);
	struct initramfs_request q = request(&w);

	if (!CHECK_INT(initramfs_open(&q, &fd), 0))
		return;
	check_content(t, fd, ALL);
	CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
	q.modules = NULL;	/* all built in */
	if (CHECK_INT(initramfs_open(&q, &again), 0))
		check_content(t, again, HEAD);
}

TEST(without_builtin_list)
{
	_cleanup_close_ int fd = FD_NONE;
	WORLD(w);
	struct initramfs_request q = request(&w);
	_cleanup_free_ char *path = str_printf("%s/modules.builtin", w.modules);

	unlink(path);
	CHECK_INT(initramfs_open(&q, &fd), -ENOENT);
	CHECK(strstr(err_text(), "the kernel has no module \"built\", and it is not built in") != NULL);
	q.n_wanted = 2;
	CHECK_INT(initramfs_open(&q, &fd), 0);
}

TEST(refusals)
{
	static const struct initramfs_module missing[] = { { "a", true }, { "none", true } }, unreadable[] = { { "c", true } };
	int fd = FD_NONE;
	WORLD(w);
	struct initramfs_request q = request(&w);

	q.wanted = missing;
	q.n_wanted = 2;
	CHECK_INT(initramfs_open(&q, &fd), -ENOENT);
	CHECK(strstr(err_text(), "no module \"none\"") != NULL);
	q.wanted = unreadable;
	q.n_wanted = 1;
	CHECK_INT(initramfs_open(&q, &fd), -ENOENT);
	CHECK(strstr(err_text(), "\"/nonexistent/c.ko\"") != NULL);
	q.cache = w.cache;
	CHECK_INT(initramfs_open(&q, &fd), -ENOENT);
	q.modules = "/nonexistent";
	CHECK_INT(initramfs_open(&q, &fd), -ENOENT);
	CHECK(strstr(err_text(), "cannot open the kernel's modules \"/nonexistent\"") != NULL);
	q = request(&w);
	put(&w, "modules/modules.dep", "nonsense\n");
	CHECK_INT(initramfs_open(&q, &fd), -EINVAL);
	q.guest = FD_NONE;
	CHECK_INT(initramfs_open(&q, &fd), -EBADF);
	CHECK(fd < 0);
}

/* Which file the descriptor is of. */
static ino_t inode(int fd)
{
	struct stat st = { 0 };

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static int open_once(struct test *t, const struct initramfs_request *q)
{
	int fd = FD_NONE;

	err_clear();
	if (!CHECK_INT(initramfs_open(q, &fd), 0))
		printf("#   %s\n", err_text());
	return fd;
}

TEST(cache)
{
	_cleanup_close_ int one = FD_NONE, two = FD_NONE, three = FD_NONE, four = FD_NONE, five = FD_NONE;
	struct stat st;
	WORLD(w);
	struct initramfs_request q = request(&w);

	q.cache = w.cache;
	one = open_once(t, &q);
	CHECK(stat(w.cache, &st) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(fstat(one, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0400 && (fcntl(one, F_GETFL) & O_ACCMODE) == O_RDONLY);
	check_content(t, one, ALL);
	two = open_once(t, &q);
	CHECK(inode(one) == inode(two));
	check_content(t, two, ALL);
	/* Another module file of the same size. */
	put(&w, "modules/a.ko", "module A");
	three = open_once(t, &q);
	CHECK(inode(three) != inode(two));
	check_content(t, three, HEAD "modules/000-a.ko 100400 module A;modules/001-sub-b.ko.xz 100400 module b;");
	/* Another guest program of the same size. */
	if (pwrite(w.guest, "Guest", 5, 0) != 5)
		abort();
	four = open_once(t, &q);
	CHECK(inode(four) != inode(three));
	q.n_wanted = 0;
	five = open_once(t, &q);
	CHECK(inode(five) != inode(four));
	check_content(t, five, "dev 40755 ;dev/console 20600 ;init 100500 Guest;modules 40700 ;");
}

/* The path of the only archive there. */
static char *only_file(const char *folder)
{
	_cleanup_free_ char *command = str_printf("ls -A %s", folder);
	FILE *p = popen(command, "r");
	char name[128] = "";

	if (p == NULL || fgets(name, sizeof(name), p) == NULL)
		abort();
	pclose(p);
	name[strcspn(name, "\n")] = '\0';
	return str_printf("%s/%s", folder, name);
}

TEST(cached_file_that_is_not_believed)
{
	_cleanup_close_ int one = FD_NONE, two = FD_NONE, three = FD_NONE, four = FD_NONE;
	_cleanup_free_ char *path = NULL;
	WORLD(w);
	struct initramfs_request q = request(&w);

	q.cache = w.cache;
	one = open_once(t, &q);
	path = only_file(w.cache);
	CHECK_INT(chmod(path, 0620), 0);
	two = open_once(t, &q);
	CHECK(inode(two) != inode(one));
	check_content(t, two, ALL);
	CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
	three = open_once(t, &q);
	check_content(t, three, ALL);
	if (geteuid() != 0)
		return;
	CHECK_INT(chown(path, 1000, 0), 0);
	four = open_once(t, &q);
	CHECK(inode(four) != inode(three));
	check_content(t, four, ALL);
}

TEST(cache_that_is_not_used)
{
	_cleanup_close_ int one = FD_NONE, two = FD_NONE, three = FD_NONE;
	WORLD(w);
	struct initramfs_request q = request(&w);
	struct stat st;

	q.cache = "/nonexistent/nacre/cache";
	one = open_once(t, &q);
	check_content(t, one, ALL);
	q.cache = w.cache;
	CHECK(mkdir(w.cache, 0700) == 0 && chmod(w.cache, 0755) == 0);
	two = open_once(t, &q);
	CHECK(fcntl(two, F_GET_SEALS) > 0);	/* a memfd */
	CHECK(stat(w.cache, &st) == 0 && rmdir(w.cache) == 0);	/* nothing was put there */
	CHECK_INT(symlink("/tmp", w.cache), 0);
	three = open_once(t, &q);
	CHECK(fcntl(three, F_GET_SEALS) > 0);
}

TEST(initrd_before)
{
	_cleanup_close_ int fd = FD_NONE, cached = FD_NONE, before = memfd_create("initrd", MFD_CLOEXEC);
	_cleanup_free_ char *got = NULL;
	char head[8] = { 0 };
	WORLD(w);
	struct initramfs_request q = request(&w);

	if (!CHECK(before >= 0) || !CHECK_INT(fd_write_all(before, "initrd", 6), 0))
		return;
	q.before = before;
	fd = open_once(t, &q);
	CHECK(pread(fd, head, 8, 0) == 8 && memcmp(head, "initrd\0\0", 8) == 0);
	got = content_of(fd, 8);
	CHECK_STR(got, ALL);
	q.cache = w.cache;
	cached = open_once(t, &q);
	CHECK(pread(cached, head, 8, 0) == 8 && memcmp(head, "initrd\0\0", 8) == 0);
}

TEST(cache_stays_small)
{
	_cleanup_close_ int dir = FD_NONE;
	int there = 0;
	WORLD(w);

	if (!CHECK_INT(initramfs_cache_open(w.cache, &dir), 0) || !CHECK(dir >= 0))
		return;
	for (int i = 0; i < INITRAMFS_CACHE_FILES + 5; i++) {
		struct timespec times[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };
		char name[32];

		snprintf(name, sizeof(name), "archive-%d", i);
		CHECK_INT(initramfs_cache_add(dir, name, "x", 1), 0);
		CHECK_INT(utimensat(dir, name, times, 0), 0);
	}
	for (int i = 0; i < INITRAMFS_CACHE_FILES + 5; i++) {
		char name[32];

		snprintf(name, sizeof(name), "archive-%d", i);
		if (faccessat(dir, name, F_OK, 0) == 0) {
			there++;
			CHECK(i >= 5);
		}
	}
	CHECK_INT(there, INITRAMFS_CACHE_FILES);
}

TEST_MAIN(CASE(content), CASE(without_builtin_list), CASE(refusals), CASE(cache), CASE(cached_file_that_is_not_believed),
	  CASE(cache_that_is_not_used), CASE(initrd_before), CASE(cache_stays_small))
