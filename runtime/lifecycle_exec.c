/* SPDX-License-Identifier: Apache-2.0 */
/* exec: one more process in a running container. See lifecycle.h. */
#include "runtime/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/foreground.h"
#include "runtime/oom.h"
#include "runtime/plan.h"

#define PROCESS_JSON_MAX SPEC_MAX_BYTES

static int load_process_file(const struct exec_options *o, struct spec **ret_spec, struct process_req *q)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, o->process_file, PROCESS_JSON_MAX, &text, &len);

	if (r < 0)
		return ERR(r, "cannot read the process file \"%s\"", o->process_file);
	r = spec_parse_process(o->process_file, text, len, ret_spec);
	if (r == 0)
		r = plan_process((*ret_spec)->arena, (*ret_spec)->process, o->preserve_fds, 0, q);
	return r;
}

/* UID[:GID], numbers only: names would be the image's to define. */
static int set_user(const char *user, struct process_req *q)
{
	const char *colon = strchr(user, ':');
	_cleanup_free_ char *uid = colon != NULL ? strndup(user, (size_t)(colon - user)) : strdup(user);
	uint64_t v;

	if (uid == NULL)
		return ERR_NOMEM();
	/* 2^32 - 1 is (uid_t)-1: "leave as it is" to the kernel. */
	if (parse_u64(uid, 0, UINT32_MAX - 1, &v) < 0)
		return ERR_PLAIN(-EINVAL, "--user: \"%s\" is not a UID or UID:GID in numbers", user);
	q->uid = (uid_t)v;
	if (colon == NULL)
		return 0;
	if (parse_u64(colon + 1, 0, UINT32_MAX - 1, &v) < 0)
		return ERR_PLAIN(-EINVAL, "--user: \"%s\" is not a UID or UID:GID in numbers", user);
	q->gid = (gid_t)v;
	return 0;
}

static int add_groups(struct arena *a, const struct exec_options *o, struct process_req *q)
{
	gid_t *groups = arena_array(a, q->n_groups + o->n_additional_gids, sizeof(*groups));
	size_t n = 0;

	if (groups == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < q->n_groups; i++)
		groups[n++] = q->groups[i];
	for (size_t i = 0; i < o->n_additional_gids; i++) {
		uint64_t v;

		if (parse_u64(o->additional_gids[i], 0, UINT32_MAX - 1, &v) < 0)
			return ERR_PLAIN(-EINVAL, "--additional-gids: \"%s\" is not a GID", o->additional_gids[i]);
		groups[n++] = (gid_t)v;
	}
	q->groups = groups;
	q->n_groups = n;
	return 0;
}

/* NAME=VALUE replaces an entry of that name: getenv(3) would find the older one first. */
static int add_env(struct arena *a, const struct exec_options *o, struct process_req *q)
{
	const char **env = arena_array(a, q->n_env + o->n_env + 4, sizeof(*env));
	size_t n = q->n_env;

	if (env == NULL)
		return ERR_NOMEM();
	memcpy(env, q->env, n * sizeof(*env));
	for (size_t i = 0; i < o->n_env; i++) {
		const char *eq = strchr(o->env[i], '=');
		size_t k;

		if (eq == NULL || eq == o->env[i])
			return ERR_PLAIN(-EINVAL, "--env: \"%s\" is not NAME=VALUE", o->env[i]);
		for (k = 0; k < n; k++)
			if (strncmp(env[k], o->env[i], (size_t)(eq - o->env[i]) + 1) == 0)
				break;
		env[k] = o->env[i];
		n += k == n ? 1 : 0;
	}
	q->env = env;
	q->n_env = n;
	return 0;
}

/*
 * Never inheritable (CVE-2022-29162). Ambient only what the configuration has inheritable already: without it a
 * process that is not root would lose at execve what was asked for.
 */
static int add_caps(const struct exec_options *o, struct process_req *q)
{
	for (size_t i = 0; i < o->n_caps; i++) {
		uint64_t bit;

		if (caps_from_name(o->caps[i], &bit) < 0)
			return ERR_PLAIN(-EINVAL, "--cap: \"%s\" is not a capability", o->caps[i]);
		q->caps.present = true;
		q->caps.bounding |= bit;
		q->caps.effective |= bit;
		q->caps.permitted |= bit;
		q->caps.ambient |= bit & q->caps.inheritable;
	}
	return 0;
}

/* The flag form: the bundle's process as it was at create, changed by options. */
static int load_bundle_process(const struct exec_options *o, struct container *c, struct spec **ret_spec,
			       struct process_req *q)
{
	struct arena *a;
	int r = spec_load(c->dir, STATE_CONFIG, ret_spec, NULL, NULL);

