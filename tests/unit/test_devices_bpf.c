/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules: the form of the program (pure), and what it does: loaded by the
 * kernel, attached to a test cgroup, and asked by opening device nodes in a child
 * there. Without root or cgroup2 the second part is skipped.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/devices_bpf.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define RULE(allow_, type_, major_, minor_, access_) \
	{ \
		.allow = (allow_), .type = (type_), .major = (major_), .minor = (minor_), \
		.read = strchr(access_, 'r') != NULL, .write = strchr(access_, 'w') != NULL, \
		.mknod = strchr(access_, 'm') != NULL \
	}
#define ALLOW(type, major, minor, access) RULE(true, type, major, minor, access)
#define DENY(type, major, minor, access) RULE(false, type, major, minor, access)

#define RULES_MAX 8

/* What is tried: a character device 1:3 (/dev/null) or 1:5 (/dev/zero) in four ways; 'b' is block device 7:199. */
enum attempt {
	NULL_READ = 1,
	NULL_WRITE = 2,
	NULL_BOTH = 4,
	NULL_MKNOD = 8,
	ZERO_READ = 16,
	ZERO_WRITE = 32,
	BLOCK_MKNOD = 64,
};

static bool try_open(const char *dir, const char *name, int flags)
{
	_cleanup_free_ char *path = str_printf("%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, flags | O_CLOEXEC);

	return fd >= 0 || errno != EPERM;
}

static bool try_mknod(const char *dir, mode_t type, unsigned int major, unsigned int minor)
{
	_cleanup_free_ char *path = str_printf("%s/made", dir);
	bool ok = mknod(path, type | 0600, makedev(major, minor)) == 0;

	unlink(path);
	return ok;
}

/* In a child born in the cgroup: the attempts that passed; -1 when it could not be done. */
static int attempts(int cgroup_fd, const char *dir)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd };
	int status = -1;
	pid_t pid = sys_clone3(&args);

	if (pid == 0)
		_exit((try_open(dir, "null", O_RDONLY) ? NULL_READ : 0) | (try_open(dir, "null", O_WRONLY) ? NULL_WRITE : 0) |
		      (try_open(dir, "null", O_RDWR) ? NULL_BOTH : 0) | (try_mknod(dir, S_IFCHR, 1, 3) ? NULL_MKNOD : 0) |
		      (try_open(dir, "zero", O_RDONLY) ? ZERO_READ : 0) | (try_open(dir, "zero", O_WRONLY) ? ZERO_WRITE : 0) |
		      (try_mknod(dir, S_IFBLK, 7, 199) ? BLOCK_MKNOD : 0));
	if (pid < 0)
		return -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct fixture {
	struct cgroup_host host;
	char path[64], dir[64];
	size_t from;
	int fd;
};

static void teardown(struct fixture *f)
{
	_cleanup_free_ char *null = str_printf("%s/null", f->dir), *zero = str_printf("%s/zero", f->dir);

	unlink(null);
	unlink(zero);
	rmdir(f->dir);
	fd_close(&f->fd);
	cgroup_remove(&f->host, f->path, f->from);
}

/* False, having said so, when the test cannot be done here. */
static bool setup(struct fixture *f)
{
	_cleanup_free_ char *null = NULL, *zero = NULL;

	*f = (struct fixture){ .fd = FD_NONE };
	if (cgroup_host_probe(&f->host) < 0 || f->host.mode == CGROUP_NONE || geteuid() != 0 ||
	    access(f->host.mount, W_OK) < 0) {
		test_skip("needs root and a writable cgroup2");
		return false;
	}
	/* Nodes of our own, on a file system that takes them: /dev may be anything. */
	snprintf(f->dir, sizeof(f->dir), "/tmp/nacre-devices.XXXXXX");
	snprintf(f->path, sizeof(f->path), "/nacre-test-devices-%ld", (long)getpid());
	if (mkdtemp(f->dir) == NULL || cgroup_create(&f->host, f->path, &f->fd, &f->from) < 0)
		return false;
	null = str_printf("%s/null", f->dir);
	zero = str_printf("%s/zero", f->dir);
	if (mknod(null, S_IFCHR | 0600, makedev(1, 3)) < 0 || mknod(zero, S_IFCHR | 0600, makedev(1, 5)) < 0 ||
	    !try_open(f->dir, "null", O_RDWR) || !try_mknod(f->dir, S_IFBLK, 7, 199)) {
		test_skip("device nodes cannot be made here");
		teardown(f);
		return false;
	}
	return true;
}

