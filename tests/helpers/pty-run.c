/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pty-run [STEP...] -- COMMAND [ARG...]: runs COMMAND on a fresh terminal, does the steps in order and
 * copies all that the terminal shows to stdout. Exits as COMMAND does (128 + N for signal N), or 124
 * when it took longer than the limit, or 125 when a text did not come before the end.
 *   size=ROWSxCOLS    at the beginning: the terminal's first size; later: resize it
 *   wait=TEXT         until the terminal has shown TEXT (after the last one waited for)
 *   send=TEXT         type TEXT ("\n" and "\xHH" are understood)
 *   limit=SECONDS     default 30
 *   settings          at the end print on stderr "settings kept" or "settings changed" (termios)
 *   drop=TEXT         close the terminal (hang up) when TEXT has been shown
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/terminal.h"

static char shown[1 << 20];
static size_t n_shown, waited;

static void set_size(int fd, const char *text)
{
	struct winsize ws = { 0 };

	if (sscanf(text, "%hux%hu", &ws.ws_row, &ws.ws_col) != 2 || ioctl(fd, TIOCSWINSZ, &ws) < 0)
		die("size");
}

static void start(char **command, int slave)
{
	sigset_t none;

	setsid();
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		die("TIOCSCTTY");
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(command[0], command);
	_exit(127);
}

/* True when something was read. */
static int take(int master)
{
	ssize_t n;

	if (n_shown == sizeof(shown))
		die("too much output");
	n = read(master, shown + n_shown, sizeof(shown) - n_shown);
	if (n <= 0)
		return 0;
	if (write(STDOUT_FILENO, shown + n_shown, (size_t)n) != n)
		die("stdout");
	n_shown += (size_t)n;
	return 1;
}

static int seen(const char *text)
{
	char *at = memmem(shown + waited, n_shown - waited, text, strlen(text));

	if (at == NULL)
		return 0;
	waited = (size_t)(at - shown) + strlen(text);
	return 1;
}

/* Does one step if it can be done now. */
static int step(const char *s, int *master)
{
	if (strncmp(s, "wait=", 5) == 0)
		return seen(s + 5);
	if (strncmp(s, "send=", 5) == 0)
		type_text(*master, s + 5);
	else if (strncmp(s, "size=", 5) == 0)
		set_size(*master, s + 5);
	else if (strncmp(s, "drop=", 5) == 0) {
		if (!seen(s + 5))
			return 0;
		close(*master);
		*master = -1;
	}
	return 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int is_same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
	       a->c_cflag == b->c_cflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* Does the steps from *at on, as far as they can be done now. A dropped terminal has no other holder than us. */
static void advance(char **steps, int n, int *at, int *master, int *slave)
{
	while (*at < n && step(steps[*at], master))
		++*at;
	if (*master < 0 && *slave >= 0) {
		close(*slave);
		*slave = -1;
	}
}

/* 0 when the command has ended, -1 when the time is over. */
static int watch(char **steps, int n, int *at, int *master, int *slave, int pidfd, double limit)
{
	double begin = now();

	while (now() - begin < limit) {
		struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = -1, .events = POLLIN } };

		advance(steps, n, at, master, slave);
		p[1].fd = *master;
		if (poll(p, 2, 200) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents & POLLIN)
			(void)take(*master);
		if (p[0].revents != 0)
			return 0;
	}
	return -1;
}

int main(int argc, char **argv)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, at = 1, end, status, settings = 0, pidfd;
	struct termios before, after;
	double limit = 30;
	pid_t pid;

	for (end = 1; end < argc && strcmp(argv[end], "--") != 0; end++) {
		if (strncmp(argv[end], "limit=", 6) == 0)
			limit = atof(argv[end] + 6);
		else if (strcmp(argv[end], "settings") == 0)
			settings = 1;
	}
	if (end + 1 >= argc || master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		die("pty-run");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &before) < 0)
		die("slave");
	for (; at < end && strncmp(argv[at], "size=", 5) == 0; at++)
		set_size(master, argv[at] + 5);
	pid = fork();
	if (pid == 0)
		start(argv + end + 1, slave);
	pidfd = pidfd_open(pid, 0);
	if (pid < 0 || pidfd < 0)
		die("fork");
	if (watch(argv, end, &at, &master, &slave, pidfd, limit) < 0) {
		kill(pid, SIGKILL);
		fprintf(stderr, "pty-run: took longer than %g s, before: %s\n", limit, at < end ? argv[at] : "the end");
		return 124;
	}
	if (master >= 0) {
		fcntl(master, F_SETFL, O_NONBLOCK | O_RDWR);
		while (take(master))
			;
	}
	advance(argv, end, &at, &master, &slave);
	if (settings && slave >= 0 && tcgetattr(slave, &after) == 0)
		fprintf(stderr, "settings %s\n", is_same(&before, &after) ? "kept" : "changed");
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	if (at < end) {
		fprintf(stderr, "pty-run: the command ended before: %s\n", argv[at]);
		return 125;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
