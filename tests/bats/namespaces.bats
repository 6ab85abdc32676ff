#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.namespaces: new, joined, absent; hostname, loopback, time offsets.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

# TYPE FILE of the eight kinds, without user: that one has its own file.
KINDS=("pid pid" "network net" "mount mnt" "ipc ipc" "uts uts" "cgroup cgroup" "time time")

cleanup() {
	if [ -n "${HOLDER:-}" ]; then kill -9 "$HOLDER" 2>/dev/null || true; fi
}

# Only these namespaces, and what works without the others.
only_namespaces() {
	config --argjson v "$1" '.linux.namespaces = $v | del(.hostname) | .mounts = [.mounts[] | select(.destination == "/proc")]'
}

# hold UNSHARE-OPTION...: a process with new namespaces; $HELD is its pid.
hold() {
	unshare "$@" sleep 1000 3>&- &
	HOLDER=$!
	disown "$HOLDER"
	HELD=$HOLDER
	wait_for 10 holder_runs
}
holder_runs() {
	local child
	[ -d "/proc/$HOLDER" ] || return 1
	child=$(cat "/proc/$HOLDER/task/$HOLDER/children")
	if [ -n "$child" ]; then HELD=${child% }; fi
	[ "$(cat "/proc/$HELD/comm")" = sleep ]
}

@test "all eight namespaces new: none is the host's" {
	requires timens userns
	with_userns
	config '.linux.namespaces += [{type: "time"}]'
	sh_args 'for n in pid net mnt ipc uts user cgroup time; do readlink /proc/self/ns/$n; done'
	run -0 nacre run "$ID"
	[ "${#lines[@]}" -eq 8 ]
	# Another kernel's may have the numbers of this one's: each begins with the same.
	[ -n "${NACRE_ISOLATION-}" ] || for n in pid net mnt ipc uts user cgroup time; do
		[[ "$output" != *"$(readlink /proc/self/ns/$n)"* ]]
	done
}

@test "one new namespace leaves the others the host's" {
	requires timens container	# the host's namespaces are not a guest's
	local kind type file want n
	for kind in "${KINDS[@]}"; do
		read -r type file <<<"$kind"
		only_namespaces "$(jq -nc --arg t "$type" '[{type: "mount"}, {type: $t}] | unique')"
		sh_args 'for n in pid net mnt ipc uts user cgroup time; do readlink /proc/self/ns/$n; done'
		run -0 nacre run "$ID"
		for n in pid net ipc uts user cgroup time; do
			want=1
			[ "$n" != "$file" ] || want=0
			equals "$type: $n $want" "$type: $n $(grep -c "^$(readlink /proc/self/ns/$n | sed 's/[][]/\\&/g')$" <<<"$output")"
		done
	done
}

@test "every kind of namespace can be joined by path" {
	requires timens container	# the host's namespaces are not a guest's
	local kind type file
	hold --fork --kill-child -muinpCT
	for kind in "${KINDS[@]}"; do
		read -r type file <<<"$kind"
		only_namespaces "$(jq -nc --arg t "$type" --arg p "/proc/$HELD/ns/$file" \
			'[{type: "mount"}, {type: "pid"}] | map(select(.type != $t)) + [{type: $t, path: $p}]')"
		args readlink "/proc/self/ns/$file"
		run -0 nacre run "$ID"
		equals "$type: $(readlink "/proc/$HELD/ns/$file")" "$type: $output"
	done
}

@test "a user namespace can be joined by path" {
	requires userns container	# the host's namespaces are not a guest's
	hold -U
	echo 0 100000 65536 >"/proc/$HELD/uid_map"
	echo 0 100000 65536 >"/proc/$HELD/gid_map"
	chmod 755 "$T"
	config --arg p "/proc/$HELD/ns/user" '.linux.namespaces += [{type: "user", path: $p}]'
	args readlink /proc/self/ns/user
	run -0 nacre run "$ID"
	equals "$(readlink "/proc/$HELD/ns/user")" "$output"
}

