/* SPDX-License-Identifier: Apache-2.0 */
/* See process_json.h. */
#include "runtime/process_json.h"

#include <linux/capability.h>
#include <stddef.h>

#include "namespaces/scheduling.h"
#include "oci/json.h"

static void write_user(struct json_writer *w, const struct process_req *p)
{
	json_key(w, "user");
	json_object_open(w);
	json_kv_uint(w, "uid", p->uid);
	json_kv_uint(w, "gid", p->gid);
	if (p->has_umask)
		json_kv_uint(w, "umask", p->umask);
	if (p->n_groups > 0) {
		json_key(w, "additionalGids");
		json_array_open(w);
		for (size_t i = 0; i < p->n_groups; i++)
			json_uint(w, p->groups[i]);
		json_array_close(w);
	}
	json_object_close(w);
}

static void write_set(struct json_writer *w, const char *key, uint64_t set)
{
	json_key(w, key);
	json_array_open(w);
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (set & (UINT64_C(1) << cap))
			json_string(w, caps_name(cap));
	json_array_close(w);
}

static void write_caps(struct json_writer *w, const struct caps_req *c)
{
	if (!c->present)
		return;
	json_key(w, "capabilities");
	json_object_open(w);
	write_set(w, "bounding", c->bounding);
	write_set(w, "effective", c->effective);
	write_set(w, "permitted", c->permitted);
	write_set(w, "inheritable", c->inheritable);
	write_set(w, "ambient", c->ambient);
	json_object_close(w);
}

static void write_rlimits(struct json_writer *w, const struct process_req *p)
{
	if (p->n_rlimits == 0)
		return;
	json_key(w, "rlimits");
	json_array_open(w);
	for (size_t i = 0; i < p->n_rlimits; i++) {
		json_object_open(w);
		json_kv_string(w, "type", p->rlimits[i].name);
		json_kv_uint(w, "soft", p->rlimits[i].soft);
		json_kv_uint(w, "hard", p->rlimits[i].hard);
		json_object_close(w);
	}
	json_array_close(w);
}

static void write_strings(struct json_writer *w, const char *key, const char *const *v)
{
	json_key(w, key);
	json_array_open(w);
	for (; *v != NULL; v++)
		json_string(w, *v);
	json_array_close(w);
}

static void write_env(struct json_writer *w, const struct process_req *p)
{
	json_key(w, "env");
	json_array_open(w);
	for (size_t i = 0; i < p->n_env; i++)
		json_string(w, p->env[i]);
	json_array_close(w);
}

static void write_words(struct json_writer *w, const char *key, const char *const *v, size_t n)
{
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < n; i++)
		json_string(w, v[i]);
	json_array_close(w);
}

static void write_scheduler(struct json_writer *w, const struct scheduler_req *s)
{
	json_key(w, "scheduler");
	json_object_open(w);
	json_kv_string(w, "policy", s->policy);
	json_kv_int(w, "nice", s->nice);
	json_kv_uint(w, "priority", s->priority);
	write_words(w, "flags", s->flags, s->n_flags);
	json_kv_uint(w, "runtime", s->runtime);
	json_kv_uint(w, "deadline", s->deadline);
	json_kv_uint(w, "period", s->period);
	json_object_close(w);
}

static void write_scheduling(struct json_writer *w, const struct process_req *p)
{
	if (p->scheduler != NULL)
		write_scheduler(w, p->scheduler);
	if (p->io_priority != NULL) {
		json_key(w, "ioPriority");
		json_object_open(w);
		json_kv_string(w, "class", p->io_priority->class_name);
		json_kv_uint(w, "priority", p->io_priority->priority);
		json_object_close(w);
	}
	if (p->affinity_initial == NULL && p->affinity_final == NULL)
		return;
	json_key(w, "execCPUAffinity");
	json_object_open(w);
	if (p->affinity_initial != NULL)
		json_kv_string(w, "initial", p->affinity_initial->text);
	if (p->affinity_final != NULL)
		json_kv_string(w, "final", p->affinity_final->text);
	json_object_close(w);
}

void process_json_write(struct json_writer *w, const struct process_req *p)
{
	json_object_open(w);
	json_kv_bool(w, "terminal", p->terminal);
	if (p->has_console_size) {
		json_key(w, "consoleSize");
		json_object_open(w);
		json_kv_uint(w, "height", p->console_height);
		json_kv_uint(w, "width", p->console_width);
		json_object_close(w);
	}
	write_user(w, p);
	write_strings(w, "args", p->args);
	write_env(w, p);
	json_kv_string(w, "cwd", p->cwd);
	write_caps(w, &p->caps);
	write_rlimits(w, p);
	json_kv_bool(w, "noNewPrivileges", p->no_new_privs);
	if (p->apparmor != NULL)
		json_kv_string(w, "apparmorProfile", p->apparmor);
	if (p->selinux != NULL)
		json_kv_string(w, "selinuxLabel", p->selinux);
	if (p->has_oom_score_adj)
		json_kv_int(w, "oomScoreAdj", p->oom_score_adj);
	write_scheduling(w, p);
	json_object_close(w);
}
