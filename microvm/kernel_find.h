/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel a microVM boots, and where its modules are. Looked at in this order:
 *
 *	1. the one that is named (config.json or the host's configuration file); it has to be there. Its modules may also be
 *	   in ../lib/modules/RELEASE from its folder, as where a package was unpacked
 *	2. an installed guest kernel of nacre's, which has everything built in
 *	3. the newest vmlinuz-RELEASE in /boot that has its modules in /lib/modules/RELEASE, as distributions install it
 */
#pragma once

#include <stddef.h>

/* Where `make install` of a guest kernel puts it; the first that is there is taken. */
#define KERNEL_INSTALLED { "/usr/local/lib/nacre/kernel", "/usr/lib/nacre/kernel" }
#define KERNEL_BOOT "/boot"
#define KERNEL_MODULES "/lib/modules"

enum kernel_source { KERNEL_NAMED, KERNEL_OF_NACRE, KERNEL_OF_BOOT };

struct kernel_search {
	const char *path;		/* NULL: none is named */
	const char *const *installed;	/* paths of files */
	size_t n_installed;
	const char *boot, *modules;	/* folders */
};

struct kernel_found {
	enum kernel_source source;
	char *path;
	char *release;			/* as uname -r would tell in it; NULL: the file does not say */
	char *modules;			/* the folder of its modules; NULL: there is none, so all has to be built in */
};

#define KERNEL_FOUND_NULL { KERNEL_NAMED, NULL, NULL, NULL }

/* -ENOENT with a text that says what was looked for, and a hint; -errno of opening the named one. */
int kernel_find(const struct kernel_search *s, struct kernel_found *ret);
void kernel_found_deinit(struct kernel_found *k);
#define _cleanup_kernel_found_ __attribute__((cleanup(kernel_found_deinit)))

/*
 * The release of the kernel file behind fd: from the setup header of a bzImage, or from the text "Linux version RELEASE"
 * that every vmlinux has. malloc'ed; NULL when it has neither, with 0. -errno with a text.
 */
int kernel_release(int fd, char **ret);
