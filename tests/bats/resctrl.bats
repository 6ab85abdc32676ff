#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.intelRdt. What needs no resctrl file system is here; what is done in one is tests/unit/test_resctrl.c's.

load helpers

no_resctrl() {
	[ "$(stat -fc %t /sys/fs/resctrl 2>/dev/null)" != 7655821 ] || skip "a resctrl file system is mounted here"
}

@test "without a resctrl file system it is an error, and nothing is left" {
	local value
	no_resctrl
	for value in '{}' '{closID: "/"}' '{closID: "gold", l3CacheSchema: "L3:0=f"}' '{enableMonitoring: true}' '{schemata: ["MB:0=20"]}'; do
		config ".linux.intelRdt = $value"
		refused 1 "config.json: linux.intelRdt: no resctrl file system is mounted" run "$ID"
		refused 1 "config.json: linux.intelRdt: no resctrl file system is mounted" create "$ID"
	done
	assert_clean
	config '.linux.intelRdt = null'
	args true
	nacre run "$ID"
}

@test "values that the specification forbids, by their path" {
	local value
	for value in '"x"' '{closID: 1}' '{memBwSchema: "L3:0=f"}' '{memBwSchema: "MB:0=20\nL3:0=f"}' '{schemata: ["a\nb"]}' '{schemata: [""]}' \
		'{schemata: "L3:0=f"}' '{enableMonitoring: "yes"}'; do
		config ".linux.intelRdt = $value"
		refused 1 "config.json: linux.intelRdt" explain "$BUNDLE"
	done
	for value in a/b .. . info mon_groups mon_data 'a\nb'; do
		config ".linux.intelRdt = {closID: \"$value\"}"
		refused 1 "config.json: linux.intelRdt.closID: " explain "$BUNDLE"
	done
}

@test "explain names the group and its schemata" {
	config '.linux.intelRdt = {closID: "gold", l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20", schemata: ["L2:0=1"], enableMonitoring: true}'
	run -0 nacre explain "$BUNDLE"
	[[ "$output" == *'group "gold", L3:0=f, MB:0=20, 1 more schemata, monitored'* ]]
}
