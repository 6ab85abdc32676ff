#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.user, HOME, environment, PATH, personality, session keyring.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

@test "uid, gid, groups" {
	config '.process.user = {uid: 1000, gid: 1001, additionalGids: [7, 4000000]}'
	args sed -n 's/^\(Uid\|Gid\|Groups\):\t//p' /proc/self/status
	run -0 nacre run "$ID"
	equals "1000	1000	1000	1000" "${lines[0]}"
	equals "1001	1001	1001	1001" "${lines[1]}"
	equals "7 4000000 " "${lines[2]}"
}

@test "a missing gid is 0, with a warning to a user who is not root" {
	sh_args 'id -u; id -g'
	config '.process.user = {uid: 1000}'
	run -0 --separate-stderr nacre run "$ID"
	equals "1000 0" "${lines[*]}"
	[[ "$stderr" == *"warning: process.user.gid is missing"* ]]
	config '.process.user = {uid: 0}'
	run -0 --separate-stderr nacre run "$ID"
	equals "0 0" "${lines[*]}"
	equals "" "$stderr"
}

@test "no groups of the caller are left" {
	requires setpriv
	args sed -n 's/^Groups:\t//p' /proc/self/status
	run -0 setpriv --groups 5,6,7 "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ ! "$output" =~ [0-9] ]]
}

@test "the annotation run.oci.keep_original_groups: the caller's groups stay, in exec, too" {
	requires setpriv container
	local as=(setpriv --groups "5,6,7" "$NACRE_BIN" --root "$ROOT")
	config '.annotations["run.oci.keep_original_groups"] = "1" | .process.user.additionalGids = [9]'
	args sed -n 's/^Groups:\t//p' /proc/self/status
	run -0 "${as[@]}" run "$ID"
	equals "5 6 7 " "$output"
	args sleep 1000
	"${as[@]}" run -d "$ID" </dev/null
	run -0 setpriv --groups 8 "$NACRE_BIN" --root "$ROOT" exec "$ID" sed -n 's/^Groups:\t//p' /proc/self/status
	equals "8 " "$output"
	nacre delete -f "$ID"
	config '.annotations["run.oci.keep_original_groups"] = "0"'
	args sed -n 's/^Groups:\t//p' /proc/self/status
	run -0 "${as[@]}" run "$ID"
	equals "9 " "$output"
}

@test "the largest ids, and one past them" {
	config '.process.user = {uid: 4294967294, gid: 4294967294}'
	sh_args 'id -u; id -g'
	run -0 nacre run "$ID"
	equals "4294967294 4294967294" "${lines[*]}"
	config '.process.user = {uid: 4294967295, gid: 0}'
	refuses process.user.uid 4294967295
	config '.process.user = {uid: 0, gid: 4294967295}'
	refuses process.user.gid
	config '.process.user = {uid: 4294967296, gid: 0}'
	refuses process.user.uid
	config '.process.user = {uid: -1, gid: 0}'
	refuses process.user.uid
	config '.process.user = {uid: 0, gid: 0, additionalGids: [4294967295]}'
	refuses process.user.additionalGids
}

@test "umask: as configured, 0022 without" {
	sh_args umask
	run -0 nacre run "$ID"
	equals 0022 "$output"
	config '.process.user.umask = 63'
	run -0 nacre run "$ID"
	equals 0077 "$output"
	config '.process.user.umask = 0'
	run -0 nacre run "$ID"
	equals 0000 "$output"
}

@test "the caller's umask changes nothing" {
	config '.process.cwd = "/made" | .root.readonly = false | .mounts += [{destination: "/made2", type: "tmpfs", source: "t"}]'
	sh_args 'umask; stat -c %a /made /dev/null'
	umask 0077
	run -0 nacre run "$ID"
	equals "0022 755 666" "${lines[*]}"
	equals 755 "$(stat -c %a "$BUNDLE/rootfs/made2")"
}

@test "HOME: from /etc/passwd, / for an unknown user, from env when given" {
	sh_args 'echo "$HOME"'
	run -0 nacre run "$ID"
	equals /root "$output"
	config '.process.user.uid = 1000'
	run -0 nacre run "$ID"
	equals /home/user "$output"
	config '.process.user.uid = 4242'
	run -0 nacre run "$ID"
	equals / "$output"
	config '.process.env += ["HOME=/given"]'
	run -0 nacre run "$ID"
	equals /given "$output"
	config '.process.env[-1] = "HOME=" | .process.user.uid = 1000'
	run -0 nacre run "$ID"
	equals /home/user "$output"
}

