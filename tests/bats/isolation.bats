#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Which isolation a bundle gets, and what a microVM's plan says; nothing is started.

load helpers

setup() {
	common_setup
	# Whatever this machine has in /etc/nacre says nothing here.
	FILE=$T/nacre.json
	echo '{}' >"$FILE"
	NACRE_OPTIONS="${NACRE_OPTIONS-} --host-config $FILE"
}

# chosen WANT OPTION...: what explain says that it would be.
chosen() {
	local want=$1
	shift
	run --separate-stderr nacre "$@" explain --json
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	equals "$want" "$(jq -r .isolation <<<"$output")"
}

# steps [SELECT]: the lines "WHERE KIND: WHAT" of the plan.
steps() { nacre explain --json 2>/dev/null | jq -r '.steps[] | "\(.where) \(.kind): \(.what)"'; }

has_step() { steps | grep -qxF -- "$1" || { steps; echo "no step: $1"; return 1; }; }

@test "nothing said: a container" {
	chosen container
}

@test "the file of the host, the vm object, the name, the annotation, the option: each wins over those before it" {
	echo '{"isolation": "microvm"}' >"$FILE"
	chosen microvm
	echo '{"isolation": "container"}' >"$FILE"
	chosen container
	config '.vm = {kernel: {path: "/boot/vmlinuz"}}'
	chosen microvm
	config 'del(.vm)'
	ln -s "$(realpath "$NACRE_BIN")" "$T/nacre-vm"
	NACRE_BIN=$T/nacre-vm
	chosen microvm
	config '.annotations["run.nacre.isolation"] = "container"'
	chosen container
	chosen microvm --isolation microvm
	config '.annotations["run.nacre.isolation"] = "microvm"'
	chosen microvm
	chosen container --isolation=container
}

@test "the option may stand behind the command, and wins there" {
	run --separate-stderr nacre explain --isolation microvm --json
	equals microvm "$(jq -r .isolation <<<"$output")"
	run --separate-stderr nacre --isolation microvm explain --json --isolation=container
	equals container "$(jq -r .isolation <<<"$output")"
	args true
	refused 1 'option --isolation: "jail"' create --isolation jail "$ID"
	# Refused for a reason that only microVMs have: so it would be one.
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1}]
		| .linux.gidMappings = .linux.uidMappings | .vm = {kernel: {path: "/no/such"}}'
	refused 1 /no/such run "$ID" --isolation microvm
	refused 1 /no/such create --isolation microvm "$ID"
}

# as_vm: every nacre of this test is called nacre-vm.
as_vm() {
	ln -s "$(realpath "$NACRE_BIN")" "$T/nacre-vm"
	NACRE_BIN=$T/nacre-vm
}

@test "the sandbox of a pod is a container, by containerd's and by CRI-O's word; the option wins" {
	local key
	as_vm
	for key in io.kubernetes.cri.container-type io.kubernetes.cri-o.ContainerType; do
		config --arg k "$key" '.annotations = {($k): "sandbox"}'
		chosen container
		has_step "null isolation: a container and no microVM: it is a pod's sandbox, which holds the namespaces of the pod's containers"
		run --separate-stderr nacre --log-level info explain
		[[ "$stderr" == *"info: a container and no microVM: it is a pod's sandbox"* ]]
		chosen microvm --isolation microvm
		config '.annotations["run.nacre.isolation"] = "microvm"'
		chosen container
		config --arg k "$key" '.annotations = {($k): "container"}'
		chosen microvm
	done
	# Who may write a pod's annotations has written the other engine's.
	config '.annotations = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri-o.ContainerType": "container"}'
	chosen microvm
	config '.annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri-o.ContainerType": "sandbox"}'
	chosen microvm
	# A container is one without more words.
	NACRE_BIN=$(realpath "$NACRE_BIN")
	config '.annotations = {"io.kubernetes.cri.container-type": "sandbox"}'
	chosen container
	run ! grep isolation: <(steps)
}

@test "the plan of a pod's container: its IPC and /dev/shm are its own, its name is the pod's" {
	as_vm
	config '(.linux.namespaces[] | select(.type == "ipc")).path = "/proc/7/ns/ipc" | (.linux.namespaces[] | select(.type == "uts")).path = "/proc/7/ns/uts"
		| del(.hostname) | .annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "abc"}
		| .mounts |= map(select(.destination != "/dev/shm"))
		| .mounts += [{destination: "/dev/shm", type: "bind", source: "/run/abc/shm", options: ["rbind", "rprivate", "rw"]}]'
	has_step "guest namespace: new ipc, not the pod's /proc/7/ns/ipc"
	has_step "guest namespace: new uts, with the host name of /proc/7/ns/uts"
	steps | grep '^guest mount: tmpfs .*/dev/shm'
	run ! grep /run/abc <(steps)
	config '.annotations = {}'
	refused 1 '"/proc/7/ns/ipc" (ipc) is of the host' explain
}

