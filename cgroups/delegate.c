/* SPDX-License-Identifier: Apache-2.0 */
/* Giving a cgroup to a container's user. See cgroup.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define DELEGATE "/sys/kernel/cgroup/delegate"

static int give(int cgroup_fd, const char *file, uid_t uid)
{
	/* Named by the kernel for all controllers: those that are not here have no file. */
	if (fchownat(cgroup_fd, file, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return ERR(-errno, "cannot give %s of the cgroup to user %u", file, (unsigned int)uid);
	return 0;
}

int cgroup_delegate(int cgroup_fd, uid_t uid)
{
	/* Before 4.15 the kernel kept no list. */
	static const char before[] = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n";
	_cleanup_free_ char *list = NULL;
	size_t len;
	char *save;
	int r = file_read(AT_FDCWD, DELEGATE, 65536, &list, &len);

	if (r == -ENOENT) {
		list = strdup(before);
		r = list == NULL ? -ENOMEM : 0;
	}
	if (r < 0)
		return ERR(r, "cannot read " DELEGATE);
	if (fchown(cgroup_fd, uid, (gid_t)-1) < 0)
		return ERR(-errno, "cannot give the cgroup to user %u", (unsigned int)uid);
	for (char *file = strtok_r(list, "\n", &save); r == 0 && file != NULL; file = strtok_r(NULL, "\n", &save))
		r = strchr(file, '/') == NULL ? give(cgroup_fd, file, uid) : 0;
	return r;
}
