/* SPDX-License-Identifier: Apache-2.0 */
/* create and run. See lifecycle.h. */
#include "runtime/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/foreground.h"
#include "runtime/hooks.h"
#include "runtime/isolation.h"
#include "runtime/notify.h"
#include "runtime/oom.h"
#include "runtime/plan_vm.h"

/* $LISTEN_FDS when it is meant for us (sd_listen_fds(3)); crun's unchecked atoi here was a bug. */
static int listen_fds(unsigned int *ret_n)
{
	const char *n = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint64_t v = 0;

	*ret_n = 0;
	if (n == NULL || *n == '\0')
		return 0;
	if (pid != NULL && (parse_u64(pid, 1, INT_MAX, &v) < 0 || (pid_t)v != getpid()))
		return 0;
	if (parse_u64(n, 0, 1024, &v) < 0)
		return ERR_PLAIN(-EINVAL, "LISTEN_FDS: \"%s\" is not a number of file descriptors", n);
	*ret_n = (unsigned int)v;
	return 0;
}

int preserve_fds_check(unsigned int n)
{
	for (unsigned int fd = 3; fd < 3 + n; fd++)
		if (fcntl((int)fd, F_GETFD) < 0)
			return ERR(-errno, "cannot preserve fd %u", fd);
	return 0;
}

static int load_spec(const struct create_options *o, const char *bundle, struct spec **ret_spec, char **ret_text,
		     size_t *ret_len)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (o->config != NULL)
		return spec_load(AT_FDCWD, o->config, ret_spec, ret_text, ret_len);
	path = str_printf("%s/config.json", bundle);
	r = path == NULL ? ERR_NOMEM() : spec_load_as(path, "config.json", ret_spec, ret_text, ret_len);
	if (r == -ENOENT)
		return ERR_HINT(ERR_CONTEXT(r, "bundle \"%s\"", bundle), "`nacre spec` writes a config.json to start from");
	return r;
}

/* Where the notify socket will be, when we have one to forward to. */
static int plan_notify_dir(const struct create_options *o, struct arena *a, const char **ret)
{
	const char *upstream;
	int r = notify_upstream(&upstream);

	*ret = NULL;
	if (r < 0 || upstream == NULL)
		return r;
	*ret = arena_printf(a, "%s/%s/" NOTIFY_DIR, o->root, o->id);
	return *ret == NULL ? ERR_NOMEM() : 0;
}

/* Whether it becomes a microVM; if so, what of the host its plan depends on. */
static int plan_isolation(const struct create_options *o, const struct spec *spec, struct plan_options *options)
{
	const struct isolation_wish wish = { .option = o->isolation, .program = o->program, .spec = spec };
	struct host_config *file = arena_alloc(spec->arena, sizeof(*file));
	struct vm_host *host = arena_alloc(spec->arena, sizeof(*host));
	int r;

	if (file == NULL || host == NULL)
		return ERR_NOMEM();
	options->host_config = file;
	options->host = host;
	r = isolation_find(spec->arena, &wish, o->host_config, &options->isolation, &options->pod_sandbox, file);
	return r < 0 || options->isolation == ISOLATION_CONTAINER ? r : vm_host_probe(spec->arena, host);
}

static void log_plan(const struct plan *p)
{
	log_debug("bundle \"%s\": runtime-spec %s, as a %s", p->bundle, p->oci_version, isolation_name(p->isolation));
	for (size_t i = 0; i < p->n_ns; i++)
		log_debug("%s namespace: %s", ns_name(p->ns[i].flag), p->ns[i].path != NULL ? p->ns[i].path : "new");
}

/* What may surprise who has asked for a microVM. */
static void log_isolation(const struct plan *p)
{
	if (p->pod_sandbox)
		log_write(LOG_LEVEL_INFO, "%s", POD_SANDBOX_TEXT);
	if (p->isolation != ISOLATION_MICROVM)
		return;
	log_write(LOG_LEVEL_INFO, "microVM by %s: %s", vm_monitor_name(p->vm.monitor), p->vm.monitor_why);
	for (size_t i = 0; i < p->n_ns; i++)
		if (p->pod == POD_CONTAINER && p->ns[i].flag == CLONE_NEWIPC && p->ns[i].path != NULL)
			log_write(LOG_LEVEL_INFO, "IPC and /dev/shm are the microVM's own: it cannot share the pod's, \"%s\"", p->ns[i].path);
}

