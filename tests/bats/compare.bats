#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# nacre compare.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

setup() {
	common_setup
	[ -x "$NACRE_BUILD/nacre-guest" ] || skip "nacre-guest is not built"
	! grep -qa __asan_init "$NACRE_BUILD/nacre-guest" || skip "a guest program with sanitizers is not static"
	export NACRE_TIMEOUT=120
}

# Nothing of it in the bundle, in the state or beside it.
nothing_left() {
	[ -z "$(find "$BUNDLE/rootfs" -maxdepth 1 -name '.nacre-compare*')" ] || { find "$BUNDLE/rootfs" -maxdepth 1; return 1; }
	[ -z "$(ls -A "$T/tmp")" ] || { ls -lA "$T/tmp"; return 1; }
	equals "" "$(nacre list -q)"
}

compare() {
	mkdir -p "$T/tmp"
	TMPDIR=$T/tmp nacre compare "$@"
}

@test "host and container: a table, JSON and a chart" {
	requires container
	config '.root.readonly = true'
	run -0 compare "$BUNDLE" --runs 2 --modes host,container --json "$T/o.json" --svg "$T/o.svg"
	[[ "${lines[0]}" == *host*container* && "$output" == *"delete --force"* && "$output" == *"Medians of 2 runs"* ]]
	# Every metric has its samples, the host all but those of the life of a container.
	equals 2 "$(jq '.modes | length' "$T/o.json")"
	metrics=18
	! has_network || metrics=20
	equals "[$metrics,2]" "$(jq -c '.modes[1].metrics | [length, .forkExec.samples[-2:] | length] | flatten' "$T/o.json" | jq -c .)"
	equals "[]" "$(jq -c '[.modes[0].metrics | .create, .start, .exec, .delete | select(. != null)]' "$T/o.json")"
	jq -e '[.modes[].metrics[] | .median >= .min and .median <= .max and .q1 <= .q3 and (.samples | length) == 2] | all' "$T/o.json"
	jq -e '[.modes[].clockIsOff] == [false, false] and .runs == 2 and .host.cpus > 0' "$T/o.json"
	grep -q '^<svg ' "$T/o.svg"
	if command -v xmllint >/dev/null; then xmllint --noout "$T/o.svg"; fi
	nothing_left
}

# Whether compare can make one.
has_network() {
	[ "$(id -u)" -eq 0 ] && unshare -n ip link add name veth0 type veth peer name veth1 2>/dev/null
}

@test "a network of its own, or why there is none" {
	requires container root
	has_network || skip "no veth interfaces here"
	run -0 compare "$BUNDLE" -n 1 --modes host,container
	[[ "$output" == *"TCP stream (veth) "*"GiB/s"* || "$output" == *"TCP stream (veth) "*"MiB/s"* ]]
	[[ "$output" != *"network: not measured"* ]]
	config 'del(.linux.namespaces[] | select(.type == "network"))'
	run -0 compare "$BUNDLE" -n 1 --modes host,container --json "$T/o.json" --svg "$T/o.svg"
	[[ "$output" == *"network: not measured: the bundle has no network namespace of its own"* && "$output" != *"(veth)"* ]]
	jq -e '(.networkFailure | startswith("the bundle has no network")) and (.modes[1].metrics.netStream == null)' "$T/o.json"
	grep -q "network, not measured" "$T/o.svg"
	nothing_left
}

@test "JSON to standard output" {
	requires container
	run -0 --separate-stderr compare -n 1 --modes container --json - "$BUNDLE"
	equals container "$(jq -r '.modes[].name' <<<"$output")"
	equals "" "$stderr"
}

@test "a mode that cannot be run is told, and the others stand" {
	requires container
	! "$NACRE_BIN" doctor --json | jq -e 'any(.[]; .name == "kvm" and .level == "ok")' >/dev/null || skip "KVM works here"
	run -0 compare "$BUNDLE" -n 1 --modes host,kvm
	[[ "$output" == *"kvm: not measured: "* && "$output" == *"integer steps"* ]]
	run -1 --separate-stderr compare "$BUNDLE" -n 1 --modes kvm
	[[ "$stderr" == *"no mode could be measured"* && "$output" == *"kvm: not measured: "* ]]
}