	if (r < 0)
		return r;
	if ((*ret_spec)->process == NULL)
		return ERR_PLAIN(-EINVAL, "container \"%s\" has no process in its config.json: use --process", o->id);
	a = (*ret_spec)->arena;
	r = plan_process(a, (*ret_spec)->process, o->preserve_fds, 0, q);
	if (r < 0)
		return r;
	q->args = o->args;
	q->terminal = o->tty;
	q->has_console_size = false;
	if (o->cwd != NULL)
		q->cwd = o->cwd;
	if (o->cwd != NULL && o->cwd[0] != '/')
		return ERR_PLAIN(-EINVAL, "--cwd: \"%s\" is not an absolute path", o->cwd);
	if (o->user != NULL)
		r = set_user(o->user, q);
	if (r == 0)
		r = add_groups(a, o, q);
	if (r == 0)
		r = add_env(a, o, q);
	return r < 0 ? r : add_caps(o, q);
}

static int load_process(const struct exec_options *o, struct container *c, struct spec **ret_spec,
			struct process_req *q)
{
	const char *keep = state_annotation(&c->state, ANNOTATION_KEEP_GROUPS);
	int r = o->process_file != NULL ? load_process_file(o, ret_spec, q) : load_bundle_process(o, c, ret_spec, q);

	if (r == 0 && !(c->state.ns_flags & CLONE_NEWUSER) && !str_eq(c->state.isolation, isolation_name(ISOLATION_MICROVM)))
		r = plan_drop_ungrantable(&q->caps);
	if (r < 0)
		return r;
	q->keep_groups = keep != NULL && !str_eq(keep, "0");
	if (o->tty)
		q->terminal = true;
	if (o->no_new_privs)
		q->no_new_privs = true;
	if (o->apparmor != NULL)
		q->apparmor = plan_apparmor(o->apparmor);
	if (o->process_label != NULL)
		q->selinux = o->process_label;
	if (o->console_socket != NULL && !q->terminal)
		return ERR_PLAIN(-EINVAL, "--console-socket is given, but the process has no terminal");
	if (o->detach && q->terminal && o->console_socket == NULL && o->console_fd <= 0)
		return ERR_PLAIN(-EINVAL, "cannot allocate a terminal for a detached process without --console-socket");
	return 0;
}

static int check_status(const struct exec_options *o, enum container_status status)
{
	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return ERR_PLAIN(-ESRCH, "cannot exec in container \"%s\": container not running (%s)", o->id,
				 status_name(status));
	if (status == STATUS_PAUSED && !o->ignore_paused)
		return ERR_HINT(ERR_PLAIN(-EBUSY, "cannot exec in a paused container"), "use --ignore-paused to override");
	return 0;
}

static int exec_process(struct instance *i, const struct exec_options *o, const struct process_req *q,
			struct foreground *f, int console, int *ret_pidfd)
{
	struct exec_launch l = { .process = q, .console = console, .cgroup = o->cgroup };
	_cleanup_close_ int sync = FD_NONE;
	pid_t pid = 0;
	int r = i->ops->exec(i, &l, &pid, ret_pidfd, &sync);

	/* Before it runs: it may ask for the terminal's size at once. */
	if (r == 0 && f != NULL)
		r = foreground_take_terminal(f);
	if (r == 0 && o->made != NULL)
		r = o->made(pid, o->made_data);
	if (r == 0 && o->pidfd_socket != NULL)
		r = pidfd_send(o->pidfd_socket, *ret_pidfd);
	if (r == 0)
		r = i->ops->exec_start(i, sync, pid);
	if (r == 0)
		log_debug("started: process %d", (int)pid);
	/* Not earlier: conmon takes the file for the proof that the process runs. */
	if (r == 0 && o->pid_file != NULL)
		r = pid_file_write(o->pid_file, pid);
	/* The caller will take it for not started. */
	if (r < 0 && *ret_pidfd >= 0) {
		int status;

		(void)proc_send_signal(*ret_pidfd, SIGKILL);
		(void)proc_await_end(*ret_pidfd, -1, &status);
	}
	return r;
}

int lifecycle_exec(const struct exec_options *o, int *ret_status)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_spec_ struct spec *spec = NULL;
	_cleanup_foreground_ struct foreground f = FOREGROUND_NULL;
	_cleanup_close_ int console = FD_NONE, pidfd = FD_NONE;
	struct process_req q = { 0 };
	enum container_status status;
	pid_t init;
	int terminal, r = preserve_fds_check(o->preserve_fds);

	if (r == 0)
		r = lifecycle_status(o->root, o->id, &c, &i, &status, &init);
	if (r == 0) {
		r = check_status(o, status);
		oom_explain(&i, r);
	}
	if (r == 0)
		r = load_process(o, &c, &spec, &q);
	if (r == 0 && o->console_socket != NULL)
		r = socket_connect(o->console_socket, "console", &console);
	if (r == 0 && !o->detach)
		r = foreground_prepare(&f, q.terminal && console < 0);
	if (r != 0)
		return r;
	terminal = o->console_fd > 0 ? o->console_fd : f.console_child >= 0 ? f.console_child : console;
	r = exec_process(&i, o, &q, o->detach ? NULL : &f, terminal, &pidfd);
	*ret_status = 0;
	if (r < 0)
		return oom_explain(&i, r);
	if (o->detach)
		return 0;
	return foreground_wait(&f, pidfd, ret_status);
}
