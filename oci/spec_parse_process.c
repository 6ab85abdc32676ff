/* SPDX-License-Identifier: Apache-2.0 */
/* runtime-spec "process", of a config.json or alone for exec. */
#include "oci/spec_parse.h"

#include <string.h>

#include "oci/json.h"
#include "runtime/base/str.h"

static const char *const rlimit_names[] = {
	"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK",
	"RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO",
	"RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
};

static const char *const policy_names[] = {
	"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE",
};

static const char *const sched_flag_names[] = {
	"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
	"SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
};

static const char *const io_class_names[] = {
	"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE",
};

static const struct words rlimits = WORDS("rlimit", rlimit_names);
static const struct words policies = WORDS("scheduling policy", policy_names);
static const struct words sched_flags = WORDS("scheduling flag", sched_flag_names);
static const struct words io_classes = WORDS("I/O priority class", io_class_names);

static const struct field user_fields[] = {
	{ F_U32(struct spec_user, "uid", uid, 0, SPEC_ID_MAX), F_REQUIRED },
	/* REQUIRED by its text, not by its schema, nor by any other runtime: 0 where it is missing. */
	{ F_U32(struct spec_user, "gid", gid, 0, SPEC_ID_MAX), F_HAS(struct spec_user, has_gid) },
	{ F_U32(struct spec_user, "umask", umask, 0, 0777), F_HAS(struct spec_user, has_umask) },
	{ .name = "additionalGids", .read = read_u32_list, .max = SPEC_ID_MAX,
	  .at = FIELD_AT(struct spec_user, additional_gids, const uint32_t *),
	  .aux = FIELD_AT(struct spec_user, n_additional_gids, size_t) },
};

static const struct field caps_fields[] = {
	{ F_STRV(struct spec_caps, "bounding", bounding, read_strings) },
	{ F_STRV(struct spec_caps, "effective", effective, read_strings) },
	{ F_STRV(struct spec_caps, "inheritable", inheritable, read_strings) },
	{ F_STRV(struct spec_caps, "permitted", permitted, read_strings) },
	{ F_STRV(struct spec_caps, "ambient", ambient, read_strings) },
};

static const struct field console_fields[] = {
	{ F_U16(struct spec_process, "height", console_height), F_REQUIRED },
	{ F_U16(struct spec_process, "width", console_width), F_REQUIRED },
};

static const struct field rlimit_fields[] = {
	{ F_WORD(struct spec_rlimit, "type", type, &rlimits), F_REQUIRED },
	{ F_U64(struct spec_rlimit, "soft", soft), F_REQUIRED },
	{ F_U64(struct spec_rlimit, "hard", hard), F_REQUIRED },
};

static const struct field scheduler_fields[] = {
	{ F_WORD(struct spec_scheduler, "policy", policy, &policies), F_REQUIRED },
	{ F_I32(struct spec_scheduler, "nice", nice, -20, 19) },
	{ F_I32(struct spec_scheduler, "priority", priority, 0, 99) },
	{ F_WORDS(struct spec_scheduler, "flags", flags, &sched_flags) },
	{ F_U64(struct spec_scheduler, "runtime", runtime) },
	{ F_U64(struct spec_scheduler, "deadline", deadline) },
	{ F_U64(struct spec_scheduler, "period", period) },
};

static const struct field io_priority_fields[] = {
	{ F_WORD(struct spec_io_priority, "class", class_, &io_classes), F_REQUIRED },
	{ F_I32(struct spec_io_priority, "priority", priority, 0, 7) },
};

static const struct field affinity_fields[] = {
	{ .name = "initial", .read = read_number_list,
	  .at = FIELD_AT(struct spec_process, cpu_affinity_initial, const char *) },
	{ .name = "final", .read = read_number_list,
	  .at = FIELD_AT(struct spec_process, cpu_affinity_final, const char *) },
};

static int finish_rlimit(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_rlimit *l = object;

	if (l->soft > l->hard)
		return spec_bad(r, j, "soft (%llu) is above hard (%llu)", (unsigned long long)l->soft,
				(unsigned long long)l->hard);
	return 0;
}

