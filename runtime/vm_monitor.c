/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_monitor.h. */
#include "runtime/vm_monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "microvm/machine.h"
#include "microvm/qemu.h"
#include "microvm/virtiofsd.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/vm_jail.h"
#include "seccomp/seccomp.h"

#define ARENA_MAX (1U << 20)

/*
 * A listening socket that has no name but one of the kernel's choice, and is gone with its descriptors; and one connected to
 * it. Only who has the first can accept the second.
 */
static int socket_to_server(int *ret_listen, int *ret_connected)
{
	_cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(a.sun_family);

	/* Autobind (unix(7)): a name in the abstract namespace. */
	if (listener < 0 || connected < 0 || bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0)
		return ERR(-errno, "cannot make a socket for the file server");
	len = sizeof(a);
	if (getsockname(listener, (struct sockaddr *)&a, &len) < 0 || connect(connected, (struct sockaddr *)&a, len) < 0)
		return ERR(-errno, "cannot connect to the file server's socket");
	*ret_listen = take_fd(&listener);
	*ret_connected = take_fd(&connected);
	return 0;
}

static int prepare_file_server(void *data)
{
	(void)data;
	return vm_jail_keep_groups();
}

static int start_file_server(struct arena *a, const struct vm_start *s, int output, struct vm_process *ret, int *ret_fs)
{
	_cleanup_close_ int listener = FD_NONE;
	struct vm_process_req q = { .what = "the file server (virtiofsd)", .id = s->state->id, .output = output, .n_keep = 1, .prepare = prepare_file_server };
	int r = socket_to_server(&listener, ret_fs);

	if (r < 0)
		return r;
	q.keep = &listener;
	r = virtiofsd_arguments(a, &s->file_server, s->share.dir, listener, &q.argv);
	return r < 0 ? r : vm_process_start(&q, ret);
}

/* ---- our own monitor, in a copy of this process ---- */

struct own_monitor {
	const struct vm_start *start;
	const struct machine_config *machine;
	struct seccomp_program vcpu_filter;
};

static struct vm_jail_calls calls_of(const struct machine_syscalls *s)
{
	return (struct vm_jail_calls){ .numbers = s->numbers, .n_numbers = s->n };
}

static int enter_jail(void *data)
{
	struct own_monitor *m = data;
	const struct vm_jail_calls loop = calls_of(&machine_syscalls_loop), vcpu = calls_of(&machine_syscalls_vcpu);
	int r = vm_jail_root(m->start->share.dir);

	if (r == 0)
		r = vm_jail_privileges();
	/* The processors' threads only load it. */
	if (r == 0)
		r = vm_jail_compile(&vcpu, &m->vcpu_filter);
	return r < 0 ? r : vm_jail_filter(&loop);
}

/* In each processor's thread, which has the loop's filter already: it needs less. */
static int enter_vcpu_jail(void *data)
{
	const struct own_monitor *m = data;

	return vm_jail_load(&m->vcpu_filter);
}

static int run_machine(void *data)
{
	struct own_monitor *m = data;
	struct machine_config c = *m->machine;
	enum machine_end end = MACHINE_FAILED;
	char reason[MACHINE_REASON_MAX] = "";
	int r;

	c.console = STDOUT_FILENO;
	c.ready = enter_jail;
	c.vcpu_ready = enter_vcpu_jail;
	c.data = m;
	r = machine_run(&c, &end, reason);
	if (r < 0 || (end != MACHINE_POWER_OFF && end != MACHINE_RESET))
		dprintf(STDERR_FILENO, "nacre: error: %s\n", r < 0 ? err_text() : reason);
	return r < 0 || (end != MACHINE_POWER_OFF && end != MACHINE_RESET) ? 1 : 0;
}

/* QEMU has a filter of its own (-sandbox), and keeps the user: it opens the kernel and the initramfs, which are root's. */
static int enter_program_jail(void *data)
{
	const struct own_monitor *m = data;
	int r = vm_jail_program_root(m->start->share.dir, m->start->qemu);

	return r < 0 ? r : vm_jail_privileges();
}

static int start_monitor(struct arena *a, const struct vm_start *s, const struct machine_config *m, int output,
			 struct vm_process *ret)
{
	struct own_monitor own = { .start = s, .machine = m };
	struct vm_process_req q = { .what = "the monitor", .id = s->state->id, .output = output, .own_pids = true };
	const struct qemu_request qemu = {
		.path = s->qemu,
		.machine = m,
		.parameters = s->qemu_parameters,
		.n_parameters = s->n_qemu_parameters,
		.kvm = s->qemu_kvm,
	};
	size_t n = 0;
	int *keep = calloc(6 + m->n_disks + m->n_nets, sizeof(*keep)), r = 0;

	if (keep == NULL)
		return ERR_NOMEM();
	keep[n++] = m->kernel;
	keep[n++] = m->initrd;
	keep[n++] = m->channel;
	keep[n++] = m->fs;
	keep[n++] = m->control;
	for (size_t i = 0; i < m->n_disks; i++)
		keep[n++] = m->disks[i].image;
	for (size_t i = 0; i < m->n_nets; i++)
		keep[n++] = m->nets[i].tap;
	q.keep = keep;
	q.n_keep = n;
	if (s->qemu != NULL) {
		q.what = "QEMU";
		q.prepare = enter_program_jail;
		q.data = &own;
		r = qemu_arguments(a, &qemu, &q.argv);
	} else {
		q.run = run_machine;
		q.data = &own;
	}
	if (r == 0)
		r = vm_process_start(&q, ret);
	free(keep);
	return r;
}

/* Our own takes packets, QEMU a stream of lines. */
static int open_control(const struct vm_start *s, int *ret_theirs, int *ret_ours)
{
	int pair[2];

	if (socketpair(AF_UNIX, (s->qemu != NULL ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return ERR(-errno, "cannot make the monitor's control socket");
	*ret_theirs = pair[0];
	*ret_ours = pair[1];
	return 0;
}

int vm_monitor_start(const struct vm_start *s, const struct vm_network *n, int output, struct vm_monitor_ends *ret)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	_cleanup_close_ int fs = FD_NONE, theirs = FD_NONE, control = FD_NONE;
	struct machine_config m = s->machine;
	int pair[2], r;

	if (a == NULL)
		return ERR_NOMEM();
	r = start_file_server(a, s, output, ret->file_server, &fs);
	if (r == 0)
		r = open_control(s, &control, &ret->control);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR(-errno, "cannot make the channel to the guest");
	ret->channel = pair[0];
	theirs = pair[1];
	m.nets = n->nets;
	m.n_nets = n->n_nets;
	m.channel = theirs;
	m.fs = fs;
	m.console = FD_NONE;
	m.control = control;
	m.stop = FD_NONE;
	return start_monitor(a, s, &m, output, ret->process);
}
