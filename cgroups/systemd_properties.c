/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroups/systemd_properties.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cgroups/dbus_message.h"
#include "cgroups/resources.h"
#include "cgroups/systemd.h"
#include "cgroups/variant.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* systemd's "no limit" and "not set". */
#define INFINITE UINT64_MAX
#define SECOND 1000000
#define PERCENT (SECOND / 100)
/* More CPUs or nodes than any kernel counts: a list that names one is left to the kernel to refuse. */
#define MASK_BITS 8192
#define MASK_BYTES (MASK_BITS / 8)
#define NAME_MIN 3
#define NAME_MAX_LEN 64

enum kind { AMOUNT, WEIGHT, IO_WEIGHT, IDLE, QUOTA, LIST, OOM_GROUP };

/* min: the least that systemd takes. Two files may come to one property: the later one in the settings wins. */
static const struct known {
	const char *file, *property;
	enum kind kind;
	uint64_t min;
	unsigned int since;
	bool start_only;
} known[] = {
	{ "memory.max", "MemoryMax", AMOUNT, 1, 0, false },
	{ "memory.high", "MemoryHigh", AMOUNT, 1, 0, false },
	{ "memory.low", "MemoryLow", AMOUNT, 0, 0, false },
	{ "memory.min", "MemoryMin", AMOUNT, 0, 240, false },
	{ "memory.swap.max", "MemorySwapMax", AMOUNT, 0, 0, false },
	{ "memory.zswap.max", "MemoryZSwapMax", AMOUNT, 0, 253, false },
	/* Told nothing, systemd 253 and later would write 0 there. */
	{ "memory.oom.group", "OOMPolicy", OOM_GROUP, 0, 253, true },
	{ "pids.max", "TasksMax", AMOUNT, 1, 0, false },
	{ "cpu.weight", "CPUWeight", WEIGHT, 1, 0, false },
	{ "cpu.idle", "CPUWeight", IDLE, 0, 252, false },
	{ "cpu.max", "CPUQuotaPerSecUSec", QUOTA, 1, 0, false },
	/* Told nothing, systemd would write the default there at a daemon-reload. That of bfq it makes of this one. */
	{ "io.weight", "IOWeight", IO_WEIGHT, 1, 0, false },
	{ "cpuset.cpus", "AllowedCPUs", LIST, 0, 244, false },
	{ "cpuset.mems", "AllowedMemoryNodes", LIST, 0, 244, false },
};

#define WEIGHT_MAX 10000

/* A property for each row, and the period. */
struct list {
	struct arena *a;
	struct systemd_property *v;
	size_t n;
	uint64_t period;
	bool failed;	/* out of memory */
};

static void set(struct list *l, struct systemd_property p)
{
	size_t i = 0;

	while (i < l->n && !str_eq(l->v[i].name, p.name))
		i++;
	l->v[i] = p;
	if (i == l->n)
		l->n++;
}

static void drop(struct list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->v[i].name, name)) {
			l->v[i] = l->v[--l->n];
			return;
		}
}

/* The word that text begins with. */
static const char *word(struct list *l, const char **text)
{
	const char *s = *text + strspn(*text, " \t"), *w;
	size_t len = strcspn(s, " \t");

	*text = s + len;
	w = arena_strndup(l->a, s, len);
	l->failed = l->failed || w == NULL;
	return w != NULL ? w : "";
}

/* A number, or "max". */
static bool amount(const char *s, uint64_t *ret)
{
	if (str_eq(s, "max")) {
		*ret = INFINITE;
		return true;
	}
	return parse_u64(s, 0, INFINITE - 1, ret) == 0;
}

