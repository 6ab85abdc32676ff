/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp of a plan: the same words in seccomp/'s request. See plan_parts.h. */
#include "runtime/plan_parts.h"

#include <errno.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/plan.h"

static bool notifies(const struct spec_seccomp *in)
{
	for (size_t i = 0; i < in->n_rules; i++)
		if (str_eq(in->rules[i].action, "SCMP_ACT_NOTIFY"))
			return true;
	return str_eq(in->default_action, "SCMP_ACT_NOTIFY");
}

/* The specification: without an action that needs it, the path is ignored. */
static int build_listener(struct plan *p)
{
	const struct spec_seccomp *in = &p->spec->linux_.seccomp;

	if (!notifies(in))
		return 0;
	if (in->listener_path == NULL)
		return ERR_PLAIN(-EINVAL, "config.json: linux.seccomp.listenerPath: is missing, SCMP_ACT_NOTIFY needs it");
	p->seccomp_listener = in->listener_path;
	p->seccomp_metadata = in->listener_metadata;
	return 0;
}

/*
 * libseccomp's time grows with the square of the names, and with more than that of the comparisons of arguments: 200 rules of six
 * took minutes. podman's profile has 1416 names and 30 comparisons for its three architectures; the limits cost
 * seconds.
 */
#define NAMES_MAX 12288
#define COMPARISONS_MAX 1536

static int check_size(const struct spec_seccomp *in)
{
	uint64_t names = 0, comparisons = 0, architectures = in->architectures.n > 0 ? in->architectures.n : 1;

	for (size_t i = 0; i < in->n_rules; i++) {
		const struct spec_seccomp_rule *r = &in->rules[i];

		names += r->names.n * architectures;
		comparisons += (uint64_t)r->names.n * r->n_args * architectures;
		if (names > NAMES_MAX)
			return ERR_PLAIN(-E2BIG, "config.json: linux.seccomp.syscalls[%zu]: with it there are more than %d names, "
					 "counted for each architecture", i, NAMES_MAX);
		if (comparisons > COMPARISONS_MAX)
			return ERR_PLAIN(-E2BIG, "config.json: linux.seccomp.syscalls[%zu]: with it there are more than %d comparisons "
					 "of arguments, counted for each name and architecture", i, COMPARISONS_MAX);
	}
	return 0;
}

int plan_build_seccomp(struct plan *p)
{
	const struct spec_seccomp *in = &p->spec->linux_.seccomp;
	struct seccomp_rule *rules;
	int ret;

	if (!in->present)
		return 0;
	ret = check_size(in);
	if (ret < 0)
		return ret;
	rules = arena_array(p->arena, in->n_rules, sizeof(*rules));
	if (rules == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_rules; i++) {
		const struct spec_seccomp_rule *r = &in->rules[i];
		struct seccomp_arg *args = arena_array(p->arena, r->n_args, sizeof(*args));

		if (args == NULL)
			return ERR_NOMEM();
		for (size_t k = 0; k < r->n_args; k++)
			args[k] = (struct seccomp_arg){ r->args[k].index, r->args[k].value, r->args[k].value_two,
							r->args[k].op };
		rules[i] = (struct seccomp_rule){ r->names.v, r->names.n, r->action, r->has_errno_ret, r->errno_ret,
						  args, r->n_args };
	}
	p->has_seccomp = true;
	p->seccomp = (struct seccomp_req){
		.default_action = in->default_action,
		.has_default_errno_ret = in->has_default_errno_ret,
		.default_errno_ret = in->default_errno_ret,
		.architectures = in->architectures.v,
		.n_architectures = in->architectures.n,
		/* NULL, no list: the filter gets SPEC_ALLOW as with other runtimes; an empty list is no flags. */
		.flags = in->has_flags ? in->flags.v : NULL,
		.n_flags = in->flags.n,
		.rules = rules,
		.n_rules = in->n_rules,
		.newer_enosys = true,
	};
	return build_listener(p);
}
