/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime-spec "linux.resources".
 *
 * What only cgroup v1 has is read for its type; set to something that asks for anything, its JSON path
 * is kept in only_v1, for whoever applies the resources to refuse.
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
	struct spec_resources *l = object;
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

/* Of cgroup v1 */

static int set_only_v1(const struct spec_reader *r, const struct json *j, void *object)
{
	struct spec_resources *res = object;

	if (res->only_v1 == NULL)
		res->only_v1 = json_path(r->arena, j);
	return res->only_v1 == NULL ? ERR_NOMEM() : 0;
}

/* Any value asks for something. */
static int read_v1_number(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	uint64_t v;
	int ret = spec_unsigned(r, j, 0, f->max, &v);

	return ret == 0 ? set_only_v1(r, j, object) : ret;
}

/* 0 and -1 are "none". */
static int read_v1_limit(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int64_t v;
	int ret = spec_signed(r, j, -1, f->max > INT64_MAX ? INT64_MAX : (int64_t)f->max, &v);

	return ret == 0 && v > 0 ? set_only_v1(r, j, object) : ret;
}

/* f->min: the value that asks for what cgroup v2 has not. */
static int read_v1_bool(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	if (j->type != JSON_BOOL)
		return spec_bad_type(r, j, json_type_name(JSON_BOOL));
	return j->boolean == (f->min != 0) ? set_only_v1(r, j, object) : 0;
}

struct priority {
	const char *name;
	uint32_t priority;
};

static const struct field priority_fields[] = {
	{ F_STRING(struct priority, "name", name), F_REQUIRED },
	{ F_U32(struct priority, "priority", priority, 0, UINT32_MAX), F_REQUIRED },
};

static const struct shape priority_shape = SHAPE(struct priority, priority_fields, NULL);

static int read_v1_priorities(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	for (const struct json *e = j->child; e != NULL; e = e->next) {
		struct priority p = { NULL, 0 };
		int ret = spec_read_object(r, e, &priority_shape, &p);

		if (ret < 0)
			return ret;
	}
	return j->n > 0 ? set_only_v1(r, j, object) : 0;
}

/* Limits */

#define R struct spec_resources

/* rdma: an object of objects, by device. */
static const struct field rdma_fields[] = {
	{ F_U32(struct spec_rdma, "hcaHandles", hca_handles, 0, UINT32_MAX), F_HAS(struct spec_rdma, has_hca_handles) },
	{ F_U32(struct spec_rdma, "hcaObjects", hca_objects, 0, UINT32_MAX), F_HAS(struct spec_rdma, has_hca_objects) },
};

static const struct shape rdma_shape = SHAPE(struct spec_rdma, rdma_fields, NULL);

static int read_rdma(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_resources *res = object;
	struct spec_rdma *v;
	size_t n = 0;

	(void)f;
	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	v = arena_array(r->arena, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *m = j->child; m != NULL; m = m->next) {
		int ret;

		if (m->type == JSON_NULL)
			continue;
		v[n].device = m->key;
		ret = spec_read_object(r, m, &rdma_shape, &v[n]);
		if (ret < 0)
			return ret;
		n++;
	}
	res->rdma = v;
	res->n_rdma = n;
	return 0;
}

static const struct field weight_fields[] = {
	{ F_U32(struct spec_device_weight, "major", major, 0, UINT32_MAX), F_REQUIRED },
	{ F_U32(struct spec_device_weight, "minor", minor, 0, UINT32_MAX), F_REQUIRED },
	{ F_U16(struct spec_device_weight, "weight", weight) },
	{ F_U16(struct spec_device_weight, "leafWeight", leaf_weight) },
};

static const struct shape weight_shape = SHAPE(struct spec_device_weight, weight_fields, NULL);

static int read_weight_devices(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_resources *res = object;
	int ret = read_list(r, j, f, object);

	for (size_t i = 0; ret == 0 && i < res->n_weight_devices; i++)
		if (res->weight_devices[i].leaf_weight != 0)
			return set_only_v1(r, j, object);
	return ret;
}

static const struct field rate_fields[] = {
	{ F_U32(struct spec_device_rate, "major", major, 0, UINT32_MAX), F_REQUIRED },
	{ F_U32(struct spec_device_rate, "minor", minor, 0, UINT32_MAX), F_REQUIRED },
	{ F_U64(struct spec_device_rate, "rate", rate), F_REQUIRED },
};

