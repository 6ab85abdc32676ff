#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# features: valid against runtime-spec's features document, and true.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

# feature JQ-PROGRAM: is it true of the document?
feature() {
	[ -s "$T/features" ] || nacre features >"$T/features"
	jq -e "$1" "$T/features" >/dev/null
}

# lists JQ-PROGRAM NAME...: the list that the program selects has every name.
lists() {
	local program=$1 missing
	shift
	missing=$(nacre features | jq -c --args "\$ARGS.positional - ($program)" "$@")
	[ "$missing" = '[]' ] || { echo "$program lacks $missing"; return 1; }
}

@test "one JSON object, the same as root and elsewhere" {
	[ "$(nacre features | jq -s length)" = 1 ]
	[ "$(cd / && nacre features)" = "$(nacre features)" ]
}

@test "versions" {
	feature '.ociVersionMin | test("^1\\.0\\.[0-9]")'
	feature '.ociVersionMax == "1.3.0"'
}

@test "the six hooks" {
	feature '.hooks | sort == ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"]'
}

@test "mountOptions: all that MUST or SHOULD be known, the recursive ones, each once" {
	lists .mountOptions async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud noatime nodev nodiratime \
		noexec noiversion nolazytime norelatime nostrictatime nosuid private ratime rbind rdev rdiratime relatime remount rexec \
		ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid ro rprivate rrelatime rro rrw rshared rslave \
		rstrictatime rsuid runbindable rw shared silent slave strictatime suid sync unbindable
	feature '.mountOptions | length == (unique | length)'
}

@test "mountOptions: each one is accepted by explain" {
	nacre features | jq '[.mountOptions[] | select(IN("remount", "bind", "rbind", "idmap", "ridmap", "copy-symlink", "src-nofollow", "dest-nofollow") | not)
		| {destination: "/mnt", type: "tmpfs", source: "x", options: [.]}]' >"$T/mounts"
	config --slurpfile m "$T/mounts" '.mounts += $m[0]'
	nacre explain
}

@test "namespaces: all eight" {
	feature '.linux.namespaces | sort == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]'
}

@test "capabilities: each is accepted in a config" {
	feature '.linux.capabilities | index("CAP_SYS_ADMIN") and index("CAP_CHECKPOINT_RESTORE") and length >= 41'
	nacre features | jq .linux.capabilities >"$T/caps"
	config --slurpfile c "$T/caps" '.process.capabilities.bounding = $c[0]'
	nacre explain
}

@test "cgroup" {
	feature '.linux.cgroup | [.v1, .v2, .systemd, .systemdUser, .rdma] | all(.[]; type == "boolean")'
	feature '.linux.cgroup.v2'
}

@test "seccomp: what the specification names" {
	feature .linux.seccomp.enabled
	lists .linux.seccomp.actions SCMP_ACT_{KILL,KILL_PROCESS,KILL_THREAD,TRAP,ERRNO,TRACE,ALLOW,LOG,NOTIFY}
	lists .linux.seccomp.operators SCMP_CMP_{NE,LT,LE,EQ,GE,GT,MASKED_EQ}
	lists .linux.seccomp.archs SCMP_ARCH_{X86,X86_64,X32,ARM,AARCH64,MIPS,MIPS64,MIPS64N32,MIPSEL,MIPSEL64,MIPSEL64N32} \
		SCMP_ARCH_{PPC,PPC64,PPC64LE,S390,S390X,PARISC,PARISC64,RISCV64}
	lists .linux.seccomp.knownFlags SECCOMP_FILTER_FLAG_{TSYNC,SPEC_ALLOW,LOG,WAIT_KILLABLE_RECV}
	feature '.linux.seccomp | .supportedFlags - .knownFlags == []'
}

@test "security modules" {
	feature '.linux.apparmor.enabled | type == "boolean"'
	feature '.linux.selinux.enabled | type == "boolean"'
}

