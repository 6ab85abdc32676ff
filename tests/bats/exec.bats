#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# exec: one more process in a container, by flags and by --process.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

# process JQ-PROGRAM: $T/process.json from the bundle's process.
process() { jq ".process | $1" config.json >"$T/process.json"; }

has_processes() { [ "$(nacre ps --format json "$ID" | jq length)" = "$1" ]; }

@test "output and exit status are the process' own" {
	run_sleeping
	run --separate-stderr nacre exec "$ID" sh -c 'echo out; echo err >&2; exit 7'
	[ "$status" -eq 7 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
}

@test "stdin is the caller's" {
	run_sleeping
	[ "$(nacre exec "$ID" cat <<<hello)" = hello ]
}

@test "it is in the container: namespaces, root, cgroup" {
	requires container
	local kind
	run_sleeping
	for kind in pid net mnt ipc uts cgroup; do
		[ "$(nacre exec "$ID" readlink "/proc/self/ns/$kind")" = "$(readlink "/proc/$(pid_of "$ID")/ns/$kind")" ]
	done
	[ "$(nacre exec "$ID" hostname)" = nacre ]
	[ "$(nacre exec "$ID" sh -c 'cat /proc/self/cgroup' | tail -1)" = "$(nacre exec "$ID" cat /proc/1/cgroup | tail -1)" ]
}

@test "in a created container" {
	args sleep 1000
	nacre create "$ID"
	nacre exec "$ID" true
	[ "$(status_of "$ID")" = created ]
	nacre start "$ID"
}

@test "128 + the number of the signal that ended it" {
	run_sleeping
	run nacre exec "$ID" sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
	run nacre exec "$ID" sh -c 'kill -KILL $$'
	[ "$status" -eq 137 ]
}

@test "not in PATH: 255 and the words engines look for" {
	run_sleeping
	refused 255 'executable file not found in $PATH' exec "$ID" nonesuch
}

@test "not there, not executable, a directory: 255" {
	run_sleeping
	refused 255 'no such file or directory' exec "$ID" /bin/nonesuch
	refused 255 'permission denied' exec "$ID" /etc/passwd
	refused 255 'permission denied' exec "$ID" /etc
}

@test "an interpreter that is missing: 255, named" {
	printf '#!/no/interpreter\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	run_sleeping
	refused 255 /no/interpreter exec "$ID" script
}

@test "of one that does not exist: 255" {
	refused 255 'container "nothing" does not exist' exec nothing true
}

@test "in a stopped one: container not running" {
	nacre run --keep "$ID"
	refused 255 'container not running' exec "$ID" true
}

@test "without a command" {
	run_sleeping
	refused 255 "needs a command" exec "$ID"
}

@test "with a command and --process" {
	run_sleeping
	process .
	refused 255 exclude exec -p "$T/process.json" "$ID" true
}

@test "options end at the ID: the command's own are its own" {
	run_sleeping
	[ "$(nacre exec "$ID" echo --cwd -t --help)" = "--cwd -t --help" ]
	[ "$(nacre exec "$ID" echo -- x)" = "-- x" ]
}

@test "--cwd" {
	run_sleeping
	[ "$(nacre exec --cwd /etc "$ID" pwd)" = /etc ]
	[ "$(nacre exec --cwd=/etc "$ID" pwd)" = /etc ]
	refused 255 /nowhere exec --cwd /nowhere "$ID" pwd
	refused 255 cwd exec --cwd etc "$ID" pwd
}

@test "--env adds and replaces; the container's own stays" {
	run_sleeping
	run nacre exec -e NEW=1 --env PATH=/bin --env=EMPTY= "$ID" env
	[ "$status" -eq 0 ]
	[[ $'\n'"$output"$'\n' == *$'\nNEW=1\n'* ]]
	[[ $'\n'"$output"$'\n' == *$'\nPATH=/bin\n'* ]]
	[[ $'\n'"$output"$'\n' == *$'\nEMPTY=\n'* ]]
	[[ $'\n'"$output"$'\n' == *$'\nTERM=xterm\n'* ]]
	[ "$(grep -c ^PATH= <<<"$output")" -eq 1 ]
}

@test "--env: the last of two of one name" {
	run_sleeping
	[ "$(nacre exec -e A=1 -e A=2 "$ID" sh -c 'echo $A')" = 2 ]
}

@test "--env without a value, or without a name, is refused" {
	run_sleeping
	refused 255 "not NAME=VALUE" exec -e JUSTNAME "$ID" true
	refused 255 "not NAME=VALUE" exec -e =x "$ID" true
}

@test "--user: uid, uid:gid; nothing but numbers" {
	local value
	run_sleeping
	[ "$(nacre exec --user 1000 "$ID" id -u)" = 1000 ]
	[ "$(nacre exec -u 1000:7 "$ID" sh -c 'id -u; id -g')" = $'1000\n7' ]
	[ "$(nacre exec -u 1000 "$ID" id -g)" = 0 ]
	for value in user 1000:user -1 +1 ' 1' 1x 0x10 '' : 1: :1 4294967295 4294967296 18446744073709551616 1:4294967296; do
		refused 255 "--user" exec -u "$value" "$ID" id
	done
}

@test "--user: HOME follows the user" {
	run_sleeping
	[ "$(nacre exec -u 1000 "$ID" sh -c 'echo $HOME')" = /home/user ]
	[ "$(nacre exec -u 4242 "$ID" sh -c 'echo $HOME')" = / ]
	[ "$(nacre exec "$ID" sh -c 'echo $HOME')" = /root ]
}

@test "--user other than root: no effective capabilities unless given" {
	run_sleeping
	[ "$(nacre exec -u 1000 "$ID" sed -n 's/^CapInh:\t//p' /proc/self/status)" = 0000000000000000 ]
	[ "$(nacre exec -u 1000 "$ID" sed -n 's/^CapAmb:\t//p' /proc/self/status)" = 0000000000000000 ]
}

@test "--additional-gids" {
	run_sleeping
	[ "$(nacre exec -g 5 --additional-gids 6 "$ID" id -G)" = "0 5 6" ]
	refused 255 "not a GID" exec -g wheel "$ID" id
}

@test "--cap adds to bounding, effective and permitted, never to inheritable" {
	run_sleeping
	run nacre exec --cap CAP_SYS_PTRACE "$ID" grep Cap /proc/self/status
	[ $((0x$(sed -n 's/^CapEff:\t//p' <<<"$output") >> 19 & 1)) = 1 ]
	[ $((0x$(sed -n 's/^CapBnd:\t//p' <<<"$output") >> 19 & 1)) = 1 ]
	[ "$(sed -n 's/^CapInh:\t//p' <<<"$output")" = 0000000000000000 ]
	refused 255 "not a capability" exec --cap CAP_NONE "$ID" true
}

@test "--cap: ambient, too, for what the configuration has inheritable" {
	config '.process.capabilities.inheritable = ["CAP_SYSLOG"] | .process.capabilities.bounding += ["CAP_SYSLOG"]'
	run_sleeping
	equals "$(printf 'CapAmb:\t%016x' 0)" "$(nacre exec --cap CAP_KILL "$ID" grep CapAmb /proc/self/status)"
	equals "$(printf 'CapAmb:\t%016x' $((1 << 34)))" "$(nacre exec --cap CAP_SYSLOG "$ID" grep CapAmb /proc/self/status)"
	equals "$(printf 'CapEff:\t%016x' $((1 << 34)))" \
		"$(nacre exec --user 1000 --cap CAP_SYSLOG "$ID" grep CapEff /proc/self/status)"
}

@test "--no-new-privs" {
	config '.process.noNewPrivileges = false'
	run_sleeping
	[ "$(nacre exec "$ID" sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" = 0 ]
	[ "$(nacre exec --no-new-privs "$ID" sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" = 1 ]
}

@test "--process: everything comes from the file" {
	run_sleeping
	process '.args = ["sh", "-c", "id -u; pwd; env"] | .user.uid = 1000 | .cwd = "/etc" | .env = ["PATH=/bin", "ONLY=1"]'
	run nacre exec --process "$T/process.json" "$ID"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 1000 ]
	[ "${lines[1]}" = /etc ]
	[[ "$output" == *ONLY=1* ]]
	[[ "$output" != *TERM=* ]]
}

