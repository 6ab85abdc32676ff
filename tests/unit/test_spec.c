/* SPDX-License-Identifier: Apache-2.0 */
/* oci/spec_*.c: a configuration with everything, and how files are read. The rules: test_spec_rules.c. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define V "\"ociVersion\":\"1.3.0\""

static const char maximal[] =
"{"
" \"ociVersion\": \"1.2.1-dev+build.7\","
" \"root\": { \"path\": \"rootfs\", \"readonly\": true },"
" \"hostname\": \"box\", \"domainname\": \"example.org\","
" \"process\": {"
"  \"terminal\": true, \"consoleSize\": { \"height\": 24, \"width\": 65535 },"
"  \"user\": { \"uid\": 1000, \"gid\": 4294967294, \"umask\": 18, \"additionalGids\": [5, 6] },"
"  \"args\": [\"sh\", \"-c\", \"\"], \"env\": [\"PATH=/bin\", \"EMPTY=\"], \"cwd\": \"/srv\","
"  \"capabilities\": { \"bounding\": [\"CAP_KILL\", \"CAP_FUTURE\"], \"effective\": [\"CAP_KILL\"],"
"    \"inheritable\": [], \"permitted\": [\"CAP_KILL\"], \"ambient\": null },"
"  \"rlimits\": [ { \"type\": \"RLIMIT_NOFILE\", \"soft\": 1024, \"hard\": 18446744073709551615 },"
"    { \"type\": \"RLIMIT_CORE\", \"soft\": 0, \"hard\": 9223372036854775807 } ],"
"  \"noNewPrivileges\": true, \"apparmorProfile\": \"profile\", \"selinuxLabel\": \"a:b:c\","
"  \"oomScoreAdj\": -500,"
"  \"scheduler\": { \"policy\": \"SCHED_DEADLINE\", \"nice\": -20, \"priority\": 0,"
"    \"flags\": [\"SCHED_FLAG_RECLAIM\"], \"runtime\": 10, \"deadline\": 20, \"period\": 30 },"
"  \"ioPriority\": { \"class\": \"IOPRIO_CLASS_BE\", \"priority\": 7 },"
"  \"execCPUAffinity\": { \"initial\": \"0-3,7\", \"final\": \"1\" } },"
" \"mounts\": [ { \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" },"
"  { \"destination\": \"relative\", \"source\": \"/src\", \"options\": [\"bind\", \"ro\"],"
"    \"uidMappings\": [ { \"containerID\": 0, \"hostID\": 1, \"size\": 2 } ],"
"    \"gidMappings\": [ { \"containerID\": 3, \"hostID\": 4, \"size\": 5 } ] } ],"
" \"hooks\": { \"prestart\": [ { \"path\": \"/a\" } ],"
"  \"createRuntime\": [ { \"path\": \"/b\", \"args\": [\"b\", \"x\"], \"env\": [\"K=V\"], \"timeout\": 5 } ],"
"  \"createContainer\": [ { \"path\": \"/c\", \"env\": [] } ], \"startContainer\": [ { \"path\": \"/d\" } ],"
"  \"poststart\": [ { \"path\": \"/e\" } ], \"poststop\": [ { \"path\": \"/f\" }, { \"path\": \"/g\" } ] },"
" \"annotations\": { \"org.example.key\": \"value\", \"empty\": \"\", \"null\": null },"
" \"linux\": {"
"  \"namespaces\": [ { \"type\": \"pid\" }, { \"type\": \"network\", \"path\": \"/run/netns/x\" },"
"    { \"type\": \"mount\" }, { \"type\": \"ipc\" }, { \"type\": \"uts\", \"path\": \"\" }, { \"type\": \"user\" },"
"    { \"type\": \"cgroup\" }, { \"type\": \"time\" } ],"
"  \"uidMappings\": [ { \"containerID\": 0, \"hostID\": 100000, \"size\": 65536 } ],"
"  \"gidMappings\": [ { \"containerID\": 0, \"hostID\": 200000, \"size\": 1000 },"
"    { \"containerID\": 1000, \"hostID\": 0, \"size\": 1 } ],"
"  \"timeOffsets\": { \"monotonic\": { \"secs\": -9223372036854775808, \"nanosecs\": 999999999 },"
"    \"boottime\": { \"secs\": 7 } },"
"  \"devices\": [ { \"path\": \"/dev/fuse\", \"type\": \"c\", \"major\": 10, \"minor\": 229, \"fileMode\": 438,"
"      \"uid\": 0, \"gid\": 5 },"
"    { \"path\": \"/dev/raw\", \"type\": \"u\", \"major\": 1, \"minor\": 2 },"
"    { \"path\": \"/dev/sda\", \"type\": \"b\", \"major\": 8, \"minor\": 0, \"fileMode\": 4095 },"
"    { \"path\": \"/dev/fifo\", \"type\": \"p\" } ],"
"  \"cgroupsPath\": \"/pods/x\","
"  \"resources\": { \"devices\": [ { \"allow\": false, \"access\": \"rwm\" },"
"      { \"allow\": true, \"type\": \"c\", \"major\": 1, \"minor\": -1, \"access\": \"mr\" },"
"      { \"allow\": true, \"type\": \"b\", \"major\": null, \"access\": \"w\" }, { \"allow\": true, \"type\": \"\" } ],"
"    \"pids\": { \"limit\": 100 }, \"memory\": { \"limit\": 1 } },"
"  \"sysctl\": { \"net.ipv4.ip_forward\": \"1\" },"
"  \"seccomp\": { \"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 38,"
"    \"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_SHEB\"], \"flags\": [\"SECCOMP_FILTER_FLAG_LOG\"],"
"    \"listenerPath\": \"/run/agent\", \"listenerMetadata\": \"meta\","
"    \"syscalls\": [ { \"names\": [\"read\", \"write\"], \"action\": \"SCMP_ACT_ALLOW\" },"
"      { \"names\": [\"clone\"], \"action\": \"SCMP_ACT_TRACE\", \"errnoRet\": 1, \"args\": [ { \"index\": 5,"
"        \"value\": 18446744073709551615, \"valueTwo\": 4, \"op\": \"SCMP_CMP_MASKED_EQ\" } ] } ] },"
"  \"rootfsPropagation\": \"rslave\", \"maskedPaths\": [\"/proc/kcore\"], \"readonlyPaths\": [\"/proc/sys\"],"
"  \"mountLabel\": \"label\", \"personality\": { \"domain\": \"LINUX32\", \"flags\": [] },"
"  \"intelRdt\": null, \"netDevices\": {}, \"memoryPolicy\": null },"
" \"vm\": { \"hypervisor\": { \"path\": \"/usr/bin/vmm\", \"parameters\": [\"-a\", \"b c\"] },"
"  \"kernel\": { \"path\": \"/boot/vmlinuz\", \"parameters\": [\"foo=bar\", \"hello world\"], \"initrd\": \"/boot/initrd\" },"
"  \"image\": { \"path\": \"/srv/root.img\", \"format\": \"raw\" },"
"  \"hwConfig\": { \"deviceTree\": \"\", \"vcpus\": 4294967295, \"memory\": 18446744073709551615, \"dtdevs\": [],"
"    \"iomems\": null, \"irqs\": [] } },"
" \"windows\": { \"x\": 1 }, \"solaris\": 1, \"zos\": [], \"freebsd\": {},"
" \"futureProperty\": { \"ociVersion\": [1.5e3] }"
"}";

static struct spec *parse_maximal(struct test *t)
{
	struct spec *s = NULL;

	if (!CHECK_INT(spec_parse("config.json", maximal, strlen(maximal), &s), 0))
		printf("#   %s\n", err_text());
	return s;
}

TEST(maximal_document)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);

	if (!CHECK(s != NULL))
		return;
	CHECK_STR(s->oci_version, "1.2.1-dev+build.7");
	CHECK(s->has_root && s->root.readonly);
	CHECK_STR(s->root.path, "rootfs");
	CHECK_STR(s->hostname, "box");
	CHECK_STR(s->domainname, "example.org");
	CHECK_INT(s->n_annotations, 2);
	CHECK_STR(spec_annotation(s, "org.example.key"), "value");
	CHECK_STR(spec_annotation(s, "empty"), "");
	CHECK(spec_annotation(s, "null") == NULL);
	if (!CHECK_INT(s->n_mounts, 2))
		return;
	CHECK_STR(s->mounts[0].destination, "/proc");
	CHECK_STR(s->mounts[0].type, "proc");
	CHECK_STR(s->mounts[0].source, "proc");
	CHECK(s->mounts[0].options.n == 0 && s->mounts[0].options.v != NULL && s->mounts[0].options.v[0] == NULL);
	CHECK_INT(s->mounts[0].n_uid_map, 0);
	CHECK_STR(s->mounts[1].destination, "/relative");
	CHECK(s->mounts[1].type == NULL);
	CHECK_INT(s->mounts[1].options.n, 2);
	CHECK_STR(s->mounts[1].options.v[1], "ro");
	CHECK(s->mounts[1].options.v[2] == NULL);
	CHECK_INT(s->mounts[1].n_uid_map, 1);
	CHECK_INT(s->mounts[1].uid_map[0].size, 2);
	CHECK_INT(s->mounts[1].gid_map[0].container_id, 3);
	CHECK_INT(s->mounts[1].gid_map[0].host_id, 4);
}

TEST(maximal_vm)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);

	if (!CHECK(s != NULL && s->vm.present))
		return;
	CHECK_STR(s->vm.hypervisor.path, "/usr/bin/vmm");
	CHECK_INT((int64_t)s->vm.hypervisor.parameters.n, 2);
	CHECK_STR(s->vm.hypervisor.parameters.v[1], "b c");
	CHECK_STR(s->vm.kernel.path, "/boot/vmlinuz");
	CHECK_STR(s->vm.kernel.parameters.v[1], "hello world");
	CHECK_STR(s->vm.kernel.initrd, "/boot/initrd");
	CHECK_STR(s->vm.image.path, "/srv/root.img");
	CHECK_STR(s->vm.image.format, "raw");
	CHECK(s->vm.hw_config.vcpus == UINT32_MAX && s->vm.hw_config.memory == UINT64_MAX);
}

/* What Go's engines write for "only a kernel". */
TEST(vm_empty_parts)
{
	static const char text[] = "{" V ",\"vm\":{\"hypervisor\":{\"path\":\"\"},\"kernel\":{\"path\":\"/k\"},\"image\":{\"path\":\"\","
				   "\"format\":\"\"},\"hwConfig\":{}}}";
	_cleanup_spec_ struct spec *s = NULL;

	if (!CHECK_INT(spec_parse("config.json", text, strlen(text), &s), 0))
		return;
	CHECK(s->vm.present && s->vm.hypervisor.path == NULL && s->vm.image.path == NULL && s->vm.kernel.initrd == NULL);
	CHECK(s->vm.hypervisor.parameters.v != NULL && s->vm.hypervisor.parameters.n == 0);
	CHECK(s->vm.kernel.parameters.v != NULL && s->vm.kernel.parameters.v[0] == NULL);
}

