/* SPDX-License-Identifier: Apache-2.0 */
/* Settings, written: into a new cgroup, and into one in use, with the way back. See resources.h. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/controllers.h"
#include "cgroups/path.h"
#include "cgroups/resources.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* A cgroup file that is a list of devices has a line for each. */
#define FILE_MAX_BYTES ((size_t)1024 * 1024)

static int write_either(int cgroup_fd, const struct cgroup_setting *s)
{
	/* An empty write(2) never reaches the file: a list is emptied by a line end. */
	int r = file_write_value(cgroup_fd, s->file, s->value[0] == '\0' ? "\n" : s->value);

	return r == -ENOENT && s->or_file != NULL ? file_write_value(cgroup_fd, s->or_file, s->or_value) : r;
}

/* again: whether -EINVAL, without a text, is wanted as it is. */
static int write_setting(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_setting *s, bool again)
{
	int r = write_either(cgroup_fd, s);

	if (r == -ENOENT && s->optional && !s->demand)
		return 0;
	if (r == -ENOENT) {
		r = cgroup_controller_demand(host, path, s->or_file != NULL ? s->or_file : s->file);
		if (r == 0)
			r = write_either(cgroup_fd, s);
		if (r == -ENOENT && s->optional)
			err_clear();
		if (r < 0)
			return r == -ENOENT && s->optional ? 0 : r;
	}
	if (r == 0 || (r == -EINVAL && again))
		return r;
	if (r == -EINVAL || r == -ERANGE)
		return ERR_PLAIN(r, "cannot set %s to \"%s\": the kernel does not accept the value", s->file, s->value);
	return ERR(r, "cannot set %s to \"%s\"", s->file, s->value);
}

/* ---- the way back ---- */

struct old_value {
	char *file, *value;
};

struct cgroup_undo {
	struct old_value *v;
	size_t n;
};

/* The line of a list of devices, or what writes "nothing set" for one that is not in it. */
static char *old_device_line(const char *file, char *text, const char *value)
{
	size_t key = strcspn(value, " ");
	const char *none = str_eq(file, "io.max") ? "rbps=max wbps=max riops=max wiops=max" : "default";
	char *save;

	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, value, key) == 0 && line[key] == ' ')
			return strdup(line);
	return str_printf("%.*s %s", (int)key, value, none);
}

/* What has to be written into file to undo writing value. malloc'ed; NULL: that cannot be told. */
static char *old_value(int cgroup_fd, const char *file, const char *value)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (file_read(cgroup_fd, file, FILE_MAX_BYTES, &text, &len) < 0)
		return NULL;
	if (isdigit((unsigned char)value[0]) && value[strcspn(value, ": ")] == ':')
		return old_device_line(file, text, value);
	if (str_eq(file, "rdma.max"))
		return old_device_line(file, text, value);
	text[strcspn(text, "\n")] = '\0';
	return strdup(text);
}

static int remember(struct cgroup_undo *u, int cgroup_fd, const struct cgroup_setting *s)
{
	struct old_value *v = reallocarray(u->v, u->n + 1, sizeof(*v));
	const char *file = s->file, *value = s->value;

	if (v == NULL)
		return ERR_NOMEM();
	u->v = v;
	v[u->n].value = old_value(cgroup_fd, file, value);
	if (v[u->n].value == NULL && s->or_file != NULL) {
		file = s->or_file;
		v[u->n].value = old_value(cgroup_fd, file, s->or_value);
	}
	v[u->n].file = strdup(file);
	if (v[u->n].file == NULL) {
		free(v[u->n].value);
		return ERR_NOMEM();
	}
	u->n++;
	return 0;
}

/* The last first, and those that fail once more: one may stand in the way of another, as burst and quota do. */
static void take_back(int cgroup_fd, const struct cgroup_undo *u)
{
	for (int round = 0; round < 2; round++) {
		for (size_t i = u->n; i-- > 0;) {
			struct old_value *o = &u->v[i];
			int r;

			if (o->value == NULL)
				continue;
			r = file_write_value(cgroup_fd, o->file, o->value[0] == '\0' ? "\n" : o->value);
			if (r < 0 && round > 0)
				log_warning("cannot set %s back to \"%s\": %s", o->file, o->value, strerror(-r));
		}
	}
}

