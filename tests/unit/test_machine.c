/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with guests of a few instructions, which any KVM can run: how it begins, its ports and registers, each of its
 * ends, and that nothing is left behind. test_machine_boot.c has real kernels.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "microvm/machine.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "tests/unit/small_machine.h"

static const uint8_t power_off[] = { COM1, PUT('o'), PUT('k'), PUT('\n'), POWER_OFF, 0xf4 };

/* ---- ends ---- */

TEST(ends)
{
	static const uint8_t reset[] = { OUT(0x604, 1), 0xf4 };
	static const uint8_t keyboard[] = { OUT(0x64, 0xfe), 0xf4 };
	static const uint8_t chipset[] = { OUT(0xcf9, 0xf3), OUT(0xcf9, 0xff), 0xf4 };
	/* To real mode by a segment of 16 bits, then to the reset vector. */
	static const uint8_t vector[] = {
		0x0f, 0x01, 0x15, 0x20, 0x00, 0x10, 0x00,		/* lgdt [0x100020] */
		0xea, 0x0e, 0x00, 0x00, 0x00, 0x08, 0x00,		/* jmp 8:0xe */
		0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0,		/* mov eax, cr0; and al, 0xfe; mov cr0, eax */
		0xea, 0xf0, 0xff, 0x00, 0xf0,				/* jmp 0xf000:0xfff0 */
		0xf4, 0xf4, 0xf4, 0xf4, 0xf4,
		0x0f, 0x00, 0x28, 0x00, 0x10, 0x00, 0x00, 0x00,		/* 0x100020: the table is at 0x100028, 16 bytes */
		0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x00, 0x00, 0x10, 0x9b, 0x00, 0x00,
	};
	static const uint8_t fault[] = { 0x0f, 0x0b };			/* ud2, and no table of handlers */
	static const uint8_t others[] = { OUT(0x600, 0x30), OUT(0x604, 2), OUT(0x64, 1), OUT(0xcf9, 2), OUT(0x601, 0x34), COM1, PUT('!'), POWER_OFF, 0xf4 };
	static const struct {
		const uint8_t *code;
		size_t len;
		enum machine_end end;
		const char *name, *reason, *console;
	} cases[] = {
		{ power_off, sizeof(power_off), MACHINE_POWER_OFF, "power-off", "the guest switched itself off", "ok\n" },
		{ reset, sizeof(reset), MACHINE_RESET, "reset", "the guest asked for a reset", "" },
		{ keyboard, sizeof(keyboard), MACHINE_RESET, "reset", "the guest asked for a reset", "" },
		{ chipset, sizeof(chipset), MACHINE_RESET, "reset", "the guest asked for a reset", "" },
		{ vector, sizeof(vector), MACHINE_RESET, "reset", "the guest asked for a reset", "" },
		{ fault, sizeof(fault), MACHINE_TRIPLE_FAULT, "triple-fault", "triple fault of processor 0", "" },
		{ others, sizeof(others), MACHINE_POWER_OFF, "power-off", "the guest switched itself off", "!" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine_config c = CONFIG();
		struct outcome o;

		if (!run(t, &c, cases[i].code, cases[i].len, &o))
			return;
		CHECK_INT(o.r, 0);
		CHECK_INT(o.end, cases[i].end);
		CHECK_STR(o.reason, cases[i].reason);
		CHECK_STR(o.console, cases[i].console);
		CHECK_STR(machine_end_name(o.end), cases[i].name);
	}
}

static const uint8_t forever[] = { 0xeb, 0xfe };

TEST(stop)
{
	struct machine_config c = CONFIG();
	struct outcome o;

	c.vcpus = 3;
	c.stop = eventfd(1, EFD_CLOEXEC);
	if (run(t, &c, forever, sizeof(forever), &o)) {
		CHECK_INT(o.r, 0);
		CHECK_INT(o.end, MACHINE_STOPPED);
	}
	close(c.stop);
}

/* ---- what is refused ---- */

TEST(cannot_be_built)
{
	static const struct {
		unsigned int vcpus;
		uint64_t ram;
		size_t nets;
		int r;
		const char *text;
	} cases[] = {
		{ 0, RAM, 0, -EINVAL, "a machine has 1 to 64 processors, not 0" },
		{ 65, RAM, 0, -EINVAL, "a machine has 1 to 64 processors, not 65" },
		{ 1, 0, 0, -EINVAL, "guest memory cannot be 0 bytes" },
		{ 1, 4095, 0, -EINVAL, "guest memory cannot be 4095 bytes" },
		{ 1, 4096, 0, -ENOMEM, "kernel \"tiny\": " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine_config c = CONFIG(.n_nets = cases[i].nets);
		struct outcome o;

		c.vcpus = cases[i].vcpus;
		c.ram_size = cases[i].ram;
		if (!run(t, &c, power_off, sizeof(power_off), &o))
			return;
		CHECK_INT(o.r, cases[i].r);
		CHECK_INT(o.end, MACHINE_NOT_RUN);
		if (!CHECK(str_starts(o.reason, cases[i].text)))
			printf("# %s\n", o.reason);
		CHECK_STR(o.console, "");
	}
}

TEST(initramfs_that_is_none)
{
	struct machine_config c = CONFIG();
	struct outcome o;

	c.initrd = memfd_create("empty", MFD_CLOEXEC);
	if (run(t, &c, power_off, sizeof(power_off), &o)) {
		CHECK_INT(o.r, -EINVAL);
		CHECK_STR(o.reason, "the initramfs is empty, or not a regular file");
	}
	if (ftruncate(c.initrd, RAM) == 0 && run(t, &c, power_off, sizeof(power_off), &o)) {
		CHECK_INT(o.r, -ENOMEM);
		CHECK(str_starts(o.reason, "initramfs: "));
	}
	close(c.initrd);
}

/* ---- the jail's hooks ---- */

struct hooks {
	int r, r_vcpu, calls, vcpu_calls;
};

static int ready(void *data)
{
	struct hooks *h = data;

	h->calls++;
	return h->r < 0 ? ERR_PLAIN(h->r, "no jail") : 0;
}

static int vcpu_ready(void *data)
{
	struct hooks *h = data;

	h->vcpu_calls++;
	return h->r_vcpu < 0 ? ERR_PLAIN(h->r_vcpu, "no jail for it") : 0;
}

TEST(hooks)
{
	struct hooks h = { .r = 0 };
	struct machine_config c = CONFIG(.ready = ready, .vcpu_ready = vcpu_ready, .data = &h);
	struct outcome o;

	c.vcpus = 2;
	if (!run(t, &c, power_off, sizeof(power_off), &o))
		return;
	CHECK_INT(o.end, MACHINE_POWER_OFF);
	CHECK_INT(h.calls, 1);
	CHECK_INT(h.vcpu_calls, 2);

	h = (struct hooks){ .r = -EPERM };
	CHECK(run(t, &c, power_off, sizeof(power_off), &o));
	CHECK_INT(o.r, -EPERM);
	CHECK_INT(o.end, MACHINE_NOT_RUN);
	CHECK_STR(o.reason, "no jail");
	CHECK_INT(h.vcpu_calls, 0);

	h = (struct hooks){ .r_vcpu = -EPERM };
	CHECK(run(t, &c, power_off, sizeof(power_off), &o));
	CHECK_INT(o.end, MACHINE_FAILED);
	CHECK_STR(o.reason, "no jail for it");
	CHECK_STR(o.console, "");
}

/* ---- ports and registers ---- */

TEST(virtio_windows)
{
	static const uint8_t code[] = {
		0xa1, 0x00, 0x10, 0x00, 0xc0,		/* mov eax, [0xc0001000]: the magic of the first device */
		COM1, 0xee, 0xc1, 0xe8, 8, 0xee, 0xc1, 0xe8, 8, 0xee, 0xc1, 0xe8, 8, 0xee,	/* out dx, al; shr eax, 8; ... */
		0xa1, 0x08, 0x10, 0x00, 0xc0, 0x04, '0', 0xee,	/* its type, as a digit */
		0xa1, 0x08, 0x20, 0x00, 0xc0, 0x04, '0', 0xee,	/* the second's */
		0xa1, 0x08, 0x30, 0x00, 0xc0, 0x04, '0', 0xee,	/* the third's */
		0xa0, 0x00, 0x40, 0x00, 0xc0, 0x3c, 0xff, 0x75, 0x03, PUT('n'),	/* no fourth: all ones */
		POWER_OFF, 0xf4,
	};
	struct machine_config c = CONFIG();
	struct outcome o;
	int fds[2];

	if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0))
		return;
	c.channel = fds[0];
	if (run(t, &c, code, sizeof(code), &o)) {
		CHECK_INT(o.end, MACHINE_POWER_OFF);
		/* Console, randomness, balloon. */
		CHECK_STR(o.console, "virt345n");
	}
	close(fds[0]);
	close(fds[1]);
}

