/* SPDX-License-Identifier: Apache-2.0 */
/* runtime-spec "linux", but for its resources and seccomp. */
#include "oci/spec_parse.h"

#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

static const char *const namespace_names[] = {
	"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
};

/* The r… forms are not in the specification's list, but in every engine's. */
static const char *const propagation_names[] = {
	"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable",
};

static const char *const domain_names[] = { "LINUX", "LINUX32" };

static const char *const memory_mode_names[] = {
	"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY",
	"MPOL_LOCAL",
};

static const char *const memory_flag_names[] = {
	"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES",
};

static const struct words memory_modes = WORDS("memory policy", memory_mode_names);
static const struct words memory_flags = WORDS("memory policy flag", memory_flag_names);
static const struct words namespaces = WORDS("namespace type", namespace_names);
static const struct words propagations = WORDS("mount propagation", propagation_names);
static const struct words domains = WORDS("execution domain", domain_names);

static const struct field namespace_fields[] = {
	{ F_WORD(struct spec_namespace, "type", type, &namespaces), F_REQUIRED },
	{ F_PATH(struct spec_namespace, "path", path) },
};

static const struct shape namespace_shape = SHAPE(struct spec_namespace, namespace_fields, NULL);

/* ID mappings, of the user namespace and of mounts */

static const struct field id_map_fields[] = {
	{ F_U32(struct spec_id_map, "containerID", container_id, 0, UINT32_MAX), F_REQUIRED },
	{ F_U32(struct spec_id_map, "hostID", host_id, 0, UINT32_MAX), F_REQUIRED },
	{ F_U32(struct spec_id_map, "size", size, 1, UINT32_MAX), F_REQUIRED },
};

static int finish_id_map(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_id_map *m = object;

	/* The last id must be one: 4294967295 is not. */
	if (m->container_id > UINT32_MAX - m->size)
		return spec_bad(r, j, "containerID + size is past the last id");
	if (m->host_id > UINT32_MAX - m->size)
		return spec_bad(r, j, "hostID + size is past the last id");
	return 0;
}

const struct shape spec_shape_id_map = SHAPE(struct spec_id_map, id_map_fields, finish_id_map);

/* Time offsets */

static const struct field offset_fields[] = {
	{ F_I64(struct spec_time_offset, "secs", secs, INT64_MIN, INT64_MAX) },
	{ F_U32(struct spec_time_offset, "nanosecs", nanosecs, 0, 999999999) },
};

static const struct shape offset = SHAPE(struct spec_time_offset, offset_fields, NULL);

static const struct field clock_fields[] = {
	{ F_EMBEDDED(struct spec_linux, "monotonic", struct spec_time_offset, monotonic, &offset),
	  F_HAS(struct spec_linux, monotonic.present) },
	{ F_EMBEDDED(struct spec_linux, "boottime", struct spec_time_offset, boottime, &offset),
	  F_HAS(struct spec_linux, boottime.present) },
};

/* Its names are not properties but values (a map by clock), so an unknown one is an error. */
static int finish_clocks(const struct spec_reader *r, const struct json *j, void *object)
{
	(void)object;
	for (const struct json *m = j->child; m != NULL; m = m->next)
		if (!str_eq(m->key, "monotonic") && !str_eq(m->key, "boottime"))
			return spec_bad(r, j, "%s is not a known clock", json_quote(r->arena, m->key));
	return 0;
}

static const struct shape clocks = SHAPE(struct spec_linux, clock_fields, finish_clocks);

/* Network devices: a map from the host's name */

static const struct field net_device_fields[] = {
	{ F_STRING(struct spec_net_device, "name", new_name) },
};

static const struct shape net_device = SHAPE(struct spec_net_device, net_device_fields, NULL);

