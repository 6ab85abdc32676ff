/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_jail.h. */
#include "runtime/vm_jail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespaces/caps.h"
#include "namespaces/mount.h"
#include "namespaces/process.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/path_at.h"
#include "runtime/base/str.h"
#include "seccomp/seccomp.h"

int vm_jail_root(const char *dir)
{
	static const char *const data[] = { "mode=0555", "size=4k", "nr_inodes=2" };
	_cleanup_close_ int root = FD_NONE, at = FD_NONE;
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return ERR(-errno, "cannot make a mount namespace");
	r = mount_isolate(MS_PRIVATE);
	if (r < 0)
		return r;
	r = mount_new("tmpfs", "nacre", data, ARRAY_SIZE(data), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
		      MOUNT_ATTR_RDONLY, &root);
	if (r < 0)
		return ERR(r, "cannot make an empty root file system");
	at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return ERR(-errno, "cannot open \"%s\"", dir);
	r = mount_attach(root, at);
	if (r < 0)
		return ERR(r, "cannot mount an empty root file system");
	return rootfs_pivot(root, dir, false);
}

/* ---- a root for a program ---- */

/* A folder or file of the host at the same path; what the host does not have is left out. A symlink is copied. */
static int bind_same(int root, const char *path)
{
	_cleanup_close_ int tree = FD_NONE, place = FD_NONE;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, .propagation = MS_PRIVATE };
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		return symlinkat(target, root, path + 1) < 0 && errno != EEXIST ? -errno : 0;
	}
	tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	r = S_ISDIR(st.st_mode) ? path_mkdirs(root, path, 0755, &place) : path_mkfile(root, path, 0755, 0644, &place);
	return r < 0 ? r : mount_attach(tree, place);
}

static int fill_program_root(int root, const char *program)
{
	static const char *const paths[] = { "/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/ld.so.conf",
					     "/etc/ld.so.conf.d", "/etc/alternatives", "/dev/null", "/dev/urandom", "/dev/kvm" };
	/* Its own fds and maps. Who is root may write to the host's settings in /proc/sys without any capability (core_pattern is a program). */
	static const char *const own[] = { "subset=pid" };
	_cleanup_close_ int proc = FD_NONE, place = FD_NONE;
	_cleanup_free_ char *folder = strdup(program);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(paths); i++)
		r = bind_same(root, paths[i]);
	if (r == 0 && slash != NULL && slash != folder && !str_starts(folder, "/usr/")) {
		*slash = '\0';
		r = bind_same(root, folder);
	}
	if (r == 0)
		r = mount_new("proc", "proc", own, ARRAY_SIZE(own),
			      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &proc);
	if (r == 0)
		r = path_mkdirs(root, "/proc", 0555, &place);
	return r < 0 ? r : mount_attach(proc, place);
}

int vm_jail_program_root(const char *dir, const char *program)
{
	static const char *const data[] = { "mode=0755", "size=1m" };
	_cleanup_close_ int root = FD_NONE, at = FD_NONE;
	int r;

	/* Its own filter of system calls leaves those of System V's IPC, whose objects of root's need no capability either. */
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0)
		return ERR(-errno, "cannot make a mount namespace");
	r = mount_isolate(MS_PRIVATE);
	if (r == 0)
		r = mount_new("tmpfs", "nacre", data, ARRAY_SIZE(data), MOUNT_ATTR_NOSUID, &root);
	if (r < 0)
		return ERR(r, "cannot make a root file system for \"%s\"", program);
	at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return ERR(-errno, "cannot open \"%s\"", dir);
	/* Before it is filled: until Linux 6.15 nothing can be mounted on what is not mounted itself. */
	r = mount_attach(root, at);
	if (r == 0)
		r = fill_program_root(root, program);
	if (r == 0)
		r = mount_set_readonly(root);
	if (r < 0)
		return ERR(r, "cannot mount a root file system for \"%s\"", program);
	return rootfs_pivot(root, dir, false);
}

int vm_jail_privileges(void)
{
	const struct caps_req none = { .present = true };
	int r = caps_drop_bounding(&none);

	if (r == 0)
		r = caps_apply(&none);
	if (r == 0)
		r = process_set_no_new_privs();
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = ERR(-errno, "cannot make ourselves undumpable");
	return r;
}

