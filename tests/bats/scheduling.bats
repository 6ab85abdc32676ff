#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.scheduler, ioPriority, execCPUAffinity and linux.memoryPolicy.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

# reported WORD: what schedreport says of it.
reported() { sed -n "s/^$1 //p" <<<"$output"; }

# scheduler JSON WANT: a process with it reports WANT.
scheduler() {
	config --argjson s "$1" '.process.scheduler = $s'
	run -0 nacre run "$ID"
	equals "$2" "$(reported scheduler)"
}

@test "each scheduling policy" {
	args schedreport
	scheduler '{"policy": "SCHED_OTHER", "nice": 3}' "0 0 3 0"
	scheduler '{"policy": "SCHED_BATCH", "nice": -4}' "3 0 -4 0"
	scheduler '{"policy": "SCHED_IDLE"}' "5 0 0 0"
	scheduler '{"policy": "SCHED_FIFO", "priority": 7}' "1 7 0 0"
	scheduler '{"policy": "SCHED_RR", "priority": 99, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}' "2 99 0 1"
}

@test "SCHED_DEADLINE" {
	args schedreport
	scheduler '{"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 10000000, "period": 20000000, "flags": ["SCHED_FLAG_RECLAIM"]}' \
		"6 0 0 2 1000000 10000000 20000000"
}

@test "a startContainer hook runs before the scheduler is set" {
	args schedreport
	config '.process.scheduler = {policy: "SCHED_FIFO", priority: 3}
		| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "schedreport >/tmp/hook"]}] | .root.readonly = false'
	run -0 nacre run "$ID"
	equals "1 3 0 0" "$(reported scheduler)"
	grep -qx "scheduler 0 0 0 0" "$BUNDLE/rootfs/tmp/hook"
}

@test "a policy that the kernel does not have is named" {
	config '.process.scheduler = {policy: "SCHED_ISO"}'
	refused 1 "process.scheduler.policy: this kernel has no SCHED_ISO" run "$ID"
}

@test "what a policy does not take is refused" {
	config '.process.scheduler = {policy: "SCHED_OTHER", priority: 4}'
	refuses "process.scheduler: priority is for SCHED_FIFO and SCHED_RR only"
	config '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 100, deadline: 1000000000}'
	refused 1 "process.scheduler: cannot set SCHED_DEADLINE" run "$ID"
}

@test "ioPriority" {
	args schedreport
	config '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}'
	run -0 nacre run "$ID"
	equals "2 6" "$(reported io)"
	config '.process.ioPriority = {class: "IOPRIO_CLASS_IDLE", priority: 0}'
	run -0 nacre run "$ID"
	equals "3 0" "$(reported io)"
	# The idle class has no levels.
	config '.process.ioPriority = {class: "IOPRIO_CLASS_IDLE"}'
	run -0 nacre run "$ID"
	equals "3 0" "$(reported io)"
	config '.process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 1}'
	run -0 nacre run "$ID"
	equals "1 1" "$(reported io)"
}

@test "exec has a scheduler, an I/O priority and an affinity of its own" {
	sh_args 'sleep 100'
	config '.process.execCPUAffinity = {final: "0"}'
	nacre run -d "$ID" </dev/null
	jq '.process | .args = ["schedreport"] | .terminal = false | .scheduler = {policy: "SCHED_RR", priority: 2}
		| .ioPriority = {class: "IOPRIO_CLASS_BE", priority: 5} | .execCPUAffinity = {initial: "0", final: "0"}' \
		"$BUNDLE/config.json" >"$T/process.json"
	run -0 nacre exec -p "$T/process.json" "$ID"
	equals "2 2 0 0" "$(reported scheduler)"
	equals "2 5" "$(reported io)"
	equals 0 "$(reported cpus)"
	nacre delete -f "$ID"
}

@test "execCPUAffinity is not the first process'" {
	requires container
	[ "$(nproc)" -gt 1 ] || skip "needs two CPUs"
	args schedreport
	config '.process.execCPUAffinity = {initial: "0", final: "0"}'
	run -0 nacre run "$ID"
	equals "$(nproc)" "$(reported cpus | tr , '\n' | wc -l)"
}

@test "execCPUAffinity.initial alone is the runtime's, and its children's" {
	requires container
	[ "$(nproc)" -gt 1 ] || skip "needs two CPUs"
	sh_args 'sleep 100'
	nacre run -d "$ID" </dev/null
	jq '.process | .args = ["schedreport"] | .execCPUAffinity = {initial: "1"}' "$BUNDLE/config.json" >"$T/process.json"
	run -0 nacre exec -p "$T/process.json" "$ID"
	equals 1 "$(reported cpus)"
	nacre --debug exec -p "$T/process.json" "$ID" 2>"$T/said" >/dev/null
	grep -qx "nacre: debug: initial CPU affinity: 0x2" "$T/said"
	nacre delete -f "$ID"
}

@test "CPUs that are not there are an error of exec" {
	sh_args 'sleep 100'
	nacre run -d "$ID" </dev/null
	for which in initial final; do
		jq --arg w "$which" '.process | .args = ["true"] | .execCPUAffinity = {($w): "4000"}' "$BUNDLE/config.json" >"$T/process.json"
		refused 255 "process.execCPUAffinity.$which: none of the CPUs \"4000\" may be used here" exec -p "$T/process.json" "$ID"
	done
	jq '.process | .execCPUAffinity = {final: "9999"}' "$BUNDLE/config.json" >"$T/process.json"
	refused 255 'process.execCPUAffinity.final: "9999" is not a list of CPUs below 8192' exec -p "$T/process.json" "$ID"
	nacre delete -f "$ID"
}

@test "linux.memoryPolicy, of the first process and of exec" {
	[ -e /proc/self/numa_maps ] || skip "the kernel has no memory policies"
	config '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
	sh_args 'schedreport; sleep 100'
	nacre run -d "$ID" </dev/null >"$T/out"
	wait_for 5 grep -q ^memory "$T/out"
	equals "memory $((2 | 1 << 15)) 0" "$(grep ^memory "$T/out")"
	run -0 nacre exec "$ID" schedreport
	equals "$((2 | 1 << 15)) 0" "$(reported memory)"
	nacre delete -f "$ID"
}

@test "a memory policy that takes no nodes, and one that needs some" {
	[ -e /proc/self/numa_maps ] || skip "the kernel has no memory policies"
	args schedreport
	config '.linux.memoryPolicy = {mode: "MPOL_LOCAL"}'
	run -0 nacre run "$ID"
	equals 4 "$(reported memory)"
	config '.linux.memoryPolicy = {mode: "MPOL_INTERLEAVE", nodes: "1023"}'
	refused 1 "linux.memoryPolicy: the kernel takes no MPOL_INTERLEAVE" run "$ID"
	# This one ended nacre itself.
	config '.linux.memoryPolicy = {}'
	refuses "linux.memoryPolicy.mode: is missing"
	config '.linux.memoryPolicy = {mode: "MPOL_INTERLEAVE", nodes: "1024"}'
	refuses 'linux.memoryPolicy.nodes: "1024" is not a list of memory nodes below 1024'
}

@test "explain names them" {
	config '.process.scheduler = {policy: "SCHED_RR", priority: 9} | .process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 3}
		| .linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0"}'
	run -0 nacre explain "$BUNDLE"
	[[ "$output" == *"SCHED_RR, priority 9, nice 0"* && "$output" == *"IOPRIO_CLASS_BE, priority 3"* && "$output" == *"MPOL_BIND on nodes 0"* ]]
}
