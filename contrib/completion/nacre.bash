# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of nacre's command line for bash. `make install` puts it where bash-completion finds it;
# without that package: . contrib/completion/nacre.bash

_nacre_commands="run create start exec kill delete state list ps stats events pause resume update mounts spec explain compare features doctor help"

# The options of command $1 ("": the global ones).
_nacre_options() {
	local create="-b --bundle -f --config --console-socket --pid-file --isolation --pidfd-socket --no-pivot --no-new-keyring --preserve-fds"
	case $1 in
	'') echo "--root --log --log-format --log-level --debug --cgroup-manager --systemd-cgroup --isolation --host-config --rootless -v --version" ;;
	create) echo "$create" ;;
	run) echo "$create -d --detach --keep --no-subreaper" ;;
	exec)
		echo "-p --process -d --detach -t --tty --cwd -e --env -u --user -g --additional-gids -c --cap"
		echo "--no-new-privs --apparmor --process-label --console-socket --pid-file --pidfd-socket --preserve-fds --cgroup"
		echo "--ignore-paused"
		;;
	kill) echo "-a --all -r --regex" ;;
	delete) echo "-f --force -r --regex" ;;
	list) echo "-f --format -q --quiet" ;;
	ps) echo "-f --format" ;;
	update)
		echo "-r --resources --memory --memory-reservation --memory-swap --cpu-share --cpu-quota --cpu-period --cpu-burst"
		echo "--cpu-idle --cpuset-cpus --cpuset-mems --pids-limit --blkio-weight --l3-cache-schema --mem-bw-schema"
		;;
	mounts) echo "-l --lazy" ;;
	doctor) echo "--json" ;;
	compare) echo "--modes -n --runs --json --svg" ;;
	stats) echo "-f --format --interval --no-stream" ;;
	events) echo "--interval --stats" ;;
	spec) echo "-b --bundle -f --file --rootless" ;;
	explain) echo "--json -f --config --isolation --id" ;;
	esac
	echo "-h --help"
}

# What the value of option $2 of command $1 is: file, dir, a list of words, any; or nothing, when it
# takes none.
_nacre_value() {
	case $1:$2 in
	:--root | *:--bundle | *:-b) echo dir ;;
	:--log-format) echo "text json" ;;
	:--log-level) echo "error warning info debug" ;;
	:--cgroup-manager) echo "cgroupfs systemd disabled" ;;
	*:--isolation) echo "container microvm" ;;
	:--rootless) echo "true false auto" ;;
	list:--format | list:-f | ps:--format | ps:-f | stats:--format | stats:-f) echo "table json" ;;
	delete:-f) ;;
	update:--cpu-idle) echo "0 1" ;;
	compare:--json | compare:--svg) echo file ;;
	compare:--modes) echo "host container kvm qemu tcg" ;;
	compare:--runs | compare:-n) echo any ;;
	update:--resources | update:-r) echo file ;;
	update:--memory* | update:--cpu* | update:--pids-limit | update:--blkio-weight | update:--l3-cache-schema | update:--mem-bw-schema) echo any ;;
	:--log | :--host-config | *:--config | *:--console-socket | *:--pid-file | *:--pidfd-socket | *:--process | *:--file | *:-f | exec:-p) echo file ;;
	exec:--cap | exec:-c)
		echo CAP_{CHOWN,DAC_OVERRIDE,DAC_READ_SEARCH,FOWNER,FSETID,KILL,SETGID,SETUID,SETPCAP,NET_BIND_SERVICE}
		echo CAP_{NET_ADMIN,NET_RAW,IPC_LOCK,IPC_OWNER,SYS_CHROOT,SYS_PTRACE,SYS_ADMIN,SYS_NICE,SYS_RESOURCE}
		echo CAP_{SYS_TIME,MKNOD,AUDIT_WRITE,SETFCAP,SYSLOG,PERFMON,BPF,CHECKPOINT_RESTORE}
		;;
	*:--preserve-fds | *:--cwd | *:--env | exec:-e | *:--user | exec:-u | *:--additional-gids | exec:-g | *:--apparmor | \
		*:--process-label | *:--cgroup | *:--id | *:--interval) echo any ;;
	esac
}

_nacre_reply() {
	mapfile -t COMPREPLY < <(compgen "$@")
}

# Completes the word $2 as a value of kind $1.
_nacre_reply_value() {
	case $1 in
	dir) _nacre_reply -d -- "$2" ;;
	file) _nacre_reply -f -- "$2" ;;
	any) COMPREPLY=() ;;
	*) _nacre_reply -W "$1" -- "$2" ;;
	esac
}

_nacre() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' value i operands=0
	local -a root=()

	# bash splits "--option=value" into three words.
	if [[ $word == "=" ]]; then
		word=''
	elif [[ $previous == "=" ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		value=$(_nacre_value "$command" "${COMP_WORDS[i]}")
		if [[ ${COMP_WORDS[i]} == --root && -z $command ]]; then
			[[ ${COMP_WORDS[i + 1]-} == "=" ]] && root=(--root "${COMP_WORDS[i + 2]-}") || root=(--root "${COMP_WORDS[i + 1]-}")
		fi
		if [[ -n $value ]]; then
			[[ ${COMP_WORDS[i + 1]-} == "=" ]] && i=$((i + 2)) || i=$((i + 1))
		elif [[ ${COMP_WORDS[i]} == -* ]]; then
			continue
		elif [[ -z $command ]]; then
			command=${COMP_WORDS[i]}
		else
			operands=$((operands + 1))
		fi
	done

	value=$(_nacre_value "$command" "$previous")
	if [[ -n $value ]]; then
		_nacre_reply_value "$value" "$word"
	elif [[ $word == -* ]]; then
		_nacre_reply -W "$(_nacre_options "$command")" -- "$word"
	elif [[ -z $command ]]; then
		_nacre_reply -W "$_nacre_commands" -- "$word"
	else
		case $command:$operands in
		mounts:0) _nacre_reply -W "add remove" -- "$word" ;;
		mounts:2) _nacre_reply -f -- "$word" ;;
		start:0 | exec:0 | kill:0 | delete:0 | state:0 | ps:0 | events:0 | stats:* | pause:0 | resume:0 | mounts:1)
			_nacre_reply -W "$("${COMP_WORDS[0]}" "${root[@]}" list -q 2>/dev/null)" -- "$word"
			;;
		kill:1) _nacre_reply -W "$(compgen -A signal | sed -n 's/^SIG//p')" -- "$word" ;;
		explain:0 | compare:0) _nacre_reply -d -- "$word" ;;
		exec:*) _nacre_reply -f -- "$word" ;;
		esac
	fi
}

complete -o filenames -F _nacre nacre
