#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# create and start: options, IDs, bundles, pid files, races, and what the waiting process depends on.

# Scripts in single quotes are for the container's shell, for jq or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

ended() { [ ! -e "/proc/$1" ] || [ "$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status")" = Z ]; }

# create in the background ($!), as far as a hook that does not end; $T/hook has its standard input.
hang_in_hook() {
	config --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "cat >\($t)/hook; echo $$ >\($t)/hook-pid; exec sleep 1000"]}]'
	detached "$NACRE_BIN" --root "$ROOT" create "$ID"
	wait_for 10 test -s "$T/hook-pid"
}

cleanup() {
	[ ! -e "$T/hook-pid" ] || kill -KILL "$(cat "$T/hook-pid")" 2>/dev/null || true
}

@test "create makes everything and runs nothing" {
	config '.root.readonly = false'
	args touch /tmp/ran
	nacre create "$ID"
	[ "$(status_of "$ID")" = created ]
	[ "$(pid_of "$ID")" -gt 0 ]
	[ ! -e rootfs/tmp/ran ]
	nacre start "$ID"
	wait_for 10 test -e rootfs/tmp/ran
}

@test "--bundle, --bundle=, -b: the bundle is elsewhere" {
	local form
	cd /
	for form in "--bundle $BUNDLE" "--bundle=$BUNDLE" "-b $BUNDLE" "-b$BUNDLE"; do
		# shellcheck disable=SC2086
		nacre create $form "$ID"
		[ "$(nacre state "$ID" | jq -r .bundle)" = "$BUNDLE" ]
		nacre delete "$ID"
	done
}

@test "--bundle: a relative path and a symbolic link are made absolute" {
	ln -s bundle "$T/link"
	cd "$T"
	nacre create --bundle link "$ID"
	[ "$(nacre state "$ID" | jq -r .bundle)" = "$BUNDLE" ]
}

@test "--config: another file than config.json" {
	local form
	mv config.json "$T/other.json"
	for form in "--config $T/other.json" "--config=$T/other.json" "-f $T/other.json"; do
		# shellcheck disable=SC2086
		nacre run $form "$ID"
	done
}

@test "root.path: relative to the bundle, not to the working directory" {
	cd /
	nacre run -b "$BUNDLE" "$ID"
}

@test "root.path: absolute" {
	config --arg p "$BUNDLE/rootfs" '.root.path = $p'
	mkdir "$T/elsewhere"
	mv config.json "$T/elsewhere"
	nacre run -b "$T/elsewhere" "$ID"
}

@test "a bundle that is not there" {
	refused 1 "$T/none" create -b "$T/none" "$ID"
	[[ "$stderr" == *[Nn]"o such file or directory"* ]]
}

@test "a bundle without config.json" {
	mkdir "$T/empty"
	refused 1 config.json create -b "$T/empty" "$ID"
	[[ "$stderr" == *"$T/empty"*[Nn]"o such file or directory"* ]]
}

@test "a config.json that is empty, a list, cut, a directory" {
	local text
	for text in '' '[]' '{"ociVersion": "1.0.0"' 'null' '"x"' $'\xff\xfe'; do
		printf %s "$text" >config.json
		refused 1 config.json create "$ID"
	done
	rm config.json
	mkdir config.json
	refused 1 config.json create "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "a root file system that is not there, or a file" {
	config '.root.path = "none"'
	refused 1 none create "$ID"
	config '.root.path = "config.json"'
	refused 1 config.json create "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "names that are allowed" {
	local id
	for id in a 0 _ + -dash Az.09_+- "$(printf 'n%.0s' {1..255})"; do
		nacre run -- "$id"
	done
}

@test "names that are refused, by every command" {
	local id command
	for id in '' . .. .x a/b ../x 'a b' $'a\nb' 'a*' 'ä' "$(printf 'n%.0s' {1..256})"; do
		refused 1 "invalid container id" create "$id"
	done
	for command in run start kill delete state ps pause resume; do
		refused 1 "invalid container id" "$command" ../x
	done
	refused 255 "invalid container id" exec ../x true
	refused 1 "invalid container id" delete --force ../x
}

@test "a name that is taken: the error says so, the first one is unharmed" {
	local pid
	nacre create "$ID"
	pid=$(pid_of "$ID")
	refused 1 "container with id \"$ID\" already exists" create "$ID"
	refused 1 "already exists" run "$ID"
	[ "$(status_of "$ID")" = created ]
	[ "$(pid_of "$ID")" = "$pid" ]
}

