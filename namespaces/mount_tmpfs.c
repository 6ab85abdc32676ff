/* SPDX-License-Identifier: Apache-2.0 */
/* A tmpfs and the directory that it covers. See mount_parts.h. */
#include "namespaces/mount_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "namespaces/copy_up.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"

static bool says_mode(const struct mount_req *m)
{
	for (size_t i = 0; i < m->n_data; i++)
		if (str_starts(m->data[i], "mode="))
			return true;
	return false;
}

int mount_as_covered(const struct mount_context *c, struct mount_req *m, struct covered_mode *keep)
{
	_cleanup_close_ int there = FD_NONE;
	struct stat st;
	int r;

	/* tmpcopyup takes more of it than its mode. */
	if (m->fstype == NULL || !str_eq(m->fstype, "tmpfs") || m->copy_up || says_mode(m))
		return 0;
	r = path_open(c->root, m->target, O_PATH | O_DIRECTORY, &there);
	if (r < 0)
		return 0;	/* It is made, or refused, with what it is mounted on. */
	keep->data = calloc(m->n_data + 1, sizeof(*keep->data));
	if (keep->data == NULL)
		return ERR_NOMEM();
	if (fstat(there, &st) < 0)
		return ERR(-errno, "cannot look at the mount point \"%s\"", m->target);
	for (size_t i = 0; i < m->n_data; i++)
		keep->data[i] = m->data[i];
	snprintf(keep->option, sizeof(keep->option), "mode=%o", (unsigned int)st.st_mode & 07777);
	keep->data[m->n_data++] = keep->option;
	m->data = keep->data;
	return 0;
}

void covered_mode_deinit(struct covered_mode *keep)
{
	free(keep->data);
}

/* Its root is as the covered directory, unless an option says how it is. */
int mount_fill_tmpfs(const struct mount_req *m, int from, int to)
{
	bool said = false;
	int r = copy_up(from, to);

	for (size_t i = 0; i < m->n_data; i++)
		said = said || str_starts(m->data[i], "mode=") || str_starts(m->data[i], "uid=") || str_starts(m->data[i], "gid=");
	if (r == 0 && !said)
		r = copy_up_root(from, to);
	return r < 0 ? ERR_CONTEXT(r, "tmpcopyup of the mount at \"%s\"", m->target) : 0;
}
