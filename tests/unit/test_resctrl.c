/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups/resctrl over a directory. The kernel fills a group as soon as it is made and empties it when it is removed: mkdirat
 * and unlinkat of this program do so in its place.
 */
#include "cgroups/resctrl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "tests/unit/test.h"

static char root[] = "/tmp/nacre-resctrl.XXXXXX";

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static void fill(int dir, bool monitor)
{
	put(dir, "tasks", "");
	if (monitor)
		return;
	put(dir, "schemata", "    L3:0=fff;1=fff\n    MB:0=100;1=100\n");
	if (syscall(SYS_mkdirat, dir, "mon_groups", 0700) < 0)
		abort();
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	char link[64], path[4096];
	ssize_t n;
	int dir;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	if (syscall(SYS_mkdirat, dirfd, name, mode) < 0)
		return -1;
	dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fill(dir, strstr(path, "mon_groups") != NULL);
	close(dir);
	return 0;
}

int unlinkat(int dirfd, const char *name, int flags)
{
	static const char *const files[] = { "tasks", "schemata" };
	int dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; dir >= 0 && i < 2; i++)
		syscall(SYS_unlinkat, dir, files[i], 0);
	if (dir >= 0) {
		syscall(SYS_unlinkat, dir, "mon_groups/job", AT_REMOVEDIR);
		syscall(SYS_unlinkat, dir, "mon_groups", AT_REMOVEDIR);
		close(dir);
	}
	return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

static bool there(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return access(path, F_OK) == 0;
}

/* Has the file this text at its start? What was there before may follow: these are no files of the kernel's. */
static bool starts_with(const char *name, const char *want)
{
	char path[256], *text = NULL;
	size_t len = 0;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	ok = file_read(AT_FDCWD, path, 4096, &text, &len) == 0 && strncmp(text, want, strlen(want)) == 0;
	if (!ok)
		printf("# %s: %s\n", name, text != NULL ? text : "(none)");
	free(text);
	return ok;
}

static void begin(struct test *t)
{
	strcpy(root + sizeof(root) - sizeof("XXXXXX"), "XXXXXX");
	CHECK(mkdtemp(root) != NULL);
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fill(dir, false);
	close(dir);
}

static void end(struct test *t)
{
	CHECK_INT(unlinkat(AT_FDCWD, root, AT_REMOVEDIR), 0);
	err_clear();
}

TEST(names)
{
	CHECK(resctrl_name_ok("guaranteed_group"));
	CHECK(!resctrl_name_ok(""));
	CHECK(!resctrl_name_ok("."));
	CHECK(!resctrl_name_ok(".."));
	CHECK(!resctrl_name_ok("a/b"));
	CHECK(!resctrl_name_ok("/"));
	CHECK(!resctrl_name_ok("a\nb"));
	CHECK(!resctrl_name_ok("info"));
	CHECK(!resctrl_name_ok("mon_groups"));
	CHECK(!resctrl_name_ok("mon_data"));
}

TEST(schemata_as_the_kernel_prints_them)
{
	static const char text[] = "    MB:0= 20;1=100\n    L3:0=00ff;1=7f0\n  L2:0=f\n";

	CHECK(resctrl_schemata_match(text, "L3:0=ff;1=7f0"));
	CHECK(resctrl_schemata_match(text, "L3:1=7F0"));
	CHECK(resctrl_schemata_match(text, "L3:0=0ff\nMB:0=20"));
	CHECK(resctrl_schemata_match(text, "MB: 0=20; 1=100"));
	CHECK(!resctrl_schemata_match(text, "MB:0=2"));
	CHECK(!resctrl_schemata_match(text, "MB:0=200"));
	CHECK(!resctrl_schemata_match(text, "L3:0=ff;2=1"));
	CHECK(!resctrl_schemata_match(text, "L3CODE:0=ff"));
	CHECK(!resctrl_schemata_match(text, "L3:0"));
	CHECK(!resctrl_schemata_match(text, "garbage"));
	CHECK(!resctrl_schemata_match("", "L3:0=ff"));
}

TEST(a_group_of_its_own)
{
	const struct resctrl_req q = { .id = "job", .l3 = "L3:0=1;1=1" };
	unsigned int made = 99;

	begin(t);
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	CHECK_INT(made, RESCTRL_MADE_GROUP);
	CHECK(starts_with("job/schemata", "L3:0=1;1=1\n"));
	CHECK(starts_with("schemata", "    L3:0=fff"));
	CHECK_INT(resctrl_assign(root, resctrl_group(&q), NULL, 4711), 0);
	CHECK(starts_with("job/tasks", "4711"));
	CHECK_INT(resctrl_make(root, &q, &made), -EEXIST);
	CHECK_INT(made, 0);
	CHECK_INT(resctrl_remove(root, "job", "job", RESCTRL_MADE_GROUP), 0);
	CHECK(!there("job"));
	CHECK_INT(resctrl_remove(root, "job", "job", RESCTRL_MADE_GROUP), 0);
	end(t);
}

