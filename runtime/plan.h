/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct plan: what will be done for one container, as plain data.
 *
 * plan_build() is the only reader of the specification. It decides everything that
 * can be decided without touching the system: which namespaces, which mounts with
 * which flags, which devices, which cgroup, the process. After it nobody looks at the
 * spec again; `nacre explain` prints a plan, a back end executes it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cgroups/cgroup.h"
#include "cgroups/resctrl.h"
#include "cgroups/resources.h"
#include "cgroups/systemd.h"
#include "namespaces/devices.h"
#include "namespaces/mount_options.h"
#include "namespaces/net_move.h"
#include "namespaces/ns.h"
#include "namespaces/process.h"
#include "namespaces/scheduling.h"
#include "namespaces/userns.h"
#include "runtime/pod.h"
#include "seccomp/seccomp.h"

struct arena;
struct host_config;
struct spec;
struct vm_host;
struct spec_process;

/* Which signal `kill` sends when it is told none. */
/* As crun, which podman's --group-add keep-groups needs: any value but "0" leaves the process the caller's supplementary groups. */
#define ANNOTATION_KEEP_GROUPS "run.oci.keep_original_groups"
#define ANNOTATION_STOP_SIGNAL "org.opencontainers.image.stopSignal"

enum isolation { ISOLATION_CONTAINER, ISOLATION_MICROVM };

enum cgroup_manager { CGROUP_MANAGER_FS, CGROUP_MANAGER_SYSTEMD, CGROUP_MANAGER_DISABLED };

/* Who runs a microVM: our own monitor on /dev/kvm, or QEMU, on /dev/kvm or by emulation. */
enum vm_monitor { VM_MONITOR_KVM, VM_MONITOR_QEMU_KVM, VM_MONITOR_QEMU_TCG };

/* A microVM. Paths are absolute. What config.json does not say comes from the configuration file. */
struct plan_vm {
	enum vm_monitor monitor;
	const char *monitor_why;	/* why this one, in words */
	const char *hypervisor;		/* QEMU's program; NULL: looked for */
	const char *const *hypervisor_parameters;	/* NULL-terminated */
	const char *virtiofsd;		/* NULL: looked for */
	const char *kernel;		/* NULL: looked for, see microvm/kernel_find.h */
	/* Nacre's own words and the parameters; emulation adds what only the host's clock can say. */
	const char *command_line;
	const char *initrd;		/* unpacked before nacre's own archive; NULL: none */
	const char *image;		/* raw disk with the root file system (rootfs, too, has its path); NULL: it is shared */
	unsigned int vcpus;
	uint64_t memory;		/* of the guest, bytes */
	const char *console;		/* file that gets the guest's console, or "stderr"; NULL: kept for a failed boot only */
	bool console_to_log;		/* --debug: to the log, too */
	bool user_ns;			/* who asks is a user: its processes are in a user namespace, and root there, of these ids */
	struct userns_req ids;
};

struct plan_ns {
	unsigned int flag;	/* CLONE_NEW* */
	const char *path;	/* join this one; NULL: make a new one */
};

struct plan_kv {
	const char *key, *value;
};

struct plan_hook {
	const char *path;
	const char *const *args;	/* NULL-terminated; NULL: path alone */
	const char *const *env;		/* NULL-terminated, may be empty */
	unsigned int timeout;		/* seconds, 0: none */
};

enum hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_KINDS,
};

struct plan_hooks {
	const struct plan_hook *v;
	size_t n;
};

/* What the command line adds to config.json. */
struct plan_options {
	const char *id;
	const char *bundle;	/* absolute, canonical */
	enum cgroup_manager cgroup_manager;
	bool no_pivot, no_new_keyring;
	unsigned int preserve_fds;	/* --preserve-fds alone */
	unsigned int listen_fds;	/* $LISTEN_FDS, passed on */
	const char *notify_dir;		/* absolute; the container gets a notify socket there (notify.h); NULL: none */
	enum isolation isolation;
	bool pod_sandbox;	/* as isolation_find() tells */
	/* With ISOLATION_MICROVM; both outlive the plan. */
	const struct host_config *host_config;
	const struct vm_host *host;
	bool debug;
};

struct plan {
	struct spec *spec;	/* owner of all memory here */
	struct arena *arena;

