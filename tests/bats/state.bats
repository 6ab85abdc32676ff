#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# state: the JSON that engines poll, in every status.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

field() { nacre state "$ID" | jq -r "$1"; }

@test "created: every field" {
	args sleep 1000
	nacre create "$ID"
	[ "$(field .id)" = "$ID" ]
	[ "$(field .status)" = created ]
	[ "$(field .bundle)" = "$BUNDLE" ]
	[ "$(field .rootfs)" = "$BUNDLE/rootfs" ]
	[ "$(field .ociVersion)" = 1.3.0 ]
	[ "$(field '.pid | type')" = number ]
	[ -d "/proc/$(field .pid)" ]
	[ "$(field .owner)" = root ]
	[[ "$(field .created)" =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$ ]]
}

@test "running: the same pid as created" {
	local pid
	args sleep 1000
	nacre create "$ID"
	pid=$(field .pid)
	nacre start "$ID"
	[ "$(field .status)" = running ]
	[ "$(field .pid)" = "$pid" ]
}

@test "paused" {
	requires cgroup
	run_sleeping
	nacre pause "$ID"
	[ "$(field .status)" = paused ]
	[ "$(field .pid)" -gt 0 ]
	nacre resume "$ID"
	[ "$(field .status)" = running ]
}

@test "stopped: pid 0" {
	nacre run --keep "$ID"
	[ "$(field .status)" = stopped ]
	[ "$(field .pid)" = 0 ]
}

@test "stopped as soon as the process is gone, also as an unreaped zombie" {
	local creator
	args sleep 1000
	# This parent does not wait for its adopted child: what is left of the process is a zombie.
	detached bash -c '"$1" --root "$2" run "$3" </dev/null; true' - "$NACRE_BIN" "$ROOT" "$ID"
	creator=$!
	wait_for 10 has_status "$ID" running
	# shellcheck disable=SC2046
	kill -STOP $(pgrep -P "$creator")
	kill -KILL "$(field .pid)"
	wait_for 10 has_status "$ID" stopped
	[ "$(field .pid)" = 0 ]
	# shellcheck disable=SC2046
	kill -CONT $(pgrep -P "$creator")
	wait "$creator"
}

@test "creating: while hooks run, with the pid or 0" {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "touch \($t)/in; until [ -e \($t)/go ]; do sleep 0.05; done"]}]'
	detached "$NACRE_BIN" --root "$ROOT" create "$ID"
	wait_for 10 test -e "$T/in"
	[ "$(field .status)" = creating ]
	touch "$T/go"
	wait $!
	[ "$(field .status)" = created ]
}

@test "it does not wait for somebody who works on the container" {
	config --arg t "$T" '.hooks.poststart = [{path: "/bin/sh", args: ["sh", "-c", "touch \($t)/in; until [ -e \($t)/go ]; do sleep 0.05; done"]}]'
	args sleep 1000
	detached "$NACRE_BIN" --root "$ROOT" run -d "$ID"
	wait_for 10 test -e "$T/in"
	timeout 5 "$NACRE_BIN" --root "$ROOT" state "$ID" >/dev/null
	timeout 5 "$NACRE_BIN" --root "$ROOT" list >/dev/null
	touch "$T/go"
	wait $!
}

@test "annotations: as given, and none when none are" {
	nacre create "$ID"
	[ "$(field 'has("annotations")')" = false ]
	nacre delete "$ID"
	config '.annotations = {"org.example.a": "1", "org.example.ü": "a \"b\" \\ \n"}'
	nacre create "$ID"
	[ "$(nacre state "$ID" | jq -cS .annotations)" = "$(jq -cS .annotations config.json)" ]
}

@test "a bundle whose path has odd characters" {
	mkdir "$T/odd \"name\" ä"
	cp -al rootfs config.json "$T/odd \"name\" ä/"
	nacre create -b "$T/odd \"name\" ä" "$ID"
	[ "$(field .bundle)" = "$T/odd \"name\" ä" ]
}

@test "exactly one JSON object, ending in a line break" {
	nacre create "$ID"
	nacre state "$ID" >"$T/out"
	[ "$(jq -s length "$T/out")" = 1 ]
	[ "$(tail -c1 "$T/out" | od -An -c | tr -d ' ')" = '\n' ]
}

@test "of one that does not exist: status 1 and the words engines look for" {
	refused 1 'container "nothing" does not exist' state nothing
	mkdir -p "$ROOT"
	refused 1 'container "nothing" does not exist' state nothing
}

