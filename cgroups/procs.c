/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a cgroup and its sub-cgroups: list, signal, kill. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/tree.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* 4 million pids (the kernel's most) of 8 bytes. */
#define PROCS_MAX (32U << 20)
/* pidfds held at once. */
#define SIGNAL_BATCH 32
/* Passes over a tree that keeps forking; SIGKILL, which must win, does not go this way. */
#define SIGNAL_PASSES 100

struct pids {
	pid_t *v;
	size_t n, cap;
};

static void pids_deinit(struct pids *p)
{
	free(p->v);
	*p = (struct pids){ NULL, 0, 0 };
}
#define _cleanup_pids_ __attribute__((cleanup(pids_deinit)))

static int pids_add(struct pids *p, pid_t pid)
{
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 64 : p->cap * 2;
		pid_t *v = reallocarray(p->v, cap, sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = pid;
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static bool pids_have(const struct pids *p, pid_t pid)
{
	return p->n > 0 && bsearch(&pid, p->v, p->n, sizeof(pid), compare_pids) != NULL;
}

/* The kernel may list a pid twice, and a process that moves is seen in two cgroups. */
static void pids_sort_unique(struct pids *p)
{
	size_t n = 0;

	if (p->n == 0)
		return;
	qsort(p->v, p->n, sizeof(p->v[0]), compare_pids);
	for (size_t i = 0; i < p->n; i++)
		if (n == 0 || p->v[n - 1] != p->v[i])
			p->v[n++] = p->v[i];
	p->n = n;
}

static int add_from_file(int fd, const char *file, struct pids *p)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;
	int r = file_read(fd, file, PROCS_MAX, &text, NULL);

	/* Removed since. */
	if (r == -ENOENT || r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	for (rest = text; r == 0 && (line = strsep(&rest, "\n")) != NULL;) {
		int64_t pid;

		/* 0 stands for a process outside our pid namespace: it has no number here. */
		if (parse_i64(line, 1, INT32_MAX, &pid) == 0)
			r = pids_add(p, (pid_t)pid);
	}
	return r;
}

static int add_procs(int fd, void *arg)
{
	int r = add_from_file(fd, "cgroup.procs", arg);

	/*
	 * A threaded sub-cgroup has no processes, only threads of processes that the
	 * list of the domain above it, which is in this tree, already names.
	 */
	return r == -EOPNOTSUPP ? 0 : r;
}

/* Sorted, each once. What is in p is the caller's to free, after a failure too. */
static int collect(int cgroup_fd, struct pids *p)
{
	static const struct cgroup_visit visit = { .enter = add_procs };
	int r = cgroup_tree_walk(cgroup_fd, &visit, p);

	/* Only when the top itself is threaded can this give anything: its threads are all there is to tell. */
	if (r == 0 && p->n == 0)
		r = add_from_file(cgroup_fd, "cgroup.threads", p);
	if (r < 0)
		return ERR(r, "cannot list the processes of the cgroup");
	pids_sort_unique(p);
	return 0;
}

int cgroup_pids(int cgroup_fd, pid_t **ret_pids, size_t *ret_n)
{
	struct pids p = { NULL, 0, 0 };
	int r = collect(cgroup_fd, &p);

	if (r < 0) {
		pids_deinit(&p);
		return r;
	}
	*ret_pids = p.v;
	*ret_n = p.n;
	return 0;
}

int cgroup_kill(int cgroup_fd)
{
	int r = file_write_value(cgroup_fd, "cgroup.kill", "1");

	if (r == -ENODEV)
		return 0;
	if (r == -ENOENT && faccessat(cgroup_fd, "cgroup.procs", F_OK, 0) < 0)
		return 0;
	if (r < 0)
		return ERR(r, "cannot kill the processes of the cgroup");
	return 0;
}

/*
 * A number read from cgroup.procs may be another process by the time it is used.
 * So the pidfds are opened first and the tree is listed again: a pid that is still
 * a member now, and whose pidfd is still alive when the signal is sent, was one
 * process all the time.
 */
static int signal_batch(int cgroup_fd, const pid_t *pids, size_t n, int sig)
{
	_cleanup_pids_ struct pids members = { NULL, 0, 0 };
	int fds[SIGNAL_BATCH];
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		fds[i] = pidfd_open(pids[i], 0);
		/* Ended since, or (the other two) a thread's number. */
		if (fds[i] < 0 && errno != ESRCH && errno != EINVAL && errno != ENOENT)
			r = ERR(-errno, "cannot open process %ld", (long)pids[i]);
	}
	if (r == 0)
		r = collect(cgroup_fd, &members);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		/* One that may not be signalled keeps no other from its signal. */
		if (pids_have(&members, pids[i]) && pidfd_send_signal(fds[i], sig, NULL, 0) < 0 && errno != ESRCH)
			r = ERR(-errno, "cannot send signal %d to process %ld", sig, (long)pids[i]);
		fd_close(&fds[i]);
	}
	return r;
}

/* Moves those of p that are not in seen to the front; their number. */
static size_t only_new(struct pids *p, const struct pids *seen)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!pids_have(seen, p->v[i]))
			p->v[n++] = p->v[i];
	return n;
}

int cgroup_signal_all(int cgroup_fd, int sig)
{
	_cleanup_pids_ struct pids seen = { NULL, 0, 0 };

	/* The kernel does this one against forks at the same time. */
	if (sig == SIGKILL)
		return cgroup_kill(cgroup_fd);
	for (int pass = 0; pass < SIGNAL_PASSES; pass++) {
		_cleanup_pids_ struct pids now = { NULL, 0, 0 };
		int r = collect(cgroup_fd, &now);
		size_t n;

		if (r < 0)
			return r;
		n = only_new(&now, &seen);
		if (n == 0)
			return 0;
		for (size_t i = 0; i < n; i += SIGNAL_BATCH) {
			int one = signal_batch(cgroup_fd, now.v + i, n - i < SIGNAL_BATCH ? n - i : SIGNAL_BATCH, sig);

			if (one < 0)
				r = one;
		}
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			if (pids_add(&seen, now.v[i]) < 0)
				return ERR_NOMEM();
		pids_sort_unique(&seen);
	}
	return ERR_PLAIN(-EAGAIN, "the cgroup starts processes faster than they can be signalled");
}
