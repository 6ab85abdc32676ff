#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stats: what containers use, for people.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

MIB=$((1024 * 1024))
TAKE=$'\033[?1049h'	# the terminal's second screen
GIVE_BACK=$'\033[?1049l'

cleanup() {
	[ -z "${STATS-}" ] || kill "$STATS" 2>/dev/null || true
	nacre resume "$ID" >/dev/null 2>&1 || true
}

# stats ARG...: in the background, its lines in $T/stats.
stats() {
	detached "$NACRE_BIN" --root "$ROOT" stats "$@" >"$T/stats" 2>"$T/stats.err"
	STATS=$!
}

stats_ended() {
	local end=$((SECONDS + 10 * ${PATIENCE:-1})) status=0
	while kill -0 "$STATS" 2>/dev/null && [ -e "/proc/$STATS/exe" ]; do
		[ "$SECONDS" -lt "$end" ] || { echo "still runs"; return 1; }
		sleep 0.05
	done
	wait "$STATS" || status=$?
	STATS=
	[[ $status == 0 && ! -s $T/stats.err ]] || { echo "status $status"; cat "$T/stats.err"; return 1; }
}

has_lines() { [ "$(grep -c "$2" "$T/stats")" -ge "$1" ]; }

# on_terminal STEP... -- ARG...: nacre ARG... on a fresh terminal; what it showed is in $output.
on_terminal() {
	local steps=()
	while [ "$1" != -- ]; do steps+=("$1") && shift; done
	# Also where the caller has none, as a service; bash says dumb then.
	TERM=${ON_TERM:-xterm} try "$HELPERS/pty-run" "${steps[@]}" settings -- "$NACRE_BIN" --root "$ROOT" "${@:2}"
}

# when_shown SCRIPT: in the background, once the terminal shows the container: SCRIPT with the program, the state
# directory and the ID.
when_shown() {
	rm -f "$T/try.out"
	detached timeout 20 bash -c 'until grep -q "$2" "$3" 2>/dev/null; do sleep 0.05; done; '"$1" \
		"$NACRE_BIN" "$ROOT" "$ID" "$T/try.out"
}

@test "--no-stream: a head, a line for each running container, in order" {
	requires cgroup
	nacre run --keep "$ID-stopped"
	args sleep 1000
	for id in "$ID-b" "$ID-a"; do nacre run -d "$id" </dev/null; done
	nacre create "$ID-created"
	run nacre stats --no-stream --interval 10ms
	[ "$status" -eq 0 ]
	equals "ID $ID-a $ID-b $ID-created" "$(awk '{ print $1 }' <<<"$output" | xargs)"
	[[ "${lines[0]}" =~ ^"ID "\ +"CPU %"\ +"MEM USAGE / LIMIT"\ +"MEM %"\ +PIDS\ +"IO READ / WRITTEN"\ +PRESSURE ]]
	[[ "$output" != *$'\033'* ]]
}

@test "--no-stream: no containers, or no state directory at all" {
	run nacre stats --no-stream
	[ "$status" -eq 0 ]
	equals 1 "${#lines[@]}"
	equals "[]" "$(nacre stats --no-stream --format json)"
}

@test "--no-stream: CPU % is that of the interval" {
	requires cgroup
	local cpu
	sh_args 'while :; do :; done'
	nacre run -d "$ID" </dev/null
	cpu=$(nacre stats --no-stream --interval 400ms --format json "$ID" | jq '.[0].cpuPercent')
	jq -n -e "$cpu > 5 and $cpu < 130"
	nacre pause "$ID"
	equals 0 "$(nacre stats --no-stream --interval 50ms --format json "$ID" | jq '.[0].cpuPercent | floor')"
}

