#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What engines call, to the letter: the life of a container each, with the forms and the order of their words, the
# environment they give, and what they read from the answers. What a command does otherwise is in its own file.

# Scripts in single quotes are for jq, for the container's shell or for another bash. bats sets $stderr.
# shellcheck disable=SC2016,SC2154
load helpers

setup() {
	common_setup
	requires container
	jq '.process | .args = ["sh", "-c", "echo in; exit 9"]' config.json >"$T/exec.json"
	jq '.process | .args = ["no-such-program"]' config.json >"$T/exec-none.json"
	jq '.process | .args = ["sleep", "1000"] | .terminal = true' config.json >"$T/exec-tty.json"
	echo '{"unified": {"cgroup.max.descendants": "7"}}' >"$T/resources.json"
	ENVIRONMENT=(PATH="$PATH")
}

cleanup() { [ -z "${RECEIVER-}" ] || kill "$RECEIVER" 2>/dev/null || true; }

# rt WORD...: the runtime, with ENVIRONMENT and nothing else.
rt() { timeout -k 5 "$NACRE_TIMEOUT" env -i "${ENVIRONMENT[@]}" "$NACRE_BIN" "$@"; }

# fails STATUS WORD...: rt, whose standard error is then in $T/stderr; its standard output is empty.
fails() {
	local want=$1 got=0
	shift
	rt "$@" >"$T/stdout" 2>"$T/stderr" </dev/null || got=$?
	equals "$want" "$got"
	equals "" "$(cat "$T/stdout")"
}

# matches REGEX: as Go's (?i) does.
matches() { grep -qiE -- "$1" "$T/stderr" || { echo "says: $(cat "$T/stderr")"; return 1; }; }

# The whole log by one json.Unmarshal (podman, conmon).
one_error() { jq -se 'length == 1 and (.[0] | .level == "error" and (keys == ["level", "msg", "time"]))' "$1" >/dev/null || { cat "$1"; return 1; }; }

# The last object that is an error (go-runc); Go's time.Time takes RFC 3339 only.
last_error() { jq -rs '[.[] | select(.level == "error" and (.time | test("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:\\d\\d)$")))] | last.msg' "$1"; }

terminal_receiver() {
	detached "$HELPERS/recvtty" "$T/tty" >"$T/typed"
	RECEIVER=$!
	wait_for 10 test -S "$T/tty"
}

is_stopped() { rt "$@" state "$ID" | jq -e '.status == "stopped"' >/dev/null; }

# own_run FUNCTION: on a /run of its own, for engines that name no --root.
own_run() {
	# shellcheck disable=SC2163
	export -f rt fails matches one_error is_stopped equals wait_for "$1"
	# An array is not exported.
	in_mount_ns "set -E; trap 'echo \"\$BASH_COMMAND: failed\"' ERR
		$(declare -p ENVIRONMENT)
		mount -t tmpfs -o mode=755 none /run; $1"
}

#
# conmon and podman: no --root; errors by the log, which is one object, or by standard error; success of an exec by its pid file.
#

podman_life() {
	local log=(--log-format=json --log "$T/oci-log")
	local conmon=(XDG_RUNTIME_DIR= _OCI_SYNCPIPE=3 _OCI_STARTPIPE=4 _CONTAINERS_USERNS_CONFIGURED= HOME=/root)
	ENVIRONMENT=("${conmon[@]}")
	rt "${log[@]}" create --bundle "$BUNDLE" --pid-file "$T/pidfile" --no-new-keyring "$ID"
	grep -qxE '[0-9]+' "$T/pidfile"
	ENVIRONMENT=(XDG_RUNTIME_DIR= PATH="$PATH")
	rt start "$ID"
	rt update --resources="$T/resources.json" "$ID"
	ENVIRONMENT=("${conmon[@]}")
	rt "${log[@]}" exec --pid-file "$T/exec-pid" --process "$T/exec.json" --detach --preserve-fds 0 "$ID"
	grep -qxE '[0-9]+' "$T/exec-pid"
	[ ! -s "$T/oci-log" ]
	fails 255 "${log[@]}" exec --pid-file "$T/none-pid" --process "$T/exec-none.json" --detach "$ID"
	[ ! -e "$T/none-pid" ]
	one_error "$T/oci-log"
	ENVIRONMENT=(XDG_RUNTIME_DIR=)
	rt pause "$ID"
	rt resume "$ID"
	rt kill "$ID" 15
	rt kill --all "$ID" 9
	wait_for 10 is_stopped
	rt delete --force "$ID"
	rt delete --force "$ID"
	[ -z "$(ls /run/nacre)" ]
}