/* Form --------------------------------------------------------------------- */

static size_t length(const struct cgroup_device_rule *rules, size_t n)
{
	struct bpf_insn *insns = NULL;
	size_t len = 0;

	if (cgroup_devices_assemble(rules, n, &insns, &len) < 0)
		return 0;
	/* Whatever the rules are, it ends with "r0 = answer; exit". */
	if (insns[len - 1].code != (BPF_JMP | BPF_EXIT) || insns[len - 2].code != (BPF_ALU | BPF_MOV | BPF_K) ||
	    insns[len - 2].dst_reg != BPF_REG_0)
		len = 0;
	/* And no jump leaves it. */
	for (size_t i = 0; i < len; i++)
		if (BPF_CLASS(insns[i].code) == BPF_JMP32 && (insns[i].off < 0 || i + 1 + (size_t)insns[i].off >= len))
			len = 0;
	free(insns);
	return len;
}

TEST(program_form)
{
	static const struct cgroup_device_rule rules[] = {
		ALLOW('c', 1, 3, "rwm"),	DENY('a', -1, -1, "rwm"), ALLOW('c', 1, 5, "rw"),
		DENY('b', 7, -1, "w"),		ALLOW('b', -1, -1, ""),
	};
	size_t base = length(&rules[4], 1);

	/* An empty rule says nothing: prologue and "no". */
	CHECK_INT(base, 8);
	/* "everything" ends the program itself. */
	CHECK_INT(length(&rules[1], 1), base);
	CHECK_INT(length(&rules[0], 1), base + 3 + 2);
	/* What comes before "everything" is out. */
	CHECK_INT(length(rules, 2), base);
	CHECK_INT(length(rules, 3), base + 3 + 2 + 2 + 4);
	CHECK_INT(length(rules, 5), base + 3 + 2 + 2 + 4 + 2 + 2 + 2 + 3);
}

