/* SPDX-License-Identifier: Apache-2.0 */
/* process.scheduler, ioPriority, execCPUAffinity and linux.memoryPolicy of a plan: words to the kernel's numbers. */
#include "runtime/plan_parts.h"

#include <errno.h>

#include "namespaces/scheduling.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/plan.h"

/* The parser knows the same words: what the mechanism does not know is our mistake, and an error all the same. */
static int unknown(const char *path, const char *word)
{
	return ERR_PLAIN(-EINVAL, "%s: \"%s\" does not exist here", path, word);
}

static int build_scheduler(struct arena *a, const struct spec_scheduler *in, struct process_req *q)
{
	struct scheduler_req *s;

	if (!in->present)
		return 0;
	s = arena_alloc(a, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM();
	*s = (struct scheduler_req){
		.policy = in->policy,
		.flags = in->flags.v,
		.n_flags = in->flags.n,
		.nice = in->nice,
		.priority = (uint32_t)in->priority,
		.runtime = in->runtime,
		.deadline = in->deadline,
		.period = in->period,
	};
	if (scheduler_policy(in->policy, &s->policy_number) < 0)
		return unknown("process.scheduler.policy", in->policy);
	for (size_t i = 0; i < in->flags.n; i++) {
		uint64_t bit;

		if (scheduler_flag(in->flags.v[i], &bit) < 0)
			return unknown("process.scheduler.flags", in->flags.v[i]);
		s->flag_bits |= bit;
	}
	q->scheduler = s;
	return 0;
}

static int build_io_priority(struct arena *a, const struct spec_io_priority *in, struct process_req *q)
{
	struct io_priority_req *p;

	if (!in->present)
		return 0;
	p = arena_alloc(a, sizeof(*p));
	if (p == NULL)
		return ERR_NOMEM();
	p->class_name = in->class_;
	p->priority = (unsigned int)in->priority;
	if (io_priority_class(in->class_, &p->class_number) < 0)
		return unknown("process.ioPriority.class", in->class_);
	q->io_priority = p;
	return 0;
}

static int build_affinity(struct arena *a, const char *text, const char *which, const struct affinity_req **ret)
{
	struct affinity_req *v;

	if (text == NULL || *text == '\0')
		return 0;
	v = arena_alloc(a, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	v->text = text;
	if (id_set_parse(text, ID_SET_MAX, &v->cpus) < 0)
		return ERR_PLAIN(-EINVAL, "process.execCPUAffinity.%s: \"%s\" is not a list of CPUs below %u", which, text, ID_SET_MAX);
	*ret = v;
	return 0;
}

int plan_scheduling(struct arena *a, const struct spec_process *sp, struct process_req *q)
{
	int r = build_scheduler(a, &sp->scheduler, q);

	if (r == 0)
		r = build_io_priority(a, &sp->io_priority, q);
	if (r == 0)
		r = build_affinity(a, sp->cpu_affinity_initial, "initial", &q->affinity_initial);
	if (r == 0)
		r = build_affinity(a, sp->cpu_affinity_final, "final", &q->affinity_final);
	return r;
}

int plan_build_memory_policy(struct plan *p)
{
	const struct spec_memory_policy *in = &p->spec->linux_.memory_policy;
	struct memory_policy_req *m;

	if (!in->present)
		return 0;
	m = arena_alloc(p->arena, sizeof(*m));
	if (m == NULL)
		return ERR_NOMEM();
	m->mode = in->mode;
	m->flags = in->flags.v;
	m->n_flags = in->flags.n;
	m->nodes = in->nodes != NULL && *in->nodes != '\0' ? in->nodes : NULL;
	if (memory_policy_mode(in->mode, &m->mode_bits) < 0)
		return unknown("linux.memoryPolicy.mode", in->mode);
	for (size_t i = 0; i < in->flags.n; i++) {
		int bit;

		if (memory_policy_flag(in->flags.v[i], &bit) < 0)
			return unknown("linux.memoryPolicy.flags", in->flags.v[i]);
		m->mode_bits |= bit;
	}
	if (m->nodes != NULL && id_set_parse(m->nodes, MEMORY_NODES_MAX, &m->node_set) < 0)
		return ERR_PLAIN(-EINVAL, "config.json: linux.memoryPolicy.nodes: \"%s\" is not a list of memory nodes below %u", m->nodes,
				 MEMORY_NODES_MAX);
	p->memory_policy = m;
	return 0;
}