@test "HOME in exec is the home of exec's user" {
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec -u 1000 "$ID" sh -c 'echo $HOME'
	equals /home/user "$output"
}

@test "odd lines in /etc/passwd do no harm" {
	printf ':::\n\nx\nroot:x:0\nevil:x:0x3e8:0::/hex:\nroot2:x:-1:0::/minus:\nhuge:x:4294968296:0::/wrapped:\nuser:x:1000:1000:::\nuser:x:1000:1000::relative:/bin/sh\n' \
		>"$BUNDLE/rootfs/etc/passwd"
	config '.process.user.uid = 1000'
	sh_args 'echo "$HOME"'
	run -0 nacre run "$ID"
	equals / "$output"
}

@test "the environment is the configured one, in order, and nothing else" {
	config '.process.env = ["PATH=/bin", "B=2", "A=1", "EMPTY=", "SP=a b=c", "HOME=/"]'
	args cat /proc/self/environ
	export NT_FROM_OUTSIDE=1
	# Through a file: a shell variable holds no NULs.
	nacre run "$ID" >"$T/env"
	equals "PATH=/bin|B=2|A=1|EMPTY=|SP=a b=c|HOME=/|" "$(tr '\0' '|' <"$T/env")"
}

@test "of several entries for a name the last is meant" {
	config '.process.env = ["PATH=/nowhere", "A=1", "HOME=/given", "B=1", "PATH=/bin", "A=2", "HOME="]'
	args cat /proc/self/environ
	nacre run "$ID" >"$T/env"
	equals "B=1|PATH=/bin|A=2|HOME=/root|" "$(tr '\0' '|' <"$T/env")"
	# Of a process.json, too.
	config '.process.args = ["sleep", "1000"]'
	nacre run -d "$ID" </dev/null
	jq '.process | .args = ["cat", "/proc/self/environ"] | .env = ["PATH=/bin", "A=1", "A=2", "HOME=/x"]' config.json >"$T/process.json"
	nacre exec --process "$T/process.json" "$ID" >"$T/env"
	equals "PATH=/bin|A=2|HOME=/x|" "$(tr '\0' '|' <"$T/env")"
}

@test "env entries without a name or a '=' are refused" {
	local v
	for v in NOVALUE =x ''; do
		config --arg v "$v" '.process.env = ["PATH=/bin", $v]'
		refuses 'process.env[1]'
	done
}

@test "args[0] is found by the PATH of the configuration" {
	mkdir "$BUNDLE/rootfs/opt"
	printf '#!/bin/sh\necho opt\n' >"$BUNDLE/rootfs/opt/prog"
	chmod 755 "$BUNDLE/rootfs/opt/prog"
	config '.process.env = ["PATH=/nowhere:/opt:/bin"]'
	args prog
	run -0 nacre run "$ID"
	equals opt "$output"
	config '.process.env = ["PATH=/nowhere"]'
	run -1 nacre run "$ID"
	[[ "$output" == *'"prog"'*'executable file not found in $PATH'* ]]
}

@test "a program that cannot be run: the reason, and its name" {
	mkdir -p "$BUNDLE/rootfs/opt/dir"
	echo text >"$BUNDLE/rootfs/opt/noexec"
	printf '#!/no/such/shell\n' >"$BUNDLE/rootfs/opt/nointerp"
	printf 'garbage' >"$BUNDLE/rootfs/opt/garbage"
	chmod 755 "$BUNDLE/rootfs/opt/nointerp" "$BUNDLE/rootfs/opt/garbage"
	local prog want
	while read -r prog want; do
		args "$prog"
		run nacre run "$ID"
		[ "$status" -ne 0 ]
		[[ "$output" == *"$prog"* ]]
		[[ "${output,,}" == *"$want"* ]] || { echo "$output"; return 1; }
	done <<-'TABLE'
		/opt/dir permission denied
		/opt/noexec permission denied
		/opt/nothing no such file
		/opt/nointerp /no/such/shell
		/opt/garbage exec format error
	TABLE
}

@test "an empty args list, and an empty args[0]" {
	config '.process.args = []'
	refuses process.args
	config 'del(.process.args)'
	refuses process.args
	config '.process.args = [""]'
	run nacre run "$ID"
	[ "$status" -ne 0 ]
	[ -n "$output" ]
}

