# SPDX-License-Identifier: Apache-2.0
# A microVM by our own monitor on /dev/kvm, with the distribution's kernel as it is: where KVM runs such, which on a
# machine for tests is the test host. What a microVM does is in the other microvm files, which emulation runs, too.

load helpers

kvm_works() { "$NACRE_BIN" doctor 2>/dev/null | grep -qE 'ok +kvm '; }

setup() {
	# First, since teardown comes after a skip, too.
	common_setup
	requires root
	[ -x "$NACRE_BUILD/nacre-guest" ] || skip "nacre-guest is not built"
	compgen -G '/usr/lib*/qemu/virtiofsd' >/dev/null || compgen -G '/usr/libexec/virtiofsd' >/dev/null || skip "virtiofsd is not installed"
	kvm_works || skip "KVM runs no unmodified kernel here (the test host's does)"
	[ -n "$(vm_kernel)" ] || skip "no guest kernel"
	use_microvm
	export NACRE_TIMEOUT=100
	config '.root.readonly = false | .annotations["run.nacre.vm.accel"] = "kvm"'
}

@test "a container's life in a microVM of our own monitor, in its jail" {
	sh_args 'echo "out of $(uname -s)"; echo err >&2; echo a >/new; trap "exit 7" TERM; while :; do sleep 0.1; done'
	nacre run -d "$ID" </dev/null >"$T/out" 2>"$T/err"
	equals running "$(status_of "$ID")"
	equals "x 5" "$(nacre exec --env A=5 "$ID" sh -c 'echo "x $A"')"
	# Monitor and supervisor: no capabilities, a filter, an empty root.
	for pid in $(pid_of "$ID") $(pgrep -P "$(pid_of "$ID")" -x nacre); do
		grep -qE '^CapEff:\s0000000000000000$' "/proc/$pid/status"
		grep -qE '^Seccomp:\s2$' "/proc/$pid/status"
		equals "" "$(ls -A "/proc/$pid/root/")"
	done
	# Root without capabilities may send signals to all that is root's: the monitor, the last of them, sees nobody else's.
	equals 1 "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")"
	# The host's processor has one of them, or this would not be run.
	equals 0 "$(nacre exec "$ID" grep -cwE 'vmx|svm' /proc/cpuinfo || true)"
	head -c 100000 /dev/urandom >"$T/data"
	nacre exec "$ID" cat <"$T/data" >"$T/copy"
	cmp "$T/data" "$T/copy"
	nacre kill "$ID" TERM
	wait_for 30 has_status "$ID" stopped
	equals "out of Linux" "$(cat "$T/out")"
	equals err "$(cat "$T/err")"
	equals a "$(cat "$BUNDLE/rootfs/new")"
	nacre delete "$ID"
}

@test "a guest that resets itself: run ends with an error, and nothing is left" {
	config '.linux.readonlyPaths = [] | .linux.maskedPaths = []'
	sh_args 'echo b >/proc/sysrq-trigger; sleep 1000'
	try nacre run "$ID"
	equals 255 "$status"
	[[ "$stderr" == *"the microVM ended while the container ran: the guest was reset or switched itself off"* ]] || { echo "$stderr"; return 1; }
	assert_clean
}

cleanup() { drop_profile; }

@test "apparmorProfile: the policy that the host has loaded confines the process in the guest" {
	load_profile
	mkdir -p "$BUNDLE/rootfs/tmp/no"
	config --arg profile "$PROFILE" '.process.apparmorProfile = $profile'
	sh_args 'cat /proc/self/attr/current; echo no >/tmp/no/file; echo yes >/tmp/yes; exec sleep 1000'
	nacre run -d "$ID" </dev/null >"$T/out" 2>"$T/err" || { cat "$T/err"; return 1; }
	wait_for 30 test -e "$BUNDLE/rootfs/tmp/yes"
	equals "$PROFILE (enforce)" "$(cat "$T/out")"
	[[ "$(cat "$T/err")" == *"/tmp/no/file: Permission denied"* ]]
	equals "$PROFILE (enforce)" "$(nacre exec "$ID" cat /proc/self/attr/current)"
	equals unconfined "$(nacre exec --apparmor unconfined "$ID" cat /proc/self/attr/current)"
	try nacre exec --apparmor nt-no-such-profile "$ID" true
	[ "$status" -ne 0 ]
	[[ "$stderr" == *nt-no-such-profile* ]]
	nacre delete --force "$ID"
	config '.process.apparmorProfile = "nt-no-such-profile"'
	try nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"process.apparmorProfile: no AppArmor profile"*nt-no-such-profile* ]]
	config '.process.apparmorProfile = "unconfined" | .process.args = ["cat", "/proc/self/attr/current"]'
	try nacre run "$ID"
	equals unconfined "$output"
}
