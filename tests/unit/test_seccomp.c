/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp/: vocabulary and checks; filters that are compiled, loaded into a forked
 * child and tried there; the program's file form.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "seccomp/newer.h"
#include "seccomp/policy.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"

#define CHILD_CANNOT_LOAD 99

static const char *const name_getppid[] = { "getppid" };
static const char *const name_lseek[] = { "lseek" };
static const char *const flags_none[] = { "" };

/* One rule for getppid over "allow everything". */
static struct seccomp_req one_rule(struct seccomp_rule *rule, const char *action)
{
	*rule = (struct seccomp_rule){ .names = name_getppid, .n_names = 1, .action = action };
	return (struct seccomp_req){ .default_action = "SCMP_ACT_ALLOW", .rules = rule, .n_rules = 1 };
}

static struct seccomp_req one_lseek_rule(struct seccomp_rule *rule, const struct seccomp_arg *args, size_t n)
{
	struct seccomp_req req = one_rule(rule, "SCMP_ACT_ERRNO");

	rule->names = name_lseek;
	rule->has_errno_ret = true;
	rule->errno_ret = EXDEV;
	rule->args = args;
	rule->n_args = n;
	return req;
}

static void load_or_exit(const struct seccomp_program *p)
{
	int listener;

	prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_program_load(p, &listener) < 0 || listener != FD_NONE)
		_exit(CHILD_CANNOT_LOAD);
}

