/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libseccomp door: a request -> BPF bytes. The only file that includes
 * <seccomp.h>; it never loads a filter (load.c does, in the child).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "seccomp/compile.h"
#include "seccomp/newer.h"
#include "seccomp/policy.h"
#include "seccomp/seccomp.h"

#define PROGRAM_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

#define API_LEVEL 6

static const enum scmp_compare op_values[SECCOMP_OP_COUNT] = {
	[SECCOMP_OP_EQ] = SCMP_CMP_EQ,
	[SECCOMP_OP_GE] = SCMP_CMP_GE,
	[SECCOMP_OP_GT] = SCMP_CMP_GT,
	[SECCOMP_OP_LE] = SCMP_CMP_LE,
	[SECCOMP_OP_LT] = SCMP_CMP_LT,
	[SECCOMP_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
	[SECCOMP_OP_NE] = SCMP_CMP_NE,
};

/* Those of the specification that the library nacre is built with knows (2.6 brought the last four). */
static const char *const arch_names[] = {
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_ARM",
	"SCMP_ARCH_MIPS",
	"SCMP_ARCH_MIPS64",
	"SCMP_ARCH_MIPS64N32",
	"SCMP_ARCH_MIPSEL",
	"SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PARISC",
	"SCMP_ARCH_PARISC64",
	"SCMP_ARCH_PPC",
	"SCMP_ARCH_PPC64",
	"SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_RISCV64",
	"SCMP_ARCH_S390",
	"SCMP_ARCH_S390X",
	"SCMP_ARCH_X32",
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X86_64",
#ifdef SCMP_ARCH_LOONGARCH64
	"SCMP_ARCH_LOONGARCH64",
#endif
#ifdef SCMP_ARCH_M68K
	"SCMP_ARCH_M68K",
#endif
#ifdef SCMP_ARCH_SH
	"SCMP_ARCH_SH",
#endif
#ifdef SCMP_ARCH_SHEB
	"SCMP_ARCH_SHEB",
#endif
};

struct seccomp_names seccomp_known_archs(void)
{
	return (struct seccomp_names){ arch_names, ARRAY_SIZE(arch_names) };
}

static void ctx_releasep(scmp_filter_ctx *ctx)
{
	if (*ctx != NULL)
		seccomp_release(*ctx);
}
#define _cleanup_ctx_ __attribute__((cleanup(ctx_releasep)))

/* libseccomp's token of a name of arch_names: its own name is the same in lower case, without the prefix. */
static uint32_t arch_token(const char *name)
{
	char lower[32];
	size_t i;

	if (!str_in(name, arch_names, ARRAY_SIZE(arch_names)))
		return 0;
	name += strlen("SCMP_ARCH_");
	for (i = 0; i < sizeof(lower) - 1 && name[i] != '\0'; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	lower[i] = '\0';
	return seccomp_arch_resolve_name(lower);
}

static int add_archs(scmp_filter_ctx ctx, const struct seccomp_req *req)
{
	for (size_t i = 0; i < req->n_architectures; i++) {
		const char *name = req->architectures[i] != NULL ? req->architectures[i] : "";
		uint32_t token = arch_token(name);
		int r;

		if (token == 0)
			return ERR_PLAIN(-EINVAL, "seccomp: unknown architecture \"%s\"", name);
		r = seccomp_arch_add(ctx, token);
		/*
		 * The native one is in from the start, and a list may repeat itself. One of the other byte order (EDOM) is none that
		 * a program could call this kernel by, as most of a list that is written for many hosts; only that the library
		 * takes those with the right byte order.
		 */
		if (r < 0 && r != -EEXIST && r != -EDOM)
			return ERR(r, "linux.seccomp.architectures[%zu]: cannot add %s to the filter", i, name);
	}
	return 0;
}

static struct scmp_arg_cmp to_cmp(const struct seccomp_arg *arg)
{
	/* For MASKED_EQ, libseccomp's a is the mask and b the comparand: value and valueTwo in the same order. */
	return (struct scmp_arg_cmp){
		.arg = arg->index,
		.op = op_values[seccomp_policy_op(arg->op)],
		.datum_a = arg->value,
		.datum_b = arg->value_two,
	};
}

static bool repeats_index(const struct seccomp_rule *rule)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < rule->n_args; i++) {
		if (seen & (1U << rule->args[i].index))
			return true;
		seen |= 1U << rule->args[i].index;
	}
	return false;
}

