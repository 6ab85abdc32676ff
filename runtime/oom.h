/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Naming the out-of-memory killer: who is killed cannot say why, and "killed" or "ended unexpectedly" are
 * riddles. Asked only when something failed already: it costs nothing as long as nothing does.
 */
#pragma once

#include <stdbool.h>

struct instance;

/* What a shell's status is after SIGKILL, which is how the out-of-memory killer ends a process. */
#define OOM_STATUS 137

/* Has a process of it been killed so? False when nothing counts that. */
bool oom_killed(struct instance *i);

/* A container that has ended with OOM_STATUS: one sentence on standard error and in the log, if that was why. */
void oom_tell(struct instance *i);

/*
 * A step on a container gave r. If that is a failure (with a text), the container's process is gone, and was killed
 * for lack of memory, the text says so, too. Gives r.
 */
int oom_explain(struct instance *i, int r);
