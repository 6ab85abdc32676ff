# SPDX-License-Identifier: Apache-2.0
# podman with nacre-vm, as its user types it. podman has a storage, a network namespace and a mount namespace of the
# test's own, where its bridges, its firewall rules and its mounts stay. A root file system takes the place of an image.

load helpers

setup() {
	common_setup
	use_microvm
	# Another network namespace, and a /run that nobody else sees: they are this process', and last as long. nacre's
	# state has its usual place, since podman's clean-up does not know of --runtime-flag.
	mkdir "$ROOT"
	detached unshare --net --mount --propagation slave sh -ec 'mount -t tmpfs none /run; mkdir /run/nacre; mount --bind "$1" /run/nacre
		ip link set lo up; touch "$2"; exec sleep 1000' sh "$ROOT" "$T/ready"
	HOLDER=$!
	wait_for 10 test -e "$T/ready"
	mkdir "$T/conf"
	ln -s "$(realpath "$NACRE_BIN")" "$T/nacre-vm"
	printf '[containers]\n%s\n[network]\n%s\n' "$(has_controllers || echo 'pids_limit = 0')" 'network_backend = "netavark"' \
		>"$T/conf/containers.conf"
	# Where root may not raise limits, podman asks for more than the kernel grants.
	ULIMITS=()
	(requires sys_resource) >/dev/null 2>&1 || ULIMITS=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096)
	PODMAN=(nsenter -t "$HOLDER" -n -m env "CONTAINERS_CONF=$T/conf/containers.conf" podman
		--root "$T/storage" --runroot "$T/run" --tmpdir "$T/tmp" --storage-driver vfs --network-config-dir "$T/conf"
		--events-backend none --cgroup-manager cgroupfs --runtime "$T/nacre-vm" --runtime-flag "host-config=$T/host.json")
}

podman() { timeout -k 5 "$NACRE_TIMEOUT" "${PODMAN[@]}" "$@" 3>&- 4>&-; }

# run_podman OPTION... -- ARG...: `podman run` of the test's root file system, without a network unless one is asked for.
run_podman() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	[[ " ${options[*]} " == *" --network="* ]] || options+=(--network=none)
	podman run "${options[@]}" "${ULIMITS[@]}" --rootfs "$BUNDLE/rootfs" "${@:2}"
}

cleanup() {
	[ ! -d "$T/storage" ] || podman rm -f -t 0 -a >/dev/null || true
	# conmon's last work: podman's clean-up. Then nobody is left, of whatever name.
	[ -z "${HOLDER-}" ] || kill "$HOLDER"
	wait_for 30 nobody || { echo "processes left:"; pgrep -af "$T/"; return 1; }
}

nobody() { ! pgrep -f "$T/(nacre-vm|storage|run|tmp|state)" >/dev/null; }

logs_have() { [[ "$(podman logs "$1" 2>&1)" == *"$2"* ]]; }

@test "podman run: output, exit status, another kernel; nothing is left" {
	requires root microvm podman
	try run_podman --rm -- sh -c 'uname -r; id -u; echo err >&2; exit 5'
	equals 5 "$status"
	equals "$(basename "$(vm_kernel)" | sed s/vmlinuz-//)"$'\n0' "$output"
	equals err "$stderr"
	wait_for 30 nobody
	assert_clean
}

@test "podman run -d, logs, exec, ps, pause, kill, inspect, stop, start, rm" {
	requires root microvm podman
	run_podman -d --name one -- sh -c 'trap "echo got TERM; exit 3" TERM; trap "echo got USR1" USR1; echo out; echo err >&2
		while :; do sleep 0.1; done' >"$T/id"
	wait_for 10 logs_have one err
	equals "in exec" "$(podman exec one echo in exec)"
	equals $'1000\n/tmp\nb' "$(podman exec --user 1000 --workdir /tmp -e A=b one sh -c 'id -u; pwd; echo $A')"
	try podman exec one sh -c 'exit 9'
	equals 9 "$status"
	equals hello "$(echo hello | podman exec -i one cat)"
	try podman exec one /no/such
	equals 127 "$status"
	[[ "$stderr" == *'"/no/such"'* ]]
	[[ "$(podman ps --format '{{.Status}}')" == "Up "* ]]
	podman pause one
	equals paused "$(podman inspect --format '{{.State.Status}}' one)"
	podman unpause one
	podman kill -s USR1 one
	wait_for 10 logs_have one "got USR1"
	equals "running $(pid_of "$(cat "$T/id")") false" "$(podman inspect --format '{{.State.Status}} {{.State.Pid}} {{.State.OOMKilled}}' one)"
	podman stop one
	logs_have one "got TERM"
	equals "exited 3 false" "$(podman inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' one)"
	podman start one
	podman kill one
	equals 137 "$(podman wait one)"
	podman rm one
}

