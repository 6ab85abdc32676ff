# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016
# What every bats file of nacre loads: a bundle to change, nacre under a time limit,
# and a teardown that fails the test when anything is left behind.

bats_require_minimum_version 1.5.0

NACRE_TESTS=$(cd "${BATS_TEST_DIRNAME}/.." && pwd)
NACRE_BUILD=${NACRE_BUILD:-$NACRE_TESTS/../build}
NACRE_BIN=${NACRE_BIN:-$NACRE_BUILD/nacre}
HELPERS=$NACRE_BUILD/tests/helpers
NACRE_TIMEOUT=${NACRE_TIMEOUT:-30}

# Where cgroup2 is mounted here: pure v2 in the test host, below "unified" on a hybrid host.
cgroup_mount() {
	if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then echo /sys/fs/cgroup; else echo /sys/fs/cgroup/unified; fi
}

# nacre ARG...: with the test's own state directory, never longer than NACRE_TIMEOUT. NACRE_OPTIONS: global options more
# (the cgroup files are run with --systemd-cgroup, too).
nacre() {
	local options
	read -ra options <<<"${NACRE_OPTIONS-}"
	timeout -k 5 "$NACRE_TIMEOUT" "$NACRE_BIN" --root "$ROOT" "${options[@]}" "$@"
}

# What nacre needs in its environment under strace: there a sanitizer's leak detector would refuse to work, and end it.
# shellcheck disable=SC2034
TRACED=("ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0")

# Skips the test, saying why, unless each named thing is there.
requires() {
	local what
	for what in "$@"; do
		case $what in
		root) [ "$(id -u)" = 0 ] || skip "needs root" ;;
		cgroup) [ -e "$(cgroup_mount)/cgroup.procs" ] || skip "no cgroup2 file system is mounted" ;;
		unified) [ "$(cgroup_mount)" = /sys/fs/cgroup ] || skip "needs a pure cgroup v2 host (see the test host)" ;;
		controllers) has_controllers || skip "the controllers are bound to cgroup v1 here (see the test host)" ;;
		hybrid) ! has_controllers || skip "needs a host whose controllers are bound to cgroup v1" ;;
		cgroupfs) [[ "${NACRE_OPTIONS-}" != *systemd* ]] || skip "is about cgroups by the file system" ;;
		systemd) [ -d /run/systemd/system ] || skip "systemd is not the init here (see the test host)" ;;
		memory) grep -qw memory "$(cgroup_mount)/cgroup.controllers" || skip "the memory controller is not with cgroup v2 (see the test host)" ;;
		userns) unshare -U true 2>/dev/null || skip "user namespaces are switched off" ;;
		timens) [ -e /proc/self/ns/time ] || skip "the kernel has no time namespaces" ;;
		sys_resource) [ $((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24 & 1)) = 1 ] || skip "root here lacks CAP_SYS_RESOURCE" ;;
		apparmor) [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip "AppArmor is not enabled" ;;
		selinux) [ -d /sys/fs/selinux/booleans ] || skip "SELinux is not enabled" ;;
		selinux_policy) [ "${NACRE_TEST_HOST-}$(cat /sys/fs/selinux/enforce 2>/dev/null)" = 11 ] || skip "no SELinux policy of the tests is loaded (tests/check boots a test host for it)" ;;
		container) [ -z "${NACRE_ISOLATION-}" ] || skip "is about processes on this kernel, not for a $NACRE_ISOLATION" ;;
		microvm) microvm_missing=$(microvm_lacks) || skip "no microVM here: $microvm_missing" ;;
		kvm) "$NACRE_BIN" doctor --json 2>/dev/null | jq -e 'any(.[]; .name == "kvm" and .level == "ok")' >/dev/null || skip "KVM cannot be used here" ;;
		strace) strace -o /dev/null true 2>/dev/null || skip "strace does not work here" ;;
		*) command -v "$what" >/dev/null || skip "$what is not installed" ;;
		esac
	done
}