@test "--no-stream: one that ends meanwhile is not shown, and nothing is waited for after it" {
	requires cgroup
	run_sleeping
	stats --no-stream --interval 1h "$ID"
	wait_for 10 test -e "/proc/$STATS/fdinfo"
	wait_for 10 bash -c 'grep -q timerfd <(ls -l /proc/'"$STATS"'/fd)'
	nacre kill "$ID" KILL
	stats_ended
	equals 1 "$(wc -l <"$T/stats")"
}

@test "without controllers there are dashes, and the processes are counted" {
	requires cgroup container	# a guest has its own
	! grep -qw memory "$(cgroup_mount)/cgroup.subtree_control" || skip "the memory controller is enabled here"
	run_sleeping
	nacre exec -d "$ID" sleep 1000
	run nacre stats --no-stream --interval 10ms "$ID"
	[[ "${lines[1]}" =~ ^"$ID "\ +[0-9.]+\ +"- / -"\ +-\ +2\ +"- / -" ]]
	equals '[null,null,null,2,null,null]' "$(nacre stats --no-stream --interval 10ms --format json "$ID" |
		jq -c '.[0] | [.memoryUsage, .memoryLimit, .memoryPercent, .pids, .ioRead, .ioWritten]')"
}

@test "without a cgroup there are dashes" {
	requires container	# inside a guest there always is one
	config '.linux.namespaces -= [{"type": "cgroup"}] | .mounts |= map(select(.type != "cgroup"))'
	args sleep 1000
	nacre --cgroup-manager disabled run -d "$ID" </dev/null
	run nacre stats --no-stream --interval 10ms "$ID"
	[ "$status" -eq 0 ]
	[[ "${lines[1]}" =~ ^"$ID "\ +-\ +"- / -"\ +-\ +-\ +"- / -"\ +-$ ]]
}

@test "memory, limit and percent" {
	requires root memory unified
	memory_limit "$(mib 64)"
	args hog 32
	detached nacre run "$ID" >"$T/out"
	wait_for 20 grep -q full "$T/out"
	run nacre stats --no-stream --interval 10ms "$ID"
	[[ -n "${NACRE_ISOLATION-}" || "${lines[1]}" =~ \ 3[2-9](\.[0-9])?"MiB / 64MiB  "\ *[56][0-9]\.[0-9][0-9]\ +1\ +"0B / 0B " ]]
	nacre stats --no-stream --interval 10ms --format json "$ID" | jq -e --argjson mib $MIB --argjson limit "$(mib 64)" \
		'.[0] | .memoryUsage > 32 * $mib and .memoryUsage < 40 * $mib and .memoryLimit == $limit
			and (.memoryPercent - 100 * .memoryUsage / $limit | fabs) < 1 and .pids == 1'
}

@test "off a terminal: table after table, without cursor movement; it ends with the containers that were named" {
	requires cgroup
	run_sleeping
	run_sleeping "$ID-2"
	stats --interval 50ms "$ID" "$ID-2"
	wait_for 10 has_lines 3 "^ID "
	has_lines 2 "^$ID-2 "
	run ! grep -q $'\033' "$T/stats"
	nacre delete --force "$ID-2"
	kill -0 "$STATS"
	nacre delete --force "$ID"
	stats_ended
}

@test "all of them: who ends disappears, who starts appears, and it goes on without any" {
	requires cgroup
	run_sleeping
	stats --interval 50ms --format json
	shown() { [ "$(tail -n 1 "$T/stats" | jq -c 'map(.id)')" = "$1" ]; }
	wait_for 10 shown "[\"$ID\"]"
	run_sleeping "$ID-2"
	wait_for 10 shown "[\"$ID\",\"$ID-2\"]"
	nacre kill "$ID" KILL
	wait_for 10 shown "[\"$ID-2\"]"
	nacre delete --force "$ID-2"
	wait_for 10 shown "[]"
	kill -0 "$STATS"
	# The same name again is another container.
	nacre delete "$ID"
	run_sleeping
	wait_for 10 shown "[\"$ID\"]"
}

