/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which module files a guest needs, and in which order they are loaded: answered from the index files that depmod(8)
 * leaves beside a kernel's modules, modules.dep(5) and modules.builtin.
 *
 * A module's name is its file's name without folder and ".ko", ".ko.xz", ".ko.zst" or ".ko.gz"; '-' and '_' are the same
 * letter in it. modules.builtin lists only what could have been a module: "ext4", but not "tmpfs".
 */
#pragma once

#include <stddef.h>

#define MODULES_TEXT_MAX (16U << 20)	/* Debian's generic kernel: about 500 KiB */
#define MODULES_NAME_MAX 127
#define MODULES_FILES_MAX 512		/* in one answer */
#define MODULES_DEPTH_MAX 64		/* of modules that need each other */

struct modules_index {
	const char *dep;		/* the text of modules.dep; no NUL at its end is needed */
	size_t dep_size;
	const char *builtin;		/* the text of modules.builtin; may be NULL, with size 0 */
	size_t builtin_size;
};

/* Paths as modules.dep has them: below the folder of modules.dep, unless one begins with '/'. */
struct module_files {
	char **paths;
	size_t n;
};

/*
 * The files for the n wanted modules, each once, after everything that it needs; in the order wanted as far as that
 * allows. A module that is built into the kernel needs no file. -ENOENT (a module is neither there nor built in), -ELOOP,
 * -EINVAL (the text is none of depmod's), -E2BIG or -ENOMEM, with a text. *ret_files is the caller's to end.
 */
int modules_resolve(const struct modules_index *index, const char *const *wanted, size_t n, struct module_files *ret_files);

/* Also of one that is all 0. */
void module_files_deinit(struct module_files *files);
#define _cleanup_module_files_ __attribute__((cleanup(module_files_deinit)))
