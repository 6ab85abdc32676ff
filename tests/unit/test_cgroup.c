/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups/: paths and the mount table (pure), and the life of real cgroups below
 * the cgroup2 mount, under a name of this process's own. Without root or cgroup2
 * the second part is skipped.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/host.h"
#include "cgroups/path.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define WAIT_MS 5000
#define PATH_SIZE 512

/* "/nacre-test-PID" + what comes below it. */
struct fixture {
	struct cgroup_host host;
	char path[PATH_SIZE];
};

/* False, having said so, when the test cannot be done here. */
static bool setup(struct fixture *f, const char *below)
{
	if (cgroup_host_probe(&f->host) < 0 || f->host.mode == CGROUP_NONE || geteuid() != 0 ||
	    access(f->host.mount, W_OK) < 0) {
		test_skip("needs root and a writable cgroup2");
		return false;
	}
	snprintf(f->path, sizeof(f->path), "/nacre-test-%ld%s", (long)getpid(), below);
	return true;
}

static char *full_path(const struct fixture *f, const char *below)
{
	return str_printf("%s%s%s", f->host.mount, f->path, below);
}

static bool exists(const struct fixture *f, const char *below)
{
	_cleanup_free_ char *p = full_path(f, below);

	return access(p, F_OK) == 0;
}

static int make_below(const struct fixture *f, const char *below)
{
	_cleanup_free_ char *p = full_path(f, below);

	return mkdir(p, 0755);
}

static int write_below(const struct fixture *f, const char *file, const char *value)
{
	_cleanup_free_ char *p = full_path(f, file);

	return file_write_value(AT_FDCWD, p, value);
}

/* A process in the cgroup, born there. It says when it runs, and waits; SIGUSR1 ends it with status 7. */
static void on_usr1(int sig)
{
	(void)sig;
	_exit(7);
}

