/* SPDX-License-Identifier: Apache-2.0 */
/* See controllers.h. */
#include "cgroups/controllers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/path.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* The usual ones first: CGROUP_CONTROLLERS_USUAL. */
static const char *const names[CGROUP_CONTROLLERS] = { "cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc" };

const char *cgroup_controller_name(unsigned int i)
{
	return names[i];
}

static bool find(const char *name, size_t len, unsigned int *ret)
{
	for (unsigned int i = 0; i < CGROUP_CONTROLLERS; i++) {
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

int cgroup_controllers_read(int dirfd, const char *file, unsigned int *ret_set)
{
	char text[256];
	int r = cgroup_read_value(dirfd, file, text, sizeof(text));

	*ret_set = 0;
	for (const char *p = text; r == 0 && *p != '\0'; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		unsigned int i;

		if (find(p, len, &i))
			*ret_set |= 1U << i;
		p += len;
	}
	return r;
}

/*
 * Other than the root, a cgroup has either processes or sub-cgroups with controllers. The kernel refuses that for memory
 * or io; for cpu or pids alone it would make the cgroup threaded, and those below it unfit for a container.
 */
static bool has_processes(int dirfd)
{
	char text[64];

	return faccessat(dirfd, "cgroup.type", F_OK, 0) == 0 &&
	       (cgroup_read_value(dirfd, "cgroup.procs", text, sizeof(text)) < 0 || text[0] != '\0');
}

static int enable(int dirfd, unsigned int set)
{
	char text[128] = "";
	size_t len = 0;

	if (has_processes(dirfd))
		return -EBUSY;
	for (unsigned int i = 0; i < CGROUP_CONTROLLERS; i++)
		if (set & 1U << i)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s+%s", len > 0 ? " " : "", names[i]);
	return file_write_value(dirfd, "cgroup.subtree_control", text);
}

void cgroup_controllers_hand_down(int dirfd, unsigned int *set)
{
	unsigned int has, missing;
	int r;

	if (*set == 0)
		return;
	missing = cgroup_controllers_read(dirfd, "cgroup.subtree_control", &has) < 0 ? *set : *set & ~has;
	/* All in one write, which takes the kernel's lock once; it fails as a whole if one of them does. */
	r = missing == 0 ? 0 : enable(dirfd, missing);
	if (r == -EBUSY)
		*set &= ~missing;
	if (r == 0 || r == -EBUSY)
		return;
	for (unsigned int i = 0; i < CGROUP_CONTROLLERS; i++)
		if ((missing & 1U << i) && enable(dirfd, 1U << i) < 0)
			*set &= ~(1U << i);
}

/* Lines "memory 4 50 1": name, hierarchy (0: not in v1), number of cgroups, enabled. */
enum cgroup_absence cgroup_absence_from(char *proc_cgroups, unsigned int controller)
{
	const char *name = str_eq(names[controller], "io") ? "blkio" : names[controller];
	char *save;

	for (char *line = strtok_r(proc_cgroups, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char *part, *word = strtok_r(line, " \t", &part);
		const char *hierarchy = strtok_r(NULL, " \t", &part), *count = strtok_r(NULL, " \t", &part);
		const char *enabled = strtok_r(NULL, " \t", &part);

		if (word == NULL || !str_eq(word, name) || hierarchy == NULL || count == NULL || enabled == NULL)
			continue;
		if (!str_eq(hierarchy, "0"))
			return CGROUP_IN_V1;
		return str_eq(enabled, "0") ? CGROUP_SWITCHED_OFF : CGROUP_NOT_DELEGATED;
	}
	return CGROUP_NOT_BUILT;
}

enum cgroup_absence cgroup_absence(unsigned int controller)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, "/proc/cgroups", 65536, &text, &len) < 0)
		return CGROUP_NOT_BUILT;
	return cgroup_absence_from(text, controller);
}

static int explain_absence(unsigned int controller, const char *file)
{
	static const char *const texts[] = {
		[CGROUP_IN_V1] = "is bound to cgroup v1 on this host",
		[CGROUP_SWITCHED_OFF] = "is switched off on the kernel's command line",
		[CGROUP_NOT_DELEGATED] = "has not been handed down to the cgroup tree that is visible here",
		[CGROUP_NOT_BUILT] = "is not in this kernel",
	};
	static const char *const hints[] = {
		[CGROUP_IN_V1] = ("boot with systemd.unified_cgroup_hierarchy=1 or cgroup_no_v1=all on the kernel's command line, "
				  "leave the limit out, or run without any limit by --cgroup-manager=disabled"),
		[CGROUP_SWITCHED_OFF] = "take it out of cgroup_disable=, or leave the limit out",
		[CGROUP_NOT_DELEGATED] = "whoever made this container or session has to delegate it; or leave the limit out",
		[CGROUP_NOT_BUILT] = "leave the limit out",
	};
	enum cgroup_absence a = cgroup_absence(controller);

	return ERR_HINT(ERR_PLAIN(-EOPNOTSUPP, "cannot set %s: the cgroup controller \"%s\" %s", file, names[controller],
				  texts[a]),
			"%s", hints[a]);
}

static int no_such_file(const char *file)
{
	return ERR_PLAIN(-ENOENT, "cannot set %s: this kernel has no such cgroup file", file);
}

/* The cgroup path[0, len) has the controller and does not hand it down. */
static int explain_refusal(const char *path, size_t len, unsigned int controller, const char *file, int why)
{
	const char *root = len == 0 ? "/" : "";

	if (why == -EBUSY)
		return ERR_HINT(ERR_PLAIN(why, "cannot set %s: cgroup \"%s%.*s\" has processes of its own, so it cannot hand the "
					       "controller \"%s\" down", file, root, (int)len, path, names[controller]),
				"choose a linux.cgroupsPath below a cgroup without processes");
	return ERR(why, "cannot set %s: cgroup \"%s%.*s\" does not hand the controller \"%s\" down", file, root, (int)len, path,
		   names[controller]);
}

int cgroup_controller_demand(const struct cgroup_host *host, const char *path, const char *file)
{
	_cleanup_close_ int dir = FD_NONE;
	struct cgroup_part part = { 0, 0 };
	unsigned int controller, set;
	bool changed = false;
	int r = cgroup_open_mount(host, &dir);

	if (r < 0)
		return r;
	if (!find(file, strcspn(file, "."), &controller))
		return no_such_file(file);
	if (cgroup_controllers_read(dir, "cgroup.controllers", &set) < 0 || !(set & 1U << controller))
		return explain_absence(controller, file);
	for (size_t len = 0; cgroup_part_next(path, &part); len = part.end) {
		char name[NAME_MAX + 1];
		int next;

		r = cgroup_controllers_read(dir, "cgroup.subtree_control", &set);
		if (r == 0 && !(set & 1U << controller)) {
			r = enable(dir, 1U << controller);
			changed = true;
		}
		if (r < 0)
			return explain_refusal(path, len, controller, file, r);
		cgroup_part_name(path, &part, name);
		r = cgroup_open_child(dir, name, O_PATH, &next);
		if (r < 0)
			return ERR(r, "cannot open cgroup \"%.*s\"", (int)part.end, path);
		fd_close(&dir);
		dir = next;
	}
	return changed ? 0 : no_such_file(file);
}
