/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device policy of a cgroup: the program of devices_bpf.c, attached.
 *
 * Every program attached to a cgroup or to one above it must say yes
 * (BPF_F_ALLOW_MULTI), so one of somebody else, such as systemd's, is left alone.
 * Ours is known by its name and replaced in one step (BPF_F_REPLACE, 5.6): at no
 * moment is the cgroup without a policy, nor held to the old and the new at once.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/devices_bpf.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

/* At most 15 letters, digits, '_', '.': the kernel's rule. */
#define PROGRAM_NAME "nacre_devices"
/* The kernel's limit per cgroup and attach type (BPF_CGROUP_MAX_PROGS). */
#define PROGRAMS_MAX 64
/* What no helper function looks at; programs of this type need not be GPL. */
#define PROGRAM_LICENSE "Apache-2.0"

static void insns_freep(struct bpf_insn **insns)
{
	free(*insns);
}

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static uint64_t to_u64(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static int load_program(const struct cgroup_device_rule *rules, size_t n, int *ret_fd)
{
	__attribute__((cleanup(insns_freep))) struct bpf_insn *insns = NULL;
	union bpf_attr attr;
	size_t n_insns;
	int r = cgroup_devices_assemble(rules, n, &insns, &n_insns);

	if (r < 0)
		return r;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = to_u64(insns);
	attr.insn_cnt = (uint32_t)n_insns;
	attr.license = to_u64(PROGRAM_LICENSE);
	memcpy(attr.prog_name, PROGRAM_NAME, sizeof(PROGRAM_NAME));
	r = sys_bpf(BPF_PROG_LOAD, &attr);
	if (r < 0)
		return ERR(r, "cannot load the device program of %zu rules", n);
	*ret_fd = r;
	return 0;
}

/* Ids of the programs attached right here, not above. */
static int query(int cgroup_fd, uint32_t ids[PROGRAMS_MAX], size_t *ret_n)
{
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)cgroup_fd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = to_u64(ids);
	attr.query.prog_cnt = PROGRAMS_MAX;
	r = sys_bpf(BPF_PROG_QUERY, &attr);
	if (r < 0)
		return ERR(r, "cannot ask for the device programs of the cgroup");
	*ret_n = attr.query.prog_cnt < PROGRAMS_MAX ? attr.query.prog_cnt : PROGRAMS_MAX;
	return 0;
}

/* *ret_fd: the program if it is one of ours, else FD_NONE. */
static int open_if_ours(uint32_t id, int *ret_fd)
{
	union bpf_attr attr = { .prog_id = id };
	_cleanup_close_ int fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	struct bpf_prog_info info;
	int r;

	*ret_fd = FD_NONE;
	/* Detached since. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return ERR(fd, "cannot open device program %u of the cgroup", id);
	memset(&attr, 0, sizeof(attr));
	memset(&info, 0, sizeof(info));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = to_u64(&info);
	r = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r < 0)
		return ERR(r, "cannot read the name of device program %u of the cgroup", id);
	if (strncmp(info.name, PROGRAM_NAME, sizeof(info.name)) == 0)
		*ret_fd = take_fd(&fd);
	return 0;
}

/* old_fd: the program to take the place of, FD_NONE: none. */
static int attach(int cgroup_fd, int prog_fd, int old_fd)
{
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (old_fd >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old_fd;
	}
	r = sys_bpf(BPF_PROG_ATTACH, &attr);
	if (r == -EPERM)
		return ERR_HINT(ERR(r, "cannot attach the device program to the cgroup"),
				"a program attached to it, or to a cgroup above it, may not allow others beside it");
	if (r < 0)
		return ERR(r, "cannot attach the device program to the cgroup");
	return 0;
}

static int detach(int cgroup_fd, int prog_fd)
{
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	r = sys_bpf(BPF_PROG_DETACH, &attr);
	return r < 0 ? ERR(r, "cannot detach the device program from the cgroup") : 0;
}

int cgroup_devices_replace(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n, struct cgroup_devices_undo *ret_undo)
{
	_cleanup_close_ int prog_fd = FD_NONE, old_fd = FD_NONE;
	uint32_t ids[PROGRAMS_MAX];
	size_t n_ids = 0;
	int r;

	if (n == 0)
		return 0;
	r = load_program(rules, n, &prog_fd);
	if (r == 0)
		r = query(cgroup_fd, ids, &n_ids);
	for (size_t i = 0; r == 0 && old_fd < 0 && i < n_ids; i++)
		r = open_if_ours(ids[i], &old_fd);
	if (r == 0)
		r = attach(cgroup_fd, prog_fd, old_fd);
	if (r < 0)
		return r;
	ret_undo->before = take_fd(&old_fd);
	ret_undo->now = take_fd(&prog_fd);
	return 0;
}

void cgroup_devices_end(int cgroup_fd, struct cgroup_devices_undo *u, bool back)
{
	if (back && u->now >= 0) {
		/* The error that makes us go back is the one to be told. */
		struct err_kept kept;

		err_keep(&kept);
		if ((u->before >= 0 ? attach(cgroup_fd, u->before, u->now) : detach(cgroup_fd, u->now)) < 0)
			log_warning("the device rules from before could not be put back: %s", err_text());
		err_restore(&kept);
	}
	fd_close(&u->before);
	fd_close(&u->now);
}

int cgroup_devices_apply(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n)
{
	struct cgroup_devices_undo undo = CGROUP_DEVICES_UNDO_NULL;
	int r = cgroup_devices_replace(cgroup_fd, rules, n, &undo);

	cgroup_devices_end(cgroup_fd, &undo, false);
	return r;
}

int cgroup_devices_first(int cgroup_fd, const struct cgroup_device_rule *rules, size_t n)
{
	_cleanup_close_ int prog_fd = FD_NONE;
	int r = n == 0 ? 0 : load_program(rules, n, &prog_fd);

	return r < 0 || n == 0 ? r : attach(cgroup_fd, prog_fd, FD_NONE);
}

int cgroup_devices_probe(void)
{
	static const struct cgroup_device_rule rule = { true, 'c', 1, 3, true, true, true };
	_cleanup_close_ int prog_fd = FD_NONE;

	return load_program(&rule, 1, &prog_fd);
}