static pid_t spawn_in(int cgroup_fd)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int ready[2];
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	args.cgroup = (uint64_t)cgroup_fd;
	pid = sys_clone3(&args);
	if (pid == 0) {
		signal(SIGUSR1, on_usr1);
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

static void kill_and_reap(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Paths and the mount table ------------------------------------------------ */

TEST(path_components)
{
	static const struct {
		const char *path, *joined;
	} cases[] = {
		{ "/a/b", "a|b|" },	{ "a/b", "a|b|" },    { "//a///b//", "a|b|" }, { "/./a/./b/.", "a|b|" },
		{ "/...", "...|" },	{ "/.a/..b", ".a|..b|" }, { "/", "" },	       { "", "" },
		{ "./", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgroup_part part = { 0, 0 };
		_cleanup_buf_ struct buf b = BUF_NULL;
		bool last = false;

		while (cgroup_part_next(cases[i].path, &part)) {
			char name[NAME_MAX + 1];

			CHECK(!last);
			last = cgroup_part_is_last(cases[i].path, &part);
			cgroup_part_name(cases[i].path, &part, name);
			buf_printf(&b, "%s|", name);
		}
		CHECK_STR(b.data != NULL ? b.data : "", cases[i].joined);
		CHECK(last == (b.len > 0));
	}
}

TEST(path_rules)
{
	char longest[PATH_MAX + 2];

	CHECK_INT(cgroup_path_check("/a"), 0);
	CHECK_INT(cgroup_path_check("a/b/c/"), 0);
	CHECK_INT(cgroup_path_check("/a/../b"), -EINVAL);
	CHECK_STR(err_text(), "cgroup path \"/a/../b\": \"..\" is not allowed");
	CHECK_INT(cgroup_path_check(".."), -EINVAL);
	CHECK_INT(cgroup_path_check("a/.."), -EINVAL);
	CHECK_INT(cgroup_path_check("a\nb"), -EINVAL);
	CHECK_INT(cgroup_path_check("/"), -EINVAL);
	CHECK_INT(cgroup_path_check(""), -EINVAL);
	CHECK_INT(cgroup_path_check("/."), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[NAME_MAX] = '\0';
	CHECK_INT(cgroup_path_check(longest), 0);
	longest[NAME_MAX] = 'x';
	longest[NAME_MAX + 1] = '\0';
	CHECK_INT(cgroup_path_check(longest), -ENAMETOOLONG);
	longest[NAME_MAX + 1] = 'x';
	longest[PATH_MAX + 1] = '\0';
	CHECK_INT(cgroup_path_check(longest), -ENAMETOOLONG);
}

TEST(mount_table)
{
	static const struct {
		const char *text;
		enum cgroup_mode mode;
		const char *mount;
	} cases[] = {
		{ "", CGROUP_NONE, "" },
		{ "nonsense\n\n - \n", CGROUP_NONE, "" },
		{ "22 1 0:20 / /proc rw - proc proc rw\n", CGROUP_NONE, "" },
		{ "30 22 0:26 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", CGROUP_UNIFIED, "/cg" },
		{ "30 22 0:26 / /a\\040b\\134 rw - cgroup2 cgroup2 rw", CGROUP_UNIFIED, "/a b\\" },
		{ "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n31 22 0:27 / /m rw - cgroup cgroup rw,memory\n",
		  CGROUP_HYBRID, "/cg" },
		{ "31 22 0:27 / /m rw - cgroup cgroup rw,memory\n30 22 0:26 / /1 rw - cgroup2 x rw\n"
		  "32 22 0:26 / /2 rw - cgroup2 x rw\n", CGROUP_HYBRID, "/1" },
		{ "31 22 0:27 / /m rw - cgroup cgroup rw,memory\n", CGROUP_NONE, "" },
		{ "30 22 - cgroup2 cgroup2 rw\n", CGROUP_NONE, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);
		struct cgroup_host host;

		cgroup_host_from_mountinfo(text, &host);
		if (!CHECK_INT(host.mode, cases[i].mode) || !CHECK_STR(host.mount, cases[i].mount))
			printf("#   case %zu\n", i);
	}
}

TEST(no_cgroup2)
{
	struct cgroup_host host = { .mode = CGROUP_NONE };
	size_t from;
	int fd = FD_NONE;

	CHECK_INT(cgroup_create(&host, "/a", &fd, &from), -EOPNOTSUPP);
	CHECK_INT(cgroup_open(&host, "/a", &fd), -EOPNOTSUPP);
	CHECK_INT(cgroup_remove(&host, "/a", 0), -EOPNOTSUPP);
	CHECK_INT(fd, FD_NONE);
}

/* Real cgroups ------------------------------------------------------------- */

TEST(create_and_remove)
{
	_cleanup_close_ int fd = FD_NONE, again = FD_NONE;
	struct fixture f;
	size_t from = 77;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_open(&f.host, f.path, &fd), -ENOENT);
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(from, 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(exists(&f, "/cgroup.procs"));
	CHECK_INT(cgroup_open(&f.host, f.path + 1, &again), 0); /* relative is the same */
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	CHECK(!exists(&f, ""));
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0); /* gone already */
}

TEST(nested_and_created_from)
{
	_cleanup_close_ int fd = FD_NONE, other = FD_NONE;
	struct fixture top, f, beside;
	size_t from, from_beside;

	if (!setup(&top, "") || !setup(&f, "/a//b/c/") || !setup(&beside, "/a/x/y"))
		return;
	CHECK_INT(make_below(&top, ""), 0);
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(from, strlen(top.path));
	CHECK_INT(cgroup_create(&f.host, beside.path, &other, &from_beside), 0);
	CHECK_INT(from_beside, strlen(top.path) + strlen("/a"));
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	CHECK(!exists(&top, "/a/b"));
	CHECK(exists(&top, "/a/x/y")); /* in use by the other one: stays, and is no error */
	CHECK_INT(cgroup_remove(&f.host, beside.path, from_beside), 0);
	CHECK(!exists(&top, "/a/x"));
	CHECK(exists(&top, "/a")); /* existed before it */
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0); /* the rest of what the first one made */
	CHECK(!exists(&top, "/a"));
	CHECK(exists(&top, ""));
	CHECK_INT(cgroup_remove(&top.host, top.path, 0), 0);
}

TEST(existing_empty_is_taken)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;

	if (!setup(&f, ""))
		return;
	CHECK_INT(make_below(&f, ""), 0);
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(from, strlen(f.path));
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	CHECK(!exists(&f, ""));
}

TEST(bad_places)
{
	struct fixture f;
	size_t from = 77;
	int fd = 77;

	if (!setup(&f, "/../escape"))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), -EINVAL);
	CHECK_INT(cgroup_open(&f.host, f.path, &fd), -EINVAL);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), -EINVAL);
	/* A name that is a file's; what was made on the way goes again. */
	CHECK(setup(&f, "/a"));
	CHECK_INT(cgroup_create(&f.host, "/cgroup.procs", &fd, &from), -ENOTDIR);
	CHECK_INT(cgroup_create(&f.host, "/cgroup.procs/a", &fd, &from), -ENOTDIR);
	snprintf(f.path + strlen(f.path), 32, "/cgroup.procs");
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), -ENOTDIR);
	CHECK(setup(&f, ""));
	CHECK(!exists(&f, ""));
	CHECK_INT(fd, 77);
	CHECK_INT(from, 77);
}