@test "podman and conmon" {
	requires root cgroup
	args sleep 1000
	own_run podman_life
}

# podman: the first expression that a failed create's log matches gives the exit status.
podman_status() {
	case $(jq -r '.msg | ascii_downcase' "$1") in
	*"permission denied"* | *"operation not permitted"*) echo 126 ;;
	*"executable file not found in"* | *"no such file or directory"* | *"open executable"*) echo 127 ;;
	*) echo 125 ;;
	esac
}

@test "podman: 126 and 127 by the words of a failed create, one object each" {
	local row
	for row in '127 .process.args = ["no-such-program"]' '127 .process.args = ["/no/such"]' '126 .process.args = ["/etc/passwd"]' \
		'126 .process.args = ["/etc"]' \
		'127 .mounts += [{destination: "/mnt", source: "/no/such", options: ["bind"]}]' '125 .hostname = "x" | .linux.namespaces -= [{type: "uts"}]'; do
		cp "$BATS_FILE_TMPDIR/config.json" .
		rm -f "$T/log"
		config "${row#* }"
		fails 1 --root "$ROOT" --log-format=json --log "$T/log" create --bundle "$BUNDLE" --pid-file "$T/pid" "$ID"
		one_error "$T/log"
		equals "${row%% *} $row" "$(podman_status "$T/log") $row"
		[ ! -e "$T/pid" ]
	done
}

# docker's client, which tells large letters from small ones.
docker_status() {
	case $(jq -r .msg "$1") in
	*"executable file not found"* | *"no such file or directory"*) echo 127 ;;
	*"permission denied"*) echo 126 ;;
	*) echo 125 ;;
	esac
}

@test "docker: 126 and 127 by the words of a failed create" {
	local row
	for row in '127 no-such-program' '127 /no/such' '126 /etc/passwd' '126 /etc'; do
		cp "$BATS_FILE_TMPDIR/config.json" .
		rm -f "$T/log"
		config --arg a "${row#* }" '.process.args = [$a]'
		fails 1 --root "$ROOT" --log-format=json --log "$T/log" create --bundle "$BUNDLE" --pid-file "$T/pid" "$ID"
		equals "$row" "$(docker_status "$T/log") ${row#* }"
	done
}

@test "podman: both probes say that there is no checkpoint and no restore" {
	# Status 0 would be a yes.
	run ! rt checkpoint --help
	fails 1 restore --lsm-mount-context
	run ! matches 'flag needs an argument|requires an argument'
}

@test "podman: version, as podman info shows it" {
	equals "nacre version $(cat "$NACRE_TESTS/../runtime/VERSION")" "$(env -i "$NACRE_BIN" --version | head -n 1)"
}

#
# CRI-O: conmon with --root=DIR, its own calls with both forms.
#

@test "CRI-O" {
	requires cgroup
	local r=(--root="$ROOT")
	ENVIRONMENT=(XDG_RUNTIME_DIR=/run/user/0 PATH="$PATH")
	rt features | jq -e '(.mountOptions | index("rro")) and .linux.mountExtensions.idmap.enabled' >/dev/null
	args sigreport
	rt "${r[@]}" create --bundle "$BUNDLE" --pid-file "$T/pidfile" "$ID" >"$T/out"
	rt "${r[@]}" state "$ID" | jq -e '.status == "created" and (.created | fromdateiso8601? // test("^\\d{4}-.*Z$"))' >/dev/null
	rt "${r[@]}" start "$ID"
	wait_for 10 grep -q ready "$T/out"
	equals "$(cat "$T/pidfile") running" "$(rt "${r[@]}" state "$ID" | jq -r '"\(.pid) \(.status)"')"
	# Not detached.
	run -9 rt "${r[@]}" exec --process "$T/exec.json" "$ID"
	equals in "$output"
	rt --root "$ROOT" update --resources - "$ID" <"$T/resources.json"
	rt "${r[@]}" pause "$ID"
	equals paused "$(rt "${r[@]}" state "$ID" | jq -r .status)"
	rt "${r[@]}" resume "$ID"
	rt "${r[@]}" kill "$ID" SIGRTMIN+3
	wait_for 10 grep -qx 'RTMIN+3' "$T/out"
	rt "${r[@]}" kill "$ID" TERM
	wait_for 10 grep -qx TERM "$T/out"
	rt "${r[@]}" kill "$ID" KILL
	wait_for 10 is_stopped "${r[@]}"
	fails 1 "${r[@]}" kill "$ID" KILL
	matches 'no such process|container not running|invalid process'
	rt "${r[@]}" kill -a "$ID" 9
	fails 255 "${r[@]}" exec --process "$T/exec.json" "$ID"
	matches 'no such process|container not running|invalid process'
	rt "${r[@]}" delete --force "$ID"
	fails 1 "${r[@]}" state "$ID"
}

