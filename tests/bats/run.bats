#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run: foreground and detached, exit statuses, signals passed on, what is left afterwards.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

# In the background without timeout(1) between, so that $! is nacre's own pid; its output is in $T/out.
background() { detached "$NACRE_BIN" --root "$ROOT" "$@" >"$T/out" 2>"$T/err" </dev/null; }

says() { grep -qx "$1" "$T/out"; }

@test "the exit status is the process' own" {
	local code
	for code in 0 1 2 42 126 255; do
		sh_args "exit $code"
		run nacre run "$ID"
		[ "$status" -eq "$code" ]
	done
}

@test "the exit status after a signal is 128 + its number" {
	local result=0
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	nacre kill "$ID" KILL
	wait $! || result=$?
	[ "$result" -eq 137 ]
}

@test "nothing is left when it ends, whatever the status" {
	sh_args 'exit 9'
	run nacre run "$ID"
	refused 1 "does not exist" state "$ID"
	[ -z "$(ls -A "$ROOT")" ]
}

@test "while it runs others see it running, with its pid" {
	args sleep 1000
	background run --pid-file "$T/pid" "$ID"
	wait_for 10 test -s "$T/pid"
	[ "$(status_of "$ID")" = running ]
	[ "$(cat "$T/pid")" = "$(pid_of "$ID")" ]
	nacre kill "$ID" KILL
	wait $! || true
}

@test "stdin, stdout and stderr are the caller's" {
	sh_args 'cat; echo err >&2'
	run --separate-stderr nacre run "$ID" <<<'from outside'
	[ "$output" = "from outside" ]
	[ "$stderr" = err ]
}

@test "a large output arrives whole" {
	args seq 100000
	[ "$(nacre run "$ID" | md5sum)" = "$(seq 100000 | md5sum)" ]
}

@test "the reader of stdout goes away: the process gets SIGPIPE, run ends" {
	args yes
	timeout 20 bash -c '"$0" --root "$1" run "$2" | head -1' "$NACRE_BIN" "$ROOT" "$ID" >"$T/out" 3>&-
	[ "$(cat "$T/out")" = y ]
}

@test "arguments arrive as they are" {
	args printf '%s|' a 'b c' '' '$x' '*' $'t\tn' "ä'\""
	run nacre run "$ID"
	[ "$output" = $'a|b c||$x|*|t\tn|ä\'"|' ]
}

@test "--detach: returns while the process runs" {
	local form
	for form in -d --detach --detach=true; do
		args sleep 1000
		nacre run "$form" "$ID"
		[ "$(status_of "$ID")" = running ]
		nacre delete --force "$ID"
	done
}

@test "--detach: status 0 whatever the process does later; it stays until deleted" {
	sh_args 'exit 7'
	nacre run -d "$ID"
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "--detach --pid-file: there when it returns" {
	args sleep 1000
	nacre run -d --pid-file "$T/pid" "$ID"
	[ "$(cat "$T/pid")" = "$(pid_of "$ID")" ]
}

@test "--keep: the container is stopped and stays" {
	sh_args 'exit 4'
	run nacre run --keep "$ID"
	[ "$status" -eq 4 ]
	[ "$(status_of "$ID")" = stopped ]
	[ "$(pid_of "$ID")" = 0 ]
	refused 1 "already exists" run "$ID"
	nacre delete "$ID"
}

@test "--keep: nothing stays when it could not start" {
	args /nowhere
	refused 1 "no such file" run --keep "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "--pid-file: none when it could not start" {
	args nonesuch
	refused 1 'executable file not found in $PATH' run --pid-file "$T/pid" "$ID"
	[ ! -e "$T/pid" ]
}

@test "--pid-file: where it cannot be written it fails, nothing is left" {
	args sleep 1000
	refused 1 "pid file" run -d --pid-file "$T/none/pid" "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "without process it is an error, nothing is left" {
	config 'del(.process)'
	refused 1 process run "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "signals to nacre run reach the process" {
	local name pid
	args sigreport
	background run "$ID"
	pid=$!
	wait_for 10 says ready
	for name in TERM HUP INT QUIT USR1 USR2 CONT WINCH ALRM; do
		kill -"$name" "$pid"
		wait_for 10 says "$name"
	done
	kill -RTMIN+3 "$pid"
	wait_for 10 says 'RTMIN+3'
	nacre kill "$ID" KILL
	wait "$pid" || [ $? -eq 137 ]
}

@test "a signal that comes before the process runs is not lost" {
	requires container
	local result=0
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "touch \($t)/hook; until [ -e \($t)/go ]; do sleep 0.05; done"]}]
		| .linux.namespaces |= map(select(.type != "pid"))'
	args sleep 1000
	background run "$ID"
	wait_for 10 test -e "$T/hook"
	kill -USR1 $!
	touch "$T/go"
	wait $! || result=$?
	[ "$result" -eq 138 ]
}

