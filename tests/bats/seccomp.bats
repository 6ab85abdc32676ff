#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.seccomp: actions, operators, architectures, privileges.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

# rule ACTION MORE-JSON: mkdir(2) gets this action, all else is allowed.
rule() { config --arg a "$1" --argjson m "${2:-{\}}" '.root.readonly = false | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
	syscalls: [{names: ["mkdir", "mkdirat"], action: $a} + $m]}'; }

AGENTS=()

# The numbers of this machine.
nr() {
	case $(uname -m):$1 in
	x86_64:lseek) echo 8 ;;
	x86_64:mkdirat) echo 258 ;;
	x86_64:getppid) echo 110 ;;
	aarch64:lseek) echo 62 ;;
	aarch64:mkdirat) echo 34 ;;
	aarch64:getppid) echo 173 ;;
	*) skip "no system call numbers known for this machine" ;;
	esac
}

@test "ERRNO: EPERM without errnoRet, the value with it" {
	sh_args 'mkdir /tmp/d'
	rule SCMP_ACT_ERRNO
	run -1 nacre run "$ID"
	[[ "$output" == *"Operation not permitted"* ]]
	rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
	run -1 nacre run "$ID"
	[[ "$output" == *"No space left on device"* ]]
	[ ! -e "$BUNDLE/rootfs/tmp/d" ]
}

@test "ERRNO 0 pretends success" {
	rule SCMP_ACT_ERRNO '{"errnoRet": 0}'
	args mkdir /tmp/d
	run -0 nacre run "$ID"
	[ ! -e "$BUNDLE/rootfs/tmp/d" ]
}

@test "KILL, KILL_THREAD, KILL_PROCESS and TRAP end the process with SIGSYS" {
	local action
	args mkdir /tmp/d
	for action in KILL KILL_THREAD KILL_PROCESS TRAP; do
		rule "SCMP_ACT_$action"
		run -159 nacre run "$ID"
	done
	[ ! -e "$BUNDLE/rootfs/tmp/d" ]
}

@test "LOG and ALLOW let it through" {
	local action
	for action in LOG ALLOW; do
		rule "SCMP_ACT_$action"
		args mkdir "/tmp/$action"
		run -0 nacre run "$ID"
		[ -d "$BUNDLE/rootfs/tmp/$action" ]
	done
}

@test "TRACE without a tracer is ENOSYS" {
	rule SCMP_ACT_TRACE
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"Function not implemented"* ]]
}

@test "a default action with an allow-list" {
	local n
	n=$(nr getppid)
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 77, syscalls: [{names: ["execve", "arch_prctl", "brk",
		"write", "exit_group", "fstat", "newfstatat", "set_tid_address", "set_robust_list", "rseq", "mprotect", "prlimit64",
		"readlink", "readlinkat", "getrandom"], action: "SCMP_ACT_ALLOW"}]}'
	args sec_sys "$n"
	run -0 nacre run "$ID"
	equals 77 "$output"
}

# One filter an operator: libseccomp 2.5.4 mixes LT and LE (GT and GE) of one argument and value up in one filter.
@test "argument operators, with values beyond 32 bits" {
	local l op value two probes x want
	l=$(nr lseek)
	# lseek of an fd that is not open: 9 (EBADF) from the kernel, 70 from the filter.
	while read -r op value two probes; do
		config --arg o "SCMP_CMP_$op" --argjson v "$value" --argjson t "$two" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
			syscalls: [{names: ["lseek"], action: "SCMP_ACT_ERRNO", errnoRet: 70, args: [{index: 1, value: $v, valueTwo: $t, op: $o}]}]}'
		want=()
		set --
		for x in $probes; do
			set -- "$@" "$l" 99 "${x%=*}" 0 --
			want+=("${x#*=}")
		done
		args sec_sys "$@"
		run -0 nacre run "$ID"
		equals "$op ${want[*]}" "$op ${lines[*]}"
	done <<-'TABLE'
		EQ 5000000000 0 5000000000=70 705032704=9 5000000001=9
		NE 5000000000 0 5000000000=9 705032704=70 0=70
		LT 5000000000 0 4999999999=70 5000000000=9 705032705=70 9000000000=9
		LE 5000000000 0 5000000000=70 5000000001=9 4294967296=70
		GT 5000000000 0 5000000000=9 5000000001=70 705032705=9 8589934592=70
		GE 5000000000 0 5000000000=70 4999999999=9 18446744073709551615=70
		MASKED_EQ 4294967551 4294967297 4294967297=70 8589934593=9 4294968321=70 4294967298=9 12884901889=70
	TABLE
}

