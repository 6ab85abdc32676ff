/* SPDX-License-Identifier: Apache-2.0 */
/* See apparmor.h. */
#include "namespaces/apparmor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define SECURITYFS "/sys/kernel/security"
#define PROFILES SECURITYFS "/apparmor/policy/profiles"
#define LOAD SECURITYFS "/apparmor/.replace"
#define NAME_SIZE_MAX 4096

/* A directory's name is the profile's with other characters and a number behind; the file in it has the name itself. */
static bool is_profile(int profiles, const char *entry, const char *profile)
{
	_cleanup_free_ char *path = str_printf("%s/name", entry), *name = NULL;

	if (path == NULL || file_read(profiles, path, NAME_SIZE_MAX, &name, NULL) < 0)
		return false;
	name[strcspn(name, "\n")] = '\0';
	return str_eq(name, profile);
}

static int read_policy(int profiles, const char *entry, char **ret_policy, size_t *ret_size)
{
	_cleanup_free_ char *path = str_printf("%s/raw_data", entry);

	return path == NULL ? -ENOMEM : file_read(profiles, path, APPARMOR_POLICY_MAX, ret_policy, ret_size);
}

/* -ENOENT: it is not among them. */
static int find_policy(DIR *d, const char *profile, char **ret_policy, size_t *ret_size)
{
	const struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && is_profile(dirfd(d), e->d_name, profile))
			return read_policy(dirfd(d), e->d_name, ret_policy, ret_size);
	return -ENOENT;
}

int apparmor_policy_read(const char *profile, char **ret_policy, size_t *ret_size)
{
	int fd = open(PROFILES, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	struct statfs fs;
	DIR *d;

	if (fd < 0)
		return ERR(-errno, "cannot open \"" PROFILES "\"");
	d = fdopendir(fd);
	if (d == NULL) {
		r = ERR(-errno, "cannot read \"" PROFILES "\"");
		close(fd);
		return r;
	}
	r = fstatfs(fd, &fs) < 0 ? -errno : (uint32_t)fs.f_type != (uint32_t)AAFS_MAGIC ? -EXDEV : 0;
	if (r == 0)
		r = find_policy(d, profile, ret_policy, ret_size);
	closedir(d);
	if (r == -ENOENT)
		return ERR_PLAIN(r, "no AppArmor profile \"%s\" is loaded, or its policy is not kept by this kernel", profile);
	return r < 0 ? ERR(r, "cannot read the policy of the AppArmor profile \"%s\"", profile) : 0;
}

static int load(const void *policy, size_t size)
{
	_cleanup_close_ int fd = open(LOAD, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? ERR_PLAIN(-ENOTSUP, "the kernel has no AppArmor") : ERR(-errno, "cannot open \"" LOAD "\"");
	/* One write(2) is one policy. */
	n = write(fd, policy, size);
	if (n < 0)
		return ERR(-errno, "the kernel does not take the AppArmor policy");
	return (size_t)n == size ? 0 : ERR_PLAIN(-EIO, "the kernel took a part of the AppArmor policy only");
}

int apparmor_policy_load(const void *policy, size_t size)
{
	int r;

	if (mount("securityfs", SECURITYFS, "securityfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return errno == ENOENT || errno == ENODEV ? ERR_PLAIN(-ENOTSUP, "the kernel has no AppArmor")
							  : ERR(-errno, "cannot mount securityfs");
	r = load(policy, size);
	/* What the container binds of /sys is without it. */
	(void)umount2(SECURITYFS, MNT_DETACH);
	return r;
}