/* Loads p in a child, which does one system call with three arguments and exits with its errno. The wait status. */
static int try_call(const struct seccomp_program *p, long nr, const uint64_t args[3])
{
	static const uint64_t none[3];
	int status = -1;
	pid_t pid = fork();

	if (args == NULL)
		args = none;
	if (pid == 0) {
		long r;

		load_or_exit(p);
		r = syscall(nr, args[0], args[1], args[2]);
		/* Not _exit(): what a sanitizer does there needs more calls than a strict filter lets through. */
		syscall(SYS_exit_group, r < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static int compile_and_call(const struct seccomp_req *req, long nr, const uint64_t args[3])
{
	struct seccomp_program p;
	int status;

	if (seccomp_compile(req, &p, NULL) < 0)
		return -1;
	status = try_call(&p, nr, args);
	seccomp_program_deinit(&p);
	return status;
}

/* The errno of lseek(args) under the one rule "these conditions: EXDEV". An fd that is none gives EBADF otherwise. */
static int lseek_errno(const struct seccomp_arg *conditions, size_t n, uint64_t a0, uint64_t a1, uint64_t a2)
{
	const uint64_t args[3] = { a0, a1, a2 };
	struct seccomp_rule rule;
	struct seccomp_req req = one_lseek_rule(&rule, conditions, n);
	int status = compile_and_call(&req, SYS_lseek, args);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(every_action_compiles_and_acts)
{
	static const struct {
		const char *action;
		int status;	/* of a child that calls getppid */
	} cases[] = {
		{ "SCMP_ACT_ALLOW", 0 },
		{ "SCMP_ACT_ERRNO", EPERM << 8 },
		{ "SCMP_ACT_KILL", SIGSYS },
		{ "SCMP_ACT_KILL_PROCESS", SIGSYS },
		{ "SCMP_ACT_KILL_THREAD", SIGSYS },
		{ "SCMP_ACT_LOG", 0 },
		{ "SCMP_ACT_TRACE", ENOSYS << 8 },	/* without a tracer */
		{ "SCMP_ACT_TRAP", SIGSYS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seccomp_rule rule;
		struct seccomp_req req = one_rule(&rule, cases[i].action);
		int status = compile_and_call(&req, SYS_getppid, NULL);

		if (!CHECK_INT(status & ~WCOREFLAG, cases[i].status))
			printf("#   action: %s (%s)\n", cases[i].action, err_text());
	}
}

TEST(action_words)
{
	CHECK_INT(seccomp_policy_action("SCMP_ACT_ERRNO", false, 0), SECCOMP_RET_ERRNO | EPERM);
	CHECK_INT(seccomp_policy_action("SCMP_ACT_ERRNO", true, 38), SECCOMP_RET_ERRNO | 38);
	CHECK_INT(seccomp_policy_action("SCMP_ACT_ERRNO", true, 0), SECCOMP_RET_ERRNO);
	CHECK_INT(seccomp_policy_action("SCMP_ACT_TRACE", false, 0), SECCOMP_RET_TRACE | EPERM);
	CHECK_INT(seccomp_policy_action("SCMP_ACT_TRACE", true, 7), SECCOMP_RET_TRACE | 7);
	CHECK_INT(seccomp_policy_action("SCMP_ACT_KILL", false, 0), SECCOMP_RET_KILL_THREAD);
	CHECK_INT(seccomp_policy_action("nonsense", false, 0), SECCOMP_RET_KILL_PROCESS);
}

TEST(default_action_and_errno)
{
	static const char *const needed[] = { "exit_group", "exit" };
	struct seccomp_rule rule = { .names = needed, .n_names = 2, .action = "SCMP_ACT_ALLOW" };
	struct seccomp_req req = { .default_action = "SCMP_ACT_ERRNO", .rules = &rule, .n_rules = 1 };
	int status = compile_and_call(&req, SYS_getppid, NULL);

	CHECK_INT(status, EPERM << 8);
	req.has_default_errno_ret = true;
	req.default_errno_ret = ENOSYS;
	status = compile_and_call(&req, SYS_getppid, NULL);
	CHECK_INT(status, ENOSYS << 8);
}

TEST(rule_like_the_default_is_skipped)
{
	const struct seccomp_rule rules[] = {
		{ .names = name_getppid, .n_names = 1, .action = "SCMP_ACT_ALLOW" },
		{ .names = name_getppid, .n_names = 1, .action = "SCMP_ACT_ERRNO" },
	};
	struct seccomp_req req = { .default_action = "SCMP_ACT_ALLOW", .rules = rules, .n_rules = 2 };

	CHECK_INT(compile_and_call(&req, SYS_getppid, NULL), EPERM << 8);
	req.n_rules = 1;
	CHECK_INT(compile_and_call(&req, SYS_getppid, NULL), 0);
	req.n_rules = 0;
	CHECK_INT(compile_and_call(&req, SYS_getppid, NULL), 0);
}

TEST(argument_operators)
{
	static const struct {
		const char *op;
		uint64_t value;
		bool below, at, above;	/* of 7: does the rule hit? */
	} cases[] = {
		{ "SCMP_CMP_EQ", 7, false, true, false }, { "SCMP_CMP_NE", 7, true, false, true },
		{ "SCMP_CMP_LT", 7, true, false, false }, { "SCMP_CMP_LE", 7, true, true, false },
		{ "SCMP_CMP_GT", 7, false, false, true }, { "SCMP_CMP_GE", 7, false, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seccomp_arg arg = { .index = 1, .value = cases[i].value, .op = cases[i].op };

		if (!CHECK_INT(lseek_errno(&arg, 1, 9999, 6, 0), cases[i].below ? EXDEV : EBADF) ||
		    !CHECK_INT(lseek_errno(&arg, 1, 9999, 7, 0), cases[i].at ? EXDEV : EBADF) ||
		    !CHECK_INT(lseek_errno(&arg, 1, 9999, 8, 0), cases[i].above ? EXDEV : EBADF))
			printf("#   operator: %s\n", cases[i].op);
	}
}

TEST(arguments_are_64_bits)
{
	struct seccomp_arg arg = { .index = 1, .value = 0x100000007ULL, .op = "SCMP_CMP_EQ" };

	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x100000007ULL, 0), EXDEV);
	CHECK_INT(lseek_errno(&arg, 1, 9999, 7, 0), EBADF);
	arg.op = "SCMP_CMP_GT";
	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x200000000ULL, 0), EXDEV);
	CHECK_INT(lseek_errno(&arg, 1, 9999, 0xffffffffULL, 0), EBADF);
}

TEST(masked_eq)
{
	/* value is the mask, valueTwo what must remain: Docker's rule for clone has the same form. */
	struct seccomp_arg arg = { .index = 1, .value = 0xf0, .value_two = 0x30, .op = "SCMP_CMP_MASKED_EQ" };

	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x3a, 0), EXDEV);
	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x1230, 0), EXDEV);
	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x70, 0), EBADF);
	CHECK_INT(lseek_errno(&arg, 1, 9999, 0x0a, 0), EBADF);
}

