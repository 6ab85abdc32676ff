/* SPDX-License-Identifier: Apache-2.0 */
/* nacre state, nacre list: what there is. Neither reads config.json. */
#include "runtime/command.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci/json.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"
#include "runtime/oom.h"

struct list_flags {
	const char *format;
	bool quiet;
};

static const struct option_row list_rows[] = {
	{ 'f', "format", "table|json", "how to print (default: table)", OPTION_STRING, offsetof(struct list_flags, format) },
	{ 'q', "quiet", NULL, "IDs only", OPTION_BOOL, offsetof(struct list_flags, quiet) },
};

/* The record holds a number; a person reads a name. */
static const char *owner_name(const char *owner)
{
	uint64_t uid;
	struct passwd *pw;

	if (parse_u64(owner, 0, UINT32_MAX, &uid) < 0)
		return owner;
	if (uid == 0)
		return "root";
	pw = getpwuid((uid_t)uid);
	return pw != NULL ? pw->pw_name : owner;
}

/* A directory whose record is not written, yet or for ever, has a name and can be deleted. */
static void complete(struct container *c)
{
	struct state *s = &c->state;

	if (!c->has_state)
		*s = (struct state){ .id = c->id, .bundle = "", .rootfs = "", .oci_version = SPEC_VERSION, .owner = "0" };
	s->owner = owner_name(s->owner);
}

static int cmd_state(const struct globals *g, int argc, char **argv)
{
	_cleanup_json_writer_ struct json_writer *w = NULL;
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	unsigned int flags = STATE_WRITE_EXTRA;
	enum container_status status;
	char **operands;
	pid_t pid;
	int n, r = command_options(&command_state, NULL, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	r = lifecycle_status(g->root, operands[0], &c, &i, &status, &pid);
	if (r < 0)
		return r;
	/* No bundle to name, so no state of the specification; what runs on is a create that is only beginning. */
	if (!c.has_state && status != STATUS_CREATING)
		return ERR_HINT(ERR_PLAIN(-ENOENT, "container \"%s\" has no state: its create was ended before it wrote any", c.id),
				"nacre delete removes what is left of it");
	complete(&c);
	if (status == STATUS_STOPPED && c.has_state && oom_killed(&i))
		flags |= STATE_WRITE_OOM_KILLED;
	w = json_writer_new(true);
	state_write_oci(w, &c.state, status, pid, flags);
	return json_writer_print(w);
}

/* One that is deleted while we look, or is unreadable, does not spoil the list. */
static void list_one(const char *root, const char *id, struct json_writer *w)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	enum container_status status;
	pid_t pid;
	int r = lifecycle_status(root, id, &c, &i, &status, &pid);

	if (r == -ENOENT || (r < 0 && c.dir < 0)) {
		err_clear();
		return;
	}
	if (r < 0) {
		fprintf(stderr, "nacre: warning: %s\n", err_text());
		err_clear();
		return;
	}
	complete(&c);
	if (w != NULL)
		state_write_oci(w, &c.state, status, pid, STATE_WRITE_EXTRA);
	else
		printf("%-28s %-8d %-9s %-36s %-20.19s %s\n", id, (int)pid, status_name(status), c.state.bundle,
		       c.state.created != NULL ? c.state.created : "", c.state.owner);
}

static int list_all(const char *root, const struct list_flags *f, const struct container_ids *ids)
{
	_cleanup_json_writer_ struct json_writer *w = NULL;
	bool json = f->format != NULL && str_eq(f->format, "json");

	if (f->quiet) {
		for (size_t k = 0; k < ids->n; k++)
			printf("%s\n", ids->v[k]);
		return 0;
	}
	if (json) {
		w = json_writer_new(false);	/* one line: what reads runc's by lines */
		if (w == NULL)
			return ERR_NOMEM();
		json_array_open(w);
	} else {
		printf("%-28s %-8s %-9s %-36s %-20s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	}
	for (size_t k = 0; k < ids->n; k++)
		list_one(root, ids->v[k], w);
	if (!json)
		return 0;
	json_array_close(w);
	return json_writer_print(w);
}

static int cmd_list(const struct globals *g, int argc, char **argv)
{
	struct list_flags f = { NULL, false };
	_cleanup_container_ids_ struct container_ids ids = { NULL, 0 };
	char **operands;
	int n, r = command_options(&command_list, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	if (f.format != NULL && !str_eq(f.format, "table") && !str_eq(f.format, "json"))
		return ERR_PLAIN(-EINVAL, "option --format: \"%s\" is neither table nor json", f.format);
	r = container_list(g->root, &ids);
	return r < 0 ? r : list_all(g->root, &f, &ids);
}

const struct command command_state = {
	.name = "state",
	.operands = "ID",
	.summary = "Print a container's state as JSON (runtime-spec \"State\").",
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_state,
};

const struct command command_list = {
	.name = "list",
	.operands = "",
	.summary = "List the containers below --root.",
	.options = list_rows,
	.n_options = ARRAY_SIZE(list_rows),
	.run = cmd_list,
};
