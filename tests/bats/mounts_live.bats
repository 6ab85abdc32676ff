#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# nacre mounts: what comes to a running container and goes again, what is refused, and a container that works against it.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

setup() {
	common_setup
	mkdir "$T/data"
	echo data >"$T/data/file"
	config '.root.readonly = false'
}

# add JSON [ID], remove JSON [ID]: a list of mounts.
add() { nacre mounts add "${2-$ID}" - <<<"$1"; }
remove() { nacre mounts remove "${2-$ID}" - <<<"$1"; }
bind() { printf '[{"destination": "%s", "source": "%s", "options": ["%s"]}]' "$1" "${2-$T/data}" "${3-bind}"; }

# refuses TEXT JSON: mounts add fails so, and changes nothing.
refuses() {
	local before
	before=$(inside)
	printf '%s' "$2" >"$T/list"
	refused 1 "$1" mounts add "$ID" "$T/list"
	equals "$before" "$(inside)"
}

# The container's mounts; those that the record knows.
inside() { nacre exec "$ID" cat /proc/self/mountinfo; }
mounted() { inside | cut -d' ' -f5 | grep -cxF "$1"; }
recorded() { jq -r '.mounts // [] | map(.target) | join(" ")' "$ROOT/$ID/state.json"; }

@test "mounts: a directory comes, is used, and goes" {
	local before
	run_sleeping
	before=$(inside)
	add "$(bind /mnt/new)"
	equals data "$(nacre exec "$ID" cat /mnt/new/file)"
	nacre exec "$ID" sh -c 'echo more >/mnt/new/more'
	equals more "$(cat "$T/data/more")"
	equals /mnt/new "$(recorded)"
	remove "$(bind /mnt/new)"
	run ! nacre exec "$ID" ls /mnt/new/file
	equals "" "$(recorded)"
	equals "$before" "$(inside)"
}

@test "mounts: the process itself sees it" {
	sh_args 'until [ -e /mnt/file ]; do sleep 0.05; done; cat /mnt/file >/tmp/seen; sleep 1000'
	nacre run -d "$ID" </dev/null
	add "$(bind /mnt)"
	wait_for 10 grep -qx data rootfs/tmp/seen
}

@test "mounts: a file of its own; the mount point is made; a list in an object; a file by its name" {
	run_sleeping
	printf '{"mounts": %s}' "$(bind /a/b/c "$T/data/file")" >"$T/list"
	nacre mounts add "$ID" "$T/list"
	equals data "$(nacre exec "$ID" cat /a/b/c)"
	nacre mounts remove "$ID" "$T/list"
	equals "" "$(nacre exec "$ID" cat /a/b/c)"
}