/* "0-3,7" as the kernel writes it. */
static bool add_range(uint8_t mask[MASK_BYTES], char *range, size_t *len)
{
	char *dash = strchr(range, '-');
	uint64_t first, last;

	if (dash != NULL)
		*dash++ = '\0';
	if (parse_u64(range, 0, MASK_BITS - 1, &first) < 0)
		return false;
	last = first;
	if (dash != NULL && parse_u64(dash, first, MASK_BITS - 1, &last) < 0)
		return false;
	for (uint64_t i = first; i <= last; i++)
		mask[i / 8] |= (uint8_t)(1U << (i % 8));
	if (last / 8 + 1 > *len)
		*len = last / 8 + 1;
	return true;
}

/* Nothing in the list: no restriction, an empty mask. */
static bool list_to_mask(struct list *l, const char *value, struct systemd_property *p)
{
	uint8_t *mask = arena_alloc(l->a, MASK_BYTES);
	char *text = arena_strdup(l->a, value), *save = NULL;

	if (mask == NULL || text == NULL) {
		l->failed = true;
		return false;
	}
	p->type = 'm';
	p->mask = mask;
	p->mask_len = 0;
	for (char *range = strtok_r(text, ", \t", &save); range != NULL; range = strtok_r(NULL, ", \t", &save))
		if (!add_range(mask, range, &p->mask_len))
			return false;
	return true;
}

/* "QUOTA [PERIOD]"; the period is kept apart, since one may be there without the other. */
static bool quota(struct list *l, const char *value, struct systemd_property *p)
{
	const char *quota_text = word(l, &value), *period_text = word(l, &value);
	uint64_t usec, period = l->period, per_second;

	if (!amount(quota_text, &usec) || (period_text[0] != '\0' && parse_u64(period_text, 1, SECOND, &period) < 0))
		return false;
	if (period_text[0] != '\0')
		set(l, (struct systemd_property){ .name = "CPUQuotaPeriodUSec", .type = 't', .number = period, .since = 242 });
	p->number = INFINITE;
	if (usec == INFINITE)
		return true;
	if (__builtin_mul_overflow(usec, (uint64_t)SECOND, &per_second))
		return false;
	per_second /= period;
	p->number = (per_second + PERCENT - 1) / PERCENT * PERCENT;
	return p->number > 0;
}

/* False: nothing that systemd could be told. */
static bool convert(struct list *l, const struct known *k, const char *value, struct systemd_property *p)
{
	const char *rest = value;

	p->type = 't';
	switch (k->kind) {
	case AMOUNT:
		return amount(word(l, &rest), &p->number) && p->number >= k->min;
	case WEIGHT:
		return amount(word(l, &rest), &p->number) && p->number >= k->min && p->number <= WEIGHT_MAX;
	case IO_WEIGHT:
		if (str_starts(rest, "default "))
			(void)word(l, &rest);
		return amount(word(l, &rest), &p->number) && p->number >= k->min && p->number <= WEIGHT_MAX;
	case IDLE:
		/* Idle is a weight of 0 there; no longer idle has the kernel's default weight, and every version knows that. */
		if (str_eq(word(l, &rest), "1"))
			p->number = 0;
		else {
			p->number = INFINITE;
			p->since = 0;
		}
		return true;
	case QUOTA:
		return quota(l, value, p);
	case LIST:
		return list_to_mask(l, value, p);
	default:
		p->type = 's';
		p->text = str_eq(word(l, &rest), "1") ? "kill" : "continue";
		return true;
	}
}

/* What the setting writes into the file of k; NULL: nothing that it knows. */
static const char *value_for(const struct cgroup_setting *s, const struct known *k)
{
	const char *value = NULL;

	if (str_eq(s->file, k->file))
		value = s->value;
	else if (s->or_file != NULL && str_eq(s->or_file, k->file))
		value = s->or_value;
	/* The weights of single devices, which systemd knows by path only. */
	return value != NULL && k->kind == IO_WEIGHT && strchr(value, ':') != NULL ? NULL : value;
}

