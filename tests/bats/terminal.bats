#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Terminals: nacre's own relay in the foreground, --console-socket for engines.

# Scripts in single quotes are for the container's shell, for jq or for another bash.
# shellcheck disable=SC2016
load helpers

# on_terminal STEP... -- ARG...: nacre ARG... on a fresh terminal (pty-run); without timeout(1), which would take the foreground.
on_terminal() {
	local steps=()
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	run --separate-stderr "$HELPERS/pty-run" "${steps[@]}" -- "$NACRE_BIN" --root "$ROOT" "$@"
	# For the message when the test fails.
	echo "status $status, shown: $output, stderr: ${stderr:-}"
}

terminal() { config '.process.terminal = true'; }

# An engine's end of --console-socket, in the background: $T/out has what it prints.
receiver() {
	detached "$HELPERS/recvtty" "$@" "$T/sock" >"$T/out"
	RECEIVER=$!
	wait_for 10 test -S "$T/sock"
}

says() { grep -q -- "$1" "$T/out"; }

cleanup() {
	[ -z "${RECEIVER:-}" ] || kill "$RECEIVER" 2>/dev/null || true
}

@test "run: output and exit status" {
	terminal
	sh_args 'echo hello; exit 7'
	on_terminal -- run "$ID"
	[ "$status" -eq 7 ]
	[ "$output" = $'hello\r' ]
}

@test "run: 128 + signal" {
	requires container
	terminal
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'kill -9 $$'
	on_terminal -- run "$ID"
	[ "$status" -eq 137 ]
}

@test "run: all three are the terminal, it is the controlling one, and /dev/console" {
	terminal
	sh_args 'for fd in 0 1 2; do test -t $fd || echo no $fd; done; tty; stat -c %r /dev/pts/0 /dev/console; echo to-tty >/dev/tty; echo to-console >/dev/console'
	on_terminal -- run "$ID"
	[ "$status" -eq 0 ]
	[[ "$output" != *no\ * ]]
	[[ "$output" == */dev/pts/0* ]]
	[[ "$output" == *to-tty* ]]
	[[ "$output" == *to-console* ]]
}

@test "run, exec: what goes to a file or a pipe has the line ends that the process wrote" {
	requires container
	terminal
	sh_args 'printf "one\ntwo\n"; stty -a 2>/dev/null | tr " " "\n" | grep onlcr; sleep 1000'
	nacre run "$ID" </dev/null >"$T/run-out" 2>&1 3>&- &
	wait_for 10 grep -q onlcr "$T/run-out"
	equals $'one\ntwo\n-onlcr' "$(cat "$T/run-out")"
	equals $'one\ntwo' "$(nacre exec -t "$ID" printf 'one\ntwo\n' </dev/null | cat)"
	nacre kill "$ID" KILL
	wait $! || true
	# On a terminal it is as ever, and so is what an engine gets by a socket.
	on_terminal -- run "$ID-2" >/dev/null &
	wait_for 10 has_status "$ID-2" running
	nacre exec "$ID-2" stty -F /dev/pts/0 -a >"$T/settings"
	nacre kill "$ID-2" KILL
	wait $! || true
	grep -q ' onlcr' "$T/settings"
}

@test "run: the terminal is a new one, of the container's own devpts" {
	terminal
	sh_args 'ls /dev/pts | tr "\n" " "'
	on_terminal -- run "$ID"
	[[ "$output" == "0 ptmx"* ]]
}

@test "run: the caller's size" {
	terminal
	args stty size
	on_terminal size=33x77 -- run "$ID"
	[ "$output" = $'33 77\r' ]
}

@test "run: a resize reaches the process as SIGWINCH with the new size" {
	terminal
	sh_args 'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.05; done'
	on_terminal size=24x80 wait=ready size=50x132 'wait=50 132' -- run "$ID"
	[ "$status" -eq 0 ]
}

@test "run: typed text reaches the process, once" {
	terminal
	sh_args 'echo ready; read line; echo "got <$line>"'
	on_terminal wait=ready 'send=typed text\n' 'wait=got <typed text>' -- run "$ID"
	[ "$status" -eq 0 ]
	# The echo of the container's terminal, not also of the outer one.
	[ "$(grep -o 'typed text' <<<"$output" | wc -l)" -eq 2 ]
}