int lifecycle_plan(const struct create_options *o, struct plan **ret_plan, char **ret_text, size_t *ret_len)
{
	struct plan_options options = {
		.id = o->id,
		.cgroup_manager = o->cgroup_manager,
		.no_pivot = o->no_pivot,
		.no_new_keyring = o->no_new_keyring,
		.preserve_fds = o->preserve_fds,
		.debug = o->debug,
	};
	struct spec *spec = NULL;
	char bundle[PATH_MAX];
	int r = listen_fds(&options.listen_fds);

	if (r == 0)
		r = preserve_fds_check(options.preserve_fds + options.listen_fds);
	if (r < 0)
		return r;
	if (realpath(o->bundle != NULL ? o->bundle : ".", bundle) == NULL)
		return ERR(-errno, "cannot open the bundle \"%s\"", o->bundle != NULL ? o->bundle : ".");
	r = load_spec(o, bundle, &spec, ret_text, ret_len);
	if (r < 0)
		return r;
	options.bundle = arena_strdup(spec->arena, o->bundle_told != NULL ? o->bundle_told : bundle);
	r = options.bundle == NULL ? ERR_NOMEM() : o->adapt != NULL ? o->adapt(spec, o->adapt_data) : 0;
	if (r == 0)
		r = plan_isolation(o, spec, &options);
	if (r == 0)
		r = plan_notify_dir(o, spec->arena, &options.notify_dir);
	if (r < 0) {
		spec_free(spec);
		return r;
	}
	r = plan_build(spec, &options, ret_plan);
	if (r < 0)
		return r;
	log_plan(*ret_plan);
	log_isolation(*ret_plan);
	return 0;
}

int pid_file_write(const char *path, pid_t pid)
{
	_cleanup_close_ int dir = FD_NONE;
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = NULL;
	char text[16];
	int r;

	parent = slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (parent == NULL)
		return ERR_NOMEM();
	dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return ERR(-errno, "cannot write the pid file \"%s\"", path);
	snprintf(text, sizeof(text), "%d", (int)pid);
	r = file_replace(dir, slash == NULL ? path : slash + 1, text, strlen(text), 0644);
	return r < 0 ? ERR(r, "cannot write the pid file \"%s\"", path) : 0;
}

