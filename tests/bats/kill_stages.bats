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

# Without -f: the runtime's own process only. It executes itself once, as the file that its children show.
traced() { timeout -k 5 "$NACRE_TIMEOUT" strace -o "$T/trace" "$@" </dev/null >"$T/said" 2>&1; }

# Every place where the child of a killed runtime may still be for a moment.
nothing_left() { assert_clean >/dev/null; }
no_cgroup() { [ -z "$(find "$(cgroup_mount)" -maxdepth 3 -type d -name "*$ID*")" ]; }

# killed_at N ARG...: nacre ARG… gets SIGKILL at its N-th system call; then delete --force leaves nothing.
# Status 1 when it ended before that.
killed_at() {
	local n=$1 r=0
	shift
	traced -e trace=all -e "inject=all:signal=KILL:when=$n" "$NACRE_BIN" --root "$ROOT" "$@" || r=$?
	if ! nacre delete --force "$ID" >"$T/deleted" 2>&1; then
		echo "killed at $n ($(tail -n 2 "$T/trace" | head -n 1)): delete: $(cat "$T/deleted")"
		return 2
	fi
	wait_for 10 nothing_left || { echo "killed at $n ($(tail -n 2 "$T/trace" | head -n 1)):"; assert_clean; return 2; }
	[ "$r" -eq 137 ]
}

# kill_everywhere STEP ARG...
kill_everywhere() {
	local n r by=$1
	shift
	for ((n = 1; ; n += by)); do
		r=0
		killed_at "$n" "$@" || r=$?
		[ "$r" -ne 2 ] || return 1
		[ "$r" -eq 0 ] || break
	done
	echo "$n system calls" >&3
	# Far enough to mean something.
	[ "$n" -gt 100 ]
}

@test "create killed at any system call: delete --force cleans up" {
	args sleep 1000
	kill_everywhere "$(step 2)" create "$ID" 3>/dev/null
}

@test "run killed at any system call: delete --force cleans up" {
	args true
	kill_everywhere "$(step 3)" run "$ID" 3>/dev/null
}

@test "create with a user namespace killed at any system call" {
	requires userns
	with_userns
	args sleep 1000
	kill_everywhere "$(step 7)" create "$ID" 3>/dev/null
}

@test "start killed at any system call" {
	local n r=0
	args sleep 1000
	for ((n = 1; r == 0; n += $(step 5))); do
		nacre create "$ID" >"$T/out" 2>&1 </dev/null
		killed_at "$n" start "$ID" || r=$?
		[ "$r" -ne 2 ]
	done
	[ "$n" -gt 10 ]
}

@test "delete killed at any system call: the next one finishes" {
	local n r=0
	args sleep 1000
	for ((n = 1; r == 0; n += $(step 3))); do
		nacre create "$ID" >"$T/out" 2>&1 </dev/null
		killed_at "$n" delete --force "$ID" || r=$?
		[ "$r" -ne 2 ]
	done
	[ "$n" -gt 10 ]
}

@test "exec killed at any system call leaves the container as it is" {
	local n r
	args sleep 1000
	nacre create "$ID" >"$T/out" 2>&1 </dev/null
	nacre start "$ID"
	for ((n = 1; ; n += $(step 5))); do
		r=0
		traced -e trace=all -e "inject=all:signal=KILL:when=$n" "$NACRE_BIN" --root "$ROOT" exec "$ID" true || r=$?
		equals running "$(status_of "$ID")"
		[ "$r" -eq 137 ] || break
	done
	[ "$n" -gt 10 ]
	wait_for 10 one_process
}
one_process() { [ "$(wc -l <"$(cgroup_mount)/nacre-$ID/cgroup.procs")" -eq 1 ]; }

