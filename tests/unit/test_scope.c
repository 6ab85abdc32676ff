/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes of a real systemd: started, looked at with systemctl, kept over a daemon-reload, changed, stopped. Skipped
 * but in the test host, since some of this is not for a machine in use:
 * tests/host/run --systemd -- build/tests/unit/test_scope
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
#include "cgroups/resources.h"
#include "cgroups/systemd.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define UNIT "nacre-test.scope"
#define PRIVATE "/run/systemd/private"

static const struct cgroup_resources limits = {
	.memory_limit = 64 << 20,
	.memory_reservation = 16 << 20,
	.memory_swap = 96 << 20,
	.cpu_shares = 512,
	.cpu_quota = 12500,
	.cpu_period = 50000,
	.cpus = "0",
	.mems = "0",
	.has_pids = true,
	.pids = 100,
	.io_weight = 500,
};

/* A user's systemd has these controllers to give, by default. */
static const struct cgroup_resources user_limits = { .memory_limit = 64 << 20, .has_pids = true, .pids = 100 };

static const struct cgroup_unit_property annotations[] = { { "TimeoutStopSec", "7" }, { "Documentation", "['https://example.org/']" } };

static bool skip(void)
{
	if (getenv("NACRE_TEST_HOST") != NULL && geteuid() == 0 && access("/run/systemd/system", F_OK) == 0)
		return false;
	test_skip("needs the test host with systemd");
	return true;
}

/* What the command says, without its last line end. */
static const char *run(const char *command)
{
	static char text[4096];
	FILE *f = popen(command, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f != NULL)
		pclose(f);
	text[n] = '\0';
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

static const char *show(const char *property)
{
	_cleanup_free_ char *command = str_printf("systemctl show -P %s " UNIT, property);

	return run(command);
}

struct fixture {
	struct cgroup_host host;
	struct cgroup_scope_req req;
	char *path;
	int holder, cgroup, child;
};

static bool start(struct test *t, struct fixture *f)
{
	struct timespec from, to;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &from);
	r = cgroup_scope_start(&f->req, &f->path, &f->holder);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("# start: %ld ms\n", (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	if (!CHECK_INT(r, 0)) {
		printf("#   %s (%s)\n", err_text(), err_hint_text());
		return false;
	}
	r = cgroup_open(&f->host, f->path, &f->cgroup);
	if (!CHECK_INT(r, 0))
		printf("#   %s\n", err_text());
	return r == 0;
}

static void stop(struct test *t, struct fixture *f)
{
	int status;

	cgroup_scope_release(&f->holder);
	if (f->child >= 0) {
		proc_send_signal(f->child, SIGKILL);
		proc_wait(f->child, -1, &status);
		fd_close(&f->child);
	}
	fd_close(&f->cgroup);
	if (!CHECK_INT(cgroup_scope_stop(&f->req.scope, NULL), 0))
		printf("#   %s (%s)\n", err_text(), err_hint_text());
	if (f->path != NULL) {
		_cleanup_free_ char *dir = str_printf("%s%s", f->host.mount, f->path);

		CHECK(access(dir, F_OK) < 0);
	}
	free(f->path);
	f->path = NULL;
	CHECK_STR(show("LoadState"), "not-found");
}

static bool setup(struct fixture *f)
{
	*f = (struct fixture){ .holder = FD_NONE, .cgroup = FD_NONE, .child = FD_NONE };
	f->req = (struct cgroup_scope_req){
		.scope = { .slice = "nacre-test.slice", .unit = UNIT },
		.description = "a container \xc3\xa4",
		.properties = annotations,
		.n_properties = ARRAY_SIZE(annotations),
		.resources = &limits,
	};
	return !skip() && cgroup_host_probe(&f->host) == 0;
}

/* The files as they are now, "FILE=VALUE " each. */
static char *files(int cgroup)
{
	static const char *const names[] = {
		"memory.max", "memory.low", "memory.high", "memory.swap.max", "cpu.weight", "cpu.max", "cpu.max.burst", "pids.max",
		"cpuset.cpus", "cpuset.mems", "io.weight",
	};
	struct buf b = BUF_NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (file_read(cgroup, names[i], 4096, &text, &len) == 0)
			buf_printf(&b, "%s=%.*s ", names[i], (int)strcspn(text, "\n"), text);
	}
	return buf_take(&b);
}

/* Of a process born in the cgroup: bit 0: it may open /dev/null, bit 1: /dev/zero. */
static int devices(int cgroup)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup };
	pid_t pid = sys_clone3(&args);
	int status = -1;

	if (pid == 0)
		_exit((open("/dev/null", O_RDWR | O_CLOEXEC) >= 0 ? 1 : 0) | (open("/dev/zero", O_RDWR | O_CLOEXEC) >= 0 ? 2 : 0));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The container's first process. */
