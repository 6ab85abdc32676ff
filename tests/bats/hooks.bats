#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hooks: when each kind runs, where, with what; and what becomes of a container whose hook fails.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

HOST_KINDS='prestart createRuntime createContainer poststart poststop'
KINDS="$HOST_KINDS startContainer"

# hook KIND SCRIPT: adds a hook that is a shell script; on the host it sees $t (the test's directory), in the container /tmp.
hook() {
	config --arg k "$1" --arg s "t=$T; $2" '.hooks[$k] += [{path: "/bin/sh", args: ["sh", "-c", $s]}]'
}

# The process, a hook of each kind, every one appending its name to a log.
log_all() {
	local kind
	config '.root.readonly = false'
	for kind in $HOST_KINDS; do hook "$kind" "echo $kind >>\$t/log"; done
	hook startContainer "echo startContainer >>/tmp/log"
	sh_args 'echo process >>/tmp/log'
	ln "$T/log" rootfs/tmp/log 2>/dev/null || { : >"$T/log" && ln -f "$T/log" rootfs/tmp/log; }
}

order() { tr '\n' ' ' <"$T/log"; }

is_gone() { [ -z "$(nacre list -q)" ]; }

@test "all six in the order of the specification" {
	log_all
	nacre run "$ID"
	[ "$(grep -v -e process -e poststart "$T/log" | tr '\n' ' ')" = "prestart createRuntime createContainer startContainer poststop " ]
	# The process runs when poststart does: either may write first.
	[ "$(sed -n 5,6p "$T/log" | sort | tr '\n' ' ')" = "poststart process " ]
}

@test "create, start, delete: each runs its own" {
	log_all
	nacre create "$ID"
	[ "$(order)" = "prestart createRuntime createContainer " ]
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	[ "$(wc -l <"$T/log")" -eq 6 ]
	nacre delete "$ID"
	[ "$(tail -1 "$T/log")" = poststop ]
}

@test "several of a kind run in order" {
	local i
	for i in 1 2 3; do hook createRuntime "echo $i >>\$t/log"; done
	nacre run "$ID"
	[ "$(order)" = "1 2 3 " ]
}

@test "the state on stdin: id, pid, status, bundle, ociVersion, annotations" {
	local kind
	config '.root.readonly = false | .annotations = {a: "b"}'
	for kind in $HOST_KINDS; do hook "$kind" "cat >\$t/$kind"; done
	hook startContainer "cat >/tmp/startContainer"
	sh_args 'sleep 1000'
	nacre run -d "$ID" </dev/null
	mv rootfs/tmp/startContainer "$T"
	PID=$(pid_of "$ID")
	nacre delete --force "$ID"
	for kind in $KINDS; do
		[ "$(jq -c '[.id, .bundle, .ociVersion, .annotations.a]' "$T/$kind")" = "[\"$ID\",\"$BUNDLE\",\"1.3.0\",\"b\"]" ]
	done
	# Of runtime-spec 1.0: they ran after create.
	[ "$(jq -r .status "$T/prestart")" = created ]
	[ "$(jq -r .status "$T/createRuntime")" = creating ]
	[ "$(jq -r .status "$T/createContainer")" = creating ]
	[ "$(jq -r .status "$T/startContainer")" = created ]
	[ "$(jq -r .status "$T/poststart")" = running ]
	[ "$(jq -r .status "$T/poststop")" = stopped ]
	[ "$(jq .pid "$T/prestart")" = "$PID" ]
	[ "$(jq .pid "$T/createRuntime")" = "$PID" ]
	[ "$(jq .pid "$T/poststart")" = "$PID" ]
	# In their own pid namespace it is 1; a microVM's one is in the guest, createContainer's hooks run on the host.
	[ "$(jq .pid "$T/createContainer")" = "$([ "${NACRE_ISOLATION-}" = microvm ] && echo "$PID" || echo 1)" ]
	[ "$(jq .pid "$T/startContainer")" = 1 ]
}

@test "prestart and createRuntime: in the runtime's namespaces, the container's exist already" {
	requires container
	local kind
	for kind in prestart createRuntime; do
		hook "$kind" "cat >\$t/$kind; readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/pid >\$t/$kind.own; pid=\$(sed 's/.*\"pid\": *//; s/,.*//' \$t/$kind)
			readlink /proc/\$pid/ns/mnt /proc/\$pid/ns/net /proc/\$pid/ns/pid >\$t/$kind.its"
	done
	nacre run "$ID"
	for kind in prestart createRuntime; do
		[ "$(cat "$T/$kind.own")" = "$(readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/pid)" ]
		[ "$(wc -l <"$T/$kind.its")" -eq 3 ]
		run ! grep -qFf "$T/$kind.own" "$T/$kind.its"
	done
}

