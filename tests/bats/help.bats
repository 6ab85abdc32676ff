#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Global options, help, --version, and how options and operands are read by every command.

load helpers

COMMANDS='run create start exec kill delete state list ps stats events pause resume spec explain features'

@test "without arguments: help on stdout, status not 0" {
	run --separate-stderr "$NACRE_BIN"
	[ "$status" -eq 1 ]
	[[ "$output" == "Usage: nacre [OPTIONS] COMMAND"* ]]
}

@test "--help, -h, help: every command is in it" {
	local form command
	for form in --help -h help; do
		run --separate-stderr "$NACRE_BIN" "$form"
		[ "$status" -eq 0 ]
		for command in $COMMANDS; do [[ "$output" == *"  $command "* ]]; done
	done
}

@test "COMMAND --help: status 0, its operands and options" {
	local command
	for command in $COMMANDS; do
		run --separate-stderr nacre "$command" --help
		[ "$status" -eq 0 ]
		[[ "$output" == "Usage: nacre $command "*"--help"* ]]
		[ -z "$stderr" ]
	done
}

@test "--help wins over operands that are missing or wrong" {
	nacre create --bundle /nowhere --help
	nacre exec -h
}

@test "--version: name and version, commit, spec" {
	local form
	for form in --version -v; do
		run --separate-stderr "$NACRE_BIN" "$form"
		[ "$status" -eq 0 ]
		[[ "${lines[0]}" =~ ^"nacre version "[0-9]+\.[0-9]+ ]]
		[[ "${lines[1]}" =~ ^"commit: "[0-9a-f]+|unknown ]]
		[ "${lines[2]}" = "spec: 1.3.0" ]
	done
}

@test "--version is told before any other work: no root, no log, no command" {
	run --separate-stderr env -i "$NACRE_BIN" --root / --version
	[ "$status" -eq 0 ]
}

@test "an unknown command" {
	refused 1 'unknown command "dance"' dance
}

@test "an unknown global option" {
	refused 1 'unknown option "--dance"' --dance list
	refused 1 'unknown option "-x"' -x list
}

@test "an unknown option of a command, long and short" {
	local command
	for command in $COMMANDS; do
		run nacre "$command" --dance "$ID"
		[ "$status" -ne 0 ]
		[[ "$output" == "nacre: error: $command: unknown option \"--dance\""* ]]
		run nacre "$command" -Z "$ID"
		[ "$status" -ne 0 ]
		[[ "$output" == "nacre: error: $command: unknown option \"-Z\""* ]]
	done
}

@test "a global option behind the command: where it stands" {
	requires script
	refused 1 'unknown option "--debug"' list --debug
	equals "hint: it stands before the command: nacre --debug list" "$(hint list --debug)"
	equals "hint: it stands before the command: nacre --log=/x state" "$(hint state "$ID" --log=/x)"
	# The command's own are not meant.
	refused 1 "flag needs an argument" run "$ID" --isolation
	equals "hint: see nacre run --help" "$(hint run "$ID" --isolation)"
}
# For people: on a terminal only.
hint() { script -qec "$NACRE_BIN $*" /dev/null </dev/null | tr -d '\r' | sed -n 's/^ *\(hint: \)/\1/p'; }

@test "an operand is missing" {
	local command
	for command in run create start kill delete state ps events pause resume; do
		refused 1 "$command: needs ID" "$command"
	done
	refused 255 "exec: needs ID" exec
}

@test "an operand too many" {
	local command
	for command in run create start delete state events pause resume; do
		refused 1 "unexpected \"more\"" "$command" "$ID" more
	done
	for command in list spec features; do
		refused 1 "unexpected \"more\"" "$command" more
	done
	refused 1 "unexpected \"more\"" kill "$ID" TERM more
	refused 1 "unexpected \"more\"" explain . more
}

@test "an option's value is missing: the words that feature probes look for" {
	refused 1 "flag needs an argument" --root
	refused 1 "flag needs an argument" create --bundle
	refused 1 "flag needs an argument" create -b
}

@test "a switch takes =true and =false, nothing else" {
	nacre list --quiet=true
	nacre list --quiet=false
	refused 1 'neither true nor false' list --quiet=maybe
}

@test "a list of short options: -fq is not taken for something else" {
	run_sleeping
	[ "$(nacre list -qf json)" = "$ID" ]
	[ "$(nacre list -fjson -q)" = "$ID" ]
}

@test "-- ends the options" {
	refused 1 'container "-x" does not exist' state -- -x
}

