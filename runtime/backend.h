/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a way of isolating must offer. Commands and lifecycle know this interface only.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cgroups/oom.h"
#include "cgroups/stats.h"
#include "namespaces/process.h"
#include "runtime/base/fd.h"
#include "runtime/plan.h"
#include "runtime/process_table.h"
#include "runtime/state.h"

/* One container in the hands of one command. */
struct instance {
	const struct backend_ops *ops;	/* how it is isolated; NULL: no record says so (yet), nothing of a back end's is there */
	struct container *c;
	const struct plan *plan;	/* during create and run only */
	int sync;			/* to the waiting init, while this process is its creator */
	int pidfd;			/* FD_NONE when not known */
	pid_t pid;
	int waiting;			/* STATE_WAITING, locked, to be inherited by the init; FD_NONE */
	int cgroup;			/* fd of its cgroup, FD_NONE */
	int holder;			/* keeps systemd's scope, and its counts, until the init is ready; FD_NONE */
	struct cgroup_host host;	/* where cgroup2 is, when host_known */
	bool host_known;
	struct cgroup_oom oom_seen;	/* counted while it ran, should the count itself be gone */
	bool poststop_due;		/* create-phase hooks ran, or it was created: a failure has to run poststop */
	bool signals_held;		/* run in the foreground: all signals are blocked, and forwarded once the process runs */
};

#define INSTANCE_NULL                                                                                                  \
	{ .ops = NULL, .sync = FD_NONE, .pidfd = FD_NONE, .waiting = FD_NONE, .cgroup = FD_NONE, .holder = FD_NONE }

struct launch {
	int console;			/* unix socket that gets the terminal's master, FD_NONE */
	bool waits_for_start;		/* create: init waits on STATE_SOCKET; run: on our sync socket */
	bool keep_filter;		/* a compiled seccomp filter is kept for other containers of this root */
};

struct exec_launch {
	const struct process_req *process;
	int console;
	const char *cgroup;		/* sub-cgroup of the container's, NULL: its own */
};

struct update_req {
	struct cgroup_resources resources;
	bool has_devices;
	const struct cgroup_device_rule *device_rules;
	size_t n_device_rules;
};

/* For poll(2): copies of these with their fds and events; fd < 0: there is nothing to wait for. */
struct backend_watch {
	struct pollfd end;		/* the container's first process has ended */
	struct pollfd oom;		/* it may have run out of memory: ask watch_oom */
};

#define BACKEND_WATCH_NULL { .end = { .fd = FD_NONE }, .oom = { .fd = FD_NONE } }

struct backend_ops {
	const char *name;
	/* What this host cannot do of the plan. No side effects; `explain` uses it too. */
	int (*check)(const struct plan *p);
	/*
	 * Makes everything up to the point where only the user's process is missing;
	 * runs prestart, createRuntime and createContainer hooks. On failure the caller calls destroy.
	 */
	int (*create)(struct instance *i, const struct launch *l);
	/* The waiting init may outlive us now. */
	int (*commit)(struct instance *i);
	/* startContainer hooks and the user's process; returns when it has really been executed, or why not: -ECANCELED, a hook. */
	int (*start)(struct instance *i);
	/* One more process, up to where only its execve is missing; it waits, and ends when *ret_sync is closed. */
	int (*exec)(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync);
	/* Lets it, process pid, go on; returns when it has really been executed, or why not. */
	int (*exec_start)(struct instance *i, int sync, pid_t pid);
	int (*signal)(struct instance *i, int sig, bool all);
	int (*set_paused)(struct instance *i, bool paused);
	int (*paused)(struct instance *i, bool *ret_paused);
	/* All of it or nothing. */
	int (*update)(struct instance *i, const struct update_req *u);
	/* The processes; malloc'ed. Their pids are the host's, unless there is `processes`: then they are those of the guest's kernel. */
	int (*pids)(struct instance *i, pid_t **ret_pids, size_t *ret_n);
	/* What a ps(1) would show of them, where the host's cannot see them. rows is the caller's to deinit, also after a failure. */
	int (*processes)(struct instance *i, struct process_rows *rows);
	/*
	 * What it has used so far. The result is the caller's to deinit, also after a failure. -ENOTSUP: nothing
	 * counts for it; -ENOENT: what counted is gone, and the container with it.
	 */
	int (*stats)(struct instance *i, struct cgroup_stats *ret);
	/* What ran out of memory, in half a sentence, when a process was killed without the limit of its own cgroup having been reached. */
	const char *out_of_memory;
	/* How often it ran out of memory. Nothing counts for it, or not any more: zeros. */
	int (*oom)(struct instance *i, struct cgroup_oom *ret);
	/*
	 * Why it ended, when its process did not end by itself: one line, malloc'ed; NULL: no such reason is known, or
	 * there is no memory. NULL as a function: it has no other ends.
	 */
	char *(*failure)(struct instance *i);
	/* Of a container that runs, else -ESRCH. Its fds are the caller's (backend_watch_deinit). */
	int (*watch)(struct instance *i, struct backend_watch *ret);
	/* ooms and kills now; watch->oom is quiet then until they change. -ENOENT without text: nothing counts any more. */
	int (*watch_oom)(const struct backend_watch *w, struct cgroup_oom *ret);
	/*
	 * Mounts that come to one that runs, all of p's or none, and how they are known later: ids, one for each; and one that goes
	 * again, -ENOENT when it is not there any more. NULL as functions: it is not possible.
	 */
	int (*add_mounts)(struct instance *i, const struct plan *p, uint64_t *ids);
	int (*remove_mount)(struct instance *i, const char *target, uint64_t id, bool lazy);
	/* Kills what runs and removes what was made, half-made included. Idempotent. */
	int (*destroy)(struct instance *i);
};

/* By the name in the state's "isolation". NULL: no such. */
const struct backend_ops *backend_find(const char *name);
/* The one that carries p out. -ENOTSUP: not built into this nacre. */
int backend_of_plan(const struct plan *p, const struct backend_ops **ret);
/* Sets ops by the record of i->c, as it was read last. -EBADMSG: it names an isolation that is not known here. */
int instance_find_backend(struct instance *i);
extern const struct backend_ops backend_container, backend_microvm;
/* Those that this program has, then NULL: backends.c; the guest program has a list of its own. */
extern const struct backend_ops *const backend_all[];

void instance_deinit(struct instance *i);
#define _cleanup_instance_ __attribute__((cleanup(instance_deinit)))

void backend_watch_deinit(struct backend_watch *w);
#define _cleanup_backend_watch_ __attribute__((cleanup(backend_watch_deinit)))