TEST(a_class_that_is_not_there)
{
	static const char *const lines[] = { "L3:0=3", "MB:0=30" };
	struct resctrl_req q = { .clos = "gold", .id = "job" };
	unsigned int made;

	begin(t);
	CHECK_INT(resctrl_make(root, &q, &made), -ENOENT);
	CHECK(strstr(err_text(), "linux.intelRdt.closID") != NULL);
	CHECK(!there("gold"));
	q.lines = lines;
	q.n_lines = 2;
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	CHECK_INT(made, RESCTRL_MADE_GROUP);
	CHECK(starts_with("gold/schemata", "L3:0=3\nMB:0=30\n"));
	CHECK(!there("job"));
	CHECK_INT(resctrl_remove(root, "gold", "job", 0), 0);
	CHECK(there("gold"));
	CHECK_INT(resctrl_remove(root, "gold", "job", RESCTRL_MADE_GROUP), 0);
	end(t);
}

TEST(a_class_that_is_there)
{
	struct resctrl_req q = { .clos = "gold", .id = "job" };
	unsigned int made;
	int top;

	begin(t);
	top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(mkdirat(top, "gold", 0700), 0);
	close(top);
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	CHECK_INT(made, 0);
	CHECK(starts_with("gold/schemata", "    L3:0=fff"));
	q.l3 = "L3:0=FFF";
	q.mem_bw = "MB:1=100";
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	q.l3 = "L3:0=7";
	CHECK_INT(resctrl_make(root, &q, &made), -EEXIST);
	CHECK(strstr(err_text(), "linux.intelRdt.l3CacheSchema") != NULL);
	q.l3 = NULL;
	q.mem_bw = "MB:0=10";
	CHECK_INT(resctrl_make(root, &q, &made), -EEXIST);
	CHECK(strstr(err_text(), "linux.intelRdt.memBwSchema") != NULL);
	CHECK_INT(made, 0);
	CHECK_INT(resctrl_remove(root, "gold", "job", RESCTRL_MADE_GROUP), 0);
	end(t);
}

TEST(the_order_of_the_lines)
{
	static const char *const lines[] = { "L2:0=1" };
	const struct resctrl_req q = { .id = "job", .l3 = "L3:0=1;1=11;2=111", .mem_bw = "MB:0=10;1=20", .lines = lines, .n_lines = 1 };
	unsigned int made;

	begin(t);
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	/* Each write begins at the start, and what it does not reach is still the one before. */
	CHECK(starts_with("job/schemata", "L2:0=1\n;1=20\n=111\n"));
	CHECK_INT(resctrl_remove(root, "job", "job", made), 0);
	end(t);
}

TEST(monitoring)
{
	struct resctrl_req q = { .clos = "/", .id = "job", .monitor = true };
	unsigned int made;

	begin(t);
	CHECK_STR(resctrl_group(&q), "");
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	CHECK_INT(made, RESCTRL_MADE_MONITOR);
	CHECK_INT(resctrl_assign(root, "", "job", 12), 0);
	CHECK(starts_with("tasks", "12"));
	CHECK(starts_with("mon_groups/job/tasks", "12"));
	CHECK_INT(resctrl_make(root, &q, &made), -EEXIST);
	CHECK(strstr(err_text(), "linux.intelRdt.enableMonitoring") != NULL);
	CHECK_INT(made, 0);
	CHECK_INT(resctrl_remove(root, "", "job", RESCTRL_MADE_MONITOR), 0);
	CHECK(!there("mon_groups/job"));
	CHECK(there("schemata"));
	CHECK_INT(resctrl_remove(root, "", "job", RESCTRL_MADE_MONITOR), 0);
	end(t);
}

TEST(changed_and_changed_back)
{
	const struct resctrl_req q = { .id = "job" };
	unsigned int made;
	char *before;

	begin(t);
	CHECK_INT(resctrl_make(root, &q, &made), 0);
	CHECK_INT(resctrl_update(root, "job", "L3:0=3", NULL, &before), 0);
	CHECK(starts_with("job/schemata", "L3:0=3\n"));
	CHECK_STR(before, "    L3:0=fff;1=fff\n    MB:0=100;1=100\n");
	resctrl_restore(root, "job", before);
	CHECK(starts_with("job/schemata", "    L3:0=fff"));
	free(before);
	CHECK_INT(resctrl_update(root, "none", "L3:0=3", NULL, &before), -ENOENT);
	CHECK(before == NULL);
	CHECK_INT(resctrl_remove(root, "job", "job", made), 0);
	end(t);
}

TEST(no_symbolic_link_is_followed)
{
	char path[256];
	unsigned int made;
	const struct resctrl_req q = { .clos = "gold", .id = "job" };

	begin(t);
	snprintf(path, sizeof(path), "%s/gold", root);
	CHECK_INT(symlink("/tmp", path), 0);
	CHECK(resctrl_make(root, &q, &made) < 0);
	CHECK(resctrl_assign(root, "gold", NULL, 1) < 0);
	syscall(SYS_unlinkat, AT_FDCWD, path, 0);
	end(t);
}

TEST_MAIN(CASE(names), CASE(schemata_as_the_kernel_prints_them), CASE(a_group_of_its_own), CASE(a_class_that_is_not_there),
	  CASE(a_class_that_is_there), CASE(the_order_of_the_lines), CASE(monitoring), CASE(changed_and_changed_back),
	  CASE(no_symbolic_link_is_followed))
