/* SPDX-License-Identifier: Apache-2.0 */
/* See boot.h. */
#include "microvm/guest/boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/module.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define MODULES "/modules"
#define NEW_ROOT "/newroot"
#define PORTS "/sys/class/virtio-ports"

/* From the driver's start until the port is there and the host has it open. */
#define PORT_TIMEOUT_MS 20000
#define PORT_STEP_MS 2

/* What systemd gives its services, so that a container's default is the same in a virtual machine. */
#define NOFILE_SOFT 1024
#define NOFILE_HARD 524288

struct mount_step {
	const char *type, *target, *data;
	unsigned long flags;
};

static int mount_all(const struct mount_step *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (mkdir(v[i].target, 0755) < 0 && errno != EEXIST)
			return ERR(-errno, "cannot make \"%s\"", v[i].target);
		/* EBUSY: the kernel has mounted devtmpfs itself. */
		if (mount(v[i].type, v[i].target, v[i].type, v[i].flags, v[i].data) < 0 && errno != EBUSY)
			return ERR(-errno, "cannot mount %s on \"%s\"", v[i].type, v[i].target);
	}
	return 0;
}

/* A kernel without a console gives its first program none. */
static int open_stdio(void)
{
	for (int fd = 0; fd < 3; fd++) {
		int got;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		got = open("/dev/console", O_RDWR | O_NOCTTY);
		if (got < 0)
			got = open("/dev/null", O_RDWR);
		if (got != fd)
			return ERR_PLAIN(-EIO, "cannot open the standard streams");
	}
	return 0;
}

/* ---- modules ---- */

static int load_module(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	int flags = str_ends(name, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;

	if (fd < 0)
		return ERR(-errno, "cannot open module \"%s\"", name);
	if (syscall(SYS_finit_module, fd, "", flags) < 0 && errno != EEXIST)
		return ERR(-errno, "cannot load module \"%s\"", name);
	/* It lies in memory, and nobody needs it any more. */
	(void)unlinkat(dir, name, 0);
	return 0;
}

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int load_modules(void)
{
	_cleanup_close_ int dir = open(MODULES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, r = 0;

	if (dir < 0)
		return errno == ENOENT ? 0 : ERR(-errno, "cannot open \"%s\"", MODULES);
	n = scandirat(dir, ".", &names, not_hidden, alphasort);
	if (n < 0)
		return ERR(-errno, "cannot read \"%s\"", MODULES);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = load_module(dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return r;
}

/* ---- the root ---- */

static int move_in(const char *name)
{
	_cleanup_free_ char *to = str_printf(NEW_ROOT "%s", name);

	if (to == NULL)
		return ERR_NOMEM();
	if (mkdir(to, 0755) < 0 || mount(name, to, NULL, MS_MOVE, NULL) < 0)
		return ERR(-errno, "cannot move \"%s\" to the new root", name);
	return 0;
}

static int switch_root(void)
{
	static const struct mount_step root = { "tmpfs", NEW_ROOT, "mode=0755", MS_NOSUID };
	static const char *const folders[] = { NEW_ROOT "/run", NEW_ROOT "/share", NEW_ROOT "/tmp" };
	int r = mount_all(&root, 1);

	if (r == 0)
		r = move_in("/proc");
	if (r == 0)
		r = move_in("/sys");
	if (r == 0)
		r = move_in("/dev");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			r = ERR(-errno, "cannot make \"%s\"", folders[i]);
	if (r < 0)
		return r;
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return ERR(-errno, "cannot enter the new root");
	return 0;
}

/* Every controller, so that each limit that a container asks for can be set. */
static int enable_controllers(void)
{
	static const char mount_point[] = "/sys/fs/cgroup";
	_cleanup_close_ int dir = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	char *rest, *name;
	int r = dir < 0 ? -errno : file_read(dir, "cgroup.controllers", 4096, &text, NULL);

	if (r < 0)
		return ERR(r, "cannot read the cgroup controllers");
	rest = text;
	while ((name = strsep(&rest, " \n")) != NULL) {
		char value[64];

		if (*name == '\0')
			continue;
		snprintf(value, sizeof(value), "+%s", name);
		r = file_write_value(dir, "cgroup.subtree_control", value);
		if (r < 0)
			return ERR(r, "cannot enable the cgroup controller \"%s\"", name);
	}
	return 0;
}

static int raise_limits(void)
{
	const struct rlimit nofile = { NOFILE_SOFT, NOFILE_HARD };

	return setrlimit(RLIMIT_NOFILE, &nofile) < 0 ? ERR(-errno, "cannot set the limit of open files") : 0;
}

int guest_boot(void)
{
	static const struct mount_step first[] = {
		{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC },
	};
	static const struct mount_step cgroup = { "cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot",
						  MS_NOSUID | MS_NODEV | MS_NOEXEC };
	int r;

	umask(022);
	r = mount_all(first, ARRAY_SIZE(first));
	if (r == 0)
		r = open_stdio();
	if (r == 0)
		r = load_modules();
	if (r == 0)
		r = switch_root();
	if (r == 0)
		r = mount_all(&cgroup, 1);
	if (r == 0)
		r = enable_controllers();
	return r < 0 ? r : raise_limits();
}

/* ---- the port ---- */

/* -ENOENT without a text: not there yet. */
static int try_port(const char *name, int *ret_fd)
{
	_cleanup_close_ int dir = open(PORTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **ports = NULL;
	int n = dir < 0 ? -1 : scandirat(dir, ".", &ports, not_hidden, NULL), r = -ENOENT;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = str_printf("%s/name", ports[i]->d_name), *text = NULL, *device = NULL;

		if (r == -ENOENT && path != NULL && file_read(dir, path, 256, &text, NULL) == 0) {
			text[strcspn(text, "\n")] = '\0';
			device = str_printf("/dev/%s", ports[i]->d_name);
			if (str_eq(text, name) && device != NULL) {
				*ret_fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
				r = *ret_fd < 0 ? -errno : 0;
			}
		}
		free(ports[i]);
	}
	free(ports);
	return r;
}

int guest_open_port(const char *name, int *ret_fd)
{
	const struct timespec step = { .tv_nsec = PORT_STEP_MS * 1000000L };
	_cleanup_close_ int fd = FD_NONE;

	for (int waited = 0; waited < PORT_TIMEOUT_MS; waited += PORT_STEP_MS) {
		struct pollfd p = { .events = POLLOUT };
		int r = fd < 0 ? try_port(name, &fd) : 0;

		if (r < 0 && r != -ENOENT)
			return ERR(r, "cannot open the port \"%s\"", name);
		p.fd = fd;
		/* POLLHUP: the host has not opened its end yet, and what is written now would be lost. */
		if (r == 0 && poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP)) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
		nanosleep(&step, NULL);
	}
	return fd < 0 ? ERR_PLAIN(-ENODEV, "there is no virtio-console port \"%s\"", name) :
			ERR_PLAIN(-ETIMEDOUT, "nobody has opened the port \"%s\" on the host", name);
}

/* ---- the end ---- */

void guest_console(const char *text)
{
	_cleanup_close_ int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[ERR_TEXT_MAX + 32];

	snprintf(line, sizeof(line), "<3>nacre-guest: %s\n", text);
	/* The kernel prints its log on the console. */
	if (log >= 0 && write(log, line, strlen(line)) > 0)
		return;
	fprintf(stderr, "%s", line + 3);
}

void guest_power_off(void)
{
	sync();
	(void)reboot(RB_POWER_OFF);
}
