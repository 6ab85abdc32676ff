/* SPDX-License-Identifier: Apache-2.0 */
/* See stats.h: the files; stats_parse.c knows what stands in them. */
#include "cgroups/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/stats_parse.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* io.stat has a line for each device: thousands of them fit. */
#define STATS_FILE_MAX ((size_t)1024 * 1024)

/*
 * 0 with *ret_text (malloc'ed), or NULL there when the kernel does not give it: no such file, or one that
 * cannot be read because the thing is switched off (pressure); or a folder in its place, which whom the cgroup is delegated
 * to can make. -ENOENT: the cgroup was removed.
 */
static int read_text(int cgroup_fd, const char *name, char **ret_text)
{
	int r = file_read(cgroup_fd, name, STATS_FILE_MAX, ret_text, NULL);

	if (r == 0)
		return 0;
	*ret_text = NULL;
	if (r == -ENOENT || r == -EOPNOTSUPP || r == -EISDIR)
		return 0;
	return r == -ENODEV ? ERR(-ENOENT, "the cgroup is gone") : ERR(r, "cannot read the cgroup's \"%s\"", name);
}

static int read_number(int cgroup_fd, const char *name, struct cgroup_number *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, name, &text);

	if (text != NULL)
		cgroup_parse_number(text, ret);
	return r;
}

static int read_numbers(int cgroup_fd, struct cgroup_stats *s)
{
	static const struct {
		const char *name;
		size_t offset;
	} files[] = {
		{ "memory.current", offsetof(struct cgroup_stats, memory.current) },
		{ "memory.max", offsetof(struct cgroup_stats, memory.max) },
		{ "memory.peak", offsetof(struct cgroup_stats, memory.peak) },
		{ "memory.swap.current", offsetof(struct cgroup_stats, memory.swap_current) },
		{ "memory.swap.max", offsetof(struct cgroup_stats, memory.swap_max) },
		{ "memory.swap.peak", offsetof(struct cgroup_stats, memory.swap_peak) },
		{ "pids.current", offsetof(struct cgroup_stats, pids.current) },
		{ "pids.max", offsetof(struct cgroup_stats, pids.max) },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = read_number(cgroup_fd, files[i].name,
				(struct cgroup_number *)(void *)((char *)s + files[i].offset));
	return r;
}

static int read_psi(int cgroup_fd, const char *name, struct cgroup_psi *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, name, &text);

	if (text != NULL)
		cgroup_parse_psi(text, ret);
	return r;
}

static int read_cpu(int cgroup_fd, struct cgroup_cpu_stats *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, "cpu.stat", &text);

	if (r < 0)
		return r;
	/* The one file that every cgroup has, whatever is enabled. */
	if (text == NULL)
		return ERR_PLAIN(-ENOENT, "the cgroup is gone");
	cgroup_parse_cpu(text, ret);
	return read_psi(cgroup_fd, "cpu.pressure", &ret->psi);
}

static int read_memory(int cgroup_fd, struct cgroup_memory_stats *ret)
{
	_cleanup_free_ char *events = NULL;
	char *stat;
	int r = read_text(cgroup_fd, "memory.stat", &stat);

	if (r == 0 && stat != NULL && cgroup_parse_memory_stat(stat, ret) < 0)
		r = ERR_NOMEM();
	if (r == 0)
		r = read_text(cgroup_fd, "memory.events", &events);
	if (events != NULL)
		cgroup_parse_memory_events(events, &ret->events);
	return r < 0 ? r : read_psi(cgroup_fd, "memory.pressure", &ret->psi);
}

static int read_io(int cgroup_fd, struct cgroup_io_stats *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, "io.stat", &text);

	if (r == 0 && text != NULL && cgroup_parse_io(text, ret) < 0)
		r = ERR_NOMEM();
	return r < 0 ? r : read_psi(cgroup_fd, "io.pressure", &ret->psi);
}

static int read_list(int cgroup_fd, const char *name, struct cgroup_list *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, name, &text);

	if (r == 0 && text != NULL && cgroup_parse_list(text, ret) < 0)
		r = ERR_NOMEM();
	return r;
}

