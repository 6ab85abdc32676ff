/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sec_agent [-e ERRNO] [-c] SOCKET N: a seccomp agent (runtime-spec config-linux.md "listenerPath"). Listens on SOCKET,
 * which appears when it can be connected to; takes N listeners, and prints the message of each, on a line of its
 * own. Calls that are handed to it go on (the default), or fail with ERRNO. Ends when N listeners have come
 * and nobody is left under them. A connection without exactly one descriptor, or on which
 * more than a message comes, is printed as "bad". -c: takes each connection, closes it at once.
 */
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/helpers/socket.h"

#define LISTENERS_MAX 16

static int take(int server)
{
	static char text[65536];
	int sock = accept4(server, NULL, NULL, SOCK_CLOEXEC), fd;
	size_t n;
	char more;

	if (sock < 0)
		die("accept");
	fd = receive_fd(sock, 0, text, sizeof(text) - 1, &n);
	if (fd >= 0 && read(sock, &more, 1) == 0) {
		text[n] = '\0';
		puts(text);
	} else {
		puts("bad");
	}
	fflush(stdout);
	close(sock);
	return fd;
}

static void answer(int fd, int error)
{
	struct seccomp_notif q;
	struct seccomp_notif_resp a;

	memset(&q, 0, sizeof(q));
	/* ENOENT: whoever asked is gone. */
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &q) < 0)
		return;
	memset(&a, 0, sizeof(a));
	a.id = q.id;
	a.error = -error;
	a.flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &a);
}

int main(int argc, char **argv)
{
	struct pollfd fds[1 + LISTENERS_MAX];
	int error = 0, n = 1, open = 0, due, c;
	bool hang_up = false;

	while ((c = getopt(argc, argv, "e:c")) > 0) {
		if (c == 'e')
			error = atoi(optarg);
		else
			hang_up = true;
	}
	if (argc - optind != 2)
		return 2;
	due = atoi(argv[optind + 1]);
	if (due < 1 || due > LISTENERS_MAX)
		return 2;
	fds[0] = (struct pollfd){ .fd = listen_at(argv[optind]), .events = POLLIN };
	while (due > 0 || open > 0) {
		if (poll(fds, (nfds_t)n, -1) < 0)
			die("poll");
		if (fds[0].revents != 0 && hang_up) {
			close(accept(fds[0].fd, NULL, NULL));
			due--;
		} else if (fds[0].revents != 0) {
			fds[n++] = (struct pollfd){ .fd = take(fds[0].fd), .events = POLLIN };
			open++;
			if (--due == 0)
				fds[0].fd = -1;
		}
		for (int i = 1; i < n; i++) {
			if (fds[i].revents & POLLIN) {
				answer(fds[i].fd, error);
			} else if (fds[i].revents != 0) {
				close(fds[i].fd);
				fds[i].fd = -1;
				open--;
			}
		}
	}
	return 0;
}
