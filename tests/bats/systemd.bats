#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --systemd-cgroup: the container's cgroup is a scope of systemd's.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

setup() {
	common_setup
	requires cgroup systemd
}

# A container's scope is gone with it.
cleanup() {
	[ -d /run/systemd/system ] || return 0
	nacre delete -f "$ID" || true
	if [ -n "${FOREIGN:-}" ]; then systemctl stop "$FOREIGN"; fi
	# systemd keeps a slice that it has made for a scope.
	systemctl stop "nt-$ID.slice" 2>/dev/null || true
	[ -z "$(units)" ] || { echo "units left: $(units)"; return 1; }
}
units() { systemctl list-units --all --plain --no-legend "nacre-$ID*" "nt-$ID*"; }

snacre() { nacre --systemd-cgroup "$@"; }

sleeping() {
	args sleep 1000
	snacre run -d "$ID" </dev/null
}

unit() { echo "nacre-$ID.scope"; }
property() { systemctl show -P "$2" "$1"; }
scg() { cat "/sys/fs/cgroup/system.slice/$(unit)/$1"; }

@test "without cgroupsPath: a scope in system.slice" {
	sleeping
	equals "0::/system.slice/$(unit)" "$(grep ^0:: "/proc/$(pid_of "$ID")/cgroup")"
	equals active "$(property "$(unit)" ActiveState)"
	equals system.slice "$(property "$(unit)" Slice)"
	equals yes "$(property "$(unit)" Delegate)"
	[[ "$(property "$(unit)" Description)" == *"$ID"* ]]
	# Nobody but the container is in it.
	equals "$(pid_of "$ID")" "$(scg cgroup.procs)"
}

@test "a container that waits for start, or starts, is alone in its scope" {
	sh_args 'wc -l </sys/fs/cgroup/cgroup.procs'
	equals 1 "$(snacre run "$ID" </dev/null)"
	args sleep 1000
	snacre create "$ID" </dev/null
	equals "$(pid_of "$ID")" "$(scg cgroup.procs)"
}

@test "cgroupsPath: slice, prefix and name" {
	config --arg p "machine.slice:nt-$ID:part" '.linux.cgroupsPath = $p'
	sleeping
	equals "0::/machine.slice/nt-$ID-part.scope" "$(grep ^0:: "/proc/$(pid_of "$ID")/cgroup")"
	nacre delete -f "$ID"
	config --arg p "nt-$ID.slice:nt-$ID:deep" '.linux.cgroupsPath = $p'
	sleeping
	[[ "$(grep ^0:: "/proc/$(pid_of "$ID")/cgroup")" == */nt-$ID-deep.scope ]]
	nacre delete -f "$ID"
}

@test "cgroupsPath that is no slice:prefix:name is refused" {
	local path
	for path in /a/b a:b a:b:c:d "no-slice:nt:$ID" "machine.slice:nt/x:$ID" "../machine.slice:nt:$ID"; do
		config --arg p "$path" '.linux.cgroupsPath = $p'
		try snacre create "$ID"
		[ "$status" -eq 1 ] || { echo "$path"; return 1; }
		[[ "$stderr" == *cgroupsPath* ]] || { echo "$path: $stderr"; return 1; }
	done
}

@test "limits are in the files, and systemd knows them" {
	config '.linux.resources += {memory: {limit: 67108864, reservation: 33554432}, cpu: {shares: 512, quota: 20000, period: 50000, cpus: "0"},
		pids: {limit: 42}, unified: {"memory.high": "50331648"}}'
	sleeping
	equals "67108864 33554432 50331648 42 59" "$(for f in memory.max memory.low memory.high pids.max cpu.weight; do scg $f; done | paste -sd ' ')"
	equals "20000 50000" "$(scg cpu.max)"
	equals 0 "$(scg cpuset.cpus)"
	equals 67108864 "$(property "$(unit)" MemoryMax)"
	equals 42 "$(property "$(unit)" TasksMax)"
	equals 59 "$(property "$(unit)" CPUWeight)"
	equals 400ms "$(property "$(unit)" CPUQuotaPerSecUSec)"
}

