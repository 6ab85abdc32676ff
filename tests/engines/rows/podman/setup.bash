# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# podman as root.

engine_missing() { command -v podman >/dev/null || echo "podman is not installed"; }

engine_begin() {
	local conf=/etc/containers/containers.conf.d
	mkdir -p "$conf"
	cp contrib/engines/podman/nacre.conf "$conf/nacre.conf"
	{
		# Not the journal, which the test host's systemd gives nobody.
		printf '[containers]\nlog_driver = "k8s-file"\n'
		has_controllers || printf 'pids_limit = 0\n'
		# podman asks for more than the kernel grants where root may not raise limits.
		has_sys_resource || printf 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
		printf '[network]\nnetwork_backend = "netavark"\n[engine]\nevents_logger = "file"\n'
		[[ -d /run/systemd/system ]] || printf 'cgroup_manager = "cgroupfs"\n'
	} >"$conf/test.conf"
	plain_storage
	podman import "$T/rootfs.tar" busybox
}

engine_reset() {
	podman pod rm -f -t 0 -a
	podman rm -f -t 0 -a
	podman volume rm -f -a
	podman network prune -f
}
