/* SPDX-License-Identifier: Apache-2.0 */
/* nacre create, nacre run: one set of options, two ends. */
#include "runtime/command.h"

#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

#define AT(field) offsetof(struct run_options, field)

#define CREATE_ROWS                                                                                                    \
	{ 'b', "bundle", "DIR", "the bundle (default: the working directory)", OPTION_STRING, AT(create.bundle) },     \
	{ 'f', "config", "FILE", "use FILE instead of the bundle's config.json", OPTION_STRING, AT(create.config) },   \
	{ 0, "console-socket", "PATH", "unix socket that receives the terminal's master", OPTION_STRING,               \
	  AT(create.console_socket) },                                                                                 \
	{ 0, "pid-file", "FILE", "write the process' pid there", OPTION_STRING, AT(create.pid_file) },                 \
	{ 0, "isolation", "NAME", "container or microvm; also before the command", OPTION_STRING, AT(create.isolation) }, \
	{ 0, "pidfd-socket", "PATH", "unix socket that receives the process' pidfd", OPTION_STRING,                    \
	  AT(create.pidfd_socket) },                                                                                   \
	{ 0, "no-pivot", NULL, "move and chroot instead of pivot_root (a root on ramfs)", OPTION_BOOL,                 \
	  AT(create.no_pivot) },                                                                                       \
	{ 0, "no-new-keyring", NULL, "keep the caller's session keyring", OPTION_BOOL, AT(create.no_new_keyring) },    \
	{ 0, "preserve-fds", "N", "pass N file descriptors from 3 on", OPTION_UINT, AT(create.preserve_fds) }

static const struct option_row create_rows[] = {
	CREATE_ROWS,
	{ 0, "no-subreaper", NULL, NULL, OPTION_IGNORED, 0 },
};

static const struct option_row run_rows[] = {
	CREATE_ROWS,
	{ 'd', "detach", NULL, "return when the process runs", OPTION_BOOL, AT(detach) },
	{ 0, "keep", NULL, "do not delete the container when it ends", OPTION_BOOL, AT(keep) },
	{ 0, "no-subreaper", NULL, "do not adopt the container's orphans", OPTION_BOOL, AT(no_subreaper) },
};

static int cmd_create(const struct globals *g, int argc, char **argv)
{
	struct run_options o = { .detach = false };
	char **operands;
	int n, r = command_options(&command_create, &o, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	o.create.id = operands[0];
	r = globals_create_options(g, &o.create);
	return r < 0 ? r : lifecycle_create(&o.create);
}

static int cmd_run(const struct globals *g, int argc, char **argv)
{
	struct run_options o = { .detach = false };
	char **operands;
	int n, status = 0, r = command_options(&command_run, &o, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	o.create.id = operands[0];
	r = globals_create_options(g, &o.create);
	if (r == 0)
		r = lifecycle_run(&o, &status);
	return r < 0 ? r : status;
}

const struct command command_create = {
	.name = "create",
	.operands = "ID",
	.summary = "Create a container; `nacre start ID` then runs its process.",
	.options = create_rows,
	.n_options = ARRAY_SIZE(create_rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_create,
};

const struct command command_run = {
	.name = "run",
	.operands = "ID",
	.summary = "Create and start a container, wait for it and delete it.",
	.details = "The exit status is the process' own, or 128 + the signal that ended it.\n"
		   "Signals are passed on; a terminal is used when process.terminal is set.",
	.options = run_rows,
	.n_options = ARRAY_SIZE(run_rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_run,
};