@test "two rules on one argument are either-or" {
	local l
	l=$(nr lseek)
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["lseek"], action: "SCMP_ACT_ERRNO", errnoRet: 70,
		args: [{index: 1, value: 5, op: "SCMP_CMP_EQ"}, {index: 1, value: 7, op: "SCMP_CMP_EQ"}]}]}'
	args sec_sys "$l" 99 5 -- "$l" 99 6 -- "$l" 99 7
	run -0 nacre run "$ID"
	equals "70 9 70" "${lines[*]}"
}

@test "rules hold for each architecture that is listed" {
	[ "$(uname -m)" = x86_64 ] || skip "needs x86-64 with its 32-bit entry"
	"$HELPERS/sec_sys" --i386 20 >/dev/null || skip "the kernel has no 32-bit entry"
	# mkdir is 39 there; EFAULT (14) of a bad address from the kernel.
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
		syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 70}]}'
	args sec_sys --i386 39 1 -- 20
	run -0 nacre run "$ID"
	equals "70 ok" "${lines[*]}"
	# The number of mkdir in one is fstat's neighbour in the other: rules must not mix.
	args sec_sys 83 1 -- 39
	run -0 nacre run "$ID"
	equals "70 ok" "${lines[*]}"
}

@test "an architecture that is not listed is no way round the filter" {
	[ "$(uname -m)" = x86_64 ] || skip "needs x86-64 with its 32-bit entry"
	"$HELPERS/sec_sys" --i386 20 >/dev/null || skip "the kernel has no 32-bit entry"
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"],
		syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 70}]}'
	args sec_sys --i386 39 1
	run nacre run "$ID"
	[[ "$output" != 14 ]]
	[[ "$output" != ok ]]
}

@test "x32 numbers are no way round the filter" {
	[ "$(uname -m)" = x86_64 ] || skip "needs x86-64"
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"],
		syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 70}]}'
	args sec_sys $((0x40000000 | 83)) 1
	run nacre run "$ID"
	[[ "$output" != 14 ]]
	[[ "$output" != ok ]]
}

@test "a system call newer than the profile is ENOSYS, an older one the default action's" {
	local l
	l=$(nr lseek)
	config --argjson a "$(jq -n '["close_range", "execve", "write", "brk", "arch_prctl", "exit_group", "mmap", "mprotect", "set_tid_address",
		"set_robust_list", "rseq", "prlimit64", "readlinkat", "readlink", "getrandom", "uname", "fstat", "newfstatat", "munmap"]')" \
		'.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", syscalls: [{names: $a, action: "SCMP_ACT_ALLOW"}]}'
	args sec_sys "$l" 0 0 0 -- 435 -- 437 -- 1000
	run -0 nacre run "$ID"
	equals "1 1 38 38" "${lines[*]}"
}

@test "foreign architectures in the list are ignored" {
	rule SCMP_ACT_ERRNO
	config '.linux.seccomp.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_MIPSEL64"]'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"Operation not permitted"* ]]
}

@test "so are those of the other byte order, in a list for many hosts" {
	rule SCMP_ACT_ERRNO
	config '.linux.seccomp.architectures = ["SCMP_ARCH_S390X", "SCMP_ARCH_S390", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
		"SCMP_ARCH_PARISC", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"]'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"Operation not permitted"* ]]
	config '.linux.seccomp.architectures = ["SCMP_ARCH_S390X"]'
	run -1 nacre run "$ID"
	[[ "$output" == *"Operation not permitted"* ]]
}

@test "with and without noNewPrivileges, as root and as another user" {
	local nnp uid
	sh_args 'grep ^Seccomp: /proc/self/status; mkdir /tmp/d; true'
	for nnp in true false; do
		for uid in 0 1000; do
			rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
			config --argjson n "$nnp" --argjson u "$uid" '.process.noNewPrivileges = $n | .process.user.uid = $u'
			run -0 nacre run "$ID"
			[[ "$output" == *Seccomp:*2*"No space left"* ]] || { echo "$nnp $uid: $output"; return 1; }
		done
	done
}

