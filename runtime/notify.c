/* SPDX-License-Identifier: Apache-2.0 */
/* See notify.h. */
#include "runtime/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

#define VARIABLE "NOTIFY_SOCKET"
#define SOCKET_NAME "notify.sock"
#define MESSAGE_MAX 4096
#define MESSAGES_MAX 1024	/* more than a socket's queue holds (net.unix.max_dgram_qlen) */

int notify_upstream(const char **ret)
{
	const char *s = getenv(VARIABLE);
	struct sockaddr_un a;

	*ret = NULL;
	if (s == NULL || *s == '\0')
		return 0;
	if ((s[0] != '/' && s[0] != '@') || s[1] == '\0' || strlen(s) >= sizeof(a.sun_path))
		return ERR_PLAIN(-EINVAL, VARIABLE ": \"%s\" is neither the absolute path of a socket nor an abstract name", s);
	*ret = s;
	return 0;
}

/* ---- create ---- */

static int add_variable(struct plan *p)
{
	struct process_req *q = &p->process;
	const char **env = arena_array(p->arena, q->n_env + 3, sizeof(*env));	/* the variable, HOME, NULL */

	if (env == NULL)
		return ERR_NOMEM();
	memcpy(env, q->env, q->n_env * sizeof(*env));
	env[q->n_env++] = VARIABLE "=" NOTIFY_MOUNT "/" SOCKET_NAME;
	q->env = env;
	return 0;
}

/* The last of all: a tmpfs that config.json has at /run must not cover it. */
static int add_mount(struct plan *p, const char *dir)
{
	struct mount_req *v = arena_array(p->arena, p->n_mounts + 1, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	memcpy(v, p->mounts, p->n_mounts * sizeof(*v));
	v[p->n_mounts++] = (struct mount_req){
		.target = NOTIFY_MOUNT,
		.source = dir,
		.bind = true,
		/* The socket in it can be written to all the same. */
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	};
	p->mounts = v;
	return 0;
}

int notify_plan(struct plan *p, const char *dir)
{
	int r;

	if (!p->has_process)
		return 0;
	for (size_t i = 0; i < p->process.n_env; i++)
		if (str_starts(p->process.env[i], VARIABLE "="))
			return 0;
	if (!plan_has_ns(p, CLONE_NEWNS))
		return ERR_PLAIN(-EINVAL, VARIABLE " is set, but without a mount namespace (linux.namespaces) the container "
				 "cannot get a socket of its own");
	r = add_variable(p);
	if (r == 0)
		r = add_mount(p, dir);
	p->notify = r == 0;
	return r;
}

int notify_prepare(int state, const struct plan *p)
{
	if (!p->notify)
		return 0;
	/* Not by the umask of the caller: the container's users go through it. */
	if (mkdirat(state, NOTIFY_DIR, 0700) < 0 || fchmodat(state, NOTIFY_DIR, 0755, 0) < 0)
		return ERR(-errno, "cannot make the directory of the notify socket");
	return 0;
}

/* ---- start ---- */

int notify_listen(int state, struct notify *n)
{
	_cleanup_close_ int dir = FD_NONE, sock = FD_NONE;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int r = notify_upstream(&n->upstream);

	if (r < 0 || n->upstream == NULL)
		return r;
	dir = openat(state, NOTIFY_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : ERR(-errno, "cannot open the directory of the notify socket");
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return ERR(-errno, "cannot make the notify socket");
	/* What an attempt before this one left. */
	(void)unlinkat(dir, SOCKET_NAME, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, SOCKET_NAME);
	if (bind(sock, (struct sockaddr *)&a, sizeof(a)) < 0 || fchmodat(dir, SOCKET_NAME, 0666, 0) < 0)
		return ERR(-errno, "cannot bind the notify socket");
	n->sock = take_fd(&sock);
	return 0;
}

bool notify_is_ready(const char *message, size_t len)
{
	static const char want[] = "READY=1";
	const char *end = message + len;

	for (const char *line = message; line < end;) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((nl != NULL ? nl : end) - line);

		if (n == strlen(want) && memcmp(line, want, n) == 0)
			return true;
		line += n + 1;
	}
	return false;
}

static int tell_manager(const struct notify *n, pid_t main_pid)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(n->upstream);
	char text[64];
	int k;

	memcpy(a.sun_path, n->upstream, len);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	k = main_pid > 0 ? snprintf(text, sizeof(text), "READY=1\nMAINPID=%d\n", (int)main_pid) :
			   snprintf(text, sizeof(text), "READY=1\n");
	/* A path may end with its length as well as with a NUL; an abstract name only so. */
	if (sock < 0 || sendto(sock, text, (size_t)k, MSG_NOSIGNAL, (struct sockaddr *)&a,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return 0;
}

/* All that has come, since it may be the last; but a container that never stops has no hold on us. */
static bool receive_ready(const struct notify *n)
{
	char message[MESSAGE_MAX];

	for (int i = 0; i < MESSAGES_MAX; i++) {
		/* Without a control buffer: file descriptors that come with it are closed by the kernel. */
		ssize_t len = recv(n->sock, message, sizeof(message), 0);

		if (len < 0)
			return false;
		if (notify_is_ready(message, (size_t)len))
			return true;
	}
	return false;
}

void notify_forward(struct notify *n, pid_t main_pid)
{
	int r;

	if (!receive_ready(n))
		return;
	r = tell_manager(n, main_pid);
	if (r < 0)
		log_warning("cannot tell \"%s\" (" VARIABLE ") that the container is ready: %s", n->upstream, strerror(-r));
	fd_close(&n->sock);
}

int notify_wait(struct notify *n, int pidfd, pid_t main_pid)
{
	while (n->sock >= 0) {
		struct pollfd p[] = { { .fd = n->sock, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return ERR(-errno, "cannot wait for the container's READY=1");
		if (p[0].revents != 0)
			notify_forward(n, main_pid);
		else if (p[1].revents != 0)
			return 0;
	}
	return 0;
}

void notify_deinit(struct notify *n)
{
	fd_close(&n->sock);
}
