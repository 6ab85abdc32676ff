/* SPDX-License-Identifier: Apache-2.0 */
/* oci/spec_*.c: what each rule refuses, with its text, and what it lets pass. */
#include "tests/unit/test.h"

#include <errno.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define V "\"ociVersion\":\"1.3.0\""

/* An entry is a whole document, or (see the macros) what stands in one of its objects. */
struct error_case {
	const char *text;
	const char *error;	/* without "c: "; NULL: must be accepted */
};

#define DOC(body) "{" V "," body "}"
#define PROCESS(body) DOC("\"process\":{\"cwd\":\"/\"," body "}")
#define RLIMIT(body) PROCESS("\"rlimits\":[{" body "}]")
#define LINUX(body) DOC("\"linux\":{" body "}")
#define NS(body) LINUX("\"namespaces\":[" body "]")
#define MAP(c, h, n) "{\"containerID\":" c ",\"hostID\":" h ",\"size\":" n "}"
#define USERNS(body) LINUX("\"namespaces\":[{\"type\":\"user\"}]," body)
#define TIMENS(body) LINUX("\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":" body)
#define MOUNT(body) DOC("\"mounts\":[{\"destination\":\"/m\"," body "}]")
#define HOOK(body) DOC("\"hooks\":{\"poststop\":[{" body "}]}")
#define DEVICE(body) LINUX("\"devices\":[{" body "}]")
#define RULE(body) LINUX("\"resources\":{\"devices\":[{" body "}]}")
#define SECCOMP(body) LINUX("\"seccomp\":{" body "}")
#define SYSCALL(body) SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{" body "}]")

