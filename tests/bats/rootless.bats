#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Without root: a user's own containers, by `nacre spec --rootless`, and as root of a user namespace (nested, as rootless
# engines run it).
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

USER_ID=4321

setup() {
	common_setup
	requires root userns container cgroupfs setpriv
	chmod 755 "$T"
	cp "$NACRE_BIN" "$T/nacre"
	NACRE_BIN=$T/nacre
	mkdir -p "$ROOT" "$T/tmp"
	rm "$BUNDLE/config.json"
	chown "$USER_ID:$USER_ID" "$ROOT" "$BUNDLE" "$T/tmp"
	user spec --rootless -b "$BUNDLE"
	config '.process.terminal = false | .process.args = ["true"]'
}

# user ARG...: nacre by somebody who is not root.
user() { as_user timeout -k 5 "$NACRE_TIMEOUT" "$NACRE_BIN" --root "$ROOT" "$@"; }
as_user() { setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --inh-caps=-all -- "$@"; }

# user_refused TEXT ARG...
user_refused() {
	local text=$1
	shift
	try user "$@"
	[ "$status" -ne 0 ] || { echo "was not refused: $*"; return 1; }
	[[ "$stderr" == *"$text"* ]] || { echo "says: $stderr"; return 1; }
}

@test "spec --rootless, run: root inside, the user outside, no cgroup" {
	sh_args 'id -u; id -g; cat /proc/self/uid_map; echo >/tmp/file'
	config --arg s "$T/tmp" '.mounts += [{destination: "/tmp", source: $s, options: ["bind"]}]'
	run -0 user run "$ID"
	equals "0 0" "${lines[0]} ${lines[1]}"
	[[ "${lines[2]}" =~ ^\ +0\ +$USER_ID\ +1$ ]]
	equals "$USER_ID:$USER_ID" "$(stat -c %u:%g "$T/tmp/file")"
	assert_clean
}

@test "create, start, state, exec, kill, delete" {
	args sleep 1000
	user create "$ID" </dev/null >/dev/null 2>&1
	user start "$ID"
	equals running "$(user state "$ID" | jq -r .status)"
	equals 0 "$(user exec "$ID" id -u)"
	user kill "$ID" KILL
	wait_for 5 has_status "$ID" stopped
	user delete "$ID"
	assert_clean
}

@test "--log-level info tells that it goes without a cgroup; nothing else does" {
	try user run "$ID"
	equals "" "$stderr"
	try user --log-level info run "$ID"
	[[ "$stderr" == *"goes without a cgroup: cannot create cgroup"* ]]
}

@test "a limit, or a cgroup by name, that cannot be had is an error" {
	requires cgroup
	config '.linux.resources = {unified: {"cgroup.max.depth": "5"}}'
	user_refused "cannot create cgroup" run "$ID"
	config 'del(.linux.resources) | .linux.cgroupsPath = "/nobody-may"'
	user_refused "cannot create cgroup" run "$ID"
	user --cgroup-manager=disabled run "$ID"
	assert_clean
}

@test "root, whose containers can make device nodes, does not go without the rules" {
	requires cgroup
	"$NACRE_BIN" spec -b "$T/tmp"
	cp "$T/tmp/config.json" "$BUNDLE/config.json"
	config '.process.terminal = false | .process.args = ["true"] | .linux.resources.devices = [{allow: false, access: "rwm"}]'
	export cgroup_mount_path
	cgroup_mount_path=$(cgroup_mount)
	run in_mount_ns 'mount -o remount,ro,bind "$cgroup_mount_path"; nacre run "$ID"'
	[ "$status" -ne 0 ]
	[[ "$output" == *"Read-only file system"* ]]
	# In a user namespace nobody can make them.
	chmod 755 "$T"
	with_userns
	run -0 in_mount_ns 'mount -o remount,ro,bind "$cgroup_mount_path"; nacre run "$ID"'
}

@test "a delegated cgroup: limits and device rules' place are the user's" {
	requires cgroup
	local dir
	dir=$(cgroup_mount)/nt-$ID
	mkdir "$dir"
	chown -R "$USER_ID" "$dir"
	config --arg p "/nt-$ID/sub" '.linux.cgroupsPath = $p | .linux.resources = {unified: {"cgroup.max.depth": "5"}}'
	sh_args 'cat /proc/self/cgroup'
	# A process moves between cgroups whose common ancestor is the user's: nacre has to be there already.
	run bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' bash "$dir" setpriv --reuid "$USER_ID" --regid "$USER_ID" \
		--clear-groups --inh-caps=-all -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -eq 0 ] || { rmdir "$dir"; echo "$output"; false; }
	wait_for 5 rmdir "$dir"
}

