/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_wire.h. A flat object: simple figures by table, then the lists, whose rows are arrays. */
#include "runtime/stats_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/stats.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

#define NAME "the guest's statistics"
#define DEPTH_MAX 4
#define MEMORY_BYTES ((size_t)4 << 20)
#define COUNTERS_MAX 256
#define COUNTER_KEY_MAX 63
#define DEVICES_MAX 1024
#define LIST_MAX 8192
#define HUGETLB_MAX 16
#define RDMA_MAX 64

enum kind { BOOL, U32, U64, NUMBER };

static const struct figure {
	const char *key;
	enum kind kind;
	size_t at;
} figures[] = {
#define FIGURE(kind, field) { #field, kind, offsetof(struct cgroup_stats, field) }
#define PSI_LINE(field) FIGURE(U32, field.avg10), FIGURE(U32, field.avg60), FIGURE(U32, field.avg300), FIGURE(U64, field.total_usec)
#define PSI(field) FIGURE(BOOL, field.has), PSI_LINE(field.some), PSI_LINE(field.full)
	FIGURE(BOOL, cpu.has), FIGURE(U64, cpu.usage_ns), FIGURE(U64, cpu.user_ns), FIGURE(U64, cpu.system_ns),
	FIGURE(U64, cpu.periods), FIGURE(U64, cpu.throttled_periods), FIGURE(U64, cpu.throttled_ns),
	FIGURE(U64, cpu.bursts), FIGURE(U64, cpu.burst_ns), PSI(cpu.psi),
	FIGURE(NUMBER, memory.current), FIGURE(NUMBER, memory.max), FIGURE(NUMBER, memory.peak),
	FIGURE(NUMBER, memory.swap_current), FIGURE(NUMBER, memory.swap_max), FIGURE(NUMBER, memory.swap_peak),
	FIGURE(BOOL, memory.events.has), FIGURE(U64, memory.events.low), FIGURE(U64, memory.events.high),
	FIGURE(U64, memory.events.max), FIGURE(U64, memory.events.oom), FIGURE(U64, memory.events.oom_kill),
	FIGURE(U64, memory.events.oom_group_kill), PSI(memory.psi),
	FIGURE(NUMBER, pids.current), FIGURE(NUMBER, pids.max),
	FIGURE(BOOL, io.has), PSI(io.psi),
#undef PSI
#undef PSI_LINE
#undef FIGURE
};

/* ---- writing ---- */

static void write_figure(struct json_writer *w, const struct figure *f, const struct cgroup_stats *s)
{
	const char *p = (const char *)s + f->at;
	struct cgroup_number number;
	uint32_t u32;
	uint64_t u64;
	bool b;

	switch (f->kind) {
	case BOOL:
		memcpy(&b, p, sizeof(b));
		if (b)
			json_kv_bool(w, f->key, true);
		return;
	case U32:
		memcpy(&u32, p, sizeof(u32));
		u64 = u32;
		break;
	case U64:
		memcpy(&u64, p, sizeof(u64));
		break;
	default:
		memcpy(&number, p, sizeof(number));
		if (number.has)
			json_kv_uint(w, f->key, number.value);
		return;
	}
	if (u64 > 0)
		json_kv_uint(w, f->key, u64);
}

static void write_counters(struct json_writer *w, const struct cgroup_memory_stats *m)
{
	json_key(w, "memory.stat");
	json_array_open(w);
	for (size_t i = 0; i < m->n_stat; i++) {
		json_array_open(w);
		json_string(w, m->stat[i].key);
		json_uint(w, m->stat[i].value);
		json_array_close(w);
	}
	json_array_close(w);
}