TEST(symlinks_are_not_followed)
{
	char dir[] = "/tmp/nacre-cgroup.XXXXXX";
	struct cgroup_host host = { .mode = CGROUP_UNIFIED };
	_cleanup_free_ char *link = NULL, *real = NULL;
	size_t from;
	int fd = FD_NONE;

	/* An ordinary directory stands in for the mount: cgroup2 itself has no symlinks. */
	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	snprintf(host.mount, sizeof(host.mount), "%s", dir);
	link = str_printf("%s/link", dir);
	real = str_printf("%s/real", dir);
	CHECK(mkdir(real, 0700) == 0 && symlink("real", link) == 0);
	CHECK(cgroup_create(&host, "/link/a", &fd, &from) < 0);
	CHECK(cgroup_create(&host, "/link", &fd, &from) < 0);
	CHECK(cgroup_open(&host, "/link", &fd) < 0);
	CHECK(cgroup_remove(&host, "/link/a", 0) < 0);
	CHECK_INT(fd, FD_NONE);
	CHECK_INT(unlink(link), 0);
	CHECK_INT(rmdir(real), 0); /* empty still */
	CHECK_INT(rmdir(dir), 0);
}

TEST(with_processes_is_busy)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	int other = FD_NONE;
	pid_t pid;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	pid = spawn_in(fd);
	CHECK(pid > 0);
	CHECK_INT(cgroup_create(&f.host, f.path, &other, &from), -EBUSY);
	CHECK(strstr(err_text(), "already has processes") != NULL);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), -EBUSY);
	CHECK(strstr(err_text(), "still has processes") != NULL);
	kill_and_reap(pid);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), 0);
}

TEST(frozen_is_busy)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f, below;
	size_t from;
	int other = FD_NONE;
	bool frozen = false;

	if (!setup(&f, "") || !setup(&below, "/b"))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(cgroup_freeze(fd, true, WAIT_MS), 0);
	CHECK(cgroup_frozen(fd, &frozen) == 0 && frozen);
	CHECK_INT(cgroup_create(&f.host, f.path, &other, &from), -EBUSY);
	CHECK(strstr(err_text(), "frozen") != NULL);
	/* A new one below it would be frozen from birth. It is not left behind. */
	CHECK_INT(cgroup_create(&f.host, below.path, &other, &from), -EBUSY);
	CHECK(!exists(&below, ""));
	CHECK(exists(&f, ""));
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), 0);
}