@test "a pod: a second container joins net, ipc and uts of the first" {
	requires container	# the host's namespaces are not a guest's
	config '.hostname = "pod"'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	pid=$(pid_of "$ID")
	config --arg p "/proc/$pid/ns" 'del(.hostname) | .linux.namespaces |= map(
		if .type == "network" then .path = $p + "/net" elif .type == "ipc" or .type == "uts" then .path = $p + "/" + .type else . end)'
	sh_args 'hostname; for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done'
	run -0 nacre run "$ID-2"
	equals pod "${lines[0]}"
	equals "$(readlink "/proc/$pid/ns/net")" "${lines[1]}"
	equals "$(readlink "/proc/$pid/ns/ipc")" "${lines[2]}"
	equals "$(readlink "/proc/$pid/ns/uts")" "${lines[3]}"
	[ "$(readlink "/proc/$pid/ns/pid")" != "${lines[4]}" ]
	[ "$(readlink "/proc/$pid/ns/mnt")" != "${lines[5]}" ]
}

@test "a container in another's pid namespace sees its processes" {
	requires container	# the host's namespaces are not a guest's
	args sleep 4321
	nacre create "$ID"
	nacre start "$ID"
	config --arg p "/proc/$(pid_of "$ID")/ns/pid" '.linux.namespaces |= map(if .type == "pid" then .path = $p else . end)'
	args ps
	run -0 nacre run "$ID-2"
	[[ "$output" == *"sleep 4321"* ]]
}

@test "a pod with a user namespace: user, net, ipc and uts joined; pid and mount new" {
	requires userns container	# the host's namespaces are not a guest's
	with_userns
	config '.hostname = "pod"'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	pid=$(pid_of "$ID")
	# Engines send the mappings of a joined user namespace, too.
	config --arg p "/proc/$pid/ns" 'del(.hostname) | .linux.namespaces |= map(
		if .type == "network" then .path = $p + "/net" elif .type | IN("ipc", "uts", "user") then .path = $p + "/" + .type else . end)'
	sh_args 'hostname; for n in user net ipc uts; do readlink /proc/self/ns/$n; done; id -u; echo $$; touch /dev/shm/f && stat -c %u /dev/shm/f'
	run -0 nacre run "$ID-2"
	equals pod "${lines[0]}"
	equals "$(readlink "/proc/$pid/ns/user")" "${lines[1]}"
	equals "$(readlink "/proc/$pid/ns/net")" "${lines[2]}"
	equals "$(readlink "/proc/$pid/ns/ipc")" "${lines[3]}"
	equals "$(readlink "/proc/$pid/ns/uts")" "${lines[4]}"
	equals "0 1 0" "${lines[5]} ${lines[6]} ${lines[7]}"
	config 'del(.linux.uidMappings, .linux.gidMappings)'
	run -0 nacre run "$ID-3"
	equals pod "${lines[0]}"
}

@test "exec is in all namespaces of the container" {
	requires timens userns
	with_userns
	config '.linux.namespaces += [{type: "time"}]'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" sh -c 'for n in pid net mnt ipc uts user cgroup time; do [ "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n)" ] || echo "$n differs"; done; echo end'
	equals end "$output"
}

@test "a namespace path of the wrong kind is refused" {
	requires timens
	local i type next
	for i in "${!KINDS[@]}"; do
		read -r type _ <<<"${KINDS[i]}"
		read -r _ next <<<"${KINDS[(i + 1) % ${#KINDS[@]}]}"
		only_namespaces "$(jq -nc --arg t "$type" --arg p "/proc/self/ns/$next" \
			'[{type: "mount"}] | map(select(.type != $t)) + [{type: $t, path: $p}]')"
		refuses "/proc/self/ns/$next" "not a $type namespace"
	done
}

@test "a namespace path that is no namespace is refused" {
	local path
	mkfifo "$T/fifo"
	for path in /etc/passwd /tmp /dev/null "$T/fifo"; do
		config --arg p "$path" '.linux.namespaces |= map(if .type == "ipc" then .path = $p else . end)'
		refuses "$path" "is not a namespace"
	done
}

@test "a namespace path that is missing is refused" {
	config '.linux.namespaces |= map(if .type == "ipc" then .path = "/run/nothing/here" else . end)'
	refuses /run/nothing/here "No such file"
}

@test "without a mount namespace: a chroot" {
	requires container	# the host's namespaces are not a guest's
	config '.linux.namespaces |= map(select(.type != "mount")) | .mounts = [] | .root.readonly = false
		| del(.linux.maskedPaths, .linux.readonlyPaths)'
	echo here >"$BUNDLE/rootfs/etc/marker"
	args cat /etc/marker
	run -0 nacre run "$ID"
	equals here "$output"
}

