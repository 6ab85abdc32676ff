/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cgroup_resources -> files and values. The rules are those of runc 1.3 and later, so that an
 * engine's numbers mean the same with either.
 */
#include "cgroups/resources.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define DEFAULT_PERIOD 100000
#define SHARES_MIN 2
#define SHARES_MAX 262144
#define WEIGHT_MAX 10000
#define BLKIO_WEIGHT_MIN 10
#define BLKIO_WEIGHT_MAX 1000
/* As many as a long double has, and a few. */
#define DIGITS 68

struct settings {
	struct arena *a;
	struct cgroup_setting *v;
	size_t n, cap;
	bool failed;	/* out of memory */
};

static void add(struct settings *s, struct cgroup_setting one)
{
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 16 : 2 * s->cap;
		struct cgroup_setting *v = arena_array(s->a, cap, sizeof(*v));

		if (v == NULL) {
			s->failed = true;
			return;
		}
		if (s->n > 0)
			memcpy(v, s->v, s->n * sizeof(*v));
		s->v = v;
		s->cap = cap;
	}
	if (one.file == NULL || one.value == NULL)
		s->failed = true;
	else
		s->v[s->n++] = one;
}

/* Of an amount; negative is "no limit", which needs no file to be so. */
static struct cgroup_setting amount(const struct settings *s, const char *file, int64_t v)
{
	return (struct cgroup_setting){
		.file = file,
		.value = v < 0 ? "max" : arena_printf(s->a, "%" PRId64, v),
		.optional = v < 0,
	};
}

static int set_swap(struct settings *s, const struct cgroup_resources *r)
{
	struct cgroup_setting one;
	int64_t swap = r->memory_swap;

	/* As cgroup v1 had it, no limit on memory is none on swap either, unless it is named. */
	if (r->memory_limit < 0 && swap == 0)
		swap = -1;
	if (swap == 0)
		return 0;
	if (swap > 0 && r->memory_limit == 0)
		return ERR_PLAIN(-EINVAL, "memory.swap: needs memory.limit, since it counts memory and swap together");
	if (swap > 0 && r->memory_limit > 0) {
		swap -= r->memory_limit;
		if (swap < 0)
			return ERR_PLAIN(-EINVAL, "memory.swap: %" PRId64 " is below memory.limit, %" PRId64 ", which it includes",
					 r->memory_swap, r->memory_limit);
	}
	one = amount(s, "memory.swap.max", swap);
	/* A kernel without swap has no file, and gives none. */
	one.optional = swap <= 0;
	add(s, one);
	return 0;
}

static int set_memory(struct settings *s, const struct cgroup_resources *r)
{
	int ret = set_swap(s, r);

	if (ret < 0)
		return ret;
	if (r->memory_limit != 0)
		add(s, amount(s, "memory.max", r->memory_limit));
	if (r->memory_reservation != 0)
		add(s, amount(s, "memory.low", r->memory_reservation));
	return 0;
}

/*
 * log2(x) for x >= 1 and 2^x for x >= 0. Not libm's: it cannot be linked in as an archive, and as a shared
 * library it would cost each start of nacre more than all else in this folder.
 */
static long double log2_of(uint64_t x)
{
	int whole = 63 - __builtin_clzll(x);
	long double result = whole, digit = 0.5L, rest = (long double)x / (long double)(1ULL << whole);

	/* rest is in [1, 2): squaring it doubles its logarithm, whose binary digits so come out one by one. */
	for (int i = 0; i < DIGITS; i++) {
		rest *= rest;
		if (rest >= 2) {
			rest /= 2;
			result += digit;
		}
		digit /= 2;
	}
	return result;
}

static long double two_to_the(long double x)
{
	unsigned int whole = (unsigned int)x;
	long double power = (x - whole) * 0.693147180559945309417L, term = 1, sum = 1;

	for (int i = 1; i < DIGITS; i++) {
		term *= power / i;
		sum += term;
	}
	return sum * (long double)(1ULL << whole);
}

uint64_t cgroup_weight_from_shares(uint64_t shares)
{
	/* What is left of the rounding above, so that 1024 is 100 and not 101. */
	static const long double slack = 1e-12L;
	long double l, exponent;

	if (shares <= SHARES_MIN)
		return 1;
	if (shares >= SHARES_MAX)
		return WEIGHT_MAX;
	/* The quadratic through (2, 1), (1024, 100) and (262144, 10000) on logarithmic axes: the defaults stay the defaults. */
	l = log2_of(shares);
	exponent = (l * l + 125 * l) / 612 - 7.0L / 34;
	return (uint64_t)(two_to_the(exponent * 3.32192809488736234787L) + (1 - slack));
}

