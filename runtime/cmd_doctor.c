/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre doctor: what this host can do for containers, a line each, and how to mend what it cannot.
 *
 * It looks and asks, and changes nothing. The same walk fills the table and the JSON.
 */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/controllers.h"
#include "microvm/kvm.h"
#include "namespaces/caps.h"
#include "namespaces/ns.h"
#include "namespaces/procfs.h"
#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

enum level {
	OK,
	LIMITED,	/* containers run, but cannot have all that the specification offers */
	MISSING,	/* no container runs */
};

struct doctor {
	struct json_writer *json;	/* NULL: text */
	const char *area;		/* of the last line */
	bool colour, missing;
};

static const char *const level_names[] = { "ok", "limited", "missing" };

static void print_text(struct doctor *d, const char *area, const char *name, enum level level, const char *text, const char *fix)
{
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };

	if (d->area == NULL || !str_eq(d->area, area))
		printf("%s%s\n", d->area != NULL ? "\n" : "", area);
	printf("  %s%-8s%s %-16s %s\n", d->colour ? colours[level] : "", level_names[level], d->colour ? "\033[0m" : "", name, text);
	if (fix != NULL)
		printf("  %-8s %-16s fix: %s\n", "", "", fix);
}

static void print_json(struct doctor *d, const char *area, const char *name, enum level level, const char *text, const char *fix)
{
	json_object_open(d->json);
	json_kv_string(d->json, "area", area);
	json_kv_string(d->json, "name", name);
	json_kv_string(d->json, "level", level_names[level]);
	json_kv_string(d->json, "text", text);
	if (fix != NULL)
		json_kv_string(d->json, "fix", fix);
	json_object_close(d->json);
}

/* fix may be NULL. */
__attribute__((format(printf, 6, 7))) static void tell(struct doctor *d, const char *area, const char *name, enum level level,
							const char *fix, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (d->json != NULL)
		print_json(d, area, name, level, text, fix);
	else
		print_text(d, area, name, level, text, fix);
	d->area = area;
	d->missing = d->missing || level == MISSING;
}

/* The first line of a small file; "" when it is not there. */
static void read_line(const char *path, char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	buf[0] = '\0';
	if (file_read(AT_FDCWD, path, 65536, &text, &len) == 0)
		snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
}

/* ---- host ---- */

/* Is the running kernel this version or later? */
static bool kernel_is(const struct utsname *u, unsigned int major, unsigned int minor)
{
	const char *dot = strchr(u->release, '.');
	char text[2][16];
	uint64_t a = 0, b = 0;

	if (dot == NULL)
		return false;
	snprintf(text[0], sizeof(text[0]), "%.*s", (int)strspn(u->release, "0123456789"), u->release);
	snprintf(text[1], sizeof(text[1]), "%.*s", (int)strspn(dot + 1, "0123456789"), dot + 1);
	if (parse_u64(text[0], 0, UINT_MAX, &a) < 0 || parse_u64(text[1], 0, UINT_MAX, &b) < 0)
		return false;
	return a > major || (a == major && b >= minor);
}

static void look_at_kernel(struct doctor *d, const struct utsname *u)
{
	if (kernel_is(u, 5, 14))
		tell(d, "host", "kernel", OK, NULL, "%s %s", u->release, u->machine);
	else
		tell(d, "host", "kernel", LIMITED, "use Linux 5.14 or later", "%s %s: cgroup.kill (5.14) and others are not there",
		     u->release, u->machine);
}

static void look_at_privileges(struct doctor *d)
{
	static const char *const wanted[] = { "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_CHOWN",
					      "CAP_SYS_RESOURCE" };
	_cleanup_buf_ struct buf lacks = BUF_NULL;
	uint64_t have = 0;

	if (geteuid() != 0) {
		tell(d, "host", "privileges", LIMITED, "run as root, or with --cgroup-manager=disabled in a user namespace of the bundle's",
		     "user %u", (unsigned int)geteuid());
		return;
	}
	(void)caps_permitted(&have);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		uint64_t bit = 0;

		if (caps_from_name(wanted[i], &bit) == 0 && !(have & bit))
			buf_printf(&lacks, " %s", wanted[i]);
	}
	if (lacks.len == 0)
		tell(d, "host", "privileges", OK, NULL, "root");
	else
		tell(d, "host", "privileges", LIMITED, "give them to whoever starts nacre; without CAP_SYS_RESOURCE no hard limit can be raised",
		     "root, but without%s", lacks.data);
}

