#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# doctor: what it says is so.

load helpers

level() { jq -r --arg a "$1" --arg n "$2" '.[] | select(.area == $a and .name == $n) | .level' "$T/doctor.json"; }

@test "the table and the JSON say the same" {
	nacre doctor >"$T/doctor"
	nacre doctor --json >"$T/doctor.json"
	equals "$(grep -cE '^  (ok|limited|missing) ' "$T/doctor")" "$(jq length "$T/doctor.json")"
	jq -r '.[] | "\(.level) \(.name) \(.text)"' "$T/doctor.json" >"$T/lines"
	sed -nE 's/^  (ok|limited|missing) +([^ ]+) +/\1 \2 /p' "$T/doctor" | diff - "$T/lines"
	jq -e 'all(.level == "ok" or .level == "limited")' "$T/doctor.json"
}

@test "no colours off a terminal, colours on one" {
	nacre doctor >"$T/doctor"
	run ! grep -q $'\033' "$T/doctor"
	script -qec "TERM=xterm '$NACRE_BIN' doctor" /dev/null | grep -q $'\033\[32m'
	run script -qec "NO_COLOR=1 '$NACRE_BIN' doctor" /dev/null
	[[ "$output" != *$'\033['32m* ]]
}

@test "controllers: what it calls ok can be limited, what it calls limited cannot" {
	requires cgroup
	local controller file
	nacre doctor --json >"$T/doctor.json"
	for controller in memory:memory.max pids:pids.max io:io.weight cpu:cpu.max cpuset:cpuset.cpus; do
		file=${controller#*:} controller=${controller%:*}
		config --arg f "$file" '.linux.resources.unified = {($f): (if $f == "cpuset.cpus" then "0" elif $f == "cpu.max" then "50000" else "500000" end)}'
		[ "$controller" != io ] || config '.linux.resources.unified = {"io.weight": "50"}'
		if [ "$(level cgroups "$controller")" = ok ]; then
			nacre create "$ID"
			nacre delete "$ID"
		else
			create_fails "$controller"
		fi
	done
}

@test "cgroup v1: said, with the way out" {
	requires hybrid
	run -0 nacre doctor
	[[ "$output" == *"hybrid: cgroup v2 at"* ]]
	[[ "$output" == *"memory"*"bound to cgroup v1"*"fix: boot with"* ]]
}

@test "namespaces that are switched off are named" {
	run -0 unshare -Ur bash -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"' - "$NACRE_BIN" --root "$ROOT" doctor
	[[ "$output" == *"limited"*"network"*"user/max_net_namespaces is 0"* ]]
}

@test "without cgroup2 it says how to go without" {
	in_mount_ns 'umount -R /sys/fs/cgroup; nacre doctor >"$T/out"; grep -q "no cgroup v2 file system is mounted" "$T/out"
		grep -q "fix: .*--cgroup-manager=disabled" "$T/out"'
}

@test "bad options" {
	refused 1 "unknown option" doctor --nonsense
	refused 1 "" doctor operand
}

@test "microVMs: the host's file, what is configured and not there" {
	echo '{"isolation": "microvm", "vm": {"kernel": {"path": "/nowhere/kernel"}, "hypervisor": {"path": "/nowhere/qemu"}, "virtiofsd": "/nowhere/v"}}' \
		>"$T/nacre.json"
	nacre --host-config "$T/nacre.json" doctor --json >"$T/doctor.json"
	equals ok "$(level microvm config)"
	equals limited "$(level microvm qemu)"
	equals limited "$(level microvm virtiofsd)"
	equals limited "$(level microvm guest-kernel)"
	equals limited "$(level microvm acceleration)"
	jq -e 'map(.text) | any(contains("becomes a microVM")) and any(contains("/nowhere/kernel")) and any(contains("/nowhere/qemu"))
		and any(contains("/nowhere/v"))' "$T/doctor.json"
	echo '{"isolation": 1}' >"$T/nacre.json"
	nacre --host-config "$T/nacre.json" doctor --json >"$T/doctor.json"
	equals limited "$(level microvm config)"
	jq -e 'map(.text) | any(contains("isolation: must be a string"))' "$T/doctor.json"
}

@test "microVMs: a kernel that is named is found, with its modules" {
	mkdir -p "$T/pkg/boot" "$T/pkg/lib/modules/6.1.0-x"
	touch "$T/pkg/lib/modules/6.1.0-x/modules.dep"
	# As much of a bzImage as says its version.
	{ head -c 514 /dev/zero; printf 'HdrS'; head -c 8 /dev/zero; printf '\0\1'; head -c 240 /dev/zero; printf '6.1.0-x (a@b) #1\0'; } >"$T/pkg/boot/vmlinuz"
	jq -n --arg p "$T/pkg/boot/vmlinuz" '{vm: {kernel: {path: $p}}}' >"$T/nacre.json"
	nacre --host-config "$T/nacre.json" doctor --json >"$T/doctor.json"
	equals ok "$(level microvm guest-kernel)"
	jq -r '.[] | select(.name == "guest-kernel") | .text' "$T/doctor.json" | grep -F "$T/pkg/boot/vmlinuz, modules in $T/pkg/boot/../lib/modules/6.1.0-x"
}

@test "namespaces that may not be made are named; without those that all need, it fails" {
	run -1 setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$NACRE_BIN" --root "$ROOT" doctor --json
	printf '%s\n' "$output" >"$T/doctor.json"
	equals missing "$(level namespaces mount)"
	equals missing "$(level namespaces pid)"
	equals limited "$(level namespaces uts)"
	jq -e 'any(.[]; .name == "mount" and (.text | test("Operation not permitted")) and (.fix | test("CAP_SYS_ADMIN")))' "$T/doctor.json"
}

@test "without root: what is not there to be without it" {
	local as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR)
	install -m 755 "$NACRE_BIN" "$T/nacre"
	chmod 755 "$T"
	for command in doctor features; do "${as_nobody[@]}" "$T/nacre" "$command" >/dev/null; done
	"${as_nobody[@]}" PATH=/nowhere "$T/nacre" doctor --json >"$T/doctor.json"
	equals limited "$(level host state)"
	equals limited "$(level rootless newuidmap)"
	equals limited "$(level rootless newgidmap)"
	equals limited "$(level microvm guest-program)"
	jq -e 'any(.[]; .name == "newuidmap" and (.fix | test("uidmap")))' "$T/doctor.json"
	# A helper that cannot become root maps nothing.
	mkdir "$T/bin"
	install -m 755 /bin/true "$T/bin/newuidmap"
	"${as_nobody[@]}" PATH="/nowhere:$T/bin" "$T/nacre" doctor --json >"$T/doctor.json"
	equals limited "$(level rootless newuidmap)"
	chmod u+s "$T/bin/newuidmap"
	"${as_nobody[@]}" PATH="/nowhere:$T/bin" "$T/nacre" doctor --json >"$T/doctor.json"
	equals ok "$(level rootless newuidmap)"
}

@test "on a terminal lines are broken between words" {
	run script -qec "stty cols 70; NO_COLOR=1 '$NACRE_BIN' doctor" /dev/null
	printf '%s\n' "$output" | tr -d '\r' >"$T/doctor"
	equals "" "$(grep -E '^.{71}' "$T/doctor" | grep -E '^.{29,} ')"
	tr -s ' \n' '  ' <"$T/doctor" | grep -qF "$(nacre doctor | sed -n 's/^  [a-z]* *seccomp *//p')"
}
