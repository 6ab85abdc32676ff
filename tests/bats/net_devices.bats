#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.netDevices: devices of the host in the container's network namespace. "The host" is a network namespace of the
# test's own, where the devices are one end each of a veth pair.
# shellcheck disable=SC2016 # scripts in single quotes are of the namespace, or the container's

load helpers

setup_file() {
	requires root ip
	unshare -n ip link add v0 type veth peer name v1 2>/dev/null || skip "the kernel has no veth devices"
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

# in_net SCRIPT: there p0 and p1 are the other ends of v0 (192.0.2.1/24 and more) and v1.
in_net() {
	export NACRE_BIN ROOT ID T BUNDLE NACRE_TIMEOUT
	export -f nacre
	unshare -n bash -euc 'ip link set lo up
		ip link add v0 type veth peer name p0; ip link add v1 type veth peer name p1
		ip link set v0 up mtu 1400 address 02:00:00:00:00:01; ip link set p0 up
		ip address add 192.0.2.1/24 dev v0
		'"$1"
}

# devices JSON
devices() { config --argjson v "$1" '.linux.netDevices = $v'; }

@test "a device is moved with its name, MTU and MAC, is up, and is gone outside" {
	devices '{"v0": {}}'
	sh_args 'ip link show v0 | tr -d "\n"'
	run -0 in_net 'nacre run "$ID"; ! ip link show v0 2>/dev/null'
	[[ "$output" == *"v0@"*"UP"*"mtu 1400"*"02:00:00:00:00:01"* ]]
}

@test "permanent global addresses of both families come along, others do not" {
	devices '{"v0": {"name": "eth0"}}'
	sh_args 'ip -o address show dev eth0'
	run -0 in_net 'ip address add 198.51.100.7 peer 198.51.100.9/32 dev v0
		ip -6 address add 2001:db8::5/64 dev v0 nodad || true
		ip address add 203.0.113.3/24 dev v0 valid_lft 1000 preferred_lft 1000
		ip address add 203.0.113.131/25 dev v0 scope link
		nacre run "$ID"'
	[[ "$output" == *"192.0.2.1/24"* && "$output" == *"198.51.100.7"*"198.51.100.9"* ]]
	[[ "$output" != *"203.0.113"* ]]
	if [ -s /proc/net/if_inet6 ]; then [[ "$output" == *"2001:db8::5/64"* ]]; fi
}

@test "names: a template takes the first free number, several devices are renamed" {
	devices '{"v0": {"name": "net%d"}, "v1": {"name": "net%d"}}'
	sh_args 'ls /sys/class/net'
	config '.mounts += [{destination: "/sys", type: "sysfs", source: "sysfs"}]'
	run -0 in_net 'nacre run "$ID"'
	equals "lo net0 net1" "${lines[*]}"
}

@test "two devices may swap names" {
	devices '{"v0": {"name": "v1"}, "v1": {"name": "v0"}}'
	sh_args 'ip -o link show v1'
	run -0 in_net 'nacre run "$ID"'
	[[ "$output" == *"02:00:00:00:00:01"* ]]
}

@test "a name that is taken in the namespace is an error, and all devices stay as they were" {
	devices '{"v1": {}, "v0": {"name": "taken"}}'
	config --arg p "$T/ns" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)'
	touch "$T/ns"
	run -0 in_net 'unshare -n sleep 60 & other=$!
		until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
		mount --make-rprivate / 2>/dev/null || true
		ln -sfn /proc/$other/ns/net "$T/ns"
		nsenter -t $other -n ip link add taken type veth peer name taken2
		nacre run "$ID" && exit 1
		ip -o link show v1; ip -o address show dev v0
		nsenter -t $other -n ip link del taken
		nacre run "$ID" && echo second
		kill $other'
	[[ "$output" == *'linux.netDevices: cannot move the network device "v0": the container'*'has a "taken" already'* ]]
	[[ "$output" == *"v1@p1"* && "$output" == *"192.0.2.1/24"* && "$output" == *second* ]]
}

@test "a device that is missing, or cannot leave: an error that names it, nothing is moved" {
	devices '{"v0": {}, "nothere": {}}'
	run in_net 'nacre run "$ID" && exit 1; ip -o address show dev v0; ip -o link show v0'
	[[ "$output" == *'linux.netDevices: cannot move the network device "nothere": there is none'*"192.0.2.1/24"*UP* ]]
	devices '{"lo": {"name": "x"}}'
	run in_net 'nacre run "$ID" && exit 1; true'
	[[ "$output" == *'"lo": a loopback device belongs to its namespace'* ]]
}

@test "sysctls of a device that is moved in are set" {
	devices '{"v0": {"name": "eth0"}}'
	config '.linux.sysctl = {"net.ipv4.conf.eth0.forwarding": "1"}'
	args cat /proc/sys/net/ipv4/conf/eth0/forwarding
	run -0 in_net 'nacre run "$ID"'
	equals 1 "$output"
}

@test "in a user namespace" {
	requires userns
	devices '{"v0": {"name": "eth0"}}'
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1000}]
		| .linux.gidMappings = .linux.uidMappings'
	chown -R 100000:100000 "$BUNDLE/rootfs"
	sh_args 'ip -o address show dev eth0'
	run -0 in_net 'nacre run "$ID"'
	[[ "$output" == *"192.0.2.1/24"* ]]
}

@test "names and namespaces are checked before anything is done" {
	devices '{"v0": {"name": "much-too-long-for-it"}}'
	refuses "linux.netDevices.v0.name" "is no name for a network device"
	devices '{"v0": {"name": "a%d%d"}}'
	refuses "linux.netDevices.v0.name"
	devices '{"a/b": {}}'
	refuses "linux.netDevices.a/b: is no name"
	devices '{"v0": {"name": "x"}, "v1": {"name": "x"}}'
	refuses "linux.netDevices.v1.name: \"x\" is what linux.netDevices.v0 becomes already"
	devices '{"v0": {}}'
	config '.linux.namespaces |= map(select(.type != "network"))'
	refuses "linux.netDevices.v0: needs a network namespace that is not the host's"
}

@test "explain names the devices" {
	devices '{"v0": {"name": "eth%d"}}'
	run -0 nacre explain "$BUNDLE"
	[[ "$output" == *'the host'"'"'s device "v0" is moved in as "eth%d"'* ]]
}