@test "it costs nothing while it waits" {
	requires cgroup
	local before
	run_sleeping
	stats --interval 1h
	wait_for 10 bash -c 'grep -q timerfd <(ls -l /proc/'"$STATS"'/fd)'
	ticks() { awk '{ print $14 + $15 }' "/proc/$STATS/stat"; }
	before=$(ticks)
	sleep 0.7
	[ $(($(ticks) - before)) -le 5 ]
}

@test "on a terminal: redrawn, and q leaves it as it was" {
	requires cgroup
	run_sleeping
	on_terminal "wait=$ID" "wait=$ID" send=q -- stats --interval 50ms
	[ "$status" -eq 0 ]
	equals "settings kept" "$stderr"
	[[ "$output" == "$TAKE"*"ID "*"$ID"*"$GIVE_BACK" ]]
	# At most the typed letter is not shown either.
	[[ "$output" != *q* ]]
}

@test "on a terminal: Ctrl-C, SIGTERM and the end of the containers leave it as it was" {
	requires cgroup
	run_sleeping
	on_terminal "wait=$ID" 'send=\x03' -- stats
	[ "$status" -eq 0 ]
	equals "settings kept" "$stderr"
	[[ "$output" == "$TAKE"*"$GIVE_BACK" ]]

	when_shown 'pkill -TERM -x -f -- "[^ ]*nacre[^ ]*( --[^ ]*)* --root $1 stats --interval 1h"'
	on_terminal "wait=$ID" -- stats --interval 1h
	[ "$status" -eq 0 ]
	equals "settings kept" "$stderr"
	[[ "$output" == "$TAKE"*"$GIVE_BACK" ]]

	when_shown '"$0" --root "$1" kill "$2" KILL'
	on_terminal "wait=$ID" -- stats --interval 1h "$ID"
	[ "$status" -eq 0 ]
	equals "settings kept" "$stderr"
	[[ "$output" == *"$GIVE_BACK" ]]
}

@test "on a terminal: no more lines than it has" {
	requires cgroup
	local id picture
	args sleep 1000
	for id in 1 2 3 4 5; do nacre run -d "$ID-$id" </dev/null; done
	on_terminal size=4x80 "wait=$ID-3" "wait=$ID-3" send=q -- stats --interval 50ms
	[ "$status" -eq 0 ]
	[[ "$output" != *"$ID-4"* ]]
	# A line end after the last line would scroll: a picture of four has three.
	picture=${output#*$'\033[H'}
	equals 4 "$(wc -l <<<"${picture%%$'\033[H'*}")"
	on_terminal size=4x80 "wait=$ID-3" size=20x80 "wait=$ID-5" send=q -- stats --interval 1h
	[ "$status" -eq 0 ]
}

@test "on a terminal that is none to draw on: as off one" {
	requires cgroup
	run_sleeping
	ON_TERM=dumb on_terminal "wait=$ID" 'send=\x03' -- stats --interval 50ms
	[[ "$output" != *$'\033'* ]]
}

@test "one that does not run, or does not exist" {
	requires cgroup
	nacre run --keep "$ID"
	refused 1 "container not running" stats "$ID"
	refused 1 "container not running" stats --no-stream "$ID"
	refused 1 'container "nothing" does not exist' stats nothing
}

@test "options: format and interval" {
	refused 1 '"yaml" is neither table nor json' stats --format yaml
	refused 1 "is not a time" stats --interval soon
	refused 1 "is not at least 1ms" stats --interval 0
}

@test "a stdout that cannot take it is an error" {
	requires cgroup
	local format
	run_sleeping
	for format in table json; do
		run timeout 10 bash -c '"$0" --root "$1" stats --interval 10ms --format "$2" >/dev/full' "$NACRE_BIN" "$ROOT" "$format"
		[ "$status" -eq 1 ]
		[[ "$output" == *"o space left"* ]]
	done
}
