#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources: what is written where, that it holds, and what is refused.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

cleanup() {
	if [ -n "${LOOP:-}" ]; then
		nacre delete -f "$ID" || true
		losetup -d "$LOOP"
	fi
}

# files: the table on stdin, "FILE WANT…", against the container's cgroup.
files() {
	local file want got
	while read -r file want; do
		[ -n "$file" ] || continue
		got=$(cg "$file") || return 1
		[ "$got" = "$want" ] || { printf '%s\nwant: %s\ngot:  %s\n' "$file" "$want" "$got"; return 1; }
	done
}

@test "every property is in its file" {
	requires cgroup controllers
	config --argjson m32 "$(mib 32)" '.linux.resources += {
		memory: {limit: ($m32 * 2), reservation: $m32, swap: ($m32 * 3)},
		cpu: {shares: 512, quota: 20000, period: 50000, burst: 1000, cpus: "0", mems: "0"},
		pids: {limit: 42},
		blockIO: {weight: 505},
		unified: {"memory.high": "'"$(mib 48)"'", "memory.oom.group": "1"}}'
	nacre create "$ID"
	# Processes are the guest's to count.
	files <<-TABLE
		memory.max $(mib 64)
		memory.low $(mib 32)
		memory.swap.max $(mib 32)
		memory.high $(mib 48)
		memory.oom.group 1
		cpu.weight 59
		cpu.max 20000 50000
		cpu.max.burst 1000
		cpuset.cpus 0
		cpuset.mems 0
		pids.max $([ -n "${NACRE_ISOLATION-}" ] && echo max || echo 42)
	TABLE
	[[ "$(cg io.weight)" == "default 5000"* || "$(cg io.bfq.weight)" == "default 505"* ]]
}

@test "limits of huge pages, reservations first" {
	local size
	requires container
	grep -qw hugetlb "$(cgroup_mount)/cgroup.controllers" || skip "no hugetlb controller"
	size=$(basename /sys/kernel/mm/hugepages/hugepages-2048kB)
	[ "$size" = hugepages-2048kB ] || skip "no 2 MiB pages"
	config '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]'
	nacre create "$ID"
	files <<-'TABLE'
		hugetlb.2MB.max 4194304
		hugetlb.2MB.rsvd.max 4194304
	TABLE
	nacre delete "$ID"
	config '.linux.resources.hugepageLimits[0].pageSize = "3MB"'
	refuses hugetlb.3MB.max "no such cgroup file"
}

@test "what is at its default is the default" {
	requires cgroup controllers
	config '.linux.resources = {devices: [], memory: {limit: -1, swap: -1, reservation: 0}, cpu: {shares: 0, quota: -1, period: 100000},
		pids: {limit: -1}, blockIO: {weight: 0}, unified: {}, hugepageLimits: [], rdma: {}, network: {classID: 0}}'
	nacre create "$ID"
	files <<-'TABLE'
		memory.max max
		memory.swap.max max
		cpu.weight 100
		cpu.max max 100000
		pids.max max
	TABLE
}

@test "cpu.idle, and the weight that an idle cgroup cannot have" {
	requires cgroup controllers
	config '.linux.resources.cpu = {idle: 1, shares: 2048}'
	nacre create "$ID"
	equals 1 "$(cg cpu.idle)"
}

@test "below a path of several levels the controllers are there" {
	requires cgroup controllers cgroupfs
	config '.linux.cgroupsPath = "/nt-deep/a/'"$ID"'" | .linux.resources.cpu.shares = 512'
	nacre create "$ID"
	equals 59 "$(cat "$(cgroup_mount)/nt-deep/a/$ID/cpu.weight")"
	nacre delete "$ID"
	[ ! -e "$(cgroup_mount)/nt-deep" ]
}

@test "unified: several lines, a key with a slash, an unknown file, a bad value" {
	requires cgroup
	config '.linux.resources.unified = {"../pids.max": "1"}'
	refuses unified "../pids.max"
	config '.linux.resources.unified = {"future.limit": "1"}'
	refuses "future.limit" "no such cgroup file"
	config '.linux.resources.unified = {"cgroup.max.depth": "nonsense"}'
	refuses "cgroup.max.depth" nonsense "does not accept"
	config '.linux.resources.unified = {"cgroup.max.depth": "3"}'
	nacre create "$ID"
	equals 3 "$(cg cgroup.max.depth)"
}

