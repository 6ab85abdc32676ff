/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of QEMU for the same machine that machine.h runs by itself: the machine type "microvm", with the same
 * kernel, initramfs, devices and channel. Software emulation (TCG) where KVM cannot be used, or QEMU with KVM to compare
 * with. Nothing is run here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/machine.h"

struct arena;

struct qemu_request {
	const char *path;		/* of QEMU */
	const struct machine_config *machine;	/* QEMU inherits its descriptors under the same numbers */
	const char *const *parameters;	/* added at the end: the caller's own */
	size_t n_parameters;
	bool kvm;
};

/* configured: what a person chose, or NULL: qemu-system-x86_64 where distributions have it. -ENOENT with text and hint. */
int qemu_find(const char *configured, const char **ret_path);

/*
 * The arguments, NULL-terminated, in a. Standard input is not read; the guest's console and QEMU's own messages go to
 * standard output and error. -ENOMEM with text.
 */
int qemu_arguments(struct arena *a, const struct qemu_request *q, const char *const **ret_argv);

/*
 * What has to be on the kernel's command line under software emulation. Without the clock's rate a kernel measures it against
 * timers that are emulated, too: one boot in three hangs ("could not calculate TSC khz"). One panic in five hung on its way to the reset by
 * other means than a triple fault. In a; NULL: not known.
 */
const char *qemu_tcg_command_line(struct arena *a);
