# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What buildah's rows call.

# from: a container of the image; its name.
from() { buildah from --pull-never localhost/busybox; }

# run OPTION... CONTAINER COMMAND...
run() { buildah run --runtime "$RUNTIME" --isolation oci --network none "$@"; }

# build FILE OPTION...: an image of a Containerfile, without a network.
build() { buildah build --runtime "$RUNTIME" --isolation oci --network none --pull-never "${@:2}" -f "$1" .; }
