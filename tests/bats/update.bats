#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# update: limits of a container that is there.

load helpers

# The container's, which in a microVM is the guest's to keep.
pids_max() { if [ -n "${NACRE_ISOLATION-}" ]; then nacre exec "$ID" cat /sys/fs/cgroup/pids.max; else cg pids.max; fi; }

@test "by options" {
	requires cgroup controllers
	run_sleeping
	nacre update --memory "$(mib 64)" --memory-reservation "$(mib 32)" --memory-swap "$(($(mib 96) / 1048576))MiB" --cpu-share 512 --cpu-quota 20000 --cpu-period=50000 \
		--cpu-burst 1000 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 42 "$ID"
	equals "$(mib 64)" "$(cg memory.max)"
	equals "$(mib 32)" "$(cg memory.low)"
	equals "$(mib 32)" "$(cg memory.swap.max)"
	equals 59 "$(cg cpu.weight)"
	equals "20000 50000" "$(cg cpu.max)"
	equals 1000 "$(cg cpu.max.burst)"
	equals 0 "$(cg cpuset.cpus)"
	equals 42 "$(pids_max)"
	[ "$(status_of "$ID")" = running ]
}

@test "what is not given stays" {
	requires cgroup controllers
	config --argjson m "$(mib 96)" '.linux.resources = {memory: {limit: ($m + 5)}, cpu: {quota: 30000, period: 60000}, pids: {limit: 9}}'
	run_sleeping
	nacre update --pids-limit 10 "$ID"
	equals "$(mib 96)" "$(cg memory.max)"
	nacre update --cpu-quota 15000 "$ID"
	equals "15000 60000" "$(cg cpu.max)"
	nacre update --cpu-period 50000 "$ID"
	equals "15000 50000" "$(cg cpu.max)"
	# Memory and swap together: the memory is the present limit.
	nacre update --memory-swap "$(mib 100)" "$ID"
	equals "$(mib 96)" "$(cg memory.max)"
	equals "$(mib 4)" "$(cg memory.swap.max)"
	equals 10 "$(pids_max)"
}

@test "as JSON from a file and from standard input, as engines send it" {
	requires cgroup controllers
	run_sleeping
	echo '{"memory": {"limit": '"$(mib 48)"'}, "cpu": {"shares": 0, "quota": 0}, "pids": {"limit": 7}, "unified": {"memory.high": "'"$(($(mib 44) + 100))"'"}}' >"$T/r.json"
	nacre update -r "$T/r.json" "$ID"
	equals "$(mib 48)" "$(cg memory.max)"
	equals 7 "$(pids_max)"
	equals "$(mib 44)" "$(cg memory.high)"
	echo '{"pids": {"limit": 8}}' | nacre update --resources=- "$ID"
	equals 8 "$(pids_max)"
	equals "$(mib 48)" "$(cg memory.max)"
	echo '{}' | nacre update --resources - "$ID"
}

@test "limits are taken away by -1" {
	requires cgroup controllers
	config --argjson m "$(mib 96)" '.linux.resources = {memory: {limit: $m, swap: $m}, cpu: {quota: 30000}, pids: {limit: 9}}'
	run_sleeping
	nacre update --memory -1 --cpu-quota=-1 --pids-limit -1 "$ID"
	equals max "$(cg memory.max)"
	equals max "$(cg memory.swap.max)"
	equals "max 100000" "$(cg cpu.max)"
	equals max "$(pids_max)"
}

@test "when one write fails, everything is as it was" {
	requires cgroup controllers
	config --argjson m "$(mib 96)" '.linux.resources = {memory: {limit: $m, reservation: 4096}, cpu: {quota: 30000, burst: 500, shares: 4096}, pids: {limit: 9}}'
	run_sleeping
	local before after
	before=$(snapshot)
	refused 1 "cannot set cpuset.cpus" update --memory "$(mib 80)" --memory-reservation 1m --pids-limit 77 --cpu-quota 5000 --cpu-burst 100 --cpu-share 99 \
		--cpuset-cpus 4000 "$ID"
	after=$(snapshot)
	equals "$before" "$after"
	echo '{"pids": {"limit": 5}, "unified": {"memory.high": "nonsense"}}' >"$T/r.json"
	refused 1 "nonsense" update -r "$T/r.json" "$ID"
	equals "$before" "$(snapshot)"
}
snapshot() { for f in memory.max memory.low memory.high memory.swap.max cpu.max cpu.max.burst cpu.weight pids.max cpuset.cpus; do echo "$f $(cg $f)"; done; }

@test "burst and quota, up and down, in one update" {
	requires cgroup controllers
	config '.linux.resources.cpu = {quota: 30000, burst: 20000}'
	run_sleeping
	nacre update --cpu-quota 50000 --cpu-burst 40000 "$ID"
	equals 40000 "$(cg cpu.max.burst)"
	nacre update --cpu-quota 10000 --cpu-burst 5000 "$ID"
	equals "10000 100000" "$(cg cpu.max)"
	equals 5000 "$(cg cpu.max.burst)"
}

