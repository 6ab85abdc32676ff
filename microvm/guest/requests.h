/* SPDX-License-Identifier: Apache-2.0 */
/* What the host asks for, done by the container back end, in jobs. */
#pragma once

#include <stdint.h>

#include "microvm/guest/job.h"

#define GUEST_STATE "/run/nacre"	/* the container's record, as on a host */
#define GUEST_BUNDLE "/run/bundle"

/* NULL: not a job's. */
job_work *request_work(uint16_t type);

/* Until everything is on the host's disk; the answer is CHANNEL_OOM's. */
int request_finish(const struct job_call *c, struct buf *answer);