	const char *id, *bundle, *rootfs, *oci_version;
	bool rootfs_readonly, no_pivot, new_keyring;
	bool host_mounts;		/* no mount namespace, but something to be mounted: see namespaces/host_root.h */
	const char *mount_label;	/* linux.mountLabel: SELinux', of file systems made for the container; NULL: none */
	enum isolation isolation;
	enum pod_part pod;
	bool pod_sandbox;	/* of which a microVM was asked for */
	struct plan_vm vm;	/* ISOLATION_MICROVM */

	struct plan_ns ns[8];
	size_t n_ns;
	struct ns_time_offset monotonic, boottime;
	struct userns_req userns;
	const char *hostname, *domainname;	/* NULL: untouched */
	bool loopback;				/* a new network namespace: lo goes up */
	const struct net_move *net_devices;	/* of the host, moved into the network namespace */
	size_t n_net_devices;

	struct mount_req *mounts;
	size_t n_mounts;
	const char *mounts_at;			/* what they are in an error: "config.json: mounts" */
	unsigned long isolate;			/* MS_SLAVE or MS_PRIVATE on all of the host's mounts */
	unsigned long root_propagation;		/* 0: untouched */
	bool default_devices;			/* /dev is the container's own, not a bind mount */
	const struct device_req *devices;
	size_t n_devices;
	const char *const *masked_paths, *const *readonly_paths;
	size_t n_masked, n_readonly;
	const struct plan_kv *sysctl;
	size_t n_sysctl;

	enum cgroup_manager cgroup_manager;
	const char *cgroup_path;		/* below the cgroup2 mount; NULL: none, or systemd decides */
	bool cgroup_made_up;			/* config.json names none: cgroup_path is ours */
	struct cgroup_scope scope;		/* CGROUP_MANAGER_SYSTEMD; unit NULL: none */
	const struct cgroup_unit_property *unit_properties;
	size_t n_unit_properties;
	bool delegate_cgroup;			/* to the host's user cgroup_owner */
	uid_t cgroup_owner;
	struct cgroup_resources resources;
	struct cgroup_setting *settings;	/* what the resources come to */
	size_t n_settings;
	const struct cgroup_device_rule *device_rules;
	size_t n_device_rules;
	const struct resctrl_req *resctrl;	/* NULL: linux.intelRdt is not there, and no group is touched */

	bool has_process;
	bool notify;				/* a notify socket is among the mounts */
	struct process_req process;
	const struct memory_policy_req *memory_policy;	/* NULL: as the caller's */
	bool has_seccomp;
	struct seccomp_req seccomp;
	const char *seccomp_listener;		/* NULL: no action hands calls to one */
	const char *seccomp_metadata;

	struct plan_hooks hooks[HOOK_KINDS];
	const struct plan_kv *annotations;
	size_t n_annotations;
};

/*
 * Takes ownership of spec on success and on failure. Errors name the JSON path and the rule.
 */
int plan_build(struct spec *spec, const struct plan_options *o, struct plan **ret_plan);
void plan_free(struct plan *p);
void plan_freep(struct plan **p);
#define _cleanup_plan_ __attribute__((cleanup(plan_freep)))

/*
 * The mounts alone, for `mounts add`: more's, read from name, into the container that spec made with the namespaces ns_flags
 * (its own, bits CLONE_NEW*). Ownership as plan_build(); more stays the caller's and must outlive the plan.
 */
struct plan_live_options {
	const struct spec *more;
	const char *name, *bundle;
	unsigned int ns_flags;
};
int plan_build_live(struct spec *spec, const struct plan_live_options *o, struct plan **ret_plan);

/*
 * The profile that has to be set: NULL for none, for "", and for "unconfined" on a kernel without AppArmor, where everything is that
 * (docker says so of privileged containers, everywhere).
 */
const char *plan_apparmor(const char *profile);

/* The process part alone, for exec: in a. sp stays the caller's and must outlive *ret. */
int plan_process(struct arena *a, const struct spec_process *sp, unsigned int preserve_fds, unsigned int listen_fds,
		 struct process_req *ret);

/* Takes out, with a warning, what the calling process does not have to give. */
int plan_drop_ungrantable(struct caps_req *c);

const char *isolation_name(enum isolation i);	/* "container", "microvm": as in the state and in --isolation */

const char *hook_kind_name(enum hook_kind k);	/* "createRuntime"… */

bool plan_has_new_ns(const struct plan *p, unsigned int flag);
/* New or joined. */
bool plan_has_ns(const struct plan *p, unsigned int flag);

/* Prints the ordered steps, as text or JSON, on stdout. */
int plan_print_text(const struct plan *p);
int plan_print_json(const struct plan *p);
