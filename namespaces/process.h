/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps of a process before its execve(2), in the container: working
 * directory, rlimits, identity, what to run. Used by create/run and by exec alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "namespaces/caps.h"

struct rlimit_req {
	int resource;		/* RLIMIT_* */
	const char *name;
	uint64_t soft, hard;
};

struct process_req {
	const char *const *args;	/* NULL-terminated, at least one */
	const char **env;		/* NULL-terminated; the last slot before the NULL is free for HOME */
	size_t n_env;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	bool has_umask;
	mode_t umask;
	struct caps_req caps;
	const struct rlimit_req *rlimits;
	size_t n_rlimits;
	bool no_new_privs;
	bool terminal;
	bool has_console_size;
	uint16_t console_height, console_width;
	bool has_oom_score_adj;
	int oom_score_adj;
	bool has_personality;
	unsigned long personality;
	const struct scheduler_req *scheduler;		/* NULL: as the caller's, with the following, too */
	const struct io_priority_req *io_priority;
	const struct affinity_req *affinity_initial, *affinity_final;	/* exec's business only */
	bool keep_groups;		/* the caller's supplementary groups stay (setgroups is denied) */
	const char *apparmor, *selinux;	/* NULL: none */
	unsigned int preserve_fds;	/* fds 3…2+n stay open, LISTEN_FDS's included */
};

/* RLIMIT_* number of "RLIMIT_NOFILE"; -EINVAL. */
int rlimit_resource(const char *name, int *ret_resource);

/* A number to the kernel's oom_score_adj of pid (0: oneself). */
int process_oom_score(pid_t pid, int score);

/* Raises hard limits of a process from outside: in a user namespace it may lower them itself only. */
int process_raise_rlimits(pid_t pid, const struct rlimit_req *v, size_t n);

/*
 * A new session keyring, so that the container does not see the caller's; or the one of that name that is there and may be searched:
 * a name that others can guess is whoever's who came first. to_be_joined: it may be searched by its owner's other processes that know the
 * name, which is all they can do with it: /proc/keys does not show it to them. ENOSYS is fine.
 */
int process_session_keyring(const char *name, bool to_be_joined);

/*
 * chdir, and the proof that we are inside: getcwd(2) of a directory outside the root is
 * "(unreachable)" (CVE-2024-21626).
 */
int process_enter_cwd(const char *cwd);

/* HOME from the container's /etc/passwd, "/" when the user is unknown, unless env has a non-empty one. */
int process_set_home(struct process_req *p);

/*
 * Finds args[0] as execvp would, with the PATH of the process' own environment, in
 * the current root. *ret_path is malloc'ed. Texts: `executable file not found in $PATH`.
 */
int process_find_executable(const struct process_req *p, char **ret_path);

/* Makes the terminal's slave side the controlling terminal and stdio. */
int process_take_terminal(int pts);

/* rlimits, keep-caps, bounding set, groups, gid, uid, capability sets, umask. Not no_new_privs. */
int process_set_identity(const struct process_req *p);

int process_set_no_new_privs(void);

/* All fds from first on get close-on-exec: nothing of the host crosses execve (CVE-2024-21626). */
int process_seal_fds(unsigned int first);

/* execve(2); on failure a text that names the file that is missing: program, interpreter or loader. */
int process_exec(const char *path, const struct process_req *p);