@test "a user without capabilities, without noNewPrivileges" {
	rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
	config '.process.noNewPrivileges = false | .process.capabilities = {} | .process.user.uid = 1000'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"No space left"* ]]
}

@test "a filter that denies what the runtime itself does last" {
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["setuid", "setresuid", "setgid", "setresgid", "setgroups",
		"capset", "prctl", "umask", "close_range", "chdir", "sendmsg", "write", "getpid"], action: "SCMP_ACT_ERRNO"}]}
		| .process.user.uid = 1000'
	args true
	run -0 nacre run "$ID"
}

@test "in a user namespace" {
	requires userns
	with_userns
	rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"No space left"* ]]
}

@test "exec is under the same filter" {
	local nnp
	for nnp in true false; do
		rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
		config --argjson n "$nnp" '.process.noNewPrivileges = $n'
		args sleep 1000
		nacre create "$ID"
		nacre start "$ID"
		run -1 nacre exec "$ID" mkdir /tmp/d
		[[ "$output" == *"No space left"* ]]
		run -0 nacre exec "$ID" grep ^Seccomp: /proc/self/status
		[[ "$output" == *2 ]]
		nacre delete -f "$ID"
	done
}

@test "unknown system call names are ignored, the others hold" {
	rule SCMP_ACT_ERRNO '{"names": ["nt_no_such_call", "mkdir", "mkdirat"]}'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"Operation not permitted"* ]]
}

# agent [-e ERRNO] [-c] N: a seccomp agent at $T/agent, with what it was told in $T/told.
agent() {
	rm -f "$T/agent"
	detached "$HELPERS/sec_agent" "${@:1:$#-1}" "$T/agent" "${@: -1}" >"$T/told"
	AGENTS+=($!)
	wait_for 10 test -S "$T/agent"
	config --arg p "$T/agent" '.linux.seccomp.listenerPath = $p'
}

# One whose last listener never came still waits.
cleanup() {
	local pid
	for pid in "${AGENTS[@]}"; do
		! grep -qzxF "$T/agent" "/proc/$pid/cmdline" 2>/dev/null || kill "$pid" || true
	done
}

told() { jq -e "$@" "$T/told" >/dev/null || { echo "the agent was told: $(cat "$T/told")"; return 1; }; }

@test "NOTIFY: an agent gets the listener and the state, and answers the calls" {
	requires container
	rule SCMP_ACT_NOTIFY
	config '.linux.seccomp.listenerMetadata = "a \"b\"\n" | .annotations = {"org.test.a": "b"}'
	agent -e 28 1
	sh_args 'echo before; mkdir /tmp/d; echo $?'
	run -0 nacre run "$ID"
	[[ "$output" == before*"No space left"*1 ]]
	wait_for 10 grep -q . "$T/told"
	told --arg id "$ID" --arg b "$BUNDLE" --arg v "$("$NACRE_BIN" features | jq -r .ociVersionMax)" '.fds == ["seccompFd"] and .metadata == "a \"b\"\n"
		and .pid > 1 and .ociVersion == $v and .state.ociVersion == $v and .state.id == $id and .state.bundle == $b
		and .state.status == "creating" and .state.pid == .pid and .state.annotations["org.test.a"] == "b"'
}

@test "NOTIFY: an exec has a listener of its own" {
	requires container
	rule SCMP_ACT_NOTIFY
	agent -e 28 2
	args sleep 1000
	nacre create "$ID"
	[ ! -s "$T/told" ]
	nacre start "$ID"
	run -1 nacre exec "$ID" mkdir /tmp/d
	[[ "$output" == *"No space left"* ]]
	told -s 'length == 2 and .[0].state.status == "creating" and .[1].state.status == "running" and .[1].pid != .[0].pid
		and .[0].pid == .[0].state.pid and .[1].state.pid == .[0].pid and (.[0] | has("metadata") | not)'
	# Nobody is left to take a third.
	nacre delete -f "$ID"
}

