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

# With the host's network CRI-O names no namespace.
export HOST_NETWORK_REFUSED="without network the host's would be shared"

# refused POD NAME JQ PART...: such a container is not made, for a reason with these parts. CRI-O calls the runtime's create in its own.
refused() {
	local pod=$1 name=$2 change=$3
	shift 3
	jq -n "{metadata: {name: \"$name\"}, image: {image: \"docker.io/library/busybox:latest\"}, command: [\"sleep\", \"1000\"], linux: {}} | $change" >"$name.json"
	fails 1 crictl create --no-pull "$pod" "$name.json" pod.json
	# shellcheck disable=SC2154 # fails sets it
	has "$said" "$@"
}