TEST(threaded_is_refused)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture top, sub;
	size_t from;
	int other = FD_NONE;

	if (!setup(&top, "") || !setup(&sub, "/t"))
		return;
	CHECK_INT(cgroup_create(&top.host, top.path, &fd, &from), 0);
	CHECK_INT(make_below(&sub, ""), 0);
	CHECK_INT(write_below(&sub, "/cgroup.type", "threaded"), 0);
	CHECK_INT(cgroup_create(&top.host, sub.path, &other, &from), -EOPNOTSUPP);
	CHECK(strstr(err_text(), "\"threaded\"") != NULL);
	/* Below a threaded one: "domain invalid", and not left behind. */
	CHECK(setup(&sub, "/t/n"));
	CHECK_INT(cgroup_create(&top.host, sub.path, &other, &from), -EOPNOTSUPP);
	CHECK(strstr(err_text(), "\"domain invalid\"") != NULL);
	CHECK(!exists(&sub, ""));
	CHECK_INT(cgroup_remove(&top.host, top.path, 0), 0);
}

TEST(attach_pids_and_threaded_below)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from, n = 0;
	pid_t *pids = NULL, born, moved;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(cgroup_pids(fd, &pids, &n), 0);
	CHECK_INT(n, 0);
	free(pids);
	pids = NULL;
	born = spawn_in(fd);
	moved = fork();
	if (moved == 0)
		for (;;)
			pause();
	CHECK_INT(cgroup_attach(fd, moved), 0);
	CHECK_INT(cgroup_attach(fd, 0x7ffffff0), -ESRCH);
	/* A threaded sub-cgroup with one of the processes' threads: its list of processes cannot be read. */
	CHECK_INT(make_below(&f, "/t"), 0);
	CHECK_INT(write_below(&f, "/t/cgroup.type", "threaded"), 0);
	if (CHECK_INT(cgroup_pids(fd, &pids, &n), 0)) {
		CHECK_INT(n, 2);
		CHECK(n == 2 && ((pids[0] == born && pids[1] == moved) || (pids[0] == moved && pids[1] == born)));
	}
	free(pids);
	kill_and_reap(born);
	kill_and_reap(moved);
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
}

TEST(freeze_and_thaw)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	bool frozen = true;
	int status = 0;
	pid_t pid;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	pid = spawn_in(fd);
	CHECK_INT(cgroup_frozen(fd, &frozen), 0);
	CHECK(!frozen);
	CHECK_INT(cgroup_freeze(fd, true, -1), 0);
	CHECK(cgroup_frozen(fd, &frozen) == 0 && frozen);
	CHECK_INT(kill(pid, SIGUSR1), 0);
	CHECK_INT(waitpid(pid, &status, WNOHANG), 0); /* frozen: the handler does not run */
	CHECK_INT(cgroup_freeze(fd, false, WAIT_MS), 0);
	CHECK(cgroup_frozen(fd, &frozen) == 0 && !frozen);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 7 << 8);
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
}

TEST(thaw_below_a_frozen_one)
{
	_cleanup_close_ int top = FD_NONE, fd = FD_NONE;
	struct fixture f, below;
	size_t from;

	if (!setup(&f, "") || !setup(&below, "/b"))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &top, &from), 0);
	CHECK_INT(cgroup_create(&f.host, below.path, &fd, &from), 0);
	CHECK_INT(cgroup_freeze(top, true, WAIT_MS), 0);
	CHECK_INT(cgroup_freeze(fd, false, 50), -ETIMEDOUT);
	CHECK(strstr(err_text(), "above") != NULL);
	CHECK_INT(cgroup_freeze(top, false, WAIT_MS), 0);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), 0);
}

TEST(kill_reaches_sub_cgroups_and_frozen)
{
	_cleanup_close_ int top = FD_NONE, fd = FD_NONE;
	struct fixture f, below;
	size_t from;
	int status = 0;
	pid_t a, b;

	if (!setup(&f, "") || !setup(&below, "/b/c"))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &top, &from), 0);
	/* First: a cgroup that hands controllers down takes no processes. */
	a = spawn_in(top);
	CHECK_INT(cgroup_create(&f.host, below.path, &fd, &from), 0);
	b = spawn_in(fd);
	CHECK_INT(cgroup_wait_empty(top, 0), -ETIMEDOUT);
	CHECK_INT(cgroup_freeze(top, true, WAIT_MS), 0);
	CHECK_INT(cgroup_kill(top), 0);
	CHECK_INT(cgroup_wait_empty(top, WAIT_MS), 0);
	CHECK(waitpid(a, &status, 0) == a && WTERMSIG(status) == SIGKILL);
	CHECK(waitpid(b, &status, 0) == b && WTERMSIG(status) == SIGKILL);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), 0);
	CHECK(!exists(&f, ""));
}