@test "NOTIFY: the calls that hand the listener over may be the agent's, too" {
	local nnp
	requires container
	for nnp in true false; do
		rule SCMP_ACT_NOTIFY '{"names": ["sendmsg", "sendto", "write", "recvfrom", "recvmsg", "read", "execve", "execveat", "close",
			"setresuid", "setresgid", "setgroups", "capset", "prctl", "futex", "exit", "exit_group", "sched_yield"]}'
		config --argjson n "$nnp" '.process.noNewPrivileges = $n | .linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_TSYNC"]'
		agent 1
		args echo hello
		run -0 nacre run "$ID"
		equals hello "$output"
		# All of them.
		config '.linux.seccomp = {defaultAction: "SCMP_ACT_NOTIFY", listenerPath: .linux.seccomp.listenerPath}'
		agent 1
		run -0 nacre run "$ID"
		equals hello "$output"
	done
}

@test "NOTIFY: the thread that hands the listener over is gone, and nothing of it is left" {
	requires container
	rule SCMP_ACT_NOTIFY
	agent 1
	sh_args 'ls /proc/self/task | wc -l; ls /proc/1/fd; ps 2>/dev/null | grep -c nacre; grep -c "seccomp notify" /proc/self/maps'
	run nacre run "$ID"
	equals "1 0 1 2" "${lines[*]:0:4}"
	[[ "${lines[-1]}" == 0 ]]
}

@test "NOTIFY: in a user namespace" {
	requires container userns
	with_userns
	rule SCMP_ACT_NOTIFY '{"names": ["mkdir", "mkdirat", "sendmsg", "sendto", "recvfrom"]}'
	agent -e 28 1
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"No space left"* ]]
}

@test "explain names the listener" {
	requires container
	rule SCMP_ACT_NOTIFY
	agent 1
	nacre explain | grep -F "listener to $T/agent"
	args true
	nacre run "$ID"
}

@test "NOTIFY: with a scheduling policy that forks no children" {
	requires container
	rule SCMP_ACT_NOTIFY
	config '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 1000000, deadline: 10000000, period: 20000000}'
	agent 1
	args true
	nacre run "$ID"
}

@test "NOTIFY: an agent that is not there or does not listen is an error, and nothing is left" {
	requires container
	rule SCMP_ACT_NOTIFY
	args sleep 1000
	config --arg p "$T/agent" '.linux.seccomp.listenerPath = $p'
	create_fails linux.seccomp.listenerPath "$T/agent" "No such file"
	touch "$T/agent"
	create_fails linux.seccomp.listenerPath "no socket"
	agent 1
	nacre create "$ID"
	rm "$T/agent"
	try nacre start "$ID"
	[ "$status" -ne 0 ]
	[[ "$stderr" == *linux.seccomp.listenerPath*"$T/agent"* ]]
	# As after every start that fails.
	equals stopped "$(nacre state "$ID" | jq -r .status)"
	nacre delete "$ID"
	agent 1
	nacre create "$ID"
	nacre start "$ID"
	rm "$T/agent"
	try nacre exec "$ID" true
	[ "$status" -ne 0 ]
	[[ "$stderr" == *linux.seccomp.listenerPath* ]]
	nacre delete -f "$ID"
}

@test "NOTIFY: an agent that hangs up ends the container before its program begins" {
	requires container
	rule SCMP_ACT_NOTIFY
	# The message may be sent before the agent hangs up: then there is a listener nobody holds, and its calls are ENOSYS.
	agent -c 1
	sh_args 'mkdir /tmp/d && echo made'
	try nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" != *made* ]]
}

@test "a listener's path without NOTIFY is ignored; one that is missing or not absolute is refused" {
	rule SCMP_ACT_NOTIFY
	refuses linux.seccomp.listenerPath SCMP_ACT_NOTIFY
	config '.linux.seccomp.listenerPath = "agent"'
	refuses linux.seccomp.listenerPath absolute
	rule SCMP_ACT_ERRNO
	config '.linux.seccomp.listenerPath = "/nt/no/such/socket"'
	args true
	run -0 nacre run "$ID"
	config 'del(.linux.seccomp.listenerPath) | .linux.seccomp.listenerMetadata = "x"'
	refuses linux.seccomp.listenerMetadata
}

