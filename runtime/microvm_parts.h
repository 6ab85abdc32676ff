/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the microVM back end share. Private to them. */
#pragma once

#include "runtime/backend.h"

#define MICROVM_OOM_FILE "vm.oom"
/* Why the machine ended before the container's process did: one line; empty as long as there is no such reason. */
#define MICROVM_FAILURE_FILE "vm.failure"
/* A link to the network namespace that was there before and stays, from which the taps' redirects are removed at the end. */
#define MICROVM_NETWORK_LINK "vm.network"

/* Of struct backend_ops. */
int microvm_check(const struct plan *p);
int microvm_create(struct instance *i, const struct launch *l);
int microvm_exec(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync);
int microvm_exec_start(struct instance *i, int sync, pid_t pid);

/*
 * Until there is something to read in fd. A guest takes seconds, or hangs, and who has a foreground command's signals held back
 * has to be able to give it up: a signal that would have ended the command ends the wait, with -EINTR and a text that has what.
 */
int microvm_wait(const struct instance *i, int fd, const char *what);

/*
 * fn(arg) in a process of its own, which may enter what namespaces it likes. Its result, with its text; -EIO, "cannot WHAT": it ended without one.
 */
int microvm_in_child(int (*fn)(void *arg), void *arg, const char *what);

/*
 * start: what is in the container's network namespace by now goes to the network cards that wait for it, at most so many. *ret_text: the
 * description for the guest (net_wire.h), malloc'ed. -errno with text; -ENOTSUP: there are more interfaces.
 */
int microvm_late_network(struct instance *i, size_t spares, char **ret_text, size_t *ret_len);

/*
 * update of the memory limit. Before it goes down the guest gives memory away, and that is waited for: the host's limit would end
 * the monitor otherwise. After an error all is as it was. host: its limits, memory among them.
 */
int microvm_update_memory(struct instance *i, const struct update_req *host);

/*
 * Of the limits, those that hold for the machine as a whole, on the host; the guest has the rest (processes, devices,
 * huge pages), which count what only the guest knows.
 */
struct cgroup_resources microvm_host_resources(struct arena *a, const struct cgroup_resources *r);

/* The guest's part as a resources object; malloc'ed, NULL without memory. *ret_any: there is something in it. */
char *microvm_guest_resources(const struct update_req *u, size_t *ret_len, bool *ret_any);
