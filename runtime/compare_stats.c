/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured, and what the samples say. Pure. See compare.h. */
#include "runtime/compare.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/str.h"

static const struct compare_metric_info metrics[COMPARE_METRICS] = {
	[COMPARE_FIRST_BYTE] = { "firstByte", "run: first byte", NULL, COMPARE_NS },
	[COMPARE_RUN] = { "run", "run: all of it", NULL, COMPARE_NS },
	[COMPARE_CREATE] = { "create", "create", NULL, COMPARE_NS },
	[COMPARE_START] = { "start", "start", NULL, COMPARE_NS },
	[COMPARE_EXEC] = { "exec", "exec", NULL, COMPARE_NS },
	[COMPARE_DELETE] = { "delete", "delete --force", NULL, COMPARE_NS },
	[COMPARE_MEMORY] = { "memory", "memory (PSS)", NULL, COMPARE_BYTES },
	[COMPARE_INTEGER] = { "integer", "integer steps", "integer", COMPARE_PER_SECOND },
	[COMPARE_COPY] = { "memoryCopy", "memory copy", "memory", COMPARE_BYTES_PER_SECOND },
	[COMPARE_SYSCALL] = { "systemCall", "system call", "syscall_ps", COMPARE_PS },
	[COMPARE_SWITCH] = { "contextSwitch", "context switch", "switch_ns", COMPARE_NS },
	[COMPARE_FORK_EXEC] = { "forkExec", "fork and exec", "fork_exec_ns", COMPARE_NS },
	[COMPARE_FILE_WRITE] = { "fileWrite", "file write, synced", "file_write", COMPARE_BYTES_PER_SECOND },
	[COMPARE_FILE_READ] = { "fileRead", "file read", "file_read", COMPARE_BYTES_PER_SECOND },
	[COMPARE_FILE_RANDOM] = { "fileRandom", "random 4 KiB reads", "file_random", COMPARE_PER_SECOND },
	[COMPARE_FILE_METADATA] = { "fileMetadata", "make, stat, remove", "file_metadata", COMPARE_PER_SECOND },
	[COMPARE_TCP_ROUND_TRIP] = { "tcpRoundTrip", "TCP round trip (lo)", "tcp_round_trip_ns", COMPARE_NS },
	[COMPARE_TCP_STREAM] = { "tcpStream", "TCP stream (lo)", "tcp_stream", COMPARE_BYTES_PER_SECOND },
	[COMPARE_NET_ROUND_TRIP] = { "netRoundTrip", "TCP round trip (veth)", "net_round_trip_ns", COMPARE_NS },
	[COMPARE_NET_STREAM] = { "netStream", "TCP stream (veth)", "net_stream", COMPARE_BYTES_PER_SECOND },
};

static const char *const mode_names[COMPARE_MODES] = { "host", "container", "kvm", "qemu", "tcg" };

static const char *const mode_titles[COMPARE_MODES] = {
	"the process by itself",
	"namespaces and cgroup",
	"microVM, nacre's monitor on KVM",
	"microVM, QEMU on KVM",
	"microVM, QEMU's emulation",
};

const struct compare_metric_info *compare_metric_info(enum compare_metric m)
{
	return &metrics[m];
}

const char *compare_mode_name(enum compare_mode m)
{
	return mode_names[m];
}

const char *compare_mode_title(enum compare_mode m)
{
	return mode_titles[m];
}

bool compare_more_is_better(enum compare_unit u)
{
	return u == COMPARE_PER_SECOND || u == COMPARE_BYTES_PER_SECOND;
}

