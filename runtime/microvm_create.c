/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create of the microVM back end: what is prepared for the supervisor (vm_supervisor.h), its birth, the answers to it.
 */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "microvm/disk_image.h"
#include "microvm/initramfs.h"
#include "microvm/kernel_find.h"
#include "microvm/qemu.h"
#include "namespaces/apparmor.h"
#include "namespaces/userns.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/container_parts.h"
#include "runtime/guest_program.h"
#include "runtime/hooks.h"
#include "runtime/microvm_parts.h"
#include "runtime/vm_control.h"
#include "runtime/vm_session.h"
#include "runtime/vm_supervisor.h"
#include "runtime/vm_trees.h"

#define CONFIG_MAX SPEC_MAX_BYTES
#define MODULES_MORE_MAX 3
/* Networks that an engine brings a container before it is started; each costs the boot the probe of a device. */
#define SPARE_NETS 4
/* /dev/net/tun (devices.txt of the kernel) */
#define TUN_MAJOR 10
#define TUN_MINOR 200

struct build {
	struct instance *i;
	struct vm_start start;
	struct ns_req ns;
	struct machine_disk disk;
	struct plan host;		/* the plan, with the host's part of the limits */
	char *config, *apparmor;
	char *cgroup_dir;
};

static void build_deinit(struct build *b)
{
	for (size_t k = 0; k < b->start.share.n_entries; k++)
		fd_close(&b->start.entries[k].tree);
	free(b->start.entries);
	for (size_t k = 0; k < b->ns.n_join; k++)
		fd_close(&b->ns.join[k].fd);
	fd_close(&b->start.share.rootfs);
	fd_close(&b->start.machine.kernel);
	fd_close(&b->start.machine.initrd);
	fd_close(&b->disk.image);
	fd_close(&b->start.sync);
	fd_close(&b->start.listen);
	fd_close(&b->start.socket_file);
	fd_close(&b->start.oom_file);
	fd_close(&b->start.failure_file);
	fd_close(&b->start.console_copy);
	free(b->apparmor);
	free(b->config);
	free(b->cgroup_dir);
}
#define _cleanup_build_ __attribute__((cleanup(build_deinit)))

/* ---- what the supervisor gets ---- */

static int open_network(struct build *b)
{
	const struct plan *p = b->i->plan;

	b->ns.create = CLONE_NEWNS | (p->vm.user_ns ? CLONE_NEWUSER : 0);
	for (size_t k = 0; k < p->n_ns; k++) {
		struct ns_join *j = &b->ns.join[0];
		int r;

		if (p->ns[k].flag != CLONE_NEWNET)
			continue;
		if (p->ns[k].path == NULL) {
			b->ns.create |= CLONE_NEWNET;
			continue;
		}
		r = ns_open(p->ns[k].path, CLONE_NEWNET, &j->fd);
		if (r < 0)
			return r;
		if (symlinkat(p->ns[k].path, b->i->c->dir, MICROVM_NETWORK_LINK) < 0)
			return ERR(-errno, "cannot keep the network namespace's path in the state directory");
		j->flag = CLONE_NEWNET;
		b->ns.n_join = 1;
	}
	return 0;
}

/* Room for them; opened here, if the caller can. */
static int open_trees(struct build *b)
{
	const struct plan *p = b->i->plan;

	b->start.seal_rootfs = p->vm.image == NULL && p->rootfs_readonly;
	b->start.entries = calloc(p->n_mounts + 1, sizeof(*b->start.entries));
	if (b->start.entries == NULL)
		return ERR_NOMEM();
	return b->i->plan->vm.user_ns ? 0 : vm_trees_open(&b->start);
}

/* In the root file system's place; a read-only one cannot be written by anybody in there. */
static int open_image(struct build *b)
{
	const struct plan *p = b->i->plan;
	struct disk_image image = { .fd = FD_NONE };
	int r;

	if (p->vm.image == NULL)
		return 0;
	r = disk_image_open(p->vm.image, p->rootfs_readonly, &image);
	if (r < 0)
		return ERR_CONTEXT(r, "config.json: vm.image");
	b->disk = (struct machine_disk){ .image = image.fd, .read_only = p->rootfs_readonly };
	b->start.image = image.file_system;
	b->start.machine.disks = &b->disk;
	b->start.machine.n_disks = 1;
	return 0;
}

/* /dev/net/tun, as who runs a VPN or a network of its own in the container asks for. */
static bool wants_tun(const struct plan *p)
{
	for (size_t k = 0; k < p->n_devices; k++)
		if (p->devices[k].type == S_IFCHR && p->devices[k].major == TUN_MAJOR && p->devices[k].minor == TUN_MINOR)
			return true;
	return false;
}