TEST(signal_all_reaches_everybody)
{
	enum { MANY = 70 };	/* more than one batch */
	_cleanup_close_ int top = FD_NONE, fd = FD_NONE;
	struct fixture f, below;
	pid_t pids[MANY];
	size_t from;

	if (!setup(&f, "") || !setup(&below, "/b/c"))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &top, &from), 0);
	/* First: a cgroup that hands controllers down takes no processes. */
	pids[0] = spawn_in(top);
	CHECK_INT(cgroup_create(&f.host, below.path, &fd, &from), 0);
	for (size_t i = 1; i < MANY; i++)
		pids[i] = spawn_in(i % 2 == 0 ? top : fd);
	CHECK_INT(cgroup_signal_all(top, 0), 0);
	CHECK_INT(cgroup_signal_all(top, SIGUSR1), 0);
	CHECK_INT(cgroup_wait_empty(top, WAIT_MS), 0);
	for (size_t i = 0; i < MANY; i++) {
		int status = 0;

		CHECK(pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && status == 7 << 8);
	}
	CHECK_INT(cgroup_signal_all(top, SIGUSR1), 0); /* nobody there */
	pids[0] = spawn_in(fd);
	CHECK_INT(cgroup_signal_all(top, SIGKILL), 0);
	CHECK_INT(cgroup_wait_empty(top, WAIT_MS), 0);
	waitpid(pids[0], NULL, 0);
	CHECK_INT(cgroup_remove(&f.host, f.path, 0), 0);
}

TEST(signal_all_while_forking)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	pid_t pid;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	pid = spawn_in(fd);
	CHECK(pid > 0);
	CHECK_INT(cgroup_attach(fd, pid), 0);
	/* A process that keeps replacing itself by a child: a moving target. */
	if (fork() == 0) {
		cgroup_attach(fd, getpid());
		for (int i = 0; i < 300; i++)
			if (fork() > 0)
				_exit(0);
		pause();
		_exit(0);
	}
	wait(NULL);
	CHECK_INT(cgroup_signal_all(fd, SIGTERM), 0);
	CHECK_INT(cgroup_wait_empty(fd, WAIT_MS), 0);
	while (wait(NULL) > 0)
		;
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
}

TEST(wait_empty_waits_and_wakes)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	int64_t before;
	pid_t pid, killer;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(cgroup_wait_empty(fd, 0), 0);
	pid = spawn_in(fd);
	before = now_ms();
	CHECK_INT(cgroup_wait_empty(fd, 60), -ETIMEDOUT);
	CHECK(now_ms() - before >= 60);
	killer = fork();
	if (killer == 0) {
		usleep(50000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	CHECK_INT(cgroup_wait_empty(fd, -1), 0);
	/* Not reaped yet: a zombie does not keep a cgroup. */
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	CHECK_INT(cgroup_wait_empty(fd, -1), 0); /* removed: as empty as can be */
	CHECK_INT(cgroup_kill(fd), 0);
	CHECK_INT(cgroup_signal_all(fd, SIGTERM), 0);
	CHECK(cgroup_freeze(fd, true, WAIT_MS) < 0);
	waitpid(pid, NULL, 0);
	waitpid(killer, NULL, 0);
}

TEST(wait_ends_when_removed_meanwhile)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	pid_t pid, remover;
	int status = -1;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	pid = spawn_in(fd);
	remover = fork();
	if (remover == 0) {
		usleep(20000);
		kill(pid, SIGKILL);
		_exit(cgroup_remove(&f.host, f.path, 0) < 0);
	}
	CHECK_INT(cgroup_wait_empty(fd, WAIT_MS), 0);
	waitpid(pid, NULL, 0);
	waitpid(remover, &status, 0);
	CHECK_INT(status, 0);
}

