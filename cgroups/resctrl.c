/* SPDX-License-Identifier: Apache-2.0 */
/* See resctrl.h, and Documentation/filesystems/resctrl.rst of the kernel. */
#include "cgroups/resctrl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

#define USUAL_PLACE "/sys/fs/resctrl"
#define RESCTRL_MAGIC 0x7655821L	/* linux/magic.h: RDTGROUP_SUPER_MAGIC */
#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define STATUS_MAX_BYTES ((size_t)4096)

bool resctrl_name_ok(const char *name)
{
	static const char *const taken[] = { "", ".", "..", "info", "mon_groups", "mon_data" };

	return !str_in(name, taken, ARRAY_SIZE(taken)) && strpbrk(name, "/\n") == NULL && strlen(name) <= NAME_MAX;
}

const char *resctrl_group(const struct resctrl_req *q)
{
	if (q->clos == NULL)
		return q->id;
	return str_eq(q->clos, "/") ? "" : q->clos;
}

/* ---- where ---- */

int resctrl_find(char **ret_root)
{
	struct statfs sfs;

	/* The kernel makes this directory for nothing else. */
	if (statfs(USUAL_PLACE, &sfs) < 0 || (long)sfs.f_type != RESCTRL_MAGIC)
		return ERR_HINT(ERR_PLAIN(-ENOTSUP, "no resctrl file system is mounted at \"" USUAL_PLACE "\""),
				"`mount -t resctrl resctrl " USUAL_PLACE "` makes one, where the processor can do it");
	*ret_root = strdup(USUAL_PLACE);
	return *ret_root == NULL ? ERR_NOMEM() : 0;
}

/* A group, or a monitoring group of it. O_NOFOLLOW: the kernel has no symbolic links there. */
static int open_group(const char *root, const char *group, const char *monitor, int *ret_fd)
{
	_cleanup_close_ int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = str_printf("%s%s%s", *group != '\0' ? group : ".", monitor != NULL ? "/mon_groups/" : "",
					       monitor != NULL ? monitor : "");

	if (path == NULL)
		return -ENOMEM;
	if (top < 0)
		return -errno;
	*ret_fd = openat(top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* The kernel's own words about the last thing that failed; "ok" is none. */
static int failed(const char *root, int r, const char *what, const char *name)
{
	_cleanup_close_ int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (top < 0 || file_read(top, "info/last_cmd_status", STATUS_MAX_BYTES, &text, &len) < 0)
		return ERR(r, "%s \"%s\"", what, name);
	text[strcspn(text, "\n")] = '\0';
	return *text == '\0' || str_eq(text, "ok") ? ERR(r, "%s \"%s\"", what, name) :
						     ERR(r, "%s \"%s\" (%s)", what, name, text);
}

/* ---- schemata ---- */

/* "  0 = 00f " -> "f": blanks and leading zeros say nothing. */
static const char *bare(const char *s, size_t *len)
{
	while (*len > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		(*len)--;
	}
	while (*len > 0 && (s[*len - 1] == ' ' || s[*len - 1] == '\t'))
		(*len)--;
	while (*len > 1 && *s == '0') {
		s++;
		(*len)--;
	}
	return s;
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	a = bare(a, &a_len);
	b = bare(b, &b_len);
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* Is "DOMAIN=VALUE" one of the list "DOMAIN=VALUE;…" that ends at the line's end? */
static bool has_domain(const char *list, const char *want, size_t want_len)
{
	const char *want_value = memchr(want, '=', want_len);
	size_t want_name;

	if (want_value == NULL)
		return false;
	want_name = (size_t)(want_value++ - want);
	for (;;) {
		size_t len = strcspn(list, ";\n");
		const char *value = memchr(list, '=', len);

		if (value != NULL && same(list, (size_t)(value - list), want, want_name))
			return same(value + 1, len - (size_t)(value + 1 - list), want_value, want_len - want_name - 1);
		if (list[len] != ';')
			return false;
		list += len + 1;
	}
}

/* The list of the resource in the file's text; NULL: it has none of that name. */
static const char *find_resource(const char *text, const char *name, size_t name_len)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		const char *colon = memchr(text, ':', len);

		if (colon != NULL && same(text, (size_t)(colon - text), name, name_len))
			return colon + 1;
		text += len + (text[len] == '\n');
	}
	return NULL;
}

static bool line_matches(const char *text, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *list, *end = line + len;

	if (colon == NULL)
		return false;
	list = find_resource(text, line, (size_t)(colon - line));
	for (const char *d = colon + 1; list != NULL && d < end;) {
		size_t n = strcspn(d, ";\n");

		if (n > 0 && !has_domain(list, d, n))
			return false;
		d += n + 1;
	}
	return list != NULL;
}

bool resctrl_schemata_match(const char *text, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		if (len > 0 && !line_matches(text, lines, len))
			return false;
		lines += len + (lines[len] == '\n');
	}
	return true;
}

