/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the description of the session keyring: "keyring;UID;GID;PERM;NAME". */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIBE 6
#define SESSION_KEYRING (-3)

int main(void)
{
	char text[512] = "";

	if (syscall(SYS_keyctl, DESCRIBE, SESSION_KEYRING, text, sizeof(text) - 1) < 0) {
		perror("keyctl");
		return 1;
	}
	puts(text);
	return 0;
}
