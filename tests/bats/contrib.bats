#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# contrib/engines and contrib/systemd, as they are: they parse, they name what `make install` puts there, and the units are
# started where systemd is the init. podman's file is what tests/engines runs with; README.md there says what nobody ran.
# shellcheck disable=SC2016 # scripts in single quotes are the container's, or another shell's

load helpers

TOP=$NACRE_TESTS/..
ENGINES=$TOP/contrib/engines
UNITS=$TOP/contrib/systemd
USER_ID=4321

# Debian's, which has the modules.
python() { /usr/bin/python3 "$@"; }
toml() { python -c 'import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], "rb"))))' "$1"; }
yaml() { python -c 'import json, sys, yaml; [print(json.dumps(d)) for d in yaml.safe_load_all(open(sys.argv[1]))]' "$1"; }

# "NAME PATH" of both programs, sorted: what make installs, without making it.
installed() {
	make -s -n -C "$TOP" install DESTDIR= PREFIX=/usr/local | sed -n 's,.* \(/usr/local/bin/\)\(nacre[a-z-]*\)$,\2 \1\2,p' | sort
}

@test "docker, containerd, CRI-O, podman: both programs under their names, where make install puts them" {
	requires /usr/bin/python3 make
	python -c 'import tomllib' || skip "this Python has no tomllib (3.11 has)"
	local want
	want=$(installed)
	equals $'nacre /usr/local/bin/nacre\nnacre-vm /usr/local/bin/nacre-vm' "$want"
	equals "$want" "$(jq -r '.runtimes | to_entries[] | "\(.key) \(.value.path)"' "$ENGINES/docker/daemon.json" | sort)"
	equals "$want" "$(toml "$ENGINES/containerd/nacre.toml" | jq -r '.plugins["io.containerd.grpc.v1.cri"].containerd.runtimes | to_entries[]
		| select(.value.runtime_type == "io.containerd.runc.v2") | "\(.key) \(.value.options.BinaryName)"' | sort)"
	equals 2 "$(toml "$ENGINES/containerd/nacre.toml" | jq .version)"
	equals "$want" "$(toml "$ENGINES/crio/10-nacre.conf" | jq -r '.crio.runtime.runtimes | to_entries[]
		| select(.value.runtime_type == "oci") | "\(.key) \(.value.runtime_path)"' | sort)"
	equals "$want" "$(toml "$ENGINES/podman/nacre.conf" | jq -r '.engine.runtimes | to_entries[] | "\(.key) \(.value[0])"' | sort)"
}

@test "Kubernetes: a RuntimeClass each, whose handler the nodes know" {
	requires /usr/bin/python3
	python -c 'import yaml' || skip "python3-yaml is not installed"
	equals $'nacre\nnacre-vm' "$(yaml "$ENGINES/kubernetes/runtimeclass.yaml" |
		jq -r 'select(.apiVersion == "node.k8s.io/v1" and .kind == "RuntimeClass" and .metadata.name == .handler) | .handler')"
}

@test "podman reads its file" {
	requires root podman
	equals "nacre $T/usr/nacre" "$(sed "s,/usr/local/bin,$T/usr,g" "$ENGINES/podman/nacre.conf" >"$T/c.conf"
		mkdir "$T/usr" && cp "$NACRE_BIN" "$T/usr" && cd "$T" && CONTAINERS_CONF=$T/c.conf podman --root "$T/storage" --runroot "$T/run" --runtime nacre \
			info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}')"
	umount "$T/storage/overlay" 2>/dev/null || true
}

# with_installed SCRIPT: nacre is at its place, in a mount namespace.
with_installed() { UNITS=$UNITS in_mount_ns "mount -t tmpfs none /usr/local/bin; cp \"\$NACRE_BIN\" /usr/local/bin/nacre; $1"; }

