/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sec_intruder CANARY MILLISECONDS [trace]: what a hostile process in a container tries against every other
 * process that appears in its pid namespace (a runtime on its way in): to write to its program file,
 * and to climb out by its directories. CANARY is a host path that must not be reachable.
 * With trace, also to take the process over by ptrace(2), with all that it may.
 * Prints what it reached; "seen N" at the end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UP "../../../../../../../../../../../.."

static const char *canary;
static unsigned long reached;
static int tracing;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void climb(const char *path)
{
	char up[512];
	struct stat st;

	snprintf(up, sizeof(up), "%s/" UP "%s", path, canary);
	if (stat(up, &st) == 0 && reached++ < 5)
		printf("escaped by %s\n", path);
}

/* Is fd a program of the image: ours, or busybox? */
static int is_of_image(int fd)
{
	static const char *const own[] = { "/proc/self/exe", "/bin/busybox" };
	struct stat st, other;

	if (fstat(fd, &st) < 0)
		return 1;
	for (size_t i = 0; i < 2; i++)
		if (stat(own[i], &other) == 0 && other.st_dev == st.st_dev && other.st_ino == st.st_ino)
			return 1;
	return 0;
}

/* CVE-2019-5736: a running program cannot be opened for writing, but held open, and opened again when it has ended. */
#define HELD 32
static int held[HELD], n_held;

static void hold_program(const char *pid)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	fd = n_held < HELD ? open(path, O_RDONLY) : -1;
	if (fd >= 0 && is_of_image(fd))
		close(fd);
	else if (fd >= 0)
		held[n_held++] = fd;
}

static void write_held(void)
{
	for (int i = 0; i < n_held; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", held[i]);
		fd = open(path, O_WRONLY);
		if (fd >= 0 && reached++ < 5)
			printf("opened a program of the host for writing\n");
		if (fd >= 0)
			close(fd);
	}
}

/* What has executed a program of the image already is the container's, and no prize. */
static void trace(pid_t pid)
{
	char path[64];
	int status, fd;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return;
	(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		return;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_RDONLY);
	if ((fd < 0 || !is_of_image(fd)) && reached++ < 5)
		printf("traces a process that enters\n");
	if (fd >= 0)
		close(fd);
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void attack(const char *pid)
{
	static const char *const links[] = { "cwd", "root" };
	char path[300];

	if (tracing)
		trace((pid_t)atoi(pid));
	hold_program(pid);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, links[i]);
		climb(path);
	}
	for (int n = 3; n < 24; n++) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, n);
		climb(path);
	}
}

/* The next process gets the next number: look there without the detour of a directory listing. */
static unsigned long ambush(unsigned int *last)
{
	unsigned long seen = 0;

	for (unsigned int ahead = 0; ahead < 4; ahead++) {
		char pid[16], path[32];

		snprintf(pid, sizeof(pid), "%u", *last + ahead);
		snprintf(path, sizeof(path), "/proc/%s", pid);
		if (*last + ahead == (unsigned int)getpid() || access(path, F_OK) < 0)
			continue;
		attack(pid);
		seen++;
		*last += ahead;
		ahead = 0;
	}
	return seen;
}

static unsigned int highest(unsigned long *seen)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned int max = 1;

	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned int n = (unsigned int)atoi(e->d_name);

		if (n == 0 || n == (unsigned int)getpid())
			continue;
		attack(e->d_name);
		(*seen)++;
		max = n > max ? n : max;
	}
	if (d != NULL)
		closedir(d);
	return max;
}

int main(int argc, char **argv)
{
	unsigned long seen = 0;
	long end;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0); /* it may be killed at any time */
	canary = argv[1];
	tracing = argc > 3 && strcmp(argv[3], "trace") == 0;
	end = now_ms() + atol(argv[2]);
	do {
		unsigned int last = highest(&seen);

		for (int i = 0; i < 2000; i++)
			seen += ambush(&last);
		write_held();
	} while (now_ms() < end);
	printf("seen %lu\n", seen);
	return reached > 0 ? 1 : 0;
}
