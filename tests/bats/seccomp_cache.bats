#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Compiled filters that are kept in the state directory (seccomp/README.md): a hit changes nothing but the time, and whatever is wrong
# there is no failure.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

# A profile that is worth keeping: mkdir and 35 others are refused, with errno 28.
setup() {
	common_setup
	requires container
	config '.root.readonly = false | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{action: "SCMP_ACT_ERRNO", errnoRet: 28,
		names: ["mkdir", "mkdirat", "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module",
		"finit_module", "get_kernel_syms", "init_module", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl",
		"lookup_dcookie", "mbind", "mount", "move_pages", "nfsservctl", "open_by_handle_at", "perf_event_open", "pivot_root",
		"process_vm_readv", "ptrace", "query_module", "quotactl", "reboot", "request_key", "settimeofday", "stime", "swapon",
		"swapoff"]}]}'
	sh_args 'grep ^Seccomp: /proc/self/status; mkdir /tmp/d'
	KEPT=$ROOT/.seccomp
}

# ran hit|compiled [COMMAND...]: a container with the filter, which holds; where the filter came from. COMMAND (nacre) runs it.
ran() {
	local how=$1
	shift
	try "${@:-nacre}" --debug run "$ID"
	if [ "$status" -ne 1 ] || [[ "$output" != Seccomp:*2 || "$stderr" != *"No space left on device"* ]]; then
		echo "status $status, output $output, stderr $stderr"
		return 1
	fi
	case $how in
	hit) [[ "$stderr" == *"nothing is compiled"* && "$stderr" != *"is compiled;"* ]] ;;
	compiled) [[ "$stderr" == *"is compiled;"* && "$stderr" != *"nothing is compiled"* ]] ;;
	esac || { echo "not $how: $stderr"; return 1; }
}

kept() { find "$KEPT" -type f 2>/dev/null; }

@test "the second run takes the first one's filter, which holds as before" {
	ran compiled
	equals 1 "$(kept | wc -l)"
	equals "700 600" "$(stat -c %a "$KEPT" "$(kept)" | xargs)"
	ran hit
	ran hit
	equals 1 "$(kept | wc -l)"
	# In exec, too: the container has a copy of its own.
	args sleep 1000
	nacre create "$ID"
	rm -rf "$KEPT"
	nacre start "$ID"
	run -1 nacre exec "$ID" mkdir /tmp/d
	[[ "$output" == *"No space left"* ]]
}

@test "a hit does not compile" {
	requires strace
	# libseccomp before 2.6 writes a program to a file in memory, in each compilation.
	traced() { env "${TRACED[@]}" strace -f -o "$T/trace" -e trace=memfd_create "$NACRE_BIN" --root "$ROOT" "$@"; }
	ran compiled traced
	grep -q 'memfd_create("seccomp"' "$T/trace" || skip "this libseccomp exports to memory"
	ran hit traced
	run ! grep 'memfd_create("seccomp"' "$T/trace"
}

@test "another request is another file; a short one is none" {
	ran compiled
	config '.linux.seccomp.syscalls[0].errnoRet = 5'
	try nacre run "$ID"
	[[ "$stderr" == *"Input/output error"* ]]
	equals 2 "$(kept | wc -l)"
	config '.linux.seccomp.syscalls[0].errnoRet = 28'
	ran hit
	rm -r "$KEPT"
	config '.linux.seccomp.syscalls[0].names |= .[:31]'
	ran compiled
	ran compiled
	[ ! -e "$KEPT" ]
}

@test "files that were cut, changed, or are somebody else's are not used, and replaced" {
	local how file
	ran compiled
	file=$(kept)
	cp "$file" "$T/good"
	for how in 'truncate -s 0' 'truncate -s 100' 'truncate -s -1' 'truncate -s +8' 'chmod 644' 'chown 1000' 'ln -t /tmp/../'"$T"' ' \
		'tail -c 8000 /dev/zero >'; do
		eval "$how \"\$file\""
		ran compiled || { echo "after: $how"; return 1; }
		ran hit
		equals 1 "$(kept | wc -l)"
		cmp "$file" "$T/good"
		equals "600 0 1" "$(stat -c '%a %u %h' "$file")"
	done
	# One byte of the program, and of the rest, after the other: a filter that would be weaker.
	for how in 0 8 12 16 24 40 200 $(($(stat -c %s "$file") - 4)); do
		printf '\377' | dd of="$file" bs=1 seek="$how" conv=notrunc status=none
		ran compiled || { echo "byte $how"; return 1; }
		cmp "$file" "$T/good"
	done
	ln -sf "$T/good" "$file"
	ran compiled
	[ ! -L "$file" ]
	cmp "$file" "$T/good"
	rm "$file"
	mkfifo "$file"
	ran compiled
	cmp "$file" "$T/good"
}