static const struct shape rate_shape = SHAPE(struct spec_device_rate, rate_fields, NULL);

static const struct field hugepage_fields[] = {
	{ F_STRING(struct spec_hugepage_limit, "pageSize", page_size), F_REQUIRED },
	{ F_U64(struct spec_hugepage_limit, "limit", limit), F_REQUIRED },
};

static const struct shape hugepage_shape = SHAPE(struct spec_hugepage_limit, hugepage_fields, NULL);

static const struct field memory_fields[] = {
	{ F_I64(R, "limit", memory_limit, -1, INT64_MAX) },
	{ F_I64(R, "reservation", memory_reservation, -1, INT64_MAX) },
	{ F_I64(R, "swap", memory_swap, -1, INT64_MAX) },
	{ F_OWN("kernel", read_v1_limit), .max = INT64_MAX },
	{ F_OWN("kernelTCP", read_v1_limit), .max = INT64_MAX },
	{ F_OWN("swappiness", read_v1_number), .max = UINT64_MAX },
	{ F_OWN("disableOOMKiller", read_v1_bool), .min = true },
	{ F_OWN("useHierarchy", read_v1_bool), .min = false }, /* cgroup v2 always does */
	{ F_BOOL(R, "checkBeforeUpdate", memory_check_before_update) },
};

static const struct field cpu_fields[] = {
	{ F_U64(R, "shares", cpu_shares) },
	{ F_I64(R, "quota", cpu_quota, INT64_MIN, INT64_MAX) },
	{ F_U64(R, "burst", cpu_burst), F_HAS(R, has_cpu_burst) },
	{ F_U64(R, "period", cpu_period) },
	{ F_OWN("realtimeRuntime", read_v1_limit), .max = INT64_MAX },
	{ F_OWN("realtimePeriod", read_v1_limit), .max = INT64_MAX },
	{ F_STRING(R, "cpus", cpus) },
	{ F_STRING(R, "mems", mems) },
	{ F_I64(R, "idle", cpu_idle, 0, 1), F_HAS(R, has_cpu_idle) },
};

static const struct field pids_fields[] = {
	{ F_I64(R, "limit", pids_limit, INT64_MIN, INT64_MAX), F_HAS(R, has_pids) },
};

#define RATES(name_, m) \
	{ F_LIST(R, name_, struct spec_device_rate, m.v, m.n, &rate_shape) }

static const struct field block_io_fields[] = {
	{ F_U16(R, "weight", block_io_weight) },
	{ F_OWN("leafWeight", read_v1_limit), .max = UINT16_MAX },
	{ .name = "weightDevice", .read = read_weight_devices, .shape = &weight_shape,
	  .at = FIELD_AT(R, weight_devices, const struct spec_device_weight *), .aux = FIELD_AT(R, n_weight_devices, size_t) },
	RATES("throttleReadBpsDevice", read_bps),
	RATES("throttleWriteBpsDevice", write_bps),
	RATES("throttleReadIOPSDevice", read_iops),
	RATES("throttleWriteIOPSDevice", write_iops),
};

static const struct field network_fields[] = {
	{ F_OWN("classID", read_v1_limit), .max = UINT32_MAX },
	{ F_OWN("priorities", read_v1_priorities), .shape = &priority_shape },
};

static const struct shape memory = SHAPE(R, memory_fields, NULL);
static const struct shape cpu = SHAPE(R, cpu_fields, NULL);
static const struct shape pids = SHAPE(R, pids_fields, NULL);
static const struct shape block_io = SHAPE(R, block_io_fields, NULL);
static const struct shape network = SHAPE(R, network_fields, NULL);

static const struct field resources_fields[] = {
	{ F_OWN("devices", read_device_rules), .shape = &rule_shape, F_HAS(R, has_devices) },
	{ F_OWN("memory", read_embedded), .shape = &memory },
	{ F_OWN("cpu", read_embedded), .shape = &cpu },
	{ F_OWN("pids", read_embedded), .shape = &pids },
	{ F_OWN("blockIO", read_embedded), .shape = &block_io },
	{ F_LIST(R, "hugepageLimits", struct spec_hugepage_limit, hugepage_limits, n_hugepage_limits, &hugepage_shape) },
	{ F_OWN("network", read_embedded), .shape = &network },
	{ F_OWN("rdma", read_rdma), .shape = &rdma_shape },
	{ F_MAP(R, "unified", unified, n_unified) },
};

const struct shape spec_shape_resources = SHAPE(R, resources_fields, NULL);