@test "without a mount namespace a container can be entered by exec" {
	requires container	# the host's namespaces are not a guest's
	config '.linux.namespaces |= map(select(.type != "mount")) | .mounts = [] | .root.readonly = false
		| del(.linux.maskedPaths, .linux.readonlyPaths)'
	echo here >"$BUNDLE/rootfs/etc/marker"
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" cat /etc/marker
	equals here "$output"
}

# Below the root file system of this container, in our own mount namespace.
mounts_below() { grep -c " $BUNDLE/rootfs" /proc/self/mountinfo; }

@test "without a mount namespace the mounts are the host's, private, and go with the container" {
	requires container	# the host's namespaces are not a guest's
	config '.linux.namespaces |= map(select(.type != "mount")) | .root.readonly = true
		| .mounts += [{destination: "/vol", type: "bind", source: "'"$T"'/vol", options: ["rbind", "rw"]}]'
	mkdir "$T/vol"
	mount --bind "$T" "$T"	# a shared one, as the host's is with systemd
	mount --make-shared "$T"
	sh_args 'set -e
		test -c /dev/null; test -d /proc/1; test -z "$(cat /proc/timer_list)"
		if (: >/proc/sys/kernel/domainname) 2>/dev/null; then echo "/proc/sys is writable"; fi
		if (: >/file) 2>/dev/null; then echo "the root is writable"; fi
		echo data >/vol/file; echo ready; exec sleep 1000'
	nacre create "$ID" >"$T/out" 2>&1
	[ "$(mounts_below)" -gt 5 ]
	run ! grep " $BUNDLE/rootfs/.* shared:" /proc/self/mountinfo
	nacre start "$ID"
	wait_for 5 grep -q ready "$T/out"
	equals ready "$(cat "$T/out")"
	equals data "$(cat "$T/vol/file")"
	equals data "$(nacre exec "$ID" cat /vol/file)"
	nacre delete --force "$ID"
	equals 0 "$(mounts_below)"
	[ -e "$T/vol/file" ]
	nacre run --detach "$ID" >"$T/out" 2>&1
	nacre kill "$ID" KILL
	wait_for 5 has_status "$ID" stopped
	nacre delete "$ID"
	equals 0 "$(mounts_below)"
	umount "$T"
}

@test "without a mount namespace a failed create leaves no mount" {
	requires container
	config '.linux.namespaces |= map(select(.type != "mount"))
		| .mounts += [{destination: "/late", type: "bind", source: "'"$T"'/none", options: ["bind"]}]'
	run nacre create "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *"$T/none"* ]]
	equals 0 "$(mounts_below)"
	config '.mounts = .mounts[:-1] | .process.args = ["/nowhere"]'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	equals 0 "$(mounts_below)"
}

@test "without a mount namespace: not with a user namespace, nor with linux.rootfsPropagation, nor over the host's root" {
	requires root
	config '.linux.namespaces |= map(select(.type != "mount")) | .linux.rootfsPropagation = "slave"'
	refuses linux.rootfsPropagation "mount namespace"
	config 'del(.linux.rootfsPropagation) | .root.path = "/"'
	[ -n "${NACRE_ISOLATION-}" ] || refuses root.path "the host's root"
	# Also by another name.
	ln -s / "$T/other"
	config --arg path "$T/other" '.root.path = $path | .mounts = []'
	[ -n "${NACRE_ISOLATION-}" ] || refuses root.path "the host's root"
	config '.root.path = "rootfs" | .linux.namespaces += [{type: "user"}] | .mounts = []
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
	refuses linux.maskedPaths "mount namespace"
	config 'del(.linux.maskedPaths)'
	refuses linux.readonlyPaths "mount namespace"
	config 'del(.linux.readonlyPaths)'
	refuses root.readonly "mount namespace"
}

@test "no namespaces at all: still a container" {
	requires container	# the host's namespaces are not a guest's
	config '.linux.namespaces = [] | .mounts = [] | .root.readonly = false | del(.hostname, .linux.maskedPaths, .linux.readonlyPaths)'
	sh_args 'exit 3'
	run -3 nacre run "$ID"
}

@test "time offsets move the clocks of the container" {
	requires timens
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: 1000000, nanosecs: 500}, boottime: {secs: 30000000}}'
	sh_args 'cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime'
	run -0 nacre run "$ID"
	[[ "${lines[0]}" =~ ^monotonic\ +1000000\ +500$ ]]
	[[ "${lines[1]}" =~ ^boottime\ +30000000\ +0$ ]]
	[ "${lines[2]}" -ge 30000000 ]
}

