/* SPDX-License-Identifier: Apache-2.0 */
/* start, kill, pause, update, delete. See lifecycle.h; create and run are in lifecycle_create.c, exec in lifecycle_exec.c. */
#include "runtime/lifecycle.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/container_parts.h"
#include "runtime/hooks.h"
#include "runtime/notify.h"
#include "runtime/oom.h"
#include "runtime/plan_resources.h"

/* Of the record as it was read last. */
static enum container_status status_now(struct instance *i, pid_t *ret_pid, int *ret_r)
{
	bool paused = false;

	*ret_r = instance_find_backend(i);
	if (*ret_r == 0 && i->ops != NULL)
		*ret_r = i->ops->paused(i, &paused);
	return container_status(i->c, paused, ret_pid);
}

int lifecycle_status(const char *root, const char *id, struct container *c, struct instance *i,
		     enum container_status *ret_status, pid_t *ret_pid)
{
	int r = container_open(root, id, c);

	if (r < 0)
		return r;
	i->c = c;
	*ret_status = status_now(i, ret_pid, &r);
	if (r < 0 || *ret_status != STATUS_STOPPED || (c->has_state && c->state.pid > 0))
		return r;
	/* Its creator may have finished after we read the record and before we looked at its lock. */
	r = container_reload(c);
	if (r == 0)
		*ret_status = status_now(i, ret_pid, &r);
	return r;
}

int lifecycle_open_locked(const char *root, const char *id, struct container *c, struct instance *i,
			  enum container_status *ret_status, pid_t *ret_pid)
{
	int r = container_open(root, id, c);

	if (r == 0)
		r = container_lock(c, true);
	if (r < 0)
		return r;
	i->c = c;
	*ret_status = status_now(i, ret_pid, &r);
	/* The lock is ours, so nobody is creating it: what has no process is what a killed create left. */
	if (*ret_status == STATUS_CREATING)
		*ret_status = STATUS_STOPPED;
	return r;
}

int lifecycle_poststart(struct instance *i, const struct plan_hooks *hooks)
{
	struct container *c = i->c;
	int r = 0;

	if (hooks->n > 0) {
		c->state.creator = getpid();
		c->state.creator_seen = clock_boot_ticks();
		r = container_save(c);
	}
	container_unlock(c);
	if (r < 0 || hooks->n == 0)
		return r;
	r = hooks_run(HOOK_POSTSTART, hooks, &c->state, STATUS_RUNNING, i->pid);
	if (container_lock_existing(c) == 0) {
		c->state.creator = 0;
		c->state.creator_seen = 0;
		if (r == 0)
			r = container_save(c);
		container_unlock(c);
	}
	return r;
}

/* The text of what failed must survive the undoing, which may fail, too. */
void lifecycle_undo(struct instance *i, int r)
{
	struct err_kept kept;

	oom_explain(i, r);
	err_keep(&kept);
	if (i->ops->destroy(i) < 0)
		log_warning("while undoing: %s", err_text());
	if (i->poststop_due)
		hooks_run_all(HOOK_POSTSTOP, &i->c->state.hooks[HOOK_POSTSTOP], &i->c->state, STATUS_STOPPED, 0);
	if (container_remove(i->c) < 0)
		log_warning("while undoing: %s", err_text());
	err_restore(&kept);
}

/* A process that cannot be executed leaves a stopped container, as with other runtimes: delete is the caller's. */
static void end_unstarted(struct instance *i, int r)
{
	struct err_kept kept;

	oom_explain(i, r);
	err_keep(&kept);
	(void)i->ops->signal(i, SIGKILL, true);
	err_restore(&kept);
}

/* runtime-spec "Lifecycle", steps 7 and 9: a startContainer or poststart hook that fails destroys the container. */
static int start_steps(struct instance *i)
{
	int r = i->ops->start(i);
	bool destroy = r == -ECANCELED;

	if (r == 0) {
		log_debug("started: process %d", (int)i->pid);
		r = lifecycle_poststart(i, &i->c->state.hooks[HOOK_POSTSTART]);
		destroy = r < 0;
	}
	i->poststop_due = true;
	if (r < 0 && !destroy)
		end_unstarted(i, r);
	else if (r < 0 && container_lock_existing(i->c) == 0)	/* -ENOENT: somebody has deleted it meanwhile */
		lifecycle_undo(i, r);
	return r;
}