@test "a directory that others can get at is not used" {
	ran compiled
	chmod 755 "$KEPT"
	ran compiled
	ran compiled
	chmod 700 "$KEPT"
	ran hit
	chown 1000 "$KEPT"
	ran compiled
	chown 0 "$KEPT"
	chmod 1777 "$ROOT"
	ran compiled
	chmod 755 "$ROOT"
	ran hit
	mv "$KEPT" "$T/elsewhere"
	ln -s "$T/elsewhere" "$KEPT"
	ran compiled
	rm "$KEPT"
	touch "$KEPT"
	ran compiled
	rm "$KEPT"
}

@test "a full or read-only disk is no failure" {
	mkdir -p "$KEPT"
	chmod 700 "$ROOT" "$KEPT"
	export KEPT BUNDLE
	export -f ran try
	in_mount_ns 'mount -t tmpfs -o size=4k,mode=700 none "$KEPT"
		dd if=/dev/zero of="$KEPT/full" bs=4k count=1 status=none
		ran compiled; ran compiled; [ "$(ls -A "$KEPT")" = full ]
		nacre --debug run "$ID" 2>&1 | grep "cannot be kept.*No space left"
		mount -o remount,size=1m "$KEPT"
		ran compiled; ran hit
		mount -o remount,ro "$KEPT"
		ran hit
		sed -i s/28/29/ "$BUNDLE/config.json"
		nacre --debug run "$ID" 2>&1 | grep "cannot be kept.*Read-only file system"
		sed -i s/29/28/ "$BUNDLE/config.json"'
}

@test "runs at the same time" {
	local i pids=()
	for i in 1 2 3 4 5 6 7 8; do
		nacre run "$ID-$i" >"$T/out.$i" 2>&1 </dev/null 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || [ $? -eq 1 ]; done
	equals 8 "$(grep -l 'No space left' "$T"/out.* | wc -l)"
	equals 1 "$(kept | wc -l)"
	ran hit
}

@test "of more than 32 the oldest go" {
	local i first
	args true
	for i in $(seq 100 139); do
		config --argjson e "$i" '.linux.seccomp.syscalls[0].errnoRet = $e'
		nacre run "$ID"
		[ "$i" != 100 ] || first=$(kept)
	done
	equals 32 "$(kept | wc -l)"
	[ ! -e "$first" ]
}

@test "no command takes it for a container" {
	ran compiled
	equals "" "$(nacre list -q)"
	equals null "$(nacre list --format json | jq -c 'if . == [] then null else . end')"
	equals 1 "$(nacre list | wc -l)"
	refused 1 "invalid container id" state .seccomp
	refused 1 "invalid container id" delete --force .seccomp
	refused 1 "invalid container id" create .seccomp
	nacre stats --no-stream
	ran hit
}

@test "without root it is the user's own" {
	requires root setpriv
	chmod 755 "$T"
	cp "$NACRE_BIN" "$T/nacre"
	mkdir "$ROOT"
	chown 4321:4321 "$ROOT" "$BUNDLE"
	user() { setpriv --reuid 4321 --regid 4321 --clear-groups --inh-caps=-all -- timeout -k 5 "$NACRE_TIMEOUT" "$T/nacre" --root "$ROOT" "$@"; }
	mv "$BUNDLE/config.json" "$T/with-profile.json"
	user spec --rootless -b "$BUNDLE"
	config --slurpfile p "$T/with-profile.json" '.process.args = $p[0].process.args | .process.terminal = false | .root.readonly = false
		| .linux.seccomp = $p[0].linux.seccomp'
	ran compiled user
	equals "4321 4321" "$(stat -c %u "$KEPT" "$(kept)" | xargs)"
	ran hit user
	# Root trusts none of it.
	ran compiled
}