@test "run: Ctrl-C reaches the process as SIGINT" {
	terminal
	sh_args 'trap "echo interrupted; exit 5" INT; echo ready; while :; do sleep 0.05; done'
	on_terminal wait=ready 'send=\x03' wait=interrupted -- run "$ID"
	[ "$status" -eq 5 ]
}

@test "run: Ctrl-\\ and Ctrl-D" {
	terminal
	sh_args 'trap "echo quit" QUIT; echo ready; cat; echo after; read x || echo eof'
	on_terminal wait=ready 'send=\x04' wait=after 'send=\x04' wait=eof -- run "$ID"
	[ "$status" -eq 0 ]
}

@test "run: bytes pass as they are when the process wants it raw" {
	terminal
	sh_args 'stty raw -echo; echo ready; dd bs=1 count=6 2>/dev/null | od -An -tx1'
	on_terminal wait=ready 'send=\x03\x04\x0d\x11\x13\xff' 'wait=03 04 0d 11 13 ff' -- run "$ID"
	[ "$status" -eq 0 ]
}

@test "run: a large output arrives whole, up to the last byte" {
	terminal
	sh_args 'stty -opost; seq 50000'
	on_terminal -- run "$ID" >/dev/null
	[ "$status" -eq 0 ]
	[ "$(printf '%s\n' "$output" | md5sum)" = "$(seq 50000 | md5sum)" ]
}

@test "run: a large input arrives whole" {
	terminal
	sh_args 'stty raw -echo; echo ready; head -c 20000 | md5sum; exit 0'
	on_terminal wait=ready "send=$(printf 'x%.0s' {1..20000})" "wait=$(printf 'x%.0s' {1..20000} | md5sum | cut -c1-32)" -- run "$ID"
	[ "$status" -eq 0 ]
}

@test "run: the caller's settings are restored" {
	terminal
	on_terminal settings -- run "$ID"
	[[ "$stderr" == *"settings kept"* ]]
}