static int add_call(scmp_filter_ctx ctx, const struct seccomp_rule *rule, uint32_t action, int nr)
{
	struct scmp_arg_cmp cmp[SECCOMP_ARGS_MAX];
	int r = 0;

	if (!repeats_index(rule)) {
		for (size_t i = 0; i < rule->n_args; i++)
			cmp[i] = to_cmp(&rule->args[i]);
		return seccomp_rule_add_array(ctx, action, nr, (unsigned int)rule->n_args, cmp);
	}
	/*
	 * libseccomp takes an argument once per rule. Conditions are joined by "and";
	 * with one argument twice, every runtime reads all of them as "or".
	 */
	for (size_t i = 0; i < rule->n_args && r == 0; i++) {
		cmp[0] = to_cmp(&rule->args[i]);
		r = seccomp_rule_add_array(ctx, action, nr, 1, cmp);
	}
	return r;
}

static int add_rule(scmp_filter_ctx ctx, const struct seccomp_rule *rule, uint32_t default_action, size_t *unknown)
{
	uint32_t action = seccomp_policy_action(rule->action, rule->has_errno_ret, rule->errno_ret);

	/* Says nothing new, and libseccomp refuses it (EACCES). */
	if (action == default_action)
		return 0;
	for (size_t i = 0; i < rule->n_names; i++) {
		int r, nr = seccomp_syscall_resolve_name(rule->names[i]);

		if (nr == __NR_SCMP_ERROR) {
			(*unknown)++;
			continue;
		}
		/* Another negative number is a call that only other architectures have: libseccomp sorts that out. */
		r = add_call(ctx, rule, action, nr);
		if (r < 0)
			return ERR(r, "seccomp: cannot add a rule for system call %s", rule->names[i]);
	}
	return 0;
}

/*
 * 2.6 can export to memory, 2.5 to a file only. Which one is used follows from the
 * library nacre is built with; nothing is looked for at run time.
 */
#if SCMP_VER_MAJOR > 2 || (SCMP_VER_MAJOR == 2 && SCMP_VER_MINOR >= 6)
static int export_program(scmp_filter_ctx ctx, void **ret_data, size_t *ret_len)
{
	/* At once into the most that a kernel takes: asking for the size first would be a second compilation. */
	size_t len = PROGRAM_MAX;
	void *data = malloc(len);
	int r;

	if (data == NULL)
		return -ENOMEM;
	r = seccomp_export_bpf_mem(ctx, data, &len);
	if (r < 0) {
		free(data);
		return r == -ERANGE ? -E2BIG : r;
	}
	*ret_data = data;
	*ret_len = len;
	return 0;
}
#else
static int export_program(scmp_filter_ctx ctx, void **ret_data, size_t *ret_len)
{
	_cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
	char *data;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = fd_read_all(fd, PROGRAM_MAX, &data, ret_len);
	if (r < 0)
		return r == -EFBIG ? -E2BIG : r;
	*ret_data = data;
	return 0;
}
#endif

static int new_filter(uint32_t default_action, bool tree, scmp_filter_ctx *ret_ctx)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = NULL;
	int r;

	/*
	 * The library probes the kernel's abilities with ten system calls before it
	 * takes LOG or NOTIFY. This level is what 2.5 calls all of them; here it only
	 * makes bytes, and seccomp(2) will say what the kernel cannot do. So nothing in
	 * a program depends on the kernel.
	 */
	r = seccomp_api_set(API_LEVEL);
	if (r < 0)
		return ERR(r, "seccomp: libseccomp does not know API level %d", API_LEVEL);
	ctx = seccomp_init(default_action);
	if (ctx == NULL)
		return ERR_PLAIN(-ENOMEM, "seccomp: libseccomp cannot make a filter");
	/*
	 * A call by way of an architecture that the list does not name is an attempt to
	 * pass the filter by, not a probe for a feature. The library would kill only
	 * the thread, which leaves the others of a process with held locks.
	 */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return ERR(r, "seccomp: cannot set the action for other architectures");
	/* 1 is the library's own default. */
	r = tree ? seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) : 0;
	if (r < 0)
		return ERR(r, "seccomp: libseccomp makes no binary tree");
	*ret_ctx = ctx;
	ctx = NULL;
	return 0;
}

