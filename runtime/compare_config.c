/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle's config.json, with the workload in the place of its process. Pure. See compare.h. */
#include "runtime/compare.h"

#include <errno.h>
#include <stdlib.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/isolation.h"
#include "runtime/plan_vm.h"

#define NAME "config.json"
#define DEPTH_MAX 64
#define ARENA_MAX ((size_t)64 << 20)

static int parse(struct arena *a, const char *text, size_t len, const struct json **ret)
{
	int r = a == NULL ? ERR_NOMEM() : json_parse(a, NAME, text, len, DEPTH_MAX, ret);

	return r == 0 && (*ret)->type != JSON_OBJECT ? ERR_PLAIN(-EINVAL, NAME ": must be an object") : r;
}

int compare_rootfs(const char *text, size_t len, const char *bundle, char **ret_path)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	const struct json *o, *path;
	int r = parse(a, text, len, &o);

	if (r < 0)
		return r;
	path = json_member(json_member(o, "root") != NULL ? json_member(o, "root") : o, "path");
	if (json_member(o, "root") == NULL || path == NULL || path->type != JSON_STRING || path->text[0] == '\0')
		return ERR_HINT(ERR_PLAIN(-EINVAL, NAME ": root.path: is missing"), "compare needs a folder that is the root file system");
	*ret_path = path->text[0] == '/' ? str_printf("%s", path->text) : str_printf("%s/%s", bundle, path->text);
	return *ret_path == NULL ? ERR_NOMEM() : 0;
}

/* An object's members but those of skip, into the object that is open. */
static void copy_members(struct json_writer *w, const struct json *o, const char *const *skip, size_t n_skip)
{
	if (o == NULL || o->type != JSON_OBJECT)
		return;
	for (const struct json *c = o->child; c != NULL; c = c->next) {
		if (str_in(c->key, skip, n_skip))
			continue;
		json_key(w, c->key);
		json_value(w, c);
	}
}

static void write_process(struct json_writer *w, const struct json *in, const struct compare_config_req *q)
{
	static const char *const skip[] = { "args", "terminal", "consoleSize", "cwd" };

	json_key(w, "process");
	json_object_open(w);
	copy_members(w, in, skip, ARRAY_SIZE(skip));
	if (json_member(in, "user") == NULL) {
		json_key(w, "user");
		json_object_open(w);
		json_kv_int(w, "uid", 0);
		json_kv_int(w, "gid", 0);
		json_object_close(w);
	}
	json_kv_string(w, "cwd", "/");
	json_kv_strings(w, "args", q->args, q->n_args);
	json_object_close(w);
}

static bool is_type(const struct json *namespace, const char *type)
{
	const struct json *t = json_member(namespace, "type");

	return t != NULL && t->type == JSON_STRING && str_eq(t->text, type);
}

int compare_own_network(const char *text, size_t len, bool *ret)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	const struct json *o, *namespaces;
	int r = parse(a, text, len, &o);

	*ret = false;
	if (r < 0)
		return r;
	namespaces = json_member(json_member(o, "linux"), "namespaces");
	for (const struct json *c = namespaces != NULL ? namespaces->child : NULL; c != NULL; c = c->next)
		if (is_type(c, "network"))
			*ret = json_member(c, "path") == NULL;
	return 0;
}

static void write_namespaces(struct json_writer *w, const struct json *in, const char *netns)
{
	json_key(w, "namespaces");
	json_array_open(w);
	for (const struct json *c = in->child; c != NULL; c = c->next) {
		if (is_type(c, "time"))
			continue;
		if (netns != NULL && is_type(c, "network")) {
			json_object_open(w);
			json_kv_string(w, "type", "network");
			json_kv_string(w, "path", netns);
			json_object_close(w);
		} else {
			json_value(w, c);
		}
	}
	json_array_close(w);
}

