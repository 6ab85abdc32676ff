/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parser's files hang together. Private to oci/.
 *
 *   spec_parse.c             the document: root, mounts, hooks, annotations; the public functions
 *   spec_parse_process.c     process
 *   spec_parse_linux.c       linux
 *   spec_parse_resources.c   linux.resources
 *   spec_parse_seccomp.c     linux.seccomp
 *   spec_parse_vm.c          vm
 *   spec_check.c             rules between objects, on the finished struct spec
 *   spec_read.c              the machinery under them (host_config.c uses it, too)
 */
#pragma once

#include "oci/spec_read.h"

extern const struct shape spec_shape_document;	/* struct spec: all of a config.json */
extern const struct shape spec_shape_process;	/* struct spec_process */
extern const struct shape spec_shape_linux;	/* struct spec_linux */
extern const struct shape spec_shape_resources;	/* struct spec_resources */
extern const struct shape spec_shape_seccomp;	/* struct spec_seccomp */
extern const struct shape spec_shape_vm;	/* struct spec_vm */
/* The same objects as defaults, where nothing is required. */
extern const struct shape spec_shape_vm_hypervisor_default, spec_shape_vm_kernel_default;
extern const struct shape spec_shape_id_map;	/* struct spec_id_map */

/* prefix: the JSON path before the process' properties, "process." or "". */
int spec_check_process(const struct spec_reader *r, const struct spec_process *p, const char *prefix);
int spec_check_mounts(const struct spec_reader *r, const struct spec *s, const char *prefix);
int spec_check(const struct spec_reader *r, const struct spec *s);
