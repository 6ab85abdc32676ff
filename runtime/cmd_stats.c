/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre stats: what containers use, for people: a table that is redrawn, or lines. Waits in poll(2) for its
 * clock, for the containers' ends, and for the terminal.
 */
#include "runtime/command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "oci/json.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"
#include "runtime/screen.h"
#include "runtime/stats_view.h"

#define INTERVAL_DEFAULT "1s"
#define ID_WIDTH_MIN 12

struct flags {
	const char *interval, *format;
	bool no_stream;
};

static const struct option_row rows[] = {
	{ 'f', "format", "table|json", "how to print (default: table)", OPTION_STRING, offsetof(struct flags, format) },
	{ 0, "interval", "TIME", "between two looks: 5s, 500ms, 1m (default: " INTERVAL_DEFAULT ")", OPTION_STRING,
	  offsetof(struct flags, interval) },
	{ 0, "no-stream", NULL, "print once and end; CPU % needs two looks, so that takes one interval", OPTION_BOOL,
	  offsetof(struct flags, no_stream) },
};

/* One container in view. On the heap, because its parts point at each other. */
struct watched {
	struct container c;
	struct instance i;
	struct backend_watch watch;
	struct stats_mark last;
	struct stats_row row;
	bool ended;
};

struct view {
	const char *root;
	bool all;		/* every running container, those that start later, too */
	bool json;
	struct watched **v;	/* by ID */
	size_t n;
	int timer;
	struct screen screen;
};

static void watched_free(struct watched *w)
{
	backend_watch_deinit(&w->watch);
	instance_deinit(&w->i);
	container_deinit(&w->c);
	free(w);
}

static void view_deinit(struct view *v)
{
	screen_leave(&v->screen);
	for (size_t k = 0; k < v->n; k++)
		watched_free(v->v[k]);
	free(v->v);
	fd_close(&v->timer);
}
#define _cleanup_view_ __attribute__((cleanup(view_deinit)))

static int by_id(const void *a, const void *b)
{
	return strcmp((*(struct watched *const *)a)->c.id, (*(struct watched *const *)b)->c.id);
}

static bool in_view(const struct view *v, const char *id)
{
	for (size_t k = 0; k < v->n; k++)
		if (str_eq(v->v[k]->c.id, id))
			return true;
	return false;
}

/* Each container in view takes a handful of descriptors; the usual limit is enough for two hundred. */
static void raise_nofile(void)
{
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) == 0) {
		now.rlim_cur = now.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &now);
	}
}

/* -ESRCH: it does not run. */
static int open_watched(const char *root, const char *id, struct watched *w)
{
	enum container_status status;
	pid_t pid;
	int r = lifecycle_status(root, id, &w->c, &w->i, &status, &pid);

	if (r < 0)
		return r;
	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return ERR_PLAIN(-ESRCH, "cannot read the statistics of container \"%s\": container not running (%s)", id,
				 status_name(status));
	return w->i.ops->watch(&w->i, &w->watch);
}

static int add(struct view *v, const char *id)
{
	struct watched **list, *w;
	int r;

	if (in_view(v, id))
		return 0;
	list = reallocarray(v->v, v->n + 1, sizeof(struct watched *));
	w = calloc(1, sizeof(*w));
	if (list != NULL)
		v->v = list;
	if (list == NULL || w == NULL) {
		free(w);
		return ERR_NOMEM();
	}
	w->c = (struct container)CONTAINER_NULL;
	w->i = (struct instance)INSTANCE_NULL;
	w->watch = (struct backend_watch)BACKEND_WATCH_NULL;
	r = open_watched(v->root, id, w);
	if (r < 0) {
		watched_free(w);
		return r;
	}
	v->v[v->n++] = w;
	qsort(v->v, v->n, sizeof(struct watched *), by_id);
	return 0;
}

/* Whatever keeps one from being looked at (it does not run, is being made or deleted), the others are shown. */
static int add_all(struct view *v)
{
	_cleanup_container_ids_ struct container_ids ids = { NULL, 0 };
	int r = v->all ? container_list(v->root, &ids) : 0;

	for (size_t k = 0; r == 0 && k < ids.n; k++) {
		r = add(v, ids.v[k]);
		if (r < 0 && r != -ENOMEM) {
			err_clear();
			r = 0;
		}
	}
	return r;
}

static void drop_ended(struct view *v)
{
	size_t kept = 0;

	for (size_t k = 0; k < v->n; k++) {
		struct pollfd p = v->v[k]->watch.end;

		if (v->v[k]->ended || poll(&p, 1, 0) > 0)
			watched_free(v->v[k]);
		else
			v->v[kept++] = v->v[k];
	}
	v->n = kept;
}

static int look_at(struct watched *w)
{
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 };
	int r = w->i.ops->stats(&w->i, &s);

	/* Without a cgroup nothing is known, which the row says; without one any more it has ended. */
	if (r == -ENOTSUP || r == -ENOENT) {
		w->ended = r == -ENOENT;
		err_clear();
		r = 0;
	}
	stats_row_fill(&w->row, w->c.id, &s, clock_now_ns(), &w->last);
	return r;
}

