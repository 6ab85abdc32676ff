/* SPDX-License-Identifier: Apache-2.0 */
/* See vm.h. */
#include "tests/guest/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "microvm/cpio.h"
#include "microvm/modules.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

#define READY_MS 10000

struct kernel {
	char image[PATH_MAX], modules[PATH_MAX];
};

static bool fail(const char *what)
{
	printf("# %s: %s (%s)\n", what, err_text(), strerror(errno));
	return false;
}

static bool find_kernel(struct kernel *k)
{
	FILE *f = popen("tests/host/kernel", "r");
	bool ok = f != NULL && fgets(k->image, sizeof(k->image), f) != NULL && fgets(k->modules, sizeof(k->modules), f) != NULL;

	if (f != NULL)
		pclose(f);
	if (!ok)
		return fail("tests/host/kernel");
	k->image[strcspn(k->image, "\n")] = k->modules[strcspn(k->modules, "\n")] = '\0';
	return true;
}

/* ---- the initramfs ---- */

static bool add(struct cpio *c, const char *path, const char *name, mode_t mode)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	if (file_read(AT_FDCWD, path, (size_t)64 << 20, &data, &len) < 0)
		return fail(path);
	return cpio_add_file(c, name, mode, data, len) == 0 || fail(name);
}

static bool add_modules(const struct vm *vm, struct cpio *c, const struct kernel *k)
{
	static const char *const wanted[] = { "virtio_pci", "virtio_mmio", "virtiofs", "virtio_console", "virtio_net", "virtio_rng" };
	_cleanup_module_files_ struct module_files files = { 0 };
	_cleanup_free_ char *dep = NULL, *builtin = NULL;
	struct modules_index index;
	size_t n_dep = 0, n_builtin = 0;
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/modules.dep", k->modules);
	if (file_read(AT_FDCWD, path, MODULES_TEXT_MAX, &dep, &n_dep) < 0)
		return fail(path);
	snprintf(path, sizeof(path), "%s/modules.builtin", k->modules);
	if (file_read(AT_FDCWD, path, MODULES_TEXT_MAX, &builtin, &n_builtin) < 0)
		return fail(path);
	index = (struct modules_index){ dep, n_dep, builtin, n_builtin };
	if (modules_resolve(&index, wanted, ARRAY_SIZE(wanted), &files) < 0 || cpio_add_directory(c, "modules", 0755) < 0)
		return fail("modules");
	for (size_t i = 0; i < files.n; i++) {
		const char *slash = strrchr(files.paths[i], '/');
		char name[256];

		snprintf(path, sizeof(path), "%s/%s", k->modules, files.paths[i]);
		snprintf(name, sizeof(name), "modules/%03zu-%s", i, slash != NULL ? slash + 1 : files.paths[i]);
		if (!add(c, path, name, 0644))
			return false;
	}
	return !vm->bad_module || cpio_add_file(c, "modules/999-bad.ko", 0644, "bad", 3) == 0;
}

static bool write_initramfs(const struct vm *vm, const struct kernel *k)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	const char *guest = getenv("NACRE_GUEST");
	char path[128];
	struct cpio c;
	int fd;

	cpio_init(&c, &b);
	if (!add(&c, guest != NULL ? guest : "build/nacre-guest", "init", 0755) || !add_modules(vm, &c, k) || cpio_finish(&c) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/initramfs", vm->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, b.data, b.len) < 0)
		return fail(path);
	close(fd);
	printf("# initramfs: %zu KiB\n", b.len / 1024);
	return true;
}

/* ---- the share ---- */

