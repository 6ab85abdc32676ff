/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: which to create, which to join, and the one clone3(2) that makes the
 * container's first process.
 *
 * Theory of operation. The process is a direct child of the runtime, so that it
 * reparents to the engine when the runtime exits. One clone3 creates all new
 * namespaces but two: the cgroup namespace (its root would be the runtime's cgroup,
 * so the child unshares it once it is in its own), and a time namespace with offsets
 * (ns_own_time()).
 * Joins of the simple kind are the child's first work.
 *
 * A stage process stands between only where the kernel wants one: to join a pid
 * namespace (setns changes children only), to join a user namespace before creating
 * others that it must own, to join other namespaces with the host's privileges while
 * a new user namespace is being made, and, without a new user namespace, to write
 * time offsets before their first member exists. It shares memory and files with the runtime (vfork-like), makes the
 * child with CLONE_PARENT and is gone before ns_spawn() returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ns_join {
	unsigned int flag;	/* CLONE_NEW* */
	int fd;
};

struct ns_time_offset {
	bool present;
	int64_t secs;
	uint32_t nanosecs;
};

struct ns_req {
	unsigned int create;	/* CLONE_NEW* of the namespaces to make */
	struct ns_join join[8];
	size_t n_join;
	struct ns_time_offset monotonic, boottime;
};

/* "pid" -> CLONE_NEWPID and back; 0 / NULL for what is none. The eight of runtime-spec. */
unsigned int ns_flag(const char *type);
const char *ns_name(unsigned int flag);
size_t ns_count(void);
unsigned int ns_flag_at(size_t i);

/*
 * Can the calling process make one? Tried in a process that ends at once, without root inside a user namespace. 0 or -errno,
 * no text.
 */
int ns_try(unsigned int flag);

/* Opens path and checks that it is a namespace of this kind (NS_GET_NSTYPE). */
int ns_open(const char *path, unsigned int flag, int *ret_fd);

/* Does the namespace fd is the calling process' own? For rules such as "hostname needs its own uts namespace". */
int ns_is_own(int fd, unsigned int flag, bool *ret_own);

/* The same, or that of process 1, which is the host's also for who runs in another one. */
int ns_is_hosts(int fd, unsigned int flag, bool *ret_hosts);

/*
 * The host name that a uts namespace has: into buf. By entering it and coming back, so the caller has one thread, and needs CAP_SYS_ADMIN
 * there and here.
 */
int ns_hostname(int fd, char *buf, size_t size);

/*
 * Makes the child, which runs fn(arg) in a copy of this process and never returns.
 * cgroup_fd: CLONE_INTO_CGROUP, or negative. *ret_pid is the pid in the caller's namespace.
 */
int ns_spawn(const struct ns_req *req, int cgroup_fd, int (*fn)(void *arg), void *arg, pid_t *ret_pid, int *ret_pidfd);

/*
 * For a process that stands between (exec's stage): makes a child of its parent, a sibling,
 * with all it has itself. Who must reap it is the parent, so the pid is told by a page of memory that both
 * share: the kernel writes it (as the caller's pid namespace counts) before the sibling runs and whether or
 * not the caller lives on. The sibling, which others may write to, does not have the page.
 */
struct ns_sibling;
int ns_sibling_new(struct ns_sibling **ret_s);
void ns_sibling_free(struct ns_sibling *s);
/* 0: there is none (yet). */
pid_t ns_sibling_pid(const struct ns_sibling *s);
int ns_spawn_sibling(int (*fn)(void *arg), void *arg, struct ns_sibling *s);

/*
 * A time namespace with offsets that comes with a new user namespace: made by the child, in that user namespace, so that it
 * belongs to it as the other namespaces do, and who joins that may join it. First, before it asks for its id maps; then the
 * runtime writes the offsets, as it writes the maps; ns_enter() enters it. Nothing when req has no such namespace.
 */
int ns_own_time(const struct ns_req *req);
int ns_own_time_offsets(const struct ns_req *req, pid_t pid);

/* In the child, first: joins what ns_spawn() left to it, then makes the new cgroup namespace. */
int ns_enter(const struct ns_req *req);

/* exec: joins the namespaces flags (bits CLONE_NEW*) of the process behind pidfd, by one setns(2) (5.8). */
int ns_join_pidfd(int pidfd, unsigned int flags);