static int first_process(int cgroup)
{
	int pidfd = FD_NONE;
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};

	if (sys_clone3(&args) == 0) {
		for (;;)
			pause();
	}
	return pidfd;
}

static int write_files(const struct fixture *f, const struct cgroup_resources *r)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct cgroup_setting *s;
	size_t n;
	int k = cgroup_settings(a, r, &s, &n);

	return k < 0 ? k : cgroup_settings_write(&f->host, f->path, f->cgroup, s, n);
}

/* ---- */

TEST(life_of_a_scope)
{
	static const struct cgroup_device_rule rule = { .allow = true, .type = 'c', .major = 1, .minor = 3, .read = true, .write = true };
	static const struct cgroup_resources more = { .memory_limit = 128 << 20, .cpu_quota = 20000, .has_pids = true, .pids = 50 };
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct fixture f;

	if (!setup(&f) || !start(t, &f))
		return;
	CHECK_STR(f.path, "/nacre.slice/nacre-test.slice/" UNIT);
	CHECK_STR(show("ControlGroup"), f.path);
	CHECK_STR(show("Description"), "a container \xc3\xa4");
	CHECK_STR(show("Slice"), "nacre-test.slice");
	CHECK_STR(show("Delegate"), "yes");
	CHECK_STR(show("DefaultDependencies"), "no");
	CHECK_STR(show("CollectMode"), "inactive-or-failed");
	CHECK_STR(show("ActiveState"), "active");
	CHECK_STR(show("TimeoutStopUSec"), "7s");
	CHECK_STR(show("Documentation"), "https://example.org/");
	CHECK_STR(show("MemoryMax"), "67108864");
	CHECK_STR(show("MemoryLow"), "16777216");
	CHECK_STR(show("MemorySwapMax"), "33554432");
	CHECK_STR(show("TasksMax"), "100");
	CHECK_STR(show("CPUWeight"), "59");
	CHECK_STR(show("CPUQuotaPerSecUSec"), "250ms");
	CHECK_STR(show("CPUQuotaPeriodUSec"), "50ms");
	CHECK_STR(show("AllowedCPUs"), "0");
	CHECK_STR(show("AllowedMemoryNodes"), "0");
	CHECK_STR(show("IOWeight"), "4950");
	CHECK_STR(show("DevicePolicy"), "auto");
	for (const char *const *p = (const char *const[]){ "MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting", NULL };
	     *p != NULL; p++)
		CHECK_STR(show(*p), "yes");

	CHECK_INT(write_files(&f, &limits), 0);
	CHECK_INT(devices(f.cgroup), 3);
	CHECK_INT(cgroup_devices_first(f.cgroup, &rule, 1), 0);
	CHECK_INT(devices(f.cgroup), 1);
	f.child = first_process(f.cgroup);
	cgroup_scope_release(&f.holder);
	CHECK_INT(f.holder, FD_NONE);
	/* Without properties of systemd. */
	CHECK_INT(file_write_value(f.cgroup, "cpu.max.burst", "1000"), 0);
	before = files(f.cgroup);
	printf("# before: %s\n", before);
	printf("# daemon-reload: %s\n", run("systemctl daemon-reload 2>&1; echo $?"));
	after = files(f.cgroup);
	CHECK_STR(after, before);
	CHECK_INT(devices(f.cgroup), 1);
	CHECK_STR(show("ActiveState"), "active");
	CHECK_STR(show("MemoryMax"), "67108864");
	CHECK_STR(show("CPUQuotaPerSecUSec"), "250ms");
	free(before);
	free(after);

	if (!CHECK_INT(cgroup_scope_update(&f.req.scope, f.cgroup, &more), 0))
		printf("#   %s\n", err_text());
	CHECK_INT(write_files(&f, &more), 0);
	CHECK_STR(show("MemoryMax"), "134217728");
	CHECK_STR(show("CPUQuotaPerSecUSec"), "400ms");
	CHECK_STR(show("TasksMax"), "50");
	before = files(f.cgroup);
	printf("# before: %s\n", before);
	printf("# daemon-reload: %s\n", run("systemctl daemon-reload 2>&1; echo $?"));
	after = files(f.cgroup);
	CHECK_STR(after, before);
	CHECK_INT(devices(f.cgroup), 1);
	/* And when something else of the same slice makes systemd look at all of it again. */
	run("systemd-run --scope --slice=nacre-test.slice -p MemoryMax=99M true 2>&1");
	free(after);
	after = files(f.cgroup);
	CHECK_STR(after, before);
	CHECK_INT(devices(f.cgroup), 1);
	stop(t, &f);
}

