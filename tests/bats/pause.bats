#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pause and resume.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

cleanup() {
	nacre resume "$ID" >/dev/null 2>&1 || true
}

# A container that counts in /tmp/count of its root.
counting() {
	requires cgroup
	config '.root.readonly = false'
	sh_args 'i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.02; done'
	nacre run -d "$ID" </dev/null
	wait_for 10 test -s rootfs/tmp/count
}

moves() {
	local before
	before=$(cat rootfs/tmp/count)
	sleep 0.5
	[ "$(cat rootfs/tmp/count)" != "$before" ]
}

@test "nothing runs in a paused container, and it goes on after resume" {
	counting
	nacre pause "$ID"
	[ "$(status_of "$ID")" = paused ]
	run ! moves
	nacre resume "$ID"
	[ "$(status_of "$ID")" = running ]
	wait_for 10 moves
}

@test "twice is refused" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	refused 1 "cannot pause" pause "$ID"
	nacre resume "$ID"
	refused 1 "not paused" resume "$ID"
}

@test "again and again" {
	requires cgroup
	run_sleeping
	for _ in 1 2 3 4 5; do
		nacre pause "$ID"
		nacre resume "$ID"
	done
	[ "$(status_of "$ID")" = running ]
}

@test "a created one is refused, and can still be started" {
	requires cgroup
	args sleep 1000
	nacre create "$ID"
	refused 1 "cannot pause" pause "$ID"
	nacre start "$ID"
	[ "$(status_of "$ID")" = running ]
}

@test "start of one that was frozen by somebody else does not hang for ever" {
	requires container cgroup
	local dir
	args sleep 1000
	nacre create "$ID"
	dir=$(find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$ID*")
	echo 1 >"$dir/cgroup.freeze"
	run timeout 10 "$NACRE_BIN" --root "$ROOT" start "$ID"
	echo 0 >"$dir/cgroup.freeze"
	[ "$status" -eq 1 ]
}

@test "a stopped one: container not running" {
	nacre run --keep "$ID"
	refused 1 "container not running" pause "$ID"
	refused 1 "" resume "$ID"
}

@test "one that does not exist" {
	refused 1 'container "nothing" does not exist' pause nothing
	refused 1 'container "nothing" does not exist' resume nothing
}

@test "without a cgroup it says why it cannot" {
	requires container
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sleep 1000
	nacre --cgroup-manager disabled run -d "$ID" </dev/null
	refused 1 "no cgroup" pause "$ID"
	[ "$(status_of "$ID")" = running ]
}

@test "processes of exec are paused, too" {
	counting
	nacre exec -d "$ID" sh -c 'while :; do echo $RANDOM$RANDOM >/tmp/count; sleep 0.02; done'
	nacre pause "$ID"
	run ! moves
	nacre resume "$ID"
}

@test "delete --force of a paused one" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	nacre delete --force "$ID"
}
