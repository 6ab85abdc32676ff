/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct spec: the typed, constant form of a config.json (OCI runtime-spec 1.3).
 *
 * Made by spec_load() or spec_parse(), read by runtime/plan only. Values are
 * what the file says: types, vocabulary, ranges and the rules between fields
 * are checked, nothing of the host is. Everything lives in one arena.
 *
 * A property of the specification that this version cannot represent is an
 * error of the parser that names its JSON path, never a silent skip; a property
 * that the specification does not know is ignored, as it asks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPEC_VERSION "1.3.0"

/* A config.json beyond these is refused before or while it is read. */
#define SPEC_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define SPEC_MAX_DEPTH 64

struct arena;

struct strv {
	const char *const *v;	/* n strings, then a NULL; never NULL itself, also when absent */
	size_t n;
};

struct spec_kv {
	const char *key, *value;
};

struct spec_root {
	const char *path;	/* as written: absolute or relative to the bundle; NULL: absent, with vm.image only */
	bool readonly;
};

struct spec_rlimit {
	const char *type;	/* "RLIMIT_NOFILE"…: vocabulary checked, no duplicates */
	uint64_t soft, hard;
};

struct spec_user {
	uint32_t uid, gid;
	bool has_gid, has_umask;
	uint32_t umask;
	const uint32_t *additional_gids;
	size_t n_additional_gids;
};

struct spec_caps {
	bool present;		/* process.capabilities given at all */
	/* Names as written ("CAP_KILL"); unknown ones are the caller's to warn about. */
	struct strv bounding, effective, inheritable, permitted, ambient;
};

struct spec_scheduler {
	bool present;
	const char *policy;	/* SCHED_OTHER FIFO RR BATCH ISO IDLE DEADLINE, with prefix */
	int32_t nice, priority;
	struct strv flags;	/* SCHED_FLAG_… */
	uint64_t runtime, deadline, period;
};

struct spec_memory_policy {
	bool present;
	const char *mode;	/* MPOL_… */
	const char *nodes;	/* a list as "0-3,7"; may be NULL */
	struct strv flags;	/* MPOL_F_… */
};

struct spec_io_priority {
	bool present;
	const char *class_;	/* IOPRIO_CLASS_RT BE IDLE */
	int32_t priority;
};

struct spec_process {
	bool terminal;
	bool has_console_size;
	uint16_t console_height, console_width;
	struct spec_user user;
	struct strv args, env;	/* env entries contain '=' */
	const char *cwd;	/* absolute */
	struct spec_caps caps;
	const struct spec_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	const char *apparmor_profile;	/* NULL: none */
	const char *selinux_label;	/* NULL: none */
	bool has_oom_score_adj;
	int32_t oom_score_adj;
	struct spec_scheduler scheduler;
	struct spec_io_priority io_priority;
	bool has_exec_cpu_affinity;	/* exec's business only */
	const char *cpu_affinity_initial, *cpu_affinity_final;	/* lists as "0-3,7"; may be NULL */
};

struct spec_id_map {
	uint32_t container_id, host_id, size;
};

struct spec_mount {
	const char *destination;	/* absolute (a relative one got its "/") */
	const char *type;		/* NULL if absent */
	const char *source;		/* NULL if absent */
	struct strv options;
	const struct spec_id_map *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
};

struct spec_hook {
	const char *path;		/* absolute */
	struct strv args, env;
	bool has_env;
	uint32_t timeout;		/* seconds, 0: none given */
};

struct spec_hook_list {
	const struct spec_hook *v;
	size_t n;
};

struct spec_hooks {
	struct spec_hook_list prestart, create_runtime, create_container, start_container, poststart, poststop;
};

struct spec_namespace {
	const char *type;	/* pid network mount ipc uts user cgroup time; no duplicates */
	const char *path;	/* absolute, NULL: a new one */
};

struct spec_time_offset {
	bool present;
	int64_t secs;
	uint32_t nanosecs;
};