static const struct error_case document_cases[] = {
	{ "[]", "must be an object, not an array" },
	{ "null", "must be an object, not null" },
	{ "{", "line 1, column 2: unexpected end of text" },
	{ "{" V "," V "}", "ociVersion: is given more than once" },
	/* ociVersion */
	{ "{}", "ociVersion: is missing" },
	{ "{\"ociVersion\":null}", "ociVersion: is missing" },
	{ "{\"ociVersion\":\"\"}", "ociVersion: must not be empty" },
	{ "{\"ociVersion\":1}", "ociVersion: must be a string, not a number" },
	{ "{\"ociVersion\":\"1.0.0\"}", NULL },
	{ "{\"ociVersion\":\"1.0.2-dev\"}", NULL },
	{ "{\"ociVersion\":\"1.99.0-rc.1+x.y-z\"}", NULL },
	{ "{\"ociVersion\":\"1.0\"}", "ociVersion: \"1.0\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"v1.0.0\"}", "ociVersion: \"v1.0.0\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"1.02.0\"}", "ociVersion: \"1.02.0\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"1.0.0-\"}", "ociVersion: \"1.0.0-\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"1.0.0+a..b\"}", "ociVersion: \"1.0.0+a..b\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"1.0.0 \"}", "ociVersion: \"1.0.0 \" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"1.0.0.0\"}", "ociVersion: \"1.0.0.0\" is not a version such as \"1.3.0\"" },
	{ "{\"ociVersion\":\"0.9.0\"}", "ociVersion: \"0.9.0\" is not a version 1 of the specification" },
	{ "{\"ociVersion\":\"2.0.0\"}", "ociVersion: \"2.0.0\" is not a version 1 of the specification" },
	{ "{\"ociVersion\":\"10.0.0\"}", "ociVersion: \"10.0.0\" is not a version 1 of the specification" },
	{ "{\"ociVersion\":\"a\\nb\"}", "ociVersion: \"a\\x0ab\" is not a version such as \"1.3.0\"" },
	/* root */
	{ DOC("\"root\":{}"), "root.path: is missing" },
	{ DOC("\"root\":{\"path\":\"\"}"), "root.path: is missing" },
	{ DOC("\"root\":{\"readonly\":true},\"vm\":{\"kernel\":{\"path\":\"/k\"},\"image\":{\"path\":\"/i\"}}"), NULL },
	{ DOC("\"root\":[]"), "root: must be an object, not an array" },
	{ DOC("\"root\":{\"path\":\"r\",\"readonly\":\"yes\"}"), "root.readonly: must be a boolean, not a string" },
	/* hostname, domainname */
	{ DOC("\"hostname\":\"h\""), "hostname: needs a uts namespace" },
	{ DOC("\"domainname\":\"d\""), "domainname: needs a uts namespace" },
	{ DOC("\"hostname\":7"), "hostname: must be a string, not a number" },
	{ DOC("\"hostname\":\"h\",\"linux\":{\"namespaces\":[{\"type\":\"uts\",\"path\":\"/x\"}]}"), NULL },
	/* mounts */
	{ DOC("\"mounts\":{}"), "mounts: must be an array, not an object" },
	{ DOC("\"mounts\":[null]"), "mounts[0]: must be an object, not null" },
	{ DOC("\"mounts\":[{\"destination\":\"/\"},{}]"), "mounts[1].destination: is missing" },
	{ DOC("\"mounts\":[{\"destination\":\"\"}]"), "mounts[0].destination: must not be empty" },
	{ MOUNT("\"options\":\"ro\""), "mounts[0].options: must be an array, not a string" },
	{ MOUNT("\"options\":[\"ro\",1]"), "mounts[0].options[1]: must be a string, not a number" },
	{ MOUNT("\"options\":[null]"), "mounts[0].options[0]: must be a string, not null" },
	{ MOUNT("\"type\":false"), "mounts[0].type: must be a string, not a boolean" },
	{ MOUNT("\"uidMappings\":[" MAP("0", "0", "1") "]"), "mounts[0]: uidMappings without gidMappings" },
	{ MOUNT("\"uidMappings\":[],\"gidMappings\":[" MAP("0", "0", "1") "]"),
	  "mounts[0]: gidMappings without uidMappings" },
	{ MOUNT("\"uidMappings\":[],\"gidMappings\":null"), NULL },
	{ MOUNT("\"gidMappings\":[" MAP("0", "0", "1") "],\"uidMappings\":[" MAP("0", "0", "2") "," MAP("1", "9", "1") "]"),
	  "mounts[0].uidMappings[1].containerID: overlaps with entry 0" },
	{ MOUNT("\"uidMappings\":[" MAP("0", "0", "1") "],\"gidMappings\":[" MAP("0", "9", "2") "," MAP("5", "8", "2") "]"),
	  "mounts[0].gidMappings[1].hostID: overlaps with entry 0" },
	/* hooks */
	{ DOC("\"hooks\":{\"prestart\":{}}"), "hooks.prestart: must be an array, not an object" },
	{ DOC("\"hooks\":{\"unknown\":7}"), NULL },
	{ HOOK(""), "hooks.poststop[0].path: is missing" },
	{ HOOK("\"path\":\"x\""), "hooks.poststop[0].path: must be an absolute path, not \"x\"" },
	{ HOOK("\"path\":\"\""), "hooks.poststop[0].path: must not be empty" },
	{ HOOK("\"path\":\"/x\",\"timeout\":0"), "hooks.poststop[0].timeout: 0 is not in the range 1 to 2147483647" },
	{ HOOK("\"path\":\"/x\",\"timeout\":-1"), "hooks.poststop[0].timeout: -1 is not in the range 1 to 2147483647" },
	{ HOOK("\"path\":\"/x\",\"env\":[\"A\"]"), "hooks.poststop[0].env[0]: must be NAME=VALUE, not \"A\"" },
	{ HOOK("\"path\":\"/x\",\"args\":[1]"), "hooks.poststop[0].args[0]: must be a string, not a number" },
	/* annotations */
	{ DOC("\"annotations\":{\"\":\"x\"}"), "annotations: has an entry with an empty name" },
	{ DOC("\"annotations\":{\"a.b\":1}"), "annotations[\"a.b\"]: must be a string, not a number" },
	{ DOC("\"annotations\":[]"), "annotations: must be an object, not an array" },
	/* what this version cannot represent */
	{ LINUX("\"intelRdt\":{\"closID\":\"x\",\"enableMonitoring\":true}"), NULL },
	{ LINUX("\"intelRdt\":{\"memBwSchema\":\"L3:0=f\"}"), "linux.intelRdt: memBwSchema must start with MB:" },
	{ LINUX("\"intelRdt\":{\"memBwSchema\":\"MB:0=1\\nL3:0=f\"}"), "linux.intelRdt: memBwSchema must not contain a line break" },
	{ LINUX("\"intelRdt\":{\"schemata\":[\"L3:0=f\",\"\"]}"), "linux.intelRdt: schemata[1] must be one line" },
	{ LINUX("\"netDevices\":{\"eth0\":{\"name\":1}}"), "linux.netDevices.eth0.name: must be a string, not a number" },
	{ LINUX("\"netDevices\":[]"), "linux.netDevices: must be an object, not an array" },
	{ LINUX("\"memoryPolicy\":{\"mode\":0}"), "linux.memoryPolicy.mode: must be a string, not a number" },
	{ LINUX("\"memoryPolicy\":{\"nodes\":\"0\"}"), "linux.memoryPolicy.mode: is missing" },
	{ LINUX("\"memoryPolicy\":{}"), "linux.memoryPolicy.mode: is missing" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"\"}"), "linux.memoryPolicy.mode: must not be empty" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BEST\"}"), "linux.memoryPolicy.mode: \"MPOL_BEST\" is not a known memory policy" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}"), "linux.memoryPolicy: MPOL_BIND needs at least one node" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0\"}"), "linux.memoryPolicy: MPOL_LOCAL takes no nodes" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0-\"}"),
	  "linux.memoryPolicy.nodes: \"0-\" is not a list of numbers such as \"0-3,7\"" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"x\"]}"),
	  "linux.memoryPolicy.flags[0]: \"x\" is not a known memory policy flag" },
	{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\",\"MPOL_F_RELATIVE_NODES\"]}"),
	  "linux.memoryPolicy: MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other" },
};

