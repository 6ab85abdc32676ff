#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# File descriptors: 0, 1, 2 and what was asked for cross into the container, nothing else.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

# The numbers in fdlist's output.
numbers() { cut -d' ' -f1 <<<"$output" | tr '\n' ' '; }

@test "run: only 0, 1, 2" {
	args fdlist
	run nacre run "$ID" 7</etc/passwd 8<"$BUNDLE"
	[ "$status" -eq 0 ]
	[ "$(numbers)" = "0 1 2 " ]
}

@test "run: with everything on: log, hooks, devices, seccomp, joined namespace" {
	args fdlist
	config '.hooks.createRuntime = [{path: "/bin/true"}] | .hooks.createContainer = [{path: "/bin/true"}] | .hooks.startContainer = [{path: "/bin/true"}]
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}
		| .mounts += [{destination: "/mnt", type: "none", source: "/tmp", options: ["rbind"]}]'
	# A microVM does not take the host's interfaces.
	[ -n "${NACRE_ISOLATION-}" ] || config '.linux.namespaces |= map(if .type == "network" then .path = "/proc/self/ns/net" else . end)'
	run --separate-stderr nacre --log "$T/log" --debug run --pid-file "$T/pid" "$ID"
	[ "$status" -eq 0 ]
	[ "$(numbers)" = "0 1 2 " ]
}

@test "create and start: only 0, 1, 2, those of create" {
	args fdlist
	nacre create "$ID" >"$T/out" </dev/null 7</etc/passwd
	nacre start "$ID" >"$T/other" 8</etc/passwd
	wait_for 10 has_status "$ID" stopped
	output=$(cat "$T/out")
	[ "$(numbers)" = "0 1 2 " ]
	[ ! -s "$T/other" ]
}

@test "the waiting process holds nothing of its caller's but stdio" {
	args sleep 1000
	nacre create "$ID" </dev/null >"$T/out" 2>&1 7</etc/passwd 8<"$T"
	run ls -l "/proc/$(pid_of "$ID")/fd"
	[[ "$output" != */etc/passwd* ]]
	[[ "$output" != *"$T"$'\n'* ]]
}

