#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# /dev and linux.devices, and the device rules of the cgroup.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

@test "default devices: numbers, types, modes, owners" {
	sh_args 'umask; for d in null zero full random urandom tty; do stat -c "%n %F %t:%T %a %u:%g" /dev/$d; done'
	run -0 nacre run "$ID"
	equals 0022 "${lines[0]}"
	equals "/dev/null character special file 1:3 666 0:0" "${lines[1]}"
	equals "/dev/zero character special file 1:5 666 0:0" "${lines[2]}"
	equals "/dev/full character special file 1:7 666 0:0" "${lines[3]}"
	equals "/dev/random character special file 1:8 666 0:0" "${lines[4]}"
	equals "/dev/urandom character special file 1:9 666 0:0" "${lines[5]}"
	equals "/dev/tty character special file 5:0 666 0:0" "${lines[6]}"
}

@test "default devices work" {
	sh_args 'echo x >/dev/null && head -c 3 /dev/zero | wc -c && echo y >/dev/full; head -c 4 /dev/random | wc -c; head -c 4 /dev/urandom | wc -c'
	run -0 nacre run "$ID"
	[[ "$output" == *"No space left on device"* ]]
	[[ "$output" == *3* ]]
	equals "4 4" "${lines[-2]} ${lines[-1]}"
}

@test "links in /dev" {
	sh_args 'cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done'
	run -0 nacre run "$ID"
	equals "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx" "${lines[*]}"
}

# The mode of the first has the bits of its type, too, as podman sends it.
@test "linux.devices: c, b, u, p with mode and owner" {
	requires container	# the host's devices are refused for a microVM
	config '.linux.devices = [
		{path: "/dev/d-c", type: "c", major: 10, minor: 229, fileMode: 8576, uid: 1000, gid: 1001},
		{path: "/dev/d-b", type: "b", major: 7, minor: 3, fileMode: 416, uid: 0, gid: 6},
		{path: "/dev/d-u", type: "u", major: 4, minor: 65},
		{path: "/dev/sub/dir/d-p", type: "p", fileMode: 438},
		{path: "/etc/d-outside", type: "c", major: 1, minor: 3}]'
	sh_args 'stat -c "%F %t:%T %a %u:%g" /dev/d-c /dev/d-b /dev/d-u; stat -c "%F %a" /dev/sub/dir/d-p; stat -c %t:%T /etc/d-outside'
	run -0 nacre run "$ID"
	equals "character special file a:e5 600 1000:1001" "${lines[0]}"
	equals "block special file 7:3 640 0:6" "${lines[1]}"
	equals "character special file 4:41 666 0:0" "${lines[2]}"
	equals "fifo 666" "${lines[3]}"
	equals "1:3" "${lines[4]}"
}

@test "linux.devices may name a default device again, with another mode" {
	config '.linux.devices = [{path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0}]'
	args stat -c %t:%T /dev/null
	run -0 nacre run "$ID"
	equals 1:3 "$output"
}

@test "a device where the image has something else is an error" {
	mkdir -p "$BUNDLE/rootfs/opt/dir"
	touch "$BUNDLE/rootfs/opt/file"
	ln -s /dev/null "$BUNDLE/rootfs/opt/link"
	mknod "$BUNDLE/rootfs/opt/other" c 1 5
	for f in dir file link other; do
		config --arg p "/opt/$f" '.linux.devices = [{path: $p, type: "c", major: 1, minor: 3}]'
		refuses "/opt/$f"
	done
}

@test "a device where the image has just that is fine" {
	mknod "$BUNDLE/rootfs/etc/null" c 1 3
	config '.linux.devices = [{path: "/etc/null", type: "c", major: 1, minor: 3}]'
	args true
	run -0 nacre run "$ID"
}

@test "a fifo where the image has one is fine, a file there is not" {
	mkfifo "$BUNDLE/rootfs/etc/fifo"
	touch "$BUNDLE/rootfs/etc/file"
	config '.linux.devices = [{path: "/etc/fifo", type: "p"}]'
	args true
	run -0 nacre run "$ID"
	config '.linux.devices = [{path: "/etc/file", type: "p"}]'
	refuses /etc/file
}