@test "mounts: options: ro, noexec, recursive ones, propagation" {
	run_sleeping
	in_mount_ns '
		mkdir -p $T/data/sub && mount -t tmpfs sub $T/data/sub
		nacre mounts add $ID - <<<"[{\"destination\": \"/mnt/one\", \"source\": \"$T/data\", \"options\": [\"rbind\", \"ro\", \"noexec\", \"shared\"]},
			{\"destination\": \"/mnt/two\", \"source\": \"$T/data\", \"options\": [\"rbind\", \"rro\"]}]"'
	inside | grep -q ' /mnt/one ro,[^ ]*noexec[^ ]* shared:'
	inside | grep -q ' /mnt/one/sub rw'
	inside | grep -q ' /mnt/two ro'
	inside | grep -q ' /mnt/two/sub ro'
	run ! nacre exec "$ID" touch /mnt/one/x
	[ ! -e "$T/data/x" ]
}

@test "mounts: tmpfs with its data, with tmpcopyup, read-only; sysfs; mqueue" {
	run_sleeping
	echo below >rootfs/mnt/below
	add '[{"destination": "/mnt", "type": "tmpfs", "source": "mine", "options": ["size=64k", "mode=711", "tmpcopyup", "ro"]},
		{"destination": "/tmp/empty", "type": "tmpfs"}, {"destination": "/tmp/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
		{"destination": "/tmp/mq", "type": "mqueue", "source": "mqueue"}]'
	equals below "$(nacre exec "$ID" cat /mnt/below)"
	equals 711 "$(nacre exec "$ID" stat -c %a /mnt)"
	inside | grep -q ' /mnt ro,.* - tmpfs mine ro,size=64k\| /mnt ro,.* - tmpfs mine rw,size=64k'
	inside | grep -q ' /tmp/mq .* - mqueue '
	# Of the container's network namespace.
	equals "$(nacre exec "$ID" ls /sys/class/net)" "$(nacre exec "$ID" ls /tmp/sys/class/net)"
	equals "/mnt /tmp/empty /tmp/sys /tmp/mq" "$(recorded)"
	remove '[{"destination": "/tmp/mq"}, {"destination": "/mnt/../mnt"}]'
	equals "/tmp/empty /tmp/sys" "$(recorded)"
}

@test "mounts: one inside the other, in the order of the list" {
	run_sleeping
	add '[{"destination": "/mnt", "type": "tmpfs"}, {"destination": "/mnt/x", "source": "'"$T/data"'", "options": ["bind"]}]'
	equals data "$(nacre exec "$ID" cat /mnt/x/file)"
	printf '[{"destination": "/mnt"}]' >"$T/list"
	refused 1 "has others below it" mounts remove "$ID" "$T/list"
	remove '[{"destination": "/mnt/x"}, {"destination": "/mnt"}]'
	equals 0 "$(mounted /mnt)"
}

@test "mounts: a created container has it when it starts" {
	args cat /mnt/file
	nacre create "$ID" >"$T/out"
	add "$(bind /mnt)"
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	equals data "$(cat "$T/out")"
}

@test "mounts: all or nothing" {
	run_sleeping
	refuses "/nowhere" '[{"destination": "/mnt/a", "type": "tmpfs"}, {"destination": "/mnt/b", "source": "/nowhere", "options": ["bind"]}]'
	refuses "size" '[{"destination": "/mnt/a", "type": "tmpfs"}, {"destination": "/mnt/b", "type": "tmpfs", "options": ["size=much"]}]'
	# A file bound, which is no directory to go into, is taken away as well.
	refuses "/bin/busybox/x" '[{"destination": "/etc/passwd", "source": "'"$T/data/file"'", "options": ["bind"]},
		{"destination": "/bin/busybox/x", "type": "tmpfs"}]'
	equals "" "$(recorded)"
	add '[]'
}

@test "mounts: a read-only root without the mount point" {
	config '.root.readonly = true'
	run_sleeping
	refuses "read-only file system" "$(bind /new)"
	add "$(bind /mnt)"
	equals data "$(nacre exec "$ID" cat /mnt/file)"
}

@test "mounts: what is no mount, or cannot be in a running container, by its path" {
	run_sleeping
	refuses 'list: must be an array' '"text"'
	refuses 'mounts: is missing' '{}'
	refuses '[0].destination: is missing' '[{"type": "tmpfs"}]'
	refuses '[1].options: must be an array' '[{"destination": "/a", "type": "tmpfs"}, {"destination": "/a", "options": 1}]'
	refuses '[0].source: a bind mount needs one' '[{"destination": "/a", "options": ["bind"]}]'
	refuses '[0].destination: "/"' "$(bind /x/..)"
	refuses '[0].destination: "/proc/self/attr"' "$(bind /proc/self/attr)"
	refuses '[0].destination: "/proc/1"' "$(bind /a/../proc/1)"
	refuses '[0].type: proc' '[{"destination": "/a", "type": "proc", "source": "proc"}]'
	refuses '[0].options: remount' '[{"destination": "/proc/sys", "options": ["remount", "rw"]}]'
	refuses '[0].options: copy-symlink' "$(bind /a "$T/data" 'bind","copy-symlink')"
	refuses '[0]: gidMappings without uidMappings' '[{"destination": "/a", "source": "/", "options": ["bind"], "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}]'
	refused 1 "add nor remove" mounts change "$ID" "$T/list"
	refused 1 lazy mounts add --lazy "$ID" "$T/list"
	refused 1 lazy mounts --lazy add "$ID" "$T/list"
	refused 1 "$T/none" mounts add "$ID" "$T/none"
	refused 1 "needs add|remove ID FILE" mounts add "$ID"
}