@test "what a config may use and an engine asks before" {
	feature '.linux.mountExtensions.idmap.enabled'
	feature '.linux.intelRdt == {enabled: true, schemata: true, monitoring: true}'
	feature '.linux.netDevices.enabled'
	feature '(.linux.memoryPolicy == null) or ((.linux.memoryPolicy.modes | type) == "array")'
	feature '(.potentiallyUnsafeConfigAnnotations == null) or ((.potentiallyUnsafeConfigAnnotations | type) == "array")'
}

@test "what is not enabled is refused in a config, not skipped" {
	if ! feature .linux.memoryPolicy; then
		config '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0"}'
		try nacre create "$ID"
		[ "$status" -eq 1 ]
	fi
}

# claimed PATH: the words of features there, one a line.
claimed() { nacre features | jq -r "$1[]"; }

@test "what is claimed of seccomp is accepted" {
	local word
	# NOTIFY needs somebody who listens: seccomp.bats has it.
	for word in $(claimed .linux.seccomp.actions | grep -vx SCMP_ACT_NOTIFY); do
		config --arg w "$word" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["getcwd"], action: $w}]}'
		nacre explain "$BUNDLE" >/dev/null
	done
	for word in $(claimed .linux.seccomp.operators); do
		config --arg w "$word" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
			syscalls: [{names: ["getcwd"], action: "SCMP_ACT_ERRNO", args: [{index: 0, value: 1, op: $w}]}]}'
		nacre explain "$BUNDLE" >/dev/null
	done
	for word in $(claimed .linux.seccomp.archs); do
		config --arg w "$word" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: [$w]}'
		nacre explain "$BUNDLE" >/dev/null
	done
	for word in $(claimed .linux.seccomp.supportedFlags); do
		config --arg w "$word" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", flags: [$w]}'
		nacre explain "$BUNDLE" >/dev/null
	done
}

@test "what is claimed of memory policies, namespaces and hooks is accepted" {
	local word nodes
	for word in $(claimed .linux.memoryPolicy.modes); do
		case $word in MPOL_DEFAULT | MPOL_LOCAL) nodes='' ;; *) nodes=0 ;; esac
		config --arg w "$word" --arg n "$nodes" '.linux.memoryPolicy = {mode: $w, nodes: $n}'
		nacre explain "$BUNDLE" >/dev/null
	done
	for word in $(claimed .linux.memoryPolicy.flags); do
		config --arg w "$word" '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: [$w]}'
		nacre explain "$BUNDLE" >/dev/null
	done
	config 'del(.linux.memoryPolicy)'
	for word in $(claimed .linux.namespaces); do
		config --arg w "$word" 'del(.hostname, .domainname) | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}] | .linux.gidMappings = .linux.uidMappings
			| .linux.namespaces = ([{type: "mount"}, {type: "user"}, {type: $w}] | unique)'
		nacre explain "$BUNDLE" >/dev/null
	done
	config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces = [{type: "mount"}, {type: "pid"}]'
	for word in $(claimed .hooks); do
		config --arg w "$word" '.hooks = {($w): [{path: "/bin/true"}]}'
		run -0 nacre explain "$BUNDLE"
		[[ "$output" == *"$word"* ]]
	done
}

@test "annotations are strings" {
	feature '.annotations | all(.[]; type == "string")'
}

@test "no property that the specification does not have" {
	local unknown
	unknown=$(nacre features | jq -c --args '[paths | map(strings) | select(.[0] != "annotations") | join(".")] - [""] - $ARGS.positional | unique' \
		ociVersion{Min,Max} hooks mountOptions annotations potentiallyUnsafeConfigAnnotations linux \
		linux.{namespaces,capabilities,cgroup,seccomp,apparmor,selinux,intelRdt,memoryPolicy,mountExtensions,netDevices} \
		linux.cgroup.{v1,v2,systemd,systemdUser,rdma} linux.{apparmor,selinux,netDevices}.enabled \
		linux.seccomp.{enabled,actions,operators,archs,knownFlags,supportedFlags} linux.intelRdt.{enabled,schemata,monitoring} \
		linux.memoryPolicy.{modes,flags} linux.mountExtensions.idmap{,.enabled})
	equals '[]' "$unknown"
}