@test "createContainer: in the container's namespaces, before the root changes" {
	requires container
	hook createContainer 'readlink /proc/self/ns/mnt /proc/self/ns/net >$t/own; ls $t >$t/ls; cat /proc/self/mountinfo >$t/mounts'
	args sleep 1000
	nacre create "$ID"
	[ "$(cat "$T/own")" = "$(readlink "/proc/$(pid_of "$ID")/ns/mnt" "/proc/$(pid_of "$ID")/ns/net")" ]
	# The container's mounts are made, below the bundle's rootfs.
	grep -q "$BUNDLE/rootfs/proc " "$T/mounts"
}

@test "createContainer: a mount it makes below rootfs is the container's" {
	requires container
	hook createContainer "mount -t tmpfs hooked $BUNDLE/rootfs/mnt && touch $BUNDLE/rootfs/mnt/by-hook"
	args ls /mnt
	[ "$(nacre run "$ID")" = by-hook ]
}

@test "createContainer: begins in the root file system, the others on the host in the bundle" {
	local kind
	for kind in $HOST_KINDS; do hook "$kind" "pwd >\$t/$kind"; done
	hook createContainer 'ls -d mnt bin etc >$t/ls'
	nacre run "$ID"
	for kind in prestart createRuntime poststart poststop; do equals "$BUNDLE" "$(cat "$T/$kind")"; done
	equals "$BUNDLE/rootfs" "$(cat "$T/createContainer")"
	equals 3 "$(wc -l <"$T/ls")"
}

@test "createContainer: a mount below its own directory is the container's" {
	requires container
	hook createContainer 'mount -t tmpfs hooked ./mnt && touch mnt/by-hook'
	args ls /mnt
	[ "$(nacre run "$ID")" = by-hook ]
}

@test "startContainer: in the container, path and all; before the process" {
	config '.root.readonly = false'
	printf '#!/bin/sh\necho "$0 $1 $(readlink /proc/self/ns/pid)" >/tmp/hook\n' >rootfs/bin/only-inside
	chmod 755 rootfs/bin/only-inside
	config '.hooks.startContainer = [{path: "/bin/only-inside", args: ["zero", "one"]}]'
	sh_args 'cat /tmp/hook; readlink /proc/self/ns/pid'
	run nacre run "$ID"
	[ "$status" -eq 0 ]
	[ "${lines[0]#/bin/only-inside one }" = "${lines[1]}" ]
}

@test "createRuntime and createContainer: the path is the host's" {
	printf '#!/bin/sh\ntouch "%s/$1"\n' "$T" >"$T/host-hook"
	chmod 755 "$T/host-hook"
	config --arg p "$T/host-hook" '.hooks.createRuntime = [{path: $p, args: ["x", "one"]}] | .hooks.createContainer = [{path: $p, args: ["x", "two"]}]'
	nacre run "$ID"
	[ -e "$T/one" ]
	[ -e "$T/two" ]
}

@test "poststart: when the process runs" {
	requires container
	hook poststart 'pid=$(sed "s/.*\"pid\": *//; s/,.*//"); tr "\0" " " </proc/$pid/cmdline >$t/cmdline'
	args sleep 1000
	nacre run -d "$ID" </dev/null
	[ "$(cat "$T/cmdline")" = "sleep 1000 " ]
}

@test "start returns after poststart" {
	hook poststart 'sleep 0.5; touch $t/done'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	[ -e "$T/done" ]
}

@test "poststop: when the container is gone: no process, no cgroup" {
	hook poststop 'cat >$t/state; find '"$(cgroup_mount)"' -maxdepth 3 -name "*'"$ID"'*" >$t/cgroups; pgrep -fx "sleep 1009" >$t/processes; true'
	args sleep 1009
	nacre run -d "$ID" </dev/null
	nacre delete --force "$ID"
	[ -s "$T/state" ]
	[ ! -s "$T/cgroups" ]
	[ ! -s "$T/processes" ]
}

@test "args as given; the path alone when there are none" {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["name of its own", "-c", "tr \"\\0\" \"|\" </proc/$$/cmdline >" + $t + "/args", "a b", ""]}]'
	nacre run "$ID"
	[[ "$(cat "$T/args")" == "name of its own|-c|"*"|a b||" ]]
	printf '#!/bin/sh\necho "$#" >"%s/count"\n' "$T" >"$T/no-args"
	chmod 755 "$T/no-args"
	config --arg p "$T/no-args" '.hooks = {createRuntime: [{path: $p}]}'
	nacre run "$ID"
	[ "$(cat "$T/count")" = 0 ]
}

