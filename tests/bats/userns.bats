#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers with a user namespace: id maps, ownership, what mounts and devices fall back to.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

setup_file() {
	requires userns
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

# A volume at /mnt that the container's root may write.
with_volume() {
	mkdir "$T/vol"
	chown 100000:100000 "$T/vol"
	config --arg s "$T/vol" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]'
}

@test "the maps are as configured" {
	with_userns
	config '.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1000}, {containerID: 1000, hostID: 200000, size: 7}]
		| .linux.gidMappings = [{containerID: 0, hostID: 300000, size: 50}]'
	args cat /proc/self/uid_map /proc/self/gid_map
	run -0 nacre run "$ID"
	[[ "${lines[0]}" =~ ^\ +0\ +100000\ +1000$ ]]
	[[ "${lines[1]}" =~ ^\ +1000\ +200000\ +7$ ]]
	[[ "${lines[2]}" =~ ^\ +0\ +300000\ +50$ ]]
}

@test "the container's root is the mapped user outside" {
	with_userns
	with_volume
	sh_args 'id -u; id -g; echo >/mnt/file'
	run -0 nacre run "$ID"
	equals "0 0" "${lines[*]}"
	equals 100000:100000 "$(stat -c %u:%g "$T/vol/file")"
}

@test "uid 1000 inside is 101000 outside, with its groups" {
	with_userns
	with_volume
	chmod 777 "$T/vol"
	config '.process.user = {uid: 1000, gid: 1001, additionalGids: [5, 1002]}'
	sh_args 'id -u; id -g; id -G; echo >/mnt/file'
	run -0 nacre run "$ID"
	equals "1000 1001 1001 5 1002" "${lines[*]}"
	equals 101000:101001 "$(stat -c %u:%g "$T/vol/file")"
}

@test "a uid that is not mapped is an error" {
	with_userns
	config '.process.user.uid = 70000'
	run -1 nacre run "$ID"
	[[ "$output" == *70000* ]]
}

@test "setgroups is allowed and no group of the host is left" {
	with_userns
	sh_args 'cat /proc/self/setgroups; sed -n "s/^Groups:\t//p" /proc/self/status'
	run -0 nacre run "$ID"
	equals allow "${lines[0]}"
	[[ ! "${lines[1]:-}" =~ [0-9] ]]
}

@test "capabilities are those of the configuration, inside" {
	with_userns
	caps CHOWN SYS_ADMIN NET_ADMIN
	sh_args 'grep Cap /proc/self/status'
	run -0 nacre run "$ID"
	[[ "$output" == *"CapEff:"*0000000000201001* ]]
	[[ "$output" == *"CapBnd:"*0000000000201001* ]]
}

@test "a capability the caller lacks can be granted inside" {
	requires setpriv
	with_userns
	caps SYS_TIME
	args grep CapEff /proc/self/status
	run -0 setpriv --bounding-set=-sys_time "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *0000000002000000* ]]
}

@test "capabilities inside are none outside" {
	with_userns
	caps CHOWN DAC_OVERRIDE FOWNER
	mkdir "$T/vol"
	echo secret >"$T/vol/file"
	chmod 600 "$T/vol/file"
	config --arg s "$T/vol" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]'
	sh_args 'cat /mnt/file; chown 0 /mnt/file'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" != *secret* ]]
	equals 0 "$(stat -c %u "$T/vol/file")"
}

@test "the mounts of the default bundle work" {
	with_userns
	sh_args 'awk "{print \$5}" /proc/self/mountinfo'
	run -0 nacre run "$ID"
	for m in /proc /dev /dev/pts /dev/shm /dev/mqueue /sys /sys/fs/cgroup; do
		[[ $'\n'"$output"$'\n' == *$'\n'"$m"$'\n'* ]]
	done
}

@test "device nodes are bound from the host, and work" {
	with_userns
	sh_args 'for d in null zero full random urandom tty; do stat -c "%n %t:%T" /dev/$d; done; echo x >/dev/null; head -c 2 /dev/zero | wc -c'
	run -0 nacre run "$ID"
	equals "/dev/null 1:3 /dev/zero 1:5 /dev/full 1:7 /dev/random 1:8 /dev/urandom 1:9 /dev/tty 5:0 2" "${lines[*]}"
}

@test "device nodes that are bound are nosuid and noexec" {
	with_userns
	sh_args 'grep -cE " /dev/(null|zero|full|random|urandom|tty) [^ ]*nosuid,noexec" /proc/self/mountinfo'
	run -0 nacre run "$ID"
	equals 6 "$output"
}

