/* SPDX-License-Identifier: Apache-2.0 */
/* The runs of nacre compare: the places it needs, and one run of one mode. See compare.h. */
#pragma once

#include <limits.h>
#include <stddef.h>

#include "runtime/compare.h"
#include "runtime/compare_child.h"

#define COMPARE_GLOBALS_MAX 12

struct compare_net {
	int inside, outside;		/* network namespaces: what is measured is inside, its peer outside */
	char path[64];			/* of inside, for a config.json; "": there is no network */
	struct compare_child server;	/* outside */
};

struct compare_run {
	/* nacre and its global options, those of a microVM's config too; without --isolation. */
	char self[PATH_MAX];
	const char *nacre[COMPARE_GLOBALS_MAX];
	size_t n_nacre;
	int signals;			/* signalfd: they end a run */
	char *bundle, *rootfs;		/* absolute */
	char *config;			/* the bundle's config.json */
	size_t config_len;
	int rootfs_fd, scratch_fd;
	char scratch[32];		/* the folder in the root file system; "": not made */
	char configs[PATH_MAX];		/* a folder for our config.json files; "": not made */
	unsigned int serial;
	struct compare_net net;
	/* What is being done, for a progress line; may be NULL. */
	void (*progress)(void *data, enum compare_mode mode, const char *what);
	void *data;
};

#define COMPARE_RUN_NULL { .signals = -1, .rootfs_fd = -1, .scratch_fd = -1, .net = { -1, -1, "", COMPARE_CHILD_NULL } }

/* Reads the bundle; makes a folder in its root file system, with the workload in it, and one for the config.json files. */
int compare_run_prepare(struct compare_run *r, const char *bundle);
/*
 * After compare_run_prepare(): the network that the runs to come are measured with. -errno with text: there is none, and the rest can be
 * measured; but not after -EINTR, -ENOMEM and -ENOTRECOVERABLE.
 */
int compare_net_start(struct compare_run *r);
/* Idempotent; compare_run_deinit() does it, too. */
void compare_net_end(struct compare_net *n);
/* Removes both. Idempotent; says by the log what it cannot. */
void compare_run_deinit(struct compare_run *r);
#define _cleanup_compare_run_ __attribute__((cleanup(compare_run_deinit)))

/* Whether the mode works at all, and what is made once (a guest's initramfs) is made: not measured. */
int compare_run_try(struct compare_run *r, enum compare_mode mode);
/* All metrics of one mode once, into c. -errno with text: nothing more of this run is there; a container of it is deleted. */
int compare_run_once(struct compare_run *r, enum compare_mode mode, struct compare_column *c);