# fails_at SYSCALL K ERROR ARG...: the K-th call of that name fails in nacre or, with -f, in a child. Then nacre fails
# with a text and leaves nothing, or does without the call; status 1 when it never came to the call.
fails_at() {
	local call=$1 k=$2 error=$3 r=0
	shift 3
	traced -f -e "trace=$call" -e "inject=$call:error=$error:when=$k" "$NACRE_BIN" --root "$ROOT" "$@" || r=$?
	grep -q INJECTED "$T/trace" || { nacre delete --force "$ID" && assert_clean; return 1; }
	if [ "$r" -ge 124 ]; then
		echo "$call #$k $error: status $r $(cat "$T/said")"
		return 2
	fi
	if [ "$r" -eq 0 ]; then
		nacre delete --force "$ID" || return 2
	elif ! grep -q "^nacre: ." "$T/said"; then
		echo "$call #$k $error: status $r, no text"
		return 2
	fi
	wait_for 5 nothing_left || { echo "$call #$k $error: $(cat "$T/said")"; assert_clean; return 2; }
}

# fail_each ERROR STEP SYSCALL...
fail_each() {
	local call k r error=$1 by=$2
	shift 2
	for call; do
		for ((k = 1; k < 200; k += by)); do
			r=0
			fails_at "$call" "$k" "$error" create "$ID" || r=$?
			[ "$r" -ne 2 ] || return 1
			[ "$r" -eq 0 ] || break
		done
	done
}

# A bundle that uses much of what create can do.
rich_bundle() {
	echo x >"$T/file"
	config --arg s "$T/file" '.process.args = ["sleep", "1000"] | .root.readonly = true | .process.cwd = "/made"
		| .linux.sysctl = {"net.ipv4.ip_forward": "1"} | .domainname = "d"
		| .mounts += [{destination: "/etc/hosts", source: $s, options: ["bind", "ro"]}, {destination: "/mnt", type: "tmpfs", source: "t", options: ["ro", "iversion"]}]
		| .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3, uid: 5}] | .linux.rootfsPropagation = "private"
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO"}]}'
}

@test "a mount call that fails undoes create" {
	rich_bundle
	fail_each EPERM "$(step 1)" mount fsopen fsconfig fsmount move_mount open_tree mount_setattr pivot_root umount2 chroot fchdir chdir
}

@test "a call on names that fails undoes create" {
	rich_bundle
	fail_each EACCES "$(step 2)" mkdirat mknodat symlinkat fchownat renameat unlinkat readlinkat
}

@test "an openat or openat2 that fails undoes create" {
	rich_bundle
	fail_each EMFILE "$(step 4)" openat openat2
}

@test "a process call that fails undoes create" {
	rich_bundle
	fail_each EAGAIN "$(step 1)" clone3 clone setns unshare sethostname setdomainname setsid prlimit64 keyctl pidfd_open prctl umask
}

@test "a write, read or socket call that fails undoes create" {
	rich_bundle
	fail_each ENOSPC "$(step 2)" write
	fail_each EIO "$(step 4)" read pread64
	fail_each ENOBUFS "$(step 1)" socket socketpair bind listen sendmsg sendto recvmsg bpf flock inotify_init1 poll
}

@test "memory that runs out undoes create" {
	rich_bundle
	fail_each ENOMEM "$(step 3)" mmap brk memfd_create
}

@test "a call that fails in a user namespace undoes create" {
	requires userns
	with_userns
	args sleep 1000
	fail_each EPERM "$(step 3)" mount fsmount move_mount open_tree setresuid setresgid write
}

@test "what fails in start is an error, and the container can be deleted" {
	local call k r
	args sleep 1000
	for call in openat socket connect sendto recvmsg write read; do
		for ((k = 1; k < 40; k += $(step 3))); do
			nacre create "$ID" >"$T/out" 2>&1 </dev/null
			r=0
			fails_at "$call" "$k" EIO start "$ID" || r=$?
			[ "$r" -ne 2 ] || return 1
			nacre delete --force "$ID"
			[ "$r" -eq 0 ] || break
		done
	done
}
