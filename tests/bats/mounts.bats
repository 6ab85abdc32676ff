#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mounts: every option, propagation, targets of every kind. /proc/self/mountinfo in the container is the judge.
# shellcheck disable=SC2016 # scripts in single quotes are the container's, or of a mount namespace
# shellcheck disable=SC2030,SC2031 # each test is a subshell

load helpers

# add_mount TARGET TYPE SOURCE OPTION...
add_mount() {
	config --args '.mounts += [{destination: $ARGS.positional[0], type: $ARGS.positional[1], source: $ARGS.positional[2],
		options: $ARGS.positional[3:]}]' -- "$@"
}

# Prints "FLAGS|OPTIONAL FIELDS|SUPERBLOCK OPTIONS" of the mount at $2, from a mountinfo text $1.
mount_line() {
	awk -v at="$2" '$5 == at { f = ""; for (i = 7; $i != "-"; i++) f = f $i " "; line = $6 "|" f "|" $(i + 3) } END { print line }' <<<"$1"
}

# check_table TABLE: lines "TYPE OPTIONS WANTED UNWANTED", words by comma ("-": none). One container has all the
# mounts at /mnt/0, /mnt/1…; TYPE is tmpfs, bind (of $T/src, flags none), or rbind.
check_table() {
	local i type options wanted unwanted line word rows=() info
	mapfile -t rows < <(grep -v '^$' <<<"$1")
	for i in "${!rows[@]}"; do mkdir "$BUNDLE/rootfs/mnt/$i"; done
	config --argjson v "$(for i in "${!rows[@]}"; do
		read -r type options _ <<<"${rows[i]}"
		jq -nc --arg i "$i" --arg t "$type" --arg o "$options" --arg s "$T/src" '{destination: ("/mnt/" + $i),
			type: (if $t == "tmpfs" then $t else "none" end), source: (if $t == "tmpfs" then $t else $s end),
			options: ((if $t == "tmpfs" then [] else [$t] end) + ($o | if . == "-" then [] else split(",") end))}'
	done | jq -s .)" '.mounts += $v'
	args cat /proc/self/mountinfo
	run nacre run "$ID"
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	info=$output
	for i in "${!rows[@]}"; do
		read -r type options wanted unwanted <<<"${rows[i]}"
		line=$(mount_line "$info" "/mnt/$i")
		[ -n "$line" ] || { echo "no mount for: ${rows[i]}"; return 1; }
		for word in ${wanted//,/ }; do
			[ "$word" = - ] || [[ ",${line//[| ]/,}," == *,"$word"[,:]* ]] || { echo "${rows[i]}: $line lacks $word"; return 1; }
		done
		for word in ${unwanted//,/ }; do
			[ "$word" = - ] || [[ ",${line//[| ]/,}," != *,"$word"[,:]* ]] || { echo "${rows[i]}: $line has $word"; return 1; }
		done
	done
}

# The file system of the tests may have flags of its own: the sources are on a tmpfs of a private mount namespace.
export -f check_table mount_line config args sh_args equals

in_table_ns() {
	mkdir -p "$T/src"
	in_mount_ns "set -u; output= status=; run() { set +e; output=\$(\"\$@\" 2>&1); status=\$?; set -e; }; $1"
}

@test "options of a new mount" {
	check_table '
tmpfs ro ro -
tmpfs rw,size=1m rw ro
tmpfs nosuid nosuid -
tmpfs suid - nosuid
tmpfs nodev nodev -
tmpfs dev - nodev
tmpfs noexec noexec -
tmpfs exec - noexec
tmpfs noatime noatime relatime
tmpfs nodiratime nodiratime,relatime -
tmpfs relatime relatime noatime
tmpfs strictatime - relatime,noatime
tmpfs nostrictatime relatime noatime
tmpfs atime relatime noatime
tmpfs diratime relatime nodiratime
tmpfs norelatime - noatime
tmpfs nosymfollow nosymfollow -
tmpfs symfollow - nosymfollow
tmpfs sync sync -
tmpfs async - sync
tmpfs dirsync dirsync -
tmpfs lazytime lazytime -
tmpfs nolazytime - lazytime
tmpfs mand - -
tmpfs nomand - mand
tmpfs defaults - nosuid,nodev,noexec
tmpfs loud - -
tmpfs silent - -
tmpfs noiversion - -
tmpfs nosuid,nodev,noexec,ro,noatime,nodiratime,nosymfollow nosuid,nodev,noexec,ro,noatime,nodiratime,nosymfollow -
tmpfs nosuid,noatime,ro,size=64k nosuid,noatime,ro,size=64k -'
}

@test "of opposite options the last wins" {
	check_table '
tmpfs ro,rw - ro
tmpfs rw,ro ro -
tmpfs ro,rw,noexec,exec - ro,noexec
tmpfs nosuid,suid - nosuid
tmpfs suid,nosuid nosuid -
tmpfs nodev,dev - nodev
tmpfs dev,nodev nodev -
tmpfs exec,noexec noexec -
tmpfs noatime,atime relatime noatime
tmpfs noatime,relatime relatime noatime
tmpfs relatime,noatime noatime relatime
tmpfs noatime,strictatime - noatime,relatime
tmpfs strictatime,noatime noatime relatime
tmpfs strictatime,relatime relatime noatime
tmpfs nodiratime,diratime - nodiratime
tmpfs diratime,nodiratime nodiratime -
tmpfs sync,async - sync
tmpfs async,sync sync -
tmpfs lazytime,nolazytime - lazytime
tmpfs nosymfollow,symfollow - nosymfollow
tmpfs ro,rrw - ro
tmpfs rro,rw - ro
tmpfs rw,rro ro -
tmpfs rnoexec,rnosuid,exec nosuid noexec
tmpfs silent - silent
tmpfs silent,loud - silent
tmpfs shared,private - shared
tmpfs private,shared shared -'
}

@test "options of a bind mount" {
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; check_table "
bind ro ro nosuid
bind nosuid nosuid ro
bind nodev nodev ro
bind noexec noexec ro
bind noatime noatime relatime
bind nodiratime nodiratime,relatime -
bind strictatime - relatime,noatime
bind nosymfollow nosymfollow -
bind ro,rw - ro
bind rw,ro ro -
bind defaults - nosuid,nodev,noexec
bind - - nosuid,nodev,noexec
bind ro,nosuid,nodev,noexec,noatime,nodiratime ro,nosuid,nodev,noexec,noatime,nodiratime relatime
rbind ro,nosuid ro,nosuid noexec"'
}

@test "a bind mount can take flags of its source away" {
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; mount -o remount,bind,ro,nosuid,nodev,noexec,noatime,nodiratime "$T/src"; check_table "
bind - ro,nosuid,nodev,noexec,noatime,nodiratime relatime
bind rw nosuid,nodev ro
bind suid ro,nodev nosuid
bind dev ro,nosuid nodev
bind exec ro,nosuid noexec
bind atime ro,relatime noatime
bind relatime relatime noatime
bind strictatime ro noatime,relatime
bind diratime noatime nodiratime
bind rw,suid,dev,exec,atime,diratime relatime ro,nosuid,nodev,noexec,noatime,nodiratime"'
}

# check_tree OPTIONS WANTED UNWANTED: of the mount below the rbind mount; "top:" before a word means of the mount itself.
check_tree() {
	local top sub word line
	config --argjson o "$(jq -Rc 'split(",")' <<<"rbind,$1")" --arg s "$T/src" \
		'.mounts = [.mounts[] | select(.destination != "/mnt")] + [{destination: "/mnt", source: $s, options: $o}]'
	run nacre run "$ID"
	[ "$status" -eq 0 ] || { echo "$1: $output"; return 1; }
	top=",$(mount_line "$output" /mnt),"
	sub=",$(mount_line "$output" /mnt/sub),"
	for word in ${2//,/ } ; do
		line=$sub
		[ "$word" != "${word#top:}" ] && line=$top
		[ "$word" = - ] || [[ "${line//[| ]/,}" == *,"${word#top:}"[,:]* ]] || { echo "$1: $line lacks $word"; return 1; }
	done
	for word in ${3//,/ }; do
		line=$sub
		[ "$word" != "${word#top:}" ] && line=$top
		[ "$word" = - ] || [[ "${line//[| ]/,}" != *,"${word#top:}"[,:]* ]] || { echo "$1: $line has $word"; return 1; }
	done
}
export -f check_tree

@test "recursive options set flags on the whole tree" {
	requires container	# a source is one mount in a guest, whatever is mounted below it on the host
	args cat /proc/self/mountinfo
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; mkdir "$T/src/sub"; mount -t tmpfs t "$T/src/sub"
		check_tree ro top:ro ro
		check_tree rro top:ro,ro -
		check_tree rnosuid top:nosuid,nosuid ro
		check_tree rnodev top:nodev,nodev ro
		check_tree rnoexec top:noexec,noexec ro
		check_tree rnoatime top:noatime,noatime relatime
		check_tree rnodiratime top:nodiratime,nodiratime -
		check_tree rstrictatime - top:relatime,relatime,noatime
		check_tree rnosymfollow top:nosymfollow,nosymfollow -
		check_tree rro,rrw - top:ro,ro
		check_tree ro,rrw - top:ro,ro
		check_tree rro,rw ro top:ro
		check_tree rrw,ro top:ro ro
		check_tree rnoatime,strictatime noatime top:noatime,relatime
		check_tree rrw,rro top:ro,ro -
		check_tree rro,rnosuid,rnoexec ro,nosuid,noexec,top:ro,top:nosuid,top:noexec nodev'
}

@test "recursive options clear flags of the whole tree" {
	requires container	# a source is one mount in a guest, whatever is mounted below it on the host
	args cat /proc/self/mountinfo
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; mkdir "$T/src/sub"; mount -t tmpfs t "$T/src/sub"
		for m in "$T/src/sub" "$T/src"; do mount -o remount,bind,ro,nosuid,nodev,noexec,noatime,nodiratime "$m"; done
		check_tree rw ro top:ro
		check_tree rrw nosuid ro,top:ro
		check_tree rsuid,rdev,rexec ro nosuid,nodev,noexec,top:nosuid
		check_tree ratime relatime noatime,top:noatime
		check_tree rrelatime relatime noatime
		check_tree rnostrictatime relatime noatime
		check_tree rdiratime noatime nodiratime
		check_tree rnorelatime noatime -
		check_tree rsymfollow ro -'
}

@test "a bind mount does not bring what is mounted below its source, an rbind mount does" {
	sh_args 'ls /mnt/sub'
	config --arg s "$T/src" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]'
	run -0 in_table_ns 'mkdir "$T/src/sub"; mount -t tmpfs t "$T/src/sub"; touch "$T/src/sub/file"
		nacre run "$ID"; config ".mounts[-1].options = [\"rbind\"]"; nacre run "$ID"'
	equals file "$output"
}

@test "the type bind alone makes a bind mount, too" {
	mkdir "$T/src"
	touch "$T/src/file"
	add_mount /mnt bind "$T/src" ro
	args ls /mnt
	run -0 nacre run "$ID"
	equals file "$output"
}

@test "propagation of new mounts" {
	check_table '
tmpfs shared shared -
tmpfs rshared shared -
tmpfs private - shared,master,unbindable
tmpfs rprivate - shared,master,unbindable
tmpfs slave - shared,unbindable
tmpfs rslave - shared,unbindable
tmpfs unbindable unbindable shared
tmpfs runbindable unbindable shared
tmpfs - - unbindable'
}

@test "propagation of bind mounts of a shared tree" {
	requires container	# a source is one mount in a guest, whatever is mounted below it on the host
	args cat /proc/self/mountinfo
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; mount --make-shared "$T/src"; mkdir "$T/src/sub"; mount -t tmpfs t "$T/src/sub"
		mount --make-shared "$T/src/sub"
		check_tree shared top:shared -
		check_tree rshared top:shared,shared -
		check_tree private - top:shared,top:master
		check_tree rprivate - top:shared,top:master,shared,master
		check_tree slave top:master top:shared
		check_tree rslave top:master,master top:shared,shared
		check_tree unbindable top:unbindable unbindable
		check_tree runbindable top:unbindable,unbindable -
		check_tree rw top:master,master top:shared,shared'
}

@test "rshared: a mount made in the container is seen outside" {
	requires container	# refused for a microVM
	caps SYS_ADMIN
	add_mount /mnt none "$T/src" rbind rshared
	sh_args 'mkdir /mnt/inner && mount -t tmpfs t /mnt/inner && sleep 1000'
	run -0 in_table_ns 'mount -t tmpfs t "$T/src"; mount --make-rshared "$T/src"
		nacre create "$ID"; nacre start "$ID"
		for i in $(seq 100); do grep -q "$T/src/inner" /proc/self/mountinfo && break; sleep 0.05; done
		nacre delete -f "$ID"; grep "$T/src/inner" /proc/self/mountinfo'
}

@test "rslave: a mount made outside is seen in the container, not the other way round" {
	requires container	# a source is one mount in a guest, whatever is mounted below it on the host
	caps SYS_ADMIN
	add_mount /mnt none "$T/src" rbind rslave
	args sleep 1000
	run in_table_ns 'mount -t tmpfs t "$T/src"; mount --make-rshared "$T/src"; mkdir "$T/src/outer" "$T/src/inner"
		nacre create "$ID"; nacre start "$ID"; mount -t tmpfs t "$T/src/outer"
		nacre exec "$ID" sh -c "grep -o /mnt/outer /proc/self/mountinfo; mount -t tmpfs t /mnt/inner"
		nacre delete -f "$ID"; grep "$T/src/inner" /proc/self/mountinfo || echo none'
	equals "/mnt/outer none" "${lines[*]}"
}

@test "without a word of propagation the container's mounts stay in it" {
	caps SYS_ADMIN
	add_mount /mnt none "$T/src" rbind
	sh_args 'mkdir /mnt/inner && mount -t tmpfs t /mnt/inner && mount -t tmpfs t /tmp && echo done'
	config '.root.readonly = false'
	run in_table_ns 'mount --bind "$BUNDLE" "$BUNDLE"; mount --make-rshared /; mount -t tmpfs t "$T/src"
		nacre run "$ID"; grep -c -e "$T/src/inner" -e "rootfs/" /proc/self/mountinfo'
	equals "done 0" "${lines[*]}"
}

@test "remount changes the flags of a mount before it" {
	add_mount /mnt tmpfs t size=64k
	add_mount /mnt none none remount bind ro noexec
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	line=$(mount_line "$output" /mnt)
	[[ "$line" == ro,*noexec* ]]
}

@test "remount takes flags away again" {
	add_mount /mnt tmpfs t size=64k nosuid nodev
	add_mount /mnt none none remount bind suid
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	line=$(mount_line "$output" /mnt)
	[[ "$line" != *nosuid* && "$line" == *nodev* ]]
}

@test "remount changes the file system's own options" {
	add_mount /mnt tmpfs t size=64k
	add_mount /mnt tmpfs t remount size=128k
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	[[ "$(mount_line "$output" /mnt)" == *size=128k* ]]
}

@test "remount of something that is not there is an error" {
	add_mount /nothing none none remount ro
	refuses /nothing
}

@test "bind mounts of a file and of a directory; the mount points are made" {
	mkdir "$T/dir"
	echo in-dir >"$T/dir/f"
	echo in-file >"$T/file"
	add_mount /new/place/dir none "$T/dir" bind
	add_mount /new/other/file none "$T/file" bind
	args cat /new/place/dir/f /new/other/file
	run -0 nacre run "$ID"
	equals "in-dir in-file" "${lines[*]}"
}

@test "a bind mount of a file over an existing file leaves that one alone" {
	echo new >"$T/file"
	echo old >"$BUNDLE/rootfs/etc/issue"
	add_mount /etc/issue none "$T/file" bind ro
	args cat /etc/issue
	run -0 nacre run "$ID"
	equals new "$output"
	equals old "$(cat "$BUNDLE/rootfs/etc/issue")"
}

@test "bind mounts of a socket, a fifo and a device" {
	mkfifo "$T/fifo"
	add_mount /mnt/fifo none "$T/fifo" bind
	add_mount /mnt/zero none /dev/zero bind
	sh_args 'stat -c %F /mnt/fifo; stat -c %t:%T /mnt/zero'
	run -0 nacre run "$ID"
	equals "fifo 1:5" "${lines[*]}"
}

@test "a relative source is below the bundle, from wherever nacre runs" {
	mkdir "$BUNDLE/vol"
	touch "$BUNDLE/vol/file"
	add_mount /mnt none vol bind
	args ls /mnt
	cd /
	run -0 nacre run -b "$BUNDLE" "$ID"
	equals file "$output"
}

@test "a missing source is named" {
	add_mount /mnt none "$T/nothing" bind
	refuses "$T/nothing" /mnt "No such file or directory"
}

@test "a directory over a file, a file over a directory: refused, with the target" {
	mkdir "$T/dir"
	touch "$T/file"
	add_mount /etc/passwd none "$T/dir" bind
	refuses /etc/passwd "Not a directory"
	config '.mounts |= .[:-1]'
	add_mount /etc none "$T/file" bind
	refuses /etc "one is a directory, the other is none: not a directory"
}

@test "tmpfs: size and mode" {
	add_mount /mnt tmpfs tmpfs size=1m mode=0700
	sh_args 'stat -c %a /mnt; df -k /mnt | tail -1 | awk "{print \$2}"'
	run -0 nacre run "$ID"
	equals "700 1024" "${lines[*]}"
}

@test "tmpfs without a mode: that of the directory which it covers" {
	mkdir "$BUNDLE/rootfs/mnt/a"
	chmod 3710 "$BUNDLE/rootfs/mnt/a"
	ln -s a "$BUNDLE/rootfs/mnt/link"
	add_mount /mnt/a tmpfs tmpfs size=1m
	sh_args 'stat -c %a /mnt/a; grep -c " /mnt/a .*mode=3710" /proc/self/mounts'
	run -0 nacre run "$ID"
	equals "3710 1" "${lines[*]}"
	# Read-only, by a symlink; and where there is none to cover it is the kernel's.
	config '.mounts[-1].options = ["ro"]'
	run -0 nacre run "$ID"
	equals "3710 1" "${lines[*]}"
	config '.mounts[-1] |= (.destination = "/mnt/link" | .options = ["rshared"])'
	run -0 nacre run "$ID"
	equals "3710 1" "${lines[*]}"
	config '.mounts[-1].destination = "/mnt/new/one"'
	args stat -c %a /mnt/new/one /mnt/new
	run -0 nacre run "$ID"
	equals "1777 755" "${lines[*]}"
}

@test "what the kernel says about a bad option is passed on" {
	add_mount /mnt tmpfs tmpfs size=abc
	refuses /mnt "Bad value for 'size'"
	config '.mounts[-1].options = ["no-such-option=7"]'
	refuses /mnt no-such-option
	config '.mounts[-1].options = ["no-such-flag"]'
	refuses /mnt no-such-flag
}

@test "an unknown file system is refused" {
	add_mount /mnt nt-no-such-fs none
	refuses nt-no-such-fs /mnt "No such device"
}

@test "a read-only tmpfs takes mounts below it" {
	add_mount /mnt tmpfs tmpfs ro mode=755
	add_mount /mnt/a/b tmpfs tmpfs
	sh_args 'touch /mnt/a/b/file && echo ok; touch /mnt/file'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == *ok* ]]
	[[ "$output" == *"Read-only file system"* ]]
}

