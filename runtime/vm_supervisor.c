/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_supervisor.h. */
#include "runtime/vm_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "namespaces/devices.h"
#include "namespaces/userns.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/hooks.h"
#include "runtime/vm_jail.h"
#include "runtime/vm_monitor.h"
#include "runtime/vm_parts.h"
#include "runtime/vm_terminal.h"
#include "runtime/vm_trees.h"

/* As the waiting init of a container: is the state directory still there? */
#define LINK_CHECK_MS 1000
/* A kernel that panics resets the machine, but for one that hangs on the way there. */
#define PANIC_MS 5000
/* An error is one line. */
#define TAIL_MAX 400
/* When the monitor ends, the file server does, too; the first says why. */
#define MONITOR_END_MS 1000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void vm_fail(struct vm_supervisor *vm, int code)
{
	if (vm->failure == 0)
		vm->failure = code;
	vm->over = true;
}

void vm_stage(struct vm_supervisor *vm, enum vm_stage stage)
{
	vm->stage = stage;
	if (stage <= VM_STAGE_CREATE)
		vm_deadline_begin(&vm->deadline, now_ns(), vm_processor_time(vm->monitor.pid));
	else
		vm->deadline.at_ns = 0;
	if (stage == VM_STAGE_ENDED)
		vm->panic_ns = 0;
}

void vm_started(struct vm_supervisor *vm)
{
	if (vm->stage == VM_STAGE_STARTING)
		vm_stage(vm, VM_STAGE_RUNNING);
	vm->committed = true;
	/* From here on the container is not "created" any more. */
	close(vm->start->waiting);
	vm_session_open_input(&vm->init);
}

/* ---- what is watched ---- */

static int add_source(struct vm_supervisor *vm, struct event_source *s, int fd, void (*ready)(void *data, uint32_t events))
{
	int r;

	*s = (struct event_source){ .fd = fd, .events = EPOLLIN, .ready = ready, .data = vm };
	r = event_loop_add(&vm->loop, s);
	return r < 0 ? ERR(r, "cannot watch a file descriptor") : 0;
}

/* The creator spoke. It goes before COMMIT or START: then nobody would ever start or delete what is here. */
static void sync_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;
	struct sync_msg m;
	int r = sync_recv(vm->sync, &m);

	(void)events;
	if (r == 0 && m.stage == SYNC_COMMIT) {
		vm->committed = true;
		return;
	}
	event_loop_remove(&vm->loop, &vm->sync_source);
	fd_close(&vm->sync);
	if (!vm->committed)
		vm_fail(vm, -EPIPE);
}

static const char *stage_text(enum vm_stage s)
{
	static const char *const text[] = {
		[VM_STAGE_BOOT] = "while its kernel started",
		[VM_STAGE_CONFIGURE] = "while it was told what to do",
		[VM_STAGE_CREATE] = "while the container was made in it",
		[VM_STAGE_CREATED] = "before the container was started",
		[VM_STAGE_STARTING] = "while the container was started",
		[VM_STAGE_RUNNING] = "while the container ran",
		[VM_STAGE_ENDED] = "after the container's process",
	};

	return text[s];
}

static void child_ended(struct vm_supervisor *vm, struct vm_process *p, struct event_source *source)
{
	char how[128];

	event_loop_remove(&vm->loop, source);
	vm_process_reap(p, how, sizeof(how));
	if (vm->stage == VM_STAGE_ENDED || vm->over)
		return;
	if (str_eq(how, ""))
		snprintf(how, sizeof(how), "the guest was reset or switched itself off");
	/* What it said last may tell why; and what the guest said in its last moment counts, too. */
	vm_guest_drain(vm);
	vm_console_drain(&vm->console);
	if (vm->stage != VM_STAGE_ENDED)
		vm_fail(vm, ERR_PLAIN(-EIO, "the microVM ended %s: %s", stage_text(vm->stage), how));
}

static void monitor_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;

	(void)events;
	child_ended(vm, &vm->monitor, &vm->monitor_source);
}

static void file_server_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;

	struct pollfd p = { .fd = vm->monitor.pidfd, .events = POLLIN };

	(void)events;
	if (vm->monitor.pid != 0 && poll(&p, 1, MONITOR_END_MS) == 1)
		child_ended(vm, &vm->monitor, &vm->monitor_source);
	child_ended(vm, &vm->file_server, &vm->file_server_source);
}

void vm_forward_size(struct vm_supervisor *vm)
{
	unsigned char payload[CHANNEL_RESIZE_SIZE];
	struct winsize ws;

	if (vm->pts < 0 || ioctl(vm->pts, TIOCGWINSZ, &ws) < 0 || (ws.ws_row == 0 && ws.ws_col == 0))
		return;
	channel_put_resize(payload, &(struct channel_resize){ ws.ws_row, ws.ws_col });
	(void)vm_guest_send(vm, CHANNEL_RESIZE, VM_SESSION_INIT, 0, payload, sizeof(payload));
}

