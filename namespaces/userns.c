/* SPDX-License-Identifier: Apache-2.0 */
/* See userns.h. */
#include "namespaces/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* The kernel's PROC_USER_INIT_INO: a number that no other one gets. */
#define USERNS_INITIAL 0xEFFFFFFDU

extern char **environ;

/* One line a range; five are what user_namespaces(7) promised first, 340 since 4.15. */
static char *map_text(const struct userns_range *v, size_t n)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%u %u %u\n", v[i].container_id, v[i].host_id, v[i].size);
	return buf_take(&b);
}

static int write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return file_write_value(AT_FDCWD, path, text);
}

static bool only_self(const struct userns_range *v, size_t n, uint32_t self)
{
	return n == 1 && v[0].size == 1 && v[0].host_id == self;
}

static bool maps_root(const struct userns_range *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].host_id == 0)
			return true;
	return false;
}

/* newuidmap PID C H S [C H S…]: the helpers check /etc/subuid. */
static int run_helper(const char *helper, pid_t pid, const struct userns_range *v, size_t n)
{
	char **argv = calloc(n * 3 + 3, sizeof(*argv));
	size_t argc = 0;
	pid_t child;
	int status = 0, r = 0;

	if (argv == NULL)
		return ERR_NOMEM();
	argv[argc++] = str_printf("%s", helper);
	argv[argc++] = str_printf("%d", (int)pid);
	for (size_t i = 0; i < n; i++) {
		argv[argc++] = str_printf("%u", v[i].container_id);
		argv[argc++] = str_printf("%u", v[i].host_id);
		argv[argc++] = str_printf("%u", v[i].size);
	}
	for (size_t i = 0; i < argc; i++)
		if (argv[i] == NULL)
			r = ERR_NOMEM();
	if (r == 0)
		r = -posix_spawnp(&child, helper, NULL, NULL, argv, environ);
	if (r < 0)
		ERR_HINT(ERR(r, "cannot run %s", helper), "install the package uidmap, or map your own id only");
	else if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		r = ERR_HINT(ERR_PLAIN(-EPERM, "%s refused the id map", helper), "see /etc/subuid and /etc/subgid");
	for (size_t i = 0; i < argc; i++)
		free(argv[i]);
	free(argv);
	return r;
}

static int write_map(pid_t pid, const char *file, const char *helper, const struct userns_range *v, size_t n,
		     uint32_t self)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (geteuid() != 0 && !only_self(v, n, self))
		return run_helper(helper, pid, v, n);
	text = map_text(v, n);
	if (text == NULL)
		return ERR_NOMEM();
	r = write_proc(pid, file, text);
	if (r == 0)
		return 0;
	ERR(r, "cannot write the container's %s", file);
	return r == -EPERM && maps_root(v, n) ?
		       ERR_HINT(r, "since Linux 5.12 only who has CAP_SETFCAP maps id 0, as a nested container often has not") : r;
}

int userns_write_maps(pid_t pid, const struct userns_req *req)
{
	int r;

	if (req->n_gid > 0 && geteuid() != 0 && only_self(req->gid, req->n_gid, getegid())) {
		r = write_proc(pid, "setgroups", "deny");
		if (r < 0)
			return ERR(r, "cannot deny setgroups in the container's user namespace");
	}
	r = req->n_gid > 0 ? write_map(pid, "gid_map", "newgidmap", req->gid, req->n_gid, getegid()) : 0;
	if (r == 0 && req->n_uid > 0)
		r = write_map(pid, "uid_map", "newuidmap", req->uid, req->n_uid, geteuid());
	return r;
}

int userns_become_root(void)
{
	/* Without an id 0 in the map the process goes on with the id it has (EINVAL). */
	if (setresgid(0, 0, 0) < 0 && errno != EINVAL)
		return ERR(-errno, "cannot become group 0 of the user namespace");
	if (setresuid(0, 0, 0) < 0 && errno != EINVAL)
		return ERR(-errno, "cannot become user 0 of the user namespace");
	return 0;
}

bool userns_is_initial(void)
{
	struct stat st;

	/* Not by its map: systemd makes services a namespace that has the same. */
	return stat("/proc/self/ns/user", &st) < 0 || st.st_ino == USERNS_INITIAL;
}
