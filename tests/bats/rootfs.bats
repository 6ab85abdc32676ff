#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The root file system: where it is, read-only, propagation; the working directory in it.
# shellcheck disable=SC2016 # scripts in single quotes are the container's, or of a mount namespace

load helpers

# Prints "FLAGS|OPTIONAL FIELDS|SUPERBLOCK OPTIONS" of the mount at $2, from a mountinfo text $1.
mount_line() {
	awk -v at="$2" '$5 == at { f = ""; for (i = 7; $i != "-"; i++) f = f $i " "; line = $6 "|" f "|" $(i + 3) } END { print line }' <<<"$1"
}

@test "rootfsPropagation" {
	local value want
	args cat /proc/self/mountinfo
	while read -r value want; do
		config --arg v "$value" '.linux.rootfsPropagation = $v'
		run -0 nacre run "$ID"
		case $want in
		none) [[ "$(mount_line "$output" /)" != *shared:* && "$(mount_line "$output" /)" != *unbindable* ]] ;;
		*) [[ "$(mount_line "$output" /)" == *"$want"* ]] ;;
		esac || { echo "$value: $(mount_line "$output" /)"; return 1; }
	done <<-'TABLE'
		shared shared:
		rshared shared:
		private none
		rprivate none
		slave none
		rslave none
		unbindable unbindable
		runbindable unbindable
	TABLE
}

@test "rootfsPropagation shared: a mount in the container still does not reach the host" {
	caps SYS_ADMIN
	config '.linux.rootfsPropagation = "shared" | .root.readonly = false'
	sh_args 'mount -t tmpfs t /tmp && echo done'
	run in_mount_ns 'mount --make-rshared /; nacre run "$ID"; grep -c "$BUNDLE" /proc/self/mountinfo'
	equals "done 0" "${lines[*]}"
}

# Prints "PROPAGATION of ROOT OWN WORDLESS BELOW": those of "/", of a bind mount with the word $2, of one without, and of a mount
# that lies in the root file system, with rootfsPropagation $1. All are shared on the host.
propagation_of() {
	cp "$BUNDLE/config.json" "$T/plain.json"
	config --arg root "$1" --arg word "$2" --arg src "$T/src" '.linux.rootfsPropagation = $root | .mounts += [
		{destination: "/mnt", source: $src, options: ["rbind", $word]}, {destination: "/srv", source: $src, options: ["rbind"]}]'
	run -0 in_mount_ns 'mkdir -p "$T/src" rootfs/var; mount -t tmpfs t "$T/src"; mount --bind "$BUNDLE" "$BUNDLE"; mount -t tmpfs t rootfs/var
		mount --make-rshared /; nacre run "$ID"'
	cp "$T/plain.json" "$BUNDLE/config.json"
	for at in / /mnt /srv /var; do
		line=$(mount_line "$output" "$at" | cut -d"|" -f2 | sed -E "s/:[0-9]+//g; s/ $//")
		printf "%s " "${line:-private}" | tr " " "," | sed "s/,$/ /"
	done
}

@test "rootfsPropagation with an r: of all mounts, but not of those with a word of their own" {
	requires container	# no mount of a guest is the host's peer
	local root word want
	args cat /proc/self/mountinfo
	while read -r root word want; do
		equals "$root $word: $want" "$root $word: $(propagation_of "$root" "$word" | sed "s/ $//")"
	done <<-'TABLE'
		rprivate rshared private shared private private
		rprivate rslave private master private private
		private rshared private shared master private
		rslave rshared master shared master master
		rslave rprivate master private master master
		rshared rprivate shared,master private shared,master shared,master
		rshared rslave shared,master master shared,master shared,master
		runbindable rprivate unbindable private unbindable unbindable
		runbindable rshared unbindable shared unbindable unbindable
	TABLE
}

@test "rprivate: what is mounted in a mount that is rshared is still seen outside" {
	requires container	# refused for a microVM
	caps SYS_ADMIN
	config --arg src "$T/src" '.linux.rootfsPropagation = "rprivate" | .mounts += [{destination: "/mnt", source: $src, options: ["rbind", "rshared"]}]'
	sh_args 'mkdir /mnt/inner && mount -t tmpfs t /mnt/inner && echo done'
	run in_mount_ns 'mkdir -p "$T/src"; mount -t tmpfs t "$T/src"; mount --make-rshared "$T/src"
		nacre run "$ID"; grep -c "$T/src/inner" /proc/self/mountinfo'
	equals "done 1" "${lines[*]}"
}