@test "a name is free again after delete" {
	nacre create "$ID"
	nacre delete "$ID"
	nacre create "$ID"
}

@test "--pid-file: the number of state, decimal, no line break" {
	local pid form
	for form in "--pid-file $T/pid" "--pid-file=$T/pid"; do
		# shellcheck disable=SC2086
		nacre create $form "$ID"
		pid=$(pid_of "$ID")
		printf %s "$pid" | cmp - "$T/pid"
		[ -d "/proc/$pid" ]
		nacre delete "$ID"
	done
}

@test "--pid-file: relative to the working directory" {
	cd "$T"
	nacre create -b bundle --pid-file pid "$ID"
	[ "$(cat "$T/pid")" = "$(pid_of "$ID")" ]
}

@test "--pid-file: replaced, never rewritten in place" {
	echo old >"$T/pid"
	ln "$T/pid" "$T/reader"
	nacre create --pid-file "$T/pid" "$ID"
	[ "$(cat "$T/reader")" = old ]
	[ "$(cat "$T/pid")" = "$(pid_of "$ID")" ]
	[ "$(find "$T" -maxdepth 1 -name '*pid*' | wc -l)" -eq 1 ]
}

@test "--pid-file: none when create fails" {
	args /nowhere
	refused 1 "no such file or directory" create --pid-file "$T/pid" "$ID"
	[ ! -e "$T/pid" ]
}

@test "--pid-file: where it cannot be written create fails and leaves nothing" {
	refused 1 "pid file \"$T/none/pid\"" create --pid-file "$T/none/pid" "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "--no-pivot: the same root" {
	args ls -a /
	[ "$(nacre run --no-pivot "$ID")" = "$(nacre run "$ID")" ]
}

@test "--no-pivot on a ramfs, where pivot_root cannot work" {
	requires container root
	args ls /bin/busybox
	mkdir mnt
	# In a mount namespace of its own: nothing to take down if we fail.
	run unshare -m sh -c 'mount -t ramfs none mnt && cp -a rootfs config.json mnt/ && exec "$0" --root "$1" run --no-pivot -b mnt "$2"' \
		"$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -eq 0 ]
	[ "$output" = /bin/busybox ]
}

@test "a new session keyring, unless --no-new-keyring" {
	requires container
	[ -r /proc/keys ] || skip "the kernel has no /proc/keys"
	config 'del(.linux.maskedPaths)'
	args cat /proc/keys
	run nacre run --no-new-keyring "$ID"
	[ "$status" -eq 0 ]
	[[ "$output" != *"_ses.$ID"* ]]
	run nacre run "$ID"
	[[ "$output" == *"_ses.$ID"* ]]
}

@test "--no-subreaper is accepted" {
	nacre create --no-subreaper "$ID"
}

@test "a program that is not in PATH" {
	args nonesuch
	refused 1 'executable file not found in $PATH' create "$ID"
}

@test "a program's path that is not there" {
	args /bin/nonesuch
	refused 1 'no such file or directory' create "$ID"
	[[ "$stderr" == */bin/nonesuch* ]]
}

@test "a program that is not executable, or a directory" {
	args /etc/passwd
	refused 1 'permission denied' create "$ID"
	args /etc
	refused 1 'permission denied' create "$ID"
}

@test "an interpreter that is not there is named" {
	printf '#!/no/interpreter -x\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	args script
	refused 1 '/no/interpreter' run "$ID"
	[[ "$stderr" == *"o such file or directory"* ]]
}

@test "a script with DOS line ends" {
	printf '#!/bin/sh\r\necho\r\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	args script
	refused 1 'no such file or directory' run "$ID"
	[[ "$stderr" == *"carriage return"* ]]
}

@test "a file that is no program" {
	echo 'just text' >rootfs/bin/text
	chmod 755 rootfs/bin/text
	args text
	refused 1 '"/bin/text"' run "$ID"
	[[ "$stderr" == *[Ee]"xec format error"* ]]
}

@test "start: the interpreter is missing: start fails, the container is stopped" {
	printf '#!/no/interpreter\n' >rootfs/bin/script
	chmod 755 rootfs/bin/script
	args script
	if nacre create "$ID"; then
		refused 1 '/no/interpreter' start "$ID"
		wait_for 10 has_status "$ID" stopped
		nacre delete "$ID"
	fi
}

