#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# MicroVMs without root: the guest's root is the user outside, as with a container in a user namespace.
# shellcheck disable=SC2016,SC2034 # scripts in single quotes are the container's; PATIENCE is the helpers'

load helpers

USER_ID=4321

setup() {
	common_setup
	requires root microvm userns setpriv
	chmod 755 "$T"
	# As installed: the guest's program beside it. nacre is started by name, or as a copy of itself: it finds that there.
	cp "$NACRE_BIN" "$(dirname "$(realpath "$NACRE_BIN")")/nacre-guest" "$T"
	NACRE_BIN=$T/nacre
	NACRE_TIMEOUT=150 PATIENCE=6
	mkdir -p "$ROOT" "$T/tmp"
	rm "$BUNDLE/config.json"
	chown "$USER_ID:$USER_ID" "$ROOT" "$BUNDLE" "$BUNDLE/rootfs" "$T/tmp"
	user spec --rootless -b "$BUNDLE"
	config --arg k "$(vm_kernel)" '.process.terminal = false | .process.args = ["true"] | .root.readonly = false
		| .vm = {kernel: {path: $k}}'
}

# user ARG...: nacre by somebody who is not root.
user() { as_user timeout -k 5 "$NACRE_TIMEOUT" "$NACRE_BIN" --root "$ROOT" "$@"; }
as_user() { setpriv --reuid "$USER_ID" --regid "$USER_ID" --groups "$(kvm_group)" --inh-caps=-all -- "$@"; }
# Who may use KVM where it is usable; else no other group.
kvm_group() { stat -c %g /dev/kvm 2>/dev/null || echo "$USER_ID"; }

without_userns() { config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))'; }

@test "run: root inside, the user outside, another kernel; with config.json's user namespace and without" {
	local kind
	sh_args 'id -u; cat /proc/sys/kernel/random/boot_id; wc -l </proc/self/uid_map; echo >/tmp/file; echo >/made; exit 7'
	config --arg s "$T/tmp" '.mounts += [{destination: "/tmp", source: $s, options: ["bind"]}]'
	for kind in with without; do
		[ "$kind" = with ] || without_userns
		try user run "$ID"
		equals 7 "$status"
		# No word of capabilities: they are the guest's to grant.
		equals "" "$(grep -v "emulates each instruction" <<<"$stderr")"
		equals "0" "$(head -n 1 <<<"$output")"
		[ "$(sed -n 2p <<<"$output")" != "$(cat /proc/sys/kernel/random/boot_id)" ]
		equals "$USER_ID:$USER_ID $USER_ID:$USER_ID" "$(stat -c %u:%g "$T/tmp/file" "$BUNDLE/rootfs/made" | xargs)"
		rm "$T/tmp/file" "$BUNDLE/rootfs/made"
		assert_clean
	done
}

@test "create, start, state, exec, pause, kill, delete" {
	args sleep 1000
	user create "$ID" </dev/null >/dev/null 2>&1
	user start "$ID"
	equals running "$(user state "$ID" | jq -r .status)"
	equals "0 0" "$(user exec "$ID" sh -c 'echo $(id -u) $(id -g)')"
	equals 3 "$(user exec "$ID" sh -c 'cat; exit 3' </dev/null >/dev/null || echo $?)"
	user pause "$ID"
	equals paused "$(user state "$ID" | jq -r .status)"
	user resume "$ID"
	user kill "$ID" KILL
	wait_for 5 has_status "$ID" stopped
	user delete "$ID"
	assert_clean
}

