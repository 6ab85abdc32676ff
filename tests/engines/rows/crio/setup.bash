# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# CRI-O, as a kubelet would use it, by crictl; contrib/engines/crio as it is. The rows are those of containerd's CRI: what a
# kubelet asks for is the same.

# shellcheck source=tests/engines/rows/crio/engine.bash
source "$T/engines/rows/crio/engine.bash"
export CRIO_ROOT=$T/crio/root

engine_missing() {
	local program
	for program in crio pinns conmon podman crictl; do
		command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
	done
	# It gives each container a weight, and has no option for a machine that cannot.
	has_controllers || echo "the controllers are bound to cgroup v1 here (see the test host)"
}

peer_tables() {
	local name
	for name in runc crun; do
		printf '[crio.runtime.runtimes.%s]\nruntime_path = "%s"\nruntime_type = "oci"\nruntime_root = "/run/%s"\n' \
			"$name" "$(command -v "$name" || echo "/usr/bin/$name")" "$name"
	done
}

write_config() {
	local driver=cgroupfs
	[[ ! -d /run/systemd/system ]] || driver=systemd
	cat >"$T/crio.conf" <<-END
		[crio]
		root = "$CRIO_ROOT"
		runroot = "/run/crio-rows"
		storage_driver = "overlay"
		log_dir = "$T/crio/log"
		version_file = "$T/crio/version"
		version_file_persist = ""
		clean_shutdown_file = ""
		[crio.api]
		listen = "$T/cri.sock"
		stream_port = "0"
		[crio.runtime]
		default_runtime = "runc"
		conmon = "$(command -v conmon)"
		conmon_cgroup = "$([[ $driver == systemd ]] && echo system.slice || echo pod)"
		cgroup_manager = "$driver"
		pinns_path = "$(command -v pinns)"
		namespaces_dir = "/run/crio-rows-ns"
		container_exits_dir = "$T/crio/exits"
		container_attach_socket_dir = "/run/crio-rows-attach"
		apparmor_profile = "unconfined"
		hooks_dir = []
		[crio.image]
		pause_image = "docker.io/library/busybox:latest"
		pause_command = ""
		[crio.network]
		network_dir = "$T/cni"
		plugin_dirs = ["/usr/lib/cni"]
	END
	peer_tables >>"$T/crio.conf"
}

engine_begin() {
	mkdir -p "$T/crio"
	write_config
	write_network
	# The image of the pause container, too: it waits.
	image_archive '["/bin/sleep","1000000"]'
	podman --root "$CRIO_ROOT" --runroot /run/crio-rows --storage-driver overlay load -q -i "$T/image.tar"
	crio --config "$T/crio.conf" --config-dir "$PWD/contrib/engines/crio" --log-level warn >"$T/crio.log" 2>&1 &
	crio=$!
	wait_for 30 crictl info || { tail -n 20 "$T/crio.log"; return 1; }
	wait_for 20 contains busybox crictl images
}

engine_reset() {
	crictl rm -fa
	crictl rmp -fa
}

engine_end() {
	kill "$crio"
	wait "$crio"
	umount "$CRIO_ROOT/overlay" || true
}