@test "without mounts in config.json there are the default file systems" {
	config 'del(.mounts)'
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	[[ "$output" == *" /proc "*" - proc "* ]]
	[[ "$output" == *" /sys "*" - sysfs "* ]]
	[[ "$output" == *" /dev/pts "*" - devpts "* ]]
	[[ "$output" == *" /dev/shm "*" - tmpfs "* ]]
}

@test "root.readonly" {
	sh_args 'touch /file 2>&1; touch /dev/shm/file && echo ok'
	run -0 nacre run "$ID"
	[[ "${lines[0]}" == *"Read-only file system"* ]]
	equals ok "${lines[1]}"
	config '.root.readonly = false'
	sh_args 'touch /file'
	run -0 nacre run "$ID"
	[ -e "$BUNDLE/rootfs/file" ]
}

@test "root.path: absolute, relative, a symlink, in odd forms" {
	local path
	mv "$BUNDLE/rootfs" "$T/elsewhere"
	ln -s "$T/elsewhere" "$BUNDLE/link"
	cd /
	for path in "$T/elsewhere" ../elsewhere ./../elsewhere/ link link/; do
		config --arg p "$path" '.root.path = $p'
		args cat /etc/group
		run -0 nacre run -b "$BUNDLE" "$ID"
		[[ "$output" == root:* ]]
	done
}

@test "root.path: missing, or a file" {
	config '.root.path = "nothing"'
	refuses "$BUNDLE/nothing"
	config '.root.path = "config.json"'
	refuses "$BUNDLE/config.json"
}

@test "a rootfs with spaces, colons, commas and backslashes in its name" {
	local name='a b:c,d\e$f'
	mv "$BUNDLE/rootfs" "$BUNDLE/$name"
	config --arg p "$name" '.root.path = $p'
	args cat /etc/group
	run -0 nacre run "$ID"
}

@test "cwd: made when the image lacks it, also with a read-only root" {
	config '.process.cwd = "/made/for/you"'
	args pwd
	run -0 nacre run "$ID"
	equals /made/for/you "$output"
	equals 755 "$(stat -c %a "$BUNDLE/rootfs/made")"
}

@test "cwd: a file is refused, a relative path is refused" {
	config '.process.cwd = "/etc/passwd"'
	refuses /etc/passwd
	config '.process.cwd = "tmp"'
	refuses process.cwd
}

@test "cwd in a mount" {
	config '.mounts += [{destination: "/mnt/vol", type: "tmpfs", source: "tmpfs"}]'
	config '.process.cwd = "/mnt/vol/sub"'
	args pwd
	run -0 nacre run "$ID"
	equals /mnt/vol/sub "$output"
	[ ! -e "$BUNDLE/rootfs/mnt/vol/sub" ]
}

@test "a rootfs on a tmpfs, on an overlay, in a shared mount" {
	args cat /etc/group
	run -0 in_mount_ns 'mount -t tmpfs t /mnt; cp -a "$BUNDLE/rootfs" /mnt/r; jq ".root.path = \"/mnt/r\"" "$BUNDLE/config.json" >"$BUNDLE/c"; nacre run -f "$BUNDLE/c" "$ID"'
	run -0 in_mount_ns 'mount --bind "$BUNDLE/rootfs" "$BUNDLE/rootfs"; mount --make-shared "$BUNDLE/rootfs"; nacre run "$ID"'
	grep -qw overlay /proc/filesystems || return 0
	mkdir "$T/up" "$T/wd"
	run -0 in_mount_ns 'mount -t overlay -o lowerdir="$BUNDLE/rootfs",upperdir="$T/up",workdir="$T/wd" o "$BUNDLE/rootfs"; nacre run "$ID"'
}

@test "a mount below the rootfs comes along" {
	args cat /mnt/file
	run -0 in_mount_ns 'mount -t tmpfs t "$BUNDLE/rootfs/mnt"; echo below >"$BUNDLE/rootfs/mnt/file"; nacre run "$ID"'
	equals below "$output"
}

@test "--no-pivot" {
	sh_args 'cat /etc/group; ls /'
	run -0 nacre run --no-pivot "$ID"
	[[ "$output" == *user:x:1000* ]]
	[[ "$output" != *boot* ]]
}

@test "an empty image: only what the configuration brings" {
	mkdir "$BUNDLE/empty"
	cp "$BUNDLE/rootfs/bin/busybox" "$T/busybox"
	config --arg s "$T/busybox" '.root.path = "empty" | .mounts += [{destination: "/bin/sh", source: $s, options: ["bind", "ro"]}]'
	sh_args 'echo "$HOME" >/dev/shm/x; read l </dev/shm/x; echo $l'
	run -0 nacre run "$ID"
	equals / "$output"
}
