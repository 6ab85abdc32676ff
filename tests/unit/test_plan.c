/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/plan: config.json text in, what would be done out, and the rules that refuse. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "namespaces/userns.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/caller.h"
#include "runtime/plan.h"
#include "tests/unit/test.h"

#define HEAD "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]}"
#define NS "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"pid\"}]"

static int build(const char *text, const struct plan_options *options, struct plan **ret)
{
	const struct plan_options defaults = { .id = "x", .bundle = "/bundle" };
	struct spec *spec = NULL;
	int r = spec_parse("config.json", text, strlen(text), &spec);

	return r < 0 ? r : plan_build(spec, options != NULL ? options : &defaults, ret);
}

TEST(defaults)
{
	_cleanup_plan_ struct plan *p = NULL;

	if (!CHECK_INT(build(HEAD ",\"hostname\":\"h\",\"linux\":{" NS "}}", NULL, &p), 0))
		return;
	CHECK_STR(p->rootfs, "/bundle/rootfs");
	CHECK_STR(p->cgroup_path, "/nacre-x");
	CHECK_INT((int64_t)p->n_mounts, 4);	/* the default file systems */
	CHECK_STR(p->mounts[0].target, "/proc");
	CHECK(p->default_devices && p->new_keyring && !p->loopback && !p->no_pivot);
	CHECK_INT((int64_t)p->isolate, MS_SLAVE);
	CHECK(plan_has_new_ns(p, CLONE_NEWPID) && !plan_has_ns(p, CLONE_NEWUSER));
	CHECK_INT((int64_t)p->process.caps.permitted, 0);
	CHECK(p->n_device_rules > 0 && p->device_rules[0].allow);
}

TEST(mounts)
{
	static const char *const text = HEAD ",\"mounts\":[{\"destination\":\"a/../b\",\"source\":\"rel\",\"options\":[\"rbind\",\"ro\"]},"
					     "{\"destination\":\"/dev\",\"type\":\"bind\",\"source\":\"/dev\"},"
					     "{\"destination\":\"/t\",\"type\":\"tmpfs\",\"source\":\"t\",\"options\":[\"size=1k\"]}],"
					     "\"linux\":{" NS ",\"rootfsPropagation\":\"rprivate\"}}";
	_cleanup_plan_ struct plan *p = NULL;

	if (!CHECK_INT(build(text, NULL, &p), 0))
		return;
	CHECK_STR(p->mounts[0].target, "/b");
	CHECK_STR(p->mounts[0].source, "/bundle/rel");
	CHECK(p->mounts[0].bind && p->mounts[0].recursive && p->mounts[0].attr_set == MOUNT_ATTR_RDONLY);
	CHECK(p->mounts[1].bind && !p->mounts[1].recursive);
	CHECK(p->mounts[0].n_propagation == 1 && p->mounts[0].propagation[0] == (MS_PRIVATE | MS_REC));
	CHECK(p->mounts[1].n_propagation == 1 && p->mounts[1].propagation[0] == MS_PRIVATE);
	CHECK(p->mounts[2].n_propagation == 0);
	CHECK(!p->default_devices);
	CHECK_STR(p->mounts[2].fstype, "tmpfs");
	CHECK_INT((int64_t)p->isolate, MS_PRIVATE);
	CHECK_INT((int64_t)p->root_propagation, MS_PRIVATE | MS_REC);
}

static int build_live(const char *text, unsigned int ns_flags, const struct spec *more, struct plan **ret)
{
	const struct plan_live_options o = { .more = more, .name = "m", .bundle = "/bundle", .ns_flags = ns_flags };
	struct spec *spec = NULL;
	int r = spec_parse("config.json", text, strlen(text), &spec);

	return r < 0 ? r : plan_build_live(spec, &o, ret);
}

