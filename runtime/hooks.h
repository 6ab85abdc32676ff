/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: programs of the user's at the six moments of runtime-spec "POSIX-platform Hooks". */
#pragma once

#include <sys/types.h>

#include "runtime/plan.h"
#include "runtime/state.h"

/*
 * Runs the hooks of one kind in order, in the namespaces of the caller, the state on
 * each one's stdin (a memfd: a hook that does not read cannot block or EPIPE us). pid:
 * the container's as the hook's namespace sees it. The first failure ends the list:
 * a text with the hook's path, its status and the tail of what it printed.
 */
int hooks_run(enum hook_kind kind, const struct plan_hooks *hooks, const struct state *s, enum container_status status,
	      pid_t pid);

/* poststop: each is run, a failure is a warning (runtime-spec "poststop"). */
void hooks_run_all(enum hook_kind kind, const struct plan_hooks *hooks, const struct state *s,
		   enum container_status status, pid_t pid);