@test "--process: the exit status" {
	run_sleeping
	process '.args = ["sh", "-c", "exit 33"]'
	run nacre exec -p "$T/process.json" "$ID"
	[ "$status" -eq 33 ]
}

@test "--process: bad files" {
	run_sleeping
	refused 255 "$T/none" exec -p "$T/none" "$ID"
	printf '{"args": ' >"$T/bad"
	refused 255 "$T/bad" exec -p "$T/bad" "$ID"
	printf '{"args": [], "cwd": "/"}' >"$T/bad"
	refused 255 args exec -p "$T/bad" "$ID"
	printf '{"args": ["true"], "cwd": "x"}' >"$T/bad"
	refused 255 cwd exec -p "$T/bad" "$ID"
	printf '[]' >"$T/bad"
	refused 255 "$T/bad" exec -p "$T/bad" "$ID"
}

@test "--process: from a pipe" {
	run_sleeping
	process '.args = ["echo", "piped"]'
	# shellcheck disable=SC2002
	[ "$(cat "$T/process.json" | nacre exec -p /dev/stdin "$ID")" = piped ]
}

@test "--pid-file: of the process that runs" {
	requires container
	run_sleeping
	nacre exec -d --pid-file "$T/pid" "$ID" sleep 1002
	[ "$(tr '\0' ' ' <"/proc/$(cat "$T/pid")/cmdline")" = "sleep 1002 " ]
	[ "$(wc -l <"$T/pid")" -eq 0 ]
}

