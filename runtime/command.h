/* SPDX-License-Identifier: Apache-2.0 */
/* A command of nacre: its words, its options, what it does. main.c has the table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/options.h"
#include "runtime/plan.h"

struct json_writer;

/* What stands before the command. */
struct globals {
	const char *root;		/* resolved by main.c; NULL only for a command with no_state */
	const char *log, *log_format, *log_level;
	const char *cgroup_manager, *rootless, *isolation, *host_config;
	const char *program;		/* the name we were started under */
	bool debug, systemd_cgroup;
};

/* The options before the command: what their rows fill. */
struct global_options {
	struct globals g;
	bool version;
};

extern const struct option_row global_rows[];
extern const size_t n_global_rows;

struct command {
	const char *name;
	const char *operands;		/* "ID [SIGNAL]" */
	const char *summary;		/* one line */
	const char *details;		/* paragraphs for --help, NULL */
	const struct option_row *options;
	size_t n_options;
	int min_operands, max_operands;	/* max < 0: any number */
	bool no_state;			/* runs without a place for the containers' state, too */
	int failure_status;		/* exit status of a failure; 0: 1 */
	/*
	 * argv: the arguments after the command's name. Parses its options with
	 * command_options(). Gives the exit status, or -errno with a text.
	 */
	int (*run)(const struct globals *g, int argc, char **argv);
};

/* Printed help: not an error, nothing left to do. */
#define COMMAND_HELP 1

/*
 * Parses c's options into dest and checks the number of operands. 0, COMMAND_HELP or
 * -errno. *ret_operands: argv from the first operand on.
 */
int command_options(const struct command *c, void *dest, int argc, char **argv, char ***ret_operands, int *ret_n);

void command_print_help(const struct command *c);

/* The value of --interval (parse_duration); at least a millisecond. -EINVAL with text. */
int command_interval(const char *text, uint64_t *ret_ns);

struct create_options;

/* The global options that concern a new container, into *o; -EINVAL with text. */
int globals_create_options(const struct globals *g, struct create_options *o);

extern const struct command command_compare, command_create, command_delete, command_doctor, command_events, command_exec, command_explain,
	command_features, command_kill, command_list, command_mounts, command_pause, command_ps, command_resume, command_run, command_spec,
	command_start, command_state, command_stats, command_update;
