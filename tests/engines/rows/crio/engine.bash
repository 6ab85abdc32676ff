# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the rows of the CRI call; what is CRI-O's own.

# shellcheck source=tests/engines/rows/cri/engine.bash
source "$T/engines/rows/cri/engine.bash"

# isolation ID: of a container by its state. A sandbox that nobody needs is no process with CRI-O: its namespaces are held by files.
isolation() {
	local state=/run/nacre/$1/state.json
	if [[ -e $state ]]; then jq -r .isolation "$state"; else echo container; fi
}
