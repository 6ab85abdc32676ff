/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for people: a row for each container, as a line of a table or a JSON object. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cgroups/stats.h"

struct buf;
struct json_writer;

/* What of one look is needed at the next. Starts as { 0 }. */
struct stats_mark {
	bool has;
	uint64_t at_ns, cpu_ns;
};

/* What is absent is not known on this host. */
struct stats_row {
	const char *id;
	struct cgroup_number cpu;		/* hundredths of a percent of one processor, since the last look */
	struct cgroup_number memory;		/* bytes; file cache that the kernel would drop first is not counted */
	struct cgroup_number memory_limit;	/* bytes; absent: none */
	struct cgroup_number memory_percent;	/* hundredths, of the limit */
	struct cgroup_number pids;
	struct cgroup_number read, written;	/* bytes, all block devices */
	bool has_pressure;
	uint32_t pressure_cpu, pressure_memory, pressure_io;	/* hundredths of a percent: some, avg10 */
};

/* now_ns: on the monotonic clock, when s was read. id is not copied. */
void stats_row_fill(struct stats_row *row, const char *id, const struct cgroup_stats *s, uint64_t now_ns,
		    struct stats_mark *last);

/* Lines of a table; id_width is that of the longest id. */
void stats_table_head(struct buf *b, int id_width);
void stats_table_row(struct buf *b, int id_width, const struct stats_row *row);

/* An object; null is what is absent. */
void stats_row_json(struct json_writer *w, const struct stats_row *row);
