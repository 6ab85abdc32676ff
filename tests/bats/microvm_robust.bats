#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests that misbehave, and many of them: a clear error, and nothing is left on the host.

# shellcheck disable=SC2016,SC2154
load helpers

setup() {
	common_setup
	requires root microvm
	use_microvm
}

# The child of the container's process whose program is NAME: the guest's RAM and processors are QEMU's here, or nacre's own monitor's.
monitor_of() { pgrep -P "$(pid_of "$1")" | while read -r p; do grep -qx virtiofsd "/proc/$p/comm" || echo "$p"; done; }

# A container process that may reach the guest's kernel.
privileged() { config '.linux.readonlyPaths = [] | .linux.maskedPaths = [] | .process.noNewPrivileges = false'; }

@test "the guest's kernel panics: run says so, with the panic, and nothing is left" {
	privileged
	sh_args 'echo c >/proc/sysrq-trigger; sleep 1000'
	try nacre run "$ID"
	equals 255 "$status"
	[[ "$stderr" == *"\"$ID\": the microVM ended while the container ran"*panic* ]] || { echo "$stderr"; return 1; }
	[[ "$stderr" != *$'\033'* ]]
	assert_clean
}

@test "the guest is reset by its container: the same" {
	privileged
	sh_args 'echo b >/proc/sysrq-trigger; sleep 1000'
	try nacre run "$ID"
	equals 255 "$status"
	[[ "$stderr" == *"the microVM ended while the container ran"* ]] || { echo "$stderr"; return 1; }
}

# QEMU's guest is always told how (reboot=t). a: ACPI's register, b: a BIOS, k: the keyboard controller, p: the chipset, t: a triple fault.
@test "each way of a kernel to reset its machine is noticed" {
	requires kvm
	local way
	privileged
	sh_args 'echo b >/proc/sysrq-trigger; sleep 1000'
	for way in a b k p t; do
		config --arg k "$(vm_kernel)" --arg w "reboot=$way" '.vm = {kernel: {path: $k, parameters: [$w]}}'
		try nacre run "$ID"
		equals "$way 255" "$way $status"
		[[ "$stderr" == *"the microVM ended while the container ran"* ]] || { echo "$way: $stderr"; return 1; }
	done
}

@test "detached, the guest panics: it is stopped, and delete clears it" {
	privileged
	sh_args 'echo c >/proc/sysrq-trigger; sleep 1000'
	nacre run -d "$ID" </dev/null
	wait_for 10 has_status "$ID" stopped
	refused 255 "container not running" exec "$ID" true
	nacre delete "$ID"
}

