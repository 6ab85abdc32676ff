/* SPDX-License-Identifier: Apache-2.0 */
/* nacre exec. */
#include "runtime/command.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

struct exec_flags {
	struct exec_options o;
	struct option_list env, caps, gids;
};

#define AT(field) offsetof(struct exec_flags, field)

static const struct option_row rows[] = {
	{ 'p', "process", "FILE", "the process as JSON (runtime-spec \"process\")", OPTION_STRING, AT(o.process_file) },
	{ 'd', "detach", NULL, "return when the process runs", OPTION_BOOL, AT(o.detach) },
	{ 't', "tty", NULL, "give it a terminal", OPTION_BOOL, AT(o.tty) },
	{ 0, "cwd", "DIR", "its working directory", OPTION_STRING, AT(o.cwd) },
	{ 'e', "env", "NAME=VALUE", "set a variable (repeatable)", OPTION_LIST, AT(env) },
	{ 'u', "user", "UID[:GID]", "run as this user", OPTION_STRING, AT(o.user) },
	{ 'g', "additional-gids", "GID", "add a group (repeatable)", OPTION_LIST, AT(gids) },
	{ 'c', "cap", "CAP", "add a capability (repeatable)", OPTION_LIST, AT(caps) },
	{ 0, "no-new-privs", NULL, "set no_new_privs", OPTION_BOOL, AT(o.no_new_privs) },
	{ 0, "apparmor", "PROFILE", "AppArmor profile", OPTION_STRING, AT(o.apparmor) },
	{ 0, "process-label", "LABEL", "SELinux label", OPTION_STRING, AT(o.process_label) },
	{ 0, "console-socket", "PATH", "unix socket that receives the terminal's master", OPTION_STRING,
	  AT(o.console_socket) },
	{ 0, "pid-file", "FILE", "write the process' pid there", OPTION_STRING, AT(o.pid_file) },
	{ 0, "pidfd-socket", "PATH", "unix socket that receives the process' pidfd", OPTION_STRING, AT(o.pidfd_socket) },
	{ 0, "preserve-fds", "N", "pass N file descriptors from 3 on", OPTION_UINT, AT(o.preserve_fds) },
	{ 0, "cgroup", "PATH", "run it in this sub-cgroup of the container's", OPTION_STRING, AT(o.cgroup) },
	{ 0, "ignore-paused", NULL, "also when the container is paused", OPTION_BOOL, AT(o.ignore_paused) },
	{ 0, "no-subreaper", NULL, NULL, OPTION_IGNORED, 0 },
};

static int cmd_exec(const struct globals *g, int argc, char **argv)
{
	struct exec_flags f = { .o = { .root = g->root } };
	struct exec_options *o = &f.o;
	char **operands;
	int n, status = 0, r = command_options(&command_exec, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	o->id = operands[0];
	o->args = (const char *const *)operands + 1;
	o->env = f.env.v;
	o->n_env = f.env.n;
	o->caps = f.caps.v;
	o->n_caps = f.caps.n;
	o->additional_gids = f.gids.v;
	o->n_additional_gids = f.gids.n;
	if (o->process_file == NULL && n < 2)
		r = ERR_PLAIN(-EINVAL, "exec: needs a command, or --process FILE");
	else if (o->process_file != NULL && n > 1)
		r = ERR_PLAIN(-EINVAL, "exec: --process and a command exclude each other");
	if (r == 0)
		r = lifecycle_exec(o, &status);
	free(f.env.v);
	free(f.caps.v);
	free(f.gids.v);
	return r < 0 ? r : status;
}

const struct command command_exec = {
	.name = "exec",
	.operands = "ID [COMMAND [ARG...]]",
	.summary = "Run one more process in a container.",
	.details = "With --process everything comes from FILE. Otherwise the process is the container's own\n"
		   "(user, capabilities, environment) with COMMAND in place of its arguments.\n"
		   "The exit status is the process' own; 255 when it could not be started.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 1,
	.max_operands = -1,
	.failure_status = 255,
	.run = cmd_exec,
};
