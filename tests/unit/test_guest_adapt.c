/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host's config.json a guest does, and what it is told beside it. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "microvm/guest/adapt.h"
#include "microvm/guest/description.h"
#include "namespaces/net_config.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define CONFIG(mounts, linux_) \
	"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/on/the/host\",\"readonly\":true},\"vm\":{\"kernel\":{\"path\":\"/vmlinuz\"}}," \
	"\"hooks\":{\"prestart\":[{\"path\":\"/a\"}],\"createRuntime\":[{\"path\":\"/b\"}],\"createContainer\":[{\"path\":\"/c\"}]," \
	"\"startContainer\":[{\"path\":\"/d\"}],\"poststart\":[{\"path\":\"/e\"}],\"poststop\":[{\"path\":\"/f\"}]}," \
	"\"annotations\":{\"x\":\"y\"},\"mounts\":[" mounts "],\"linux\":{" linux_ "}}"

static const char everything[] = CONFIG(
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/v\",\"type\":\"none\",\"source\":\"/host/v\",\"options\":[\"rbind\",\"ro\"]},"
	"{\"destination\":\"/w\",\"type\":\"bind\",\"source\":\"/host/w\"},"
	"{\"destination\":\"/v\",\"type\":\"none\",\"options\":[\"bind\",\"remount\",\"ro\"]},"
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"ro\"]}",
	"\"cgroupsPath\":\"/host/path\",\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/run/netns/n\"},{\"type\":\"mount\"}],"
	"\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}],\"memory\":{\"limit\":1},\"cpu\":{\"shares\":2,\"cpus\":\"0\"},"
	"\"pids\":{\"limit\":7},\"blockIO\":{\"weight\":10},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9}],"
	"\"rdma\":{\"mlx\":{\"hcaHandles\":1}},"
	"\"unified\":{\"memory.high\":\"1\",\"pids.max\":\"5\",\"hugetlb.2MB.max\":\"6\",\"pidsx\":\"7\",\"cpu.weight\":\"8\"}}");

static int adapt(const char *config, const struct guest_mount *mounts, size_t n, struct spec **ret)
{
	const struct guest_description d = { .id = "x", .rootfs = "/rootfs", .mounts = mounts, .n_mounts = n };
	int r = spec_parse("config.json", config, strlen(config), ret);

	return r == 0 ? guest_adapt(*ret, &d) : r;
}

TEST(all_of_it)
{
	static const char *flags[] = { "nosuid", "ro" };
	static const struct guest_mount mounts[] = { { .index = 1, .flags = flags, .n_flags = 2 }, { .index = 2 } };
	_cleanup_spec_ struct spec *s = NULL;
	const struct spec_resources *r;

	if (!CHECK_INT(adapt(everything, mounts, 2, &s), 0))
		return;
	CHECK_STR(s->root.path, "/share/rootfs");
	CHECK(s->root.readonly);
	CHECK_STR(s->mounts[0].source, "proc");
	CHECK_STR(s->mounts[1].source, "/share/mounts/1");
	CHECK_STR(s->mounts[2].source, "/share/mounts/2");
	CHECK(s->mounts[1].options.n == 4 && s->mounts[1].options.v[4] == NULL && s->mounts[2].options.n == 0 && s->mounts[3].source == NULL && s->n_mounts == 5);
	CHECK_STR(s->mounts[4].type, "sysfs");
	CHECK(s->linux_.namespaces[0].path == NULL && s->linux_.namespaces[2].path == NULL);
	CHECK_STR(s->linux_.namespaces[1].path, "/proc/self/ns/net");
	CHECK(s->linux_.network_is_machine);
	CHECK(s->linux_.cgroups_path == NULL && !s->vm.present);
	CHECK(s->hooks.start_container.n == 1 && s->hooks.prestart.n == 0 && s->hooks.create_runtime.n == 0);
	CHECK(s->hooks.create_container.n == 0 && s->hooks.poststart.n == 0 && s->hooks.poststop.n == 0);
	CHECK_STR(spec_annotation(s, "x"), "y");
	r = &s->linux_.resources;
	CHECK(r->has_devices && r->n_device_rules == 1 && r->has_pids && r->pids_limit == 7 && r->n_hugepage_limits == 1);
	CHECK(r->memory_limit == 0 && r->cpu_shares == 0 && r->cpus == NULL && r->block_io_weight == 0 && r->n_rdma == 0);
	if (CHECK_INT(r->n_unified, 2)) {
		CHECK(str_in("pids.max", (const char *const[]){ r->unified[0].key, r->unified[1].key }, 2));
		CHECK(str_in("hugetlb.2MB.max", (const char *const[]){ r->unified[0].key, r->unified[1].key }, 2));
	}
}

