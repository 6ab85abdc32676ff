# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What docker's rows call.

export DOCKER_HOST=unix://$T/docker.sock DOCKER_CONFIG=$T/docker-config

# run OPTION... COMMAND: a container that is removed, without a network unless one is asked for.
run() { create_or_run run --rm "$@"; }

# up NAME OPTION... [COMMAND]: one that goes on.
up() { create_or_run run -d --name "$@" >/dev/null; }

create_or_run() {
	local verb=$1 word network=--network=none
	shift
	for word; do [[ $word != --network* ]] || network=--label=network; done
	docker "$verb" --runtime "$RUNTIME_NAME" "$network" "$@"
}

state() { docker inspect --format '{{.State.Status}}' "$1"; }
