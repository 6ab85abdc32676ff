/* SPDX-License-Identifier: Apache-2.0 */
/* See self_exe.h. */
#include "runtime/self_exe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/self_exe_swap.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Our path, for the program that is started anew: it was executed by a descriptor, and knows none. */
#define PROGRAM_ENV "NACRE_PROGRAM"

extern char **environ;

/*
 * A mount of the host that is read-only may be writable tomorrow, as /usr is while it is updated, and what a container has opened
 * until then with it. Our clone is known again by its flags: nobody has programs on a mount that has all of these.
 */
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif
#define CLONE_FLAGS (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOSYMFOLLOW)
#define CLONE_ATTRS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW)

/* By the clone's flags, or the seals of a memfd. *ret_readonly: the mount is read-only at least. */
static bool already_protected(bool *ret_readonly)
{
	_cleanup_close_ int self = FD_NONE;
	struct statfs fs;
	int seals;

	*ret_readonly = false;
	if (statfs("/proc/self/exe", &fs) < 0)
		return false;
	*ret_readonly = (fs.f_flags & ST_RDONLY) != 0;
	if ((fs.f_flags & CLONE_FLAGS) == CLONE_FLAGS)
		return true;
	if (fs.f_type != TMPFS_MAGIC)	/* a memfd lives on one */
		return false;
	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	seals = self < 0 ? -1 : fcntl(self, F_GET_SEALS);
	return seals >= 0 && (seals & SEALS) == SEALS;
}

/* A clone of the file's mount, read-only, in no namespace: nothing is copied, nobody can remount it. */
static int open_readonly(int *ret_fd)
{
	struct mount_attr attr = { .attr_set = CLONE_ATTRS };
	_cleanup_close_ int fd = open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_copy(int *ret_fd)
{
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int fd = memfd_create("nacre", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	if (self < 0 || fd < 0 || fstat(self, &st) < 0)
		return -errno;
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(fd, self, NULL, (size_t)left);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int self_exe_path(char path[PATH_MAX])
{
	const char *executed = (const char *)getauxval(AT_EXECFN);

	/* execveat(2): "If fd is not AT_FDCWD the name is /dev/fd/N". */
	if (executed != NULL && str_starts(executed, "/dev/fd/"))
		executed = getenv(PROGRAM_ENV);
	if (executed == NULL || realpath(executed, path) == NULL)
		return ERR(executed == NULL ? -ENOENT : -errno, "cannot tell where nacre is");
	return 0;
}

/* The environment, and in it our path. Only the guest's program is looked for beside it: one that cannot be told is no error here. */
static char **environment_anew(void)
{
	char path[PATH_MAX], *entry, **env;
	size_t n = 0, out = 0;

	if (self_exe_path(path) < 0) {
		err_clear();
		return environ;
	}
	while (environ != NULL && environ[n] != NULL)
		n++;
	env = calloc(n + 2, sizeof(*env));
	entry = str_printf(PROGRAM_ENV "=%s", path);
	if (env == NULL || entry == NULL) {
		free(env);
		free(entry);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (!str_starts(environ[i], PROGRAM_ENV "="))
			env[out++] = environ[i];
	env[out] = entry;
	return env;
}

/* What it allocates goes with the program. */
static int execute_anew(int fd, char **argv)
{
	char **env = environment_anew();

	if (env == NULL)
		return ERR_NOMEM();
	execveat(fd, "", argv, env, AT_EMPTY_PATH);
	return ERR(-errno, "cannot execute nacre from its protected copy");
}

int self_exe_protect(char **argv)
{
	_cleanup_close_ int safe = FD_NONE;
	bool readonly;
	int r;

	if (already_protected(&readonly))
		return 0;
	r = open_readonly(&safe);
	if (r == 0 && self_exe_swap(safe) == 0)
		return 0;
	/* Who may not mount is not who could write to the host's programs. */
	if (r < 0 && readonly)
		return 0;
	if (r < 0)
		r = open_copy(&safe);
	if (r < 0)
		return ERR(r, "cannot protect nacre's own program file from the container");
	return execute_anew(safe, argv);
}
