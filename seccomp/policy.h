/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification's seccomp vocabulary and the rules about it. Pure: no system
 * call, no libseccomp. Private to this folder and its tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct seccomp_req;

enum seccomp_op {
	SECCOMP_OP_EQ,
	SECCOMP_OP_GE,
	SECCOMP_OP_GT,
	SECCOMP_OP_LE,
	SECCOMP_OP_LT,
	SECCOMP_OP_MASKED_EQ,
	SECCOMP_OP_NE,
	SECCOMP_OP_COUNT,
};

/* System call arguments a rule can look at. */
#define SECCOMP_ARGS_MAX 6

/* All of req but whether the architectures exist. 0, or -EINVAL with a text naming the place. */
int seccomp_policy_check(const struct seccomp_req *req);

/* The rest is for a req that passed the check. */

/* The kernel's SECCOMP_RET_… word of an action (libseccomp's SCMP_ACT_… has the same values). */
uint32_t seccomp_policy_action(const char *action, bool has_errno_ret, uint32_t errno_ret);
enum seccomp_op seccomp_policy_op(const char *op);
/* Does any action, the default included, hand calls to a listener? */
bool seccomp_policy_notifies(const struct seccomp_req *req);
/* The SECCOMP_FILTER_FLAG_… bits for seccomp(2). */
uint32_t seccomp_policy_flags(const struct seccomp_req *req);
/* The bit of one flag name, 0 if unknown. */
uint32_t seccomp_policy_flag(const char *flag);