int socket_connect(const char *path, const char *what, int *ret_fd)
{
	_cleanup_close_ int fd = FD_NONE, at = FD_NONE;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	/* By an fd of the socket file, because its path may be longer than sun_path. */
	at = open(path, O_PATH | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (at < 0 || fd < 0)
		return ERR(-errno, "cannot connect to the %s socket \"%s\"", what, path);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d", at);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot connect to the %s socket \"%s\"", what, path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int pidfd_send(const char *path, int pidfd)
{
	_cleanup_close_ int sock = FD_NONE;
	int r = socket_connect(path, "pidfd", &sock);

	if (r == 0) {
		r = fd_send(sock, pidfd, "pidfd");
		if (r < 0)
			ERR(r, "cannot send the process' pidfd to \"%s\"", path);
	}
	return r;
}

/* What exec must join: what is new, and what is joined and not our own. */
static int foreign_namespaces(const struct plan *p, unsigned int *ret_flags)
{
	*ret_flags = 0;
	for (size_t i = 0; i < p->n_ns; i++) {
		_cleanup_close_ int fd = FD_NONE;
		bool own = false;
		int r = 0;

		if (p->ns[i].path != NULL) {
			r = ns_open(p->ns[i].path, p->ns[i].flag, &fd);
			if (r == 0)
				r = ns_is_own(fd, p->ns[i].flag, &own);
		}
		if (r < 0)
			return r;
		if (!own)
			*ret_flags |= p->ns[i].flag;
	}
	return 0;
}

static const char *now_text(struct arena *a)
{
	char stamp[RFC3339_SIZE];

	clock_rfc3339(stamp);
	return arena_strdup(a, stamp);
}

/* A number; the name is looked up by who prints it (getpwuid would load NSS modules on the hot path). */
static const char *owner_text(struct arena *a)
{
	return arena_printf(a, "%u", (unsigned int)getauxval(AT_EUID));
}

/* The kernel joins a keyring that has the name already: so nobody may know it before. */
static int name_keyring(const struct plan *p, struct arena *a, const char **ret)
{
	uint64_t random;

	if (!p->new_keyring)
		return 0;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return ERR(-errno, "cannot get random bytes");
	*ret = arena_printf(a, "_ses.%s.%016" PRIx64, p->id, random);
	return *ret == NULL ? ERR_NOMEM() : 0;
}

/* What goes with the container: a group without a closID is its own. */
static unsigned int resctrl_will_make(const struct resctrl_req *q)
{
	if (q == NULL)
		return 0;
	return (q->clos == NULL ? RESCTRL_MADE_GROUP : 0) | (q->monitor ? RESCTRL_MADE_MONITOR : 0);
}

static int fill_state(const struct instance *i)
{
	const struct plan *p = i->plan;
	struct container *c = i->c;
	struct state *s = &c->state;
	int r;

	*s = (struct state){
		.id = c->id,
		.bundle = p->bundle,
		.rootfs = p->rootfs,
		.oci_version = SPEC_VERSION,
		.created = now_text(c->arena),
		.owner = owner_text(c->arena),
		.isolation = i->ops->name,
		.creator = getpid(),
		.creator_seen = clock_boot_ticks(),
		.cgroup_path = p->cgroup_path,
		/* Should we be killed before the cgroup's creation is known, only the leaf is removed later. */
		.cgroup_created_from = p->cgroup_path != NULL ? strlen(p->cgroup_path) : 0,
		.cgroup_slice = p->scope.slice,
		.cgroup_unit = p->scope.unit,
		.cgroup_user = p->scope.user,
		.has_process = p->has_process,
		.has_personality = p->process.has_personality,
		.personality = (uint32_t)p->process.personality,
		.has_memory_policy = p->memory_policy != NULL,
		.memory_policy = p->memory_policy != NULL ? p->memory_policy->mode_bits : 0,
		.memory_nodes = p->memory_policy != NULL ? p->memory_policy->nodes : NULL,
		.seccomp_listener = p->seccomp_listener,
		.seccomp_metadata = p->seccomp_metadata,
		.resctrl_group = p->resctrl != NULL ? resctrl_group(p->resctrl) : NULL,
		.resctrl_made = resctrl_will_make(p->resctrl),
		.resctrl_monitor = p->resctrl != NULL && p->resctrl->monitor,
		.annotations = p->annotations,
		.n_annotations = p->n_annotations,
	};
	s->hooks[HOOK_POSTSTART] = p->hooks[HOOK_POSTSTART];
	s->hooks[HOOK_POSTSTOP] = p->hooks[HOOK_POSTSTOP];
	if (s->created == NULL || s->owner == NULL)
		return ERR_NOMEM();
	r = name_keyring(p, c->arena, &s->keyring);
	return r < 0 ? r : foreign_namespaces(p, &s->ns_flags);
}

static int check_terminal(const struct create_options *o, const struct plan *p, bool foreground)
{
	bool terminal = p->has_process && p->process.terminal;

	if (terminal && o->console_socket == NULL && o->console_fd <= 0 && !foreground)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "cannot allocate a terminal: process.terminal is set, but there is no --console-socket"),
				"a detached container's terminal needs somebody to hold it: pass --console-socket, or run without --detach");
	if (!terminal && o->console_socket != NULL)
		return ERR_PLAIN(-EINVAL, "--console-socket is given, but config.json's process.terminal is not set");
	return 0;
}

