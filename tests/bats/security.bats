#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The mistakes of this and other container runtimes, one test each. The image and the processes in the container are
# the attacker; what must stay as it is lies in $T/canary.
# shellcheck disable=SC2016 # scripts in single quotes are the container's
# shellcheck disable=SC2030,SC2031 # each test is a subshell

load helpers

# times N: N here, a tenth of it (at least 2) in the slow test host.
times() {
	if [ -z "${NACRE_TEST_HOST:-}${NACRE_ISOLATION-}" ]; then echo "$1"; elif [ "$1" -gt 20 ]; then echo $(($1 / 10)); else echo 2; fi
}

# WRAP: a program that nacre runs under.
WRAP=()
nacre() { timeout -k 5 "$NACRE_TIMEOUT" "${WRAP[@]}" "$NACRE_BIN" --root "$ROOT" "$@"; }

# Names in it that a runtime might make, remove or mount over when it follows a link to it.
make_canary() {
	CANARY=$T/canary
	mkdir -p "$CANARY"/{dev,pts,shm,mqueue,fd,sub,sys,self}
	for f in null zero full random urandom tty ptmx console file hosts stdin stdout stderr; do echo canary >"$CANARY/$f"; done
	BEFORE=$(canary_state)
}
canary_state() { find "$CANARY" -printf '%P %y %m %U:%G %s %T@ %C@ %n\n' | sort; }
canary_is_untouched() { equals "$BEFORE" "$(canary_state)"; }

cleanup() {
	if [ -n "${SWAPPER:-}" ]; then kill "$SWAPPER" 2>/dev/null || true; wait "$SWAPPER" 2>/dev/null || true; fi
}

# attempt WHAT: `run`, which may refuse, but not hang or crash, and must leave the canary alone.
attempt() {
	local r=0
	nacre run "$ID" >"$T/said" 2>&1 </dev/null || r=$?
	[ "$r" -lt 124 ] || { echo "$1: status $r: $(cat "$T/said")"; return 1; }
	canary_is_untouched || { echo "by $1"; return 1; }
	assert_clean || { echo "by $1"; return 1; }
}

# links_of_image PATH TARGET: PATH in the image becomes a symlink to TARGET.
link_in_image() {
	mkdir -p "$(dirname "$BUNDLE/rootfs/$1")"
	rm -rf "${BUNDLE:?}/rootfs/$1"
	ln -s "$2" "$BUNDLE/rootfs/$1"
}

