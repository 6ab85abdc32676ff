/* SPDX-License-Identifier: Apache-2.0 */
/* A contiguous piece of guest memory that the monitor can write to before the guest runs. */
#pragma once

#include <stdint.h>

struct guest_window {
	uint8_t *host;		/* where it is mapped here; never owned by who is given a window */
	uint64_t addr, size;	/* guest physical, in bytes */
};
