/* SPDX-License-Identifier: Apache-2.0 */
/* nacre doctor: what a user who is not root needs for containers: a user namespace, and ids to map into it. */
#include "runtime/doctor.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define SUBID_MAX ((size_t)1 << 20)

/* Does the file say this, and nothing else? */
static bool says(const char *path, char c)
{
	char text[2] = { 0 };
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, text, sizeof(text)) > 0 && text[0] == c && (text[1] == '\n' || text[1] == '\0');
}

static void look_at_user_namespaces(struct doctor *d)
{
	static const struct {
		const char *path;
		char refuses;
		const char *fix;
	} switches[] = {
		/* Debian's own, before 5.10 off by default. */
		{ "/proc/sys/kernel/unprivileged_userns_clone", '0', "sysctl kernel.unprivileged_userns_clone=1" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1',
		  "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for nacre that has \"userns,\"" },
		{ "/proc/sys/user/max_user_namespaces", '0', "raise that sysctl" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (!says(switches[i].path, switches[i].refuses))
			continue;
		doctor_tell(d, "users", DOCTOR_LIMITED, switches[i].fix, "only root can make user namespaces: %s is %c",
			    switches[i].path + strlen("/proc/sys/"), switches[i].refuses);
		return;
	}
	doctor_tell(d, "users", DOCTOR_OK, NULL, "user namespaces are not kept from those who are not root");
}

/* As posix_spawnp(3) looks for it. */
static bool find_in_path(const char *name, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	for (path = path != NULL ? path : "/bin:/usr/bin"; *path != '\0'; path += path[0] == ':') {
		size_t len = strcspn(path, ":");

		if (len > 0 && (size_t)snprintf(buf, size, "%.*s/%s", (int)len, path, name) < size && access(buf, X_OK) == 0)
			return true;
		path += len;
	}
	return false;
}

/* Another's ids can be mapped by root only: the helper has to become that, or to have the capability for it. */
static bool is_privileged(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && ((st.st_uid == 0 && (st.st_mode & S_ISUID)) || getxattr(path, "security.capability", NULL, 0) > 0);
}

static void look_at_helper(struct doctor *d, const char *name)
{
	char path[4096];

	if (!find_in_path(name, path, sizeof(path)))
		doctor_tell(d, name, DOCTOR_LIMITED, "install it (Debian: apt-get install uidmap)",
			    "is not in PATH: without root, only one's own id can be mapped");
	else if (!is_privileged(path))
		doctor_tell(d, name, DOCTOR_LIMITED, "reinstall it (Debian: apt-get install --reinstall uidmap)",
			    "%s is neither set-user-ID root nor has capabilities: it can map nothing", path);
	else
		doctor_tell(d, name, DOCTOR_OK, NULL, "%s", path);
}

/* A line "NAME:FIRST:COUNT" or "UID:FIRST:COUNT" of subuid(5)? */
static bool has_ids(const char *text, const char *name, const char *uid)
{
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, ":\n");

		if (line[len] == ':' && len > 0 &&
		    ((len == strlen(name) && strncmp(line, name, len) == 0) || (len == strlen(uid) && strncmp(line, uid, len) == 0)))
			return true;
	}
	return false;
}

static void look_at_ids(struct doctor *d, const char *path)
{
	const struct passwd *user = getpwuid(geteuid());
	_cleanup_free_ char *text = NULL;
	char uid[16];
	size_t len;

	snprintf(uid, sizeof(uid), "%u", (unsigned int)geteuid());
	if (file_read(AT_FDCWD, path, SUBID_MAX, &text, &len) == 0 && has_ids(text, user != NULL ? user->pw_name : uid, uid))
		doctor_tell(d, path + strlen("/etc/"), DOCTOR_OK, NULL, "%s has ids for this user", path);
	else
		doctor_tell(d, path + strlen("/etc/"), DOCTOR_LIMITED, "usermod --add-subuids and --add-subgids (usermod(8)), as root",
			    "%s has no ids for this user (%s): only the own id can be mapped", path, uid);
}

void doctor_look_at_rootless(struct doctor *d)
{
	look_at_user_namespaces(d);
	look_at_helper(d, "newuidmap");
	look_at_helper(d, "newgidmap");
	if (geteuid() == 0)
		return;
	look_at_ids(d, "/etc/subuid");
	look_at_ids(d, "/etc/subgid");
}
