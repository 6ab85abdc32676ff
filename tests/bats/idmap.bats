#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Id-mapped mounts: idmap, ridmap, mounts[].uidMappings and gidMappings. The owners that the container sees, and those of
# what it makes as the host sees them, are the judge.
# shellcheck disable=SC2016 # scripts in single quotes are the container's, jq's, or of a mount namespace
# shellcheck disable=SC2030,SC2031 # each test is a subshell

load helpers

# What the config may not say is in config_errors.bats.

# A file system whose mounts can be id-mapped: tmpfs since 6.3, else ext4 (5.12) in a file.
setup_file() {
	local major minor
	requires root userns
	IFS=. read -r major minor _ <<<"$(uname -r)"
	if [ $((major * 1000 + ${minor%%[!0-9]*})) -ge 6003 ]; then
		export VOLUME_MOUNT='-t tmpfs tmpfs'
	else
		modprobe -qa loop ext4 || true
		if [ ! -e /dev/loop-control ] || [ ! -x /sbin/mkfs.ext4 ] || ! grep -qw ext4 /proc/filesystems; then
			skip "no file system with id-mapped mounts: tmpfs has them since Linux 6.3, ext4 wants a loop device"
		fi
		export VOLUME_IMAGE=$BATS_FILE_TMPDIR/image
		truncate -s 16M "$VOLUME_IMAGE"
		export VOLUME_MOUNT="-o loop $VOLUME_IMAGE"
	fi
	export ROOTFS_TEMPLATE=$BATS_FILE_TMPDIR/rootfs
	make_rootfs "$ROOTFS_TEMPLATE"
}

# In a mount namespace of its own: $T/vol is the file system, with a file of 1000:2000; $T/vol/sub, below it, is the
# same file system again, where sub-file is of 1001:2001.
with_volume() {
	mkdir "$T/vol"
	in_mount_ns '
		[ -z "${VOLUME_IMAGE-}" ] || /sbin/mkfs.ext4 -qF "$VOLUME_IMAGE"
		mount $VOLUME_MOUNT "$T/vol"
		mkdir "$T/vol/top" "$T/vol/below" "$T/vol/top/sub"
		touch "$T/vol/top/file" "$T/vol/below/sub-file"
		chown 1000:2000 "$T/vol/top/file" "$T/vol/top"
		chown 1001:2001 "$T/vol/below/sub-file"
		chmod 777 "$T/vol/top" "$T/vol/below"
		mount --bind "$T/vol/below" "$T/vol/top/sub"
		'"$1"
}

# volume OPTIONS [UIDMAP GIDMAP]: at /mnt. OPTIONS by comma, a map CONTAINER:HOST:SIZE, several by comma.
volume() {
	config --arg s "$T/vol/top" --arg o "$1" --arg u "${2-}" --arg g "${3-}" '
		def map: split(",") | map(split(":") | map(tonumber) | {containerID: .[0], hostID: .[1], size: .[2]});
		.mounts += [{destination: "/mnt", type: "none", source: $s, options: ($o / ",")}
			+ if $u == "" then {} else {uidMappings: ($u | map), gidMappings: ($g | map)} end]'
}

@test "the owner in the source is shown as another, and what is made is stored as the first" {
	volume bind,idmap 1000:5000:10 2000:6000:10
	config '.process.user = {uid: 5003, gid: 6004}'
	sh_args 'stat -c %u:%g /mnt/file; touch /mnt/made; stat -c %u:%g /mnt/made'
	run -0 with_volume 'nacre run "$ID"; stat -c %u:%g "$T/vol/top/made" "$T/vol/top/file"'
	equals "5000:6000 5003:6004 1003:2004 1000:2000" "${lines[*]}"
}

@test "maps without an option mean idmap" {
	volume rbind 1000:5000:10 2000:6000:10
	sh_args 'stat -c %u:%g /mnt/file /mnt/sub/sub-file'
	run -0 with_volume 'nacre run "$ID"'
	equals "5000:6000 1001:2001" "${lines[*]}"
}

@test "crun's way to write the maps: in the option" {
	volume 'bind,idmap=uids=1000-5000-10#0-0-1;gids=2000-6000-10'
	sh_args 'stat -c %u:%g /mnt/file'
	run -0 with_volume 'nacre run "$ID"'
	equals 5000:6000 "$output"
	volume 'bind,idmap=uids=1000-5000-10;gids=2000-6000-10' 0:0:1 0:0:1
	refuses "options: idmap" "uidMappings"
}

