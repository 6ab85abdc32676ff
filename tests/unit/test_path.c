/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/base/path_at: the resolver, by openat2 and by the walk, on a tree that means harm. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

/* root/ with links that lead outside, to outside/secret, in each way a link can. */
struct tree {
	char dir[64];
	int top, root;
};

static bool tree_links(const struct tree *t)
{
	const struct {
		const char *target, *path;
	} links[] = {
		{ "../../../../outside", "up" }, { t->dir, "abs" },	{ "/a/b", "inner" },
		{ "a/file", "tofile" },		 { "loop", "loop" },	{ "/missing/deep", "dangling" },
		{ "../../nowhere", "a/dangling" }, { "../run/deep/file", "a/relative" }, { "./dangling", "a/chain" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, t->root, links[i].path) < 0)
			return false;
	return true;
}

static bool tree_make(struct tree *t)
{
	strcpy(t->dir, "/tmp/nacre-path.XXXXXX");
	if (mkdtemp(t->dir) == NULL)
		return false;
	t->top = open(t->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mkdirat(t->top, "outside", 0755);
	close(openat(t->top, "outside/secret", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	mkdirat(t->top, "root", 0755);
	t->root = openat(t->top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	mkdirat(t->root, "a", 0755);
	mkdirat(t->root, "a/b", 0755);
	close(openat(t->root, "a/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	return t->root >= 0 && tree_links(t);
}

static void tree_remove(struct tree *t)
{
	_cleanup_free_ char *command = str_printf("rm -rf %s", t->dir);

	fd_close(&t->root);
	fd_close(&t->top);
	if (command != NULL && system(command) != 0)
		printf("# cannot remove %s\n", t->dir);
}

typedef int (*opener)(int root, const char *path, int flags, int *ret_fd);

static void resolves(struct test *t, opener open_it)
{
	static const struct {
		const char *path;
		int flags, want;
	} cases[] = {
		{ "/", O_PATH, 0 },
		{ "", O_PATH, 0 },
		{ "a/b", O_PATH, 0 },
		{ "/a//./b/", O_PATH, 0 },
		{ "/inner", O_PATH | O_DIRECTORY, 0 },
		{ "/a/b/../../inner/..", O_PATH, 0 },
		{ "/tofile", O_RDONLY, 0 },
		{ "../../../../a", O_PATH, 0 },
		{ "/up/secret", O_PATH, -ENOENT },
		{ "/abs/outside/secret", O_PATH, -ENOENT },
		{ "/abs", O_PATH, -ENOENT },
		{ "/loop", O_PATH, -ELOOP },
		{ "/loop", O_PATH | O_NOFOLLOW, 0 },
		{ "/inner", O_PATH | O_NOFOLLOW | O_DIRECTORY, -ENOTDIR },
		{ "/a/file/x", O_PATH, -ENOTDIR },
		{ "/a/file", O_PATH | O_DIRECTORY, -ENOTDIR },
		{ "/none", O_PATH, -ENOENT },
	};
	struct tree tree;

	if (!CHECK(tree_make(&tree)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd = FD_NONE;
		int r = open_it(tree.root, cases[i].path, cases[i].flags, &fd);

		if (!CHECK_INT(r, cases[i].want))
			printf("#   path %s\n", cases[i].path);
	}
	tree_remove(&tree);
}

TEST(opens_by_openat2)
{
	resolves(t, path_open);
}

TEST(opens_by_walk)
{
	resolves(t, path_walk);
}

static bool exists(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

TEST(mkdirs_stays_inside)
{
	struct tree tree;

	if (!CHECK(tree_make(&tree)))
		return;
	for (int i = 0; i < 2; i++) {
		_cleanup_close_ int fd = FD_NONE;

		/* Twice: the second time it is all there. */
		CHECK_INT(path_mkdirs(tree.root, "/x/y/z", 0755, &fd), 0);
	}
	CHECK(exists(tree.root, "x/y/z"));
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkdirs(tree.root, "/up/made", 0755, &fd), 0);
		CHECK(!exists(tree.top, "outside/made"));
		CHECK(exists(tree.root, "outside/made"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkdirs(tree.root, "/dangling/more", 0755, &fd), 0);
		CHECK(exists(tree.root, "missing/deep/more"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkdirs(tree.root, "/a/file/x", 0755, &fd), -ENOTDIR);
		CHECK_INT(path_mkdirs(tree.root, "/new/../../x", 0755, &fd), -ENOENT);
		CHECK_INT(path_mkdirs(tree.root, "/loop/x", 0755, &fd), -ELOOP);
	}
	tree_remove(&tree);
}

TEST(mkfile_stays_inside)
{
	struct tree tree;

	if (!CHECK(tree_make(&tree)))
		return;
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkfile(tree.root, "/d/e/f", 0755, 0644, &fd), 0);
		CHECK(exists(tree.root, "d/e/f"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkfile(tree.root, "/up/file", 0755, 0644, &fd), 0);
		CHECK(!exists(tree.top, "outside/file"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkfile(tree.root, "/dangling", 0755, 0644, &fd), 0);
		CHECK(exists(tree.root, "missing/deep"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		/* As /etc/resolv.conf is, where systemd is to write it. */
		CHECK_INT(path_mkfile(tree.root, "/a/relative", 0755, 0644, &fd), 0);
		CHECK(exists(tree.root, "run/deep/file"));
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkfile(tree.root, "/a/chain", 0755, 0644, &fd), 0);
		CHECK(exists(tree.root, "nowhere"));
		CHECK(!exists(tree.top, "nowhere"));
		CHECK_INT(path_mkfile(tree.root, "/loop", 0755, 0644, &fd), -ELOOP);
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_mkfile(tree.root, "/a/b", 0755, 0644, &fd), 0);	/* what is there is opened */
	}
	tree_remove(&tree);
}

TEST(parent_and_name)
{
	char name[NAME_MAX + 1];
	struct tree tree;

	if (!CHECK(tree_make(&tree)))
		return;
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_parent(tree.root, "/a/b/c", 0755, &fd, name), 0);
		CHECK_STR(name, "c");
	}
	{
		_cleanup_close_ int fd = FD_NONE;

		CHECK_INT(path_parent(tree.root, "/", 0755, &fd, name), -EINVAL);
		CHECK_INT(path_parent(tree.root, "/a/..", 0755, &fd, name), -EINVAL);
		CHECK_INT(path_parent(tree.root, "", 0755, &fd, name), -EINVAL);
	}
	tree_remove(&tree);
}

TEST(cleans)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{ "", "/" },		{ "/", "/" },		   { "a", "/a" },	     { "//a//b/", "/a/b" },
		{ "/a/./b/.", "/a/b" }, { "/a/../b", "/b" },	   { "../../x", "/x" },	     { "/a/b/../..", "/" },
		{ "/..a/b..", "/..a/b.." }, { "/proc/../proc/self", "/proc/self" },
	};
	char out[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_INT(path_clean(cases[i].path, out), 0);
		CHECK_STR(out, cases[i].want);
	}
}

TEST(too_long)
{
	static char path[PATH_MAX * 2];
	_cleanup_close_ int fd = FD_NONE;
	char out[PATH_MAX];

	memset(path, 'x', sizeof(path) - 1);
	CHECK_INT(path_clean(path, out), -ENAMETOOLONG);
	CHECK_INT(path_walk(AT_FDCWD, path, O_PATH, &fd), -ENAMETOOLONG);
	CHECK_INT(path_open(AT_FDCWD, path, O_PATH, &fd), -ENAMETOOLONG);
}

TEST_MAIN(CASE(opens_by_openat2), CASE(opens_by_walk), CASE(mkdirs_stays_inside), CASE(mkfile_stays_inside),
	  CASE(parent_and_name), CASE(cleans), CASE(too_long))
