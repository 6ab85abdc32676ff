# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# podman without root.

# shellcheck source=tests/engines/user.bash
source tests/engines/user.bash

engine_missing() { user_missing podman; }

engine_begin() {
	local conf=$T/home/.config/containers/containers.conf.d
	mkdir -p "$conf"
	cp contrib/engines/podman/nacre.conf "$conf/nacre.conf"
	{
		printf '[containers]\n'
		has_controllers && [[ -d /run/systemd/system ]] || printf 'pids_limit = 0\n'
		# What podman asks for by default is more than this user has.
		printf 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
		printf '[network]\nnetwork_backend = "netavark"\n[engine]\nevents_logger = "file"\n'
		[[ -d /run/systemd/system ]] || printf 'cgroup_manager = "cgroupfs"\n'
	} >"$conf/test.conf"
	user_begin
	# shellcheck disable=SC2016 # the user's shell expands it
	as_user 'podman import "$1" busybox' "$T/rootfs.tar"
}

engine_reset() { as_user 'podman pod rm -f -t 0 -a; podman rm -f -t 0 -a; podman volume rm -f -a; podman network prune -f'; }

engine_end() {
	as_user 'podman system migrate' || true
	user_end
}
