#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# AppArmor and SELinux: applied where they are, refused where they are not.

load helpers

cleanup() { drop_profile; }

without() {
	case $1 in
	apparmor) [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || skip "AppArmor is enabled" ;;
	selinux) [ ! -d /sys/fs/selinux/booleans ] || skip "SELinux is enabled" ;;
	esac
}

@test "apparmorProfile without AppArmor is refused" {
	without apparmor
	config '.process.apparmorProfile = "some-profile"'
	refuses process.apparmorProfile "not enabled"
}

@test "selinuxLabel without SELinux is refused" {
	without selinux
	config '.process.selinuxLabel = "system_u:system_r:container_t:s0"'
	refuses process.selinuxLabel "not enabled"
}

@test "mountLabel without SELinux is refused" {
	without selinux
	config '.linux.mountLabel = "system_u:object_r:container_file_t:s0"'
	refuses linux.mountLabel "not enabled"
}

@test "exec with a profile or a label, without the LSM, is refused" {
	without apparmor
	without selinux
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run nacre exec --apparmor some-profile "$ID" true
	[ "$status" -ne 0 ]
	[[ "$output" == *AppArmor* ]]
	run nacre exec --process-label a:b:c:d "$ID" true
	[ "$status" -ne 0 ]
	[[ "$output" == *SELinux* ]]
}

@test "empty profiles and labels are none" {
	config '.process.apparmorProfile = "" | .process.selinuxLabel = "" | .linux.mountLabel = ""'
	args true
	run -0 nacre run "$ID"
}

@test "features tells whether they are there" {
	run -0 nacre features
	jq -e '.linux.apparmor.enabled | type == "boolean"' <<<"$output"
	jq -e '.linux.selinux.enabled | type == "boolean"' <<<"$output"
}

@test "apparmorProfile: unconfined" {
	requires apparmor
	config '.process.apparmorProfile = "unconfined"'
	args cat /proc/self/attr/current
	run -0 nacre run "$ID"
	[[ "$output" == unconfined* ]]
}

@test "apparmorProfile: unconfined is what everything is without AppArmor; exec's, too" {
	without apparmor
	config '.process.apparmorProfile = "unconfined"'
	run_sleeping
	run -0 nacre exec --apparmor unconfined "$ID" true
}

@test "apparmorProfile: the process has it, and is confined by it" {
	load_profile
	mkdir -p "$BUNDLE/rootfs/tmp/no"
	config --arg profile "$PROFILE" '.process.apparmorProfile = $profile | .root.readonly = false'
	sh_args 'cat /proc/self/attr/current; echo mine >/tmp/file && cat /tmp/file; echo no >/tmp/no/file; true'
	run -0 --separate-stderr nacre run "$ID"
	equals "$PROFILE (enforce)"$'\n'mine "$output"
	[[ "$stderr" == *"/tmp/no/file: Permission denied"* ]]
	[ ! -e "$BUNDLE/rootfs/tmp/no/file" ]
}

@test "apparmorProfile with noNewPrivileges, another user and a user namespace" {
	load_profile
	config --arg profile "$PROFILE" '.process.apparmorProfile = $profile | .process.noNewPrivileges = true
		| .process.user = {uid: 1000, gid: 1000}'
	args cat /proc/self/attr/current
	run -0 nacre run "$ID"
	equals "$PROFILE (enforce)" "$output"
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	run -0 nacre run "$ID"
	equals "$PROFILE (enforce)" "$output"
}

@test "exec has the container's profile, or that of --apparmor" {
	load_profile
	config --arg profile "$PROFILE" '.process.apparmorProfile = $profile'
	run_sleeping
	equals "$PROFILE (enforce)" "$(nacre exec "$ID" cat /proc/self/attr/current)"
	equals unconfined "$(nacre exec --apparmor unconfined "$ID" cat /proc/self/attr/current)"
	run nacre exec --apparmor nt-no-such-profile "$ID" true
	[ "$status" -ne 0 ]
	[[ "$output" == *nt-no-such-profile* ]]
}

@test "apparmorProfile that is not loaded is an error with its name" {
	requires apparmor
	config '.process.apparmorProfile = "nt-no-such-profile"'
	args true
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *nt-no-such-profile* ]]
}
