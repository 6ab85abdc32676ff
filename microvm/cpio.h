/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of cpio archives in the format "newc", which is what the kernel unpacks as its initramfs (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root and has the time 0: the same
 * content gives the same bytes.
 *
 * Names are relative ("bin/init"): no "/" at the start or the end, no component that is empty, "." or "..". A directory
 * is added before what is in it, because the kernel makes none by itself.
 *
 * Each cpio_add_* gives 0 or -EINVAL, -ENAMETOOLONG, -EFBIG with a text, and then has added nothing. Lack of memory is
 * kept by the buffer and told by cpio_finish().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/str.h"

/* Far below PATH_MAX, at which the kernel drops an entry without a word. */
#define CPIO_NAME_MAX 1023

struct cpio {
	struct buf *out;	/* the caller's */
	size_t start;		/* where in it the archive begins */
	uint32_t entries;
};

/* Starts an archive at the end of out, padded to a multiple of 4 bytes: the kernel takes several behind each other. */
void cpio_init(struct cpio *c, struct buf *out);

/* mode: permissions only (07777). */
int cpio_add_directory(struct cpio *c, const char *name, mode_t mode);
int cpio_add_file(struct cpio *c, const char *name, mode_t mode, const void *data, size_t size);
/* target: any text of 1 to CPIO_NAME_MAX characters. */
int cpio_add_symlink(struct cpio *c, const char *name, const char *target);
int cpio_add_char_device(struct cpio *c, const char *name, mode_t mode, unsigned int major, unsigned int minor);

/* The trailer. -ENOMEM with a text when anything of the archive did not get into the buffer. */
int cpio_finish(struct cpio *c);