/* The names of the numbers behind those that have names already; *ret is malloc'ed, its strings are, too. */
static int add_names(const struct vm_jail_calls *calls, char **ret, size_t *ret_n)
{
	for (size_t i = 0; i < calls->n_numbers; i++) {
		ret[i] = seccomp_syscall_name(calls->numbers[i]);
		if (ret[i] == NULL)
			return ERR_PLAIN(-EINVAL, "system call %d has no name", calls->numbers[i]);
		*ret_n = i + 1;
	}
	return 0;
}

static int compile(const struct vm_jail_calls *calls, const char *const *names, size_t n_names, struct seccomp_program *ret)
{
	struct seccomp_rule *rules = calloc(calls->n_narrow + 2, sizeof(*rules));
	struct seccomp_arg *args = calloc(calls->n_narrow + 1, sizeof(*args));
	struct seccomp_req q = { .default_action = "SCMP_ACT_KILL_PROCESS", .rules = rules };
	int r = rules == NULL || args == NULL ? ERR_NOMEM() : 0;

	if (r == 0 && n_names > 0)
		rules[q.n_rules++] = (struct seccomp_rule){ .names = names, .n_names = n_names, .action = "SCMP_ACT_ALLOW" };
	if (r == 0 && calls->n_names > 0)
		rules[q.n_rules++] = (struct seccomp_rule){ .names = calls->names, .n_names = calls->n_names, .action = "SCMP_ACT_ALLOW" };
	for (size_t i = 0; r == 0 && i < calls->n_narrow; i++) {
		const struct vm_jail_call *c = &calls->narrow[i];

		args[i] = (struct seccomp_arg){ .index = c->arg, .value = c->value, .op = "SCMP_CMP_EQ" };
		rules[q.n_rules++] = (struct seccomp_rule){ .names = &c->name, .n_names = 1, .action = "SCMP_ACT_ALLOW",
							    .args = &args[i], .n_args = 1 };
	}
	if (r == 0)
		r = seccomp_compile(&q, ret, NULL);
	free(args);
	free(rules);
	return r;
}

int vm_jail_compile(const struct vm_jail_calls *calls, struct seccomp_program *ret)
{
	char **names = calloc(calls->n_numbers + 1, sizeof(*names));
	size_t n = 0;
	int r = names == NULL ? ERR_NOMEM() : add_names(calls, names, &n);

	if (r == 0)
		r = compile(calls, (const char *const *)names, n, ret);
	for (size_t i = 0; names != NULL && i < n; i++)
		free(names[i]);
	free(names);
	return r;
}

#if defined(__SANITIZE_ADDRESS__)
int vm_jail_load(const struct seccomp_program *program)
{
	(void)program;
	return 0;
}
#else
int vm_jail_load(const struct seccomp_program *program)
{
	int listener = FD_NONE;

	return seccomp_program_load(program, &listener);
}
#endif

int vm_jail_keep_groups(void)
{
	static const char *const name = "setgroups";
	static const struct seccomp_rule rule = { .names = &name, .n_names = 1, .action = "SCMP_ACT_ERRNO", .has_errno_ret = true };
	static const struct seccomp_req q = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule, .n_rules = 1 };
	_cleanup_free_ char *word = NULL;
	struct seccomp_program program = { 0 };
	int listener = FD_NONE, r;
	size_t len;

	r = file_read(AT_FDCWD, "/proc/self/setgroups", 16, &word, &len);
	if (r < 0 || !str_starts(word, "deny"))
		return 0;
	r = seccomp_compile(&q, &program, NULL);
	if (r == 0) {
		r = seccomp_program_load(&program, &listener);
		if (r < 0)
			ERR(r, "cannot load the file server's filter of system calls");
	}
	seccomp_program_deinit(&program);
	return r;
}

int vm_jail_filter(const struct vm_jail_calls *calls)
{
	struct seccomp_program program = { 0 };
	int r = vm_jail_compile(calls, &program);

	if (r == 0) {
		r = vm_jail_load(&program);
		if (r < 0)
			ERR(r, "cannot load the filter of system calls");
	}
	seccomp_program_deinit(&program);
	return r;
}
