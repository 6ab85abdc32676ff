# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# docker as root, with a containerd of its own.

export DOCKER_HOST=unix://$T/docker.sock DOCKER_CONFIG=$T/docker-config

engine_missing() {
	local program
	for program in dockerd containerd containerd-shim-runc-v2 docker; do
		command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
	done
}

engine_begin() {
	local options=(--exec-opt native.cgroupdriver=cgroupfs)
	[[ ! -d /run/systemd/system ]] || options=(--exec-opt native.cgroupdriver=systemd)
	# The file that is handed out, and the peer that is in none.
	jq --arg crun "$(command -v crun || echo /usr/bin/crun)" '.runtimes.crun.path = $crun' contrib/engines/docker/daemon.json >"$T/daemon.json"
	mkdir -p /run/containerd
	mount -t tmpfs -o mode=755 engines /run/containerd
	# Networks are of this run's own network namespace, so nothing is to be filtered or translated.
	dockerd --config-file "$T/daemon.json" --data-root "$T/docker" --exec-root /run/docker-rows --pidfile "$T/docker.pid" \
		--host "$DOCKER_HOST" --iptables=false --ip6tables=false --userland-proxy=false --bip 192.0.2.1/24 \
		"${options[@]}" >"$T/dockerd.log" 2>&1 &
	dockerd=$!
	wait_for 30 docker ps -q || { tail -n 20 "$T/dockerd.log"; return 1; }
	docker import "$T/rootfs.tar" busybox
}

engine_reset() {
	# shellcheck disable=SC2046 # a word for each
	docker rm -f $(docker ps -aq)
	docker volume prune -af
	docker network prune -f
}

engine_end() {
	kill "$dockerd"
	wait "$dockerd"
	umount -l /run/containerd
	# buildah and podman would read the folder's configuration.
	unset DOCKER_HOST DOCKER_CONFIG
}
