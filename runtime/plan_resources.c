/* SPDX-License-Identifier: Apache-2.0 */
/* See plan_resources.h. */
#include "runtime/plan_resources.h"

#include <errno.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

static int copy_weights(struct arena *a, const struct spec_resources *in, struct cgroup_resources *ret)
{
	struct cgroup_device_weight *v = arena_array(a, in->n_weight_devices, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_weight_devices; i++) {
		const struct spec_device_weight *w = &in->weight_devices[i];

		v[i] = (struct cgroup_device_weight){ { w->major, w->minor }, w->weight };
	}
	ret->io_weights = v;
	ret->n_io_weights = in->n_weight_devices;
	return 0;
}

static int copy_rates(struct arena *a, const struct spec_rates *in, struct cgroup_rates *ret)
{
	struct cgroup_device_rate *v = arena_array(a, in->n, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n; i++)
		v[i] = (struct cgroup_device_rate){ { in->v[i].major, in->v[i].minor }, in->v[i].rate };
	*ret = (struct cgroup_rates){ v, in->n };
	return 0;
}

static int copy_block_io(struct arena *a, const struct spec_resources *in, struct cgroup_resources *ret)
{
	int r = copy_weights(a, in, ret);

	if (r == 0)
		r = copy_rates(a, &in->read_bps, &ret->io_rates[CGROUP_THROTTLE_READ_BPS]);
	if (r == 0)
		r = copy_rates(a, &in->write_bps, &ret->io_rates[CGROUP_THROTTLE_WRITE_BPS]);
	if (r == 0)
		r = copy_rates(a, &in->read_iops, &ret->io_rates[CGROUP_THROTTLE_READ_IOPS]);
	if (r == 0)
		r = copy_rates(a, &in->write_iops, &ret->io_rates[CGROUP_THROTTLE_WRITE_IOPS]);
	return r;
}

static int copy_named(struct arena *a, const struct spec_resources *in, struct cgroup_resources *ret)
{
	struct cgroup_hugepages *h = arena_array(a, in->n_hugepage_limits, sizeof(*h));
	struct cgroup_rdma *d = arena_array(a, in->n_rdma, sizeof(*d));
	struct cgroup_unified *u = arena_array(a, in->n_unified, sizeof(*u));

	if (h == NULL || d == NULL || u == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_hugepage_limits; i++)
		h[i] = (struct cgroup_hugepages){ in->hugepage_limits[i].page_size, in->hugepage_limits[i].limit };
	for (size_t i = 0; i < in->n_rdma; i++)
		d[i] = (struct cgroup_rdma){ in->rdma[i].device, in->rdma[i].has_hca_handles, in->rdma[i].has_hca_objects,
					     in->rdma[i].hca_handles, in->rdma[i].hca_objects };
	for (size_t i = 0; i < in->n_unified; i++)
		u[i] = (struct cgroup_unified){ in->unified[i].key, in->unified[i].value };
	ret->hugepages = h;
	ret->n_hugepages = in->n_hugepage_limits;
	ret->rdma = d;
	ret->n_rdma = in->n_rdma;
	ret->unified = u;
	ret->n_unified = in->n_unified;
	return 0;
}

int plan_resources(struct arena *a, const struct spec_resources *in, struct cgroup_resources *ret)
{
	int r;

	if (in->only_v1 != NULL)
		return ERR_PLAIN(-ENOTSUP, "%s: is of cgroup v1, cgroup v2 has nothing like it", in->only_v1);
	*ret = (struct cgroup_resources){
		.memory_limit = in->memory_limit,
		.memory_reservation = in->memory_reservation,
		.memory_swap = in->memory_swap,
		.memory_check = in->memory_check_before_update,
		.cpu_shares = in->cpu_shares,
		.cpu_quota = in->cpu_quota,
		.cpu_period = in->cpu_period,
		.has_cpu_burst = in->has_cpu_burst,
		.cpu_burst = in->cpu_burst,
		.has_cpu_idle = in->has_cpu_idle,
		.cpu_idle = in->cpu_idle != 0,
		.cpus = in->cpus,
		.mems = in->mems,
		.has_pids = in->has_pids,
		.pids = in->pids_limit,
		.io_weight = in->block_io_weight,
	};
	r = copy_block_io(a, in, ret);
	return r < 0 ? r : copy_named(a, in, ret);
}

/* What every container may use, last so that no rule before takes it away; mknod of anything is harmless. */
static const struct cgroup_device_rule always_allowed[] = {
	{ true, 'c', -1, -1, false, false, true }, { true, 'b', -1, -1, false, false, true },
	{ true, 'c', 1, 3, true, true, true },	   { true, 'c', 1, 5, true, true, true },
	{ true, 'c', 1, 7, true, true, true },	   { true, 'c', 1, 8, true, true, true },
	{ true, 'c', 1, 9, true, true, true },	   { true, 'c', 5, 0, true, true, true },
	{ true, 'c', 5, 2, true, true, true },	   { true, 'c', 136, -1, true, true, true },
};

int plan_device_rules(struct arena *a, const struct spec_resources *in, const struct cgroup_device_rule **ret, size_t *ret_n)
{
	struct cgroup_device_rule *rules = arena_array(a, in->n_device_rules + ARRAY_SIZE(always_allowed), sizeof(*rules));
	size_t n = 0;

	if (rules == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < in->n_device_rules; i++) {
		const struct spec_device_rule *d = &in->device_rules[i];

		rules[n++] = (struct cgroup_device_rule){ d->allow, d->type, d->major, d->minor, d->read, d->write, d->mknod };
	}
	for (size_t i = 0; i < ARRAY_SIZE(always_allowed); i++)
		rules[n++] = always_allowed[i];
	*ret = rules;
	*ret_n = n;
	return 0;
}
