/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre compare: one bundle in each way of virtualization, measured side by side. The runs are interleaved, so that what else the
 * machine does meets all modes alike. See compare.h.
 */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "microvm/kvm.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/compare_run.h"

struct flags {
	const char *modes, *json, *svg;
	unsigned int runs;
};

static const struct option_row rows[] = {
	{ 0, "modes", "LIST", "of host,container,kvm,qemu,tcg (default: all that can be run here)", OPTION_STRING,
	  offsetof(struct flags, modes) },
	{ 'n', "runs", "N", "measure N times, 1 to 100 (default: 5)", OPTION_UINT, offsetof(struct flags, runs) },
	{ 0, "json", "FILE", "write all samples there (-: to standard output, in place of the table)", OPTION_STRING,
	  offsetof(struct flags, json) },
	{ 0, "svg", "FILE", "write a chart there", OPTION_STRING, offsetof(struct flags, svg) },
};

/* ---- modes ---- */

static int ask_for(struct compare_result *r, const char *name, size_t len)
{
	for (int m = 0; m < COMPARE_MODES; m++) {
		const char *known = compare_mode_name((enum compare_mode)m);

		if (strlen(known) == len && strncmp(known, name, len) == 0) {
			r->column[m].asked = true;
			return 0;
		}
	}
	return ERR_PLAIN(-EINVAL, "option --modes: \"%.*s\" is none of host, container, kvm, qemu, tcg", (int)len, name);
}

static int parse_modes(struct compare_result *r, const char *list)
{
	for (int m = 0; list == NULL && m < COMPARE_MODES; m++)
		r->column[m].asked = true;
	while (list != NULL) {
		size_t len = strcspn(list, ",");
		int k = ask_for(r, list, len);

		if (k < 0)
			return k;
		list = list[len] == ',' ? list + len + 1 : NULL;
	}
	return 0;
}

/* The recorded error is why. */
static void give_up(struct compare_column *c)
{
	free(c->failure);
	c->failure = str_printf("%s", err_text());
	err_clear();
}

static bool usable(const struct compare_column *c)
{
	return c->asked && c->failure == NULL;
}

static void rule_out(struct compare_result *r)
{
	if ((!r->column[COMPARE_KVM].asked && !r->column[COMPARE_QEMU].asked) || kvm_probe() == 0)
		return;
	r->column[COMPARE_QEMU].failure = str_printf("%s", err_text());
	give_up(&r->column[COMPARE_KVM]);
}

/* ---- the host ---- */

static void describe_cpu(struct compare_result *r)
{
	_cleanup_free_ char *text = NULL;
	const char *at = file_read(AT_FDCWD, "/proc/cpuinfo", (size_t)16 << 20, &text, NULL) < 0 ? NULL : strstr(text, "model name");

	at = at != NULL ? strchr(at, ':') : NULL;
	if (at != NULL)
		snprintf(r->cpu, sizeof(r->cpu), "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
}

static void describe_host(struct compare_result *r)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	r->cpus = cpus > 0 ? (unsigned int)cpus : 1;
	if (uname(&u) == 0)
		snprintf(r->kernel, sizeof(r->kernel), "Linux %s", u.release);
	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(r->when, sizeof(r->when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	describe_cpu(r);
}

/* ---- progress ---- */

struct progress {
	bool on;		/* standard error is a terminal */
	unsigned int run, runs;	/* run 0: the modes are tried */
};

static void show(void *data, enum compare_mode mode, const char *what)
{
	const struct progress *p = data;

	if (!p->on)
		return;
	if (p->run == 0)
		fprintf(stderr, "\r\033[Kcompare: trying %s", compare_mode_name(mode));
	else
		fprintf(stderr, "\r\033[Kcompare: run %u of %u, %s: %s", p->run, p->runs, compare_mode_name(mode), what);
	fflush(stderr);
}

static void clear(const struct progress *p)
{
	if (p->on) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
}

/* ---- runs ---- */

static int catch_signals(int *ret_fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ERR(-errno, "cannot block signals");
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *ret_fd < 0 ? ERR(-errno, "cannot watch for signals") : 0;
}

static void global(struct compare_run *run, const char *option, const char *value)
{
	if (value != NULL) {
		run->nacre[run->n_nacre++] = option;
		run->nacre[run->n_nacre++] = value;
	}
}

static int set_globals(struct compare_run *run, const struct globals *g)
{
	/* By name: what a microVM needs lies beside it. */
	if (realpath("/proc/self/exe", run->self) == NULL)
		return ERR(-errno, "cannot tell where nacre is");
	run->nacre[run->n_nacre++] = run->self;
	global(run, "--root", g->root);
	global(run, "--cgroup-manager", g->cgroup_manager);
	global(run, "--host-config", g->host_config);
	if (g->systemd_cgroup)
		run->nacre[run->n_nacre++] = "--systemd-cgroup";
	/* Warnings, of limits that are not there, say, would be repeated in each run. */
	global(run, "--log-level", "error");
	return 0;
}

/* A mode that fails is given up, and the others go on; an interruption ends it all. */
static int take_turns(struct compare_run *run, struct compare_result *r, struct progress *p)
{
	for (p->run = 0; p->run <= r->runs; p->run++) {
		for (int m = 0; m < COMPARE_MODES; m++) {
			struct compare_column *c = &r->column[m];
			int k = 0;

			if (!usable(c))
				continue;
			k = p->run == 0 ? compare_run_try(run, (enum compare_mode)m) : compare_run_once(run, (enum compare_mode)m, c);
			if (k == -EINTR || k == -ENOMEM)
				return k;
			if (k < 0)
				give_up(c);
		}
	}
	return 0;
}

/* Without one, the rest can be measured. */
static int make_network(struct compare_run *run, struct compare_result *r)
{
	int k = compare_net_start(run);

	if (k == 0 || k == -EINTR || k == -ENOMEM || k == -ENOTRECOVERABLE)
		return k;
	r->no_network = str_printf("%s", err_text());
	err_clear();
	return 0;
}

static int measure(const struct globals *g, const char *bundle, struct compare_result *r)
{
	_cleanup_compare_run_ struct compare_run run = COMPARE_RUN_NULL;
	struct progress p = { .on = isatty(STDERR_FILENO) == 1, .runs = r->runs };
	int k = catch_signals(&run.signals);

	run.progress = show;
	run.data = &p;
	if (k == 0)
		k = set_globals(&run, g);
	if (k == 0)
		k = compare_run_prepare(&run, bundle);
	if (k == 0)
		k = make_network(&run, r);
	if (k == 0)
		k = take_turns(&run, r, &p);
	clear(&p);
	return k;
}

/* ---- output ---- */

static int write_svg(const struct compare_result *r, const char *path)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	int k;

	compare_svg(&b, r);
	if (b.failed)
		return ERR_NOMEM();
	k = file_write(path, b.data, b.len, 0644);
	return k < 0 ? ERR(k, "cannot write \"%s\"", path) : 0;
}

static int report(const struct compare_result *r, const struct flags *f)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	int k = f->json != NULL ? compare_write_json(r, f->json) : 0;

	if (k == 0 && f->svg != NULL)
		k = write_svg(r, f->svg);
	if (k < 0 || (f->json != NULL && str_eq(f->json, "-")))
		return k;
	compare_table(&b, r);
	if (b.failed)
		return ERR_NOMEM();
	return fputs(b.data, stdout) < 0 || fflush(stdout) != 0 ? ERR(-errno, "cannot write to standard output") : 0;
}

