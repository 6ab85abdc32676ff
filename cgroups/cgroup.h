/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup v2 by the file system: create, enter (by CLONE_INTO_CGROUP on the fd
 * handed out), freeze, kill, remove. On a hybrid host the v2 tree that is mounted
 * is used (freezer, cgroup.kill, devices and pressure work there without
 * controllers). v1 is never touched.
 *
 * No function here sleeps and polls: waiting is poll(2) on cgroup.events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum cgroup_mode { CGROUP_NONE, CGROUP_UNIFIED, CGROUP_HYBRID };

struct cgroup_host {
	enum cgroup_mode mode;
	char mount[256];	/* where cgroup2 is mounted ("" if nowhere) */
};

/*
 * Looks at /sys/fs/cgroup, then /sys/fs/cgroup/unified (statfs magic), then, only
 * when neither is cgroup2, at /proc/self/mountinfo.
 */
int cgroup_host_probe(struct cgroup_host *ret_host);

/*
 * Creates the cgroup `path` (absolute below the mount, no "..", checked) with the
 * ancestors that are missing, and opens it (O_DIRECTORY|O_CLOEXEC, usable for
 * CLONE_INTO_CGROUP). On the way down the usual controllers are handed down, as far as they are there and that is allowed.
 * *ret_created_from: length of the prefix of path that existed
 * before, so that cgroup_remove() takes away what was made and no more.
 * A cgroup that exists and has processes, or is frozen (an ancestor's freezing counts): -EBUSY.
 * One of type "threaded" or "domain invalid": -EOPNOTSUPP. An empty one is taken as it is. A race
 * with another remover of an empty ancestor is retried. -EROFS/-EACCES/… from mkdir with a text.
 * After a failure nothing that was made is left.
 *
 * Paths, here and below: "a/b" is "/a/b"; empty components and "." are passed over; "..", a line
 * break or the root itself: -EINVAL. No symlink is followed. No cgroup2 mounted: -EOPNOTSUPP.
 */
int cgroup_create(const struct cgroup_host *host, const char *path, int *ret_fd, size_t *ret_created_from);

/* Opens an existing one; -ENOENT when it is gone. */
int cgroup_open(const struct cgroup_host *host, const char *path, int *ret_fd);

/*
 * The cgroup of a process: malloc'ed, below the cgroup2 mount, as our cgroup namespace shows it. -ENOENT when the
 * kernel tells none (no cgroup2, or one that was removed); other errors of reading /proc.
 */
int cgroup_of(pid_t pid, char **ret_path);

/*
 * runtime-spec "Cgroup ownership": the directory and the files that /sys/kernel/cgroup/delegate names become uid's, who
 * then may make sub-cgroups and move processes; the limits stay ours.
 */
int cgroup_delegate(int cgroup_fd, uid_t uid);

/* Writes pid to cgroup.procs; for kernels or situations without CLONE_INTO_CGROUP. */
int cgroup_attach(int cgroup_fd, pid_t pid);

/*
 * cgroup.freeze, and waits until cgroup.events says so; timeout_ms < 0: for ever. -ETIMEDOUT: the
 * freezing was taken back; or, thawing (never waits longer than a second), an ancestor is frozen.
 */
int cgroup_freeze(int cgroup_fd, bool freeze, int timeout_ms);
/* Is cgroup.events "frozen 1"? */
int cgroup_frozen(int cgroup_fd, bool *ret_frozen);

/* -EBUSY with its text, by the cgroup's path, if what comes into it does not run. */
int cgroup_refuse_frozen(int cgroup_fd, const char *path);

/* cgroup.kill (5.14): SIGKILL to all, sub-cgroups included. */
int cgroup_kill(int cgroup_fd);
/*
 * Sends sig to each process of the tree, by pidfd, until a pass finds no new one; SIGKILL is
 * cgroup_kill(). The first one that may not be signalled is reported after all others got theirs.
 */
int cgroup_signal_all(int cgroup_fd, int sig);
/* Waits until cgroup.events says "populated 0", or the cgroup is gone. -ETIMEDOUT. */
int cgroup_wait_empty(int cgroup_fd, int timeout_ms);

/* All pids of the tree (host view), ascending, each once; malloc'ed, NULL when there is none. */
int cgroup_pids(int cgroup_fd, pid_t **ret_pids, size_t *ret_n);

/*
 * Removes the cgroup, its sub-cgroups and those ancestors of path longer than
 * created_from bytes that are empty. The cgroup itself goes even if it existed before. What is gone
 * already is no error. Processes that were killed are given half a second to end; -EBUSY when some stay,
 * and then nothing was removed.
 */
int cgroup_remove(const struct cgroup_host *host, const char *path, size_t created_from);

/* The short way for one that is open, empty, has no sub-cgroups and whose parent was there before. -errno, no text. */
int cgroup_remove_leaf(int cgroup_fd, const char *path, size_t created_from);

/*
 * runtime-spec linux.resources.devices: ordered rules, the last match wins, for each access (r, w, m) of
 * its own. Type 'a' is both kinds; with no numbers and "rwm" it is everything.
 */
struct cgroup_device_rule {
	bool allow;
	char type;		/* 'a', 'c', 'b' */
	long long major, minor;	/* -1: any */
	bool read, write, mknod;
};

/*
 * Attaches a BPF_PROG_TYPE_CGROUP_DEVICE program made of the rules in order (last
 * match wins; a device no rule names is denied), replacing any that nacre attached
 * before without a gap. n == 0: nothing is attached.
 */
int cgroup_devices_apply(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n);

/* The way back: the program that was in the place of the one attached last. */
struct cgroup_devices_undo {
	int before, now;	/* programs; before FD_NONE: there was none. now FD_NONE: nothing was attached */
};
#define CGROUP_DEVICES_UNDO_NULL { .before = -1, .now = -1 }

/* cgroup_devices_apply() with the way back, which cgroup_devices_end() ends, also when this fails. */
int cgroup_devices_replace(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n, struct cgroup_devices_undo *ret_undo);
/* back: puts the program from before in its place again, in one step, too. What fails is a warning. Releases *u. */
void cgroup_devices_end(int cgroup_fd, struct cgroup_devices_undo *u, bool back);

/* cgroup_devices_apply() for a cgroup that was made just now: there is none to look for. */
int cgroup_devices_first(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n);

/* Can this process load such programs here? 0, or -errno with a text. */
int cgroup_devices_probe(void);