#define KERNEL "\"kernel\":{\"path\":\"/k\"}"

static const struct error_case vm_cases[] = {
	{ DOC("\"vm\":{" KERNEL "}"), NULL },
	{ DOC("\"vm\":{}"), NULL },
	{ DOC("\"vm\":{\"hypervisor\":{},\"kernel\":null}"), NULL },
	{ DOC("\"vm\":[]"), "vm: must be an object, not an array" },
	{ DOC("\"vm\":{" KERNEL ",\"future\":1}"), NULL },
	{ DOC("\"vm\":{\"hwConfig\":{\"vcpus\":1}}"), "vm.kernel: is missing" },
	{ DOC("\"vm\":{\"kernel\":{},\"hwConfig\":{\"vcpus\":1}}"), "vm.kernel.path: is missing" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":\"\",\"initrd\":\"/i\"}}"), "vm.kernel.path: must not be empty" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":\"k\"}}"), "vm.kernel.path: must be an absolute path, not \"k\"" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":1}}"), "vm.kernel.path: must be a string, not a number" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":\"/k\",\"initrd\":\"i\"}}"), "vm.kernel.initrd: must be an absolute path, not \"i\"" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":\"quiet\"}}"), "vm.kernel.parameters: must be an array, not a string" },
	{ DOC("\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"a\",\"b\\nc\"]}}"),
	  "vm.kernel.parameters[1]: must have no control characters, as \"b\\x0ac\" has" },
	{ DOC("\"vm\":{" KERNEL ",\"hypervisor\":7}"), "vm.hypervisor: must be an object, not a number" },
	{ DOC("\"vm\":{" KERNEL ",\"hypervisor\":{\"parameters\":[\"x\"]}}"), "vm.hypervisor.path: is missing" },
	{ DOC("\"vm\":{" KERNEL ",\"hypervisor\":{\"path\":\"qemu\"}}"), "vm.hypervisor.path: must be an absolute path, not \"qemu\"" },
	{ DOC("\"vm\":{" KERNEL ",\"hypervisor\":{\"path\":\"/q\",\"parameters\":[1]}}"),
	  "vm.hypervisor.parameters[0]: must be a string, not a number" },
	{ DOC("\"vm\":{" KERNEL ",\"image\":{\"path\":\"/i\"}}"), NULL },
	{ DOC("\"vm\":{" KERNEL ",\"image\":{\"format\":\"raw\"}}"), "vm.image.path: is missing" },
	{ DOC("\"vm\":{" KERNEL ",\"image\":{\"path\":\"i\",\"format\":\"raw\"}}"), "vm.image.path: must be an absolute path, not \"i\"" },
	{ DOC("\"vm\":{" KERNEL ",\"image\":{\"path\":\"/i\",\"format\":\"iso\"}}"), "vm.image.format: \"iso\" is not a known image format" },
	{ DOC("\"vm\":{" KERNEL ",\"image\":{\"path\":\"/i\",\"format\":\"vhd\"}}"), NULL },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"vcpus\":-1}}"), "vm.hwConfig.vcpus: -1 is not in the range 0 to 4294967295" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"vcpus\":1.5}}"), "vm.hwConfig.vcpus: 1.5 is not an integer" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"memory\":18446744073709551616}}"),
	  "vm.hwConfig.memory: 18446744073709551616 is not in the range 0 to 18446744073709551615" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"memory\":\"1G\"}}"), "vm.hwConfig.memory: must be an integer, not a string" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"deviceTree\":\"/t\"}}"), "vm.hwConfig.deviceTree: this version of nacre cannot apply it" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"dtdevs\":[\"d\"]}}"), "vm.hwConfig.dtdevs: this version of nacre cannot apply it" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"iomems\":[{\"firstMFN\":1,\"nrMFNs\":1}]}}"),
	  "vm.hwConfig.iomems: this version of nacre cannot apply it" },
	{ DOC("\"vm\":{" KERNEL ",\"hwConfig\":{\"irqs\":[0]}}"), "vm.hwConfig.irqs: this version of nacre cannot apply it" },
};

