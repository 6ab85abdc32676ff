/* SPDX-License-Identifier: Apache-2.0 */
/* What a process and all that descend from it hold of memory. See compare_child.h. */
#include "runtime/compare_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"

#define TEXT_MAX ((size_t)64 * 1024)

struct process {
	pid_t pid, parent;
	bool counted;
};

struct processes {
	struct process *v;
	size_t n, cap;
};

/* The parent is the second field behind the name, which stands in the outer parentheses. */
static pid_t parent_of(int proc, const char *pid)
{
	_cleanup_free_ char *path = str_printf("%s/stat", pid), *text = NULL;
	char number[16];
	const char *at;
	uint64_t v;
	size_t n;

	if (path == NULL || file_read(proc, path, TEXT_MAX, &text, NULL) < 0)
		return 0;
	at = strrchr(text, ')');
	if (at == NULL || strlen(at) < 5)
		return 0;
	at += 4;
	n = strcspn(at, " ");
	if (n >= sizeof(number))
		return 0;
	memcpy(number, at, n);
	number[n] = '\0';
	return parse_u64(number, 0, INT32_MAX, &v) == 0 ? (pid_t)v : 0;
}

static int add(struct processes *p, pid_t pid, pid_t parent)
{
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 256 : 2 * p->cap;
		struct process *v = reallocarray(p->v, cap, sizeof(*v));

		if (v == NULL)
			return ERR_NOMEM();
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct process){ .pid = pid, .parent = parent };
	return 0;
}

static int list(DIR *proc, struct processes *p)
{
	const struct dirent *e;
	int r = 0;

	while (r == 0 && (e = readdir(proc)) != NULL) {
		uint64_t pid;

		if (parse_u64(e->d_name, 1, INT32_MAX, &pid) == 0)
			r = add(p, (pid_t)pid, parent_of(dirfd(proc), e->d_name));
	}
	return r;
}

/* "Pss:     123 kB", the first that begins so. */
static int add_pss(int proc, pid_t pid, uint64_t *sum)
{
	_cleanup_free_ char *path = str_printf("%d/smaps_rollup", (int)pid), *text = NULL;
	const char *at;
	char number[24];
	uint64_t kib;
	size_t n;
	int r = path == NULL ? -ENOMEM : file_read(proc, path, TEXT_MAX, &text, NULL);

	if (r == -ESRCH || r == -ENOENT)
		return 0;	/* ended meanwhile */
	if (r < 0)
		return ERR(r, "cannot read how much memory process %d has", (int)pid);
	at = strstr(text, "\nPss:");
	if (at == NULL)
		return 0;	/* a kernel thread, or a zombie */
	at += strlen("\nPss:");
	at += strspn(at, " ");
	n = strspn(at, "0123456789");
	if (n == 0 || n >= sizeof(number))
		return ERR_PLAIN(-EBADMSG, "/proc/%d/smaps_rollup has no number behind Pss", (int)pid);
	memcpy(number, at, n);
	number[n] = '\0';
	if (parse_u64(number, 0, UINT64_MAX / 1024, &kib) < 0)
		return ERR_PLAIN(-ERANGE, "/proc/%d/smaps_rollup: %s KiB are too many", (int)pid, number);
	*sum += kib * 1024;
	return 0;
}

static int add_tree(int proc, struct processes *p, pid_t root, uint64_t *sum)
{
	bool more = true;

	for (size_t i = 0; i < p->n; i++)
		p->v[i].counted = p->v[i].pid == root;
	/* Each round finds the children of those that were found before. */
	while (more) {
		more = false;
		for (size_t i = 0; i < p->n; i++)
			for (size_t k = 0; !p->v[i].counted && k < p->n; k++)
				if (p->v[k].counted && p->v[k].pid == p->v[i].parent)
					more = p->v[i].counted = true;
	}
	for (size_t i = 0; i < p->n; i++) {
		int r = p->v[i].counted ? add_pss(proc, p->v[i].pid, sum) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int compare_memory(pid_t pid, uint64_t *ret_bytes)
{
	struct processes p = { NULL, 0, 0 };
	DIR *proc = opendir("/proc");
	int r;

	*ret_bytes = 0;
	if (proc == NULL)
		return ERR(-errno, "cannot read /proc");
	r = list(proc, &p);
	if (r == 0)
		r = add_tree(dirfd(proc), &p, pid, ret_bytes);
	free(p.v);
	closedir(proc);
	return r;
}