@test "podman exec -t: a terminal; top by the container's own ps; rm -f ends it" {
	requires root microvm podman
	run_podman -d --name one -- sleep 1000
	run -0 "$HELPERS/pty-run" size=20x60 -- "${PODMAN[@]}" exec -it one sh -c 'tty; stty size'
	[[ "$output" == *"/dev/pts/"*"20 60"* ]]
	[[ "$(podman top one -o pid,args)" == *"1 sleep 1000"* ]]
	podman rm -f -t 0 one
	wait_for 30 nobody
}

@test "podman stats, and a limit of memory: the guest has what is left of it" {
	requires root microvm podman unified controllers
	run_podman -d --name one --memory 512m --cpus 1 -- sleep 1000
	[[ "$(podman stats --no-stream --format '{{.MemUsage}}' one)" == *"MB / 536.9MB" ]]
	[ "$(podman exec one sh -c 'sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo')" -lt 524288 ]
	podman rm -f -t 0 one
}

@test "podman: volumes, devices of the kernel, sysctls work" {
	requires root microvm podman
	mkdir "$T/volume" "$T/fixed"
	echo fixed >"$T/fixed/file"
	try run_podman --rm -v "$T/volume:/volume" -v "$T/fixed:/fixed:ro" --device /dev/fuse --sysctl net.ipv4.ip_forward=1 -- \
		sh -c 'cat /fixed/file; echo x 2>/dev/null >/fixed/x || echo refused; echo b >/volume/b; test -c /dev/fuse && echo fuse
			cat /proc/sys/net/ipv4/ip_forward'
	equals $'fixed\nrefused\nfuse\n1' "$output"
	equals b "$(cat "$T/volume/b")"
}

@test "podman --read-only, --tmpfs: with what the image has there" {
	requires root microvm podman
	mkdir "$BUNDLE/rootfs/data"
	echo text >"$BUNDLE/rootfs/data/file"
	try run_podman --rm --read-only --tmpfs /data -- sh -c 'cat /data/file; echo x >/data/x; echo y >/tmp/y
		echo z 2>/dev/null >/z || echo refused; ls /data /tmp'
	equals $'text\nrefused\n/data:\nfile\nx\n\n/tmp:\ny' "$output"
	[ ! -e "$BUNDLE/rootfs/data/x" ]
}

@test "podman: what a microVM cannot is said in one sentence, with podman's exit status" {
	requires root microvm podman
	try run_podman --rm --pid=host -- true
	[[ "$stderr" == *"linux.namespaces: without pid the host's would be shared"* ]]
	try run_podman --rm --network=host -- true
	[[ "$stderr" == *"linux.namespaces: without network the host's would be shared"* ]]
	try run_podman --rm --memory 32m -- true
	[[ "$stderr" == *"32 MiB is too small for a microVM"* ]]
	try run_podman --rm -- /no/such
	equals 127 "$status"
}

@test "podman network: two microVMs on one bridge" {
	requires root microvm podman ip
	[ -x /usr/lib/podman/netavark ] || skip "netavark is not installed"
	local address
	podman network create --disable-dns one >/dev/null
	run_podman -d --name server --network=one -- sh -c 'ip address show dev eth0; exec nc -l -p 80 -e echo hello from the other' >/dev/null
	address=$(podman inspect --format '{{(index .NetworkSettings.Networks "one").IPAddress}}' server)
	try run_podman --rm --network=one -- sh -c "ping -c 1 -W 10 $address >&2 && nc $address 80 </dev/null; ip route"
	[[ "$output" == "hello from the other"$'\n'"default via "* ]] ||
		{ echo "status $status, stdout \"$output\", stderr \"$stderr\", the server: $(podman logs server 2>&1)"; false; }
	podman rm -f -t 0 server
	podman network rm one
}
