/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiofsd, the file server behind a virtio-fs device (vhost-user): which program, with which options. There are two of
 * that name: one in C that came with QEMU up to 7.2 (Debian 12), and one in Rust (Debian 13). Nothing is run here.
 */
#pragma once

#include <stddef.h>

struct arena;

enum virtiofsd_kind { VIRTIOFSD_C, VIRTIOFSD_RUST };

struct virtiofsd_program {
	const char *path;
	enum virtiofsd_kind kind;
};

/*
 * configured: the path that a person chose, or NULL: where distributions have it. The kind is told from the
 * path: the C program stands in a folder named "qemu". -ENOENT with a text and a hint.
 */
int virtiofsd_find(const char *configured, struct virtiofsd_program *ret);

/*
 * The arguments, NULL-terminated, in a: serves dir to whoever connects to the listening socket fd, once, in mount, pid and
 * network namespaces of its own with dir as the root. -ENOMEM.
 */
int virtiofsd_arguments(struct arena *a, const struct virtiofsd_program *p, const char *dir, int fd,
			const char *const **ret_argv);