/* What the host's user namespace does is not done again. */
TEST(ids_mapped_by_the_host)
{
	static const char config[] = CONFIG("{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\",\"options\":[\"rbind\",\"ro\"]}",
		"\"uidMappings\":[{\"containerID\":0,\"hostID\":5,\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":5,\"size\":1}],"
		"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"user\"},{\"type\":\"network\"}]");
	const struct guest_description d = { .id = "x", .rootfs = "/rootfs", .ids_mapped = true };
	_cleanup_spec_ struct spec *s = NULL;

	if (!CHECK_INT(spec_parse("config.json", config, strlen(config), &s), 0) || !CHECK_INT(guest_adapt(s, &d), 0))
		return;
	CHECK(s->linux_.n_uid_map == 0 && s->linux_.n_gid_map == 0);
	if (!CHECK_INT(s->linux_.n_namespaces, 2))
		return;
	CHECK_STR(s->linux_.namespaces[0].type, "pid");
	CHECK_STR(s->linux_.namespaces[1].path, "/proc/self/ns/net");
	/* The guest's own, and mounted: its root may. */
	CHECK_STR(s->mounts[0].type, "sysfs");
	CHECK_STR(s->mounts[0].source, "sysfs");
	CHECK(s->mounts[0].options.n == 1 && str_eq(s->mounts[0].options.v[0], "ro") && s->mounts[0].options.v[1] == NULL);
}

TEST(a_network_for_a_user_namespace)
{
	_cleanup_spec_ struct spec *s = NULL;

	if (!CHECK_INT(adapt(CONFIG("", "\"namespaces\":[{\"type\":\"network\",\"path\":\"/x\"},{\"type\":\"user\"}]"), NULL, 0, &s), 0))
		return;
	/* A new one, which is its root's. */
	CHECK(s->linux_.namespaces[0].path == NULL && !s->linux_.network_is_machine);
}

#define IN_A_POD(part) \
	"{\"ociVersion\":\"1.2.0\",\"annotations\":{\"io.kubernetes.cri.container-type\":\"" part "\",\"io.kubernetes.cri.sandbox-id\":\"p\"}," \
	"\"mounts\":[{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/run/p/shm\"},{\"destination\":\"/v\",\"type\":\"bind\",\"source\":\"/v\"}]," \
	"\"linux\":{\"namespaces\":[{\"type\":\"ipc\",\"path\":\"/proc/7/ns/ipc\"},{\"type\":\"uts\",\"path\":\"/proc/7/ns/uts\"}," \
	"{\"type\":\"network\",\"path\":\"/proc/7/ns/net\"},{\"type\":\"pid\"%s}]}}"

TEST(container_of_a_pod)
{
	static const char config[] = IN_A_POD("container");
	static const struct guest_mount mounts[] = { { .index = 1 } };
	_cleanup_free_ char *text = str_printf(config, ""), *pid = str_printf(config, ",\"path\":\"/proc/7/ns/pid\"");
	_cleanup_spec_ struct spec *s = NULL, *shared = NULL;

	if (!CHECK(text != NULL && pid != NULL) || !CHECK_INT(adapt(text, mounts, 1, &s), 0))
		return;
	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		CHECK((s->linux_.namespaces[i].path != NULL) == str_eq(s->linux_.namespaces[i].type, "network"));
	CHECK_STR(s->mounts[0].type, "tmpfs");
	CHECK_STR(s->mounts[1].source, "/share/mounts/1");
	CHECK_INT(adapt(pid, mounts, 1, &shared), -EINVAL);
	CHECK(strstr(err_text(), "linux.namespaces[3].path") != NULL);
}

