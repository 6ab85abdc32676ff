#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A config.json that is wrong: refused, with the file and the JSON path, in no time, and nothing is left behind.
# shellcheck disable=SC2016 # jq's variables, and the scripts of other shells

load helpers

# step N: N here, ten times as far in the slow test host.
step() { if [ -n "${NACRE_TEST_HOST:-}" ]; then echo $(($1 * 10)); else echo "$1"; fi; }

# refused_fast TEXT...: like refuses, and within 5 seconds (50 in the test host).
refused_fast() {
	local begin=$SECONDS
	refuses "$@" || return 1
	[ $((SECONDS - begin)) -le "$(step 5)" ]
}

@test "no config.json, an empty one, one that is a directory, a fifo or a device" {
	rm "$BUNDLE/config.json"
	refused_fast config.json
	: >"$BUNDLE/config.json"
	refused_fast config.json
	rm "$BUNDLE/config.json"
	mkdir "$BUNDLE/config.json"
	refused_fast config.json
	rmdir "$BUNDLE/config.json"
	mkfifo "$BUNDLE/config.json"
	refused_fast config.json
	rm "$BUNDLE/config.json"
	ln -s /dev/zero "$BUNDLE/config.json"
	refused_fast config.json
}

@test "no bundle" {
	run nacre create -b "$T/nothing" "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *"$T/nothing"* ]]
}

@test "not JSON, not an object" {
	local text
	for text in 'hello' '[]' '"x"' '1' 'null' 'true' '{' '}' '{"a"}' '{"a":}' '{"a":1,}' "{'a':1}" '{"ociVersion":"1.0.0"} x' \
		'{"ociVersion":"1.0.0"}{}' '// comment' '{"a":01}' '{"a":+1}' '{"a":.5}' '{"a":NaN}' '{"a":"\x"}' '{"a":"\ud800"}'; do
		printf '%s' "$text" >"$BUNDLE/config.json"
		refused_fast config.json || { echo "text: $text"; return 1; }
	done
}

@test "bytes that are not UTF-8, NULs, a byte order mark" {
	printf '{"ociVersion":"1.0.0","hostname":"\xff\xfe"}' >"$BUNDLE/config.json"
	refused_fast config.json
	printf '{"ociVersion":"1.0.0","hostname":"a\xc0\x80b"}' >"$BUNDLE/config.json"
	refused_fast config.json
	printf '{"ociVersion":"1.0.0"}\0\0' >"$BUNDLE/config.json"
	refused_fast config.json
	printf '\xff\xfe{\0}\0' >"$BUNDLE/config.json"
	refused_fast config.json
}

@test "a NUL in a string is refused, not cut off" {
	config '.process.args = ["tru\u0000e"]'
	refused_fast config.json NUL
	config '.process.args = ["true"] | .root.path = "rootfs\u0000/../../.."'
	refused_fast config.json NUL
	config '.root.path = "rootfs" | .process.cwd = "/\u0000x"'
	refused_fast config.json NUL
}

@test "every prefix of a config.json is refused" {
	local len n
	cp "$BUNDLE/config.json" "$T/whole"
	jq -c . "$T/whole" >"$T/compact"
	len=$(($(stat -c %s "$T/compact") - 1))
	for ((n = 0; n < len; n += $(step 37))); do
		head -c "$n" "$T/compact" >"$BUNDLE/config.json"
		! nacre create "$ID" >"$T/said" 2>&1 || { echo "accepted: $n bytes"; return 1; }
		grep -q config.json "$T/said" || { echo "$n bytes: $(cat "$T/said")"; return 1; }
	done
	head -c $((len - 1)) "$T/compact" >"$BUNDLE/config.json"
	refused_fast config.json
}

@test "a byte changed at many places: refused or run, never a crash" {
	local len n
	jq -c . "$BUNDLE/config.json" >"$T/compact"
	len=$(stat -c %s "$T/compact")
	for ((n = 1; n < len; n += $(step 61))); do
		{
			head -c "$n" "$T/compact"
			printf '\x7d'
			tail -c +$((n + 2)) "$T/compact"
		} >"$BUNDLE/config.json"
		run nacre explain "$BUNDLE"
		[ "$status" -le 1 ] || { echo "at $n: $status $output"; return 1; }
	done
}