@test "words that are none" {
	refused 1 'option --isolation: "vm" is neither container nor microvm' --isolation vm explain
	config '.annotations["run.nacre.isolation"] = "yes"'
	refused 1 'annotations["run.nacre.isolation"]: "yes" is neither container nor microvm' create "$ID"
	config '.annotations = {"run.nacre.isolation": "microvm", "run.nacre.vm.accel": "fast"}'
	refused 1 'annotations["run.nacre.vm.accel"]: "fast" is none of auto, kvm, qemu, tcg' create "$ID"
	config '.annotations = {"run.nacre.isolation": "microvm", "run.nacre.vm.console": "log"}'
	refused 1 'annotations["run.nacre.vm.console"]: must be an absolute path or stderr' create "$ID"
}

@test "a vm object and --isolation container: a container, with a warning" {
	config '.vm = {kernel: {path: "/boot/vmlinuz"}}'
	args true
	run --separate-stderr nacre --isolation container run "$ID"
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"warning: config.json: vm: not applied"* ]]
}

@test "the file of the host: mistakes are named, others may not write to it" {
	echo '{"vm": {"kernle": {}}}' >"$FILE"
	refused 1 "$FILE: vm.kernle: is not known here" create "$ID"
	# Who says that it is a container has no use for the file.
	args true
	nacre --isolation container run "$ID"
	echo '{}' >"$FILE"
	chmod 666 "$FILE"
	refused 1 "others than its owner may write to it" create "$ID"
	chmod 644 "$FILE"
	chown 1000 "$FILE"
	refused 1 "belongs to user 1000" create "$ID"
	rm "$FILE"
	refused 1 "cannot open \"$FILE\"" create "$ID"
}

@test "the plan of a microVM: kernel, devices, what is done where" {
	config '.vm = {kernel: {path: "/k", parameters: ["a=1", "b c"], initrd: "/i"}, image: {path: "/img", format: "raw"},
			hwConfig: {vcpus: 3, memory: 268435456}} | del(.root.path)
		| .mounts += [{destination: "/data", source: "/srv", options: ["rbind", "ro"]}]
		| .hooks = {createRuntime: [{path: "/bin/one"}], startContainer: [{path: "/bin/two"}], poststop: [{path: "/bin/three"}]}
		| .annotations = {"run.nacre.vm.accel": "tcg", "run.nacre.vm.console": "/tmp/c"} | .hostname = "inside"'
	echo '{"vm": {"hypervisor": {"path": "/q", "parameters": ["-v"]}, "virtiofsd": "/v"}}' >"$FILE"
	has_step "host monitor: QEMU, which emulates each instruction (software emulation was asked for)"
	has_step "host monitor: program /q"
	has_step "host monitor: parameter -v"
	has_step "host vm: 3 virtual CPUs, 256 MiB of memory"
	has_step "host kernel: /k"
	has_step "host initramfs: /i, and over it nacre's guest program and the kernel's virtio modules"
	steps | grep '^host command line: console=ttyS0 .* a=1 "b c"$'
	has_step "host vm device: serial port: the guest's console, to /tmp/c"
	has_step "host vm device: virtio-fs: the share, by /v"
	has_step "host vm device: virtio-blk: /img, read-only"
	steps | grep '^host share: /mounts/[0-9]*: /srv, read-only$'
	has_step "host hook: createRuntime: /bin/one"
	has_step "guest hook: startContainer: /bin/two"
	has_step "host hook: poststop: /bin/three"
	has_step "guest hostname: inside"
	steps | grep -q '^guest process: '
	run ! grep -q '^null ' <(steps)
}

@test "text and JSON of it have the same steps" {
	nacre --isolation microvm explain >"$T/text" 2>/dev/null
	equals "$(nacre --isolation microvm explain --json 2>/dev/null | jq '.steps | length')" "$(wc -l <"$T/text")"
	grep -qE '^ *[0-9]+  host +monitor ' "$T/text"
	grep -qE '^ *[0-9]+  guest +process ' "$T/text"
}

@test "a container's plan says nothing of host and guest" {
	run ! grep -q where <(nacre explain --json)
}

@test "what a microVM cannot be is said by property" {
	config '.vm = {kernel: {path: "/k"}, image: {path: "/i", format: "qcow2"}}'
	refused 1 'config.json: vm.image.format: nacre takes raw images, not qcow2' explain
	config '.vm = {kernel: {path: "/k"}, hwConfig: {memory: 1000000}}'
	refused 1 'config.json: vm.hwConfig.memory: 976 KiB is too small for a microVM' explain
	config '.vm = {kernel: {path: "/k"}} | .linux.resources.memory.limit = 50000000'
	refused 1 'config.json: linux.resources.memory.limit: 47.6 MiB is too small for a microVM' explain
}

@test "the log says who would run it, and why" {
	config '.annotations = {"run.nacre.isolation": "microvm", "run.nacre.vm.accel": "tcg"}'
	nacre --log "$T/log" --log-level info explain >/dev/null 2>&1
	grep -q 'microVM by QEMU, which emulates each instruction: software emulation was asked for' "$T/log"
	nacre --log "$T/quiet" explain >/dev/null 2>&1
	run ! grep -q 'microVM by' "$T/quiet"
}
