#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The container's cgroup: where it is, whose it is, and that it goes.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

setup_file() {
	requires cgroup
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

cleanup() {
	if [ -n "${FOREIGN:-}" ]; then kill -9 "$FOREIGN" 2>/dev/null || true; fi
	if [ -n "${DIR:-}" ] && [ -d "$DIR" ]; then
		echo 0 >"$DIR/cgroup.freeze" 2>/dev/null || true
		wait_for 10 is_empty
		find "$DIR" -depth -type d -exec rmdir {} \;
	fi
	rmdir "$(cgroup_mount)/nt" 2>/dev/null || true
}
is_empty() { grep -q '^populated 0' "$DIR/cgroup.events"; }

# foreign_cgroup: $DIR, a cgroup that somebody else made, at /nt/$ID.
foreign_cgroup() {
	DIR=$(cgroup_mount)/nt/$ID
	mkdir -p "$DIR"
	config --arg p "/nt/$ID" '.linux.cgroupsPath = $p'
}

foreign_process() {
	sleep 1000 3>&- &
	FOREIGN=$!
	disown "$FOREIGN"
	echo "$FOREIGN" >"$1/cgroup.procs"
}

@test "without cgroupsPath: /nacre-ID, with a namespace seen as the root" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	[[ "$(grep ^0:: "/proc/$(pid_of "$ID")/cgroup")" == "0::/nacre-$ID" ]]
	run -0 nacre exec "$ID" grep ^0:: /proc/self/cgroup
	equals 0::/ "$output"
}

@test "without a cgroup namespace the path is seen" {
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	args grep ^0:: /proc/self/cgroup
	run -0 nacre run "$ID"
	equals "0::/nacre-$ID" "$output"
}

@test "cgroupsPath: absolute, relative, with odd slashes" {
	local path
	requires container
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	args grep ^0:: /proc/self/cgroup
	for path in "/nt-a/$ID" "nt-a/$ID" "//nt-a//./$ID/"; do
		config --arg p "$path" '.linux.cgroupsPath = $p'
		run -0 nacre run "$ID"
		equals "0::/nt-a/$ID" "$output"
		[ ! -e "$(cgroup_mount)/nt-a" ]
	done
}

@test "an empty cgroupsPath is the default" {
	config '.linux.cgroupsPath = "" | .linux.namespaces |= map(select(.type != "cgroup"))'
	args grep ^0:: /proc/self/cgroup
	run -0 nacre run "$ID"
	equals "0::/nacre-$ID" "$output"
}

@test "cgroupsPath with '..' or without a name is refused" {
	local path
	for path in "/nt-dots/../$ID" "../$ID" "/nt-dots/$ID/.." .. / // /./; do
		config --arg p "$path" '.linux.cgroupsPath = $p'
		refuses cgroup
	done
	[ ! -e "$(cgroup_mount)/nt-dots" ]
}

@test "a cgroup that exists and is empty is used, and removed at the end" {
	foreign_cgroup
	args true
	run -0 nacre run "$ID"
	[ ! -d "$DIR" ]
	[ -d "$(dirname "$DIR")" ]
	rmdir "$(dirname "$DIR")"
}

@test "a cgroup with somebody else's process is refused, and the process lives" {
	foreign_cgroup
	foreign_process "$DIR"
	create_fails "/nt/$ID" processes
	run -0 nacre delete --force "$ID"
	kill -0 "$FOREIGN"
	equals "$FOREIGN" "$(cat "$DIR/cgroup.procs")"
}

@test "a process in a cgroup below is somebody else's, too" {
	foreign_cgroup
	mkdir "$DIR/below"
	foreign_process "$DIR/below"
	create_fails processes
	kill -0 "$FOREIGN"
	[ -d "$DIR/below" ]
}

@test "a frozen cgroup is refused" {
	foreign_cgroup
	echo 1 >"$DIR/cgroup.freeze"
	wait_for 5 grep -q '^frozen 1' "$DIR/cgroup.events"
	create_fails frozen
	[ -d "$DIR" ]
}

@test "a threaded cgroup is refused" {
	foreign_cgroup
	echo threaded >"$DIR/cgroup.type"
	create_fails "/nt/$ID"
	[ -d "$DIR" ]
}

@test "a file's name in cgroupsPath is refused" {
	config --arg p "/cgroup.procs/$ID" '.linux.cgroupsPath = $p'
	refuses cgroup.procs
}

# writable_cgroup: a cgroup mount that the container may write to.
writable_cgroup() {
	config '.mounts |= map(if .type == "cgroup" then .options |= map(select(. != "ro")) else . end)'
}