@test "a name is not a prefix" {
	nacre create "$ID"
	refused 1 "does not exist" state "${ID%?}"
}

@test "a record of an isolation that is not known here is an error, and delete --force clears it" {
	local command
	nacre create "$ID"
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	sed -i 's/"isolation": *"[a-z]*"/"isolation": "hologram"/' "$ROOT/$ID/state.json"
	grep -q hologram "$ROOT/$ID/state.json"
	for command in state delete kill start pause events; do
		refused 1 "container \"$ID\": its state file names the isolation \"hologram\", which this nacre does not have" "$command" "$ID"
	done
	run --separate-stderr nacre list
	[ "$status" -eq 0 ]
	[[ "$stderr" == *warning*hologram* ]]
	nacre delete --force "$ID"
	[ ! -e "$ROOT/$ID" ]
	find "$(cgroup_mount)" -maxdepth 3 -depth -type d -name "*$ID*" -exec rmdir {} + 2>/dev/null || true
}

@test "a damaged record is an error that says so, and delete --force clears it" {
	local text
	for text in '{' '[]' '{"version": 1}' '{"version": 999}' '{"version": "x"}'; do
		nacre create "$ID"
		nacre kill "$ID" KILL
		wait_for 10 has_status "$ID" stopped
		printf %s "$text" >"$ROOT/$ID/state.json"
		run nacre state "$ID"
		[ "$status" -eq 1 ]
		[[ "$output" == *"$ID"* ]]
		nacre delete --force "$ID"
		find "$(cgroup_mount)" -maxdepth 3 -depth -type d -name "*$ID*" -exec rmdir {} + 2>/dev/null || true
	done
}

@test "a create that was killed before it wrote a record: an error, and delete --force clears it" {
	mkdir -p "$ROOT/$ID"
	refused 1 "has no state" state "$ID"
	nacre delete --force "$ID"
	refused 1 "does not exist" state "$ID"
	mkdir "$ROOT/$ID"
	touch "$ROOT/$ID/state.json"
	refused 1 "has no state" state "$ID"
	refused 1 "container not running" kill "$ID"
	refused 1 "already exists" create "$ID"
	nacre delete "$ID"
	nacre run "$ID"
}

@test "a create that has not written its record yet: creating" {
	local file creator
	mkdir -p "$ROOT/$ID"
	for file in "" state.json; do
		[ -z "$file" ] || touch "$ROOT/$ID/$file"
		detached flock -x "$ROOT/$ID" sleep 5
		creator=$!
		wait_for 5 locked "$ROOT/$ID"
		equals "creating 0 $ID 1.3.0" "$(field '"\(.status) \(.pid) \(.id) \(.ociVersion)"')"
		nacre list --format json | jq -e 'length == 1' >"$T/out"
		kill "$(pgrep -P "$creator")"
		wait "$creator" || true
	done
}

locked() { ! flock -n -x "$1" true; }

@test "a create that finishes while state looks: created" {
	local creator
	requires container strace
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "touch \($t)/in; until [ -e \($t)/go ]; do sleep 0.05; done"]}]'
	detached "$NACRE_BIN" --root "$ROOT" create "$ID" </dev/null
	creator=$!
	wait_for 10 test -e "$T/in"
	# It has read the record, and stands before the look at the lock.
	detached env "${TRACED[@]}" timeout 20 strace -o "$T/trace" -e trace=flock -e inject=flock:delay_enter=2000000:when=1 \
		"$NACRE_BIN" --root "$ROOT" state "$ID" >"$T/out" </dev/null
	wait_for 10 grep -q flock "$T/trace"
	touch "$T/go"
	wait "$creator"
	wait
	equals created "$(jq -r .status "$T/out")"
}

@test "running as soon as run --detach has returned" {
	requires cgroup
	args sleep 1000
	# pause refuses what is created. Without timeout(1) and jq between, so that it comes at once.
	timeout 100 bash -ec 'for ((i = 0; i < $3; i++)); do
			"$0" --root "$1" run -d "$2" </dev/null
			"$0" --root "$1" pause "$2"
			"$0" --root "$1" delete --force "$2"
		done' "$NACRE_BIN" "$ROOT" "$ID" "$([ "${NACRE_ISOLATION-}" = microvm ] && echo 3 || echo 40)"
}
