#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: the config.json to start from.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

fresh() {
	rm config.json
	nacre spec "$@"
}

@test "it runs as it is, with a terminal" {
	fresh
	run "$HELPERS/pty-run" wait='# ' 'send=echo $((6 * 7)) from $(hostname)\n' wait='42 from nacre' 'send=exit 5\n' -- \
		"$NACRE_BIN" --root "$ROOT" run "$ID"
	echo "$output"
	[ "$status" -eq 5 ]
}

@test "it is what the specification asks" {
	fresh
	[ "$(jq -r .ociVersion config.json)" = 1.3.0 ]
	[ "$(jq -c '[.process.cwd, .root.path, .root.readonly, .process.noNewPrivileges]' config.json)" = '["/","rootfs",true,true]' ]
	[ "$(jq -c '[.linux.namespaces[].type] | sort' config.json)" = '["cgroup","ipc","mount","network","pid","uts"]' ]
	jq -e '.linux.maskedPaths | index("/proc/kcore")' config.json
}

@test "its mode is 0644, whatever the umask allows" {
	umask 022
	fresh
	[ "$(stat -c %a config.json)" = 644 ]
}

@test "an existing file is not overwritten" {
	echo mine >config.json
	refused 1 'exists' spec
	[ "$(cat config.json)" = mine ]
}

@test "a symbolic link is not written through" {
	rm config.json
	ln -s "$T/target" config.json
	refused 1 'exists' spec
	[ ! -e "$T/target" ]
}

@test "--bundle, -b: written there" {
	mkdir "$T/one" "$T/two" "$T/three"
	nacre spec --bundle "$T/one"
	nacre spec -b "$T/two"
	nacre spec --bundle="$T/three"
	cmp "$T/one/config.json" "$T/two/config.json"
	cmp "$T/one/config.json" "$T/three/config.json"
}

@test "--bundle: a directory that is not there" {
	refused 1 "$T/none" spec -b "$T/none"
}

@test "--file: another name" {
	nacre spec --file other.json
	jq -e .ociVersion other.json
}

@test "--rootless: user namespace with the caller mapped to root" {
	fresh --rootless
	jq -e '[.linux.namespaces[].type] | index("user")' config.json
	[ "$(jq -c '.linux.uidMappings' config.json | jq -c '.[0] | [.containerID, .hostID, .size]')" = "[0,$(id -u),1]" ]
	[ "$(jq '[.mounts[].options[] | select(. == "gid=5")] | length' config.json)" = 0 ]
}

@test "--rootless: runs as it is for a user without privileges" {
	requires root setpriv userns
	rm config.json
	chmod 755 "$T"
	chown 65534 "$T" "$BUNDLE"
	install -d -o 65534 "$T/xdg"
	install -m 755 "$NACRE_BIN" "$T/nacre"
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ XDG_RUNTIME_DIR="$T/xdg" timeout 30 "$@"; }
	as_nobody "$T/nacre" spec --rootless
	config '.process.terminal = false | .process.args = ["id", "-u"]'
	run as_nobody "$T/nacre" --cgroup-manager disabled run "$ID"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = 0 ]
}

@test "a full disk leaves no half file" {
	requires root
	mkdir mnt
	run unshare -m sh -c 'mount -t tmpfs -o size=4k none mnt && head -c 4096 /dev/zero >mnt/fill; "$0" spec -b mnt; echo $?; ls mnt' "$NACRE_BIN"
	[[ "$output" == *$'\n1\nfill' ]]
}