# Each place where a runtime writes, as a symlink to the canary, absolute and by "..". No tmpfs at /dev: it is the image's.
symlinks_everywhere() {
	local target path
	make_canary
	cp "$BUNDLE/config.json" "$T/good"
	echo volume >"$T/volume"
	for target in "$CANARY" "../../../../../../../../../..$CANARY"; do
		for path in dev etc vol job proc sys dev/pts dev/ptmx dev/console dev/null dev/fd dev/stdin etc/hosts vol/a job/a etc/resolv.conf; do
			rm -rf "$BUNDLE/rootfs"
			cp -al "$ROOTFS_TEMPLATE" "$BUNDLE/rootfs"
			cp "$T/good" "$BUNDLE/config.json"
			case $path in
			dev/ptmx | dev/console | dev/null | dev/stdin | etc/hosts | etc/resolv.conf) link_in_image "$path" "$target/$(basename "$path" .conf)" ;;
			*) link_in_image "$path" "$target" ;;
			esac
			config --arg s "$T/volume" '.root.readonly = false | .process.cwd = "/job/a/b"
				| .mounts = [.mounts[] | select(.destination | IN("/dev", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup") | not)]
				| .mounts += [{destination: "/etc/hosts", source: $s, options: ["bind"]}, {destination: "/etc/resolv.conf", source: $s, options: ["bind", "ro"]},
					{destination: "/vol/a/b", type: "tmpfs", source: "tmpfs"}]
				| .linux.devices = [{path: "/dev/file", type: "c", major: 1, minor: 3, uid: 1, gid: 1}, {path: "/job/file", type: "p"}]
				| .linux.maskedPaths = ["/etc/hosts", "/dev/file", "/vol", "/job"] | .linux.readonlyPaths = ["/etc", "/dev/fd", "/vol/a"]'
			attempt "$path -> $target" || return 1
		done
		[ -z "${NACRE_TEST_HOST:-}" ] || break
	done
}

@test "CVE-2019-18837, CVE-2024-45310, CVE-2026-41579: symlinks of the image to host paths, in every place" {
	symlinks_everywhere
}

@test "the same when openat2 is refused with ENOSYS" {
	WRAP=("$HELPERS/sec_no_openat2" 38)
	symlinks_everywhere
}

@test "the same when openat2 is refused with EPERM" {
	WRAP=("$HELPERS/sec_no_openat2" 1)
	symlinks_everywhere
}

@test "without openat2 a default bundle runs, with sysctls, masks and a terminal" {
	local errno
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"} | .process.cwd = "/made/here"'
	sh_args 'cat /proc/sys/net/ipv4/ip_forward /proc/keys; pwd'
	for errno in 38 1; do
		WRAP=("$HELPERS/sec_no_openat2" "$errno")
		run -0 nacre run "$ID"
		equals "1 /made/here" "${lines[*]}"
	done
	config '.process.terminal = true'
	run -0 "$HELPERS/pty-run" -- "${WRAP[@]}" "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *"/made/here"* ]]
}

@test "CVE-2026-41579: /dev/ptmx is replaced in the image only" {
	make_canary
	config '.root.readonly = false | .mounts |= map(select(.destination | startswith("/dev") | not))'
	link_in_image dev/ptmx "$CANARY/ptmx"
	attempt ptmx
	link_in_image dev "$CANARY"
	attempt dev
	equals canary "$(cat "$CANARY/ptmx")"
}

@test "CVE-2023-27561, CVE-2023-28642: /proc or /sys that is a symlink is refused" {
	local path target
	mkdir "$BUNDLE/rootfs/elsewhere"
	for path in proc sys; do
		for target in /elsewhere elsewhere ../../.. /proc /no/where; do
			link_in_image "$path" "$target"
			refuses "/$path"
		done
		rm "$BUNDLE/rootfs/$path"
		touch "$BUNDLE/rootfs/$path"
		refuses "/$path"
		rm "$BUNDLE/rootfs/$path"
		mkdir "$BUNDLE/rootfs/$path"
	done
}

@test "CVE-2019-19921: /proc that is moved away once it is mounted leaves no procfs that is not hidden" {
	requires container	# a guest has its own
	# Whoever shares the root file system sees when /proc is mounted, and has the time that the other mounts take.
	config '.mounts += [range(500) | {destination: "/m/\(.)", type: "tmpfs", source: "tmpfs"}] | .root.readonly = false'
	sh_args 'd=/elsewhere; [ ! -e $d/self ] || grep -q " $d/sys ro," $d/self/mountinfo || echo "$d/sys is writable"'
	(
		cd rootfs
		until [ -d m/1 ]; do :; done
		mv proc elsewhere && mkdir proc
	) 3>&- &
	try nacre run "$ID"
	wait $!
	[ -d rootfs/elsewhere ]
	[[ $output != *writable* ]] || { echo "$output"; return 1; }
	[[ $status != 0 && $stderr == *'"/proc"'* ]] || { echo "$status: $stderr"; return 1; }
}

@test "an image without /proc, /sys and /dev gets them" {
	rmdir "$BUNDLE"/rootfs/{proc,sys,dev}
	args ls /proc/self /sys/kernel /dev/null
	run -0 nacre run "$ID"
}

@test "CVE-2019-16884, CVE-2025-52881: a volume over /proc catches no sysctl" {
	mkdir -p "$T/fake/sys/net/ipv4" "$T/fake/self/attr"
	echo untouched >"$T/fake/sys/net/ipv4/ip_forward"
	config --arg s "$T/fake" '.mounts |= map(if .destination == "/proc" then {destination: "/proc", source: $s, options: ["bind"]} else . end)
		| .linux.sysctl = {"net.ipv4.ip_forward": "1"} | .linux.maskedPaths = [] | .linux.readonlyPaths = []'
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	equals untouched "$(cat "$T/fake/sys/net/ipv4/ip_forward")"
	# In a guest there is no other /proc to see it by.
	[ -n "${NACRE_ISOLATION-}" ] || equals 1 "$(nsenter -t "$(pid_of "$ID")" -n cat /proc/sys/net/ipv4/ip_forward)"
}

@test "CVE-2025-52881: no sysctl lands where openat2 is refused, either" {
	mkdir -p "$T/fake/sys/net/ipv4"
	echo untouched >"$T/fake/sys/net/ipv4/ip_forward"
	WRAP=("$HELPERS/sec_no_openat2" 38)
	config --arg s "$T/fake" '.mounts |= map(if .destination == "/proc" then {destination: "/proc", source: $s, options: ["bind"]} else . end)
		| .linux.sysctl = {"net.ipv4.ip_forward": "1"} | .linux.maskedPaths = [] | .linux.readonlyPaths = []'
	args true
	run nacre run "$ID"
	equals untouched "$(cat "$T/fake/sys/net/ipv4/ip_forward")"
}

@test "CVE-2025-31133: masks do not come from the image's /dev/null" {
	echo evil >"$BUNDLE/rootfs/etc/evil"
	echo secret >"$BUNDLE/rootfs/etc/secret"
	config '.root.readonly = false | .mounts |= map(select(.destination | startswith("/dev") | not)) | .linux.maskedPaths = ["/etc/secret"]'
	args cat /etc/secret
	link_in_image dev/null /etc/evil
	run nacre run "$ID"
	[[ "$output" != *evil* || "$status" -ne 0 ]]
	[[ "$output" != *secret ]]
	rm "$BUNDLE/rootfs/dev/null"
	echo evil >"$BUNDLE/rootfs/dev/null"
	run -0 nacre run "$ID"
	equals "" "$output"
}

@test "CVE-2025-52565: /dev/console and /dev/pts/0 of the image catch no terminal" {
	make_canary
	config '.process.terminal = true | .root.readonly = false | .mounts |= map(select(.destination | IN("/dev", "/dev/shm", "/dev/mqueue") | not))'
	sh_args 'echo to-console >/dev/console'
	for target in /etc/evil "$CANARY/console" /proc/sysrq-trigger /dev/pts/0; do
		echo kept >"$BUNDLE/rootfs/etc/evil"
		mkdir -p "$BUNDLE/rootfs/dev/pts"
		echo evil >"$BUNDLE/rootfs/dev/pts/0"
		link_in_image dev/console "$target"
		run "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
		[ "$status" -lt 124 ]
		equals kept "$(cat "$BUNDLE/rootfs/etc/evil")"
		equals evil "$(cat "$BUNDLE/rootfs/dev/pts/0")"
		canary_is_untouched
	done
}

@test "a terminal is opened on the container's devpts only" {
	config '.process.terminal = true | .root.readonly = false | .mounts |= map(select(.destination | startswith("/dev") | not))'
	mkdir -p "$BUNDLE/rootfs/dev/pts"
	mkfifo "$BUNDLE/rootfs/dev/pts/ptmx"
	run "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -eq 1 ]
	rm "$BUNDLE/rootfs/dev/pts/ptmx"
	ln -s /dev/null "$BUNDLE/rootfs/dev/pts/ptmx"
	run "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -eq 1 ]
	rm "$BUNDLE/rootfs/dev/pts/ptmx"
	mknod "$BUNDLE/rootfs/dev/pts/ptmx" c 5 2
	run "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -eq 1 ]
}

# A nacre of our own to attack.
own_nacre() {
	cp "$NACRE_BIN" "$T/nacre"
	NACRE_BIN=$T/nacre
	SUM=$(md5sum <"$T/nacre")
}
nacre_is_untouched() { equals "$SUM" "$(md5sum <"$T/nacre")"; }

@test "CVE-2019-5736: #!/proc/self/exe as the process" {
	requires container	# the host's program is in no guest
	own_nacre
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/bin/evil"
	chmod 755 "$BUNDLE/rootfs/bin/evil"
	args /bin/evil
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -lt 124 ]
	nacre_is_untouched
}

@test "CVE-2019-5736: #!/proc/self/exe by exec, while the container waits to overwrite it" {
	requires container	# the host's program is in no guest
	own_nacre
	caps SYS_PTRACE DAC_OVERRIDE
	config '.root.readonly = false'
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/bin/evil"
	chmod 755 "$BUNDLE/rootfs/bin/evil"
	args sec_intruder /no/such/canary 1000000
	nacre create "$ID" >"$T/out"
	nacre start "$ID"
	for _ in $(seq "$(times 20)"); do
		nacre exec "$ID" /bin/evil >"$T/said" 2>&1 </dev/null || true
		nacre exec "$ID" true
	done
	nacre kill "$ID" KILL
	nacre_is_untouched
	equals "" "$(cat "$T/out")"
}

@test "CVE-2019-5736: nacre on a read-only mount that is made writable later" {
	requires container	# the host's program is in no guest
	args sleep 1000
	# What a container could keep from a process that enters it: an open file, which goes with the mount's flags.
	in_mount_ns 'mkdir "$T/mnt"
		mount -t tmpfs none "$T/mnt"
		cp "$NACRE_BIN" "$T/mnt/nacre"
		mount -o remount,ro "$T/mnt"
		NACRE_BIN=$T/mnt/nacre
		nacre create "$ID"
		exec 9<"/proc/$(nacre state "$ID" | jq .pid)/exe"
		nacre delete --force "$ID"
		mount -o remount,rw "$T/mnt"
		cmp "$T/mnt/nacre" /proc/self/fd/9
		! { printf evil >>/proc/self/fd/9; } 2>"$T/said"
		grep -q "Read-only file system" "$T/said"'
}

@test "CVE-2019-5736: an ELF program whose interpreter is /proc/self/exe" {
	requires container	# the host's program is in no guest
	own_nacre
	"$HELPERS/sec_mkelf" /proc/self/exe >"$BUNDLE/rootfs/bin/evil"
	chmod 755 "$BUNDLE/rootfs/bin/evil"
	args /bin/evil
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	nacre_is_untouched
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre exec "$ID" /bin/evil
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	nacre_is_untouched
}

@test "CVE-2019-5736: the program file cannot be written through a waiting container" {
	requires container	# the host's program is in no guest
	own_nacre
	caps SYS_PTRACE DAC_OVERRIDE SYS_ADMIN
	config '.root.readonly = false'
	args sleep 1000
	nacre create "$ID"
	run nacre exec "$ID" sh -c 'echo x >/proc/1/exe; mount --bind /proc/1/exe /etc/passwd && mount -o remount,rw,bind /etc/passwd && echo x >/etc/passwd; true'
	nacre_is_untouched
}

@test "CVE-2016-9962, CVE-2024-21626: nothing of the host is open in a waiting container" {
	local fd
	make_canary
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"}'
	args sleep 1000
	nacre create "$ID"
	for fd in "/proc/$(pid_of "$ID")/fd"/*; do
		[ ! -d "$fd" ] || { echo "a directory: $fd $(readlink "$fd")"; return 1; }
	done
}

@test "CVE-2016-9962: no way out by a waiting container, with CAP_SYS_PTRACE" {
	make_canary
	caps SYS_PTRACE DAC_OVERRIDE DAC_READ_SEARCH SYS_CHROOT
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"}'
	args sleep 1000
	nacre create "$ID"
	run nacre exec "$ID" sec_intruder "$CANARY" 100
	[[ "${lines[-1]}" =~ ^seen\ [1-9] ]]
	equals 1 "${#lines[@]}"
}

# Not by ptrace(2), which this capability in the host's user namespace is enough for: README.md, "Decisions".
@test "CVE-2016-9962: no way out by the files of processes that enter, with CAP_SYS_PTRACE" {
	make_canary
	caps SYS_PTRACE DAC_OVERRIDE DAC_READ_SEARCH SYS_CHROOT
	args sec_intruder "$CANARY" 1000000
	nacre create "$ID" >"$T/out"
	nacre start "$ID"
	for _ in $(seq "$(times 40)"); do nacre exec "$ID" true; done
	nacre kill "$ID" KILL
	equals "" "$(cat "$T/out")"
}

@test "CVE-2016-9962: no way out by processes that enter, from a user namespace, nor to trace them with CAP_SYS_PTRACE there" {
	requires userns
	make_canary
	with_userns
	caps SYS_PTRACE DAC_OVERRIDE DAC_READ_SEARCH SYS_CHROOT
	args sec_intruder "$CANARY" 1000000 trace
	nacre create "$ID" >"$T/out"
	nacre start "$ID"
	for _ in $(seq "$(times 30)"); do nacre exec "$ID" true; done
	nacre kill "$ID" KILL
	equals "" "$(cat "$T/out")"
}

@test "CVE-2024-21626: only stdio is open in the process, and in exec's" {
	local list
	exec 7</etc 8<"$T" 9</dev/null
	args fdlist
	run -0 nacre run "$ID"
	for list in "${lines[@]}"; do [[ "$list" =~ ^[012]\  ]] || { echo "open: $list"; return 1; }; done
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" fdlist
	for list in "${lines[@]}"; do [[ "$list" =~ ^[012]\  ]] || { echo "open: $list"; return 1; }; done
}

@test "CVE-2024-21626: cwd by a file descriptor of the runtime" {
	local n step=1
	make_canary
	# What takes long: there, and for a microVM.
	[ -z "${NACRE_TEST_HOST:-}${NACRE_ISOLATION:-}" ] || step=4
	args ls -a
	for ((n = 3; n <= 20; n += step)); do
		config --arg c "/proc/self/fd/$n" '.process.cwd = $c'
		nacre run "$ID" >"$T/said" 2>&1 </dev/null && { echo "accepted $n: $(cat "$T/said")"; return 1; }
		config --arg c "/proc/self/fd/$n/../../../..$CANARY" '.process.cwd = $c'
		nacre run "$ID" >"$T/said" 2>&1 </dev/null && { echo "accepted $n/..: $(cat "$T/said")"; return 1; }
		config --arg c "/proc/1/fd/$n" '.process.cwd = $c'
		nacre run "$ID" >"$T/said" 2>&1 </dev/null && { echo "accepted 1/$n: $(cat "$T/said")"; return 1; }
	done
	canary_is_untouched
}

@test "CVE-2024-21626: exec's cwd by a file descriptor of the runtime, also through a symlink" {
	local n step=1
	make_canary
	# What takes long: there, and for a microVM.
	[ -z "${NACRE_TEST_HOST:-}${NACRE_ISOLATION:-}" ] || step=4
	for ((n = 3; n <= 20; n++)); do ln -s "/proc/self/fd/$n" "$BUNDLE/rootfs/cwd-$n"; done
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	# The container's own root may be open there; what counts is where it leads.
	for ((n = 3; n <= 20; n += step)); do
		nacre exec --cwd "/proc/self/fd/$n" "$ID" ls "../../../../../../../..$CANARY" >"$T/said" 2>&1 </dev/null && { echo "out by $n"; return 1; }
		nacre exec --cwd "/cwd-$n" "$ID" ls "../../../../../../../..$CANARY" >"$T/said" 2>&1 </dev/null && { echo "out by /cwd-$n"; return 1; }
	done
	canary_is_untouched
}

@test "CVE-2024-21626: the program by a file descriptor of the runtime" {
	local n
	for n in 3 4 5 6 7 8 9 10; do
		args "/proc/self/fd/$n/bin/sh" -c 'echo out'
		nacre run "$ID" >"$T/said" 2>&1 </dev/null && { echo "ran by $n: $(cat "$T/said")"; return 1; }
	done
	true
}

@test "CVE-2021-30465, CVE-2024-45310: a directory of a shared volume that is swapped for a symlink" {
	make_canary
	mkdir -p "$T/vol/a"
	ln -s "../../../../../../../..$CANARY" "$T/vol/b"
	echo volume >"$T/volume"
	config --arg s "$T/vol" --arg f "$T/volume" '.root.readonly = false | .process.cwd = "/mnt/a/cwd" | .mounts += [
		{destination: "/mnt", source: $s, options: ["rbind"]}, {destination: "/mnt/a/sub", type: "tmpfs", source: "tmpfs"},
		{destination: "/mnt/a/hosts", source: $f, options: ["bind"]}]
		| .linux.devices = [{path: "/mnt/a/dev", type: "c", major: 1, minor: 3, uid: 7, gid: 7}]
		| .linux.maskedPaths = ["/mnt/a/file"] | .linux.readonlyPaths = ["/mnt/a/self"]'
	args true
	for WRAP in "" "$HELPERS/sec_no_openat2 38"; do
		# shellcheck disable=SC2206
		WRAP=($WRAP)
		"$HELPERS/sec_swap" "$T/vol/a" "$T/vol/b" 100000 3>&- &
		SWAPPER=$!
		for _ in $(seq "$(times 40)"); do
			nacre run "$ID" >"$T/said" 2>&1 </dev/null || true
			canary_is_untouched
		done
		kill "$SWAPPER"
		wait "$SWAPPER" || true
	done
}

@test "CVE-2021-30465: a swapped mount point of the image itself" {
	make_canary
	mkdir "$BUNDLE/rootfs/a"
	ln -s "$CANARY" "$BUNDLE/rootfs/b"
	config '.root.readonly = false | .mounts += [{destination: "/a/sub", type: "tmpfs", source: "tmpfs"}, {destination: "/a/self/new/dir", type: "tmpfs", source: "tmpfs"}]'
	args true
	"$HELPERS/sec_swap" "$BUNDLE/rootfs/a" "$BUNDLE/rootfs/b" 100000 3>&- &
	SWAPPER=$!
	for _ in $(seq "$(times 40)"); do
		nacre run "$ID" >"$T/said" 2>&1 </dev/null || true
		canary_is_untouched
	done
}

@test "CVE-2021-43784: very long namespace paths and hostnames are errors" {
	config --arg p "/$(head -c 70000 /dev/zero | tr '\0' x)" '.linux.namespaces |= map(if .type == "ipc" then .path = $p else . end)'
	refuses "ipc namespace"
}

@test "CVE-2022-29162: nothing is inheritable that is not configured" {
	args grep CapInh /proc/self/status
	run -0 nacre run "$ID"
	[[ "$output" == *0000000000000000 ]]
}

@test "CVE-2023-25809: without a cgroup namespace a writable cgroup mount is the container's own" {
	requires cgroup
	config '.linux.namespaces |= map(select(.type != "cgroup")) | .mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)'
	sh_args 'cd /sys/fs/cgroup; ls -d nacre* ../nacre* 2>/dev/null; cat cgroup.procs >/dev/null && echo own; [ -e cgroup.events ] && echo not-the-root'
	run -0 nacre run "$ID"
	equals "own not-the-root" "${lines[*]}"
}

@test "CVE-2026-30892: exec -u 1 is user 1" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec -u 1 "$ID" id -u
	equals 1 "$output"
}

@test "the runtime's environment and arguments are not in the process" {
	export NT_SECRET=from-the-host
	sh_args 'cat /proc/1/environ /proc/1/cmdline /proc/self/environ'
	nacre run "$ID" >"$T/out"
	run grep -a -c -e from-the-host -e "$ROOT" "$T/out"
	equals 0 "$output"
}

@test "the runtime's environment cannot be read from a waiting container" {
	export NT_SECRET=from-the-host
	args sleep 1000
	nacre create "$ID"
	run nacre exec "$ID" cat /proc/1/environ
	[[ "$output" != *from-the-host* ]]
}

@test "--no-pivot: the host's /proc cannot be found" {
	caps SYS_ADMIN SYS_CHROOT DAC_OVERRIDE
	config '.root.readonly = false'
	sh_args 'i=0; while [ $i -lt 5 ]; do umount -l /proc; umount -l /sys; umount -l /; i=$((i+1)); done 2>/dev/null; ls -d /proc/[0-9]* | wc -l; ls /boot /proc/self/ns 2>/dev/null | wc -l'
	run nacre run --no-pivot "$ID"
	[[ "${lines[*]}" == *"0 0" ]]
}

@test "an /etc/passwd that is a fifo, a device, endless or a symlink to the host" {
	make_canary
	local kind
	sh_args 'echo "$HOME"'
	for kind in fifo zero huge sparse dir link loop; do
		rm -rf "$BUNDLE/rootfs/etc/passwd"
		case $kind in
		fifo) mkfifo "$BUNDLE/rootfs/etc/passwd" ;;
		zero) ln -s /dev/zero "$BUNDLE/rootfs/etc/passwd" ;;
		huge) yes 'nobody:x:5:5::/:/bin/sh' | head -c 20000000 >"$BUNDLE/rootfs/etc/passwd" ;;
		sparse) truncate -s 1T "$BUNDLE/rootfs/etc/passwd" ;;
		dir) mkdir "$BUNDLE/rootfs/etc/passwd" ;;
		link) ln -s "$CANARY/file" "$BUNDLE/rootfs/etc/passwd" ;;
		loop) ln -s passwd "$BUNDLE/rootfs/etc/passwd" ;;
		esac
		NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run -0 nacre run "$ID"
		equals "$kind /" "$kind $output"
	done
}

@test "programs of the image that are fifos or devices do not hang the runtime" {
	mkfifo "$BUNDLE/rootfs/bin/fifo"
	chmod 755 "$BUNDLE/rootfs/bin/fifo"
	args fifo
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	args /dev/zero
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	printf '#!/bin/fifo\n' >"$BUNDLE/rootfs/bin/script"
	chmod 755 "$BUNDLE/rootfs/bin/script"
	args script
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
}

@test "very deep paths and many symlinks in the image" {
	local p=/mnt i
	for i in $(seq 39); do ln -s "/l$((i + 1))" "$BUNDLE/rootfs/l$i"; done
	ln -s /mnt "$BUNDLE/rootfs/l40"
	for i in $(seq 300); do p=$p/d; done
	config --arg p "$p" '.root.readonly = false | .mounts += [{destination: $p, type: "tmpfs", source: "tmpfs"}]'
	args true
	run -0 nacre run "$ID"
	config '.mounts |= .[:-1] + [{destination: "/l1/x", type: "tmpfs", source: "tmpfs"}]'
	NACRE_TIMEOUT=$((10 * ${PATIENCE:-1})) run nacre run "$ID"
	[ "$status" -ne 124 ]
}

@test "the container cannot reach the state directory or the bundle" {
	caps DAC_OVERRIDE SYS_ADMIN
	sh_args "ls -d $ROOT $BUNDLE/config.json /proc/1/root$ROOT /proc/1/cwd/../../..$ROOT 2>/dev/null | wc -l"
	run -0 nacre run "$ID"
	equals 0 "$output"
}

@test "the state directory is for root only" {
	args sleep 1000
	nacre create "$ID"
	equals 700 "$(stat -c %a "$ROOT/$ID")"
	[ -z "$(find "$ROOT/$ID" -type f -perm /077)" ] || { find "$ROOT/$ID" -ls; return 1; }
}
