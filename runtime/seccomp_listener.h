/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime-spec config-linux.md "listenerPath": the agent that answers the calls a filter hands to
 * it (SCMP_ACT_NOTIFY). The runtime speaks to it, never the container's process: the path is
 * one of the runtime's own mount namespace. How the descriptor gets to the runtime: child_seccomp.c.
 */
#pragma once

#include <sys/types.h>

#include "runtime/state.h"

/* Is there a socket at path? An early word for `create`; connecting alone can prove it. */
int seccomp_listener_check(const char *path);
/* *ret_sock: FD_NONE when s has no listener. */
int seccomp_listener_connect(const struct state *s, int *ret_sock);
/*
 * The one message of this connection: the container process state, with fd. pid is the filtered process, as we
 * see it; status is the container's.
 */
int seccomp_listener_send(int sock, const struct state *s, enum container_status status, pid_t pid, int fd);