@test "env exactly as given" {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "tr \"\\0\" \"|\" </proc/$$/environ >" + $t + "/env"], env: ["PATH=/usr/bin:/bin", "A=1 2", "EMPTY="]}]'
	OUTSIDE=1 nacre run "$ID"
	[ "$(cat "$T/env")" = "PATH=/usr/bin:/bin|A=1 2|EMPTY=|" ]
}

@test "no env: empty, nothing of the runtime's" {
	local kind
	for kind in $HOST_KINDS; do
		config --arg t "$T" --arg k "$kind" '.hooks[$k] = [{path: "/bin/sh", args: ["sh", "-c", "wc -c </proc/self/environ >" + $t + "/" + $k]}]'
	done
	OUTSIDE=1 nacre run "$ID"
	for kind in $HOST_KINDS; do [ "$(cat "$T/$kind")" = 0 ]; done
}

# Its program may be the image's: it is given no more than the container's process is.
@test "startContainer runs with the identity, limits and filter of the container's process" {
	local nnp
	sh_args 'grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)" /proc/self/status; ulimit -n'
	for nnp in true false; do
		config --argjson n "$nnp" '.process.user = {uid: 1000, gid: 1000, additionalGids: [7]} | .process.noNewPrivileges = $n
			| .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]
			| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", (.process.args[2] | "{ \(.); } >/tmp/hook")]}]
			| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO"}]}
			| .root.readonly = false'
		rm -f "$BUNDLE/rootfs/tmp/hook"
		run -0 nacre run "$ID"
		[[ "$output" == *"Seccomp:"*2* ]]
		equals "$output" "$(cat "$BUNDLE/rootfs/tmp/hook")"
	done
}

@test "startContainer: what the filter kills fails the hook; what it asks an agent is ENOSYS" {
	requires container
	config '.root.readonly = false | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
			syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL_PROCESS"}]}
		| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "/bin/mkdir /tmp/d"]}]'
	refused 1 'startContainer hook "/bin/sh" failed with status 159' run "$ID"
	[ ! -e "$BUNDLE/rootfs/tmp/d" ]
	detached "$HELPERS/sec_agent" "$T/agent" 1 >/dev/null
	wait_for 10 test -S "$T/agent"
	config --arg a "$T/agent" '.linux.seccomp.listenerPath = $a | .linux.seccomp.syscalls[0].action = "SCMP_ACT_NOTIFY"
		| .hooks.startContainer[0].args[2] = "/bin/mkdir /tmp/d 2>/tmp/said; true" | .process.args = ["mkdir", "/tmp/e"]'
	nacre run "$ID"
	grep "Function not implemented" "$BUNDLE/rootfs/tmp/said"
	[ -d "$BUNDLE/rootfs/tmp/e" ]
}

@test "startContainer without env gets the process', with env its own" {
	config '.root.readonly = false | .process.env = ["PATH=/bin", "OF=process"]
		| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "tr \"\\0\" \"|\" </proc/$$/environ >/tmp/one; true"]},
			{path: "/bin/sh", args: ["sh", "-c", "tr \"\\0\" \"|\" </proc/$$/environ >/tmp/two; true"], env: ["PATH=/bin", "OF=hook"]}]'
	nacre run "$ID"
	[[ "$(cat rootfs/tmp/one)" == *"OF=process|"* ]]
	[ "$(cat rootfs/tmp/two)" = "PATH=/bin|OF=hook|" ]
}

@test "a hook that does not read its stdin, and one with much of it" {
	config '.annotations = {big: ("x" * 200000)} | .hooks.createRuntime = [{path: "/bin/true"}]'
	hook createRuntime 'wc -c >$t/size'
	nacre run "$ID"
	[ "$(cat "$T/size")" -gt 200000 ]
}

@test "each hook of a kind gets the whole state" {
	hook createRuntime 'cat >$t/one'
	hook createRuntime 'cat >$t/two'
	nacre run "$ID"
	cmp "$T/one" "$T/two"
	[ -s "$T/one" ]
}

@test "what a hook prints is not the container's output" {
	hook createRuntime 'echo from-hook; echo from-hook >&2'
	hook createContainer 'echo from-hook'
	hook poststart 'echo from-hook'
	hook poststop 'echo from-hook'
	args echo from-process
	run nacre run "$ID"
	[ "$output" = from-process ]
}

