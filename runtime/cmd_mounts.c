/* SPDX-License-Identifier: Apache-2.0 */
/* nacre mounts: mounts that come to a running container, and go again. */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

struct flags {
	bool lazy;
};

static const struct option_row rows[] = {
	{ 'l', "lazy", NULL, "remove: what is in use, too; it ends with its last use", OPTION_BOOL, offsetof(struct flags, lazy) },
};

static int read_file(const char *path, const char **ret_name, struct spec **ret_spec)
{
	_cleanup_free_ char *text = NULL;
	bool from_stdin = str_eq(path, "-");
	size_t len;
	int r = from_stdin ? fd_read_all(STDIN_FILENO, SPEC_MAX_BYTES, &text, &len) :
			     file_read(AT_FDCWD, path, SPEC_MAX_BYTES, &text, &len);

	*ret_name = from_stdin ? "standard input" : path;
	return r < 0 ? ERR(r, "cannot read the mounts from \"%s\"", path) : spec_parse_mounts(*ret_name, text, len, ret_spec);
}

static int cmd_mounts(const struct globals *g, int argc, char **argv)
{
	_cleanup_spec_ struct spec *spec = NULL;
	struct mounts_options o = { .lazy = false };
	struct flags f = { .lazy = false };
	struct command rest = command_mounts;
	const char *verb = argc > 0 ? argv[0] : "";
	bool add = str_eq(verb, "add"), first = add || str_eq(verb, "remove");
	char **operands;
	int n, r;

	/* Options stand before add and remove, or after it. */
	rest.min_operands = rest.max_operands -= first ? 1 : 0;
	r = command_options(&rest, &f, argc - (first ? 1 : 0), argv + (first ? 1 : 0), &operands, &n);
	if (r != 0)
		return r < 0 ? r : 0;
	if (!first) {
		verb = *operands++;
		add = str_eq(verb, "add");
	}
	if (!add && !str_eq(verb, "remove"))
		return ERR_PLAIN(-EINVAL, "mounts: \"%.64s\" is neither add nor remove", verb);
	if (add && f.lazy)
		return ERR_PLAIN(-EINVAL, "option --lazy: is for mounts remove");
	r = read_file(operands[1], &o.name, &spec);
	if (r < 0)
		return r;
	o.mounts = spec;
	o.lazy = f.lazy;
	return add ? lifecycle_add_mounts(g->root, operands[0], &o) : lifecycle_remove_mounts(g->root, operands[0], &o);
}

const struct command command_mounts = {
	.name = "mounts",
	.operands = "add|remove ID FILE",
	.summary = "Add mounts to a running container, or remove them.",
	.details = "FILE has a list as \"mounts\" in config.json, as JSON; - is standard input. All of it is added, or nothing. Only\n"
		   "what was added can be removed; of each entry of the list the destination counts.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 3,
	.max_operands = 3,
	.run = cmd_mounts,
};
