/* SPDX-License-Identifier: Apache-2.0 */
/* The two forms of a filter, chain and binary tree, say the same to every call. */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "seccomp/compile.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"

#define NAMES_MAX 600
#define NUMBERS 601	/* 0 to 600 */
#define X32_BIT 0x40000000U

/* Of the native architecture: all names that there are, in no order of numbers. */
struct names {
	char *v[NAMES_MAX];
	size_t n;
};

static void names_fill(struct names *names)
{
	names->n = 0;
	/* 7 and 600 have no common divisor: each number once. */
	for (int i = 0; i < NAMES_MAX; i++) {
		char *name = seccomp_syscall_name(i * 7 % NAMES_MAX);

		if (name != NULL)
			names->v[names->n++] = name;
	}
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	names->n = 0;
}

/* Calls that differ: in their arguments those that the rules below look at, and their neighbours. */
static const uint64_t arguments[][6] = {
	{ 0 },
	{ 7, 0x100000007, 0x30 },
	{ 8, 0x100000006, 0x3f },
	{ 0x700000000, 7, 0x70 },
	{ UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
};

static bool same_answer(const struct seccomp_program *chain, const struct seccomp_program *tree, uint32_t arch, uint32_t nr)
{
	struct seccomp_data d = { .arch = arch, .nr = (int)nr };

	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
		uint32_t one, other;

		memcpy(d.args, arguments[i], sizeof(d.args));
		one = bpf_eval(chain, &d);
		other = bpf_eval(tree, &d);
		if (one != other || one == UINT32_MAX) {
			printf("#   arch 0x%x, call 0x%x, arguments %zu: 0x%x, as a tree 0x%x\n", arch, nr, i, one, other);
			return false;
		}
	}
	return true;
}

static bool same_answers(const struct seccomp_program *chain, const struct seccomp_program *tree)
{
	static const uint32_t archs[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_AARCH64,
					  AUDIT_ARCH_RISCV64, 0 };
	static const uint32_t ends[] = { 1000, 0x0f0001, 0x0f0005, 0x0f0006, X32_BIT - 1, INT32_MAX, 0x80000000U, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		for (uint32_t nr = 0; nr < NUMBERS; nr++)
			if (!same_answer(chain, tree, archs[i], nr) || !same_answer(chain, tree, archs[i], X32_BIT | nr))
				return false;
		for (size_t k = 0; k < ARRAY_SIZE(ends); k++)
			if (!same_answer(chain, tree, archs[i], ends[k]))
				return false;
	}
	return true;
}

/* Compiles both; *ret_same: whether they are the same bytes. */
static bool compare(struct test *t, const struct seccomp_req *req, bool *ret_same)
{
	struct seccomp_program chain, tree;
	bool ok;

	*ret_same = true;
	if (!CHECK_INT(seccomp_compile_as(req, false, &chain, NULL), 0))
		return false;
	if (!CHECK_INT(seccomp_compile_as(req, true, &tree, NULL), 0)) {
		seccomp_program_deinit(&chain);
		return false;
	}
	*ret_same = chain.len == tree.len && memcmp(chain.filter, tree.filter, chain.len) == 0;
	ok = CHECK(same_answers(&chain, &tree)) && CHECK(chain.flags == tree.flags && chain.uses_notify == tree.uses_notify);
	seccomp_program_deinit(&chain);
	seccomp_program_deinit(&tree);
	return ok;
}

static const char *const all_archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64" };

TEST(any_number_of_names)
{
	/* Around the sizes where a tree gets one more level (four calls a leaf). */
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257 };
	struct names names;
	struct seccomp_rule rule = { .names = (const char *const *)names.v, .action = "SCMP_ACT_ALLOW" };
	struct seccomp_req req = { .default_action = "SCMP_ACT_ERRNO", .architectures = all_archs, .rules = &rule, .n_rules = 1,
				   .newer_enosys = true };
	bool same;

	names_fill(&names);
	CHECK(names.n > 300);
	for (size_t i = 0; i <= ARRAY_SIZE(sizes); i++) {
		rule.n_names = i < ARRAY_SIZE(sizes) ? sizes[i] : names.n;
		req.n_architectures = 1;
		if (!compare(t, &req, &same))
			printf("#   %zu names, one architecture\n", rule.n_names);
		/* Or this test compares nothing. */
		CHECK(!same);
		req.n_architectures = 3;
		if (!compare(t, &req, &same))
			printf("#   %zu names, three architectures\n", rule.n_names);
		CHECK(!same);
	}
	names_free(&names);
}