TEST(remove_right_after_kill)
{
	_cleanup_close_ int fd = FD_NONE;
	struct fixture f;
	size_t from;
	pid_t pids[8];

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = spawn_in(fd);
	CHECK_INT(cgroup_kill(fd), 0);
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		waitpid(pids[i], NULL, 0);
}

TEST(deep_and_wide_trees)
{
	enum { DEPTH = 150, WIDTH = 20 };
	_cleanup_close_ int fd = FD_NONE, at = FD_NONE;
	struct fixture f;
	size_t from, n;
	pid_t pid, *pids = NULL;

	if (!setup(&f, ""))
		return;
	CHECK_INT(cgroup_create(&f.host, f.path, &fd, &from), 0);
	CHECK_INT(cgroup_open(&f.host, f.path, &at), 0);
	for (int i = 0; i < DEPTH; i++) {
		int next;

		if (i % 50 == 0)
			for (int k = 0; k < WIDTH; k++) {
				char name[16];

				snprintf(name, sizeof(name), "w%d", k);
				CHECK_INT(mkdirat(at, name, 0755), 0);
			}
		if (!CHECK_INT(mkdirat(at, "down", 0755), 0))
			break;
		next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd_close(&at);
		at = next;
	}
	pid = spawn_in(at);
	if (CHECK_INT(cgroup_pids(fd, &pids, &n), 0)) {
		CHECK(n == 1 && pids[0] == pid);
		free(pids);
	}
	CHECK_INT(cgroup_signal_all(fd, SIGUSR1), 0);
	waitpid(pid, NULL, 0);
	CHECK_INT(cgroup_remove(&f.host, f.path, from), 0);
	CHECK(!exists(&f, ""));
}

/* Two processes create and remove beside each other below one ancestor: nobody fails. */
TEST(create_against_removers)
{
	enum { ROUNDS = 300, WORKERS = 3 };
	struct fixture f;
	int failed = 0;

	if (!setup(&f, ""))
		return;
	for (int w = 0; w < WORKERS; w++) {
		char path[PATH_SIZE];

		if (fork() != 0)
			continue;
		snprintf(path, sizeof(path), "%.200s/common/w%d", f.path, w);
		for (int i = 0; i < ROUNDS; i++) {
			size_t from;
			int fd;

			if (cgroup_create(&f.host, path, &fd, &from) < 0) {
				printf("# %s\n", err_text());
				fflush(stdout);
				_exit(1);
			}
			close(fd);
			/* All of the path is called ours: each tries to take the others' ancestors away. */
			if (cgroup_remove(&f.host, path, 0) < 0) {
				printf("# %s\n", err_text());
				fflush(stdout);
				_exit(2);
			}
		}
		_exit(0);
	}
	for (int w = 0; w < WORKERS; w++) {
		int status = -1;

		wait(&status);
		failed += status != 0;
	}
	CHECK_INT(failed, 0);
	CHECK(!exists(&f, ""));
}

TEST_MAIN(CASE(path_components), CASE(path_rules), CASE(mount_table), CASE(no_cgroup2), CASE(create_and_remove),
	  CASE(nested_and_created_from), CASE(existing_empty_is_taken), CASE(bad_places), CASE(symlinks_are_not_followed),
	  CASE(with_processes_is_busy), CASE(frozen_is_busy), CASE(threaded_is_refused),
	  CASE(attach_pids_and_threaded_below), CASE(freeze_and_thaw), CASE(thaw_below_a_frozen_one),
	  CASE(kill_reaches_sub_cgroups_and_frozen), CASE(signal_all_reaches_everybody), CASE(signal_all_while_forking),
	  CASE(wait_empty_waits_and_wakes), CASE(wait_ends_when_removed_meanwhile), CASE(remove_right_after_kill),
	  CASE(deep_and_wide_trees), CASE(create_against_removers))