@test "CRI-O: the runtime is born in a cgroup for it; what it executes is in the container's" {
	requires root cgroup cgroupfs
	local cgroup
	run_sleeping
	jq '.process | .args = ["cat", "/proc/self/cgroup"]' config.json >"$T/exec.json"
	cgroup=$(cgroup_mount)/exec-$ID
	mkdir "$cgroup"
	# A shell that goes there, and becomes the runtime.
	run -0 bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$NACRE_BIN" --root="$ROOT" exec --process "$T/exec.json" "$ID"
	rmdir "$cgroup"
	equals 0::/ "${lines[-1]}"
}

#
# containerd's shim (go-runc): each call with --root, --log and --log-format json; errors from the log's last object.
#

@test "containerd's shim" {
	requires cgroup
	local file=$BUNDLE/log.json
	shim() { rt --root "$ROOT/k8s.io" --log "$file" --log-format json "$@"; }
	shim_fails() { fails "$1" --root "$ROOT/k8s.io" --log "$file" --log-format json "${@:2}"; }
	ENVIRONMENT=(PATH="$PATH" GOMAXPROCS=2 GRPC_ADDRESS=/run/containerd/containerd.sock)
	args sleep 1000
	shim create --bundle "$BUNDLE" --pid-file "$BUNDLE/init.pid" --no-new-keyring "$ID"
	shim start "$ID"
	shim exec --process "$T/exec.json" --detach --pid-file "$BUNDLE/one.pid" "$ID"
	grep -qxE '[0-9]+' "$BUNDLE/one.pid"
	terminal_receiver
	shim exec --process "$T/exec-tty.json" --console-socket "$T/tty" --detach --pid-file "$BUNDLE/two.pid" "$ID"
	# A list of ints, into []int.
	shim ps --format json "$ID" | jq -e --argjson two "$(cat "$BUNDLE/two.pid")" 'all(type == "number") and index($two) != null' >/dev/null
	shim pause "$ID"
	shim resume "$ID"
	shim update --resources=- "$ID" <"$T/resources.json"
	[ ! -s "$file" ]
	shim_fails 255 exec --process "$T/exec-none.json" --detach --pid-file "$BUNDLE/three.pid" "$ID"
	[[ "$(last_error "$file")" == *'"no-such-program": executable file not found in $PATH'* ]]
	shim_fails 1 delete "$ID"
	shim kill --all "$ID" 9
	wait_for 10 is_stopped --root "$ROOT/k8s.io"
	shim_fails 1 kill "$ID" 9
	[[ "$(last_error "$file")" == *"container not running"* ]]
	shim kill --all "$ID" 9
	shim delete "$ID"
	# Each failure has added its object, no success has.
	equals "3 error" "$(jq -rs '"\(length) \(map(.level) | unique[])"' "$file")"
	shim_fails 1 delete "$ID"
	[[ "$(last_error "$file")" == *"does not exist"* ]]
	shim_fails 1 kill "$ID" 9
	[[ "$(last_error "$file")" == *"does not exist"* ]]
	shim delete --force "$ID"
	rmdir "$ROOT/k8s.io"
}

@test "containerd's shim: a failed create: the log has the reason, --force clears" {
	args no-such-program
	fails 1 --root "$ROOT" --log "$BUNDLE/log.json" --log-format json create --bundle "$BUNDLE" --pid-file "$BUNDLE/init.pid" "$ID"
	[[ "$(last_error "$BUNDLE/log.json")" == *"executable file not found"* ]]
	rt --root "$ROOT" --log "$BUNDLE/log.json" --log-format json delete --force "$ID"
	equals 1 "$(jq -s length "$BUNDLE/log.json")"
}