@test "what only cgroup v1 has is refused with its JSON path" {
	local path value
	while read -r path value; do
		config --arg p "$path" --argjson v "$value" 'del(.linux.resources) | setpath($p | split("."); $v)'
		refuses "$path" "cgroup v1"
	done <<-'TABLE'
		linux.resources.memory.swappiness 10
		linux.resources.memory.kernel 1000000
		linux.resources.memory.disableOOMKiller true
		linux.resources.cpu.realtimeRuntime 1000
		linux.resources.blockIO.leafWeight 10
		linux.resources.network.classID 5
	TABLE
}

@test "rules between values" {
	config '.linux.resources.memory = {limit: 10000000, swap: 5000000}'
	refuses "linux.resources: memory.swap: 5000000 is below memory.limit"
	config '.linux.resources = {blockIO: {weight: 5}}'
	refuses "blockIO.weight: 5 is not between 10 and 1000"
	config '.linux.resources = {hugepageLimits: [{pageSize: "../../x", limit: 1}]}'
	refuses "hugepageLimits[0].pageSize"
}

@test "a failed write leaves no cgroup behind" {
	requires cgroup controllers
	config '.linux.resources = {pids: {limit: 5}, cpu: {cpus: "4000"}}'
	refuses cpuset.cpus 4000 "does not accept"
}

@test "a controller that is in cgroup v1: its name, the reason and a way out" {
	requires container cgroup hybrid
	config '.linux.resources.memory.limit = 10000000'
	refuses memory.max 'controller "memory"' "bound to cgroup v1"
	run script -qec "$NACRE_BIN --root $ROOT create $ID" /dev/null
	[[ "$output" == *"cgroup_no_v1=all"*"--cgroup-manager=disabled"* ]]
	config '.linux.resources = {blockIO: {weight: 100}}'
	refuses io.weight 'controller "io"' "bound to cgroup v1"
}

@test "--cgroup-manager=disabled runs without the limits, and says so" {
	config '.linux.resources.memory.limit = 1073741824'
	try nacre --cgroup-manager=disabled run "$ID"
	[ "$status" -eq 0 ]
	[[ "$stderr" == *warning*linux.resources* ]]
}

@test "the parent has processes of its own: named, with the rule" {
	local dir
	requires cgroup controllers cgroupfs
	dir=$(cgroup_mount)/nt-busy-$ID
	mkdir "$dir"
	sleep 1000 3>&- &
	echo $! >"$dir/cgroup.procs"
	config '.linux.cgroupsPath = "/nt-busy-'"$ID"'/x"'
	args true
	run -0 nacre run "$ID"	# no limit, no need
	equals domain "$(cat "$dir/cgroup.type")"
	config --argjson m "$(mib 96)" '.linux.resources.memory.limit = $m'
	create_fails "/nt-busy-$ID" "processes of its own" '"memory"'
	kill %1
	wait || true
	rmdir "$dir"
}

@test "memory: what goes beyond is killed" {
	requires cgroup controllers
	config --argjson m "$(mib "${NACRE_ISOLATION:+5}8")" '.linux.resources.memory = {limit: $m, swap: $m}'
	args tail /dev/zero
	try nacre run "$ID"
	[ "$status" -eq 137 ]
}

@test "memory: a static program starts in 512 KiB, and in less" {
	local bytes
	requires cgroup controllers container
	args /bin/nothing
	for bytes in 524288 400000; do
		config --argjson m "$bytes" '.linux.resources.memory = {limit: $m, swap: $m}'
		run -0 nacre run "$ID"
	done
}

@test "pids: 0 is the first process and no more" {
	requires controllers cgroupfs container	# microvm.bats has what is the guest's
	config '.linux.resources.pids.limit = 0'
	sh_args 'echo one; /bin/true; echo not here'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	equals one "${lines[0]}"
	[[ "$output" == *"fork"* && "$output" != *"not here"* ]]
	args sleep 1000
	nacre run -d "$ID" </dev/null
	equals 1 "$(cg pids.max)"
	nacre delete -f "$ID"
	# How CRI-O, among others, says that there is none: in a config.json of a version that had no other way.
	config '.ociVersion = "1.0.2-dev"'
	nacre run -d "$ID" </dev/null
	equals max "$(cg pids.max)"
}

@test "pids: no more than the limit" {
	requires cgroup controllers container
	config '.linux.resources.pids.limit = 5'
	# A shell that cannot fork ends: so one of its own does it.
	sh_args '(for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait); exec sleep 1000'
	try nacre run -d "$ID"
	wait_for 20 limit_was_hit
	[ "$(cg pids.current)" -le 5 ]
}
limit_was_hit() { [ "$(cg pids.events | sed -n 's/^max //p')" -gt 0 ]; }