/* ENOSYS: the kernel has it not; EPERM: a filter around us refuses it. Any other error is about our senseless arguments. */
static void look_at_call(struct doctor *d, const char *name, long result, const char *otherwise)
{
	if (result < 0 && (errno == ENOSYS || errno == EPERM))
		tell(d, "host", name, LIMITED, NULL, "%s: %s", errno == ENOSYS ? "not in this kernel" : "refused by a system call filter",
		     otherwise);
	else
		tell(d, "host", name, OK, NULL, "there");
}

static void look_at_calls(struct doctor *d)
{
	look_at_call(d, "openat2", syscall(SYS_openat2, -1, "", NULL, 0), "paths are walked step by step instead");
	look_at_call(d, "mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, NULL, 0), "the older mount(2) is used instead");
	look_at_call(d, "clone3", syscall(SYS_clone3, NULL, 0), "no container can be started in its cgroup");
}

/* ---- namespaces ---- */

static void look_at_namespaces(struct doctor *d)
{
	static const char *const needed[] = { "mount", "pid" };
	char path[64], max[32];

	for (size_t i = 0; i < ns_count(); i++) {
		const char *name = ns_name(ns_flag_at(i)), *file = str_eq(name, "network") ? "net" : str_eq(name, "mount") ? "mnt" : name;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
		if (access(path, F_OK) < 0) {
			tell(d, "namespaces", name, str_in(name, needed, ARRAY_SIZE(needed)) ? MISSING : LIMITED, "use a kernel with it",
			     "not in this kernel");
			continue;
		}
		snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", file);
		read_line(path, max, sizeof(max));
		if (str_eq(max, "0"))
			tell(d, "namespaces", name, LIMITED, "raise that sysctl", "switched off: %s is 0", path + strlen("/proc/sys/"));
		else
			tell(d, "namespaces", name, OK, NULL, "there");
	}
}

/* ---- cgroups ---- */

static void look_at_controller(struct doctor *d, unsigned int i, bool there)
{
	static const char *const texts[] = {
		[CGROUP_IN_V1] = "bound to cgroup v1: no such limits",
		[CGROUP_SWITCHED_OFF] = "switched off on the kernel's command line",
		[CGROUP_NOT_DELEGATED] = "not handed down to the tree that is visible here",
		[CGROUP_NOT_BUILT] = "not in this kernel",
	};
	static const char *const fixes[] = {
		[CGROUP_IN_V1] = "boot with systemd.unified_cgroup_hierarchy=1 or cgroup_no_v1=all",
		[CGROUP_SWITCHED_OFF] = "take it out of cgroup_disable=",
		[CGROUP_NOT_DELEGATED] = "whoever made this container or session has to delegate it",
		[CGROUP_NOT_BUILT] = NULL,
	};
	enum cgroup_absence a;

	if (there) {
		tell(d, "cgroups", cgroup_controller_name(i), OK, NULL, "limits can be set");
		return;
	}
	a = cgroup_absence(i);
	tell(d, "cgroups", cgroup_controller_name(i), LIMITED, fixes[a], "%s", texts[a]);
}

static void look_at_tree(struct doctor *d, const struct cgroup_host *host)
{
	const char *how = host->mode == CGROUP_HYBRID ? "hybrid: cgroup v2" : "cgroup v2";
	unsigned int set = 0;
	int dir = open(host->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (faccessat(dir, "cgroup.procs", W_OK, 0) < 0)
		tell(d, "cgroups", "tree", LIMITED, "mount it read-write, or run with --cgroup-manager=disabled or --systemd-cgroup",
		     "%s at %s, which is not writable", how, host->mount);
	else
		tell(d, "cgroups", "tree", OK, NULL, "%s at %s", how, host->mount);
	(void)cgroup_controllers_read(dir, "cgroup.controllers", &set);
	fd_close(&dir);
	for (unsigned int i = 0; i < CGROUP_CONTROLLERS; i++)
		look_at_controller(d, i, set & 1U << i);
}

static void look_at_cgroups(struct doctor *d, const struct utsname *u)
{
	struct cgroup_host host;
	int r = cgroup_host_probe(&host);

	if (r < 0 || host.mode == CGROUP_NONE) {
		tell(d, "cgroups", "tree", LIMITED, "mount -t cgroup2 none /sys/fs/cgroup; or run with --cgroup-manager=disabled",
		     "no cgroup v2 file system is mounted");
		err_clear();
		return;
	}
	look_at_tree(d, &host);
	if (kernel_is(u, 5, 2))
		tell(d, "cgroups", "freezer", OK, NULL, "pause and resume work");
	else
		tell(d, "cgroups", "freezer", LIMITED, "use Linux 5.2 or later", "not in this kernel: no pause and resume");
	r = cgroup_devices_probe();
	if (r == 0)
		tell(d, "cgroups", "devices", OK, NULL, "device rules can be set (eBPF)");
	else
		tell(d, "cgroups", "devices", LIMITED, "a kernel with CONFIG_CGROUP_BPF, and CAP_SYS_ADMIN or CAP_BPF; or "
		     "--cgroup-manager=disabled", "%s", err_text());
	err_clear();
	if (access("/proc/pressure/memory", R_OK) == 0)
		tell(d, "cgroups", "pressure", OK, NULL, "stats and events show it");
	else
		tell(d, "cgroups", "pressure", LIMITED, "boot with psi=1", "no pressure stall information");
}

static void look_at_systemd(struct doctor *d)
{
	if (access("/run/systemd/system", F_OK) == 0)
		tell(d, "cgroups", "systemd", OK, NULL, "runs here: --systemd-cgroup works");
	else
		tell(d, "cgroups", "systemd", LIMITED, NULL, "is not this host's init: cgroups by the file system only");
}

/* ---- confinement ---- */

static void look_at_lsm(struct doctor *d, const char *name, int enabled)
{
	if (enabled > 0)
		tell(d, "confinement", name, OK, NULL, "enabled");
	else
		tell(d, "confinement", name, LIMITED, NULL, "not enabled on this host: a config.json that asks for it is refused");
}

static void look_at_confinement(struct doctor *d)
{
	char actions[256];

	read_line("/proc/sys/kernel/seccomp/actions_avail", actions, sizeof(actions));
	if (actions[0] != '\0')
		tell(d, "confinement", "seccomp", OK, NULL, "%s", actions);
	else
		tell(d, "confinement", "seccomp", LIMITED, "use a kernel with CONFIG_SECCOMP_FILTER", "no system call filters");
	look_at_lsm(d, "apparmor", lsm_apparmor_enabled());
	look_at_lsm(d, "selinux", lsm_selinux_enabled());
}

/* ---- microVMs ---- */

static void look_at_kvm(struct doctor *d)
{
	const char *fix;

	if (kvm_probe() == 0) {
		tell(d, "microvm", "kvm", OK, NULL, "runs unmodified kernels; nacre has no microVMs yet");
		return;
	}
	fix = err_hint_text();
	tell(d, "microvm", "kvm", LIMITED, *fix != '\0' ? fix : NULL, "%s (nacre has no microVMs yet)", err_text());
	err_clear();
}

static void look(struct doctor *d)
{
	struct utsname u;

	uname(&u);
	look_at_kernel(d, &u);
	look_at_privileges(d);
	look_at_calls(d);
	look_at_namespaces(d);
	look_at_cgroups(d, &u);
	look_at_systemd(d);
	look_at_confinement(d);
	look_at_kvm(d);
}

/* ---- command ---- */

struct flags {
	bool json;
};

static const struct option_row rows[] = {
	{ 0, "json", NULL, "as a JSON list", OPTION_BOOL, offsetof(struct flags, json) },
};

static int look_as_json(struct doctor *d)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);

	if (w == NULL)
		return ERR_NOMEM();
	d->json = w;
	json_array_open(w);
	look(d);
	json_array_close(w);
	return json_writer_print(w);
}

static int cmd_doctor(const struct globals *g, int argc, char **argv)
{
	struct doctor d = { .colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL };
	struct flags f = { false };
	char **operands;
	int n, r = command_options(&command_doctor, &f, argc, argv, &operands, &n);

	(void)g;
	if (r != 0)
		return r < 0 ? r : 0;
	if (f.json)
		r = look_as_json(&d);
	else
		look(&d);
	return r < 0 ? r : d.missing ? 1 : 0;
}

const struct command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "Tell what this host can do for containers, and how to mend what it cannot.",
	.details = "Changes nothing. Exits with 1 when something is missing that containers cannot do without.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.run = cmd_doctor,
};