@test "systemd-analyze has nothing to say of the units" {
	requires root systemd-analyze
	export UNITS
	run -0 with_installed 'for unit in "$UNITS"/*.service; do systemd-analyze verify --man=no "$unit"; done
		mkdir "$T/run" && export XDG_RUNTIME_DIR=$T/run HOME=$T
		for unit in "$UNITS"/user/*.service; do systemd-analyze verify --user --man=no "$unit"; done'
	equals "" "$output"
	# It does look.
	run ! systemd-analyze verify --man=no <(:)
}

#
# The units, started.
#

# Only the test host is ours to change.
prepare_units() {
	requires systemd container
	[ -n "${NACRE_TEST_HOST-}" ] || skip "would install units on this machine (see the test host)"
	install "$NACRE_BIN" /usr/local/bin/nacre
	cp "$UNITS"/*.service /etc/systemd/system
	systemctl daemon-reload
	NAME=t$BATS_TEST_NUMBER
	mkdir -p /var/lib/nacre
	ln -sfn "$BUNDLE" "/var/lib/nacre/$NAME"
}

cleanup() {
	[ -n "${NAME-}" ] || return 0
	systemctl stop --no-block "nacre*@$NAME.service"
	# What runs in there need not heed SIGTERM, and the units give it 90 seconds.
	/usr/local/bin/nacre kill "$NAME" KILL 2>/dev/null || true
	systemctl stop "nacre*@$NAME.service"
	rm -f /etc/systemd/system/nacre*@.service /usr/local/bin/nacre "/var/lib/nacre/$NAME"
	systemctl daemon-reload
	[ ! -e "/run/nacre/$NAME" ]
}

property() { systemctl show -P "$2" "$1"; }
container_state() { /usr/local/bin/nacre state "$NAME" | jq -r .status; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }

@test "nacre@: started, limited in its scope, stopped by the process' own SIGTERM handler" {
	prepare_units
	config '.linux.resources.pids.limit = 42 | .root.readonly = false'
	sh_args 'trap "echo term >/tmp/end; exit 0" TERM; while :; do sleep 0.1; done'
	systemctl start "nacre@$NAME"
	wait_for 20 is_active "nacre-$NAME.scope"
	wait_for 10 equals running "$(container_state)"
	equals 42 "$(cat "/sys/fs/cgroup/system.slice/nacre-$NAME.scope/pids.max")"
	systemctl stop "nacre@$NAME"
	equals term "$(cat rootfs/tmp/end)"
	equals "inactive success" "$(property "nacre@$NAME" ActiveState) $(property "nacre@$NAME" Result)"
	[ ! -e "/run/nacre/$NAME" ]
}

@test "nacre@: whoever is killed, systemd starts it again, once nothing of it is left" {
	prepare_units
	args sleep 1000
	systemctl start "nacre@$NAME"
	wait_for 20 is_active "nacre-$NAME.scope"
	first=$(/usr/local/bin/nacre state "$NAME" | jq .pid)
	kill -KILL "$(property "nacre@$NAME" MainPID)"
	other_runs() { [ "$(/usr/local/bin/nacre state "$NAME" 2>/dev/null | jq -r "select(.status == \"running\" and .pid != $first).status")" = running ]; }
	wait_for 30 other_runs
	[ ! -e "/proc/$first" ]
}

@test "nacre-notify@: active when the container says so, not before" {
	prepare_units
	sh_args 'until [ -e /tmp/go ]; do sleep 0.1; done; notify READY=1; sleep 1000'
	config '.root.readonly = false'
	systemctl start --no-block "nacre-notify@$NAME"
	wait_for 20 is_active "nacre-$NAME.scope"
	sleep 1
	equals activating "$(property "nacre-notify@$NAME" ActiveState)"
	touch rootfs/tmp/go
	wait_for 20 is_active "nacre-notify@$NAME"
}

@test "nacre-delegated@: in the unit's cgroup, under its limits" {
	prepare_units
	sh_args 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max /proc/self/cgroup >/tmp/seen; sleep 1000'
	config '.root.readonly = false'
	systemctl start "nacre-delegated@$NAME"
	wait_for 20 grep -q '^0::' rootfs/tmp/seen
	equals "100 268435456 0::/" "$(paste -sd ' ' rootfs/tmp/seen)"
	systemctl set-property --runtime "nacre-delegated@$NAME" TasksMax=77
	equals 77 "$(/usr/local/bin/nacre exec "$NAME" cat /sys/fs/cgroup/pids.max)"
}

user_systemctl() { setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups env XDG_RUNTIME_DIR="/run/user/$USER_ID" HOME="$T/home" systemctl --user "$@"; }

@test "user/nacre@: by a user's own systemd, limited" {
	prepare_units
	local home=$T/home scope=/sys/fs/cgroup/user.slice/user-$USER_ID.slice/user@$USER_ID.service/user.slice/nacre-$NAME.scope
	chmod 755 "$T"
	# PAM wants an account that is not expired.
	echo "nt:x:$USER_ID:$USER_ID::$home:/bin/sh" >>/etc/passwd
	echo "nt:*:19000::::::" >>/etc/shadow
	mkdir -p "$home/.config/systemd/user" "$home/.local/share/nacre"
	cp "$UNITS"/user/*.service "$home/.config/systemd/user"
	ln -s "$BUNDLE" "$home/.local/share/nacre/$NAME"
	rm config.json
	nacre spec --rootless -b "$BUNDLE"
	config ".process.terminal = false | .linux.uidMappings[0].hostID = $USER_ID | .linux.gidMappings[0].hostID = $USER_ID | .linux.resources.pids.limit = 42"
	args sleep 1000
	chown -R "$USER_ID:$USER_ID" "$home"
	systemctl start "user@$USER_ID"
	user_systemctl start "nacre@$NAME" || { user_systemctl status "nacre@$NAME"; journalctl -n 20; false; }
	wait_for 20 test -e "$scope/pids.max"
	equals 42 "$(cat "$scope/pids.max")"
	wait_for 20 test -d "/run/user/$USER_ID/nacre/$NAME"
	user_systemctl stop "nacre@$NAME"
	[ ! -e "/run/user/$USER_ID/nacre/$NAME" ]
	systemctl stop "user@$USER_ID"
}