@test "the waiting process keeps no descriptor of a directory of the host" {
	local fd
	args sleep 1000
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	for fd in "/proc/$(pid_of "$ID")/fd"/*; do
		[ ! -d "$(readlink "$fd")" ] || { readlink "$fd"; return 1; }
	done
}

@test "a caller that waits for the end of a pipe is not kept waiting by create" {
	args sleep 1000
	# fd 9 is the write end of a pipe whose reader ends only when all writers have.
	timeout 15 bash -c '"$0" --root "$1" create "$2" >/dev/null 2>&1 </dev/null 9>&1 | cat' "$NACRE_BIN" "$ROOT" "$ID" 3>&-
	[ "$(status_of "$ID")" = created ]
}

@test "exec: only 0, 1, 2" {
	run_sleeping
	run nacre exec "$ID" fdlist 7</etc/passwd
	[ "$(numbers)" = "0 1 2 " ]
	run nacre exec -u 1000 --cwd /etc "$ID" fdlist 7</etc/passwd
	[ "$(numbers)" = "0 1 2 " ]
}

@test "with a terminal: only 0, 1, 2, all the terminal" {
	config '.process.terminal = true'
	args fdlist
	run nacre run "$ID" </dev/null
	[ "$(tr -d '\r' <<<"$output")" = $'0 /dev/pts/0\n1 /dev/pts/0\n2 /dev/pts/0' ]
}

@test "--preserve-fds N: 3 to 2 + N, readable" {
	requires container	# refused for a microVM
	args fdlist
	run nacre run --preserve-fds 2 "$ID" 3</etc/passwd 4<"$BUNDLE/config.json" 5</etc/group
	[ "$(numbers)" = "0 1 2 3 4 " ]
	sh_args 'cat <&3'
	echo passed >"$T/file"
	run nacre run --preserve-fds=1 "$ID" 3<"$T/file"
	[ "$output" = passed ]
}

@test "--preserve-fds 0" {
	args fdlist
	run nacre run --preserve-fds 0 "$ID" 3</etc/passwd
	[ "$(numbers)" = "0 1 2 " ]
}

@test "--preserve-fds: one that is not open is refused: it would be one of the runtime's" {
	args fdlist
	run nacre run --preserve-fds 2 "$ID" 3</etc/passwd 4<&-
	[ "$status" -eq 1 ]
	[[ "$output" == *"fd 4"* ]]
}

@test "exec --preserve-fds: one that is not open is refused: it would be one of the runtime's" {
	run_sleeping
	run nacre exec --preserve-fds 2 "$ID" fdlist 3</etc/passwd 4<&-
	echo "$output"
	[ "$status" -eq 255 ]
	[[ "$output" == *"fd 4"* ]]
}

@test "--preserve-fds: no number, too many" {
	local value
	for value in x -1 '' 1x 99999999999 2147483647; do
		run nacre run --preserve-fds "$value" "$ID"
		[ "$status" -eq 1 ]
	done
}

@test "--preserve-fds: create keeps them for start" {
	requires container	# refused for a microVM
	echo kept >"$T/file"
	sh_args 'cat <&3'
	nacre create --preserve-fds 1 "$ID" 3<"$T/file" >"$T/out"
	nacre start "$ID"
	wait_for 10 grep -qx kept "$T/out"
}

@test "exec --preserve-fds, also with --process" {
	requires container	# refused for a microVM
	echo passed >"$T/file"
	run_sleeping
	[ "$(nacre exec --preserve-fds 1 "$ID" sh -c 'cat <&3' 3<"$T/file")" = passed ]
	jq '.process | .args = ["sh", "-c", "cat <&3"]' config.json >"$T/p.json"
	[ "$(nacre exec --preserve-fds 1 -p "$T/p.json" "$ID" 3<"$T/file")" = passed ]
}

@test "LISTEN_FDS: passed, with LISTEN_PID 1" {
	requires container	# refused for a microVM
	sh_args 'echo "$LISTEN_FDS $LISTEN_PID $$"; fdlist'
	LISTEN_FDS=2 run nacre run "$ID" 3</etc/passwd 4</etc/group 5</etc/hosts
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "2 1 1" ]
	[ "$(sed 1d <<<"$output" | cut -d' ' -f1 | tr '\n' ' ')" = "0 1 2 3 4 " ]
}

@test "LISTEN_FDS with LISTEN_PID of the runtime: passed" {
	requires container	# refused for a microVM
	args fdlist
	run timeout 20 sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --root "$1" run "$2" 3</etc/passwd' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$(numbers)" = "0 1 2 3 " ]
}

@test "LISTEN_FDS with LISTEN_PID of somebody else: not ours to pass" {
	sh_args 'echo "<$LISTEN_FDS>"; fdlist'
	LISTEN_FDS=1 LISTEN_PID=1 run nacre run "$ID" 3</etc/passwd
	[ "${lines[0]}" = "<>" ]
	[ "$(sed 1d <<<"$output" | cut -d' ' -f1 | tr '\n' ' ')" = "0 1 2 " ]
}

@test "LISTEN_FDS and --preserve-fds add up" {
	requires container	# refused for a microVM
	args fdlist
	LISTEN_FDS=1 run nacre run --preserve-fds 1 "$ID" 3</etc/passwd 4</etc/group 5</etc/hosts
	[ "$(numbers)" = "0 1 2 3 4 " ]
}

@test "LISTEN_FDS that is no number is an error" {
	local value
	for value in x -1 1x 99999999999; do
		LISTEN_FDS=$value run nacre run "$ID" 3</etc/passwd
		[ "$status" -eq 1 ]
		[[ "$output" == *LISTEN_FDS* ]]
	done
}

@test "LISTEN_FDS is of no matter to commands that make no process" {
	LISTEN_FDS=x nacre list
	nacre create "$ID"
	LISTEN_FDS=x nacre state "$ID"
	LISTEN_FDS=x nacre start "$ID"
}

@test "stdin closed: nothing of the runtime's in its place" {
	requires container	# in a guest it is a pipe that ends
	args fdlist
	run --separate-stderr bash -c 'exec "$0" --root "$1" run "$2" 0<&-' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 0 ]
	[ "$(numbers)" = "0 1 2 " ]
	[ "${lines[0]}" = "0 /dev/null" ]
}

@test "stdout closed, stderr closed, all closed: the same" {
	sh_args 'fdlist >/tmp/fds; exit 3'
	config '.root.readonly = false'
	local closed
	for closed in '1>&-' '2>&-' '0<&- 1>&- 2>&-'; do
		rm -f rootfs/tmp/fds
		run bash -c "\"\$0\" --root \"\$1\" run \"\$2\" $closed" "$NACRE_BIN" "$ROOT" "$ID"
		[ "$status" -eq 3 ]
		output=$(cat rootfs/tmp/fds)
		[ "$(numbers)" = "0 1 2 " ]
		[[ "$output" != *state* ]]
	done
}

@test "exec with stdin closed" {
	run_sleeping
	run --separate-stderr bash -c 'exec "$0" --root "$1" exec "$2" fdlist 0<&-' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 0 ]
	[ "$(numbers)" = "0 1 2 " ]
}

@test "stdout closed: features fails instead of writing elsewhere" {
	run bash -c '"$0" features >&-' "$NACRE_BIN"
	[[ "$output" != *ociVersion* ]]
}

@test "another user of the container can open /dev/stdout and /dev/stderr, which are the caller's pipes" {
	config '.process.user = {uid: 1000, gid: 1000}'
	sh_args 'echo to-out >/dev/stdout && echo to-err >/dev/stderr'
	run nacre run "$ID"
	[ "$status" -eq 0 ]
	[[ "$output" == *to-out* && "$output" == *to-err* ]]
}

@test "exec: another user can open /dev/stdout" {
	run_sleeping
	[ "$(nacre exec -u 1000 "$ID" sh -c 'echo to-out >/dev/stdout' | cat)" = to-out ]
}

@test "the host's /dev/null keeps its owner" {
	config '.process.user = {uid: 1000, gid: 1000}'
	local before
	before=$(host_devices)
	nacre run "$ID" </dev/null >/dev/null 2>&1
	equals "$before" "$(host_devices)"
}

@test "a thousand open descriptors of the caller's do not pass" {
	args fdlist
	run bash -c 'for i in {100..900}; do eval "exec $i</dev/null"; done; exec "$0" --root "$1" run "$2"' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$(numbers)" = "0 1 2 " ]
}
