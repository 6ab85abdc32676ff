#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.capabilities and noNewPrivileges: what /proc/self/status says after execve.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

# The sets as "Inh Prm Eff Bnd Amb", without leading zeros.
cap_args() { args sed -n 's/^Cap...:\t0*\([0-9a-f]\)/\1/p' /proc/self/status; }

# CAP_CHOWN 1, CAP_DAC_OVERRIDE 2, CAP_FOWNER 8, CAP_KILL 20, CAP_SETGID 40 (hex).
@test "uid 0: the sets are as configured" {
	config '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_CHOWN"], effective: ["CAP_CHOWN"]}'
	cap_args
	run -0 nacre run "$ID"
	equals "0 1 1 21 0" "${lines[*]}"
}

@test "uid 0 without noNewPrivileges: execve gives root the bounding set, as the kernel has it" {
	config '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_CHOWN"], effective: ["CAP_CHOWN"]}
		| .process.noNewPrivileges = false'
	cap_args
	run -0 nacre run "$ID"
	equals "0 21 21 21 0" "${lines[*]}"
}

@test "uid 0: inheritable is set when it is configured" {
	config '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_KILL"], inheritable: ["CAP_KILL"]}'
	cap_args
	run -0 nacre run "$ID"
	equals "20 20 20 21 0" "${lines[*]}"
}

@test "an inheritable capability outside the bounding set is a warning, not an error" {
	config '.process.capabilities = {bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], inheritable: ["CAP_KILL", "CAP_CHOWN"],
		ambient: ["CAP_CHOWN"]}'
	cap_args
	run -0 --separate-stderr nacre run "$ID"
	equals "20 20 20 20 0" "${lines[*]}"
	[[ "$stderr" == *CAP_CHOWN*bounding* ]]
}

@test "uid 1000: ambient ones survive, the others do not" {
	config '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {
		bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_FOWNER"], permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_FOWNER"],
		effective: ["CAP_CHOWN"], inheritable: ["CAP_KILL", "CAP_CHOWN"], ambient: ["CAP_KILL"]}'
	cap_args
	run -0 nacre run "$ID"
	equals "21 20 20 29 20" "${lines[*]}"
}

@test "uid 1000 without ambient ones has none" {
	config '.process.user = {uid: 1000, gid: 1000}'
	caps CHOWN KILL
	cap_args
	run -0 nacre run "$ID"
	equals "0 0 0 21 0" "${lines[*]}"
}

@test "an ambient capability that is not inheritable is a warning, not an error" {
	config '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {
		bounding: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], ambient: ["CAP_CHOWN", "CAP_KILL"]}'
	cap_args
	run -0 --separate-stderr nacre run "$ID"
	equals "0 0 0 1 0" "${lines[*]}"
	[[ "$stderr" == *"CAP_CHOWN cannot be ambient"*"CAP_KILL cannot be ambient"* ]]
}

@test "an effective capability that is not permitted is a warning, not an error" {
	config '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_CHOWN", "CAP_KILL"]}'
	cap_args
	run -0 --separate-stderr nacre run "$ID"
	[[ "$stderr" == *"CAP_CHOWN cannot be effective"* && "$stderr" != *CAP_KILL* ]]
}

@test "no capabilities: null, an empty object, empty lists" {
	local v
	cap_args
	for v in null '{}' '{"bounding": [], "permitted": [], "effective": [], "inheritable": [], "ambient": []}'; do
		config --argjson v "$v" '.process.capabilities = $v'
		run -0 nacre run "$ID"
		equals "0 0 0 0 0" "${lines[*]}"
	done
}

@test "all capabilities of the kernel that the caller has" {
	requires container
	local mine
	mine=$(sed -n 's/^CapPrm:\t0*//p' /proc/self/status)
	config --argjson v "$(nacre features | jq .linux.capabilities)" '.process.capabilities = {bounding: $v, permitted: $v, effective: $v}'
	cap_args
	run -0 --separate-stderr nacre run "$ID"
	equals "0 $mine $mine $mine 0" "${lines[*]}"
}

