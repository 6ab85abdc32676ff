/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime-spec "linux.resources": the device rules, and whether any other limit
 * is asked for. Limits are checked for their types, but only the first one's
 * JSON path is kept, in document order.
 *
 * A limit counts as asked for when it differs from what a fresh cgroup has:
 * engines write "shares": 0, "limit": -1 or "disableOOMKiller": false for "none".
 */
#include "oci/spec_parse.h"

#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* Device rules */

/* Both null and -1 are "any". */
static int read_number_or_any(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	return spec_signed(r, j, -1, UINT32_MAX, (int64_t *)(void *)((char *)object + f->at));
}

static int read_rule_type(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_device_rule *rule = object;

	(void)f;
	if (j->type != JSON_STRING)
		return spec_bad_type(r, j, json_type_name(JSON_STRING));
	if (j->text[0] == '\0')
		return 0;
	if (j->text[1] != '\0' || strchr("acb", j->text[0]) == NULL)
		return spec_bad(r, j, "must be \"a\", \"c\" or \"b\", not %s", json_quote(r->arena, j->text));
	rule->type = j->text[0];
	return 0;
}

static int read_access(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_device_rule *rule = object;

	(void)f;
	if (j->type != JSON_STRING)
		return spec_bad_type(r, j, json_type_name(JSON_STRING));
	if (j->text[strspn(j->text, "rwm")] != '\0')
		return spec_bad(r, j, "must be of the letters r, w and m, not %s", json_quote(r->arena, j->text));
	rule->read = strchr(j->text, 'r') != NULL;
	rule->write = strchr(j->text, 'w') != NULL;
	rule->mknod = strchr(j->text, 'm') != NULL;
	return 0;
}

static const struct field rule_fields[] = {
	{ F_BOOL(struct spec_device_rule, "allow", allow), F_REQUIRED },
	{ F_OWN("type", read_rule_type) },
	{ .name = "major", .read = read_number_or_any, .at = FIELD_AT(struct spec_device_rule, major, int64_t) },
	{ .name = "minor", .read = read_number_or_any, .at = FIELD_AT(struct spec_device_rule, minor, int64_t) },
	{ F_OWN("access", read_access) },
};

static const struct shape rule_shape = SHAPE(struct spec_device_rule, rule_fields, NULL);

static int read_device_rules(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_linux *l = object;
	struct spec_device_rule *v;
	size_t n = 0;

	(void)f;
	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	v = arena_array(r->arena, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		struct spec_device_rule *rule = &v[n++];
		int ret;

		*rule = (struct spec_device_rule){ .type = 'a', .major = -1, .minor = -1 };
		ret = spec_read_object(r, e, &rule_shape, rule);
		if (ret < 0)
			return ret;
		if (!rule->read && !rule->write && !rule->mknod)
			rule->read = rule->write = rule->mknod = true;
	}
	l->device_rules = v;
	l->n_device_rules = n;
	return 0;
}

/* Limits: each reader gets the struct spec_linux. */

static int limit_set(const struct spec_reader *r, const struct json *j, void *object)
{
	struct spec_linux *l = object;

	if (l->first_limit == NULL)
		l->first_limit = json_path(r->arena, j);
	return 0;
}

static int limit_signed(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int64_t v;
	int ret = spec_signed(r, j, f->min, INT64_MAX, &v);

	return ret == 0 && v != -1 ? limit_set(r, j, object) : ret;
}

static int limit_unsigned(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint64_t v;
	int ret = spec_unsigned(r, j, 0, f->max, &v);

	return ret == 0 ? limit_set(r, j, object) : ret;
}

static int limit_positive(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint64_t v;
	int ret = spec_unsigned(r, j, 0, f->max, &v);

	return ret == 0 && v != 0 ? limit_set(r, j, object) : ret;
}

static int limit_quota(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int64_t v;
	int ret = spec_signed(r, j, f->min, INT64_MAX, &v);

	return ret == 0 && v > 0 ? limit_set(r, j, object) : ret;
}

static int limit_bool(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_BOOL)
		return spec_bad_type(r, j, json_type_name(JSON_BOOL));
	return j->boolean ? limit_set(r, j, object) : 0;
}