@test "a process without a new one allowed: pids 0" {
	requires cgroup controllers container
	run_sleeping
	nacre update --pids-limit 0 "$ID"
	equals 0 "$(cg pids.max)"
	try nacre exec "$ID" true
	[ "$status" -ne 0 ]
}

@test "checkBeforeUpdate refuses a limit below the use" {
	requires cgroup controllers
	run_sleeping
	echo '{"memory": {"limit": 4096, "checkBeforeUpdate": true}}' >"$T/r.json"
	refused 1 "$([ -n "${NACRE_ISOLATION-}" ] && echo "does not give back enough" || echo "in use")" update -r "$T/r.json" "$ID"
	equals max "$(cg memory.max)"
	[ "$(status_of "$ID")" = running ]
}

@test "devices: only when they are given" {
	requires cgroup
	config '.root.readonly = false | .linux.resources.devices = [{allow: false, access: "rwm"}] | .process.capabilities.bounding += ["CAP_MKNOD"]
		| .process.capabilities.permitted += ["CAP_MKNOD"] | .process.capabilities.effective += ["CAP_MKNOD"]'
	args sh -c 'mknod /tmp/dev c 240 7; exec sleep 1000'
	nacre run -d "$ID"
	wait_for 10 test -e rootfs/tmp/dev
	opens "not permitted"
	echo '{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 240, "minor": 7, "access": "r"}]}' |
		nacre update -r - "$ID"
	opens "No such device"
	echo '{}' | nacre update -r - "$ID"
	opens "No such device"
	echo '{"devices": [{"allow": false, "access": "rwm"}]}' | nacre update -r - "$ID"
	opens "not permitted"
}
# What open(2) of a device without a driver says: EPERM from the device rules, or ENXIO behind them.
opens() { run nacre exec "$ID" dd if=/tmp/dev of=/dev/null count=0 && [[ "$output" == *"$1"* ]]; }

@test "created and paused containers can be updated, stopped ones cannot" {
	requires cgroup controllers
	args sleep 1000
	nacre create "$ID"
	nacre update --pids-limit 30 "$ID"
	nacre start "$ID"
	equals 30 "$(pids_max)"
	nacre pause "$ID"
	nacre update --pids-limit 31 "$ID"
	nacre resume "$ID"
	equals 31 "$(pids_max)"
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	refused 1 "container not running" update --pids-limit 32 "$ID"
}

@test "bad input changes nothing" {
	requires cgroup
	run_sleeping
	refused 1 "nothing to change" update "$ID"
	refused 1 "does not exist" update --pids-limit 1 no-such-"$ID"
	refused 1 '--memory: "12x" is not' update --memory 12x "$ID"
	refused 1 '--pids-limit: "" is not' update --pids-limit= "$ID"
	refused 1 '--cpu-idle: "2"' update --cpu-idle 2 "$ID"
	refused 1 '--blkio-weight: "5"' update --blkio-weight 5 "$ID"
	refused 1 'cgroup v1' update --kernel-memory 5m "$ID"
	refused 1 'cgroup v1' update --cpu-rt-runtime 5 "$ID"
	refused 1 "cannot read the resources" update -r "$T/none" "$ID"
	echo '{"memory": {"limit": "x"}}' >"$T/r.json"
	refused 1 "memory.limit: must be" update -r "$T/r.json" "$ID"
	echo '{"memory": {"limit": ' >"$T/r.json"
	refused 1 "r.json: " update -r "$T/r.json" "$ID"
	echo '{"memory": {"swappiness": 5}}' >"$T/r.json"
	refused 1 "memory.swappiness" update -r "$T/r.json" "$ID"
}

@test "resctrl schemata of a container without linux.intelRdt" {
	run_sleeping
	refused 1 "has no resctrl group" update --l3-cache-schema 'L3:0=f' "$ID"
	refused 1 "has no resctrl group" update --mem-bw-schema 'MB:0=20' --pids-limit 5 "$ID"
	refused 1 '--mem-bw-schema: "L3:0=f" is not one line that starts with MB:' update --mem-bw-schema 'L3:0=f' "$ID"
}

@test "a container without a cgroup cannot be updated" {
	requires container
	args sleep 1000
	nacre --cgroup-manager=disabled run -d "$ID"
	refused 1 "has no cgroup" update --pids-limit 5 "$ID"
}

@test "a controller that is in cgroup v1: its name and the reason" {
	requires container cgroup hybrid
	run_sleeping
	refused 1 'controller "pids" is bound to cgroup v1' update --pids-limit 5 "$ID"
}
