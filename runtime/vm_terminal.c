/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_terminal.h. */
#include "runtime/vm_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "namespaces/devices.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/sync.h"
#include "runtime/vm_session.h"

void vm_stdio_close(struct vm_stdio *s)
{
	fd_close(&s->in);
	fd_close(&s->out);
	fd_close(&s->err);
}

int vm_stdio_of_caller(struct vm_stdio *ret)
{
	ret->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	ret->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	ret->err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (ret->in < 0 || ret->out < 0 || ret->err < 0)
		return ERR(-errno, "cannot take over standard input and output");
	vm_session_reopen(&ret->out, O_WRONLY);
	vm_session_reopen(&ret->err, O_WRONLY);
	return 0;
}

void vm_stdio_forget(void)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		(void)dup2(null, fd);
}

static int set_raw(int pts)
{
	struct termios t;

	if (tcgetattr(pts, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(pts, TCSANOW, &t) < 0 ? -errno : 0;
}

int vm_terminal_open(const struct process_req *p, int console, int *ret_pts, struct vm_stdio *ret)
{
	_cleanup_close_ int ptm = FD_NONE, root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 ? ERR(-errno, "cannot open \"/\"") : console_open(root, &ptm, ret_pts);

	if (r < 0)
		return r;
	r = set_raw(*ret_pts);
	if (r == 0 && ioctl(*ret_pts, TIOCSCTTY, 0) < 0)
		r = -errno;
	if (r < 0)
		return ERR(r, "cannot prepare the terminal");
	if (p->has_console_size)
		r = console_resize(ptm, p->console_height, p->console_width);
	if (r < 0)
		return r;
	r = fd_send(console, ptm, "ptm");
	if (r < 0)
		return ERR(r, "cannot send the terminal to the console socket");
	ret->in = fcntl(*ret_pts, F_DUPFD_CLOEXEC, 3);
	ret->out = fcntl(*ret_pts, F_DUPFD_CLOEXEC, 3);
	if (ret->in < 0 || ret->out < 0)
		return ERR(-errno, "cannot prepare the terminal");
	vm_session_reopen(&ret->in, O_RDONLY);
	vm_session_reopen(&ret->out, O_WRONLY);
	return 0;
}