@test "cpu: the quota holds within a tenth over five seconds" {
	local used wall from to start
	requires cgroup controllers
	config '.linux.resources.cpu = {quota: 30000, period: 100000}'
	sh_args 'while :; do :; done'
	nacre run -d "$ID"
	start=$(usage)
	from=$(date +%s%N)
	sleep 5
	used=$(($(usage) - start))
	to=$(date +%s%N)
	wall=$(((to - from) / 1000))
	echo "# used $used of $wall us"
	[ $((used * 100 / wall)) -ge 27 ]
	[ $((used * 100 / wall)) -le 33 ]
}
usage() { cg cpu.stat | sed -n 's/^usage_usec //p'; }

@test "io: the rate of a block device holds" {
	local from took
	requires cgroup controllers losetup container	# a device of the host's
	modprobe loop 2>/dev/null || true
	truncate -s 16M "$T/disk"
	LOOP=$(losetup -f --show "$T/disk") || skip "no loop devices here"
	# The device's number in hexadecimal: stat's %t:%T.
	local major=$((16#$(stat -c %t "$LOOP"))) minor=$((16#$(stat -c %T "$LOOP")))
	config --argjson a "$major" --argjson i "$minor" '
		.linux.devices = [{path: "/dev/disk", type: "b", major: $a, minor: $i}]
		| .linux.resources = {devices: [{allow: true, type: "b", major: $a, minor: $i, access: "rw"}],
			blockIO: {throttleWriteBpsDevice: [{major: $a, minor: $i, rate: 1048576}],
				throttleReadIOPSDevice: [{major: $a, minor: $i, rate: 100}]}}'
	args dd if=/dev/zero of=/dev/disk bs=256k count=12 oflag=direct
	nacre create "$ID"
	[[ "$(cg io.max)" == *"$major:$minor rbps=max wbps=1048576 riops=100 wiops=max"* ]]
	nacre delete "$ID"
	from=$(date +%s%N)
	run -0 nacre run "$ID"
	took=$((($(date +%s%N) - from) / 1000000))
	echo "# 3 MiB at 1 MiB/s took $took ms"
	[ "$took" -ge 2000 ]
	[ "$took" -le 8000 ]
}

@test "delete of 200 processes in nested cgroups returns when they are gone" {
	local dir
	requires container cgroup strace
	config '.linux.resources.devices = [{allow: true, access: "rwm"}]
		| .mounts |= map(if .type == "cgroup" then .options |= map(if . == "ro" then "rw" else . end) else . end)'
	sh_args 'cd /sys/fs/cgroup; i=0
		while [ $i -lt 20 ]; do
			mkdir -p a$i/b
			j=0
			while [ $j -lt 10 ]; do sleep 1000 & echo $! >a$i/b/cgroup.procs; j=$((j + 1)); done
			i=$((i + 1))
		done; echo >/ready; exec sleep 1000'
	config '.root.readonly = false'
	nacre run -d "$ID"
	wait_for 60 test -e rootfs/ready
	[ "$(find "$(cgroup_dir)" -type d | wc -l)" -eq 41 ]
	[ "$(find "$(cgroup_dir)" -name cgroup.procs -exec cat {} + | wc -l)" -ge 201 ]
	dir=$(cgroup_dir)
	# It waits for what the kernel tells, and never sleeps.
	env "${TRACED[@]}" strace -f -o "$T/calls" -e trace=nanosleep,clock_nanosleep,timerfd_settime,select,pselect6,poll \
		"$NACRE_BIN" --root "$ROOT" delete -f "$ID"
	[ ! -e "$dir" ]
	run ! grep -E 'nanosleep|timerfd|select' "$T/calls"
	run ! grep -E 'poll\(.*, [1-9][0-9]*\) *= 0 \(Timeout\)' "$T/calls"
}

@test "a hundred creates and deletes leave the tree as it was" {
	local before i
	requires cgroup
	config '.linux.resources.pids.limit = -1'
	nacre create "$ID"
	nacre delete "$ID"
	before=$(tree)
	for i in $(seq 100); do
		nacre create "$ID-$i"
		nacre delete "$ID-$i"
	done
	equals "$before" "$(tree)"
}
# But for what other tests make and remove beside this one.
tree() { find "$(cgroup_mount)" -maxdepth 3 -name "*$ID*"; ls -I '*-t-??????*' "$(cgroup_mount)"; cat "$(cgroup_mount)/cgroup.subtree_control"; }
