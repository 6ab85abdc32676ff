/* SPDX-License-Identifier: Apache-2.0 */
/* See virtiofsd.h. */
#include "microvm/virtiofsd.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define ARGUMENTS_MAX 24

int virtiofsd_find(const char *configured, struct virtiofsd_program *ret)
{
	static const char *const usual[] = { "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd",
					     "/usr/libexec/qemu/virtiofsd" };
	const char *path = NULL;

	if (configured != NULL && access(configured, X_OK) < 0)
		return ERR(-errno, "cannot use the file server \"%s\" for microVMs", configured);
	path = configured;
	for (size_t i = 0; path == NULL && i < ARRAY_SIZE(usual); i++)
		if (access(usual[i], X_OK) == 0)
			path = usual[i];
	if (path == NULL)
		return ERR_HINT(ERR_PLAIN(-ENOENT, "virtiofsd, which serves the files of a microVM, is not installed"),
				"Debian has it in the package virtiofsd, up to Debian 12 in qemu-system-common");
	ret->path = path;
	ret->kind = strstr(path, "/qemu/") != NULL ? VIRTIOFSD_C : VIRTIOFSD_RUST;
	return 0;
}

/*
 * sandbox=namespace: pivot_root(2) into dir, so that a guest that takes over the server finds nothing but what it has
 * (CVE-2026-47243 is the other way). xattr: file capabilities and the like are part of an image. The limit of open
 * files is left as it is where it cannot be raised (a root without CAP_SYS_RESOURCE): both programs take a number.
 */
static size_t c_arguments(struct arena *a, const char *dir, int fd, const char **v)
{
	size_t n = 0;

	v[n++] = "-f";
	v[n++] = arena_printf(a, "--fd=%d", fd);
	v[n++] = "-o";
	v[n++] = arena_printf(a, "source=%s", dir);
	v[n++] = "-o";
	v[n++] = "sandbox=namespace,cache=auto,xattr,log_level=err";
	v[n++] = "--rlimit-nofile=0";
	return n;
}

static size_t rust_arguments(struct arena *a, const char *dir, int fd, const char **v)
{
	size_t n = 0;

	v[n++] = arena_printf(a, "--fd=%d", fd);
	v[n++] = arena_printf(a, "--shared-dir=%s", dir);
	v[n++] = "--sandbox=namespace";
	v[n++] = "--cache=auto";
	v[n++] = "--xattr";
	v[n++] = "--no-announce-submounts";
	v[n++] = "--log-level=error";
	v[n++] = "--rlimit-nofile=0";
	return n;
}

int virtiofsd_arguments(struct arena *a, const struct virtiofsd_program *p, const char *dir, int fd,
			const char *const **ret_argv)
{
	const char **v = arena_array(a, ARGUMENTS_MAX, sizeof(*v));
	size_t n;

	if (v == NULL)
		return ERR_NOMEM();
	v[0] = p->path;
	n = 1 + (p->kind == VIRTIOFSD_C ? c_arguments(a, dir, fd, v + 1) : rust_arguments(a, dir, fd, v + 1));
	for (size_t i = 0; i < n; i++)
		if (v[i] == NULL)
			return ERR_NOMEM();
	v[n] = NULL;
	*ret_argv = v;
	return 0;
}
