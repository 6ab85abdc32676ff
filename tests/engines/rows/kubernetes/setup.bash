# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A cluster of one node: etcd, Kubernetes' API server and a kubelet over containerd, with the RuntimeClasses and containerd's tables of
# contrib/engines as they are. Pods name their node, so that no scheduler is needed. All of it listens in the rows' own network.

# shellcheck source=tests/engines/rows/cri/setup.bash
source "$T/engines/rows/cri/setup.bash"
export KUBECONFIG=$T/kube/config
kube=$T/kube
# What was started, and what a kubelet sets on its machine.
services=()
kernel_settings=()
# The node's address: one that is not of loopback's range, on loopback's interface.
node_address=192.0.2.1

engine_missing() {
	local program
	for program in containerd containerd-shim-runc-v2 ctr etcd kube-apiserver kubelet kubectl openssl; do
		command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
	done
	[[ -d /run/systemd/system ]] || { echo "systemd is not the init here (see the test host)" && return; }
	has_controllers || echo "the controllers are bound to cgroup v1 here (see the test host)"
}

write_kube_files() {
	mkdir -p "$kube"
	openssl genrsa -out "$kube/account.key" 2048 || return
	echo "rows-token,admin,admin,system:masters" >"$kube/tokens.csv"
	: >"$kube/resolv.conf"
	jq -n '{apiVersion: "v1", kind: "Config", "current-context": "rows",
		clusters: [{name: "rows", cluster: {server: "https://127.0.0.1:6443", "insecure-skip-tls-verify": true}}],
		users: [{name: "rows", user: {token: "rows-token"}}],
		contexts: [{name: "rows", context: {cluster: "rows", user: "rows"}}]}' >"$KUBECONFIG"
	jq -n --arg kube "$kube" '{apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration",
		authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}, authorization: {mode: "AlwaysAllow"},
		cgroupDriver: "systemd", failSwapOn: false, evictionHard: {"memory.available": "1Mi"}, imageGCHighThresholdPercent: 100,
		imageGCLowThresholdPercent: 99, resolvConf: ($kube + "/resolv.conf"), runtimeRequestTimeout: "10m"}' >"$kube/kubelet.json"
}

# The classes that are handed out, and one of the same form for each peer.
add_classes() {
	local name
	kubectl apply -f contrib/engines/kubernetes/runtimeclass.yaml
	for name in runc crun; do
		jq -n --arg name "$name" '{apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: {name: $name}, handler: $name}' | kubectl apply -f -
	done
}

begin_api() {
	etcd --data-dir "$kube/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 >"$kube/etcd.log" 2>&1 &
	services+=($!)
	kube-apiserver --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=203.0.113.0/24 --bind-address=127.0.0.1 \
		--advertise-address=$node_address --cert-dir="$kube/api" --token-auth-file="$kube/tokens.csv" --authorization-mode=AlwaysAllow \
		--service-account-issuer=https://rows --service-account-key-file="$kube/account.key" \
		--service-account-signing-key-file="$kube/account.key" --disable-admission-plugins=ServiceAccount --allow-privileged \
		--kubelet-preferred-address-types=InternalIP >"$kube/api.log" 2>&1 &
	services+=($!)
	wait_for 60 kubectl get --raw /readyz || { tail -n 20 "$kube/api.log"; return 1; }
	add_classes
}

node_ready() { [[ $(kubectl get node node -o json | jq -r '.status.conditions[] | select(.type == "Ready").status') == True ]]; }

begin_kubelet() {
	local options=() name
	for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
		kernel_settings+=("$name=$(<"/proc/sys/$name")")
	done
	# Up to 1.26 there was another kind.
	[[ $(kubelet --help) != *"--container-runtime string"* ]] || options+=(--container-runtime=remote)
	kubelet --kubeconfig="$KUBECONFIG" --config="$kube/kubelet.json" --hostname-override=node --node-ip=$node_address \
		--container-runtime-endpoint="unix://$T/cri.sock" "${options[@]}" >"$kube/kubelet.log" 2>&1 &
	services+=($!)
	wait_for 60 node_ready || { tail -n 40 "$kube/kubelet.log"; return 1; }
	wait_for 20 kubectl get namespace default
}

engine_begin() {
	local folder
	for folder in /var/lib/kubelet /var/log/pods /var/log/containers /usr/libexec/kubernetes; do private_folder $folder; done
	ip address add $node_address/32 dev lo
	{ begin_containerd && write_kube_files && begin_api && begin_kubelet; } || { engine_end; return 1; }
}

no_pods() { [[ -z $(kubectl get pods -o name) ]]; }

engine_reset() {
	kubectl delete pods --all --grace-period=1 --wait=false
	wait_for 60 no_pods
}

# Also when not all of it has begun.
engine_end() {
	local setting
	[[ -z ${containerd-} ]] || services+=("$containerd")
	kill "${services[@]}"
	wait "${services[@]}"
	services=() containerd=
	for setting in "${kernel_settings[@]}"; do echo "${setting#*=}" >"/proc/sys/${setting%%=*}"; done
	systemctl stop kubepods.slice
	find "$(cgroup_mount)/kubepods" -depth -type d -exec rmdir {} ";"
	ip address del $node_address/32 dev lo
	umount -l /run/containerd
}