@test "--systemd-cgroup is accepted with every command" {
	run_sleeping
	nacre --systemd-cgroup state "$ID"
	nacre --systemd-cgroup list
	nacre --systemd-cgroup exec "$ID" true
	nacre --systemd-cgroup ps --format json "$ID"
	nacre --systemd-cgroup kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre --systemd-cgroup delete "$ID"
	nacre --systemd-cgroup features
}

@test "--systemd-cgroup with create and run says that there is no systemd" {
	[ ! -d /run/systemd/system ] || skip "systemd is there"
	local command
	for command in create run; do
		refused 1 "cannot reach the system's systemd" --systemd-cgroup "$command" "$ID"
		refused 1 "cannot reach the system's systemd" --cgroup-manager=systemd "$command" "$ID"
	done
	[ -z "$(nacre list -q)" ]
}

@test "--cgroup-manager=disabled runs without a cgroup" {
	sh_args 'cat /proc/1/cgroup'
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	run nacre --cgroup-manager=disabled run "$ID"
	[ "$status" -eq 0 ]
	[ "$output" = "$(cat /proc/self/cgroup)" ]
}

@test "--cgroup-manager: an unknown name" {
	refused 1 'none of cgroupfs, systemd, disabled' --cgroup-manager=other create "$ID"
}

@test "--rootless is accepted" {
	local value
	for value in true false auto; do nacre --rootless="$value" list; done
	nacre --rootless true run "$ID"
}

@test "--root: relative to the working directory, made when it is needed" {
	"$NACRE_BIN" --root state-here create "$ID"
	[ -d "$BUNDLE/state-here/$ID" ]
	cd /
	[ "$("$NACRE_BIN" --root "$BUNDLE/state-here" list -q)" = "$ID" ]
	"$NACRE_BIN" --root "$BUNDLE/state-here" delete "$ID"
}

@test "--root: only its owner can look into it" {
	nacre create "$ID"
	[ "$(stat -c %a "$ROOT")" = 700 ]
	[ "$(stat -c %a "$ROOT/$ID")" = 700 ]
}

@test "--root: a path far longer than a unix socket's name" {
	ROOT=$T/$(printf 'x%.0s' {1..120})/$(printf 'y%.0s' {1..120})
	nacre create "$ID"
	nacre start "$ID"
}

@test "--root: the file system's own root is refused" {
	local root
	for root in / // ///; do
		run "$NACRE_BIN" --root "$root" list
		[ "$status" -eq 1 ]
		[[ "$output" == *'"/" cannot be used'* ]]
	done
}

@test "--root: empty is refused, not the working directory" {
	try "$NACRE_BIN" --root '' create "$ID"
	[ ! -e "$BUNDLE/$ID" ] || "$NACRE_BIN" --root . delete --force "$ID"
	[ "$status" -eq 1 ]
	run "$NACRE_BIN" --root= list
	[ "$status" -eq 1 ]
}

@test "--root: something in the way" {
	touch "$T/file"
	try "$NACRE_BIN" --root "$T/file" create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"$T/file"*[Nn]"ot a directory"* ]]
}

@test "for another user: XDG_RUNTIME_DIR/nacre" {
	requires root setpriv
	install -d -o 65534 "$T/xdg"
	chmod 755 "$T"
	install -m 755 "$NACRE_BIN" "$T/nacre"
	run setpriv --reuid 65534 --regid 65534 --clear-groups env XDG_RUNTIME_DIR="$T/xdg" "$T/nacre" list -q
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	mkdir -p "$T/xdg/nacre/stale"
	chown -R 65534 "$T/xdg"
	run setpriv --reuid 65534 --regid 65534 --clear-groups env XDG_RUNTIME_DIR="$T/xdg" "$T/nacre" list -q
	[ "$output" = stale ]
}

@test "for another user: without XDG_RUNTIME_DIR, or a relative one, it says so" {
	requires root setpriv
	chmod 755 "$T"
	install -m 755 "$NACRE_BIN" "$T/nacre"
	run setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$T/nacre" list
	[ "$status" -eq 1 ]
	[[ "$output" == *XDG_RUNTIME_DIR* ]]
	run setpriv --reuid 65534 --regid 65534 --clear-groups env XDG_RUNTIME_DIR=here "$T/nacre" list
	[ "$status" -eq 1 ]
}

@test "a stdout that cannot take it is an error" {
	run nacre features >/dev/full
	run bash -c '"$0" features >/dev/full' "$NACRE_BIN"
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* || "$output" == *"no space left"* ]]
}

@test "the environment of the caller does not reach the container" {
	args env
	SECRET_OF_THE_HOST=1 run nacre run "$ID"
	[ "$status" -eq 0 ]
	[[ "$output" != *SECRET* ]]
	[[ "$output" == *PATH=* ]]
}
