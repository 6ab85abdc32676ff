/* SPDX-License-Identifier: Apache-2.0 */
/* See caps.h. */
#include "namespaces/caps.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "runtime/base/err.h"

/* Linux has 41 today; a set is 64 bits. */
#define CAPS_MAX 64U

static const char *const names[] = {
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
	"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
	"CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
};

int caps_from_name(const char *name, uint64_t *ret_bit)
{
	cap_value_t v;

	if (cap_from_name(name, &v) < 0 || v < 0 || v >= (cap_value_t)CAPS_MAX)
		return -EINVAL;
	*ret_bit = (uint64_t)1 << v;
	return 0;
}

const char *caps_name(unsigned int i)
{
	return i < sizeof(names) / sizeof(names[0]) ? names[i] : NULL;
}

unsigned int caps_last(void)
{
	unsigned int last = (unsigned int)cap_max_bits();

	return last == 0 || last > CAPS_MAX ? CAPS_MAX - 1 : last - 1;
}

static int get_set(cap_t state, cap_flag_t flag, uint64_t *ret_mask)
{
	*ret_mask = 0;
	for (unsigned int i = 0; i <= caps_last(); i++) {
		cap_flag_value_t on;

		if (cap_get_flag(state, (cap_value_t)i, flag, &on) < 0)
			return -errno;
		if (on == CAP_SET)
			*ret_mask |= (uint64_t)1 << i;
	}
	return 0;
}

int caps_permitted(uint64_t *ret_permitted)
{
	cap_t state = cap_get_proc();
	int r;

	if (state == NULL)
		return ERR(-errno, "cannot read our own capabilities");
	r = get_set(state, CAP_PERMITTED, ret_permitted);
	cap_free(state);
	return r < 0 ? ERR(r, "cannot read our own capabilities") : 0;
}

int caps_drop_bounding(const struct caps_req *c)
{
	for (unsigned int i = 0; i <= caps_last(); i++) {
		if (c->bounding & ((uint64_t)1 << i))
			continue;
		if (cap_drop_bound((cap_value_t)i) < 0)
			return ERR(-errno, "cannot drop %s from the bounding set",
				   caps_name(i) != NULL ? caps_name(i) : "a capability");
	}
	return 0;
}

int caps_keep_over_setuid(bool keep)
{
	return prctl(PR_SET_KEEPCAPS, keep ? 1 : 0, 0, 0, 0) < 0 ? ERR(-errno, "cannot keep capabilities") : 0;
}

static int put_set(cap_t state, cap_flag_t flag, uint64_t mask)
{
	for (unsigned int i = 0; i <= caps_last(); i++) {
		cap_value_t v = (cap_value_t)i;

		if ((mask & ((uint64_t)1 << i)) && cap_set_flag(state, flag, 1, &v, CAP_SET) < 0)
			return -errno;
	}
	return 0;
}

static int apply_sets(cap_t state, const struct caps_req *c, uint64_t *ret_permitted)
{
	/* A capability that the kernel does not know would make capset(2) fail. */
	uint64_t known = ((uint64_t)2 << caps_last()) - 1, permitted = c->permitted & known;
	/* Inheritable is what the file says and never a copy of permitted (CVE-2022-29162). */
	uint64_t inheritable = c->inheritable & known;
	int r = put_set(state, CAP_PERMITTED, permitted);

	if (r == 0)
		r = put_set(state, CAP_EFFECTIVE, c->effective & permitted);
	if (r == 0)
		r = put_set(state, CAP_INHERITABLE, inheritable);
	if (r == 0 && cap_set_proc(state) < 0)
		r = -errno;
	*ret_permitted = permitted & inheritable;
	return r;
}

int caps_apply(const struct caps_req *c)
{
	cap_t state = cap_init();
	uint64_t raisable = 0;
	int r;

	if (state == NULL)
		return ERR(-errno, "cannot read our own capabilities");
	r = apply_sets(state, c, &raisable);
	cap_free(state);
	if (r < 0)
		return ERR(r, "cannot set capabilities");
	/* capset(2) has taken from the ambient set what is not both permitted and inheritable now. */
	if (raisable == 0)
		return 0;
	/* One call; libcap's cap_reset_ambient() asks for each capability first. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return ERR(-errno, "cannot clear the ambient capabilities");
	for (unsigned int i = 0; i <= caps_last(); i++)
		if ((c->ambient & raisable & ((uint64_t)1 << i)) && cap_set_ambient((cap_value_t)i, CAP_SET) < 0)
			return ERR(-errno, "cannot raise the ambient capability %s",
				   caps_name(i) != NULL ? caps_name(i) : "");
	return 0;
}