TEST(maximal_hooks)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);

	if (!CHECK(s != NULL) || !CHECK_INT(s->hooks.create_runtime.n, 1) || !CHECK_INT(s->hooks.poststop.n, 2))
		return;
	CHECK_STR(s->hooks.prestart.v[0].path, "/a");
	CHECK(!s->hooks.prestart.v[0].has_env);
	CHECK_INT(s->hooks.prestart.v[0].timeout, 0);
	CHECK(s->hooks.prestart.v[0].args.v != NULL && s->hooks.prestart.v[0].args.n == 0);
	CHECK_STR(s->hooks.create_runtime.v[0].path, "/b");
	CHECK_STR(s->hooks.create_runtime.v[0].args.v[1], "x");
	CHECK_STR(s->hooks.create_runtime.v[0].env.v[0], "K=V");
	CHECK_INT(s->hooks.create_runtime.v[0].timeout, 5);
	CHECK(s->hooks.create_container.v[0].has_env && s->hooks.create_container.v[0].env.n == 0);
	CHECK_STR(s->hooks.start_container.v[0].path, "/d");
	CHECK_STR(s->hooks.poststart.v[0].path, "/e");
	CHECK_STR(s->hooks.poststop.v[1].path, "/g");
}

TEST(maximal_process)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);
	const struct spec_process *p;

	if (!CHECK(s != NULL && s->process != NULL))
		return;
	p = s->process;
	CHECK(p->terminal && p->has_console_size && p->no_new_privileges);
	CHECK_INT(p->console_height, 24);
	CHECK_INT(p->console_width, 65535);
	CHECK_INT(p->user.uid, 1000);
	CHECK_INT(p->user.gid, 4294967294);
	CHECK(p->user.has_umask && p->user.umask == 022);
	CHECK_INT(p->user.n_additional_gids, 2);
	CHECK_INT(p->user.additional_gids[1], 6);
	CHECK(p->args.n == 3 && p->args.v[3] == NULL);
	CHECK_STR(p->args.v[2], "");
	CHECK_STR(p->env.v[1], "EMPTY=");
	CHECK_STR(p->cwd, "/srv");
	CHECK(p->caps.present);
	CHECK_INT(p->caps.bounding.n, 2);
	CHECK_STR(p->caps.bounding.v[1], "CAP_FUTURE");
	CHECK_INT(p->caps.effective.n, 1);
	CHECK_INT(p->caps.inheritable.n, 0);
	CHECK_INT(p->caps.permitted.n, 1);
	CHECK(p->caps.ambient.n == 0 && p->caps.ambient.v != NULL);
	CHECK_INT(p->n_rlimits, 2);
	CHECK_STR(p->rlimits[0].type, "RLIMIT_NOFILE");
	CHECK(p->rlimits[0].soft == 1024 && p->rlimits[0].hard == UINT64_MAX);
	CHECK_INT(p->rlimits[1].hard, INT64_MAX);
	CHECK_STR(p->apparmor_profile, "profile");
	CHECK_STR(p->selinux_label, "a:b:c");
	CHECK(p->has_oom_score_adj && p->oom_score_adj == -500);
	CHECK(p->scheduler.present && p->scheduler.nice == -20 && p->scheduler.priority == 0);
	CHECK_STR(p->scheduler.policy, "SCHED_DEADLINE");
	CHECK_STR(p->scheduler.flags.v[0], "SCHED_FLAG_RECLAIM");
	CHECK(p->scheduler.runtime == 10 && p->scheduler.deadline == 20 && p->scheduler.period == 30);
	CHECK(p->io_priority.present && p->io_priority.priority == 7);
	CHECK_STR(p->io_priority.class_, "IOPRIO_CLASS_BE");
	CHECK(p->has_exec_cpu_affinity);
	CHECK_STR(p->cpu_affinity_initial, "0-3,7");
	CHECK_STR(p->cpu_affinity_final, "1");
}

