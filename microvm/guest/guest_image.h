/* SPDX-License-Identifier: Apache-2.0 */
/* The disk with the container's root file system. */
#pragma once

struct guest_image;

/* On IMAGE_MOUNT. -ENODEV (no such disk, or the kernel does not know the file system), -errno, with text. */
int guest_image_mount(const struct guest_image *image);

/*
 * When all that ran in the container has ended: everything is on the disk, and the file system is marked as clean, so that
 * the host or the next machine has nothing to repair. Best effort, for a second; whoever is left is not waited for.
 */
void guest_image_close(void);