/* An idle cgroup has no weight (EINVAL), and one that stops being idle begins with the usual one. */
static void set_cpu_weight(struct settings *s, const struct cgroup_resources *r)
{
	if (r->has_cpu_idle && !r->cpu_idle)
		add(s, (struct cgroup_setting){ .file = "cpu.idle", .value = "0" });
	if (r->has_cpu_idle && r->cpu_idle)
		add(s, (struct cgroup_setting){ .file = "cpu.idle", .value = "1" });
	else if (r->cpu_shares != 0)
		add(s, (struct cgroup_setting){
			       .file = "cpu.weight",
			       .value = arena_printf(s->a, "%" PRIu64, cgroup_weight_from_shares(r->cpu_shares)),
		       });
}

static void set_cpu_max(struct settings *s, const struct cgroup_resources *r)
{
	/* Not above the quota: so before a lower one, and after a higher one. */
	if (r->has_cpu_burst)
		add(s, (struct cgroup_setting){
			       .file = "cpu.max.burst",
			       .value = arena_printf(s->a, "%" PRIu64, r->cpu_burst),
			       .again = true,
		       });
	if (r->cpu_quota > 0)
		add(s, (struct cgroup_setting){
			       .file = "cpu.max",
			       .value = r->cpu_period == 0 ? arena_printf(s->a, "%" PRId64, r->cpu_quota) :
							     arena_printf(s->a, "%" PRId64 " %" PRIu64, r->cpu_quota,
									  r->cpu_period),
		       });
	else if (r->cpu_period != 0)
		add(s, (struct cgroup_setting){
			       .file = "cpu.max",
			       .value = arena_printf(s->a, "max %" PRIu64, r->cpu_period),
			       .optional = r->cpu_period == DEFAULT_PERIOD,
		       });
	else if (r->cpu_quota < 0)
		add(s, (struct cgroup_setting){ .file = "cpu.max", .value = "max", .optional = true });
}

/* The kernel decides what such a list may be (Linux 5.12: "all", "N"); here only what cannot be one, and what would be more than one line. */
static int set_list(struct settings *s, const char *file, const char *name, const char *list)
{
	if (list == NULL)
		return 0;
	if (list[strspn(list, "0123456789,-:/ Nal")] != '\0')
		return ERR_PLAIN(-EINVAL, "cpu.%s is no list such as 0-3,7", name);
	add(s, (struct cgroup_setting){ .file = file, .value = list });
	return 0;
}

static int set_cpu(struct settings *s, const struct cgroup_resources *r)
{
	int k;

	set_cpu_weight(s, r);
	set_cpu_max(s, r);
	k = set_list(s, "cpuset.cpus", "cpus", r->cpus);
	return k < 0 ? k : set_list(s, "cpuset.mems", "mems", r->mems);
}

static const char *device_text(const struct settings *s, struct cgroup_device_number d, const char *rest)
{
	return arena_printf(s->a, "%u:%u %s", d.major, d.minor, rest != NULL ? rest : "");
}

static int check_weight(uint16_t weight, const char *where)
{
	if (weight < BLKIO_WEIGHT_MIN || weight > BLKIO_WEIGHT_MAX)
		return ERR_PLAIN(-ERANGE, "%s: %u is not between %d and %d", where, (unsigned int)weight, BLKIO_WEIGHT_MIN,
				 BLKIO_WEIGHT_MAX);
	return 0;
}

/* 10…1000 of v1 (and of the scheduler bfq) on 1…10000 of io.weight. */
static unsigned int io_weight(uint16_t weight)
{
	return 1 + (unsigned int)(weight - BLKIO_WEIGHT_MIN) * 9999 / (BLKIO_WEIGHT_MAX - BLKIO_WEIGHT_MIN);
}

static void add_weight(struct settings *s, const char *value, const char *or_value)
{
	add(s, (struct cgroup_setting){
		       .file = "io.bfq.weight", .value = value, .or_file = "io.weight", .or_value = or_value });
	s->failed = s->failed || or_value == NULL;
}

static int set_io_weights(struct settings *s, const struct cgroup_resources *r)
{
	int ret = 0;

	if (r->io_weight != 0) {
		ret = check_weight(r->io_weight, "blockIO.weight");
		if (ret == 0)
			add_weight(s, arena_printf(s->a, "%u", (unsigned int)r->io_weight),
				   arena_printf(s->a, "%u", io_weight(r->io_weight)));
	}
	for (size_t i = 0; ret == 0 && i < r->n_io_weights; i++) {
		const struct cgroup_device_weight *w = &r->io_weights[i];

		ret = check_weight(w->weight, "blockIO.weightDevice");
		if (ret == 0)
			add_weight(s, device_text(s, w->device, arena_printf(s->a, "%u", (unsigned int)w->weight)),
				   device_text(s, w->device, arena_printf(s->a, "%u", io_weight(w->weight))));
	}
	return ret;
}

