/* SPDX-License-Identifier: Apache-2.0 */
/* See requests.h. Each runs in a process of its own, with the container's id in the description. */
#include "microvm/guest/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroups/stats.h"
#include "microvm/channel.h"
#include "microvm/guest/adapt.h"
#include "microvm/guest/description.h"
#include "microvm/guest/guest_image.h"
#include "microvm/guest/guest_net.h"
#include "microvm/guest/guest_processes.h"
#include "namespaces/apparmor.h"
#include "namespaces/net_config.h"
#include "namespaces/ns.h"
#include "oci/json.h"
#include "oci/spec.h"
#include "runtime/backend.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/lifecycle.h"
#include "runtime/net_wire.h"
#include "runtime/stats_wire.h"

/* The description that START may bring (net_wire.h). */
#define NETWORK "the network's description"
#define NETWORK_MEMORY ((size_t)8 << 20)
#define NETWORK_DEPTH 8

struct opened {
	struct container c;
	struct instance i;
	enum container_status status;
	pid_t pid;
};

#define OPENED_NULL { .c = CONTAINER_NULL, .i = INSTANCE_NULL }

static void opened_deinit(struct opened *o)
{
	instance_deinit(&o->i);
	container_deinit(&o->c);
}
#define _cleanup_opened_ __attribute__((cleanup(opened_deinit)))

static int open_container(const struct job_call *c, struct opened *o)
{
	return lifecycle_status(GUEST_STATE, c->description->id, &o->c, &o->i, &o->status, &o->pid);
}

static int write_config(const struct channel_frame *f)
{
	_cleanup_close_ int dir = FD_NONE;
	int r;

	if (mkdir(GUEST_BUNDLE, 0700) < 0 && errno != EEXIST)
		return ERR(-errno, "cannot make \"%s\" in the guest", GUEST_BUNDLE);
	dir = open(GUEST_BUNDLE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return ERR(-errno, "cannot open \"%s\" in the guest", GUEST_BUNDLE);
	r = file_create(dir, "config.json", f->data, f->size, 0600);
	return r < 0 ? ERR(r, "cannot write config.json in the guest") : 0;
}

/* As config.json, and what the machine itself has to be given of it. */
static int adapt(struct spec *s, const void *data)
{
	const struct guest_description *d = data;
	int r = guest_adapt(s, data);

	if (r == 0 && d->apparmor != NULL) {
		r = apparmor_policy_load(d->apparmor, d->apparmor_size);
		if (r < 0)
			ERR_CONTEXT(r, "config.json: process.apparmorProfile: in the guest");
	}
	return r;
}

/* The network namespace of the container's first process, FD_NONE: it is the machine's, as without a user namespace. */
static int container_network(pid_t pid, int *ret_ns)
{
	_cleanup_close_ int ns = FD_NONE;
	char path[64];
	bool own = false;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	r = ns_open(path, CLONE_NEWNET, &ns);
	if (r == 0)
		r = ns_is_own(ns, CLONE_NEWNET, &own);
	*ret_ns = r == 0 && !own ? take_fd(&ns) : FD_NONE;
	return r;
}

/* The machine's cards go where the container's root has the rights over them. */
static int give_network(const struct net_config *c, pid_t pid)
{
	_cleanup_close_ int ns = FD_NONE;
	int r = c != NULL ? container_network(pid, &ns) : 0;

	return r == 0 && ns >= 0 ? guest_net_move(c, ns) : r;
}

static int create(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	const struct create_options options = {
		.root = GUEST_STATE, .id = c->description->id, .bundle = GUEST_BUNDLE, .bundle_told = c->description->bundle,
		.isolation = "container", .only_container = true,
		.cgroup_manager = CGROUP_MANAGER_FS, .console_fd = c->console,
		.adapt = adapt, .adapt_data = c->description,
	};
	int pid, r = write_config(c->frame);

	if (r == 0)
		r = lifecycle_create(&options);
	if (r == 0)
		r = open_container(c, &o);
	if (r == 0 && o.pid <= 0)
		r = ERR_PLAIN(-ESRCH, "the container's first process has ended before its start");
	if (r == 0)
		r = give_network(c->description->network, o.pid);
	pid = o.pid;
	channel_put_pids(answer, &pid, 1);
	return r;
}

/* What has come into the container's network namespace on the host since this machine was configured. */
static int take_network(const struct job_call *call)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	_cleanup_arena_ struct arena *a = arena_new(NETWORK_MEMORY);
	_cleanup_close_ int ns = FD_NONE;
	const struct channel_frame *f = call->frame;
	struct net_config *c = a == NULL ? NULL : arena_alloc(a, sizeof(*c));
	const struct json *j;
	int r;

	if (c == NULL)
		return ERR_NOMEM();
	r = json_parse(a, NETWORK, (const char *)f->data, f->size, NETWORK_DEPTH, &j);
	if (r == 0)
		r = net_wire_read(a, NETWORK, j, c);
	if (r == 0)
		r = open_container(call, &o);
	if (r == 0)
		r = container_network(o.pid, &ns);
	return r < 0 ? r : guest_net_apply_late(c, ns);
}

static int start(const struct job_call *c, struct buf *answer)
{
	int r = c->frame->size > 0 ? take_network(c) : 0;

	(void)answer;
	return r < 0 ? r : lifecycle_start(GUEST_STATE, c->description->id);
}

/* ---- exec ---- */