@test "start: of one that does not exist" {
	refused 1 "container \"nothing\" does not exist" start nothing
}

@test "start: twice is refused, the process is unharmed" {
	local pid
	args sleep 1000
	nacre create "$ID"
	nacre start "$ID"
	pid=$(pid_of "$ID")
	refused 1 "cannot start" start "$ID"
	[ "$(status_of "$ID")" = running ]
	[ "$(pid_of "$ID")" = "$pid" ]
}

@test "start: of a stopped one is refused" {
	nacre create "$ID"
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	refused 1 "cannot start" start "$ID"
}

@test "start: from another directory, with the bundle gone" {
	config '.root.readonly = false'
	sh_args 'touch /tmp/ran; sleep 1000'
	nacre create "$ID"
	rm config.json
	cd /
	nacre start "$ID"
	wait_for 10 test -e "$BUNDLE/rootfs/tmp/ran"
}

@test "start: what config.json becomes after create has no effect" {
	config '.root.readonly = false'
	args touch /tmp/first
	nacre create "$ID"
	args touch /tmp/second
	nacre start "$ID"
	wait_for 10 has_status "$ID" stopped
	[ -e rootfs/tmp/first ]
	[ ! -e rootfs/tmp/second ]
}

@test "process may be missing at create; start is then an error without effect" {
	config 'del(.process)'
	nacre create "$ID"
	refused 1 "no process" start "$ID"
	[ "$(status_of "$ID")" = created ]
}

@test "the init becomes the child of the subreaper above create" {
	local pid
	sh_args 'exit 5'
	run --separate-stderr timeout 20 "$HELPERS/subreaper" bash -c \
		'"$0" --root "$1" create --pid-file pid "$2" && "$0" --root "$1" start "$2"' "$NACRE_BIN" "$ROOT" "$ID" </dev/null 3>&-
	[ "$status" -eq 0 ]
	pid=$(cat pid)
	[[ "$output"$'\n' == *"$pid 5"$'\n'* ]]
	nacre delete "$ID"
}

@test "the waiting process: a signal that ends it ends it" {
	args sleep 1000
	nacre create "$ID"
	nacre kill "$ID" KILL
	wait_for 10 has_status "$ID" stopped
	refused 1 "cannot start" start "$ID"
}

# Each costs at the execve that `start` waits for; to close an inotify takes the kernel 15 ms.
@test "the waiting process holds no fd but stdio, the lock and the start socket" {
	requires container
	local fd held=()
	args sleep 1000
	nacre create "$ID" </dev/null >/dev/null 2>&1
	wait_for 5 creator_socket_closed "$(pid_of "$ID")"
	for fd in "/proc/$(pid_of "$ID")/fd"/*; do
		[ "${fd##*/}" -lt 3 ] || held+=("$(readlink "$fd" | sed 's/:.*//; s,.*/,,')")
	done
	equals "socket start.sock waiting" "$(printf '%s\n' "${held[@]}" | sort | xargs)"
}

creator_socket_closed() { [ "$(find "/proc/$1/fd" -lname 'socket:*' | wc -l)" = 1 ]; }

@test "the waiting process ends when its state directory is removed" {
	local pid
	args sleep 1000
	nacre create --pid-file "$T/pid" "$ID"
	pid=$(cat "$T/pid")
	rm -rf "${ROOT:?}/$ID"
	wait_for 20 ended "$pid"
	remove_cgroup
}

# Without its state nobody but us can.
remove_cgroup() {
	find "$(cgroup_mount)" -maxdepth 3 -depth -type d -name "*$ID*" -exec rmdir {} + 2>/dev/null || true
}

@test "the creator is killed in a hook: the init ends, delete --force clears all" {
	local creator
	hang_in_hook
	creator=$!
	kill -KILL "$creator"
	wait "$creator" || true
	wait_for 20 ended "$(jq .pid "$T/hook")"
	refused 1 "" start "$ID"
	nacre delete --force "$ID"
	[ -z "$(nacre list -q)" ]
	wait_for 10 ended "$(cat "$T/hook-pid")"
}