static void set_io_rates(struct settings *s, const struct cgroup_resources *r)
{
	static const char *const keys[CGROUP_THROTTLES] = { "rbps", "wbps", "riops", "wiops" };

	for (int k = 0; k < CGROUP_THROTTLES; k++) {
		for (size_t i = 0; i < r->io_rates[k].n; i++) {
			const struct cgroup_device_rate *d = &r->io_rates[k].v[i];
			const char *rate = d->rate == 0 ? arena_printf(s->a, "%s=max", keys[k]) :
							  arena_printf(s->a, "%s=%" PRIu64, keys[k], d->rate);

			add(s, (struct cgroup_setting){ .file = "io.max", .value = device_text(s, d->device, rate) });
		}
	}
}

/* "2MB": digits, then K, M or G, then B. It becomes a part of a file's name. */
static bool hugepage_size_ok(const char *size)
{
	size_t digits = strspn(size, "0123456789");

	return digits > 0 && digits < 8 && size[0] != '0' && size[digits] != '\0' &&
	       strchr("KMG", size[digits]) != NULL && str_eq(size + digits + 1, "B");
}

static int set_hugepages(struct settings *s, const struct cgroup_resources *r)
{
	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct cgroup_hugepages *h = &r->hugepages[i];
		const char *value;

		if (h->size == NULL || !hugepage_size_ok(h->size))
			return ERR_PLAIN(-EINVAL, "hugepageLimits[%zu].pageSize: is not a size such as 2MB or 1GB", i);
		value = arena_printf(s->a, "%" PRIu64, h->limit);
		/* Reservations first (5.7): a page that may not be reserved never comes to be faulted in, and killed for. */
		add(s, (struct cgroup_setting){
			       .file = arena_printf(s->a, "hugetlb.%s.rsvd.max", h->size), .value = value, .optional = true,
			       .demand = true });
		add(s, (struct cgroup_setting){ .file = arena_printf(s->a, "hugetlb.%s.max", h->size), .value = value });
	}
	return 0;
}

static int set_rdma(struct settings *s, const struct cgroup_resources *r)
{
	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct cgroup_rdma *d = &r->rdma[i];
		char handles[32] = "", objects[32] = "";

		if (d->device[0] == '\0' || strpbrk(d->device, " \t\n") != NULL)
			return ERR_PLAIN(-EINVAL, "rdma: a name that no device has");
		if (d->has_handles)
			snprintf(handles, sizeof(handles), " hca_handle=%u", d->handles);
		if (d->has_objects)
			snprintf(objects, sizeof(objects), " hca_object=%u", d->objects);
		if (d->has_handles || d->has_objects)
			add(s, (struct cgroup_setting){
				       .file = "rdma.max", .value = arena_printf(s->a, "%s%s%s", d->device, handles, objects) });
	}
	return 0;
}

static int set_unified(struct settings *s, const struct cgroup_resources *r)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		const char *file = r->unified[i].file, *line = r->unified[i].value;

		/* The file's own cgroup, and a file of cgroup v2, all of which have a dot. */
		if (strchr(file, '/') != NULL || file[0] == '.' || strchr(file, '.') == NULL)
			return ERR_PLAIN(-EINVAL, "unified: \"%s\" is not the name of a cgroup file", file);
		do {
			size_t len = strcspn(line, "\n");

			add(s, (struct cgroup_setting){ .file = file, .value = arena_strndup(s->a, line, len) });
			line += len;
			line += *line == '\n' ? 1 : 0;
		} while (*line != '\0');
	}
	return 0;
}

int cgroup_settings(struct arena *a, const struct cgroup_resources *r, struct cgroup_setting **ret, size_t *ret_n)
{
	struct settings s = { .a = a };
	int k = set_memory(&s, r);

	if (k == 0 && r->has_pids)
		add(&s, amount(&s, "pids.max", r->pids));
	if (k == 0)
		k = set_cpu(&s, r);
	if (k == 0)
		k = set_io_weights(&s, r);
	if (k == 0)
		set_io_rates(&s, r);
	if (k == 0)
		k = set_hugepages(&s, r);
	if (k == 0)
		k = set_rdma(&s, r);
	if (k == 0)
		k = set_unified(&s, r);
	if (k < 0)
		return k;
	if (s.failed)
		return ERR_NOMEM();
	*ret = s.v;
	*ret_n = s.n;
	return 0;
}
