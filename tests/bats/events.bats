#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# events: statistics in runc's shape, once and as a stream, and out-of-memory events.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

MIB=$((1024 * 1024))

cleanup() {
	[ -z "${EVENTS-}" ] || kill "$EVENTS" 2>/dev/null || true
	nacre resume "$ID" >/dev/null 2>&1 || true
}

# events ARG...: in the background, its lines in $T/events; $EVENTS is its pid.
events() {
	detached "$NACRE_BIN" --root "$ROOT" events "$@" >"$T/events" 2>"$T/events.err"
	EVENTS=$!
}

lines() { [ "$(wc -l <"$T/events")" -ge "$1" ]; }

# It ended by itself, with status 0 and nothing to say.
events_ended() {
	local end=$((SECONDS + 10 * ${PATIENCE:-1})) status=0
	while kill -0 "$EVENTS" 2>/dev/null && [ -e "/proc/$EVENTS/exe" ]; do
		[ "$SECONDS" -lt "$end" ] || { echo "still runs"; return 1; }
		sleep 0.05
	done
	wait "$EVENTS" || status=$?
	EVENTS=
	[[ $status == 0 && ! -s $T/events.err ]] || { echo "status $status"; cat "$T/events.err"; return 1; }
}

@test "--stats: one line, in the shape and the order that runc's readers expect" {
	requires cgroup
	run_sleeping
	try nacre events --stats "$ID"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "$(wc -l <"$T/try.out")" -eq 1 ]
	[[ "$output" == '{"type":"stats","id":"'"$ID"'","data":{"cpu":{"usage":{'* ]]
	equals '["blkio","cpu","cpuset","hugetlb","intel_rdt","memory","network_interfaces","pids"]' \
		"$(jq -c '.data | keys' <<<"$output")"
	equals '["kernel","kernelTCP","swap","usage"]' \
		"$(jq -c '.data.memory | keys - ["cache", "raw", "psi"]' <<<"$output")"
	jq -e '.data | .cpu.usage.user >= 0 and .cpu.usage.kernel >= 0 and .pids.current == 1 and .memory.usage.failcnt == 0
		and .intel_rdt == {} and .network_interfaces == null and .cpuset.cpu_exclusive == 0' <<<"$output"
}

@test "--stats: processor time is counted, in nanoseconds" {
	requires cgroup
	local before after
	sh_args 'while :; do :; done'
	nacre run -d "$ID" </dev/null
	more() { [ "$(nacre events --stats "$ID" | jq .data.cpu.usage.total)" -gt "$1" ]; }
	wait_for 10 more 0
	before=$(nacre events --stats "$ID" | jq .data.cpu.usage.total)
	# A tenth of a second of its time takes that long, at least.
	wait_for 20 more $((before + 100000000))
	after=$(nacre events --stats "$ID" | jq .data.cpu.usage.total)
	[ $((after - before)) -lt 60000000000 ]
}

@test "--stats: pressure, where the kernel has it" {
	requires cgroup
	run_sleeping
	[ -e "$(cgroup_mount)/$(basename "$(cut -d: -f3 "/proc/$(pid_of "$ID")/cgroup" | grep "$ID" | head -n1)")/cpu.pressure" ] ||
		skip "the kernel has no pressure stall information"
	jq -e '.data | [.cpu.psi, .memory.psi, .blkio.psi][] | .some, .full | .avg10 >= 0 and .avg300 <= 100 and .total >= 0' \
		<<<"$(nacre events --stats "$ID")"
}

@test "--stats: figures of every controller" {
	requires root memory unified
	memory_limit "$(mib 64)"
	args hog 16
	detached nacre run "$ID" >"$T/out"
	wait_for 20 grep -q full "$T/out"
	nacre events --stats "$ID" | tee "$T/stats"
	# A guest has no swap.
	jq -e --argjson mib $MIB --argjson limit "$(mib 64)" --arg guest "${NACRE_ISOLATION-}" '.data
		| (.memory.usage | .limit == $limit and .usage > 16 * $mib and .usage < 64 * $mib and .max >= .usage)
		and .memory.raw.anon > 16 * $mib and .memory.swap.usage == .memory.usage.usage
		and ($guest != "" or .memory.swap.limit == $limit)
		and .pids == {current: 1} and (.cpuset.cpus | length) > 0 and .cpuset.mems[0] == 0
		and (.hugetlb | to_entries | all(.value.failcnt == 0))' "$T/stats"
}

@test "--stats: no limit of memory is the greatest number, a limit of pids is a number" {
	requires root memory unified container
	memory_limit max
	run_sleeping
	echo 7 >"$(cgroup_dir)/pids.max"
	# Not jq: its numbers are floats.
	nacre events --stats "$ID" | grep -q '"memory":{[^}]*"usage":{"limit":18446744073709551615,'
	equals 7 "$(nacre events --stats "$ID" | jq .data.pids.limit)"
}

