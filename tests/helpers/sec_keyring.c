/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the description of the session keyring: "keyring;UID;GID;PERM;NAME". sec_keyring number: its number.
 * sec_keyring hold NAME: takes a new one of this name, that anybody may find and join, prints it and sleeps.
 */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GET_ID 0
#define JOIN 1
#define SETPERM 5
#define DESCRIBE 6
#define SESSION_KEYRING (-3)
#define EVERYTHING 0x3f3f3f3fL

static int hold(const char *name)
{
	long key = syscall(SYS_keyctl, JOIN, name);

	if (key < 0 || syscall(SYS_keyctl, SETPERM, key, EVERYTHING) < 0) {
		perror("keyctl");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const int holds = argc == 3 && strcmp(argv[1], "hold") == 0;
	char text[512] = "";

	if (holds && hold(argv[2]) != 0)
		return 1;
	if (syscall(SYS_keyctl, DESCRIBE, SESSION_KEYRING, text, sizeof(text) - 1) < 0) {
		perror("keyctl");
		return 1;
	}
	if (argc == 2 && strcmp(argv[1], "number") == 0)
		printf("%ld\n", syscall(SYS_keyctl, GET_ID, SESSION_KEYRING, 0));
	else
		puts(text);
	fflush(stdout);
	if (holds)
		sleep(1000);
	return 0;
}