void cgroup_update_end(int cgroup_fd, struct cgroup_undo *u, bool back)
{
	if (u == NULL)
		return;
	if (back)
		take_back(cgroup_fd, u);
	for (size_t i = 0; i < u->n; i++) {
		free(u->v[i].file);
		free(u->v[i].value);
	}
	free(u->v);
	free(u);
}

/* ---- writing ---- */

/* undo: NULL when there is nothing to go back to. */
static int write_all(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_setting *s, size_t n,
		     struct cgroup_undo *undo)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		r = undo != NULL ? remember(undo, cgroup_fd, &s[i]) : 0;
		if (r == 0)
			r = write_setting(host, path, cgroup_fd, &s[i], s[i].again);
		if (r < 0 && !(r == -EINVAL && s[i].again))
			return r;
	}
	for (size_t i = 0; i < n; i++) {
		r = s[i].again ? write_setting(host, path, cgroup_fd, &s[i], false) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_settings_write(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_setting *s,
			  size_t n)
{
	return write_all(host, path, cgroup_fd, s, n, NULL);
}

/* ---- what an update leaves open ---- */

/* An amount or "max" (-1). No text. */
static int read_amount(int cgroup_fd, const char *file, int64_t *ret_v)
{
	char text[64];
	int r = cgroup_read_value(cgroup_fd, file, text, sizeof(text));

	if (r < 0)
		return r;
	text[strcspn(text, " ")] = '\0';
	*ret_v = -1;
	return str_eq(text, "max") ? 0 : parse_i64(text, 0, INT64_MAX, ret_v);
}

int cgroup_resources_complete(int cgroup_fd, struct cgroup_resources *r)
{
	int64_t limit = 0;
	int ret = 0;

	if (r->memory_swap > 0 && r->memory_limit == 0) {
		ret = read_amount(cgroup_fd, "memory.max", &limit);
		if (ret == 0)
			r->memory_limit = limit;
	}
	if (r->cpu_period != 0 && r->cpu_quota == 0)
		ret = read_amount(cgroup_fd, "cpu.max", &r->cpu_quota);
	/* A controller that is not there: the writing will say so. */
	return ret == -ENOENT ? 0 : ret;
}

/* runtime-spec "checkBeforeUpdate": the kernel would rather kill than refuse. */
static int check_usage(int cgroup_fd, const struct cgroup_resources *r)
{
	int64_t usage;

	if (!r->memory_check || (r->memory_limit <= 0 && r->memory_swap <= 0))
		return 0;
	if (read_amount(cgroup_fd, "memory.current", &usage) < 0)
		return 0;
	if (r->memory_limit > 0 && r->memory_limit < usage)
		return ERR_PLAIN(-EBUSY, "memory.limit: %lld is below the %lld bytes in use", (long long)r->memory_limit,
				 (long long)usage);
	if (r->memory_swap > 0 && r->memory_swap < usage)
		return ERR_PLAIN(-EBUSY, "memory.swap: %lld is below the %lld bytes in use", (long long)r->memory_swap,
				 (long long)usage);
	return 0;
}

int cgroup_update(const struct cgroup_host *host, const char *path, int cgroup_fd, const struct cgroup_resources *r,
		  struct cgroup_undo **ret_undo)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct cgroup_undo *undo = calloc(1, sizeof(*undo));
	struct cgroup_resources full = *r;
	struct cgroup_setting *s = NULL;
	size_t n = 0;
	int ret = a == NULL || undo == NULL ? ERR_NOMEM() : cgroup_resources_complete(cgroup_fd, &full);

	*ret_undo = NULL;
	if (ret == 0)
		ret = check_usage(cgroup_fd, &full);
	if (ret == 0)
		ret = cgroup_settings(a, &full, &s, &n);
	if (ret == 0)
		ret = write_all(host, path, cgroup_fd, s, n, undo);
	if (ret < 0) {
		cgroup_update_end(cgroup_fd, undo, true);
		return ret;
	}
	*ret_undo = undo;
	return 0;
}