static int compare(const struct globals *g, const struct flags *f, const char *bundle, struct compare_result *r)
{
	int k = parse_modes(r, f->modes);

	if (k < 0)
		return k;
	if (f->runs < 1 || f->runs > COMPARE_RUNS_MAX)
		return ERR_PLAIN(-EINVAL, "option --runs: %u is not in the range 1 to %u", f->runs, COMPARE_RUNS_MAX);
	r->runs = f->runs;
	r->bundle = bundle;
	describe_host(r);
	rule_out(r);
	k = measure(g, bundle, r);
	if (k == 0)
		k = report(r, f);
	if (k == 0 && compare_base(r) == COMPARE_MODES)
		k = ERR_PLAIN(-ENOTSUP, "no mode could be measured");
	return k;
}

/* `compare BUNDLE --runs 3` is how a person writes it; other commands take their options first, as engines do. */
static void bundle_last(int argc, char **argv)
{
	char *bundle = argc > 1 ? argv[0] : NULL;

	if (bundle == NULL || bundle[0] == '-')
		return;
	memmove(argv, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
	argv[argc - 1] = bundle;
}

static int cmd_compare(const struct globals *g, int argc, char **argv)
{
	struct flags f = { .runs = COMPARE_RUNS_DEFAULT };
	struct compare_result *r;
	char **operands;
	int n, k;

	bundle_last(argc, argv);
	k = command_options(&command_compare, &f, argc, argv, &operands, &n);
	if (k != 0)
		return k < 0 ? k : 0;
	/* A hundred samples of everything: too much for a stack. */
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM();
	k = compare(g, &f, operands[0], r);
	compare_result_deinit(r);
	free(r);
	return k;
}

const struct command command_compare = {
	.name = "compare",
	.operands = "BUNDLE",
	.summary = "Measure a bundle as a container and as a microVM, side by side.",
	.details = "The bundle's process is replaced by a small workload, which is the same program in each mode:\n"
		   "  host       the process by itself\n"
		   "  container  namespaces, cgroup, capabilities, seccomp\n"
		   "  kvm        a microVM by nacre's own monitor\n"
		   "  qemu       a microVM by QEMU, on KVM\n"
		   "  tcg        a microVM by QEMU's software emulation\n"
		   "Where that can be made (root, and a bundle with a network namespace of its own), there is a network: a veth\n"
		   "pair to another namespace, and a server there.\n"
		   "Medians of interleaved runs, with half of the range between the quartiles, and what each costs in\n"
		   "multiples of the first mode. Files are written to a folder in the bundle's root file system and removed.\n"
		   "Hooks are left out.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_compare,
};