TEST(several_arguments)
{
	struct seccomp_arg args[] = {
		{ .index = 1, .value = 7, .op = "SCMP_CMP_EQ" },
		{ .index = 2, .value = 1, .op = "SCMP_CMP_EQ" },
	};

	/* Different arguments: and. */
	CHECK_INT(lseek_errno(args, 2, 9999, 7, 1), EXDEV);
	CHECK_INT(lseek_errno(args, 2, 9999, 7, 2), EBADF);
	CHECK_INT(lseek_errno(args, 2, 9999, 8, 1), EBADF);
	/* One argument twice: or. */
	args[1].index = 1;
	args[1].value = 8;
	CHECK_INT(lseek_errno(args, 2, 9999, 7, 0), EXDEV);
	CHECK_INT(lseek_errno(args, 2, 9999, 8, 0), EXDEV);
	CHECK_INT(lseek_errno(args, 2, 9999, 9, 0), EBADF);
}

TEST(unknown_names_are_counted)
{
	static const char *const names[] = { "getppid", "no_such_call", "another_one", "s390_pci_mmio_read" };
	struct seccomp_rule rule, twice[2];
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");
	struct seccomp_program p;
	size_t unknown = 77;

	rule.names = names;
	rule.n_names = ARRAY_SIZE(names);
	/* The last one exists, elsewhere: known to the library, nothing to do here. */
	if (!CHECK_INT(seccomp_compile(&req, &p, &unknown), 0))
		return;
	CHECK_INT(unknown, 2);
	CHECK_INT(try_call(&p, SYS_getppid, NULL), EPERM << 8);
	seccomp_program_deinit(&p);
	seccomp_program_deinit(&p); /* twice is fine */
	CHECK(p.filter == NULL && p.len == 0);
	/* The same rule twice is no error either. */
	twice[0] = twice[1] = rule;
	req.rules = twice;
	req.n_rules = 2;
	CHECK_INT(compile_and_call(&req, SYS_getppid, NULL), EPERM << 8);
}