TEST(maximal_linux)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);
	const struct spec_linux *l;

	if (!CHECK(s != NULL))
		return;
	l = &s->linux_;
	CHECK_INT(l->n_namespaces, 8);
	CHECK_STR(l->namespaces[1].type, "network");
	CHECK_STR(l->namespaces[1].path, "/run/netns/x");
	CHECK(l->namespaces[0].path == NULL && l->namespaces[4].path == NULL);
	CHECK(l->n_uid_map == 1 && l->n_gid_map == 2);
	CHECK_INT(l->uid_map[0].host_id, 100000);
	CHECK_INT(l->gid_map[1].container_id, 1000);
	CHECK(l->monotonic.present && l->monotonic.secs == INT64_MIN && l->monotonic.nanosecs == 999999999);
	CHECK(l->boottime.present && l->boottime.secs == 7 && l->boottime.nanosecs == 0);
	CHECK_STR(l->cgroups_path, "/pods/x");
	CHECK(l->resources.has_pids && l->resources.pids_limit == 100 && l->resources.memory_limit == 1);
	CHECK(!l->memory_policy.present);
	CHECK_INT(l->n_sysctl, 1);
	CHECK_STR(l->sysctl[0].key, "net.ipv4.ip_forward");
	CHECK_STR(l->sysctl[0].value, "1");
	CHECK_STR(l->rootfs_propagation, "rslave");
	CHECK_STR(l->masked_paths.v[0], "/proc/kcore");
	CHECK_STR(l->readonly_paths.v[0], "/proc/sys");
	CHECK_STR(l->mount_label, "label");
	CHECK_STR(l->personality_domain, "LINUX32");
}