/* In turn: without conditions, with one, two of which either holds, two that both have to, and several rules of one call. */
static size_t mixed_rules(const struct names *names, struct seccomp_rule *rules)
{
	static const char *const actions[] = { "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS",
					       "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", "SCMP_ACT_NOTIFY" };
	static const struct seccomp_arg eq = { 0, 7, 0, "SCMP_CMP_EQ" };
	static const struct seccomp_arg ne = { 1, 0x100000007, 0, "SCMP_CMP_NE" };
	static const struct seccomp_arg either[] = { { 0, 7, 0, "SCMP_CMP_EQ" }, { 0, 8, 0, "SCMP_CMP_EQ" } };
	static const struct seccomp_arg both[] = { { 0, 7, 0, "SCMP_CMP_GE" }, { 2, 0xf0, 0x30, "SCMP_CMP_MASKED_EQ" } };
	static const struct {
		const struct seccomp_arg *args;
		size_t n;
	} conditions[] = { { NULL, 0 }, { &eq, 1 }, { &ne, 1 }, { either, 2 }, { both, 2 } };
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++) {
		const char *action = actions[i % ARRAY_SIZE(actions)];
		bool with_errno = str_eq(action, "SCMP_ACT_ERRNO");

		rules[n++] = (struct seccomp_rule){
			.names = (const char *const *)&names->v[i], .n_names = 1, .action = action,
			.has_errno_ret = with_errno, .errno_ret = with_errno ? (uint32_t)i + 1 : 0,
			.args = conditions[i % ARRAY_SIZE(conditions)].args, .n_args = conditions[i % ARRAY_SIZE(conditions)].n,
		};
		if (i % ARRAY_SIZE(conditions) == 1)
			rules[n++] = (struct seccomp_rule){
				.names = (const char *const *)&names->v[i], .n_names = 1, .action = "SCMP_ACT_KILL", .args = &ne, .n_args = 1,
			};
	}
	return n;
}

TEST(all_actions_and_conditions)
{
	static const char *const defaults[] = { "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY" };
	struct seccomp_rule *rules = calloc((size_t)2 * NAMES_MAX, sizeof(*rules));
	struct seccomp_req req = { .architectures = all_archs, .rules = rules, .newer_enosys = true };
	struct names names;
	bool same;

	if (!CHECK(rules != NULL))
		return;
	names_fill(&names);
	req.n_rules = mixed_rules(&names, rules);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		req.default_action = defaults[i];
		/* All five would be more than the kernel takes. */
		for (req.n_architectures = 1; req.n_architectures <= 3; req.n_architectures++)
			if (!compare(t, &req, &same))
				printf("#   default %s, %zu architectures: %s\n", defaults[i], req.n_architectures, err_text());
		req.n_rules = 60;
		req.n_architectures = ARRAY_SIZE(all_archs);
		if (!compare(t, &req, &same))
			printf("#   default %s, all architectures: %s\n", defaults[i], err_text());
		req.n_rules = mixed_rules(&names, rules);
	}
	names_free(&names);
	free(rules);
}

/* libseccomp before 2.5.4 made a tree of nothing that forgot the default action. */
TEST(no_rules_for_an_architecture)
{
	static const char *const i386_only[] = { "waitpid", "_llseek" };
	struct seccomp_rule rule = { .names = i386_only, .n_names = 2, .action = "SCMP_ACT_ERRNO" };
	struct seccomp_req req = { .default_action = "SCMP_ACT_ALLOW", .architectures = all_archs, .rules = &rule };
	bool same;

	for (req.n_rules = 0; req.n_rules <= 1; req.n_rules++)
		for (req.n_architectures = 0; req.n_architectures <= ARRAY_SIZE(all_archs); req.n_architectures++)
			compare(t, &req, &same);
}

TEST_MAIN(CASE(no_rules_for_an_architecture), CASE(any_number_of_names), CASE(all_actions_and_conditions))
