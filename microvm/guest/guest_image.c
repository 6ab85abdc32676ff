/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_image.h. */
#include "microvm/guest/guest_image.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "microvm/guest/description.h"
#include "runtime/base/err.h"

/* The driver finds its disks as it is loaded; its node is there a moment later. */
#define DISK_TRIES 500
#define CLOSE_TRIES 100

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

int guest_image_mount(const struct guest_image *image)
{
	for (int i = 0; i < DISK_TRIES && access(image->device, F_OK) < 0; i++)
		pause_ms(2);
	if (mkdir(IMAGE_MOUNT, 0755) < 0)
		return ERR(-errno, "cannot make \"%s\" in the guest", IMAGE_MOUNT);
	if (mount(image->device, IMAGE_MOUNT, image->type, image->read_only ? MS_RDONLY : 0, NULL) < 0)
		return ERR(-errno, "cannot mount the image (%s) in the guest", image->type);
	return 0;
}

/*
 * The file system itself becomes read-only, whatever other mounts of it a namespace that is about to go still has; to unmount
 * ours would then do nothing. EBUSY: a file that is open for writing, of a process on its way out.
 */
void guest_image_close(void)
{
	for (int i = 0; i < CLOSE_TRIES; i++) {
		if (mount(NULL, IMAGE_MOUNT, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0 || errno != EBUSY)
			break;
		pause_ms(10);
	}
	(void)umount2(IMAGE_MOUNT, MNT_DETACH);
}
