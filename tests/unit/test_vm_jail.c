/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/vm_jail: what a filter of system calls lets through. */
#include "runtime/vm_jail.h"

#include <linux/audit.h>
#include <signal.h>
#include <sys/syscall.h>

#include "runtime/base/str.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"
#include "tests/unit/test.h"

#ifdef __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static uint32_t answer(const struct seccomp_program *p, int call, uint64_t first, uint64_t second)
{
	const struct seccomp_data d = { .nr = call, .arch = ARCHITECTURE, .args = { first, second } };

	return bpf_eval(p, &d);
}

/* The supervisor of a microVM may end its two children, and nobody else. */
TEST(a_call_with_one_of_two_values)
{
	static const char *const names[] = { "read" };
	static const int numbers[] = { SYS_write };
	const struct vm_jail_call narrow[] = { { "kill", 0, 1000 }, { "kill", 0, 2000 }, { "prlimit64", 1, 4 } };
	const struct vm_jail_calls calls = {
		.names = names, .n_names = 1, .numbers = numbers, .n_numbers = 1, .narrow = narrow, .n_narrow = ARRAY_SIZE(narrow),
	};
	struct seccomp_program p = { 0 };

	if (!CHECK_INT(vm_jail_compile(&calls, &p), 0))
		return;
	CHECK_INT(answer(&p, SYS_read, 7, 7), SECCOMP_RET_ALLOW);
	CHECK_INT(answer(&p, SYS_write, 7, 7), SECCOMP_RET_ALLOW);
	CHECK_INT(answer(&p, SYS_kill, 1000, SIGKILL), SECCOMP_RET_ALLOW);
	CHECK_INT(answer(&p, SYS_kill, 2000, SIGTERM), SECCOMP_RET_ALLOW);
	CHECK_INT(answer(&p, SYS_kill, 1, SIGKILL), SECCOMP_RET_KILL_PROCESS);
	CHECK_INT(answer(&p, SYS_kill, UINT64_MAX, SIGKILL), SECCOMP_RET_KILL_PROCESS);
	CHECK_INT(answer(&p, SYS_kill, 0, 1000), SECCOMP_RET_KILL_PROCESS);
	CHECK_INT(answer(&p, SYS_prlimit64, 0, 4), SECCOMP_RET_ALLOW);
	CHECK_INT(answer(&p, SYS_prlimit64, 4, 7), SECCOMP_RET_KILL_PROCESS);
	CHECK_INT(answer(&p, SYS_openat, 0, 0), SECCOMP_RET_KILL_PROCESS);
	seccomp_program_deinit(&p);
}

TEST_MAIN(CASE(a_call_with_one_of_two_values))