static const struct error_case process_cases[] = {
	{ DOC("\"process\":{}"), "process.cwd: is missing" },
	{ DOC("\"process\":{\"cwd\":\"\"}"), "process.cwd: must not be empty" },
	{ DOC("\"process\":{\"cwd\":\"x/y\"}"), "process.cwd: must be an absolute path, not \"x/y\"" },
	{ DOC("\"process\":{\"cwd\":\"/\"}"), NULL },
	{ PROCESS("\"cwd\":\"/\""), "process.cwd: is given more than once" },
	{ PROCESS("\"args\":[]"), NULL },
	{ PROCESS("\"args\":\"sh\""), "process.args: must be an array, not a string" },
	{ PROCESS("\"args\":[\"sh\",{}]"), "process.args[1]: must be a string, not an object" },
	{ PROCESS("\"env\":[\"A=\",\"B=C=D\"]"), NULL },
	{ PROCESS("\"env\":[\"A\"]"), "process.env[0]: must be NAME=VALUE, not \"A\"" },
	{ PROCESS("\"env\":[\"A=1\",\"=x\"]"), "process.env[1]: must be NAME=VALUE, not \"=x\"" },
	{ PROCESS("\"terminal\":1"), "process.terminal: must be a boolean, not a number" },
	{ PROCESS("\"consoleSize\":{\"height\":1}"), "process.consoleSize.width: is missing" },
	{ PROCESS("\"consoleSize\":{\"height\":65536,\"width\":1}"),
	  "process.consoleSize.height: 65536 is not in the range 0 to 65535" },
	{ PROCESS("\"noNewPrivileges\":\"true\""), "process.noNewPrivileges: must be a boolean, not a string" },
	{ PROCESS("\"apparmorProfile\":[]"), "process.apparmorProfile: must be a string, not an array" },
	/* user */
	{ PROCESS("\"user\":{\"gid\":0}"), "process.user.uid: is missing" },
	{ PROCESS("\"user\":{\"uid\":-1,\"gid\":0}"), "process.user.uid: -1 is not in the range 0 to 4294967294" },
	{ PROCESS("\"user\":{\"uid\":4294967295,\"gid\":0}"),
	  "process.user.uid: 4294967295 is not in the range 0 to 4294967294" },
	{ PROCESS("\"user\":{\"uid\":1e3,\"gid\":0}"), "process.user.uid: 1e3 is not an integer" },
	{ PROCESS("\"user\":{\"uid\":1.0,\"gid\":0}"), "process.user.uid: 1.0 is not an integer" },
	{ PROCESS("\"user\":{\"uid\":\"0\",\"gid\":0}"), "process.user.uid: must be an integer, not a string" },
	{ PROCESS("\"user\":{\"uid\":99999999999999999999999999999999999999999999,\"gid\":0}"),
	  "process.user.uid: 9999999999999999999999999999999999999999 is not in the range 0 to 4294967294" },
	{ PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"umask\":512}"), "process.user.umask: 512 is not in the range 0 to 511" },
	{ PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"umask\":511,\"additionalGids\":null}"), NULL },
	{ PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"additionalGids\":[1,-2]}"),
	  "process.user.additionalGids[1]: -2 is not in the range 0 to 4294967294" },
	{ PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"additionalGids\":7}"),
	  "process.user.additionalGids: must be an array, not a number" },
	/* rlimits */
	{ RLIMIT("\"type\":\"RLIMIT_FOO\",\"soft\":1,\"hard\":1"),
	  "process.rlimits[0].type: \"RLIMIT_FOO\" is not a known rlimit" },
	{ RLIMIT("\"type\":\"\",\"soft\":1,\"hard\":1"), "process.rlimits[0].type: must not be empty" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"hard\":1"), "process.rlimits[0].soft: is missing" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"soft\":1"), "process.rlimits[0].hard: is missing" },
	{ RLIMIT("\"soft\":1,\"hard\":1"), "process.rlimits[0].type: is missing" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1"), "process.rlimits[0]: soft (2) is above hard (1)" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"soft\":0,\"hard\":18446744073709551616"),
	  "process.rlimits[0].hard: 18446744073709551616 is not in the range 0 to 18446744073709551615" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"soft\":-1,\"hard\":1"),
	  "process.rlimits[0].soft: -1 is not in the range 0 to 18446744073709551615" },
	{ RLIMIT("\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1"),
	  "process.rlimits[1].type: RLIMIT_CPU is listed twice" },
	/* others */
	{ PROCESS("\"capabilities\":{\"ambient\":[7]}"),
	  "process.capabilities.ambient[0]: must be a string, not a number" },
	{ PROCESS("\"capabilities\":{}"), NULL },
	{ PROCESS("\"oomScoreAdj\":1000"), NULL },
	{ PROCESS("\"oomScoreAdj\":1001"), "process.oomScoreAdj: 1001 is not in the range -1000 to 1000" },
	{ PROCESS("\"oomScoreAdj\":-1001"), "process.oomScoreAdj: -1001 is not in the range -1000 to 1000" },
	{ PROCESS("\"oomScoreAdj\":-0"), NULL },
	{ PROCESS("\"scheduler\":{}"), "process.scheduler.policy: is missing" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_X\"}"),
	  "process.scheduler.policy: \"SCHED_X\" is not a known scheduling policy" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\",\"flags\":[\"X\"]}"),
	  "process.scheduler.flags[0]: \"X\" is not a known scheduling flag" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\",\"nice\":2147483648}"),
	  "process.scheduler.nice: 2147483648 is not in the range -20 to 19" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":-21}"), "process.scheduler.nice: -21 is not in the range -20 to 19" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":100}"),
	  "process.scheduler.priority: 100 is not in the range 0 to 99" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\"}"), "process.scheduler: SCHED_RR needs a priority from 1 to 99" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":1}"), NULL },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"priority\":1}"),
	  "process.scheduler: priority is for SCHED_FIFO and SCHED_RR only" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"period\":1}"),
	  "process.scheduler: runtime, deadline and period are for SCHED_DEADLINE only" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1}"),
	  "process.scheduler: SCHED_DEADLINE needs runtime and deadline" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":3,\"deadline\":2}"),
	  "process.scheduler: runtime must not be above deadline, nor deadline above period" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1,\"deadline\":2,\"period\":1}"),
	  "process.scheduler: runtime must not be above deadline, nor deadline above period" },
	{ PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1,\"deadline\":2}"), NULL },
	{ PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_NONE\",\"priority\":0}"),
	  "process.ioPriority.class: \"IOPRIO_CLASS_NONE\" is not a known I/O priority class" },
	{ PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":8}"),
	  "process.ioPriority.priority: 8 is not in the range 0 to 7" },
	{ PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\"}"), "process.ioPriority.priority: is missing" },
	{ PROCESS("\"execCPUAffinity\":{\"initial\":\"\",\"final\":\"0, 2-4\"}"), NULL },
	{ PROCESS("\"execCPUAffinity\":{\"initial\":\"0-\"}"),
	  "process.execCPUAffinity.initial: \"0-\" is not a list of numbers such as \"0-3,7\"" },
	{ PROCESS("\"execCPUAffinity\":{\"final\":\"1,\"}"),
	  "process.execCPUAffinity.final: \"1,\" is not a list of numbers such as \"0-3,7\"" },
	{ PROCESS("\"execCPUAffinity\":{\"final\":\"1;2\"}"),
	  "process.execCPUAffinity.final: \"1;2\" is not a list of numbers such as \"0-3,7\"" },
	{ PROCESS("\"execCPUAffinity\":{\"final\":\"all\"}"),
	  "process.execCPUAffinity.final: \"all\" is not a list of numbers such as \"0-3,7\"" },
};

