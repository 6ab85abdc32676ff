#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.selinuxLabel and linux.mountLabel under a policy that is enforced: selinux.cil. It is loaded into a test host that booted
# with security=selinux, never into another machine.

load helpers

LABEL=system_u:system_r:container_t:s0:c1,c2
FILES=system_u:object_r:container_file_t:s0:c1,c2

# A policy stays until the machine ends.
setup_file() {
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
	[ -n "${NACRE_TEST_HOST-}" ] && grep -qw selinuxfs /proc/filesystems && command -v secilc >/dev/null || return 0
	mountpoint -q /sys/fs/selinux || mount -t selinuxfs none /sys/fs/selinux
	secilc -c 33 -o "$BATS_FILE_TMPDIR/policy" -f /dev/null "$BATS_TEST_DIRNAME/selinux.cil"
	# One write(2): a file of the kernel's that takes no parts.
	dd if="$BATS_FILE_TMPDIR/policy" of=/sys/fs/selinux/load bs=1M status=none
	echo 1 >/sys/fs/selinux/enforce
}

setup() {
	common_setup
	requires selinux_policy
}

# The file system of a container, that it may write to, and one that it may not.
add_mounts() {
	config --arg files "$FILES" --arg process "$LABEL" '.process.selinuxLabel = $process | .linux.mountLabel = $files
		| .mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"]},
			{destination: "/theirs", type: "tmpfs", source: "tmpfs", options: ["context=system_u:object_r:host_t:s0"]}]'
}

@test "selinuxLabel: the process has it, and is confined by it" {
	add_mounts
	sh_args 'cat /proc/self/attr/current; echo; echo mine >/tmp/file && cat /tmp/file; echo no >/theirs/file; true'
	run -0 --separate-stderr nacre run "$ID"
	equals "$LABEL"$'\n'mine "$(tr -d '\0' <<<"$output")"
	[[ "$stderr" == *"/theirs/file: Permission denied"* ]]
}

@test "without selinuxLabel the process keeps the caller's" {
	sh_args 'cat /proc/self/attr/current'
	run -0 nacre run "$ID"
	[[ "$output" == system_u:system_r:host_t:* ]]
}

@test "selinuxLabel with noNewPrivileges, another user and a user namespace" {
	config --arg process "$LABEL" '.process.selinuxLabel = $process | .process.noNewPrivileges = true | .process.user = {uid: 1000, gid: 1000}'
	sh_args 'cat /proc/self/attr/current'
	run -0 nacre run "$ID"
	equals "$LABEL" "$(tr -d '\0' <<<"$output")"
	requires userns
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	run -0 nacre run "$ID"
	equals "$LABEL" "$(tr -d '\0' <<<"$output")"
}

@test "selinuxLabel that the policy does not know is an error with its name" {
	config '.process.selinuxLabel = "system_u:system_r:nobody_knows_t:s0"'
	args true
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *'"system_u:system_r:nobody_knows_t:s0"'*"Invalid argument"* ]]
}

@test "exec has the container's label, or that of --process-label" {
	add_mounts
	run_sleeping
	run -0 nacre exec "$ID" cat /proc/self/attr/current
	equals "$LABEL" "$(tr -d '\0' <<<"$output")"
	run nacre exec "$ID" sh -c 'echo no >/theirs/file'
	[[ "$output" == *"Permission denied"* ]]
	run -0 nacre exec --process-label system_u:system_r:container_t:s0:c0 "$ID" cat /proc/self/attr/current
	equals system_u:system_r:container_t:s0:c0 "$(tr -d '\0' <<<"$output")"
	run nacre exec --process-label nonsense "$ID" true
	[ "$status" -ne 0 ]
	[[ "$output" == *'"nonsense"'* ]]
}

# label_of PATH: in the container.
label_of() {
	nacre exec --process-label system_u:system_r:host_t:s0 "$ID" /bin/label "$1"
}

@test "mountLabel: of file systems made for the container, with queues and what masks a folder; /proc and /sys keep theirs" {
	local path
	add_mounts
	config '.linux.maskedPaths = ["/sys/firmware", "/sys/kernel"]
		| .mounts += [{destination: "/queues", type: "mqueue", source: "mqueue", options: ["nosuid"]}]'
	run_sleeping
	for path in /tmp /dev /dev/pts /dev/shm /queues /sys/kernel; do
		equals "$path $FILES" "$path $(label_of "$path")"
	done
	for path in /proc /sys; do
		[[ "$(label_of "$path")" == system_u:object_r:host_t:* ]]
	done
	equals system_u:object_r:host_t:s0 "$(label_of /theirs)"
	run -0 nacre exec "$ID" ls /sys/kernel
	equals "" "$output"
}

@test "mountLabel leaves the host's queues alone" {
	local before
	before=$("$HELPERS/label" /dev/mqueue)
	add_mounts
	config 'del(.linux.namespaces[] | select(.type == "ipc"))
		| .mounts = [.mounts[] | select(.destination != "/dev/shm")] + [{destination: "/queues", type: "mqueue", source: "mqueue"}]'
	args true
	run -0 nacre run "$ID"
	equals "$before" "$("$HELPERS/label" /dev/mqueue)"
}

@test "mountLabel that the policy does not know is an error with the mount" {
	config '.linux.mountLabel = "system_u:object_r:nobody_knows_t:s0"'
	args true
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *'"/dev"'* ]]
}

@test "the session keyring has the process' label: it may search it" {
	add_mounts
	args /bin/label --session-keyring
	run -0 nacre run "$ID"
	equals "$LABEL" "$output"
	run_sleeping
	run -0 nacre exec "$ID" /bin/label --session-keyring
	equals "$LABEL" "$output"
}

@test "features and doctor tell that SELinux is there" {
	nacre features | jq -e '.linux.selinux.enabled'
	run nacre doctor
	[[ "$output" == *selinux* ]]
}