@test "maps of several ids, by newuidmap and newgidmap" {
	requires newuidmap newgidmap
	config '.linux.uidMappings += [{containerID: 1, hostID: 200000, size: 10}] | .linux.gidMappings += [{containerID: 1, hostID: 200000, size: 10}]'
	sh_args 'cat /proc/self/uid_map /proc/self/gid_map | wc -l; touch /tmp/f && chown 3:4 /tmp/f && stat -c %u:%g /tmp/f'
	config --arg s "$T/tmp" '.mounts += [{destination: "/tmp", source: $s, options: ["bind"]}]'
	export USER_ID
	export -f user as_user
	run -0 in_mount_ns 'cp /etc/passwd "$T/passwd"; echo "nt:x:$USER_ID:$USER_ID::/:/bin/sh" >>"$T/passwd"; mount --bind "$T/passwd" /etc/passwd
		echo "nt:200000:10" >"$T/sub"; mount --bind "$T/sub" /etc/subuid; mount --bind "$T/sub" /etc/subgid; user run "$ID"'
	equals "4 3:4" "${lines[*]}"
	equals 200002:200003 "$(stat -c %u:%g "$T/tmp/f")"
}

@test "maps that are not the user's are refused, by name" {
	requires newuidmap
	config '.linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}]'
	user_refused "newuidmap" run "$ID"
	assert_clean
}

@test "as root of a user namespace, without one of its own, as a rootless engine calls it" {
	config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))
		| .linux.resources.devices = [{allow: false, access: "rwm"}]'
	sh_args 'id -u; echo x >/dev/null; head -c 1 /dev/zero | wc -c'
	run -0 as_user unshare -U --map-root-user -m timeout 30 "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals "0 1" "${lines[*]}"
}

# Nothing else is in the environment that podman gives.
inside() { as_user unshare -U --map-root-user -m env -i XDG_RUNTIME_DIR="$T/xdg" "$@"; }
state_is_in() { equals "of containers is kept in $1" "$("${@:2}" "$NACRE_BIN" doctor --json | jq -r '.[] | select(.name == "state").text')"; }

@test "as root of a user namespace: state and systemd are the user's" {
	install -d -m 700 -o "$USER_ID" "$T/xdg"
	state_is_in "$T/xdg/nacre" inside
	# A system that is in such a namespace as a whole.
	state_is_in /run/nacre inside USER=root
	state_is_in /run/nacre inside env -u XDG_RUNTIME_DIR
	state_is_in /run/nacre env XDG_RUNTIME_DIR="$T/xdg"
	run -0 inside "$NACRE_BIN" --systemd-cgroup explain "$BUNDLE"
	[[ "$output" == *"the user's systemd: nacre-"*" in user.slice"* ]]
	run -0 env XDG_RUNTIME_DIR="$T/xdg" "$NACRE_BIN" --systemd-cgroup explain "$BUNDLE"
	[[ "$output" == *"the system's systemd: nacre-"*" in system.slice"* ]]
	sh_args 'echo ran'
	config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))'
	equals ran "$(inside "$NACRE_BIN" run "$ID")"
}

@test "as root of a user namespace: the host's nacre.json is root's, although it looks like nobody's" {
	config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))'
	sh_args 'echo ran'
	export USER_ID
	export -f as_user
	# with_json MODE OPTION...: in place of the host's /etc, where this is all.
	with_json() {
		in_mount_ns "mount -t tmpfs -o mode=755 none /etc; mkdir /etc/nacre; echo '{}' >/etc/nacre/nacre.json; chmod $1 /etc/nacre/nacre.json
			as_user unshare -U --map-root-user -m timeout 30 \"\$NACRE_BIN\" --root \"\$ROOT\" ${*:2} run \"\$ID\""
	}
	run -0 with_json 644
	equals ran "$output"
	run -1 with_json 646
	[[ "$output" == *"others than its owner may write to it"* ]]
	run -1 with_json 644 --host-config /etc/nacre/nacre.json
	[[ "$output" == *"belongs to user 65534"* ]]
}

@test "nested: without CAP_SETFCAP the kernel lets nobody map its root: said so" {
	nested_bundle
	config '.process.capabilities |= with_entries(.value -= ["CAP_SETFCAP"])'
	user_refused "cannot write the container's uid_map" run "$ID"
}