static int read_net_devices(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_linux *l = object;
	struct spec_net_device *v;

	if (j->type != JSON_OBJECT)
		return spec_bad_type(r, j, json_type_name(JSON_OBJECT));
	v = arena_array(r->arena, j->n, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (const struct json *m = j->child; m != NULL; m = m->next) {
		struct spec_net_device *d = &v[l->n_net_devices++];
		int e = m->type == JSON_NULL ? 0 : spec_read_object(r, m, f->shape, d);

		if (e < 0)
			return e;
		d->name = m->key;
		if (d->new_name != NULL && *d->new_name == '\0')
			d->new_name = NULL;
	}
	l->net_devices = v;
	return 0;
}

/* Devices */

static int read_device_type(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_device *d = object;

	(void)f;
	if (j->type != JSON_STRING)
		return spec_bad_type(r, j, json_type_name(JSON_STRING));
	if (strlen(j->text) != 1 || strchr("cbup", j->text[0]) == NULL)
		return spec_bad(r, j, "must be \"c\", \"b\", \"u\" or \"p\", not %s", json_quote(r->arena, j->text));
	/* "u" is mknod(1)'s word for a character device without buffers; Linux has no other. */
	d->type = j->text[0] == 'u' ? 'c' : j->text[0];
	return 0;
}

static const struct field device_fields[] = {
	{ F_PATH(struct spec_device, "path", path), F_REQUIRED },
	{ F_OWN("type", read_device_type), F_REQUIRED },
	{ F_I64(struct spec_device, "major", major, 0, UINT32_MAX) },
	{ F_I64(struct spec_device, "minor", minor, 0, UINT32_MAX) },
	{ F_U32(struct spec_device, "fileMode", mode, 0, 0177777), F_HAS(struct spec_device, has_mode) },
	{ F_U32(struct spec_device, "uid", uid, 0, SPEC_ID_MAX), F_HAS(struct spec_device, has_uid) },
	{ F_U32(struct spec_device, "gid", gid, 0, SPEC_ID_MAX), F_HAS(struct spec_device, has_gid) },
};

static int finish_device(const struct spec_reader *r, const struct json *j, void *object)
{
	static const char *const numbers[] = { "major", "minor" };
	struct spec_device *d = object;

	if (d->type == 'p') {
		d->major = d->minor = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct json *m = json_member(j, numbers[i]);

		if (m == NULL || m->type == JSON_NULL)
			return spec_missing(r, j, numbers[i]);
	}
	return 0;
}

static const struct shape device = SHAPE(struct spec_device, device_fields, finish_device);

/* Personality */

static int read_no_flags(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	(void)object;
	if (j->type != JSON_ARRAY)
		return spec_bad_type(r, j, json_type_name(JSON_ARRAY));
	return j->n > 0 ? spec_bad(r, j, "must be empty: the specification has no flags yet") : 0;
}

static const struct field personality_fields[] = {
	{ F_WORD(struct spec_linux, "domain", personality_domain, &domains), F_REQUIRED },
	{ F_OWN("flags", read_no_flags) },
};

static const struct shape personality = SHAPE(struct spec_linux, personality_fields, NULL);

/* Memory policy */

static const struct field memory_policy_fields[] = {
	{ F_WORD(struct spec_memory_policy, "mode", mode, &memory_modes), F_REQUIRED },
	{ .name = "nodes", .read = read_number_list, .at = FIELD_AT(struct spec_memory_policy, nodes, const char *) },
	{ F_WORDS(struct spec_memory_policy, "flags", flags, &memory_flags) },
};

/* set_mempolicy(2): which mode takes nodes. */
static int finish_memory_policy(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_memory_policy *m = object;
	bool none = str_eq(m->mode, "MPOL_DEFAULT") || str_eq(m->mode, "MPOL_LOCAL");

	if (none && m->nodes != NULL && *m->nodes != '\0')
		return spec_bad(r, j, "%s takes no nodes", m->mode);
	if (!none && !str_eq(m->mode, "MPOL_PREFERRED") && (m->nodes == NULL || *m->nodes == '\0'))
		return spec_bad(r, j, "%s needs at least one node", m->mode);
	if (str_in("MPOL_F_RELATIVE_NODES", m->flags.v, m->flags.n) && str_in("MPOL_F_STATIC_NODES", m->flags.v, m->flags.n))
		return spec_bad(r, j, "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other");
	return 0;
}

static const struct shape memory_policy = SHAPE(struct spec_memory_policy, memory_policy_fields, finish_memory_policy);

/* Intel RDT */

static const struct field intel_rdt_fields[] = {
	{ F_STRING(struct spec_intel_rdt, "closID", clos_id) },
	{ F_STRING(struct spec_intel_rdt, "l3CacheSchema", l3_cache_schema) },
	{ F_STRING(struct spec_intel_rdt, "memBwSchema", mem_bw_schema) },
	{ F_STRV(struct spec_intel_rdt, "schemata", schemata, read_strings) },
	{ F_BOOL(struct spec_intel_rdt, "enableMonitoring", monitoring) },
};

/* "MUST": of l3CacheSchema the specification asks for the like with SHOULD only, and earlier ones had several lines in it. */
static int finish_intel_rdt(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_intel_rdt *v = object;

	if (v->mem_bw_schema != NULL && !str_starts(v->mem_bw_schema, "MB:"))
		return spec_bad(r, j, "memBwSchema must start with MB:");
	if (v->mem_bw_schema != NULL && strchr(v->mem_bw_schema, '\n') != NULL)
		return spec_bad(r, j, "memBwSchema must not contain a line break");
	for (size_t i = 0; i < v->schemata.n; i++)
		if (*v->schemata.v[i] == '\0' || strchr(v->schemata.v[i], '\n') != NULL)
			return spec_bad(r, j, "schemata[%zu] must be one line", i);
	return 0;
}

static const struct shape intel_rdt = SHAPE(struct spec_intel_rdt, intel_rdt_fields, finish_intel_rdt);

static const struct field linux_fields[] = {
	{ F_LIST(struct spec_linux, "namespaces", struct spec_namespace, namespaces, n_namespaces, &namespace_shape) },
	{ F_LIST(struct spec_linux, "uidMappings", struct spec_id_map, uid_map, n_uid_map, &spec_shape_id_map) },
	{ F_LIST(struct spec_linux, "gidMappings", struct spec_id_map, gid_map, n_gid_map, &spec_shape_id_map) },
	{ F_OWN("timeOffsets", read_embedded), .shape = &clocks },
	{ F_LIST(struct spec_linux, "devices", struct spec_device, devices, n_devices, &device) },
	{ F_STRING(struct spec_linux, "cgroupsPath", cgroups_path) },
	{ F_EMBEDDED(struct spec_linux, "resources", struct spec_resources, resources, &spec_shape_resources) },
	{ F_MAP(struct spec_linux, "sysctl", sysctl, n_sysctl) },
	{ F_EMBEDDED(struct spec_linux, "seccomp", struct spec_seccomp, seccomp, &spec_shape_seccomp),
	  F_HAS(struct spec_linux, seccomp.present) },
	{ F_WORD(struct spec_linux, "rootfsPropagation", rootfs_propagation, &propagations) },
	{ F_STRV(struct spec_linux, "maskedPaths", masked_paths, read_paths) },
	{ F_STRV(struct spec_linux, "readonlyPaths", readonly_paths, read_paths) },
	{ F_STRING(struct spec_linux, "mountLabel", mount_label) },
	{ F_OWN("personality", read_embedded), .shape = &personality },
	{ F_EMBEDDED(struct spec_linux, "intelRdt", struct spec_intel_rdt, intel_rdt, &intel_rdt),
	  F_HAS(struct spec_linux, intel_rdt.present) },
	{ F_EMBEDDED(struct spec_linux, "memoryPolicy", struct spec_memory_policy, memory_policy, &memory_policy),
	  F_HAS(struct spec_linux, memory_policy.present) },
	{ F_OWN("netDevices", read_net_devices), .shape = &net_device },
};

const struct shape spec_shape_linux = SHAPE(struct spec_linux, linux_fields, NULL);
