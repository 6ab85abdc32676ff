/* SPDX-License-Identifier: Apache-2.0 */
/* See state_json.h. */
#include "runtime/state_json.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/state.h"

/* A read meanwhile gets nothing or all of it: the size changes after the one page is filled. */
#define STATE_ONE_WRITE 4096
#define STATE_MAX ((size_t)16 * 1024 * 1024)

/* ---- writing ---- */

static const char *const status_names[] = { "creating", "created", "running", "paused", "stopped" };

const char *status_name(enum container_status s)
{
	return status_names[s];
}

static void write_strings(struct json_writer *w, const char *key, const char *const *v)
{
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; v != NULL && v[i] != NULL; i++)
		json_string(w, v[i]);
	json_array_close(w);
}

static void write_hooks(struct json_writer *w, const char *key, const struct plan_hooks *h)
{
	if (h->n == 0)
		return;
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < h->n; i++) {
		json_object_open(w);
		json_kv_string(w, "path", h->v[i].path);
		if (h->v[i].args != NULL)
			write_strings(w, "args", h->v[i].args);
		write_strings(w, "env", h->v[i].env);
		json_kv_int(w, "timeout", h->v[i].timeout);
		json_object_close(w);
	}
	json_array_close(w);
}

static void write_annotations(struct json_writer *w, const struct state *s)
{
	if (s->n_annotations == 0)
		return;
	json_key(w, "annotations");
	json_object_open(w);
	for (size_t i = 0; i < s->n_annotations; i++)
		json_kv_string(w, s->annotations[i].key, s->annotations[i].value);
	json_object_close(w);
}

static void write_mounts(struct json_writer *w, const struct state *s)
{
	if (s->n_mounts == 0)
		return;
	json_key(w, "mounts");
	json_array_open(w);
	for (size_t i = 0; i < s->n_mounts; i++) {
		json_object_open(w);
		json_kv_string(w, "target", s->mounts[i].target);
		json_kv_int(w, "id", (int64_t)s->mounts[i].id);
		json_object_close(w);
	}
	json_array_close(w);
}

static void write_cgroup(struct json_writer *w, const struct state *s)
{
	if (s->cgroup_path != NULL)
		json_kv_string(w, "cgroup", s->cgroup_path);
	if (s->cgroup_unit != NULL) {
		json_kv_string(w, "cgroupSlice", s->cgroup_slice);
		json_kv_string(w, "cgroupUnit", s->cgroup_unit);
		json_kv_bool(w, "cgroupUser", s->cgroup_user);
	}
	json_kv_int(w, "cgroupCreatedFrom", (int64_t)s->cgroup_created_from);
}

int state_save(int dir, const struct state *s, bool first)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (w == NULL)
		return -ENOMEM;
	json_object_open(w);
	json_kv_int(w, "version", STATE_VERSION);
	json_kv_string(w, "id", s->id);
	json_kv_string(w, "bundle", s->bundle);
	json_kv_string(w, "rootfs", s->rootfs);
	json_kv_string(w, "ociVersion", s->oci_version);
	json_kv_string(w, "created", s->created);
	json_kv_string(w, "owner", s->owner);
	json_kv_string(w, "isolation", s->isolation);
	json_kv_int(w, "pid", s->pid);
	json_kv_int(w, "pidSeen", (int64_t)s->pid_seen);
	json_kv_int(w, "creator", s->creator);
	json_kv_int(w, "creatorSeen", (int64_t)s->creator_seen);
	write_cgroup(w, s);
	json_kv_int(w, "namespaces", s->ns_flags);
	json_kv_bool(w, "hasProcess", s->has_process);
	if (s->keyring != NULL)
		json_kv_string(w, "keyring", s->keyring);
	if (s->root_mount != 0)
		json_kv_int(w, "rootMount", (int64_t)s->root_mount);
	json_kv_bool(w, "cgroupOwned", s->cgroup_owned);
	if (s->has_personality)
		json_kv_int(w, "personality", s->personality);
	if (s->has_memory_policy)
		json_kv_int(w, "memoryPolicy", s->memory_policy);
	if (s->memory_nodes != NULL)
		json_kv_string(w, "memoryNodes", s->memory_nodes);
	if (s->seccomp_listener != NULL)
		json_kv_string(w, "seccompListener", s->seccomp_listener);
	if (s->seccomp_metadata != NULL)
		json_kv_string(w, "seccompMetadata", s->seccomp_metadata);
	if (s->resctrl_group != NULL) {
		json_kv_string(w, "resctrlGroup", s->resctrl_group);
		json_kv_int(w, "resctrlMade", s->resctrl_made);
		json_kv_bool(w, "resctrlMonitor", s->resctrl_monitor);
	}
	write_hooks(w, "poststart", &s->hooks[HOOK_POSTSTART]);
	write_hooks(w, "poststop", &s->hooks[HOOK_POSTSTOP]);
	write_annotations(w, s);
	write_mounts(w, s);
	json_object_close(w);
	text = json_writer_take(w, &len);
	if (text == NULL)
		return -ENOMEM;
	return first && len < STATE_ONE_WRITE ? file_create(dir, STATE_FILE, text, len, 0600) :
						file_replace(dir, STATE_FILE, text, len, 0600);
}

