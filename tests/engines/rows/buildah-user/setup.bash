# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# buildah without root.

# shellcheck source=tests/engines/user.bash
source tests/engines/user.bash
# shellcheck source=tests/engines/rows/buildah/engine.bash
source tests/engines/rows/buildah/engine.bash

engine_missing() { user_missing buildah; }

engine_begin() {
	user_begin
	"${engine_as[@]}" bash -euc "cd; source $T/engines/rows/buildah/engine.bash; prepare $T/rootfs.tar"
}

engine_reset() { as_user 'buildah rm --all'; }

engine_end() {
	# What was mounted for it ends with the namespace that its processes share.
	user_end
}