static void write_devices(struct json_writer *w, const struct cgroup_io_stats *io)
{
	json_key(w, "io.devices");
	json_array_open(w);
	for (size_t i = 0; i < io->n_devices; i++) {
		const struct cgroup_io_device *d = &io->devices[i];
		const uint64_t row[] = { d->major, d->minor, d->rbytes, d->wbytes, d->rios, d->wios, d->dbytes, d->dios };

		json_array_open(w);
		for (size_t k = 0; k < ARRAY_SIZE(row); k++)
			json_uint(w, row[k]);
		json_array_close(w);
	}
	json_array_close(w);
}

static void write_list(struct json_writer *w, const char *key, const struct cgroup_list *l)
{
	if (!l->has)
		return;
	json_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < l->n; i++)
		json_uint(w, l->v[i]);
	json_array_close(w);
}

static void write_number(struct json_writer *w, const struct cgroup_number *n)
{
	if (n->has)
		json_uint(w, n->value);
	else
		json_null(w);
}

static void write_hugetlb(struct json_writer *w, const struct cgroup_stats *s)
{
	json_key(w, "hugetlb");
	json_array_open(w);
	for (size_t i = 0; i < s->n_hugetlb; i++) {
		json_array_open(w);
		json_string(w, s->hugetlb[i].size);
		write_number(w, &s->hugetlb[i].current);
		write_number(w, &s->hugetlb[i].max);
		write_number(w, &s->hugetlb[i].reserved);
		json_uint(w, s->hugetlb[i].failures);
		json_array_close(w);
	}
	json_array_close(w);
	json_key(w, "rdma");
	json_array_open(w);
	for (size_t i = 0; i < s->n_rdma; i++) {
		json_array_open(w);
		json_string(w, s->rdma[i].device);
		json_uint(w, s->rdma[i].handles);
		json_uint(w, s->rdma[i].objects);
		json_array_close(w);
	}
	json_array_close(w);
}

int stats_wire_write(const struct cgroup_stats *s, char **ret_text, size_t *ret_len)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	if (w == NULL)
		return ERR_NOMEM();
	json_object_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		write_figure(w, &figures[i], s);
	write_counters(w, &s->memory);
	write_devices(w, &s->io);
	write_list(w, "cpus", &s->cpus);
	write_list(w, "mems", &s->mems);
	write_hugetlb(w, s);
	json_object_close(w);
	*ret_text = json_writer_take(w, ret_len);
	return *ret_text == NULL ? ERR_NOMEM() : 0;
}

/* ---- reading ---- */

struct reader {
	struct arena *arena;
	struct cgroup_stats *s;
};

static int bad(struct reader *r, const struct json *j, const char *what)
{
	return ERR_PLAIN(-EINVAL, NAME ": %s: %s", json_path(r->arena, j), what);
}

static int read_uint(struct reader *r, const struct json *j, uint64_t max, uint64_t *ret)
{
	if (j->type != JSON_NUMBER || parse_u64(j->text, 0, max, ret) < 0)
		return bad(r, j, "is not a number as it has to be");
	return 0;
}

static int read_figure(struct reader *r, const struct json *j, const struct figure *f)
{
	char *p = (char *)r->s + f->at;
	struct cgroup_number number = { .has = true };
	uint64_t v = 0;
	uint32_t u32;
	int k;

	if (f->kind == BOOL) {
		if (j->type != JSON_BOOL)
			return bad(r, j, "is not true or false");
		memcpy(p, &j->boolean, sizeof(bool));
		return 0;
	}
	k = read_uint(r, j, f->kind == U32 ? UINT32_MAX : UINT64_MAX, &v);
	if (k < 0)
		return k;
	if (f->kind == U32) {
		u32 = (uint32_t)v;
		memcpy(p, &u32, sizeof(u32));
	} else if (f->kind == U64) {
		memcpy(p, &v, sizeof(v));
	} else {
		number.value = v;
		memcpy(p, &number, sizeof(number));
	}
	return 0;
}

