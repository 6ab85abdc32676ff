/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the container's processes of nacre, between clone3(2) and execve(2): the
 * init of create/run and the process of exec. It works on a copy of the runtime's
 * memory and on inherited fds, and speaks to the runtime by struct sync_msg only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "namespaces/ns.h"
#include "namespaces/process.h"
#include "runtime/plan.h"
#include "runtime/state.h"
#include "seccomp/seccomp.h"

struct child_handover;

/* The part that init and exec have in common. */
struct child_process {
	struct process_req *req;
	const struct seccomp_program *seccomp;	/* NULL: none */
	struct child_handover *handover;	/* child_seccomp.c's; NULL: the filter has no listener */
	const struct memory_policy_req *memory_policy;	/* NULL: as it is */
	const struct affinity_req *affinity;	/* of exec's processes; NULL: the kernel's choice */
	int sync;		/* our end */
	int console;		/* where the terminal's master goes, FD_NONE */
	int proc;		/* private procfs, FD_NONE when nothing needs it; closed by child_open_labels() */
	int apparmor, selinux;	/* files that take the labels, once opened */
	uint64_t ignored_signals;	/* what the caller of the runtime ignored: bit n-1 is signal n */
	int pts;		/* the terminal's slave, once opened */
	bool restore_nofile;	/* the runtime raised its limit of open files for the work; nofile is what it was */
	struct rlimit nofile;
	char *path;		/* what to execute, once found */
};

struct child_init {
	struct child_process p;
	const struct plan *plan;
	const struct state *state;	/* for hooks' stdin */
	const struct ns_req *ns;
	int rootfs;			/* detached tree, FD_NONE: open it here */
	const int *trees;		/* one for each of plan->mounts, FD_NONE: none or open it here */
	const int *nodes;		/* one for each of plan->devices, FD_NONE: made here */
	const char *cgroup_dir;		/* host path of the container's cgroup, NULL */
	int waiting;			/* locked as long as we wait */
	int listen;			/* start.sock, FD_NONE for run */
	int socket_file;		/* O_PATH of start.sock: its link count tells when the state directory goes */
};

struct child_exec {
	struct child_process p;
	struct ns_sibling *made;	/* tells the runtime which process the stage has made */
	int pidfd;			/* the container's init */
	unsigned int ns_flags;		/* to be joined */
	bool user_ns;
	const char *chroot;		/* without a mount namespace: the root file system, NULL otherwise */
	const char *keyring;		/* the container's session keyring, NULL: leave */
};

/* For ns_spawn(): arg is a struct child_init / child_exec. Gives the exit status. */
int child_init_main(void *arg);
/*
 * exec. A process that is born in the container's pid namespace can be looked into by a
 * process there with CAP_SYS_PTRACE (no user namespace between), from its first moment: then it
 * must have nothing of the host, neither fds nor root nor working directory. So a stage
 * process, seen by nobody inside, joins everything and closes everything first, and makes the
 * process then, as its sibling. It is made in the container's cgroup, so that its child is.
 */
int child_exec_stage(void *arg);

/*
 * mounts add, mounts remove: in the container's mount and user namespace, and in those that file systems are of (network, ipc,
 * cgroup); not in its pid namespace, where the container could see it. Ends with SYNC_READY, or an error when nothing has changed.
 */
struct child_mounts {
	int sync, pidfd, proc;		/* proc: procfs_open()'s */
	unsigned int ns_flags;		/* the container's own */
	/* add: */
	const struct plan *plan;	/* NULL: remove */
	int *trees;			/* one for each of plan->mounts, FD_NONE: none, or with open_trees to be opened here */
	bool open_trees;		/* as the user namespace's root, in a mount namespace made for that */
	uint64_t *ids;			/* shared with the runtime: one for each */
	/* remove: */
	const char *target;
	uint64_t id;
	bool lazy;
};
int child_mounts_main(void *arg);

#define CHILD_PROCESS_NULL                                                                                             \
	{ .sync = FD_NONE, .console = FD_NONE, .proc = FD_NONE, .apparmor = FD_NONE, .selinux = FD_NONE, .pts = FD_NONE }

/* child_process.c */
/*
 * First of all: the copy of the runtime's fds that clone3(2) made is closed but for those
 * named. From its first moment this process can be seen in the container's pid namespace, and a
 * container with CAP_SYS_PTRACE may walk through /proc/PID/fd into any directory that is open here.
 */
int child_close_fds(const struct child_process *c, const int *others, size_t n);
/* While the private procfs is there: the label files; then it is closed. */
int child_open_labels(struct child_process *c);
/* The labels for the next execve, of this process or of the one it makes. Then the files are closed. */
int child_set_labels(struct child_process *c);
int child_open_terminal(struct child_process *c, int root, bool bind_console);
int child_prepare(struct child_process *c);
/* child_seccomp.c: for a filter with a listener; before the scheduling policy and child_load_filter(). */
int child_prepare_filter(struct child_process *c);
/* The filter, if there is one; returns when the runtime has handed its listener on. */
int child_load_filter(struct child_process *c);
/*
 * In the process of a hook that is inside the container, before it is executed: identity, limits, personality and filter of the
 * container's process (data is its struct child_process). Of a filter with a listener nobody has this one's: what it would ask is ENOSYS.
 */
int child_enter_hook(const void *data);
/* Returns only when execve(2) failed. */
int child_execute(struct child_process *c);