@test "--pid-file: also in the foreground" {
	run_sleeping
	nacre exec --pid-file "$T/pid" "$ID" true
	[[ "$(cat "$T/pid")" =~ ^[0-9]+$ ]]
}

@test "--pid-file: none when the process was not started, however it failed" {
	run_sleeping
	printf '#!/no/interpreter\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	echo text >rootfs/bin/text
	chmod 755 rootfs/bin/text
	local command
	for command in nonesuch /bin/nonesuch /etc script text; do
		try nacre exec --pid-file "$T/pid" --detach "$ID" "$command"
		[ "$status" -eq 255 ]
		[ ! -e "$T/pid" ]
	done
	run nacre exec --pid-file "$T/pid" --cwd /nowhere "$ID" true
	[ ! -e "$T/pid" ]
	run nacre exec --pid-file "$T/pid" nothing true
	[ ! -e "$T/pid" ]
}

@test "--pid-file: where it cannot be written the process does not stay" {
	local result=0
	run_sleeping
	nacre exec -d --pid-file "$T/none/pid" "$ID" sleep 1003 >"$T/out" 2>&1 || result=$?
	[ "$result" -eq 255 ]
	grep -q "pid file" "$T/out"
	wait_for 10 has_processes 1
}

@test "--detach: returns while it runs, status 0" {
	run_sleeping
	nacre exec --detach "$ID" sleep 1004
	has_processes 2
}

@test "--detach: status 0 whatever the process' own" {
	run_sleeping
	nacre exec -d "$ID" false
}

@test "--detach: the process becomes the child of the subreaper above" {
	local out
	run_sleeping
	out=$(timeout 20 "$HELPERS/subreaper" "$NACRE_BIN" --root "$ROOT" exec -d --pid-file "$T/pid" "$ID" sh -c 'exit 6' </dev/null 3>&-)
	[[ "$out"$'\n' == *"$(cat "$T/pid") 6"$'\n'* ]]
}

@test "signals to nacre exec reach the process" {
	local pid
	run_sleeping
	detached "$NACRE_BIN" --root "$ROOT" exec "$ID" sigreport 2 >"$T/out" </dev/null
	pid=$!
	wait_for 10 grep -q ready "$T/out"
	kill -HUP "$pid"
	wait_for 10 grep -qx HUP "$T/out"
	kill -TERM "$pid"
	wait "$pid"
	[ "$(tail -1 "$T/out")" = TERM ]
}

@test "it ends when the container is killed" {
	local pid result=0
	run_sleeping
	detached "$NACRE_BIN" --root "$ROOT" exec "$ID" sleep 1000 >"$T/out" </dev/null
	pid=$!
	wait_for 10 has_processes 2
	nacre kill "$ID" KILL
	wait "$pid" || result=$?
	[ "$result" -eq 137 ]
}

