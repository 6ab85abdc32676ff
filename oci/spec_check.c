/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules between the objects of a config.json: what no single property can break.
 * Works on the finished struct spec; list indices there are those of the JSON.
 */
#include "oci/spec_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* The kernel's UID_GID_MAP_MAX_EXTENTS. */
#define ID_MAPS_MAX 340

/* "1.2.3-rc.1+build": length of the digits of one number, 0 if it is none (leading zeros are not allowed). */
static size_t version_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 1 && s[0] == '0' ? 0 : n;
}

/* The identifiers after '-' or '+', between dots; length, 0 if they are none. */
static size_t version_suffix(const char *s)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-";
	size_t len = 0;

	for (;;) {
		size_t n = strspn(s + len, allowed);

		if (n == 0)
			return 0;
		len += n;
		if (s[len] != '.')
			return len;
		len++;
	}
}

static bool is_semver(const char *s)
{
	for (int i = 0; i < 3; i++) {
		size_t n = version_number(s);

		if (n == 0 || (i < 2 && s[n] != '.'))
			return false;
		s += i < 2 ? n + 1 : n;
	}
	for (const char *mark = "-+"; *mark != '\0'; mark++) {
		size_t n;

		if (*s != *mark)
			continue;
		n = version_suffix(s + 1);
		if (n == 0)
			return false;
		s += n + 1;
	}
	return *s == '\0';
}

static int check_version(const struct spec_reader *r, const struct spec *s)
{
	const char *quoted = json_quote(r->arena, s->oci_version);

	if (!is_semver(s->oci_version))
		return ERR_PLAIN(-EINVAL, "%s: ociVersion: %s is not a version such as \"" SPEC_VERSION "\"", r->name,
				 quoted);
	if (!str_starts(s->oci_version, "1."))
		return ERR_PLAIN(-EINVAL, "%s: ociVersion: %s is not a version 1 of the specification", r->name,
				 quoted);
	return 0;
}

/* Process */

int spec_check_process(const struct spec_reader *r, const struct spec_process *p, const char *prefix)
{
	/* Their names are a closed vocabulary, so the search ends at the 17th at the latest. */
	for (size_t i = 0; i < p->n_rlimits; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(p->rlimits[i].type, p->rlimits[k].type))
				return ERR_PLAIN(-EINVAL, "%s: %srlimits[%zu].type: %s is listed twice", r->name, prefix,
						 i, p->rlimits[i].type);
	return 0;
}

/* Namespaces, and what needs one */

static const struct spec_namespace *find_namespace(const struct spec *s, const char *type)
{
	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		if (str_eq(s->linux_.namespaces[i].type, type))
			return &s->linux_.namespaces[i];
	return NULL;
}

static int check_namespaces(const struct spec_reader *r, const struct spec *s)
{
	const struct spec_namespace *v = s->linux_.namespaces;

	/* As with rlimits: a closed vocabulary. */
	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(v[i].type, v[k].type))
				return ERR_PLAIN(-EINVAL, "%s: linux.namespaces[%zu].type: %s is listed twice",
						 r->name, i, v[i].type);
	return 0;
}

static int check_needs(const struct spec_reader *r, const struct spec *s)
{
	const struct spec_linux *l = &s->linux_;
	const struct {
		bool set;
		const char *path, *type;
		bool new;	/* one to join is not enough */
	} needs[] = {
		{ s->hostname != NULL, "hostname", "uts", false },
		{ s->domainname != NULL, "domainname", "uts", false },
		{ l->n_uid_map > 0, "linux.uidMappings", "user", false },
		{ l->n_gid_map > 0, "linux.gidMappings", "user", false },
		{ l->monotonic.present || l->boottime.present, "linux.timeOffsets", "time", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		const struct spec_namespace *ns = find_namespace(s, needs[i].type);

		if (!needs[i].set)
			continue;
		if (ns == NULL)
			return ERR_PLAIN(-EINVAL, "%s: %s: needs a %s namespace", r->name, needs[i].path,
					 needs[i].type);
		if (needs[i].new && ns->path != NULL)
			return ERR_PLAIN(-EINVAL, "%s: %s: needs a new %s namespace, not one to join", r->name,
					 needs[i].path, needs[i].type);
	}
	return 0;
}

/* ID mappings */

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	/* The parser made sure that the sums fit. */
	return a < b + b_size && b < a + a_size;
}

