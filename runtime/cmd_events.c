/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre events: a container's statistics and what happens to it, as a stream of JSON lines. Waits in
 * poll(2) for its clock, for the kernel's word of an out-of-memory kill, and for the container's end.
 */
#include "runtime/command.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "oci/json.h"
#include "runtime/base/clock.h"
#include "runtime/base/duration.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"
#include "runtime/stats_json.h"

#define INTERVAL_DEFAULT "5s"

struct flags {
	const char *interval;
	bool stats;
};

static const struct option_row rows[] = {
	{ 0, "interval", "TIME", "between two statistics: 5s, 500ms, 1m (default: " INTERVAL_DEFAULT ")", OPTION_STRING,
	  offsetof(struct flags, interval) },
	{ 0, "stats", NULL, "print the statistics once, and end", OPTION_BOOL, offsetof(struct flags, stats) },
};

struct stream {
	struct instance *i;
	struct backend_watch *watch;
	int timer;
	uint64_t ooms;		/* told so far */
};

static int print_oom(const struct stream *s)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);

	stats_write_oom(w, s->i->c->id);
	return json_writer_print(w);
}

static int print_stats(struct instance *i)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_cgroup_stats_ struct cgroup_stats stats = { .n_rdma = 0 };
	int r = i->ops->stats(i, &stats);

	if (r < 0)
		return r;
	stats_write_event(w, i->c->id, &stats);
	return json_writer_print(w);
}

/*
 * One event each time. The kernel counts first that memory ran out, then, having looked for a victim, the kill:
 * the greater of both rises once for a pair of them. (A kill by an ancestor's limit has no first half.)
 */
static int read_ooms(struct stream *s, uint64_t *ret)
{
	struct cgroup_oom oom = { .ooms = 0 };
	int r = s->watch->oom.fd < 0 ? 0 : s->i->ops->watch_oom(s->watch, &oom);

	*ret = oom.ooms > oom.kills ? oom.ooms : oom.kills;
	if (r == -ENOENT) {
		/* Deleted: the process' end will tell, or has told. */
		fd_close(&s->watch->oom.fd);
		*ret = s->ooms;
		return 0;
	}
	return r;
}

static int tell_ooms(struct stream *s)
{
	uint64_t now = s->ooms;
	int r = read_ooms(s, &now);

	if (r == 0 && now > s->ooms)
		r = print_oom(s);
	s->ooms = now;
	return r;
}

/* Until the container has ended; what it leaves may be deleted at any time. */
static int follow(struct stream *s)
{
	int r = print_stats(s->i);

	while (r == 0) {
		struct pollfd p[] = { s->watch->end, s->watch->oom, { .fd = s->timer, .events = POLLIN } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return ERR(-errno, "cannot wait for events");
		if (p[0].revents != 0 || p[1].revents != 0)
			r = tell_ooms(s);
		if (p[0].revents != 0)
			return r;
		if (r == 0 && p[2].revents != 0 && clock_timer_read(s->timer))
			r = print_stats(s->i);
	}
	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	return r;
}

static int stream(struct instance *i, uint64_t interval_ns)
{
	_cleanup_backend_watch_ struct backend_watch watch = BACKEND_WATCH_NULL;
	_cleanup_close_ int timer = FD_NONE;
	struct stream s = { .i = i, .watch = &watch };
	int r = i->ops->watch(i, &watch);

	if (r == 0)
		r = clock_timer(interval_ns, &timer);
	if (r < 0)
		return r;
	s.timer = timer;
	r = read_ooms(&s, &s.ooms);
	return r < 0 ? r : follow(&s);
}

static int cmd_events(const struct globals *g, int argc, char **argv)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	struct flags f = { INTERVAL_DEFAULT, false };
	enum container_status status;
	uint64_t interval = 0;
	char **operands;
	pid_t pid;
	int n, r = command_options(&command_events, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	r = command_interval(f.interval, &interval);
	if (r == 0)
		r = lifecycle_status(g->root, operands[0], &c, &i, &status, &pid);
	if (r < 0)
		return r;
	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return ERR_PLAIN(-ESRCH, "cannot tell the events of container \"%s\": container not running (%s)", operands[0],
				 status_name(status));
	return f.stats ? print_stats(&i) : stream(&i, interval);
}

const struct command command_events = {
	.name = "events",
	.operands = "ID",
	.summary = "Print a container's statistics and out-of-memory events as JSON lines.",
	.details = "Goes on until the container ends. Each line is an object of type \"stats\" or \"oom\", as runc has them.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_events,
};