@test "in a paused container: refused, and says how" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	refused 255 "paused" exec "$ID" true
	nacre resume "$ID"
}

@test "--ignore-paused: it runs when the container is resumed" {
	requires cgroup
	local pid
	run_sleeping
	nacre pause "$ID"
	detached "$NACRE_BIN" --root "$ROOT" exec --ignore-paused "$ID" echo thawed >"$T/out" </dev/null
	pid=$!
	sleep 0.3
	[ ! -s "$T/out" ]
	nacre resume "$ID"
	wait "$pid"
	[ "$(cat "$T/out")" = thawed ]
}

@test "--cgroup: a sub-cgroup of the container's, nothing above" {
	requires container cgroup
	local dir
	run_sleeping
	dir=$(find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$ID*")
	mkdir "$dir/part"
	[ "$(nacre exec --cgroup part "$ID" sh -c 'tail -1 /proc/self/cgroup')" = 0::/part ]
	refused 255 "" exec --cgroup ../.. "$ID" true
	refused 255 "" exec --cgroup none "$ID" true
	rmdir "$dir/part"
}

@test "a rlimit of the process file holds for the process, not for the runtime" {
	run_sleeping
	process '.args = ["sh", "-c", "ulimit -n"] | .rlimits = [{type: "RLIMIT_NOFILE", soft: 5, hard: 6}]'
	[ "$(nacre exec -p "$T/process.json" "$ID")" = 5 ]
}

@test "ten at once" {
	local i
	run_sleeping
	for i in {1..10}; do
		detached "$NACRE_BIN" --root "$ROOT" exec "$ID" echo "$i" >"$T/out$i" </dev/null
	done
	wait
	[ "$(cat "$T"/out* | sort -n | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 10 " ]
}

@test "no zombie and no process stays in the container" {
	run_sleeping
	nacre exec "$ID" true
	run nacre exec "$ID" nonesuch
	has_processes 1
}

# reaped STRACE-OPTION...: exec of what is not there, disturbed by strace. Its caller gets no child but the one it made.
reaped() {
	local out
	out=$(timeout -k 5 "$NACRE_TIMEOUT" env "${TRACED[@]}" "$HELPERS/subreaper" strace -f -o "$T/trace" "$@" \
		"$NACRE_BIN" --root "$ROOT" exec "$ID" nonesuch 2>"$T/err" </dev/null 3>&-)
	[[ "$out" == *" 255" && "$out" != *$'\n'* ]] || { echo "$out"; cat "$T/err" "$T/trace"; return 1; }
	has_processes 1
}

@test "that fails leaves no zombie to the caller, whoever fails first" {
	requires container strace
	run_sleeping
	# The new process fails while its maker still stands in clone3; any of the two is killed as it reports.
	reaped -e trace=clone3 -e inject=clone3:delay_exit=300000
	reaped -e trace=sendto -e inject=sendto:signal=KILL
}

@test "a container without a pid namespace" {
	requires container
	config '.linux.namespaces |= map(select(.type != "pid"))'
	run_sleeping
	run nacre exec "$ID" sh -c 'exit 8'
	[ "$status" -eq 8 ]
}

@test "a container without a cgroup" {
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sleep 1000
	nacre --cgroup-manager disabled run -d "$ID" </dev/null
	nacre exec "$ID" true
}

@test "the seccomp filter holds for it, too" {
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]}'
	run_sleeping
	run nacre exec "$ID" mkdir /tmp/x
	[[ "$output" == *"not supported"* ]]
}

@test "while the container is deleted: it ends, one way or the other" {
	local i pids=()
	run_sleeping
	for i in {1..6}; do
		detached timeout 20 "$NACRE_BIN" --root "$ROOT" exec "$ID" sleep 1000 >"$T/out$i" 2>&1 </dev/null
		pids+=($!)
	done
	nacre delete --force "$ID"
	for i in "${pids[@]}"; do
		local result=0
		wait "$i" || result=$?
		[ "$result" -eq 137 ] || [ "$result" -eq 255 ]
	done
}