@test "--stats: folders that a container makes in its cgroup, with names of files, are no figures" {
	local name
	requires cgroup container
	run_sleeping
	# Delegated, it may; those that the kernel has there already stay.
	for name in memory.{current,max,peak,stat,events,pressure,swap.peak} pids.{current,max} io.{stat,pressure} rdma.current \
		cpuset.{cpus,mems}.effective cpu.pressure hugetlb.9GB.{current,max,events}; do
		mkdir "$(cgroup_dir)/$name" 2>/dev/null || true
	done
	try nacre events --stats "$ID"
	[[ $status == 0 && -z $stderr ]] || { echo "$status: $stderr"; return 1; }
	jq -e '.data | .pids.current == 1 and (.hugetlb | has("9GB") | not)' <<<"$output"
	try nacre stats --no-stream --interval 10ms
	[[ $status == 0 && -z $stderr && $output == *"$ID"* ]] || { echo "$status: $stderr"; return 1; }
	events --interval 1h "$ID"
	wait_for 10 lines 1
	nacre kill "$ID" KILL
	events_ended
	equals stopped "$(status_of "$ID")"
}

@test "--stats of created and of paused ones" {
	requires cgroup
	args sleep 1000
	nacre create "$ID"
	nacre events --stats "$ID" | jq -e '.type == "stats"'
	nacre start "$ID"
	nacre pause "$ID"
	nacre events --stats "$ID" | jq -e '.type == "stats"'
}

@test "a stream: the first line at once, then one each interval, and the end with the container" {
	requires cgroup
	run_sleeping
	events --interval 100ms "$ID"
	wait_for 10 lines 4
	nacre kill "$ID" KILL
	events_ended
	equals '["stats"]' "$(jq -s -c 'map(.type) | unique' "$T/events")"
	[ "$(jq -s 'map(.id) | unique | length' "$T/events")" = 1 ]
}

@test "a stream does not wait for its interval: the container is deleted, ends by itself, or is killed" {
	requires cgroup
	run_sleeping
	events --interval 1h "$ID"
	wait_for 10 lines 1
	nacre delete --force "$ID"
	events_ended
	run ! lines 2

	sh_args 'until [ -e /tmp/go ]; do sleep 0.05; done'
	nacre run -d "$ID" </dev/null
	events "$ID"
	wait_for 10 lines 1
	touch rootfs/tmp/go
	events_ended
}

@test "a stream costs nothing while it waits" {
	requires cgroup
	local before
	run_sleeping
	events --interval 1h "$ID"
	wait_for 10 lines 1
	ticks() { awk '{ print $14 + $15 }' "/proc/$EVENTS/stat"; }
	before=$(ticks)
	sleep 0.7
	[ $(($(ticks) - before)) -le 5 ]
	[ "$(awk '{ print $3 }' "/proc/$EVENTS/stat")" = S ]
}

@test "an oom event when a process was killed, and the stream goes on" {
	requires root memory
	memory_limit $((2 * LESS * MIB))
	run_sleeping
	events --interval 1h "$ID"
	wait_for 20 lines 1
	run nacre exec "$ID" hog "$MUCH"
	[ "$status" -eq 137 ]
	wait_for 10 grep -q '"oom"' "$T/events"
	equals '{"type":"oom","id":"'"$ID"'"}' "$(sed -n 2p "$T/events")"
	kill -0 "$EVENTS"
	run nacre exec "$ID" hog "$MUCH"
	wait_for 10 lines 3
	nacre delete --force "$ID"
	events_ended
	equals '["oom","oom","stats"]' "$(jq -s -c 'map(.type) | sort' "$T/events")"
}

@test "an oom event, though the container ends by it" {
	requires root memory
	memory_limit $((2 * LESS * MIB))
	sh_args "until [ -e /tmp/go ]; do sleep 0.05; done; exec hog $MUCH"
	nacre run -d "$ID" </dev/null
	events --interval 1h "$ID"
	wait_for 20 lines 1
	touch rootfs/tmp/go
	events_ended
	equals '{"type":"oom","id":"'"$ID"'"}' "$(tail -n 1 "$T/events")"
}

@test "what happened before is no event" {
	requires root memory
	memory_limit $((2 * LESS * MIB))
	run_sleeping
	run nacre exec "$ID" hog "$MUCH"
	[ "$status" -eq 137 ]
	events --interval 100ms "$ID"
	wait_for 20 lines 3
	run ! grep -q '"oom"' "$T/events"
}

@test "--interval: what Go programs write, and seconds" {
	requires cgroup
	local time
	run_sleeping
	for time in 5s 500ms 1m30s 1.5h 0.5 7; do nacre events --stats --interval "$time" "$ID" >/dev/null; done
	for time in x 5x s '' -1s '1 s'; do refused 1 "is not a time" events --interval "$time" "$ID"; done
	for time in 0 0s 999us; do refused 1 "is not at least 1ms" events --interval "$time" "$ID"; done
	refused 1 "is too long" events --interval 99999999h "$ID"
}

@test "a stopped one: container not running" {
	requires cgroup
	nacre run --keep "$ID"
	refused 1 "container not running" events "$ID"
	refused 1 "container not running" events --stats "$ID"
}

@test "one that does not exist" {
	refused 1 'container "nothing" does not exist' events nothing
	refused 1 'container "nothing" does not exist' events --stats nothing
}

@test "without a cgroup it says why it cannot" {
	requires container	# inside a guest there always is one
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sleep 1000
	nacre --cgroup-manager disabled run -d "$ID" </dev/null
	refused 1 "has no cgroup" events --stats "$ID"
	refused 1 "has no cgroup" events "$ID"
}

@test "a stdout that cannot take it is an error, in the stream, too" {
	requires cgroup
	run_sleeping
	run bash -c '"$0" --root "$1" events --stats "$2" >/dev/full' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *"o space left"* ]]
	run timeout 10 bash -c '"$0" --root "$1" events "$2" >/dev/full' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 1 ]
}