TEST(bad_rules)
{
	static const struct {
		struct cgroup_device_rule rule;
		const char *text;
	} cases[] = {
		{ ALLOW('p', 1, 3, "r"), "device rule 0: type 'p' is not one of a, b, c" },
		{ ALLOW('c', -2, 3, "r"), "device rule 0: no device has major number -2" },
		{ ALLOW('c', 4096, 3, "r"), "device rule 0: no device has major number 4096" },
		{ ALLOW('c', 1, 1048576, "r"), "device rule 0: no device has minor number 1048576" },
		{ ALLOW('c', 1, 4294967299LL, "r"), "device rule 0: no device has minor number 4294967299" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bpf_insn *insns = NULL;
		size_t n = 77;

		CHECK_INT(cgroup_devices_assemble(&cases[i].rule, 1, &insns, &n), -EINVAL);
		CHECK_STR(err_text(), cases[i].text);
		CHECK(insns == NULL && n == 77);
	}
}

/* Effect ------------------------------------------------------------------- */

TEST(rules_in_the_kernel)
{
	static const struct {
		const char *what;
		struct cgroup_device_rule rules[RULES_MAX];
		size_t n;
		int passed;
	} cases[] = {
		{ "all", { ALLOW('a', -1, -1, "rwm") }, 1, 127 },
		{ "none", { DENY('a', -1, -1, "rwm") }, 1, 0 },
		{ "one, by default nothing else", { ALLOW('c', 1, 3, "rwm") }, 1,
		  NULL_READ | NULL_WRITE | NULL_BOTH | NULL_MKNOD },
		{ "as engines send it", { DENY('a', -1, -1, "rwm"), ALLOW('c', -1, -1, "m"), ALLOW('b', -1, -1, "m"),
					  ALLOW('c', 1, 3, "rwm"), ALLOW('c', 1, 5, "r") }, 5,
		  NULL_READ | NULL_WRITE | NULL_BOTH | NULL_MKNOD | ZERO_READ | BLOCK_MKNOD },
		{ "the last one wins: deny", { ALLOW('a', -1, -1, "rwm"), DENY('c', 1, 3, "rwm") }, 2,
		  ZERO_READ | ZERO_WRITE | BLOCK_MKNOD },
		{ "the last one wins: allow", { DENY('c', 1, 3, "rwm"), ALLOW('a', -1, -1, "rwm") }, 2, 127 },
		{ "read only", { ALLOW('c', 1, 3, "r") }, 1, NULL_READ },
		{ "read and write in two rules", { ALLOW('c', 1, 3, "r"), ALLOW('c', 1, -1, "w") }, 2,
		  NULL_READ | NULL_WRITE | NULL_BOTH | ZERO_WRITE },
		{ "one access taken back", { ALLOW('c', 1, 3, "rwm"), DENY('c', 1, 3, "w") }, 2,
		  NULL_READ | NULL_MKNOD },
		{ "taken back and given again", { ALLOW('c', 1, 3, "rw"), DENY('c', 1, 3, "rw"), ALLOW('c', 1, 3, "w") }, 3,
		  NULL_WRITE },
		{ "any minor", { ALLOW('c', 1, -1, "r") }, 1, NULL_READ | ZERO_READ },
		{ "any major", { ALLOW('c', -1, 5, "rw") }, 1, ZERO_READ | ZERO_WRITE },
		{ "type a with numbers", { ALLOW('a', 7, 199, "m"), ALLOW('a', 1, 3, "m") }, 2, NULL_MKNOD | BLOCK_MKNOD },
		{ "the type counts", { ALLOW('b', 1, 3, "rwm"), ALLOW('c', 7, 199, "rwm") }, 2, 0 },
		{ "a rule without access", { ALLOW('c', 1, 3, "r"), DENY('a', -1, -1, "") }, 2, NULL_READ },
	};
	struct fixture f;

	if (!setup(&f))
		return;
	/* Each is put in place of the one before it, so this is also a test of replacing. */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_INT(cgroup_devices_apply(f.fd, cases[i].rules, cases[i].n), 0);
		if (!CHECK_INT(attempts(f.fd, f.dir), cases[i].passed))
			printf("#   case: %s (%s)\n", cases[i].what, err_text());
	}
	teardown(&f);
}

/* Ids of the attached programs. */
static size_t attached(int cgroup_fd, uint32_t ids[8])
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)cgroup_fd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = 8;
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0 ? 99 : attr.query.prog_cnt;
}

/* Attaches "yes to all" as somebody else would. */
static int attach_foreign(int cgroup_fd)
{
	static const struct cgroup_device_rule all = ALLOW('a', -1, -1, "rwm");
	struct bpf_insn *insns;
	union bpf_attr attr;
	size_t n;
	int prog, r;

	if (cgroup_devices_assemble(&all, 1, &insns, &n) < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uint64_t)(uintptr_t)"MIT";
	memcpy(attr.prog_name, "sd_devices", sizeof("sd_devices"));
	prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	free(insns);
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	r = (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr));
	close(prog);
	return r;
}