static const struct error_case linux_cases[] = {
	/* namespaces */
	{ NS("{}"), "linux.namespaces[0].type: is missing" },
	{ NS("{\"type\":\"net\"}"), "linux.namespaces[0].type: \"net\" is not a known namespace type" },
	{ NS("{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"pid\",\"path\":7}"),
	  "linux.namespaces[2].path: must be a string, not a number" },
	{ NS("{\"type\":\"pid\",\"path\":\"ns\"}"), "linux.namespaces[0].path: must be an absolute path, not \"ns\"" },
	{ NS("{\"type\":\"pid\"},{\"type\":\"pid\",\"path\":\"/x\"}"), "linux.namespaces[1].type: pid is listed twice" },
	/* id mappings */
	{ LINUX("\"uidMappings\":[" MAP("0", "0", "1") "]"), "linux.uidMappings: needs a user namespace" },
	{ LINUX("\"gidMappings\":[" MAP("0", "0", "1") "]"), "linux.gidMappings: needs a user namespace" },
	{ LINUX("\"uidMappings\":[]"), NULL },
	{ USERNS("\"uidMappings\":[{\"containerID\":0,\"size\":1}]"), "linux.uidMappings[0].hostID: is missing" },
	{ USERNS("\"uidMappings\":[" MAP("0", "0", "0") "]"),
	  "linux.uidMappings[0].size: 0 is not in the range 1 to 4294967295" },
	{ USERNS("\"uidMappings\":[" MAP("0", "0", "4294967295") "]"), NULL },
	{ USERNS("\"uidMappings\":[" MAP("1", "0", "4294967295") "]"),
	  "linux.uidMappings[0]: containerID + size is past the last id" },
	{ USERNS("\"gidMappings\":[" MAP("0", "4294967295", "1") "]"),
	  "linux.gidMappings[0]: hostID + size is past the last id" },
	{ USERNS("\"gidMappings\":[" MAP("0", "0", "10") "," MAP("9", "100", "1") "]"),
	  "linux.gidMappings[1].containerID: overlaps with entry 0" },
	{ USERNS("\"gidMappings\":[" MAP("0", "50", "10") "," MAP("10", "41", "10") "]"),
	  "linux.gidMappings[1].hostID: overlaps with entry 0" },
	{ USERNS("\"gidMappings\":[" MAP("0", "50", "10") "," MAP("10", "40", "10") "]"), NULL },
	/* time offsets */
	{ TIMENS("{\"realtime\":{\"secs\":1}}"), "linux.timeOffsets: \"realtime\" is not a known clock" },
	{ TIMENS("{\"monotonic\":{\"nanosecs\":1000000000}}"),
	  "linux.timeOffsets.monotonic.nanosecs: 1000000000 is not in the range 0 to 999999999" },
	{ TIMENS("{\"monotonic\":{\"secs\":9223372036854775808}}"),
	  "linux.timeOffsets.monotonic.secs: 9223372036854775808 is not in the range -9223372036854775808 to "
	  "9223372036854775807" },
	{ LINUX("\"timeOffsets\":{\"boottime\":{\"secs\":1}}"), "linux.timeOffsets: needs a time namespace" },
	{ LINUX("\"timeOffsets\":{\"boottime\":{}},\"namespaces\":[{\"type\":\"time\",\"path\":\"/t\"}]"),
	  "linux.timeOffsets: needs a new time namespace, not one to join" },
	/* devices */
	{ DEVICE("\"type\":\"c\",\"major\":1,\"minor\":1"), "linux.devices[0].path: is missing" },
	{ DEVICE("\"path\":\"dev/x\",\"type\":\"p\""), "linux.devices[0].path: must be an absolute path, not \"dev/x\"" },
	{ DEVICE("\"path\":\"/x\""), "linux.devices[0].type: is missing" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"\""), "linux.devices[0].type: must be \"c\", \"b\", \"u\" or \"p\", not \"\"" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"a\""), "linux.devices[0].type: must be \"c\", \"b\", \"u\" or \"p\", not \"a\"" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"cb\""),
	  "linux.devices[0].type: must be \"c\", \"b\", \"u\" or \"p\", not \"cb\"" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"c\",\"minor\":1"), "linux.devices[0].major: is missing" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"u\",\"major\":1,\"minor\":null"), "linux.devices[0].minor: is missing" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"b\",\"major\":-1,\"minor\":1"),
	  "linux.devices[0].major: -1 is not in the range 0 to 4294967295" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"p\",\"fileMode\":65536"),
	  "linux.devices[0].fileMode: 65536 is not in the range 0 to 65535" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"p\",\"uid\":4294967295"),
	  "linux.devices[0].uid: 4294967295 is not in the range 0 to 4294967294" },
	{ DEVICE("\"path\":\"/x\",\"type\":\"p\"},{\"path\":\"/y\",\"type\":\"p\"},{\"path\":\"/x\",\"type\":\"p\""),
	  "linux.devices[2].path: \"/x\" is listed twice" },
	{ DEVICE("\"path\":\"/x\",\"type\":1"), "linux.devices[0].type: must be a string, not a number" },
	/* device rules */
	{ LINUX("\"resources\":{\"devices\":{}}"), "linux.resources.devices: must be an array, not an object" },
	{ RULE("\"allow\":true,\"type\":1"), "linux.resources.devices[0].type: must be a string, not a number" },
	{ RULE("\"allow\":true,\"access\":[]"), "linux.resources.devices[0].access: must be a string, not an array" },
	{ RULE("\"type\":\"a\""), "linux.resources.devices[0].allow: is missing" },
	{ RULE("\"allow\":true,\"type\":\"p\""), "linux.resources.devices[0].type: must be \"a\", \"c\" or \"b\", not \"p\"" },
	{ RULE("\"allow\":true,\"type\":\"ca\""),
	  "linux.resources.devices[0].type: must be \"a\", \"c\" or \"b\", not \"ca\"" },
	{ RULE("\"allow\":true,\"access\":\"rx\""),
	  "linux.resources.devices[0].access: must be of the letters r, w and m, not \"rx\"" },
	{ RULE("\"allow\":true,\"major\":-2"), "linux.resources.devices[0].major: -2 is not in the range -1 to 4294967295" },
	{ RULE("\"allow\":1"), "linux.resources.devices[0].allow: must be a boolean, not a number" },
	/* limits have types too */
	{ LINUX("\"resources\":{\"memory\":{\"useHierarchy\":1}}"),
	  "linux.resources.memory.useHierarchy: must be a boolean, not a number" },
	{ LINUX("\"resources\":{\"blockIO\":{\"weightDevice\":{}}}"),
	  "linux.resources.blockIO.weightDevice: must be an array, not an object" },
	{ LINUX("\"resources\":{\"rdma\":[]}"), "linux.resources.rdma: must be an object, not an array" },
	{ LINUX("\"resources\":{\"rdma\":{\"x\":1}}"), "linux.resources.rdma.x: must be an object, not a number" },
	{ LINUX("\"resources\":{\"unified\":[]}"), "linux.resources.unified: must be an object, not an array" },
	{ LINUX("\"resources\":{\"memory\":{\"limit\":\"1G\"}}"),
	  "linux.resources.memory.limit: must be an integer, not a string" },
	{ LINUX("\"resources\":{\"cpu\":{\"shares\":-1}}"),
	  "linux.resources.cpu.shares: -1 is not in the range 0 to 18446744073709551615" },
	{ LINUX("\"resources\":{\"cpu\":{\"cpus\":0}}"), "linux.resources.cpu.cpus: must be a string, not a number" },
	{ LINUX("\"resources\":{\"blockIO\":{\"weight\":65536}}"),
	  "linux.resources.blockIO.weight: 65536 is not in the range 0 to 65535" },
	{ LINUX("\"resources\":{\"hugepageLimits\":[7]}"),
	  "linux.resources.hugepageLimits[0]: must be an object, not a number" },
	{ LINUX("\"resources\":{\"unified\":{\"memory.high\":7}}"),
	  "linux.resources.unified[\"memory.high\"]: must be a string, not a number" },
	{ LINUX("\"resources\":{\"pids\":[]}"), "linux.resources.pids: must be an object, not an array" },
	/* others */
	{ LINUX("\"sysctl\":{\"\":\"x\"}"), "linux.sysctl: has an entry with an empty name" },
	{ LINUX("\"sysctl\":{\"net.x\":1}"), "linux.sysctl[\"net.x\"]: must be a string, not a number" },
	{ LINUX("\"maskedPaths\":[\"/a\",\"b\"]"), "linux.maskedPaths[1]: must be an absolute path, not \"b\"" },
	{ LINUX("\"readonlyPaths\":[\"\"]"), "linux.readonlyPaths[0]: must be an absolute path, not \"\"" },
	{ LINUX("\"rootfsPropagation\":\"rshared\""), NULL },
	{ LINUX("\"rootfsPropagation\":\"public\""), "linux.rootfsPropagation: \"public\" is not a known mount propagation" },
	{ LINUX("\"personality\":{}"), "linux.personality.domain: is missing" },
	{ LINUX("\"personality\":{\"domain\":\"BSD\"}"),
	  "linux.personality.domain: \"BSD\" is not a known execution domain" },
	{ LINUX("\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}"),
	  "linux.personality.flags: must be empty: the specification has no flags yet" },
	{ LINUX("\"personality\":{\"domain\":\"LINUX\",\"flags\":\"X\"}"),
	  "linux.personality.flags: must be an array, not a string" },
	{ LINUX("\"cgroupsPath\":{}"), "linux.cgroupsPath: must be a string, not an object" },
};

