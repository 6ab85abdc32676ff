#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Running out of memory is named: by run, by state, and where a process was killed before it could say anything.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

MIB=$((1024 * 1024))
REACHED="killed because it was out of memory: the limit of 8 MiB (memory.max) was reached"
[ -z "${NACRE_ISOLATION-}" ] || REACHED="killed because the memory of the microVM ran out"

cleanup() { rmdir "$(cgroup_mount)/$ID" 2>/dev/null || true; }

# run_told: runs the container, which is killed. Under systemd, which takes the counts away with the last process, run may
# be too late to say why; it says nothing else then. Once in five times it has to be quicker.
run_told() {
	local tries=1
	[[ "${NACRE_OPTIONS-}" != *systemd* ]] || tries=5
	while [ "$tries" -gt 0 ]; do
		try nacre "$@" run "$ID"
		[ "$status" -eq 137 ]
		[ -z "$output" ]
		[ -z "$(nacre list -q)" ]
		[ -z "$stderr" ] || break
		tries=$((tries - 1))
	done
}

oom_killed() { nacre state "$ID" | jq -r .oomKilled; }

@test "run: one sentence on stderr, status 137" {
	requires root memory
	memory_limit $((LESS * MIB))
	args hog "$MUCH"
	run_told
	equals "nacre: error: container \"$ID\": $REACHED" "$stderr"
}

@test "run: a child was killed, and the shell tells it by its own status" {
	requires root memory
	memory_limit $((LESS * MIB))
	sh_args "hog $MUCH; exit \$?"
	run_told
	[[ "$stderr" == *"nacre: error: container \"$ID\": $REACHED" ]]
}

@test "run: memory.oom.group, which kills all of it" {
	requires root memory container
	memory_limit $((LESS * MIB))
	config '.linux.resources.unified = {"memory.oom.group": "1"}'
	args hog "$MUCH" sleep 1000
	run_told
	equals "nacre: error: container \"$ID\": $REACHED" "$stderr"
}

@test "run: the limit by its file's name" {
	requires root memory
	config --arg n $((LESS * MIB)) '.linux.resources.unified = {"memory.max": $n, "memory.swap.max": "0"}'
	args hog "$MUCH"
	run_told
	equals "nacre: error: container \"$ID\": $REACHED" "$stderr"
}

@test "run: a limit further up, not the container's own" {
	requires root memory container cgroupfs
	local parent
	parent=$(cgroup_mount)/$ID
	mkdir "$parent"
	echo $((8 * MIB)) >"$parent/memory.max"
	[ ! -e "$parent/memory.swap.max" ] || echo 0 >"$parent/memory.swap.max"
	memory_limit $((64 * MIB))
	config --arg path "/$ID/inner" '.linux.cgroupsPath = $path'
	args hog "$MUCH"
	try nacre run "$ID"
	rmdir "$parent"
	[ "$status" -eq 137 ]
	equals "nacre: error: container \"$ID\": killed because memory ran out: not its own limit, but another cgroup's or the host's, was reached" \
		"$stderr"
}

@test "run: killed by somebody, or ended with 137: nothing is said" {
	requires root
	! has_controllers || memory_limit $((4 * LESS * MIB))
	sh_args 'kill -KILL $$; exit 137'
	try nacre run "$ID"
	[ "$status" -eq 137 ]
	[ -z "$stderr" ]
}

@test "run: out of memory survived, another status: nothing is said" {
	requires root memory
	memory_limit $((LESS * MIB))
	args hog "$MUCH" true
	try nacre run "$ID"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
}

@test "run: it is in the log, too, as one object" {
	requires root memory
	memory_limit $((LESS * MIB))
	args hog "$MUCH"
	run_told --log "$T/log" --log-format json
	equals "container \"$ID\": $REACHED" "$(jq -r .msg "$T/log")"
}

@test "state of a stopped one says oomKilled; others do not have the member" {
	# systemd takes the cgroup, and its counts, away with the last process.
	requires root memory cgroupfs
	memory_limit $((LESS * MIB))
	args hog "$MUCH"
	nacre create "$ID" </dev/null
	equals null "$(oom_killed)"
	nacre start "$ID"
	wait_for 20 has_status "$ID" stopped
	equals true "$(oom_killed)"
	refused 1 "in the stopped state: it has to be created and not started: $REACHED" start "$ID"
	refused 255 "container not running (stopped): $REACHED" exec "$ID" true
}

@test "state of one that runs, whose child was killed: no such member" {
	requires root memory
	memory_limit $((2 * LESS * MIB))
	run_sleeping
	equals $((2 * LESS * MIB)) "$(nacre events --stats "$ID" | jq .data.memory.usage.limit)"
	run nacre exec "$ID" hog "$MUCH"
	[ "$status" -eq 137 ]
	equals null "$(oom_killed)"
}

@test "state of one that ended by itself: no such member" {
	requires root
	! has_controllers || memory_limit $((4 * LESS * MIB))
	nacre create "$ID"
	nacre start "$ID"
	wait_for 20 has_status "$ID" stopped
	equals null "$(oom_killed)"
	run nacre start "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" != *memory* ]]
}

@test "create: killed before it could execute anything" {
	requires root memory container
	memory_limit 65536
	create_fails "the container's first process ended unexpectedly: killed because it was out of memory" \
		"the limit of 64 KiB (memory.max) was reached"
	[ -z "$(nacre list -q)" ]
}

@test "run: killed before it could execute anything" {
	requires root memory container
	memory_limit 65536
	refused 1 "killed because it was out of memory: the limit of 64 KiB (memory.max) was reached" run "$ID"
}

# systemd removes a scope, and the counts with it, soon after its last process has ended.
@test "create and run: killed during the hooks, told a good while later" {
	local command
	requires root memory container
	memory_limit $((64 * MIB))
	config --arg s "echo 4096 >'$(cgroup_dir)/memory.max'; sleep 2" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", $s]}]'
	for command in create run; do
		refused 1 "ended during the hooks: killed because it was out of memory: the limit of 4 KiB (memory.max) was reached" "$command" "$ID"
		[ -z "$(nacre list -q)" ]
	done
}

@test "exec: killed before it could execute anything" {
	requires root memory container
	memory_limit $((64 * MIB))
	config '.process.oomScoreAdj = -1000'
	run_sleeping
	# Whoever comes next is over it.
	echo 4096 >"$(cgroup_dir)/memory.max"
	try nacre exec "$ID" true
	echo max >"$(cgroup_dir)/memory.max"
	echo "$stderr"
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"killed because "* ]]
	[ "$(status_of "$ID")" = running ]
}