@test "the guest panics while an exec runs: exec ends with an error's status" {
	privileged
	run_sleeping
	try nacre exec "$ID" sh -c 'echo c >/proc/sysrq-trigger; sleep 1000'
	[ "$status" -ge 128 ]
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "a guest that hangs: state, list, kill KILL and delete work at once" {
	run_sleeping
	kill -STOP "$(monitor_of "$ID")"
	export NACRE_TIMEOUT=5
	equals running "$(status_of "$ID")"
	equals "$ID" "$(nacre list -q)"
	nacre kill "$ID" KILL
	wait_for 2 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "a guest that hangs: delete --force ends it at once" {
	run_sleeping
	kill -STOP "$(monitor_of "$ID")"
	NACRE_TIMEOUT=5 nacre delete --force "$ID"
}

@test "a guest and its supervisor hang: delete --force ends both" {
	run_sleeping
	kill -STOP "$(pid_of "$ID")" "$(monitor_of "$ID")"
	NACRE_TIMEOUT=5 nacre delete --force "$ID"
}

@test "the file server is killed: the container ends with an error" {
	run_sleeping
	pkill -KILL -P "$(pid_of "$ID")" -x virtiofsd
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "tmpfs that is filled: ENOSPC for who writes, the rest goes on" {
	config '.mounts += [{destination: "/small", type: "tmpfs", source: "x", options: ["size=1m"]}]'
	sh_args 'dd if=/dev/zero of=/small/a bs=64k count=64 2>&1 | grep -o "No space left"; wc -c </small/a; echo goes on'
	try nacre run "$ID"
	equals $'No space left\n1048576\ngoes on' "$output"
	equals 0 "$status"
}

@test "a volume that is full: ENOSPC for who writes, and what fitted is there" {
	mkdir "$T/full"
	mount -t tmpfs -o size=1m full "$T/full"
	config --arg v "$T/full" '.mounts += [{destination: "/full", type: "bind", source: $v, options: ["rbind", "rw"]}]'
	sh_args 'dd if=/dev/zero of=/full/a bs=64k count=64 2>&1 | grep -o "No space left"; echo goes on'
	try nacre run "$ID"
	umount "$T/full"
	equals $'No space left\ngoes on' "$output"
}

# What a failed test has left mounted.
cleanup() { ! mountpoint -q "$T/full" || umount "$T/full"; }

@test "memory that is eaten: the eater is killed, run says why, the exit status is 137" {
	args hog 4096
	try nacre run "$ID"
	equals 137 "$status"
	[[ "$stderr" == *"memory"* ]] || { echo "$stderr"; return 1; }
}

@test "processes that fork without end: the limit holds, kill ends all" {
	config '.linux.resources.pids = {limit: 20}'
	sh_args '(while :; do sleep 1000 & done) 2>/dev/null & exec sleep 1000'
	nacre run -d "$ID" </dev/null >/dev/null 2>&1
	sleep 2
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "the programs below the supervisor have nothing of the caller's environment" {
	local pid n=0
	args sleep 1000
	PASSWORD=of-the-engine nacre run -d "$ID" </dev/null >/dev/null 2>&1
	for pid in $(vm_programs | cut -d ' ' -f 1); do
		equals "NACRE_ID=$ID PATH" "$(tr '\0' '\n' <"/proc/$pid/environ" | sed 's/^PATH=.*/PATH/' | sort | paste -sd ' ')"
		n=$((n + 1))
	done
	[ "$n" -gt 0 ]
}

@test "run is killed while the guest starts: delete --force clears what is left" {
	local pid
	detached "$NACRE_BIN" --root "$ROOT" run "$ID" >/dev/null 2>&1 </dev/null
	pid=$!
	wait_for 10 has_vm_programs
	kill -KILL "$pid"
	wait "$pid" || true
	nacre delete --force "$ID"
	assert_clean
}

has_vm_programs() { [ -n "$(vm_programs)" ]; }

@test "run gets TERM while the guest starts: it ends, and nothing is left" {
	local pid result=0
	args sleep 1000
	detached "$NACRE_BIN" --root "$ROOT" run "$ID" >/dev/null 2>"$T/err" </dev/null
	pid=$!
	wait_for 10 has_vm_programs
	vm_programs | cut -d ' ' -f 1 | xargs kill -STOP	# it will not come up
	kill -TERM "$pid"
	wait_for 2 gone "$pid"
	wait "$pid" || result=$?
	equals 1 "$result"
	equals "nacre: error: interrupted by a signal while the microVM was made" "$(cat "$T/err")"
	assert_clean
}

gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

@test "a signal that who called it has ignored does not end run while the guest starts (nohup)" {
	local pid
	sh_args 'exit 3'
	detached sh -c 'trap "" HUP; exec "$0" "$@"' "$NACRE_BIN" --root "$ROOT" run "$ID" >/dev/null 2>"$T/err" </dev/null
	pid=$!
	wait_for 10 has_vm_programs
	kill -HUP "$pid"
	status=0
	wait "$pid" || status=$?
	equals "3 " "$status $(cat "$T/err")"
}

@test "two execs at once with a lot of output each: whole, and not mixed" {
	run_sleeping
	detached "$NACRE_BIN" --root "$ROOT" exec "$ID" seq 1 200000 >"$T/one" </dev/null
	detached "$NACRE_BIN" --root "$ROOT" exec "$ID" seq 300000 500000 >"$T/two" </dev/null
	wait
	seq 1 200000 | cmp - "$T/one"
	seq 300000 500000 | cmp - "$T/two"
}

@test "the container ends while an exec writes: both end, with what was written before" {
	local pid result=0
	sh_args 'sleep 3; exit 4'
	detached "$NACRE_BIN" --root "$ROOT" run "$ID" </dev/null
	pid=$!
	wait_for 20 has_status "$ID" running
	try nacre exec "$ID" sh -c 'while :; do echo line; sleep 0.1; done'
	equals 137 "$status"
	equals line "$(head -1 <<<"$output")"
	wait "$pid" || result=$?
	equals 4 "$result"
}

@test "background children that keep the streams: run ends with its process" {
	sh_args 'sleep 1000 & echo done; exit 6'
	NACRE_TIMEOUT=60 try nacre run "$ID"
	equals 6 "$status"
	equals "done" "$output"
}

@test "standard input that nobody reads to its end does not keep run" {
	sh_args 'head -c 5; exit 2'
	status=0
	output=$(yes | NACRE_TIMEOUT=60 nacre run "$ID") || status=$?
	equals 2 "$status"
	equals $'y\ny\ny' "$output"
}
