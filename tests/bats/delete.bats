#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# delete: when it is allowed, what it leaves (nothing), what it forces.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

cgroups_of() { find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$1*"; }

@test "a stopped one: state and cgroup go" {
	nacre run --keep "$ID"
	nacre delete "$ID"
	[ -z "$(ls -A "$ROOT")" ]
	[ -z "$(cgroups_of "$ID")" ]
}

@test "a created one goes without --force" {
	local pid
	args sleep 1000
	nacre create "$ID"
	pid=$(pid_of "$ID")
	nacre delete "$ID"
	[ ! -e "/proc/$pid" ] || grep -q 'State:.Z' "/proc/$pid/status"
}

@test "a running one is refused and unharmed" {
	run_sleeping
	refused 1 "not stopped" delete "$ID"
	[[ "$stderr" == *running* ]]
	[ "$(status_of "$ID")" = running ]
}

@test "a paused one is refused; --force ends it" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	refused 1 "not stopped" delete "$ID"
	nacre delete --force "$ID"
}

@test "--force, -f: a running one, with all its processes" {
	local form pid
	for form in --force -f --force=true; do
		run_sleeping
		nacre exec -d "$ID" sleep 1007
		pid=$(pid_of "$ID")
		nacre delete "$form" "$ID"
		[ ! -e "/proc/$pid" ] || grep -q 'State:.Z' "/proc/$pid/status"
		run ! pgrep -fx 'sleep 1007'
		[ -z "$(cgroups_of "$ID")" ]
	done
}

@test "one that does not exist: an error, with --force none" {
	refused 1 'container "nothing" does not exist' delete nothing
	nacre delete --force nothing
	mkdir -p "$ROOT"
	refused 1 'container "nothing" does not exist' delete nothing
	nacre delete --force nothing
}

@test "twice" {
	nacre create "$ID"
	nacre delete "$ID"
	refused 1 "does not exist" delete "$ID"
}

@test "the bundle is gone: no matter" {
	nacre run --keep "$ID"
	rm -rf config.json rootfs
	nacre delete "$ID"
}

@test "the cgroup was removed already" {
	requires cgroup
	local dir
	nacre run --keep "$ID"
	for dir in $(cgroups_of "$ID"); do rmdir "$dir"; done
	nacre delete "$ID"
}

@test "sub-cgroups that the container left go, too" {
	requires cgroup
	local dir
	run_sleeping
	dir=$(cgroups_of "$ID")
	mkdir -p "$dir/a/b/c" "$dir/d"
	nacre delete --force "$ID"
	[ -z "$(cgroups_of "$ID")" ]
}

@test "processes that outlived the first one go, too" {
	requires container cgroup
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'sleep 1008 & exit 0'
	nacre run -d "$ID" </dev/null
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
	run ! pgrep -fx 'sleep 1008'
}

@test "a directory without a record" {
	mkdir -p "$ROOT/stale"
	nacre delete stale
	mkdir -p "$ROOT/stale"
	nacre delete --force stale
	[ -z "$(ls -A "$ROOT")" ]
}

@test "a symbolic link in place of a state directory is not followed" {
	mkdir -p "$ROOT" "$T/precious"
	touch "$T/precious/state.json" "$T/precious/file"
	ln -s "$T/precious" "$ROOT/link"
	run nacre delete --force link
	[ -e "$T/precious/file" ]
	[ -e "$T/precious/state.json" ]
	rm -f "$ROOT/link"
}

@test "a failing poststop hook is a warning, the container is gone" {
	config '.hooks.poststop = [{path: "/bin/false"}]'
	nacre run --keep "$ID"
	run --separate-stderr nacre delete "$ID"
	[ "$status" -eq 0 ]
	[[ "$stderr" == *warning*poststop*/bin/false* ]]
	refused 1 "does not exist" state "$ID"
}

@test "two at once: the container goes, none of them breaks" {
	local i
	nacre run --keep "$ID"
	for i in 1 2 3 4; do
		detached bash -c '"$1" --root "$2" delete "$3" 2>"$4"; echo $? >"$4.status"' - "$NACRE_BIN" "$ROOT" "$ID" "$T/out$i"
	done
	wait
	[ "$(grep -lx 0 "$T"/out*.status | wc -l)" -eq 1 ]
	for i in 1 2 3 4; do
		[ "$(cat "$T/out$i.status")" = 0 ] || grep -q "does not exist" "$T/out$i"
	done
}

@test "--force while start hangs in a poststart hook" {
	local starter result=0
	config --arg t "$T" '.hooks.poststart = [{path: "/bin/sh", args: ["sh", "-c", "echo $$ >\($t)/hook-pid; exec sleep 1000"]}]'
	args sleep 1000
	nacre create "$ID"
	detached "$NACRE_BIN" --root "$ROOT" start "$ID" 2>"$T/err"
	starter=$!
	wait_for 10 test -s "$T/hook-pid"
	NACRE_TIMEOUT=10 nacre delete --force "$ID"
	# The starter may still wait for its hook.
	kill -KILL "$(cat "$T/hook-pid")" 2>/dev/null || true
	wait "$starter" || result=$?
	[ "$result" -ne 0 ]
	[ -z "$(nacre list -q)" ]
}

# A hook that outlived its runtime.
cleanup() {
	[ ! -e "$T/hook-pid" ] || kill -KILL "$(cat "$T/hook-pid")" 2>/dev/null || true
}

@test "a config.json that became garbage is no matter" {
	nacre run --keep "$ID"
	echo garbage >config.json
	nacre delete "$ID"
}
