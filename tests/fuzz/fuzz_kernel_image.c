/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel file of anybody's making. What is accepted has to keep what kernel_image.h promises. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "microvm/kernel_find.h"
#include "microvm/kernel_image.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kernel_room room = { 1U << 20, 1U << 30 };

static void check_segments(const struct kernel_image *k, size_t size)
{
	int entries = 0;

	for (size_t i = 0; i < k->n_segments; i++) {
		const struct kernel_segment *s = &k->segments[i];

		if (s->file_offset > size || s->file_size > size - s->file_offset || s->file_size > s->memory_size)
			__builtin_trap();
		if (s->guest_addr < room.start || s->guest_addr > room.end || s->memory_size > room.end - s->guest_addr ||
		    s->guest_addr + s->memory_size > k->memory_end)
			__builtin_trap();
		for (size_t j = 0; j < i; j++)
			if (s->guest_addr < k->segments[j].guest_addr + k->segments[j].memory_size &&
			    k->segments[j].guest_addr < s->guest_addr + s->memory_size)
				__builtin_trap();
		entries += k->entry >= s->guest_addr && k->entry - s->guest_addr < s->file_size ? 1 : 0;
	}
	if (entries != 1)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("kernel", MFD_CLOEXEC);
	_cleanup_free_ char *release = NULL;
	struct kernel_image k;

	if (fd < 0 || fd_write_all(fd, data, size) < 0)
		return 0;
	if (kernel_image_read(fd, &room, &k) == 0)
		check_segments(&k, size);
	if (kernel_release(fd, &release) == 0 && release != NULL && (*release == '\0' || *release == '.' || strchr(release, '/') != NULL))
		__builtin_trap();
	return 0;
}
