#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# nacre killed at any moment, and any of its system calls failing: what is left can be deleted, or nothing is left.
# shellcheck disable=SC2016 # scripts in single quotes are bash's own

load helpers

setup_file() {
	requires strace
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

# step N: N here, ten times as far in the slow test host.
step() { if [ -n "${NACRE_TEST_HOST:-}" ]; then echo $(($1 * 10)); else echo "$1"; fi; }

# traced STRACE-OPTION... PROGRAM ARG...: without -f the runtime's own process only.
traced() { timeout -k 5 "$NACRE_TIMEOUT" strace -o "$T/trace" "$@" </dev/null >"$T/said" 2>&1; }

nothing_left() { assert_clean >/dev/null; }

# record ARG...: the system calls of nacre ARG…, as lines "NAME K" (the K-th of that name): strace counts by name.
record() {
	traced "$NACRE_BIN" --root "$ROOT" "$@" || return 1
	sed -n 's/^\([a-z0-9_]*\)(.*/\1/p' "$T/trace" | awk '{ print $1, ++n[$1] }' >"$T/calls"
	[ "$(wc -l <"$T/calls")" -gt 20 ]
}

# killed_at NAME K ARG...: nacre ARG… gets SIGKILL at that call; then delete --force leaves nothing.
killed_at() {
	local name=$1 k=$2
	shift 2
	# In a subshell with its own stderr: bash would report each killed process.
	(traced -e "trace=$name" -e "inject=$name:signal=KILL:when=$k" "$NACRE_BIN" --root "$ROOT" "$@") 2>/dev/null || true
	nacre delete --force "$ID" >"$T/deleted" 2>&1 || { echo "killed at $name $k: delete: $(cat "$T/deleted")"; return 1; }
	wait_for 10 nothing_left || { echo "killed at $name $k:"; assert_clean; return 1; }
}

# kill_everywhere STEP ARG...: at every STEP-th of the recorded calls.
kill_everywhere() {
	local by=$1 name k
	shift
	while read -r name k; do
		killed_at "$name" "$k" "$@" || return 1
	done < <(awk -v by="$by" 'NR % by == 0' "$T/calls")
}

@test "create killed at any system call: delete --force cleans up" {
	args sleep 1000
	record create "$ID"
	nacre delete --force "$ID"
	kill_everywhere "$(step 2)" create "$ID"
}

@test "run killed at any system call: delete --force cleans up" {
	args true
	record run "$ID"
	kill_everywhere "$(step 3)" run "$ID"
}

@test "create with a user namespace, killed" {
	requires userns
	with_userns
	args sleep 1000
	record create "$ID"
	nacre delete --force "$ID"
	kill_everywhere "$(step 7)" create "$ID"
}

@test "create without a mount namespace, killed: no mount is left on the host" {
	config '.linux.namespaces |= map(select(.type != "mount"))'
	args sleep 1000
	record create "$ID"
	nacre delete --force "$ID"
	kill_everywhere "$(step 3)" create "$ID"
}

@test "start killed at any system call" {
	local name k
	args sleep 1000
	nacre create "$ID" >"$T/out" 2>&1 </dev/null
	record start "$ID"
	nacre delete --force "$ID"
	while read -r name k; do
		nacre create "$ID" >"$T/out" 2>&1 </dev/null
		killed_at "$name" "$k" start "$ID"
	done < <(awk -v by="$(step 5)" 'NR % by == 0' "$T/calls")
}

@test "delete killed at any system call: the next one finishes" {
	local name k
	args sleep 1000
	nacre create "$ID" >"$T/out" 2>&1 </dev/null
	record delete --force "$ID"
	while read -r name k; do
		nacre create "$ID" >"$T/out" 2>&1 </dev/null
		killed_at "$name" "$k" delete --force "$ID"
	done < <(awk -v by="$(step 4)" 'NR % by == 0' "$T/calls")
}

@test "exec killed at any system call leaves the container as it is" {
	local name k
	args sleep 1000
	nacre create "$ID" >"$T/out" 2>&1 </dev/null
	nacre start "$ID"
	record exec "$ID" true
	while read -r name k; do
		(traced -e "trace=$name" -e "inject=$name:signal=KILL:when=$k" "$NACRE_BIN" --root "$ROOT" exec "$ID" true) 2>/dev/null || true
		equals running "$(status_of "$ID")"
	done < <(awk -v by="$(step 5)" 'NR % by == 0' "$T/calls")
	wait_for 10 one_process
}
one_process() { [ "$(nacre ps -f json "$ID" | jq length)" -eq 1 ]; }

# fails_at NAME K ERROR ARG...: the K-th call of that name fails, in nacre and in each of its children. Then nacre fails
# with a text and leaves nothing, or does without the call. Status 1: nobody came to the call; 2: the test has failed.
fails_at() {
	local name=$1 k=$2 error=$3 r=0
	shift 3
	traced "${FOLLOW[@]}" -e "trace=$name" -e "inject=$name:error=$error:when=$k" "$NACRE_BIN" --root "$ROOT" "$@" || r=$?
	# 124: out of time; above 128 a signal's. 255 is the end of a microVM that its container did not bring about.
	if [ "$r" -ge 124 ] && [ "$r" -ne 255 ]; then
		echo "$name $k $error: status $r $(cat "$T/said")"
		return 2
	elif [ "$r" -ne 0 ] && ! grep -q "nacre: error: ." "$T/said"; then
		echo "$name $k $error: status $r, no text: $(cat "$T/said")"
		return 2
	elif [ "$r" -eq 0 ] || [ "$name" = unlinkat ]; then
		# A removal that fails leaves what it should have removed: for the next one.
		nacre delete --force "$ID" || return 2
	fi
	wait_for 5 nothing_left || { echo "$name $k $error: $(cat "$T/said")"; assert_clean; return 2; }
	grep -q INJECTED "$T/trace"
}

# The calls of this name that the loader and the library make before nacre begins.
loader_calls() {
	traced "$NACRE_BIN" --version
	grep -c "^$1(" "$T/trace" || true
}

# fail_each ERROR STEP NAME...: `run` of the bundle, with all its processes; CREATE=1: `create`, the runtime alone.
fail_each() {
	local name k r error=$1 by=$2 command=run
	FOLLOW=(-f)
	[ -z "${CREATE:-}" ] || { command=create; FOLLOW=(); }
	shift 2
	for name; do
		for ((k = $(loader_calls "$name") + 1; k < 200; k += by)); do
			r=0
			fails_at "$name" "$k" "$error" "$command" "$ID" || r=$?
			[ "$r" -ne 2 ] || return 1
			[ "$r" -eq 0 ] || break
		done
	done
}

# A bundle that uses much of what create can do.
rich_bundle() {
	echo x >"$T/file"
	config --arg s "$T/file" '.process.args = ["true"] | .process.cwd = "/made" | .linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .domainname = "d" | .mounts += [{destination: "/etc/hosts", source: $s, options: ["bind", "ro"]},
			{destination: "/mnt", type: "tmpfs", source: "t", options: ["ro", "iversion"]}]
		| .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3, uid: 5}] | .linux.rootfsPropagation = "private"
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO"}]}'
}