# go-runc's restore has its last option so. There is no restore yet; the others that have it take it, too.
@test "containerd's shim: -no-subreaper, with one dash" {
	local words
	for words in "run --detach" create; do
		# shellcheck disable=SC2086
		rt --root "$ROOT" $words --pid-file "$T/pid" -no-subreaper --bundle "$BUNDLE" "$ID"
		rt --root "$ROOT" delete --force "$ID"
	done
}

#
# moby: two calls of its own, without options.
#

@test "moby: name, version and commit out of --version; features" {
	local name version commit line
	while read -r line; do
		case $line in
		*version*) name=${line%%version*} version=${line#*version } ;;
		commit:*) commit=${line#commit: } ;;
		esac
	done < <(rt --version)
	equals "nacre " "$name"
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]]
	[ -n "$commit" ]
	rt features 2>"$T/stderr" | jq -e '.ociVersionMin and .ociVersionMax' >/dev/null
	[ ! -s "$T/stderr" ]
}

#
# buildkit (go-runc): run in the foreground is the container; others ask for it meanwhile.
#

@test "buildkit" {
	local pid result=0
	kit() { rt --root "$ROOT" --log "$T/runc-log.json" --log-format json "$@"; }
	kit_runs() { kit state "$ID" 2>/dev/null | jq -e '.status == "running"' >/dev/null; }
	sh_args 'echo begun; cat; exec sleep 1000'
	echo input >"$T/in"
	# setsid: go-runc starts it as a process group of its own.
	detached timeout 60 bash -c 'exec setsid env -i PATH="$PATH" "${@:2}" <"$1"' - "$T/in" "$NACRE_BIN" --root "$ROOT" \
		--log "$T/run-log.json" --log-format json run --bundle "$BUNDLE" --keep "$ID" >"$T/out" 2>"$T/err"
	pid=$!
	wait_for 10 kit_runs
	run -9 kit exec --process "$T/exec.json" --pid-file "$T/pid" "$ID"
	equals in "$output"
	wait_for 10 grep -qx input "$T/out"
	kit kill "$ID" 9
	wait "$pid" || result=$?
	equals 137 "$result"
	equals "begun input " "$(cat "$T/out" "$T/err" | tr '\n' ' ')"
	[ ! -s "$T/run-log.json" ]
	kit delete "$ID"
}

#
# buildah: no --root, asks for the state every 100 ms, takes any word but four for an error; kill without a signal.
#

buildah_life() {
	local status last=
	rt create --bundle "$BUNDLE" --pid-file "$T/pidfile" "$ID"
	rt start "$ID"
	rt kill "$ID"
	for ((i = 0; i < 100; i++)); do
		status=$(rt state "$ID" | jq -r .status)
		case $status in
		creating | created | running | stopped) ;;
		*) return 1 ;;
		esac
		[ "$status" = "$last" ] || echo "$status"
		last=$status
		[ "$status" != stopped ] || break
		sleep 0.1
	done
	rt delete "$ID"
	fails 1 state "$ID"
	matches 'does not exist'
}

@test "buildah" {
	requires root
	sh_args 'trap "sleep 0.5; exit 3" TERM; while :; do sleep 0.1; done'
	run -0 own_run buildah_life
	equals "running stopped" "${lines[*]}"
}

#
# conmon-rs: --root=DIR, and = everywhere; an exec's command stands after the ID.
#

@test "conmon-rs" {
	config '.process.terminal = true'
	args sleep 1000
	detached "$HELPERS/recvtty" "$T/tty" >"$T/typed"
	RECEIVER=$!
	wait_for 10 test -S "$T/tty"
	rt --root="$ROOT" create --bundle "$BUNDLE" --pid-file "$T/pid" --console-socket="$T/tty" "$ID"
	rt --root="$ROOT" start "$ID"
	kill "$RECEIVER"
	rm "$T/tty"
	terminal_receiver
	rt --root="$ROOT" exec -d --console-socket="$T/tty" --tty --pid-file="$T/exec-pid" "$ID" sh -c 'echo on a terminal'
	wait_for 10 grep -q 'on a terminal' "$T/typed"
	rt --root="$ROOT" exec -d --pid-file="$T/exec-pid2" "$ID" true
	grep -qxE '[0-9]+' "$T/exec-pid2"
	run -1 rt --root="$ROOT" --log=journald:"$ID" --log-level=warning state "$ID-none"
	rt --root="$ROOT" kill "$ID" 9
	wait_for 10 is_stopped --root="$ROOT"
	rt --root="$ROOT" delete --force "$ID"
}