static int made(pid_t pid, void *data)
{
	const struct job_call *c = data;
	int r = job_report(c, pid);

	return r == 0 ? job_wait(c) : r;
}

static int open_process(const struct channel_exec *e, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("process.json", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, e->process, e->process_size);

	if (r < 0)
		return ERR(r, "cannot keep the process object in the guest");
	*ret_fd = take_fd(&fd);
	return 0;
}

static int exec(const struct job_call *c, struct buf *answer)
{
	_cleanup_close_ int process = FD_NONE;
	_cleanup_free_ char *cgroup = NULL;
	struct channel_exec e;
	char file[32];
	struct exec_options options = {
		.root = GUEST_STATE, .id = c->description->id, .process_file = file, .detach = true,
		.console_fd = c->console, .made = made,
	};
	struct job_call call = *c;
	int status, r = channel_get_exec(c->frame, &e);

	(void)answer;
	if (r == 0)
		r = open_process(&e, &process);
	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "/proc/self/fd/%d", process);
	cgroup = strndup(e.cgroup, e.cgroup_size);
	if (cgroup == NULL)
		return ERR_NOMEM();
	options.cgroup = cgroup[0] != '\0' ? cgroup : NULL;
	options.tty = e.flags & CHANNEL_EXEC_TTY;
	options.ignore_paused = e.flags & CHANNEL_EXEC_IGNORE_PAUSED;
	options.made_data = &call;
	return lifecycle_exec(&options, &status);
}

/* ---- of a container that runs ---- */

static int send_signal(const struct job_call *c, struct buf *answer)
{
	struct channel_signal s;
	int r = channel_get_signal(c->frame, &s);

	(void)answer;
	return r < 0 ? r : lifecycle_kill(GUEST_STATE, c->description->id, (int)s.signal, s.all);
}

static int set_paused(const struct job_call *c, struct buf *answer)
{
	(void)answer;
	return lifecycle_set_paused(GUEST_STATE, c->description->id, c->frame->type == CHANNEL_PAUSE);
}

static int ask_paused(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	bool paused = false;
	int r = open_container(c, &o);
	char byte;

	if (r == 0)
		r = backend_container.paused(&o.i, &paused);
	byte = paused;
	buf_add(answer, &byte, 1);
	return r;
}

static int update(const struct job_call *c, struct buf *answer)
{
	_cleanup_spec_ struct spec *spec = NULL;
	struct update_options u = { .resources = NULL };
	int r = spec_parse_resources("update", (const char *)c->frame->data, c->frame->size, &spec);

	(void)answer;
	if (r == 0)
		r = guest_adapt_resources(spec);
	if (r < 0)
		return r;
	u.resources = &spec->linux_.resources;
	return lifecycle_update(GUEST_STATE, c->description->id, &u, "update");
}

static int stats(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	_cleanup_cgroup_stats_ struct cgroup_stats s = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = open_container(c, &o);

	if (r == 0)
		r = backend_container.stats(&o.i, &s);
	if (r == 0)
		r = stats_wire_write(&s, &text, &len);
	if (r == 0)
		buf_add(answer, text, len);
	return r;
}

static int pids(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	pid_t *list = NULL;
	size_t n = 0;
	int r = open_container(c, &o);

	if (r == 0)
		r = backend_container.pids(&o.i, &list, &n);
	if (r == 0 && n > CHANNEL_PIDS_MAX)
		r = ERR_PLAIN(-E2BIG, "the container has too many processes to list");
	if (r == 0)
		channel_put_pids(answer, list, n);
	free(list);
	return r;
}

static int processes(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	pid_t *list = NULL;
	uint32_t above;
	size_t n = 0;
	int r = channel_get_processes(c->frame, &above);

	if (r == 0)
		r = open_container(c, &o);
	if (r == 0)
		r = backend_container.pids(&o.i, &list, &n);
	if (r == 0)
		guest_processes(list, n, above, answer);
	free(list);
	return r;
}

static int oom(const struct job_call *c, struct buf *answer)
{
	_cleanup_opened_ struct opened o = OPENED_NULL;
	struct cgroup_oom got = { .kills = 0 };
	unsigned char bytes[CHANNEL_OOM_SIZE];
	int r = open_container(c, &o);

	if (r == 0)
		r = backend_container.oom(&o.i, &got);
	channel_put_oom(bytes, &(struct channel_oom){ .ooms = got.ooms, .kills = got.kills, .limit = got.limit });
	buf_add(answer, bytes, sizeof(bytes));
	return r;
}

int request_finish(const struct job_call *c, struct buf *answer)
{
	if (c->description->image.device != NULL)
		guest_image_close();
	sync();
	return oom(c, answer);
}

job_work *request_work(uint16_t type)
{
	static job_work *const works[] = {
		[CHANNEL_CREATE] = create, [CHANNEL_START] = start, [CHANNEL_EXEC] = exec, [CHANNEL_SIGNAL] = send_signal,
		[CHANNEL_PAUSE] = set_paused, [CHANNEL_RESUME] = set_paused, [CHANNEL_PAUSED] = ask_paused,
		[CHANNEL_UPDATE] = update, [CHANNEL_STATS] = stats, [CHANNEL_PIDS] = pids, [CHANNEL_OOM] = oom,
		[CHANNEL_PROCESSES] = processes,
	};

	return type < ARRAY_SIZE(works) ? works[type] : NULL;
}