static int read_rdma(int cgroup_fd, struct cgroup_stats *s)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(cgroup_fd, "rdma.current", &text);

	if (r == 0 && text != NULL && cgroup_parse_rdma(text, s) < 0)
		r = ERR_NOMEM();
	return r;
}

static int read_page_size(int cgroup_fd, struct cgroup_hugetlb_stats *h)
{
	static const struct {
		const char *suffix;
		size_t offset;
	} files[] = {
		{ "current", offsetof(struct cgroup_hugetlb_stats, current) },
		{ "max", offsetof(struct cgroup_hugetlb_stats, max) },
		{ "rsvd.current", offsetof(struct cgroup_hugetlb_stats, reserved) },
	};
	_cleanup_free_ char *events = NULL;
	char name[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		snprintf(name, sizeof(name), "hugetlb.%s.%s", h->size, files[i].suffix);
		r = read_number(cgroup_fd, name, (struct cgroup_number *)(void *)((char *)h + files[i].offset));
	}
	snprintf(name, sizeof(name), "hugetlb.%s.events", h->size);
	if (r == 0)
		r = read_text(cgroup_fd, name, &events);
	if (events != NULL)
		h->failures = cgroup_parse_failures(events);
	return r;
}

static int add_page_size(int cgroup_fd, const char *size, struct cgroup_stats *s)
{
	struct cgroup_hugetlb_stats *v = reallocarray(s->hugetlb, s->n_hugetlb + 1, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	s->hugetlb = v;
	v += s->n_hugetlb++;
	*v = (struct cgroup_hugetlb_stats){ .failures = 0 };
	memcpy(v->size, size, strlen(size) + 1);
	return read_page_size(cgroup_fd, v);
}

/* Which page sizes there are, the names of the files tell. */
static int read_hugetlb(int cgroup_fd, struct cgroup_stats *s)
{
	/* A description of its own: the reading position belongs to it. */
	int fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		r = ERR(-errno, "cannot list the cgroup");
		fd_close(&fd);
		return r;
	}
	for (struct dirent *e = readdir(d); r == 0 && e != NULL; e = readdir(d)) {
		char size[16];

		if (e->d_type != DT_DIR && cgroup_parse_hugetlb_name(e->d_name, size))
			r = add_page_size(cgroup_fd, size, s);
	}
	closedir(d);
	return r;
}

int cgroup_stats_read(int cgroup_fd, struct cgroup_stats *ret_stats)
{
	struct cgroup_stats *s = ret_stats;
	int r;

	*s = (struct cgroup_stats){ .n_rdma = 0 };
	r = read_cpu(cgroup_fd, &s->cpu);
	if (r == 0)
		r = read_memory(cgroup_fd, &s->memory);
	if (r == 0)
		r = read_numbers(cgroup_fd, s);
	if (r == 0)
		r = read_io(cgroup_fd, &s->io);
	if (r == 0)
		r = read_list(cgroup_fd, "cpuset.cpus.effective", &s->cpus);
	if (r == 0)
		r = read_list(cgroup_fd, "cpuset.mems.effective", &s->mems);
	if (r == 0)
		r = read_hugetlb(cgroup_fd, s);
	if (r == 0)
		r = read_rdma(cgroup_fd, s);
	return r;
}

void cgroup_stats_deinit(struct cgroup_stats *s)
{
	free(s->memory.stat);
	free(s->memory.stat_text);
	free(s->io.devices);
	free(s->cpus.v);
	free(s->mems.v);
	free(s->hugetlb);
	free(s->rdma);
	*s = (struct cgroup_stats){ .n_rdma = 0 };
}

uint64_t cgroup_stats_memory(const struct cgroup_stats *s, const char *key)
{
	for (size_t i = 0; i < s->memory.n_stat; i++)
		if (str_eq(s->memory.stat[i].key, key))
			return s->memory.stat[i].value;
	return 0;
}
