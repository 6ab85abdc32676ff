/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre doctor: what this host can do for containers, a line each, and how to mend what it cannot. What concerns users
 * who are not root is in doctor_rootless.c, microVMs in doctor_vm.c.
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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroups/cgroup.h"
#include "cgroups/controllers.h"
#include "namespaces/caps.h"
#include "namespaces/ns.h"
#include "namespaces/procfs.h"
#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/doctor.h"

static const char *const level_names[] = { "ok", "limited", "missing" };

#define INDENT 28U	/* of what is said, below its name */

/* The text, which starts in column INDENT, in lines that fit the terminal. */
static void print_words(const struct doctor *d, const char *text)
{
	size_t at = INDENT;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (d->columns > INDENT + 20 && at > INDENT && at + 1 + len > d->columns) {
			printf("\n%*s", (int)INDENT, "");
			at = INDENT;
		}
		at += (size_t)printf("%s%.*s", at > INDENT ? " " : "", (int)len, text);
		text += len;
		text += *text == ' ';
	}
	putchar('\n');
}

static unsigned int terminal_columns(void)
{
	struct winsize w = { 0 };

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static void print_text(struct doctor *d, const char *name, enum doctor_level level, const char *text, const char *fix)
{
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };

	if (d->printed == NULL || !str_eq(d->printed, d->area))
		printf("%s%s\n", d->printed != NULL ? "\n" : "", d->area);
	d->printed = d->area;
	printf("  %s%-8s%s %-16s ", d->colour ? colours[level] : "", level_names[level], d->colour ? "\033[0m" : "", name);
	print_words(d, text);
	if (fix != NULL) {
		_cleanup_free_ char *line = str_printf("fix: %s", fix);

		printf("%*s", (int)INDENT, "");
		print_words(d, line != NULL ? line : fix);
	}
}

static void print_json(struct doctor *d, const char *name, enum doctor_level level, const char *text, const char *fix)
{
	json_object_open(d->json);
	json_kv_string(d->json, "area", d->area);
	json_kv_string(d->json, "name", name);
	json_kv_string(d->json, "level", level_names[level]);
	json_kv_string(d->json, "text", text);
	if (fix != NULL)
		json_kv_string(d->json, "fix", fix);
	json_object_close(d->json);
}

void doctor_tell(struct doctor *d, const char *name, enum doctor_level level, const char *fix, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (d->json != NULL)
		print_json(d, name, level, text, fix);
	else
		print_text(d, name, level, text, fix);
	d->missing = d->missing || level == DOCTOR_MISSING;
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
		doctor_tell(d, "kernel", DOCTOR_OK, NULL, "%s %s", u->release, u->machine);
	else
		doctor_tell(d, "kernel", DOCTOR_LIMITED, "use Linux 5.14 or later", "%s %s: cgroup.kill (5.14) and others are not there",
		     u->release, u->machine);
}