@test "arguments pass unchanged: empty, with spaces, newlines, UTF-8; many" {
	config '.process.args = ["sh", "-c", "for a; do echo \"[$a]\"; done", "sh", "", "a  b", "x\ny", "ü€😀", "$HOME", "\u0001"]'
	run -0 nacre run "$ID"
	equals "[] [a  b] [x y] [ü€😀] [\$HOME] ["$'\001'"]" "${lines[*]}"
	config '.process.args = ["sh", "-c", "echo $#", "sh"] + [range(5000) | tostring]'
	run -0 nacre run "$ID"
	equals 5000 "$output"
}

@test "personality" {
	case $(uname -m) in
	x86_64) want=i686 ;;
	aarch64) want=armv8l ;;
	*) skip "no 32-bit name known for this machine" ;;
	esac
	args uname -m
	config '.linux.personality = {domain: "LINUX32"}'
	run -0 nacre run "$ID"
	equals "$want" "$output"
	config '.linux.personality = {domain: "LINUX"}'
	run -0 nacre run "$ID"
	equals "$(uname -m)" "$output"
	config '.linux.personality = {domain: "SOLARIS"}'
	refuses linux.personality.domain SOLARIS
}

@test "personality: exec'ed processes have it, too" {
	case $(uname -m) in
	x86_64) want=i686 ;;
	aarch64) want=armv8l ;;
	*) skip "no 32-bit name known for this machine" ;;
	esac
	args sleep 1000
	config '.linux.personality = {domain: "LINUX32"}'
	nacre create "$ID"
	nacre start "$ID"
	equals "$want" "$(nacre exec "$ID" uname -m)"
	jq '.process | .args = ["uname", "-m"]' "$BUNDLE/config.json" >"$T/process.json"
	equals "$want" "$(nacre exec --process "$T/process.json" "$ID")"
}

@test "a session keyring of the container's own" {
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	args sec_keyring
	run -0 nacre run "$ID"
	[[ "$output" == keyring\;*_ses."$ID".* ]]
}

@test "--no-new-keyring keeps the caller's" {
	requires container
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	args sec_keyring
	before=$("$HELPERS/sec_keyring")
	run -0 nacre run --no-new-keyring "$ID"
	[[ "$output" == "$before" ]]
}

@test "exec's keyring is not the caller's either" {
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec "$ID" sec_keyring
	[[ "$output" == keyring\;*_ses."$ID".* ]]
}

@test "exec's keyring is the container's: what one of its processes keeps there is the others', too" {
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	sh_args 'sec_keyring number; exec sleep 1000'
	nacre create "$ID" >"$T/out"
	nacre start "$ID"
	wait_for 5 grep -q . "$T/out"
	equals "$(cat "$T/out")" "$(nacre exec "$ID" sec_keyring number)"
}

@test "the name of a container's keyring, by which it could be joined, is shown to nobody outside" {
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	requires container
	run_sleeping
	[[ "$(nacre exec "$ID" sec_keyring)" == *"_ses.$ID."* ]]
	run ! grep -F "_ses.$ID." /proc/keys
}

@test "a keyring that somebody else prepared for a container is not joined" {
	local who held ours
	[ -e /proc/keys ] || skip "the kernel has no keyrings"
	requires setpriv container
	args sec_keyring
	for who in 0 65534; do
		setpriv --reuid "$who" --regid "$who" --clear-groups "$HELPERS/sec_keyring" hold "_ses.$ID-$who" \
			>"$T/held$who" 3>&- &
		held=$!
		wait_for 10 grep -q 'keyring;.*;3f3f3f3f;' "$T/held$who"
		ours=$(nacre run "$ID-$who")
		kill "$held"
		wait "$held" || true
		[[ "$ours" == "keyring;0;0;"* && "$ours" != *";3f3f3f3f;"* ]] || { echo "of $who: $ours"; return 1; }
	done
}

@test "exec --user takes numbers in range only" {
	local u
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	run -0 nacre exec -u 1000:1001 "$ID" sh -c 'id -u; id -g'
	equals "1000 1001" "${lines[*]}"
	for u in root -1 4294967295 4294967296 1000: :5 1000:x "1 " " 1" 0x10 1000:-1 "" +5 1e3 99999999999999999999; do
		run nacre exec -u "$u" "$ID" id -u
		[ "$status" -ne 0 ] || { echo "accepted: '$u' as $output"; return 1; }
	done
}
