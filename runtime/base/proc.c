/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* State (field 3) and start time (field 22) stand after the last ')': the name may hold anything. */
static int stat_fields(char *text, char *ret_state, uint64_t *ret_start)
{
	char *save = NULL, *p = strrchr(text, ')');
	int field = 3;

	if (p == NULL)
		return -EBADMSG;
	for (char *tok = strtok_r(p + 1, " \n", &save); tok != NULL; tok = strtok_r(NULL, " \n", &save), field++) {
		if (field == 3)
			*ret_state = *tok;
		if (field == 22)
			return parse_u64(tok, 0, UINT64_MAX, ret_start);
	}
	return -EBADMSG;
}

int proc_start_time(pid_t pid, uint64_t *ret_ticks)
{
	_cleanup_close_ int fd = FD_NONE;
	char path[64], text[1024], state = 0;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	r = stat_fields(text, &state, ret_ticks);
	if (r < 0)
		return r;
	return state == 'Z' || state == 'X' ? -ESRCH : 0;
}

bool proc_alive(pid_t pid, uint64_t seen)
{
	uint64_t started;

	return pid > 0 && proc_start_time(pid, &started) == 0 && started <= seen;
}

int proc_pidfd(pid_t pid, uint64_t seen, int *ret_pidfd)
{
	_cleanup_close_ int fd = FD_NONE;

	if (pid <= 0)
		return -ESRCH;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return -errno;
	/* After the pidfd is open the pid cannot be reused under it, so this check holds. */
	if (!proc_alive(pid, seen))
		return -ESRCH;
	*ret_pidfd = take_fd(&fd);
	return 0;
}

int proc_send_signal(int pidfd, int sig)
{
	return pidfd_send_signal(pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int proc_wait(int pidfd, int timeout_ms, int *ret_status)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	siginfo_t info = { 0 };
	int n;

	if (timeout_ms >= 0) {
		do {
			n = poll(&p, 1, timeout_ms);
		} while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
	}
	do {
		n = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 0;
}

int proc_await_end(int pidfd, int timeout_ms, int *ret_status)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n, r;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	*ret_status = 0;
	r = proc_wait(pidfd, -1, ret_status);
	return r == -ECHILD ? 0 : r;
}

bool proc_killed(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD && poll(&p, 1, 0) > 0;
	return info.si_pid > 0 && info.si_code == CLD_KILLED && info.si_status == SIGKILL;
}

int proc_ignored_signals(uint64_t *ret_mask)
{
	_cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[4096], *p;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	p = strstr(text, "\nSigIgn:\t");
	if (p == NULL)
		return -EBADMSG;
	*ret_mask = 0;
	for (p += strlen("\nSigIgn:\t"); *p != '\n' && *p != '\0'; p++) {
		unsigned int digit = (unsigned int)(*p <= '9' ? *p - '0' : *p - 'a' + 10);

		if (digit > 15)
			return -EBADMSG;
		*ret_mask = *ret_mask << 4 | digit;
	}
	return 0;
}

void proc_default_signals(uint64_t mask)
{
	/* The kernel's struct sigaction: all zero is SIG_DFL, no flags, no mask. */
	const unsigned long action[4] = { 0 };
	sigset_t none;

	/*
	 * The system call, because the library's sigaction(3) refuses the two that it keeps for its threads (32, 33),
	 * and a caller may ignore those as well. SIGKILL and SIGSTOP refuse, and are at their default anyway.
	 */
	for (int sig = 1; sig < NSIG; sig++)
		if (mask & ((uint64_t)1 << (sig - 1)))
			(void)syscall(SYS_rt_sigaction, sig, action, NULL, sizeof(uint64_t));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int signal_rt(const char *s, int *ret_sig)
{
	bool min = strncasecmp(s, "RTMIN", 5) == 0;
	uint64_t offset = 0;

	if (!min && strncasecmp(s, "RTMAX", 5) != 0)
		return -EINVAL;
	s += 5;
	if (*s != '\0') {
		if (*s != (min ? '+' : '-') || parse_u64(s + 1, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &offset) < 0)
			return -EINVAL;
	}
	*ret_sig = min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
	return 0;
}

int signal_parse(const char *s, int *ret_sig)
{
	/* Second names, which sigabbrev_np(3) does not give. */
	static const struct {
		const char *name;
		int sig;
	} aliases[] = { { "IO", SIGIO }, { "POLL", SIGPOLL }, { "IOT", SIGIOT }, { "CLD", SIGCHLD }, { "UNUSED", SIGSYS } };
	uint64_t n;

	if (parse_u64(s, 1, (uint64_t)SIGRTMAX, &n) == 0) {
		*ret_sig = (int)n;
		return 0;
	}
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name != NULL && strcasecmp(name, s) == 0) {
			*ret_sig = sig;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcasecmp(aliases[i].name, s) == 0) {
			*ret_sig = aliases[i].sig;
			return 0;
		}
	}
	return signal_rt(s, ret_sig);
}
