/* SPDX-License-Identifier: Apache-2.0 */
/* How long a guest is waited for: one that hangs, that spins, that waits for its turn. */
#include "tests/unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/vm_deadline.h"

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)

/* Seconds until it ends, of a monitor that gets this share of a processor, in thousandths. */
static uint64_t ends_after(uint64_t share)
{
	struct vm_deadline d;
	uint64_t now = START, cpu = 7 * SECOND;

	vm_deadline_begin(&d, now, cpu);
	do {
		cpu += (d.at_ns - now) / 1000 * share;
		now = d.at_ns;
	} while (!vm_deadline_over(&d, now, cpu) && now < START + 100000 * SECOND);
	return (now - START) / SECOND;
}

TEST(shares)
{
	static const struct {
		uint64_t share, seconds;
	} cases[] = {
		{ 0, 120 },		/* it halts for ever */
		{ 1, 120 },
		{ 8, 150 },
		{ 9, 1800 },		/* little, again and again: in the end that is too long */
		{ 50, 1200 },		/* one of twenty on a processor: a minute of processor time takes so long */
		{ 250, 240 },
		{ 499, 150 },
		{ 500, 120 },
		{ 1000, 120 },		/* it spins */
		{ 4000, 120 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_INT(ends_after(cases[i].share), cases[i].seconds);
}

/* It had its turns, and then hangs. */
TEST(hangs_later)
{
	struct vm_deadline d;

	vm_deadline_begin(&d, START, 0);
	CHECK_INT(d.at_ns, START + 120 * SECOND);
	CHECK(!vm_deadline_over(&d, d.at_ns, 6 * SECOND));
	CHECK_INT(d.at_ns, START + 150 * SECOND);
	CHECK(!vm_deadline_over(&d, d.at_ns, 7 * SECOND));
	CHECK(vm_deadline_over(&d, d.at_ns, 7 * SECOND + 1000));
}

TEST(processor_time)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t before = vm_processor_time(getpid());
	pid_t child = fork();

	if (child == 0)
		for (;;)
			before++;
	for (unsigned int i = 0; i < 20000 && vm_processor_time(child) < 20000000; i++)
		nanosleep(&pause, NULL);
	CHECK(vm_processor_time(child) >= 20000000);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CHECK_INT(vm_processor_time(child), 0);
	CHECK_INT(vm_processor_time(0), 0);
	CHECK(vm_processor_time(getpid()) >= before && before > 0);
}

TEST_MAIN(CASE(shares), CASE(hangs_later), CASE(processor_time))