static int check_id_maps(const struct spec_reader *r, const char *path, const struct spec_id_map *v, size_t n)
{
	if (n > ID_MAPS_MAX)
		return ERR_PLAIN(-EINVAL, "%s: %s: has %zu entries, the kernel takes %d", r->name, path, n, ID_MAPS_MAX);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			const char *id = NULL;

			if (overlap(v[i].container_id, v[i].size, v[k].container_id, v[k].size))
				id = "containerID";
			else if (overlap(v[i].host_id, v[i].size, v[k].host_id, v[k].size))
				id = "hostID";
			if (id != NULL)
				return ERR_PLAIN(-EINVAL, "%s: %s[%zu].%s: overlaps with entry %zu", r->name, path, i,
						 id, k);
		}
	}
	return 0;
}

int spec_check_mounts(const struct spec_reader *r, const struct spec *s, const char *prefix)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		char path[64];
		int ret;

		snprintf(path, sizeof(path), "%s[%zu].uidMappings", prefix, i);
		ret = check_id_maps(r, path, m->uid_map, m->n_uid_map);
		if (ret < 0)
			return ret;
		snprintf(path, sizeof(path), "%s[%zu].gidMappings", prefix, i);
		ret = check_id_maps(r, path, m->gid_map, m->n_gid_map);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int check_document_mounts(const struct spec_reader *r, const struct spec *s)
{
	return spec_check_mounts(r, s, "mounts");
}

/* Devices */

static int compare_devices(const void *a, const void *b)
{
	const struct spec_device *const *x = a, *const *y = b;
	int c = strcmp((*x)->path, (*y)->path);

	return c != 0 ? c : (*x > *y) - (*x < *y);
}

static int check_devices(const struct spec_reader *r, const struct spec *s)
{
	size_t n = s->linux_.n_devices;
	const struct spec_device **v = arena_array(r->arena, n, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++)
		v[i] = &s->linux_.devices[i];
	qsort(v, n, sizeof(*v), compare_devices);
	for (size_t i = 1; i < n; i++)
		if (str_eq(v[i - 1]->path, v[i]->path))
			return ERR_PLAIN(-EINVAL, "%s: linux.devices[%zu].path: %s is listed twice", r->name,
					 (size_t)(v[i] - s->linux_.devices), json_quote(r->arena, v[i]->path));
	return 0;
}

static int check_user_maps(const struct spec_reader *r, const struct spec *s)
{
	int ret = check_id_maps(r, "linux.uidMappings", s->linux_.uid_map, s->linux_.n_uid_map);

	if (ret == 0)
		ret = check_id_maps(r, "linux.gidMappings", s->linux_.gid_map, s->linux_.n_gid_map);
	return ret;
}

static int check_document_process(const struct spec_reader *r, const struct spec *s)
{
	return s->process != NULL ? spec_check_process(r, s->process, "process.") : 0;
}

/* An image in the root file system's place leaves nothing to be said but that it is read-only. */
static int check_root(const struct spec_reader *r, const struct spec *s)
{
	if (s->has_root && s->root.path == NULL && s->vm.image.path == NULL)
		return ERR_PLAIN(-EINVAL, "%s: root.path: is missing", r->name);
	return 0;
}

int spec_check(const struct spec_reader *r, const struct spec *s)
{
	static int (*const checks[])(const struct spec_reader *, const struct spec *) = {
		check_version, check_root, check_document_process, check_namespaces, check_needs,
		check_user_maps, check_document_mounts, check_devices,
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		int ret = checks[i](r, s);

		if (ret < 0)
			return ret;
	}
	return 0;
}
