/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/plan_vm: what a config.json, the host's file and the host come to for a microVM. */
#include "runtime/plan_vm.h"

#include <errno.h>
#include <stdlib.h>

#include "oci/host_config.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/vm_size.h"
#include "tests/unit/test.h"

#define IMAGE_HEAD "{\"ociVersion\":\"1.3.0\",\"root\":{\"readonly\":true},\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]}"
#define HEAD "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]}"
#define NS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"pid\"}]"
#define ANNOTATION(key, value) ",\"annotations\":{\"run.nacre.vm." key "\":\"" value "\"}"

static const struct vm_host with_kvm = { .cpus = 4, .memory = 8192 * VM_MIB };
static const struct vm_host without_kvm = { .cpus = 4, .memory = 8192 * VM_MIB, .kvm_why = "there is no /dev/kvm" };

static int build(const char *text, const char *file, const struct vm_host *host, struct plan **ret)
{
	struct plan_options o = { .id = "x", .bundle = "/bundle", .isolation = ISOLATION_MICROVM, .host = host };
	struct host_config *config;
	struct spec *spec = NULL;
	int r = spec_parse("config.json", text, strlen(text), &spec);

	err_clear();
	if (r < 0)
		return r;
	config = arena_alloc(spec->arena, sizeof(*config));
	if (config == NULL || host_config_parse(spec->arena, "nacre.json", file, strlen(file), config) < 0)
		abort();
	o.host_config = config;
	return plan_build(spec, &o, ret);
}

TEST(defaults)
{
	_cleanup_plan_ struct plan *p = NULL;

	if (!CHECK_INT(build(HEAD "," NS "}}", "{}", &with_kvm, &p), 0))
		return;
	CHECK_INT(p->isolation, ISOLATION_MICROVM);
	CHECK_INT(p->vm.monitor, VM_MONITOR_KVM);
	CHECK_STR(p->vm.monitor_why, "/dev/kvm works");
	CHECK(p->vm.kernel == NULL && p->vm.initrd == NULL && p->vm.hypervisor == NULL && p->vm.virtiofsd == NULL);
	CHECK(p->vm.image == NULL && p->vm.console == NULL && p->vm.hypervisor_parameters[0] == NULL);
	CHECK_INT(p->vm.vcpus, 4);
	CHECK_INT((int64_t)p->vm.memory, (int64_t)VM_MEMORY_DEFAULT);
	CHECK(strstr(p->vm.command_line, "console=ttyS0 ") != NULL && str_ends(p->vm.command_line, " quiet"));
}

TEST(from_config_json)
{
	static const char text[] = IMAGE_HEAD ",\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"foo=bar\",\"hello world\",\"a=\\\"b c\\\"\",\"\"],"
					"\"initrd\":\"/i\"},\"hypervisor\":{\"path\":\"/q\",\"parameters\":[\"-v\"]},"
					"\"image\":{\"path\":\"/img\"},\"hwConfig\":{\"vcpus\":3,\"memory\":268435456}}," NS "}}";
	static const char file[] = "{\"vm\":{\"kernel\":{\"path\":\"/other\",\"parameters\":[\"other\"],\"initrd\":\"/other\"},"
				   "\"hypervisor\":{\"path\":\"/other\",\"parameters\":[\"other\"]},\"virtiofsd\":\"/v\"}}";
	_cleanup_plan_ struct plan *p = NULL;

	if (!CHECK_INT(build(text, file, &with_kvm, &p), 0))
		return;
	CHECK_INT(p->vm.monitor, VM_MONITOR_QEMU_KVM);
	CHECK_STR(p->vm.kernel, "/k");
	CHECK_STR(p->vm.initrd, "/i");
	CHECK_STR(p->vm.hypervisor, "/q");
	CHECK_STR(p->vm.hypervisor_parameters[0], "-v");
	CHECK_STR(p->vm.virtiofsd, "/v");
	CHECK_STR(p->vm.image, "/img");
	CHECK_STR(p->rootfs, "/img");
	CHECK(p->rootfs_readonly);
	CHECK_INT(p->vm.vcpus, 3);
	CHECK_INT((int64_t)p->vm.memory, 256 * (int64_t)VM_MIB);
	CHECK(str_ends(p->vm.command_line, " quiet foo=bar \"hello world\" a=\"b c\""));
	CHECK(strstr(p->vm.command_line, "other") == NULL);
}

