# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# containerd's CRI plugin, as a kubelet would use it, by crictl; the tables of contrib/engines/containerd as they are.

export CONTAINER_RUNTIME_ENDPOINT=unix://$T/cri.sock IMAGE_SERVICE_ENDPOINT=unix://$T/cri.sock
cri_plugin='plugins."io.containerd.grpc.v1.cri"'

engine_missing() {
	local program
	for program in containerd containerd-shim-runc-v2 ctr crictl; do
		command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
	done
}

# The other runtimes, in the same form.
peer_tables() {
	local name
	for name in runc crun; do
		printf '[%s.containerd.runtimes.%s]\nruntime_type = "io.containerd.runc.v2"\n[%s.containerd.runtimes.%s.options]\nBinaryName = "%s"\nSystemdCgroup = true\n' \
			"$cri_plugin" "$name" "$cri_plugin" "$name" "$(command -v "$name" || echo "/usr/bin/$name")"
	done
}

write_config() {
	{
		cat contrib/engines/containerd/nacre.toml
		peer_tables
		printf '[%s]\nsandbox_image = "docker.io/library/busybox:latest"\nrestrict_oom_score_adj = true\n[%s.cni]\nbin_dir = "/usr/lib/cni"\nconf_dir = "%s/cni"\n' \
			"$cri_plugin" "$cri_plugin" "$T"
		printf '[grpc]\naddress = "%s/cri.sock"\n' "$T"
	} >"$T/cri.toml"
	# Without systemd a kubelet's driver is the other one.
	[[ -d /run/systemd/system ]] || sed -i 's/^SystemdCgroup = true/SystemdCgroup = false/' "$T/cri.toml"
	has_controllers || sed -i "/sandbox_image/a disable_cgroup = true" "$T/cri.toml"
}

begin_containerd() {
	write_config
	write_network
	mkdir -p /run/containerd
	mount -t tmpfs -o mode=755 engines /run/containerd
	containerd --config "$T/cri.toml" --root "$T/cri" --state /run/containerd/cri --log-level warn >"$T/containerd.log" 2>&1 &
	containerd=$!
	wait_for 30 ctr --address "$T/cri.sock" version || { tail -n 20 "$T/containerd.log"; return 1; }
	# The image of the pause container, too: it waits.
	image_archive '["/bin/sleep","1000000"]'
	ctr --address "$T/cri.sock" --namespace k8s.io images import "$T/image.tar"
}

engine_begin() {
	begin_containerd
	wait_for 30 crictl info || { tail -n 20 "$T/containerd.log"; return 1; }
	wait_for 20 contains busybox crictl images
}

engine_reset() {
	crictl rm -fa
	crictl rmp -fa
}

engine_end() {
	kill "$containerd"
	wait "$containerd"
	umount -l /run/containerd
}
