# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# buildah as root, by itself: it is the runtime's caller, without conmon.

engine_missing() { command -v buildah >/dev/null || echo "buildah is not installed"; }

engine_begin() {
	local container
	printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
	container=$(buildah from scratch)
	buildah add -q "$container" "$T/rootfs.tar"
	buildah config --env PATH=/bin "$container"
	buildah commit -q "$container" localhost/busybox
	buildah rm "$container"
}

engine_reset() { buildah rm --all; }
