/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_json.h. */
#include "runtime/stats_json.h"

#include <stddef.h>

#include "cgroups/stats.h"
#include "oci/json.h"
#include "runtime/base/str.h"

static void kv_unless_zero(struct json_writer *w, const char *key, uint64_t v)
{
	if (v != 0)
		json_kv_uint(w, key, v);
}

static void write_psi_line(struct json_writer *w, const char *key, const struct cgroup_psi_line *l)
{
	json_key(w, key);
	json_object_open(w);
	json_kv_hundredths(w, "avg10", l->avg10);
	json_kv_hundredths(w, "avg60", l->avg60);
	json_kv_hundredths(w, "avg300", l->avg300);
	json_kv_uint(w, "total", l->total_usec);
	json_object_close(w);
}

static void write_psi(struct json_writer *w, const struct cgroup_psi *p)
{
	if (!p->has)
		return;
	json_key(w, "psi");
	json_object_open(w);
	write_psi_line(w, "some", &p->some);
	write_psi_line(w, "full", &p->full);
	json_object_close(w);
}

static void write_cpu(struct json_writer *w, const struct cgroup_cpu_stats *c)
{
	json_key(w, "cpu");
	json_object_open(w);
	json_key(w, "usage");
	json_object_open(w);
	kv_unless_zero(w, "total", c->usage_ns);
	json_kv_uint(w, "kernel", c->system_ns);
	json_kv_uint(w, "user", c->user_ns);
	json_object_close(w);
	json_key(w, "throttling");
	json_object_open(w);
	kv_unless_zero(w, "periods", c->periods);
	kv_unless_zero(w, "throttledPeriods", c->throttled_periods);
	kv_unless_zero(w, "throttledTime", c->throttled_ns);
	json_object_close(w);
	write_psi(w, &c->psi);
	json_object_close(w);
}

static void write_list(struct json_writer *w, const char *key, const struct cgroup_list *l)
{
	if (l->n == 0)
		return;
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < l->n; i++)
		json_uint(w, l->v[i]);
	json_array_close(w);
}

/* The rest are cgroup v1's switches, which v2 does not have. */
static void write_cpuset(struct json_writer *w, const struct cgroup_stats *s)
{
	static const char *const switches[] = {
		"mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
		"memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
	};

	json_key(w, "cpuset");
	json_object_open(w);
	write_list(w, "cpus", &s->cpus);
	json_kv_uint(w, "cpu_exclusive", 0);
	write_list(w, "mems", &s->mems);
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		json_kv_uint(w, switches[i], 0);
	json_object_close(w);
}

struct memory_entry {
	uint64_t limit, usage, max, failures;
};

static void write_entry(struct json_writer *w, const char *key, const struct memory_entry *e)
{
	json_key(w, key);
	json_object_open(w);
	json_kv_uint(w, "limit", e->limit);
	kv_unless_zero(w, "usage", e->usage);
	kv_unless_zero(w, "max", e->max);
	json_kv_uint(w, "failcnt", e->failures);
	json_object_close(w);
}

