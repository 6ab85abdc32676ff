# SPDX-License-Identifier: Apache-2.0
# A microVM's network: what its namespace on the host has is what the guest has. Every namespace here is the test's
# own; a bridge in one of them, with an address, and a cable to each of the others.

load helpers

setup() {
	common_setup
	use_microvm
	config '.root.readonly = false | .process.user = {uid: 0, gid: 0}'
	NET=$T/net
	mkdir "$NET"
}

# What net_ns has made goes, also after a failure.
cleanup() {
	local n
	kill "${SERVER:-}" 2>/dev/null || true
	for n in "$NET"/*; do
		[ ! -e "$n" ] || umount "$n" || true
	done
}

# net_ns NAME: a namespace, held by the file $NET/NAME.
net_ns() {
	touch "$NET/$1"
	unshare --net="$NET/$1" ip link set lo up
}

in_ns() { nsenter --net="$NET/$1" "${@:2}"; }

# bridge: the namespace "br" with a bridge, 10.55.0.1 and fd55::1.
bridge() {
	net_ns br
	in_ns br ip link add br0 type bridge
	in_ns br ip link set br0 up
	in_ns br ip address add 10.55.0.1/24 dev br0
	in_ns br ip address add fd55::1/64 dev br0 nodad
}

# cable NAME INTERFACE N MTU: from the bridge to the namespace NAME, there called INTERFACE, with 10.55.0.N and fd55::N.
cable() {
	in_ns br ip link add "to-$1-$2" type veth peer name "$2" netns "$NET/$1"
	in_ns br ip link set "to-$1-$2" mtu "$4" master br0 up
	in_ns "$1" ip link set "$2" mtu "$4" up
	in_ns "$1" ip address add "10.55.0.$3/24" dev "$2"
	in_ns "$1" ip address add "fd55::$3/64" dev "$2" nodad
}

# host NAME N MTU: a namespace with a cable to the bridge, which is its default route.
host() {
	net_ns "$1"
	cable "$1" eth0 "$2" "$3"
	in_ns "$1" ip route add default via 10.55.0.1
	in_ns "$1" ip route add default via fd55::1
}

# use_ns NAME: as the bundle's network namespace.
use_ns() { config --arg p "$NET/$1" '(.linux.namespaces[] | select(.type == "network")).path = $p'; }

@test "network: addresses, MTU, routes are the namespace's; the other end answers over IPv4 and IPv6" {
	requires root microvm ip
	bridge
	host a 2 1400
	use_ns a
	sh_args 'ping -6 -c 1 -W 5 fd55::1 >/dev/null && echo six; ping -c 1 -W 5 10.55.0.1 >/dev/null && echo four
		ip address show dev eth0; ip route; ip -6 route'
	try nacre run "$ID"
	equals "" "$stderr"
	equals $'six\nfour' "$(head -n 2 <<<"$output")"
	[[ "$output" == *" mtu 1400 "*"$(in_ns a ip -j link show eth0 | jq -r '.[0].address')"* ]]
	[[ "$output" == *"inet 10.55.0.2/24 "*"inet6 fd55::2/64 "* ]]
	[[ "$output" == *"default via 10.55.0.1 dev eth0"*"default via fd55::1 dev eth0"* ]]
}

@test "network: two interfaces, by the names that they have outside" {
	requires root microvm ip
	bridge
	net_ns a
	cable a second 2 1500
	cable a eth0 3 1280
	use_ns a
	sh_args 'cat /sys/class/net/second/mtu /sys/class/net/eth0/mtu; ls /sys/class/net
		ping -c 1 -W 5 -I second 10.55.0.1 >/dev/null && ping -c 1 -W 5 -I eth0 10.55.0.1 >/dev/null && echo both'
	try nacre run "$ID"
	equals $'1500\n1280\neth0\nlo\nsecond\nboth' "$output"
}

@test "network: a new namespace has lo, which works, and nothing else; its sysctls are the container's" {
	requires root microvm
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 7"}'
	sh_args 'ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo lo answers
		cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range'
	try nacre run "$ID"
	equals $'lo\nlo answers\n1\n0\t7' "$output"
}

# NACRE_BIG: see microvm_many.bats.
@test "network: two microVMs on one bridge reach each other, and much arrives both ways" {
	requires root microvm ip
	local want
	# On KVM in a busy test host both directions take as long as 150 seconds for 30 MB.
	NACRE_TIMEOUT=$([ -n "${NACRE_BIG-}" ] && echo 3600 || echo 600)
	bridge
	host a 2 1500
	host b 3 1500
	head -c "$([ -n "${NACRE_BIG-}" ] && echo 268435456 || echo 16777216)" /dev/urandom >"$BUNDLE/rootfs/data"
	want=$(sha256sum <"$BUNDLE/rootfs/data")
	use_ns a
	sh_args 'nc -l -p 1 -e cat /data & nc -l -p 2 -e sha256sum & echo ready; wait'
	detached nacre run "$ID" </dev/null >"$T/a.out" 2>&1
	SERVER=$!
	wait_for "$NACRE_TIMEOUT" grep -q ready "$T/a.out"
	use_ns b
	sh_args 'ping -c 1 -W 5 10.55.0.2 >/dev/null && ping -6 -c 1 -W 5 fd55::2 >/dev/null && echo reached
		nc 10.55.0.2 1 </dev/null | sha256sum; nc fd55::2 2 </data'
	try nacre run "$ID-b"
	equals $'reached\n'"$want"$'\n'"$want" "$output"
	wait "$SERVER"
	equals ready "$(cat "$T/a.out")"
}

@test "network: the same namespace again, after its microVM was killed" {
	requires root microvm ip
	bridge
	host a 2 1500
	use_ns a
	run_sleeping
	refused 1 "serves another microVM" run "$ID-b"
	kill -KILL "$(pid_of "$ID")"
	wait_for 20 has_status "$ID" stopped
	nacre delete "$ID"
	args ping -c 1 -W 5 10.55.0.1
	nacre run "$ID"
}

# reaches NAME: does the other end answer the namespace itself?
reaches() { in_ns "$1" "$BUNDLE/rootfs/bin/busybox" ping -c 1 -W 5 10.55.0.1; }

# given_away NAME: is the namespace's eth0 still a microVM's?
given_away() { in_ns "$1" tc qdisc show dev eth0 | grep -q ingress; }

@test "network: a namespace that stays has its interface back when the microVM is deleted, also one that was killed" {
	requires root microvm ip
	local before
	bridge
	host a 2 1500
	use_ns a
	before=$(in_ns a ip -o link show eth0 | sed 's/qlen.*//')
	reaches a
	run_sleeping
	given_away a
	run ! reaches a
	nacre kill "$ID" KILL
	wait_for 20 has_status "$ID" stopped
	# Its state is there still, and so is the redirect.
	given_away a
	nacre delete "$ID"
	run ! given_away a
	equals "$before" "$(in_ns a ip -o link show eth0 | sed 's/qlen.*//')"
	reaches a
	args true
	nacre run "$ID"
	run ! given_away a
	reaches a
}