@test "a read-only root and a read-only mount are so for the guest's root; a foreign file stays foreign" {
	mkdir "$T/ro"
	echo secret >"$T/tmp/roots"
	chmod 600 "$T/tmp/roots"
	config --arg ro "$T/ro" --arg s "$T/tmp" '.root.readonly = true | .mounts += [{destination: "/mnt", source: $ro, options: ["bind", "ro"]},
		{destination: "/tmp", source: $s, options: ["bind"]}]'
	sh_args 'echo >/made; mount -o remount,rw / 2>/dev/null; echo >/made; echo >/mnt/made; mount -o remount,rw,bind /mnt 2>/dev/null; echo >/mnt/made; cat /tmp/roots; true'
	chown "$USER_ID" "$T/ro"
	run user run "$ID"
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ ! -e "$BUNDLE/rootfs/made" ] && [ ! -e "$T/ro/made" ]
	[[ "$output" == *"Read-only file system"* && "$output" == *"Permission denied"* && "$output" != *secret* ]]
}

@test "maps of several ids, by newuidmap and newgidmap" {
	requires newuidmap newgidmap
	config '.linux.uidMappings += [{containerID: 1, hostID: 200000, size: 10}] | .linux.gidMappings += [{containerID: 1, hostID: 200000, size: 10}]
		| .process.user = {uid: 2, gid: 3}'
	config --arg s "$T/tmp" '.mounts += [{destination: "/tmp", source: $s, options: ["bind"]}]'
	chmod 777 "$T/tmp"
	sh_args 'id -u; id -g; echo >/tmp/file'
	# Files of our own for the two programs, in a mount namespace of our own.
	run unshare --mount --propagation private bash -c '
		echo "$1:200000:10" >"$2/sub" && touch "$2/passwd" && cat /etc/passwd >"$2/passwd" && echo "nacre-test:x:$1:$1::/:/bin/sh" >>"$2/passwd"
		mount --bind "$2/sub" /etc/subuid && mount --bind "$2/sub" /etc/subgid && mount --bind "$2/passwd" /etc/passwd
		shift 2; exec "$@"' bash "$USER_ID" "$T" \
		setpriv --reuid "$USER_ID" --regid "$USER_ID" --groups "$(kvm_group)" --inh-caps=-all -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals 0 "$status"
	[[ "$output" == *2$'\n'3* ]]
	equals 200001:200002 "$(stat -c %u:%g "$T/tmp/file")"
}

@test "as root of a user namespace, without one in config.json, as a rootless engine calls it" {
	without_userns
	sh_args 'id -u; echo >/made'
	try as_user unshare -U --map-root-user -m timeout 150 "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals "0 0" "$status $output"
	equals "$USER_ID" "$(stat -c %u "$BUNDLE/rootfs/made")"
}

@test "explain: the user namespace is the host's, of config.json's maps or of the user's id" {
	steps() { user explain --json "$BUNDLE" 2>/dev/null | jq -r '.steps[] | "\(.where) \(.kind): \(.what)"' | grep -E 'id map|new user'; }
	config '.linux.uidMappings += [{containerID: 1, hostID: 200000, size: 10}]'
	equals "host namespace: new user, in which the machine's processes are root
host id map: uid 0 -> host $USER_ID, 1 ids
host id map: uid 1 -> host 200000, 10 ids
host id map: gid 0 -> host $USER_ID, 1 ids" "$(steps)"
	without_userns
	equals "host namespace: new user, in which the machine's processes are root
host id map: uid 0 -> host $USER_ID, 1 ids
host id map: gid 0 -> host $USER_ID, 1 ids" "$(steps)"
}

@test "its network is its own: lo, and nothing of the host's" {
	# Its /sys is its own, too, though config.json has the host's bound there.
	equals rbind "$(jq -r '.mounts[] | select(.destination == "/sys").options[0]' "$BUNDLE/config.json")"
	sh_args 'ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo answers'
	try user run "$ID"
	equals $'lo\nanswers' "$output"
}

@test "a namespace that somebody else made is refused, and nothing is left" {
	config '(.linux.namespaces[] | select(.type == "user")) = {type: "user", path: "/proc/self/ns/user"} | del(.linux.uidMappings, .linux.gidMappings)'
	try user run "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"(user)"* ]]
	config '(.linux.namespaces[] | select(.type == "user")) = {type: "user"} | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}]
		| .linux.gidMappings = .linux.uidMappings'
	try user run "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *map* ]] || { echo "$stderr"; false; }
	assert_clean
}
