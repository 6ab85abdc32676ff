/* SPDX-License-Identifier: Apache-2.0 */
/* See seccomp_listener.h. */
#include "runtime/seccomp_listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sync.h"

#define PATH_NAME "linux.seccomp.listenerPath"

int seccomp_listener_check(const char *path)
{
	struct stat st;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return ERR_PLAIN(-ENAMETOOLONG, "config.json: " PATH_NAME ": a socket's path has at most %zu bytes",
				 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (stat(path, &st) < 0)
		return ERR(-errno, "config.json: " PATH_NAME ": cannot find \"%s\"", path);
	return S_ISSOCK(st.st_mode) ? 0 : ERR_PLAIN(-ENOTSOCK, "config.json: " PATH_NAME ": \"%s\" is no socket", path);
}

int seccomp_listener_connect(const struct state *s, int *ret_sock)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int sock = FD_NONE;
	const char *path = s->seccomp_listener;

	*ret_sock = FD_NONE;
	if (path == NULL)
		return 0;
	if (strlen(path) >= sizeof(a.sun_path))
		return ERR_PLAIN(-ENAMETOOLONG, PATH_NAME ": \"%s\" is too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path));
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, PATH_NAME ": cannot connect to \"%s\"", path);
	*ret_sock = take_fd(&sock);
	return 0;
}

/* malloc'ed; NULL: no memory. */
static char *process_state(const struct state *s, enum container_status status, pid_t pid)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	size_t len;

	if (w == NULL)
		return NULL;
	json_object_open(w);
	json_kv_string(w, "ociVersion", s->oci_version);
	json_key(w, "fds");
	json_array_open(w);
	json_string(w, "seccompFd");
	json_array_close(w);
	json_kv_int(w, "pid", pid);
	if (s->seccomp_metadata != NULL)
		json_kv_string(w, "metadata", s->seccomp_metadata);
	json_key(w, "state");
	state_write_oci(w, s, status, s->pid, 0);
	json_object_close(w);
	return json_writer_take(w, &len);
}

int seccomp_listener_send(int sock, const struct state *s, enum container_status status, pid_t pid, int fd)
{
	_cleanup_free_ char *text = process_state(s, status, pid);
	int r;

	if (text == NULL)
		return ERR_NOMEM();
	/* A blocking stream socket takes it whole; SCM_RIGHTS goes with its first byte. */
	r = fd_send(sock, fd, text);
	return r < 0 ? ERR(r, PATH_NAME ": cannot send the listener to \"%s\"", s->seccomp_listener) : 0;
}
