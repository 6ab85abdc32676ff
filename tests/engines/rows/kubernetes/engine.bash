# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the rows of the cluster call.

export KUBECONFIG=$T/kube/config

# pod NAME [JQ]: made, of the class CLASS or the runtime's, with one container "one" that sleeps, or what JQ makes of it.
pod() {
	jq -n --arg name "$1" --arg class "${CLASS:-$RUNTIME_NAME}" '{apiVersion: "v1", kind: "Pod", metadata: {name: $name}, spec: {nodeName: "node",
		runtimeClassName: $class, terminationGracePeriodSeconds: 1, automountServiceAccountToken: false, enableServiceLinks: false,
		containers: [{name: "one", image: "docker.io/library/busybox:latest", imagePullPolicy: "Never", command: ["sleep", "1000000"]}]}} | '"${2:-.}" |
		kubectl create -f - >/dev/null
}

# of POD JQ: what its status says.
of() { kubectl get pod "$1" -o json | jq -r ".status | $2"; }
ready() { is of "$1" '[.containerStatuses[].ready] | all' -- true; }
up() { wait_for 30 ready "$1" || { kubectl describe pod "$1"; return 1; }; }

# inside POD CONTAINER COMMAND...
inside() { kubectl exec "$1" -c "$2" -- "${@:3}"; }

# state POD: nacre's record of its container "one".
state() { jq . "/run/containerd/runc/k8s.io/$(of "$1" '.containerStatuses[0].containerID | sub(".*//"; "")')/state.json"; }
