/* SPDX-License-Identifier: Apache-2.0 */
/* TCP: over the loopback, and with a server outside. See workload.h. */
#include "microvm/guest/workload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/compare.h"

#define READ_SIZE ((size_t)256 << 10)
#define STREAM_PIECE ((size_t)65536)

/* What a client asks the server for, in its first byte. */
#define WANT_ECHO 'e'
#define WANT_STREAM 's'

static void no_delay(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- the other end ---- */

static void tcp_echo(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1 && send(fd, &c, 1, MSG_NOSIGNAL) == 1) {
	}
	_exit(0);
}

static void tcp_source(int fd)
{
	char *block = calloc(1, STREAM_PIECE);

	while (block != NULL && send(fd, block, STREAM_PIECE, MSG_NOSIGNAL) > 0) {
	}
	_exit(0);
}

static void serve_one(int fd)
{
	char want;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	no_delay(fd);
	if (read(fd, &want, 1) == 1 && want == WANT_STREAM)
		tcp_source(fd);
	tcp_echo(fd);
}

/* A guest may vanish without a word, so that its connection is never closed: each has a process, and they end with this one. */
int workload_serve(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(COMPARE_NET_PORT) };
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sigaction reaped = { .sa_handler = SIG_IGN };
	pid_t parent = getppid();

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigaction(SIGCHLD, &reaped, NULL);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0) {
		perror(COMPARE_WORKLOAD ": cannot listen");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (getppid() == parent) {
		_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0 && fork() == 0)
			serve_one(fd);
	}
	return 0;
}

/* ---- connections ---- */

/* Two ends of a connection over 127.0.0.1. */
static int loopback_pair(int *ret_a, int *ret_b)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	*ret_a = *ret_b = FD_NONE;
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		return ERR(-errno, "cannot listen on the loopback");
	*ret_a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_a < 0 || connect(*ret_a, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot connect over the loopback");
	*ret_b = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*ret_b < 0)
		return ERR(-errno, "cannot accept a connection");
	no_delay(*ret_a);
	no_delay(*ret_b);
	return 0;
}

/* The other end is a process of its own. */
static int loopback_peer(char want, int *ret_fd, pid_t *ret_pid)
{
	int a, b, r = loopback_pair(&a, &b);

	*ret_pid = r == 0 ? fork() : -1;
	if (r == 0 && *ret_pid < 0)
		r = ERR(-errno, "cannot fork");
	if (*ret_pid == 0) {
		fd_close(&a);
		if (want == WANT_STREAM)
			tcp_source(b);
		tcp_echo(b);
	}
	fd_close(&b);
	if (r < 0)
		fd_close(&a);
	*ret_fd = a;
	return r;
}

static int connect_to(const char *server, char want, int *ret_fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(COMPARE_NET_PORT) };

	*ret_fd = FD_NONE;
	if (inet_pton(AF_INET, server, &a.sin_addr) != 1)
		return ERR_PLAIN(-EINVAL, "\"%s\" is no IPv4 address", server);
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0 || connect(*ret_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return ERR(-errno, "cannot connect to %s", server);
	no_delay(*ret_fd);
	return send(*ret_fd, &want, 1, MSG_NOSIGNAL) == 1 ? 0 : ERR(-errno, "cannot ask %s", server);
}

/* ---- measuring ---- */

/* Bytes to and fro: ns for both ways. */
static int round_trips(int fd, uint64_t *ret_ns)
{
	uint64_t start = clock_now_ns(), now = start, n = 0;
	char c = 'x';
	ssize_t got;

	while (now - start < WORKLOAD_SLICE) {
		got = send(fd, &c, 1, MSG_NOSIGNAL);
		if (got == 1)
			got = read(fd, &c, 1);
		/* The end of the connection leaves errno as it was. */
		if (got != 1)
			return ERR(got < 0 ? -errno : -EPIPE, "cannot exchange a byte");
		n++;
		now = clock_now_ns();
	}
	*ret_ns = (now - start) / n;
	return 0;
}

static int receive_stream(int fd, uint64_t *ret_bytes_per_second)
{
	_cleanup_free_ char *block = malloc(READ_SIZE);
	uint64_t start = clock_now_ns(), now = start, done = 0;

	if (block == NULL)
		return ERR_NOMEM();
	while (now - start < WORKLOAD_SLICE) {
		ssize_t n = read(fd, block, READ_SIZE);

		if (n <= 0)
			return ERR(n < 0 ? -errno : -EPIPE, "cannot receive");
		done += (uint64_t)n;
		now = clock_now_ns();
	}
	*ret_bytes_per_second = workload_rate(done, now - start);
	return 0;
}

static int measure(char want, int fd, uint64_t *ret)
{
	return want == WANT_STREAM ? receive_stream(fd, ret) : round_trips(fd, ret);
}

static int over_loopback(char want, uint64_t *ret)
{
	_cleanup_close_ int fd = FD_NONE;
	pid_t pid;
	int r = loopback_peer(want, &fd, &pid);

	if (r < 0)
		return r;
	r = measure(want, fd, ret);
	fd_close(&fd);
	(void)waitpid(pid, NULL, 0);
	return r;
}

static int over_network(char want, const char *server, uint64_t *ret)
{
	_cleanup_close_ int fd = FD_NONE;
	int r = connect_to(server, want, &fd);

	return r < 0 ? r : measure(want, fd, ret);
}

int workload_tcp_round_trip(uint64_t *ret_ns)
{
	return over_loopback(WANT_ECHO, ret_ns);
}

int workload_tcp_stream(uint64_t *ret_bytes_per_second)
{
	return over_loopback(WANT_STREAM, ret_bytes_per_second);
}

int workload_net_round_trip(const char *server, uint64_t *ret_ns)
{
	return over_network(WANT_ECHO, server, ret_ns);
}

int workload_net_stream(const char *server, uint64_t *ret_bytes_per_second)
{
	return over_network(WANT_STREAM, server, ret_bytes_per_second);
}