@test "nested 100000 deep" {
	head -c 100000 /dev/zero | tr '\0' '[' >"$BUNDLE/config.json"
	refused_fast config.json
	{
		printf '{"ociVersion":"1.0.0","x":'
		head -c 100000 /dev/zero | tr '\0' '['
		head -c 100000 /dev/zero | tr '\0' ']'
		printf '}'
	} >"$BUNDLE/config.json"
	refused_fast config.json
	{
		for _ in $(seq 3000); do printf '{"a":'; done
		printf '1'
	} >"$BUNDLE/config.json"
	refused_fast config.json
}

@test "9 MiB" {
	{
		printf '{"ociVersion":"1.0.0","x":"'
		head -c 9437184 /dev/zero | tr '\0' x
		printf '"}'
	} >"$BUNDLE/config.json"
	refused_fast config.json MiB
}

@test "many small values do not eat all memory" {
	{
		printf '{"ociVersion":"1.0.0","x":['
		yes '[],' | head -n 500000 | tr -d '\n'
		printf '1]}'
	} >"$BUNDLE/config.json"
	run bash -c 'ulimit -v 1000000; "$@"' - "$NACRE_BIN" --root "$ROOT" create "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -le 1 ]
	[ -n "$output" ]
}

@test "long strings in errors are cut" {
	config --arg v "$(head -c 60000 /dev/zero | tr '\0' x)" '.ociVersion = $v'
	refused_fast ociVersion
	[ "$(stat -c %s "$T/said")" -lt 10000 ]
}

@test "control characters of a config.json do not reach the terminal" {
	config '.ociVersion = "1.0\u001b[2Jx\u0007"'
	refused_fast ociVersion
	[[ "$(cat "$T/said")" != *$'\033'* ]]
	config '.ociVersion = "1.3.0" | .mounts += [{destination: "/m\u001b[2J", type: "nt-no-fs\u001b[1m"}]'
	refused_fast
	[[ "$(cat "$T/said")" != *$'\033'* ]]
}

@test "wrong types: the property's path is named" {
	local path value
	cp "$BUNDLE/config.json" "$T/good"
	while read -r path value; do
		jq --argjson p "$(jq -Rc 'split(".") | map(if test("^[0-9]+$") then tonumber else . end)' <<<"$path")" --argjson v "$value" \
			'setpath($p; $v)' "$T/good" >"$BUNDLE/config.json"
		path=$(sed -E 's/\.([0-9]+)/[\1]/g' <<<"$path")
		refused_fast config.json "$path" || { echo "with: $value"; return 1; }
	done <<-'TABLE'
		ociVersion 1
		ociVersion "2.0.0"
		ociVersion "1.0"
		root []
		root.path 5
		root.path ""
		root.readonly "yes"
		process []
		process.args "sh"
		process.args.0 7
		process.env {}
		process.env.0 1
		process.cwd 1
		process.cwd "relative"
		process.terminal 1
		process.user "root"
		process.user.uid "0"
		process.user.uid 1.5
		process.user.umask 512
		process.user.additionalGids [true]
		process.rlimits {}
		process.rlimits.0.soft "1"
		process.rlimits.0.hard -1
		process.capabilities []
		process.capabilities.bounding "ALL"
		process.capabilities.bounding.0 3
		process.noNewPrivileges "true"
		process.oomScoreAdj "1"
		process.consoleSize {"height":70000,"width":1}
		hostname 7
		mounts {}
		mounts.0 "proc"
		mounts.0.destination 1
		mounts.0.type {}
		mounts.0.options "ro"
		mounts.0.options.0 null
		mounts.0.source false
		annotations []
		annotations {"a":1}
		hooks []
		hooks.prestart {}
		hooks.prestart [{"path":"relative"}]
		hooks.poststop [{"path":"/x","timeout":-1}]
		linux []
		linux.namespaces {}
		linux.namespaces.0.type "nt"
		linux.namespaces.0.path "relative"
		linux.uidMappings {}
		linux.devices [{"path":"/dev/x","type":"z"}]
		linux.devices [{"path":"dev/x","type":"p"}]
		linux.devices [{"path":"/dev/x","type":"c","major":-1,"minor":0}]
		linux.cgroupsPath 1
		linux.resources []
		linux.resources.devices [{"allow":1}]
		linux.resources.devices [{"allow":true,"access":"x"}]
		linux.resources.memory {"limit":"1"}
		linux.sysctl {"net.ipv4.ip_forward":1}
		linux.seccomp "none"
		linux.seccomp {"defaultAction":1}
		linux.rootfsPropagation "public"
		linux.maskedPaths "/proc"
		linux.maskedPaths ["proc"]
		linux.readonlyPaths [1]
		linux.personality "LINUX32"
		linux.timeOffsets {"realtime":{"secs":1}}
		vm []
		vm.kernel.path 7
		vm.kernel.path "relative"
	TABLE
}

