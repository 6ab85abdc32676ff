/* SPDX-License-Identifier: Apache-2.0 */
/* Device rules -> BPF instructions. Pure. Private to this folder and its tests. */
#pragma once

#include <stddef.h>

struct bpf_insn;
struct cgroup_device_rule;

/* n > 0 rules -> *ret_insns (malloc'ed). -EINVAL with text: a type or number no device has. */
int cgroup_devices_assemble(const struct cgroup_device_rule *rules, size_t n, struct bpf_insn **ret_insns,
			    size_t *ret_n);
