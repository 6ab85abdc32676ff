# SPDX-License-Identifier: Apache-2.0
# The bundle inside a microVM, seen from outside: whatever runs it (our monitor where KVM works, QEMU's emulation elsewhere),
# the command line is the container's.

load helpers

setup() {
	common_setup
	use_microvm
	config '.root.readonly = false'
}

@test "run: output, exit status, another kernel's processes" {
	requires root microvm
	sh_args 'echo "pid $$ of $(hostname)"; echo err >&2; exit 7'
	config '.hostname = "inside"'
	try nacre run "$ID"
	equals 7 "$status"
	equals "pid 1 of inside" "$output"
	equals err "$stderr"
}

@test "run: a signal that ends the process is the status, as with a container" {
	requires root microvm
	sh_args 'kill -TERM $$; sleep 10'
	try nacre run "$ID"
	# The first process of a pid namespace is not ended by its own signals.
	sh_args 'sh -c "kill -KILL \$\$"; echo $?'
	try nacre run "$ID"
	equals 137 "$output"
}

@test "run: standard input and a mebibyte of output, byte for byte" {
	requires root microvm
	head -c 1048576 /dev/urandom >"$T/data"
	args cat
	nacre run "$ID" <"$T/data" >"$T/copy"
	cmp "$T/data" "$T/copy"
}

@test "run: a command that is not there: 127's text, and nothing left" {
	requires root microvm
	args /no/such
	try nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"/no/such"* ]]
	# The guest itself has said why: its console is not asked.
	[[ "$stderr" != *"console"* ]]
	equals "" "$(nacre list -q)"
}

@test "rootfs: what is written is there on the host; volumes; a read-only one is read-only" {
	requires root microvm
	mkdir "$T/volume" "$T/fixed"
	echo fixed >"$T/fixed/file"
	config --arg v "$T/volume" --arg f "$T/fixed" '.root.readonly = false | .mounts += [
		{destination: "/volume", type: "bind", source: $v, options: ["rbind", "rw"]},
		{destination: "/fixed", type: "bind", source: $f, options: ["rbind", "ro"]}]'
	sh_args 'echo a >/new; echo b >/volume/b; cat /fixed/file; echo x 2>/dev/null >/fixed/x || echo refused'
	try nacre run "$ID"
	equals $'fixed\nrefused' "$output"
	equals a "$(cat "$BUNDLE/rootfs/new")"
	equals b "$(cat "$T/volume/b")"
	[ ! -e "$T/fixed/x" ]
}

@test "rootfs: a read-only root cannot be written, not even by who mounts it anew" {
	requires root microvm
	config '.root.readonly = true | .process.capabilities = {bounding: ["CAP_SYS_ADMIN"], effective: ["CAP_SYS_ADMIN"], permitted: ["CAP_SYS_ADMIN"]}'
	sh_args 'echo x >/new && exit 1; mount -o remount,rw / ; mount -o remount,bind,rw /; echo x >/new; true'
	try nacre run "$ID"
	[ ! -e "$BUNDLE/rootfs/new" ]
}

@test "create, state, start, exec, kill, delete" {
	requires root microvm
	sh_args 'trap "exit 3" TERM; while :; do sleep 0.1; done'
	nacre create --pid-file "$T/pid" "$ID" </dev/null >/dev/null 2>&1
	equals created "$(status_of "$ID")"
	equals "$(cat "$T/pid")" "$(pid_of "$ID")"
	nacre start "$ID"
	equals running "$(status_of "$ID")"
	equals "x 5" "$(nacre exec --env A=5 "$ID" sh -c 'echo "x $A"')"
	try nacre exec "$ID" sh -c 'exit 9'
	equals 9 "$status"
	head -c 300000 /dev/urandom >"$T/data"
	nacre exec "$ID" cat <"$T/data" >"$T/copy"
	cmp "$T/data" "$T/copy"
	try nacre exec "$ID" /no/such
	equals 255 "$status"
	nacre kill "$ID" TERM
	wait_for 30 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "run -d, pause, resume, ps, stats" {
	requires root microvm
	run_sleeping
	nacre pause "$ID"
	equals paused "$(status_of "$ID")"
	nacre resume "$ID"
	equals running "$(status_of "$ID")"
	[ "$(nacre ps --format json "$ID" | jq length)" -ge 1 ]
	[ "$(nacre events --stats "$ID" | jq .data.memory.usage.usage)" -gt 0 ]
	[[ "$(nacre ps "$ID" | tail -n 1)" == *" sleep 1000" ]]
	nacre delete --force "$ID"
}

@test "exec: in a created one, and --ignore-paused in a paused one" {
	requires root microvm
	args sleep 1000
	nacre create "$ID" </dev/null >/dev/null 2>&1
	equals here "$(nacre exec "$ID" echo here)"
	equals created "$(status_of "$ID")"
	nacre start "$ID"
	nacre pause "$ID"
	refused 255 paused exec "$ID" true
	detached "$NACRE_BIN" --root "$ROOT" exec --ignore-paused "$ID" echo thawed >"$T/out" </dev/null
	sleep 2
	[ ! -s "$T/out" ]
	nacre resume "$ID"
	wait $!
	equals thawed "$(cat "$T/out")"
}

@test "terminal: the process has one, of the size that is asked for" {
	requires root microvm
	config '.process.terminal = true '
	sh_args 'tty; stty size; echo done'
	run -0 timeout "$NACRE_TIMEOUT" "$HELPERS/pty-run" size=20x60 -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *"/dev/pts/0"*"20 60"*done* ]]
}

