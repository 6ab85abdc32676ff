#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# contrib/guest-kernel: the configuration keeps what nacre needs. No kernel is built here.

load helpers

GK=$NACRE_TESTS/../contrib/guest-kernel

# Nothing here needs a bundle.
setup_file() { :; }
setup() { T=$(mktemp -d /tmp/nt.XXXXXX); }
teardown() { rm -rf "$T"; }

# What another option selects is not in the fragment; `build` looks at the finished configuration.
selected=(CONFIG_PAGE_REPORTING)

options() { sed -n 's/^\(CONFIG_[A-Z0-9_]*\)[=:].*/\1/p' "$1"; }

# The fragment with what it selects, as the kernel's makefiles would say it.
finished() {
	cat "$GK/config"
	printf '%s=y\n' "${selected[@]}"
}

@test "the guest kernel's configuration has everything that nacre requires" {
	finished >"$T/config"
	run "$GK/build" --check "$T/config"
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "each required option is missed when it is gone, off or a module" {
	local option
	finished >"$T/config"
	[ "$(options "$GK/required" | wc -l)" -gt 60 ]
	# All at once: one line for each.
	run "$GK/build" --check /dev/null
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq "$(options "$GK/required" | wc -l)" ]
	for option in CONFIG_PVH CONFIG_VIRTIO_FS CONFIG_CFS_BANDWIDTH CONFIG_SECCOMP_FILTER; do
		for line in "" "# $option is not set" "$option=m"; do
			sed "s/^$option=y$/$line/" "$T/config" >"$T/without"
			run "$GK/build" --check "$T/without"
			[ "$status" -eq 1 ]
			[ "${#lines[@]}" -eq 1 ]
			[[ $output == *"$option=y is missing: "* ]]
		done
	done
}

@test "each required option has a reason, and is named once" {
	run grep -vE '^(#.*|CONFIG_[A-Z0-9_]+: [^ ].*)?$' "$GK/required"
	echo "$output"
	[ "$status" -eq 1 ]
	[ -z "$(options "$GK/required" | sort | uniq -d)" ]
}

@test "the configuration has no modules, nothing twice, and no line that kconfig would not read" {
	run grep -nvE '^(#.*|CONFIG_[A-Z0-9_]+=(y|[0-9]+|0x[0-9a-f]+|"[^"]*"))?$' "$GK/config"
	echo "$output"
	[ "$status" -eq 1 ]
	run bash -c "sed -n 's/=.*//p' '$GK/config' | grep ^CONFIG_ | sort | uniq -d"
	echo "$output"
	[ -z "$output" ]
	run ! grep -E '^CONFIG_(MODULES|PCI_MSI|PCI_MMCONFIG|PCI_QUIRKS|PCIEPORTBUS|HOTPLUG_PCI|VIRTIO_PCI|DEBUG_INFO|FTRACE|USB_SUPPORT|DRM|SOUND)=' "$GK/config"
}

@test "as many processors as nacre gives a microVM" {
	[ "$(sed -n 's/^CONFIG_NR_CPUS=//p' "$GK/config")" -eq 64 ]
}

@test "build: help, and clear words for what it cannot use" {
	run "$GK/build" --help
	[ "$status" -eq 0 ]
	[[ $output == usage:* ]]
	for option in --source --config --jobs --install --configure-only --check; do [[ $output == *"$option"* ]]; done
	run "$GK/build"
	[ "$status" -eq 1 ]
	[[ $output == *"which FOLDER?"* ]]
	run "$GK/build" --jobs many "$T/f"
	[ "$status" -eq 1 ]
	[[ $output == *'"many" is not a number of jobs'* ]]
	run "$GK/build" --nonsense "$T/f"
	[ "$status" -eq 1 ]
	[[ $output == *"unknown option --nonsense"* ]]
	run "$GK/build" --check "$T/none"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot read $T/none"* ]]
	run "$GK/build" --config "$T/none" "$T/f"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot read $T/none"* ]]
	[ ! -e "$T/f" ]
}

@test "try: help, and clear words for what it cannot use" {
	run "$GK/try" --help
	[ "$status" -eq 0 ]
	[[ $output == usage:* ]]
	run "$GK/try"
	[ "$status" -eq 1 ]
	[[ $output == *"which KERNEL?"* ]]
	run "$GK/try" "$T/none"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot read $T/none"* ]]
}