int systemd_properties(struct arena *a, const struct cgroup_resources *r, uint64_t period, struct systemd_property **ret,
		       size_t *ret_n)
{
	struct list l = { .a = a, .period = period };
	struct cgroup_setting *s = NULL;
	size_t n = 0;
	int k = cgroup_settings(a, r, &s, &n);

	if (k < 0)
		return k;
	l.v = arena_array(a, ARRAY_SIZE(known) + 1, sizeof(*l.v));
	if (l.v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(known); j++) {
			struct systemd_property p = {
				.name = known[j].property,
				.since = known[j].since,
				.start_only = known[j].start_only,
			};
			const char *value = value_for(&s[i], &known[j]);

			if (value == NULL)
				continue;
			/* One that cannot be told must not leave an earlier one to contradict the file. */
			if (convert(&l, &known[j], value, &p))
				set(&l, p);
			else
				drop(&l, p.name);
		}
	}
	if (l.failed)
		return ERR_NOMEM();
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

void systemd_property_put(struct buf *b, const struct systemd_property *p)
{
	size_t array;

	dbus_put_align(b, 8);
	dbus_put_string(b, p->name);
	if (p->type == 't') {
		dbus_put_signature(b, "t");
		dbus_put_u64(b, p->number);
	} else if (p->type == 's') {
		dbus_put_signature(b, "s");
		dbus_put_string(b, p->text);
	} else {
		dbus_put_signature(b, "ay");
		array = dbus_put_array(b, 1);
		buf_add(b, p->mask, p->mask_len);
		dbus_put_array_end(b, array, 1);
	}
}

/* ---- annotations ---- */

/* What says which processes the scope starts with is not a matter of taste. */
static const char *const reserved[] = { "PIDs", "PIDFDs" };

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len < NAME_MIN || len > NAME_MAX_LEN)
		return ERR_PLAIN(-EINVAL, "the name of a property has %d to %d letters and digits", NAME_MIN, NAME_MAX_LEN);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]))
			return ERR_PLAIN(-EINVAL, "the name of a property has letters and digits only");
	if (str_in(name, reserved, ARRAY_SIZE(reserved)))
		return ERR_PLAIN(-EINVAL, "is set by nacre itself");
	return 0;
}

static int seconds(const struct variant *v, uint64_t *ret)
{
	long double sec = 0;

	if (!v->array && v->type == 'd')
		sec = (long double)v->v[0].d;
	else if (!v->array && strchr("nix", v->type) != NULL)
		sec = (long double)(int64_t)v->v[0].number;
	else if (!v->array && strchr("yqut", v->type) != NULL)
		sec = (long double)v->v[0].number;
	else
		return ERR_PLAIN(-EINVAL, "is not a number of seconds");
	if (sec < 0 || sec * SECOND >= (long double)INFINITE)
		return ERR_PLAIN(-EINVAL, "is out of range");
	*ret = (uint64_t)(sec * SECOND);
	return 0;
}

/* "…Sec", but not "…USec". */
static bool in_seconds(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && str_ends(name, "Sec") && islower((unsigned char)name[len - 4]);
}

int systemd_unit_property_parse(struct arena *a, const struct cgroup_unit_property *p, const char **ret_name,
				struct variant *ret)
{
	struct variant v = { 0 };
	const char *name = p->name;
	uint64_t usec = 0;
	int r = check_name(name);

	if (r == 0)
		r = variant_parse(a, p->value, &v);
	if (r == 0 && in_seconds(name)) {
		r = seconds(&v, &usec);
		if (r == 0) {
			v = (struct variant){ .type = 't', .n = 1, .v = arena_alloc(a, sizeof(*v.v)) };
			name = arena_printf(a, "%.*sUSec", (int)strlen(name) - 3, name);
			if (v.v == NULL || name == NULL)
				return ERR_NOMEM();
			v.v[0].number = usec;
		}
	}
	if (r < 0)
		return ERR_CONTEXT(r, "org.systemd.property.%s", p->name);
	*ret_name = name;
	*ret = v;
	return 0;
}

int cgroup_unit_property_check(const struct cgroup_unit_property *p)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct variant v;
	const char *name;

	return a == NULL ? ERR_NOMEM() : systemd_unit_property_parse(a, p, &name, &v);
}