static int compare(int group_fd, const struct resctrl_req *q)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (q->l3 == NULL && q->mem_bw == NULL)
		return 0;
	r = file_read(group_fd, "schemata", FILE_MAX_BYTES, &text, &len);
	if (r < 0)
		return ERR(r, "cannot read the schemata of the resctrl group \"%s\"", q->clos);
	if (q->l3 != NULL && !resctrl_schemata_match(text, q->l3))
		return ERR_PLAIN(-EEXIST, "linux.intelRdt.l3CacheSchema: the resctrl group \"%s\" is there, and has other values", q->clos);
	if (q->mem_bw != NULL && !resctrl_schemata_match(text, q->mem_bw))
		return ERR_PLAIN(-EEXIST, "linux.intelRdt.memBwSchema: the resctrl group \"%s\" is there, and has other values", q->clos);
	return 0;
}

/* One write(2), which the kernel takes or refuses as a whole; it wants a line end, and no domain twice. */
static int write_lines(int group_fd, const char *lines)
{
	_cleanup_free_ char *text = str_printf("%s\n", lines);

	return text == NULL ? -ENOMEM : file_write_value(group_fd, "schemata", text);
}

static int write_schemata(const char *root, int group_fd, const struct resctrl_req *q)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	int r;

	r = q->l3 != NULL ? write_lines(group_fd, q->l3) : 0;
	if (r < 0)
		return failed(root, r, "linux.intelRdt.l3CacheSchema: cannot write", q->l3);
	r = q->mem_bw != NULL ? write_lines(group_fd, q->mem_bw) : 0;
	if (r < 0)
		return failed(root, r, "linux.intelRdt.memBwSchema: cannot write", q->mem_bw);
	if (q->n_lines == 0)
		return 0;
	for (size_t i = 0; i < q->n_lines; i++)
		buf_printf(&b, "%s%s", i > 0 ? "\n" : "", q->lines[i]);
	if (b.failed)
		return ERR_NOMEM();
	r = write_lines(group_fd, b.data);
	return r < 0 ? failed(root, r, "linux.intelRdt.schemata: cannot write", b.data) : 0;
}

/* ---- groups ---- */

static bool has_schemata(const struct resctrl_req *q)
{
	return q->l3 != NULL || q->mem_bw != NULL || q->n_lines > 0;
}

/* A group of the container's own must be new: what has its name is somebody else's. */
static int make_group(const char *root, const struct resctrl_req *q, unsigned int *made)
{
	_cleanup_close_ int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *name = resctrl_group(q);

	if (top < 0)
		return ERR(-errno, "cannot open \"%s\"", root);
	if (mkdirat(top, name, 0755) == 0) {
		*made |= RESCTRL_MADE_GROUP;
		return 0;
	}
	if (errno == EEXIST && q->clos != NULL)
		return -EEXIST;
	return failed(root, -errno, "cannot make the resctrl group", name);
}

static int use_group(const char *root, const struct resctrl_req *q, int *ret_fd, unsigned int *made)
{
	bool there;
	int r;

	if (q->clos != NULL) {
		r = open_group(root, resctrl_group(q), NULL, ret_fd);
		if (r == 0)
			return compare(*ret_fd, q);
		if (r != -ENOENT)
			return ERR(r, "cannot open the resctrl group \"%s\"", q->clos);
		if (!has_schemata(q))
			return ERR_PLAIN(-ENOENT, "linux.intelRdt.closID: there is no resctrl group \"%s\", and nothing is said to make one with", q->clos);
	}
	r = make_group(root, q, made);
	/* Somebody was faster: theirs is as good as one that was there. */
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == -EEXIST && q->clos == NULL)
		return r;
	there = r == -EEXIST;
	r = open_group(root, resctrl_group(q), NULL, ret_fd);
	if (r < 0)
		return ERR(r, "cannot open the resctrl group \"%s\"", resctrl_group(q));
	return there ? compare(*ret_fd, q) : 0;
}

