#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The shortest proof that a bundle runs; the first file to look at when everything fails.

load helpers

@test "run gives the exit status and the output of the process" {
	sh_args 'echo hello; echo oops >&2; exit 7'
	run --separate-stderr nacre run "$ID"
	[ "$status" -eq 7 ]
	[ "$output" = hello ]
	# shellcheck disable=SC2154
	[ "$stderr" = oops ]
}

@test "create, start, state, kill, delete" {
	args sleep 1000
	nacre create "$ID"
	[ "$(status_of "$ID")" = created ]
	nacre start "$ID"
	[ "$(status_of "$ID")" = running ]
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	nacre delete "$ID"
	run nacre state "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *"does not exist"* ]]
}