@test "mounts: not of a container that is not there, stopped, paused, or without a mount namespace" {
	bind /mnt >"$T/list"
	refused 1 "does not exist" mounts add "$ID" "$T/list"
	nacre run --keep "$ID"
	refused 1 "not running" mounts add "$ID" "$T/list"
	refused 1 "not running" mounts remove "$ID" "$T/list"
	nacre delete "$ID"
	config '.mounts = [] | .root.readonly = false | .linux.namespaces |= map(select(.type != "mount")) | del(.linux.maskedPaths, .linux.readonlyPaths)'
	run_sleeping
	refused 1 "mount namespace" mounts add "$ID" "$T/list"
}

@test "mounts: a paused container is left alone" {
	requires cgroup
	bind /mnt >"$T/list"
	run_sleeping
	nacre pause "$ID"
	refused 1 "is paused" mounts add "$ID" "$T/list"
	nacre resume "$ID"
	nacre mounts add "$ID" "$T/list"
}

@test "mounts remove: what was not added, twice, and what the container took away" {
	run_sleeping
	printf '[{"destination": "/proc"}]' >"$T/list"
	refused 1 'no mount was added to container' mounts remove "$ID" "$T/list"
	equals 1 "$(mounted /proc)"
	bind /mnt >"$T/list"
	nacre mounts add "$ID" "$T/list"
	nacre mounts remove "$ID" "$T/list"
	refused 1 'no mount was added to container' mounts remove "$ID" "$T/list"
	nacre mounts add "$ID" "$T/list"
	nsenter -t "$(pid_of "$ID")" -m umount /mnt
	refused 1 'not there any more' mounts remove "$ID" "$T/list"
	equals "" "$(recorded)"
}

@test "mounts remove: one in use needs --lazy" {
	sh_args 'until [ -e /mnt/file ]; do sleep 0.05; done; cd /mnt; touch in; exec sleep 1000'
	nacre run -d "$ID" </dev/null
	bind /mnt >"$T/list"
	nacre mounts add "$ID" "$T/list"
	wait_for 10 test -e "$T/data/in"
	refused 1 "is in use" mounts remove "$ID" "$T/list"
	equals /mnt "$(recorded)"
	nacre mounts remove --lazy "$ID" "$T/list"
	equals "" "$(recorded)"
	equals 0 "$(mounted /mnt)"
}

@test "mounts: two at one place: the last goes first" {
	mkdir "$T/other"
	echo other >"$T/other/file"
	run_sleeping
	add "$(bind /mnt)"
	add "$(bind /mnt "$T/other")"
	equals other "$(nacre exec "$ID" cat /mnt/file)"
	remove "$(bind /mnt)"
	equals data "$(nacre exec "$ID" cat /mnt/file)"
	remove "$(bind /mnt)"
	equals 0 "$(mounted /mnt)"
}

@test "mounts: in a user namespace the owner is its root; idmap shows its ids" {
	requires userns
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
	chmod 755 "$T"
	chown -R 100000:100000 rootfs
	run_sleeping
	add '[{"destination": "/new/tmpfs", "type": "tmpfs"}, {"destination": "/new/data", "source": "'"$T/data"'", "options": ["bind", "ro"]},
		{"destination": "/new/mapped", "source": "'"$T/data"'", "options": ["bind", "idmap"]}]'
	equals "0 0 65534 0" "$(nacre exec "$ID" stat -c %u /new /new/tmpfs /new/data /new/mapped | paste -sd' ')"
	equals data "$(nacre exec "$ID" cat /new/data/file)"
	remove '[{"destination": "/new/mapped"}, {"destination": "/new/data"}, {"destination": "/new/tmpfs"}]'
	equals "" "$(recorded)"
}