static int look(struct view *v)
{
	int r;

	drop_ended(v);
	r = add_all(v);
	for (size_t k = 0; r == 0 && k < v->n; k++)
		r = look_at(v->v[k]);
	drop_ended(v);
	return r;
}

static int print_json(const struct view *v)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	json_array_open(w);
	for (size_t k = 0; k < v->n; k++)
		stats_row_json(w, &v->v[k]->row);
	json_array_close(w);
	return json_writer_print(w);
}

static int print_table(const struct view *v)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	size_t width = ID_WIDTH_MIN;

	for (size_t k = 0; k < v->n; k++)
		if (strlen(v->v[k]->c.id) > width)
			width = strlen(v->v[k]->c.id);
	stats_table_head(&b, (int)width);
	for (size_t k = 0; k < v->n; k++)
		stats_table_row(&b, (int)width, &v->v[k]->row);
	if (b.failed)
		return ERR_NOMEM();
	if (v->screen.on)
		return screen_draw(&v->screen, b.data);
	return fputs(b.data, stdout) < 0 || fflush(stdout) != 0 ? ERR(-errno, "cannot write to standard output") : 0;
}

static int print(const struct view *v)
{
	return v->json ? print_json(v) : print_table(v);
}

/* What wait_for_more() waited for. */
struct happened {
	bool time, redraw, end;
};

static int wait_for_more(struct view *v, struct happened *ret)
{
	enum screen_wish wish = SCREEN_NOTHING;
	struct pollfd *p = calloc(v->n + 3, sizeof(*p));
	int n;

	*ret = (struct happened){ .time = false };
	if (p == NULL)
		return ERR_NOMEM();
	p[0] = (struct pollfd){ .fd = v->timer, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = v->screen.signals, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = v->screen.has_keys ? STDIN_FILENO : FD_NONE, .events = POLLIN };
	for (size_t k = 0; k < v->n; k++)
		p[3 + k] = v->v[k]->watch.end;
	n = poll(p, v->n + 3, -1);
	if (n < 0 && errno != EINTR) {
		free(p);
		return ERR(-errno, "cannot wait for the next look");
	}
	if (n > 0 && p[1].revents != 0)
		wish = screen_signal(&v->screen);
	if (n > 0 && p[2].revents != 0 && wish != SCREEN_END)
		wish = screen_key(&v->screen);
	ret->time = n > 0 && p[0].revents != 0 && clock_timer_read(v->timer);
	ret->redraw = wish == SCREEN_REDRAW;
	ret->end = wish == SCREEN_END;
	for (size_t k = 0; n > 0 && k < v->n; k++)
		if (p[3 + k].revents != 0)
			ret->redraw = v->v[k]->ended = true;
	free(p);
	return 0;
}

/* Until all that were named have ended, or the person has seen enough. */
static int stream(struct view *v)
{
	struct happened h = { .redraw = false };
	int r = 0;

	if (!v->json && screen_possible())
		r = screen_enter(&v->screen);
	if (r == 0 && v->screen.on)
		r = print(v);
	while (r == 0 && (v->all || v->n > 0)) {
		r = wait_for_more(v, &h);
		if (r < 0 || h.end)
			return r;
		drop_ended(v);
		if (h.time)
			r = look(v);
		if (r == 0 && (h.time || (h.redraw && v->screen.on)) && (v->all || v->n > 0))
			r = print(v);
	}
	return r;
}

static int once(struct view *v)
{
	struct happened h = { .time = false };
	int r = 0;

	while (r == 0 && v->n > 0 && !h.time) {
		r = wait_for_more(v, &h);
		drop_ended(v);
	}
	if (r == 0 && v->n > 0)
		r = look(v);
	return r < 0 ? r : print(v);
}

static int cmd_stats(const struct globals *g, int argc, char **argv)
{
	_cleanup_view_ struct view v = { .root = g->root, .timer = FD_NONE, .screen = SCREEN_NULL };
	struct flags f = { INTERVAL_DEFAULT, "table", false };
	uint64_t interval = 0;
	char **operands;
	int n, r = command_options(&command_stats, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	if (!str_eq(f.format, "table") && !str_eq(f.format, "json"))
		return ERR_PLAIN(-EINVAL, "option --format: \"%s\" is neither table nor json", f.format);
	v.json = str_eq(f.format, "json");
	v.all = n == 0;
	raise_nofile();
	r = command_interval(f.interval, &interval);
	for (int k = 0; r == 0 && k < n; k++)
		r = add(&v, operands[k]);
	if (r == 0)
		r = clock_timer(interval, &v.timer);
	if (r == 0)
		r = look(&v);
	if (r < 0)
		return r;
	return f.no_stream ? once(&v) : stream(&v);
}

const struct command command_stats = {
	.name = "stats",
	.operands = "[ID...]",
	.summary = "Show what containers use, as a table that is redrawn.",
	.details = "Without IDs: all that run. On a terminal, q or Ctrl-C ends it. CPU %: 100 is one processor. Memory is without\n"
		   "the file cache that the kernel would drop first. \"-\": not known here, or no limit.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.max_operands = -1,
	.run = cmd_stats,
};