static bool make_share(const struct vm *vm)
{
	static const char *const folders[] = { "share", "share/rootfs", "share/mounts", "share/rootfs/bin", "share/rootfs/proc",
					       "share/rootfs/dev", "share/rootfs/sys", "share/rootfs/tmp", "share/mounts/2" };
	char command[512];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(command, sizeof(command), "%s/%s", vm->dir, folders[i]);
		if (mkdir(command, 0755) < 0)
			return fail(command);
	}
	snprintf(command, sizeof(command),
		 "cd %s/share && for a in $(busybox --list); do [ $a = busybox ] || ln -s busybox rootfs/bin/$a; done; cp /bin/busybox rootfs/bin && "
		 "head -c 1048576 /dev/urandom >rootfs/random && echo from the host >mounts/2/file && mkdir rootfs/volume && chmod -R a+rwX rootfs", vm->dir);
	return system(command) == 0 || fail("make the share");
}

/* ---- processes ---- */

static pid_t spawn(const struct vm *vm, const char *const *args, const char *output, int keep)
{
	pid_t pid = fork();
	char path[128];
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "%s/%s", vm->dir, output);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (keep >= 0)
		fcntl(keep, F_SETFD, 0);
	execvp(args[0], (char **)(uintptr_t)args);
	_exit(127);
}

static bool start_files(struct vm *vm)
{
	bool rust = access("/usr/libexec/virtiofsd", X_OK) == 0;
	char path[80], source[100], socket_path[100];
	const char *const c_args[] = { "/usr/lib/qemu/virtiofsd", socket_path, "-o", source, "-o", "cache=auto", "-o", "sandbox=chroot", NULL };
	const char *const rust_args[] = { "/usr/libexec/virtiofsd", socket_path, source, "--cache=auto", "--sandbox=chroot", NULL };

	snprintf(path, sizeof(path), "%s/fs.sock", vm->dir);
	snprintf(socket_path, sizeof(socket_path), "--socket-path=%s", path);
	snprintf(source, sizeof(source), rust ? "--shared-dir=%s/share" : "source=%s/share", vm->dir);
	vm->files = spawn(vm, rust ? rust_args : c_args, "virtiofsd.log", -1);
	for (int i = 0; i < READY_MS / 10; i++) {
		if (access(path, F_OK) == 0)
			return true;
		usleep(10000);
	}
	return fail("virtiofsd");
}

static unsigned int khz(void)
{
	FILE *f = popen("sed -n 's/^cpu MHz[^0-9]*\\([0-9]*\\).*/\\1000/p' /proc/cpuinfo | head -n 1", "r");
	char line[32] = "2000000";

	if (f != NULL) {
		if (fgets(line, sizeof(line), f) == NULL)
			line[0] = '\0';
		pclose(f);
	}
	return (unsigned int)strtoul(line, NULL, 10);
}

static bool start_qemu(struct vm *vm, const struct kernel *k, const char *memory)
{
	char initrd[128], object[128], fs[128], port[64], append[256];
	const char *const args[] = {
		"qemu-system-x86_64", "-M", "microvm,acpi=on,pcie=on,rtc=on,pit=on,pic=on,memory-backend=mem",
		"-object", object, "-cpu", "max", "-accel", "tcg,thread=multi", "-m", memory, "-nodefaults", "-no-user-config",
		"-nographic", "-serial", "stdio", "-kernel", k->image, "-initrd", initrd, "-append", append, "-no-reboot",
		"-chardev", fs, "-device", "vhost-user-fs-pci,chardev=fs,tag=nacre", "-device", "virtio-serial-pci",
		"-chardev", port, "-device", "virtserialport,chardev=ch,name=" CHANNEL_PORT, NULL,
	};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("socketpair");
	snprintf(initrd, sizeof(initrd), "%s/initramfs", vm->dir);
	snprintf(object, sizeof(object), "memory-backend-memfd,id=mem,size=%sM,share=on", memory);
	snprintf(fs, sizeof(fs), "socket,id=fs,path=%s/fs.sock", vm->dir);
	snprintf(port, sizeof(port), "socket,id=ch,fd=%d", pair[1]);
	snprintf(append, sizeof(append), "console=ttyS0 panic=-1 quiet nokaslr tsc_early_khz=%u tsc=reliable", khz());
	vm->started_ns = clock_now_ns();
	vm->qemu = spawn(vm, args, "console", pair[1]);
	close(pair[1]);
	vm->fd = pair[0];
	return fcntl(vm->fd, F_SETFL, O_NONBLOCK) == 0;
}