TEST(refused)
{
	static const struct guest_mount none[] = { { .index = 0 } }, proc[] = { { .index = 0 } }, far[] = { { .index = 1 }, { .index = 5 } };
	static const struct {
		const char *config;
		const struct guest_mount *mounts;
		size_t n;
		const char *text;
	} cases[] = {
		{ everything, none, 0, "mounts[1]" },
		{ everything, proc, 1, "mounts[0]" },
		{ everything, far, 2, "config.json has 5 only" },
		{ CONFIG("", "\"namespaces\":[{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"}]"), none, 0, "linux.namespaces[0].path" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_spec_ struct spec *s = NULL;

		CHECK_INT(adapt(cases[i].config, cases[i].mounts, cases[i].n, &s), -EINVAL);
		if (!CHECK(strstr(err_text(), cases[i].text) != NULL))
			printf("#   %s\n", err_text());
	}
}

#define DESCRIPTION(time, entropy, mounts, more) \
	"{\"id\":\"box\",\"bundle\":\"/b\",\"hostname\":\"h\",\"time\":" time ",\"entropy\":" entropy ",\"share\":\"nacre\",\"rootfs\":\"/rootfs\"," \
	"\"mounts\":" mounts ",\"idsMapped\":true" more "}"
#define NOW "{\"seconds\":1790000000,\"nanoseconds\":999999999}"

TEST(description)
{
	static const char text[] = DESCRIPTION(NOW, "\"00ff1a\"", "[{\"index\":0,\"flags\":[]},{\"index\":3,\"flags\":[\"ro\",\"nosuid\"]},{\"index\":12,\"flags\":[]}]",
		",\"apparmor\":\"0400ff\",\"network\":{\"interfaces\":[],\"addresses\":[],\"routes\":[],\"neighbours\":[]}");
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct guest_description d;

	if (!CHECK_INT(guest_description_read(a, text, strlen(text), &d), 0))
		return;
	CHECK_STR(d.id, "box");
	CHECK_STR(d.share, "nacre");
	CHECK(d.seconds == 1790000000 && d.nanoseconds == 999999999);
	CHECK(d.entropy_size == 3 && memcmp(d.entropy, "\0\377\32", 3) == 0);
	CHECK(d.n_mounts == 3 && d.mounts[0].index == 0 && d.mounts[2].index == 12 && d.mounts[0].n_flags == 0 && d.mounts[1].n_flags == 2);
	CHECK_STR(d.mounts[1].flags[1], "nosuid");
	CHECK(d.network != NULL && d.network->n_interfaces == 0);
	CHECK(d.ids_mapped);
	CHECK(d.apparmor_size == 3 && memcmp(d.apparmor, "\4\0\377", 3) == 0);
}

#define ON_DISK(image) \
	"{\"id\":\"box\",\"bundle\":\"/b\",\"hostname\":\"h\",\"time\":" NOW ",\"entropy\":\"\",\"share\":\"nacre\",\"mounts\":[],\"idsMapped\":false,\"image\":" image "}"

TEST(image)
{
	static const char text[] = ON_DISK("{\"device\":\"/dev/vda\",\"type\":\"ext4\",\"readOnly\":true}");
	_cleanup_arena_ struct arena *a = arena_new(0);
	_cleanup_spec_ struct spec *s = NULL;
	struct guest_description d;
	static const char config[] = "{\"ociVersion\":\"1.2.0\",\"root\":{\"readonly\":true},"
				     "\"vm\":{\"kernel\":{\"path\":\"/k\"},\"image\":{\"path\":\"/i\"}}}";

	if (!CHECK_INT(guest_description_read(a, text, strlen(text), &d), 0))
		return;
	CHECK_STR(d.image.device, "/dev/vda");
	CHECK_STR(d.image.type, "ext4");
	CHECK(d.image.read_only && d.rootfs == NULL && !d.ids_mapped && d.apparmor == NULL);
	if (!CHECK_INT(spec_parse("config.json", config, strlen(config), &s), 0) || !CHECK_INT(guest_adapt(s, &d), 0))
		return;
	CHECK_STR(s->root.path, "/image");
	CHECK(s->has_root && s->root.readonly && !s->vm.present);
}