@test "linux.devices: made by the runtime, with mode and owner as the container sees them, at any place" {
	requires container	# the host's devices are refused for a microVM
	with_userns
	config '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11}, {path: "/dev/sub/z", type: "c", major: 1, minor: 5, fileMode: 320, uid: 10, gid: 11},
		{path: "/dev/nt-block", type: "b", major: 7, minor: 3, fileMode: 111, gid: 6}, {path: "/dev/fifo", type: "p", fileMode: 384}]'
	sh_args 'stat -c "%F %t:%T %a %u:%g" /dev/kmsg /dev/sub/z /dev/nt-block; stat -c "%F %a" /dev/fifo; head -c 3 /dev/sub/z | wc -c
		grep -cE " /dev/(kmsg|sub/z|nt-block) [^ ]*nosuid,noexec" /proc/self/mountinfo'
	umask 077
	run -0 nacre run "$ID"
	equals "character special file 1:b 666 0:0" "${lines[0]}"
	equals "character special file 1:5 500 10:11" "${lines[1]}"
	equals "block special file 7:3 157 0:6" "${lines[2]}"
	equals "fifo 600" "${lines[3]}"
	equals "3 3" "${lines[4]} ${lines[5]}"
	# On the host they are others'.
	config '.linux.devices = [{path: "/dev/z", type: "c", major: 1, minor: 5, uid: 70000}]'
	refuses "linux.devices[0]: uid: 70000 is not mapped"
}

@test "linux.devices in a user namespace that is joined" {
	requires container
	with_userns
	run_sleeping
	config --arg p "/proc/$(pid_of "$ID")/ns/user" '.linux.namespaces |= map(if .type == "user" then .path = $p else . end)
		| del(.linux.uidMappings, .linux.gidMappings) | .linux.devices = [{path: "/dev/z", type: "c", major: 1, minor: 5, fileMode: 320, uid: 10, gid: 11}]'
	sh_args 'stat -c "%t:%T %a %u:%g" /dev/z; head -c 3 /dev/z | wc -c'
	run -0 nacre run "$ID-2"
	equals "1:5 500 10:11 3" "${lines[*]}"
}

@test "linux.devices: something else at the place is refused, by its path" {
	requires container
	with_userns
	config '.linux.devices = [{path: "/dev/a", type: "c", major: 1, minor: 3}, {path: "/etc/passwd", type: "c", major: 1, minor: 3}]'
	refuses 'linux.devices[1]: cannot make the device "/etc/passwd": something else is there'
}

@test "sysfs with the host's network namespace: the host's tree is bound, read-only" {
	requires container	# refused for a microVM
	with_userns
	config '.linux.namespaces |= map(select(.type != "network"))'
	sh_args 'ls /sys/kernel >/dev/null && grep " /sys " /proc/self/mountinfo; mkdir /sys/nt 2>&1'
	run nacre run "$ID"
	[[ "${lines[0]}" == *" /sys ro,"* ]]
	[[ "${lines[*]}" == *"Read-only file system"* ]]
}

@test "exec is root of the user namespace, or the user asked for" {
	with_userns
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" sh -c 'id -u; cat /proc/self/uid_map'
	equals 0 "${lines[0]}"
	[[ "${lines[1]}" == *100000* ]]
	run -0 nacre exec -u 1000:1000 "$ID" id -u
	equals 1000 "$output"
}

@test "rlimits are set, lower ones and the caller's own hard ones" {
	with_userns
	hard=$(ulimit -Hn)
	config --argjson h "$hard" '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: $h}, {type: "RLIMIT_CORE", soft: 0, hard: 0}]'
	sh_args 'ulimit -Sn; ulimit -Hn; ulimit -Hc'
	run -0 nacre run "$ID"
	equals "77 $hard 0" "${lines[*]}"
}

@test "an rlimit can be raised above the caller's" {
	requires sys_resource
	with_userns
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2000, hard: 4000}]'
	sh_args 'ulimit -Sn; ulimit -Hn'
	run -0 bash -c 'ulimit -n 1000; "$@"' - "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals "2000 4000" "${lines[*]}"
}

@test "a new user namespace without mappings is refused" {
	with_userns
	config 'del(.linux.uidMappings)'
	refuses linux.uidMappings
	config '.linux.uidMappings = .linux.gidMappings | del(.linux.gidMappings)'
	refuses linux.gidMappings
	config 'del(.linux.uidMappings)'
	refuses linux.uidMappings
}

@test "mappings without a user namespace are refused" {
	config '.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1}] | .linux.gidMappings = .linux.uidMappings'
	refuses linux.uidMappings
}

@test "mappings that overlap or run past the last id are refused" {
	with_userns
	config '.linux.uidMappings = [{containerID: 0, hostID: 1, size: 10}, {containerID: 5, hostID: 100, size: 10}]'
	refuses 'linux.uidMappings[1].containerID' overlap
	config '.linux.uidMappings = [{containerID: 0, hostID: 1, size: 10}, {containerID: 50, hostID: 3, size: 10}]'
	refuses 'linux.uidMappings[1].hostID' overlap
	config '.linux.uidMappings = [{containerID: 0, hostID: 4294967290, size: 10}]'
	refuses 'linux.uidMappings[0]'
}