@test "the process ends by the signal that was passed on" {
	requires container
	local result=0
	config '.linux.namespaces |= map(select(.type != "pid"))'
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	kill -TERM $!
	wait $! || result=$?
	[ "$result" -eq 143 ]
}

@test "nacre run is killed: the container goes on and can be deleted" {
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	kill -KILL $!
	wait $! || true
	[ "$(status_of "$ID")" = running ]
	refused 1 "not stopped" delete "$ID"
	nacre delete --force "$ID"
}

@test "delete --force from elsewhere: run ends with 137 and complains of nothing" {
	local result=0
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	nacre delete --force "$ID"
	wait $! || result=$?
	[ "$result" -eq 137 ]
	[ ! -s "$T/err" ]
}

@test "delete and a new container of that name while run is ending: the new one is untouched" {
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	kill -STOP $!
	nacre delete --force "$ID"
	nacre run -d "$ID"
	kill -CONT $!
	wait $! || true
	[ "$(status_of "$ID")" = running ]
}

@test "without a pid namespace: children of the process end with the container" {
	requires container
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1001 & exit 3'
	run nacre run "$ID" </dev/null
	[ "$status" -eq 3 ]
	run ! pgrep -fx 'sleep 1001'
}

@test "orphans in the container are not adopted for its exit status" {
	sh_args '(sleep 0.2; exit 9) & exit 3'
	run nacre run "$ID"
	[ "$status" -eq 3 ]
}

@test "the caller's ignored signals, mask and umask do not reach the process" {
	sh_args 'grep -E "^Sig(Ign|Blk)" /proc/self/status; umask'
	run bash -c 'trap "" HUP INT QUIT PIPE TERM USR1; umask 077; exec "$0" --root "$1" run "$2"' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = $'SigBlk:\t0000000000000000' ]
	[ "${lines[1]}" = $'SigIgn:\t0000000000000000' ]
	[ "${lines[2]}" = 0022 ]
}

@test "waiting costs no CPU time" {
	local before after
	args sleep 1000
	background run "$ID"
	wait_for 10 has_status "$ID" running
	before=$(cut -d' ' -f14,15 "/proc/$!/stat")
	sleep 0.5
	after=$(cut -d' ' -f14,15 "/proc/$!/stat")
	[ "$before" = "$after" ]
	nacre kill "$ID" KILL
	wait $! || true
}

@test "options may stand after the ID, as with runc; not after --, nor where they are another program's" {
	args sleep 1000
	cd /
	nacre run "$ID" --bundle "$BUNDLE" -d </dev/null
	refused 1 'unexpected "--force"' delete "$ID" -- --force
	refused 1 'unexpected "more"' delete "$ID" --force more
	refused 1 'needs ID' delete --force
	refused 1 'delete: unknown option "--farce"' delete "$ID" --farce
	[[ "$(nacre delete "$ID" --help)" == "Usage: nacre delete "* ]]
	run -0 nacre exec "$ID" echo --user
	equals --user "$output"
	nacre delete "$ID" --force
	[ -z "$(nacre list -q)" ]
}
