/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre: global options, the table of commands, exit statuses. The only file that
 * ends the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/caller.h"
#include "runtime/command.h"
#include "runtime/self_exe.h"

static const struct command *const commands[] = {
	&command_run,	 &command_create, &command_start,  &command_exec,    &command_kill,	&command_delete,
	&command_state,	 &command_list,	  &command_ps,	   &command_stats,   &command_events,	&command_pause,
	&command_resume, &command_update, &command_mounts, &command_spec,   &command_explain, &command_features, &command_doctor,
	&command_compare,
};

struct main_flags {
	struct global_options o;	/* first: what global_rows fill */
	char root[PATH_MAX];		/* what o.g.root points at when it is made up */
};

static void print_help(void)
{
	puts("Usage: nacre [OPTIONS] COMMAND [OPTIONS] [OPERANDS]\n\n"
	     "An OCI runtime: runs a bundle (a config.json and a root file system) as a container.\n\nCommands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	puts("\nOptions:");
	options_print(global_rows, n_global_rows);
	puts("\nnacre COMMAND --help tells more; so does man nacre.");
}

static void print_version(void)
{
	printf("nacre version %s\ncommit: %s\nspec: %s\n+CGROUPFS +SYSTEMD +SECCOMP +CAP +YAJL +MNL\n", NACRE_VERSION, NACRE_COMMIT,
	       SPEC_VERSION);
}

/*
 * A closed stdio fd would be given to the next file we open, and then to the container.
 */
static int fill_stdio(void)
{
	struct pollfd p[3] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

	if (poll(p, 3, 0) <= 0)
		return 0;
	for (int fd = 0; fd < 3; fd++)
		if ((p[fd].revents & POLLNVAL) && open("/dev/null", O_RDWR) != fd)
			return ERR(-errno, "cannot open /dev/null in place of a closed fd %d", fd);
	return 0;
}

static int set_root(struct globals *g, char *buf, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char cwd[PATH_MAX];

	if (g->root != NULL && *g->root == '\0')
		return ERR_PLAIN(-EINVAL, "option --root: is empty");
	if (g->root == NULL && caller_is_user()) {
		if (xdg == NULL || *xdg != '/')
			return ERR_HINT(ERR_PLAIN(-EINVAL, "XDG_RUNTIME_DIR is not set"), "--root DIR names a directory");
		snprintf(buf, size, "%s/nacre", xdg);
		g->root = buf;
	} else if (g->root == NULL) {
		g->root = "/run/nacre";
	} else if (g->root[0] != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL || (size_t)snprintf(buf, size, "%s/%s", cwd, g->root) >= size)
			return ERR_PLAIN(-EINVAL, "option --root: \"%s\" cannot be made absolute", g->root);
		g->root = buf;
	}
	if (g->root[strspn(g->root, "/")] == '\0')
		return ERR_PLAIN(-EINVAL, "option --root: \"/\" cannot be used");
	return 0;
}

static int parse_level(const char *name, enum log_level *ret)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(name, names[i])) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return ERR_PLAIN(-EINVAL, "option --log-level: \"%s\" is none of error, warning, info, debug", name);
}

static int set_log(const struct globals *g)
{
	enum log_format format = LOG_FORMAT_TEXT;
	enum log_level level;
	int r = 0;

	if (g->log_format != NULL && str_eq(g->log_format, "json"))
		format = LOG_FORMAT_JSON;
	else if (g->log_format != NULL && !str_eq(g->log_format, "text"))
		return ERR_PLAIN(-EINVAL, "option --log-format: \"%s\" is neither text nor json", g->log_format);
	/* Engines take a JSON log for one object, the error; a warning before it would cost them that. */
	level = format == LOG_FORMAT_JSON ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING;
	if (g->log_level != NULL)
		r = parse_level(g->log_level, &level);
	if (g->debug)
		level = LOG_LEVEL_DEBUG;
	return r < 0 ? r : log_open(g->log, format, level);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (str_eq(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static bool enters_container(const struct command *c)
{
	return c == &command_create || c == &command_run || c == &command_exec;
}

static int run_command(struct main_flags *f, int argc, char **argv, char **all, const struct command **ret_c)
{
	const struct command *c = find(argv[0]);
	struct globals *g = &f->o.g;
	int r;

	if (c == NULL)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "unknown command \"%s\"", argv[0]), "nacre --help lists the commands");
	*ret_c = c;
	r = set_root(g, f->root, sizeof(f->root));
	if (r < 0 && c->no_state && g->root == NULL) {
		err_clear();
		r = 0;
	}
	if (r == 0 && enters_container(c)) {
		r = self_exe_protect(all);
		/*
		 * Until execve nothing in the container may ptrace us or open our /proc files (CVE-2016-9962).
		 * An undumpable process' files in /proc are root's, so without root the child does this itself once its
		 * id maps are written.
		 */
		if (r == 0 && (getauxval(AT_EUID) == 0 || c == &command_exec) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
			r = ERR(-errno, "cannot make ourselves undumpable");
	}
	return r < 0 ? r : c->run(g, argc - 1, argv + 1);
}

static int run(int argc, char **argv, const struct command **ret_c)
{
	struct main_flags f = { .o.g.program = argv[0] };
	bool help;
	int at = 1;
	int r = options_parse(global_rows, n_global_rows, &f.o, argc, argv, &at, &help);

	if (r == 0)
		r = set_log(&f.o.g);
	if (r < 0)
		return r;
	if (f.o.version) {
		print_version();
		return 0;
	}
	if (help || at == argc || str_eq(argv[at], "help")) {
		print_help();
		return help || at < argc ? 0 : 1;
	}
	return run_command(&f, argc - at, argv + at, argv, ret_c);
}

int main(int argc, char **argv)
{
	const struct command *c = NULL;
	int r = fill_stdio();

	if (r == 0)
		r = run(argc, argv, &c);
	if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = ERR(-errno, "cannot write to standard output");
	if (r >= 0)
		return r;
	log_fatal(err_text(), err_hint_text());
	log_close();
	return c != NULL && c->failure_status != 0 ? c->failure_status : 1;
}
