/* SPDX-License-Identifier: Apache-2.0 */
/* See policy.h. Tables first: a new word of the specification is one line in a table. */
#include "seccomp/policy.h"

#include <errno.h>
#include <linux/seccomp.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "seccomp/seccomp.h"

/* The names are arrays of their own because `features` prints them as lists. Alphabetical. */
enum action {
	ACTION_ALLOW,
	ACTION_ERRNO,
	ACTION_KILL,
	ACTION_KILL_PROCESS,
	ACTION_KILL_THREAD,
	ACTION_LOG,
	ACTION_NOTIFY,
	ACTION_TRACE,
	ACTION_TRAP,
	ACTION_COUNT,
};

static const char *const action_names[ACTION_COUNT] = {
	[ACTION_ALLOW] = "SCMP_ACT_ALLOW",
	[ACTION_ERRNO] = "SCMP_ACT_ERRNO",
	[ACTION_KILL] = "SCMP_ACT_KILL",
	[ACTION_KILL_PROCESS] = "SCMP_ACT_KILL_PROCESS",
	[ACTION_KILL_THREAD] = "SCMP_ACT_KILL_THREAD",
	[ACTION_LOG] = "SCMP_ACT_LOG",
	[ACTION_NOTIFY] = "SCMP_ACT_NOTIFY",
	[ACTION_TRACE] = "SCMP_ACT_TRACE",
	[ACTION_TRAP] = "SCMP_ACT_TRAP",
};

/*
 * errno_max: the largest errnoRet, 0 for an action without one. An errno above
 * 4095 the kernel would quietly lower; a tracer gets any 16 bits.
 */
static const struct {
	uint32_t value, errno_max;
} action_values[ACTION_COUNT] = {
	[ACTION_ALLOW] = { SECCOMP_RET_ALLOW, 0 },
	[ACTION_ERRNO] = { SECCOMP_RET_ERRNO, 4095 },
	/* The specification's KILL is libseccomp's, which is the thread. */
	[ACTION_KILL] = { SECCOMP_RET_KILL_THREAD, 0 },
	[ACTION_KILL_PROCESS] = { SECCOMP_RET_KILL_PROCESS, 0 },
	[ACTION_KILL_THREAD] = { SECCOMP_RET_KILL_THREAD, 0 },
	[ACTION_LOG] = { SECCOMP_RET_LOG, 0 },
	[ACTION_NOTIFY] = { SECCOMP_RET_USER_NOTIF, 0 },
	[ACTION_TRACE] = { SECCOMP_RET_TRACE, SECCOMP_RET_DATA },
	[ACTION_TRAP] = { SECCOMP_RET_TRAP, 0 },
};