static const struct error_case seccomp_cases[] = {
	{ SECCOMP(""), "linux.seccomp.defaultAction: is missing" },
	{ SECCOMP("\"defaultAction\":\"ALLOW\""),
	  "linux.seccomp.defaultAction: \"ALLOW\" is not a known seccomp action" },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"defaultErrnoRet\":1"),
	  "linux.seccomp.defaultErrnoRet: SCMP_ACT_KILL_PROCESS has no errno" },
	{ SECCOMP("\"defaultErrnoRet\":1,\"defaultAction\":\"SCMP_ACT_TRACE\""), NULL },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":65536"),
	  "linux.seccomp.defaultErrnoRet: 65536 is not in the range 0 to 65535" },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_LOG\",\"architectures\":[\"SCMP_ARCH_VAX\"]"),
	  "linux.seccomp.architectures[0]: \"SCMP_ARCH_VAX\" is not a known seccomp architecture" },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_LOG\",\"flags\":[\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"]"),
	  "linux.seccomp.flags[0]: \"SECCOMP_FILTER_FLAG_NEW_LISTENER\" is not a known seccomp flag" },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_LOG\",\"listenerMetadata\":\"x\""),
	  "linux.seccomp.listenerMetadata: needs linux.seccomp.listenerPath" },
	{ SECCOMP("\"defaultAction\":\"SCMP_ACT_LOG\",\"listenerMetadata\":\"\",\"listenerPath\":\"\""), NULL },
	{ SYSCALL("\"action\":\"SCMP_ACT_LOG\""), "linux.seccomp.syscalls[0].names: is missing" },
	{ SYSCALL("\"names\":[],\"action\":\"SCMP_ACT_LOG\""),
	  "linux.seccomp.syscalls[0].names: must name at least one system call" },
	{ SYSCALL("\"names\":[\"\"],\"action\":\"SCMP_ACT_LOG\""),
	  "linux.seccomp.syscalls[0].names: must not hold an empty name" },
	{ SYSCALL("\"names\":[\"read\"]"), "linux.seccomp.syscalls[0].action: is missing" },
	{ SYSCALL("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":0"),
	  "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW has no errno" },
	{ SYSCALL("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":null,\"args\":null"), NULL },
	{ SYSCALL("\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\",\"args\":[{\"index\":6,\"value\":0,"
		  "\"op\":\"SCMP_CMP_EQ\"}]"),
	  "linux.seccomp.syscalls[0].args[0].index: 6 is not in the range 0 to 5" },
	{ SYSCALL("\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\",\"args\":[{\"index\":0,\"value\":0,"
		  "\"op\":\"EQ\"}]"),
	  "linux.seccomp.syscalls[0].args[0].op: \"EQ\" is not a known seccomp operator" },
	{ SYSCALL("\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\",\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}]"),
	  "linux.seccomp.syscalls[0].args[0].value: is missing" },
};

