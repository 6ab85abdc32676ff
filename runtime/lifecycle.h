/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container (runtime-spec runtime.md "Lifecycle"): create, start, kill,
 * delete, and what stands between. Commands parse options and call one of these; these
 * take the lock, ask the back end and keep the record true. Whatever a failing step has
 * made is undone before it returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "runtime/backend.h"
#include "runtime/plan.h"
#include "runtime/state.h"

struct spec;
struct spec_resources;

struct create_options {
	const char *root;		/* state directory */
	const char *id;
	const char *bundle;		/* NULL: the working directory */
	const char *bundle_told;	/* in its place in the state; NULL: as it is */
	const char *config;		/* NULL: config.json in the bundle */
	const char *console_socket;	/* NULL: none */
	const char *pid_file;		/* NULL: none */
	const char *pidfd_socket;	/* NULL: none */
	const char *isolation;		/* --isolation; NULL: not given */
	const char *program;		/* the name nacre was started under; NULL: not known */
	const char *host_config;	/* NULL: /etc/nacre/nacre.json, if there is one */
	bool no_pivot, no_new_keyring, debug;
	bool only_container;		/* the state directory is made for this one: nothing is kept in it for others */
	unsigned int preserve_fds;
	enum cgroup_manager cgroup_manager;
	int console_fd;			/* a connected socket in place of console_socket, stays the caller's; 0: none */
	/* Changes what config.json says before it is planned (in a virtual machine); NULL: it is taken as it is. */
	int (*adapt)(struct spec *spec, const void *data);
	const void *adapt_data;
};

/* Reads and plans a bundle; nothing is made. *ret_text: the text of config.json (malloc'ed), may be NULL. */
int lifecycle_plan(const struct create_options *o, struct plan **ret_plan, char **ret_text, size_t *ret_len);

/* create: when it returns 0 the container waits for lifecycle_start() of any process. */
int lifecycle_create(const struct create_options *o);

struct run_options {
	struct create_options create;
	bool detach, keep, no_subreaper;
};

/* create + start; unless detached, waits with signals forwarded, and deletes. *ret_status: what to exit with. */
int lifecycle_run(const struct run_options *o, int *ret_status);

int lifecycle_start(const char *root, const char *id);

struct exec_options {
	const char *root, *id;
	const char *process_file;		/* NULL: take the bundle's process and the fields below */
	const char *const *args;		/* NULL-terminated */
	const char *cwd, *user, *console_socket, *pid_file, *pidfd_socket, *cgroup, *apparmor, *process_label;
	const char *const *env, *const *caps, *const *additional_gids;
	size_t n_env, n_caps, n_additional_gids;
	bool tty, detach, no_new_privs, ignore_paused;
	unsigned int preserve_fds;
	int console_fd;				/* as create's */
	/* The process is there and waits; what this gives, if not 0, is the exec's failure. NULL: it goes on at once. */
	int (*made)(pid_t pid, void *data);
	void *made_data;
};

int lifecycle_exec(const struct exec_options *o, int *ret_status);

/*
 * sig -1: what the annotation ANNOTATION_STOP_SIGNAL says, else SIGTERM; 0: none is sent, -ESRCH tells that it does not run. SIGKILL
 * reaches what outlived the first process of a container without a pid namespace.
 */
int lifecycle_kill(const char *root, const char *id, int sig, bool all);
int lifecycle_delete(const char *root, const char *id, bool force);
int lifecycle_set_paused(const char *root, const char *id, bool paused);

/* What update changes: limits (NULL: none), what r leaves absent stays; lines of resctrl's schemata (NULL: as they are). */
struct update_options {
	const struct spec_resources *resources;
	const char *l3_cache_schema, *mem_bw_schema;
};

/*
 * update: of a container that is not stopped. name is that of the resources in error texts ("update"). Nothing is
 * changed when anything fails.
 */
int lifecycle_update(const char *root, const char *id, const struct update_options *o, const char *name);

struct mounts_options {
	const struct spec *mounts;	/* spec_parse_mounts()'; remove looks at the destinations only */
	const char *name;		/* of their file, in error texts */
	bool lazy;			/* remove: also what is in use */
};

/* mounts add: all of them or none, of a container that runs, or waits for its start. */
int lifecycle_add_mounts(const char *root, const char *id, const struct mounts_options *o);
/* mounts remove: of those that were added, in the order given; the first that cannot go ends it. */
int lifecycle_remove_mounts(const char *root, const char *id, const struct mounts_options *o);

/* Opens the container and asks for its status now. */
int lifecycle_status(const char *root, const char *id, struct container *c, struct instance *i,
		     enum container_status *ret_status, pid_t *ret_pid);

/* Opens and locks, waiting for whoever works on it. */
int lifecycle_open_locked(const char *root, const char *id, struct container *c, struct instance *i,
			  enum container_status *ret_status, pid_t *ret_pid);

/*
 * poststart hooks of a container whose lock is held; it is let go, since a hook that hangs
 * must not keep others away. Meanwhile the record names us, so that delete --force can end us.
 */
int lifecycle_poststart(struct instance *i, const struct plan_hooks *hooks);

/*
 * What could not be created, or not be started, is destroyed: poststop hooks and all. Its lock is held. r: what failed; its
 * text survives, and says it when memory ran out.
 */
void lifecycle_undo(struct instance *i, int r);

/* Written atomically, decimal, no newline. */
int pid_file_write(const char *path, pid_t pid);

/*
 * Are fds 3…2+n open? Asked before this process opens any: a number that is free now would
 * later be one of ours, and the container must never get it.
 */
int preserve_fds_check(unsigned int n);

/* A connected unix stream socket; what names it in the error text: "console". */
int socket_connect(const char *path, const char *what, int *ret_fd);

/* --pidfd-socket: the process' pidfd to whoever listens there. */
int pidfd_send(const char *path, int pidfd);
