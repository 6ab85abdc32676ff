# SPDX-License-Identifier: Apache-2.0
# vm.image: a microVM whose root file system is on a disk.

load helpers

setup() {
	common_setup
	use_microvm
	IMAGE=$T/root.img
	config --arg i "$IMAGE" --arg k "$(vm_kernel)" \
		'.vm = {kernel: {path: $k}, image: {path: $i, format: "raw"}} | .root = {readonly: false}'
}

# make_image: the bundle's root file system as a raw image, without mounting anything.
make_image() { mke2fs -q -t ext4 -d "$BUNDLE/rootfs" "$IMAGE" 64M; }

# in_image PATH: a file's content, read without a kernel's help.
in_image() { debugfs -R "cat $1" "$IMAGE" 2>/dev/null; }

@test "an image: it runs, what it writes is in it afterwards, and the file system is clean" {
	requires root microvm mke2fs debugfs
	make_image
	sh_args 'echo "$(stat -f -c %T /) $(cat /etc/passwd | wc -l)"; echo kept >/root/file; exit 5'
	try nacre run "$ID"
	equals 5 "$status"
	equals "ext2/ext3 2" "$output"
	equals kept "$(in_image /root/file)"
	dumpe2fs -h "$IMAGE" 2>/dev/null | grep '^Filesystem state: *clean$'
	run ! grep -q needs_recovery <(dumpe2fs -h "$IMAGE" 2>/dev/null)
	e2fsck -fn "$IMAGE"
	# The folder beside it is nobody's root.
	[ ! -e "$BUNDLE/rootfs/root/file" ]
	sh_args 'cat /root/file'
	try nacre run "$ID"
	equals kept "$output"
}

@test "an image: exec, volumes beside it, two machines cannot have it at once" {
	requires root microvm mke2fs
	make_image
	mkdir "$T/volume"
	config --arg v "$T/volume" '.mounts += [{destination: "/mnt", type: "bind", source: $v, options: ["rbind", "rw"]}]'
	run_sleeping
	nacre exec "$ID" sh -c 'echo shared >/mnt/a'
	equals shared "$(cat "$T/volume/a")"
	refused 1 "in use by another microVM" run "$ID-b"
	nacre delete --force "$ID"
}

@test "an image: read-only is so for root in the guest, and leaves the file as it was" {
	requires root microvm mke2fs
	make_image
	local before
	before=$(sha256sum <"$IMAGE")
	config '.root.readonly = true | .process.capabilities = {bounding: ["CAP_SYS_ADMIN"], effective: ["CAP_SYS_ADMIN"], permitted: ["CAP_SYS_ADMIN"]}'
	sh_args 'echo x >/root/new 2>/dev/null && exit 1; mount -o remount,rw / 2>/dev/null; echo x >/root/new 2>/dev/null && exit 2; echo refused'
	try nacre run "$ID"
	equals refused "$output"
	equals "$before" "$(sha256sum <"$IMAGE")"
}

@test "an image with another file system, whose module the guest gets" {
	requires root microvm mkfs.erofs
	mkfs.erofs -x -1 "$IMAGE" "$BUNDLE/rootfs"
	config '.root.readonly = true'
	sh_args 'grep -c " / .* erofs " /proc/self/mountinfo'
	try nacre run "$ID"
	equals 1 "$output"
}

@test "what is no raw image of a file system is refused, and nothing is started" {
	requires root microvm mke2fs
	local what
	for what in missing directory fifo symlink empty zeros qcow2 partitions; do
		rm -rf "$IMAGE"
		case $what in
		missing) want="no such file" ;;
		directory) mkdir "$IMAGE" && want="is a directory" ;;
		fifo) mkfifo "$IMAGE" && want="is a special file" ;;
		symlink) mke2fs -q "$T/real" 1M && ln -s real "$IMAGE" && want="is a symbolic link" ;;
		empty) : >"$IMAGE" && want="no file system that is known" ;;
		zeros) truncate -s 64M "$IMAGE" && want="no file system that is known" ;;
		qcow2) printf 'QFI\xfb' >"$IMAGE" && truncate -s 1M "$IMAGE" && want="is a qcow2 image" ;;
		partitions) truncate -s 1M "$IMAGE" && printf '\x55\xaa' | dd of="$IMAGE" bs=1 seek=510 conv=notrunc status=none &&
			want="is a disk with partitions" ;;
		esac
		refused 1 "$want" run "$ID"
		[[ "$stderr" == *"config.json: vm.image: "* ]]
	done
}

@test "a damaged file system: the guest says that it cannot be mounted" {
	requires root microvm mke2fs
	make_image
	# The superblock's magic stays; its number of blocks is more than there are.
	printf '\xff\xff\xff\x7f' | dd of="$IMAGE" bs=1 seek=1028 conv=notrunc status=none
	try nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"cannot mount the image (ext4) in the guest"* ]]
}

@test "root.path beside an image, and a root of neither, are refused" {
	requires root microvm
	config '.root.path = "rootfs"'
	refused 1 "config.json: root.path: with vm.image, the image is the container's root file system" run "$ID"
	config 'del(.root.path) | del(.vm.image)'
	refused 1 "root.path: is missing" run "$ID"
}