# What a microVM needs, and is not here: a line for a skip, and failure.
microvm_lacks() {
	# Its KVM runs guests soundly with one CPU only: see "KVM inside" of its README.
	[ -z "${NACRE_TEST_HOST-}" ] || [ "$(nproc)" = 1 ] ||
		{ echo "guests hang in a test host with several CPUs (tests/host/run --cpus 1)"; return 1; }
	[ -x "$NACRE_BUILD/nacre-guest" ] || { echo "nacre-guest is not built"; return 1; }
	# It is PID 1 without libraries beside it, which a sanitizer's runtime needs.
	! grep -qa __asan_init "$NACRE_BUILD/nacre-guest" || { echo "a guest program with sanitizers cannot boot"; return 1; }
	compgen -G '/usr/lib*/qemu/virtiofsd' >/dev/null || compgen -G '/usr/libexec/virtiofsd' >/dev/null ||
		{ echo "virtiofsd is not installed"; return 1; }
	command -v qemu-system-x86_64 >/dev/null || { echo "QEMU is not installed"; return 1; }
	[ -n "$(vm_kernel)" ] || { echo "no guest kernel (tests/host/kernel gets one)"; return 1; }
}

# The kernel for microVMs: NACRE_VM_KERNEL, an installed one, or the test host's.
vm_kernel() {
	local k
	[ -z "${NACRE_VM_KERNEL-}" ] || { echo "$NACRE_VM_KERNEL"; return; }
	for k in /boot/vmlinuz-*cloud-amd64 "${NACRE_TEST_CACHE:-/var/cache/nacre-test}"/kernel/*/boot/vmlinuz-*; do
		[ ! -e "$k" ] || echo "$k"
	done | sort -V | tail -n 1
}

# use_microvm: every nacre of this test runs its bundles as microVMs. NACRE_BIN is then a script, which becomes nacre: a pid
# that a test takes of it is nacre's.
use_microvm() {
	# Twice (NACRE_ISOLATION, and a file that asks for it): the script would become itself for ever.
	[ "$NACRE_BIN" != "$T/nacre" ] || return 0
	jq -n --arg k "$(vm_kernel)" '{vm: {kernel: {path: $k}}}' >"$T/host.json"
	printf '#!/bin/sh\nexec %q --isolation=microvm --host-config=%q "$@"\n' "$(realpath "$NACRE_BIN")" "$T/host.json" >"$T/nacre"
	chmod 755 "$T/nacre"
	NACRE_BIN=$T/nacre
	NACRE_TIMEOUT=${NACRE_VM_TIMEOUT:-150}
	PATIENCE=6
}

has_controllers() { grep -qw memory "$(cgroup_mount)/cgroup.controllers"; }

# Where the container's cgroup is.
cgroup_dir() {
	case ${NACRE_OPTIONS-} in
	*systemd*) echo "$(cgroup_mount)/system.slice/nacre-$ID.scope" ;;
	*) echo "$(cgroup_mount)/nacre-$ID" ;;
	esac
}

# cg FILE: of the container's cgroup.
cg() { cat "$(cgroup_dir)/$1"; }

# A bundle: $BUNDLE/rootfs with busybox and the test programs, $BUNDLE/config.json that runs `true`
# without a terminal. The root file system is made once a file (setup_file) and copied by hard link.
make_rootfs() {
	local applet dir=$1
	mkdir -p "$dir"/{bin,etc,tmp,proc,sys,dev,root,mnt}
	cp "$(command -v busybox)" "$dir/bin/busybox"
	# Installed by itself where it can be: 270 processes less.
	"$dir/bin/busybox" --install "$dir/bin" 2>/dev/null || true
	for applet in $("$dir/bin/busybox" --list); do
		[ -e "$dir/bin/$applet" ] || ln "$dir/bin/busybox" "$dir/bin/$applet"
	done
	if compgen -G "$HELPERS/*" >/dev/null; then find "$HELPERS" -maxdepth 1 -type f -perm -100 -exec cp -t "$dir/bin" {} +; fi
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$dir/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\n' >"$dir/etc/group"
	chmod 1777 "$dir/tmp"
}

setup_file() {
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

setup() { common_setup; }

common_setup() {
	# Short: unix socket paths have 107 bytes.
	T=$(mktemp -d /tmp/nt.XXXXXX)
	ROOT=$T/state
	BUNDLE=$T/bundle
	# A pid would not do: files run beside each other in pid namespaces of their own, and share the cgroups.
	ID=t-${T##*.}
	mkdir -p "$BUNDLE"
	cp -al "$ROOTFS_TEMPLATE" "$BUNDLE/rootfs"
	cp --remove-destination "$ROOTFS_TEMPLATE"/etc/* "$BUNDLE/rootfs/etc"
	# Made once a file, too: jq takes longer than nacre.
	if ! cp "$BATS_FILE_TMPDIR/config.json" "$BUNDLE" 2>/dev/null; then
		"$NACRE_BIN" spec -b "$BUNDLE"
		config '.process.terminal = false | .process.args = ["true"]'
		cp "$BUNDLE/config.json" "$BATS_FILE_TMPDIR"
	fi
	MOUNTS_BEFORE=$(sort /proc/self/mountinfo)
	DEVICES_BEFORE=$(host_devices)
	cd "$BUNDLE" || return 1
	[ "${NACRE_ISOLATION-}" != microvm ] || { requires root microvm && use_microvm; }
}

# config [JQ-OPTION...] JQ-PROGRAM: edits the bundle's config.json.
config() {
	local text
	text=$(jq "$@" <"$BUNDLE/config.json") || return
	printf '%s\n' "$text" >"$BUNDLE/config.json"
}

# args ARG...: what the container's process runs. sh_args SCRIPT: the same for a shell script.
args() { config --args '.process.args = $ARGS.positional' -- "$@"; }
sh_args() { args sh -c "$1"; }

# By sed, since they are asked often; state.bats looks at the JSON. Two spaces: the object's own members.
status_of() { nacre state "$1" | sed -n 's/^  "status": "\(.*\)",*$/\1/p'; }
pid_of() { nacre state "$1" | sed -n 's/^  "pid": \([0-9]*\),*$/\1/p'; }

# wait_for SECONDS COMMAND...: until it succeeds. For what another process does in its own time; a microVM gets more of it.
wait_for() {
	local end=$((SECONDS + $1 * ${PATIENCE:-1}))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

has_status() { [ "$(status_of "$1")" = "$2" ]; }

# No state directory, no cgroup, no process of ours, no mount more than before.
assert_clean() {
	local left
	# Compiled filters are kept, in files without temporary ones beside them.
	left=$(find "$ROOT" -mindepth 1 ! -path "$ROOT/.seccomp" ! -path "$ROOT/.seccomp/????????????????" 2>/dev/null || true)
	[ -z "$left" ] || { echo "left in the state directory: $left"; return 1; }
	left=$(find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$ID*" 2>/dev/null || true)
	[ -z "$left" ] || { echo "cgroups left: $left"; return 1; }
	left=$(pgrep -af -- "--root $ROOT" || true)
	[ -z "$left" ] || { echo "processes left: $left"; return 1; }
	left=$(vm_programs)
	[ -z "$left" ] || { echo "programs of a microVM left: $left"; return 1; }
	[ "$(sort /proc/self/mountinfo)" = "$MOUNTS_BEFORE" ] || { echo "mounts differ"; return 1; }
	left=$(host_devices)
	[ "$left" = "$DEVICES_BEFORE" ] || { printf 'the devices of the host differ:\n%s\nbefore:\n%s\n' "$left" "$DEVICES_BEFORE"; return 1; }
}

# Owner and mode of what a container may get from the host.
host_devices() { stat -c '%n %u:%g %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty 2>/dev/null || true; }

# What nacre started of other programs for this test's microVMs: they know whose they are.
vm_programs() {
	local pid
	for pid in $(pgrep -x virtiofsd; pgrep -x qemu-system-x86); do
		! grep -qz "^NACRE_ID=.*$ID" "/proc/$pid/environ" 2>/dev/null || echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done
}

# Ends what the test left running (containers named after $ID or listed), then checks; a file's own
# clean-up goes before, in cleanup(), whose last status counts.
teardown() {
	local id result=0
	if declare -F cleanup >/dev/null; then cleanup || result=1; fi
	if [ -d "$ROOT" ]; then
		for id in "$ROOT"/*; do
			[ ! -d "$id" ] || nacre delete --force "${id##*/}" || result=1
		done
	fi
	assert_clean || result=1
	cd / || true
	# Never through a mount that was left.
	rm -rf --one-file-system "$T"
	return $result
}