/* What the file has holds where config.json has no such object; its hypervisor is only where QEMU is. */
TEST(from_the_file)
{
	static const char file[] = "{\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"x=1\"],\"initrd\":\"/i\"},"
				   "\"hypervisor\":{\"path\":\"/q\",\"parameters\":[\"-v\"]}}}";
	_cleanup_plan_ struct plan *p = NULL, *q = NULL;

	if (!CHECK_INT(build(HEAD "," NS "}}", file, &with_kvm, &p), 0))
		return;
	CHECK_INT(p->vm.monitor, VM_MONITOR_KVM);
	CHECK_STR(p->vm.kernel, "/k");
	CHECK_STR(p->vm.initrd, "/i");
	CHECK_STR(p->vm.hypervisor, "/q");
	CHECK(str_ends(p->vm.command_line, " x=1"));
	if (!CHECK_INT(build(HEAD ",\"vm\":{\"kernel\":{\"path\":\"/mine\"}}," NS "}}", file, &with_kvm, &q), 0))
		return;
	CHECK_STR(q->vm.kernel, "/mine");
	CHECK(q->vm.initrd == NULL && str_ends(q->vm.command_line, " quiet"));
	CHECK_STR(q->vm.hypervisor, "/q");
}

TEST(monitors)
{
	static const struct {
		const char *accel;
		bool qemu, kvm;
		int r;
		enum vm_monitor want;
		const char *why;
	} cases[] = {
		{ NULL, false, true, 0, VM_MONITOR_KVM, "/dev/kvm works" },
		{ "auto", false, true, 0, VM_MONITOR_KVM, "/dev/kvm works" },
		{ "auto", true, true, 0, VM_MONITOR_QEMU_KVM, "config.json names a hypervisor, and /dev/kvm works" },
		{ "auto", false, false, 0, VM_MONITOR_QEMU_TCG, "KVM cannot be used: there is no /dev/kvm" },
		{ "auto", true, false, 0, VM_MONITOR_QEMU_TCG, "KVM cannot be used: there is no /dev/kvm" },
		{ "kvm", false, true, 0, VM_MONITOR_KVM, "/dev/kvm works" },
		{ "kvm", true, true, 0, VM_MONITOR_QEMU_KVM, "config.json names a hypervisor, and /dev/kvm works" },
		{ "kvm", false, false, -ENOTSUP, 0, "KVM is asked for and cannot be used: there is no /dev/kvm" },
		{ "qemu", false, true, 0, VM_MONITOR_QEMU_KVM, "QEMU was asked for, and /dev/kvm works" },
		{ "qemu", false, false, -ENOTSUP, 0, "KVM is asked for and cannot be used: there is no /dev/kvm" },
		{ "tcg", false, true, 0, VM_MONITOR_QEMU_TCG, "software emulation was asked for" },
		{ "tcg", true, false, 0, VM_MONITOR_QEMU_TCG, "software emulation was asked for" },
		{ "", false, true, -EINVAL, 0, "\"\" is none of auto, kvm, qemu, tcg" },
		{ "xen", false, true, -EINVAL, 0, "\"xen\" is none of auto, kvm, qemu, tcg" },
	};
	_cleanup_arena_ struct arena *a = arena_new(0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum vm_monitor got = VM_MONITOR_KVM;
		const char *why = NULL;
		int r = vm_monitor_choose(a, cases[i].accel, cases[i].qemu, cases[i].kvm ? &with_kvm : &without_kvm, &got, &why);

		if (!CHECK_INT(r, cases[i].r) || (r == 0 && !CHECK_INT(got, cases[i].want)) ||
		    !CHECK_STR(r == 0 ? why : err_text(), cases[i].why))
			printf("#   case %zu\n", i);
	}
}