TEST(architectures)
{
	static const char *const docker[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86" };
	static const char *const bad[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_Z80" };
	struct seccomp_names known = seccomp_known_archs();
	struct seccomp_program one, three;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");

	CHECK(str_in("SCMP_ARCH_X86_64", known.v, known.n) && str_in("SCMP_ARCH_AARCH64", known.v, known.n));
	CHECK_INT(seccomp_compile(&req, &one, NULL), 0);
	req.architectures = docker;
	req.n_architectures = ARRAY_SIZE(docker);
	if (CHECK_INT(seccomp_compile(&req, &three, NULL), 0)) {
		CHECK(three.len > one.len);
		CHECK_INT(try_call(&three, SYS_getppid, NULL), EPERM << 8);
		seccomp_program_deinit(&three);
	}
	seccomp_program_deinit(&one);
	req.architectures = bad;
	req.n_architectures = ARRAY_SIZE(bad);
	CHECK_INT(seccomp_compile(&req, &one, NULL), -EINVAL);
	CHECK_STR(err_text(), "seccomp: unknown architecture \"SCMP_ARCH_Z80\"");
	/* Each one that is called known can be compiled, alone; of the other byte order it adds nothing. */
	for (size_t i = 0; i < known.n; i++) {
		int r;

		req.architectures = &known.v[i];
		req.n_architectures = 1;
		r = seccomp_compile(&req, &one, NULL);
		if (r == 0)
			seccomp_program_deinit(&one);
		if (!CHECK_INT(r, 0))
			printf("#   %s: %s\n", known.v[i], err_text());
	}
}

#ifdef __x86_64__
/* A call by int $0x80, the 32-bit way. Clobbers are its kernel ABI's. */
static long call_i386(long nr)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr) : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int try_i386_getppid(const struct seccomp_program *p)
{
	enum { I386_GETPPID = 64 };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		long r;

		load_or_exit(p);
		r = call_i386(I386_GETPPID);
		_exit(r < 0 ? (int)-r : 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

TEST(other_architecture_calls)
{
	static const char *const x86[] = { "SCMP_ARCH_X86" };
	struct seccomp_program p;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");

	/* Listed: the rule holds there with the number it has there. */
	req.architectures = x86;
	req.n_architectures = 1;
	if (!CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
		return;
	if (try_i386_getppid(&(struct seccomp_program){ p.filter, p.len, p.flags, false }) == SIGSEGV) {
		test_skip("this kernel has no 32-bit calls");
		seccomp_program_deinit(&p);
		return;
	}
	CHECK_INT(try_i386_getppid(&p), EPERM << 8);
	seccomp_program_deinit(&p);
	/* Not listed: killed, whatever the default is. */
	req.n_architectures = 0;
	CHECK_INT(seccomp_compile(&req, &p, NULL), 0);
	CHECK_INT(try_i386_getppid(&p) & ~WCOREFLAG, SIGSYS);
	seccomp_program_deinit(&p);
	/* The x32 numbers are another architecture too. */
	req = one_rule(&rule, "SCMP_ACT_ERRNO");
	CHECK_INT(compile_and_call(&req, 0x40000000 + SYS_getppid, NULL) & ~WCOREFLAG, SIGSYS);
}
#endif

TEST(bad_requests)
{
	static const char *const no_name[] = { "" };
	static const char *const bad_flag[] = { "SECCOMP_FILTER_FLAG_NEW_LISTENER" };
	static const struct seccomp_arg bad_index = { .index = 6, .op = "SCMP_CMP_EQ" };
	static const struct seccomp_arg bad_op = { .index = 1, .op = "SCMP_CMP_SO" };
	struct seccomp_program p = { NULL, 77, 0, false };
	struct seccomp_rule rule;
	struct seccomp_req req;

#define REFUSED(text) \
	do { \
		CHECK_INT(seccomp_compile(&req, &p, NULL), -EINVAL); \
		CHECK_STR(err_text(), text); \
	} while (0)

	req = one_rule(&rule, "SCMP_ACT_DANCE");
	REFUSED("seccomp syscalls[0]: unknown action \"SCMP_ACT_DANCE\"");
	req = one_rule(&rule, NULL);
	REFUSED("seccomp syscalls[0]: an action is missing");
	req = one_rule(&rule, "SCMP_ACT_ERRNO");
	req.default_action = NULL;
	REFUSED("seccomp default: an action is missing");
	req.default_action = "SCMP_ACT_ALLOW";
	req.has_default_errno_ret = true;
	REFUSED("seccomp default: action SCMP_ACT_ALLOW returns no errno, but an errnoRet is given");
	req = one_rule(&rule, "SCMP_ACT_KILL");
	rule.has_errno_ret = true;
	REFUSED("seccomp syscalls[0]: action SCMP_ACT_KILL returns no errno, but an errnoRet is given");
	rule.action = "SCMP_ACT_ERRNO";
	rule.errno_ret = 4096;
	REFUSED("seccomp syscalls[0]: errnoRet 4096 is above 4095");
	req = one_rule(&rule, "SCMP_ACT_ERRNO");
	rule.n_names = 0;
	REFUSED("seccomp syscalls[0]: names no system call");
	rule.names = no_name;
	rule.n_names = 1;
	REFUSED("seccomp syscalls[0]: names[0] is empty");
	req = one_lseek_rule(&rule, &bad_index, 1);
	REFUSED("seccomp syscalls[0]: args[0]: index 6, a system call has 6 arguments");
	req = one_lseek_rule(&rule, &bad_op, 1);
	REFUSED("seccomp syscalls[0]: args[0]: unknown operator \"SCMP_CMP_SO\"");
	req = one_rule(&rule, "SCMP_ACT_ERRNO");
	req.flags = bad_flag;
	req.n_flags = 1;
	REFUSED("seccomp: unknown flag \"SECCOMP_FILTER_FLAG_NEW_LISTENER\"");
#undef REFUSED
	CHECK_INT(p.len, 77); /* results are written on success only */
}

TEST(flags)
{
	static const char *const all[] = { "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
					   "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" };
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");

	CHECK_INT(seccomp_policy_flags(&req), SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	req.flags = flags_none;
	CHECK_INT(seccomp_policy_flags(&req), 0);
	req.flags = all;
	req.n_flags = ARRAY_SIZE(all);
	CHECK_INT(seccomp_policy_flags(&req), SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
						      SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	CHECK_INT(compile_and_call(&req, SYS_getppid, NULL), EPERM << 8);
	rule.action = "SCMP_ACT_NOTIFY";
	CHECK_INT(seccomp_policy_flags(&req),
		  SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |
			  SECCOMP_FILTER_FLAG_NEW_LISTENER);
	CHECK(seccomp_flag_supported("SECCOMP_FILTER_FLAG_LOG"));
	CHECK(seccomp_flag_supported("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
	CHECK(!seccomp_flag_supported("SECCOMP_FILTER_FLAG_DANCE"));
}

/* What p says to a call. */
static uint32_t ask(const struct seccomp_program *p, uint32_t arch, uint32_t nr)
{
	const struct seccomp_data d = { .arch = arch, .nr = (int)nr };

	return bpf_eval(p, &d);
}

#define X32(nr) (0x40000000U + (nr))

TEST(newer_than_the_profile)
{
	static const char *const archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM" };
	/* 436 everywhere; 79 on x86-64; set_tls is arm's, 0x0f0005. */
	static const char *const names[] = { "close_range", "getcwd", "set_tls", "nt_no_such_call" };
	static const char *const defaults[] = { "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP" };
	static const char *const open_defaults[] = { "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY" };
	const struct seccomp_rule rule = { .names = names, .n_names = 4, .action = "SCMP_ACT_ALLOW" };
	struct seccomp_req req = { .architectures = archs, .n_architectures = 4, .rules = &rule, .n_rules = 1, .newer_enosys = true };
	const uint32_t enosys = SECCOMP_RET_ERRNO | ENOSYS, audit[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_ARM };
	struct seccomp_program p;

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		const uint32_t other = seccomp_policy_action(defaults[i], false, 0);

		req.default_action = defaults[i];
		if (!CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
			return;
		for (size_t k = 0; k < ARRAY_SIZE(audit); k++) {
			CHECK_INT(ask(&p, audit[k], 436), SECCOMP_RET_ALLOW);
			CHECK_INT(ask(&p, audit[k], 435), other);
			CHECK_INT(ask(&p, audit[k], 437), enosys);
		}
		CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, 79), SECCOMP_RET_ALLOW);
		CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, X32(79)), SECCOMP_RET_ALLOW);
		CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, X32(435)), other);
		CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, X32(437)), enosys);
		CHECK_INT(ask(&p, AUDIT_ARCH_ARM, 0x0f0005), SECCOMP_RET_ALLOW);
		CHECK_INT(ask(&p, AUDIT_ARCH_ARM, 0x0f0006), other);
		CHECK_INT(ask(&p, AUDIT_ARCH_AARCH64, 1000), SECCOMP_RET_KILL_PROCESS);
		seccomp_program_deinit(&p);
	}
	/* x32 that is not listed is an attempt to pass by, of whatever number. */
	req.n_architectures = 2;
	CHECK_INT(seccomp_compile(&req, &p, NULL), 0);
	CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, X32(1000)), SECCOMP_RET_KILL_PROCESS);
	CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, 1000), enosys);
	seccomp_program_deinit(&p);
	for (size_t i = 0; i < ARRAY_SIZE(open_defaults); i++) {
		req.default_action = open_defaults[i];
		CHECK_INT(seccomp_compile(&req, &p, NULL), 0);
		CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, 1000), seccomp_policy_action(open_defaults[i], false, 0));
		seccomp_program_deinit(&p);
	}
	/* Only who asks for it: a jail's filter kills. */
	req.default_action = "SCMP_ACT_KILL_PROCESS";
	req.newer_enosys = false;
	CHECK_INT(seccomp_compile(&req, &p, NULL), 0);
	CHECK_INT(ask(&p, AUDIT_ARCH_X86_64, 1000), SECCOMP_RET_KILL_PROCESS);
	seccomp_program_deinit(&p);
}