static int make_monitor(const char *root, const struct resctrl_req *q, int group_fd, unsigned int *made)
{
	_cleanup_close_ int dir = openat(group_fd, "mon_groups", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return ERR(-errno, "linux.intelRdt.enableMonitoring: cannot open \"%s/%s/mon_groups\"", root, resctrl_group(q));
	if (mkdirat(dir, q->id, 0755) < 0)
		return failed(root, -errno, "linux.intelRdt.enableMonitoring: cannot make the monitoring group", q->id);
	*made |= RESCTRL_MADE_MONITOR;
	return 0;
}

int resctrl_make(const char *root, const struct resctrl_req *q, unsigned int *made)
{
	_cleanup_close_ int fd = FD_NONE;
	int r;

	*made = 0;
	r = use_group(root, q, &fd, made);
	if (r == 0)
		r = write_schemata(root, fd, q);
	if (r == 0 && q->monitor)
		r = make_monitor(root, q, fd, made);
	return r;
}

static int add_task(const char *root, const char *group, const char *monitor, pid_t pid)
{
	_cleanup_close_ int fd = FD_NONE;
	char text[16];
	int r = open_group(root, group, monitor, &fd);

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (r == 0)
		r = file_write_value(fd, "tasks", text);
	return r < 0 ? failed(root, r, "cannot put the process into the resctrl group", monitor != NULL ? monitor : group) : 0;
}

/* In this order: to change the group takes a process out of the monitoring group of the one before. */
int resctrl_assign(const char *root, const char *group, const char *id, pid_t pid)
{
	int r = add_task(root, group, NULL, pid);

	return r < 0 || id == NULL ? r : add_task(root, group, id, pid);
}

void resctrl_restore(const char *root, const char *group, const char *before)
{
	_cleanup_close_ int fd = FD_NONE;
	int r = open_group(root, group, NULL, &fd);

	if (r == 0)
		r = file_write_value(fd, "schemata", before);
	if (r < 0)
		log_warning("cannot set the schemata of the resctrl group \"%s\" back: %s", group, strerror(-r));
}

int resctrl_update(const char *root, const char *group, const char *l3, const char *mem_bw, char **ret_before)
{
	const struct resctrl_req q = { .l3 = l3, .mem_bw = mem_bw };
	_cleanup_close_ int fd = FD_NONE;
	size_t len;
	int r = open_group(root, group, NULL, &fd);

	*ret_before = NULL;
	if (r == 0)
		r = file_read(fd, "schemata", FILE_MAX_BYTES, ret_before, &len);
	if (r < 0)
		return ERR(r, "cannot read the schemata of the resctrl group \"%s\"", group);
	r = write_schemata(root, fd, &q);
	if (r < 0) {
		resctrl_restore(root, group, *ret_before);
		free(*ret_before);
		*ret_before = NULL;
	}
	return r;
}

static int remove_at(const char *root, const char *group, const char *below, const char *name)
{
	_cleanup_close_ int dir = FD_NONE;
	int r = open_group(root, group, NULL, &dir);

	if (r == 0 && below != NULL) {
		int sub = openat(dir, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		fd_close(&dir);
		dir = sub;
	}
	if (r == 0 && dir >= 0 && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (r == 0)
		r = -errno;
	return r == -ENOENT ? 0 : ERR(r, "cannot remove the resctrl group \"%s\"", name);
}

/* With a group its monitoring groups go, too. */
int resctrl_remove(const char *root, const char *group, const char *id, unsigned int made)
{
	if (made & RESCTRL_MADE_GROUP)
		return remove_at(root, "", NULL, group);
	return made & RESCTRL_MADE_MONITOR ? remove_at(root, group, "mon_groups", id) : 0;
}