TEST(maximal_devices)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);
	const struct spec_device *d;
	const struct spec_device_rule *r;

	if (!CHECK(s != NULL) || !CHECK_INT(s->linux_.n_devices, 4) || !CHECK_INT(s->linux_.resources.n_device_rules, 4))
		return;
	d = s->linux_.devices;
	CHECK_STR(d[0].path, "/dev/fuse");
	CHECK(d[0].type == 'c' && d[0].major == 10 && d[0].minor == 229);
	CHECK(d[0].has_mode && d[0].mode == 0666 && d[0].has_uid && d[0].uid == 0 && d[0].has_gid && d[0].gid == 5);
	CHECK(d[1].type == 'c' && !d[1].has_mode && !d[1].has_uid && !d[1].has_gid);
	CHECK(d[2].type == 'b' && d[2].major == 8 && d[2].mode == 07777);
	CHECK(d[3].type == 'p' && d[3].major == 0 && d[3].minor == 0);
	r = s->linux_.resources.device_rules;
	CHECK(!r[0].allow && r[0].type == 'a' && r[0].major == -1 && r[0].minor == -1);
	CHECK(r[0].read && r[0].write && r[0].mknod);
	CHECK(r[1].allow && r[1].type == 'c' && r[1].major == 1 && r[1].minor == -1);
	CHECK(r[1].read && !r[1].write && r[1].mknod);
	CHECK(r[2].type == 'b' && r[2].major == -1 && !r[2].read && r[2].write && !r[2].mknod);
	CHECK(r[3].type == 'a' && r[3].read && r[3].write && r[3].mknod);
}