@test "a negative time offset" {
	requires timens
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: -1, nanosecs: 999999999}}'
	args cat /proc/self/timens_offsets
	run -0 nacre run "$ID"
	[[ "${lines[0]}" =~ ^monotonic\ +-1\ +999999999$ ]]
}

@test "time offsets are those of exec'ed processes, too" {
	requires timens
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 30000000}}'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" cut -d. -f1 /proc/uptime
	[ "$output" -ge 30000000 ]
}

@test "a time offset with a new user namespace" {
	requires timens userns
	with_userns
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 30000000}}'
	args cut -d. -f1 /proc/uptime
	run -0 nacre run "$ID"
	[ "$output" -ge 30000000 ]
}

@test "all namespaces of a container with a user and a time namespace can be joined by another" {
	requires timens userns container
	local kinds='for n in pid net ipc uts user cgroup time; do readlink /proc/self/ns/$n; done; cat /proc/self/uid_map; cut -d. -f1 /proc/uptime'
	with_userns
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: 7881, nanosecs: 2718281}, boottime: {secs: 30000000}}'
	run_sleeping
	# They belong to its user namespace: its root may join the time namespace, too.
	nsenter -t "$(pid_of "$ID")" -U nsenter -t "$(pid_of "$ID")" -T true
	# A mount namespace has no root file system of the other's in it.
	config --arg p "$(pid_of "$ID")" 'del(.linux.timeOffsets, .linux.uidMappings, .linux.gidMappings)
		| .linux.namespaces |= map(if .type == "mount" then . else .path = "/proc/\($p)/ns/" + ({network: "net"}[.type] // .type) end)'
	sh_args "$kinds"
	run -0 nacre run "$ID-2"
	equals "$(nacre exec "$ID" sh -c "$kinds" | head -n -1)" "$(head -n -1 <<<"$output")"
	[ "${lines[-1]}" -ge 30000000 ]
}

@test "a time offset that the kernel refuses is an error" {
	requires timens
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: -4000000000}}'
	refuses boottime
}

@test "time offsets need a new time namespace" {
	config '.linux.timeOffsets = {monotonic: {secs: 1}}'
	refuses linux.timeOffsets "time namespace"
	config '.linux.namespaces += [{type: "time", path: "/proc/self/ns/time"}]'
	refuses linux.timeOffsets "time namespace"
}

@test "the loopback interface of a new network namespace is up" {
	args ip addr show dev lo
	run -0 nacre run "$ID"
	[[ "$output" == *UP* ]]
	[[ "$output" == *127.0.0.1/8* ]]
}

@test "the loopback interface of a joined network namespace is left alone" {
	requires container	# a guest has a loopback of its own
	hold -n
	config --arg p "/proc/$HELD/ns/net" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)'
	args ip link show dev lo
	run -0 nacre run "$ID"
	[[ "$output" != *,UP* ]]
}

@test "hostname and domainname" {
	config '.hostname = "a-host" | .domainname = "a.domain"'
	args cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
	run -0 nacre run "$ID"
	equals "a-host a.domain" "${lines[*]}"
}

@test "hostname and domainname need a uts namespace that is not the host's" {
	config '.linux.namespaces |= map(select(.type != "uts"))'
	refuses hostname "uts namespace"
	config 'del(.hostname) | .domainname = "x"'
	refuses domainname "uts namespace"
	before=$(hostname)
	config '.hostname = "bad" | del(.domainname) | .linux.namespaces += [{type: "uts", path: "/proc/self/ns/uts"}]'
	refuses hostname "uts namespace"
	equals "$before" "$(hostname)"
}

@test "a hostname of 64 characters fits, of 65 is an error" {
	config --arg h "$(printf '%064d' 7)" '.hostname = $h'
	args hostname
	run -0 nacre run "$ID"
	equals "$(printf '%064d' 7)" "$output"
	config --arg h "$(printf '%065d' 7)" '.hostname = $h'
	refuses hostname
}

@test "the first process of a new pid namespace is 1" {
	sh_args 'echo $$; ls -d /proc/[0-9]* | wc -l'
	run -0 nacre run "$ID"
	equals 1 "${lines[0]}"
	[ "${lines[1]}" -le 3 ]
}