static int limit_string(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_STRING)
		return spec_bad_type(r, j, json_type_name(JSON_STRING));
	return j->text[0] != '\0' ? limit_set(r, j, object) : 0;
}

static int limit_members(const struct spec_reader *r, const struct json *j, enum json_type type, void *object)
{
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		if (e->type == JSON_NULL && j->type == JSON_OBJECT)
			continue;
		if (e->type != type)
			return spec_bad_type(r, e, json_type_name(type));
		limit_set(r, e, object);
	}
	return 0;
}

/* Arrays of objects. */
static int limit_list(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	return limit_members(r, j, JSON_OBJECT, object);
}

/* rdma: an object of objects, by device. */
static int limit_objects(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	return limit_members(r, j, JSON_OBJECT, object);
}

/* unified: an object of strings, by cgroup file. */
static int limit_strings(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	return limit_members(r, j, JSON_STRING, object);
}

#define LIMIT(name_, read_) { .name = (name_), .read = (read_), .min = INT64_MIN, .max = UINT64_MAX }
#define LIMIT_MAX(name_, read_, max_) { .name = (name_), .read = (read_), .max = (max_) }

static const struct field memory_fields[] = {
	LIMIT("limit", limit_signed),
	LIMIT("reservation", limit_signed),
	LIMIT("swap", limit_signed),
	LIMIT("kernel", limit_signed),
	LIMIT("kernelTCP", limit_signed),
	LIMIT("swappiness", limit_unsigned),
	LIMIT("disableOOMKiller", limit_bool),
	LIMIT("useHierarchy", limit_bool),
	LIMIT("checkBeforeUpdate", limit_bool),
};

static const struct field cpu_fields[] = {
	LIMIT("shares", limit_positive),
	LIMIT("quota", limit_quota),
	LIMIT("burst", limit_positive),
	LIMIT("period", limit_positive),
	LIMIT("realtimeRuntime", limit_quota),
	LIMIT("realtimePeriod", limit_positive),
	LIMIT("cpus", limit_string),
	LIMIT("mems", limit_string),
	LIMIT("idle", limit_quota),
};

static const struct field pids_fields[] = {
	LIMIT("limit", limit_signed), /* 0 is a limit */
};

static const struct field block_io_fields[] = {
	LIMIT_MAX("weight", limit_positive, UINT16_MAX),
	LIMIT_MAX("leafWeight", limit_positive, UINT16_MAX),
	LIMIT("weightDevice", limit_list),
	LIMIT("throttleReadBpsDevice", limit_list),
	LIMIT("throttleWriteBpsDevice", limit_list),
	LIMIT("throttleReadIOPSDevice", limit_list),
	LIMIT("throttleWriteIOPSDevice", limit_list),
};

static const struct field network_fields[] = {
	LIMIT_MAX("classID", limit_positive, UINT32_MAX),
	LIMIT("priorities", limit_list),
};

static const struct shape memory = SHAPE(struct spec_linux, memory_fields, NULL);
static const struct shape cpu = SHAPE(struct spec_linux, cpu_fields, NULL);
static const struct shape pids = SHAPE(struct spec_linux, pids_fields, NULL);
static const struct shape block_io = SHAPE(struct spec_linux, block_io_fields, NULL);
static const struct shape network = SHAPE(struct spec_linux, network_fields, NULL);

static const struct field resources_fields[] = {
	{ F_OWN("devices", read_device_rules) },
	{ F_OWN("memory", read_embedded), .shape = &memory },
	{ F_OWN("cpu", read_embedded), .shape = &cpu },
	{ F_OWN("pids", read_embedded), .shape = &pids },
	{ F_OWN("blockIO", read_embedded), .shape = &block_io },
	LIMIT("hugepageLimits", limit_list),
	{ F_OWN("network", read_embedded), .shape = &network },
	LIMIT("rdma", limit_objects),
	LIMIT("unified", limit_strings),
};

const struct shape spec_shape_resources = SHAPE(struct spec_linux, resources_fields, NULL);