/* Behind those that every guest can use: what this one cannot do without. How many they are all in all. */
static size_t add_modules(const struct build *b, struct initramfs_module *wanted)
{
	size_t n = INITRAMFS_MODULES;

	memcpy(wanted, initramfs_modules, sizeof(initramfs_modules));
	/* Few kernels have all file systems built in. */
	if (b->start.image != NULL) {
		wanted[n++] = (struct initramfs_module){ "virtio_blk", true };
		wanted[n++] = (struct initramfs_module){ b->start.image, true };
	}
	if (wants_tun(b->i->plan))
		wanted[n++] = (struct initramfs_module){ "tun", true };
	return n;
}

static int open_initramfs(struct build *b, const char *modules)
{
	const struct plan_vm *vm = &b->i->plan->vm;
	_cleanup_close_ int guest = FD_NONE, before = FD_NONE;
	struct initramfs_module wanted[INITRAMFS_MODULES + MODULES_MORE_MAX];
	struct initramfs_request q = { .modules = modules, .wanted = wanted, .cache = INITRAMFS_CACHE };
	int r = guest_program_open(&guest);

	if (r < 0)
		return r;
	q.n_wanted = add_modules(b, wanted);
	if (vm->initrd != NULL) {
		before = open(vm->initrd, O_RDONLY | O_CLOEXEC);
		if (before < 0)
			return ERR(-errno, "config.json: vm.kernel.initrd: cannot open \"%s\"", vm->initrd);
	}
	q.guest = guest;
	q.before = before;
	return initramfs_open(&q, &b->start.machine.initrd);
}

static int open_kernel(struct build *b)
{
	static const char *const installed[] = KERNEL_INSTALLED;
	const struct kernel_search q = { .path = b->i->plan->vm.kernel, .installed = installed,
					 .n_installed = ARRAY_SIZE(installed), .boot = KERNEL_BOOT, .modules = KERNEL_MODULES };
	_cleanup_kernel_found_ struct kernel_found kernel = KERNEL_FOUND_NULL;
	struct machine_config *m = &b->start.machine;
	int r = kernel_find(&q, &kernel);

	if (r < 0)
		return r;
	m->kernel_name = arena_strdup(b->i->plan->arena, kernel.path);
	if (m->kernel_name == NULL)
		return ERR_NOMEM();
	m->kernel = open(kernel.path, O_RDONLY | O_CLOEXEC);
	if (m->kernel < 0)
		return ERR(-errno, "cannot open the guest's kernel \"%s\"", kernel.path);
	return open_initramfs(b, kernel.modules);
}

static int choose_monitor(struct build *b)
{
	const struct plan_vm *vm = &b->i->plan->vm;
	struct arena *a = b->i->plan->arena;
	struct vm_start *s = &b->start;
	const char *clock;
	int r;

	s->machine.command_line = vm->command_line;
	s->machine.ram_size = vm->memory;
	s->machine.vcpus = vm->vcpus;
	if (vm->monitor == VM_MONITOR_KVM)
		return 0;
	r = qemu_find(vm->hypervisor, &s->qemu);
	if (r < 0)
		return r;
	s->qemu_kvm = vm->monitor == VM_MONITOR_QEMU_KVM;
	s->qemu_parameters = vm->hypervisor_parameters;
	for (s->n_qemu_parameters = 0; s->qemu_parameters != NULL && s->qemu_parameters[s->n_qemu_parameters] != NULL;)
		s->n_qemu_parameters++;
	if (s->qemu_kvm)
		return 0;
	clock = qemu_tcg_command_line(a);
	s->machine.command_line = clock == NULL ? vm->command_line : arena_printf(a, "%s %s", vm->command_line, clock);
	log_debug("microVM by software emulation: %s", vm->monitor_why);
	return s->machine.command_line == NULL ? ERR_NOMEM() : 0;
}

/* Where the share is put together, in the supervisor's mount namespace: the state directory is there for sure. */
static int share_place(struct build *b)
{
	char link[32], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", b->i->c->dir);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return ERR(-errno, "cannot tell the path of the state directory");
	path[n] = '\0';
	b->start.share.dir = arena_strdup(b->i->plan->arena, path);
	return b->start.share.dir == NULL ? ERR_NOMEM() : 0;
}

