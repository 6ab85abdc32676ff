#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ps: the processes of a container, with the host's pids; those of a microVM, with the guest's.

load helpers

@test "JSON: a list of numbers, the first process among them" {
	requires container
	local form
	run_sleeping
	nacre exec -d "$ID" sleep 1000
	for form in "--format json" "--format=json" "-f json"; do
		# shellcheck disable=SC2086
		[ "$(nacre ps $form "$ID" | jq -c 'length, all(.[]; type == "number")')" = $'2\ntrue' ]
	done
	[ "$(nacre ps -f json "$ID" | jq "index($(pid_of "$ID")) != null")" = true ]
}

@test "JSON: of a created one" {
	requires container
	nacre create "$ID"
	[ "$(nacre ps -f json "$ID" | jq -c .)" = "[$(pid_of "$ID")]" ]
}

@test "JSON: processes in sub-cgroups, too" {
	requires container cgroup
	local dir pid
	run_sleeping
	nacre exec -d --pid-file "$T/pid" "$ID" sleep 1000
	dir=$(find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$ID*")
	mkdir "$dir/sub"
	pid=$(cat "$T/pid")
	echo "$pid" >"$dir/sub/cgroup.procs"
	[ "$(nacre ps -f json "$ID" | jq "index($pid) != null")" = true ]
}

@test "table: the head of ps and the container's processes only" {
	requires container ps
	run_sleeping
	run nacre ps "$ID"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ "${lines[0]}" == *PID*CMD* ]]
	[[ "${lines[1]}" == *"$(pid_of "$ID")"*"sleep 1000"* ]]
}

@test "table: --format table is the same" {
	requires container ps
	run_sleeping
	[ "$(nacre ps --format table "$ID" | wc -l)" -eq 2 ]
}

@test "table: options for ps" {
	requires container ps
	run_sleeping
	run nacre ps "$ID" -eo comm,pid,args
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ "${lines[1]}" =~ ^sleep\ +$(pid_of "$ID")\ sleep\ 1000$ ]]
	[ "$(nacre ps "$ID" aux | wc -l)" -eq 2 ]
}

@test "table: a column of pids is needed" {
	requires container ps
	run_sleeping
	refused 1 "no column PID" ps "$ID" -eo comm
}

@test "table: ps refuses its options" {
	requires container ps
	run_sleeping
	run nacre ps "$ID" --none-such
	[ "$status" -eq 1 ]
	[[ "$output" == *"nacre: error: "* ]]
}

@test "without ps on the host it says what helps" {
	requires container
	run_sleeping
	run env PATH=/nowhere "$NACRE_BIN" --root "$ROOT" ps "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *"ps"* ]]
	env PATH=/nowhere "$NACRE_BIN" --root "$ROOT" ps --format json "$ID"
}

@test "of a stopped one: none" {
	nacre run --keep "$ID"
	equals '[]' "$(nacre ps --format json "$ID")"
	run nacre ps "$ID"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "${lines[0]}" == *PID*CMD* ]]
	config ".mounts |= map(select(.type != \"cgroup\"))" && nacre --cgroup-manager disabled run --keep "$ID-loose"
	equals '[]' "$(nacre ps --format json "$ID-loose")"
	# What a create that was ended leaves: a directory without a record.
	mkdir "$ROOT/$ID-stale"
	equals '[]' "$(nacre ps --format json "$ID-stale")"
}

@test "of a stopped one without a pid namespace: those that outlived its first process" {
	requires container cgroup
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1008 & exit 0'
	nacre run -d "$ID" </dev/null
	wait_for 10 has_status "$ID" stopped
	equals "[$(pgrep -fx 'sleep 1008')]" "$(nacre ps --format json "$ID")"
	nacre delete --force "$ID"
}

@test "of one that does not exist" {
	refused 1 "does not exist" ps nothing
}

@test "of a paused one" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	[ "$(nacre ps -f json "$ID" | jq length)" = 1 ]
	nacre resume "$ID"
}

@test "without a cgroup: the first process" {
	requires container
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sleep 1000
	nacre --cgroup-manager disabled run -d "$ID" </dev/null
	[ "$(nacre ps -f json "$ID" | jq -c .)" = "[$(pid_of "$ID")]" ]
}

@test "--format: an unknown name" {
	refused 1 "neither table nor json" ps --format yaml "$ID"
}

# ---- of a microVM: the guest's processes in the columns of ps -ef ----

in_microvm() {
	requires root microvm
	[ -n "${NACRE_ISOLATION-}" ] || use_microvm
}

@test "microvm: the head of ps -ef, and the container's processes only" {
	in_microvm
	sh_args 'sleep 1000 & exec sleep 2000'
	nacre run -d "$ID" </dev/null
	nacre exec -d --user 1000 "$ID" sleep 3000
	wait_for 5 shows 1 'sleep 1000$'
	nacre ps "$ID" >"$T/table"
	cat "$T/table"
	equals "UID          PID    PPID  C STIME TTY          TIME CMD" "$(head -n 1 "$T/table")"
	equals $'0 sleep 1000\n0 sleep 2000\n1000 sleep 3000' "$(awk 'NR > 1 { print $1, $8, $9 }' "$T/table" | sort)"
	equals "$(nacre ps --format json "$ID" | jq -r 'sort | .[]')" "$(awk 'NR > 1 { print $2 }' "$T/table")"
	[[ "$(sed -n 2p "$T/table")" =~ ^0\ +[0-9]+\ +[0-9]+\ +[0-9]+\ [0-9]{2}:[0-9]{2}\ \?\ +00:00:0[0-9]\ sleep\ 2000$ ]]
	nacre pause "$ID"
	equals 4 "$(nacre ps --format table "$ID" -ef | wc -l)"
	refused 1 "where the host's ps cannot see them: options for it have no effect there" ps "$ID" aux
}

@test "microvm: of a created one, of more processes than one answer has, without ps on the host" {
	in_microvm
	# Command lines of 3 KB each.
	sh_args 'x=$(yes 1234567 | head -n 400 | tr -d "\n"); for i in $(seq 30); do sh -c "kill -STOP \$\$" name $x & done; wait'
	nacre create "$ID" </dev/null >/dev/null 2>&1
	equals 2 "$(nacre ps "$ID" | wc -l)"
	nacre start "$ID"
	wait_for 10 shows 30 'kill -STOP.*name 1234567'
	PATH=/nowhere "$NACRE_BIN" --root "$ROOT" ps "$ID" >"$T/table"
	equals 32 "$(wc -l <"$T/table")"
	equals "$(awk 'NR > 1 { print $2 }' "$T/table")" "$(awk 'NR > 1 { print $2 }' "$T/table" | sort -nu)"
}

# shows N REGEX: so many lines of the table are like that.
shows() { [ "$(nacre ps "$ID" | grep -c -- "$2")" = "$1" ]; }