static void write_linux(struct json_writer *w, const struct json *in, const char *netns)
{
	static const char *const skip[] = { "cgroupsPath", "timeOffsets", "namespaces", "netDevices" };
	const struct json *namespaces = json_member(in, "namespaces");

	json_key(w, "linux");
	json_object_open(w);
	copy_members(w, in, skip, ARRAY_SIZE(skip));
	if (namespaces != NULL && namespaces->type == JSON_ARRAY)
		write_namespaces(w, namespaces, netns);
	json_object_close(w);
}

static bool binds(const struct json *mount)
{
	const struct json *options = json_member(mount, "options");

	for (const struct json *c = options != NULL ? options->child : NULL; c != NULL; c = c->next)
		if (c->type == JSON_STRING && (str_eq(c->text, "bind") || str_eq(c->text, "rbind")))
			return true;
	return false;
}

/* A bind mount's source may be relative to the bundle, which is another one now. */
static void write_mount(struct json_writer *w, const struct json *in, const char *bundle)
{
	static const char *const skip[] = { "source" };
	const struct json *source = json_member(in, "source");
	_cleanup_free_ char *path = NULL;

	if (source == NULL || source->type != JSON_STRING || source->text[0] == '/' || source->text[0] == '\0' || !binds(in)) {
		json_value(w, in);
		return;
	}
	path = str_printf("%s/%s", bundle, source->text);
	json_object_open(w);
	copy_members(w, in, skip, ARRAY_SIZE(skip));
	json_kv_string(w, "source", path != NULL ? path : source->text);
	json_object_close(w);
}

static void write_mounts(struct json_writer *w, const struct json *in, const char *bundle)
{
	if (in == NULL || in->type != JSON_ARRAY)
		return;
	json_key(w, "mounts");
	json_array_open(w);
	for (const struct json *c = in->child; c != NULL; c = c->next)
		write_mount(w, c, bundle);
	json_array_close(w);
}

static void write_annotations(struct json_writer *w, const struct json *in, const char *accel)
{
	json_key(w, "annotations");
	json_object_open(w);
	for (const struct json *c = in != NULL && in->type == JSON_OBJECT ? in->child : NULL; c != NULL; c = c->next) {
		if (str_starts(c->key, ANNOTATION_VM) || str_eq(c->key, ANNOTATION_ISOLATION))
			continue;
		json_key(w, c->key);
		json_value(w, c);
	}
	if (accel != NULL)
		json_kv_string(w, ANNOTATION_VM_ACCEL, accel);
	json_object_close(w);
}

/* Which hypervisor is what is compared; the kernel and the size stay. */
static void write_vm(struct json_writer *w, const struct json *in, const char *accel)
{
	static const char *const skip[] = { "hypervisor" };
	bool own = accel != NULL && str_eq(accel, "kvm");

	if (in == NULL || accel == NULL)
		return;
	json_key(w, "vm");
	json_object_open(w);
	copy_members(w, in, skip, own ? ARRAY_SIZE(skip) : 0);
	json_object_close(w);
}

int compare_config(const char *text, size_t len, const struct compare_config_req *q, char **ret_text)
{
	static const char *const skip[] = { "process", "root", "mounts", "hooks", "linux", "annotations", "vm" };
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	_cleanup_json_writer_ struct json_writer *w = NULL;
	const struct json *o;
	int r = parse(a, text, len, &o);

	if (r < 0)
		return r;
	w = json_writer_new(true);
	json_object_open(w);
	copy_members(w, o, skip, ARRAY_SIZE(skip));
	json_key(w, "root");
	json_object_open(w);
	json_kv_string(w, "path", q->rootfs);
	json_object_close(w);
	write_process(w, json_member(o, "process"), q);
	write_mounts(w, json_member(o, "mounts"), q->bundle);
	write_linux(w, json_member(o, "linux"), q->netns);
	write_annotations(w, json_member(o, "annotations"), q->accel);
	write_vm(w, json_member(o, "vm"), q->accel);
	json_object_close(w);
	*ret_text = json_writer_take(w, NULL);
	return *ret_text == NULL ? ERR_NOMEM() : 0;
}