@test "delete --force while create hangs in a hook: both end, nothing is left" {
	local creator result=0
	hang_in_hook
	creator=$!
	[ "$(status_of "$ID")" = creating ]
	nacre delete --force "$ID"
	wait "$creator" || result=$?
	[ "$result" -ne 0 ]
	[ -z "$(nacre list -q)" ]
	wait_for 10 ended "$(cat "$T/hook-pid")"
}

@test "eight creates of one name: one wins, the others say why" {
	local i won=0 lost=0
	for i in 1 2 3 4 5 6 7 8; do
		detached bash -c 'nacre=$1 root=$2 id=$3 out=$4; "$nacre" --root "$root" create "$id" 2>"$out"; echo $? >"$out.status"' \
			- "$NACRE_BIN" "$ROOT" "$ID" "$T/out$i"
	done
	wait
	for i in 1 2 3 4 5 6 7 8; do
		if [ "$(cat "$T/out$i.status")" = 0 ]; then
			won=$((won + 1))
		else
			grep -q "container with id \"$ID\" already exists" "$T/out$i"
			lost=$((lost + 1))
		fi
	done
	[ "$won $lost" = "1 7" ]
	[ "$(status_of "$ID")" = created ]
	nacre start "$ID"
}

@test "two starts of one container: one wins, the other says why" {
	local i won=0
	args sleep 1000
	nacre create "$ID"
	for i in 1 2 3; do
		detached bash -c '"$1" --root "$2" start "$3" 2>"$4"; echo $? >"$4.status"' - "$NACRE_BIN" "$ROOT" "$ID" "$T/out$i"
	done
	wait
	for i in 1 2 3; do
		if [ "$(cat "$T/out$i.status")" = 0 ]; then won=$((won + 1)); else grep -q "cannot start" "$T/out$i"; fi
	done
	[ "$won" -eq 1 ]
	[ "$(status_of "$ID")" = running ]
}

@test "twenty containers made, started, killed and deleted at once" {
	local i n=20
	# A machine each is another matter.
	[ "${NACRE_ISOLATION-}" != microvm ] || n=4
	args sleep 1000
	for ((i = 1; i <= n; i++)); do
		detached timeout 120 bash -ec 'n() { "$nacre" --root "$root" "$@"; }
			nacre=$1 root=$2 id=$3
			n create "$id" </dev/null; n start "$id"; n kill "$id" KILL
			until n delete "$id" 2>/dev/null; do sleep 0.1; done; echo finished >"$4"' \
			- "$NACRE_BIN" "$ROOT" "$ID-$i" "$T/done$i"
	done
	wait
	[ "$(cat "$T"/done* | grep -c finished)" -eq "$n" ]
	[ -z "$(nacre list -q)" ]
}

@test "two containers from one bundle at once" {
	args sleep 1000
	nacre run -d "$ID"
	nacre run -d "$ID-b"
	nacre exec "$ID-b" true
}

# pidfd_receiver: listens at $T/pidfd and writes what it sees to $T/seen.
pidfd_receiver() {
	detached "$HELPERS/recvtty" -p "$T/pidfd" >"$T/seen"
	wait_for 5 test -S "$T/pidfd"
}

@test "--pidfd-socket: create and run send the process, exec its own" {
	args sleep 1000
	pidfd_receiver
	nacre create --pidfd-socket "$T/pidfd" "$ID"
	wait_for 5 grep -qx "pid $(pid_of "$ID")" "$T/seen"
	nacre start "$ID"
	rm "$T/pidfd"
	detached "$HELPERS/recvtty" -p "$T/pidfd" >"$T/seen2"
	wait_for 5 test -S "$T/pidfd"
	nacre exec --pidfd-socket "$T/pidfd" --pid-file "$T/pid" -d "$ID" sleep 1000
	wait_for 5 grep -qx "pid $(cat "$T/pid")" "$T/seen2"
	run ! grep -q ended "$T/seen" "$T/seen2"
	nacre kill "$ID" KILL
	wait_for 10 grep -q ended "$T/seen"
	wait_for 10 grep -q ended "$T/seen2"
}

@test "--pidfd-socket that nobody listens at: an error, nothing is left" {
	args sleep 1000
	refused 1 "cannot connect to the pidfd socket" create --pidfd-socket "$T/none" "$ID"
	refused 1 "cannot connect to the pidfd socket" run --pidfd-socket "$T/none" "$ID"
	assert_clean
}
