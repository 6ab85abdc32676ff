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

/*
 * Options may stand behind the ID, too, as runc takes them ("update ID --pids-limit 20"); not where what follows is another program's
 * (exec, ps). The operands are moved together at the beginning of argv. "--" ends the options.
 */
static int parse_all(const struct command *c, void *dest, int argc, char **argv, int *ret_n, bool *ret_help)
{
	bool ended = false;
	int n = 0, r = 0;

	*ret_help = false;
	for (int at = 0; r == 0 && !*ret_help && at < argc;) {
		int from = at;

		if (!ended)
			r = options_parse(c->options, c->n_options, dest, argc, argv, &at, ret_help);
		ended = ended || (at > from && str_eq(argv[at - 1], "--"));
		if (r == 0 && !*ret_help && at < argc)
			argv[n++] = argv[at++];
	}
	*ret_n = n;
	return r;
}

int command_options(const struct command *c, void *dest, int argc, char **argv, char ***ret_operands, int *ret_n)
{
	bool help;
	int at = 0, n = 0;
	int r = c->max_operands >= 0 ? parse_all(c, dest, argc, argv, &n, &help) :
				       options_parse(c->options, c->n_options, dest, argc, argv, &at, &help);

	if (r < 0)
		return ERR_HINT(ERR_CONTEXT(r, "%s", c->name), "see nacre %s --help", c->name);
	if (help) {
		command_print_help(c);
		return COMMAND_HELP;
	}
	*ret_operands = argv + at;
	*ret_n = c->max_operands >= 0 ? n : argc - at;
	if (*ret_n < c->min_operands)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "%s: needs %s", c->name, c->operands), "see nacre %s --help", c->name);
	if (c->max_operands >= 0 && *ret_n > c->max_operands)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "%s: unexpected \"%s\"", c->name, argv[c->max_operands]), "see nacre %s --help",
				c->name);
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
	o->isolation = g->isolation;
	o->program = g->program;
	o->host_config = g->host_config;
	o->debug = g->debug;
	return cgroup_manager(g, &o->cgroup_manager);
}
