/* SPDX-License-Identifier: Apache-2.0 */
/* label PATH: its SELinux label. label --session-keyring: that of the keyring, which the caller must be allowed to search. */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/helpers/die.h"

static long label_of_keyring(char *text, size_t size)
{
	long r;

	/* No such key is what a search that may be made says. */
	if (syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "nt:none", 0) < 0 && errno != ENOKEY)
		die("search");
	r = syscall(SYS_keyctl, KEYCTL_GET_SECURITY, KEY_SPEC_SESSION_KEYRING, text, size);
	return r < 0 || (size_t)r > size ? -1 : r;
}

int main(int argc, char **argv)
{
	char text[512] = "";
	long n;

	if (argc != 2)
		return 2;
	n = strcmp(argv[1], "--session-keyring") == 0 ? label_of_keyring(text, sizeof(text) - 1)
						      : getxattr(argv[1], "security.selinux", text, sizeof(text) - 1);
	if (n < 0)
		die(argv[1]);
	puts(text);
	return 0;
}