/* 0: the rules name none of this architecture. */
static uint32_t newest_number(const struct seccomp_req *req, uint32_t token)
{
	uint32_t newest = 0;

	for (size_t i = 0; i < req->n_rules; i++)
		for (size_t k = 0; k < req->rules[i].n_names; k++) {
			/* Negative: unknown, or a call that this architecture has not. */
			int nr = seccomp_syscall_resolve_name_arch(token, req->rules[i].names[k]);

			if (nr > 0 && (uint32_t)nr > newest && (uint32_t)nr < newer_limit(token))
				newest = (uint32_t)nr;
		}
	return newest;
}

static bool asks_nobody(uint32_t default_action)
{
	switch (default_action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:		/* whoever emulates calls knows the new ones, or says ENOSYS */
	case SECCOMP_RET_USER_NOTIF:
		return false;
	default:
		return default_action != (SECCOMP_RET_ERRNO | ENOSYS);
	}
}

/* libseccomp's tokens are the kernel's AUDIT_ARCH_…, but for x32. */
static int add_newer(scmp_filter_ctx ctx, const struct seccomp_req *req, struct seccomp_program *prog)
{
	struct newest_call v[ARRAY_SIZE(arch_names)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(arch_names); i++) {
		uint32_t token = arch_token(arch_names[i]);

		if (token == SCMP_ARCH_X32 || seccomp_arch_exist(ctx, token) != 0)
			continue;
		v[n] = (struct newest_call){ token, newest_number(req, token), UINT32_MAX };
		if (token == SCMP_ARCH_X86_64 && seccomp_arch_exist(ctx, SCMP_ARCH_X32) == 0)
			v[n].number_x32 = newest_number(req, SCMP_ARCH_X32);
		if (v[n].number != 0)
			n++;
	}
	return newer_prepend(prog, v, n);
}

int seccomp_compile_as(const struct seccomp_req *req, bool tree, struct seccomp_program *ret_prog, size_t *ret_unknown)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = NULL;
	struct seccomp_program prog = { NULL, 0, 0, false };
	uint32_t default_action;
	size_t unknown = 0;
	int r;

	r = seccomp_policy_check(req);
	if (r < 0)
		return r;
	default_action = seccomp_policy_action(req->default_action, req->has_default_errno_ret, req->default_errno_ret);
	r = new_filter(default_action, tree, &ctx);
	if (r < 0)
		return r;
	r = add_archs(ctx, req);
	for (size_t i = 0; r == 0 && i < req->n_rules; i++)
		r = add_rule(ctx, &req->rules[i], default_action, &unknown);
	if (r < 0)
		return r;
	r = export_program(ctx, &prog.filter, &prog.len);
	if (r == 0 && req->newer_enosys && asks_nobody(default_action)) {
		r = add_newer(ctx, req, &prog);
		/* A chain has the room more easily. */
		if (r > 0)
			r = tree ? -E2BIG : 0;
		if (r < 0)
			free(prog.filter);
	}
	if (r == -E2BIG)
		return ERR_PLAIN(r, "seccomp: the filter is longer than the %d instructions the kernel takes", BPF_MAXINSNS);
	if (r < 0)
		return ERR(r, "seccomp: cannot compile the filter");
	prog.flags = seccomp_policy_flags(req);
	prog.uses_notify = seccomp_policy_notifies(req);
	*ret_prog = prog;
	if (ret_unknown != NULL)
		*ret_unknown = unknown;
	return 0;
}

int seccomp_compile(const struct seccomp_req *req, struct seccomp_program *ret_prog, size_t *ret_unknown)
{
	return seccomp_compile_as(req, false, ret_prog, ret_unknown);
}

void seccomp_program_deinit(struct seccomp_program *p)
{
	free(p->filter);
	*p = (struct seccomp_program){ NULL, 0, 0, false };
}

void seccomp_compile_identity(struct buf *b)
{
	const struct scmp_version *running = seccomp_version();
	const uint32_t v[] = { SCMP_VER_MAJOR, SCMP_VER_MINOR, SCMP_VER_MICRO, running != NULL ? running->major : 0,
			       running != NULL ? running->minor : 0, running != NULL ? running->micro : 0, API_LEVEL,
			       seccomp_arch_native() };

	buf_add(b, v, sizeof(v));
}

char *seccomp_syscall_name(int number)
{
	return seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
}
