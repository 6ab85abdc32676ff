/* SPDX-License-Identifier: Apache-2.0 */
/* One run of one mode. See compare_run.h. */
#include "runtime/compare_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/compare_child.h"

#define ARGS_MAX 40

/* A command line. Strings are the caller's. */
struct args {
	const char *v[ARGS_MAX];
	size_t n;
};

static void add(struct args *a, const char *word)
{
	if (a->n + 1 < ARRAY_SIZE(a->v)) {
		a->v[a->n++] = word;
		a->v[a->n] = NULL;
	}
}

static void nacre(const struct compare_run *r, enum compare_mode mode, struct args *a)
{
	for (size_t i = 0; i < r->n_nacre; i++)
		add(a, r->nacre[i]);
	add(a, mode == COMPARE_CONTAINER ? "--isolation=container" : "--isolation=microvm");
}

static void tell(const struct compare_run *r, enum compare_mode mode, const char *what)
{
	if (r->progress != NULL)
		r->progress(r->data, mode, what);
}

/* ---- paths ---- */

/* Of the workload: seen from the host, or from the root of the bundle. */
static char *workload_path(const struct compare_run *r, enum compare_mode mode)
{
	return mode == COMPARE_HOST ? str_printf("%s/%s/" COMPARE_WORKLOAD, r->rootfs, r->scratch) :
				      str_printf("/%s/" COMPARE_WORKLOAD, r->scratch);
}

static char *scratch_path(const struct compare_run *r, enum compare_mode mode)
{
	return mode == COMPARE_HOST ? str_printf("%s/%s", r->rootfs, r->scratch) : str_printf("/%s", r->scratch);
}

static const char *accel_of(enum compare_mode mode)
{
	return mode == COMPARE_HOST || mode == COMPARE_CONTAINER ? NULL : compare_mode_name(mode);
}

/* A config.json for one kind of work. *ret_path is malloc'ed. */
static int write_config(const struct compare_run *r, enum compare_mode mode, const char *work, char **ret_path)
{
	_cleanup_free_ char *program = workload_path(r, mode), *text = NULL, *path = NULL;
	const char *args[] = { program, work };
	const struct compare_config_req q = {
		.bundle = r->bundle, .rootfs = r->rootfs, .accel = accel_of(mode), .args = args, .n_args = ARRAY_SIZE(args),
		.netns = str_eq(work, "wait") && r->net.path[0] != '\0' ? r->net.path : NULL,
	};
	int k = program == NULL ? ERR_NOMEM() : compare_config(r->config, r->config_len, &q, &text);

	if (k < 0)
		return k;
	path = str_printf("%s/%s-%s.json", r->configs, compare_mode_name(mode), work);
	if (path == NULL)
		return ERR_NOMEM();
	k = file_write(path, text, strlen(text), 0600);
	if (k < 0)
		return ERR(k, "cannot write \"%s\"", path);
	*ret_path = path;
	path = NULL;
	return 0;
}

/* ---- run ---- */

static int time_hello(struct compare_run *r, enum compare_mode mode, const struct args *a, struct compare_column *c)
{
	_cleanup_compare_child_ struct compare_child child = COMPARE_CHILD_NULL;
	int k;

	child.what = mode == COMPARE_HOST ? "the workload" : "run";
	k = compare_child_start(&child, a->v);
	if (k == 0)
		k = compare_child_wait(&child, r->signals, COMPARE_CLOSED);
	if (k == 0 && child.first_byte == 0)
		k = ERR_PLAIN(-EPROTO, "%s: the process printed nothing", child.what);
	if (k < 0 || c == NULL)
		return k;
	compare_add(&c->metric[COMPARE_FIRST_BYTE], child.first_byte - child.started);
	compare_add(&c->metric[COMPARE_RUN], child.ended - child.started);
	return 0;
}

/* Whatever was interrupted, nothing is left. */
static void delete_quietly(struct compare_run *r, enum compare_mode mode, const char *id)
{
	_cleanup_compare_child_ struct compare_child child = COMPARE_CHILD_NULL;
	struct err_kept kept;
	struct args a = { .n = 0 };

	err_keep(&kept);
	nacre(r, mode, &a);
	add(&a, "delete");
	add(&a, "--force");
	add(&a, id);
	child.what = "delete";
	if (compare_child_start(&child, a.v) == 0)
		(void)compare_child_wait(&child, FD_NONE, COMPARE_CLOSED);
	err_restore(&kept);
}

