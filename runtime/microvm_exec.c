/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec of the microVM back end: by a proxy, a child of the command's whose pid stands for the process in the guest: it gets the
 * signals meant for it, has its terminal as controlling terminal, and ends as it ends. The bytes do not pass
 * through it; the supervisor gets the descriptors. When it is killed, its connection closes, and the supervisor
 * has the guest end the process.
 */
#include "runtime/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "microvm/channel.h"
#include "namespaces/devices.h"
#include "namespaces/ns.h"
#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"
#include "runtime/microvm_parts.h"
#include "runtime/process_json.h"
#include "runtime/vm_control.h"
#include "runtime/vm_process.h"
#include "runtime/vm_terminal.h"

struct proxy {
	const struct process_req *process;
	const char *cgroup;	/* NULL: the container's own */
	int sync;		/* to the command */
	int sock;		/* to the supervisor */
	int payload;		/* the process object */
	int console;		/* socket that gets the terminal's master, FD_NONE */
	int signals;
	int pts;		/* FD_NONE without a terminal */
};

static int process_payload(const struct process_req *p, int *ret_fd)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	process_json_write(w, p);
	text = json_writer_take(w, &len);
	return text == NULL ? ERR_NOMEM() : vm_payload(text, len, ret_fd);
}

static int32_t window_size(const struct proxy *x)
{
	struct winsize ws = { 0 };

	if (x->pts < 0 || ioctl(x->pts, TIOCGWINSZ, &ws) < 0)
		return 0;
	return (int32_t)((uint32_t)ws.ws_row << 16 | ws.ws_col);
}

/* The supervisor gets descriptors that do not block where that can be had: it is in a jail without /proc. */
static int send_exec(struct proxy *x)
{
	struct vm_message h = { .type = VM_EXEC };
	struct vm_stdio s = VM_STDIO_NULL;
	int fds[VM_FDS_MAX], r;

	r = x->process->terminal ? vm_terminal_open(x->process, x->console, &x->pts, &s) : vm_stdio_of_caller(&s);
	if (r == 0) {
		h.value = window_size(x);
		/* Whether a paused one is a reason to refuse was decided on the host. */
		h.flag = CHANNEL_EXEC_IGNORE_PAUSED;
		h.len = x->cgroup != NULL ? (uint32_t)strlen(x->cgroup) : 0;
		fds[0] = x->payload;
		fds[1] = s.in;
		fds[2] = s.out;
		fds[3] = s.err;
		r = vm_call_with(x->sock, &h, &(struct vm_extra){ x->cgroup, fds, x->process->terminal ? 3 : 4 }, NULL, NULL);
	}
	vm_stdio_close(&s);
	return r;
}

static int open_signals(struct proxy *x)
{
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
		return ERR(-errno, "cannot block signals");
	x->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return x->signals < 0 ? ERR(-errno, "cannot make a signalfd") : 0;
}

static void forward_signals(const struct proxy *x)
{
	struct signalfd_siginfo info;

	while (read(x->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		struct vm_message h = { .type = VM_SIGNAL, .value = (int32_t)info.ssi_signo };

		if (info.ssi_signo == SIGPIPE || info.ssi_signo == SIGCHLD)
			continue;
		if (info.ssi_signo == SIGWINCH && x->pts >= 0) {
			h.type = VM_RESIZE;
			h.value = window_size(x);
		}
		(void)vm_message_send(x->sock, &h, NULL, NULL, 0, 0);
	}
}

/* Until the process has ended. The status of wait(2), or -errno. */
static int wait_end(const struct proxy *x, int *ret_status)
{
	_cleanup_free_ char *text = malloc(VM_TEXT_MAX + 1);

	if (text == NULL)
		return -ENOMEM;
	for (;;) {
		struct pollfd p[] = { { .fd = x->sock, .events = POLLIN }, { .fd = x->signals, .events = POLLIN } };
		int fds[VM_FDS_MAX], r;
		struct vm_message m;

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents != 0)
			forward_signals(x);
		if (p[0].revents == 0)
			continue;
		r = vm_message_receive(x->sock, &m, text, fds, MSG_DONTWAIT);
		if (r < 0 && r != -EAGAIN)
			return r;
		if (r == 0 && m.type == VM_EXITED) {
			*ret_status = m.value;
			return 0;
		}
	}
}

static int proxy_steps(struct proxy *x)
{
	int r = open_signals(x);

	/* Signals of our caller's terminal are the caller's to forward. */
	if (r == 0 && setsid() < 0 && errno != EPERM)
		r = ERR(-errno, "cannot make a session");
	if (r == 0)
		r = send_exec(x);
	if (r == 0 && sync_send(x->sync, SYNC_READY) < 0)
		r = -EPIPE;
	if (r == 0)
		r = sync_expect(x->sync, SYNC_START, "the command");
	return r < 0 ? r : vm_call(x->sock, VM_EXEC_START, 0, 0, NULL, NULL);
}

static int proxy_main(void *arg)
{
	struct proxy *x = arg;
	int keep[] = { x->sync, x->sock, x->payload, x->console }, status = 0, r;

	log_close();
	r = fd_close_except(keep, ARRAY_SIZE(keep));
	if (r == 0)
		r = proxy_steps(x);
	fd_close(&x->payload);
	fd_close(&x->console);
	if (r < 0) {
		sync_send_error(x->sync, r);
		return 1;
	}
	/* End of file: it runs. */
	fd_close(&x->sync);
	vm_stdio_forget();
	r = wait_end(x, &status);
	/* The machine is gone, and with it the process. */
	return vm_end_as(r < 0 ? SIGKILL : status);
}

static int serve(struct proxy *x, int sync, pid_t *ret_pid, int *ret_pidfd)
{
	const struct ns_req none = { 0 };
	int r = ns_spawn(&none, FD_NONE, proxy_main, x, ret_pid, ret_pidfd);

	fd_close(&x->sync);
	return r < 0 ? r : sync_expect(sync, SYNC_READY, "the new process");
}

int microvm_exec(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync)
{
	struct proxy x = { .process = l->process, .cgroup = l->cgroup, .sync = FD_NONE, .sock = FD_NONE, .payload = FD_NONE,
			   .console = l->console, .signals = FD_NONE, .pts = FD_NONE };
	int pair[2] = { FD_NONE, FD_NONE }, r;

	*ret_pid = 0;
	*ret_pidfd = FD_NONE;
	r = process_payload(l->process, &x.payload);
	if (r == 0)
		r = vm_connect(i->c->dir, i->c->id, &x.sock);
	if (r == 0)
		r = sync_pair(pair);
	x.sync = pair[1];
	if (r == 0)
		r = serve(&x, pair[0], ret_pid, ret_pidfd);
	*ret_sync = r == 0 ? take_fd(&pair[0]) : FD_NONE;
	fd_close(&pair[0]);
	fd_close(&x.sync);
	fd_close(&x.sock);
	fd_close(&x.payload);
	return r;
}

int microvm_exec_start(struct instance *i, int sync, pid_t pid)
{
	struct sync_msg m;
	int r;

	(void)i;
	(void)pid;
	if (sync_send(sync, SYNC_START) < 0)
		return ERR_PLAIN(-EPIPE, "the new process ended unexpectedly");
	r = sync_recv(sync, &m);
	if (r < 0)
		return r;
	return m.stage == SYNC_EOF ? 0 : ERR_PLAIN(-EPROTO, "unexpected message from the container's process");
}
