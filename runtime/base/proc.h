/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: pidfds, identity against pid reuse, waiting. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * pidfd of pid if it is still the process that was seen alive at the time seen (see
 * clock_boot_ticks()): a process that started later has only inherited the number.
 * -ESRCH when it has, or when it is a zombie or gone.
 */
int proc_pidfd(pid_t pid, uint64_t seen, int *ret_pidfd);

/* The same question without a pidfd. */
bool proc_alive(pid_t pid, uint64_t seen);

/* Field 22 of /proc/PID/stat. -ESRCH when there is no such process; a zombie gives -ESRCH too. */
int proc_start_time(pid_t pid, uint64_t *ret_ticks);

int proc_send_signal(int pidfd, int sig);

/*
 * Waits for a child by pidfd. *ret_status as a shell has it: the exit status, or
 * 128 + signal. timeout_ms < 0: for ever; -ETIMEDOUT.
 */
int proc_wait(int pidfd, int timeout_ms, int *ret_status);

/*
 * Waits until the process behind pidfd has ended, whoever's child it is; reaps it (and
 * gives the status) when it is ours. -ETIMEDOUT.
 */
int proc_await_end(int pidfd, int timeout_ms, int *ret_status);

/*
 * Has it ended by SIGKILL? It is not reaped. Of a process that is not our child only its end can be known, and
 * is enough.
 */
bool proc_killed(int pidfd);

/* Bit n-1: signal n is ignored by this process (SigIgn of /proc/self/status); one small read in place of 64 questions. */
int proc_ignored_signals(uint64_t *ret_mask);

/* Default action for the signals of the mask (bit n-1: signal n), and none blocked. For a child before its execve(2). */
void proc_default_signals(uint64_t mask);

/* Number for "15", "TERM", "SIGTERM", "SIGRTMIN+1" (any case); -EINVAL. */
int signal_parse(const char *s, int *ret_sig);
