/* SPDX-License-Identifier: Apache-2.0 */
/* nacre spec: a config.json that runs as it is. */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/json.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

struct flags {
	const char *bundle, *file;
	bool rootless;
};

static const struct option_row rows[] = {
	{ 'b', "bundle", "DIR", "write it there (default: the working directory)", OPTION_STRING,
	  offsetof(struct flags, bundle) },
	{ 'f', "file", "NAME", "its name (default: config.json)", OPTION_STRING, offsetof(struct flags, file) },
	{ 0, "rootless", NULL, "for a user without privileges", OPTION_BOOL, offsetof(struct flags, rootless) },
};

static const struct mount_row {
	const char *destination, *type, *source, *options[8];
} mounts[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

/* Without the host's privileges sysfs comes by bind mount, and no group 5 is mapped. */
static const struct mount_row rootless_sys = { "/sys", "none", "/sys",
					       { "rbind", "nosuid", "noexec", "nodev", "ro" } };

/* What engines give by default: with less, a package manager or su in the container fails in odd ways. */
static const char *const caps[] = {
	"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",	 "CAP_FOWNER",		 "CAP_MKNOD",	   "CAP_NET_RAW",    "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP",	  "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
};
static const char *const args[] = { "sh" };
static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm" };
static const char *const namespaces[] = { "pid", "ipc", "uts", "mount", "network", "cgroup" };
/* timer_stats and sched_debug, which others list, are gone from all kernels that nacre runs on (4.11, 5.13). */
static const char *const masked[] = {
	"/proc/acpi",	    "/proc/asound",	"/proc/interrupts", "/proc/kcore",	"/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
};
static const char *const readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static void write_process(struct json_writer *w)
{
	static const char *const sets[] = { "bounding", "effective", "permitted" };

	json_key(w, "process");
	json_object_open(w);
	json_kv_bool(w, "terminal", true);
	json_key(w, "user");
	json_object_open(w);
	json_kv_int(w, "uid", 0);
	json_kv_int(w, "gid", 0);
	json_object_close(w);
	json_kv_strings(w, "args", args, ARRAY_SIZE(args));
	json_kv_strings(w, "env", env, ARRAY_SIZE(env));
	json_kv_string(w, "cwd", "/");
	json_key(w, "capabilities");
	json_object_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		json_kv_strings(w, sets[i], caps, ARRAY_SIZE(caps));
	json_object_close(w);
	json_key(w, "rlimits");
	json_array_open(w);
	json_object_open(w);
	json_kv_string(w, "type", "RLIMIT_NOFILE");
	json_kv_int(w, "hard", 1024);
	json_kv_int(w, "soft", 1024);
	json_object_close(w);
	json_array_close(w);
	json_kv_bool(w, "noNewPrivileges", true);
	json_object_close(w);
}

static void write_mount(struct json_writer *w, const struct mount_row *m, bool rootless)
{
	json_object_open(w);
	json_kv_string(w, "destination", m->destination);
	json_kv_string(w, "type", m->type);
	json_kv_string(w, "source", m->source);
	json_key(w, "options");
	json_array_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(m->options) && m->options[i] != NULL; i++)
		if (!rootless || !str_eq(m->options[i], "gid=5"))
			json_string(w, m->options[i]);
	json_array_close(w);
	json_object_close(w);
}

static void write_mounts(struct json_writer *w, bool rootless)
{
	json_key(w, "mounts");
	json_array_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		write_mount(w, rootless && str_eq(mounts[i].destination, "/sys") ? &rootless_sys : &mounts[i], rootless);
	json_array_close(w);
}

static void write_map(struct json_writer *w, const char *key, unsigned int host)
{
	json_key(w, key);
	json_array_open(w);
	json_object_open(w);
	json_kv_int(w, "containerID", 0);
	json_kv_int(w, "hostID", host);
	json_kv_int(w, "size", 1);
	json_object_close(w);
	json_array_close(w);
}

static void write_linux(struct json_writer *w, bool rootless)
{
	json_key(w, "linux");
	json_object_open(w);
	if (rootless) {
		write_map(w, "uidMappings", geteuid());
		write_map(w, "gidMappings", getegid());
	} else {
		json_key(w, "resources");
		json_object_open(w);
		json_key(w, "devices");
		json_array_open(w);
		json_object_open(w);
		json_kv_bool(w, "allow", false);
		json_kv_string(w, "access", "rwm");
		json_object_close(w);
		json_array_close(w);
		json_object_close(w);
	}
	json_key(w, "namespaces");
	json_array_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces) + (rootless ? 1 : 0); i++) {
		json_object_open(w);
		json_kv_string(w, "type", i < ARRAY_SIZE(namespaces) ? namespaces[i] : "user");
		json_object_close(w);
	}
	json_array_close(w);
	json_kv_strings(w, "maskedPaths", masked, ARRAY_SIZE(masked));
	json_kv_strings(w, "readonlyPaths", readonly, ARRAY_SIZE(readonly));
	json_object_close(w);
}

static char *make_spec(bool rootless, size_t *ret_len)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(true);

	json_object_open(w);
	json_kv_string(w, "ociVersion", SPEC_VERSION);
	write_process(w);
	json_key(w, "root");
	json_object_open(w);
	json_kv_string(w, "path", "rootfs");
	json_kv_bool(w, "readonly", true);
	json_object_close(w);
	json_kv_string(w, "hostname", "nacre");
	write_mounts(w, rootless);
	write_linux(w, rootless);
	json_object_close(w);
	return json_writer_take(w, ret_len);
}

static int cmd_spec(const struct globals *g, int argc, char **argv)
{
	struct flags f = { NULL, "config.json", false };
	_cleanup_close_ int dir = FD_NONE, fd = FD_NONE;
	_cleanup_free_ char *text = NULL;
	char **operands;
	size_t len;
	int n, r = command_options(&command_spec, &f, argc, argv, &operands, &n);

	(void)g;
	if (r != 0)
		return r < 0 ? r : 0;
	text = make_spec(f.rootless, &len);
	if (text == NULL)
		return ERR_NOMEM();
	dir = open(f.bundle != NULL ? f.bundle : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return ERR(-errno, "cannot open the bundle \"%s\"", f.bundle);
	fd = openat(dir, f.file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return ERR(-errno, "cannot write \"%s\"", f.file);
	r = fd_write_all(fd, text, len);
	if (r < 0) {
		unlinkat(dir, f.file, 0);
		return ERR(r, "cannot write \"%s\"", f.file);
	}
	return 0;
}

const struct command command_spec = {
	.name = "spec",
	.operands = "",
	.summary = "Write a config.json that runs a shell from the directory rootfs beside it.",
	.details = "An existing file is never replaced.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.no_state = true,
	.run = cmd_spec,
};
