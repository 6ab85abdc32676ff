/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results as a chart: one picture without anything beside it, for light and dark. Each metric is a row of lanes, one a
 * mode; a bar goes from the first mode's cost to the mode's own, on a logarithmic scale: to the right is slower or larger, to the
 * left faster or smaller. A thin line is the range between the quartiles. See compare.h.
 */
#include "runtime/compare.h"

#include <stdio.h>

#include "runtime/base/str.h"

/* Pixels. */
enum {
	WIDTH = 980,
	MARGIN = 24,
	LABEL = 190,		/* where the lanes begin */
	PLOT_LEFT = 290,
	PLOT_RIGHT = 770,	/* behind it the values */
	LANE = 18,
	GAP = 10,
	LINE = 18,
};

struct axis {
	int low, high;		/* powers of ten, of the cost */
};

/* ---- text ---- */

static void escape(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '<')
			buf_puts(b, "&lt;");
		else if (*s == '>')
			buf_puts(b, "&gt;");
		else if (*s == '&')
			buf_puts(b, "&amp;");
		else if (*s == '"')
			buf_puts(b, "&quot;");
		else if ((unsigned char)*s >= 0x20)
			buf_add(b, s, 1);
	}
}

static void text(struct buf *b, int x, int y, const char *class, const char *s)
{
	buf_printf(b, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
	escape(b, s);
	buf_puts(b, "</text>\n");
}

/* ---- scale ---- */

static bool shown(const struct compare_column *c)
{
	return c->asked && c->failure == NULL;
}

/* libm would be one more library for each start of nacre to load. */
static double power_of_ten(int n)
{
	double v = 1;

	for (; n > 0; n--)
		v *= 10;
	for (; n < 0; n++)
		v /= 10;
	return v;
}

/* Of v > 0: its whole part by division, then a binary digit for each squaring. */
static double log_ten(double v)
{
	double log = 0, digit = 1;

	while (v >= 10) {
		v /= 10;
		log += 1;
	}
	while (v < 1) {
		v *= 10;
		log -= 1;
	}
	for (int i = 0; i < 24; i++) {
		v *= v;
		digit /= 2;
		if (v >= 10) {
			v /= 10;
			log += digit;
		}
	}
	return log;
}

static struct axis find_axis(const struct compare_result *r)
{
	struct axis a = { 0, 1 };

	for (int m = 0; m < COMPARE_MODES; m++) {
		for (int k = 0; k < COMPARE_METRICS; k++) {
			uint64_t cost = compare_cost(r, (enum compare_mode)m, (enum compare_metric)k);

			while (cost > 0 && (double)cost / 1000.0 < power_of_ten(a.low))
				a.low--;
			while ((double)cost / 1000.0 > power_of_ten(a.high))
				a.high++;
		}
	}
	return a;
}

/* Of a cost in thousandths; 0 is the left end. */
static double place(const struct axis *a, double thousandths)
{
	double power = thousandths > 0 ? log_ten(thousandths / 1000.0) : a->low;

	if (power < a->low)
		power = a->low;
	if (power > a->high)
		power = a->high;
	return PLOT_LEFT + (power - a->low) / (a->high - a->low) * (PLOT_RIGHT - PLOT_LEFT);
}

/* ---- parts ---- */

static void style(struct buf *b)
{
	buf_puts(b, "<style>\n"
		    "svg{--paper:#fff;--ink:#1c2330;--soft:#5b6472;--grid:#dfe3e8;--host:#6b7280;--container:#1f77b4;--kvm:#0a8754;"
		    "--qemu:#b8860b;--tcg:#c2410c;background:var(--paper)}\n"
		    "@media(prefers-color-scheme:dark){svg{--paper:#12161c;--ink:#e8ecf1;--soft:#a4adb9;--grid:#2b323c;--host:#9aa3af;"
		    "--container:#5aa9e6;--kvm:#4ade9b;--qemu:#e3b341;--tcg:#fb8b5a}}\n"
		    "text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--ink)}\n"
		    ".title{font-size:19px;font-weight:600}.soft{fill:var(--soft)}.metric{font-weight:600}.value{font-variant-numeric:tabular-nums}"
		    ".end{text-anchor:end}.middle{text-anchor:middle}\n"
		    ".grid{stroke:var(--grid)}.one{stroke:var(--soft)}.range{stroke:var(--ink);stroke-width:1.5}\n");
	for (int m = 0; m < COMPARE_MODES; m++)
		buf_printf(b, ".%s{fill:var(--%s)}\n", compare_mode_name((enum compare_mode)m), compare_mode_name((enum compare_mode)m));
	buf_puts(b, "</style>\n");
}

static int heading(struct buf *b, const struct compare_result *r)
{
	_cleanup_buf_ struct buf line = BUF_NULL;
	int y = MARGIN + 14;

	text(b, MARGIN, y, "title", "What virtualization costs");
	y += LINE + 6;
	buf_printf(&line, "Times the cost of the first mode that has it, on a logarithmic scale; to the right is slower or larger. Medians of %u runs.",
		   r->runs);
	text(b, MARGIN, y, "soft", line.data != NULL ? line.data : "");
	buf_deinit(&line);
	line = (struct buf)BUF_NULL;
	y += LINE;
	buf_printf(&line, "%s%s%u CPU%s, %s, %s", r->cpu, r->cpu[0] != '\0' ? ", " : "", r->cpus, r->cpus == 1 ? "" : "s", r->kernel, r->when);
	text(b, MARGIN, y, "soft", line.data != NULL ? line.data : "");
	return y + LINE;
}

static int legend(struct buf *b, const struct compare_result *r, int y)
{
	for (int m = 0; m < COMPARE_MODES; m++) {
		enum compare_mode mode = (enum compare_mode)m;
		_cleanup_buf_ struct buf line = BUF_NULL;

		if (!shown(&r->column[m]))
			continue;
		buf_printf(b, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\" class=\"%s\"/>\n", MARGIN, y - 10,
			   compare_mode_name(mode));
		buf_printf(&line, "%s: %s", compare_mode_name(mode), compare_mode_title(mode));
		text(b, MARGIN + 20, y, "label", line.data != NULL ? line.data : "");
		y += LINE;
	}
	return y + 6;
}

static void grid(struct buf *b, const struct axis *a, int top, int bottom)
{
	for (int power = a->low; power <= a->high; power++) {
		int x = (int)place(a, power_of_ten(power) * 1000.0);
		char label[32];

		buf_printf(b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"%s\"/>\n", x, top, x, bottom, power == 0 ? "one" : "grid");
		snprintf(label, sizeof(label), power < 0 ? "x%g" : "x%.0f", power_of_ten(power));
		text(b, x, top - 6, "soft middle", label);
	}
}

/* A cost of the quartiles, from the median's. */
static double scaled_cost(uint64_t cost, uint64_t quartile, uint64_t median, bool more_is_better)
{
	if (quartile == 0 || median == 0)
		return (double)cost;
	return more_is_better ? (double)cost * (double)median / (double)quartile : (double)cost * (double)quartile / (double)median;
}

static void lane(struct buf *b, const struct compare_result *r, const struct axis *a, enum compare_mode mode, enum compare_metric m, int y)
{
	const struct compare_metric_info *info = compare_metric_info(m);
	struct compare_summary s = compare_summarize(&r->column[mode].metric[m]);
	uint64_t cost = compare_cost(r, mode, m);
	char value[COMPARE_VALUE_SIZE], ratio[COMPARE_VALUE_SIZE];
	double one = place(a, 1000.0), end = cost > 0 ? place(a, (double)cost) : one;
	bool more = compare_more_is_better(info->unit);

	text(b, LABEL, y + 13, "soft", compare_mode_name(mode));
	if (s.n == 0) {
		text(b, PLOT_RIGHT + 12, y + 13, "soft", r->column[mode].metric_failure[m] != NULL ? "failed" : "-");
		return;
	}
	/* A bar of nothing is still to be seen. */
	buf_printf(b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" class=\"%s\"/>\n", end < one ? end : one - 1, y + 3,
		   end < one ? one - end : end - one + 2, LANE - 6, compare_mode_name(mode));
	if (cost > 0)
		buf_printf(b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"range\"/>\n",
			   place(a, scaled_cost(cost, s.q1, s.median, more)), y + LANE / 2, place(a, scaled_cost(cost, s.q3, s.median, more)),
			   y + LANE / 2);
	compare_value(value, info->unit, s.median);
	text(b, PLOT_RIGHT + 105, y + 13, "value end", value);
	if (cost > 0 && mode != compare_metric_base(r, m)) {
		compare_ratio(ratio, cost);
		text(b, WIDTH - MARGIN, y + 13, "value end", ratio);
	}
}

static bool any(const struct compare_result *r, enum compare_metric m)
{
	for (int k = 0; k < COMPARE_MODES; k++)
		if (r->column[k].metric[m].n > 0)
			return true;
	return false;
}

static int rows(struct buf *b, const struct compare_result *r, const struct axis *a, int y)
{
	for (int m = 0; m < COMPARE_METRICS; m++) {
		if (!any(r, (enum compare_metric)m))
			continue;
		text(b, MARGIN, y + 13, "metric", compare_metric_info((enum compare_metric)m)->label);
		for (int k = 0; k < COMPARE_MODES; k++) {
			if (!shown(&r->column[k]))
				continue;
			lane(b, r, a, (enum compare_mode)k, (enum compare_metric)m, y);
			y += LANE;
		}
		y += GAP;
	}
	return y;
}

static int note(struct buf *b, const char *what, const char *why, int y)
{
	_cleanup_buf_ struct buf line = BUF_NULL;

	if (why == NULL)
		return y;
	buf_printf(&line, "%s, not measured: %.110s", what, why);
	text(b, MARGIN, y + 13, "soft", line.data != NULL ? line.data : "");
	return y + LINE;
}

static int missing(struct buf *b, const struct compare_result *r, int y)
{
	for (int m = 0; m < COMPARE_MODES; m++)
		if (r->column[m].asked)
			y = note(b, compare_mode_name((enum compare_mode)m), r->column[m].failure, y);
	return note(b, "network", r->no_network, y);
}

void compare_svg(struct buf *b, const struct compare_result *r)
{
	struct axis a = find_axis(r);
	_cleanup_buf_ struct buf head = BUF_NULL, body = BUF_NULL;
	int top, bottom, y;

	style(&head);
	y = heading(&head, r);
	top = legend(&head, r, y + 10) + LINE;
	bottom = rows(&body, r, &a, top + 6);
	y = missing(&body, r, bottom + 6) + MARGIN;
	buf_printf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
		      "aria-label=\"What virtualization costs: each metric in each mode\">\n", WIDTH, y, WIDTH, y);
	if (head.failed || body.failed)
		b->failed = true;
	buf_puts(b, head.data != NULL ? head.data : "");
	/* Under the bars. */
	if (compare_base(r) != COMPARE_MODES)
		grid(b, &a, top, bottom);
	buf_puts(b, body.data != NULL ? body.data : "");
	buf_puts(b, "</svg>\n");
}
