#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill: signals by number and by name, to one process and to all, and when there is none.

load helpers

# A container that prints the signals it gets to $T/out.
reporting() {
	args sigreport
	nacre run -d "$ID" >"$T/out" </dev/null
	wait_for 10 says ready
}

says() { grep -qx -- "$1" "$T/out"; }

@test "by number, name, SIG and name, in lower case" {
	local form
	reporting
	for form in 10 USR1 SIGUSR1 usr1 sigusr1 SigUsr1; do
		: >"$T/out"
		nacre kill "$ID" "$form"
		wait_for 10 says USR1
	done
}

@test "the default is TERM" {
	reporting
	nacre kill "$ID"
	wait_for 10 says TERM
}

@test "the default is the annotation's, where an image has one" {
	config '.annotations["org.opencontainers.image.stopSignal"] = "SIGRTMIN+3"'
	reporting
	nacre kill "$ID"
	wait_for 10 says RTMIN+3
	run ! says TERM
	nacre kill --all "$ID"
	nacre kill "$ID" USR1
	wait_for 10 says USR1
}

@test "an annotation that is no signal is refused by create; an empty one is none" {
	config '.annotations["org.opencontainers.image.stopSignal"] = "SIGNONE"'
	refused 1 'annotations["org.opencontainers.image.stopSignal"]: "SIGNONE" is not a signal' create "$ID"
	config '.annotations["org.opencontainers.image.stopSignal"] = ""'
	reporting
	nacre kill "$ID"
	wait_for 10 says TERM
}

@test "every name that kill -l knows" {
	local name
	reporting
	for name in HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT TSTP TTIN TTOU URG XCPU XFSZ \
		VTALRM PROF WINCH IO PWR SYS; do
		nacre kill "$ID" "$name"
		[ "$name" != IO ] || name=POLL
		wait_for 10 says "$name"
	done
}

@test "other names of the same signals" {
	reporting
	nacre kill "$ID" SIGPOLL
	wait_for 10 says POLL
	nacre kill "$ID" IOT
	wait_for 10 says ABRT
	nacre kill "$ID" SIGCLD
	wait_for 10 says CHLD
}

@test "real-time signals: RTMIN, RTMIN+N, SIGRTMIN+3, RTMAX-N, RTMAX" {
	local pair
	reporting
	for pair in RTMIN=RTMIN+0 RTMIN+1=RTMIN+1 SIGRTMIN+3=RTMIN+3 rtmin+4=RTMIN+4 RTMAX-1=RTMIN+29 RTMAX=RTMIN+30 37=RTMIN+3; do
		: >"$T/out"
		nacre kill "$ID" "${pair%%=*}"
		wait_for 10 says "${pair#*=}"
	done
}

@test "what is no signal is refused and nothing is sent" {
	local name
	reporting
	for name in 65 -1 -9 99999999999 1.5 ' 9' '9 ' SIG '' NONE RTMIN-1 RTMIN+31 RTMAX+1 RTMIN+ SIGSIGTERM; do
		refused 1 "not a signal" kill "$ID" -- "$name"
	done
	[ "$(cat "$T/out")" = ready ]
	[ "$(status_of "$ID")" = running ]
}

@test "KILL ends it, its status is stopped" {
	reporting
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
}

@test "a created one" {
	args sleep 1000
	nacre create "$ID"
	nacre kill "$ID" 9
	wait_for 10 has_status "$ID" stopped
}

@test "a created one with TERM, as engines do when a start is cancelled" {
	args sleep 1000
	nacre create "$ID"
	nacre kill "$ID" TERM
	wait_for 10 has_status "$ID" stopped
}

@test "a created one: what ends no process does not end it, and its process starts with the defaults" {
	args grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status
	nacre create "$ID" >"$T/out"
	nacre kill "$ID" WINCH
	nacre kill "$ID" CHLD
	nacre kill "$ID" CONT
	sleep 0.2
	equals created "$(status_of "$ID")"
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	equals "0000000000000000 0000000000000000 0000000000000000" "$(awk '{print $2}' "$T/out" | xargs)"
}

@test "a stopped one: container not running" {
	nacre run --keep "$ID"
	refused 1 "container not running" kill "$ID" TERM
	refused 1 "container not running" kill "$ID" KILL
}

@test "one that does not exist" {
	refused 1 'container "nothing" does not exist' kill nothing TERM
	refused 1 'container "nothing" does not exist' kill --all nothing TERM
}

@test "a paused one: KILL ends it at once" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
}

@test "a paused one: another signal arrives when it is resumed" {
	requires cgroup
	reporting
	nacre pause "$ID"
	nacre kill "$ID" USR2
	nacre resume "$ID"
	wait_for 10 says USR2
}