TEST(bad_descriptions)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "" }, { "[]", "must be an object" }, { "{}", "id: is missing" },
		{ DESCRIPTION("1", "\"\"", "[]", ""), "time: must be an object" },
		{ DESCRIPTION("{\"seconds\":-1,\"nanoseconds\":0}", "\"\"", "[]", ""), "time.seconds" },
		{ DESCRIPTION("{\"seconds\":1,\"nanoseconds\":1000000000}", "\"\"", "[]", ""), "time.nanoseconds" },
		{ DESCRIPTION(NOW, "\"0\"", "[]", ""), "entropy" }, { DESCRIPTION(NOW, "\"0g\"", "[]", ""), "entropy" },
		{ DESCRIPTION(NOW, "\"\"", "[{\"index\":1,\"flags\":[]},{\"index\":1,\"flags\":[]}]", ""), "mounts[1].index" }, { DESCRIPTION(NOW, "\"\"", "[-1]", ""), "mounts[0]" },
		{ DESCRIPTION(NOW, "\"\"", "[\"1\"]", ""), "mounts[0]" }, { DESCRIPTION(NOW, "\"\"", "[]", ",\"more\":1"), "more: is not known" },
		{ DESCRIPTION(NOW, "\"\"", "[]", ",\"network\":{}"), "network" },
		{ DESCRIPTION(NOW, "\"\"", "[]", ",\"apparmor\":\"\""), "apparmor: must be a string, and not empty" },
		{ DESCRIPTION(NOW, "\"\"", "[]", ",\"apparmor\":\"012\""), "apparmor: is too long, or half a byte" },
		{ DESCRIPTION(NOW, "\"\"", "[]", ",\"apparmor\":1"), "apparmor: must be a string" },
		{ DESCRIPTION(NOW, "\"\"", "[]", ",\"image\":{}"), "image: is there beside rootfs" },
		{ DESCRIPTION(NOW, "\"\"", "[{\"index\":1,\"flags\":[\"bind\"]}]", ""), "mounts[0].flags[0]: is no flag of a mount" },
		{ DESCRIPTION(NOW, "\"\"", "[{\"index\":1,\"flags\":[1]}]", ""), "mounts[0].flags[0]: is no flag of a mount" },
		{ DESCRIPTION(NOW, "\"\"", "[{\"index\":1}]", ""), "flags: is missing" },
		{ DESCRIPTION(NOW, "\"\"", "[{\"index\":1,\"flags\":[],\"x\":1}]", ""), "mounts[0].x: is not known" },
		{ ON_DISK("1"), "image: must be an object" }, { ON_DISK("{}"), "device: is missing" },
		{ ON_DISK("{\"device\":\"vda\",\"type\":\"ext4\",\"readOnly\":true}"), "image.device: is not an absolute path" },
		{ ON_DISK("{\"device\":\"/dev/vda\",\"type\":\"ext4\"}"), "readOnly: is missing" },
		{ ON_DISK("{\"device\":\"/dev/vda\",\"type\":\"ext4\",\"readOnly\":1}"), "readOnly: must be" },
		{ ON_DISK("{\"device\":\"/dev/vda\",\"type\":\"ext4\",\"readOnly\":true,\"x\":1}"), "image.x: is not known" },
		{ "{\"id\":\"b\",\"bundle\":\"/b\",\"hostname\":\"h\",\"time\":" NOW ",\"entropy\":\"\",\"share\":\"n\",\"rootfs\":\"/r\",\"mounts\":[]}",
		  "idsMapped: is missing" },
		{ "{\"id\":\"b\",\"bundle\":\"/b\",\"hostname\":\"h\",\"share\":\"nacre\"}", "rootfs: is missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_arena_ struct arena *a = arena_new(0);
		struct guest_description d;

		CHECK_INT(guest_description_read(a, cases[i].text, strlen(cases[i].text), &d), -EINVAL);
		if (!CHECK(strstr(err_text(), cases[i].why) != NULL))
			printf("#   %s\n", err_text());
	}
}

TEST_MAIN(CASE(all_of_it), CASE(ids_mapped_by_the_host), CASE(a_network_for_a_user_namespace), CASE(container_of_a_pod), CASE(refused), CASE(description), CASE(image), CASE(bad_descriptions))