@test "a writable cgroup mount and a cgroup namespace: the cgroup is the process' user's" {
	local dir
	requires container
	dir=$(cgroup_mount)/nacre-$ID
	writable_cgroup
	config '.process.user = {uid: 1000, gid: 1000}'
	sh_args 'mkdir /sys/fs/cgroup/sub && echo 0 >/sys/fs/cgroup/sub/cgroup.procs && exec sleep 1000'
	nacre run -d "$ID"
	wait_for 10 test -e "$dir/sub"
	equals "1000 1000 1000 0" "$(stat -c %u "$dir" "$dir/cgroup.procs" "$dir/cgroup.subtree_control" "$dir/cgroup.freeze" | paste -sd ' ')"
	nacre delete -f "$ID"
	[ ! -e "$dir" ]
}

@test "with a user namespace it is the host's id of that user" {
	requires container userns
	with_userns
	writable_cgroup
	args sleep 1000
	nacre run -d "$ID"
	equals "100000 100000 0" "$(cd "$(cgroup_mount)/nacre-$ID" && stat -c %u . cgroup.procs cgroup.max.depth | paste -sd ' ')"
}

@test "read-only, or without a cgroup namespace, it stays root's" {
	config '.process.user = {uid: 1000, gid: 1000}'
	args sleep 1000
	nacre run -d "$ID"
	equals "0 0" "$(cd "$(cgroup_mount)/nacre-$ID" && stat -c %u . cgroup.procs | paste -sd ' ')"
}

@test "exec into a container that has moved into a sub-cgroup and hands controllers down" {
	local controller
	requires container
	writable_cgroup
	# hugetlb, like memory, leaves no room for processes above.
	controller=$(tr ' ' '\n' <"$(cgroup_mount)/cgroup.controllers" | grep -x -e memory -e hugetlb | head -n 1)
	[ -n "$controller" ] || skip "no controller that matters here"
	config --arg i "$ID" '.linux.cgroupsPath = "//nt-odd/./\($i)/"'
	config --arg c "$controller" 'if $c == "hugetlb" then .linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 0}] else . end'
	sh_args "cd /sys/fs/cgroup && mkdir init.scope && echo 0 >init.scope/cgroup.procs && echo +$controller >cgroup.subtree_control && exec sleep 1000"
	nacre run -d "$ID"
	wait_for 10 grep -q "$controller" "$(cgroup_mount)/nt-odd/$ID/cgroup.subtree_control"
	run -0 nacre exec "$ID" grep ^0:: /proc/self/cgroup
	equals 0::/init.scope "$output"
	nacre pause "$ID"
	nacre resume "$ID"
	nacre delete -f "$ID"
	[ ! -e "$(cgroup_mount)/nt-odd" ]
}

@test "limits that say \"none\" are no limits" {
	config '.linux.resources = {devices: [], memory: {limit: -1, swap: -1}, cpu: {shares: 0, quota: -1, cpus: ""}, pids: {limit: -1},
		blockIO: {weight: 0}, unified: {}, hugepageLimits: []}'
	args true
	run -0 nacre run "$ID"
}

@test "killed with its children: all are gone, and so is the cgroup" {
	sh_args 'sleep 1001 & sleep 1002 & setsid sleep 1003 & wait'
	nacre create "$ID"
	nacre start "$ID"
	wait_for 5 has_procs 4
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
	[ ! -e "$(cgroup_mount)/nacre-$ID" ]
}
has_procs() { [ "$(wc -l <"$(cgroup_mount)/nacre-$ID/cgroup.procs")" -ge "$1" ]; }

@test "without a pid namespace the orphans go with the first process, by delete" {
	requires container
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'setsid sleep 1001 & setsid sleep 1002 & exec sleep 1000'
	nacre create "$ID"
	nacre start "$ID"
	wait_for 5 has_procs 3
	pids=$(cat "$(cgroup_mount)/nacre-$ID/cgroup.procs")
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
	# A zombie, which whoever adopted it has not yet reaped, has no program file any more.
	for p in $pids; do [ -z "$(readlink "/proc/$p/exe")" ]; done
}