static int open_console(struct build *b)
{
	const struct plan_vm *vm = &b->i->plan->vm;

	if (vm->console == NULL)
		return 0;
	if (str_eq(vm->console, "stderr"))
		b->start.console_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		b->start.console_copy = open(vm->console, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (b->start.console_copy < 0)
		return ERR(-errno, "cannot open \"%s\" for the guest's console", vm->console);
	/* A reader that stands still costs lines of the console, not the supervisor's time. */
	vm_session_reopen(&b->start.console_copy, O_WRONLY);
	return 0;
}

static int open_state_files(struct build *b)
{
	struct vm_start *s = &b->start;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int dir = b->i->c->dir;

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, VM_SOCKET);
	s->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s->listen < 0 || bind(s->listen, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s->listen, 64) < 0)
		return ERR(-errno, "cannot make the microVM's socket");
	s->socket_file = openat(dir, VM_SOCKET, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	s->oom_file = openat(dir, MICROVM_OOM_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	s->failure_file = openat(dir, MICROVM_FAILURE_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->socket_file < 0 || s->oom_file < 0 || s->failure_file < 0)
		return ERR(-errno, "cannot make the microVM's files in the state directory");
	return 0;
}

/*
 * In a pod: what nobody names in the guest has the machine's name, and the pod's namespace has the pod's. The engine's config.json has none
 * for a container that joins it.
 */
static int find_hostname(struct build *b)
{
	const struct plan *p = b->i->plan;

	for (size_t k = 0; k < p->n_ns; k++) {
		_cleanup_close_ int fd = FD_NONE;
		char name[HOST_NAME_MAX + 1];
		int r;

		if (p->ns[k].flag != CLONE_NEWUTS || p->ns[k].path == NULL)
			continue;
		r = ns_open(p->ns[k].path, CLONE_NEWUTS, &fd);
		if (r == 0)
			r = ns_hostname(fd, name, sizeof(name));
		if (r < 0)
			return r;
		b->start.hostname = arena_strdup(p->arena, name);
		return b->start.hostname == NULL ? ERR_NOMEM() : 0;
	}
	return 0;
}

static int read_config(struct build *b)
{
	int r = file_read(b->i->c->dir, STATE_CONFIG, CONFIG_MAX, &b->config, &b->start.config_len);

	if (r < 0)
		return ERR(r, "cannot read the container's config.json");
	b->start.config = b->config;
	return 0;
}

/* What confines the process is the guest's kernel, which knows no profile but those that it is given. */
static int read_apparmor(struct build *b)
{
	const struct plan *p = b->i->plan;
	const char *profile = p->has_process ? p->process.apparmor : NULL;
	int r;

	if (profile == NULL || str_eq(profile, APPARMOR_UNCONFINED))
		return 0;
	r = apparmor_policy_read(profile, &b->apparmor, &b->start.apparmor_size);
	if (r < 0)
		return ERR_HINT(ERR_CONTEXT(r, "config.json: process.apparmorProfile"),
				"Engines have an option for none, as podman's --security-opt apparmor=unconfined, "
				"a pod's securityContext.appArmorProfile.type: Unconfined.");
	b->start.apparmor = b->apparmor;
	return 0;
}

static int make_cgroup(struct build *b)
{
	struct plan *host = &b->host;
	int r;

	*host = *b->i->plan;
	host->resources = microvm_host_resources(host->arena, &b->i->plan->resources);
	host->n_device_rules = 0;
	host->delegate_cgroup = false;
	r = cgroup_settings(host->arena, &host->resources, &host->settings, &host->n_settings);
	if (r == 0)
		r = container_make_cgroup(b->i, host, &b->cgroup_dir);
	return r < 0 ? r : container_make_resctrl(b->i, b->i->plan);
}

static int prepare(struct build *b)
{
	int r = open_network(b);

	b->start.plan = b->i->plan;
	if (r == 0)
		r = find_hostname(b);
	if (r == 0)
		r = virtiofsd_find(b->i->plan->vm.virtiofsd, &b->start.file_server);
	if (r == 0)
		r = choose_monitor(b);
	if (r == 0)
		r = open_image(b);
	if (r == 0)
		r = open_kernel(b);
	if (r == 0)
		r = open_trees(b);
	if (r == 0)
		r = share_place(b);
	if (r == 0)
		r = open_console(b);
	if (r == 0)
		r = open_state_files(b);
	if (r == 0)
		r = read_config(b);
	if (r == 0)
		r = read_apparmor(b);
	return r < 0 ? r : make_cgroup(b);
}

/* ---- its birth, and what it asks for ---- */

static int spawn(struct build *b, const struct launch *l)
{
	struct instance *i = b->i;
	struct vm_start *s = &b->start;
	int pair[2], r = sync_pair(pair);

	if (r < 0)
		return r;
	i->sync = pair[0];
	s->sync = pair[1];
	s->state = &i->c->state;
	s->ns = &b->ns;
	s->console = l->console;
	s->waiting = i->waiting;
	/* Nobody but an engine that is root in there can bring an interface into a namespace of ours before it calls start. */
	if (l->waits_for_start && (b->ns.create & CLONE_NEWNET) != 0 && geteuid() == 0)
		s->spare_nets = SPARE_NETS;
	r = ns_spawn(&b->ns, i->cgroup, vm_supervisor_main, s, &i->pid, &i->pidfd);
	fd_close(&s->sync);
	if (r < 0)
		return r;
	i->c->state.pid = i->pid;
	i->c->state.pid_seen = clock_boot_ticks();
	return container_join_resctrl(i, i->pid);
}

/* Of the signals that end a program which does nothing about them, those that our caller has not ignored for us (nohup). */
static int open_interrupts(int *ret_fd)
{
	static const int fatal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	for (size_t k = 0; k < ARRAY_SIZE(fatal); k++)
		if (sigaction(fatal[k], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, fatal[k]);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? ERR(-errno, "cannot make a signalfd") : 0;
}

int microvm_wait(const struct instance *i, int fd, const char *what)
{
	_cleanup_close_ int interrupts = FD_NONE;
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };
	int r = i->signals_held ? open_interrupts(&interrupts) : 0;

	if (r < 0)
		return r;
	p[1].fd = interrupts;
	do
		r = poll(p, ARRAY_SIZE(p), -1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return ERR(-errno, "cannot wait for the microVM");
	return p[0].revents == 0 ? ERR_PLAIN(-EINTR, "interrupted by a signal while the microVM was %s", what) : 0;
}

static int serve(const struct build *b)
{
	struct instance *i = b->i;

	for (;;) {
		struct sync_msg m;
		int r = microvm_wait(i, i->sync, "made");

		if (r == 0)
			r = sync_recv(i->sync, &m);
		if (r == 0 && m.stage == SYNC_READY)
			return 0;
		if (r == 0)
			r = container_answer(i, m.stage, &i->plan->vm.ids, &b->ns);
		if (r < 0)
			return r;
	}
}

struct work {
	int (*fn)(void *arg);
	void *arg;
	int sync;
};

static int work_main(void *arg)
{
	const struct work *w = arg;
	int r = w->fn(w->arg);

	if (r < 0)
		sync_send_error(w->sync, r);
	return r < 0 ? 1 : 0;
}

int microvm_in_child(int (*fn)(void *arg), void *arg, const char *what)
{
	const struct ns_req none = { 0 };
	_cleanup_close_ int pidfd = FD_NONE, ours = FD_NONE;
	struct work w = { .fn = fn, .arg = arg };
	struct sync_msg m;
	int pair[2], status, r = sync_pair(pair);
	pid_t pid;

	if (r < 0)
		return r;
	ours = pair[0];
	w.sync = pair[1];
	r = ns_spawn(&none, FD_NONE, work_main, &w, &pid, &pidfd);
	close(pair[1]);
	if (r < 0)
		return r;
	/* When it went well it says nothing. */
	r = sync_recv(ours, &m);
	return proc_wait(pidfd, -1, &status) < 0 || (r == 0 && status != 0) ? ERR_PLAIN(-EIO, "cannot %s", what) : r;
}

struct seal {
	int server;
	bool user_ns;
};

static int seal(void *arg)
{
	const struct seal *s = arg;

	return share_enter_and_seal(s->server, s->user_ns);
}

/* root.readonly: the mount points are made by now, and from here on the guest cannot write, root or not. */
static int seal_rootfs(struct instance *i)
{
	_cleanup_close_ int server = FD_NONE;
	int r = fd_receive(i->sync, &server);

	if (r < 0)
		return ERR(r, "the microVM's supervisor does not name its file server");
	return microvm_in_child(seal, &(struct seal){ server, i->plan->vm.user_ns }, "make the root file system read-only");
}

int microvm_create(struct instance *i, const struct launch *l)
{
	_cleanup_build_ struct build b = {
		.i = i,
		.disk = { .image = FD_NONE },
		.start = {
			.share = { .rootfs = FD_NONE },
			.machine = { .kernel = FD_NONE, .initrd = FD_NONE, .channel = FD_NONE, .fs = FD_NONE, .console = FD_NONE },
			.sync = FD_NONE,
			.console_copy = FD_NONE,
			.listen = FD_NONE,
			.socket_file = FD_NONE,
			.oom_file = FD_NONE,
			.failure_file = FD_NONE,
		},
	};
	int r = microvm_check(i->plan);

	if (r == 0)
		r = prepare(&b);
	if (r == 0)
		r = spawn(&b, l);
	if (r == 0)
		r = serve(&b);
	if (r == 0 && b.start.seal_rootfs)
		r = seal_rootfs(i);
	if (r == 0 && i->plan->has_process && i->plan->process.has_oom_score_adj)
		r = process_oom_score(i->pid, i->plan->process.oom_score_adj);
	/* On failure it stays, as for a container: destroy ends it. */
	if (r == 0)
		r = container_release_holder(i, &b.host);
	return r;
}