static void forward_signal(struct vm_supervisor *vm, uint32_t number)
{
	unsigned char payload[CHANNEL_SIGNAL_SIZE];

	/* Before the start there is nobody to get it; the sender means the container. */
	if (vm->stage < VM_STAGE_CREATED) {
		vm_fail(vm, ERR_PLAIN(-EINTR, "interrupted by signal %u", number));
		return;
	}
	channel_put_signal(payload, &(struct channel_signal){ .signal = number });
	(void)vm_guest_send(vm, CHANNEL_SIGNAL, VM_SESSION_INIT, vm_guest_serial(vm), payload, sizeof(payload));
}

static void signals_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;
	struct signalfd_siginfo info;

	(void)events;
	while (read(vm->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH && vm->pts >= 0)
			vm_forward_size(vm);
		else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE)
			forward_signal(vm, info.ssi_signo);
	}
	vm_guest_flush(vm);
}

static int open_signals(struct vm_supervisor *vm)
{
	/* These mean a fault of ours, not a wish of the sender's. */
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&all, faults[i]);
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
		return ERR(-errno, "cannot block signals");
	vm->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (vm->signals < 0)
		return ERR(-errno, "cannot make a signalfd");
	return add_source(vm, &vm->signals_source, vm->signals, signals_ready);
}

/* ---- before the guest runs ---- */

static int prepare_streams(struct vm_supervisor *vm)
{
	struct vm_stdio stdio = VM_STDIO_NULL;
	const struct plan *p = vm->start->plan;
	int r;

	/* Signals of the caller's terminal are the caller's to forward. */
	if (setsid() < 0 && errno != EPERM)
		return ERR(-errno, "cannot make a session");
	if (p->has_process && p->process.terminal)
		r = vm_terminal_open(&p->process, vm->start->console, &vm->pts, &stdio);
	else
		r = vm_stdio_of_caller(&stdio);
	vm_session_init(&vm->init, VM_SESSION_INIT, &vm->channel, &vm->loop,
			&(struct vm_session_fds){ stdio.in, stdio.out, stdio.err, .terminal = vm->pts >= 0 });
	vm_stdio_forget();
	return r;
}

/* They come into this network namespace, and from here into the guest with what engines have put here. */
static int get_devices(struct vm_supervisor *vm)
{
	int r;

	if (vm->start->plan->n_net_devices == 0)
		return 0;
	r = sync_send(vm->sync, SYNC_NEED_DEVICES);
	return r < 0 ? ERR(r, "cannot ask for the network devices") : sync_expect(vm->sync, SYNC_DEVICES_DONE, "the runtime");
}

/* In the container's namespaces of the host. An image's file system is the guest's to mount. */
static int create_container_hooks(const struct vm_start *s)
{
	_cleanup_close_ int root = s->plan->rootfs != NULL ? open(s->plan->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC) : FD_NONE;

	return hooks_run_in_root(&s->plan->hooks[HOOK_CREATE_CONTAINER], s->state, getpid(), root);
}

static int run_hooks(struct vm_supervisor *vm)
{
	const struct vm_start *s = vm->start;
	int r = 0;

	if (s->plan->hooks[HOOK_PRESTART].n > 0 || s->plan->hooks[HOOK_CREATE_RUNTIME].n > 0) {
		r = sync_send(vm->sync, SYNC_NEED_HOOKS);
		if (r < 0)
			return ERR(r, "cannot ask for the hooks");
		r = sync_expect(vm->sync, SYNC_HOOKS_DONE, "the runtime");
	}
	if (r == 0 && s->plan->hooks[HOOK_CREATE_CONTAINER].n > 0)
		r = create_container_hooks(s);
	return r;
}

static int start_children(struct vm_supervisor *vm)
{
	struct vm_monitor_ends m = { .file_server = &vm->file_server, .process = &vm->monitor, .channel = FD_NONE, .control = FD_NONE };
	_cleanup_close_ int output = FD_NONE, channel = FD_NONE;
	int r = vm_console_init(&vm->console, &vm->loop, vm->start->console_copy, &output);

	vm->console.to_log = vm->start->plan->vm.console_to_log;
	if (r == 0)
		r = vm_monitor_start(vm->start, &vm->network, output, &m);
	channel = m.channel;
	vm->control = m.control;
	if (r == 0)
		r = vm_memory_open(vm);
	if (r == 0)
		r = add_source(vm, &vm->file_server_source, vm->file_server.pidfd, file_server_ready);
	if (r == 0)
		r = add_source(vm, &vm->monitor_source, vm->monitor.pidfd, monitor_ready);
	return r < 0 ? r : vm_guest_open(vm, take_fd(&channel));
}