/* mounts add: the mounts of the list, not those of config.json. */
TEST(live_mounts)
{
	static const char config[] = HEAD ",\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\"}],\"linux\":{" NS "}}";
	static const struct {
		const char *text;
		unsigned int ns_flags;
		const char *error;	/* NULL: taken */
	} cases[] = {
		{ "[{\"destination\":\"/a/..//b\",\"source\":\"s\",\"options\":[\"bind\"]}]", CLONE_NEWNS | CLONE_NEWPID, NULL },
		{ "[{\"destination\":\"/b\",\"type\":\"proc\"}]", CLONE_NEWNS, NULL },
		{ "[{\"destination\":\"/b\",\"type\":\"proc\"}]", CLONE_NEWNS | CLONE_NEWPID, "m: [0].type: proc" },
		{ "[{\"destination\":\"/b\",\"type\":\"cgroup2\"}]", CLONE_NEWNS | CLONE_NEWCGROUP, NULL },
		{ "[{\"destination\":\"/b\",\"type\":\"cgroup\"}]", CLONE_NEWNS, "m: [0].type: cgroup: needs a cgroup namespace" },
		{ "[{\"destination\":\"/b\",\"options\":[\"remount\"]}]", CLONE_NEWNS, "m: [0].options: remount" },
		{ "[{\"destination\":\"/b\",\"source\":\"/\",\"options\":[\"bind\",\"copy-symlink\"]}]", CLONE_NEWNS, "m: [0].options: copy-symlink" },
		{ "[{\"destination\":\"/b\",\"type\":\"tmpfs\",\"options\":[\"iversion\"]}]", CLONE_NEWNS, "m: [0].options: iversion" },
		{ "[{\"destination\":\"/proc/self\",\"type\":\"tmpfs\"}]", CLONE_NEWNS, "m: [0].destination: \"/proc/self\"" },
		{ "[{\"destination\":\"/x/..\",\"type\":\"tmpfs\"}]", CLONE_NEWNS, "m: [0].destination: \"/\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_spec_ struct spec *more = NULL;
		_cleanup_plan_ struct plan *p = NULL;
		int r;

		if (!CHECK_INT(spec_parse_mounts("m", cases[i].text, strlen(cases[i].text), &more), 0))
			continue;
		r = build_live(config, cases[i].ns_flags, more, &p);
		if (cases[i].error == NULL && CHECK_INT(r, 0)) {
			CHECK_INT((int64_t)p->n_mounts, 1);
			CHECK_STR(p->mounts[0].target, "/b");
		} else if (cases[i].error != NULL) {
			CHECK(r < 0 && strncmp(err_text(), cases[i].error, strlen(cases[i].error)) == 0);
		}
	}
}

#define IDMAP(options, more, linux)                                                                                    \
	HEAD ",\"mounts\":[{\"destination\":\"/a\",\"source\":\"/s\",\"options\":[" options "]" more "}],\"linux\":{" linux "}}"
#define MAPS "\"uidMappings\":[{\"containerID\":1,\"hostID\":2,\"size\":3}],\"gidMappings\":[{\"containerID\":4,\"hostID\":5,\"size\":6}]"
#define USER_NS "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]," MAPS

TEST(idmap)
{
	static const struct {
		const char *text;
		enum mount_idmap idmap;
		bool own;	/* maps of its own, not the container's */
	} cases[] = {
		{ IDMAP("\"bind\"", "," MAPS, NS), MOUNT_IDMAP_TOP, true },
		{ IDMAP("\"rbind\",\"ridmap\"", "," MAPS, NS), MOUNT_IDMAP_TREE, true },
		{ IDMAP("\"bind\",\"idmap\"", "", USER_NS), MOUNT_IDMAP_TOP, false },
		{ IDMAP("\"bind\",\"idmap\"", "," MAPS, USER_NS), MOUNT_IDMAP_TOP, true },
		{ IDMAP("\"rbind\",\"ridmap\"", ",\"uidMappings\":[],\"gidMappings\":[]", USER_NS), MOUNT_IDMAP_TREE, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_plan_ struct plan *p = NULL;
		const struct userns_req *maps;

		if (!CHECK_INT(build(cases[i].text, NULL, &p), 0)) {
			printf("#   case %zu: %s\n", i, err_text());
			continue;
		}
		maps = p->mounts[0].idmap_maps;
		CHECK_INT(p->mounts[0].idmap, cases[i].idmap);
		if (!CHECK(maps != NULL && (maps == &p->userns) == !cases[i].own))
			continue;
		CHECK(maps->n_uid == 1 && maps->n_gid == 1);
		CHECK(maps->uid[0].container_id == 1 && maps->uid[0].host_id == 2 && maps->uid[0].size == 3);
		CHECK(maps->gid[0].container_id == 4 && maps->gid[0].host_id == 5 && maps->gid[0].size == 6);
	}
}

TEST(manager_disabled)
{
	const struct plan_options o = { .id = "x", .bundle = "/b", .cgroup_manager = CGROUP_MANAGER_DISABLED };
	_cleanup_plan_ struct plan *p = NULL;

	CHECK_INT(build(HEAD ",\"linux\":{" NS ",\"cgroupsPath\":\"/a\"}}", &o, &p), 0);
	CHECK(p != NULL && p->cgroup_path == NULL);
}

#define ANNOTATED(part, key, value) \
	HEAD ",\"annotations\":{\"io.kubernetes.cri-o.ContainerType\":\"" part "\",\"" key "\":\"" value "\"},\"linux\":{" NS "}}"

/* The groups of the host's root, in a pod; those of a user, whose pod it is, are the user's. */
TEST(groups_of_a_pod)
{
	_cleanup_plan_ struct plan *p = NULL;

	err_clear();
	CHECK_INT(build(ANNOTATED("container", "run.oci.keep_original_groups", "1"), NULL, &p), userns_is_initial() ? -EPERM : 0);
	CHECK(!userns_is_initial() || strstr(err_text(), "run.oci.keep_original_groups") != NULL);
}

/* CVE-2024-3154: what a pod's author may have written. */
TEST(annotations_of_a_pod)
{
	const struct plan_options o = { .id = "x", .bundle = "/bundle", .cgroup_manager = CGROUP_MANAGER_SYSTEMD };

	if (caller_is_user()) {
		test_skip("a user's manager is the user's");
		return;
	}
#define CASES(part_) \
	{ ANNOTATED(part_, "org.systemd.property.SuccessAction", "'reboot-force'"), "org.systemd.property.SuccessAction" }, \
	{ ANNOTATED(part_, "org.systemd.property.Conflicts", "['sshd.service']"), "which no pod may choose" }, \
	{ ANNOTATED(part_, "org.systemd.property.MemoryMax", "uint64 1"), "which no pod may choose" }, \
	{ ANNOTATED(part_, "run.oci.keep_original_groups", "0"), NULL }, \
	{ ANNOTATED(part_, "org.systemd.property.CollectMode", "'inactive-or-failed'"), NULL }, \
	{ ANNOTATED(part_, "org.systemd.property.TimeoutStopUSec", "uint64 30000000"), NULL }, \
	{ ANNOTATED(part_, "org.systemd.property.After", "['crio.service']"), NULL }, \
	{ ANNOTATED(part_, "org.systemd.property.DefaultDependencies", "true"), NULL }, \
	{ ANNOTATED(part_, "org.systemd.property.Delegate", "true"), NULL }
	static const struct {
		const char *text, *want;	/* NULL: taken */
	} cases[] = {
		CASES("container"), CASES("sandbox"), CASES("x"),
		/* Elsewhere they are the engine's, or the user's. */
		{ HEAD ",\"annotations\":{\"org.systemd.property.MemoryHigh\":\"uint64 1\",\"run.oci.keep_original_groups\":\"1\"},\"linux\":{" NS "}}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_plan_ struct plan *p = NULL;

		err_clear();
		CHECK_INT(build(cases[i].text, &o, &p), cases[i].want == NULL ? 0 : -EPERM);
		if (cases[i].want != NULL && !CHECK(strstr(err_text(), cases[i].want) != NULL))
			printf("#   case %zu: %s\n", i, err_text());
	}
}

TEST(refusals)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{\"ociVersion\":\"1.3.0\"}", "root: is required" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/proc/self/attr\",\"type\":\"tmpfs\"}],\"linux\":{" NS "}}",
		  "cannot be mounted because it is inside /proc" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/a/../proc/./sys\",\"type\":\"tmpfs\"}],\"linux\":{" NS "}}",
		  "inside /proc" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/x/..\",\"type\":\"tmpfs\"}],\"linux\":{" NS "}}", "mounts[0].destination" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/a\",\"options\":[\"bind\"]}],\"linux\":{" NS "}}", "mounts[0].source" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/a\"}],\"linux\":{" NS "}}", "mounts[0].type" },
		{ HEAD ",\"mounts\":[{\"destination\":\"/a\",\"type\":\"tmpfs\"}],\"linux\":{\"namespaces\":[{\"type\":\"user\"}]," MAPS "}}",
		  "without a mount namespace" },
		{ HEAD ",\"linux\":{\"rootfsPropagation\":\"slave\"}}", "linux.rootfsPropagation: needs a mount namespace" },
		{ IDMAP("\"bind\",\"idmap\"", "", NS), "mounts[0].options: idmap: needs uidMappings and gidMappings" },
		{ IDMAP("\"bind\",\"ridmap\"", "", NS), "mounts[0].options: ridmap: needs" },
		{ IDMAP("\"bind\",\"idmap\"", "", "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\",\"path\":\"/proc/self/ns/user\"}]"),
		  "that is not the host's" },
		{ IDMAP("\"ridmap\"", ",\"type\":\"tmpfs\"", USER_NS), "mounts[0].options: only a new bind mount can be id-mapped" },
		{ IDMAP("", ",\"type\":\"tmpfs\"," MAPS, NS), "mounts[0].uidMappings: only a new bind mount" },
		{ IDMAP("\"bind\",\"remount\"", "," MAPS, NS), "mounts[0].uidMappings: only a new bind mount" },
		{ HEAD ",\"linux\":{\"maskedPaths\":[\"/proc/kcore\"],\"namespaces\":[{\"type\":\"user\"}]," MAPS "}}", "without a mount namespace" },
		{ HEAD ",\"linux\":{" NS ",\"sysctl\":{\"kernel.panic\":\"1\"}}}", "linux.sysctl.kernel.panic" },
		{ HEAD ",\"linux\":{" NS ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}}", "network namespace" },
		{ HEAD ",\"linux\":{" NS ",\"sysctl\":{\"kernel.hostname\":\"x\"}}}", "use the property hostname" },
		{ HEAD ",\"linux\":{" NS ",\"resources\":{\"memory\":{\"swap\":1048576}}}}",
		  "config.json: linux.resources: memory.swap: needs memory.limit" },
		{ HEAD ",\"linux\":{" NS ",\"resources\":{\"memory\":{\"swappiness\":0}}}}",
		  "config.json: linux.resources.memory.swappiness: is of cgroup v1" },
		{ HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}", "needs both" },
		{ HEAD ",\"linux\":{" NS ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}}}",
		  "linux.seccomp.listenerPath" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_plan_ struct plan *p = NULL;

		err_clear();
		CHECK(build(cases[i].text, NULL, &p) < 0);
		if (!CHECK(strstr(err_text(), cases[i].want) != NULL))
			printf("#   got %s\n#   want %s\n", err_text(), cases[i].want);
	}
}

TEST_MAIN(CASE(defaults), CASE(mounts), CASE(live_mounts), CASE(idmap), CASE(manager_disabled), CASE(groups_of_a_pod), CASE(annotations_of_a_pod),
	  CASE(refusals))