# try COMMAND...: as bats' run --separate-stderr, by files: a container that is made against expectation would hold a
# pipe open, and the test would wait for it.
# shellcheck disable=SC2034
try() {
	status=0
	"$@" >"$T/try.out" 2>"$T/try.err" </dev/null || status=$?
	output=$(cat "$T/try.out")
	stderr=$(cat "$T/try.err")
}

# refused STATUS TEXT ARG...: nacre ends with STATUS and says "nacre: error: …TEXT…" on stderr (in either case, as engines
# compare it), nothing on stdout.
refused() {
	local want=$1 text=$2
	shift 2
	try nacre "$@"
	# shellcheck disable=SC2154
	if [ "$status" -ne "$want" ] || [[ "${stderr,,}" != "nacre: error: "*"${text,,}"* ]] || [ -n "$output" ]; then
		echo "nacre $*: status $status, stdout \"$output\", stderr \"$stderr\"; expected $want and \"$text\""
		return 1
	fi
}

# A profile for one test: its process may not write below /tmp/no, and may start programs, which have it, too.
load_profile() {
	requires apparmor apparmor_parser root
	mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
	PROFILE=nt-${T##*.}
	printf 'profile %s flags=(attach_disconnected) {\n file,\n capability,\n signal,\n deny /tmp/no/** w,\n}\n' "$PROFILE" >"$T/profile"
	apparmor_parser -K -a "$T/profile"
}

# For cleanup().
drop_profile() { [ -z "${PROFILE-}" ] || apparmor_parser -K -R "$T/profile"; }

# run_sleeping [ID]: a running container whose process does nothing.
run_sleeping() {
	args sleep 1000
	nacre run -d "${1:-$ID}" </dev/null
}

# In MiB: how much memory is too little for how much. In a microVM it is the guest that runs out of what it has.
# shellcheck disable=SC2034
LESS=8 MUCH=64
# shellcheck disable=SC2034
[ -z "${NACRE_ISOLATION-}" ] || LESS=232 MUCH=512

# mib N: as bytes, in a microVM four times that: there the limit is of guest and monitor together (microvm.bats).
mib() { local times=1; [ -z "${NACRE_ISOLATION-}" ] || times=4; echo "$(($1 * 1048576 * times))"; }

# memory_limit BYTES: of the next container, without swap; max: none.
memory_limit() {
	config --arg n "$1" '.linux.resources.memory = (if $n == "max" then null else {limit: ($n | tonumber), swap: ($n | tonumber)} end)'
}

# detached COMMAND...: in the background without bats' own file descriptors, which would keep bats waiting. $! is its pid.
# shellcheck disable=SC2034
detached() {
	"$@" 3>&- 4>&- &
}

# caps NAME...: exactly these capabilities, in the bounding, effective and permitted sets.
caps() {
	config --argjson v "$(printf 'CAP_%s\n' "$@" | jq -R . | jq -s .)" \
		'.process.capabilities = {bounding: $v, effective: $v, permitted: $v}'
}

# A user namespace whose ids 0…65535 are the host's 100000…165535; the bundle is reachable for them.
with_userns() {
	chmod 755 "$T"
	config '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
}

# create_fails TEXT...: `create` fails and says each TEXT. (By a file: a container that was made after all would hold
# a pipe open.)
create_fails() {
	local text said
	! nacre create "$ID" >"$T/said" 2>&1 || { echo "was not refused: $*"; return 1; }
	said=$(cat "$T/said")
	[ -n "$said" ] || { echo "no error text"; return 1; }
	for text; do
		[[ "$said" == *"$text"* ]] || { printf 'says: %s\ndoes not say: %s\n' "$said" "$text"; return 1; }
	done
}

# refuses TEXT...: create_fails, and nothing is left.
refuses() { create_fails "$@" && assert_clean; }

# equals WANT GOT: fails with both.
equals() { [ "$1" = "$2" ] || { printf 'want: %s\ngot:  %s\n' "$1" "$2"; return 1; }; }

# in_mount_ns SCRIPT: runs it in a mount namespace of its own, where mounts reach nobody else.
in_mount_ns() {
	export NACRE_BIN ROOT ID T BUNDLE NACRE_TIMEOUT HELPERS
	export -f nacre
	unshare -m --propagation private bash -euc "$1"
}
