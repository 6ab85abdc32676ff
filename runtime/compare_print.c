/* SPDX-License-Identifier: Apache-2.0 */
/* The results as a table for people and as JSON for programs. See compare.h. */
#include "runtime/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define LABEL_WIDTH 22
#define CELL_WIDTH 25

static bool shown(const struct compare_column *c)
{
	return c->asked && c->failure == NULL;
}

/* ---- table ---- */

/* "12.3 ms +-4%  x1.20" */
static void cell(struct buf *b, const struct compare_result *r, enum compare_mode mode, enum compare_metric m)
{
	struct compare_summary s = compare_summarize(&r->column[mode].metric[m]);
	char value[COMPARE_VALUE_SIZE], ratio[COMPARE_VALUE_SIZE] = "", text[80];
	uint64_t cost = compare_cost(r, mode, m);

	if (s.n == 0) {
		buf_printf(b, " %*s", CELL_WIDTH, r->column[mode].metric_failure[m] != NULL ? "failed" : "-");
		return;
	}
	compare_value(value, compare_metric_info(m)->unit, s.median);
	if (cost > 0 && mode != compare_metric_base(r, m))
		compare_ratio(ratio, cost);
	snprintf(text, sizeof(text), "%s ±%.0f%%", value, s.median > 0 ? (double)(s.q3 - s.q1) * 50.0 / (double)s.median : 0.0);
	/* The sign has two bytes and one column. */
	buf_printf(b, " %*s%7s", CELL_WIDTH - 6, text, ratio);
}

static void head(struct buf *b, const struct compare_result *r)
{
	buf_printf(b, "%-*s", LABEL_WIDTH, "");
	for (int m = 0; m < COMPARE_MODES; m++)
		if (shown(&r->column[m]))
			buf_printf(b, " %*s", CELL_WIDTH, compare_mode_name((enum compare_mode)m));
	buf_puts(b, "\n");
}

static void notes(struct buf *b, const struct compare_result *r)
{
	for (int m = 0; m < COMPARE_MODES; m++) {
		const struct compare_column *c = &r->column[m];
		const char *name = compare_mode_name((enum compare_mode)m);
		int64_t ppm;

		if (c->asked && c->failure != NULL)
			buf_printf(b, "%s: not measured: %s\n", name, c->failure);
		for (int k = 0; k < COMPARE_METRICS; k++)
			if (c->metric_failure[k] != NULL)
				buf_printf(b, "%s: %s: %s\n", name, compare_metric_info((enum compare_metric)k)->label, c->metric_failure[k]);
		if (shown(c) && compare_clock_is_off(c, &ppm))
			buf_printf(b, "%s: its clock is %.1f %% %s: what it measured by itself is off by as much\n", name,
				   (double)(ppm < 0 ? -ppm : ppm) / 10000.0, ppm < 0 ? "slow" : "fast");
	}
	if (r->no_network != NULL)
		buf_printf(b, "network: not measured: %s\n", r->no_network);
}

static bool any(const struct compare_result *r, enum compare_metric m)
{
	for (int k = 0; k < COMPARE_MODES; k++)
		if (r->column[k].metric[m].n > 0 || r->column[k].metric_failure[m] != NULL)
			return true;
	return false;
}

void compare_table(struct buf *b, const struct compare_result *r)
{
	enum compare_mode base = compare_base(r);

	if (base != COMPARE_MODES) {
		head(b, r);
		for (int m = 0; m < COMPARE_METRICS; m++) {
			if (!any(r, (enum compare_metric)m))
				continue;
			buf_printf(b, "%-*s", LABEL_WIDTH, compare_metric_info((enum compare_metric)m)->label);
			for (int k = 0; k < COMPARE_MODES; k++)
				if (shown(&r->column[k]))
					cell(b, r, (enum compare_mode)k, (enum compare_metric)m);
			buf_puts(b, "\n");
		}
		buf_printf(b, "\nMedians of %u runs, ± half of the range between the quartiles; x: times the cost of the first mode that has it.\n",
			   r->runs);
	}
	notes(b, r);
}

