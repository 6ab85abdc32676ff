/* SPDX-License-Identifier: Apache-2.0 */
/* The microVM's part of a plan. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/plan.h"

struct host_config;

/* Annotations, beside ANNOTATION_ISOLATION (isolation.h). */
#define ANNOTATION_VM "run.nacre.vm."
#define ANNOTATION_VM_ACCEL ANNOTATION_VM "accel"	/* auto, kvm, qemu, tcg */
#define ANNOTATION_VM_CONSOLE ANNOTATION_VM "console"	/* absolute path, or "stderr" */

/* What of the host the plan of a microVM depends on. */
struct vm_host {
	unsigned int cpus;	/* online */
	uint64_t memory;	/* bytes; 0: not known */
	const char *kvm_why;	/* why /dev/kvm cannot be used; NULL: it can */
	uid_t uid;		/* who asks */
	gid_t gid;
};

/* Asks the host. In a. -ENOMEM. */
int vm_host_probe(struct arena *a, struct vm_host *ret);

/*
 * Who runs the microVM. accel: "auto", "kvm", "qemu" (on KVM), "tcg" (NULL: auto). qemu: config.json names a hypervisor. *ret_why in a, in
 * words. -ENOTSUP with a text: "kvm", and the host's cannot be used.
 */
int vm_monitor_choose(struct arena *a, const char *accel, bool qemu, const struct vm_host *h, enum vm_monitor *ret,
		      const char **ret_why);

const char *vm_monitor_name(enum vm_monitor m);	/* in words: "QEMU, on /dev/kvm" */

/* p->spec, the host's file (config.json's objects take the place of its) and the host -> p->vm. Errors name the JSON path. */
int plan_build_vm(struct plan *p, const struct host_config *file, const struct vm_host *host);
