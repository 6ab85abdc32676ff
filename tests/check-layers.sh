#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom, and which file alone may know a library. Prints what breaks the table.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# FOLDER: the folders whose headers its files may include, besides its own. A file belongs to the
# longest FOLDER that its path starts with. The mechanisms (namespaces, cgroups, seccomp, microvm)
# never see each other, nor the plan, nor the specification: runtime/ translates for them. microvm/guest is
# no mechanism but a second program, the microVM's first process, which holds a container as nacre does: it stands
# on top of runtime/, and nothing of it is linked into nacre.
layers='
runtime/base:
oci:            runtime/base
namespaces:     runtime/base
cgroups:        runtime/base
seccomp:        runtime/base
microvm:        runtime/base
microvm/guest:  runtime/base microvm oci namespaces cgroups seccomp runtime
runtime:        runtime/base oci namespaces cgroups seccomp microvm
tests:          runtime/base runtime oci namespaces cgroups seccomp microvm microvm/guest
'

# LIBRARY HEADER: the only files that include it, so that a library can be replaced in one place.
doors='
yajl/:            oci/json.c oci/json_writer.c
seccomp.h:        seccomp/compile.c
sys/capability.h: namespaces/caps.c
libmnl/:          namespaces/netlink.c namespaces/netlink_socket.c namespaces/netlink_config.c namespaces/netlink_tc.c namespaces/netlink_move.c namespaces/netlink_veth.c
'

sources() {
	find . -path "./build*" -prune -o -name "*.[ch]" -printf "%P\n" | sort
}

# Lines "FILE KIND HEADER", KIND being the " or < of the include.
includes() {
	sources | xargs awk '
		match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]*/) {
			s = substr($0, RSTART, RLENGTH)
			sub(/^[ \t]*#[ \t]*include[ \t]*/, "", s)
			print FILENAME, substr(s, 1, 1), substr(s, 2)
		}'
}

found=$(includes | awk -v layers="$layers" -v doors="$doors" '
	function folder(path,   best, f) {
		best = ""
		for (f in may)
			if (index(path, f "/") == 1 && length(f) > length(best))
				best = f
		return best
	}
	BEGIN {
		n = split(layers, line, "\n")
		for (i = 1; i <= n; i++)
			if (split(line[i], part, ":") == 2)
				may[part[1]] = " " part[2] " " part[1] " "
		n = split(doors, line, "\n")
		for (i = 1; i <= n; i++)
			if (split(line[i], part, ":") == 2)
				door[part[1]] = " " part[2] " "
	}
	$2 == "\"" {
		from = folder($1)
		to = folder($3)
		if (to == "")
			print $1 ": \"" $3 "\" is not a path from the top of the tree"
		else if (index(may[from], " " to " ") == 0)
			print $1 ": " from "/ may not include " to "/ (" $3 ")"
	}
	$2 == "<" {
		for (d in door)
			if (index($3, d) == 1 && index(door[d], " " $1 " ") == 0 && $1 !~ /^tests\//)
				print $1 ": <" $3 "> is for" door[d] "only"
	}')

if [[ -n $found ]]; then
	echo "$found"
	exit 1
fi