/* Architectures that libseccomp does not mix with this one, and programs without room. */
TEST(newer_prepended)
{
	const struct newest_call v[] = { { AUDIT_ARCH_S390X, 436, UINT32_MAX }, { AUDIT_ARCH_PPC, 9, UINT32_MAX } };
	const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const uint32_t enosys = SECCOMP_RET_ERRNO | ENOSYS;
	struct seccomp_program p = { malloc(SECCOMP_PROGRAM_MAX), sizeof(allow), 0, false };

	memcpy(p.filter, &allow, sizeof(allow));
	CHECK_INT(newer_prepend(&p, v, 2), 0);
	CHECK_INT(ask(&p, AUDIT_ARCH_S390X, 0), enosys);
	CHECK_INT(ask(&p, AUDIT_ARCH_S390X, 436), SECCOMP_RET_ALLOW);
	CHECK_INT(ask(&p, AUDIT_ARCH_S390X, 437), enosys);
	CHECK_INT(ask(&p, AUDIT_ARCH_PPC, 0), SECCOMP_RET_ALLOW);
	CHECK_INT(ask(&p, AUDIT_ARCH_PPC, 9), SECCOMP_RET_ALLOW);
	CHECK_INT(ask(&p, AUDIT_ARCH_PPC, 10), enosys);
	CHECK_INT(ask(&p, AUDIT_ARCH_I386, 1000), SECCOMP_RET_ALLOW);
	seccomp_program_deinit(&p);

	p = (struct seccomp_program){ malloc(SECCOMP_PROGRAM_MAX), SECCOMP_PROGRAM_MAX, 0, false };
	CHECK_INT(newer_prepend(&p, v, 2), 1);
	CHECK_INT(p.len, SECCOMP_PROGRAM_MAX);
	seccomp_program_deinit(&p);
}