struct spec_device {
	const char *path;	/* absolute */
	char type;		/* 'c' (also for "u"), 'b', 'p' */
	int64_t major, minor;	/* 0 for 'p' */
	bool has_mode;
	uint32_t mode;		/* of stat(2): engines send the bits of the type, too */
	bool has_uid, has_gid;
	uint32_t uid, gid;
};

struct spec_device_rule {
	bool allow;
	char type;		/* 'a', 'c', 'b' */
	int64_t major, minor;	/* -1: any */
	bool read, write, mknod;
};

struct spec_device_weight {
	uint32_t major, minor;
	uint16_t weight, leaf_weight;	/* 0: absent */
};

struct spec_device_rate {
	uint32_t major, minor;
	uint64_t rate;
};

struct spec_rates {
	const struct spec_device_rate *v;
	size_t n;
};

struct spec_hugepage_limit {
	const char *page_size;
	uint64_t limit;
};

struct spec_rdma {
	const char *device;
	bool has_hca_handles, has_hca_objects;
	uint32_t hca_handles, hca_objects;
};

/*
 * linux.resources. Where 0 stands for "absent", it is what engines write for "none", too. Memory is in
 * bytes, -1 no limit; times are in microseconds.
 */
struct spec_resources {
	bool has_devices;
	const struct spec_device_rule *device_rules;
	size_t n_device_rules;
	int64_t memory_limit, memory_reservation, memory_swap;	/* 0: absent */
	bool memory_check_before_update;
	uint64_t cpu_shares, cpu_period;	/* 0: absent */
	int64_t cpu_quota;			/* 0: absent; negative: none */
	bool has_cpu_burst, has_cpu_idle;
	uint64_t cpu_burst;
	int64_t cpu_idle;			/* 0 or 1 */
	const char *cpus, *mems;		/* NULL if absent */
	bool has_pids;
	int64_t pids_limit;			/* 0 is a limit (in a config.json before 1.3: absent); negative: none */
	uint16_t block_io_weight;		/* 0: absent */
	const struct spec_device_weight *weight_devices;
	size_t n_weight_devices;
	struct spec_rates read_bps, write_bps, read_iops, write_iops;
	const struct spec_hugepage_limit *hugepage_limits;
	size_t n_hugepage_limits;
	const struct spec_rdma *rdma;
	size_t n_rdma;
	const struct spec_kv *unified;
	size_t n_unified;
	/* The JSON path of the first property that is set and that only cgroup v1 has; NULL: none. */
	const char *only_v1;
};

struct spec_seccomp_arg {
	uint32_t index;		/* 0…5 */
	uint64_t value, value_two;
	const char *op;		/* SCMP_CMP_… */
};

struct spec_seccomp_rule {
	struct strv names;
	const char *action;	/* SCMP_ACT_… */
	bool has_errno_ret;
	uint32_t errno_ret;
	const struct spec_seccomp_arg *args;
	size_t n_args;
};

struct spec_seccomp {
	bool present;
	const char *default_action;
	bool has_default_errno_ret;
	uint32_t default_errno_ret;
	struct strv architectures;	/* SCMP_ARCH_… */
	struct strv flags;		/* SECCOMP_FILTER_FLAG_… */
	bool has_flags;			/* an empty list is not an absent one */
	const char *listener_path, *listener_metadata;	/* NULL if absent */
	const struct spec_seccomp_rule *rules;
	size_t n_rules;
};

struct spec_intel_rdt {
	bool present;
	const char *clos_id;	/* NULL: none; a file name, or "/" */
	const char *l3_cache_schema, *mem_bw_schema;	/* NULL if absent; the second is one line "MB:…" */
	struct strv schemata;	/* lines */
	bool monitoring;
};

/* One entry of linux.netDevices. */
struct spec_net_device {
	const char *name;	/* the host's */
	const char *new_name;	/* the container's; NULL: the same */
};