TEST(maximal_seccomp)
{
	_cleanup_spec_ struct spec *s = parse_maximal(t);
	const struct spec_seccomp *c;

	if (!CHECK(s != NULL))
		return;
	c = &s->linux_.seccomp;
	CHECK(c->present && c->has_default_errno_ret && c->default_errno_ret == 38);
	CHECK_STR(c->default_action, "SCMP_ACT_ERRNO");
	CHECK_INT(c->architectures.n, 2);
	CHECK_STR(c->architectures.v[1], "SCMP_ARCH_SHEB");
	CHECK_STR(c->flags.v[0], "SECCOMP_FILTER_FLAG_LOG");
	CHECK_STR(c->listener_path, "/run/agent");
	CHECK_STR(c->listener_metadata, "meta");
	if (!CHECK_INT(c->n_rules, 2))
		return;
	CHECK_STR(c->rules[0].names.v[1], "write");
	CHECK_STR(c->rules[0].action, "SCMP_ACT_ALLOW");
	CHECK(!c->rules[0].has_errno_ret && c->rules[0].n_args == 0);
	CHECK(c->rules[1].has_errno_ret && c->rules[1].errno_ret == 1);
	CHECK_INT(c->rules[1].n_args, 1);
	CHECK(c->rules[1].args[0].index == 5 && c->rules[1].args[0].value == UINT64_MAX);
	CHECK_INT(c->rules[1].args[0].value_two, 4);
	CHECK_STR(c->rules[1].args[0].op, "SCMP_CMP_MASKED_EQ");
}

TEST(minimal)
{
	static const char *const texts[] = {
		"{" V "}",
		"{" V ",\"root\":null,\"process\":null,\"mounts\":null,\"hooks\":null,\"annotations\":null,\"linux\":null,"
		"\"hostname\":null,\"domainname\":\"\"}",
		"{" V ",\"linux\":{\"namespaces\":null,\"resources\":null,\"seccomp\":null,\"rootfsPropagation\":\"\","
		"\"cgroupsPath\":\"\",\"mountLabel\":\"\",\"personality\":null,\"timeOffsets\":{}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_spec_ struct spec *s = NULL;

		if (!CHECK_INT(spec_parse("c", texts[i], strlen(texts[i]), &s), 0)) {
			printf("#   %s\n", err_text());
			continue;
		}
		CHECK(!s->has_root && s->process == NULL && s->hostname == NULL && s->domainname == NULL);
		CHECK(s->n_mounts == 0 && s->n_annotations == 0 && s->linux_.n_namespaces == 0);
		CHECK(!s->linux_.seccomp.present && s->linux_.rootfs_propagation == NULL);
		CHECK(s->linux_.cgroups_path == NULL && s->linux_.mount_label == NULL);
		CHECK(s->linux_.resources.only_v1 == NULL && s->linux_.personality_domain == NULL);
		CHECK(s->linux_.masked_paths.v != NULL && s->linux_.masked_paths.v[0] == NULL);
		CHECK(!s->linux_.monotonic.present && !s->linux_.boottime.present);
	}
}

TEST(maximal_resources)
{
	static const char text[] =
		"{\"devices\":[],\"memory\":{\"limit\":-1,\"reservation\":2,\"swap\":3,\"checkBeforeUpdate\":true,\"kernel\":-1,"
		"\"disableOOMKiller\":false,\"useHierarchy\":true},\"cpu\":{\"shares\":4,\"quota\":-5,\"burst\":6,\"period\":7,"
		"\"cpus\":\"0-1\",\"mems\":\"0\",\"idle\":1,\"realtimeRuntime\":0},\"pids\":{\"limit\":0},\"blockIO\":{\"weight\":8,"
		"\"weightDevice\":[{\"major\":9,\"minor\":10,\"weight\":11}],\"throttleReadBpsDevice\":[{\"major\":1,\"minor\":2,"
		"\"rate\":3}],\"throttleWriteBpsDevice\":[{\"major\":1,\"minor\":2,\"rate\":4}],\"throttleReadIOPSDevice\":"
		"[{\"major\":1,\"minor\":2,\"rate\":5}],\"throttleWriteIOPSDevice\":[{\"major\":1,\"minor\":2,\"rate\":6}]},"
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}],\"network\":{\"classID\":0,\"priorities\":[]},"
		"\"rdma\":{\"mlx5_1\":{\"hcaHandles\":0},\"none\":null},\"unified\":{\"memory.high\":\"1\",\"x\":null}}";
	_cleanup_spec_ struct spec *s = NULL;
	const struct spec_resources *r;

	if (!CHECK_INT(spec_parse_resources("r", text, strlen(text), &s), 0)) {
		printf("#   %s\n", err_text());
		return;
	}
	r = &s->linux_.resources;
	CHECK(r->has_devices && r->n_device_rules == 0 && r->only_v1 == NULL);
	CHECK(r->memory_limit == -1 && r->memory_reservation == 2 && r->memory_swap == 3 && r->memory_check_before_update);
	CHECK(r->cpu_shares == 4 && r->cpu_quota == -5 && r->has_cpu_burst && r->cpu_burst == 6 && r->cpu_period == 7);
	CHECK_STR(r->cpus, "0-1");
	CHECK_STR(r->mems, "0");
	CHECK(r->has_cpu_idle && r->cpu_idle == 1 && r->has_pids && r->pids_limit == 0 && r->block_io_weight == 8);
	CHECK(r->n_weight_devices == 1 && r->weight_devices[0].major == 9 && r->weight_devices[0].minor == 10);
	CHECK_INT(r->weight_devices[0].weight, 11);
	CHECK(r->read_bps.n == 1 && r->read_bps.v[0].rate == 3 && r->write_bps.n == 1 && r->write_bps.v[0].rate == 4);
	CHECK(r->read_iops.n == 1 && r->read_iops.v[0].rate == 5 && r->write_iops.n == 1 && r->write_iops.v[0].rate == 6);
	CHECK_INT(r->n_hugepage_limits, 1);
	CHECK_STR(r->hugepage_limits[0].page_size, "2MB");
	CHECK(r->n_rdma == 1 && r->rdma[0].has_hca_handles && !r->rdma[0].has_hca_objects);
	CHECK_STR(r->rdma[0].device, "mlx5_1");
	CHECK_INT(r->n_unified, 1);
	CHECK_STR(r->unified[0].value, "1");
}

