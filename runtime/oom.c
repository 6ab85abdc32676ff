/* SPDX-License-Identifier: Apache-2.0 */
/* See oom.h. */
#include "runtime/oom.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/backend.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/proc.h"
#include "runtime/base/size.h"

#define REASON_MAX 192

/* True with a reason when a process of the container was killed. No text is left of what fails here. */
static bool find_reason(struct instance *i, char reason[REASON_MAX])
{
	struct cgroup_oom oom = { .kills = 0 };
	char limit[SIZE_TEXT_MAX];

	if (i->ops != NULL && i->ops->oom(i, &oom) < 0)
		err_clear();
	if (oom.kills == 0)
		return false;
	size_text(oom.limit, " ", limit);
	/* Killed without its own limit having been reached: somebody further up ran out of memory. */
	if (oom.ooms > 0 && oom.limit != CGROUP_UNLIMITED)
		snprintf(reason, REASON_MAX, "killed because it was out of memory: the limit of %s (memory.max) was reached",
			 limit);
	else
		snprintf(reason, REASON_MAX, "killed because %s", i->ops->out_of_memory);
	return true;
}

bool oom_killed(struct instance *i)
{
	char reason[REASON_MAX];

	return find_reason(i, reason);
}

void oom_tell(struct instance *i)
{
	char reason[REASON_MAX], text[REASON_MAX + 300];

	if (!find_reason(i, reason))
		return;
	snprintf(text, sizeof(text), "container \"%s\": %s", i->c->id, reason);
	log_fatal(text, "");
}

/* The end of the handshake (EPIPE) is the end of the process: it closes its socket only so, or by execve(2). */
static bool process_gone(const struct instance *i, int r)
{
	if (r == -EPIPE)
		return true;
	if (i->c->state.pid == 0)
		return false;
	return i->pidfd >= 0 ? proc_killed(i->pidfd) : !proc_alive(i->c->state.pid, i->c->state.pid_seen);
}

int oom_explain(struct instance *i, int r)
{
	char text[ERR_TEXT_MAX], hint[ERR_TEXT_MAX], reason[REASON_MAX];

	if (r >= 0 || !process_gone(i, r))
		return r;
	memcpy(text, err_text(), strlen(err_text()) + 1);
	memcpy(hint, err_hint_text(), strlen(err_hint_text()) + 1);
	if (find_reason(i, reason))
		ERR_PLAIN(r, "%s%s%s", text, text[0] != '\0' ? ": " : "", reason);
	else
		ERR_PLAIN(r, "%s", text);
	return hint[0] != '\0' ? ERR_HINT(r, "%s", hint) : r;
}
