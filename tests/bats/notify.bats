#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# sd_notify(3): a container in a unit of Type=notify says READY=1, and the manager hears it.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

setup() {
	common_setup
	requires container socat
}

cleanup() { [ -z "${MANAGER-}" ] || kill "$MANAGER" 2>/dev/null || true; }

# manager [SOCAT-ADDRESS]: what it hears is in $T/heard.
manager() {
	: >"$T/heard"
	detached socat -u "${1:-UNIX-RECV:$T/manager}" OPEN:"$T/heard",append
	MANAGER=$!
	wait_for 5 listening "${1:-$T/manager}"
}
listening() { grep -qF "${1#*:}" /proc/net/unix; }
heard() { [ "$(paste -sd ' ' "$T/heard")" = "$1" ]; }

@test "run: READY=1 goes on; nothing else does" {
	manager
	sh_args 'notify STATUS=begun "MAINPID=1\nERRNO=2" READY=2 "STATUS=up\nREADY=1" STOPPING=1; echo $NOTIFY_SOCKET'
	export NOTIFY_SOCKET=$T/manager
	equals /run/notify/notify.sock "$(nacre run "$ID")"
	wait_for 5 heard READY=1
}

@test "run -d and start return when the container is ready, and say which process it is" {
	manager
	sh_args 'sleep 1; notify READY=1; sleep 1000'
	export NOTIFY_SOCKET=$T/manager
	nacre run -d "$ID" </dev/null
	wait_for 5 heard "READY=1 MAINPID=$(pid_of "$ID")"
	nacre delete -f "$ID"
	: >"$T/heard"
	nacre create "$ID" </dev/null
	[ ! -s "$T/heard" ]
	nacre start "$ID"
	wait_for 5 heard "READY=1 MAINPID=$(pid_of "$ID")"
}

@test "start: the container ends without READY=1: start returns" {
	manager
	args sh -c 'sleep 0.3; exit 3'
	export NOTIFY_SOCKET=$T/manager
	nacre create "$ID" </dev/null
	nacre start "$ID"
	wait_for 5 has_status "$ID" stopped
	[ ! -s "$T/heard" ]
}

@test "others can work on the container while start waits" {
	manager
	args sleep 1000
	export NOTIFY_SOCKET=$T/manager
	nacre create "$ID" </dev/null
	detached nacre start "$ID"
	wait_for 5 has_status "$ID" running
	nacre exec "$ID" sh -c 'NOTIFY_SOCKET=/run/notify/notify.sock notify READY=1'
	wait $!
	wait_for 5 heard "READY=1 MAINPID=$(pid_of "$ID")"
}

@test "an abstract name" {
	manager "ABSTRACT-RECV:nt-$ID"
	args notify READY=1
	NOTIFY_SOCKET=@nt-$ID nacre run "$ID"
	wait_for 5 heard READY=1
}

@test "a manager that is gone: a warning, the container runs" {
	sh_args 'notify READY=1; exit 4'
	NOTIFY_SOCKET=$T/nobody try nacre run "$ID"
	equals 4 "$status"
	[[ "$stderr" == *"$T/nobody"* ]]
}

@test "users of the container can send; none can change the directory" {
	manager
	config '.process.user.uid = 1000 | .mounts += [{destination: "/run", type: "tmpfs", source: "tmpfs"}]'
	sh_args 'notify READY=1; ls /run/notify'
	export NOTIFY_SOCKET=$T/manager
	equals notify.sock "$(nacre run "$ID")"
	wait_for 5 heard READY=1
	config '.process.user.uid = 0'
	sh_args 'touch /run/notify/x'
	try nacre run "$ID"
	[[ "$stderr" == *"Read-only file system"* ]]
}

@test "in a user namespace" {
	requires userns
	manager
	with_userns
	mkdir -p "$BUNDLE/rootfs/run/notify"
	args notify READY=1
	NOTIFY_SOCKET=$T/manager nacre run "$ID"
	wait_for 5 heard READY=1
}

@test "a config.json that sets NOTIFY_SOCKET is its engine's affair" {
	manager
	config '.process.env += ["NOTIFY_SOCKET=/elsewhere"]'
	sh_args 'echo $NOTIFY_SOCKET; ls /run'
	export NOTIFY_SOCKET=$T/manager
	equals /elsewhere "$(nacre run "$ID")"
}

@test "start without NOTIFY_SOCKET does not wait; neither does one that create did not prepare" {
	args sleep 1000
	NOTIFY_SOCKET=$T/manager nacre create "$ID" </dev/null
	nacre start "$ID"
	nacre delete -f "$ID"
	nacre create "$ID" </dev/null
	NOTIFY_SOCKET=$T/manager nacre start "$ID"
}

@test "a NOTIFY_SOCKET that is no socket's name is an error" {
	local value
	for value in relative / @ vsock:2:1 "/$(printf '%0120d' 0)"; do
		NOTIFY_SOCKET=$value create_fails NOTIFY_SOCKET
	done
}

@test "explain tells of the mount; a microVM refuses it" {
	NOTIFY_SOCKET=/x run -0 nacre explain "$BUNDLE"
	[[ "$output" == */run/notify* ]]
	touch "$T/kernel"
	jq -n --arg k "$T/kernel" '{vm: {kernel: {path: $k}}}' >"$T/host.json"
	NOTIFY_SOCKET=/x try nacre --isolation=microvm --host-config="$T/host.json" run "$ID"
	[[ "$stderr" == *NOTIFY_SOCKET* ]]
}

@test "what a privileged container left in the directory is removed" {
	caps SYS_ADMIN DAC_OVERRIDE
	sh_args 'mount -o remount,rw,bind /run/notify && mkdir -p /run/notify/a/b && touch /run/notify/a/b/c && ln -s / /run/notify/a/root; sleep 1000'
	NOTIFY_SOCKET=$T/manager nacre create "$ID" </dev/null
	nacre start "$ID"
	wait_for 5 test -L "$ROOT/$ID/notify/a/root"
	nacre delete -f "$ID"
	assert_clean
}