/* ---- the channel ---- */

static double since(const struct vm *vm)
{
	return (double)(clock_now_ns() - vm->started_ns) / 1e9;
}

static void take_data(struct vm *vm, const struct channel_frame *f)
{
	if (vm->output_s <= 0)
		vm->output_s = since(vm);
	buf_add(&vm->sessions[f->session].out[f->stream], f->data, f->size);
	channel_delivered(&vm->channel, f->session, f->stream, f->size);
}

static void take(struct vm *vm, const struct channel_frame *f)
{
	struct channel_hello hello;
	struct channel_frame answer;
	struct vm_session *s = &vm->sessions[f->session < VM_SESSIONS ? f->session : 0];

	switch (f->type) {
	case CHANNEL_HELLO:
		vm->hello = channel_get_hello(f, &hello) == 0;
		snprintf(vm->release, sizeof(vm->release), "%s", hello.release);
		vm->hello_s = since(vm);
		break;
	case CHANNEL_DATA:
		take_data(vm, f);
		break;
	case CHANNEL_CLOSE:
		s->closed[f->stream] = true;
		break;
	case CHANNEL_EXITED:
		s->exited = channel_get_exited(f, &s->end) == 0 && s->closed[1] && s->closed[2];
		break;
	case CHANNEL_REPLY:
		if (channel_get_reply(f, &vm->reply_code, &answer) < 0)
			break;
		vm->reply_serial = f->serial;
		vm->reply.len = 0;
		buf_add(&vm->reply, answer.data, answer.size);
		break;
	case CHANNEL_OOM_EVENT:
		vm->oom_events++;
		break;
	case CHANNEL_LOG:
		buf_add(&vm->log, f->data, f->size);
		break;
	default:
		break;
	}
}

static void receive(struct vm *vm)
{
	unsigned char *at;
	size_t room;
	ssize_t n;
	struct channel_frame f;
	int r;

	if (channel_in(&vm->channel, &at, &room) < 0)
		return;
	n = read(vm->fd, at, room);
	if (n <= 0) {
		vm->gone = n == 0 || errno != EAGAIN;
		return;
	}
	channel_received(&vm->channel, (size_t)n);
	while ((r = channel_next(&vm->channel, &f)) == 1)
		take(vm, &f);
	if (r < 0) {
		fail("channel");
		vm->gone = true;
	}
}

/* False: it is gone, or nothing came in time. */
static bool turn(struct vm *vm, int timeout_ms)
{
	struct pollfd p = { .fd = vm->fd, .events = POLLIN };
	size_t size;
	const unsigned char *out = channel_out(&vm->channel, &size);

	p.events |= out != NULL ? POLLOUT : 0;
	if (vm->gone || poll(&p, 1, timeout_ms) <= 0)
		return false;
	if (out != NULL && (p.revents & POLLOUT)) {
		ssize_t n = write(vm->fd, out, size);

		if (n > 0)
			channel_sent(&vm->channel, (size_t)n);
	}
	if (p.revents & (POLLIN | POLLHUP))
		receive(vm);
	return !vm->gone;
}

bool vm_console_has(const struct vm *vm, const char *text)
{
	_cleanup_free_ char *console = NULL;
	char path[80];

	snprintf(path, sizeof(path), "%s/console", vm->dir);
	return file_read(AT_FDCWD, path, 1 << 20, &console, NULL) == 0 && strstr(console, text) != NULL;
}

#define UNTIL(vm, condition) while (!(condition)) if (!turn(vm, VM_TIMEOUT_MS)) break