static int enter_jail(const struct vm_supervisor *vm)
{
	static const char *const names[] = {
		"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "fstat", "newfstatat", "ftruncate", "lseek", "fcntl", "recvmsg",
		"sendmsg", "recvfrom", "sendto", "accept4", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll",
		"mmap", "munmap", "mremap", "mprotect", "brk", "madvise", "clock_gettime", "clock_getres", "restart_syscall", "rt_sigaction",
		"rt_sigprocmask", "rt_sigreturn", "wait4", "waitid", "getpid", "gettid", "exit", "exit_group", "getrandom", "futex", "uname",
	};
	const struct vm_jail_call narrow[] = {
		{ "ioctl", 1, TIOCGWINSZ },
		/* Its children, and itself by raise(3). */
		{ "kill", 0, (uint64_t)vm->monitor.pid },
		{ "kill", 0, (uint64_t)vm->file_server.pid },
		{ "tgkill", 0, (uint64_t)getpid() },
		/* vm_end_as() */
		{ "prlimit64", 1, RLIMIT_CORE },
	};
	const struct vm_jail_calls calls = { .names = names, .n_names = ARRAY_SIZE(names), .narrow = narrow,
					     .n_narrow = ARRAY_SIZE(narrow) };
	int r = vm_jail_root(vm->start->share.dir);

	if (r == 0)
		r = vm_jail_privileges();
	return r < 0 ? r : vm_jail_filter(&calls);
}

/* The copy of the runtime's descriptors goes but for what was prepared for us; the lock of the container is among it. */
static int close_runtimes_fds(const struct vm_start *s)
{
	const int own[] = { s->sync, s->console, s->console_copy, s->waiting, s->listen, s->socket_file, s->oom_file, s->failure_file,
			    s->plan->vm.console_to_log ? log_keep() : FD_NONE, s->machine.kernel, s->machine.initrd, s->share.rootfs, s->ns->n_join > 0 ? s->ns->join[0].fd : FD_NONE };
	size_t n = ARRAY_SIZE(own), n_all = n + s->share.n_entries + s->machine.n_disks;
	int *keep = calloc(n_all, sizeof(*keep)), r;

	if (keep == NULL)
		return ERR_NOMEM();
	memcpy(keep, own, sizeof(own));
	for (size_t k = 0; k < s->share.n_entries; k++)
		keep[n++] = s->share.entries[k].tree;
	for (size_t k = 0; k < s->machine.n_disks; k++)
		keep[n++] = s->machine.disks[k].image;
	if (!s->plan->vm.console_to_log)
		log_close();
	r = fd_close_except(keep, n_all);
	free(keep);
	return r < 0 ? ERR(r, "cannot close the runtime's file descriptors") : 0;
}

/* What is the children's now. */
static void close_built(const struct vm_start *s)
{
	close(s->machine.kernel);
	close(s->machine.initrd);
	close(s->share.rootfs);
	for (size_t k = 0; k < s->share.n_entries; k++)
		close(s->share.entries[k].tree);
	for (size_t k = 0; k < s->machine.n_disks; k++)
		close(s->machine.disks[k].image);
}

/* As a container's first process does it. */
static int become_root(struct vm_start *s)
{
	int r;

	if (!s->plan->vm.user_ns)
		return 0;
	r = sync_send(s->sync, SYNC_NEED_MAPS);
	if (r < 0)
		return ERR(r, "cannot ask for the id maps");
	r = sync_expect(s->sync, SYNC_MAPS_DONE, "the runtime");
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = ERR(-errno, "cannot make ourselves undumpable");
	if (r == 0)
		r = userns_become_root();
	return r < 0 ? r : vm_trees_open(s);
}

static int prepare(struct vm_supervisor *vm, struct vm_start *s)
{
	int r = close_runtimes_fds(s);

	if (r == 0)
		r = event_loop_init(&vm->loop);
	if (r == 0)
		r = become_root(s);
	if (r == 0)
		r = ns_enter(s->ns);
	/* As long as it is open, nobody can unmount the file that holds the namespace. */
	for (size_t k = 0; k < s->ns->n_join; k++)
		close(s->ns->join[k].fd);
	if (r == 0)
		r = get_devices(vm);
	if (r == 0)
		r = share_build(&s->share);
	if (r == 0)
		r = run_hooks(vm);
	if (r == 0)
		r = share_take_rootfs(&s->share);
	if (r == 0)
		r = open_signals(vm);
	if (r == 0)
		r = prepare_streams(vm);
	if (r == 0)
		r = vm_network_open(&vm->network, s->spare_nets);
	if (r == 0)
		r = start_children(vm);
	/* The monitor has the taps; as long as one copy of them is open they would outlive it. */
	vm_network_close(&vm->network);
	close_built(s);
	if (r == 0)
		r = vm_server_open(vm);
	if (r == 0)
		r = add_source(vm, &vm->sync_source, vm->sync, sync_ready);
	return r < 0 ? r : enter_jail(vm);
}

