/* SPDX-License-Identifier: Apache-2.0 */
/* Where is cgroup2 mounted? On nearly all hosts one or two statfs(2) answer. */
#include "cgroups/host.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "cgroups/cgroup.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* A host with thousands of containers has megabytes of it. */
#define MOUNTINFO_MAX (64U << 20)

/* A line of mountinfo: the mount point is the fifth field, the type follows " - " (proc_pid_mountinfo(5)). */
#define FIELDS_TO_MOUNT_POINT 5
#define SEPARATOR " - "

static const struct {
	const char *path;
	enum cgroup_mode mode;
} usual_places[] = {
	{ "/sys/fs/cgroup", CGROUP_UNIFIED },
	{ "/sys/fs/cgroup/unified", CGROUP_HYBRID },
};

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes space, tab, line break and backslash as \ooo. In place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s != '\0') {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

void cgroup_host_from_mountinfo(char *text, struct cgroup_host *ret_host)
{
	struct cgroup_host host = { .mode = CGROUP_NONE };
	bool v1 = false;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		char *type = strstr(line, SEPARATOR), *point = NULL;
		int fields = 0;

		if (type == NULL)
			continue;
		*type = '\0';
		type += strlen(SEPARATOR);
		if (str_starts(type, "cgroup "))
			v1 = true;
		if (host.mode != CGROUP_NONE || !str_starts(type, "cgroup2 "))
			continue;
		for (; fields < FIELDS_TO_MOUNT_POINT && line != NULL; fields++)
			point = strsep(&line, " ");
		if (fields < FIELDS_TO_MOUNT_POINT)
			continue;
		unescape(point);
		if (strlen(point) >= sizeof(host.mount))
			continue;
		host.mode = CGROUP_UNIFIED;
		memcpy(host.mount, point, strlen(point) + 1);
	}
	if (host.mode == CGROUP_UNIFIED && v1)
		host.mode = CGROUP_HYBRID;
	*ret_host = host;
}

int cgroup_host_probe(struct cgroup_host *ret_host)
{
	_cleanup_free_ char *text = NULL;
	struct statfs sfs;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(usual_places); i++) {
		struct cgroup_host host = { .mode = usual_places[i].mode };

		if (statfs(usual_places[i].path, &sfs) < 0 || (long)sfs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		snprintf(host.mount, sizeof(host.mount), "%s", usual_places[i].path);
		*ret_host = host;
		return 0;
	}
	r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);
	if (r < 0)
		return ERR(r, "cannot look for cgroup2 in \"/proc/self/mountinfo\"");
	cgroup_host_from_mountinfo(text, ret_host);
	return 0;
}
