/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a container: what is written is what is read; a damaged one is told from an absent one. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/state.h"
#include "runtime/state_json.h"
#include "tests/unit/test.h"

static const char *const hook_args[] = { "hook", "a b", NULL };
static const char *const hook_env[] = { "A=1", NULL };
static const struct plan_hook hook = { "/bin/hook", hook_args, hook_env, 7 };
static const struct plan_kv annotations[] = { { "key", "value \"quoted\"" }, { "k2", "" } };

static const struct state_mount mounts[] = { { "/mnt", 4294967299 }, { "/a b", 7 } };

static struct state sample(void)
{
	struct state s = {
		.id = "a", .bundle = "/b", .rootfs = "/b/rootfs", .oci_version = "1.3.0", .created = "2026-01-01T00:00:00Z",
		.owner = "0", .isolation = "container", .pid = 42, .pid_seen = 1234567, .creator = 3, .creator_seen = 5,
		.cgroup_path = "/nacre-a", .cgroup_created_from = 1, .cgroup_owned = true,
		.ns_flags = CLONE_NEWPID | CLONE_NEWNS, .has_process = true, .keyring = "_ses.a.1", .root_mount = 1234567890123,
		.annotations = annotations, .n_annotations = 2, .mounts = mounts, .n_mounts = 2,
	};

	s.hooks[HOOK_POSTSTOP] = (struct plan_hooks){ &hook, 1 };
	return s;
}

TEST(round_trip)
{
	char dir[] = "/tmp/nacre-state.XXXXXX";
	_cleanup_close_ int fd = FD_NONE;
	struct arena *a = arena_new(0);
	struct state s = sample(), got;

	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(state_load(a, fd, &got), -ENOENT);
	CHECK_INT(state_save(fd, &s, true), 0);
	CHECK_INT(state_save(fd, &s, true), -EEXIST);
	CHECK_INT(state_save(fd, &s, false), 0);
	CHECK_INT(state_load(a, fd, &got), 0);
	CHECK_STR(got.id, "a");
	CHECK_STR(got.cgroup_path, "/nacre-a");
	CHECK_INT(got.pid, 42);
	CHECK_INT((int64_t)got.pid_seen, 1234567);
	CHECK_INT(got.creator, 3);
	CHECK_INT(got.ns_flags, CLONE_NEWPID | CLONE_NEWNS);
	CHECK(got.cgroup_owned && got.has_process && str_eq(got.keyring, "_ses.a.1") && got.root_mount == 1234567890123);
	CHECK(got.n_mounts == 2 && got.mounts[0].id == mounts[0].id);
	CHECK_STR(got.mounts[1].target, "/a b");
	CHECK_INT((int64_t)got.hooks[HOOK_POSTSTOP].n, 1);
	CHECK_STR(got.hooks[HOOK_POSTSTOP].v[0].args[1], "a b");
	CHECK_STR(got.hooks[HOOK_POSTSTOP].v[0].env[0], "A=1");
	CHECK_INT(got.hooks[HOOK_POSTSTOP].v[0].timeout, 7);
	CHECK_INT((int64_t)got.n_annotations, 2);
	CHECK_STR(got.annotations[0].value, "value \"quoted\"");
	unlinkat(fd, STATE_FILE, 0);
	rmdir(dir);
	arena_free(a);
}

TEST(damaged)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{", "state.json: " },
		{ "[]", "\"version\"" },
		{ "{}", "\"version\"" },
		{ "{\"version\":2}", "has version 2" },
		{ "{\"version\":1}", "\"id\"" },
		{ "{\"version\":\"1\"}", "\"version\"" },
		{ "null", "\"version\"" },
		{ "{\"version\":1,\"id\":3}", "\"id\"" },
		{ ("{\"version\":1,\"id\":\"a\",\"bundle\":\"/\",\"rootfs\":\"/\",\"ociVersion\":\"1\",\"created\":\"\",\"owner\":\"\","
		   "\"isolation\":\"x\",\"pid\":-1}"), "\"pid\"" },
	};
	struct arena *a = arena_new(0);
	struct state s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *said;

		CHECK_INT(state_parse(a, cases[i].text, strlen(cases[i].text), &s), -EBADMSG);
		CHECK(strstr(err_text(), cases[i].says) != NULL);
		said = strstr(err_text(), "its state file");
		CHECK(said != NULL && strstr(said + 1, "its state file") == NULL);
	}
	arena_free(a);
}

TEST(ids)
{
	static const char *const good[] = { "a", "A-z_0.9+x", "_", "-x", "+1" };
	static const char *const bad[] = { "", ".", "..", ".a", "a/b", "a b", "ä", "a\n", "a:b" };
	char longest[300];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(container_check_id(good[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(container_check_id(bad[i]), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	CHECK_INT(container_check_id(longest), 0);
	longest[255] = 'x';
	longest[256] = '\0';
	CHECK_INT(container_check_id(longest), -EINVAL);
}

TEST(one_winner_and_removal)
{
	char root[] = "/tmp/nacre-root.XXXXXX";
	struct container one = CONTAINER_NULL, two = CONTAINER_NULL, three = CONTAINER_NULL;

	if (!CHECK(mkdtemp(root) != NULL))
		return;
	CHECK_INT(container_open(root, "x", &three), -ENOENT);
	CHECK(strstr(err_text(), "does not exist") != NULL);
	container_deinit(&three);
	CHECK_INT(container_new(root, "x", &one), 0);
	CHECK_INT(container_new(root, "x", &two), -EEXIST);
	container_deinit(&two);
	three = (struct container)CONTAINER_NULL;
	CHECK_INT(container_open(root, "x", &three), 0);
	CHECK(!three.has_state);
	CHECK_INT(container_lock(&three, false), -EWOULDBLOCK);
	{
		pid_t pid;

		CHECK_INT(container_status(&three, false, &pid), STATUS_CREATING);
		container_unlock(&one);
		CHECK_INT(container_status(&three, false, &pid), STATUS_STOPPED);
	}
	/* What nobody knows is removed, too. */
	close(openat(one.dir, "something else", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	CHECK_INT(container_remove(&one), 0);
	CHECK_INT(container_lock(&three, true), -ENOENT);
	container_deinit(&one);
	container_deinit(&three);
	CHECK_INT(rmdir(root), 0);
}

TEST_MAIN(CASE(round_trip), CASE(damaged), CASE(ids), CASE(one_winner_and_removal))