struct spec_linux {
	const struct spec_namespace *namespaces;
	size_t n_namespaces;
	const struct spec_id_map *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	struct spec_time_offset monotonic, boottime;
	const struct spec_net_device *net_devices;
	size_t n_net_devices;
	const struct spec_device *devices;
	size_t n_devices;
	/* Not of config.json: the guest program says so of the network that it joins, which is its machine's alone. */
	bool network_is_machine;
	const char *cgroups_path;	/* NULL if absent */
	struct spec_resources resources;
	const struct spec_kv *sysctl;
	size_t n_sysctl;
	struct spec_seccomp seccomp;
	const char *rootfs_propagation;	/* NULL, or shared slave private unbindable r… */
	struct strv masked_paths, readonly_paths;	/* absolute */
	const char *mount_label;	/* NULL if absent */
	struct spec_memory_policy memory_policy;
	struct spec_intel_rdt intel_rdt;
	const char *personality_domain;	/* NULL, "LINUX" or "LINUX32" */
};

struct spec_vm_hypervisor {
	const char *path;	/* absolute; NULL: none given */
	struct strv parameters;
};

struct spec_vm_kernel {
	const char *path;	/* absolute */
	struct strv parameters;
	const char *initrd;	/* absolute; NULL if absent */
};

struct spec_vm_image {
	const char *path;	/* absolute; NULL: no image */
	const char *format;	/* raw qcow2 vdi vmdk vhd */
};

struct spec_vm_hw_config {
	uint32_t vcpus;		/* 0: absent */
	uint64_t memory;	/* bytes; 0: absent */
};

struct spec_vm {
	bool present;
	struct spec_vm_hypervisor hypervisor;
	struct spec_vm_kernel kernel;
	struct spec_vm_image image;
	struct spec_vm_hw_config hw_config;
};

struct spec {
	struct arena *arena;
	const char *oci_version;
	const char *hostname, *domainname;	/* NULL if absent */
	bool has_root;
	struct spec_root root;
	const struct spec_process *process;	/* NULL if absent */
	const struct spec_mount *mounts;
	size_t n_mounts;
	struct spec_hooks hooks;
	const struct spec_kv *annotations;
	size_t n_annotations;
	struct spec_vm vm;
	struct spec_linux linux_;	/* "linux" is a predefined macro in gnu11 */
};

/*
 * Reads dirfd/name (at most SPEC_MAX_BYTES) and parses it. The text read goes to
 * ret_text and ret_len (malloc'ed, the caller's) when ret_text is not NULL, so that a
 * private copy can be kept without a second read.
 * Errors: -ENOENT and others of open(2); -EFBIG; -EINVAL with a text as
 * `config.json: linux.namespaces[2].path: must be a string, not a number`.
 */
int spec_load(int dirfd, const char *name, struct spec **ret_spec, char **ret_text, size_t *ret_len);

/* The same from a path; name is used in error texts only. */
int spec_load_as(const char *path, const char *name, struct spec **ret_spec, char **ret_text, size_t *ret_len);

/* The same from memory; name is used in error texts only. */
int spec_parse(const char *name, const char *text, size_t len, struct spec **ret_spec);

/*
 * Parses a process object alone (exec --process, runtime-spec "process").
 * *ret_spec has only arena and process set.
 */
int spec_parse_process(const char *name, const char *text, size_t len, struct spec **ret_spec);

/*
 * Parses a resources object alone (update --resources, runtime-spec "linux.resources").
 * *ret_spec has only arena and linux_.resources set.
 */
int spec_parse_resources(const char *name, const char *text, size_t len, struct spec **ret_spec);

/*
 * Parses a list of mounts alone (mounts add, runtime-spec "mounts"), or as the "mounts" of an object.
 * *ret_spec has only arena, mounts and n_mounts set.
 */
int spec_parse_mounts(const char *name, const char *text, size_t len, struct spec **ret_spec);

void spec_free(struct spec *s);
void spec_freep(struct spec **s);
#define _cleanup_spec_ __attribute__((cleanup(spec_freep)))

/* The value of an annotation, NULL if absent. */
const char *spec_annotation(const struct spec *s, const char *key);