nested_bundle() {
	mkdir -p "$BUNDLE/rootfs/inner" "$BUNDLE/rootfs/run"
	cp "$NACRE_BIN" "$BUNDLE/rootfs/bin/nacre"
	mkdir -p "$BUNDLE/rootfs/inner/rootfs/bin" "$BUNDLE/rootfs/inner/rootfs/"{proc,dev,sys}
	cp "$BUNDLE/rootfs/bin/busybox" "$BUNDLE/rootfs/inner/rootfs/bin/sh"
	user spec --rootless -b "$T/tmp"
	jq '.process.terminal = false | .process.args = ["sh", "-c", "echo innermost $$"]' "$T/tmp/config.json" \
		>"$BUNDLE/rootfs/inner/config.json"
	# Its /proc as the kernel gives it, or no other could be mounted below it; uids of the outer map.
	jq '.linux.uidMappings[0].hostID = 0 | .linux.gidMappings[0].hostID = 0' "$BUNDLE/rootfs/inner/config.json" >"$T/i"
	cp "$T/i" "$BUNDLE/rootfs/inner/config.json"
	chown -R "$USER_ID:$USER_ID" "$BUNDLE/rootfs"
	config '.linux.maskedPaths = [] | .linux.readonlyPaths = [] | del(.linux.seccomp)
		| .process.capabilities = (.process.capabilities // {} | with_entries(.value = ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_KILL", "CAP_SETPCAP", "CAP_SETFCAP", "CAP_CHOWN"]))'
	args nacre --root /tmp/state run -b /inner inner
	config '.mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs"}] + ["/lib", "/lib64", "/usr" | {destination: ., source: ., options: ["rbind", "ro"]}]'
}

@test "nested: in a container, which has a user namespace around it" {
	nested_bundle
	try user run "$ID"
	equals "innermost 1" "$output" || { echo "$stderr"; false; }
}

@test "mounts add, mounts remove" {
	mkdir "$T/tmp/data"
	echo data >"$T/tmp/data/file"
	chown -R "$USER_ID:$USER_ID" "$T/tmp"
	args sleep 1000
	user run -d "$ID" </dev/null >/dev/null 2>&1
	# The bundle's rootfs is root's: only what is there can be mounted upon.
	jq -n --arg s "$T/tmp/data" '[{destination: "/mnt", source: $s, options: ["bind", "ro"]}, {destination: "/tmp", type: "tmpfs"}]' >"$T/list"
	user mounts add "$ID" "$T/list"
	equals data "$(user exec "$ID" cat /mnt/file)"
	run ! user exec "$ID" touch /mnt/other
	user exec "$ID" touch /tmp/other
	user mounts remove "$ID" "$T/list"
	run ! user exec "$ID" cat /mnt/file
	jq -n '[{destination: "/mnt", source: "/root", options: ["bind"]}]' >"$T/list"
	user mounts add "$ID" "$T/list"
	run ! user exec "$ID" ls /mnt
	user delete --force "$ID"
	assert_clean
}

@test "time offsets" {
	requires timens
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 30000000}}'
	args cut -d. -f1 /proc/uptime
	run -0 user run "$ID"
	[ "$output" -ge 30000000 ]
	assert_clean
}

@test "linux.devices: the host's is bound, if it is just the one; what cannot be so is refused" {
	args stat -c '%t:%T %a' /dev/full
	config '.linux.devices = [{path: "/dev/full", type: "c", major: 1, minor: 7, fileMode: 438}]'
	run -0 user run "$ID"
	equals "1:7 666" "$output"
	config '.linux.devices[0].fileMode = 384'
	user_refused 'linux.devices[0]: fileMode: a user namespace may make no device' run "$ID"
	config '.linux.devices = [{path: "/dev/full", type: "c", major: 1, minor: 7, uid: 0}]'
	user_refused 'linux.devices[0]: uid: ' run "$ID"
	config '.linux.devices = [{path: "/dev/full", type: "c", major: 1, minor: 3}]'
	user_refused 'linux.devices[0]: the host' run "$ID"
	config '.linux.devices = [{path: "/dev/nt-none", type: "c", major: 1, minor: 3}]'
	user_refused 'linux.devices[0]: a user namespace may make no device, and the host has none at "/dev/nt-none"' run "$ID"
	assert_clean
}