/* ---- while it runs ---- */

static bool state_gone(const struct vm_supervisor *vm)
{
	struct stat st;

	return fstat(vm->start->socket_file, &st) < 0 || st.st_nlink == 0;
}

static int next_timeout(const struct vm_supervisor *vm)
{
	uint64_t now = now_ns(), next = vm->panic_ns != 0 ? vm->panic_ns : vm->deadline.at_ns;

	if (next != 0)
		return next <= now ? 0 : (int)((next - now) / 1000000U) + 1;
	return vm->stage == VM_STAGE_CREATED ? LINK_CHECK_MS : -1;
}

static void check_panic(struct vm_supervisor *vm)
{
	if (vm->stage == VM_STAGE_ENDED)
		return;
	if (vm->console.panicked && vm->panic_ns == 0)
		vm->panic_ns = now_ns() + PANIC_MS * UINT64_C(1000000);
	else if (vm->panic_ns != 0 && now_ns() >= vm->panic_ns)
		vm_fail(vm, ERR_PLAIN(-EIO, "the microVM ended %s: its kernel gave up", stage_text(vm->stage)));
}

static void check_deadline(struct vm_supervisor *vm)
{
	uint64_t now = now_ns();

	if (vm->deadline.at_ns == 0 || now < vm->deadline.at_ns ||
	    !vm_deadline_over(&vm->deadline, now, vm_processor_time(vm->monitor.pid)))
		return;
	vm_console_drain(&vm->console);
	vm_fail(vm, ERR_PLAIN(-ETIMEDOUT, "the microVM did not answer in time %s", stage_text(vm->stage)));
}

static void check_time(struct vm_supervisor *vm)
{
	check_panic(vm);
	if (!vm->over)
		check_deadline(vm);
	if (vm->stage == VM_STAGE_CREATED && vm->committed && state_gone(vm))
		vm_fail(vm, -ENOENT);
}

static void loop(struct vm_supervisor *vm)
{
	while (!vm->over) {
		int r = event_loop_run(&vm->loop, next_timeout(vm));

		if (r < 0)
			vm_fail(vm, ERR(r, "cannot wait for events"));
		check_time(vm);
		vm_session_update(&vm->init);
		vm_server_update(vm);
		vm_guest_flush(vm);
		if (vm->stage == VM_STAGE_ENDED && vm_session_drained(&vm->init))
			vm->over = true;
	}
}

/* ---- the end ---- */

static void add_tail(struct vm_supervisor *vm)
{
	char text[ERR_TEXT_MAX], tail[TAIL_MAX];

	vm_console_tail(&vm->console, tail, sizeof(tail));
	if (tail[0] == '\0')
		return;
	memcpy(text, err_text(), strlen(err_text()) + 1);
	ERR_PLAIN(vm->failure, "%s; its console said: %s", text, tail);
}

static void tell_failure(struct vm_supervisor *vm)
{
	if (vm->monitor.what != NULL && err_text()[0] != '\0' && !vm->refused)
		add_tail(vm);
	if (vm->stage >= VM_STAGE_CREATED && vm->start->failure_file >= 0)
		(void)!pwrite(vm->start->failure_file, err_text(), strlen(err_text()), 0);
	if (vm->sync >= 0)
		sync_send_error(vm->sync, vm->failure);
}

int vm_supervisor_main(void *arg)
{
	struct vm_start *start = arg;
	struct vm_supervisor *vm = calloc(1, sizeof(*vm));
	int r;

	if (vm == NULL)
		return 1;
	*vm = (struct vm_supervisor){ .start = start, .sync = start->sync, .channel = CHANNEL_NULL(CHANNEL_HOST), .channel_fd = FD_NONE, .control = FD_NONE, .signals = FD_NONE, .pts = FD_NONE,
				      .next_session = VM_SESSION_FIRST, .console = { .from = FD_NONE, .copy = FD_NONE } };
	r = prepare(vm, start);
	vm_stage(vm, VM_STAGE_BOOT);
	if (r == 0)
		loop(vm);
	else
		vm->failure = r;
	if (vm->failure < 0)
		tell_failure(vm);
	vm_process_end(&vm->monitor);
	vm_process_end(&vm->file_server);
	if (vm->failure < 0)
		return vm->stage >= VM_STAGE_RUNNING ? 255 : 1;
	return vm_end_as(vm->init_status);
}