/* Another monitor than the host's is a weaker wall, and may be the wish of who is behind it. */
TEST(monitor_of_a_pod)
{
#define IN_POD(accel) \
	HEAD "," NS "},\"annotations\":{\"run.nacre.vm.accel\":\"" accel "\",\"io.kubernetes.cri.container-type\":\"container\"}}"
	static const struct {
		const char *text;
		const struct vm_host *host;
		int want;
	} cases[] = {
		{ IN_POD("auto"), &with_kvm, 0 },     { IN_POD("kvm"), &with_kvm, 0 },	  { IN_POD("tcg"), &with_kvm, -EPERM },
		{ IN_POD("qemu"), &with_kvm, -EPERM }, { IN_POD("tcg"), &without_kvm, 0 }, { IN_POD("auto"), &without_kvm, 0 },
		{ IN_POD("fast"), &with_kvm, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_plan_ struct plan *p = NULL;

		if (!CHECK_INT(build(cases[i].text, "{}", cases[i].host, &p), cases[i].want))
			printf("#   case %zu: %s\n", i, err_text());
		if (cases[i].want == -EPERM)
			CHECK(strstr(err_text(), "annotations[\"run.nacre.vm.accel\"]: a pod cannot have another monitor") != NULL);
	}
}

TEST(console)
{
	_cleanup_plan_ struct plan *p = NULL, *q = NULL;

	if (!CHECK_INT(build(HEAD ANNOTATION("console", "/tmp/console") "," NS "}}", "{}", &with_kvm, &p), 0) ||
	    !CHECK_INT(build(HEAD ANNOTATION("console", "stderr") "," NS "}}", "{}", &with_kvm, &q), 0))
		return;
	CHECK_STR(p->vm.console, "/tmp/console");
	CHECK_STR(q->vm.console, "stderr");
	CHECK(strstr(q->vm.command_line, "quiet") == NULL);
}

TEST(sizes)
{
	_cleanup_plan_ struct plan *p = NULL, *q = NULL;

	if (!CHECK_INT(build(HEAD "," NS ",\"resources\":{\"memory\":{\"limit\":536870912},\"cpu\":{\"quota\":250000,\"period\":100000}}}}",
			     "{}", &with_kvm, &p), 0) ||
	    !CHECK_INT(build(HEAD "," NS ",\"resources\":{\"memory\":{\"limit\":536870912},\"cpu\":{\"cpus\":\"0\"}}}}", "{}", &without_kvm, &q), 0))
		return;
	CHECK_INT(p->vm.vcpus, 3);
	CHECK_INT((int64_t)p->vm.memory, (int64_t)(512 * VM_MIB - VM_OVERHEAD_KVM));
	plan_free(p);
	p = NULL;
	/* By the file's name, which wins. */
	if (!CHECK_INT(build(HEAD "," NS ",\"resources\":{\"memory\":{\"limit\":536870912},\"unified\":{\"memory.max\":\"268435456\"}}}}",
			     "{}", &with_kvm, &p), 0))
		return;
	CHECK_INT((int64_t)p->vm.memory, (int64_t)(256 * VM_MIB - VM_OVERHEAD_KVM));
	CHECK_INT(q->vm.vcpus, 1);
	CHECK_INT((int64_t)q->vm.memory, (int64_t)(512 * VM_MIB - VM_OVERHEAD_QEMU));
}

TEST(refusals)
{
	static const struct {
		const char *text;
		int want;
		const char *error;
	} cases[] = {
		{ HEAD ANNOTATION("accel", "fast") "," NS "}}", -EINVAL,
		  "config.json: annotations[\"run.nacre.vm.accel\"]: \"fast\" is none of auto, kvm, qemu, tcg" },
		{ HEAD ANNOTATION("accel", "kvm") "," NS "}}", -ENOTSUP,
		  "config.json: annotations[\"run.nacre.vm.accel\"]: KVM is asked for and cannot be used: there is no /dev/kvm" },
		{ HEAD ANNOTATION("console", "console.log") "," NS "}}", -EINVAL,
		  "config.json: annotations[\"run.nacre.vm.console\"]: must be an absolute path or stderr, not \"console.log\"" },
		{ HEAD "," NS "},\"annotations\":{\"run.nacre.vm.console\":\"/etc/x\",\"io.kubernetes.cri.container-type\":\"container\"}}", -EPERM,
		  "config.json: annotations[\"run.nacre.vm.console\"]: \"/etc/x\" is a file of the host, which no pod may choose" },
		{ HEAD ",\"vm\":{\"kernel\":{\"path\":\"/k\"},\"image\":{\"path\":\"/i\",\"format\":\"qcow2\"}}," NS "}}", -ENOTSUP,
		  "config.json: vm.image.format: nacre takes raw images, not qcow2" },
		{ HEAD ",\"vm\":{\"kernel\":{\"path\":\"/k\"},\"image\":{\"path\":\"/i\"}}," NS "}}", -ENOTSUP,
		  "config.json: root.path: with vm.image, the image is the container's root file system" },
		{ HEAD "," NS ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/agent\"}}}", -ENOTSUP,
		  "config.json: linux.seccomp.listenerPath: nobody outside a microVM can answer the system calls of its guest" },
		{ HEAD "," NS ",\"resources\":{\"memory\":{\"limit\":104857600}}}}", -ENOSPC,
		  "config.json: linux.resources.memory.limit: 100 MiB is too small for a microVM, which takes 296 MiB: 96 MiB for the guest and "
		  "200 MiB for QEMU and its helpers" },
		{ HEAD ",\"vm\":{\"kernel\":{\"path\":\"/k\"},\"hwConfig\":{\"vcpus\":65}}," NS "}}", -ERANGE,
		  "config.json: vm.hwConfig.vcpus: a microVM has at most 64 virtual CPUs, not 65" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_plan_ struct plan *p = NULL;

		CHECK_INT(build(cases[i].text, "{}", &without_kvm, &p), cases[i].want);
		CHECK_STR(err_text(), cases[i].error);
	}
}

TEST(long_command_line)
{
	static const char format[] = HEAD ",\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"%0*d\"]}}," NS "}}";
	_cleanup_free_ char *fits = str_printf(format, 1800, 0), *too_long = str_printf(format, 2000, 0);
	_cleanup_plan_ struct plan *p = NULL, *q = NULL;

	CHECK_INT(build(fits, "{}", &with_kvm, &p), 0);
	CHECK_INT(build(too_long, "{}", &with_kvm, &q), -E2BIG);
	CHECK(strstr(err_text(), "vm.kernel.parameters: the command line would have 2") != NULL);
}

TEST_MAIN(CASE(defaults), CASE(from_config_json), CASE(from_the_file), CASE(monitors), CASE(monitor_of_a_pod), CASE(console), CASE(sizes),
	  CASE(refusals), CASE(long_command_line))
