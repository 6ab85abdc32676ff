/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of machine.h with a guest of a few instructions, in 32 bits, which any KVM can run. */
#pragma once

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "microvm/machine.h"
#include "runtime/base/fd.h"
#include "tests/unit/test.h"

#define LOAD 0x100000U
#define RAM (UINT64_C(4) << 20)

/* What a compiler and a linker would make of these instructions: one segment, and the note with its PVH entry. */
struct kernel {
	Elf64_Ehdr head;
	Elf64_Phdr program[2];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[3840];
};

static inline int make_kernel(const uint8_t *code, size_t len)
{
	struct kernel k = {
		.head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = offsetof(struct kernel, program),
			  .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
		.program = { { .p_type = PT_LOAD, .p_offset = offsetof(struct kernel, code), .p_vaddr = LOAD, .p_paddr = LOAD,
			       .p_filesz = sizeof(k.code), .p_memsz = 0x1000 },
			     { .p_type = PT_NOTE, .p_offset = offsetof(struct kernel, note), .p_filesz = sizeof(k.note),
			       .p_memsz = sizeof(k.note), .p_align = 4 } },
		.note = { .head = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 }, .name = "Xen", .entry = LOAD },
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(k.code, code, len);
	if (fd >= 0 && fd_write_all(fd, &k, sizeof(k)) < 0)
		fd_close(&fd);
	return fd;
}

/* ---- what is left of a machine ---- */

static inline size_t count(const char *folder)
{
	DIR *d = opendir(folder);
	size_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

struct outcome {
	int r;
	enum machine_end end;
	char reason[MACHINE_REASON_MAX];
	char console[256];		/* what is in the pipe at the end, up to this */
};

/* Runs it; false: there is no KVM here. */
static inline bool run_only(struct test *t, struct machine_config *c, const uint8_t *code, size_t len, struct outcome *o)
{
	int console[2];
	ssize_t n;

	memset(o, 0, sizeof(*o));
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		test_skip("there is no /dev/kvm");
		return false;
	}
	if (!CHECK(pipe2(console, O_CLOEXEC) == 0))
		return false;
	c->kernel = make_kernel(code, len);
	c->kernel_name = "tiny";
	c->console = console[1];
	alarm(60);
	o->r = machine_run(c, &o->end, o->reason);
	alarm(0);
	close(console[1]);
	n = read(console[0], o->console, sizeof(o->console) - 1);
	o->console[n > 0 ? n : 0] = '\0';
	close(console[0]);
	close(c->kernel);
	return true;
}

/* The same, and nothing is left of it. For who has no threads of its own. */
static inline bool run(struct test *t, struct machine_config *c, const uint8_t *code, size_t len, struct outcome *o)
{
	size_t fds = count("/proc/self/fd"), threads = count("/proc/self/task");

	if (!run_only(t, c, code, len, o))
		return false;
	CHECK_INT(count("/proc/self/fd"), fds);
	CHECK_INT(count("/proc/self/task"), threads);
	return true;
}

#define CONFIG(...) \
	{ .initrd = FD_NONE, .command_line = "", .ram_size = RAM, .vcpus = 1, .channel = FD_NONE, .fs = FD_NONE, .control = FD_NONE, .stop = FD_NONE, \
	  __VA_ARGS__ }

#define PUT(c) 0xb0, (c), 0xee				/* mov al, c; out dx, al */
#define COM1 0x66, 0xba, 0xf8, 0x03			/* mov dx, 0x3f8 */
#define OUT(port, v) 0x66, 0xba, (port) & 0xff, (port) >> 8, 0xb0, (v), 0xee
#define POWER_OFF OUT(0x600, 0x34)
