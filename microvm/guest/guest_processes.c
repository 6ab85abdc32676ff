/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_processes.h. */
#include "microvm/guest/guest_processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"

#define MS 1000U
#define UID "\nUid:"	/* of /proc/PID/status: real, effective, saved, of the file system */

/* Word number n, from 1, as a number. false: there is none, or it is negative or no number. */
static bool number(const char *text, unsigned int n, uint64_t *ret)
{
	char word[24];
	size_t len;

	for (text += strspn(text, " \t"); n > 1; n--) {
		text += strcspn(text, " \t\n");
		text += strspn(text, " \t");
	}
	len = strcspn(text, " \t\n");
	if (len == 0 || len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	return parse_u64(word, 0, UINT64_MAX, ret) == 0;
}

int guest_process_stat(const char *text, uint64_t ticks, struct channel_process *ret, uint64_t *ret_started)
{
	/* "PID (NAME) STATE …": a name may have blanks and brackets, so its end is the last one. */
	const char *name = strchr(text, '('), *end = strrchr(text, ')');
	uint64_t parent, terminal, user, system;

	if (name == NULL || end == NULL || end < name || end[1] != ' ' || end[2] == '\0' || end[3] != ' ')
		return -EBADMSG;
	ret->state = end[2];
	/* Fields 4, 7, 14, 15 and 22 of proc(5). */
	if (!number(end + 3, 1, &parent) || !number(end + 3, 4, &terminal) || !number(end + 3, 11, &user) ||
	    !number(end + 3, 12, &system) || !number(end + 3, 19, ret_started))
		return -EBADMSG;
	ret->parent = (uint32_t)parent;
	ret->terminal = (uint32_t)terminal;
	ret->cpu_ms = (user + system) * MS / ticks;
	ret->is_name = true;
	ret->command = name + 1;
	ret->command_size = (size_t)(end - name - 1);
	return 0;
}

/* NUL-terminated, at most size - 1 bytes. The number of bytes, or -errno. */
static ssize_t read_some(pid_t pid, const char *file, char *text, size_t size)
{
	_cleanup_close_ int fd = FD_NONE;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : n;
}

/* The effective user; /proc/PID may belong to root whoever it is. */
static uint32_t uid_of(pid_t pid)
{
	char text[4096];
	const char *line;
	uint64_t uid = 0;

	line = read_some(pid, "status", text, sizeof(text)) > 0 ? strstr(text, UID) : NULL;
	return line != NULL && number(line + strlen(UID), 2, &uid) ? (uint32_t)uid : 0;
}

/* false: it is gone. Its texts are in stat and command. */
static bool look_at(pid_t pid, char stat[1024], char command[CHANNEL_COMMAND_MAX + 1], struct channel_process *ret)
{
	const uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK), now = clock_boot_ticks();
	uint64_t started;
	ssize_t n;

	*ret = (struct channel_process){ .pid = (uint32_t)pid };
	if (read_some(pid, "stat", stat, 1024) <= 0 || guest_process_stat(stat, ticks, ret, &started) < 0)
		return false;
	ret->age_ms = now > started ? (now - started) * MS / ticks : 0;
	ret->uid = uid_of(pid);
	n = read_some(pid, "cmdline", command, CHANNEL_COMMAND_MAX + 1);
	if (n > 0) {
		ret->is_name = false;
		ret->command = command;
		ret->command_size = (size_t)n;
	}
	return true;
}

static int by_number(const void *a, const void *b)
{
	const pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

void guest_processes(pid_t *pids, size_t n, uint32_t above, struct buf *answer)
{
	char stat[1024], command[CHANNEL_COMMAND_MAX + 1];
	struct channel_process p;

	qsort(pids, n, sizeof(*pids), by_number);
	for (size_t i = 0; i < n; i++)
		if (pids[i] > 0 && (uint32_t)pids[i] > above && look_at(pids[i], stat, command, &p) && !channel_put_process(answer, &p))
			return;
}