@test "cgroups that the container made below its own are removed with it" {
	requires container
	config '.mounts |= map(if .destination == "/sys/fs/cgroup" then .options -= ["ro"] else . end)'
	caps SYS_ADMIN DAC_OVERRIDE
	sh_args 'mkdir -p /sys/fs/cgroup/a/b/c /sys/fs/cgroup/d; sleep 1001 & echo $! >/sys/fs/cgroup/a/b/c/cgroup.procs; sleep 1000'
	nacre create "$ID"
	nacre start "$ID"
	wait_for 5 made_below
	nacre delete --force "$ID"
	[ ! -e "$(cgroup_mount)/nacre-$ID" ]
}
made_below() { grep -q . "$(cgroup_mount)/nacre-$ID/a/b/c/cgroup.procs"; }

@test "a paused container: frozen, no exec, and delete --force ends it" {
	requires container
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	nacre pause "$ID"
	equals paused "$(status_of "$ID")"
	grep -q '^frozen 1' "$(cgroup_mount)/nacre-$ID/cgroup.events"
	run nacre exec "$ID" true
	[ "$status" -ne 0 ]
	[[ "$output" == *paused* ]]
	nacre resume "$ID"
	equals running "$(status_of "$ID")"
	run -0 nacre exec "$ID" true
	nacre pause "$ID"
	nacre delete --force "$ID"
}

@test "the cgroup is removed when create fails late" {
	config '.process.cwd = "/etc/passwd"'
	refuses /etc/passwd
	[ ! -e "$(cgroup_mount)/nacre-$ID" ]
}

@test "--cgroup-manager disabled: the container stays in the caller's cgroup" {
	requires container
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	args cat /proc/self/cgroup
	run -0 nacre --cgroup-manager disabled run "$ID"
	equals "$(cat /proc/self/cgroup)" "$output"
}

@test "--cgroup-manager disabled: kill, exec and delete work, pause says why not" {
	requires container
	args sleep 1000
	nacre --cgroup-manager disabled create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" true
	run nacre pause "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *cgroup* ]]
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "--cgroup-manager systemd without systemd: said, with what else there is" {
	[ ! -d /run/systemd/system ] || skip "systemd is there"
	args true
	for option in --systemd-cgroup --cgroup-manager=systemd; do
		try nacre "$option" create "$ID"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *systemd* ]]
		assert_clean
	done
}

@test "a cgroup mount shows the container's own cgroup only" {
	local ns
	for ns in true false; do
		config --argjson n "$ns" 'if $n then . else .linux.namespaces |= map(select(.type != "cgroup")) end'
		sh_args 'cd /sys/fs/cgroup; cat cgroup.procs; ls -d nacre 2>/dev/null; cd ..; mkdir /sys/fs/cgroup/x 2>&1 | grep -o "Read-only"'
		run -0 nacre run "$ID"
		[[ "${lines[0]}" -le 2 || "$ns" = false ]]
		[[ "$output" != *nacre* ]]
		[[ "$output" == *Read-only* ]]
	done
}

# On a hybrid host the v1 hierarchies are mounts below it (CVE-2023-25809 was one that stayed writable).
@test "a cgroup mount without a cgroup and a namespace of its own: the host's, read-only with all below it" {
	local option
	requires container
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	for option in rw rrw; do
		config --arg o "$option" '(.mounts[] | select(.type == "cgroup")).options = ["nosuid", $o]'
		sh_args 'awk "\$5 ~ \"^/sys/fs/cgroup(/|\\$)\" { print \$5, \$6 }" /proc/self/mountinfo
			find /sys/fs/cgroup -name cgroup.procs -maxdepth 3 | while read -r f; do
				if (: >>"$f") 2>/dev/null; then echo "$f rw"; fi
			done'
		run -0 nacre --cgroup-manager disabled run "$ID"
		echo "$output"
		[ "${#lines[@]}" -eq "$(grep -c ' /sys/fs/cgroup[/ ]' /proc/self/mountinfo)" ]
		! grep -vE ' ro(,|$)' <<<"$output"
	done
}

@test "exec is in the container's cgroup" {
	requires container
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	nacre exec -d --pid-file "$T/pid" "$ID" sleep 1001
	equals "0::/nacre-$ID" "$(grep ^0:: "/proc/$(cat "$T/pid")/cgroup")"
}

@test "exec --cgroup" {
	requires container
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	mkdir "$(cgroup_mount)/nacre-$ID/sub"
	nacre exec -d --cgroup sub --pid-file "$T/pid" "$ID" sleep 1001
	equals "0::/nacre-$ID/sub" "$(grep ^0:: "/proc/$(cat "$T/pid")/cgroup")"
	run nacre exec --cgroup ../../ "$ID" true
	[ "$status" -ne 0 ]
	run nacre exec --cgroup nothing "$ID" true
	[ "$status" -ne 0 ]
}