/* Nobody reads the console; the guest must not notice. */
TEST(console_that_nobody_reads)
{
	static const uint8_t code[] = {
		COM1, 0xb9, 0x00, 0x40, 0x02, 0x00,	/* mov ecx, 0x24000 */
		0xbe, 0x00, 0x00, 0x10, 0x00,		/* mov esi, LOAD */
		0xf3, 0x6e,				/* rep outsb */
		POWER_OFF, 0xf4,
	};
	struct machine_config c = CONFIG();
	struct outcome o;

	if (run(t, &c, code, sizeof(code), &o))
		CHECK_INT(o.end, MACHINE_POWER_OFF);
}

/* ---- the lists ---- */

static bool allows(const struct machine_syscalls *s, int number)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->numbers[i] == number)
			return true;
	return false;
}

/* What would let a monitor that was taken over out of its jail, or make new descriptors. */
TEST(lists_are_narrow)
{
	static const int never[] = { SYS_open, SYS_openat, SYS_openat2, SYS_execve, SYS_execveat, SYS_socket, SYS_connect, SYS_ptrace,
				     SYS_mount, SYS_setns, SYS_unshare, SYS_bpf, SYS_fork, SYS_vfork, SYS_kill, SYS_io_uring_setup };
	static const int loop_only[] = { SYS_clone, SYS_clone3, SYS_poll, SYS_prctl, SYS_seccomp, SYS_rt_sigaction };

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		CHECK(!allows(&machine_syscalls_loop, never[i]));
		CHECK(!allows(&machine_syscalls_vcpu, never[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(loop_only); i++) {
		CHECK(allows(&machine_syscalls_loop, loop_only[i]));
		CHECK(!allows(&machine_syscalls_vcpu, loop_only[i]));
	}
	/* A processor's thread begins with the loop's filter. */
	for (size_t i = 0; i < machine_syscalls_vcpu.n; i++)
		CHECK(allows(&machine_syscalls_loop, machine_syscalls_vcpu.numbers[i]));
}

TEST_MAIN(CASE(ends), CASE(stop), CASE(cannot_be_built), CASE(initramfs_that_is_none), CASE(hooks), CASE(virtio_windows),
	  CASE(console_that_nobody_reads), CASE(lists_are_narrow))