@test "what is missing is named" {
	local path
	cp "$BUNDLE/config.json" "$T/good"
	for path in ociVersion root root.path process.cwd process.user.uid 'mounts[0].destination' 'linux.namespaces[0].type' 'process.rlimits[0].hard'; do
		jq "del(.$path)" "$T/good" >"$BUNDLE/config.json"
		refused_fast config.json "${path##*.}"
	done
}

@test "namespaces twice, and devices and rlimits" {
	config '.linux.namespaces += [{type: "pid"}]'
	refused_fast 'linux.namespaces[' pid twice
}

@test "properties that nobody knows are ignored" {
	config '.nt = {a: [1]} | .process.nt = 1 | .linux.nt = [] | .mounts[0].nt = "x" | .windows = {x: 1} | .solaris = {} | .zos = {}'
	args true
	run -0 nacre run "$ID"
}

@test "properties that this version cannot apply are refused, not ignored" {
	local path value
	cp "$BUNDLE/config.json" "$T/good"
	while read -r path value; do
		jq --argjson p "$(jq -Rc 'split(".")' <<<"$path")" --argjson v "$value" 'setpath($p; $v)' "$T/good" >"$BUNDLE/config.json"
		refused_fast config.json "$path"
	done <<-'TABLE'
		vm.hwConfig {"irqs":[1]}
	TABLE
}

@test "a container id that is no name is refused" {
	local id
	for id in '' . .. a/b /a ../x 'a b' $'a\nb' 'ä' '*' "$(printf '%01100d' 0)" 'a%b'; do
		! nacre create -- "$id" >"$T/said" 2>&1 || { echo "accepted: '$id'"; return 1; }
		[ -z "$(ls -A "$ROOT" 2>/dev/null)" ]
	done
}

@test "a failing create does not touch a container of the same name" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	! nacre create "$ID" >"$T/said" 2>&1 || return 1
	[[ "$(cat "$T/said")" == *"$ID"*exist* ]]
	echo '{' >"$BUNDLE/config.json"
	! nacre create "$ID" >"$T/said" 2>&1 || return 1
	equals running "$(status_of "$ID")"
}

@test "the config.json of a running container may go or change" {
	args sleep 1000
	nacre create "$ID"
	echo '{' >"$BUNDLE/config.json"
	nacre start "$ID"
	equals running "$(status_of "$ID")"
	rm "$BUNDLE/config.json"
	run -0 nacre exec "$ID" true
	nacre delete --force "$ID"
}

@test "id-mapped mounts: maps by twos, on bind mounts only, and not without any map" {
	local none='needs uidMappings and gidMappings, or a user namespace that is not the host'
	# mount OPTIONS [MAPS]: at /mnt; OPTIONS by comma, MAPS the properties that it has, by comma.
	mount() {
		config --arg o "$1" --arg maps "${2-}" '.mounts |= map(select(.destination != "/mnt")) + [{destination: "/mnt", type: "tmpfs",
			source: "/usr", options: ($o / ",")} + ([$maps / "," | .[] | {(.): [{containerID: 0, hostID: 5, size: 1}]}] | add // {})]'
	}
	mount bind,idmap uidMappings
	refused_fast 'mounts[' 'uidMappings without gidMappings'
	mount bind,ridmap gidMappings
	refused_fast 'mounts[' 'gidMappings without uidMappings'
	mount idmap uidMappings,gidMappings
	refused_fast 'mounts[' '.uidMappings: only a new bind mount can be id-mapped'
	mount ro uidMappings,gidMappings
	refused_fast 'mounts[' '.uidMappings: only a new bind mount can be id-mapped'
	mount bind,remount,ridmap
	refused_fast 'mounts[' '.options: only a new bind mount can be id-mapped'
	mount bind,idmap
	refused_fast 'mounts[' ".options: idmap: $none"
	mount rbind,ridmap
	refused_fast 'mounts[' ".options: ridmap: $none"
	# The host's own, joined.
	config '.linux.namespaces += [{type: "user", path: "/proc/self/ns/user"}]'
	refused_fast 'mounts[' ".options: ridmap: $none"
}