@test "only stdin, stdout and stderr are open in a hook" {
	local kind
	for kind in $HOST_KINDS; do
		config --arg k "$kind" --arg p "$HELPERS/fdlist" --arg t "$T" '.hooks[$k] = [{path: "/bin/sh", args: ["sh", "-c", $p + " >" + $t + "/" + $k]}]'
	done
	nacre --log "$T/log" run "$ID" 7</etc/passwd
	for kind in $HOST_KINDS; do [ "$(cut -d' ' -f1 "$T/$kind" | tr '\n' ' ')" = "0 1 2 " ]; done
}

@test "signals are at their defaults in a hook" {
	hook createRuntime 'grep -E "^Sig(Blk|Ign)" /proc/self/status >$t/signals'
	trap '' INT QUIT USR1
	nacre run "$ID"
	trap - INT QUIT USR1
	[ "$(sort -u "$T/signals" | cut -f2 | sort -u)" = 0000000000000000 ]
}

@test "a background process of a hook does not keep the runtime" {
	hook createRuntime 'sleep 1000 & echo $! >$t/hook-pid'
	timeout 10 "$NACRE_BIN" --root "$ROOT" run "$ID"
}

cleanup() {
	[ ! -e "$T/hook-pid" ] || kill -KILL "$(cat "$T/hook-pid")" 2>/dev/null || true
}

@test "a failing hook of create: create fails, says which, its status and its last words" {
	local kind
	for kind in prestart createRuntime createContainer; do
		config 'del(.hooks)'
		hook "$kind" 'echo boring; echo "the last words" >&2; exit 42'
		refused 1 "$kind" create "$ID"
		[[ "$stderr" == */bin/sh*42*"the last words"* ]]
		is_gone
		refused 1 "$kind" run "$ID"
		is_gone
	done
}

@test "after a failing hook the next ones do not run, poststop does" {
	log_all
	config '.hooks.createRuntime = [{path: "/bin/false"}]'
	hook createRuntime 'echo second >>$t/log'
	refused 1 createRuntime create --pid-file "$T/pid" "$ID"
	[ "$(order)" = "prestart poststop " ]
	[ ! -e "$T/pid" ]
	is_gone
}

@test "a hook that is not there, not executable, no program" {
	local path
	touch "$T/plain"
	echo text >"$T/text"
	chmod 755 "$T/text"
	for path in "$T/none" "$T/plain" "$T" "$T/text"; do
		config --arg p "$path" '.hooks = {createRuntime: [{path: $p}]}'
		refused 1 "$path" create "$ID"
		is_gone
	done
	config '.hooks = {createRuntime: [{path: "/nowhere/hook"}]}'
	refused 1 "no such file or directory" create "$ID"
}

@test "a hook that a signal ends" {
	hook createRuntime 'kill -KILL $$'
	refused 1 createRuntime create "$ID"
	is_gone
}

@test "a path that is not absolute is refused" {
	config '.hooks.createRuntime = [{path: "bin/true"}]'
	refused 1 hooks create "$ID"
}

@test "timeout: the hook is killed, the rest as with any failure" {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "echo $$ >" + $t + "/hook-pid; exec sleep 1000"], timeout: 1}]'
	hook poststop 'touch $t/poststop'
	refused 1 timeout create "$ID"
	[ -e "$T/poststop" ]
	[ ! -e "/proc/$(cat "$T/hook-pid")" ]
	is_gone
}

@test "timeout: not reached" {
	config '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "0.2"], timeout: 20}]'
	nacre run "$ID"
}

@test "timeout: 0 and negative are refused" {
	local value
	for value in 0 -1; do
		config --argjson v "$value" '.hooks = {createRuntime: [{path: "/bin/true", timeout: $v}]}'
		refused 1 timeout create "$ID"
	done
}

@test "a failing startContainer: start fails, the process never runs, the container is destroyed, poststop runs" {
	local command
	config '.root.readonly = false | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo inner words; exit 3"]}]'
	hook poststop 'jq -r .status >>$t/poststop; find '"$(cgroup_mount)"' -maxdepth 3 -name "*'"$ID"'*" >>$t/cgroups'
	args touch /tmp/ran
	nacre create "$ID"
	for command in start run; do
		refused 1 "startContainer hook \"/bin/sh\" failed with status 3: inner words" "$command" "$ID"
		is_gone
		[ ! -e "$ROOT/$ID" ]
		[ ! -e rootfs/tmp/ran ]
		[ ! -s "$T/cgroups" ]
	done
	[ "$(cat "$T/poststop")" = $'stopped\nstopped' ]
}

