#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What `run` costs, in the unit that is the same on every machine. Times are tests/bench's business.

load helpers

@test "run of a static program in six new namespaces: under 300 system calls in all processes" {
	requires strace
	[ -z "${NACRE_TEST_HOST-}" ] || skip "the kernel of the test host has more files that the default masks hide"
	! grep -qa __asan_init "${NACRE_BIN%-checked}" || skip "the sanitizers' own calls would be counted"
	args /bin/nothing
	nacre run "$ID"	# makes the state directory and the mount points
	# The best of eight: on a busy machine the kernel may not have let go of the cgroup yet, which is waited for.
	for _ in 1 2 3 4 5 6 7 8; do
		strace -f -c -o "$T/calls" "$NACRE_BIN" --root "$ROOT" run "$ID"
		# One rt_sigaction for each signal that whoever started the tests ignores: not nacre's to count.
		count=$(awk '$NF == "rt_sigaction" { ignored = $4 } END { print $4 - ignored }' "$T/calls")
		echo "# system calls: $count"
		[ "$count" -ge 300 ] || return 0
	done
	return 1
}