@test "a mount call that fails undoes create" {
	rich_bundle
	fail_each EPERM "$(step 1)" mount fsopen fsmount open_tree mount_setattr pivot_root umount2 chroot fchdir chdir
	fail_each EINVAL "$(step 6)" fsconfig move_mount
}

@test "a call on names that fails undoes create" {
	rich_bundle
	fail_each EACCES "$(step 3)" mkdirat mknodat symlinkat fchownat renameat unlinkat readlinkat
}

@test "an openat or openat2 that fails undoes create" {
	rich_bundle
	fail_each EMFILE "$(step 8)" openat openat2
}

@test "a process call that fails undoes create" {
	rich_bundle
	fail_each EAGAIN "$(step 2)" clone3 clone setns unshare sethostname setdomainname setsid prlimit64 keyctl pidfd_open prctl
}

@test "a write, read or socket call that fails undoes create" {
	rich_bundle
	fail_each ENOSPC "$(step 4)" write
	fail_each EIO "$(step 9)" read
	fail_each ENOBUFS "$(step 2)" socketpair sendmsg sendto recvmsg bpf flock
}

@test "memory that runs out undoes create" {
	rich_bundle
	fail_each ENOMEM "$(step 9)" mmap
	fail_each ENOMEM "$(step 2)" memfd_create
	# Not with -f: the container's program would crash by it. Not brk, of which an errno that no kernel returns is taken for an address.
	CREATE=1 fail_each ENOMEM "$(step 1)" mmap
}

@test "a call that fails in a user namespace undoes create" {
	requires userns
	with_userns
	args true
	fail_each EPERM "$(step 4)" mount fsmount open_tree setresuid setresgid write
	fail_each EPERM "$(step 9)" move_mount
}

@test "what only create does: the start socket, the last state" {
	args sleep 1000
	CREATE=1 fail_each EIO "$(step 2)" socket bind listen fsync renameat ftruncate sendmsg sendto
}

@test "what fails in start is an error, and the container can be deleted" {
	local name k r
	args sleep 1000
	FOLLOW=()
	for name in openat socket connect sendto sendmsg recvmsg read; do
		for ((k = $(loader_calls "$name") + 1; k < 60; k += $(step 3))); do
			nacre create "$ID" >"$T/out" 2>&1 </dev/null
			r=0
			traced -e "trace=$name" -e "inject=$name:error=EIO:when=$k" "$NACRE_BIN" --root "$ROOT" start "$ID" || r=$?
			[ "$r" -lt 124 ]
			[ "$r" -eq 0 ] || [ -s "$T/said" ]
			nacre delete --force "$ID"
			wait_for 5 nothing_left
			grep -q INJECTED "$T/trace" || break
		done
	done
}
