#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What nacre says of itself in --help is also in the manual page, the completion and README.md.

load helpers

TOP=$NACRE_TESTS/..

# Nothing here needs a bundle.
setup_file() { :; }
setup() { T=$(mktemp -d /tmp/nt.XXXXXX) ROOT=$T/state; }
teardown() { rm -rf "$T"; }

commands() { "$NACRE_BIN" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }

# The options of COMMAND (none: the global ones), short and long.
options() { "$NACRE_BIN" "$@" --help | sed -n '/^Options:/,$p' | grep -oE '^  +(-[a-z], )?--[a-z0-9-]+' | tr -d ' ' | tr ',' '\n'; }

# complete_line WORD...: what bash would offer for the last word.
complete_line() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_nacre
	printf '%s\n' "${COMPREPLY[@]}"
}

# The text of the manual page's section that begins with "nacre COMMAND", or of "GLOBAL OPTIONS".
man_section() { awk -v from="$1" '/^[A-Z]/ { on = 0 } /^   [a-z]/ { on = 0 } index($0, from) { on = 1 } on' "$T/man"; }

render_man() {
	requires man
	# groff 1.22 overstrikes, 1.23 uses terminal sequences.
	MANWIDTH=200 man --nh --nj -l -Tascii "$TOP/runtime/man/nacre.8" | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g' >"$T/man"
	grep -q "^   nacre run" "$T/man"
}

@test "the manual page renders without a warning" {
	requires man
	run man --warnings=w -l -Tutf8 "$TOP/runtime/man/nacre.8"
	[ "$status" -eq 0 ]
	warnings=$(man --warnings=w -l -Tutf8 "$TOP/runtime/man/nacre.8" 2>&1 >/dev/null)
	echo "$warnings"
	[ -z "$warnings" ]
}

@test "the manual page names the version" {
	grep -q "^\.TH .*\"nacre $(cat "$TOP/runtime/VERSION")\"" "$TOP/runtime/man/nacre.8"
}

@test "the manual page names every command and each of its options" {
	local command option text
	render_man
	for command in $(commands); do
		text=$(man_section "   nacre $command")
		[ -n "$text" ] || { echo "no section on $command"; return 1; }
		# run has create's options and says so.
		[ "$command" != run ] || text+=$(man_section "   nacre create")
		for option in $(options "$command"); do
			case $option in -h | --help) continue ;; esac
			grep -qE -- "^ +([^ ].*, )?$option([ ,|=]|$)" <<<"$text" || { echo "$command: no $option"; return 1; }
		done
	done
}

@test "the manual page names every global option" {
	local option text
	render_man
	text=$(man_section "GLOBAL OPTIONS")
	for option in $(options); do
		grep -qE -- "^ +([^ ].*, )?$option([ ,|=]|$)" <<<"$text" || { echo "no $option"; return 1; }
	done
}

@test "the manual page names no command and no option that does not exist" {
	local command option
	render_man
	sed -n 's/^   nacre \([a-z]*\).*/\1/p' "$T/man" | while read -r command; do
		commands | grep -qx "$command" || { echo "no command $command"; return 1; }
	done
	grep -oE '^ +(-[a-z], )?--[a-z0-9-]+' "$T/man" | grep -oE -- '--[a-z0-9-]+' | sort -u | while read -r option; do
		{ options; for command in $(commands); do options "$command"; done; } | grep -qx -- "$option" ||
			{ echo "no option $option"; return 1; }
	done
}

@test "completion offers every command, and each of its options" {
	local command option offered
	# shellcheck source=contrib/completion/nacre.bash
	. "$TOP/contrib/completion/nacre.bash"
	[ "$(complete_line nacre '' | sort)" = "$({ commands; echo help; } | sort)" ]
	[ "$(complete_line nacre - | sort)" = "$(options | sort)" ]
	for command in $(commands); do
		offered=$(complete_line nacre "$command" - | sort)
		[ "$offered" = "$(options "$command" | sort)" ] || { echo "$command: $offered"; return 1; }
	done
}

# An option that takes a value must not be taken for one that takes none, or its value is the command.
@test "completion knows which options take a value" {
	local command option
	# shellcheck source=contrib/completion/nacre.bash
	. "$TOP/contrib/completion/nacre.bash"
	check() {
		"$NACRE_BIN" "${@:2}" --help | sed -n '/^Options:/,$p' | while read -r line; do
			[[ $line =~ ^(-([a-z]),\ )?(--[a-z0-9-]+)(\ [A-Zt0][^\ ]*)?(\ |$) ]] || continue
			for option in ${BASH_REMATCH[2]:+-${BASH_REMATCH[2]}} "${BASH_REMATCH[3]}"; do
				[[ -n "${BASH_REMATCH[4]}" ]] && want=yes || want=no
				[[ -n "$(_nacre_value "$1" "$option")" ]] && got=yes || got=no
				[ "$want" = "$got" ] || { echo "$1 $option: takes a value: $want, completion: $got"; return 1; }
			done
		done
	}
	check ''
	for command in $(commands); do check "$command" "$command"; done
}

@test "completion offers the IDs below --root, signals and values" {
	# shellcheck source=contrib/completion/nacre.bash
	. "$TOP/contrib/completion/nacre.bash"
	mkdir -p "$ROOT/one" "$ROOT/two"
	[ "$(complete_line "$NACRE_BIN" --root "$ROOT" kill '')" = $'one\ntwo' ]
	[ "$(complete_line "$NACRE_BIN" --root = "$ROOT" delete --force t)" = two ]
	[ "$(complete_line "$NACRE_BIN" kill one KI)" = KILL ]
	[ "$(complete_line "$NACRE_BIN" --log-format j)" = json ]
	[ "$(complete_line "$NACRE_BIN" list --format = t)" = table ]
	[ "$(complete_line "$NACRE_BIN" run --bundle "$T/s")" = "$T/state" ]
}

@test "README.md: the paths that it names exist" {
	local path
	while read -r path; do
		compgen -G "$TOP/$path*" >/dev/null || { echo "$path does not exist"; return 1; }
	done < <(grep -oE '\b(runtime|oci|namespaces|cgroups|seccomp|tests|contrib)/[a-z_./-]*[a-z_]' "$TOP/README.md" "$TOP/tests/README.md" |
		cut -d: -f2 | sort -u)
}
