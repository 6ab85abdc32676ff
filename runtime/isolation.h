/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which isolation a bundle gets. The first of these that says something decides:
 *
 *	1. the global option --isolation
 *	2. the annotation run.nacre.isolation
 *	3. the program was started under the name nacre-vm (an engine needs no more than a path)
 *	4. config.json has the object vm
 *	5. "isolation" in the host's configuration file (oci/host_config.h)
 *	6. container
 *
 * But for the option, that is said of a pod's containers, not of its sandbox: that one stays a container (pod.h). The annotation is no
 * exception: a pod has one set of them, and who wants its containers to be microVMs does not mean what holds their namespaces.
 * Nor does it make a container of a pod's container where 3 or 5 say microvm (-EPERM): it may be the pod's author's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "oci/host_config.h"
#include "runtime/plan.h"

#define HOST_CONFIG_PATH "/etc/nacre/nacre.json"

#define ANNOTATION_ISOLATION "run.nacre.isolation"

struct isolation_wish {
	const char *option;		/* NULL: not given */
	const char *program;		/* argv[0]; NULL: not known */
	const struct spec *spec;
};

/*
 * 1 to 4 of the list. *ret_decided false: none of them says anything. -EINVAL with a text: a word that is neither
 * container nor microvm.
 */
int isolation_asked(const struct isolation_wish *w, enum isolation *ret, bool *ret_decided);

/*
 * All of the list. *ret_sandbox: it would be a microVM, and is the sandbox of a pod. The file is read when it matters: when nothing before it decides, or when it is to be a microVM (a
 * mistake in it keeps no container from running that has no use for it). *ret_file as from an empty file otherwise. In a.
 */
int isolation_find(struct arena *a, const struct isolation_wish *w, const char *path, enum isolation *ret, bool *ret_sandbox,
		   struct host_config *ret_file);

/*
 * path NULL: HOST_CONFIG_PATH, which need not exist. It says which programs root starts, so whoever can write to it is
 * root: -EPERM with a text unless it belongs to root (or to the user we are) and nobody else may write to it; in a user
 * namespace HOST_CONFIG_PATH may belong to nobody of it, as the host's root does there.
 */
int host_config_load(struct arena *a, const char *path, struct host_config *ret);
