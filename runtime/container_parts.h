/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the container back end share. Private to them. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/backend.h"
#include "runtime/base/sync.h"

struct child_process;
struct ns_req;
struct sockaddr_un;
struct userns_req;

/* What this kernel lacks of linux.seccomp, and whether its listener is there. */
int container_check_seccomp(const struct plan *p);
/* i->host: where cgroup2 is mounted; asked once. */
int container_use_host(struct instance *i);
/* The container's cgroup, or a sub-cgroup of it; *ret_fd is FD_NONE when it has none. */
int container_open_cgroup(struct instance *i, const char *sub, int *ret_fd);
/* Of its systemd unit; with the time in nanoseconds, so that it is like no other. malloc'ed. */
char *container_scope_description(const struct state *s);
/*
 * The cgroup of p, with its limits and device rules, noted in the record and open in i->cgroup; nothing when p has none.
 * i->holder: see cgroup_scope_start(). *ret_dir: its path on the host, malloc'ed, NULL before.
 */
int container_make_cgroup(struct instance *i, const struct plan *p, char **ret_dir);
/* The first process is in the cgroup, alone from now on; what limit had to wait for that holds now. Nothing without a holder. */
int container_release_holder(struct instance *i, const struct plan *p);
/*
 * linux.intelRdt, of a container or of a microVM's whole machine: its groups, noted in the record; its first process and with it
 * those that it makes; away with what was made. Nothing when it has no such group.
 */
int container_make_resctrl(struct instance *i, const struct plan *p);
int container_join_resctrl(const struct instance *i, pid_t pid);
/* Other schemata, NULL: as they are; *ret_before, malloc'ed, is for the way back, NULL when nothing has changed. */
int container_update_resctrl(const struct instance *i, const char *l3, const char *mem_bw, char **ret_before);
void container_restore_resctrl(const struct instance *i, const char *before);
int container_remove_resctrl(const struct instance *i);
/* NEED_DEVICES: linux.netDevices move into its network namespace, then DEVICES_DONE. */
int container_move_devices(struct instance *i);
/*
 * What the first process asks for on its way (sync.h), and then that it is done: NEED_MAPS of ids, NEED_DEVICES, NEED_HOOKS of prestart and
 * createRuntime. ns: what it was born with. -EPIPE with text for another stage: it ended.
 */
int container_answer(struct instance *i, enum sync_stage stage, const struct userns_req *ids, const struct ns_req *ns);
/* i->cgroup; -ENOTSUP when it has none, -ENOENT when it is gone. */
int container_use_cgroup(struct instance *i);
/* i->pidfd: the container's first process; -ESRCH with the words engines look for. */
int container_use_pidfd(struct instance *i);
/* A process of ours in the container's cgroup, or a sub-cgroup of it, which runs fn(arg) in a copy of this process. */
int container_spawn_inside(struct instance *i, const char *sub, int (*fn)(void *arg), void *arg, int *ret_pidfd);
/* Which signals our caller ignores, for the child to reset. */
int container_read_ignored(struct child_process *c);
/* What has to be set from outside: the child may lack the right in its user namespace. */
int container_set_from_outside(const struct process_req *p, pid_t pid);
/*
 * START by sync, then until the process has really been executed, or why it was not. Meanwhile the listener of its
 * filter, if it has one, goes where s says, as that of process pid; status is the container's, for there.
 */
int container_let_go(const struct state *s, enum container_status status, pid_t pid, int sync);
/* STATE_SOCKET below the state directory's fd. */
void container_socket_address(int dir, struct sockaddr_un *a);

/* Of struct backend_ops. */
int container_create(struct instance *i, const struct launch *l);
int container_exec(struct instance *i, const struct exec_launch *l, pid_t *ret_pid, int *ret_pidfd, int *ret_sync);
int container_stats(struct instance *i, struct cgroup_stats *ret);
int container_oom(struct instance *i, struct cgroup_oom *ret);
int container_watch(struct instance *i, struct backend_watch *ret);
int container_watch_oom(const struct backend_watch *w, struct cgroup_oom *ret);
int container_add_mounts(struct instance *i, const struct plan *p, uint64_t *ids);
int container_remove_mount(struct instance *i, const char *target, uint64_t id, bool lazy);
int container_exec_start(struct instance *i, int sync, pid_t pid);
