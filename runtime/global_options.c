/* SPDX-License-Identifier: Apache-2.0 */
/* The options before the command. */
#include "runtime/base/str.h"
#include "runtime/command.h"

#define AT(field) offsetof(struct global_options, field)

const struct option_row global_rows[] = {
	{ 0, "root", "DIR", "where the containers' state is (default: /run/nacre)", OPTION_STRING, AT(g.root) },
	{ 0, "log", "FILE", "write errors there, too; also file:FILE, journald:ID, syslog:ID", OPTION_STRING, AT(g.log) },
	{ 0, "log-format", "text|json", "how (default: text)", OPTION_STRING, AT(g.log_format) },
	{ 0, "log-level", "LEVEL", "error, warning, info or debug", OPTION_STRING, AT(g.log_level) },
	{ 0, "debug", NULL, "--log-level debug", OPTION_BOOL, AT(g.debug) },
	{ 0, "cgroup-manager", "NAME", "cgroupfs, systemd or disabled", OPTION_STRING, AT(g.cgroup_manager) },
	{ 0, "systemd-cgroup", NULL, "--cgroup-manager systemd", OPTION_BOOL, AT(g.systemd_cgroup) },
	{ 0, "isolation", "NAME", "container or microvm (default: what the bundle says, else container)", OPTION_STRING,
	  AT(g.isolation) },
	{ 0, "host-config", "FILE", "this host's defaults (default: /etc/nacre/nacre.json)", OPTION_STRING, AT(g.host_config) },
	{ 0, "rootless", "true|false|auto", "accepted for other runtimes' callers; nacre looks for itself", OPTION_STRING,
	  AT(g.rootless) },
	{ 'v', "version", NULL, "print the version", OPTION_BOOL, AT(version) },
};

const size_t n_global_rows = ARRAY_SIZE(global_rows);