# The process that holds a new scope open counts, too, until the container's own is there.
@test "pids: a limit of 0 or 1 is the first process and no more" {
	local resources
	sh_args 'echo one; /bin/true; echo not here'
	for resources in '{pids: {limit: 0}}' '{pids: {limit: 1}}' '{unified: {"pids.max": "1"}}'; do
		config ".linux.resources = $resources"
		run snacre run "$ID" </dev/null
		[ "$status" -ne 0 ]
		equals one "${lines[0]}"
		[[ "$output" == *"fork"* && "$output" != *"not here"* ]]
	done
	args sleep 1000
	snacre create "$ID" </dev/null
	equals 1 "$(scg pids.max)"
	equals 1 "$(scg pids.current)"
}

@test "a daemon-reload changes neither limits nor devices" {
	config '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 0}, cpu: {quota: 20000, burst: 700},
		devices: [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 240, minor: 7, access: "r"}]}
		| .linux.resources.pids.limit = 30 | .root.readonly = false
		| .process.capabilities |= with_entries(if .key == "ambient" or .key == "inheritable" then . else .value += ["CAP_MKNOD"] end)'
	args sh -c 'mknod /tmp/yes c 240 7; mknod /tmp/no c 241 7; exec sleep 1000'
	snacre run -d "$ID" </dev/null
	wait_for 20 test -e rootfs/tmp/no
	devices
	for _ in 1 2; do
		systemctl daemon-reload
		devices
		equals "67108864 30 700" "$(for f in memory.max pids.max cpu.max.burst; do scg $f; done | paste -sd ' ')"
	done
}
# The one that is allowed has no driver (ENXIO), the other is not allowed (EPERM).
devices() {
	run nacre exec "$ID" dd if=/tmp/yes of=/dev/null count=0
	[[ "$output" == *"No such device"* ]]
	run nacre exec "$ID" dd if=/tmp/no of=/dev/null count=0
	[[ "$output" == *"not permitted"* ]]
	nacre exec "$ID" dd if=/dev/zero of=/dev/null count=1
}

@test "update: files and properties, kept over a daemon-reload" {
	config '.linux.resources.memory.limit = 67108864'
	sleeping
	nacre update --memory 33554432 --pids-limit 17 --cpu-quota 30000 "$ID"
	systemctl daemon-reload
	equals "33554432 17" "$(for f in memory.max pids.max; do scg $f; done | paste -sd ' ')"
	equals "30000 100000" "$(scg cpu.max)"
	equals 33554432 "$(property "$(unit)" MemoryMax)"
	equals 17 "$(property "$(unit)" TasksMax)"
	refused 1 cpuset.cpus update --memory 20000000 --cpuset-cpus 4000 "$ID"
	equals 33554432 "$(scg memory.max)"
}

@test "update: systemd cannot be asked: files and devices are as before" {
	config '.linux.resources = {memory: {limit: 67108864}, devices: [{allow: false, access: "rwm"},
		{allow: true, type: "c", major: 240, minor: 7, access: "r"}]} | .root.readonly = false
		| .process.capabilities |= with_entries(if .key == "ambient" or .key == "inheritable" then . else .value += ["CAP_MKNOD"] end)'
	args sh -c 'mknod /tmp/yes c 240 7; mknod /tmp/no c 241 7; exec sleep 1000'
	snacre run -d "$ID" </dev/null
	wait_for 20 test -e rootfs/tmp/no
	echo '{"memory": {"limit": 33554432}, "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 241,
		"minor": 7, "access": "r"}]}' >"$T/r.json"
	# No way to systemd, in a mount namespace of its own.
	try in_mount_ns 'mount -t tmpfs none /run/systemd; mount -t tmpfs none /run/dbus; nacre update -r "$T/r.json" "$ID"'
	[ "$status" -eq 1 ]
	[[ "$stderr" == *systemd* ]]
	devices
	equals 67108864 "$(scg memory.max)"
	nacre update -r "$T/r.json" "$ID"
	equals 33554432 "$(scg memory.max)"
	run nacre exec "$ID" dd if=/tmp/no of=/dev/null count=0
	[[ "$output" == *"No such device"* ]]
	run nacre exec "$ID" dd if=/tmp/yes of=/dev/null count=0
	[[ "$output" == *"not permitted"* ]]
}