@test "an unknown name is one warning, however many sets have it" {
	config '.process.capabilities = {bounding: ["CAP_KILL", "CAP_NT_NO_SUCH"], permitted: ["CAP_NT_NO_SUCH", "CAP_KILL"], effective: ["CAP_KILL"]}'
	cap_args
	run -0 --separate-stderr nacre run "$ID"
	equals "0 20 20 20 0" "${lines[*]}"
	equals 'nacre: warning: unknown capability "CAP_NT_NO_SUCH" is left out' "${stderr:-}"
}

@test "one that the caller lacks is a warning" {
	requires container setpriv
	caps KILL SYS_TIME
	cap_args
	run -0 --separate-stderr setpriv --bounding-set=-sys_time "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals "0 20 20 20 0" "${lines[*]}"
	[[ "${stderr:-}" == *CAP_SYS_TIME* ]]
}

@test "exec has the container's sets; nothing becomes inheritable or ambient" {
	caps CHOWN KILL
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" sed -n 's/^Cap...:\t0*\([0-9a-f]\)/\1/p' /proc/self/status
	equals "0 21 21 21 0" "${lines[*]}"
	run -0 nacre exec --cap CAP_FOWNER "$ID" sed -n 's/^Cap...:\t0*\([0-9a-f]\)/\1/p' /proc/self/status
	equals "0 29 29 29 0" "${lines[*]}"
	run -0 nacre exec -u 1000 "$ID" sed -n 's/^Cap...:\t0*\([0-9a-f]\)/\1/p' /proc/self/status
	equals "0 0 0 21 0" "${lines[*]}"
}

@test "exec --process has the sets of its file" {
	caps CHOWN KILL
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	jq '.process | .capabilities = {bounding: ["CAP_KILL"], inheritable: ["CAP_KILL"], permitted: ["CAP_KILL"]}
		| .args = ["sed", "-n", "s/^Cap...:\\t0*\\([0-9a-f]\\)/\\1/p", "/proc/self/status"]' "$BUNDLE/config.json" >"$T/process.json"
	run -0 nacre exec --process "$T/process.json" "$ID"
	equals "20 20 20 20 0" "${lines[*]}"
	jq 'del(.capabilities)' "$T/process.json" >"$T/none.json"
	run -0 nacre exec --process "$T/none.json" "$ID"
	equals "0 0 0 0 0" "${lines[*]}"
}

@test "a dropped capability does not work" {
	config '.root.readonly = false'
	caps KILL
	args chown 1000 /etc/passwd
	run -1 nacre run "$ID"
	caps CHOWN
	args chown 1000 /etc/group
	run -0 nacre run "$ID"
}

@test "the runtime's own inheritable and ambient capabilities are not passed on" {
	requires setpriv
	caps CHOWN KILL
	cap_args
	run -0 setpriv --inh-caps=+net_admin,+kill --ambient-caps=+net_admin,+kill "$NACRE_BIN" --root "$ROOT" run "$ID"
	equals "0 21 21 21 0" "${lines[*]}"
}

@test "noNewPrivileges, in run and exec" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" grep NoNewPrivs /proc/self/status
	[[ "$output" == *1 ]]
	nacre delete -f "$ID"
	config '.process.noNewPrivileges = false'
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" grep NoNewPrivs /proc/self/status
	[[ "$output" == *0 ]]
	run -0 nacre exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
	[[ "$output" == *1 ]]
}

@test "noNewPrivileges stops set-user-id programs" {
	cp "$BUNDLE/rootfs/bin/busybox" "$BUNDLE/rootfs/bin/busybox-su"
	chmod 4755 "$BUNDLE/rootfs/bin/busybox-su"
	config '.process.user = {uid: 1000, gid: 1000}'
	args /bin/busybox-su grep -m1 Uid /proc/self/status
	run -0 nacre run "$ID"
	[[ "$output" =~ ^Uid:[[:space:]]1000[[:space:]]1000 ]]
}