static int hello(struct compare_run *r, enum compare_mode mode, struct compare_column *c)
{
	_cleanup_free_ char *program = workload_path(r, mode), *config = NULL, *id = NULL;
	struct args a = { .n = 0 };
	int k;

	tell(r, mode, "run");
	if (program == NULL)
		return ERR_NOMEM();
	if (mode == COMPARE_HOST) {
		add(&a, program);
		add(&a, "hello");
		return time_hello(r, mode, &a, c);
	}
	id = str_printf("compare-%d-%u", (int)getpid(), r->serial++);
	k = id == NULL ? ERR_NOMEM() : write_config(r, mode, "hello", &config);
	if (k < 0)
		return k;
	nacre(r, mode, &a);
	add(&a, "run");
	add(&a, "--bundle");
	add(&a, r->bundle);
	add(&a, "--config");
	add(&a, config);
	add(&a, id);
	k = time_hello(r, mode, &a, c);
	if (k < 0)
		delete_quietly(r, mode, id);
	return k;
}

/* ---- bench ---- */

struct bench {
	struct compare_lines lines;
	uint64_t began, ended;		/* on our clock */
};

static int on_bench_line(void *data, const char *line, uint64_t at)
{
	struct bench *b = data;
	int r = compare_line(&b->lines, line);

	if (b->lines.begun && b->began == 0)
		b->began = at;
	if (b->lines.ended)
		b->ended = at;
	return r;
}

static int take_bench(const struct bench *b, struct compare_column *c)
{
	uint64_t ours = b->ended - b->began, theirs = b->lines.end_monotonic - b->lines.begin_monotonic;

	if (!b->lines.ended || ours == 0 || b->lines.end_monotonic < b->lines.begin_monotonic)
		return ERR_PLAIN(-EPROTO, "the workload did not come to its end");
	for (int m = 0; m < COMPARE_METRICS; m++) {
		if (b->lines.has[m]) {
			compare_add(&c->metric[m], b->lines.value[m]);
		} else if (b->lines.failed[m][0] != '\0' && c->metric_failure[m] == NULL) {
			c->metric_failure[m] = str_printf("%s", b->lines.failed[m]);
		}
	}
	if (c->n_drift < ARRAY_SIZE(c->drift_ppm))
		c->drift_ppm[c->n_drift++] = (int64_t)((double)theirs / (double)ours * 1e6) - 1000000;
	return 0;
}

/* netns: where a is started. */
static int run_bench(struct compare_run *r, const struct args *a, int netns, struct compare_column *c)
{
	_cleanup_compare_child_ struct compare_child child = COMPARE_CHILD_NULL;
	struct bench b = { .began = 0 };
	int k;

	child.what = "the workload";
	child.netns = netns;
	child.on_line = on_bench_line;
	child.data = &b;
	k = compare_child_start(&child, a->v);
	if (k == 0)
		k = compare_child_wait(&child, r->signals, COMPARE_CLOSED);
	return k < 0 ? k : take_bench(&b, c);
}

/* ---- a life ---- */

struct life {
	char *id, *config, *pid_file, *program;
	struct compare_child create;	/* its pipes are the container's, too */
};

/* One command of nacre, from its start to its end, into m. */
static int time_command(struct compare_run *r, const char *what, const struct args *a, struct compare_column *c, enum compare_metric m)
{
	_cleanup_compare_child_ struct compare_child child = COMPARE_CHILD_NULL;
	int k;

	child.what = what;
	k = compare_child_start(&child, a->v);
	if (k == 0)
		k = compare_child_wait(&child, r->signals, COMPARE_CLOSED);
	if (k == 0)
		compare_add(&c->metric[m], child.ended - child.started);
	return k;
}

/* start, exec of nothing, delete: m says which. */
static int time_on(struct compare_run *r, enum compare_mode mode, const struct life *l, struct compare_column *c, enum compare_metric m)
{
	const char *command = compare_metric_info(m)->key;
	struct args a = { .n = 0 };

	tell(r, mode, command);
	nacre(r, mode, &a);
	add(&a, command);
	if (m == COMPARE_DELETE)
		add(&a, "--force");
	add(&a, l->id);
	if (m == COMPARE_EXEC) {
		add(&a, l->program);
		add(&a, "nothing");
	}
	return time_command(r, command, &a, c, m);
}

static int read_pid(const char *path, pid_t *ret_pid)
{
	_cleanup_free_ char *text = NULL;
	uint64_t pid;
	int r = file_read(AT_FDCWD, path, 32, &text, NULL);

	if (r < 0)
		return ERR(r, "cannot read \"%s\"", path);
	text[strcspn(text, "\n")] = '\0';
	if (parse_u64(text, 1, INT32_MAX, &pid) < 0)
		return ERR_PLAIN(-EBADMSG, "\"%s\" is no pid", path);
	*ret_pid = (pid_t)pid;
	return 0;
}

static int take_memory(struct compare_run *r, enum compare_mode mode, pid_t pid, struct compare_column *c)
{
	uint64_t bytes;
	int k;

	tell(r, mode, "memory");
	k = compare_memory(pid, &bytes);
	if (k == 0)
		compare_add(&c->metric[COMPARE_MEMORY], bytes);
	return k;
}