/* 0 had another meaning once. */
TEST(pids_of_older_versions)
{
	static const struct {
		const char *version, *limit;
		bool has;
	} cases[] = {
		{ "1.0.2-dev", "0", false }, { "1.2.1", "0", false }, { "1.3.0-rc.1", "0", true }, { "1.3.0", "0", true }, { "1.10.0", "0", true },
		{ "1.0.2-dev", "5", true }, { "1.0.2", "-1", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_spec_ struct spec *s = NULL;
		char text[256];

		snprintf(text, sizeof(text), "{\"ociVersion\":\"%s\",\"root\":{\"path\":\"r\"},\"linux\":{\"resources\":{\"pids\":{\"limit\":%s}}}}",
			 cases[i].version, cases[i].limit);
		if (CHECK_INT(spec_parse("c", text, strlen(text), &s), 0) && !CHECK(s->linux_.resources.has_pids == cases[i].has))
			printf("#   case %zu\n", i);
	}
}

TEST(mounts_alone)
{
	static const struct {
		const char *text;
		int64_t n;		/* of the mounts; 0: refused */
		const char *error;
	} cases[] = {
		{ "[{\"destination\":\"a\",\"options\":[\"bind\"]},{\"destination\":\"/b\",\"type\":\"tmpfs\"}]", 2, NULL },
		{ "{\"mounts\":[{\"destination\":\"/a\"}],\"other\":1}", 1, NULL },
		{ "[{}]", 0, "m: [0].destination: is missing" },
		{ "{}", 0, "m: mounts: is missing" },
		{ "{\"mounts\":[{\"destination\":1}]}", 0, "m: mounts[0].destination: must be a string, not a number" },
		{ "3", 0, "m: must be an array, not a number" },
		{ "[{\"destination\":\"/a\",\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":9},{\"containerID\":1,\"hostID\":9,"
		  "\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]}]", 0,
		  "m: [0].uidMappings[1].containerID: overlaps with entry 0" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_spec_ struct spec *s = NULL;
		int r = spec_parse_mounts("m", cases[i].text, strlen(cases[i].text), &s);

		CHECK_INT(r, cases[i].error != NULL ? -EINVAL : 0);
		if (cases[i].error != NULL)
			CHECK_STR(err_text(), cases[i].error);
		else if (r == 0)
			CHECK_INT((int64_t)s->n_mounts, cases[i].n);
		if (r == 0)
			CHECK(s->mounts[0].destination[0] == '/');
	}
}

TEST(only_cgroup_v1)
{
	static const struct {
		const char *resources, *path;
	} cases[] = {
		{ "{}", NULL },
		{ "{\"devices\":[{\"allow\":false}],\"memory\":{},\"cpu\":null,\"rdma\":{},\"future\":{\"limit\":1}}", NULL },
		{ "{\"memory\":{\"kernel\":-1,\"kernelTCP\":0,\"disableOOMKiller\":false,\"useHierarchy\":true},"
		  "\"cpu\":{\"realtimeRuntime\":0,\"realtimePeriod\":0},\"blockIO\":{\"leafWeight\":0},"
		  "\"network\":{\"classID\":0,\"priorities\":[]}}", NULL },
		{ "{\"memory\":{\"kernel\":1,\"swappiness\":1}}", "linux.resources.memory.kernel" },
		{ "{\"memory\":{\"kernelTCP\":1}}", "linux.resources.memory.kernelTCP" },
		{ "{\"memory\":{\"swappiness\":0}}", "linux.resources.memory.swappiness" },
		{ "{\"memory\":{\"disableOOMKiller\":true}}", "linux.resources.memory.disableOOMKiller" },
		{ "{\"memory\":{\"useHierarchy\":false}}", "linux.resources.memory.useHierarchy" },
		{ "{\"cpu\":{\"realtimeRuntime\":1}}", "linux.resources.cpu.realtimeRuntime" },
		{ "{\"cpu\":{\"realtimePeriod\":1}}", "linux.resources.cpu.realtimePeriod" },
		{ "{\"blockIO\":{\"leafWeight\":10}}", "linux.resources.blockIO.leafWeight" },
		{ "{\"blockIO\":{\"weightDevice\":[{\"major\":1,\"minor\":1,\"leafWeight\":10}]}}",
		  "linux.resources.blockIO.weightDevice" },
		{ "{\"network\":{\"classID\":1}}", "linux.resources.network.classID" },
		{ "{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":1}]}}", "linux.resources.network.priorities" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_spec_ struct spec *s = NULL;
		char text[512];

		snprintf(text, sizeof(text), "{" V ",\"linux\":{\"resources\":%s}}", cases[i].resources);
		if (CHECK_INT(spec_parse("c", text, strlen(text), &s), 0))
			CHECK_STR(s->linux_.resources.only_v1, cases[i].path);
		else
			printf("#   %s\n", err_text());
	}
}

