/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a plan: names to numbers. Used for config.json and for exec's process.json. */
#include "runtime/plan.h"

#include <errno.h>

#include "namespaces/apparmor.h"
#include "namespaces/procfs.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/plan_parts.h"

static bool in_earlier(const struct strv *const *sets, size_t s, const char *name)
{
	for (size_t k = 0; k < s; k++)
		for (size_t i = 0; i < sets[k]->n; i++)
			if (str_eq(sets[k]->v[i], name))
				return true;
	return false;
}

static uint64_t cap_mask(const struct strv *const *sets, size_t s)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < sets[s]->n; i++) {
		const char *name = sets[s]->v[i];
		uint64_t bit;

		/* The specification: a capability that cannot be granted is worth a warning (one is enough), never an error. */
		if (caps_from_name(name, &bit) == 0)
			mask |= bit;
		else if (!in_earlier(sets, s, name))
			log_warning("unknown capability \"%s\" is left out", name);
	}
	return mask;
}

static void warn_caps(uint64_t set, const char *why)
{
	for (unsigned int i = 0; set != 0 && caps_name(i) != NULL; i++)
		if (set & ((uint64_t)1 << i))
			log_warning("capability %s %s", caps_name(i), why);
}

static int build_caps(const struct spec_caps *in, struct caps_req *out)
{
	const struct strv *const sets[] = { &in->bounding, &in->effective, &in->inheritable, &in->permitted, &in->ambient };
	uint64_t *const masks[] = { &out->bounding, &out->effective, &out->inheritable, &out->permitted, &out->ambient };

	out->present = in->present;
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++)
		*masks[s] = cap_mask(sets, s);
	/* capset(2) would refuse these, and with them all the others. */
	warn_caps(out->inheritable & ~out->bounding, "cannot be inheritable: it is not in the bounding set");
	out->inheritable &= out->bounding;
	/* These the kernel has within others, whatever is said of them (capabilities(7)). */
	warn_caps(out->effective & ~out->permitted, "cannot be effective: it is not in the permitted set");
	out->effective &= out->permitted;
	warn_caps(out->ambient & ~(out->permitted & out->inheritable), "cannot be ambient: it is not both permitted and inheritable");
	out->ambient &= out->permitted & out->inheritable;
	return 0;
}

static int build_rlimits(struct arena *a, const struct spec_process *sp, struct process_req *q)
{
	struct rlimit_req *v = arena_array(a, sp->n_rlimits, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < sp->n_rlimits; i++) {
		v[i].name = sp->rlimits[i].type;
		v[i].soft = sp->rlimits[i].soft;
		v[i].hard = sp->rlimits[i].hard;
		if (rlimit_resource(v[i].name, &v[i].resource) < 0)
			return ERR_PLAIN(-EINVAL, "process.rlimits[%zu].type: \"%s\" does not exist here", i, v[i].name);
	}
	q->rlimits = v;
	q->n_rlimits = sp->n_rlimits;
	return 0;
}

/*
 * Room for LISTEN_FDS, LISTEN_PID, HOME and the NULL. Of several entries for a name the last is meant: engines append what the user
 * says to what the image has. getenv(3) would find the first.
 */
static int build_env(struct arena *a, const struct spec_process *sp, unsigned int listen_fds, struct process_req *q)
{
	const char ***work;

	q->env = arena_array(a, sp->env.n + 4, sizeof(*q->env));
	if (q->env == NULL)
		return ERR_NOMEM();
	work = arena_array(a, sp->env.n + 4, sizeof(*work));
	if (work == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < sp->env.n; i++)
		q->env[q->n_env++] = sp->env.v[i];
	if (listen_fds > 0) {
		q->env[q->n_env] = arena_printf(a, "LISTEN_FDS=%u", listen_fds);
		q->env[q->n_env + 1] = "LISTEN_PID=1";
		if (q->env[q->n_env] == NULL)
			return ERR_NOMEM();
		q->n_env += 2;
	}
	q->n_env = str_keep_last(q->env, q->n_env, true, work);
	q->env[q->n_env] = NULL;
	return 0;
}

const char *plan_apparmor(const char *profile)
{
	if (profile == NULL || *profile == '\0')
		return NULL;
	return str_eq(profile, APPARMOR_UNCONFINED) && !lsm_apparmor_enabled() ? NULL : profile;
}

int plan_process(struct arena *a, const struct spec_process *sp, unsigned int preserve_fds, unsigned int listen_fds,
		 struct process_req *q)
{
	int r;

	*q = (struct process_req){
		.args = sp->args.v,
		.cwd = sp->cwd,
		.uid = sp->user.uid,
		.gid = sp->user.gid,
		.groups = sp->user.additional_gids,
		.n_groups = sp->user.n_additional_gids,
		.has_umask = sp->user.has_umask,
		.umask = (mode_t)sp->user.umask,
		.no_new_privs = sp->no_new_privileges,
		.terminal = sp->terminal,
		.has_console_size = sp->has_console_size,
		.console_height = sp->console_height,
		.console_width = sp->console_width,
		.has_oom_score_adj = sp->has_oom_score_adj,
		.oom_score_adj = sp->oom_score_adj,
		.apparmor = plan_apparmor(sp->apparmor_profile),
		.selinux = sp->selinux_label != NULL && *sp->selinux_label != '\0' ? sp->selinux_label : NULL,
		.preserve_fds = preserve_fds + listen_fds,
	};
	if (sp->user.uid != 0 && !sp->user.has_gid)
		log_warning("process.user.gid is missing: 0, the group root");
	if (sp->args.n == 0)
		return ERR_PLAIN(-EINVAL, "process.args: is required and must not be empty");
	r = build_caps(&sp->caps, &q->caps);
	if (r == 0)
		r = build_rlimits(a, sp, q);
	if (r == 0)
		r = build_env(a, sp, listen_fds, q);
	if (r == 0)
		r = plan_scheduling(a, sp, q);
	return r;
}

/* The specification asks for a warning, not an error. */
int plan_drop_ungrantable(struct caps_req *c)
{
	uint64_t permitted;
	int r = caps_permitted(&permitted);

	if (r < 0)
		return r;
	warn_caps((c->permitted | c->effective | c->inheritable | c->ambient) & ~permitted, "cannot be granted here");
	c->permitted &= permitted;
	c->effective &= permitted;
	c->inheritable &= permitted;
	c->ambient &= permitted;
	return 0;
}
