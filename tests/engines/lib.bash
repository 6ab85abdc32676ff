# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts of the rows have: `set -euo pipefail`, an empty folder $W of their own, $RUNTIME (the program under
# the engine), $RUNTIME_NAME, $HELPERS, and the functions below. The engine's file adds its own.

# equals WANT GOT
equals() { [[ $1 == "$2" ]] || { printf 'want: %s\ngot:  %s\n' "$1" "$2"; return 1; }; }

# has TEXT PART...: each part is in the text.
has() {
	local text=$1 part
	shift
	for part; do
		[[ $text == *"$part"* ]] || { printf 'does not have: %s\ntext: %s\n' "$part" "$text"; return 1; }
	done
}

# hasnt TEXT PART
hasnt() { [[ $1 != *"$2"* ]] || { printf 'has: %s\ntext: %s\n' "$2" "$1"; return 1; }; }

# fails STATUS COMMAND...: ends with that status; what it says is in $said.
fails() {
	local want=$1 status=0
	shift
	said=$("$@" 2>&1 </dev/null) || status=$?
	((status == want)) || { printf 'status %s, expected %s: %s\nsays: %s\n' "$status" "$want" "$*" "$said"; return 1; }
}

# wait_for SECONDS COMMAND...: until it succeeds. In the test host everything takes longer.
wait_for() {
	local end=$((SECONDS + $1 * ${PATIENCE:-1}))
	shift
	until "$@"; do
		((SECONDS < end)) || { echo "waited in vain for: $*"; return 1; }
		sleep 0.1
	done
}

# is COMMAND... -- WANT: what it prints; for wait_for.
is() {
	local command=()
	while [[ $1 != -- ]]; do command+=("$1"); shift; done
	[[ $("${command[@]}" 2>&1) == "$2" ]]
}

# contains PART COMMAND...: what it prints has it; for wait_for.
contains() { [[ $("${@:2}" 2>&1) == *"$1"* ]]; }

# on_terminal STEP... -- COMMAND...: on a fresh terminal; see tests/helpers/pty-run.c.
on_terminal() { "$HELPERS/pty-run" "$@"; }

cgroup_mount() {
	if [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]; then echo /sys/fs/cgroup; else echo /sys/fs/cgroup/unified; fi
}
has_controllers() { grep -qw memory "$(cgroup_mount)/cgroup.controllers"; }
has_sys_resource() { (($((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24 & 1)))); }

# In the test host with systemd podman says of overlayfs that whiteouts cannot be made, although they can: why was not found.
plain_storage() {
	[[ -d /run/systemd/system ]] || return 0
	printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
		>/etc/containers/storage.conf
}

# image_archive COMMAND: $T/image.tar, which `ctr images import` takes, of one layer; COMMAND is its Cmd, as JSON. No registry is asked.
image_archive() {
	local dir=$T/image layer
	mkdir -p "$dir"
	cp "$T/rootfs.tar" "$dir/layer.tar"
	layer=$(sha256sum "$dir/layer.tar")
	printf '{"architecture":"amd64","os":"linux","config":{"Cmd":%s,"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$1" "${layer%% *}" >"$dir/config.json"
	printf '[{"Config":"config.json","RepoTags":["docker.io/library/busybox:latest"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
	tar -C "$dir" -cf "$T/image.tar" manifest.json config.json layer.tar
}

# $T/cni: a bridge of this run's own network namespace, for the CRI's engines.
write_network() {
	mkdir -p "$T/cni"
	printf '{"cniVersion":"0.4.0","name":"rows","plugins":[{"type":"bridge","bridge":"rows0","isGateway":true,
		"ipam":{"type":"host-local","dataDir":"%s/ipam","ranges":[[{"subnet":"198.51.100.0/24"}]]}}]}' "$T" >"$T/cni/10-rows.conflist"
}