TEST(process_alone)
{
	_cleanup_spec_ struct spec *s = NULL;
	const char *good = "{\"cwd\":\"/\",\"args\":[\"x\"],\"user\":{\"uid\":1,\"gid\":2}}";
	const char *twice = "{\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
			    "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]}";

	if (CHECK_INT(spec_parse_process("p", good, strlen(good), &s), 0)) {
		CHECK_STR(s->process->args.v[0], "x");
		CHECK_INT(s->process->user.gid, 2);
		CHECK(s->process->env.v != NULL && s->process->env.n == 0);
	}
	spec_freep(&s);
	CHECK_INT(spec_parse_process("p", "{}", 2, &s), -EINVAL);
	CHECK_STR(err_text(), "p: cwd: is missing");
	CHECK_INT(spec_parse_process("p", "null", 4, &s), -EINVAL);
	CHECK_STR(err_text(), "p: must be an object, not null");
	CHECK_INT(spec_parse_process("p", twice, strlen(twice), &s), -EINVAL);
	CHECK_STR(err_text(), "p: rlimits[1].type: RLIMIT_CPU is listed twice");
	CHECK(s == NULL);
}

/* N times PIECE between HEAD and TAIL; "%d" in PIECE is the number. */
static char *repeated(const char *head, const char *before, const char *after, const char *tail, int n)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	buf_puts(&b, head);
	for (int i = 0; i < n; i++)
		buf_printf(&b, "%s%s%d%s", i > 0 ? "," : "", before, i, after);
	buf_puts(&b, tail);
	return buf_take(&b);
}

TEST(mapping_count)
{
	for (int n = 340; n <= 341; n++) {
		_cleanup_free_ char *text = repeated("{" V ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}],\"uidMappings\":[",
						     "{\"containerID\":0,\"size\":1,\"hostID\":", "}", "]}}", n);
		_cleanup_spec_ struct spec *s = NULL;

		CHECK_INT(spec_parse("c", text, strlen(text), &s), -EINVAL);
		CHECK_STR(err_text(), n == 340 ? "c: linux.uidMappings[1].containerID: overlaps with entry 0" :
						 "c: linux.uidMappings: has 341 entries, the kernel takes 340");
	}
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TEST(huge_is_quick_and_bounded)
{
	_cleanup_free_ char *devices = repeated("{" V ",\"linux\":{\"devices\":[", "{\"type\":\"p\",\"path\":\"/", "\"}",
						"]}}", 50000);
	_cleanup_free_ char *annotations = repeated("{" V ",\"annotations\":{", "\"k", "\":\"v\"", "}}", 100000);
	_cleanup_free_ char *values = repeated("{" V ",\"x\":[", "", "", "]}", 1000000);
	_cleanup_free_ char *large = calloc(SPEC_MAX_BYTES + 1, 1);
	double start = seconds();
	struct spec *s = NULL;

	CHECK_INT(spec_parse("c", devices, strlen(devices), &s), 0);
	spec_freep(&s);
	CHECK_INT(spec_parse("c", annotations, strlen(annotations), &s), 0);
	spec_freep(&s);
	CHECK_INT(spec_parse("c", values, strlen(values), &s), -ENOMEM);
	CHECK_STR(err_text(), "c: too many values, or out of memory");
	CHECK_INT(spec_parse("c", large, SPEC_MAX_BYTES + 1, &s), -EFBIG);
	CHECK_STR(err_text(), "c: larger than 8 MiB");
	CHECK(s == NULL);
	CHECK(seconds() - start < 10); /* quadratic would be minutes; sanitizers are slow */
}