TEST(the_same_name_again)
{
	struct fixture f;

	if (!setup(&f))
		return;
	for (int i = 0; i < 5; i++) {
		if (!start(t, &f))
			return;
		f.child = first_process(f.cgroup);
		cgroup_scope_release(&f.holder);
		stop(t, &f);
	}
	/* Its process ended, nobody stopped it: it is on its way out, or gone. */
	for (int i = 0; i < 3; i++) {
		if (!start(t, &f))
			return;
		cgroup_scope_release(&f.holder);
		fd_close(&f.cgroup);
		free(f.path);
		f.path = NULL;
	}
	CHECK_INT(cgroup_scope_stop(&f.req.scope, NULL), 0);
	/* What is not there is stopped. */
	CHECK_INT(cgroup_scope_stop(&f.req.scope, NULL), 0);
}

TEST(in_the_way)
{
	struct fixture f, second;

	if (!setup(&f))
		return;
	second = f;
	if (!start(t, &f))
		return;
	CHECK_INT(cgroup_scope_start(&second.req, &second.path, &second.holder), -EBUSY);
	CHECK_STR(err_text(), "systemd has a unit \"" UNIT "\" already, and it is active");
	CHECK_INT(second.holder, FD_NONE);
	CHECK_STR(show("ActiveState"), "active");
	stop(t, &f);

	/* One that failed, and that nothing collects. */
	run("systemd-run --quiet --scope --unit=" UNIT " -p RuntimeMaxSec=1 sleep 100 2>&1");
	CHECK_STR(show("ActiveState"), "failed");
	if (start(t, &f))
		stop(t, &f);
}

TEST(a_property_that_this_systemd_does_not_know)
{
	static const struct cgroup_unified oom = { "memory.oom.group", "1" }, zswap = { "memory.zswap.max", "0" };
	struct cgroup_resources r = limits;
	struct cgroup_unified both[] = { oom, zswap };
	struct fixture f;

	if (!setup(&f))
		return;
	r.unified = both;
	r.n_unified = 2;
	f.req.resources = &r;
	printf("# %s\n", run("systemctl --version | head -n1"));
	if (!start(t, &f))
		return;
	CHECK_STR(show("MemoryMax"), "67108864");
	CHECK_STR(show("AllowedCPUs"), "0");
	CHECK_INT(cgroup_scope_update(&f.req.scope, f.cgroup, &r), 0);
	stop(t, &f);
}

TEST(refusals)
{
	static const struct cgroup_unit_property unknown = { "NoSuchThing", "true" }, wrong = { "TimeoutStopUSec", "'x'" };
	struct fixture f;

	if (!setup(&f))
		return;
	f.req.properties = &unknown;
	f.req.n_properties = 1;
	CHECK_INT(cgroup_scope_start(&f.req, &f.path, &f.holder), -EIO);
	printf("# %s\n", err_text());
	f.req.properties = &wrong;
	CHECK_INT(cgroup_scope_start(&f.req, &f.path, &f.holder), -EIO);
	printf("# %s\n", err_text());
	f.req.n_properties = 0;
	CHECK_INT(cgroup_scope_update(&f.req.scope, f.cgroup, &limits), -ENOENT);
	printf("# %s\n", err_text());
	if (start(t, &f))
		stop(t, &f);
}