@test "user, capabilities, no_new_privs, masked paths, mounts hold inside" {
	requires root microvm
	config '.process.user = {uid: 1000, gid: 1000} | .linux.maskedPaths = ["/proc/kcore"]'
	sh_args 'id -u; grep -E "^(CapEff|NoNewPrivs)" /proc/self/status; wc -c </proc/kcore; grep -c " /proc " /proc/self/mountinfo'
	try nacre run "$ID"
	[[ "$output" == 1000* ]]
	[[ "$output" == *"NoNewPrivs:	1"* ]]
}

@test "limits: processes are counted in the guest" {
	requires root microvm
	config '.linux.resources.pids = {limit: 5}'
	sh_args 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; true'
	try nacre run "$ID"
	[[ "$stderr" == *"fork"* ]]
}

@test "memory: a limit that does not hold guest and monitor is refused, with both numbers" {
	requires root microvm
	config '.linux.resources.memory = {limit: 33554432}'
	refused 1 "memory" run "$ID"
}

@test "what a microVM cannot do is refused by its path in config.json" {
	requires root microvm
	config '.linux.namespaces |= map(select(.type != "pid"))'
	refused 1 "linux.namespaces: without pid" run "$ID"
	config '.linux.namespaces += [{type: "pid"}] | .mounts += [{destination: "/mnt", type: "overlay", source: "overlay", options: ["lowerdir=/a:/b"]}]'
	refused 1 "config.json: mounts[7].type: the layers of an overlay are paths of the host" run "$ID"
	config --arg s "$T" '.mounts[7] = {destination: "/mnt", type: "bind", source: $s, options: ["rbind", "rshared"]}'
	refused 1 "config.json: mounts[7].options: rshared: what is mounted in a microVM cannot be seen on the host" run "$ID"
	config '.mounts[7].options = ["bind", "copy-symlink"]'
	refused 1 "config.json: mounts[7].options: copy-symlink: the file server" run "$ID"
}

@test "what is mounted on the host below a volume, before and while it runs, is there; ro is for all of it" {
	requires root microvm
	mkdir "$T/volume"
	mount -t tmpfs t "$T/volume"
	mount --make-shared "$T/volume"
	mkdir "$T/volume/before" "$T/volume/later"
	config --arg s "$T/volume" '.mounts += [{destination: "/volume", type: "bind", source: $s, options: ["rbind", "rslave", "ro"]}]'
	args sleep 1000
	mount -t tmpfs t "$T/volume/before"
	touch "$T/volume/before/file"
	nacre run -d "$ID" </dev/null
	mount -t tmpfs t "$T/volume/later"
	touch "$T/volume/later/file"
	equals file "$(nacre exec "$ID" ls /volume/before)"
	equals file "$(nacre exec "$ID" ls /volume/later)"
	try nacre exec "$ID" touch /volume/before/x
	[[ "$stderr" == *"Read-only file system"* ]]
}

# The file server has it open; the delete is the teardown's otherwise.
cleanup() {
	if mountpoint -q "$T/volume"; then
		nacre delete --force "$ID"
		umount -R "$T/volume"
	fi
}