@test "network: so it has after a microVM that could not be made, and a namespace that is gone is nobody's trouble" {
	requires root microvm ip
	bridge
	host a 2 1500
	use_ns a
	config '.process.args = ["/not/there"]'
	refused 1 "/not/there" run "$ID"
	run ! given_away a
	args sleep 1000
	nacre create "$ID" </dev/null
	umount "$NET/a"
	rm "$NET/a"
	nacre delete --force "$ID" 2>"$T/err"
	equals "" "$(cat "$T/err")"
}

@test "network: /dev/net/tun works, with the module that only such a guest gets" {
	requires root microvm
	config '.process.user = {uid: 0, gid: 0} | .process.capabilities = ([["bounding", "effective", "permitted"][] as $k | {($k): ["CAP_NET_ADMIN"]}] | add)'
	sh_args 'test -d /sys/module/tun || echo no module; test -e /dev/net/tun || echo no device'
	try nacre run "$ID"
	equals $'no module\nno device' "$output"
	config '.linux.devices = [{path: "/dev/net/tun", type: "c", major: 10, minor: 200, fileMode: 438}]
		| .linux.resources.devices += [{allow: true, type: "c", major: 10, minor: 200, access: "rwm"}]'
	# Without TUNSETIFF it is nobody's: EBADFD, where a node without a driver gives ENODEV. A kernel without modules has it built in.
	sh_args 'cat /dev/net/tun 2>&1; if test -e /proc/modules; then test -d /sys/module/tun; fi && echo module'
	try nacre run "$ID"
	equals $'cat: read error: File descriptor in bad state\nmodule' "$output"
}

@test "network: linux.netDevices: a device of the host becomes the guest's, by its new name" {
	requires root microvm ip
	bridge
	net_ns from
	cable from eth7 9 1400
	config '.linux.netDevices = {eth7: {name: "inside0"}}'
	sh_args 'ip -o address show dev inside0; ip link show inside0; ping -c 1 -W 5 10.55.0.1'
	run -0 nsenter --net="$NET/from" timeout 150 "${NACRE_BIN:?}" --root "$ROOT" run "$ID"
	[[ "$output" == *"10.55.0.9/24"*"mtu 1400"*" 0% packet loss"* ]]
	run ! in_ns from ip link show eth7
}

