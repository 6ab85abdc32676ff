/* SPDX-License-Identifier: Apache-2.0 */
/* See procfs.h. */
#include "namespaces/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/base/sys.h"

#define PROC_ROOT_INO 1

static int verified(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	return fs.f_type == PROC_SUPER_MAGIC && st.st_ino == PROC_ROOT_INO ? 0 : -EXDEV;
}

int procfs_open(int *ret_proc)
{
	_cleanup_close_ int fsfd = fsopen("proc", FSOPEN_CLOEXEC), fd = FD_NONE;
	int r;

	if (fsfd >= 0 && fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fsfd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR(-errno, "cannot open a procfs");
	r = verified(fd);
	if (r < 0)
		return ERR(r, "\"/proc\" is not a procfs");
	*ret_proc = take_fd(&fd);
	return 0;
}

static int proc_open_write(int proc, const char *path, int *ret_fd)
{
	/* "self" is a plain symlink inside procfs; magic links and mounts over its files are refused. */
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int fd = sys_openat2(proc, path, &how);
	struct statfs fs;

	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(proc, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -EXDEV;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int proc_write(int proc, const char *path, const char *value)
{
	_cleanup_close_ int fd = FD_NONE;
	int r = proc_open_write(proc, path, &fd);

	return r < 0 ? r : fd_write_all(fd, value, strlen(value));
}

int procfs_sysctl(int proc, const char *key, const char *value)
{
	char path[PATH_MAX];
	bool slashes = strchr(key, '/') != NULL;
	int r;

	if (strlen(key) + sizeof("sys/") > sizeof(path))
		return ERR_PLAIN(-ENAMETOOLONG, "sysctl \"%.64s…\": the name is too long", key);
	snprintf(path, sizeof(path), "sys/%s", key);
	/* With slashes ("net/ipv4/conf/eth0.1/…") a dot is part of a name. */
	for (char *p = path; !slashes && *p != '\0'; p++)
		if (*p == '.')
			*p = '/';
	r = strstr(path, "..") != NULL ? -EINVAL : proc_write(proc, path, value);
	if (r < 0)
		return ERR(r, "cannot set sysctl \"%s\" to \"%s\"", key, value);
	return 0;
}

int procfs_open_attr(int proc, bool apparmor, int *ret_fd)
{
	int r = apparmor ? proc_open_write(proc, "self/attr/apparmor/exec", ret_fd) : -ENOENT;

	if (r == -ENOENT)
		r = proc_open_write(proc, "self/attr/exec", ret_fd);
	return r < 0 ? ERR(r, "cannot open `/proc/self/attr/exec`") : 0;
}

int lsm_set_apparmor(int attr, const char *profile)
{
	_cleanup_free_ char *text = str_printf("exec %s", profile);
	int r;

	if (text == NULL)
		return ERR_NOMEM();
	r = fd_write_all(attr, text, strlen(text));
	return r < 0 ? ERR(r, "cannot set the AppArmor profile \"%s\" in `/proc/self/attr/exec`", profile) : 0;
}

int lsm_set_selinux(int attr, const char *label)
{
	int r = fd_write_all(attr, label, strlen(label));

	return r < 0 ? ERR(r, "cannot set the SELinux label \"%s\" in `/proc/self/attr/exec`", label) : 0;
}

int lsm_label_keys(int proc, const char *label)
{
	/* The kernel takes an empty line for none; nothing at all would not be a write. */
	int r = proc_write(proc, "self/attr/keycreate", label != NULL ? label : "\n");

	return r < 0 ? ERR(r, "cannot set the SELinux label \"%s\" of keys", label != NULL ? label : "") : 0;
}

int lsm_apparmor_enabled(void)
{
	char c = 'N';
	_cleanup_close_ int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

int lsm_selinux_enabled(void)
{
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && (uint32_t)fs.f_type == (uint32_t)SELINUX_MAGIC;
}
