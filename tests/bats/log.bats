#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --log, --log-format, --log-level, --debug: what engines parse after a failure.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

@test "JSON: one object with level, msg and an RFC 3339 time on failure" {
	run nacre --log "$T/log" --log-format json state nothing
	[ "$status" -eq 1 ]
	[ "$(jq -s length "$T/log")" = 1 ]
	[ "$(jq -r .level "$T/log")" = error ]
	[[ "$(jq -r .msg "$T/log")" == *"does not exist"* ]]
	[[ "$(jq -r .time "$T/log")" =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$ ]]
	[ "$(jq -r 'keys | join(" ")' "$T/log")" = "level msg time" ]
}

@test "JSON: the time is now, in UTC" {
	local said
	run nacre --log "$T/log" --log-format json state nothing
	said=$(date -d "$(jq -r .time "$T/log")" +%s)
	[ $(($(date +%s) - said)) -le 60 ]
	[ $(($(date +%s) - said)) -ge 0 ]
}

@test "JSON: the error is on stderr, too, as text" {
	run --separate-stderr nacre --log "$T/log" --log-format json state nothing
	[ "$stderr" = "nacre: error: $(jq -r .msg "$T/log")" ]
	[ -z "$output" ]
}

@test "JSON without --log: one object on stderr, nothing else" {
	run --separate-stderr nacre --log-format json state nothing
	[ "$(jq -s length <<<"$stderr")" = 1 ]
}

@test "JSON: nothing is written on success" {
	nacre --log "$T/log" --log-format json create "$ID"
	nacre --log "$T/log" --log-format json start "$ID"
	wait_for 10 has_status "$ID" stopped
	nacre --log "$T/log" --log-format json delete "$ID"
	[ ! -s "$T/log" ]
}

@test "JSON: a warning does not spoil the one object of the error" {
	config '.hooks.poststop = [{path: "/nowhere/hook"}] | .hooks.createRuntime = [{path: "/bin/false"}]'
	try nacre --log "$T/log" --log-format json create "$ID"
	[ "$status" -eq 1 ]
	[ "$(jq -s length "$T/log")" = 1 ]
	[[ "$(jq -r .msg "$T/log")" == *createRuntime* ]]
}

@test "an error with terminal commands, of C1 too, is text, and JSON, without any" {
	# U+009B begins a command like ESC [ does, and U+009D one that sets the window's title.
	try nacre --log "$T/log" --log-format json state $'a\u009b31m\u009d0;x\u00a0\x1b[2J\u00e9'
	[ "$status" -eq 1 ]
	[[ $stderr == *'"a\x9b31m\x9d0;x'$'\u00a0''\x1b[2J'$'\u00e9''"'* ]] || { printf '%q\n' "$stderr"; return 1; }
	run ! grep -P '\xc2[\x80-\x9f]|\x1b' "$T/log"
	[[ $(jq -r .msg "$T/log") == *$'"a\u009b31m\u009d0;x\u00a0\x1b[2J\u00e9"'* ]]
}

@test "JSON: an error with quotes, controls and bytes that are no UTF-8 is still JSON" {
	run nacre --log "$T/log" --log-format json state $'a"\\\t\e\xff\xc3('
	[ "$status" -eq 1 ]
	jq -e .msg "$T/log"
	iconv -f UTF-8 -t UTF-8 "$T/log" >/dev/null
}

@test "JSON: a very long name does not cut the object" {
	try nacre --log "$T/log" --log-format json create -b "/$(printf 'x/%.0s' {1..1900})" "$ID"
	[ "$status" -eq 1 ]
	[ "$(jq -s length "$T/log")" = 1 ]
}

@test "JSON: the errors of create, exec and run are one object, too" {
	args /nowhere/program
	try nacre --log "$T/create" --log-format json create "$ID"
	[ "$(jq -s length "$T/create")" = 1 ]
	run nacre --log "$T/run" --log-format json run "$ID"
	[ "$(jq -s length "$T/run")" = 1 ]
	run_sleeping
	run nacre --log "$T/exec" --log-format json exec "$ID" nowhere
	[ "$(jq -s length "$T/exec")" = 1 ]
	[[ "$(jq -r .msg "$T/exec")" == *'executable file not found in $PATH'* ]]
}

@test "the file is appended to, and made with mode 0644" {
	umask 022
	run nacre --log "$T/log" --log-format json state one
	run nacre --log "$T/log" --log-format json state two
	[ "$(jq -s length "$T/log")" = 2 ]
	[ "$(stat -c %a "$T/log")" = 644 ]
}

