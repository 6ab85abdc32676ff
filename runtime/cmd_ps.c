/* SPDX-License-Identifier: Apache-2.0 */
/* nacre ps: the processes of a container, as pids or through the host's ps(1). */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"
#include "runtime/process_table.h"

extern char **environ;

#define PS_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

struct flags {
	const char *format;
};

static const struct option_row rows[] = {
	{ 'f', "format", "table|json", "ps(1)'s table, or a JSON list of pids (default: table)", OPTION_STRING,
	  offsetof(struct flags, format) },
};

static bool has_pid(const pid_t *pids, size_t n, uint64_t pid)
{
	for (size_t i = 0; i < n; i++)
		if ((uint64_t)pids[i] == pid)
			return true;
	return false;
}

/* Runs ps and takes all it prints. */
static int run_ps(char **args, char **ret_text)
{
	_cleanup_close_ int from = FD_NONE, to = FD_NONE;
	posix_spawn_file_actions_t actions;
	int pair[2], status, r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return ERR(-errno, "cannot make a pipe");
	from = pair[0];
	to = pair[1];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO);
	r = -posix_spawnp(&pid, "ps", &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	fd_close(&to);
	if (r < 0)
		return ERR_HINT(ERR(r, "cannot run ps"), "install the package procps, or use --format json");
	r = fd_read_all(from, PS_OUTPUT_MAX, ret_text, NULL);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ERR_PLAIN(-EINVAL, "ps failed");
	return r < 0 ? ERR(r, "cannot read what ps prints") : 0;
}

/* The column of the title PID; ps' own options may put it anywhere. */
static int pid_column(const char *title)
{
	int column = 0;

	for (const char *p = title + strspn(title, " "); *p != '\0'; column++) {
		size_t len = strcspn(p, " ");

		if (len == 3 && strncmp(p, "PID", 3) == 0)
			return column;
		p += len;
		p += strspn(p, " ");
	}
	return -1;
}

static bool line_matches(const char *line, int column, const pid_t *pids, size_t n)
{
	const char *p = line + strspn(line, " ");
	char word[24];
	uint64_t pid;
	size_t len;

	for (; column > 0; column--) {
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	len = strcspn(p, " ");
	if (len == 0 || len >= sizeof(word))
		return false;
	memcpy(word, p, len);
	word[len] = '\0';
	return parse_u64(word, 1, INT32_MAX, &pid) == 0 && has_pid(pids, n, pid);
}

static int print_table(char **ps_args, int n_args, const pid_t *pids, size_t n)
{
	char ef[] = "-ef", name[] = "ps";
	char **args = calloc((size_t)n_args + 3, sizeof(*args));
	_cleanup_free_ char *text = NULL;
	char *save = NULL, *line;
	int column, r;

	if (args == NULL)
		return ERR_NOMEM();
	args[0] = name;
	args[1] = ef;
	for (int i = 0; i < n_args; i++)
		args[i + 1] = ps_args[i];
	r = run_ps(args, &text);
	free(args);
	if (r < 0)
		return r;
	line = strtok_r(text, "\n", &save);
	column = line != NULL ? pid_column(line) : -1;
	if (column < 0)
		return ERR_PLAIN(-EINVAL, "ps prints no column PID with these options");
	for (; line != NULL; line = strtok_r(NULL, "\n", &save))
		if (line == text || line_matches(line, column, pids, n))
			puts(line);
	return 0;
}

static int open_container(const char *root, const char *id, struct container *c, struct instance *i, bool *ret_stopped)
{
	enum container_status status;
	pid_t pid;
	int r = lifecycle_status(root, id, c, i, &status, &pid);

	if (r < 0)
		return r;
	*ret_stopped = status == STATUS_STOPPED;
	if (status == STATUS_CREATING)
		return ERR_PLAIN(-ESRCH, "cannot list the processes of container \"%s\": container not running (%s)", id,
				 status_name(status));
	return 0;
}

/* A stopped one has none, or those that outlived the first. */
static int list_pids(struct instance *i, bool stopped, pid_t **ret_pids, size_t *ret_n)
{
	bool ask = i->ops != NULL && (!stopped || (i->c->has_state && i->c->state.cgroup_owned));
	int r = ask ? i->ops->pids(i, ret_pids, ret_n) : 0;

	if (r < 0 && stopped) {
		err_clear();
		return 0;
	}
	return r;
}

static int json_list(struct instance *i, bool stopped)
{
	pid_t *pids = NULL;
	size_t n = 0;
	int r = list_pids(i, stopped, &pids, &n);

	if (r == 0) {
		for (size_t k = 0; k < n; k++)
			printf("%s%d", k == 0 ? "[" : ",", (int)pids[k]);
		puts(n == 0 ? "[]" : "]");
	}
	free(pids);
	return r;
}

static int host_table(struct instance *i, bool stopped, char **ps_args, int n_args)
{
	pid_t *pids = NULL;
	size_t n = 0;
	int r = list_pids(i, stopped, &pids, &n);

	if (r == 0)
		r = print_table(ps_args, n_args, pids, n);
	free(pids);
	return r;
}

/* The host's ps(1) would show whoever happens to have these pids here. */
static int guest_table(struct instance *i, bool stopped, char **ps_args, int n_args)
{
	_cleanup_process_rows_ struct process_rows list = PROCESS_ROWS_NULL;
	_cleanup_buf_ struct buf text = BUF_NULL;
	int r;

	if (n_args > 1 || (n_args == 1 && !str_eq(ps_args[0], "-ef")))
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "the processes of container \"%s\" run in a microVM, where the host's ps cannot see "
					  "them: options for it have no effect there", i->c->id),
				"use none for the columns of ps -ef, or exec the container's own ps");
	r = stopped ? 0 : i->ops->processes(i, &list);
	if (r < 0)
		return r;
	process_rows_print(&list, time(NULL), &text);
	if (text.failed)
		return ERR_NOMEM();
	fputs(text.data, stdout);
	return 0;
}

static int cmd_ps(const struct globals *g, int argc, char **argv)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	struct flags f = { NULL };
	bool stopped = false;
	char **operands;
	int n, r = command_options(&command_ps, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	if (f.format != NULL && !str_eq(f.format, "table") && !str_eq(f.format, "json"))
		return ERR_PLAIN(-EINVAL, "option --format: \"%s\" is neither table nor json", f.format);
	r = open_container(g->root, operands[0], &c, &i, &stopped);
	if (r < 0)
		return r;
	if (f.format != NULL && str_eq(f.format, "json"))
		return json_list(&i, stopped);
	if (i.ops != NULL && i.ops->processes != NULL)
		return guest_table(&i, stopped, operands + 1, n - 1);
	return host_table(&i, stopped, operands + 1, n - 1);
}

const struct command command_ps = {
	.name = "ps",
	.operands = "ID [PS-OPTION...]",
	.summary = "Show the processes of a container.",
	.details = "The pids are the host's; of a microVM they are the guest's. PS-OPTIONs go to ps(1) (default: -ef); of a "
		   "microVM there is this table only, with users as numbers.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 1,
	.max_operands = -1,
	.run = cmd_ps,
};