/* sched_setattr(2): which policy takes which number. The kernel's answer to the wrong one is only EINVAL. */
static int finish_scheduler(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_scheduler *s = object;
	bool fixed = str_eq(s->policy, "SCHED_FIFO") || str_eq(s->policy, "SCHED_RR");

	if (fixed && s->priority == 0)
		return spec_bad(r, j, "%s needs a priority from 1 to 99", s->policy);
	if (!fixed && s->priority != 0)
		return spec_bad(r, j, "priority is for SCHED_FIFO and SCHED_RR only");
	if (!str_eq(s->policy, "SCHED_DEADLINE")) {
		if (s->runtime != 0 || s->deadline != 0 || s->period != 0)
			return spec_bad(r, j, "runtime, deadline and period are for SCHED_DEADLINE only");
		return 0;
	}
	if (s->runtime == 0 || s->deadline == 0)
		return spec_bad(r, j, "SCHED_DEADLINE needs runtime and deadline");
	if (s->runtime > s->deadline || (s->period != 0 && s->deadline > s->period))
		return spec_bad(r, j, "runtime must not be above deadline, nor deadline above period");
	return 0;
}

/* REQUIRED; but the idle class has no levels (ioprio_set(2)), so nobody writes one there. */
static int finish_io_priority(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_io_priority *p = object;
	const struct json *m = json_member(j, "priority");

	if ((m == NULL || m->type == JSON_NULL) && !str_eq(p->class_, "IOPRIO_CLASS_IDLE"))
		return spec_missing(r, j, "priority");
	return 0;
}

static const struct shape user = SHAPE(struct spec_user, user_fields, NULL);
static const struct shape caps = SHAPE(struct spec_caps, caps_fields, NULL);
static const struct shape rlimit = SHAPE(struct spec_rlimit, rlimit_fields, finish_rlimit);
static const struct shape scheduler = SHAPE(struct spec_scheduler, scheduler_fields, finish_scheduler);
static const struct shape io_priority = SHAPE(struct spec_io_priority, io_priority_fields, finish_io_priority);
/* These two are objects in JSON only: their values are fields of struct spec_process. */
static const struct shape console_size = SHAPE(struct spec_process, console_fields, NULL);
static const struct shape cpu_affinity = SHAPE(struct spec_process, affinity_fields, NULL);

static const struct field process_fields[] = {
	{ F_BOOL(struct spec_process, "terminal", terminal) },
	{ .name = "consoleSize", .read = read_embedded, .shape = &console_size,
	  F_HAS(struct spec_process, has_console_size) },
	{ F_EMBEDDED(struct spec_process, "user", struct spec_user, user, &user) },
	{ F_STRV(struct spec_process, "args", args, read_strings) },
	{ F_STRV(struct spec_process, "env", env, read_env) },
	{ F_PATH(struct spec_process, "cwd", cwd), F_REQUIRED },
	{ F_EMBEDDED(struct spec_process, "capabilities", struct spec_caps, caps, &caps),
	  F_HAS(struct spec_process, caps.present) },
	{ F_LIST(struct spec_process, "rlimits", struct spec_rlimit, rlimits, n_rlimits, &rlimit) },
	{ F_BOOL(struct spec_process, "noNewPrivileges", no_new_privileges) },
	{ F_STRING(struct spec_process, "apparmorProfile", apparmor_profile) },
	{ F_STRING(struct spec_process, "selinuxLabel", selinux_label) },
	{ F_I32(struct spec_process, "oomScoreAdj", oom_score_adj, -1000, 1000),
	  F_HAS(struct spec_process, has_oom_score_adj) },
	{ F_EMBEDDED(struct spec_process, "scheduler", struct spec_scheduler, scheduler, &scheduler),
	  F_HAS(struct spec_process, scheduler.present) },
	{ F_EMBEDDED(struct spec_process, "ioPriority", struct spec_io_priority, io_priority, &io_priority),
	  F_HAS(struct spec_process, io_priority.present) },
	{ .name = "execCPUAffinity", .read = read_embedded, .shape = &cpu_affinity,
	  F_HAS(struct spec_process, has_exec_cpu_affinity) },
};

const struct shape spec_shape_process = SHAPE(struct spec_process, process_fields, NULL);
