# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# containerd as root, its shim io.containerd.runc.v2, and ctr.

CTR=(ctr --address "$T/containerd.sock" --namespace rows)

engine_missing() {
	local program
	for program in containerd containerd-shim-runc-v2 ctr; do
		command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
	done
}

engine_begin() {
	cat >"$T/containerd.toml" <<-END
		version = 2
		root = "$T/containerd/root"
		state = "/run/containerd-rows"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
		  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
		[grpc]
		  address = "$T/containerd.sock"
	END
	# The folder that ctr keeps the streams of a task in, and the shims' sockets, are this run's own.
	mkdir -p /run/containerd
	mount -t tmpfs -o mode=755 engines /run/containerd
	containerd --config "$T/containerd.toml" --log-level warn >"$T/containerd.log" 2>&1 &
	containerd=$!
	wait_for 20 "${CTR[@]}" version || { cat "$T/containerd.log"; return 1; }
	image_archive '["/bin/sh"]'
	"${CTR[@]}" images import "$T/image.tar"
}

engine_reset() {
	local id
	for id in $("${CTR[@]}" tasks ls -q); do
		"${CTR[@]}" tasks kill -s KILL -a "$id"
		wait_for 10 contains STOPPED "${CTR[@]}" tasks ls
		"${CTR[@]}" tasks rm -f "$id"
	done
	for id in $("${CTR[@]}" containers ls -q); do "${CTR[@]}" containers rm "$id"; done
}

engine_end() {
	kill "$containerd"
	wait "$containerd"
	umount -l /run/containerd
}
