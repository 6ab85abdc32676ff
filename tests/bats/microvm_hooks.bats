# SPDX-License-Identifier: Apache-2.0
# Where the six kinds of hooks run when the container is a microVM, and what they see and make there. hooks.bats has the rest.

# Scripts in single quotes are for other shells. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

setup() {
	common_setup
	use_microvm
}

# hook KIND SCRIPT: adds a hook that is a shell script; it sees $t, the test's directory.
hook() {
	config --arg k "$1" --arg s "t=$T; $2" '.hooks[$k] += [{path: "/bin/sh", args: ["sh", "-c", $s]}]'
}

pid_in() { jq .pid "$1"; }

@test "microvm hooks: namespaces of each, one boot" {
	requires root microvm
	local kind look='cat >$t/$k; readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/pid >$t/$k.ns; uname -r >$t/$k.kernel'
	local ours
	ours=$(readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/pid)
	for kind in prestart createRuntime poststart poststop; do hook "$kind" "k=$kind; $look"; done
	hook createContainer "k=createContainer; $look; "'readlink /proc/$(sed "s/.*\"pid\": *//; s/,.*//" $t/createContainer)/ns/mnt >$t/its'
	config '.root.readonly = false | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "cat >/state; uname -r >/kernel; echo $0 >/hooked"]}]'
	sh_args 'echo process >>/hooked'
	nacre run "$ID"
	# The runtime's own.
	for kind in prestart createRuntime poststart poststop; do equals "$ours" "$(cat "$T/$kind.ns")"; done
	# The supervisor's: its mounts and its network, on the host's kernel.
	equals "$(sed -n 1p "$T/createContainer.ns")" "$(cat "$T/its")"
	run ! grep -qxF "$(sed -n 1p "$T/createContainer.ns")" <<<"$ours"
	run ! grep -qxF "$(sed -n 2p "$T/createContainer.ns")" <<<"$ours"
	equals "$(pid_in "$T/createRuntime")" "$(pid_in "$T/createContainer")"
	# The guest's, before the process.
	equals $'sh\nprocess' "$(cat "$BUNDLE/rootfs/hooked")"
	equals 1 "$(pid_in "$BUNDLE/rootfs/state")"
	equals "$(uname -r)" "$(cat "$T/createContainer.kernel")"
	equals "created creating creating created running stopped" "$(for kind in "$T/prestart" "$T/createRuntime" "$T/createContainer" \
		"$BUNDLE/rootfs/state" "$T/poststart" "$T/poststop"; do jq -r .status "$kind"; done | paste -sd' ')"
}

@test "microvm hooks: what a createContainer hook mounts below rootfs is in the guest, on a read-only root as well" {
	requires root microvm
	echo 'below' >"$T/file"
	touch "$BUNDLE/rootfs/mnt-file" "$BUNDLE/rootfs/mnt/of-the-root"
	hook createContainer "mount -t tmpfs hooked $BUNDLE/rootfs/mnt && echo by-hook >$BUNDLE/rootfs/mnt/file &&
		mount --bind $T/file $BUNDLE/rootfs/mnt-file"
	# A read-only root holds for what is mounted below it by then, too: the guest's kernel enters it with the root's flags.
	config '.process.user = {uid: 0, gid: 0}'
	sh_args 'cat /mnt/file /mnt-file; ls /mnt; echo more >/mnt/new && cat /mnt/new; touch /not && echo writable'
	try nacre run "$ID"
	equals $'by-hook\nbelow\nfile' "$output"
	config '.root.readonly = false'
	try nacre run "$ID"
	equals $'by-hook\nbelow\nfile\nmore\nwritable' "$output"
	# It was in a mount namespace of its own.
	run ! mountpoint -q "$BUNDLE/rootfs/mnt"
}

@test "microvm hooks: so it is with a hook of the runtime that enters by the pid, and with what covers the whole root" {
	requires root microvm
	cp -a "$BUNDLE/rootfs" "$T/other"
	echo other >"$T/other/name"
	hook createRuntime 'pid=$(sed "s/.*\"pid\": *//; s/,.*//"); nsenter -t $pid -m mount --bind $t/other '"$BUNDLE/rootfs"
	args cat /name
	try nacre run "$ID"
	equals other "$output"
}

@test "microvm hooks: a failing startContainer, in the guest, and a failing poststart destroy it" {
	requires root microvm
	hook poststop 'echo poststop >>$t/poststop'
	config '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo inner words; exit 3"]}]'
	nacre create "$ID"
	refused 1 "startContainer hook \"/bin/sh\" failed with status 3: inner words" start "$ID"
	equals "" "$(nacre list -q)"
	hook poststart 'exit 4'
	config 'del(.hooks.startContainer)'
	args sleep 1000
	nacre create "$ID"
	refused 1 "poststart hook \"/bin/sh\" failed with status 4" start "$ID"
	equals "" "$(nacre list -q)"
	equals $'poststop\npoststop' "$(cat "$T/poststop")"
}

@test "microvm hooks: why startContainer failed is told, and not overtaken by the end of the process" {
	requires root microvm
	config '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo inner words >&2; exit 3"]}]'
	# The end was the quicker one once in a dozen.
	for _ in 1 2 3 4 5 6 7 8; do
		refused 1 "inner words" run "$ID"
	done
}