TEST(notify_gives_a_listener)
{
	static const char *const tsync[] = { "SECCOMP_FILTER_FLAG_TSYNC" };
	struct seccomp_program p;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_NOTIFY");
	int status = -1;
	pid_t pid;

	req.flags = tsync;
	req.n_flags = 1;
	if (!CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
		return;
	CHECK(p.uses_notify);
	pid = fork();
	if (pid == 0) {
		int listener = FD_NONE;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_program_load(&p, &listener) < 0)
			_exit(CHILD_CANNOT_LOAD);
		_exit(listener >= 0 && fcntl(listener, F_GETFD) >= 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
	seccomp_program_deinit(&p);
}

struct other_thread {
	const struct seccomp_program *program;
	int ready[2];	/* a pipe */
};

static void *load_alone_and_wait(void *arg)
{
	struct other_thread *other = arg;
	int listener;

	seccomp_program_load(other->program, &listener);
	if (write(other->ready[1], "x", 1) == 1)
		pause();
	return NULL;
}

/* Loads p while a second thread has a filter of its own. The wait status: -(what the load gave). */
static int load_beside_other_thread(const struct seccomp_program *own, const struct seccomp_program *p)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct other_thread other = { .program = own };
		pthread_t thread;
		int listener;
		char c;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || pipe2(other.ready, O_CLOEXEC) < 0 ||
		    pthread_create(&thread, NULL, load_alone_and_wait, &other) != 0 ||
		    read(other.ready[0], &c, 1) != 1)
			_exit(CHILD_CANNOT_LOAD);
		_exit(-seccomp_program_load(p, &listener));
	}
	waitpid(pid, &status, 0);
	return status;
}

TEST(tsync_failure_is_an_error)
{
	static const char *const tsync[] = { "SECCOMP_FILTER_FLAG_TSYNC" };
	struct seccomp_program own, p;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");

	CHECK_INT(seccomp_compile(&req, &own, NULL), 0);
	req.flags = tsync;
	req.n_flags = 1;
	for (int notify = 0; notify <= 1; notify++) {
		rule.action = notify ? "SCMP_ACT_NOTIFY" : "SCMP_ACT_ERRNO";
		CHECK_INT(seccomp_compile(&req, &p, NULL), 0);
		/* With a listener there is no TSYNC: the thread beside it is the one that hands it over. */
		CHECK_INT(load_beside_other_thread(&own, &p), notify ? 0 : ESRCH << 8);
		seccomp_program_deinit(&p);
	}
	seccomp_program_deinit(&own);
}