/* ---- reading ---- */

static int damaged(const char *key)
{
	return ERR_PLAIN(-EBADMSG, "its state file is damaged: \"%s\" is missing, or not what was written", key);
}

static int get_string(const struct json *o, const char *key, bool required, const char **ret)
{
	const struct json *j = json_member(o, key);

	*ret = NULL;
	if (j == NULL)
		return required ? damaged(key) : 0;
	if (j->type != JSON_STRING)
		return damaged(key);
	*ret = j->text;
	return 0;
}

static int get_u64(const struct json *o, const char *key, uint64_t max, uint64_t *ret)
{
	const struct json *j = json_member(o, key);

	if (j == NULL || j->type != JSON_NUMBER || parse_u64(j->text, 0, max, ret) < 0)
		return damaged(key);
	return 0;
}

static int get_bool(const struct json *o, const char *key, bool *ret)
{
	const struct json *j = json_member(o, key);

	if (j == NULL || j->type != JSON_BOOL)
		return damaged(key);
	*ret = j->boolean;
	return 0;
}

static int get_strings(struct arena *a, const struct json *o, const char *key, const char *const **ret)
{
	const struct json *j = json_member(o, key);
	const char **v;
	size_t n = 0;

	*ret = NULL;
	if (j == NULL)
		return 0;
	if (j->type != JSON_ARRAY)
		return damaged(key);
	v = arena_array(a, j->n + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		if (e->type != JSON_STRING)
			return damaged(key);
		v[n++] = e->text;
	}
	*ret = (const char *const *)v;
	return 0;
}

static int get_hooks(struct arena *a, const struct json *o, const char *key, struct plan_hooks *ret)
{
	const struct json *j = json_member(o, key);
	struct plan_hook *v;
	size_t n = 0;

	if (j == NULL)
		return 0;
	if (j->type != JSON_ARRAY)
		return damaged(key);
	v = arena_array(a, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next, n++) {
		uint64_t timeout = 0;
		int r = get_string(e, "path", true, &v[n].path);

		if (r == 0)
			r = get_strings(a, e, "args", &v[n].args);
		if (r == 0)
			r = get_strings(a, e, "env", &v[n].env);
		if (r == 0)
			r = get_u64(e, "timeout", UINT_MAX, &timeout);
		if (r < 0)
			return r;
		v[n].timeout = (unsigned int)timeout;
	}
	ret->v = v;
	ret->n = n;
	return 0;
}

static int get_annotations(struct arena *a, const struct json *o, struct state *s)
{
	const struct json *j = json_member(o, "annotations");
	struct plan_kv *v;
	size_t n = 0;

	if (j == NULL)
		return 0;
	if (j->type != JSON_OBJECT)
		return damaged("annotations");
	v = arena_array(a, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		if (e->type != JSON_STRING)
			return damaged("annotations");
		v[n++] = (struct plan_kv){ e->key, e->text };
	}
	s->annotations = v;
	s->n_annotations = n;
	return 0;
}

static int get_mounts(struct arena *a, const struct json *o, struct state *s)
{
	const struct json *j = json_member(o, "mounts");
	struct state_mount *v;
	size_t n = 0;

	if (j == NULL)
		return 0;
	if (j->type != JSON_ARRAY)
		return damaged("mounts");
	v = arena_array(a, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next, n++) {
		int r = get_string(e, "target", true, &v[n].target);

		if (r == 0)
			r = get_u64(e, "id", INT64_MAX, &v[n].id);
		if (r < 0)
			return r;
	}
	s->mounts = v;
	s->n_mounts = n;
	return 0;
}

static int get_numbers(const struct json *o, struct state *s)
{
	uint64_t pid = 0, creator = 0, created_from = 0, flags = 0, personality = 0, policy = 0;
	int r = get_u64(o, "pid", INT_MAX, &pid);

	if (r == 0)
		r = get_u64(o, "pidSeen", INT64_MAX, &s->pid_seen);
	if (r == 0 && json_member(o, "rootMount") != NULL)
		r = get_u64(o, "rootMount", INT64_MAX, &s->root_mount);
	if (r == 0)
		r = get_u64(o, "creator", INT_MAX, &creator);
	if (r == 0)
		r = get_u64(o, "creatorSeen", INT64_MAX, &s->creator_seen);
	if (r == 0)
		r = get_u64(o, "cgroupCreatedFrom", PATH_MAX, &created_from);
	if (r == 0)
		r = get_u64(o, "namespaces", UINT_MAX, &flags);
	s->has_personality = json_member(o, "personality") != NULL;
	if (r == 0 && s->has_personality)
		r = get_u64(o, "personality", UINT32_MAX, &personality);
	s->personality = (uint32_t)personality;
	s->has_memory_policy = json_member(o, "memoryPolicy") != NULL;
	if (r == 0 && s->has_memory_policy)
		r = get_u64(o, "memoryPolicy", INT_MAX, &policy);
	s->memory_policy = (int)policy;
	s->pid = (pid_t)pid;
	s->creator = (pid_t)creator;
	s->cgroup_created_from = (size_t)created_from;
	s->ns_flags = (unsigned int)flags;
	return r;
}

