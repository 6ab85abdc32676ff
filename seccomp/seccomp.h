/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters: a request in the specification's vocabulary -> BPF bytes
 * (by libseccomp, the only file that includes it is compile.c) -> the kernel.
 *
 * Compilation happens in the runtime's own process; what crosses into the child
 * (and into the state directory, for exec) is only the finished program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;	/* value_two: the comparand of SCMP_CMP_MASKED_EQ (value is its mask) */
	const char *op;
};

struct seccomp_rule {
	const char *const *names;
	size_t n_names;
	const char *action;
	bool has_errno_ret;
	uint32_t errno_ret;
	const struct seccomp_arg *args;
	size_t n_args;
};

struct seccomp_req {
	const char *default_action;
	bool has_default_errno_ret;
	uint32_t default_errno_ret;
	const char *const *architectures;	/* SCMP_ARCH_…; the native one is always in */
	size_t n_architectures;
	const char *const *flags;		/* SECCOMP_FILTER_FLAG_…; NULL (no list in the config): SPEC_ALLOW */
	size_t n_flags;
	const struct seccomp_rule *rules;
	size_t n_rules;
	/*
	 * System calls above the highest number that the rules name are ENOSYS, not the default action, unless that
	 * lets them through or asks somebody (ALLOW, LOG, TRACE, NOTIFY).
	 */
	bool newer_enosys;
};

/* Bytes of the longest program that the kernel takes: BPF_MAXINSNS of 8. */
#define SECCOMP_PROGRAM_MAX ((size_t)4096 * 8)

struct seccomp_program {
	void *filter;		/* struct sock_filter[], malloc'ed */
	size_t len;		/* bytes */
	uint32_t flags;		/* for seccomp(2) */
	bool uses_notify;	/* some action is SCMP_ACT_NOTIFY */
};

/*
 * runtime-spec "linux.seccomp". Unknown system call names (of another
 * architecture or newer than the library) are skipped, as every runtime does;
 * their number goes to *ret_unknown when not NULL. Unknown actions, operators,
 * architectures or flags, and errnoRet on an action without errno: -EINVAL.
 */
int seccomp_compile(const struct seccomp_req *req, struct seccomp_program *ret_prog, size_t *ret_unknown);
void seccomp_program_deinit(struct seccomp_program *p);

/* Requests of fewer names are compiled each time: that takes less than half a millisecond. */
#define SECCOMP_CACHE_FROM 32
/* Files in a cache: of more, the oldest go. */
#define SECCOMP_CACHE_FILES 32

struct seccomp_cache {
	int parent;		/* the directory that has the cache in it, ours; FD_NONE: no cache */
	const char *name;	/* the cache's in there, made when there is something to keep */
	const char *writer;	/* the program that asks and its version: another one's filters are not taken */
};

/*
 * The same, by way of a cache of programs (README.md): a filter that was compiled before, for the same request by the same program
 * and libraries, is not compiled again. Whatever keeps the cache from being read or written is no error, only a line of
 * the debug log.
 */
int seccomp_compile_cached(const struct seccomp_cache *c, const struct seccomp_req *req, struct seccomp_program *ret_prog);

/*
 * Loads into the calling thread. Without CAP_SYS_ADMIN the caller must have set
 * no_new_privs. Gives the listener fd in *ret_listener (FD_NONE unless the flags
 * ask for one). NULL: without a listener, what the filter would ask it is ENOSYS.
 * Async-signal-safe, allocates nothing, records no error text.
 * -ESRCH: TSYNC could not reach another thread, nothing was loaded.
 * (Not called seccomp_load: libseccomp has that name.)
 */
int seccomp_program_load(const struct seccomp_program *p, int *ret_listener);

/* A compiled program's file form (magic, version, flags, length, bytes) for the state directory. */
int seccomp_program_save(int dirfd, const char *name, const struct seccomp_program *p);
/* -ENOENT if absent, -EBADMSG when it is not what save wrote. */
int seccomp_program_read(int dirfd, const char *name, struct seccomp_program *ret_prog);

/* Vocabulary, for `features`: actions, operators, architectures, flags. */
struct seccomp_names {
	const char *const *v;
	size_t n;
};
struct seccomp_names seccomp_known_actions(void);
struct seccomp_names seccomp_known_operators(void);
struct seccomp_names seccomp_known_archs(void);
struct seccomp_names seccomp_known_flags(void);
/* The name of a system call of this architecture: malloc'ed, NULL when there is none of that number. */
char *seccomp_syscall_name(int number);

/* Does the running kernel take this one of the known flags? One system call. */
bool seccomp_flag_supported(const char *flag);