/* ---- JSON ---- */

static const char *unit_name(enum compare_unit u)
{
	static const char *const names[] = {
		[COMPARE_NS] = "ns", [COMPARE_PS] = "ps", [COMPARE_BYTES] = "B", [COMPARE_PER_SECOND] = "/s",
		[COMPARE_BYTES_PER_SECOND] = "B/s",
	};

	return names[u];
}

static void write_metric(struct json_writer *w, const struct compare_column *c, enum compare_metric m)
{
	const struct compare_metric_info *info = compare_metric_info(m);
	struct compare_summary s = compare_summarize(&c->metric[m]);

	if (s.n == 0 && c->metric_failure[m] == NULL)
		return;
	json_key(w, info->key);
	json_object_open(w);
	json_kv_string(w, "unit", unit_name(info->unit));
	json_kv_bool(w, "moreIsBetter", compare_more_is_better(info->unit));
	if (c->metric_failure[m] != NULL)
		json_kv_string(w, "failure", c->metric_failure[m]);
	if (s.n > 0) {
		json_kv_uint(w, "median", s.median);
		json_kv_uint(w, "q1", s.q1);
		json_kv_uint(w, "q3", s.q3);
		json_kv_uint(w, "min", s.min);
		json_kv_uint(w, "max", s.max);
	}
	json_key(w, "samples");
	json_array_open(w);
	for (size_t i = 0; i < s.n; i++)
		json_uint(w, c->metric[m].v[i]);
	json_array_close(w);
	json_object_close(w);
}

static void write_mode(struct json_writer *w, const struct compare_result *r, enum compare_mode mode)
{
	const struct compare_column *c = &r->column[mode];
	int64_t ppm;

	json_object_open(w);
	json_kv_string(w, "name", compare_mode_name(mode));
	json_kv_string(w, "title", compare_mode_title(mode));
	if (c->failure != NULL)
		json_kv_string(w, "failure", c->failure);
	if (c->n_drift > 0) {
		json_kv_bool(w, "clockIsOff", compare_clock_is_off(c, &ppm));
		json_kv_int(w, "clockDriftPpm", ppm);
	}
	json_key(w, "metrics");
	json_object_open(w);
	for (int m = 0; m < COMPARE_METRICS; m++)
		write_metric(w, c, (enum compare_metric)m);
	json_object_close(w);
	json_object_close(w);
}

static void write_all(struct json_writer *w, const struct compare_result *r)
{
	json_object_open(w);
	json_kv_string(w, "nacre", NACRE_VERSION);
	json_kv_string(w, "bundle", r->bundle);
	json_kv_string(w, "time", r->when);
	json_kv_uint(w, "runs", r->runs);
	if (r->no_network != NULL)
		json_kv_string(w, "networkFailure", r->no_network);
	json_key(w, "host");
	json_object_open(w);
	json_kv_string(w, "kernel", r->kernel);
	json_kv_string(w, "cpu", r->cpu);
	json_kv_uint(w, "cpus", r->cpus);
	json_object_close(w);
	json_key(w, "modes");
	json_array_open(w);
	for (int m = 0; m < COMPARE_MODES; m++)
		if (r->column[m].asked)
			write_mode(w, r, (enum compare_mode)m);
	json_array_close(w);
	json_object_close(w);
}

int compare_write_json(const struct compare_result *r, const char *path)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int k;

	write_all(w, r);
	if (str_eq(path, "-"))
		return json_writer_print(w);
	text = json_writer_take(w, &len);
	if (text == NULL)
		return ERR_NOMEM();
	k = file_write(path, text, len, 0644);
	return k < 0 ? ERR(k, "cannot write \"%s\"", path) : 0;
}