@test "run: the caller's settings are restored when the container cannot be made" {
	terminal
	args nonesuch
	on_terminal settings -- run "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *"executable file not found"* ]]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "run: the caller's settings are restored when the process cannot be started" {
	terminal
	config '.hooks.startContainer = [{path: "/bin/false"}]'
	on_terminal settings -- run "$ID"
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "run: an error is readable: its line begins at the left" {
	terminal
	config '.hooks.poststart = [{path: "/bin/false"}]'
	args sleep 1000
	on_terminal settings -- run "$ID"
	[ "$status" -eq 1 ]
	[[ "$output" == *poststart* ]]
	[[ "$output" == *$'\r' ]]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "run: the caller's settings are restored when the process is killed" {
	requires container
	terminal
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sh_args 'stty raw; kill -KILL $$'
	on_terminal settings -- run "$ID"
	[ "$status" -eq 137 ]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "run: the caller's terminal is closed: the container's hangs up, run ends" {
	terminal
	sh_args 'echo ready; cat >/dev/null; exit 3'
	on_terminal limit=$((15 * ${PATIENCE:-1})) drop=ready -- run "$ID"
	[ "$status" -ne 124 ]
	refused 1 "does not exist" state "$ID"
}

# The signals of a hang-up are one thing, the end of the terminal itself another: who ignores the one sees the other.
# No newline: the output comes in one piece, and none comes after the end that would be told of it.
@test "run: the caller's terminal is closed: a process that ignores SIGHUP reads the end of input" {
	terminal
	sh_args 'trap "" HUP; stty -echo; printf ready; cat >/dev/null; exit 3'
	on_terminal limit=$((15 * ${PATIENCE:-1})) drop=ready -- run "$ID"
	[ "$status" -eq 3 ]
}

@test "exec -t: the caller's terminal is closed: a process that ignores SIGHUP reads the end of input" {
	sh_args 'exec sleep 1000'
	nacre run -d "$ID"
	on_terminal limit=$((15 * ${PATIENCE:-1})) drop=ready -- exec -t "$ID" sh -c 'trap "" HUP; stty -echo; printf ready; cat >/dev/null; exit 3'
	[ "$status" -eq 3 ]
}

@test "run: stdin and stdout that are no terminals are relayed" {
	terminal
	sh_args 'stty -echo -opost; echo ready; read line; echo "got $line"'
	run nacre run "$ID" <<<'a line'
	[ "$status" -eq 0 ]
	[[ "$output" == *"got a line"* ]]
}

@test "run: stdin at its end does not make run spin or end the process" {
	terminal
	sh_args 'sleep 0.3; echo still; exit 6'
	run nacre run "$ID" </dev/null
	[ "$status" -eq 6 ]
	[[ "$output" == *still* ]]
}

@test "run: the reader of stdout goes away: run ends" {
	terminal
	args yes
	run timeout 15 bash -c '"$0" --root "$1" run "$2" </dev/null | head -1' "$NACRE_BIN" "$ROOT" "$ID"
	[ "$status" -ne 124 ]
}

@test "run: background processes that keep the terminal do not keep run" {
	terminal
	sh_args 'sleep 1000 & exit 4'
	on_terminal limit=$((20 * ${PATIENCE:-1})) -- run "$ID"
	[ "$status" -eq 4 ]
}

@test "run: consoleSize is what counts before the caller's size is known" {
	terminal
	config '.process.consoleSize = {height: 11, width: 44}'
	args stty size
	run nacre run "$ID" </dev/null
	[ "${output%$'\r'}" = "11 44" ]
}

@test "consoleSize without a terminal is ignored" {
	config '.process.consoleSize = {height: 11, width: 44}'
	sh_args 'test -t 0 || test -t 1 || echo none'
	run -0 nacre run "$ID" </dev/null
	[ "$output" = none ]
}

@test "run: the terminal belongs to the user of the process" {
	terminal
	config '.process.user = {uid: 1000, gid: 1000}'
	sh_args 'stat -c %u "$(tty)"; echo ok >/dev/tty; : </dev/stdin; echo out >/dev/stdout'
	on_terminal -- run "$ID"
	[ "$status" -eq 0 ]
	[ "$output" = $'1000\r\nok\r\nout\r' ]
}

@test "create --console-socket: the terminal's master is there when create returns" {
	terminal
	sh_args 'echo from-inside'
	receiver -w
	nacre create --console-socket "$T/sock" "$ID"
	kill -USR1 "$RECEIVER"
	wait "$RECEIVER"
	[ "$(cat "$T/out")" = received ]
}

@test "create --console-socket: output, input, consoleSize" {
	terminal
	config '.process.consoleSize = {height: 37, width: 91}'
	sh_args 'stty size; read x; echo "got $x"'
	receiver -s -i 'typed\n'
	nacre create --console-socket "$T/sock" "$ID"
	nacre start "$ID"
	wait_for 10 says 'got typed'
	[ "$(head -1 "$T/out")" = "size 37 91" ]
	says '37 91'
	wait "$RECEIVER"
}

@test "create --console-socket=: the size is the receiver's to change" {
	terminal
	args stty size
	receiver -r 12x34
	nacre create "--console-socket=$T/sock" "$ID"
	nacre start "$ID"
	wait_for 10 says '12 34'
}

@test "create --console-socket: a path longer than a socket's name" {
	terminal
	args echo far
	receiver
	mkdir -p "$T/$(printf 'd%.0s' {1..150})"
	mv "$T/sock" "$T/$(printf 'd%.0s' {1..150})/sock"
	nacre create --console-socket "$T/$(printf 'd%.0s' {1..150})/sock" "$ID"
	nacre start "$ID"
	wait_for 10 says far
}

@test "create --console-socket: relative to the working directory" {
	terminal
	args echo near
	receiver
	cd "$T"
	nacre create -b bundle --console-socket sock "$ID"
	nacre start "$ID"
	wait_for 10 says near
}

@test "create --console-socket: no such socket, nobody listens, no socket" {
	terminal
	refused 1 "console socket \"$T/none\"" create --console-socket "$T/none" "$ID"
	touch "$T/file"
	refused 1 "console socket \"$T/file\"" create --console-socket "$T/file" "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "create, run -d: a terminal without --console-socket is refused" {
	terminal
	refused 1 "console-socket" create "$ID"
	refused 1 "console-socket" run -d "$ID"
	[ -z "$(nacre list -q)" ]
}

@test "create, run: --console-socket without a terminal is refused" {
	refused 1 "process.terminal" create --console-socket "$T/sock" "$ID"
	refused 1 "process.terminal" run --console-socket "$T/sock" "$ID"
}

@test "run -d --console-socket" {
	terminal
	sh_args 'echo detached; sleep 1000'
	receiver
	nacre run -d --console-socket "$T/sock" "$ID"
	wait_for 10 says detached
	[ "$(status_of "$ID")" = running ]
}

@test "run --console-socket in the foreground: the receiver has the terminal, run the status" {
	terminal
	sh_args 'echo over-there; exit 5'
	receiver
	run nacre run --console-socket "$T/sock" "$ID"
	[ "$status" -eq 5 ]
	[ -z "$output" ]
	wait_for 10 says over-there
}

@test "the receiver closes the terminal: the process gets SIGHUP" {
	terminal
	sh_args 'trap "exit 3" HUP; echo ready; while :; do sleep 0.05; done'
	receiver
	nacre run -d --console-socket "$T/sock" "$ID"
	wait_for 10 says ready
	kill -KILL "$RECEIVER"
	wait_for 10 has_status "$ID" stopped
}

@test "exec -t: output, status, size" {
	run_sleeping
	on_terminal size=20x60 -- exec -t "$ID" sh -c 'tty; stty size; exit 9'
	[ "$status" -eq 9 ]
	[[ "$output" == *pts/*20\ 60* ]]
}

@test "exec -t: the size is set before the process can ask for it" {
	requires strace
	run_sleeping
	run -0 timeout "$NACRE_TIMEOUT" env "${TRACED[@]}" "$HELPERS/pty-run" size=20x60 -- \
		strace -o "$T/trace" -e trace=ioctl -e inject=ioctl:delay_enter=300000 "$NACRE_BIN" --root "$ROOT" exec -t "$ID" stty size
	[[ "$output" == *20\ 60* ]]
}

@test "exec -t: Ctrl-C, resize, restored settings" {
	run_sleeping
	on_terminal settings size=20x60 wait=ready size=21x61 'wait=21 61' 'send=\x03' wait=interrupted -- exec --tty "$ID" \
		sh -c 'trap "stty size" WINCH; trap "echo interrupted; exit 4" INT; echo ready; while :; do sleep 0.05; done'
	[ "$status" -eq 4 ]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "exec -t: settings restored when it cannot be started" {
	run_sleeping
	on_terminal settings -- exec -t "$ID" nonesuch
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"settings kept"* ]]
}

@test "exec without -t has no terminal, although the container has" {
	terminal
	sh_args 'echo up; sleep 1000'
	receiver
	nacre run -d --console-socket "$T/sock" "$ID"
	run nacre exec "$ID" sh -c 'test -t 1 || echo none'
	[ "$output" = none ]
}

@test "exec --process with terminal" {
	run_sleeping
	jq '.process | .terminal = true | .args = ["sh", "-c", "test -t 0 && exit 8"] | .consoleSize = {height: 5, width: 6}' config.json >"$T/p.json"
	on_terminal -- exec --process "$T/p.json" "$ID"
	[ "$status" -eq 8 ]
}

@test "exec --detach --console-socket" {
	run_sleeping
	receiver -s
	jq '.process | .terminal = true | .args = ["sh", "-c", "echo in-exec; sleep 1000"] | .consoleSize = {height: 5, width: 6}' config.json >"$T/p.json"
	nacre exec --detach --console-socket "$T/sock" --pid-file "$T/pid" --process "$T/p.json" "$ID"
	[ -d "/proc/$(cat "$T/pid")" ]
	wait_for 10 says in-exec
	says 'size 5 6'
}

@test "exec -d -t --console-socket, as conmon-rs" {
	run_sleeping
	receiver
	nacre exec -d "--console-socket=$T/sock" --tty "--pid-file=$T/pid" "$ID" echo rs
	wait_for 10 says rs
}

@test "exec --detach with a terminal and without --console-socket is refused" {
	run_sleeping
	refused 255 "console-socket" exec -t -d "$ID" true
	jq '.process | .terminal = true' config.json >"$T/p.json"
	refused 255 "console-socket" exec -d -p "$T/p.json" "$ID"
}

@test "exec --console-socket without a terminal is refused" {
	run_sleeping
	refused 255 "terminal" exec --console-socket "$T/sock" "$ID" true
}

@test "exec --console-socket: nobody listens: no pid file, no process" {
	run_sleeping
	refused 255 "console socket" exec -d -t --console-socket "$T/none" --pid-file "$T/pid" "$ID" sleep 1000
	[ ! -e "$T/pid" ]
	[ "$(nacre ps --format json "$ID" | jq length)" = 1 ]
}