@test "text: one line with the time" {
	run nacre --log "$T/log" state nothing
	[ "$(wc -l <"$T/log")" -eq 1 ]
	[[ "$(cat "$T/log")" =~ ^[0-9]{4}-[0-9-]+T[0-9:.]+Z\ error:\ .*"does not exist"$ ]]
}

@test "text is the default; --log-format text is the same" {
	run nacre --log "$T/a" state nothing
	run nacre --log "$T/b" --log-format text state nothing
	[ "$(cut -d' ' -f2- "$T/a")" = "$(cut -d' ' -f2- "$T/b")" ]
}

@test "a line break in a name makes no second line" {
	run --separate-stderr nacre --log "$T/log" state $'a\nb'
	[ "$(wc -l <"$T/log")" -eq 1 ]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
}

@test "--log with a path that cannot be written: an error that names it" {
	refused 1 "$T/none/log" --log "$T/none/log" list
	refused 1 "$T" --log "$T" list
}

@test "--log-format and --log-level: unknown names" {
	refused 1 "neither text nor json" --log-format xml list
	refused 1 "none of error, warning, info, debug" --log-level loud list
}

@test "--debug says more and changes nothing else" {
	sh_args 'echo out; exit 3'
	config '.hooks = {poststart: [{path: "/bin/true"}]}'
	run --separate-stderr nacre --debug run "$ID"
	[ "$status" -eq 3 ]
	[ "$output" = out ]
	[[ "$stderr" == *"debug: bundle \"$BUNDLE\""*"pid namespace: new"*created:*started:*"poststart hooks: 1, in"*"ended with status 3"* ]]
}

@test "--debug: kill and delete say what they do" {
	run_sleeping
	try nacre --debug kill "$ID" KILL
	[[ "$stderr" == *"signal 9 to \"$ID\", which is running"* ]]
	wait_for 10 has_status "$ID" stopped
	try nacre --debug delete "$ID"
	[[ "$stderr" == *"deleted: \"$ID\""* ]]
}

@test "--debug with JSON: every line is an object, the last one the error" {
	run nacre --debug --log "$T/log" --log-format json state nothing
	[ "$(jq -s '.[-1].level' "$T/log")" = '"error"' ]
}

@test "a hint is for people: not in the log, not on a stderr that is no terminal" {
	mkdir "$T/empty"
	try nacre --log "$T/log" create -b "$T/empty" "$ID"
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ "$(cat "$T/log")" != *hint* ]]
}

@test "the log file does not reach the container" {
	args fdlist
	run --separate-stderr nacre --log "$T/log" --debug run "$ID"
	[ "$status" -eq 0 ]
	[[ "$output" != *"$T/log"* ]]
}

@test "file:PATH is a file" {
	run nacre --log "file:$T/log" state nothing
	grep -q "does not exist" "$T/log"
}

@test "journald:ID and syslog:ID: one entry each, with the name and the priority" {
	requires socat
	in_mount_ns '
		mkdir -p /run/systemd/journal
		mount -t tmpfs none /run/systemd/journal
		timeout 20 socat -u UNIX-RECVFROM:/run/systemd/journal/socket OPEN:"$T/journal",creat &
		until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
		! nacre --log journald:web --log-format json state no-such
		wait
		printf "SYSLOG_IDENTIFIER=web\nPRIORITY=3\nMESSAGE=container \"no-such\" does not exist\n" | diff - "$T/journal"'
	# Only if they are empty, that is ours.
	rmdir /run/systemd/journal /run/systemd 2>/dev/null || true
	in_mount_ns '
		mount -t tmpfs none /dev/shm
		: >/dev/shm/log
		[ -e /dev/log ] || { touch /dev/log && touch "$T/made"; }
		timeout 20 socat -u UNIX-RECVFROM:/dev/shm/sock OPEN:"$T/syslog",creat &
		until [ -S /dev/shm/sock ]; do sleep 0.05; done
		mount --bind /dev/shm/sock /dev/log
		! nacre --log syslog:web state no-such
		wait
		grep -qE "^<27>web\[[0-9]+\]: container \"no-such\" does not exist$" "$T/syslog"'
	[ ! -e "$T/made" ] || rm /dev/log
}

@test "a journal that is not there, a name that is none" {
	[ -S /run/systemd/journal/socket ] || refused 1 "cannot open log" --log journald:web state nothing
	refused 1 "not a name" --log journald: state nothing
	refused 1 "not a name" --log syslog: state nothing
}
