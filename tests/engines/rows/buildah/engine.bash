# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What buildah's rows call, and its image.

# oci is root's: with rootless buildah joins no cgroup and sets no limits.
# ids: a mapping that the caller can make, as /proc/self/uid_map would show it.
export ids="0 100000 65536"
isolation=oci
((EUID == 0)) || isolation=rootless ids="0 1000 60000"

# prepare ARCHIVE: the image, of a root file system.
prepare() {
	local container policy=/etc/containers/policy.json
	((EUID == 0)) || policy=$HOME/.config/containers/policy.json
	printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$policy"
	container=$(buildah from scratch)
	buildah add -q "$container" "$1"
	buildah config --env PATH=/bin "$container"
	buildah commit -q "$container" localhost/busybox
	buildah rm "$container"
}

# from: a container of the image; its name.
from() { buildah from --pull-never localhost/busybox; }

# run OPTION... CONTAINER COMMAND...
run() { buildah run --runtime "$RUNTIME" --isolation "$isolation" --network none "$@"; }

# build FILE OPTION...: an image of a Containerfile, without a network.
build() { buildah build --runtime "$RUNTIME" --isolation "$isolation" --network none --pull-never "${@:2}" -f "$1" .; }
