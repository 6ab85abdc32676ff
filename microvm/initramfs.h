/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's first file system: the guest program as /init, and the module files that the kernel needs to see nacre's
 * devices, in the order of loading, as /modules/NNN-NAME.ko (.xz, .zst, .gz: as the file is). Besides these only /dev/console.
 *
 * It takes 2 MiB to be read together, so it is kept in a cache, under a name that is made of all that goes in: the guest
 * program's bytes, and each file's path, device, inode, size and times.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define INITRAMFS_CACHE "/var/cache/nacre"

/* An initrd of the caller's may be this large. */
#define INITRAMFS_BEFORE_MAX ((size_t)512 << 20)

struct initramfs_module {
	const char *name;
	bool required;		/* a kernel that has it neither as a file nor built in cannot be used */
};

/* What every guest needs or can use, for both monitors: their devices are the same. INITRAMFS_MODULES of them. */
#define INITRAMFS_MODULES 9
extern const struct initramfs_module initramfs_modules[INITRAMFS_MODULES];

struct initramfs_request {
	int guest;		/* the guest program; its offset stays */
	const char *modules;	/* the kernel's folder with modules.dep; NULL: everything is taken to be built in */
	const struct initramfs_module *wanted;
	size_t n_wanted;
	int before;		/* an initrd that is unpacked before, so that nacre's files win; FD_NONE: none */
	const char *cache;	/* a folder; NULL: none */
};

/*
 * *ret_fd: a descriptor of the archive, for reading, from its start; a file of the cache, or a sealed memfd when there is no
 * cache that can be trusted and written to (a warning says why, unless it just cannot be written to). The cache belongs to
 * the user we are and is closed to others, or it is not used; so are its files. -ENOENT (a required module), -errno of
 * reading, -ENOMEM, with a text.
 */
int initramfs_open(const struct initramfs_request *q, int *ret_fd);