@test "annotations become properties of the unit" {
	config '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000", "org.systemd.property.CollectMode": "'"'inactive-or-failed'"'"}'
	sleeping
	equals 7s "$(property "$(unit)" TimeoutStopUSec)"
	nacre delete -f "$ID"
	config '.annotations = {"org.systemd.property.Timeout Stop": "1"}'
	try snacre create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *annotations* ]]
	config '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 x"}'
	try snacre create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *TimeoutStopUSec* ]]
}

@test "exec, pause, resume, kill and delete need no option" {
	sleeping
	equals "0::/" "$(nacre exec "$ID" grep ^0:: /proc/self/cgroup)"
	nacre pause "$ID"
	equals paused "$(status_of "$ID")"
	nacre resume "$ID"
	nacre kill "$ID" KILL
	wait_for 20 has_status "$ID" stopped
	nacre delete "$ID"
	equals inactive "$(property "$(unit)" ActiveState)"
	[ ! -e "/sys/fs/cgroup/system.slice/$(unit)" ]
}

@test "in the foreground, and again under the same name at once" {
	sh_args 'exit 7'
	for _ in 1 2 3; do
		run -7 snacre run "$ID"
	done
	[ ! -e "/sys/fs/cgroup/system.slice/$(unit)" ]
}

@test "sub-cgroups that the container made go with it" {
	config '.mounts |= map(if .type == "cgroup" then .options |= map(select(. != "ro")) else . end) | .root.readonly = false'
	sh_args 'mkdir -p /sys/fs/cgroup/a/b && sleep 1000 & mkdir /sys/fs/cgroup/c; echo $! >/sys/fs/cgroup/c/cgroup.procs; echo >/ready; sleep 1000'
	snacre run -d "$ID" </dev/null
	wait_for 20 test -e rootfs/ready
	nacre delete -f "$ID"
	[ ! -e "/sys/fs/cgroup/system.slice/$(unit)" ]
}

@test "a unit of that name that is somebody else's is left alone" {
	FOREIGN=nacre-$ID.scope
	systemd-run --quiet --scope --unit="$FOREIGN" sleep 1000 3>&- &
	wait_for 20 systemctl is-active --quiet "$FOREIGN"
	args true
	try snacre create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"$FOREIGN"* ]]
	systemctl is-active --quiet "$FOREIGN"
	try nacre delete -f "$ID"
	systemctl is-active --quiet "$FOREIGN"
}

@test "a cgroup that is there already, and frozen, is refused" {
	local dir
	dir=/sys/fs/cgroup/system.slice/$(unit)
	mkdir -p "$dir"
	echo 1 >"$dir/cgroup.freeze"
	args true
	if snacre run "$ID" >"$T/said" 2>&1 </dev/null; then false; fi
	grep -q "frozen" "$T/said"
	# systemd counts the directory as the unit's, and removes it with that.
	[ -z "$(units)" ]
}

@test "a create that fails late leaves no unit" {
	config '.linux.resources.cpu.cpus = "4000"'
	try snacre create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *cpuset.cpus* ]]
	[ -z "$(units)" ]
	config 'del(.linux.resources.cpu) | .process.args = ["/none"]'
	try snacre create "$ID"
	[ "$status" -eq 1 ]
	[ -z "$(units)" ]
}

@test "a create that is killed leaves no unit, or delete --force ends it" {
	local ms
	args sleep 1000
	for ms in 020 060 100 150 200 300; do
		timeout -s KILL "0.$ms" "$NACRE_BIN" --root "$ROOT" --systemd-cgroup create "$ID" </dev/null >/dev/null 2>&1 || true
		nacre delete -f "$ID"
		wait_for 20 no_units
	done
}
no_units() { [ -z "$(units)" ]; }

@test "doctor knows systemd" {
	nacre doctor --json | jq -e '.[] | select(.name == "systemd") | .level == "ok"'
}