@test "idmap is of the mount itself, ridmap of those below it, too; the last of both decides" {
	local o
	sh_args 'stat -c %u:%g /mnt/file /mnt/sub/sub-file'
	for o in rbind,idmap rbind,ridmap rbind,ridmap,idmap bind,ridmap; do
		config '.mounts |= map(select(.destination != "/mnt"))'
		volume "$o" 1000:5000:10 2000:6000:10
		run -0 with_volume 'nacre run "$ID" || true'
		case $o in
		rbind,ridmap) equals "5000:6000 5001:6001" "${lines[*]}" ;;
		bind,ridmap) [[ "$output" == 5000:6000*"/mnt/sub/sub-file"* ]] ;;
		*) equals "5000:6000 1001:2001" "${lines[*]}" ;;
		esac
		rmdir "$T/vol"
	done
}

@test "an owner outside the maps is shown as nobody, and nobody's id cannot be stored" {
	volume bind,idmap 0:5000:10,1000:6000:1 0:5000:10
	sh_args 'stat -c %u:%g /mnt/file; touch /mnt/made || true'
	run -0 with_volume 'nacre run "$ID"; ls "$T/vol/top"'
	equals 6000:65534 "${lines[0]}"
	[[ "${lines[1]}" == *"Value too large"* ]]
	equals "file sub" "${lines[*]:2}"
}

@test "attributes and propagation are kept beside the map" {
	requires container	# rshared is refused for a microVM
	volume rbind,ridmap,ro,nosuid,rnodev,rshared 1000:5000:10 2000:6000:10
	sh_args 'stat -c %u:%g /mnt/file; grep " /mnt" /proc/self/mountinfo'
	run -0 with_volume 'nacre run "$ID"'
	equals 5000:6000 "${lines[0]}"
	[[ "${lines[1]}" == *" /mnt ro,nosuid,nodev,"*shared:* ]]
	[[ "${lines[2]}" == *" /mnt/sub rw,nodev,"*shared:* ]]
}

@test "different maps for the same source, and the same map for two" {
	volume bind,idmap 1000:5000:10 2000:6000:10
	volume bind,idmap 1000:5000:10 2000:6000:10
	volume bind,idmap 1000:7000:10 2000:6000:10
	volume bind
	config '[.mounts[] | select(.destination == "/mnt")] as $m | .mounts |= map(select(.destination != "/mnt"))
		| .mounts += [$m | to_entries[] | .value + {destination: "/mnt/\(.key)"}]'
	sh_args 'stat -c %u:%g /mnt/*/file'
	run -0 with_volume 'nacre run "$ID"'
	equals "5000:6000 5000:6000 7000:6000 1000:2000" "${lines[*]}"
}

@test "user namespace, no maps: the container's; ids in the source are ids in the container" {
	with_userns
	volume rbind,ridmap
	config '.process.user = {uid: 7, gid: 8}'
	sh_args 'stat -c %u:%g /mnt/file /mnt/sub/sub-file; touch /mnt/made'
	run -0 with_volume 'nacre run "$ID"; stat -c %u:%g "$T/vol/top/made"'
	equals "1000:2000 1001:2001 7:8" "${lines[*]}"
}

@test "user namespace and maps: those of the mount count" {
	with_userns
	volume bind,idmap 1000:100003:1 2000:100004:1
	config '.process.user = {uid: 3, gid: 4}'
	sh_args 'stat -c %u:%g /mnt/file; touch /mnt/made'
	run -0 with_volume 'nacre run "$ID"; stat -c %u:%g "$T/vol/top/made"'
	equals "3:4 1000:2000" "${lines[*]}"
}

@test "a user namespace that is joined: its maps" {
	requires container	# refused for a microVM
	with_userns
	args sleep 100
	nacre run -d "$ID-a" </dev/null
	config --arg p "/proc/$(pid_of "$ID-a")/ns/user" 'del(.linux.uidMappings, .linux.gidMappings)
		| .linux.namespaces |= map(if .type == "user" then .path = $p else . end)'
	volume bind,idmap
	sh_args 'stat -c %u:%g /mnt/file'
	run -0 --separate-stderr with_volume 'nacre run "$ID"'
	equals 1000:2000 "$output"
}

@test "a file as the source" {
	volume bind,idmap 1000:5000:10 2000:6000:10
	config '.mounts[-1] |= (.source += "/file" | .destination = "/mnt/file")'
	args stat -c %u:%g /mnt/file
	run -0 with_volume 'nacre run "$ID"'
	equals 5000:6000 "$output"
}

@test "exec sees the mount as the first process does" {
	volume bind,idmap 1000:5000:10 2000:6000:10
	args sleep 100
	run -0 with_volume 'nacre run -d "$ID" </dev/null >/dev/null; nacre exec "$ID" stat -c %u:%g /mnt/file; nacre delete -f "$ID"'
	equals 5000:6000 "$output"
}