TEST(ours_is_replaced_others_stay)
{
	static const struct cgroup_device_rule one = ALLOW('c', 1, 3, "r"), two = ALLOW('c', 1, 5, "r");
	uint32_t first[8], second[8];
	struct fixture f;

	if (!setup(&f))
		return;
	CHECK_INT(cgroup_devices_apply(f.fd, NULL, 0), 0);
	CHECK_INT(attached(f.fd, first), 0);
	CHECK_INT(attach_foreign(f.fd), 0);
	CHECK_INT(cgroup_devices_apply(f.fd, &one, 1), 0);
	CHECK_INT(attached(f.fd, first), 2);
	CHECK_INT(attempts(f.fd, f.dir), NULL_READ);
	CHECK_INT(cgroup_devices_apply(f.fd, &two, 1), 0);
	CHECK_INT(attached(f.fd, second), 2);
	CHECK_INT(second[0], first[0]);
	CHECK(second[1] != first[1]);
	CHECK_INT(attempts(f.fd, f.dir), ZERO_READ);
	/* A refused list changes nothing. */
	CHECK_INT(cgroup_devices_apply(f.fd, &(const struct cgroup_device_rule)ALLOW('x', 1, 3, "r"), 1), -EINVAL);
	CHECK_INT(attempts(f.fd, f.dir), ZERO_READ);
	teardown(&f);
}

TEST(what_is_taken_back)
{
	static const struct cgroup_device_rule one = ALLOW('c', 1, 3, "r"), two = ALLOW('c', 1, 5, "r");
	struct cgroup_devices_undo undo = CGROUP_DEVICES_UNDO_NULL;
	uint32_t ids[8], again[8];
	struct fixture f;

	if (!setup(&f))
		return;
	CHECK_INT(attach_foreign(f.fd), 0);
	/* To none of ours. */
	CHECK_INT(cgroup_devices_replace(f.fd, &one, 1, &undo), 0);
	CHECK_INT(attempts(f.fd, f.dir), NULL_READ);
	cgroup_devices_end(f.fd, &undo, true);
	CHECK_INT(attached(f.fd, ids), 1);
	CHECK_INT(attempts(f.fd, f.dir), 127);
	/* To another of ours; the error that was the reason stays. */
	CHECK_INT(cgroup_devices_apply(f.fd, &one, 1), 0);
	CHECK_INT(attached(f.fd, ids), 2);
	CHECK_INT(cgroup_devices_replace(f.fd, &two, 1, &undo), 0);
	CHECK_INT(attempts(f.fd, f.dir), ZERO_READ);
	ERR_PLAIN(-EIO, "the reason");
	cgroup_devices_end(f.fd, &undo, true);
	CHECK_STR(err_text(), "the reason");
	CHECK_INT(attempts(f.fd, f.dir), NULL_READ);
	CHECK_INT(attached(f.fd, again), 2);
	CHECK(ids[0] == again[0] && ids[1] == again[1]);
	CHECK(undo.before < 0 && undo.now < 0);
	/* It went well, or there was nothing to do. */
	CHECK_INT(cgroup_devices_replace(f.fd, &two, 1, &undo), 0);
	cgroup_devices_end(f.fd, &undo, false);
	CHECK_INT(attempts(f.fd, f.dir), ZERO_READ);
	CHECK_INT(cgroup_devices_replace(f.fd, NULL, 0, &undo), 0);
	cgroup_devices_end(f.fd, &undo, true);
	CHECK_INT(attempts(f.fd, f.dir), ZERO_READ);
	teardown(&f);
}

TEST(a_long_list)
{
	enum { MANY = 2000 };
	static struct cgroup_device_rule rules[MANY];
	struct fixture f;

	for (size_t i = 0; i < MANY; i++)
		rules[i] = (struct cgroup_device_rule)ALLOW('c', 200, (long long)i, "rw");
	rules[0] = (struct cgroup_device_rule)ALLOW('c', 1, 3, "r");
	if (setup(&f)) {
		CHECK_INT(cgroup_devices_apply(f.fd, rules, MANY), 0);
		CHECK_INT(attempts(f.fd, f.dir), NULL_READ);
		teardown(&f);
	}
}

TEST_MAIN(CASE(program_form), CASE(bad_rules), CASE(rules_in_the_kernel), CASE(ours_is_replaced_others_stay),
	  CASE(what_is_taken_back), CASE(a_long_list))
