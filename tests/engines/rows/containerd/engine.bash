# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What containerd's rows call.

export CONTAINERD_ADDRESS=$T/containerd.sock CONTAINERD_NAMESPACE=rows

# run OPTION... ID COMMAND...: in the foreground, of the image; removed afterwards. BINARY: instead of $RUNTIME.
run() { start --rm "$@"; }

# up OPTION... ID COMMAND...: one that goes on.
up() { start --detach "$@"; }

# start OPTION... ID COMMAND...: the image stands between ctr's options and the ID.
start() {
	local options=()
	# ctr always asks for a share of the processor.
	has_controllers || options+=(--cpu-shares=0)
	while [[ $1 == -* ]]; do options+=("$1") && shift; done
	ctr run --runc-binary "${BINARY:-$RUNTIME}" "${options[@]}" docker.io/library/busybox:latest "$@"
}

status() { ctr tasks ls | awk -v id="$1" '$1 == id { print $3 }'; }
pid() { ctr tasks ls | awk -v id="$1" '$1 == id { print $2 }'; }

# execute OPTION... ID COMMAND...: a further process in the container.
executed=0
execute() {
	executed=$((executed + 1))
	ctr tasks exec --exec-id "e$BASHPID-$executed-$RANDOM" "$@"
}