/* The kernel frees this lock when the init executes the user's process or dies. */
static int lock_waiting(struct instance *i)
{
	i->waiting = openat(i->c->dir, STATE_WAITING, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (i->waiting < 0 || flock(i->waiting, LOCK_EX | LOCK_NB) < 0)
		return ERR(-errno, "cannot lock \"%s\" in the state directory", STATE_WAITING);
	return 0;
}

static int create_steps(struct instance *i, const struct create_options *o, const struct launch *l, const char *text,
			size_t len)
{
	struct container *c = i->c;
	int r = fill_state(i);

	if (r == 0)
		r = container_save(c);
	/* From here on it is what has been made. */
	c->state.resctrl_made = 0;
	if (r == 0) {
		r = file_create(c->dir, STATE_CONFIG, text, len, 0600);
		if (r < 0)
			ERR(r, "cannot keep a copy of config.json");
	}
	if (r == 0)
		r = notify_prepare(c->dir, i->plan);
	if (r == 0)
		r = lock_waiting(i);
	if (r == 0)
		r = i->ops->create(i, l);
	if (r == 0) {
		log_debug("created: process %d", (int)i->pid);
		fd_close(&i->waiting);
		c->state.resctrl_made = resctrl_will_make(i->plan->resctrl);
		c->state.creator = 0;
		c->state.creator_seen = 0;
		r = container_save(c);
	}
	/* Before it runs: whoever gets it wants to see its end, however soon that comes. */
	if (r == 0 && o->pidfd_socket != NULL)
		r = pidfd_send(o->pidfd_socket, i->pidfd);
	if (r == 0 && o->pid_file != NULL && l->waits_for_start)
		r = pid_file_write(o->pid_file, i->pid);
	return r;
}

int lifecycle_create(const struct create_options *o)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_plan_ struct plan *plan = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int console = FD_NONE;
	struct launch l = { .waits_for_start = true, .keep_filter = !o->only_container };
	size_t len = 0;
	int r = lifecycle_plan(o, &plan, &text, &len);

	if (r == 0)
		r = backend_of_plan(plan, &i.ops);
	if (r == 0)
		r = check_terminal(o, plan, false);
	if (r == 0 && o->console_socket != NULL)
		r = socket_connect(o->console_socket, "console", &console);
	if (r == 0)
		r = container_new(o->root, o->id, &c);
	if (r != 0)
		return r;
	i.c = &c;
	i.plan = plan;
	l.console = o->console_fd > 0 ? o->console_fd : console;
	r = create_steps(&i, o, &l, text, len);
	if (r == 0)
		r = i.ops->commit(&i);
	if (r < 0)
		lifecycle_undo(&i, r);
	return r;
}

/* ---- run ---- */

/* start, poststart hooks; what fails undoes it all (runtime-spec "Lifecycle", steps 7 and 9). */
static int start_steps(struct instance *i, struct foreground *f)
{
	int r;

	i->poststop_due = true;
	r = i->ops->start(i);
	if (r == 0)
		log_debug("started: process %d", (int)i->pid);
	/* The end of the wait for execve(2) may have been the end of the process. */
	if (r == 0 && f != NULL)
		foreground_note_oom(f);
	/* From here on others may act on the running container: the lock is let go. */
	return r < 0 ? r : lifecycle_poststart(i, &i->plan->hooks[HOOK_POSTSTART]);
}

static int run_delete(struct instance *i)
{
	int r = i->ops->destroy(i);

	hooks_run_all(HOOK_POSTSTOP, &i->c->state.hooks[HOOK_POSTSTOP], &i->c->state, STATUS_STOPPED, 0);
	return r < 0 ? r : container_remove(i->c);
}

/* systemd takes the cgroup away with its last process. Only a help for the report: no error. */
static void watch_oom(struct instance *i, struct foreground *f)
{
	if (i->c->state.cgroup_unit == NULL)
		return;
	f->ops = i->ops;
	if (i->ops->oom(i, &f->oom_seen) < 0 || i->ops->watch(i, &f->watch) < 0)
		err_clear();
}