@test "the monitor is killed: the container ends with an error, and is deleted" {
	requires root microvm
	run_sleeping
	pkill -KILL -P "$(pid_of "$ID")"
	wait_for 20 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "QEMU in its jail: nothing in its sight can be written, and it is alone there" {
	requires root microvm
	local qemu
	config '.annotations["run.nacre.vm.accel"] = "tcg"'
	run_sleeping
	qemu=$(pgrep -P "$(pid_of "$ID")" qemu)
	# Root writes to /proc/sys without any capability: core_pattern is a program that the kernel starts outside of all jails.
	equals "" "$(awk '$6 !~ /^ro(,|$)/' "/proc/$qemu/mountinfo")"
	run ! test -e "/proc/$qemu/root/proc/sys"
	[[ $(awk '/^NSpid/ { print $NF }' "/proc/$qemu/status") == 1 ]]
	for ns in pid ipc mnt; do
		[[ $(readlink "/proc/$qemu/ns/$ns") != "$(readlink "/proc/$$/ns/$ns")" ]] || { echo "shares $ns"; return 1; }
	done
	grep -qE '^CapEff:\s0000000000000000$' "/proc/$qemu/status"
	grep -qE '^CapBnd:\s0000000000000000$' "/proc/$qemu/status"
	nacre delete --force "$ID"
}

@test "the supervisor is killed: everything ends with it" {
	requires root microvm
	run_sleeping
	kill -KILL "$(pid_of "$ID")"
	wait_for 20 has_status "$ID" stopped
	nacre delete "$ID"
}

@test "a kernel that panics: where it was, and what its console said" {
	requires root microvm
	config '.vm = {kernel: {path: $k, parameters: ["init=/no/such/init", "rdinit=/no/such/init"]}}' --arg k "$(vm_kernel)"
	try nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"the microVM ended while its kernel started"* ]]
	[[ "$stderr" == *"panic"* ]]
}

@test "update: a limit is the host's or the guest's" {
	requires root microvm controllers
	config '.annotations["run.nacre.vm.accel"] = "tcg" | .linux.resources = {memory: {limit: 419430400}}'
	run_sleeping
	nacre update --cpu-quota 50000 --cpu-share 512 --cpuset-cpus 0 --pids-limit 30 "$ID"
	equals "50000 100000" "$(cg cpu.max)"
	equals 59 "$(cg cpu.weight)"
	equals 0 "$(cg cpuset.cpus)"
	equals max "$(cg pids.max)"
}

guest_memory() { nacre exec "$ID" sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
guest_has_less_than() { [ "$(guest_memory)" -lt "$1" ]; }
guest_has_more_than() { [ "$(guest_memory)" -gt "$1" ]; }

@test "update: memory goes down and up again inside what the microVM was started with" {
	requires root microvm controllers kvm
	config '.annotations["run.nacre.vm.accel"] = "kvm" | .linux.resources = {memory: {limit: 314572800}}'
	run_sleeping
	local whole
	whole=$(guest_memory)
	nacre update --memory 180m "$ID"
	equals 188743680 "$(cg memory.max)"
	wait_for 30 guest_has_less_than $((whole - 110 * 1024))
	nacre update --memory 300m "$ID"
	equals 314572800 "$(cg memory.max)"
	wait_for 30 guest_has_more_than $((whole - 1024))
	refused 1 "is too small for a microVM" update --memory 100m "$ID"
	refused 1 "is more than the 300 MiB of a microVM" update --memory 2g "$ID"
	equals 314572800 "$(cg memory.max)"
}

# By its own protocol, and with its own share of the limit.
@test "update: the same when QEMU runs it" {
	requires root microvm controllers
	config '.annotations["run.nacre.vm.accel"] = "tcg" | .linux.resources = {memory: {limit: 419430400}}'
	run_sleeping
	local whole
	whole=$(guest_memory)
	nacre update --memory 320m "$ID"
	equals 335544320 "$(cg memory.max)"
	wait_for 30 guest_has_less_than $((whole - 70 * 1024))
	nacre update --memory 400m "$ID"
	equals 419430400 "$(cg memory.max)"
	wait_for 30 guest_has_more_than $((whole - 1024))
	refused 1 "is too small for a microVM" update --memory 200m "$ID"
	refused 1 "is more than the 400 MiB of a microVM" update --memory 2g "$ID"
	equals 419430400 "$(cg memory.max)"
}

@test "--debug: the guest's console is in the log, and not in the container's output" {
	requires root microvm
	sh_args 'echo out; echo err >&2'
	try nacre --debug --log "$T/log" --log-format json run "$ID"
	equals out "$output"
	equals err "$stderr"
	jq -e -s 'any(.msg | startswith("guest: [")) and all(has("time"))' "$T/log"
}