@test "values out of the vocabulary are refused with their path" {
	rule SCMP_ACT_NT
	refuses 'linux.seccomp.syscalls[0].action' SCMP_ACT_NT
	rule SCMP_ACT_KILL '{"errnoRet": 1}'
	refuses 'linux.seccomp.syscalls[0].errnoRet'
	rule SCMP_ACT_ERRNO '{"errnoRet": 5000}'
	refuses errnoRet
	rule SCMP_ACT_ERRNO '{"names": []}'
	refuses 'linux.seccomp.syscalls[0].names'
	rule SCMP_ACT_ERRNO '{"args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}'
	refuses 'linux.seccomp.syscalls[0].args[0].index'
	rule SCMP_ACT_ERRNO '{"args": [{"index": 0, "value": 0, "op": "SCMP_CMP_NT"}]}'
	refuses 'linux.seccomp.syscalls[0].args[0].op'
	rule SCMP_ACT_ERRNO
	config '.linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_NT"]'
	refuses 'linux.seccomp.flags[0]'
	config '.linux.seccomp.flags = [] | .linux.seccomp.architectures = ["SCMP_ARCH_NT"]'
	refuses 'linux.seccomp.architectures[0]'
}

# profile RULES ARGS ARCHITECTURE...: so many rules for read(2), each of ARGS comparisons with numbers of its own.
profile() {
	config --argjson n "$1" --argjson k "$2" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: $ARGS.positional, syscalls: [range($n) | . as $i |
		{names: ["read"], action: "SCMP_ACT_ERRNO", args: [range($k) | {index: ., value: ($i * 7 + 1000 + .), op: "SCMP_CMP_EQ"}]}]}' --args "${@:3}"
}

@test "more names or comparisons than libseccomp can work on are refused, at once" {
	profile 257 6 SCMP_ARCH_X86_64
	refuses 'config.json: linux.seccomp.syscalls[256]: with it there are more than 1536 comparisons of arguments'
	profile 256 2 SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32
	config '.linux.seccomp.syscalls[3].names += ["write"]'
	refuses 'config.json: linux.seccomp.syscalls[255]: with it there are more than 1536 comparisons of arguments'
	profile 1 1 SCMP_ARCH_X86_64
	config '.linux.seccomp.syscalls[0] = {names: [range(12289) | "call\(.)"], action: "SCMP_ACT_ALLOW"}'
	refuses 'config.json: linux.seccomp.syscalls[0]: with it there are more than 12288 names'
	config '.linux.seccomp.architectures = []'
	refuses 'config.json: linux.seccomp.syscalls[0]: with it there are more than 12288 names'
	config 'del(.linux.seccomp.syscalls[0].names[0])'
	run -0 nacre run "$ID"
	profile 500 1 SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32
	run -0 nacre run "$ID"
}

@test "flags" {
	rule SCMP_ACT_ERRNO '{"errnoRet": 28}'
	config '.linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]'
	args mkdir /tmp/d
	run -1 nacre run "$ID"
	[[ "$output" == *"No space left"* ]]
}

# loaded_flags JQ-PROGRAM: as the kernel gets them.
loaded_flags() {
	config "$1"
	env "${TRACED[@]}" timeout "$NACRE_TIMEOUT" strace -f -e trace=seccomp -o "$T/trace" "$NACRE_BIN" --root "$ROOT" run "$ID" </dev/null
	sed -n 's/.*seccomp(SECCOMP_SET_MODE_FILTER, \([^,]*\),.*/\1/p' "$T/trace"
}

# As runc: who writes an empty list wants no flag, not even the one that other runtimes load by default.
@test "no list of flags: SPEC_ALLOW; an empty one: none" {
	requires container strace
	rule SCMP_ACT_ERRNO
	equals SECCOMP_FILTER_FLAG_SPEC_ALLOW "$(loaded_flags 'del(.linux.seccomp.flags)')"
	equals 0 "$(loaded_flags '.linux.seccomp.flags = []')"
	equals SECCOMP_FILTER_FLAG_SPEC_ALLOW "$(loaded_flags '.linux.seccomp.flags = null')"
}
