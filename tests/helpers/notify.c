/* SPDX-License-Identifier: Apache-2.0 */
/* notify MESSAGE...: sends each as one datagram to $NOTIFY_SOCKET, as sd_notify(3) does. "\n" in it is a line's end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static size_t unescape(char *s)
{
	char *to = s;

	for (const char *from = s; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] == 'n') {
			*to++ = '\n';
			from++;
		} else {
			*to++ = *from;
		}
	}
	return (size_t)(to - s);
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int sock = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (path == NULL || sock < 0)
		return 2;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (int i = 1; i < argc; i++) {
		size_t len = unescape(argv[i]);

		if (sendto(sock, argv[i], len, 0, (struct sockaddr *)&a, sizeof(a)) < 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}
