/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds which limit. Memory, CPU time, I/O and RDMA are the machine's: its cgroup on the host has the monitor, the guest's
 * memory and processors, and the file server in it. The number of processes, devices and huge pages are the
 * guest's: the host sees none of them, and a limit of ten processes would keep the monitor from having threads.
 */
#include "runtime/microvm_parts.h"

#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/str.h"

static bool of_guest(const char *file)
{
	return str_starts(file, "pids.") || str_starts(file, "hugetlb.");
}

struct cgroup_resources microvm_host_resources(struct arena *a, const struct cgroup_resources *r)
{
	struct cgroup_resources host = *r;
	struct cgroup_unified *v = arena_array(a, r->n_unified, sizeof(*v));

	host.has_pids = false;
	host.hugepages = NULL;
	host.n_hugepages = 0;
	host.unified = v;
	host.n_unified = 0;
	for (size_t i = 0; v != NULL && i < r->n_unified; i++)
		if (!of_guest(r->unified[i].file))
			v[host.n_unified++] = r->unified[i];
	return host;
}

static void write_devices(struct json_writer *w, const struct update_req *u)
{
	json_key(w, "devices");
	json_array_open(w);
	for (size_t i = 0; i < u->n_device_rules; i++) {
		const struct cgroup_device_rule *d = &u->device_rules[i];
		const char type[] = { d->type, '\0' };
		char access[4];
		size_t n = 0;

		if (d->read)
			access[n++] = 'r';
		if (d->write)
			access[n++] = 'w';
		if (d->mknod)
			access[n++] = 'm';
		access[n] = '\0';
		json_object_open(w);
		json_kv_bool(w, "allow", d->allow);
		json_kv_string(w, "type", type);
		json_kv_int(w, "major", d->major);
		json_kv_int(w, "minor", d->minor);
		json_kv_string(w, "access", access);
		json_object_close(w);
	}
	json_array_close(w);
}

static void write_hugepages(struct json_writer *w, const struct cgroup_resources *r)
{
	json_key(w, "hugepageLimits");
	json_array_open(w);
	for (size_t i = 0; i < r->n_hugepages; i++) {
		json_object_open(w);
		json_kv_string(w, "pageSize", r->hugepages[i].size);
		json_kv_uint(w, "limit", r->hugepages[i].limit);
		json_object_close(w);
	}
	json_array_close(w);
}

static bool write_unified(struct json_writer *w, const struct cgroup_resources *r)
{
	bool any = false;

	json_key(w, "unified");
	json_object_open(w);
	for (size_t i = 0; i < r->n_unified; i++)
		if (of_guest(r->unified[i].file)) {
			json_kv_string(w, r->unified[i].file, r->unified[i].value);
			any = true;
		}
	json_object_close(w);
	return any;
}

char *microvm_guest_resources(const struct update_req *u, size_t *ret_len, bool *ret_any)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	const struct cgroup_resources *r = &u->resources;
	bool any = r->has_pids || u->has_devices || r->n_hugepages > 0;

	json_object_open(w);
	if (r->has_pids) {
		json_key(w, "pids");
		json_object_open(w);
		json_kv_int(w, "limit", r->pids);
		json_object_close(w);
	}
	if (u->has_devices)
		write_devices(w, u);
	if (r->n_hugepages > 0)
		write_hugepages(w, r);
	any = write_unified(w, r) || any;
	json_object_close(w);
	*ret_any = any;
	return json_writer_take(w, ret_len);
}
