/* SPDX-License-Identifier: Apache-2.0 */
/* See foreground.h. */
#include "runtime/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"

#define RELAY_SIZE 65536

/* One direction of the terminal: what was read and is not written yet. */
struct relay {
	int from, to;
	size_t at, len;
	bool open;
	bool broken;	/* nobody takes what is written any more */
	char data[RELAY_SIZE];
};

int foreground_prepare(struct foreground *f, bool terminal)
{
	sigset_t all;
	int pair[2];

	sigfillset(&all);
	/* These mean a fault of ours, not a wish of the user's. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
		return ERR(-errno, "cannot block signals");
	f->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f->signals < 0)
		return ERR(-errno, "cannot make a signalfd");
	if (!terminal)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR(-errno, "cannot make a socket pair");
	f->console_parent = pair[0];
	f->console_child = pair[1];
	return 0;
}

static void copy_size(const struct foreground *f)
{
	struct winsize ws;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0)
		(void)ioctl(f->ptm, TIOCSWINSZ, &ws);
}

/*
 * A terminal shows a line end as "\r\n", a file or a pipe is to have the process' own: as with runc, the translation is
 * switched off, on the container's terminal. It may switch it on again. Best effort: a terminal in a guest is not reached.
 */
static void keep_line_ends(int ptm)
{
	struct termios t;

	if (isatty(STDOUT_FILENO) || tcgetattr(ptm, &t) < 0)
		return;
	t.c_oflag &= ~(tcflag_t)ONLCR;
	(void)tcsetattr(ptm, TCSANOW, &t);
}

int foreground_take_terminal(struct foreground *f)
{
	struct termios raw;
	int r;

	if (f->console_parent < 0)
		return 0;
	r = fd_receive(f->console_parent, &f->ptm);
	fd_close(&f->console_parent);
	fd_close(&f->console_child);
	if (r < 0)
		return ERR(r, "cannot receive the container's terminal");
	if (fcntl(f->ptm, F_SETFL, O_NONBLOCK | O_RDWR) < 0)
		return ERR(-errno, "cannot prepare the container's terminal");
	keep_line_ends(f->ptm);
	if (tcgetattr(STDIN_FILENO, &f->saved) < 0)
		return 0;	/* not a terminal: relayed as it is */
	copy_size(f);
	raw = f->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return ERR(-errno, "cannot set the terminal to raw mode");
	f->raw = true;
	return 0;
}

void foreground_deinit(struct foreground *f)
{
	if (f->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &f->saved);
	f->raw = false;
	fd_close(&f->signals);
	fd_close(&f->console_parent);
	fd_close(&f->console_child);
	fd_close(&f->ptm);
	backend_watch_deinit(&f->watch);
	notify_deinit(&f->notify);
}

static void forward_signals(const struct foreground *f, int pidfd)
{
	struct signalfd_siginfo info;

	while (read(f->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;

		switch (sig) {
		case SIGCHLD:
			/* The pidfd tells of our process; adopted orphans (subreaper) are reaped when all ends. */
			break;
		case SIGWINCH:
			if (f->ptm >= 0)
				copy_size(f);
			else
				(void)proc_send_signal(pidfd, sig);
			break;
		case SIGPIPE:
		case SIGTTIN:
		case SIGTTOU:
			break;
		default:
			(void)proc_send_signal(pidfd, sig);
		}
	}
}

/* True as long as there may be more. A terminal whose other side is closed reads EIO. */
static void relay_read(struct relay *r)
{
	ssize_t n = read(r->from, r->data, sizeof(r->data));

	if (n > 0) {
		r->at = 0;
		r->len = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		r->open = false;
	}
}

static void relay_write(struct relay *r)
{
	ssize_t n = write(r->to, r->data + r->at, r->len);

	if (n > 0) {
		r->at += (size_t)n;
		r->len -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		r->len = 0;
		r->open = false;
		r->broken = true;
	}
}

static void relay_poll(const struct relay *r, struct pollfd *p)
{
	p->fd = -1;
	if (r->len > 0)
		*p = (struct pollfd){ .fd = r->to, .events = POLLOUT };
	else if (r->open)
		*p = (struct pollfd){ .fd = r->from, .events = POLLIN };
}

static void relay_step(struct relay *r, const struct pollfd *p)
{
	if (p->fd < 0 || p->revents == 0)
		return;
	if (r->len > 0)
		relay_write(r);
	else
		relay_read(r);
}

/* After the end: what the terminal still holds goes out. Stdout may be slow, not for ever. */
static void drain(struct relay *out)
{
	while (out->open || out->len > 0) {
		struct pollfd p;

		relay_poll(out, &p);
		if (poll(&p, 1, out->len > 0 ? 10000 : 0) <= 0)
			return;
		relay_step(out, &p);
	}
}

void foreground_note_oom(struct foreground *f)
{
	if (f->watch.oom.fd >= 0 && f->ops->watch_oom(&f->watch, &f->oom_seen) < 0) {
		err_clear();
		fd_close(&f->watch.oom.fd);
	}
}

/*
 * The kernel tells of a change at most every 10 ms. The limit is reached (the first change) and the process killed in
 * less, and soon after that systemd takes the counts away. So after a change they are looked at for a while.
 */
#define OOM_LOOK_MS 1
#define OOM_LOOKS 20

static int wait_loop(struct foreground *f, int pidfd, struct relay *in, struct relay *out)
{
	int looks = f->watch.oom.fd >= 0 ? OOM_LOOKS : 0, n;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = f->signals, .events = POLLIN },
			{ .fd = -1 },
			{ .fd = -1 },
			f->watch.oom,
			{ .fd = f->notify.sock, .events = POLLIN },
		};

		relay_poll(in, &p[2]);
		relay_poll(out, &p[3]);
		n = poll(p, ARRAY_SIZE(p), looks > 0 ? OOM_LOOK_MS : -1);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return ERR(-errno, "cannot wait for the container");
		}
		if (n == 0 || p[4].revents != 0 || p[0].revents != 0)
			foreground_note_oom(f);
		looks = p[4].revents != 0 ? OOM_LOOKS : looks > 0 ? looks - 1 : 0;
		/* We stay, and are the manager's main process. */
		if (p[5].revents != 0)
			notify_forward(&f->notify, 0);
		if (p[1].revents != 0)
			forward_signals(f, pidfd);
		relay_step(in, &p[2]);
		relay_step(out, &p[3]);
		/* Our terminal, or the reader of our output, is gone: the container's terminal is hung up, too. */
		if ((out->broken || (f->raw && !in->open)) && f->ptm >= 0) {
			in->open = false;
			in->len = 0;
			fd_close(&f->ptm);
		}
		if (p[0].revents != 0)
			return 0;
	}
}

int foreground_wait(struct foreground *f, int pidfd, int *ret_status)
{
	struct relay in = { .from = STDIN_FILENO, .to = f->ptm, .open = f->ptm >= 0 };
	struct relay out = { .from = f->ptm, .to = STDOUT_FILENO, .open = f->ptm >= 0 };
	int r = wait_loop(f, pidfd, &in, &out);

	if (r == 0)
		drain(&out);
	if (r == 0) {
		r = proc_wait(pidfd, -1, ret_status);
		if (r < 0)
			ERR(r, "cannot get the status of the container's process");
	}
	return r;
}
