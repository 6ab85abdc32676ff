#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# list: as a table, as JSON, as names.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

@test "none: a table with its head only, null or [] as JSON, no names" {
	[ "$(nacre list | wc -l)" -eq 1 ]
	[ "$(nacre list --format json | jq -c '. // []')" = '[]' ]
	[ -z "$(nacre list -q)" ]
	mkdir -p "$ROOT"
	[ "$(nacre list --format json | jq -c '. // []')" = '[]' ]
}

@test "listing makes nothing" {
	nacre list
	[ ! -e "$ROOT" ]
}

@test "one: the table's columns" {
	local line
	run_sleeping
	[[ "$(nacre list | head -1)" =~ ^ID\ +PID\ +STATUS\ +BUNDLE\ +CREATED\ +OWNER$ ]]
	line=$(nacre list | sed -n 2p)
	[[ "$line" =~ ^$ID\ +$(pid_of "$ID")\ +running\ +$BUNDLE\ +20[0-9T:-]+\ +root$ ]]
}

@test "one: JSON has what state has" {
	run_sleeping
	[ "$(nacre list -f json | jq length)" = 1 ]
	equals 1 "$(nacre list -f json | wc -l)"
	[ "$(nacre list -f json | jq -S '.[0]')" = "$(nacre state "$ID" | jq -S .)" ]
	[ "$(nacre list --format=json | jq -r '.[0].owner')" = root ]
}

@test "three in three statuses, sorted by name" {
	args sleep 1000
	nacre create "$ID-b"
	nacre run -d "$ID-c" </dev/null
	args true
	nacre run --keep "$ID-a"
	[ "$(nacre list -q)" = "$ID-a"$'\n'"$ID-b"$'\n'"$ID-c" ]
	[ "$(nacre list --format json | jq -r '.[] | .status' | tr '\n' ' ')" = "stopped created running " ]
	[ "$(nacre list | wc -l)" -eq 4 ]
	[ "$(nacre list | awk 'NR > 1 { print $3 }' | tr '\n' ' ')" = "stopped created running " ]
}

@test "a directory without a record is shown, and does not spoil the rest" {
	run_sleeping
	mkdir "$ROOT/0stale"
	run --separate-stderr nacre list
	[ "$status" -eq 0 ]
	[[ "$output" == *0stale*"$ID"* ]]
	[ "$(nacre list --format json | jq -r '.[0].status')" = stopped ]
	[ "$(nacre list -q | wc -l)" -eq 2 ]
}

@test "a damaged record: a warning, the others are shown" {
	run_sleeping
	mkdir "$ROOT/0bad"
	echo '{' >"$ROOT/0bad/state.json"
	run --separate-stderr nacre list --format json
	[ "$status" -eq 0 ]
	[ "$(jq -r '.[].id' <<<"$output")" = "$ID" ]
	[[ "$stderr" == *warning*0bad* ]]
}

@test "something else in the directory" {
	run_sleeping
	touch "$ROOT/file"
	ln -s /etc "$ROOT/link"
	run --separate-stderr nacre list --format json
	[ "$status" -eq 0 ]
	[ "$(jq -r '.[].id' <<<"$output")" = "$ID" ]
	rm "$ROOT/file" "$ROOT/link"
}

@test "a container that is made and deleted meanwhile does not break it" {
	local worker
	detached timeout 60 bash -c 'while [ ! -e "$4" ]; do "$1" --root "$2" run "$3"; done' - "$NACRE_BIN" "$ROOT" "$ID" "$T/stop" </dev/null
	worker=$!
	for _ in {1..20}; do
		run --separate-stderr nacre list --format json
		[ "$status" -eq 0 ]
		jq -e 'type == "array"' <<<"$output" >/dev/null
	done
	touch "$T/stop"
	wait "$worker"
}

@test "--format: an unknown name" {
	refused 1 "neither table nor json" list --format yaml
}

@test "-q wins over --format" {
	run_sleeping
	[ "$(nacre list --format json -q)" = "$ID" ]
}