@test "without --all only the first process gets it" {
	args sigreport
	nacre run -d "$ID" >"$T/out" </dev/null
	detached "$NACRE_BIN" --root "$ROOT" exec "$ID" sigreport 1 >"$T/second" </dev/null
	wait_for 10 grep -q ready "$T/second"
	nacre kill "$ID" USR1
	wait_for 10 says USR1
	[ "$(cat "$T/second")" = ready ]
	nacre kill --all "$ID" USR2
	wait_for 10 grep -qx USR2 "$T/second"
	wait_for 10 says USR2
	wait $!
}

@test "--all, -a: before and with another signal" {
	local form
	reporting
	for form in --all -a --all=true; do
		: >"$T/out"
		nacre kill "$form" "$ID" USR1
		wait_for 10 says USR1
	done
}

@test "--all: a stopped one is no error" {
	nacre run --keep "$ID"
	nacre kill --all "$ID" KILL
}

@test "--all: what outlived the first process" {
	requires container cgroup
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1005 & exit 0'
	nacre run -d "$ID" </dev/null
	wait_for 10 has_status "$ID" stopped
	pgrep -fx 'sleep 1005'
	nacre kill --all "$ID" KILL
	wait_for 10 none_left 'sleep 1005'
}

none_left() { ! pgrep -fx "$1" >/dev/null; }

@test "KILL without a pid namespace ends all processes" {
	requires container cgroup
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1006 & sleep 1006'
	nacre run -d "$ID" </dev/null
	wait_for 10 pgrep -fx 'sleep 1006'
	nacre kill "$ID" KILL
	wait_for 10 none_left 'sleep 1006'
	wait_for 10 has_status "$ID" stopped
}

@test "KILL without a pid namespace: those that outlived the first process, then nothing is left to kill" {
	requires container cgroup
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1007 & exit 0'
	nacre run -d "$ID" </dev/null
	wait_for 10 has_status "$ID" stopped
	pgrep -fx 'sleep 1007'
	refused 1 "container not running" kill "$ID" TERM
	nacre kill "$ID" KILL
	wait_for 10 none_left 'sleep 1007'
	refused 1 "container not running" kill "$ID" KILL
}

@test "0 sends nothing: does it run?" {
	reporting
	nacre kill "$ID" 0
	[ "$(cat "$T/out")" = ready ]
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	refused 1 "container not running" kill "$ID" 0
	nacre kill --all "$ID" 0
}

@test "--all without a cgroup reaches the first process at least" {
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sigreport
	nacre --cgroup-manager disabled run -d "$ID" >"$T/out" </dev/null
	wait_for 10 says ready
	nacre kill --all "$ID" USR1
	wait_for 10 says USR1
}

@test "-9 is no signal" {
	run_sleeping
	run nacre kill "$ID" -9
	[ "$status" -eq 1 ]
	[ "$(status_of "$ID")" = running ]
}

@test "a pid that was used again by another process is never signalled" {
	local other
	nacre run --keep "$ID"
	sleep 1000 3>&- &
	other=$!
	jq --argjson p "$other" '.pid = $p' "$ROOT/$ID/state.json" >"$T/state" && cp "$T/state" "$ROOT/$ID/state.json"
	[ "$(status_of "$ID")" = stopped ]
	refused 1 "container not running" kill "$ID" KILL
	nacre delete --force "$ID"
	kill -0 "$other"
	kill "$other"
}

@test "--regex: every container that matches, and no other" {
	local name
	args sleep 1000
	for name in web-1 web-2 db; do nacre run -d "$ID-$name" </dev/null; done
	nacre kill --regex "^$ID-web" KILL
	wait_for 10 has_status "$ID-web-1" stopped
	wait_for 10 has_status "$ID-web-2" stopped
	equals running "$(status_of "$ID-db")"
	nacre delete -r "$ID-web-[0-9]$"
	equals "$ID-db" "$(nacre list -q)"
	# One that fails is told, the others go.
	nacre create "$ID-web-3"
	refused 1 "\"$ID-db\" that is not stopped" delete --regex "$ID"
	equals "$ID-db" "$(nacre list -q)"
	nacre delete -f -r "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "--regex: none matches, or it is no regular expression" {
	refused 1 "no container matches" kill --regex "^$ID-none"
	refused 1 "is not a regular expression" delete --regex '('
}

@test "--regex: the first failure is told with its hint" {
	requires script
	args sleep 1000
	nacre run -d "$ID-a" </dev/null
	nacre create "$ID-b" </dev/null
	# The second one goes, after the first has failed.
	run script -qec "$NACRE_BIN --root $ROOT delete --regex ^$ID" /dev/null
	[ "$status" -eq 1 ]
	[[ "${lines[0]}" == *"cannot delete container \"$ID-a\" that is not stopped"* ]]
	[[ "${lines[1]}" == *"hint: kill it first, or use delete --force"* ]]
	equals "$ID-a" "$(nacre list -q)"
}
