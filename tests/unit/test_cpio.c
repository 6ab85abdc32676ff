/* SPDX-License-Identifier: Apache-2.0 */
/* Archives, read back here by the rules of the format; and by cpio(1) where it is installed. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "microvm/cpio.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

struct found {
	const char *name, *data;
	uint32_t mode, links, size, major, minor, inode;
};

/* Field n of the 13 numbers; UINT32_MAX when it is none. */
static uint32_t field(const char *header, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 6 + n * 8; i < 14 + n * 8; i++) {
		const char *digits = "0123456789ABCDEF", *d = header[i] != '\0' ? strchr(digits, header[i]) : NULL;

		if (d == NULL)
			return UINT32_MAX;
		v = v << 4 | (uint32_t)(d - digits);
	}
	return v;
}

/* The entry at *pos, which then is behind it. */
static bool next(const struct buf *b, size_t *pos, struct found *f)
{
	const char *h = b->data + *pos;
	size_t name_size, end;

	if (b->len - *pos < 110 || memcmp(h, "070701", 6) != 0)
		return false;
	*f = (struct found){
		.name = h + 110, .inode = field(h, 0), .mode = field(h, 1), .links = field(h, 4), .size = field(h, 6),
		.major = field(h, 9), .minor = field(h, 10),
	};
	name_size = field(h, 11);
	end = (*pos + 110 + name_size + 3) / 4 * 4;
	if (name_size == 0 || end > b->len || f->size > b->len - end || h[110 + name_size - 1] != '\0' ||
	    strlen(f->name) != name_size - 1 || field(h, 2) != 0 || field(h, 3) != 0 || field(h, 5) != 0 || field(h, 12) != 0)
		return false;
	f->data = b->data + end;
	*pos = (end + f->size + 3) / 4 * 4;
	return *pos <= b->len;
}

static void fill(struct test *t, struct cpio *c)
{
	CHECK_INT(cpio_add_directory(c, "dev", 0755), 0);
	CHECK_INT(cpio_add_char_device(c, "dev/console", 0600, 5, 1), 0);
	CHECK_INT(cpio_add_file(c, "init", 0755, "12345", 5), 0);
	CHECK_INT(cpio_add_file(c, "empty", 0, NULL, 0), 0);
	CHECK_INT(cpio_add_symlink(c, "bin", "/usr/../bin"), 0);
	CHECK_INT(cpio_finish(c), 0);
}

TEST(read_back)
{
	static const struct found want[] = {
		{ .name = "dev", .mode = S_IFDIR | 0755, .links = 2 },
		{ .name = "dev/console", .mode = S_IFCHR | 0600, .links = 1, .major = 5, .minor = 1 },
		{ .name = "init", .mode = S_IFREG | 0755, .links = 1, .data = "12345", .size = 5 },
		{ .name = "empty", .mode = S_IFREG, .links = 1 },
		{ .name = "bin", .mode = S_IFLNK | 0777, .links = 1, .data = "/usr/../bin", .size = 11 },
		{ .name = "TRAILER!!!", .links = 1 },
	};
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct cpio c;
	size_t pos = 0;

	cpio_init(&c, &b);
	fill(t, &c);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct found f;

		CHECK_INT(pos % 4, 0);
		if (!CHECK(next(&b, &pos, &f)))
			return;
		CHECK_STR(f.name, want[i].name);
		CHECK_INT(f.mode, want[i].mode);
		CHECK_INT(f.links, want[i].links);
		CHECK_INT(f.major, want[i].major);
		CHECK_INT(f.minor, want[i].minor);
		CHECK_INT(f.inode, i + 1 < ARRAY_SIZE(want) ? i + 1 : 0);
		if (CHECK_INT(f.size, want[i].size) && f.size > 0)
			CHECK(memcmp(f.data, want[i].data, f.size) == 0);
	}
	CHECK_INT(pos, b.len);
}

/* Behind something of any length, and the same bytes each time. */
TEST(second_archive)
{
	for (size_t n = 0; n < 5; n++) {
		_cleanup_buf_ struct buf b = BUF_NULL, alone = BUF_NULL;
		struct cpio c;

		cpio_init(&c, &alone);
		fill(t, &c);
		buf_add(&b, "xxxx", n);
		cpio_init(&c, &b);
		CHECK_INT(c.start, n == 0 ? 0 : 4);
		fill(t, &c);
		if (CHECK_INT(b.len - c.start, alone.len))
			CHECK(memcmp(b.data + c.start, alone.data, alone.len) == 0);
	}
}