@test "a container that lives holds no user namespace and no process more" {
	requires strace container	# a microVM has processes
	volume bind,idmap 1000:5000:10 2000:6000:10
	args sleep 100
	run -0 with_volume 'nacre run -d "$ID" </dev/null >/dev/null; pgrep -P "$(nacre state "$ID" | jq .pid)" || echo none
		pgrep -cx nacre || true; ls -l "/proc/$(nacre state "$ID" | jq .pid)/fd" | grep -c user: || true; nacre delete -f "$ID"'
	equals "none 0 0" "${lines[*]}"
	# One process makes both equal maps, and it was waited for.
	volume bind,idmap 1000:5000:10 2000:6000:10
	config '.mounts[-1].destination = "/mnt2" | .process.args = ["true"]'
	rmdir "$T/vol"
	export "${TRACED[@]}"
	run -0 with_volume 'strace -f -o "$T/trace" -e trace=clone3 "$NACRE_BIN" --root "$ROOT" run "$ID"'
	equals 1 "$(grep -c CLONE_NEWUSER "$T/trace")"
}

@test "explain prints the maps" {
	volume rbind,ridmap 1000:5000:10 2000:6000:10
	run -0 nacre explain
	[[ "$output" == *"rbind $T/vol/top on /mnt (ridmap)"*"on /mnt: uid 1000 -> host 5000, 10 ids"*"on /mnt: gid 2000 -> host 6000, 10 ids"* ]]
	with_userns
	config 'del(.mounts[-1].uidMappings, .mounts[-1].gidMappings)'
	run -0 nacre explain
	[[ "$output" == *"on /mnt (ridmap)"*"on /mnt: the container's"* ]]
}

@test "a file system that cannot do it: source, target and why; nothing is left" {
	volume bind,idmap 1000:5000:10 2000:6000:10
	config '.mounts[-1].source = "/proc/sys"'
	refuses "cannot map the ids of the mount \"/proc/sys\" at \"/mnt\": the file system of the source cannot do that"
	config --arg s "$T/vol/top" '.mounts[-1] |= (.source = $s | .options = ["rbind", "ridmap"])'
	run -1 with_volume 'mount -t proc proc "$T/vol/top/sub"; nacre run "$ID"'
	[[ "$output" == *"\"$T/vol/top\" at \"/mnt\": the file system of the source, or one mounted below it, cannot"* ]]
}

@test "a source that is id-mapped already: an error" {
	requires container	# makes the source by a container's mount namespace
	volume bind,idmap 1000:5000:10 2000:6000:10
	mkdir "$T/mapped" "$T/old" "$BUNDLE/rootfs/host"
	# A container that sees the host at /host, and there the id-mapped mount: nacre is run in its mount namespace.
	config --arg t "$T/mapped" '.mounts[-1].destination = "/host\($t)"
		| .mounts = .mounts[:-1] + [{destination: "/host", source: "/", options: ["rbind", "rprivate"]}] + .mounts[-1:]'
	args sleep 100
	run -0 with_volume 'nacre run -d "$ID-a" </dev/null >/dev/null
		jq --arg s "$T/mapped" ".mounts |= .[:-2] + [.[-1] + {source: \$s, destination: \"/mnt\"}]" config.json >again.json
		mv again.json config.json
		pid=$(nacre state "$ID-a" | jq .pid)
		# A process in a chroot may not make user namespaces, so /host becomes the root.
		nsenter -m -t "$pid" /bin/sh -c "pivot_root /host \"/host$T/old\" && umount -l \"$T/old\" && exec \"\$@\"" \
			sh "$NACRE_BIN" --root "$ROOT" run -b "$BUNDLE" "$ID" 2>&1 || true'
	equals "nacre: error: cannot map the ids of the mount \"$T/mapped\" at \"/mnt\": Operation not permitted" "$output"
}

@test "without privileges: a clear error" {
	requires setpriv container	# a microVM needs root
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 65534, size: 1}]
		| .linux.gidMappings = .linux.uidMappings'
	volume bind,idmap
	config '.mounts[-1].source = "/usr"'
	chmod 755 "$T"
	mkdir -m 777 "$T/state"
	run -1 setpriv --reuid 65534 --regid 65534 --clear-groups "$NACRE_BIN" --root "$ROOT" --cgroup-manager=disabled run "$ID"
	[[ "$output" == *"cannot map the ids of the mount \"/usr\" at \"/mnt\" without root on the host: Operation not permitted"* ]]
}

@test "maps that the kernel refuses: an error, and the process that was to hold them is gone" {
	requires container	# the container itself would be what the kernel refuses first
	volume bind,idmap 1000:5000:10 2000:6000:10
	config --arg s "$T" '.mounts[-1].source = $s'
	# Root of a user namespace that has one id has no 5000 to give.
	try unshare -Urm "$NACRE_BIN" --root "$ROOT" --cgroup-manager=disabled create "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"the id map of the mount at \"/mnt\": "*"_map: Operation not permitted"* ]] || { echo "$stderr"; return 1; }
	assert_clean
}
