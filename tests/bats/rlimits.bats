#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.rlimits and oomScoreAdj.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

@test "soft and hard" {
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]'
	args grep "Max open files" /proc/self/limits
	run -0 nacre run "$ID"
	[[ "$output" =~ \ 100\ +200\  ]]
}

@test "every kind of limit" {
	local name soft hard text type
	local table='
RLIMIT_AS 8589934592 8589934593 address space
RLIMIT_CORE 0 1 core file size
RLIMIT_CPU 1000 1001 cpu time
RLIMIT_DATA 8589934592 8589934593 data size
RLIMIT_FSIZE 1048576 1048577 file size
RLIMIT_LOCKS 10 11 file locks
RLIMIT_MEMLOCK 4096 4097 locked memory
RLIMIT_MSGQUEUE 100 101 msgqueue size
RLIMIT_NICE 0 0 nice priority
RLIMIT_NOFILE 50 51 open files
RLIMIT_NPROC 100 101 processes
RLIMIT_RSS 1000000 1000001 resident set
RLIMIT_RTPRIO 0 0 realtime priority
RLIMIT_RTTIME 1000 1001 realtime timeout
RLIMIT_SIGPENDING 20 21 pending signals
RLIMIT_STACK 1048576 1048577 stack size'
	config --argjson v "$(while read -r type soft hard _; do
		[ -z "$type" ] || jq -nc --arg t "$type" --argjson s "$soft" --argjson h "$hard" '{type: $t, soft: $s, hard: $h}'
	done <<<"$table" | jq -s .)" '.process.rlimits = $v'
	args cat /proc/self/limits
	run -0 nacre run "$ID"
	while read -r type soft hard name; do
		[ -n "$type" ] || continue
		text=$(grep -i "^Max $name " <<<"$output")
		[[ "$text" =~ \ $soft\ +$hard(\ |$) ]] || { echo "$type: $text"; return 1; }
	done <<<"$table"
}

@test "unlimited is 2^64 - 1" {
	[ "$(ulimit -Hf)" = unlimited ] || skip "the caller's own limit is lower"
	config '.process.rlimits = [{type: "RLIMIT_FSIZE", soft: 1024, hard: "MAX"}]'
	args grep "Max file size" /proc/self/limits
	# jq would make a floating point number of it.
	sed -i 's/"MAX"/18446744073709551615/' "$BUNDLE/config.json"
	run -0 nacre run "$ID"
	[[ "$output" =~ 1024\ +unlimited ]]
}

@test "exec has the same limits" {
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" grep "Max open files" /proc/self/limits
	[[ "$output" =~ \ 100\ +200\  ]]
}

@test "limits below what the runtime itself needs still work" {
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 3, hard: 3}, {type: "RLIMIT_NPROC", soft: 1, hard: 1},
		{type: "RLIMIT_FSIZE", soft: 0, hard: 0}, {type: "RLIMIT_CORE", soft: 0, hard: 0}]'
	args true
	run -0 nacre run "$ID"
}

@test "a hard limit above the caller's" {
	requires sys_resource
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2000, hard: 4000}]'
	args grep "Max open files" /proc/self/limits
	run -0 bash -c 'ulimit -n 1000; "$@"' - "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" =~ \ 2000\ +4000\  ]]
}

@test "a hard limit above the caller's, without the right: an error with its name" {
	requires container setpriv
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2000, hard: 4000}]'
	run setpriv --bounding-set=-sys_resource bash -c 'ulimit -n 1000; "$@"' - "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *RLIMIT_NOFILE* ]]
}

@test "a hard limit that the kernel refuses is told by create, and by exec" {
	requires container setpriv
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2000, hard: 4000}]'
	limited() { setpriv --bounding-set=-sys_resource bash -c 'ulimit -n 1000; "$@"' - "$NACRE_BIN" --root "$ROOT" "$@"; }
	try limited create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"cannot raise the hard limit of RLIMIT_NOFILE to 4000: Operation not permitted"* ]]
	jq .process config.json >"$T/process.json"
	config 'del(.process.rlimits)'
	run_sleeping
	try limited exec --process "$T/process.json" --pid-file "$T/pid" "$ID"
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"RLIMIT_NOFILE to 4000"* ]]
	[ ! -e "$T/pid" ]
}

@test "more open files than fs.nr_open has are told by create" {
	requires container
	config --argjson n "$(($(cat /proc/sys/fs/nr_open) + 1))" '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 10, hard: $n}]'
	refuses "RLIMIT_NOFILE to $(($(cat /proc/sys/fs/nr_open) + 1))"
}

@test "soft above hard, an unknown kind, one kind twice: refused" {
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 200, hard: 100}]'
	refuses 'process.rlimits[0]' 200 100
	config '.process.rlimits = [{type: "RLIMIT_NT", soft: 1, hard: 1}]'
	refuses 'process.rlimits[0].type' RLIMIT_NT
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 1, hard: 1}, {type: "RLIMIT_CORE", soft: 1, hard: 1}, {type: "RLIMIT_NOFILE", soft: 1, hard: 1}]'
	refuses 'process.rlimits[2].type' RLIMIT_NOFILE
}

@test "oomScoreAdj" {
	config '.process.oomScoreAdj = 500'
	args cat /proc/self/oom_score_adj
	run -0 nacre run "$ID"
	equals 500 "$output"
}

@test "oomScoreAdj in exec --process" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	jq '.process | .oomScoreAdj = 700 | .args = ["cat", "/proc/self/oom_score_adj"]' "$BUNDLE/config.json" >"$T/process.json"
	run -0 nacre exec --process "$T/process.json" "$ID"
	equals 700 "$output"
}

@test "without oomScoreAdj it is the caller's" {
	requires container
	args cat /proc/self/oom_score_adj
	run -0 bash -c 'echo 300 >/proc/self/oom_score_adj; "$@"' - "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals 300 "$output"
}

@test "oomScoreAdj below the caller's needs the right" {
	requires sys_resource
	config '.process.oomScoreAdj = -900'
	args cat /proc/self/oom_score_adj
	run -0 nacre run "$ID"
	equals -900 "$output"
}

@test "oomScoreAdj out of range is refused" {
	config '.process.oomScoreAdj = 1001'
	refuses process.oomScoreAdj 1001
	config '.process.oomScoreAdj = -1001'
	refuses process.oomScoreAdj -1001
}

@test "oomScoreAdj in a user namespace" {
	requires userns
	with_userns
	config '.process.oomScoreAdj = 400'
	args cat /proc/self/oom_score_adj
	run -0 nacre run "$ID"
	equals 400 "$output"
}
