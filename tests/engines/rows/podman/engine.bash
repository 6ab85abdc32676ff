# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What podman's rows call.

# The runtime by its name: contrib/engines/podman/nacre.conf says where it is.
podman=(podman --runtime "$RUNTIME_NAME")
podman() { command "${podman[@]}" "$@"; }

# run OPTION... COMMAND: a container that is removed, without a network unless one is asked for.
run() { with_network podman run --rm "$@"; }

# up NAME OPTION... [COMMAND]: one that goes on, by default doing nothing.
up() { with_network podman run -d --name "$@" >/dev/null; }

with_network() {
	local words=("$@") at
	for at in "${!words[@]}"; do
		[[ ${words[at]} != --network* && ${words[at]} != --pod* && ${words[at]} != --net=* ]] || { "$@"; return; }
	done
	"${words[@]:0:2}" --network=none "${words[@]:2}"
}

now_ms() { echo "$((${EPOCHREALTIME/./} / 1000))"; }

state() { podman inspect --format '{{.State.Status}}' "$1"; }