void compare_add(struct compare_series *s, uint64_t v)
{
	if (s->n < ARRAY_SIZE(s->v))
		s->v[s->n++] = v;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* At quarter/4 of the way from the first to the last. */
static uint64_t quartile(const uint64_t *sorted, size_t n, unsigned int quarter)
{
	size_t at = (n - 1) * quarter, i = at / 4;
	uint64_t rest = at % 4;

	if (rest == 0)
		return sorted[i];
	/* In this order, so that nothing overflows. */
	return sorted[i] + (sorted[i + 1] - sorted[i]) / 4 * rest + (sorted[i + 1] - sorted[i]) % 4 * rest / 4;
}

struct compare_summary compare_summarize(const struct compare_series *s)
{
	uint64_t sorted[COMPARE_RUNS_MAX];
	struct compare_summary r = { .n = s->n };

	if (s->n == 0)
		return r;
	memcpy(sorted, s->v, s->n * sizeof(sorted[0]));
	qsort(sorted, s->n, sizeof(sorted[0]), by_value);
	r.min = sorted[0];
	r.q1 = quartile(sorted, s->n, 1);
	r.median = quartile(sorted, s->n, 2);
	r.q3 = quartile(sorted, s->n, 3);
	r.max = sorted[s->n - 1];
	return r;
}

void compare_result_deinit(struct compare_result *r)
{
	free(r->no_network);
	for (int m = 0; m < COMPARE_MODES; m++) {
		free(r->column[m].failure);
		for (int k = 0; k < COMPARE_METRICS; k++)
			free(r->column[m].metric_failure[k]);
	}
}

static bool has_something(const struct compare_column *c)
{
	for (int k = 0; k < COMPARE_METRICS; k++)
		if (c->metric[k].n > 0)
			return true;
	return false;
}

enum compare_mode compare_base(const struct compare_result *r)
{
	int m = 0;

	while (m < COMPARE_MODES && !has_something(&r->column[m]))
		m++;
	return (enum compare_mode)m;
}

enum compare_mode compare_metric_base(const struct compare_result *r, enum compare_metric m)
{
	int mode = 0;

	while (mode < COMPARE_MODES && r->column[mode].metric[m].n == 0)
		mode++;
	return (enum compare_mode)mode;
}

uint64_t compare_cost(const struct compare_result *r, enum compare_mode mode, enum compare_metric m)
{
	enum compare_mode base = compare_metric_base(r, m);
	uint64_t own, other;

	if (base == COMPARE_MODES)
		return 0;
	own = compare_summarize(&r->column[mode].metric[m]).median;
	other = compare_summarize(&r->column[base].metric[m]).median;
	if (own == 0 || other == 0)
		return 0;
	if (compare_more_is_better(metrics[m].unit))
		return (uint64_t)((double)other * 1000.0 / (double)own + 0.5);
	return (uint64_t)((double)own * 1000.0 / (double)other + 0.5);
}

static int by_drift(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

bool compare_clock_is_off(const struct compare_column *c, int64_t *ret_ppm)
{
	int64_t sorted[COMPARE_RUNS_MAX];

	*ret_ppm = 0;
	if (c->n_drift == 0)
		return false;
	memcpy(sorted, c->drift_ppm, c->n_drift * sizeof(sorted[0]));
	qsort(sorted, c->n_drift, sizeof(sorted[0]), by_drift);
	*ret_ppm = sorted[c->n_drift / 2];
	return *ret_ppm > 20000 || *ret_ppm < -20000;
}

/* Three significant digits. */
static void scaled(char out[COMPARE_VALUE_SIZE], double v, const char *unit)
{
	snprintf(out, COMPARE_VALUE_SIZE, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, unit);
}

static void scale(char out[COMPARE_VALUE_SIZE], double v, double step, const char *const *units, size_t n)
{
	size_t i = 0;

	/* 999.6 would be printed as 1000. */
	while (v >= step * 0.9995 && i + 1 < n) {
		v /= step;
		i++;
	}
	scaled(out, v, units[i]);
}

void compare_value(char out[COMPARE_VALUE_SIZE], enum compare_unit u, uint64_t v)
{
	static const char *const times[] = { "ps", "ns", "us", "ms", "s" };
	static const char *const sizes[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static const char *const rates[] = { "B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s" };
	static const char *const numbers[] = { "/s", "k/s", "M/s", "G/s" };

	switch (u) {
	case COMPARE_PS:
		scale(out, (double)v, 1000, times, ARRAY_SIZE(times));
		break;
	case COMPARE_NS:
		scale(out, (double)v, 1000, times + 1, ARRAY_SIZE(times) - 1);
		break;
	case COMPARE_BYTES:
		scale(out, (double)v, 1024, sizes, ARRAY_SIZE(sizes));
		break;
	case COMPARE_BYTES_PER_SECOND:
		scale(out, (double)v, 1024, rates, ARRAY_SIZE(rates));
		break;
	case COMPARE_PER_SECOND:
		scale(out, (double)v, 1000, numbers, ARRAY_SIZE(numbers));
		break;
	}
}

void compare_ratio(char out[COMPARE_VALUE_SIZE], uint64_t thousandths)
{
	double v = (double)thousandths / 1000.0;

	snprintf(out, COMPARE_VALUE_SIZE, "x%.*f", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v);
}