TEST(load_refuses_nonsense)
{
	struct sock_filter insn = { 0 };
	struct seccomp_program p = { &insn, 0, 0, false };
	int listener = 77;

	CHECK_INT(seccomp_program_load(&p, &listener), -EINVAL);
	p.len = sizeof(insn) - 1;
	CHECK_INT(seccomp_program_load(&p, &listener), -EINVAL);
	p.len = sizeof(insn) * (BPF_MAXINSNS + 1);
	CHECK_INT(seccomp_program_load(&p, &listener), -EINVAL);
	CHECK_INT(listener, 77);
}

TEST(vocabulary_is_accepted)
{
	struct seccomp_names actions = seccomp_known_actions(), ops = seccomp_known_operators();
	struct seccomp_names known_flags = seccomp_known_flags();

	CHECK_INT(actions.n, 9);
	CHECK_INT(ops.n, 7);
	CHECK_INT(known_flags.n, 4);
	for (size_t i = 0; i < actions.n; i++) {
		struct seccomp_rule rule;
		struct seccomp_program p;
		struct seccomp_req req = one_rule(&rule, actions.v[i]);

		if (CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
			seccomp_program_deinit(&p);
		/* As the default, too; the rule must not be what equals it. */
		req.default_action = actions.v[i];
		rule.action = str_eq(actions.v[i], "SCMP_ACT_TRAP") ? "SCMP_ACT_ALLOW" : "SCMP_ACT_TRAP";
		if (CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
			seccomp_program_deinit(&p);
	}
}

/* The file form ---------------------------------------------------------- */

static int open_test_dir(char *dir)
{
	return mkdtemp(dir) != NULL ? open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC) : -1;
}

TEST(file_round_trip)
{
	char dir[] = "/tmp/nacre-seccomp.XXXXXX";
	_cleanup_close_ int dirfd = open_test_dir(dir);
	struct seccomp_program p, back;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_NOTIFY");
	struct stat st;

	if (!CHECK(dirfd >= 0) || !CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
		return;
	CHECK_INT(seccomp_program_read(dirfd, "f", &back), -ENOENT);
	CHECK_INT(seccomp_program_save(dirfd, "f", &p), 0);
	CHECK(fstatat(dirfd, "f", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	if (CHECK_INT(seccomp_program_read(dirfd, "f", &back), 0)) {
		CHECK_INT(back.len, p.len);
		CHECK(memcmp(back.filter, p.filter, p.len) == 0);
		CHECK_INT(back.flags, p.flags);
		CHECK(back.uses_notify);
		seccomp_program_deinit(&back);
	}
	CHECK_INT(seccomp_program_save(dirfd, "f", &(struct seccomp_program){ p.filter, 7, 0, false }), -EINVAL);
	CHECK_INT(seccomp_program_save(dirfd, "no/such/place", &p), -ENOENT);
	seccomp_program_deinit(&p);
	unlinkat(dirfd, "f", 0);
	CHECK_INT(rmdir(dir), 0);
}

/* Writes what save() would, with the byte at offset replaced or the length cut, and reads it. */
static int read_damaged(int dirfd, const char *data, size_t len, size_t offset, char byte)
{
	struct seccomp_program p;
	char *copy = malloc(len + 1);
	int r;

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, data, len);
	if (offset < len)
		copy[offset] = byte;
	file_replace(dirfd, "bad", copy, len, 0600);
	free(copy);
	r = seccomp_program_read(dirfd, "bad", &p);
	if (r == 0)
		seccomp_program_deinit(&p);
	return r;
}

TEST(file_damage_is_noticed)
{
	char dir[] = "/tmp/nacre-seccomp.XXXXXX";
	_cleanup_close_ int dirfd = open_test_dir(dir);
	_cleanup_free_ char *data = NULL;
	char *big;
	struct seccomp_program p;
	struct seccomp_rule rule;
	struct seccomp_req req = one_rule(&rule, "SCMP_ACT_ERRNO");
	enum { NONE = 1 << 20, VERSION = 8, NOTIFY = 16, LENGTH = 20, BIG = 1 << 20 };
	size_t len;

	if (!CHECK(dirfd >= 0) || !CHECK_INT(seccomp_compile(&req, &p, NULL), 0))
		return;
	CHECK_INT(seccomp_program_save(dirfd, "f", &p), 0);
	seccomp_program_deinit(&p);
	if (!CHECK_INT(file_read(dirfd, "f", 1 << 20, &data, &len), 0))
		return;
	CHECK_INT(read_damaged(dirfd, data, len, NONE, 0), 0);
	for (size_t cut = 0; cut < len; cut++)
		CHECK_INT(read_damaged(dirfd, data, cut, NONE, 0), -EBADMSG);
	CHECK_INT(read_damaged(dirfd, data, len, 0, 'N'), -EBADMSG);
	CHECK_INT(read_damaged(dirfd, data, len, VERSION, 2), -EBADMSG);
	CHECK_INT(read_damaged(dirfd, data, len, NOTIFY, 2), -EBADMSG);
	CHECK_INT(read_damaged(dirfd, data, len, LENGTH, 1), -EBADMSG);
	CHECK_INT(read_damaged(dirfd, data, len, LENGTH + 3, 0x7f), -EBADMSG);
	big = calloc(1, BIG);
	if (CHECK(big != NULL)) {
		memcpy(big, data, len);
		CHECK_INT(read_damaged(dirfd, big, BIG, NONE, 0), -EBADMSG);
		CHECK(strstr(err_text(), "too long") != NULL);
		free(big);
	}
	unlinkat(dirfd, "f", 0);
	unlinkat(dirfd, "bad", 0);
	CHECK_INT(rmdir(dir), 0);
}

/* n rules that refuse lseek with the second argument 1000, 1001, … */
static int compile_many(size_t n, struct seccomp_program *ret_prog)
{
	static const char *const archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32" };
	struct seccomp_rule *rules = calloc(n, sizeof(*rules));
	struct seccomp_arg *args = calloc(n, sizeof(*args));
	struct seccomp_req req = { .default_action = "SCMP_ACT_ALLOW", .rules = rules, .n_rules = n };
	int r = -ENOMEM;

	req.architectures = archs;
	req.n_architectures = ARRAY_SIZE(archs);
	for (size_t i = 0; rules != NULL && args != NULL && i < n; i++) {
		args[i] = (struct seccomp_arg){ .index = 1, .value = 1000 + i, .op = "SCMP_CMP_EQ" };
		rules[i] = (struct seccomp_rule){ .names = name_lseek, .n_names = 1, .action = "SCMP_ACT_ERRNO" };
		rules[i].args = &args[i];
		rules[i].n_args = 1;
	}
	if (rules != NULL && args != NULL)
		r = seccomp_compile(&req, ret_prog, NULL);
	free(rules);
	free(args);
	return r;
}

TEST(large_profile)
{
	struct seccomp_program p;

	if (!CHECK_INT(compile_many(300, &p), 0))
		return;
	CHECK_INT(try_call(&p, SYS_lseek, (const uint64_t[3]){ 9999, 1299, 0 }), EPERM << 8);
	CHECK_INT(try_call(&p, SYS_lseek, (const uint64_t[3]){ 9999, 1300, 0 }), EBADF << 8);
	seccomp_program_deinit(&p);
}

TEST(too_large_profile)
{
	struct seccomp_program p = { NULL, 77, 0, false };

	CHECK_INT(compile_many(5000, &p), -E2BIG);
	CHECK_STR(err_text(), "seccomp: the filter is longer than the 4096 instructions the kernel takes");
	CHECK_INT(p.len, 77);
}

#ifdef __x86_64__
#define X86_64_CASES CASE(other_architecture_calls),
#else
#define X86_64_CASES
#endif

TEST_MAIN(CASE(every_action_compiles_and_acts), CASE(action_words), CASE(default_action_and_errno),
	  CASE(rule_like_the_default_is_skipped), CASE(argument_operators), CASE(arguments_are_64_bits), CASE(masked_eq),
	  CASE(several_arguments), CASE(unknown_names_are_counted), CASE(architectures),
	  X86_64_CASES
	  CASE(bad_requests), CASE(flags), CASE(newer_than_the_profile), CASE(newer_prepended), CASE(notify_gives_a_listener), CASE(tsync_failure_is_an_error),
	  CASE(load_refuses_nonsense), CASE(vocabulary_is_accepted), CASE(file_round_trip), CASE(file_damage_is_noticed),
	  CASE(large_profile), CASE(too_large_profile))
