/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recvtty [-s] [-r ROWSxCOLS] [-i TEXT] [-w] [-p] SOCKET: an engine's side of --console-socket. Listens on
 * SOCKET (it appears when it can be connected to), takes one terminal and copies what it says to stdout
 * until its other side is closed.
 *   -s   print "size ROWS COLS" when the terminal arrives
 *   -r   resize it then
 *   -i   write TEXT to it then ("\n" and "\xHH" are understood)
 *   -p   --pidfd-socket instead: print "pid N" of the pidfd that comes, and "ended" when it has
 *   -w   take what is there at SIGUSR1, without waiting: prints "received" or "nothing", and ends
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/helpers/socket.h"
#include "tests/helpers/terminal.h"

/* The terminal, or -1. */
static int receive(int sock, int flags)
{
	char data[256];
	size_t n;

	return receive_fd(sock, flags, data, sizeof(data), &n);
}

static int take_now(int listener)
{
	sigset_t set;
	int sig, sock;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &sig);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	sock = accept(listener, NULL, NULL);
	puts(sock >= 0 && receive(sock, MSG_DONTWAIT) >= 0 ? "received" : "nothing");
	return 0;
}

static int watch_pidfd(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	char path[64], line[128];
	int pid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	if (f == NULL)
		die(path);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(f);
	printf("pid %d\n", pid);
	fflush(stdout);
	if (poll(&p, 1, -1) < 0)
		die("poll");
	puts("ended");
	return 0;
}

static void relay(int tty)
{
	char data[4096];
	ssize_t n;

	while ((n = read(tty, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && write(STDOUT_FILENO, data, (size_t)n) != n)
			die("write");
}

int main(int argc, char **argv)
{
	const char *input = NULL;
	struct winsize now, resize = { 0 };
	int show = 0, wait = 0, pidfd = 0, opt, listener, tty;
	sigset_t set;

	while ((opt = getopt(argc, argv, "sr:i:wp")) != -1) {
		switch (opt) {
		case 's':
			show = 1;
			break;
		case 'r':
			if (sscanf(optarg, "%hux%hu", &resize.ws_row, &resize.ws_col) != 2)
				return 2;
			break;
		case 'i':
			input = optarg;
			break;
		case 'w':
			wait = 1;
			break;
		case 'p':
			pidfd = 1;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (wait) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	listener = listen_at(argv[optind]);
	if (wait)
		return take_now(listener);
	tty = receive(accept(listener, NULL, NULL), 0);
	if (pidfd && tty >= 0)
		return watch_pidfd(tty);
	if (tty < 0 || !isatty(tty))
		die("no terminal received");
	if (show && ioctl(tty, TIOCGWINSZ, &now) == 0)
		printf("size %d %d\n", now.ws_row, now.ws_col);
	if (resize.ws_row > 0 && ioctl(tty, TIOCSWINSZ, &resize) < 0)
		die("resize");
	if (input != NULL)
		type_text(tty, input);
	relay(tty);
	return 0;
}