@test "mounts attack: symlinks and .. stay inside the root" {
	ln -s "$T/data" rootfs/absolute
	ln -s ../../../../../../../.."$T/data" rootfs/up
	mkdir "$T/other"
	echo other >"$T/other/file"
	run_sleeping
	add "$(bind /absolute/x "$T/other")"
	add "$(bind /up/y "$T/other")"
	add "$(bind /../../../../z "$T/other")"
	[ ! -e "$T/data/x" ]
	[ ! -e "$T/data/y" ]
	equals other "$(nacre exec "$ID" cat "$T/data/x/file")"
	equals other "$(nacre exec "$ID" cat "$T/data/y/file")"
	equals other "$(nacre exec "$ID" cat /z/file)"
	remove "$(bind /absolute/x)"
	remove "$(bind /up/y)"
}

@test "mounts attack: a symlink into /proc, and a procfs at another place" {
	ln -s /proc rootfs/link
	ln -s /proc/1/attr rootfs/attr
	run_sleeping
	refuses "inside /proc" "$(bind /link/sys)"
	refuses "inside /proc" "$(bind /link/../proc/sys)"
	refuses "inside /proc" "$(bind /attr)"
	refuses "inside /proc" "$(bind /link/1/attr/exec "$T/data/file")"
	nsenter -t "$(pid_of "$ID")" -m sh -c 'mount --bind /proc /mnt'
	refuses "inside /proc" "$(bind /mnt/sys)"
	refuses "inside /proc" '[{"destination": "/mnt/1", "type": "tmpfs"}]'
}

@test "mounts attack: a name that is swapped all the time" {
	local n k to wrap
	mkdir -p rootfs/a/sys
	run_sleeping
	for to in /proc "$T/data" ../../../../../../../../proc; do
		rm -f rootfs/b
		ln -s "$to" rootfs/b
		"$HELPERS/sec_swap" rootfs/a rootfs/b 100000 3>&- &
		n=0
		for k in $(seq 20); do
			wrap=()
			[ $((k % 2)) = 0 ] || wrap=("$HELPERS/sec_no_openat2" 38)
			if "${wrap[@]}" timeout 30 "$NACRE_BIN" --root "$ROOT" mounts add "$ID" - <<<"$(bind /a/sys)" 2>>"$T/errors"; then n=$((n + 1)); fi
		done
		kill -KILL $!
		wait $! || true
		[ -d rootfs/a ] && [ ! -L rootfs/a ] || { mv rootfs/a rootfs/c; mv rootfs/b rootfs/a; mv rootfs/c rootfs/b; }
		echo "# to $to: $n of $k were added" >&3
	done
	# Whatever was hit, it was no procfs, and nothing of the host.
	run ! grep -q "^/proc/sys$" <(inside | grep -v ' - proc ' | cut -d' ' -f5)
	equals file "$(ls "$T/data")"
	[ "$(sort /proc/self/mountinfo)" = "$MOUNTS_BEFORE" ]
}

@test "mounts attack: what is at the place by now is not removed" {
	mkdir -p rootfs/a rootfs/safe
	config '.mounts += [{destination: "/safe/x", type: "tmpfs", source: "guard", options: ["ro"]}]'
	run_sleeping
	add "$(bind /a/x)"
	nacre exec "$ID" sh -c 'mv /a /hidden && mv /safe /a'
	printf '[{"destination": "/a/x"}]' >"$T/list"
	refused 1 "not there any more" mounts remove "$ID" "$T/list"
	refused 1 "no mount was added" mounts remove --lazy "$ID" "$T/list"
	inside | grep -q ' /a/x ro,.* guard '
}

@test "mounts: what removes it follows a mount that was moved with its directory's symlink" {
	mkdir -p rootfs/a
	run_sleeping
	add "$(bind /a/x)"
	nacre exec "$ID" sh -c 'mv /a /b && ln -s b /a'
	remove "$(bind /a/x)"
	equals 0 "$(mounted /b/x)"
}

@test "mounts: no descriptor and no process stays" {
	run_sleeping
	add "$(bind /mnt)"
	remove "$(bind /mnt)"
	equals 1 "$(nacre ps --format json "$ID" | jq length)"
	run ! grep -q "$T/data" "/proc/$(pid_of "$ID")/mountinfo"
}

@test "mounts: a microVM has those that it was made with" {
	requires root microvm
	use_microvm
	args sleep 1000
	bind /mnt >"$T/list"
	nacre run -d "$ID" </dev/null
	refused 1 "cannot change the mounts" mounts add "$ID" "$T/list"
}
