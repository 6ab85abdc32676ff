/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of made initramfs archives. Private to microvm/initramfs*.c. */
#pragma once

#include <stddef.h>

/* How many archives are kept; the oldest go. */
#define INITRAMFS_CACHE_FILES 16

/*
 * Opens the folder, which is made (0700) when only it is missing. FD_NONE, with 0: it is not there and cannot be made. -EPERM with
 * a text: it is not ours alone, so what is in it cannot be believed.
 */
int initramfs_cache_open(const char *path, int *ret_dir);

/* A descriptor of the archive of that name. FD_NONE: there is none that can be believed; what is there of that name is removed. */
int initramfs_cache_find(int dir, const char *name);

/* Puts it there, whole or not at all, also when the power fails. -errno, no text. */
int initramfs_cache_add(int dir, const char *name, const void *data, size_t len);
