/* SPDX-License-Identifier: Apache-2.0 */
/* update of a microVM's memory: the guest's balloon, and its cgroup on the host. See microvm_parts.h. */
#include "runtime/microvm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroups/stats.h"
#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/container_parts.h"
#include "runtime/vm_control.h"
#include "runtime/vm_size.h"

/*
 * A guest gives away what is free at once, and a part of its caches each fifth of a second. It is given up when it has given nothing more
 * for that long, in all after the second: the guest of a busy machine is slow, a hostile one would give a MiB now and then.
 */
#define GIVE_MS 15000
#define GIVE_ALL_MS 120000
#define STEP_MS 20

/* limit 0: none. *ret_missing: MiB that the guest has still to give. */
static int ask_guest(struct instance *i, uint64_t limit, uint32_t *ret_missing)
{
	_cleanup_close_ int sock = FD_NONE;
	_cleanup_free_ char *answer = NULL;
	uint64_t mib = limit / VM_MIB;
	size_t len = 0;
	int r = vm_connect(i->c->dir, i->c->id, &sock);

	if (r == 0)
		r = vm_call(sock, VM_MEMORY, 0, mib < UINT32_MAX ? (uint32_t)mib : UINT32_MAX, &answer, &len);
	if (r == 0 && len != 4)
		r = ERR_PLAIN(-EPROTO, "the supervisor of the microVM speaks another language");
	if (r == 0)
		*ret_missing = le32_get(answer);
	return r;
}

/* What the kernel cannot take back by itself: without swap, the guest's memory (shmem) and the processes' own. */
static int used(struct instance *i, uint64_t *ret)
{
	static const char *const kinds[] = { "anon", "shmem", "slab_unreclaimable", "kernel_stack", "pagetables" };
	_cleanup_cgroup_stats_ struct cgroup_stats s = { .n_rdma = 0 };
	int r = container_stats(i, &s);

	*ret = 0;
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++)
		*ret += cgroup_stats_memory(&s, kinds[k]);
	return r;
}

/* The guest says that it has given all, and the host sees that it has: the first keeps an honest one from running into the limit. */
static int wait_for_guest(struct instance *i, uint64_t limit)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	uint32_t least = UINT32_MAX;
	uint64_t now = 0;

	for (int waited = 0, idle = 0; waited < GIVE_ALL_MS && idle < GIVE_MS; waited += STEP_MS, idle += STEP_MS) {
		uint32_t missing = 0;
		int r = ask_guest(i, limit, &missing);

		if (r == 0)
			r = used(i, &now);
		if (r < 0 || (missing == 0 && now <= limit))
			return r;
		if (missing < least) {
			least = missing;
			idle = 0;
		}
		nanosleep(&step, NULL);
	}
	return ERR_PLAIN(-EBUSY, "memory.limit: of %llu MiB that the microVM uses, its guest does not give back enough",
			 (unsigned long long)(now / VM_MIB));
}

/* The limit as it is; 0: none. */
static int present_limit(int cgroup, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(cgroup, "memory.max", 64, &text, NULL);

	if (r < 0)
		return ERR(r, "cannot read memory.max of the microVM's cgroup");
	text[strcspn(text, "\n")] = '\0';
	*ret = 0;
	return str_eq(text, "max") ? 0 : parse_u64(text, 0, UINT64_MAX, ret);
}

int microvm_update_memory(struct instance *i, const struct update_req *host)
{
	uint64_t before = 0, limit = host->resources.memory_limit > 0 ? (uint64_t)host->resources.memory_limit : 0;
	uint32_t missing;
	bool down;
	int r;

	if (!i->c->state.cgroup_owned)
		return ERR_PLAIN(-ENOTSUP, "memory.limit: the microVM has no cgroup");
	r = container_use_cgroup(i);
	if (r == 0)
		r = present_limit(i->cgroup, &before);
	if (r < 0)
		return r;
	down = limit != 0 && (before == 0 || limit < before);
	r = ask_guest(i, limit, &missing);
	if (r < 0)
		return r;
	if (down)
		r = wait_for_guest(i, limit);
	if (r == 0)
		r = backend_container.update(i, host);
	if (r < 0) {
		struct err_kept why;

		err_keep(&why);
		(void)ask_guest(i, before, &missing);
		err_restore(&why);
	}
	return r;
}