@test "a startContainer hook that is not there, or takes too long: the container is destroyed" {
	hook poststop 'echo poststop >>$t/poststop'
	config '.hooks.startContainer = [{path: "/nowhere/hook"}]'
	nacre create "$ID"
	refused 1 /nowhere/hook start "$ID"
	is_gone
	config '.hooks.startContainer = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]'
	nacre create "$ID"
	refused 1 "startContainer hook \"/bin/sleep\" took longer" start "$ID"
	is_gone
	[ "$(wc -l <"$T/poststop")" -eq 2 ]
}

@test "a failing poststart: start fails, the process is ended, the container is destroyed, poststop runs" {
	local command
	hook poststart 'echo words; exit 3'
	hook poststart 'touch $t/second'
	hook poststop 'jq -r .status >>$t/poststop; pgrep -fx "sleep 1013" >>$t/processes; find '"$(cgroup_mount)"' -maxdepth 3 -name "*'"$ID"'*" >>$t/cgroups; true'
	args sleep 1013
	nacre create "$ID"
	for command in start "run --pid-file $T/pid" "run -d"; do
		# shellcheck disable=SC2086
		refused 1 "poststart hook \"/bin/sh\" failed with status 3: words" $command "$ID"
		is_gone
		[ ! -e "$ROOT/$ID" ]
		[ ! -e "$T/pid" ]
		[ ! -e "$T/second" ]
		[ ! -s "$T/processes" ]
		[ ! -s "$T/cgroups" ]
	done
	[ "$(cat "$T/poststop")" = $'stopped\nstopped\nstopped' ]
	# What a failed start destroyed can be made again.
	config 'del(.hooks.poststart)'
	nacre run -d "$ID" </dev/null
}

@test "a failing poststart of a process that has ended by then, and one whose poststop fails, too" {
	hook poststart 'sleep 0.3; exit 3'
	hook poststop 'exit 4'
	nacre create "$ID"
	try nacre start "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"warning: "*"poststop hook"*"status 4"*"nacre: error: poststart hook"*"status 3"* ]]
	is_gone
}

@test "a process that cannot be executed leaves the container stopped, as with other runtimes" {
	hook poststop 'touch $t/poststop'
	printf '#!/nowhere/interpreter\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	args /bin/script
	nacre create "$ID"
	refused 1 "no such file or directory" start "$ID"
	wait_for 10 has_status "$ID" stopped
	[ ! -e "$T/poststop" ]
	nacre delete "$ID"
	[ -e "$T/poststop" ]
	rm "$T/poststop"
	refused 1 "no such file or directory" run "$ID"
	is_gone
	[ -e "$T/poststop" ]
}

@test "a failing poststop: a warning, the others run, delete succeeds" {
	hook poststop 'exit 3'
	hook poststop 'touch $t/second'
	nacre run --keep "$ID"
	run --separate-stderr nacre delete "$ID"
	[ "$status" -eq 0 ]
	[[ "$stderr" == "nacre: warning: "*poststop* ]]
	[ -e "$T/second" ]
	is_gone
}

@test "a poststop hook that hangs is ended by its timeout" {
	config '.hooks.poststop = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]'
	nacre run --keep "$ID"
	nacre delete "$ID"
	is_gone
}

@test "poststop after delete --force of a running one, and after run" {
	hook poststop 'echo poststop >>$t/log'
	args sleep 1000
	nacre run -d "$ID" </dev/null
	nacre delete --force "$ID"
	args true
	nacre run "$ID"
	[ "$(order)" = "poststop poststop " ]
}

@test "hooks kept at create: what config.json becomes later has no effect" {
	hook poststart 'touch $t/poststart'
	hook poststop 'touch $t/poststop'
	nacre create "$ID"
	rm config.json
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
	[ -e "$T/poststart" ]
	[ -e "$T/poststop" ]
}

@test "a hook may ask nacre for the state of its container" {
	hook createRuntime "$NACRE_BIN --root $ROOT state $ID >\$t/asked"
	hook poststart "$NACRE_BIN --root $ROOT state $ID >\$t/asked-later"
	args sleep 1000
	nacre run -d "$ID" </dev/null
	[ "$(jq -r .status "$T/asked")" = creating ]
	[ "$(jq -r .status "$T/asked-later")" = running ]
}

@test "a hook that prints a lot: the error has the end of it, on one line" {
	hook createRuntime 'seq 100000; echo "very end"; exit 1'
	refused 1 "very end" create "$ID"
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[ "${#stderr}" -lt 2000 ]
}