TEST(names)
{
	static const struct {
		const char *name;
		int r;
	} cases[] = {
		{ "a", 0 },
		{ "a/b", 0 },
		{ "...", 0 },
		{ ".a/..b", 0 },
		{ "", -EINVAL },
		{ "/", -EINVAL },
		{ "/a", -EINVAL },
		{ "a/", -EINVAL },
		{ "a//b", -EINVAL },
		{ ".", -EINVAL },
		{ "a/./b", -EINVAL },
		{ "..", -EINVAL },
		{ "../a", -EINVAL },
		{ "a/../b", -EINVAL },
		{ "a/..", -EINVAL },
		{ "TRAILER!!!", -EINVAL },
	};
	_cleanup_buf_ struct buf b = BUF_NULL;
	char name[CPIO_NAME_MAX + 2];
	struct cpio c;
	size_t len;

	cpio_init(&c, &b);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		len = b.len;
		if (!CHECK_INT(cpio_add_directory(&c, cases[i].name, 0755), cases[i].r))
			printf("#   name: \"%s\"\n", cases[i].name);
		CHECK((b.len > len) == (cases[i].r == 0));
	}
	memset(name, 'a', sizeof(name));
	for (size_t i = 200; i < sizeof(name); i += 200)
		name[i] = '/';
	name[CPIO_NAME_MAX + 1] = '\0';
	CHECK_INT(cpio_add_directory(&c, name, 0755), -ENAMETOOLONG);
	name[CPIO_NAME_MAX] = '\0';
	CHECK_INT(cpio_add_directory(&c, name, 0755), 0);
	memset(name, 'a', 256);
	name[256] = '\0';
	CHECK_INT(cpio_add_directory(&c, name, 0755), -EINVAL);
	name[255] = '\0';
	CHECK_INT(cpio_add_directory(&c, name, 0755), 0);
}

TEST(refused)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	char target[CPIO_NAME_MAX + 2];
	struct cpio c;

	cpio_init(&c, &b);
	memset(target, 'a', sizeof(target));
	target[CPIO_NAME_MAX + 1] = '\0';
	CHECK_INT(cpio_add_symlink(&c, "a", target), -EINVAL);
	CHECK_INT(cpio_add_symlink(&c, "a", ""), -EINVAL);
	CHECK_INT(cpio_add_file(&c, "a", S_IFREG | 0644, "", 0), -EINVAL);
	CHECK_INT(cpio_add_directory(&c, "a", 010000), -EINVAL);
	CHECK_INT(cpio_add_file(&c, "a", 0644, "", (size_t)UINT32_MAX + 1), -EFBIG);
	CHECK_INT(b.len, 0);
	b.failed = true;
	CHECK_INT(cpio_add_file(&c, "a", 0644, "b", 1), 0);
	CHECK_INT(cpio_finish(&c), -ENOMEM);
}

/* What cpio(1) lists of an archive. NULL when there is none here. */
static char *list_with_cpio(const struct buf *b)
{
	int in[2], out[2], keep[] = { FD_NONE }, status = -1;
	size_t len;
	char *list = NULL;
	pid_t pid;

	if (pipe(in) < 0 || pipe(out) < 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		fd_close_except(keep, ARRAY_SIZE(keep));
		execlp("cpio", "cpio", "--quiet", "-t", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	/* It fits into the pipe. */
	if (fd_write_all(in[1], b->data, b->len) < 0 || close(in[1]) < 0 || fd_read_all(out[0], 4096, &list, &len) < 0)
		list = NULL;
	close(out[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return list;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 127) {
		free(list);
		return strdup("cpio failed");
	}
	free(list);
	return NULL;
}

TEST(listed_by_cpio)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct cpio c;
	char *list;

	if (access("/usr/bin/cpio", X_OK) < 0 && access("/bin/cpio", X_OK) < 0) {
		test_skip("no cpio(1)");
		return;
	}
	cpio_init(&c, &b);
	fill(t, &c);
	list = list_with_cpio(&b);
	CHECK_STR(list, "dev\ndev/console\ninit\nempty\nbin\n");
	free(list);
}

TEST_MAIN(CASE(read_back), CASE(second_archive), CASE(names), CASE(refused), CASE(listed_by_cpio))