void vm_idle(struct vm *vm, int ms)
{
	uint64_t end = clock_now_ns() + (uint64_t)ms * 1000000;

	while (clock_now_ns() < end)
		turn(vm, 10);
}

void vm_tell(struct vm *vm, enum channel_type type, uint32_t session, const void *data, size_t size)
{
	if (channel_send(&vm->channel, &(struct channel_frame){ .type = (uint16_t)type, .session = session, .data = data, .size = size }) < 0)
		fail(channel_type_name((uint16_t)type));
}

int vm_ask(struct vm *vm, enum channel_type type, uint32_t session, const void *data, size_t size)
{
	uint32_t serial = ++vm->serial;

	if (channel_send(&vm->channel, &(struct channel_frame){ .type = (uint16_t)type, .session = session, .serial = serial,
								.data = data, .size = size }) < 0) {
		fail(channel_type_name((uint16_t)type));
		return INT_MIN;
	}
	UNTIL(vm, vm->reply_serial == serial);
	if (vm->reply_serial != serial)
		return INT_MIN;
	if (vm->reply_code < 0)
		printf("# %s: %s\n", channel_type_name((uint16_t)type), vm->reply.data);
	return vm->reply_code;
}

bool vm_write(struct vm *vm, uint32_t session, const void *data, size_t size, bool end)
{
	const char *p = data;

	while (size > 0) {
		size_t room = channel_room(&vm->channel, session, CHANNEL_STDIN), n = room < size ? room : size;

		if (n > 0 && channel_send_data(&vm->channel, session, CHANNEL_STDIN, p, n) < 0)
			return fail("DATA");
		p += n;
		size -= n;
		if (size > 0 && !turn(vm, VM_TIMEOUT_MS))
			return false;
	}
	return !end || channel_send_close(&vm->channel, session, CHANNEL_STDIN) == 0;
}

bool vm_expect(struct vm *vm, uint32_t session, enum channel_stream stream, const char *text)
{
	const struct buf *b = &vm->sessions[session].out[stream];

	UNTIL(vm, (b->len > 0 && strstr(b->data, text) != NULL) || vm->sessions[session].closed[stream]);
	if (b->len > 0 && strstr(b->data, text) != NULL)
		return true;
	printf("# session %u: no \"%s\" in \"%s\"\n", session, text, b->len > 0 ? b->data : "");
	return false;
}

int vm_wait(struct vm *vm, uint32_t session)
{
	UNTIL(vm, vm->sessions[session].exited);
	return vm->sessions[session].exited ? vm->sessions[session].end.status : -1;
}

/* ---- the container ---- */

#define CAP_LIST "[\"CAP_MKNOD\",\"CAP_KILL\",\"CAP_DAC_OVERRIDE\"]"
#define CAPS "\"capabilities\":{\"bounding\":" CAP_LIST ",\"effective\":" CAP_LIST ",\"permitted\":" CAP_LIST "}"
#define PROCESS "{\"terminal\":%s,\"user\":{\"uid\":0,\"gid\":0},\"args\":%s,\"env\":[\"PATH=/bin\",\"TERM=xterm\"],\"cwd\":\"/\"," CAPS "}"

/* more: the maps of a user namespace; "": none. */
int vm_create(struct vm *vm, const char *args, bool terminal, const char *more)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	buf_printf(&b, "{\"ociVersion\":\"1.2.0\",\"vm\":{\"kernel\":{\"path\":\"/boot/none\"}},\"process\":" PROCESS, terminal ? "true" : "false", args);
	buf_puts(&b, ",\"root\":{\"path\":\"elsewhere\",\"readonly\":false},\"hostname\":\"inside\",\"mounts\":["
		     "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
		     "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"mode=755\"]},"
		     "{\"destination\":\"/volume\",\"type\":\"bind\",\"source\":\"/of/the/host\",\"options\":[\"rbind\",\"ro\"]},"
		     "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"newinstance\",\"ptmxmode=0666\"]},"
		     "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"ro\"]}],"
		     "\"hooks\":{\"prestart\":[{\"path\":\"/no/such/hook\"}]},"
		     "\"linux\":{\"cgroupsPath\":\"/of/the/host\",\"resources\":{\"memory\":{\"limit\":1048576},\"pids\":{\"limit\":50},"
		     "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\","
		     "\"syscalls\":[{\"names\":[\"sethostname\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}]},"
		     "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"cgroup\"},"
		     "{\"type\":\"network\",\"path\":\"/run/netns/of-the-host\"}");
	buf_printf(&b, "%s]%s}}", *more != '\0' ? ",{\"type\":\"user\"}" : "", more);
	return vm_ask(vm, CHANNEL_CREATE, 1, b.data, b.len);
}

