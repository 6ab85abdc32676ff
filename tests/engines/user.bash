# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For engines without root: a user of ours, with ids of its own in /etc/subuid, and where systemd is the init with a systemd of
# its own, which gives the containers their cgroups. The setup of such an engine sources this.

engine_user=4321

# user_missing PROGRAM: why its rows cannot be run as a user here, or nothing.
user_missing() {
	command -v "$1" >/dev/null || { echo "$1 is not installed" && return; }
	command -v newuidmap >/dev/null || { echo "newuidmap is not installed (package uidmap)" && return; }
	unshare -U true 2>/dev/null || { echo "user namespaces are switched off" && return; }
	[[ ! -d /run/systemd/system || -n ${NACRE_TEST_HOST-} ]] || echo "would make a user on this machine (see the test host)"
}

# add_line FILE LINE: in the test host to the file itself, since systemd has to see it; elsewhere in our mount namespace. Once:
# the next engine has the same user.
add_line() {
	! grep -qxF "$2" "$1" || return 0
	if [[ ! -d /run/systemd/system ]]; then
		cp "$1" "$T/${1##*/}"
		mount --bind "$T/${1##*/}" "$1"
	fi
	echo "$2" >>"$1"
}

# What slirp4netns opens; udev, where there is one, lets everybody.
open_tun() {
	[[ ! -e $T/tun ]] || return 0
	mknod -m 666 "$T/tun" c 10 200
	[[ -e /dev/net/tun ]] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
	mount --bind "$T/tun" /dev/net/tun
}

# user_begin: the user, its home $T/home and its runtime folder; engine_as is the command that does something as the user.
user_begin() {
	mkdir -p "$T/home/.config/containers" "$T/tmp"
	# A user's overlayfs needs extended attributes, which tmpfs has from Linux 6.6 on. Old engines find out by themselves.
	[[ $(printf '6.6\n%s\n' "$(uname -r)" | sort -V | head -n 1) == 6.6 ]] ||
		printf '[storage]\ndriver = "vfs"\n' >"$T/home/.config/containers/storage.conf"
	add_line /etc/passwd "engines:x:$engine_user:$engine_user::$T/home:/bin/bash"
	add_line /etc/group "engines:x:$engine_user:"
	# A systemd of the user's wants an account for PAM that is not expired.
	[[ ! -d /run/systemd/system ]] || add_line /etc/shadow "engines:*:19000::::::"
	add_line /etc/subuid "engines:200000:65536"
	add_line /etc/subgid "engines:200000:65536"
	chown -R "$engine_user:$engine_user" "$T/home" "$T/tmp"
	open_tun
	if [[ -d /run/systemd/system ]]; then
		systemctl start "user@$engine_user"
	else
		install -d -m 700 -o "$engine_user" -g "$engine_user" "/run/user/$engine_user"
	fi
	engine_as=(setpriv --reuid "$engine_user" --regid "$engine_user" --init-groups --inh-caps=-all
		env HOME="$T/home" USER=engines LOGNAME=engines TMPDIR="$T/tmp" XDG_RUNTIME_DIR="/run/user/$engine_user")
}

# as_user SCRIPT [ARGUMENT...]: in the user's home.
as_user() { "${engine_as[@]}" sh -uc "cd; $1" sh "${@:2}"; }

user_end() { [[ ! -d /run/systemd/system ]] || systemctl stop "user@$engine_user"; }
