/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of an AppArmor profile, as apparmor_parser(8) compiled it: out of the kernel that has it, and into another, a virtual
 * machine's, so that a process is confined there as it would be here.
 */
#pragma once

#include <stddef.h>

#define APPARMOR_POLICY_MAX ((size_t)1 << 20)
#define APPARMOR_UNCONFINED "unconfined"

/*
 * The whole set of profiles that was loaded together with this one; malloc'ed. Needs CAP_MAC_ADMIN, and a kernel that keeps it
 * (since 4.13; with CONFIG_SECURITY_APPARMOR_EXPORT_BINARY where there is such an option). -ENOENT: no such profile is loaded. -errno with text.
 */
int apparmor_policy_read(const char *profile, char **ret_policy, size_t *ret_size);

/*
 * Into this kernel, whose securityfs is mounted for that and goes again. -ENOTSUP: it has no AppArmor; -EPROTONOSUPPORT: it does not
 * know policies of that version. -errno with text.
 */
int apparmor_policy_load(const void *policy, size_t size);