static void add_bench(const struct compare_run *r, struct args *a, const char *program, const char *dir)
{
	add(a, program);
	add(a, "bench");
	add(a, dir);
	if (r->net.path[0] != '\0')
		add(a, COMPARE_NET_SERVER);
}

static int exec_bench(struct compare_run *r, enum compare_mode mode, const char *id, const char *program, struct compare_column *c)
{
	_cleanup_free_ char *dir = scratch_path(r, mode);
	struct args a = { .n = 0 };

	if (dir == NULL)
		return ERR_NOMEM();
	tell(r, mode, "workload");
	nacre(r, mode, &a);
	add(&a, "exec");
	add(&a, id);
	add_bench(r, &a, program, dir);
	return run_bench(r, &a, FD_NONE, c);
}

static int make(struct compare_run *r, enum compare_mode mode, struct life *l, struct compare_column *c)
{
	struct args a = { .n = 0 };
	int k;

	tell(r, mode, "create");
	nacre(r, mode, &a);
	add(&a, "create");
	add(&a, "--bundle");
	add(&a, r->bundle);
	add(&a, "--config");
	add(&a, l->config);
	add(&a, "--pid-file");
	add(&a, l->pid_file);
	add(&a, l->id);
	l->create.what = "create";
	k = compare_child_start(&l->create, a.v);
	if (k == 0)
		k = compare_child_wait(&l->create, r->signals, COMPARE_ENDED);
	if (k == 0)
		compare_add(&c->metric[COMPARE_CREATE], l->create.ended - l->create.started);
	return k;
}

static int live(struct compare_run *r, enum compare_mode mode, struct life *l, struct compare_column *c)
{
	pid_t pid = 0;
	int k = make(r, mode, l, c);

	if (k == 0)
		k = time_on(r, mode, l, c, COMPARE_START);
	if (k == 0)
		k = compare_child_wait(&l->create, r->signals, COMPARE_LINE);
	if (k == 0)
		k = read_pid(l->pid_file, &pid);
	if (k == 0)
		k = take_memory(r, mode, pid, c);
	if (k == 0)
		k = time_on(r, mode, l, c, COMPARE_EXEC);
	if (k == 0)
		k = exec_bench(r, mode, l->id, l->program, c);
	if (k == 0)
		k = time_on(r, mode, l, c, COMPARE_DELETE);
	return k;
}

static int container_life(struct compare_run *r, enum compare_mode mode, struct compare_column *c)
{
	struct life l = {
		.id = str_printf("compare-%d-%u", (int)getpid(), r->serial++),
		.pid_file = str_printf("%s/pid", r->configs),
		.program = workload_path(r, mode),
		.create = COMPARE_CHILD_NULL,
	};
	int k = l.id == NULL || l.pid_file == NULL || l.program == NULL ? ERR_NOMEM() : write_config(r, mode, "wait", &l.config);

	if (k == 0) {
		k = live(r, mode, &l, c);
		if (k < 0)
			delete_quietly(r, mode, l.id);
	}
	compare_child_end(&l.create);
	free(l.id);
	free(l.config);
	free(l.pid_file);
	free(l.program);
	return k;
}

static int host_life(struct compare_run *r, struct compare_column *c)
{
	_cleanup_compare_child_ struct compare_child waiting = COMPARE_CHILD_NULL;
	_cleanup_free_ char *program = workload_path(r, COMPARE_HOST), *dir = scratch_path(r, COMPARE_HOST);
	struct args wait = { .n = 0 }, bench = { .n = 0 };
	int k = program == NULL || dir == NULL ? ERR_NOMEM() : 0;

	if (k < 0)
		return k;
	add(&wait, program);
	add(&wait, "wait");
	add_bench(r, &bench, program, dir);
	waiting.what = "the workload";
	k = compare_child_start(&waiting, wait.v);
	if (k == 0)
		k = compare_child_wait(&waiting, r->signals, COMPARE_LINE);
	if (k == 0)
		k = take_memory(r, COMPARE_HOST, waiting.pid, c);
	compare_child_end(&waiting);
	if (k < 0)
		return k;
	tell(r, COMPARE_HOST, "workload");
	return run_bench(r, &bench, r->net.inside, c);
}

int compare_run_try(struct compare_run *r, enum compare_mode mode)
{
	return hello(r, mode, NULL);
}

int compare_run_once(struct compare_run *r, enum compare_mode mode, struct compare_column *c)
{
	int k = hello(r, mode, c);

	if (k < 0)
		return k;
	return mode == COMPARE_HOST ? host_life(r, c) : container_life(r, mode, c);
}
