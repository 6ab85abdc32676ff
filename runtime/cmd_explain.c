/* SPDX-License-Identifier: Apache-2.0 */
/* nacre explain: the plan that create would execute, printed. */
#include "runtime/command.h"

#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

struct flags {
	bool json;
	const char *id, *config, *isolation;
};

static const struct option_row rows[] = {
	{ 0, "json", NULL, "as JSON", OPTION_BOOL, offsetof(struct flags, json) },
	{ 'f', "config", "FILE", "use FILE instead of the bundle's config.json", OPTION_STRING,
	  offsetof(struct flags, config) },
	{ 0, "isolation", "NAME", "container or microvm; also before the command", OPTION_STRING, offsetof(struct flags, isolation) },
	{ 0, "id", "ID", "the container's ID (default: explain)", OPTION_STRING, offsetof(struct flags, id) },
};

static int cmd_explain(const struct globals *g, int argc, char **argv)
{
	struct flags f = { .id = "explain" };
	struct create_options o = { .root = NULL };
	_cleanup_plan_ struct plan *plan = NULL;
	const struct backend_ops *ops = NULL;
	_cleanup_free_ char *text = NULL;
	char **operands;
	size_t len;
	int n, r = command_options(&command_explain, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	o.bundle = n > 0 ? operands[0] : ".";
	o.id = f.id;
	o.config = f.config;
	o.isolation = f.isolation;
	r = container_check_id(o.id);
	if (r == 0)
		r = globals_create_options(g, &o);
	if (r == 0)
		r = lifecycle_plan(&o, &plan, &text, &len);
	if (r < 0)
		return r;
	/* What is planned is worth seeing also where nothing can carry it out. */
	if (backend_of_plan(plan, &ops) < 0) {
		log_warning("%s", err_text());
		err_clear();
	} else {
		r = ops->check(plan);
	}
	if (r < 0)
		return r;
	return f.json ? plan_print_json(plan) : plan_print_text(plan);
}

const struct command command_explain = {
	.name = "explain",
	.operands = "[BUNDLE]",
	.summary = "Print the plan that `create` would execute for a bundle, without doing anything.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.max_operands = 1,
	.no_state = true,
	.run = cmd_explain,
};
