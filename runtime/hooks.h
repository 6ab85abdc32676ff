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

/*
 * createContainer: in the container's namespaces, on the host's files. They start in root, the container's root file system with
 * its mounts, as with other runtimes; FD_NONE, it is not a directory here: in the bundle.
 */
int hooks_run_in_root(const struct plan_hooks *hooks, const struct state *s, pid_t pid, int root);

/*
 * startContainer: its programs are the container's own, which an image brings. enter(data) runs in each one's process, right before
 * it is executed, and makes it as little privileged as the container's process will be; 0, or -errno with a text, which is the
 * hook's failure. Nothing is done after it that a filter could refuse.
 */
int hooks_run_inside(const struct plan_hooks *hooks, const struct state *s, pid_t pid, int (*enter)(const void *data),
		     const void *data);

/* poststop: each is run, a failure is a warning (runtime-spec "poststop"). */
void hooks_run_all(enum hook_kind kind, const struct plan_hooks *hooks, const struct state *s,
		   enum container_status status, pid_t pid);