static const char *const op_names[SECCOMP_OP_COUNT] = {
	[SECCOMP_OP_EQ] = "SCMP_CMP_EQ",
	[SECCOMP_OP_GE] = "SCMP_CMP_GE",
	[SECCOMP_OP_GT] = "SCMP_CMP_GT",
	[SECCOMP_OP_LE] = "SCMP_CMP_LE",
	[SECCOMP_OP_LT] = "SCMP_CMP_LT",
	[SECCOMP_OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	[SECCOMP_OP_NE] = "SCMP_CMP_NE",
};

/* Flags that a configuration may name; NEW_LISTENER and TSYNC_ESRCH are ours to add. */
static const char *const flag_names[] = {
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
};

static const uint32_t flag_values[ARRAY_SIZE(flag_names)] = {
	SECCOMP_FILTER_FLAG_LOG,
	SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	SECCOMP_FILTER_FLAG_TSYNC,
	SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

/* The index of s in list, n if it is not there. */
static size_t find(const char *s, const char *const *list, size_t n)
{
	size_t i = 0;

	while (i < n && !str_eq(s, list[i]))
		i++;
	return i;
}

struct seccomp_names seccomp_known_actions(void)
{
	return (struct seccomp_names){ action_names, ARRAY_SIZE(action_names) };
}

struct seccomp_names seccomp_known_operators(void)
{
	return (struct seccomp_names){ op_names, ARRAY_SIZE(op_names) };
}

struct seccomp_names seccomp_known_flags(void)
{
	return (struct seccomp_names){ flag_names, ARRAY_SIZE(flag_names) };
}

uint32_t seccomp_policy_flag(const char *flag)
{
	size_t i = find(flag, flag_names, ARRAY_SIZE(flag_names));

	return i < ARRAY_SIZE(flag_names) ? flag_values[i] : 0;
}

uint32_t seccomp_policy_action(const char *action, bool has_errno_ret, uint32_t errno_ret)
{
	size_t i = find(action, action_names, ACTION_COUNT);

	/* The check let no other name through; were one to come, killing is the closed door. */
	if (i == ACTION_COUNT)
		return SECCOMP_RET_KILL_PROCESS;
	if (action_values[i].errno_max == 0)
		return action_values[i].value;
	return action_values[i].value | ((has_errno_ret ? errno_ret : EPERM) & SECCOMP_RET_DATA);
}

enum seccomp_op seccomp_policy_op(const char *op)
{
	return (enum seccomp_op)find(op, op_names, SECCOMP_OP_COUNT);
}

bool seccomp_policy_notifies(const struct seccomp_req *req)
{
	const char *notify = action_names[ACTION_NOTIFY];

	for (size_t i = 0; i < req->n_rules; i++)
		if (str_eq(req->rules[i].action, notify))
			return true;
	return str_eq(req->default_action, notify);
}

uint32_t seccomp_policy_flags(const struct seccomp_req *req)
{
	uint32_t flags = 0;

	/*
	 * No list at all is not the empty list: then the speculation mitigations stay
	 * as the container's processes would have them without a filter. Both peers
	 * default to this; the mitigation costs far more than the filter.
	 */
	if (req->flags == NULL)
		flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; req->flags != NULL && i < req->n_flags; i++)
		flags |= seccomp_policy_flag(req->flags[i]);
	if (!seccomp_policy_notifies(req))
		/* Says how a listener waits. Without one the kernel refuses it, and there is nothing to apply. */
		return flags & ~(uint32_t)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	/*
	 * The one other thread of the process that is filtered is ours: it hands the listener over (child_seccomp.c), and
	 * so must not be filtered. It is gone before the user's program begins, which leaves TSYNC nothing to do.
	 */
	flags &= ~(uint32_t)SECCOMP_FILTER_FLAG_TSYNC;
	return flags | SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

static int check_action(const char *where, const char *action, bool has_errno_ret, uint32_t errno_ret)
{
	size_t i = action != NULL ? find(action, action_names, ACTION_COUNT) : ACTION_COUNT;

	if (action == NULL)
		return ERR_PLAIN(-EINVAL, "%s: an action is missing", where);
	if (i == ACTION_COUNT)
		return ERR_PLAIN(-EINVAL, "%s: unknown action \"%s\"", where, action);
	if (has_errno_ret && action_values[i].errno_max == 0)
		return ERR_PLAIN(-EINVAL, "%s: action %s returns no errno, but an errnoRet is given", where, action);
	if (has_errno_ret && errno_ret > action_values[i].errno_max)
		return ERR_PLAIN(-EINVAL, "%s: errnoRet %u is above %u", where, errno_ret, action_values[i].errno_max);
	return 0;
}

static int check_rule(const char *where, const struct seccomp_rule *rule)
{
	int r = check_action(where, rule->action, rule->has_errno_ret, rule->errno_ret);

	if (r < 0)
		return r;
	if (rule->n_names == 0)
		return ERR_PLAIN(-EINVAL, "%s: names no system call", where);
	for (size_t i = 0; i < rule->n_names; i++)
		if (rule->names[i] == NULL || rule->names[i][0] == '\0')
			return ERR_PLAIN(-EINVAL, "%s: names[%zu] is empty", where, i);
	for (size_t i = 0; i < rule->n_args; i++) {
		const struct seccomp_arg *arg = &rule->args[i];

		if (arg->index >= SECCOMP_ARGS_MAX)
			return ERR_PLAIN(-EINVAL, "%s: args[%zu]: index %u, a system call has %d arguments", where, i,
					 arg->index, SECCOMP_ARGS_MAX);
		if (arg->op == NULL || !str_in(arg->op, op_names, SECCOMP_OP_COUNT))
			return ERR_PLAIN(-EINVAL, "%s: args[%zu]: unknown operator \"%s\"", where, i,
					 arg->op != NULL ? arg->op : "");
	}
	return 0;
}

int seccomp_policy_check(const struct seccomp_req *req)
{
	int r = check_action("seccomp default", req->default_action, req->has_default_errno_ret, req->default_errno_ret);

	if (r < 0)
		return r;
	for (size_t i = 0; req->flags != NULL && i < req->n_flags; i++)
		if (req->flags[i] == NULL || seccomp_policy_flag(req->flags[i]) == 0)
			return ERR_PLAIN(-EINVAL, "seccomp: unknown flag \"%s\"", req->flags[i] != NULL ? req->flags[i] : "");
	for (size_t i = 0; i < req->n_rules; i++) {
		_cleanup_free_ char *where = str_printf("seccomp syscalls[%zu]", i);

		if (where == NULL)
			return ERR_NOMEM();
		r = check_rule(where, &req->rules[i]);
		if (r < 0)
			return r;
	}
	return 0;
}
