/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_view.h. */
#include "runtime/stats_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "oci/json.h"
#include "runtime/base/size.h"
#include "runtime/base/str.h"

#define HUNDREDTHS 10000U	/* of a percent in a whole */
#define CELL_MAX 64

/* part / whole in hundredths of a percent; no overflow. */
static struct cgroup_number percent(uint64_t part, uint64_t whole)
{
	unsigned __int128 v = (unsigned __int128)part * HUNDREDTHS;

	if (whole == 0)
		return (struct cgroup_number){ .has = false };
	v /= whole;
	return (struct cgroup_number){ .has = true, .value = v > UINT64_MAX ? UINT64_MAX : (uint64_t)v };
}

static void fill_cpu(struct stats_row *row, const struct cgroup_cpu_stats *c, uint64_t now_ns, struct stats_mark *last)
{
	if (c->has && last->has && now_ns > last->at_ns && c->usage_ns >= last->cpu_ns)
		row->cpu = percent(c->usage_ns - last->cpu_ns, now_ns - last->at_ns);
	*last = (struct stats_mark){ .has = c->has, .at_ns = now_ns, .cpu_ns = c->usage_ns };
}

static void fill_memory(struct stats_row *row, const struct cgroup_stats *s)
{
	uint64_t droppable = cgroup_stats_memory(s, "inactive_file");

	row->memory = s->memory.current;
	if (row->memory.has)
		row->memory.value -= droppable < row->memory.value ? droppable : row->memory.value;
	row->memory_limit = s->memory.max;
	if (row->memory_limit.value == CGROUP_UNLIMITED)
		row->memory_limit.has = false;
	if (row->memory.has && row->memory_limit.has)
		row->memory_percent = percent(row->memory.value, row->memory_limit.value);
}

static void fill_io(struct stats_row *row, const struct cgroup_io_stats *io)
{
	row->read.has = io->has;
	row->written.has = io->has;
	for (size_t i = 0; i < io->n_devices; i++) {
		row->read.value += io->devices[i].rbytes;
		row->written.value += io->devices[i].wbytes;
	}
}

void stats_row_fill(struct stats_row *row, const char *id, const struct cgroup_stats *s, uint64_t now_ns,
		    struct stats_mark *last)
{
	*row = (struct stats_row){ .id = id, .pids = s->pids.current };
	fill_cpu(row, &s->cpu, now_ns, last);
	fill_memory(row, s);
	fill_io(row, &s->io);
	row->has_pressure = s->cpu.psi.has && s->memory.psi.has && s->io.psi.has;
	row->pressure_cpu = s->cpu.psi.some.avg10;
	row->pressure_memory = s->memory.psi.some.avg10;
	row->pressure_io = s->io.psi.some.avg10;
}

static const char *size_cell(const struct cgroup_number *n, char cell[SIZE_TEXT_MAX])
{
	if (!n->has)
		return "-";
	size_text(n->value, "", cell);
	return cell;
}

static const char *percent_cell(const struct cgroup_number *n, char cell[CELL_MAX])
{
	if (!n->has)
		return "-";
	snprintf(cell, CELL_MAX, "%" PRIu64 ".%02u", n->value / 100, (unsigned int)(n->value % 100));
	return cell;
}

static const char *pair_cell(const struct cgroup_number *a, const struct cgroup_number *b, char cell[CELL_MAX])
{
	char first[SIZE_TEXT_MAX], second[SIZE_TEXT_MAX];

	snprintf(cell, CELL_MAX, "%s / %s", size_cell(a, first), size_cell(b, second));
	return cell;
}

static const char *pressure_cell(const struct stats_row *row, char cell[CELL_MAX])
{
	if (!row->has_pressure)
		return "-";
	snprintf(cell, CELL_MAX, "%u.%02u / %u.%02u / %u.%02u", row->pressure_cpu / 100, row->pressure_cpu % 100,
		 row->pressure_memory / 100, row->pressure_memory % 100, row->pressure_io / 100, row->pressure_io % 100);
	return cell;
}

static void add_line(struct buf *b, int id_width, const char *const cells[7])
{
	buf_printf(b, "%-*s  %8s  %21s  %6s  %6s  %21s  %s\n", id_width, cells[0], cells[1], cells[2], cells[3], cells[4],
		   cells[5], cells[6]);
}

void stats_table_head(struct buf *b, int id_width)
{
	static const char *const cells[] = { "ID", "CPU %", "MEM USAGE / LIMIT", "MEM %", "PIDS", "IO READ / WRITTEN",
					     "PRESSURE % CPU / MEM / IO" };

	add_line(b, id_width, cells);
}

void stats_table_row(struct buf *b, int id_width, const struct stats_row *row)
{
	char cpu[CELL_MAX], memory[CELL_MAX], memory_percent[CELL_MAX], pids[CELL_MAX], io[CELL_MAX], pressure[CELL_MAX];
	const char *const cells[] = {
		row->id,
		percent_cell(&row->cpu, cpu),
		pair_cell(&row->memory, &row->memory_limit, memory),
		percent_cell(&row->memory_percent, memory_percent),
		row->pids.has ? pids : "-",
		pair_cell(&row->read, &row->written, io),
		pressure_cell(row, pressure),
	};

	snprintf(pids, sizeof(pids), "%" PRIu64, row->pids.value);
	add_line(b, id_width, cells);
}

static void kv_number(struct json_writer *w, const char *key, const struct cgroup_number *n)
{
	json_key(w, key);
	if (n->has)
		json_uint(w, n->value);
	else
		json_null(w);
}

static void kv_percent(struct json_writer *w, const char *key, const struct cgroup_number *n)
{
	json_key(w, key);
	if (n->has)
		json_hundredths(w, n->value);
	else
		json_null(w);
}

void stats_row_json(struct json_writer *w, const struct stats_row *row)
{
	json_object_open(w);
	json_kv_string(w, "id", row->id);
	kv_percent(w, "cpuPercent", &row->cpu);
	kv_number(w, "memoryUsage", &row->memory);
	kv_number(w, "memoryLimit", &row->memory_limit);
	kv_percent(w, "memoryPercent", &row->memory_percent);
	kv_number(w, "pids", &row->pids);
	kv_number(w, "ioRead", &row->read);
	kv_number(w, "ioWritten", &row->written);
	json_key(w, "pressure");
	if (row->has_pressure) {
		json_object_open(w);
		json_kv_hundredths(w, "cpu", row->pressure_cpu);
		json_kv_hundredths(w, "memory", row->pressure_memory);
		json_kv_hundredths(w, "io", row->pressure_io);
		json_object_close(w);
	} else {
		json_null(w);
	}
	json_object_close(w);
}