static int run_steps(struct instance *i, const struct run_options *o, struct foreground *fg, const struct launch *l,
		     const char *text, size_t len)
{
	struct foreground *f = o->detach ? NULL : fg;	/* with a terminal, signals */
	int r = create_steps(i, &o->create, l, text, len);

	if (r == 0 && f != NULL)
		r = foreground_take_terminal(f);
	if (r == 0 && f != NULL)
		watch_oom(i, f);
	if (r == 0)
		r = notify_listen(i->c->dir, &fg->notify);
	if (r == 0)
		r = start_steps(i, f);
	/* Only now it really runs (conmon takes the file's existence for success). */
	if (r == 0 && o->create.pid_file != NULL)
		r = pid_file_write(o->create.pid_file, i->pid);
	return r;
}

static void tell_failure(struct instance *i)
{
	_cleanup_free_ char *reason = i->ops->failure != NULL ? i->ops->failure(i) : NULL, *text = NULL;

	if (reason != NULL && asprintf(&text, "container \"%s\": %s", i->c->id, reason) >= 0)
		log_fatal(text, "");
}

static int run_with(struct instance *i, const struct run_options *o, struct launch *l, const char *text, size_t len,
		    int *ret_status)
{
	_cleanup_foreground_ struct foreground f = FOREGROUND_NULL;
	bool terminal = i->plan->has_process && i->plan->process.terminal;
	int r = 0;

	if (!o->detach) {
		r = foreground_prepare(&f, terminal && l->console < 0);
		i->signals_held = r == 0;
		if (r == 0 && f.console_child >= 0)
			l->console = f.console_child;
	}
	if (r == 0)
		r = run_steps(i, o, &f, l, text, len);
	if (r < 0) {
		/* -ENOENT: somebody has deleted it meanwhile. */
		if (container_lock_existing(i->c) == 0)
			lifecycle_undo(i, r);
		return r;
	}
	*ret_status = 0;
	if (o->detach)
		return notify_wait(&f.notify, i->pidfd, i->pid);
	r = foreground_wait(&f, i->pidfd, ret_status);
	if (r == 0)
		log_debug("ended with status %d", *ret_status);
	i->oom_seen = f.oom_seen;
	foreground_deinit(&f);	/* before anything is said on the terminal */
	fd_close(&i->pidfd);
	i->c->state.pid = 0;
	if (r == 0 && *ret_status == OOM_STATUS)
		oom_tell(i);
	if (r == 0 && *ret_status != 0)
		tell_failure(i);
	if (r == 0 && !o->keep && container_lock_existing(i->c) == 0)
		r = run_delete(i);
	return r;
}

int lifecycle_run(const struct run_options *o, int *ret_status)
{
	_cleanup_container_ struct container c = CONTAINER_NULL;
	_cleanup_instance_ struct instance i = INSTANCE_NULL;
	_cleanup_plan_ struct plan *plan = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int console = FD_NONE;
	struct launch l = { .waits_for_start = false, .keep_filter = !o->create.only_container };
	size_t len = 0;
	int r = lifecycle_plan(&o->create, &plan, &text, &len);

	if (r == 0)
		r = backend_of_plan(plan, &i.ops);
	if (r == 0)
		r = check_terminal(&o->create, plan, !o->detach);
	if (r == 0 && o->create.console_socket != NULL)
		r = socket_connect(o->create.console_socket, "console", &console);
	/* Orphans of a container without a pid namespace come to us instead of the host's init. */
	if (r == 0 && !o->no_subreaper && !o->detach && !plan_has_ns(plan, CLONE_NEWPID) &&
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = ERR(-errno, "cannot become a subreaper");
	if (r == 0)
		r = container_new(o->create.root, o->create.id, &c);
	if (r != 0)
		return r;
	i.c = &c;
	i.plan = plan;
	l.console = console;
	return run_with(&i, o, &l, text, len, ret_status);
}