static void check_cases(struct test *t, const struct error_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_spec_ struct spec *s = NULL;
		char want[512] = "";

		if (cases[i].error != NULL)
			snprintf(want, sizeof(want), "c: %s", cases[i].error);
		err_clear();
		if (!CHECK_INT(spec_parse("c", cases[i].text, strlen(cases[i].text), &s), want[0] != '\0' ? -EINVAL : 0) ||
		    !CHECK_STR(err_text(), want))
			printf("#   case: %s\n", cases[i].text);
		CHECK((s == NULL) == (want[0] != '\0'));
	}
}

TEST(document_rules)
{
	check_cases(t, document_cases, ARRAY_SIZE(document_cases));
}

TEST(vm_rules)
{
	check_cases(t, vm_cases, ARRAY_SIZE(vm_cases));
}

TEST(process_rules)
{
	check_cases(t, process_cases, ARRAY_SIZE(process_cases));
}

TEST(linux_rules)
{
	check_cases(t, linux_cases, ARRAY_SIZE(linux_cases));
}

TEST(seccomp_rules)
{
	check_cases(t, seccomp_cases, ARRAY_SIZE(seccomp_cases));
}

TEST_MAIN(CASE(document_rules), CASE(vm_rules), CASE(process_rules), CASE(linux_rules), CASE(seccomp_rules))