/* Its name becomes a path that is written to and removed. */
static int get_resctrl(const struct json *o, struct state *s)
{
	uint64_t made = 0;
	int r = get_u64(o, "resctrlMade", RESCTRL_MADE_GROUP | RESCTRL_MADE_MONITOR, &made);

	if (r == 0)
		r = get_bool(o, "resctrlMonitor", &s->resctrl_monitor);
	if (r == 0 && *s->resctrl_group != '\0' && !resctrl_name_ok(s->resctrl_group))
		r = damaged("resctrlGroup");
	s->resctrl_made = (unsigned int)made;
	return r;
}

static int get_texts(const struct json *o, struct state *s)
{
	const struct {
		const char *key;
		const char **dest;
		bool required;
	} texts[] = {
		{ "id", &s->id, true },		   { "bundle", &s->bundle, true },
		{ "rootfs", &s->rootfs, true },	   { "ociVersion", &s->oci_version, true },
		{ "created", &s->created, true },  { "owner", &s->owner, true },
		{ "isolation", &s->isolation, true }, { "cgroup", &s->cgroup_path, false },
		{ "cgroupSlice", &s->cgroup_slice, false }, { "cgroupUnit", &s->cgroup_unit, false },
		{ "memoryNodes", &s->memory_nodes, false },
		{ "seccompListener", &s->seccomp_listener, false },
		{ "seccompMetadata", &s->seccomp_metadata, false },
		{ "resctrlGroup", &s->resctrl_group, false }, { "keyring", &s->keyring, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int r = get_string(o, texts[i].key, texts[i].required, texts[i].dest);

		if (r < 0)
			return r;
	}
	return 0;
}

int state_parse(struct arena *a, const char *text, unsigned long len, struct state *s)
{
	const struct json *o;
	uint64_t version = 0;
	int r = json_parse(a, STATE_FILE, text, len, 16, &o);

	*s = (struct state){ 0 };
	if (r < 0)
		return r == -ENOMEM ? r : ERR_CONTEXT(-EBADMSG, "its state file is damaged");
	if (o->type != JSON_OBJECT || get_u64(o, "version", INT_MAX, &version) < 0)
		return damaged("version");
	if (version != STATE_VERSION)
		return ERR_PLAIN(-EBADMSG, "its state file has version %llu, this nacre knows %d",
				 (unsigned long long)version, STATE_VERSION);
	r = get_texts(o, s);
	if (r == 0)
		r = get_numbers(o, s);
	if (r == 0)
		r = get_bool(o, "hasProcess", &s->has_process);
	if (r == 0)
		r = get_bool(o, "cgroupOwned", &s->cgroup_owned);
	if (r == 0 && s->cgroup_unit != NULL)
		r = get_bool(o, "cgroupUser", &s->cgroup_user);
	if (r == 0 && s->resctrl_group != NULL)
		r = get_resctrl(o, s);
	if (r == 0)
		r = get_hooks(a, o, "poststart", &s->hooks[HOOK_POSTSTART]);
	if (r == 0)
		r = get_hooks(a, o, "poststop", &s->hooks[HOOK_POSTSTOP]);
	if (r == 0)
		r = get_mounts(a, o, s);
	return r < 0 ? r : get_annotations(a, o, s);
}

int state_load(struct arena *a, int dir, struct state *s)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(dir, STATE_FILE, STATE_MAX, &text, &len);

	if (r == -ENOENT)
		return r;
	if (r < 0)
		return ERR(r, "cannot read its state file");
	if (len == 0)	/* between open and the one write, or killed there */
		return -ENOENT;
	return state_parse(a, text, len, s);
}

/* runtime-spec runtime.md "State". */
void state_write_oci(struct json_writer *w, const struct state *s, enum container_status status, pid_t pid,
		     unsigned int flags)
{
	bool extra = (flags & STATE_WRITE_EXTRA) != 0;

	json_object_open(w);
	json_kv_string(w, "ociVersion", s->oci_version);
	json_kv_string(w, "id", s->id);
	json_kv_int(w, "pid", pid);
	json_kv_string(w, "status", status_name(status));
	if (flags & STATE_WRITE_OOM_KILLED)
		json_kv_bool(w, "oomKilled", true);
	json_kv_string(w, "bundle", s->bundle);
	if (extra) {
		json_kv_string(w, "rootfs", s->rootfs);
		if (s->created != NULL)
			json_kv_string(w, "created", s->created);
	}
	write_annotations(w, s);
	if (extra)
		json_kv_string(w, "owner", s->owner);
	json_object_close(w);
}
