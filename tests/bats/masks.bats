#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.maskedPaths, linux.readonlyPaths, and the terminal at /dev/console.
# shellcheck disable=SC2016 # scripts in single quotes are the container's

load helpers

@test "a masked file is empty and takes no data" {
	echo secret >"$BUNDLE/rootfs/etc/secret"
	config '.linux.maskedPaths = ["/etc/secret"] | .root.readonly = false'
	sh_args 'cat /etc/secret; echo over >/etc/secret; stat -c %t:%T /etc/secret'
	run -0 nacre run "$ID"
	equals 1:3 "$output"
	equals secret "$(cat "$BUNDLE/rootfs/etc/secret")"
}

@test "masked directories are empty and read-only" {
	mkdir -p "$BUNDLE"/rootfs/opt/{a,b,c}
	touch "$BUNDLE"/rootfs/opt/{a,b,c}/secret
	config '.linux.maskedPaths = ["/opt/a", "/opt/b", "/opt/c"] | .root.readonly = false'
	sh_args 'ls /opt/a /opt/b /opt/c | grep secret; for d in a b c; do touch /opt/$d/f 2>/dev/null && echo wrote $d; done; true'
	run -0 nacre run "$ID"
	equals "" "$output"
}

@test "a masked path that is missing is no error, and is not made" {
	config '.linux.maskedPaths = ["/no/such/thing", "/etc/passwd/below-a-file"] | .linux.readonlyPaths = ["/nor/this"]'
	args ls /
	run -0 nacre run "$ID"
	[[ "$output" != *no* ]]
}

@test "a masked path through symlinks hides what they lead to, inside the root" {
	mkdir "$T/canary"
	touch "$T/canary/file"
	mkdir "$BUNDLE/rootfs/opt"
	echo secret >"$BUNDLE/rootfs/opt/secret"
	ln -s /opt/secret "$BUNDLE/rootfs/opt/link"
	ln -s "../../../../../../../..$T/canary" "$BUNDLE/rootfs/opt/out"
	config '.linux.maskedPaths = ["/opt/link", "/opt/out"]'
	args cat /opt/secret
	run -0 nacre run "$ID"
	equals "" "$output"
	equals file "$(ls "$T/canary")"
}

@test "masks cover what the mounts brought, and several of one path do no harm" {
	mkdir "$T/vol"
	echo secret >"$T/vol/file"
	config --arg s "$T/vol" '.mounts += [{destination: "/mnt", source: $s, options: ["bind"]}]
		| .linux.maskedPaths = ["/mnt/file", "/mnt/file", "/mnt//./file"]'
	args cat /mnt/file
	run -0 nacre run "$ID"
	equals "" "$output"
	config '.linux.maskedPaths = ["/mnt/file", "/etc", "/mnt/file"] | .linux.readonlyPaths = ["/bin", "/bin"]'
	args cat /proc/self/mountinfo
	run -0 nacre run "$ID"
	equals 1 "$(grep -c ' /mnt/file ' <<<"$output")"
	equals 1 "$(grep -c ' /etc ' <<<"$output")"
	equals 1 "$(grep -c ' /bin ' <<<"$output")"
}

@test "the masks of the default bundle hide kernel memory and keys" {
	sh_args 'for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do [ ! -s $f ] && [ -z "$(head -c 1 $f 2>/dev/null)" ] || echo $f; done; ls /sys/firmware'
	run -0 nacre run "$ID"
	equals "" "$output"
}

@test "read-only paths cannot be written, in the whole tree" {
	caps SYS_ADMIN NET_ADMIN
	mkdir -p "$BUNDLE/rootfs/opt/ro"
	config '.linux.readonlyPaths = ["/proc/sys", "/opt/ro", "/opt/ro/sub"] | .root.readonly = false
		| .mounts += [{destination: "/opt/ro/sub", type: "tmpfs", source: "t"}]'
	sh_args 'echo x >/proc/sys/kernel/domainname; touch /opt/ro/f; touch /opt/ro/sub/f; true'
	run -0 nacre run "$ID"
	equals 3 "$(grep -c "Read-only file system" <<<"$output")"
}

@test "a read-only file" {
	echo old >"$BUNDLE/rootfs/etc/file"
	config '.linux.readonlyPaths = ["/etc/file"] | .root.readonly = false'
	sh_args 'echo new >/etc/file; cat /etc/file'
	run -0 nacre run "$ID"
	equals old "${lines[-1]}"
}

@test "read-only paths keep the flags their mounts have" {
	args grep " /proc/sys " /proc/self/mountinfo
	run -0 nacre run "$ID"
	[[ "$output" == *" ro,nosuid,nodev,noexec,"* ]]
}

@test "with a terminal, /dev/console is it" {
	config '.process.terminal = true'
	sh_args 'echo to-console >/dev/console; stat -c %F /dev/console; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all-terminals; tty'
	run -0 "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *to-console* ]]
	[[ "$output" == *"character special file"* ]]
	[[ "$output" == *all-terminals* ]]
	[[ "$output" == */dev/pts/0* ]]
}

@test "without a terminal there is no /dev/console" {
	sh_args '[ ! -e /dev/console ]'
	run -0 nacre run "$ID"
}

@test "a terminal of a user belongs to the user" {
	config '.process.terminal = true | .process.user = {uid: 1000, gid: 1000}'
	sh_args 'stat -c %u "$(tty)"; echo x >/dev/tty && echo ok'
	run -0 "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[[ "$output" == *1000*ok* ]]
}

@test "a terminal without a devpts is an error that says so" {
	config '.process.terminal = true | .mounts |= map(select(.destination != "/dev/pts"))'
	run "$HELPERS/pty-run" -- "$NACRE_BIN" --root "$ROOT" run "$ID"
	[ "$status" -ne 0 ]
	[[ "$output" == */dev/pts* ]]
}