/* The caller is the unit's start command: it returns when the container is ready. One that has ended is not waited for. */
static int await_ready(struct instance *i, struct notify *n)
{
	if (n->sock < 0)
		return 0;
	if (i->pidfd < 0 && proc_pidfd(i->pid, i->c->state.pid_seen, &i->pidfd) < 0) {
		err_clear();
		notify_forward(n, i->pid);
		return 0;
	}
	return notify_wait(n, i->pidfd, i->pid);
}

int lifecycle_start(const char *root, const char *id)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_notify_ struct notify notify = NOTIFY_NULL;
	enum container_status status;
	bool paused = false;
	pid_t pid;
	int r = lifecycle_open_locked(root, id, &c, &i, &status, &pid);

	if (r < 0)
		return r;
	if (status != STATUS_CREATED)
		return oom_explain(&i, ERR_PLAIN(-EINVAL, "cannot start container \"%s\" in the %s state: it has to be "
						 "created and not started", id, status_name(status)));
	/* runtime-spec "Start": an error here must have no effect, so the container stays created. */
	if (!c.state.has_process)
		return ERR_PLAIN(-EINVAL, "cannot start container \"%s\": its config.json has no process", id);
	i.pid = pid;
	r = i.ops->paused(&i, &paused);
	if (r == 0 && paused)
		r = ERR_PLAIN(-EBUSY, "cannot start container \"%s\": its cgroup is frozen", id);
	if (r == 0)
		r = notify_listen(c.dir, &notify);
	if (r < 0)
		return r;
	r = start_steps(&i);
	return r < 0 ? r : await_ready(&i, &notify);
}

/* runtime-spec "Predefined annotation keys": what an image wants to be ended by. plan_check() has seen that it is a signal. */
static int stop_signal(const struct state *s)
{
	const char *value = state_annotation(s, ANNOTATION_STOP_SIGNAL);
	int sig = SIGTERM;

	if (value != NULL)
		(void)signal_parse(value, &sig);
	return sig;
}

/* Without a pid namespace of its own a container's processes outlive its first one; they are in its cgroup. */
static bool has_survivors(struct instance *i)
{
	const struct container *c = i->c;
	pid_t *pids = NULL;
	size_t n = 0;

	if (!c->has_state || !c->state.cgroup_owned || (c->state.ns_flags & CLONE_NEWPID))
		return false;
	if (i->ops->pids(i, &pids, &n) < 0)
		err_clear();
	free(pids);
	return n > 0;
}

int lifecycle_kill(const char *root, const char *id, int sig, bool all)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	enum container_status status;
	pid_t pid;
	int r = lifecycle_status(root, id, &c, &i, &status, &pid);

	if (r < 0)
		return r;
	if (sig < 0)
		sig = stop_signal(&c.state);
	log_debug("signal %d to \"%s\", which is %s, process %d", sig, id, status_name(status), (int)pid);
	if (status == STATUS_STOPPED || status == STATUS_CREATING) {
		if (!all && !(sig == SIGKILL && status == STATUS_STOPPED && has_survivors(&i)))
			return ERR_PLAIN(-ESRCH, "cannot kill container \"%s\": container not running (%s)", id,
					 status_name(status));
		/* What outlived its init is still to be reached; nothing left is what was wanted. */
		if (sig == 0 || !c.has_state || !c.state.cgroup_owned)
			return 0;
		r = i.ops->signal(&i, sig, true);
		return r == -ENOENT ? 0 : r;
	}
	if (sig == 0)
		return 0;
	/* Without a pid namespace the kernel does not end the others with their first process. */
	if (sig == SIGKILL && !(c.state.ns_flags & CLONE_NEWPID) && c.state.cgroup_owned)
		all = true;
	return i.ops->signal(&i, sig, all);
}

int lifecycle_set_paused(const char *root, const char *id, bool paused)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	enum container_status status;
	pid_t pid;
	int r = lifecycle_open_locked(root, id, &c, &i, &status, &pid);

	if (r < 0)
		return r;
	if (paused && status != STATUS_RUNNING)
		return ERR_PLAIN(-EINVAL, "cannot pause container \"%s\": container not running (%s)", id, status_name(status));
	if (!paused && status != STATUS_PAUSED)
		return ERR_PLAIN(-EINVAL, "cannot resume container \"%s\": container not paused (%s)", id, status_name(status));
	return i.ops->set_paused(&i, paused);
}

