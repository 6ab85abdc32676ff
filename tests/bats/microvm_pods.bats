# SPDX-License-Identifier: Apache-2.0
# A Kubernetes pod under the handler nacre-vm, as its engines ask for it: what containerd 1.6 and CRI-O write into config.json of
# a pod's sandbox and of its containers (tests/engines has containerd itself). The pod's network is a cable to a namespace
# of the test's own, 10.55.0.1.

# bats sets $stderr. Scripts in single quotes are for jq, or the container's shell's.
# shellcheck disable=SC2016,SC2154
load helpers

setup() {
	local real
	# The name says it, as an engine's table does.
	unset NACRE_ISOLATION
	common_setup
	real=$(realpath "$NACRE_BIN")
	use_microvm
	ln -s "$real" "$T/nacre-vm"
	NACRE_BIN=$T/nacre-vm
	NACRE_OPTIONS="${NACRE_OPTIONS-} --host-config $T/host.json"
	config '.root.readonly = false | .process.user = {uid: 0, gid: 0}'
	cp "$BUNDLE/config.json" "$T/plain.json"
	PINNED=$T/pinned
	mkdir "$PINNED"
}

cleanup() {
	local n
	for n in "$PINNED"/*; do
		[ ! -e "$n" ] || umount "$n" || true
	done
	[ ! -d "$T/run" ] || umount "$T/run/$ID-pod/shm" 2>/dev/null || true
}

# in_net NAME COMMAND...: in a network namespace of ours; "net" is the pod's, with a cable to "out", as CNI makes them.
in_net() { nsenter --net="$PINNED/$1" "${@:2}"; }
network() {
	touch "$PINNED"/{out,net}
	unshare --net="$PINNED/out" ip link set lo up
	unshare --net="$PINNED/net" ip link set lo up
	in_net out ip link add cable type veth peer name eth0 netns "$PINNED/net"
	in_net out ip link set cable up
	in_net out ip address add 10.55.0.1/24 dev cable
	in_net net ip link set eth0 up
	in_net net ip address add 10.55.0.2/24 dev eth0
}

# Of the sandbox, below a folder with its ID.
shm() {
	SHM=$T/run/$ID-pod/shm
	mkdir -p "$SHM"
	mount -t tmpfs -o size=1m,mode=1777 shm "$SHM"
}

# containerd_pod: its sandbox runs, as $ID-pod.
containerd_pod() {
	network
	shm
	config --arg net "$PINNED/net" --arg id "$ID-pod" --arg shm "$SHM" '
		(.linux.namespaces[] | select(.type == "network")).path = $net | .hostname = "pod-name" | .process.args = ["sleep", "1000"]
		| .annotations = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": $id}
		| .mounts += [{destination: "/dev/shm", type: "bind", source: $shm, options: ["rbind", "ro"]}]'
	nacre run -d "$ID-pod" </dev/null
	POD=/proc/$(pid_of "$ID-pod")/ns
	cp "$T/plain.json" "$BUNDLE/config.json"
}

# containerd_container: the bundle is one of its containers.
containerd_container() {
	config --arg ns "$POD" --arg id "$ID-pod" --arg shm "$SHM" '
		(.linux.namespaces[] | select(.type == "network")).path = $ns + "/net"
		| (.linux.namespaces[] | select(.type == "ipc")).path = $ns + "/ipc"
		| (.linux.namespaces[] | select(.type == "uts")).path = $ns + "/uts" | del(.hostname)
		| .annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": $id}
		| .mounts |= map(select(.destination != "/dev/shm"))
		| .mounts += [{destination: "/dev/shm", type: "bind", source: $shm, options: ["rbind", "rprivate", "rw"]}]'
}

isolation_of() { jq -r .isolation "$ROOT/$1/state.json"; }
given_away() { in_net net tc qdisc show dev eth0 | grep -q ingress; }
pings() { in_net out "$BUNDLE/rootfs/bin/busybox" ping -c 1 -W 5 10.55.0.2 >/dev/null; }

@test "containerd: the sandbox is a container, its container a microVM with the pod's network and name, and IPC of its own" {
	requires root microvm ip
	containerd_pod
	equals container "$(isolation_of "$ID-pod")"
	containerd_container
	sh_args 'hostname; ping -c 1 -W 5 10.55.0.1 >/dev/null && echo reached; grep " /dev/shm " /proc/mounts | cut -d" " -f3,4
		echo x >/dev/shm/x; grep -o cryptomgr.notests /proc/cmdline; readlink /proc/self/ns/ipc'
	NACRE_OPTIONS+=" --log-level info" try nacre run "$ID"
	[[ "$stderr" == *"IPC and /dev/shm are the microVM's own: it cannot share the pod's, \"$POD/ipc\""* ]]
	equals $'pod-name\nreached\ntmpfs rw,nosuid,nodev,noexec,relatime' "$(head -n 3 <<<"$output" | sed 's/,inode64//')"
	[[ "$output" == *$'\ncryptomgr.notests\nipc:['* ]]
	equals "" "$(ls "$SHM")"
	nacre kill "$ID-pod" KILL
	nacre delete --force "$ID-pod"
}

@test "a second microVM of the pod is refused while the first one runs, which keeps the network; then it has it" {
	requires root microvm ip
	containerd_pod
	containerd_container
	run_sleeping
	pings
	refused 1 'the network namespace serves another microVM, and can serve one at a time (its interface "tap0_nacre" is there)' run "$ID-b"
	given_away
	pings
	# Its pid is the monitor's, and nobody cleans up before the next one comes.
	kill -KILL "$(pid_of "$ID")"
	wait_for 20 has_status "$ID" stopped
	run ! pings
	run_sleeping "$ID-b"
	pings
	# The end of the first is none of the second's business.
	nacre delete "$ID"
	given_away
	pings
	nacre delete --force "$ID-b"
	run ! given_away
	nacre delete --force "$ID-pod"
}

@test "a pod's annotation asks for a microVM, and cannot make a container of what its handler makes one" {
	containerd_pod
	containerd_container
	config '.annotations["run.nacre.isolation"] = "container"'
	refused 1 "a pod's container cannot be made a container where its handler is for microVMs" create "$ID"
	# The other handler, on a host whose file says the same, and on one that says nothing.
	ln -s "$(realpath "$NACRE_BIN")" "$T/handler"
	NACRE_BIN=$T/handler
	jq '. + {isolation: "microvm"}' "$T/host.json" >"$T/vm.json"
	NACRE_OPTIONS="--host-config $T/vm.json" refused 1 "a pod's container cannot be made a container" create "$ID"
	nacre create "$ID"
	equals container "$(isolation_of "$ID")"
	nacre delete --force "$ID"
	# Who calls nacre himself may.
	NACRE_OPTIONS="--host-config $T/vm.json --isolation container" nacre create "$ID"
	nacre delete --force "$ID"
	# Without a pod it is the bundle's owner who says so.
	config 'del(.annotations["io.kubernetes.cri.container-type"])'
	NACRE_BIN=$T/nacre-vm nacre create "$ID"
	equals container "$(isolation_of "$ID")"
	nacre delete --force "$ID"
	nacre delete --force "$ID-pod"
}

# All namespaces of its pods are pinned by files, and the sandbox joins them, too; each container has the pod's hostname.
@test "CRI-O: the sandbox is a container, its container a microVM; so it is where the sandbox was left out" {
	requires root microvm ip
	network
	shm
	touch "$PINNED"/{ipc,uts}
	unshare --ipc="$PINNED/ipc" --uts="$PINNED/uts" hostname pod-name
	config --arg p "$PINNED" '(.linux.namespaces[] | select(.type == "network")).path = $p + "/net"
		| (.linux.namespaces[] | select(.type == "ipc")).path = $p + "/ipc" | (.linux.namespaces[] | select(.type == "uts")).path = $p + "/uts"
		| .hostname = "pod-name"'
	cp config.json "$T/joined.json"
	config --arg id "$ID-pod" '.annotations = {"io.kubernetes.cri-o.ContainerType": "sandbox", "io.kubernetes.cri-o.SandboxID": $id}'
	run_sleeping "$ID-pod"
	equals container "$(isolation_of "$ID-pod")"
	nacre delete --force "$ID-pod"
	cp "$T/joined.json" config.json
	config --arg id "$ID-pod" --arg shm "$SHM" '.annotations = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": $id}
		| .mounts |= map(select(.destination != "/dev/shm"))
		| .mounts += [{destination: "/dev/shm", type: "bind", source: $shm, options: ["rw", "bind"]}]'
	sh_args 'hostname; ping -c 1 -W 5 10.55.0.1 >/dev/null && echo reached; grep " /dev/shm " /proc/mounts | cut -d" " -f3'
	try nacre run "$ID"
	equals $'pod-name\nreached\ntmpfs' "$output"
}

@test "a volume at /dev/shm is one, also of a pod" {
	requires root microvm ip
	mkdir -p "$T/volumes/shm"
	containerd_pod
	SHM=$T/volumes/shm
	containerd_container
	args cp /etc/passwd /dev/shm
	nacre run "$ID"
	cmp "$BUNDLE/rootfs/etc/passwd" "$SHM/passwd"
	nacre delete --force "$ID-pod"
	umount "$T/run/$ID-pod/shm"
}

@test "refused: a shared pid namespace; IPC and names of others without a pod; the host's network" {
	requires root microvm
	POD=/proc/self/ns SHM=$T
	containerd_container
	config '(.linux.namespaces[] | select(.type == "network")) |= del(.path)'
	cp config.json "$T/pod.json"
	config '(.linux.namespaces[] | select(.type == "pid")).path = "/proc/self/ns/pid"'
	refused 1 '"/proc/self/ns/pid" (pid) is of the host'"'"'s kernel, a microVM cannot join it' run "$ID"
	for ns in ipc uts; do
		cp "$T/plain.json" config.json
		config --arg ns "$ns" '(.linux.namespaces[] | select(.type == $ns)).path = "/proc/self/ns/" + $ns | del(.hostname)'
		refused 1 "\"/proc/self/ns/$ns\" ($ns) is of the host's kernel, a microVM cannot join it" run "$ID"
	done
	for ns in /proc/self/ns/net /proc/1/ns/net; do
		cp "$T/pod.json" config.json
		config --arg ns "$ns" '(.linux.namespaces[] | select(.type == "network")).path = $ns'
		refused 1 "\"$ns\" (network) is the host's: a microVM would take its interfaces away from it" run "$ID"
		# Also from within another one.
		[ "$ns" = /proc/self/ns/net ] || run -1 unshare --net "$NACRE_BIN" --root "$ROOT" --host-config "$T/host.json" run "$ID"
	done
	[[ "$output" == *"(network) is the host's"* ]]
}