@test "the same path twice is an error" {
	config '.linux.devices = [{path: "/dev/a", type: "p"}, {path: "/dev/b", type: "p"}, {path: "/dev/a", type: "p"}]'
	refuses 'linux.devices[2].path'
}

# try_kmsg RULES: makes a node of kmsg (1:11), which no rule of nacre's own allows, and tries to read and to write it.
try_kmsg() {
	caps MKNOD DAC_OVERRIDE SYSLOG
	config --argjson r "$1" '.root.readonly = false | .linux.resources.devices = $r'
	sh_args 'rm -f /tmp/k; mknod /tmp/k c 1 11 && echo made; (: </tmp/k) 2>/dev/null && echo read; (: >/tmp/k) 2>/dev/null && echo write; true'
	run -0 nacre run "$ID"
}

@test "a denied device can be made, but not opened" {
	requires cgroup
	try_kmsg '[{"allow": false, "access": "rwm"}]'
	equals made "${lines[*]}"
}

@test "an allowed device works" {
	requires cgroup
	try_kmsg '[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"}]'
	equals "made read write" "${lines[*]}"
}

@test "read alone, write alone" {
	requires cgroup
	try_kmsg '[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]'
	equals "made read" "${lines[*]}"
	try_kmsg '[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": -1, "access": "w"}]'
	equals "made write" "${lines[*]}"
}

@test "of two rules the later wins" {
	requires cgroup
	try_kmsg '[{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"}, {"allow": false, "access": "rwm"}]'
	equals made "${lines[*]}"
	try_kmsg '[{"allow": false}, {"allow": true}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}]'
	equals "made read" "${lines[*]}"
}

@test "a rule for block devices says nothing of character devices" {
	requires cgroup
	try_kmsg '[{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "access": "rwm"}]'
	equals made "${lines[*]}"
}

@test "exec is under the same rules" {
	requires cgroup
	caps MKNOD DAC_OVERRIDE SYSLOG
	config '.root.readonly = false'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" sh -c 'mknod /tmp/k c 1 11 && echo made; (: </tmp/k) 2>/dev/null && echo read; true'
	equals made "${lines[*]}"
}

@test "without cgroups there are no device rules, and no failure" {
	requires container	# a guest has a cgroup always, and rules with it
	caps MKNOD DAC_OVERRIDE SYSLOG
	config '.root.readonly = false'
	sh_args 'mknod /tmp/k c 1 11 && (: </tmp/k) && echo read'
	run -0 nacre --cgroup-manager disabled run "$ID"
	equals read "$output"
}

@test "a plain file of the image in place of /dev/null is bound over" {
	config '.mounts |= map(select(.destination != "/dev"))'
	mkdir -p "$BUNDLE"/rootfs/dev/{pts,shm,mqueue}
	echo evil >"$BUNDLE/rootfs/dev/null"
	sh_args 'stat -c %t:%T /dev/null; echo x >/dev/null'
	run -0 nacre run "$ID"
	equals 1:3 "$output"
	equals evil "$(cat "$BUNDLE/rootfs/dev/null")"
}

@test "something else in place of a default device is an error" {
	config '.mounts |= map(select(.destination != "/dev"))'
	mkdir -p "$BUNDLE"/rootfs/dev/{pts,shm,mqueue} "$BUNDLE/rootfs/dev/zero"
	refuses /dev/zero
	rmdir "$BUNDLE/rootfs/dev/zero"
	ln -sf /etc/passwd "$BUNDLE/rootfs/dev/zero"
	refuses /dev/zero
	rm "$BUNDLE/rootfs/dev/zero"
	mknod "$BUNDLE/rootfs/dev/zero" c 1 1
	refuses /dev/zero
}

@test "a bound /dev is left as it is" {
	mkdir "$T/dev"
	config --arg s "$T/dev" '.mounts = [.mounts[] | select(.destination | startswith("/dev") | not)]
		+ [{destination: "/dev", source: $s, options: ["rbind"]}]'
	args ls /dev
	run -0 nacre run "$ID"
	equals "" "$output"
	equals "" "$(ls -A "$T/dev")"
}
