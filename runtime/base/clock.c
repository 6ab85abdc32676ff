/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/err.h"

#define DAY 86400
#define NS_PER_S 1000000000U

/*
 * Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted
 * from March, so that the leap day is the last of a year, in cycles of 400 years.
 */
static void civil(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;	/* since 0000-03-01 */
	int64_t cycle = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(yoe + cycle * 400 + (*month <= 2 ? 1 : 0));
}

void clock_rfc3339(char out[RFC3339_SIZE])
{
	struct timespec now;
	int year, month, day, secs;

	clock_gettime(CLOCK_REALTIME, &now);
	civil(now.tv_sec / DAY, &year, &month, &day);
	secs = (int)(now.tv_sec % DAY);
	snprintf(out, RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", (unsigned int)year % 10000,
		 (unsigned int)month % 100, (unsigned int)day % 100, (unsigned int)(secs / 3600) % 100,
		 (unsigned int)(secs / 60 % 60), (unsigned int)(secs % 60), (unsigned int)now.tv_nsec % 1000000000U);
}

uint64_t clock_boot_ticks(void)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * hz + (uint64_t)now.tv_nsec * hz / 1000000000U + 1;
}

uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int clock_timer(uint64_t interval_ns, int *ret_fd)
{
	const struct timespec interval = {
		.tv_sec = (time_t)(interval_ns / NS_PER_S),
		.tv_nsec = (long)(interval_ns % NS_PER_S),
	};
	const struct itimerspec t = { .it_interval = interval, .it_value = interval };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &t, NULL) < 0) {
		int r = ERR(-errno, "cannot make a timer");

		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

bool clock_timer_read(int fd)
{
	uint64_t times;

	return read(fd, &times, sizeof(times)) == (ssize_t)sizeof(times);
}
