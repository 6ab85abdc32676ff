/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one container, in its own directory ROOT/ID (0700):
 *
 *   state.json     this record, versioned, replaced atomically
 *   config.json    the bundle's, as it was at create (what changes later has no effect);
 *                  read again only by exec's flag form
 *   seccomp.bpf    the compiled filter, for exec
 *   start.sock     the waiting init's socket; `start` speaks to it
 *   waiting        empty; locked (flock) by the init as long as it has not run the user's
 *                  process: the kernel drops the lock at execve or death, so the status is
 *                  true whoever was killed when. A file of its own, because a container with
 *                  CAP_SYS_PTRACE can open it anew, for writing, through /proc/1/fd
 *
 * A first record (status creating, no pid) is written before anything outside this
 * directory is touched, so that `delete --force` can undo a create that was killed.
 * The directory itself is locked (flock) by whoever changes the container.
 *
 * Beside the containers is ROOT/.seccomp, the filters that were compiled for them (seccomp/README.md). No ID
 * begins with a dot.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/plan.h"

struct arena;
struct json_writer;

#define STATE_FILE "state.json"
#define STATE_CONFIG "config.json"
#define STATE_SECCOMP "seccomp.bpf"
#define STATE_WAITING "waiting"
#define STATE_SOCKET "start.sock"

/* In ROOT. */
#define STATE_FILTERS ".seccomp"

enum container_status {
	STATUS_CREATING,
	STATUS_CREATED,
	STATUS_RUNNING,
	STATUS_PAUSED,
	STATUS_STOPPED,
};

const char *status_name(enum container_status s);

/* One that was added while it ran. */
struct state_mount {
	const char *target;	/* as path_clean() gives it */
	uint64_t id;		/* the back end's: mount_id() */
};

struct state {
	const char *id, *bundle, *rootfs, *oci_version;
	const char *created;		/* RFC 3339 with nanoseconds */
	const char *owner;		/* user name, or number */
	const char *isolation;		/* the back end's name: "container" */
	pid_t pid;			/* 0: not made yet */
	uint64_t pid_seen;		/* clock_boot_ticks() when it was alive: a later process of this pid is not it */
	pid_t creator;			/* who is creating it, while status is creating */
	uint64_t creator_seen;
	const char *cgroup_path;	/* NULL: none */
	size_t cgroup_created_from;
	const char *cgroup_slice, *cgroup_unit;	/* NULL: not systemd's; the path is known once the scope is there */
	bool cgroup_user;		/* of the user's systemd */
	/*
	 * false while creating: the cgroup may be ours or, if that create was refused, somebody
	 * else's. Then it is removed when empty, and nothing in it is killed.
	 */
	bool cgroup_owned;
	const char *resctrl_group;	/* struct resctrl_req's; NULL: linux.intelRdt is not there */
	unsigned int resctrl_made;	/* RESCTRL_MADE_*: what goes with the container */
	bool resctrl_monitor;		/* its processes belong into its monitoring group */
	unsigned int ns_flags;		/* CLONE_NEW* that differ from the host's: exec joins them */
	bool has_process;
	uint64_t root_mount;		/* host_root_open()'s id of the mount at rootfs; 0: the container has a mount namespace, or no mounts */
	const char *keyring;		/* name of its session keyring, which exec joins; with a part that cannot be guessed. NULL: the caller's */
	bool has_personality;		/* linux.personality, for exec */
	uint32_t personality;		/* personality(2) */
	bool has_memory_policy;		/* linux.memoryPolicy, for exec */
	int memory_policy;		/* struct memory_policy_req's mode_bits */
	const char *memory_nodes;	/* NULL: none */
	const char *seccomp_listener;	/* a socket's path, when the filter has a listener; else NULL */
	const char *seccomp_metadata;	/* for it, NULL: none */
	struct plan_hooks hooks[HOOK_KINDS];	/* poststart and poststop only */
	const struct plan_kv *annotations;
	size_t n_annotations;
	const struct state_mount *mounts;	/* in the order in which they came */
	size_t n_mounts;
};

/* A container's directory, open and, when asked for, locked; and its record. */
struct container {
	struct arena *arena;
	int root_dir;			/* the directory of all containers */
	int dir;			/* this one's, FD_NONE when not open */
	char id[256];
	struct state state;
	bool has_state;			/* false: the directory is there, the record is not (yet) */
};

#define CONTAINER_NULL { .arena = NULL, .root_dir = FD_NONE, .dir = FD_NONE }

/* The value of an annotation, NULL if absent. */
const char *state_annotation(const struct state *s, const char *key);

/* [A-Za-z0-9_+-][A-Za-z0-9_+.-]*, at most 255 bytes. */
int container_check_id(const char *id);

/* Makes (or finds) the root directory: 0700. */
int state_open_root(const char *path, bool create, int *ret_fd);

struct container_ids {
	char **v;
	size_t n;
};

/* The names of all containers below root, sorted; none when there is no such directory. */
int container_list(const char *root, struct container_ids *ret_ids);
void container_ids_deinit(struct container_ids *ids);
#define _cleanup_container_ids_ __attribute__((cleanup(container_ids_deinit)))

/*
 * Makes the directory of a new container, locked. -EEXIST with the text
 * `container with id "X" already exists`: of eight racing creates one wins, mkdir(2) decides.
 */
int container_new(const char *root, const char *id, struct container *c);

/*
 * Opens an existing one and reads its record, without lock. -ENOENT with
 * `container "X" does not exist`.
 */
int container_open(const char *root, const char *id, struct container *c);

/* Takes the lock; wait: until the holder lets go, else -EWOULDBLOCK. Reads the record again. */
int container_lock(struct container *c, bool wait);

/* Reads the record again, without lock. -ENOENT with a text: it was removed meanwhile. */
int container_reload(struct container *c);

/* Lets others at it, the directory stays open. */
void container_unlock(struct container *c);

/* Takes the lock, waiting, if the container still exists (-ENOENT, no text); the record is not read again. */
int container_lock_existing(struct container *c);

/* Writes the record. */
int container_save(struct container *c);

/* Removes the directory and its files; the name is free afterwards. */
int container_remove(struct container *c);

void container_deinit(struct container *c);
#define _cleanup_container_ __attribute__((cleanup(container_deinit)))

/*
 * The status now, from the kernel's own facts (process, lock, freezer). frozen: what the
 * cgroup says. *ret_pid is 0 when stopped. Without a pid in the record and with nobody at work on it, it
 * is stopped, if the record is still that one: see container_reload().
 */
enum container_status container_status(const struct container *c, bool frozen, pid_t *ret_pid);

#define STATE_WRITE_EXTRA 1U		/* rootfs, created, owner, too */
#define STATE_WRITE_OOM_KILLED 2U	/* "oomKilled": true */

/* The state object of the specification (hooks' stdin, `state`), into w. */
void state_write_oci(struct json_writer *w, const struct state *s, enum container_status status, pid_t pid,
		     unsigned int flags);
