/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file of a host, /etc/nacre/nacre.json: what a bundle's config.json leaves open.
 *
 *	{ "isolation": "container" | "microvm",
 *	  "vm": { "kernel":     { "path": ABSOLUTE, "parameters": [...], "initrd": ABSOLUTE },
 *	          "hypervisor": { "path": ABSOLUTE, "parameters": [...] },
 *	          "virtiofsd":  ABSOLUTE } }
 *
 * Everything is optional, and nothing else may be in it: a word that is misspelt would otherwise do nothing, silently.
 */
#pragma once

#include <stddef.h>

#include "oci/spec.h"

struct host_config {
	const char *isolation;		/* "container" or "microvm"; NULL: absent */
	struct spec_vm_kernel kernel;
	struct spec_vm_hypervisor hypervisor;
	const char *virtiofsd;		/* absolute; NULL: absent */
};

/* *ret as from an empty file: its string lists are valid. */
void host_config_init(struct host_config *ret);

/* In a; name is used in error texts. -EINVAL with a text as `nacre.json: vm.kernel.path: ...`, -ENOMEM. */
int host_config_parse(struct arena *a, const char *name, const char *text, size_t len, struct host_config *ret);
