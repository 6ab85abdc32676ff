# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# buildah as root, by itself: it is the runtime's caller, without conmon.

# shellcheck source=tests/engines/rows/buildah/engine.bash
source tests/engines/rows/buildah/engine.bash

engine_missing() { command -v buildah >/dev/null || echo "buildah is not installed"; }

engine_begin() {
	# Not what an engine before this one has made it take for the storage's driver.
	plain_storage
	prepare "$T/rootfs.tar"
}

engine_reset() { buildah rm --all; }