# late NAME INTERFACE N MTU: as cable, into the namespace of the created container, as docker (from 28 on) does it.
late() {
	if [ ! -e "$NET/$1" ]; then
		touch "$NET/$1"
		mount --bind "/proc/$(pid_of "$ID")/ns/net" "$NET/$1"
	fi
	cable "$@"
}

@test "network: what comes between create and start is the guest's, with its MAC, MTU and routes" {
	requires root microvm ip
	bridge
	sh_args 'cd /sys/class/net; for i in *; do echo $i $(cat $i/address $i/mtu); done; ip -o -4 address show dev eth0; ip route
		ping -c 1 -W 5 10.55.0.1 && ping -c 1 -W 5 fd55::1; ping -c 1 -W 5 -I second 10.55.0.1'
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	late new eth0 7 1500
	late new second 8 9000
	in_ns new ip route add default via 10.55.0.1
	mac=$(in_ns new ip -o link show eth0 | sed 's/.*ether \([^ ]*\) .*/\1/')
	run -0 nacre start "$ID"
	wait_for 30 has_status "$ID" stopped
	run cat "$T/out"
	[[ "$output" == *"eth0 $mac 1500"$'\n'"lo 00:00:00:00:00:00 65536"$'\n'"second "*" 9000"$'\n'*"10.55.0.7/24"*"default via 10.55.0.1 dev eth0"* ]]
	# Other cards than those are gone.
	equals 3 "$(grep -cE '^[a-z0-9]+ ([0-9a-f]{2}:){5}' "$T/out")"
	equals 3 "$(grep -c ' 0% packet loss' "$T/out")"
	nacre delete "$ID"
}

@test "network: nothing comes between create and start: lo only" {
	requires root microvm
	sh_args 'ls /sys/class/net'
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	nacre start "$ID"
	wait_for 30 has_status "$ID" stopped
	equals lo "$(cat "$T/out")"
	nacre delete "$ID"
}

@test "network: more interfaces between create and start than there is room for are refused" {
	requires root microvm ip
	bridge
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	for i in 1 2 3 4 5; do late new "eth$i" "1$i" 1500; done
	run ! nacre start "$ID"
	[[ "$output" == *"given 5 network interfaces after it was created, and a microVM has room for 4"* ]]
	# As any container that could not be started.
	has_status "$ID" stopped
	nacre delete "$ID"
}

@test "network: a start that was interrupted after it had given the interfaces away can be repeated" {
	requires root microvm ip
	bridge
	sh_args 'ping -c 1 -W 5 10.55.0.1'
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	late new eth0 7 1500
	# Its supervisor stands still, so that the request is not answered.
	kill -STOP "$(pid_of "$ID")"
	"$NACRE_BIN" --root "$ROOT" start "$ID" &
	start=$!
	sleep 0.5
	kill -KILL "$start"
	wait "$start" 2>/dev/null || true
	kill -CONT "$(pid_of "$ID")"
	nacre start "$ID"
	wait_for 30 has_status "$ID" stopped
	[[ "$(cat "$T/out")" == *" 0% packet loss"* ]]
	nacre delete "$ID"
}

@test "network: it is that of the container's user namespace, whose root has the rights over it; sysfs and sysctls, too" {
	requires root microvm ip
	bridge
	host one 7 1400
	use_ns one
	with_userns
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"} | .process.capabilities = ([["bounding", "effective", "permitted"][] as $k
		| {($k): ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]}] | add)'
	sh_args 'ip -o -4 address show dev eth0; ip route; cat /sys/class/net/eth0/mtu /proc/sys/net/ipv4/ip_forward; ping -c 1 -W 5 10.55.0.1 | grep loss
		ip link add more type dummy 2>/dev/null || ip addr add 10.9.9.9/32 dev lo && ip -o addr show dev lo
		nc -l -p 80 </dev/null >/dev/null 2>&1 & sleep 0.5; netstat -ltn'
	try nacre run "$ID"
	[[ "$output" == *"10.55.0.7/24"*"default via 10.55.0.1 dev eth0"*$'1400\n1\n'*" 0% packet loss"*"10.9.9.9/32"*":80 "* ]]
}

@test "network: so it is for what comes between create and start" {
	requires root microvm ip
	bridge
	with_userns
	config '.process.capabilities = ([["bounding", "effective", "permitted"][] as $k | {($k): ["CAP_NET_RAW"]}] | add)'
	sh_args 'ls /sys/class/net; ping -c 1 -W 5 10.55.0.1'
	nacre create "$ID" </dev/null >"$T/out" 2>&1
	late new eth0 7 1500
	nacre start "$ID"
	wait_for 30 has_status "$ID" stopped
	[[ "$(cat "$T/out")" == $'eth0\nlo\n'*" 0% packet loss"* ]]
	nacre delete "$ID"
}