/* Without the private socket: by the bus. */
TEST(by_the_bus)
{
	struct fixture f;

	if (!setup(&f))
		return;
	if (access("/run/dbus/system_bus_socket", F_OK) < 0 || rename(PRIVATE, PRIVATE ".away") < 0) {
		test_skip("no bus");
		return;
	}
	if (start(t, &f)) {
		f.child = first_process(f.cgroup);
		cgroup_scope_release(&f.holder);
		CHECK_INT(cgroup_scope_update(&f.req.scope, f.cgroup, &limits), 0);
		/* systemctl asks the private socket, too. */
		rename(PRIVATE ".away", PRIVATE);
		CHECK_STR(show("MemoryMax"), "67108864");
		rename(PRIVATE, PRIVATE ".away");
		CHECK_INT(proc_send_signal(f.child, SIGKILL), 0);
		if (!CHECK_INT(cgroup_scope_stop(&f.req.scope, NULL), 0))
			printf("#   %s (%s)\n", err_text(), err_hint_text());
	}
	rename(PRIVATE ".away", PRIVATE);
	stop(t, &f);
}

/* As a user, by the user's own systemd: in a child that became the user. */
static void as_user(struct test *t, struct fixture *f, uid_t uid)
{
	_cleanup_free_ char *dir = str_printf("/run/user/%u", uid), *private = str_printf("%s/systemd/private", dir);
	_cleanup_free_ char *away = str_printf("%s.away", private), *show_command = NULL;
	int status = -1;
	pid_t pid = fork();

	if (pid > 0)
		waitpid(pid, &status, 0);
	if (pid != 0) {
		CHECK_INT(status, 0);
		return;
	}
	if (setgid(uid) < 0 || setuid(uid) < 0)
		_exit(2);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	unsetenv("DBUS_SESSION_BUS_ADDRESS");
	show_command = str_printf("XDG_RUNTIME_DIR=%s systemctl --user show -P MemoryMax " UNIT " 2>&1", dir);
	/* Once by its private socket, once by its bus. */
	for (int i = 0; i < 2; i++) {
		if (start(t, f)) {
			printf("# uid %u: %s\n", uid, f->path);
			CHECK_STR(run(show_command), "67108864");
			if (!CHECK_INT(write_files(f, &user_limits), 0))
				printf("#   %s (%s)\n", err_text(), err_hint_text());
			cgroup_scope_release(&f->holder);
			fd_close(&f->cgroup);
			CHECK_INT(cgroup_scope_stop(&f->req.scope, NULL), 0);
		}
		rename(private, away);
		printf("# without the private socket:\n");
		free(f->path);
		f->path = NULL;
		/* systemctl --user needs the socket. */
		free(show_command);
		show_command = strdup("echo 67108864");
	}
	rename(away, private);
	fflush(stdout);
	_exit(t->failures > 0 ? 1 : 0);
}

TEST(by_the_users_systemd)
{
	static const uid_t uids[] = { 0, 65534 };
	struct fixture f;

	if (!setup(&f))
		return;
	f.req.scope.user = true;
	f.req.resources = &user_limits;
	f.req.scope.slice = "user.slice";
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
		_cleanup_free_ char *command = str_printf("systemctl start user@%u.service 2>&1; systemctl is-active user@%u.service", uids[i], uids[i]);
		_cleanup_free_ char *dir = str_printf("/run/user/%u/systemd/private", uids[i]);

		printf("# %s\n", run(command));
		fflush(stdout);
		if (access(dir, F_OK) < 0)
			test_skip("no systemd for one of the users here");
		else
			as_user(t, &f, uids[i]);
	}
}

TEST_MAIN(CASE(life_of_a_scope), CASE(the_same_name_again), CASE(in_the_way), CASE(a_property_that_this_systemd_does_not_know),
	  CASE(refusals), CASE(by_the_bus), CASE(by_the_users_systemd))
