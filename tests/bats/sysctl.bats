#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.sysctl: what a namespace of the container's keeps apart, and nothing else.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

@test "sysctls of the container's own namespaces are set" {
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000", "kernel.sem": "100\t200\t30\t40",
		"fs.mqueue.msg_max": "7", "kernel.domainname": "a.b", "kernel.shm_rmid_forced": "1"}'
	args cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/sem /proc/sys/fs/mqueue/msg_max \
		/proc/sys/kernel/domainname /proc/sys/kernel/shm_rmid_forced
	run -0 nacre run "$ID"
	equals "1 9000 100	200	30	40 7 a.b 1" "${lines[*]}"
}

@test "names with slashes, and with dots in an interface's name" {
	config '.linux.sysctl = {"net/ipv4/conf/lo/forwarding": "1", "net.ipv4.conf.all.arp_filter": "1"}'
	args cat /proc/sys/net/ipv4/conf/lo/forwarding /proc/sys/net/ipv4/conf/all/arp_filter
	run -0 nacre run "$ID"
	equals "1 1" "${lines[*]}"
}

@test "the host's values stay" {
	before=$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname)
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9001", "kernel.domainname": "nt.nt"}'
	args true
	run -0 nacre run "$ID"
	equals "$before" "$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname)"
}

@test "sysctls that no namespace keeps apart are refused" {
	local key
	for key in kernel.panic vm.swappiness kernel.core_pattern fs.file-max kernel.sysrq kernel/panic kernel.hostname \
		kernel.ns_last_pid dev.cdrom.debug debug.exception-trace "" . kernel kernel.msgmaxx fs.mqueue; do
		config --arg k "$key" '.linux.sysctl = {($k): "0"}'
		refuses linux.sysctl
	done
}

@test "sysctls need their namespace new or joined, not the host's" {
	local ns key
	while read -r ns key; do
		config --arg n "$ns" --arg k "$key" '.linux.sysctl = {($k): "1"}
			| .linux.namespaces = [{type: "mount"}, {type: "pid"}, {type: "network"}, {type: "ipc"}, {type: "uts"}]
			| .linux.namespaces |= map(select(.type != $n))
			| if $n == "uts" then del(.hostname) else . end'
		refuses "linux.sysctl.$key" "$ns namespace"
		config --arg n "$ns" --arg p "/proc/self/ns/${ns/network/net}" '.linux.namespaces += [{type: $n, path: $p}]'
		refuses "linux.sysctl.$key" "$ns namespace"
	done <<-'TABLE'
		network net.ipv4.ip_forward
		ipc kernel.msgmax
		ipc fs.mqueue.msg_max
		uts kernel.domainname
		user user.max_user_namespaces
	TABLE
}

@test "kernel.domainname may say what domainname says, and nothing else" {
	config '.domainname = "a.b" | .linux.sysctl = {"kernel.domainname": "a.b"}'
	args cat /proc/sys/kernel/domainname
	run -0 nacre run "$ID"
	equals a.b "$output"
	config '.linux.sysctl = {"kernel.domainname": "c.d"}'
	refuses linux.sysctl.kernel.domainname domainname a.b
	config '.linux.sysctl = {"kernel/domainname": "c.d"}'
	refuses linux.sysctl.kernel/domainname a.b
}

@test "a name that climbs is refused and writes nothing" {
	local key before
	before=$(cat /proc/sys/kernel/panic)
	for key in net/../kernel/panic net/ipv4/../../kernel/panic net.ipv4/../../../kernel/panic net./../kernel/panic net/./../kernel/panic; do
		config --arg k "$key" '.linux.sysctl = {($k): "77"}'
		refuses "$key"
		equals "$before" "$(cat /proc/sys/kernel/panic)"
	done
}

@test "an unknown key or a bad value is an error with its name" {
	config '.linux.sysctl = {"net.nt.no_such_key": "1"}'
	refuses net.nt.no_such_key "No such file"
	config '.linux.sysctl = {"net.ipv4.ip_forward": "many"}'
	refuses net.ipv4.ip_forward many
}

@test "user.* in a user namespace" {
	requires userns
	with_userns
	config '.linux.sysctl = {"user.max_user_namespaces": "3"}'
	args cat /proc/sys/user/max_user_namespaces
	run -0 nacre run "$ID"
	equals 3 "$output"
}