static int update_req(struct arena *a, const struct spec_resources *r, struct update_req *ret)
{
	int k = plan_resources(a, r, &ret->resources);

	ret->has_devices = r->has_devices;
	return k < 0 ? k : plan_device_rules(a, r, &ret->device_rules, &ret->n_device_rules);
}

static int update_limits(struct instance *i, const struct spec_resources *res)
{
	struct update_req u;
	int r = update_req(i->c->arena, res, &u);

	return r < 0 ? r : i->ops->update(i, &u);
}

int lifecycle_update(const char *root, const char *id, const struct update_options *o, const char *name)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_free_ char *before = NULL;
	enum container_status status;
	pid_t pid;
	int r = lifecycle_open_locked(root, id, &c, &i, &status, &pid);

	if (r < 0)
		return r;
	if (status == STATUS_STOPPED)
		return ERR_PLAIN(-ESRCH, "cannot update container \"%s\": container not running (%s)", id, status_name(status));
	r = container_update_resctrl(&i, o->l3_cache_schema, o->mem_bw_schema, &before);
	if (r == 0 && o->resources != NULL)
		r = update_limits(&i, o->resources);
	if (r < 0)
		container_restore_resctrl(&i, before);
	return r < 0 ? ERR_CONTEXT(r, "%s", name) : 0;
}

/* ---- delete ---- */

/*
 * force on a container somebody works on: whoever is creating it is killed (its child
 * follows by itself), a start that hangs in a hook loses its container. Then the lock is free.
 */
static int break_lock(struct container *c, struct instance *i)
{
	if (i->ops != NULL && c->has_state && c->state.pid > 0)
		(void)i->ops->signal(i, SIGKILL, true);
	err_clear();
	return container_lock(c, true);
}

/* Whoever is creating it, or waits for its poststart hooks. */
static void end_creator(const struct container *c)
{
	_cleanup_close_ int creator = FD_NONE;

	if (c->has_state && c->state.creator > 0 && proc_pidfd(c->state.creator, c->state.creator_seen, &creator) == 0)
		(void)proc_send_signal(creator, SIGKILL);
}

static int delete_locked(struct container *c, struct instance *i)
{
	int r;

	if (c->has_state) {
		r = i->ops->destroy(i);
		if (r < 0)
			return r;
		hooks_run_all(HOOK_POSTSTOP, &c->state.hooks[HOOK_POSTSTOP], &c->state, STATUS_STOPPED, 0);
	}
	r = container_remove(c);
	if (r == 0)
		log_debug("deleted: \"%s\"", c->id);
	return r;
}

int lifecycle_delete(const char *root, const char *id, bool force)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	enum container_status status;
	pid_t pid;
	int r = container_open(root, id, &c);

	if (r == -ENOENT && force) {
		err_clear();
		return 0;
	}
	i.c = &c;
	if (r == 0)
		r = instance_find_backend(&i);
	/* A damaged record must not make a container undeletable: what is known is removed. */
	if (r == -EBADMSG && force && c.dir >= 0)
		return container_remove(&c);
	if (r < 0)
		return r;
	if (force)
		end_creator(&c);
	r = container_lock(&c, false);
	if (r == -EWOULDBLOCK)
		r = force ? break_lock(&c, &i) : container_lock(&c, true);
	if (r == -ENOENT && force) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	/* With force nothing is asked: whoever would answer may hang. */
	if (force) {
		r = instance_find_backend(&i);
		return r < 0 ? r : delete_locked(&c, &i);
	}
	status = status_now(&i, &pid, &r);
	if (r < 0)
		return r;
	/* As runc and crun, a created one goes without force: engines count on it. */
	if (status == STATUS_RUNNING || status == STATUS_PAUSED)
		return ERR_HINT(ERR_PLAIN(-EBUSY, "cannot delete container \"%s\" that is not stopped: %s", id,
					  status_name(status)),
				"kill it first, or use delete --force");
	return delete_locked(&c, &i);
}