/* An array of at most max elements: *ret_rows has room for them, and at least one. */
static int open_list(struct reader *r, const struct json *j, size_t max, size_t size, void **ret_rows)
{
	if (j->type != JSON_ARRAY || j->n > max)
		return bad(r, j, "is not a list, or too long");
	*ret_rows = calloc(j->n + 1, size);
	return *ret_rows == NULL ? ERR_NOMEM() : 0;
}

static int open_row(struct reader *r, const struct json *j, size_t n)
{
	return j->type == JSON_ARRAY && j->n == n ? 0 : bad(r, j, "is not a row as it has to be");
}

/* A text of 1 to max of the allowed characters. */
static int read_name(struct reader *r, const struct json *j, size_t max, const char *allowed, const char **ret)
{
	if (j->type != JSON_STRING)
		return bad(r, j, "is not a name");
	*ret = j->text;
	if (j->text[0] == '\0' || strlen(j->text) > max || j->text[strspn(j->text, allowed)] != '\0')
		return bad(r, j, "is not a name as it has to be");
	return 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static int read_counters(struct reader *r, const struct json *j)
{
	struct cgroup_memory_stats *m = &r->s->memory;
	void *rows = NULL;
	char *text;
	int k = open_list(r, j, COUNTERS_MAX, sizeof(*m->stat), &rows);

	m->stat = rows;
	if (k < 0)
		return k;
	text = m->stat_text = calloc(j->n + 1, COUNTER_KEY_MAX + 1);
	if (text == NULL)
		return ERR_NOMEM();
	for (const struct json *row = j->child; row != NULL; row = row->next) {
		struct cgroup_counter *c = &m->stat[m->n_stat];
		const char *key = NULL;

		k = open_row(r, row, 2);
		if (k == 0)
			k = read_name(r, row->child, COUNTER_KEY_MAX, LETTERS DIGITS "_", &key);
		if (k == 0)
			k = read_uint(r, row->child->next, UINT64_MAX, &c->value);
		if (k < 0)
			return k;
		memcpy(text, key, strlen(key) + 1);
		c->key = text;
		text += COUNTER_KEY_MAX + 1;
		m->n_stat++;
	}
	return 0;
}

static int read_device(struct reader *r, const struct json *row, struct cgroup_io_device *d)
{
	uint64_t v[8] = { 0 };
	size_t n = 0;
	int k = open_row(r, row, ARRAY_SIZE(v));

	if (k < 0)
		return k;
	for (const struct json *j = row->child; j != NULL; j = j->next, n++) {
		k = read_uint(r, j, n < 2 ? UINT32_MAX : UINT64_MAX, &v[n]);
		if (k < 0)
			return k;
	}
	*d = (struct cgroup_io_device){ (uint32_t)v[0], (uint32_t)v[1], v[2], v[3], v[4], v[5], v[6], v[7] };
	return 0;
}

static int read_devices(struct reader *r, const struct json *j)
{
	struct cgroup_io_stats *io = &r->s->io;
	void *rows = NULL;
	int k = open_list(r, j, DEVICES_MAX, sizeof(*io->devices), &rows);

	io->devices = rows;
	for (const struct json *row = j->child; k == 0 && row != NULL; row = row->next) {
		k = read_device(r, row, &io->devices[io->n_devices]);
		io->n_devices += k == 0;
	}
	return k;
}

static int read_list(struct reader *r, const struct json *j, struct cgroup_list *l)
{
	void *rows = NULL;
	uint64_t v = 0, min = 0;
	int k = open_list(r, j, LIST_MAX, sizeof(*l->v), &rows);

	l->v = rows;
	l->has = k == 0;
	for (const struct json *e = j->child; k == 0 && e != NULL; e = e->next) {
		k = read_uint(r, e, UINT16_MAX, &v);
		if (k == 0 && v < min)
			k = bad(r, e, "is not in ascending order");
		if (k == 0)
			l->v[l->n++] = (uint16_t)v;
		min = v + 1;
	}
	return k;
}

static int read_number(struct reader *r, const struct json *j, struct cgroup_number *n)
{
	n->has = j->type != JSON_NULL;
	return n->has ? read_uint(r, j, UINT64_MAX, &n->value) : 0;
}

static int read_hugetlb(struct reader *r, const struct json *j)
{
	struct cgroup_stats *s = r->s;
	void *rows = NULL;
	int k = open_list(r, j, HUGETLB_MAX, sizeof(*s->hugetlb), &rows);

	s->hugetlb = rows;
	for (const struct json *row = j->child; k == 0 && row != NULL; row = row->next) {
		struct cgroup_hugetlb_stats *h = &s->hugetlb[s->n_hugetlb];
		const struct json *e = row->child;
		const char *size = NULL;

		k = open_row(r, row, 5);
		if (k == 0)
			k = read_name(r, e, sizeof(h->size) - 1, DIGITS "KMGTB", &size);
		if (k == 0)
			k = read_number(r, e->next, &h->current);
		if (k == 0)
			k = read_number(r, e->next->next, &h->max);
		if (k == 0)
			k = read_number(r, e->next->next->next, &h->reserved);
		if (k == 0)
			k = read_uint(r, e->next->next->next->next, UINT64_MAX, &h->failures);
		if (k == 0) {
			memcpy(h->size, size, strlen(size) + 1);
			s->n_hugetlb++;
		}
	}
	return k;
}

static int read_rdma(struct reader *r, const struct json *j)
{
	struct cgroup_stats *s = r->s;
	void *rows = NULL;
	int k = open_list(r, j, RDMA_MAX, sizeof(*s->rdma), &rows);

	s->rdma = rows;
	for (const struct json *row = j->child; k == 0 && row != NULL; row = row->next) {
		struct cgroup_rdma_stats *d = &s->rdma[s->n_rdma];
		const char *device = NULL;

		k = open_row(r, row, 3);
		if (k == 0)
			k = read_name(r, row->child, sizeof(d->device) - 1, LETTERS DIGITS "_-.:", &device);
		if (k == 0)
			k = read_uint(r, row->child->next, UINT64_MAX, &d->handles);
		if (k == 0)
			k = read_uint(r, row->child->next->next, UINT64_MAX, &d->objects);
		if (k == 0) {
			memcpy(d->device, device, strlen(device) + 1);
			s->n_rdma++;
		}
	}
	return k;
}

static int read_member(struct reader *r, const struct json *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		if (str_eq(figures[i].key, j->key))
			return read_figure(r, j, &figures[i]);
	if (str_eq(j->key, "memory.stat"))
		return read_counters(r, j);
	if (str_eq(j->key, "io.devices"))
		return read_devices(r, j);
	if (str_eq(j->key, "cpus"))
		return read_list(r, j, &r->s->cpus);
	if (str_eq(j->key, "mems"))
		return read_list(r, j, &r->s->mems);
	if (str_eq(j->key, "hugetlb"))
		return read_hugetlb(r, j);
	if (str_eq(j->key, "rdma"))
		return read_rdma(r, j);
	return bad(r, j, "is not known");
}

int stats_wire_read(const char *text, size_t len, struct cgroup_stats *ret)
{
	_cleanup_arena_ struct arena *a = arena_new(MEMORY_BYTES);
	struct reader r = { .arena = a, .s = ret };
	const struct json *root;
	int k;

	*ret = (struct cgroup_stats){ .n_rdma = 0 };
	if (a == NULL)
		return ERR_NOMEM();
	k = json_parse(a, NAME, text, len, DEPTH_MAX, &root);
	if (k == 0 && root->type != JSON_OBJECT)
		k = ERR_PLAIN(-EINVAL, NAME ": is not an object");
	for (const struct json *j = k == 0 ? root->child : NULL; k == 0 && j != NULL; j = j->next)
		k = read_member(&r, j);
	return k;
}
