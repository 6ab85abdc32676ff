#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# explain: the plan of create, printed; nothing is done.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

# A config that asks for one of each.
rich() {
	config '.hostname = "explained" | .root.readonly = true
		| .mounts += [{destination: "/mnt/data", type: "none", source: "/tmp", options: ["rbind", "ro", "nosuid"]}]
		| .linux.maskedPaths += ["/proc/secret"] | .linux.readonlyPaths += ["/proc/quiet"]
		| .linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .linux.devices = [{path: "/dev/odd", type: "c", major: 1, minor: 3, fileMode: 384, uid: 7, gid: 8}]
		| .hooks = {createRuntime: [{path: "/bin/hook-one"}], poststop: [{path: "/bin/hook-two"}]}
		| .process.user = {uid: 1000, gid: 1001} | .process.cwd = "/etc"
		| .process.args = ["printf", "hello %s", "world"]
		| .process.rlimits = [{type: "RLIMIT_CORE", soft: 1, hard: 2}]
		| .linux.namespaces += [{type: "network", path: "/proc/self/ns/net"}]
		| .linux.namespaces |= (map(select(.type != "network")) + [{type: "network", path: "/proc/self/ns/net"}])
		| del(.linux.sysctl)'
}

WORDS=(explained /mnt/data /tmp nosuid /proc/secret /proc/quiet /dev/odd createRuntime /bin/hook-one poststop /bin/hook-two
	1000 1001 /etc printf RLIMIT_CORE no_new_privs CAP_KILL "join network" "new pid" pivot_root read-only)

@test "text: numbered steps that name what the config asks for" {
	local word
	rich
	run --separate-stderr nacre explain
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ "${lines[0]}" =~ ^\ *1\  ]]
	for word in "${WORDS[@]}"; do
		[[ "$output" == *"$word"* ]] || { echo "$word is missing in: $output"; return 1; }
	done
}

@test "--json: valid, the same steps" {
	local word text
	rich
	nacre explain --json >"$T/plan"
	[ "$(jq -s length "$T/plan")" = 1 ]
	[ "$(jq -c '[.steps[].step]' "$T/plan")" = "$(jq -c '[range(1; 1 + (.steps | length))]' "$T/plan")" ]
	[ "$(jq '.steps | length' "$T/plan")" = "$(nacre explain | wc -l)" ]
	[ "$(jq -r .rootfs "$T/plan")" = "$BUNDLE/rootfs" ]
	text=$(jq -r '.steps[] | "\(.kind) \(.what)"' "$T/plan")
	for word in "${WORDS[@]}"; do [[ "$text" == *"$word"* ]]; done
}

@test "nothing is made: no state, no cgroup, no hook, no file" {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/touch", args: ["touch", "\($t)/hook"]}] | .mounts += [{destination: "/new", type: "tmpfs", source: "x"}]'
	find "$BUNDLE" | sort >"$T/before"
	nacre explain --id "$ID"
	find "$BUNDLE" | sort | cmp - "$T/before"
	[ ! -e "$ROOT" ]
	[ ! -e "$T/hook" ]
}

@test "the bundle as operand, or the working directory" {
	cd /
	[ "$(nacre explain "$BUNDLE")" = "$(cd "$BUNDLE" && nacre explain)" ]
}

@test "--config and --id" {
	mv config.json "$T/other.json"
	[[ "$(nacre explain --config "$T/other.json" --id named)" == *named* ]]
}

@test "the name of a container that exists is no matter" {
	run_sleeping
	nacre explain --id "$ID"
}

@test "what create would refuse, explain refuses in the same words" {
	local edit
	cp config.json "$T/good"
	for edit in '.process.cwd = "rel"' '.linux.namespaces += [{type: "pid"}]' '.linux.sysctl = {"kernel.panic": "1"}' \
		'.process.capabilities.bounding = ["CAP_NONE"]' '.mounts += [{destination: "/proc/self", type: "tmpfs", source: "x"}]' \
		'del(.root)' '.ociVersion = "2.0.0"'; do
		cp "$T/good" config.json
		config "$edit"
		try nacre create "$ID"
		if [ "$status" -eq 0 ]; then
			nacre delete "$ID"
			nacre explain >/dev/null
		else
			refused 1 "${stderr#nacre: error: }" explain
		fi
	done
	[ "$status" -eq 1 ]
}

@test "a bundle that is not there, a bad name, an unknown option" {
	refused 1 "$T/none" explain "$T/none"
	refused 1 "invalid container id" explain --id ../x
	refused 1 "unknown option" explain --xml
}

@test "--cgroup-manager=disabled shows in the plan" {
	[[ "$(nacre --cgroup-manager disabled explain)" == *cgroup*none* ]]
}
