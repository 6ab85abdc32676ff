# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the rows of the CRI call.

export CONTAINER_RUNTIME_ENDPOINT=unix://$T/cri.sock IMAGE_SERVICE_ENDPOINT=unix://$T/cri.sock

# The default is two seconds.
crictl() { command crictl --timeout $((30 * ${PATIENCE:-1}))s "$@"; }

# pod [JQ]: a pod of the host's network, or of the one that JQ says; its ID. IN_NETWORK: of the bridge's.
export IN_NETWORK='.linux.security_context.namespace_options.network = 0'
pod() {
	local parent=''
	# As a kubelet does with systemd's driver; containerd takes the form of the scope from it.
	[[ ! -d /run/systemd/system ]] || parent=kubepods-rows.slice
	jq -n --arg logs "$W/logs" --arg parent "$parent" "{metadata: {name: \"pod\", uid: \"$RANDOM\", namespace: \"default\", attempt: 1}, log_directory: \$logs,
		linux: {cgroup_parent: \$parent, security_context: {namespace_options: {network: 2}}}} | ${1:-.}" >pod.json
	mkdir -p logs
	crictl runp --runtime "${HANDLER:-$RUNTIME_NAME}" pod.json
}

# container POD NAME JQ: made and started; its ID.
container() {
	local id
	jq -n "{metadata: {name: \"$2\"}, image: {image: \"docker.io/library/busybox:latest\"}, log_path: \"$2.log\",
		command: [\"sleep\", \"1000\"], linux: {}} | $3" >"$2.json"
	id=$(crictl create --no-pull "$1" "$2.json" pod.json)
	crictl start "$id" >/dev/null
	echo "$id"
}

state() { crictl inspect -o json "$1" | jq -r .status.state; }
log() { cut -d' ' -f4- "$W/logs/$1.log"; }

# What a kubelet asks for, unless the pod says shareProcessNamespace; crictl's default is that.
export ALONE='.linux.security_context.namespace_options.pid = 1'

# A container's program, as JSON, that serves a page and ends with 7 when it is told to stop.
export serve='"trap \"exit 7\" TERM; mkdir /www && echo page >/www/index.html && httpd -p 80 -h /www && echo serving; while :; do sleep 0.1; done"'
address() { crictl inspectp -o json "$1" | jq -r .status.network.ip; }
page() { wget -T 20 -qO- "http://$(address "$1")/" 2>&1; }

# isolation ID: of a container or of a sandbox, by its state.
isolation() { jq -r .isolation "/run/containerd/runc/k8s.io/$1/state.json"; }

# With the host's network containerd names the sandbox's namespace, which is the host's.
export HOST_NETWORK_REFUSED="is the host's: a microVM would take its interfaces away"

# refused POD NAME JQ PART...: such a container does not start, for a reason with these parts.
refused() {
	local id pod=$1 name=$2 change=$3
	shift 3
	jq -n "{metadata: {name: \"$name\"}, image: {image: \"docker.io/library/busybox:latest\"}, command: [\"sleep\", \"1000\"], linux: {}} | $change" >"$name.json"
	id=$(crictl create --no-pull "$pod" "$name.json" pod.json)
	fails 1 crictl start "$id"
	# shellcheck disable=SC2154 # fails sets it
	has "$said" "$@"
}
