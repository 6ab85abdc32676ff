/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as text and as proof of identity. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RFC3339_SIZE sizeof("2026-11-22T12:34:56.123456789Z")

/*
 * Now, in UTC, with nanoseconds. Not gmtime_r(3): that reads the time zone's file, and
 * this is asked for by every short-lived process of nacre.
 */
void clock_rfc3339(char out[RFC3339_SIZE]);

/* Now on the clock of field 22 of /proc/PID/stat (since boot), in its ticks, rounded up. */
uint64_t clock_boot_ticks(void);

/* Now on the monotonic clock, in nanoseconds. */
uint64_t clock_now_ns(void);

/* A timer (timerfd) that is readable every interval_ns from now on. -errno with text. */
int clock_timer(uint64_t interval_ns, int *ret_fd);
/* Has it expired since the last time? Makes it unreadable until the next. */
bool clock_timer_read(int fd);
