/* SPDX-License-Identifier: Apache-2.0 */
/* nacre start, kill, delete, pause, resume: an ID, at most one option, one call each. */
#include "runtime/command.h"

#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

struct flags {
	bool all, force, regex;
};

/* kill or delete of one container. */
typedef int one_container(const char *root, const char *id, const struct flags *f, int sig);

static int kill_one(const char *root, const char *id, const struct flags *f, int sig)
{
	return lifecycle_kill(root, id, sig, f->all);
}

static int delete_one(const char *root, const char *id, const struct flags *f, int sig)
{
	(void)sig;
	return lifecycle_delete(root, id, f->force);
}

/* Each container that matches. One that fails does not keep the others; the first failure is reported. */
static int each_match(const char *root, const char *pattern, const regex_t *re, const struct flags *f, int sig, one_container *one)
{
	_cleanup_container_ids_ struct container_ids ids = { NULL, 0 };
	struct err_kept kept;
	int first = 0, r = container_list(root, &ids);
	bool any = false;

	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		int k;

		if (regexec(re, ids.v[i], 0, NULL, 0) != 0)
			continue;
		any = true;
		k = one(root, ids.v[i], f, sig);
		if (k < 0 && first == 0) {
			first = k;
			err_keep(&kept);
		}
	}
	if (r < 0)
		return r;
	if (first < 0) {
		err_restore(&kept);
		return first;
	}
	return any ? 0 : ERR_PLAIN(-ENOENT, "no container matches \"%s\"", pattern);
}

static int by_regex(const char *root, const char *pattern, const struct flags *f, int sig, one_container *one)
{
	char why[128];
	regex_t re;
	int r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);

	if (r != 0) {
		regerror(r, &re, why, sizeof(why));
		return ERR_PLAIN(-EINVAL, "\"%s\" is not a regular expression: %s", pattern, why);
	}
	r = each_match(root, pattern, &re, f, sig, one);
	regfree(&re);
	return r;
}

static const struct option_row kill_rows[] = {
	{ 'a', "all", NULL, "to all processes of the container; none left is no error", OPTION_BOOL,
	  offsetof(struct flags, all) },
	{ 'r', "regex", NULL, "ID is an extended regular expression: all containers that it matches", OPTION_BOOL,
	  offsetof(struct flags, regex) },
};

static const struct option_row delete_rows[] = {
	{ 'f', "force", NULL, "kill it first; a container that does not exist is no error", OPTION_BOOL,
	  offsetof(struct flags, force) },
	{ 'r', "regex", NULL, "ID is an extended regular expression: all containers that it matches", OPTION_BOOL,
	  offsetof(struct flags, regex) },
};

static int cmd_start(const struct globals *g, int argc, char **argv)
{
	char **operands;
	int n, r = command_options(&command_start, NULL, argc, argv, &operands, &n);

	return r != 0 ? (r < 0 ? r : 0) : lifecycle_start(g->root, operands[0]);
}

static int cmd_kill(const struct globals *g, int argc, char **argv)
{
	struct flags f = { .all = false };
	char **operands;
	int n, sig = -1, r = command_options(&command_kill, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	if (n > 1 && str_eq(operands[1], "0"))
		sig = 0;
	else if (n > 1 && signal_parse(operands[1], &sig) < 0)
		return ERR_PLAIN(-EINVAL, "kill: \"%s\" is not a signal", operands[1]);
	return f.regex ? by_regex(g->root, operands[0], &f, sig, kill_one) : kill_one(g->root, operands[0], &f, sig);
}

static int cmd_delete(const struct globals *g, int argc, char **argv)
{
	struct flags f = { .all = false };
	char **operands;
	int n, r = command_options(&command_delete, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	return f.regex ? by_regex(g->root, operands[0], &f, 0, delete_one) : delete_one(g->root, operands[0], &f, 0);
}

static int cmd_pause(const struct globals *g, int argc, char **argv)
{
	char **operands;
	int n, r = command_options(&command_pause, NULL, argc, argv, &operands, &n);

	return r != 0 ? (r < 0 ? r : 0) : lifecycle_set_paused(g->root, operands[0], true);
}

static int cmd_resume(const struct globals *g, int argc, char **argv)
{
	char **operands;
	int n, r = command_options(&command_resume, NULL, argc, argv, &operands, &n);

	return r != 0 ? (r < 0 ? r : 0) : lifecycle_set_paused(g->root, operands[0], false);
}

const struct command command_start = {
	.name = "start",
	.operands = "ID",
	.summary = "Run the process of a created container.",
	.details = "Returns when the process has been executed, or with the reason why it has not. When a startContainer or\n"
		   "poststart hook fails, the container is destroyed, and its poststop hooks run.",
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_start,
};

const struct command command_kill = {
	.name = "kill",
	.operands = "ID [SIGNAL]",
	.summary = "Send a signal to a container's first process.",
	.details = "SIGNAL is a number or a name, with or without SIG; without one the annotation org.opencontainers.image.stopSignal\n"
		   "says which, or it is TERM. 0 sends none: the exit status says whether the container runs.",
	.options = kill_rows,
	.n_options = ARRAY_SIZE(kill_rows),
	.min_operands = 1,
	.max_operands = 2,
	.run = cmd_kill,
};

const struct command command_delete = {
	.name = "delete",
	.operands = "ID",
	.summary = "Delete a stopped (or never started) container.",
	.options = delete_rows,
	.n_options = ARRAY_SIZE(delete_rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_delete,
};

const struct command command_pause = {
	.name = "pause",
	.operands = "ID",
	.summary = "Freeze all processes of a container.",
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_pause,
};

const struct command command_resume = {
	.name = "resume",
	.operands = "ID",
	.summary = "Let a paused container go on.",
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_resume,
};
