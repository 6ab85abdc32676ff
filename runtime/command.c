/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share. See command.h. */
#include "runtime/command.h"

#include <errno.h>
#include <stdio.h>

#include "oci/json.h"
#include "runtime/base/duration.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

/* Shorter ones are a typing error, or a busy loop. */
#define INTERVAL_MIN_NS 1000000U

void command_print_help(const struct command *c)
{
	printf("Usage: nacre %s [OPTIONS]%s%s\n\n%s\n", c->name, c->operands[0] != '\0' ? " " : "", c->operands, c->summary);
	if (c->details != NULL)
		printf("\n%s\n", c->details);
	printf("\nOptions:\n");
	options_print(c->options, c->n_options);
}

struct words {
	int argc;
	char **argv;
	int at;			/* the next; after an error the one that is wrong */
	char **operands;
	int n;
	bool help;
};

static int parse_options(const struct command *c, void *dest, struct words *w)
{
	return options_parse(c->options, c->n_options, dest, w->argc, w->argv, &w->at, &w->help);
}

/*
 * Options may stand behind the ID, too, as runc takes them ("update ID --pids-limit 20"); not where what follows is another program's
 * (exec, ps). The operands are moved together at the beginning of argv. "--" ends the options.
 */
static int parse_all(const struct command *c, void *dest, struct words *w)
{
	bool ended = false;
	int r = 0;

	w->operands = w->argv;
	while (r == 0 && !w->help && w->at < w->argc) {
		int from = w->at;

		if (!ended)
			r = parse_options(c, dest, w);
		ended = ended || (w->at > from && str_eq(w->argv[w->at - 1], "--"));
		if (r == 0 && !w->help && w->at < w->argc)
			w->argv[w->n++] = w->argv[w->at++];
	}
	return r;
}

static int parse_first(const struct command *c, void *dest, struct words *w)
{
	int r = parse_options(c, dest, w);

	w->operands = w->argv + w->at;
	w->n = w->argc - w->at;
	return r;
}

/* r: of the options, at word. One that is nacre's own has only the wrong place. */
static int refused(const struct command *c, int r, const char *word)
{
	r = ERR_CONTEXT(r, "%s", c->name);
	if (options_have(global_rows, n_global_rows, word) && !options_have(c->options, c->n_options, word))
		return ERR_HINT(r, "it stands before the command: nacre %s %s", word, c->name);
	return ERR_HINT(r, "see nacre %s --help", c->name);
}

int command_options(const struct command *c, void *dest, int argc, char **argv, char ***ret_operands, int *ret_n)
{
	struct words w = { .argc = argc, .argv = argv };
	int r = c->max_operands >= 0 ? parse_all(c, dest, &w) : parse_first(c, dest, &w);

	if (r < 0)
		return refused(c, r, w.at < argc ? argv[w.at] : "");
	if (w.help) {
		command_print_help(c);
		return COMMAND_HELP;
	}
	*ret_operands = w.operands;
	*ret_n = w.n;
	if (w.n < c->min_operands)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "%s: needs %s", c->name, c->operands), "see nacre %s --help", c->name);
	if (c->max_operands >= 0 && w.n > c->max_operands)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "%s: unexpected \"%s\"", c->name, w.operands[c->max_operands]),
				"see nacre %s --help", c->name);
	return 0;
}

int command_interval(const char *text, uint64_t *ret_ns)
{
	uint64_t ns;
	int r = parse_duration(text, &ns);

	/* 292 years are the most that the kernel's clocks know. */
	if (r == -ERANGE || (r == 0 && ns > INT64_MAX))
		return ERR_PLAIN(-EINVAL, "option --interval: \"%s\" is too long", text);
	if (r < 0)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "option --interval: \"%s\" is not a time", text),
				"a number with a unit: 5s, 500ms, 1m30s");
	if (ns < INTERVAL_MIN_NS)
		return ERR_PLAIN(-EINVAL, "option --interval: \"%s\" is not at least 1ms", text);
	*ret_ns = ns;
	return 0;
}

/* --cgroup-manager and --systemd-cgroup. */
static int cgroup_manager(const struct globals *g, enum cgroup_manager *ret)
{
	static const char *const names[] = { "cgroupfs", "systemd", "disabled" };

	*ret = g->systemd_cgroup ? CGROUP_MANAGER_SYSTEMD : CGROUP_MANAGER_FS;
	if (g->cgroup_manager == NULL)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(g->cgroup_manager, names[i])) {
			*ret = (enum cgroup_manager)i;
			return 0;
		}
	}
	return ERR_PLAIN(-EINVAL, "option --cgroup-manager: \"%s\" is none of cgroupfs, systemd, disabled", g->cgroup_manager);
}

int globals_create_options(const struct globals *g, struct create_options *o)
{
	o->root = g->root;
	if (o->isolation == NULL)	/* no option of the command's own */
		o->isolation = g->isolation;
	o->program = g->program;
	o->host_config = g->host_config;
	o->debug = g->debug;
	return cgroup_manager(g, &o->cgroup_manager);
}