static uint64_t add_or_most(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t number_or_zero(const struct cgroup_number *n)
{
	return n->has ? n->value : 0;
}

/* Memory and swap together. The most of both together is not known: the peaks were not at one time. */
static struct memory_entry with_swap(const struct cgroup_memory_stats *m)
{
	struct memory_entry e = {
		.limit = number_or_zero(&m->max),
		.usage = number_or_zero(&m->current),
	};

	e.usage = add_or_most(e.usage, number_or_zero(&m->swap_current));
	e.limit = add_or_most(e.limit, number_or_zero(&m->swap_max));
	return e;
}

static void write_memory(struct json_writer *w, const struct cgroup_stats *s)
{
	const struct cgroup_memory_stats *m = &s->memory;
	const struct memory_entry none = { .limit = 0 }, swap = with_swap(m), usage = {
		.limit = number_or_zero(&m->max),
		.usage = number_or_zero(&m->current),
		.max = number_or_zero(&m->peak),
		.failures = m->events.max,
	};

	json_key(w, "memory");
	json_object_open(w);
	kv_unless_zero(w, "cache", cgroup_stats_memory(s, "file"));
	write_entry(w, "usage", &usage);
	write_entry(w, "swap", &swap);
	/* cgroup v1's; v2 counts them with the rest. */
	write_entry(w, "kernel", &none);
	write_entry(w, "kernelTCP", &none);
	if (m->n_stat > 0) {
		json_key(w, "raw");
		json_object_open(w);
		for (size_t i = 0; i < m->n_stat; i++)
			json_kv_uint(w, m->stat[i].key, m->stat[i].value);
		json_object_close(w);
	}
	write_psi(w, &m->psi);
	json_object_close(w);
}

static void write_pids(struct json_writer *w, const struct cgroup_pids_stats *p)
{
	json_key(w, "pids");
	json_object_open(w);
	kv_unless_zero(w, "current", number_or_zero(&p->current));
	if (p->max.value != CGROUP_UNLIMITED)
		kv_unless_zero(w, "limit", number_or_zero(&p->max));
	json_object_close(w);
}

static void write_device(struct json_writer *w, const struct cgroup_io_device *d, const char *op, uint64_t v)
{
	json_object_open(w);
	kv_unless_zero(w, "major", d->major);
	kv_unless_zero(w, "minor", d->minor);
	json_kv_string(w, "op", op);
	kv_unless_zero(w, "value", v);
	json_object_close(w);
}

static void write_io(struct json_writer *w, const struct cgroup_io_stats *io)
{
	json_key(w, "blkio");
	json_object_open(w);
	if (io->n_devices > 0) {
		json_key(w, "ioServiceBytesRecursive");
		json_array_open(w);
		for (size_t i = 0; i < io->n_devices; i++) {
			write_device(w, &io->devices[i], "Read", io->devices[i].rbytes);
			write_device(w, &io->devices[i], "Write", io->devices[i].wbytes);
			write_device(w, &io->devices[i], "Discard", io->devices[i].dbytes);
		}
		json_array_close(w);
		json_key(w, "ioServicedRecursive");
		json_array_open(w);
		for (size_t i = 0; i < io->n_devices; i++) {
			write_device(w, &io->devices[i], "Read", io->devices[i].rios);
			write_device(w, &io->devices[i], "Write", io->devices[i].wios);
			write_device(w, &io->devices[i], "Discard", io->devices[i].dios);
		}
		json_array_close(w);
	}
	write_psi(w, &io->psi);
	json_object_close(w);
}

/* Usage includes what is reserved where the kernel counts that: the limit does, too. There is no "max" in v2. */
static void write_hugetlb(struct json_writer *w, const struct cgroup_stats *s)
{
	json_key(w, "hugetlb");
	json_object_open(w);
	for (size_t i = 0; i < s->n_hugetlb; i++) {
		const struct cgroup_hugetlb_stats *h = &s->hugetlb[i];

		json_key(w, h->size);
		json_object_open(w);
		kv_unless_zero(w, "usage", number_or_zero(h->reserved.has ? &h->reserved : &h->current));
		json_kv_uint(w, "failcnt", h->failures);
		json_object_close(w);
	}
	json_object_close(w);
}

static void open_event(struct json_writer *w, const char *type, const char *id)
{
	json_object_open(w);
	json_kv_string(w, "type", type);
	json_kv_string(w, "id", id);
}

void stats_write_event(struct json_writer *w, const char *id, const struct cgroup_stats *s)
{
	open_event(w, "stats", id);
	json_key(w, "data");
	json_object_open(w);
	write_cpu(w, &s->cpu);
	write_cpuset(w, s);
	write_memory(w, s);
	write_pids(w, &s->pids);
	write_io(w, &s->io);
	write_hugetlb(w, s);
	json_key(w, "intel_rdt");
	json_object_open(w);
	json_object_close(w);
	json_key(w, "network_interfaces");
	json_null(w);
	json_object_close(w);
	json_object_close(w);
}

void stats_write_oom(struct json_writer *w, const char *id)
{
	open_event(w, "oom", id);
	json_object_close(w);
}
