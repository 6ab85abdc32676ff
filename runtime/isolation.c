/* SPDX-License-Identifier: Apache-2.0 */
/* See isolation.h. */
#include "runtime/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/userns.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/pod.h"

#define PROGRAM_MICROVM "nacre-vm"
/* /proc/sys/kernel/overflowuid, which nobody changes: the owner of what belongs to nobody of our user namespace. */
#define OVERFLOW_UID 65534
#define HOST_CONFIG_MAX ((size_t)64 * 1024)

static int read_word(const char *where, const char *word, enum isolation *ret)
{
	for (int i = ISOLATION_CONTAINER; i <= ISOLATION_MICROVM; i++) {
		if (str_eq(word, isolation_name((enum isolation)i))) {
			*ret = (enum isolation)i;
			return 0;
		}
	}
	return ERR_PLAIN(-EINVAL, "%s: \"%.64s\" is neither container nor microvm", where, word);
}

static bool is_microvm_program(const char *program)
{
	const char *slash = program != NULL ? strrchr(program, '/') : NULL;

	return program != NULL && str_eq(slash != NULL ? slash + 1 : program, PROGRAM_MICROVM);
}

int isolation_asked(const struct isolation_wish *w, enum isolation *ret, bool *ret_decided)
{
	const char *annotation = spec_annotation(w->spec, ANNOTATION_ISOLATION);

	*ret_decided = true;
	if (w->option != NULL)
		return read_word("option --isolation", w->option, ret);
	if (annotation != NULL)
		return read_word("config.json: annotations[\"" ANNOTATION_ISOLATION "\"]", annotation, ret);
	*ret_decided = is_microvm_program(w->program) || w->spec->vm.present;
	*ret = *ret_decided ? ISOLATION_MICROVM : ISOLATION_CONTAINER;
	return 0;
}

/* The file's word, when nothing before it decides. */
static int file_word(const char *path, const struct host_config *file, enum isolation *ret)
{
	return file->isolation == NULL ? 0 : read_word(path != NULL ? path : HOST_CONFIG_PATH, file->isolation, ret);
}

/*
 * A pod's annotations may be its author's (CRI-O hands on what it does not know). They may ask for the stronger wall, not for the
 * weaker in place of the one that the engine's table or the host's file asks for.
 */
static int check_lowered(struct arena *a, const struct isolation_wish *w, const char *path)
{
	enum isolation without = is_microvm_program(w->program) ? ISOLATION_MICROVM : ISOLATION_CONTAINER;
	struct host_config file;
	int r = host_config_load(a, path, &file);

	if (r == 0 && without == ISOLATION_CONTAINER)
		r = file_word(path, &file, &without);
	if (r < 0 || without == ISOLATION_CONTAINER)
		return r;
	return ERR_HINT(ERR_PLAIN(-EPERM, "config.json: annotations[\"" ANNOTATION_ISOLATION "\"]: a pod's container cannot be made a container "
					  "where its handler is for microVMs"),
			"Choose the handler (RuntimeClass) for containers.");
}

int isolation_find(struct arena *a, const struct isolation_wish *w, const char *path, enum isolation *ret, bool *ret_sandbox,
		   struct host_config *ret_file)
{
	enum pod_part part = w->option == NULL ? pod_part(w->spec) : POD_NONE;
	bool decided;
	int r = isolation_asked(w, ret, &decided);

	*ret_sandbox = false;
	host_config_init(ret_file);
	if (r == 0 && decided && *ret == ISOLATION_CONTAINER)
		return part == POD_CONTAINER ? check_lowered(a, w, path) : 0;
	if (r == 0)
		r = host_config_load(a, path, ret_file);
	if (r == 0 && !decided)
		r = file_word(path, ret_file, ret);
	if (r == 0 && *ret == ISOLATION_MICROVM && part == POD_SANDBOX) {
		*ret_sandbox = true;
		*ret = ISOLATION_CONTAINER;
	}
	return r;
}

/* ---- the file ---- */

/*
 * In the user namespace of a rootless engine the host's root is nobody. Whose such a file is cannot be told there; in the folder of
 * the built-in path only root puts files, and what is started is started with no more than the caller's own rights.
 */
static bool is_hosts_root(const struct stat *st)
{
	return st->st_uid == OVERFLOW_UID && !userns_is_initial();
}

static int check_owner(const char *path, bool built_in, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return ERR_PLAIN(-EINVAL, "%s: not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid() && !(built_in && is_hosts_root(st)))
		return ERR_HINT(ERR_PLAIN(-EPERM, "%s: belongs to user %u, who could have any program started", path, (unsigned int)st->st_uid),
				"chown root:root %s", path);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return ERR_HINT(ERR_PLAIN(-EPERM, "%s: others than its owner may write to it, and have any program started", path),
				"chmod go-w %s", path);
	return 0;
}

int host_config_load(struct arena *a, const char *path, struct host_config *ret)
{
	const char *name = path != NULL ? path : HOST_CONFIG_PATH;
	/* O_NONBLOCK: a FIFO in its place must not make us wait. */
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	host_config_init(ret);
	if (fd < 0 && path == NULL && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return ERR(-errno, "cannot open \"%s\"", name);
	r = check_owner(name, path == NULL, &st);
	if (r < 0)
		return r;
	r = fd_read_all(fd, HOST_CONFIG_MAX, &text, &len);
	if (r < 0)
		return ERR(r, "cannot read \"%s\"", name);
	return host_config_parse(a, name, text, len, ret);
}