@test "a read-only /dev has its devices" {
	config '.mounts |= map(if .destination == "/dev" then .options += ["ro"] else . end)'
	sh_args 'echo x >/dev/null && echo ok; touch /dev/file'
	run nacre run "$ID"
	[[ "$output" == *ok* ]]
	[[ "$output" == *"Read-only file system"* ]]
}

@test "iversion is accepted" {
	add_mount /mnt tmpfs tmpfs iversion size=64k nosuid
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	[[ "$(mount_line "$output" /mnt)" == *nosuid*size=64k* ]]
}

@test "an option of more than 255 bytes: an overlay of many layers" {
	requires container	# refused for a microVM
	grep -qw overlay /proc/filesystems || skip "the kernel has no overlay file system"
	local layers='' i
	for i in $(seq 30); do
		mkdir "$T/layer-$i"
		echo "$i" >"$T/layer-$i/file-$i"
		layers=$layers:$T/layer-$i
	done
	[ ${#layers} -gt 400 ]
	add_mount /mnt overlay overlay "lowerdir=${layers#:}" nodev
	sh_args 'cat /mnt/file-1 /mnt/file-30; grep " /mnt " /proc/self/mountinfo'
	run -0 nacre run "$ID"
	equals "1 30" "${lines[0]} ${lines[1]}"
	[[ "${lines[2]}" == *nodev*overlay* ]]
	# As podman has an image's.
	config --arg layers "lowerdir=${layers#:}" '.linux.rootfsPropagation = "shared" | .mounts |= map(if .destination == "/mnt" then .options = [$layers, "private"] else . end)'
	run -0 nacre run "$ID"
	equals "1 30" "${lines[0]} ${lines[1]}"
	[[ "${lines[2]}" != *shared:* ]]
	config '.mounts |= map(if .destination == "/mnt" then .options += ["slave", "shared", "rnoexec"] else . end)'
	run -0 nacre run "$ID"
	[[ "${lines[2]}" == *noexec*shared:*overlay* ]]
}

@test "a relative destination is below the root" {
	add_mount new/dir tmpfs tmpfs
	args grep " /new/dir " /proc/self/mountinfo
	run -0 nacre run "$ID"
}

@test "destinations with . and .. and // are cleaned" {
	add_mount //mnt/./x/../y// tmpfs tmpfs
	args grep " /mnt/y " /proc/self/mountinfo
	run -0 nacre run "$ID"
}

@test "the root file system's own place is refused" {
	local d
	for d in / /. /mnt/.. //; do
		config --arg d "$d" '.mounts |= map(select(.source != "nt")) + [{destination: $d, type: "tmpfs", source: "nt"}]'
		refuses 'mounts['
	done
}

@test "destinations inside /proc are refused, however they are written" {
	local d
	for d in /proc/sys /proc/self /proc/1/attr proc/sys/kernel //proc//sys /mnt/../proc/sys /proc/./sys /proc/../proc/sysrq-trigger; do
		config --arg d "$d" '.mounts |= map(select(.source != "nt")) + [{destination: $d, type: "tmpfs", source: "nt"}]'
		refuses 'mounts[' "inside /proc"
	done
}

@test "the files of /proc that lxcfs and the like replace are allowed" {
	echo fake >"$T/fake"
	for f in cpuinfo meminfo uptime stat swaps loadavg diskstats; do add_mount "/proc/$f" none "$T/fake" bind; done
	sh_args 'for f in cpuinfo meminfo uptime stat swaps loadavg diskstats; do cat /proc/$f; done'
	run -0 nacre run "$ID"
	equals "fake fake fake fake fake fake fake" "${lines[*]}"
}

@test "a destination inside /proc by a symlink of the image is refused, too" {
	ln -s /proc "$BUNDLE/rootfs/p"
	add_mount /p/sys/kernel tmpfs tmpfs
	refuses /proc
}

@test "a symlinked destination is resolved inside the root" {
	mkdir "$T/canary" "$BUNDLE/rootfs/target"
	ln -s /target "$BUNDLE/rootfs/absolute"
	ln -s "../../../../../../$T/canary" "$BUNDLE/rootfs/up"
	ln -s "$T/canary" "$BUNDLE/rootfs/host"
	add_mount /absolute/dir tmpfs tmpfs
	add_mount /up/dir tmpfs tmpfs
	add_mount /host/dir2 tmpfs tmpfs
	sh_args "grep -o -e ' /target/dir ' -e ' $T/canary/dir ' -e ' $T/canary/dir2 ' /proc/self/mountinfo"
	run -0 nacre run "$ID"
	equals " /target/dir   $T/canary/dir   $T/canary/dir2 " "${lines[*]}"
	[ -z "$(ls -A "$T/canary")" ]
}

@test "a destination that is a dangling symlink: the target is made inside the root" {
	mkdir "$T/src"
	echo hi >"$T/file"
	ln -s /made/by/link "$BUNDLE/rootfs/dangling"
	ln -s "$T/escaped-file" "$BUNDLE/rootfs/dangling-file"
	# As systemd's resolver has it, and through a second link.
	mkdir -p "$BUNDLE/rootfs/etc"
	ln -s ../run/systemd/resolve/stub-resolv.conf "$BUNDLE/rootfs/etc/resolv.conf"
	ln -s resolv.conf "$BUNDLE/rootfs/etc/resolv2.conf"
	add_mount /dangling none "$T/src" bind
	add_mount /dangling-file none "$T/file" bind
	add_mount /etc/resolv2.conf none "$T/file" bind
	sh_args 'cat /dangling-file /run/systemd/resolve/stub-resolv.conf; grep -o " /made/by/link " /proc/self/mountinfo'
	run -0 nacre run "$ID"
	equals "hi hi  /made/by/link " "${lines[*]}"
	[ ! -e "$T/escaped-file" ]
}

@test "symlinks that go round are an error" {
	ln -s /b "$BUNDLE/rootfs/a"
	ln -s /a "$BUNDLE/rootfs/b"
	add_mount /a tmpfs tmpfs
	refuses /a
}

@test "mounts are made in the order of the list" {
	add_mount /mnt/a tmpfs tmpfs
	add_mount /mnt/a/b tmpfs tmpfs
	args ls /mnt/a
	run -0 nacre run "$ID"
	equals b "$output"
	config '.mounts = .mounts[:-2] + [.mounts[-1], .mounts[-2]]'
	run -0 nacre run "$ID"
	equals "" "$output"
}

@test "tmpcopyup: a tmpfs begins with what it covers" {
	local d=$BUNDLE/rootfs/opt
	mkdir -p "$d/sub/empty"
	echo text >"$d/sub/file"
	head -c 3000000 /dev/urandom >"$d/data"
	ln -s /etc/passwd "$d/link"
	mkfifo "$d/fifo"
	chown 1000:1001 "$d/sub/file" "$d"
	chmod 4751 "$d/sub/file"
	chmod 750 "$d/sub" "$d"
	touch -d @1000000 "$d/sub/file" "$d/sub"
	config '.mounts += [{destination: "/opt", type: "tmpfs", source: "tmpfs", options: ["rprivate", "nosuid", "tmpcopyup"]}]
		| .root.readonly = false'
	sh_args 'cd /opt; find . | sort; stat -c "%n %a %u:%g %Y" sub/file sub; stat -c "%a %u:%g" .; readlink link; [ -p fifo ] && sha256sum <data
		cat sub/file; echo new >new; grep -c " /opt .*nosuid.* - tmpfs" /proc/self/mountinfo'
	run -0 nacre run "$ID"
	equals "$(printf '%s\n' . ./data ./fifo ./link ./sub ./sub/empty ./sub/file 'sub/file 4751 1000:1001 1000000' \
		'sub 750 0:0 1000000' '750 1000:1001' /etc/passwd "$(sha256sum <"$d/data")" text 1)" "$output"
	[ ! -e "$d/new" ]
	# Read-only, and with a mode of its own.
	config '.mounts[-1].options = ["ro", "tmpcopyup", "mode=700"]'
	sh_args 'cat /opt/sub/file; stat -c %a /opt; echo x 2>/dev/null >/opt/x || echo refused'
	run -0 nacre run "$ID"
	equals $'text\n700\nrefused' "$output"
	# More than it may hold.
	config '.mounts[-1].options = ["tmpcopyup", "size=1m"]'
	refuses 'tmpcopyup of the mount at "/opt"' data "No space left"
	rm "$d/data"
	(cd "$d" && for ((i = 0; i < 66; i++)); do mkdir d && cd d; done)
	refuses 'tmpcopyup of the mount at "/opt"' "deeper than 64"
}

@test "tmpcopyup is for a new tmpfs" {
	config '.mounts += [{destination: "/mnt", type: "mqueue", source: "mqueue", options: ["tmpcopyup"]}]'
	refuses "tmpcopyup: is for a new tmpfs only"
}

@test "options that no kernel can do, or not there, are refused" {
	local o
	mkdir "$T/src"
	for o in idmap=uids=@1-3-10 tmpcopyup rsync rasync rdirsync rmand rnomand; do
		config --arg o "$o" --arg s "$T/src" '.mounts |= map(select(.destination != "/mnt"))
			+ [{destination: "/mnt", source: $s, options: ["bind", $o]}]'
		refuses "${o%%=*}"
	done
	for o in copy-symlink src-nofollow; do
		config --arg o "$o" '.mounts |= map(select(.destination != "/mnt")) + [{destination: "/mnt", type: "tmpfs", options: [$o]}]'
		refuses "$o: is for a bind mount only"
	done
	config '.mounts |= map(select(.destination != "/mnt")) + [{destination: "/tmp", options: ["remount", "iversion"]}]'
	refuses "iversion: is for a new file system only"
}

@test "options of the file system at a bind mount: nothing, and a warning" {
	mkdir "$T/src"
	add_mount /mnt none "$T/src" bind size=3m sync
	args true
	run -0 nacre run "$ID"
	[[ "$output" == *'mounts['*'].options: "size=3m" means nothing for a bind mount'*"sync"* ]]
}

@test "copy-symlink: the symlink itself is made, not what it leads to" {
	mkdir "$T/src"
	ln -s /nowhere/at-all "$T/src/link"
	add_mount /mnt/deep/link none "$T/src/link" bind copy-symlink
	add_mount /mnt/dir none "$T/src" bind copy-symlink
	sh_args 'readlink /mnt/deep/link; readlink /mnt/dir/link; grep -c " /mnt/deep/link " /proc/self/mountinfo'
	if [ "${NACRE_ISOLATION-}" = microvm ]; then
		refused 1 "mounts[7].options: copy-symlink: the file server of a microVM has no mounts of symlinks" run "$ID"
		return
	fi
	run nacre run "$ID"
	equals "/nowhere/at-all /nowhere/at-all 0" "${lines[*]}"
	# The second time it is there. Another one there is an error, and stays.
	run nacre run "$ID"
	equals "/nowhere/at-all /nowhere/at-all 0" "${lines[*]}"
	ln -sfn /else "$BUNDLE/rootfs/mnt/deep/link"
	refuses "cannot copy the symlink" "something else is there"
	equals /else "$(readlink "$BUNDLE/rootfs/mnt/deep/link")"
}

@test "src-nofollow and dest-nofollow: a symlink is mounted over a symlink" {
	requires container	# the file server of a microVM does not serve a symlink as a mount
	ln -s /from-source "$T/link"
	ln -s /of-the-image "$BUNDLE/rootfs/mnt/link"
	add_mount /mnt/link none "$T/link" bind src-nofollow dest-nofollow
	args readlink /mnt/link
	run -0 nacre run "$ID"
	equals /from-source "$output"
	equals /of-the-image "$(readlink "$BUNDLE/rootfs/mnt/link")"
}

@test "dest-nofollow: a symlink of the image is no mount point for a directory" {
	mkdir "$T/src" "$BUNDLE/rootfs/real"
	ln -s /real "$BUNDLE/rootfs/mnt/link"
	add_mount /mnt/link none "$T/src" bind dest-nofollow
	refuses "/mnt/link"
	config '.mounts |= map(select(.destination != "/mnt/link"))'
	add_mount /mnt/link tmpfs tmpfs dest-nofollow
	refuses "cannot mount tmpfs at \"/mnt/link\": it must be mounted on ordinary directory"
	# What is missing is made.
	config '.mounts |= map(select(.destination != "/mnt/link"))'
	touch "$T/src/file"
	add_mount /mnt/a/b none "$T/src" bind dest-nofollow
	add_mount /mnt/a/f none "$T/src/file" bind dest-nofollow
	sh_args 'ls /mnt/a/b; ls /mnt/a'
	run -0 nacre run "$ID"
	equals "file b f" "${lines[*]}"
}

@test "features lists no option that create refuses" {
	local o
	mkdir "$T/src"
	while read -r o; do
		case $o in remount | idmap | ridmap | src-nofollow | copy-symlink) continue ;; esac	# tests of their own
		jq -nc --arg o "$o" --arg d "/mnt/$o" '{destination: $d, type: "tmpfs", source: "tmpfs", options: [$o]}'
	done < <(nacre features | jq -r '.mountOptions[]') |
		jq -s --arg s "$T/src" 'map(if .options[0] | IN("bind", "rbind") then .source = $s else . end)' >"$T/list"
	[ "$(jq length "$T/list")" -gt 50 ]
	config --slurpfile v "$T/list" '.mounts += $v[0]'
	args true
	run -0 nacre run "$ID"
}

@test "a hundred mounts" {
	config '.mounts += [range(100) | {destination: "/mnt/\(.)", type: "tmpfs", source: "tmpfs"}]'
	args grep -c " /mnt/" /proc/self/mountinfo
	run -0 nacre run "$ID"
	equals 100 "$output"
}

@test "a source in the root file system shows the earlier mounts of the list, not the later ones" {
	requires container
	mkdir -p "$T/a/x" "$T/b" rootfs/one rootfs/two rootfs/three
	echo a >"$T/a/x/file"
	echo b >"$T/b/file"
	config --arg t "$T" --arg r "$BUNDLE/rootfs" '.mounts += [
		{destination: "/one", source: ($t + "/a"), options: ["bind"]}, {destination: "/two", source: ($r + "/one/x"), options: ["bind"]},
		{destination: "/one/x", source: ($t + "/b"), options: ["bind"]}, {destination: "/three", source: ($r + "/one"), options: ["rbind", "ro"]},
		{destination: "/mnt", source: ($r + "/mnt"), options: ["bind"]}]'
	sh_args 'cat /two/file /three/x/file; touch /three/new 2>/dev/null || echo read-only; ls /mnt'
	run -0 nacre run "$ID"
	equals "a b read-only" "${lines[*]}"
	[ ! -e "$T/a/new" ]
}