static void look_at_privileges(struct doctor *d)
{
	static const char *const wanted[] = { "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_CHOWN",
					      "CAP_SYS_RESOURCE" };
	_cleanup_buf_ struct buf lacks = BUF_NULL;
	uint64_t have = 0;

	if (geteuid() != 0) {
		doctor_tell(d, "privileges", DOCTOR_LIMITED, "run as root, or with --cgroup-manager=disabled in a user namespace of the bundle's",
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
		doctor_tell(d, "privileges", DOCTOR_OK, NULL, "root");
	else
		doctor_tell(d, "privileges", DOCTOR_LIMITED, "give them to whoever starts nacre; without CAP_SYS_RESOURCE no hard limit can be raised",
		     "root, but without%s", lacks.data);
}

static void look_at_state(struct doctor *d, const char *root)
{
	if (root != NULL)
		doctor_tell(d, "state", DOCTOR_OK, NULL, "of containers is kept in %s", root);
	else
		doctor_tell(d, "state", DOCTOR_LIMITED, "log in by what sets it (pam_systemd), or give --root DIR to every command",
			    "has no place: XDG_RUNTIME_DIR is not set, or not an absolute path");
}

/* ENOSYS: the kernel has it not; EPERM: a filter around us refuses it. Any other error is about our senseless arguments. */
static void look_at_call(struct doctor *d, const char *name, long result, const char *otherwise)
{
	if (result < 0 && (errno == ENOSYS || errno == EPERM))
		doctor_tell(d, name, DOCTOR_LIMITED, errno == ENOSYS ? "use a later kernel" : "have that filter pass it, or give ENOSYS",
			    "%s: %s", errno == ENOSYS ? "not in this kernel" : "refused by a system call filter",
		     otherwise);
	else
		doctor_tell(d, name, DOCTOR_OK, NULL, "there");
}

static void look_at_calls(struct doctor *d)
{
	look_at_call(d, "openat2", syscall(SYS_openat2, -1, "", NULL, 0), "paths are walked step by step instead");
	look_at_call(d, "mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, NULL, 0), "the older mount(2) is used instead");
	look_at_call(d, "clone3", syscall(SYS_clone3, NULL, 0), "no container can be started in its cgroup");
}

/* ---- namespaces ---- */

/* By making one, in a process that is gone at once. */
static void try_namespace(struct doctor *d, const char *name, unsigned int flag, enum doctor_level level)
{
	int r = ns_try(flag);

	if (r == 0)
		doctor_tell(d, name, DOCTOR_OK, NULL, "can be made");
	else if (geteuid() == 0)
		doctor_tell(d, name, level, "CAP_SYS_ADMIN, and no filter around nacre that refuses unshare and clone3",
			    "cannot be made: %s", strerror(-r));
	else
		doctor_tell(d, name, level, "have user namespaces allowed (see rootless), or be root", "cannot be made: %s",
			    strerror(-r));
}

static void look_at_namespaces(struct doctor *d)
{
	static const char *const needed[] = { "mount", "pid" };
	enum doctor_level level;
	char path[64], max[32];

	for (size_t i = 0; i < ns_count(); i++) {
		const char *name = ns_name(ns_flag_at(i)), *file = str_eq(name, "network") ? "net" : str_eq(name, "mount") ? "mnt" : name;

		level = str_in(name, needed, ARRAY_SIZE(needed)) ? DOCTOR_MISSING : DOCTOR_LIMITED;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
		if (access(path, F_OK) < 0) {
			doctor_tell(d, name, level, "use a kernel with it", "not in this kernel");
			continue;
		}
		snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", file);
		read_line(path, max, sizeof(max));
		if (str_eq(max, "0"))
			doctor_tell(d, name, level, "raise that sysctl", "switched off: %s is 0", path + strlen("/proc/sys/"));
		else
			try_namespace(d, name, ns_flag_at(i), level);
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
		[CGROUP_NOT_BUILT] = "use a kernel that is built with it",
	};
	enum cgroup_absence a;

	if (there) {
		doctor_tell(d, cgroup_controller_name(i), DOCTOR_OK, NULL, "limits can be set");
		return;
	}
	a = cgroup_absence(i);
	doctor_tell(d, cgroup_controller_name(i), DOCTOR_LIMITED, fixes[a], "%s", texts[a]);
}

static void look_at_tree(struct doctor *d, const struct cgroup_host *host)
{
	const char *how = host->mode == CGROUP_HYBRID ? "hybrid: cgroup v2" : "cgroup v2";
	unsigned int set = 0;
	int dir = open(host->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (faccessat(dir, "cgroup.procs", W_OK, 0) < 0)
		doctor_tell(d, "tree", DOCTOR_LIMITED, "mount it read-write, or run with --cgroup-manager=disabled or --systemd-cgroup",
		     "%s at %s, which is not writable", how, host->mount);
	else
		doctor_tell(d, "tree", DOCTOR_OK, NULL, "%s at %s", how, host->mount);
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
		doctor_tell(d, "tree", DOCTOR_LIMITED, "mount -t cgroup2 none /sys/fs/cgroup; or run with --cgroup-manager=disabled",
		     "no cgroup v2 file system is mounted");
		err_clear();
		return;
	}
	look_at_tree(d, &host);
	if (kernel_is(u, 5, 2))
		doctor_tell(d, "freezer", DOCTOR_OK, NULL, "pause and resume work");
	else
		doctor_tell(d, "freezer", DOCTOR_LIMITED, "use Linux 5.2 or later", "not in this kernel: no pause and resume");
	r = cgroup_devices_probe();
	if (r == 0)
		doctor_tell(d, "devices", DOCTOR_OK, NULL, "device rules can be set (eBPF)");
	else
		doctor_tell(d, "devices", DOCTOR_LIMITED, "a kernel with CONFIG_CGROUP_BPF, and CAP_SYS_ADMIN or CAP_BPF; or "
		     "--cgroup-manager=disabled", "%s", err_text());
	err_clear();
	if (access("/proc/pressure/memory", R_OK) == 0)
		doctor_tell(d, "pressure", DOCTOR_OK, NULL, "stats and events show it");
	else
		doctor_tell(d, "pressure", DOCTOR_LIMITED, "boot with psi=1", "no pressure stall information");
}

static void look_at_systemd(struct doctor *d)
{
	if (access("/run/systemd/system", F_OK) == 0)
		doctor_tell(d, "systemd", DOCTOR_OK, NULL, "runs here: --systemd-cgroup works");
	else
		doctor_tell(d, "systemd", DOCTOR_LIMITED, NULL, "is not this host's init: cgroups by the file system only");
}

/* ---- confinement ---- */

static void look_at_lsm(struct doctor *d, const char *name, int enabled, const char *fix)
{
	if (enabled > 0)
		doctor_tell(d, name, DOCTOR_OK, NULL, "enabled");
	else
		doctor_tell(d, name, DOCTOR_LIMITED, fix, "not enabled on this host: a config.json that asks for it is refused");
}

static void look_at_confinement(struct doctor *d)
{
	char actions[256];

	read_line("/proc/sys/kernel/seccomp/actions_avail", actions, sizeof(actions));
	if (actions[0] != '\0')
		doctor_tell(d, "seccomp", DOCTOR_OK, NULL, "%s", actions);
	else
		doctor_tell(d, "seccomp", DOCTOR_LIMITED, "use a kernel with CONFIG_SECCOMP_FILTER", "no system call filters");
	look_at_lsm(d, "apparmor", lsm_apparmor_enabled(), "if wanted, boot with security=apparmor");
	look_at_lsm(d, "selinux", lsm_selinux_enabled(), "if wanted, boot with security=selinux and have a policy loaded");
}

static void look(struct doctor *d, const char *root)
{
	struct utsname u;

	uname(&u);
	d->area = "host";
	look_at_kernel(d, &u);
	look_at_privileges(d);
	look_at_calls(d);
	look_at_state(d, root);
	d->area = "namespaces";
	look_at_namespaces(d);
	d->area = "rootless";
	doctor_look_at_rootless(d);
	d->area = "cgroups";
	look_at_cgroups(d, &u);
	look_at_systemd(d);
	d->area = "confinement";
	look_at_confinement(d);
	d->area = "microvm";
	doctor_look_at_microvms(d);
}

/* ---- command ---- */

struct flags {
	bool json;
};

static const struct option_row rows[] = {
	{ 0, "json", NULL, "as a JSON list", OPTION_BOOL, offsetof(struct flags, json) },
};

static int look_as_json(struct doctor *d, const char *root)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);

	if (w == NULL)
		return ERR_NOMEM();
	d->json = w;
	json_array_open(w);
	look(d, root);
	json_array_close(w);
	return json_writer_print(w);
}

static int cmd_doctor(const struct globals *g, int argc, char **argv)
{
	struct doctor d = { .colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL, .columns = terminal_columns(),
			    .host_config = g->host_config };
	struct flags f = { false };
	char **operands;
	int n, r = command_options(&command_doctor, &f, argc, argv, &operands, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	if (f.json)
		r = look_as_json(&d, g->root);
	else
		look(&d, g->root);
	return r < 0 ? r : d.missing ? 1 : 0;
}

const struct command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "Tell what this host can do for containers, and how to mend what it cannot.",
	.details = "Changes nothing, and runs for any user. Exits with 1 when something is missing that containers cannot do without.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.no_state = true,
	.run = cmd_doctor,
};