/* A directory for files of a test; removed by directory_remove(). */
static int directory_make(struct test *t, char *path)
{
	int fd;

	strcpy(path, "/tmp/nacre-test-XXXXXX");
	if (!CHECK(mkdtemp(path) != NULL))
		return FD_NONE;
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

TEST(load_file)
{
	char path[64];
	_cleanup_close_ int dir = directory_make(t, path);
	_cleanup_spec_ struct spec *s = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	CHECK_INT(spec_load(dir, "config.json", &s, &text, &len), -ENOENT);
	CHECK_STR(err_text(), "cannot open \"config.json\": No such file or directory");
	CHECK_INT(file_replace(dir, "config.json", maximal, strlen(maximal), 0600), 0);
	if (CHECK_INT(spec_load(dir, "config.json", &s, &text, &len), 0)) {
		CHECK_STR(text, maximal);
		CHECK_INT(len, strlen(maximal));
		CHECK_STR(s->hostname, "box");
	}
	spec_freep(&s);
	CHECK_INT(spec_load(dir, "config.json", &s, NULL, NULL), 0);
	spec_freep(&s);
	str_freep(&text);
	CHECK_INT(file_replace(dir, "config.json", "{}", 2, 0600), 0);
	CHECK_INT(spec_load(dir, "config.json", &s, &text, &len), -EINVAL);
	CHECK_STR(err_text(), "config.json: ociVersion: is missing");
	CHECK(s == NULL && text == NULL);
	unlinkat(dir, "config.json", 0);
	CHECK_INT(rmdir(path), 0);
}

TEST(load_what_is_no_file)
{
	char path[64];
	_cleanup_close_ int dir = directory_make(t, path);
	_cleanup_close_ int big = openat(dir, "big", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct spec *s = NULL;

	CHECK_INT(mkfifoat(dir, "fifo", 0600), 0);
	CHECK_INT(spec_load(dir, "fifo", &s, NULL, NULL), -EINVAL); /* and does not wait */
	CHECK_STR(err_text(), "fifo: not a regular file");
	CHECK_INT(spec_load(dir, ".", &s, NULL, NULL), -EINVAL);
	CHECK_STR(err_text(), ".: not a regular file");
	CHECK_INT(spec_load(AT_FDCWD, "/dev/zero", &s, NULL, NULL), -EINVAL);
	CHECK_INT(ftruncate(big, (off_t)SPEC_MAX_BYTES + 1), 0);
	CHECK_INT(spec_load(dir, "big", &s, NULL, NULL), -EFBIG);
	CHECK_STR(err_text(), "big: larger than 8 MiB");
	CHECK_INT(ftruncate(big, (off_t)SPEC_MAX_BYTES), 0);
	CHECK_INT(spec_load(dir, "big", &s, NULL, NULL), -EINVAL);
	CHECK_STR(err_text(), "big: line 1, column 1: unexpected character");
	CHECK_INT(ftruncate(big, 0), 0);
	CHECK_INT(spec_load(dir, "big", &s, NULL, NULL), -EINVAL);
	CHECK_STR(err_text(), "big: line 1, column 1: unexpected end of text");
	unlinkat(dir, "fifo", 0);
	unlinkat(dir, "big", 0);
	CHECK_INT(rmdir(path), 0);
}

TEST_MAIN(CASE(maximal_document), CASE(maximal_vm), CASE(vm_empty_parts), CASE(maximal_hooks), CASE(maximal_process), CASE(maximal_linux),
	  CASE(maximal_devices), CASE(maximal_seccomp), CASE(minimal), CASE(maximal_resources), CASE(pids_of_older_versions), CASE(mounts_alone), CASE(only_cgroup_v1), CASE(process_alone),
	  CASE(mapping_count), CASE(huge_is_quick_and_bounded), CASE(load_file), CASE(load_what_is_no_file))