@test "a bundle whose process cannot be started" {
	requires container
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["execve"], action: "SCMP_ACT_ERRNO"}]}'
	run -0 compare "$BUNDLE" -n 1 --modes host,container
	[[ "$output" == *"container: not measured: "* && "$output" == *"integer steps"* ]]
	nothing_left
}

@test "what the workload cannot measure is told, and the rest stands" {
	requires container
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["listen"], action: "SCMP_ACT_ERRNO"}]}'
	run -0 compare "$BUNDLE" -n 1 --modes container --json "$T/o.json"
	[[ "$output" == *"container: TCP stream (lo): cannot listen on the loopback"* ]]
	equals "cannot listen on the loopback: Operation not permitted" "$(jq -r '.modes[0].metrics.tcpStream.failure' "$T/o.json")"
	jq -e '.modes[0].metrics.fileRead.median > 0' "$T/o.json"
}

@test "hooks are left out, relative sources are found, the user stays" {
	requires container root
	mkdir "$BUNDLE/volume"
	config --arg t "$T/hook" '.hooks.poststop = [{path: "/usr/bin/touch", args: ["touch", $t]}]
		| .mounts += [{destination: "/volume", source: "volume", options: ["rbind", "ro"]}] | .process.user = {uid: 1000, gid: 1000}'
	chmod 755 "$T" "$BUNDLE"
	run -0 compare "$BUNDLE" -n 1 --modes container --json "$T/o.json"
	[ ! -e "$T/hook" ]
	jq -e '[.modes[0].metrics[] | has("failure") | not] | all' "$T/o.json"
	nothing_left
}

@test "Ctrl-C leaves nothing" {
	requires container
	mkdir -p "$T/tmp"
	TMPDIR=$T/tmp "$NACRE_BIN" --root "$ROOT" compare "$BUNDLE" -n 50 --modes container >"$T/out" 2>"$T/err" 3>&- &
	pid=$!
	wait_for 20 sh -c '[ -n "$(ls -A "$1")" ]' sh "$ROOT"
	kill -INT "$pid"
	# Not by run, whose subshell has no such child and would not wait.
	ended=0
	wait "$pid" || ended=$?
	[ "$ended" -ne 0 ]
	grep -q interrupted "$T/err"
	# Nor the server of the network, whose parent it is.
	[ -z "$(pgrep -f "$BUNDLE/rootfs/.*/nacre-workload serve")" ]
	nothing_left
}

@test "the workload follows no link that stands in its folder" {
	requires container
	cp "$NACRE_BUILD/nacre-guest" "$T/nacre-workload"
	mkdir "$T/folder"
	echo precious >"$T/victim"
	ln -s "$T/victim" "$T/folder/data"
	run -0 "$T/nacre-workload" bench "$T/folder"
	[[ "$output" == *$'\nfile_write '* ]]
	equals precious "$(cat "$T/victim")"
	[ ! -L "$T/folder/data" ]
}

@test "what is wrong on the command line" {
	refused 1 '"xen" is none of host, container, kvm, qemu, tcg' compare --modes host,xen "$BUNDLE"
	refused 1 '"" is none of host' compare --modes host, "$BUNDLE"
	refused 1 "--runs: 0 is not in the range 1 to 100" compare --runs 0 "$BUNDLE"
	refused 1 "--runs: 101 is not in the range 1 to 100" compare --runs 101 "$BUNDLE"
	refused 1 "cannot open the bundle" compare "$T/none"
	config 'del(.root)'
	refused 1 "config.json: root.path: is missing" compare --modes host "$BUNDLE"
	nothing_left || true
}

@test "emulation beside the host, with the guest's clock checked" {
	requires container root microvm
	jq -n --arg k "$(vm_kernel)" '{vm: {kernel: {path: $k}}}' >"$T/host.json"
	mkdir -p "$T/tmp"
	TMPDIR=$T/tmp timeout 300 "$NACRE_BIN" --root "$ROOT" --host-config "$T/host.json" compare "$BUNDLE" -n 1 --modes host,tcg --json "$T/o.json" >"$T/out"
	jq -e '.modes[1].metrics | length == 20 and .netStream.median > 1000000 and .create.median > .exec.median and .memory.median > 20000000' "$T/o.json"
	jq -e '.modes[1].clockDriftPpm | . > -100000 and . < 100000' "$T/o.json"
	nothing_left
}