int vm_run(struct vm *vm, const char *args, bool terminal)
{
	int r = vm_create(vm, args, terminal, "");

	return r == 0 ? vm_ask(vm, CHANNEL_START, 1, NULL, 0) : r;
}

int vm_exec(struct vm *vm, uint32_t session, const char *args, const struct channel_exec *options)
{
	_cleanup_free_ char *process = str_printf(PROCESS, "false", args);
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct channel_exec e = options != NULL ? *options : (struct channel_exec){ .flags = 0 };
	int r;

	e.process = process;
	e.process_size = strlen(process);
	e.cgroup = e.cgroup != NULL ? e.cgroup : "";
	channel_put_exec(&b, &e);
	r = vm_ask(vm, CHANNEL_EXEC, session, b.data, b.len);
	return r == 0 ? vm_ask(vm, CHANNEL_EXEC_START, session, NULL, 0) : r;
}

static bool configure(struct vm *vm, const char *mounts)
{
	_cleanup_free_ char *text = str_printf(
		"{\"id\":\"box\",\"bundle\":\"/b\",\"hostname\":\"machine\",\"time\":{\"seconds\":%ld,\"nanoseconds\":5},\"entropy\":\"00ff00ff00ff00ff\","
		"\"share\":\"nacre\",\"rootfs\":\"/rootfs\",\"mounts\":%s}", (long)time(NULL), mounts);

	return vm_ask(vm, CHANNEL_CONFIGURE, 0, text, strlen(text)) == 0;
}

bool vm_start(struct vm *vm, const char *memory, const char *mounts)
{
	struct kernel k = { "", "" };

	*vm = (struct vm){ .bad_module = vm->bad_module, .fd = FD_NONE, .channel = CHANNEL_NULL(CHANNEL_HOST) };
	snprintf(vm->dir, sizeof(vm->dir), "/tmp/nacre-guest-XXXXXX");
	if (mkdtemp(vm->dir) == NULL)
		return fail("mkdtemp");
	if (!find_kernel(&k) || !make_share(vm) || !write_initramfs(vm, &k) || !start_files(vm) || !start_qemu(vm, &k, memory))
		return false;
	UNTIL(vm, vm->hello);
	return vm->hello ? configure(vm, mounts) : fail("no greeting");
}

static void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void vm_end(struct vm *vm)
{
	char command[512];

	end_process(vm->qemu);
	end_process(vm->files);
	if (vm->log.len > 0)
		printf("# log: %s\n", vm->log.data);
	snprintf(command, sizeof(command), "[ ! -s %s/console ] || sed 's/^/# console: /' %s/console; rm -rf %s", vm->dir, vm->dir, vm->dir);
	fflush(stdout);
	if (vm->dir[0] != '\0' && system(command) != 0)
		printf("# cannot remove %s\n", vm->dir);
	for (int i = 0; i < VM_SESSIONS; i++)
		for (int k = 0; k < CHANNEL_STREAMS; k++)
			buf_deinit(&vm->sessions[i].out[k]);
	buf_deinit(&vm->log);
	buf_deinit(&vm->reply);
	channel_deinit(&vm->channel);
	fd_close(&vm->fd);
}
