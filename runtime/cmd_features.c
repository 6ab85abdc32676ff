/* SPDX-License-Identifier: Apache-2.0 */
/* nacre features (runtime-spec features.md): what this build can do, whatever the host. */
#include "runtime/command.h"

#include "namespaces/caps.h"
#include "namespaces/mount_options.h"
#include "namespaces/ns.h"
#include "namespaces/scheduling.h"
#include "oci/json.h"
#include "oci/spec.h"
#include "runtime/base/str.h"
#include "runtime/isolation.h"
#include "runtime/plan.h"
#include "runtime/plan_vm.h"
#include "seccomp/seccomp.h"

static void write_hooks(struct json_writer *w)
{
	json_key(w, "hooks");
	json_array_open(w);
	for (int k = 0; k < HOOK_KINDS; k++)
		json_string(w, hook_kind_name((enum hook_kind)k));
	json_array_close(w);
}

static void write_mount_options(struct json_writer *w)
{
	json_key(w, "mountOptions");
	json_array_open(w);
	for (size_t i = 0; mount_option_name(i) != NULL; i++)
		json_string(w, mount_option_name(i));
	json_array_close(w);
}

static void write_names(struct json_writer *w, const char *key, struct seccomp_names names)
{
	json_kv_strings(w, key, names.v, names.n);
}

static void write_seccomp(struct json_writer *w)
{
	json_key(w, "seccomp");
	json_object_open(w);
	json_kv_bool(w, "enabled", true);
	write_names(w, "actions", seccomp_known_actions());
	write_names(w, "operators", seccomp_known_operators());
	write_names(w, "archs", seccomp_known_archs());
	write_names(w, "knownFlags", seccomp_known_flags());
	write_names(w, "supportedFlags", seccomp_known_flags());
	json_object_close(w);
}

static void write_enabled(struct json_writer *w, const char *key, bool enabled)
{
	json_key(w, key);
	json_object_open(w);
	json_kv_bool(w, "enabled", enabled);
	json_object_close(w);
}

static void write_cgroup(struct json_writer *w)
{
	json_key(w, "cgroup");
	json_object_open(w);
	json_kv_bool(w, "v1", false);
	json_kv_bool(w, "v2", true);
	json_kv_bool(w, "systemd", true);
	json_kv_bool(w, "systemdUser", true);
	json_kv_bool(w, "rdma", true);
	json_object_close(w);
}

static void write_intel_rdt(struct json_writer *w)
{
	json_key(w, "intelRdt");
	json_object_open(w);
	json_kv_bool(w, "enabled", true);
	json_kv_bool(w, "schemata", true);
	json_kv_bool(w, "monitoring", true);
	json_object_close(w);
}

static void write_memory_policy(struct json_writer *w)
{
	const char *word;

	json_key(w, "memoryPolicy");
	json_object_open(w);
	json_key(w, "modes");
	json_array_open(w);
	for (size_t i = 0; (word = memory_policy_mode_at(i)) != NULL; i++)
		json_string(w, word);
	json_array_close(w);
	json_key(w, "flags");
	json_array_open(w);
	for (size_t i = 0; (word = memory_policy_flag_at(i)) != NULL; i++)
		json_string(w, word);
	json_array_close(w);
	json_object_close(w);
}

static void write_linux(struct json_writer *w)
{
	json_key(w, "linux");
	json_object_open(w);
	json_key(w, "namespaces");
	json_array_open(w);
	for (size_t i = 0; i < ns_count(); i++)
		json_string(w, ns_name(ns_flag_at(i)));
	json_array_close(w);
	json_key(w, "capabilities");
	json_array_open(w);
	for (unsigned int i = 0; caps_name(i) != NULL; i++)
		json_string(w, caps_name(i));
	json_array_close(w);
	write_cgroup(w);
	write_seccomp(w);
	write_enabled(w, "apparmor", true);
	write_enabled(w, "selinux", true);
	write_memory_policy(w);
	write_intel_rdt(w);
	json_key(w, "mountExtensions");
	json_object_open(w);
	write_enabled(w, "idmap", true);
	json_object_close(w);
	write_enabled(w, "netDevices", true);
	json_object_close(w);
}

static int cmd_features(const struct globals *g, int argc, char **argv)
{
	static const char *const unsafe[] = { "org.systemd.property.", ANNOTATION_ISOLATION, ANNOTATION_VM, ANNOTATION_KEEP_GROUPS,
					      ANNOTATION_POD_CONTAINERD, ANNOTATION_POD_CRIO };
	_cleanup_json_writer_ struct json_writer *w = NULL;
	char **operands;
	int n, r = command_options(&command_features, NULL, argc, argv, &operands, &n);

	(void)g;
	if (r != 0)
		return r < 0 ? r : 0;
	w = json_writer_new(true);
	json_object_open(w);
	json_kv_string(w, "ociVersionMin", "1.0.0");
	json_kv_string(w, "ociVersionMax", SPEC_VERSION);
	write_hooks(w);
	write_mount_options(w);
	write_linux(w);
	json_key(w, "annotations");
	json_object_open(w);
	json_kv_string(w, "run.nacre.version", NACRE_VERSION);
	json_kv_string(w, "run.nacre.commit", NACRE_COMMIT);
	json_object_close(w);
	/*
	 * With the systemd manager the first ones set any property of the container's unit. The others choose a weaker
	 * isolation, or a file of the host that is written to. A dot at the end makes it a prefix.
	 */
	json_kv_strings(w, "potentiallyUnsafeConfigAnnotations", unsafe, ARRAY_SIZE(unsafe));
	json_object_close(w);
	return json_writer_print(w);
}

const struct command command_features = {
	.name = "features",
	.operands = "",
	.summary = "Print what this nacre supports, as JSON (runtime-spec \"features\").",
	.no_state = true,
	.run = cmd_features,
};
