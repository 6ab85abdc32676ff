/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of a microVM's processes on the host, before the guest's first instruction: they are spoken to by a guest that
 * may be hostile, and a mistake of theirs must not be worth anything. In this order:
 *
 *	vm_jail_root        a mount namespace of its own with an empty, read-only root
 *	vm_jail_privileges  no capabilities, none to be had again, no core dump, nobody may trace it
 *	vm_jail_filter      only the system calls that its work needs
 *
 * All return 0 or -errno with text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* dir: any directory that is there; it is covered in the new mount namespace only. Needs CAP_SYS_ADMIN. */
int vm_jail_root(const char *dir);

/*
 * The same for a program that is executed afterwards: the root has the host's programs and libraries, and of devices null,
 * urandom and kvm; a file system proc, of processes only; nothing else; all of it read-only. An IPC namespace, too. program: its path,
 * whose folder is there, too.
 */
int vm_jail_program_root(const char *dir, const char *program);

int vm_jail_privileges(void);

/* A system call that is allowed with one value of one argument only. */
struct vm_jail_call {
	const char *name;
	uint32_t arg;
	uint64_t value;
};

struct vm_jail_calls {
	const char *const *names;	/* allowed with any arguments */
	size_t n_names;
	const int *numbers;		/* the same, by their numbers */
	size_t n_numbers;
	const struct vm_jail_call *narrow;
	size_t n_narrow;
};

struct seccomp_program;

/* For vm_jail_load(); *ret is the caller's to deinit (seccomp.h). */
int vm_jail_compile(const struct vm_jail_calls *calls, struct seccomp_program *ret);

/*
 * In this thread, and those that it makes from now on: everything else ends the process. A second filter takes away more.
 * Allocates nothing and records no text: -errno. A build with the address sanitizer, which makes calls of its
 * own, has no filter.
 */
int vm_jail_load(const struct seccomp_program *program);

/*
 * For the file server in a user namespace whose setgroups(2) is denied (user_namespaces(7): the price of a map without privileges).
 * It insists on giving up its supplementary groups, which nobody can there: it is told that it has. So it keeps those of the user
 * whose process it is. Nothing where setgroups(2) works. 0 or -errno with text.
 */
int vm_jail_keep_groups(void);

/* Both, with text. */
int vm_jail_filter(const struct vm_jail_calls *calls);