@test "maps without an id 0: the process runs as the mapped user" {
	with_userns
	config '.linux.uidMappings = [{containerID: 1000, hostID: 101000, size: 1}] | .linux.gidMappings = .linux.uidMappings
		| .process.user = {uid: 1000, gid: 1000} | .mounts = [.mounts[] | select(.destination == "/proc")] | .root.readonly = false'
	args id -u
	run nacre run "$ID"
	[ "$status" -eq 0 ] || [ -n "$output" ]
	if [ "$status" -eq 0 ]; then equals 1000 "$output"; fi
}

@test "a bind mount of a root-owned 0700 directory works" {
	with_userns
	mkdir -p "$T/private/sub"
	echo >"$T/private/sub/file"
	chmod 700 "$T/private"
	config --arg s "$T/private/sub" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]'
	args ls /mnt
	run -0 nacre run "$ID"
	equals file "$output"
}

@test "a bundle below a root-owned 0700 directory works" {
	with_userns
	chmod 700 "$T"
	sh_args 'echo in'
	run -0 nacre run "$ID"
	equals in "$output"
}

@test "an image whose files belong to the mapped root: mount points, devices and cwd are made" {
	with_userns
	# Not the template's hard links.
	rm -rf "$BUNDLE/rootfs"
	cp -a "$ROOTFS_TEMPLATE" "$BUNDLE/rootfs"
	chown -R 100000:100000 "$BUNDLE/rootfs"
	chmod 700 "$BUNDLE/rootfs"
	config '.root.readonly = false | .process.cwd = "/new/dir" | .mounts |= map(select(.destination != "/dev"))
		| .mounts += [{destination: "/made/here", type: "tmpfs", source: "t"}]'
	sh_args 'pwd; stat -c %u /new/dir /made; echo x >/dev/null; echo y >/etc/written'
	run -0 nacre run "$ID"
	equals "/new/dir 0 0" "${lines[*]}"
	equals 100000 "$(stat -c %u "$BUNDLE/rootfs/etc/written")"
}

@test "the terminal belongs to the user inside" {
	with_userns
	config '.process.terminal = true | .process.user = {uid: 1000, gid: 1000}'
	sh_args 'stat -c %u "$(tty)"; echo x >/dev/tty && echo ok'
	run -0 "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *1000* ]]
	[[ "$output" == *ok* ]]
}

@test "sysctls of namespaces that the user namespace owns" {
	with_userns
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}'
	args cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax
	run -0 nacre run "$ID"
	equals "1 9000" "${lines[*]}"
}

@test "masked and read-only paths" {
	with_userns
	config '.linux.maskedPaths = ["/proc/keys", "/proc/bus"] | .linux.readonlyPaths = ["/proc/sys"]'
	# One stream: a microVM's two come by themselves, and their pieces may mix.
	sh_args 'exec 2>&1; cat /proc/keys; ls /proc/bus; echo x >/proc/sys/kernel/domainname; echo end'
	run -0 nacre run "$ID"
	[[ "$output" == *"Read-only file system"* ]]
	equals 2 "${#lines[@]}"
}

# The container's own CAP_SYS_ADMIN may unmount what its namespace holds; a namespace it makes must not.
@test "what is masked stays hidden in a nested user namespace" {
	with_userns
	config '.process.user = {uid: 1000, gid: 1000}'
	config '.linux.maskedPaths = ["/proc/keys"] | .root.readonly = false'
	sh_args 'unshare -Urm umount -l /proc/keys; unshare -Urmpf mount -t proc proc /mnt && echo mounted; unshare -Urm true && echo nested'
	run nacre run "$ID"
	[[ "$output" != *mounted* ]]
	[[ "$output" == *nested* ]]
}

# The kernel locks the host's mounts there: an unmasked /proc would stay below the new root.
@test "--no-pivot with a user namespace is refused" {
	with_userns
	run nacre run --no-pivot "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *"--no-pivot"*"user namespace"* ]]
}

@test "a read-only bind mount stays so in a nested user namespace" {
	with_userns
	config '.process.user = {uid: 1000, gid: 1000}'
	with_volume
	config '.mounts[-1].options = ["bind", "ro"]'
	sh_args 'unshare -Urm sh -c "mount -o remount,rw,bind /mnt; touch /mnt/file"'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ ! -e "$T/vol/file" ]
}

@test "a bind mount of a tree that has flags of its own keeps them" {
	with_userns
	mkdir "$T/src"
	args grep " /mnt " /proc/self/mountinfo
	config --arg s "$T/src" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]'
	run -0 in_mount_ns 'mount -t tmpfs -o nosuid,nodev,noexec t "$T/src"; nacre run "$ID"'
	[[ "$output" == *" /mnt "*nosuid,nodev,noexec* ]]
}
