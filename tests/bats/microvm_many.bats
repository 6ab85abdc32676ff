#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many microVMs, and much through one: all of it arrives, nothing is left. NACRE_BIG=1: the sizes that are meant (20 at once, 100 in
# sequence, 256 MiB); without it smaller ones, which take as long as any other test.

# shellcheck disable=SC2016,SC2034,SC2094,SC2153,SC2154
load helpers

setup() {
	common_setup
	requires root microvm
	use_microvm
	config --arg k "$(vm_kernel)" '.root.readonly = false | .vm = {kernel: {path: $k}, hwConfig: {vcpus: 1, memory: 134217728}}'
	if [ -n "${NACRE_BIG-}" ]; then
		AT_ONCE=20 IN_SEQUENCE=100 SIZE=268435456
		NACRE_TIMEOUT=7200
	else
		AT_ONCE=4 IN_SEQUENCE=5 SIZE=8388608
	fi
}

# What a microVM might leave on the host, as text: programs, taps, mounts, cgroups, sockets and files by name; not what a test host
# or another file leaves that runs beside it.
host_state() {
	echo "programs: $(vm_programs | wc -l) $(pgrep -cf -- "--root $ROOT")"
	echo "interfaces: $(ip -o link | sed 's/:.*//' | wc -l)"
	echo "mounts: $(wc -l </proc/self/mountinfo)"
	echo "cgroups: $(find "$(cgroup_mount)" -maxdepth 3 -name "*$ID*" | wc -l)"
	echo "files: $(find /run /tmp /dev/shm -maxdepth 2 -name '*nacre*' ! -path '/tmp/nt.*' ! -path '/tmp/nacre-host.*' \
		! -path '/tmp/nacre-compare.*' ! -path '/run/virtiofsd/.tmp.nacre-host.*' 2>/dev/null | sort | xargs)"
	echo "state: $(find "$ROOT" -mindepth 1 2>/dev/null | wc -l)"
	echo "unix sockets: $(grep -c -- "$T" /proc/net/unix)"
}

# The guests' memory is shared memory of the kernel's (memfd): what of it is left when all have ended, in MiB.
shared_memory() { awk '/^Shmem:/ { print int($2 / 1024) }' /proc/meminfo; }

# nothing_left STATE SHMEM: as it was before. The memory only where this test has the machine to itself: beside it other files may
# have guests.
nothing_left() {
	equals "$1" "$(host_state)"
	[ -n "${NACRE_BIG-}" ] || return 0
	[ $(($(shared_memory) - $2)) -lt 64 ] || { echo "shared memory: $2 MiB before, $(shared_memory) now"; return 1; }
}

all_running() { [ "$(nacre list --format json | jq '[.[] | select(.status == "running")] | length')" = "$1" ]; }

@test "many at once: each its own, all end, nothing is left" {
	local i before shmem
	before=$(host_state)
	shmem=$(shared_memory)
	for i in $(seq "$AT_ONCE"); do
		args sh -c "echo machine $i; read x; echo \$x; exit $i"
		mkfifo "$T/in$i"
		# A background command's stdin would be /dev/null.
		detached sh -c 'exec "$0" --root "$1" run "$2" <>"$3"' "$NACRE_BIN" "$ROOT" "$ID-$i" "$T/in$i" >"$T/out$i" 2>&1
		echo $! >"$T/pid$i"
		# It has read config.json as soon as its record is there.
		wait_for 20 test -s "$ROOT/$ID-$i/state.json"
	done
	wait_for $((10 * AT_ONCE)) all_running "$AT_ONCE" || { nacre list; head "$T"/out*; false; }
	for i in $(seq "$AT_ONCE"); do equals "exec $i" "$(nacre exec "$ID-$i" echo "exec $i")"; done
	for i in $(seq "$AT_ONCE"); do echo "bye $i" >"$T/in$i"; done
	for i in $(seq "$AT_ONCE"); do
		status=0
		wait "$(cat "$T/pid$i")" || status=$?
		equals "$i"$'\n'"machine $i"$'\n'"bye $i" "$status"$'\n'"$(cat "$T/out$i")"
	done
	nothing_left "$before" "$shmem"
}

@test "many in sequence: nothing is left" {
	local i before shmem
	before=$(host_state)
	shmem=$(shared_memory)
	for i in $(seq "$IN_SEQUENCE"); do
		args echo "$i"
		equals "$i" "$(nacre run "$ID")"
	done
	nothing_left "$before" "$shmem"
}

@test "much through stdin, stdout, exec and the root file system: every byte arrives" {
	local want
	head -c "$SIZE" /dev/urandom >"$T/data"
	want=$(sha256sum <"$T/data")
	ln "$T/data" "$BUNDLE/rootfs/data" || cp "$T/data" "$BUNDLE/rootfs/data"
	sh_args 'tee /copy | sha256sum >&2; cat /data'
	nacre run "$ID" <"$T/data" >"$T/out" 2>"$T/err"
	equals "$want" "$(cat "$T/err")"
	cmp "$T/data" "$T/out"
	cmp "$T/data" "$BUNDLE/rootfs/copy"
	rm "$BUNDLE/rootfs/copy" "$T/out"
	run_sleeping
	nacre exec "$ID" cat <"$T/data" | cmp "$T/data" -
	nacre delete --force "$ID"
}
