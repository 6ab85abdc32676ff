/* SPDX-License-Identifier: Apache-2.0 */
/* runtime-spec "linux.seccomp": its vocabularies and rules. What the kernel can do is not asked here. */
#include "oci/spec_parse.h"

#include "oci/json.h"
#include "runtime/base/str.h"

static const char *const action_names[] = {
	"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
	"SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
};

/* The actions that carry a number back to the caller or the tracer. */
static const char *const errno_actions[] = { "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE" };

static const char *const operator_names[] = {
	"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
	"SCMP_CMP_MASKED_EQ",
};

static const char *const arch_names[] = {
	"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64",
	"SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390",
	"SCMP_ARCH_S390X", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
	"SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
};

static const char *const flag_names[] = {
	"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
};

static const struct words actions = WORDS("seccomp action", action_names);
static const struct words operators = WORDS("seccomp operator", operator_names);
static const struct words archs = WORDS("seccomp architecture", arch_names);
static const struct words flags = WORDS("seccomp flag", flag_names);

/* A filter's return value has 16 bits for it (SECCOMP_RET_DATA); more would be cut silently. */
#define ERRNO_RET_MAX UINT16_MAX

static const struct field arg_fields[] = {
	{ F_U32(struct spec_seccomp_arg, "index", index, 0, 5), F_REQUIRED },
	{ F_U64(struct spec_seccomp_arg, "value", value), F_REQUIRED },
	{ F_U64(struct spec_seccomp_arg, "valueTwo", value_two) },
	{ F_WORD(struct spec_seccomp_arg, "op", op, &operators), F_REQUIRED },
};

static const struct shape arg = SHAPE(struct spec_seccomp_arg, arg_fields, NULL);

static const struct field rule_fields[] = {
	{ F_STRV(struct spec_seccomp_rule, "names", names, read_strings), F_REQUIRED },
	{ F_WORD(struct spec_seccomp_rule, "action", action, &actions), F_REQUIRED },
	{ F_U32(struct spec_seccomp_rule, "errnoRet", errno_ret, 0, ERRNO_RET_MAX),
	  F_HAS(struct spec_seccomp_rule, has_errno_ret) },
	{ F_LIST(struct spec_seccomp_rule, "args", struct spec_seccomp_arg, args, n_args, &arg) },
};

static bool takes_errno(const char *action)
{
	return str_in(action, errno_actions, ARRAY_SIZE(errno_actions));
}

static int finish_rule(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_seccomp_rule *rule = object;

	if (rule->names.n == 0)
		return spec_bad(r, json_member(j, "names"), "must name at least one system call");
	for (size_t i = 0; i < rule->names.n; i++)
		if (rule->names.v[i][0] == '\0')
			return spec_bad(r, json_member(j, "names"), "must not hold an empty name");
	if (rule->has_errno_ret && !takes_errno(rule->action))
		return spec_bad(r, json_member(j, "errnoRet"), "%s has no errno", rule->action);
	return 0;
}

static const struct shape rule_shape = SHAPE(struct spec_seccomp_rule, rule_fields, finish_rule);

static const struct field seccomp_fields[] = {
	{ F_WORD(struct spec_seccomp, "defaultAction", default_action, &actions), F_REQUIRED },
	{ F_U32(struct spec_seccomp, "defaultErrnoRet", default_errno_ret, 0, ERRNO_RET_MAX),
	  F_HAS(struct spec_seccomp, has_default_errno_ret) },
	{ F_WORDS(struct spec_seccomp, "architectures", architectures, &archs) },
	{ F_WORDS(struct spec_seccomp, "flags", flags, &flags), F_HAS(struct spec_seccomp, has_flags) },
	{ F_PATH(struct spec_seccomp, "listenerPath", listener_path) },
	{ F_STRING(struct spec_seccomp, "listenerMetadata", listener_metadata) },
	{ F_LIST(struct spec_seccomp, "syscalls", struct spec_seccomp_rule, rules, n_rules, &rule_shape) },
};

static int finish_seccomp(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_seccomp *s = object;

	if (s->has_default_errno_ret && !takes_errno(s->default_action))
		return spec_bad(r, json_member(j, "defaultErrnoRet"), "%s has no errno", s->default_action);
	if (s->listener_metadata != NULL && s->listener_path == NULL)
		return spec_bad(r, json_member(j, "listenerMetadata"), "needs linux.seccomp.listenerPath");
	return 0;
}

const struct shape spec_shape_seccomp = SHAPE(struct spec_seccomp, seccomp_fields, finish_seccomp);
