# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# podman without root: a user of ours, with ids of its own in /etc/subuid, and where systemd is the init with a systemd of its
# own, which gives the containers their cgroups.

engine_user=4321

engine_missing() {
	command -v podman >/dev/null || { echo "podman is not installed" && return; }
	command -v newuidmap >/dev/null || { echo "newuidmap is not installed (package uidmap)" && return; }
	unshare -U true 2>/dev/null || { echo "user namespaces are switched off" && return; }
	[[ ! -d /run/systemd/system || -n ${NACRE_TEST_HOST-} ]] || echo "would make a user on this machine (see the test host)"
}

# add_line FILE LINE: in the test host to the file itself, since systemd has to see it; elsewhere in our mount namespace.
add_line() {
	if [[ ! -d /run/systemd/system ]]; then
		cp "$1" "$T/${1##*/}"
		mount --bind "$T/${1##*/}" "$1"
	fi
	echo "$2" >>"$1"
}

engine_begin() {
	local conf=$T/home/.config/containers/containers.conf.d
	mkdir -p "$conf" "$T/tmp"
	add_line /etc/passwd "engines:x:$engine_user:$engine_user::$T/home:/bin/bash"
	add_line /etc/group "engines:x:$engine_user:"
	# A systemd of the user's wants an account for PAM that is not expired.
	[[ ! -d /run/systemd/system ]] || add_line /etc/shadow "engines:*:19000::::::"
	add_line /etc/subuid "engines:200000:65536"
	add_line /etc/subgid "engines:200000:65536"
	cp contrib/engines/podman/nacre.conf "$conf/nacre.conf"
	{
		printf '[containers]\n'
		has_controllers && [[ -d /run/systemd/system ]] || printf 'pids_limit = 0\n'
		# What podman asks for by default is more than this user has.
		printf 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
		printf '[network]\nnetwork_backend = "netavark"\n[engine]\nevents_logger = "file"\n'
		[[ -d /run/systemd/system ]] || printf 'cgroup_manager = "cgroupfs"\n'
	} >"$conf/test.conf"
	chown -R "$engine_user:$engine_user" "$T/home" "$T/tmp"
	if [[ -d /run/systemd/system ]]; then
		systemctl start "user@$engine_user"
	else
		install -d -m 700 -o "$engine_user" -g "$engine_user" "/run/user/$engine_user"
	fi
	engine_as=(setpriv --reuid "$engine_user" --regid "$engine_user" --init-groups --inh-caps=-all
		env HOME="$T/home" USER=engines LOGNAME=engines TMPDIR="$T/tmp" XDG_RUNTIME_DIR="/run/user/$engine_user")
	"${engine_as[@]}" sh -c 'cd && podman import "$0" busybox' "$T/rootfs.tar"
}

engine_reset() {
	"${engine_as[@]}" sh -c 'cd; podman pod rm -f -t 0 -a; podman rm -f -t 0 -a; podman volume rm -f -a'
}

engine_end() {
	"${engine_as[@]}" sh -c 'cd; podman system migrate'
	[[ ! -d /run/systemd/system ]] || systemctl stop "user@$engine_user"
}
