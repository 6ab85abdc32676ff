/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole machine with the distribution's kernel: it boots, its devices work, and each of its ends is told. Needs a KVM
 * that runs unmodified kernels: `sudo tests/host/run -- build/tests/unit/test_machine_boot`; elsewhere all is skipped.
 * The machine is a process of its own, as it will be: with a seccomp filter of exactly the calls that machine.h lists,
 * and an empty root.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "microvm/cpio.h"
#include "microvm/kvm.h"
#include "microvm/machine.h"
#include "microvm/modules.h"
#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define FILE_MAX (128U << 20)
#define RAM (UINT64_C(256) << 20)
#define SECOND UINT64_C(1000000000)
#define BOOT_SECONDS 240	/* a software-emulated host is slow, a busy one slower */

/* What runs in the guest. Variables of the command line that the kernel does not know are in init's environment. */
static const char init_script[] =
	"#!/busybox sh\n"
	"/busybox echo NACRE-INIT\n"
	"/busybox mount -t devtmpfs dev /dev\n"
	"/busybox mount -t proc proc /proc\n"
	"/busybox mount -t sysfs sys /sys\n"
	"for m in /modules/*; do /busybox insmod $m || /busybox echo \"insmod $m failed\"; done\n"
	"/busybox echo \"CPUS $(/busybox nproc)\"\n"
	"case $what in\n"
	"panic) exit 1 ;;\n"
	"reboot) /busybox reboot -f ;;\n"
	"stay) /busybox sleep 1000 ;;\n"
	"echo)\n"
	"	for p in /sys/class/virtio-ports/*; do\n"
	"		[ \"$(/busybox cat $p/name)\" != nacre.channel ] || port=/dev/${p##*/}\n"
	"	done\n"
	"	/busybox echo \"PORT $port\"\n"
	"	exec 3<>$port\n"
	"	read -r line <&3\n"
	"	/busybox echo \"guest got $line\" >&3\n"
	"	/busybox head -c 300000 /dev/zero >&3 ;;\n"
	"fs)\n"
	"	/busybox mount -t virtiofs nacre /mnt && /busybox cat /mnt/from-host\n"
	"	/busybox echo written by the guest >/mnt/from-guest\n"
	"	/busybox dd if=/dev/zero of=/mnt/big bs=1M count=8 2>/dev/null\n"
	"	/busybox umount /mnt && /busybox mount -t virtiofs nacre /mnt && /busybox cat /mnt/from-guest\n"
	"	[ -z \"$linger\" ] || /busybox sleep 1000 ;;\n"
	"disk)\n"
	"	/busybox head -c 12 /dev/vda && /busybox echo\n"
	"	/busybox echo to the disk | /busybox dd of=/dev/vda bs=512 seek=1 conv=sync 2>/dev/null\n"
	"	/busybox dd if=/dev/hwrng of=/dev/null bs=64 count=1 2>/dev/null && /busybox echo RANDOM ;;\n"
	"esac\n"
	"/busybox poweroff -f\n";

static const char *const wanted[] = { "virtio_mmio", "virtio_console", "virtiofs", "virtio_blk", "virtio_rng", "virtio_balloon" };

/* What all tests share: made once, by the first. */
static struct {
	bool tried;
	const char *missing;	/* why no machine can be booted here */
	char kernel[300];
	int kernel_fd, initrd;
} shared = { .kernel_fd = FD_NONE, .initrd = FD_NONE };

/* ---- the initramfs ---- */

static bool add_file(struct cpio *c, const char *from, const char *name)
{
	char *data;
	size_t len;
	bool ok;

	if (file_read(AT_FDCWD, from, FILE_MAX, &data, &len) < 0)
		return false;
	ok = cpio_add_file(c, name, 0755, data, len) == 0;
	free(data);
	return ok;
}

static bool add_modules(struct cpio *c, const char *folder)
{
	char path[4096], name[32];
	char *dep = NULL, *builtin = NULL;
	struct modules_index index = { 0 };
	_cleanup_module_files_ struct module_files files = { 0 };
	bool ok;

	snprintf(path, sizeof(path), "%s/modules.dep", folder);
	ok = file_read(AT_FDCWD, path, MODULES_TEXT_MAX, &dep, &index.dep_size) == 0;
	snprintf(path, sizeof(path), "%s/modules.builtin", folder);
	ok = ok && file_read(AT_FDCWD, path, MODULES_TEXT_MAX, &builtin, &index.builtin_size) == 0;
	index.dep = dep;
	index.builtin = builtin;
	ok = ok && modules_resolve(&index, wanted, ARRAY_SIZE(wanted), &files) == 0;
	for (size_t i = 0; i < files.n && ok; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files.paths[i]);
		snprintf(name, sizeof(name), "modules/%03zu.ko", i);
		/* Compressed ones are for a later day of this test: Debian 12 has none. */
		ok = str_ends(path, ".ko") && add_file(c, path, name);
	}
	free(dep);
	free(builtin);
	return ok;
}

static int make_initrd(const char *modules)
{
	static const char *const folders[] = { "dev", "proc", "sys", "mnt", "modules" };
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct cpio c;
	bool ok = true;
	int fd;

	cpio_init(&c, &b);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && ok; i++)
		ok = cpio_add_directory(&c, folders[i], 0755) == 0;
	ok = ok && cpio_add_char_device(&c, "dev/console", 0600, 5, 1) == 0;
	ok = ok && cpio_add_file(&c, "init", 0755, init_script, sizeof(init_script) - 1) == 0;
	ok = ok && add_file(&c, "/bin/busybox", "busybox") && add_modules(&c, modules) && cpio_finish(&c) == 0;
	if (!ok)
		return -1;
	fd = memfd_create("initramfs", MFD_CLOEXEC);
	if (fd >= 0 && fd_write_all(fd, b.data, b.len) < 0)
		fd_close(&fd);
	return fd;
}

static void prepare(void)
{
	struct utsname u;
	char modules[300];

	shared.tried = true;
	if (kvm_probe() < 0) {
		shared.missing = "this host's KVM does not run unmodified kernels (try it in tests/host/run)";
		return;
	}
	uname(&u);
	/* A vmlinux of the same release spares the guest the decompression, which emulation makes slow. */
	if (getenv("NACRE_TEST_VMLINUX") != NULL)
		snprintf(shared.kernel, sizeof(shared.kernel), "%s", getenv("NACRE_TEST_VMLINUX"));
	else
		snprintf(shared.kernel, sizeof(shared.kernel), "/boot/vmlinuz-%s", u.release);
	snprintf(modules, sizeof(modules), "/lib/modules/%s", u.release);
	shared.kernel_fd = open(shared.kernel, O_RDONLY | O_CLOEXEC);
	if (shared.kernel_fd < 0) {
		shared.missing = "there is no /boot/vmlinuz of the running kernel, or no NACRE_TEST_VMLINUX";
		return;
	}
	shared.initrd = make_initrd(modules);
	if (shared.initrd < 0)
		shared.missing = "an initramfs needs a static /bin/busybox and uncompressed modules of the running kernel";
}

static bool can_boot(void)
{
	if (!shared.tried)
		prepare();
	if (shared.missing != NULL)
		test_skip(shared.missing);
	return shared.missing == NULL;
}

/* ---- the machine's process ---- */

/* A call that is in no list: its number, for whoever adds it, and the end. */
static void refused_call(int sig, siginfo_t *info, void *context)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "# system call %d is not allowed\n", info->si_syscall);

	(void)sig;
	(void)context;
	(void)!write(STDOUT_FILENO, text, (size_t)n);
	_exit(99);
}

static int install(const struct machine_syscalls *calls)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
	sigset_t set;
	int r = f != NULL ? 0 : -ENOMEM;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	for (size_t i = 0; i < calls->n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls->numbers[i], 0);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}

static int jail(void *data)
{
	const struct sigaction action = { .sa_sigaction = refused_call, .sa_flags = SA_SIGINFO };

	(void)data;
	sigaction(SIGSYS, &action, NULL);
	if (chroot("/proc/self/fdinfo") < 0 || chdir("/") < 0)
		return ERR(-errno, "cannot leave the root");
	return install(&machine_syscalls_loop);
}

static int jail_vcpu(void *data)
{
	(void)data;
	return install(&machine_syscalls_vcpu);
}

struct outcome {
	int r;
	enum machine_end end;
	char reason[MACHINE_REASON_MAX];
};

struct boot {
	struct machine_config config;
	const char *what;		/* added to the command line */
	/* The test's side, while the machine runs: called with each wake-up; may be NULL. */
	void (*turn)(struct boot *b);
	void *data;

	pid_t pid;
	uint64_t began;
	struct buf console;
	struct outcome outcome;
	int status;
	double to_console, to_init, to_end;	/* seconds, until its first byte, until init, until the end */
	long own_kib;			/* of the process, at the guest's init, without the guest's memory */
};

static void machine_process(const struct boot *b, int result)
{
	char command_line[512];
	struct machine_config c = b->config;
	struct outcome o = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(command_line, sizeof(command_line), "console=ttyS0 quiet panic=-1 %s", b->what);
	c.command_line = command_line;
	c.kernel = shared.kernel_fd;
	c.kernel_name = shared.kernel;
	c.initrd = shared.initrd;
	c.ready = jail;
	c.vcpu_ready = jail_vcpu;
	o.r = machine_run(&c, &o.end, o.reason);
	(void)!write(result, &o, sizeof(o));
	_exit(0);
}

/* A line "NAME:  n kB" of /proc/PID/status. */
static long status_kib(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p != NULL ? atol(p + strlen(name)) : -1;
}

static void measure(struct boot *b)
{
	char path[64];
	char *text;
	size_t len;

	b->to_init = (double)(clock_now_ns() - b->began) / 1e9;
	snprintf(path, sizeof(path), "/proc/%d/status", b->pid);
	if (file_read(AT_FDCWD, path, 65536, &text, &len) < 0)
		return;
	b->own_kib = status_kib(text, "\nRssAnon:") + status_kib(text, "\nRssFile:");
	free(text);
}

static bool console_has(const struct boot *b, const char *text)
{
	return b->console.len > 0 && strstr(b->console.data, text) != NULL;
}

/* Reads what comes until the machine's process has closed its end; then what it left as result. */
static void attend(struct boot *b, int console, int result)
{
	struct pollfd p = { .fd = console, .events = POLLIN };
	char text[4096];
	ssize_t n = 1;

	while (n > 0 && clock_now_ns() - b->began < BOOT_SECONDS * SECOND) {
		if (poll(&p, 1, 50) > 0) {
			n = read(console, text, sizeof(text) - 1);
			buf_add(&b->console, text, n > 0 ? (size_t)n : 0);
			if (getenv("NACRE_TEST_CONSOLE") != NULL)
				(void)!write(STDERR_FILENO, text, n > 0 ? (size_t)n : 0);
		}
		if (b->to_console == 0 && b->console.len > 0)
			b->to_console = (double)(clock_now_ns() - b->began) / 1e9;
		if (b->to_init == 0 && console_has(b, "NACRE-INIT"))
			measure(b);
		if (b->turn != NULL)
			b->turn(b);
	}
	if (n > 0)
		kill(b->pid, SIGKILL);
	b->to_end = (double)(clock_now_ns() - b->began) / 1e9;
	waitpid(b->pid, &b->status, 0);
	if (read(result, &b->outcome, sizeof(b->outcome)) != (ssize_t)sizeof(b->outcome))
		b->outcome.r = -ECHILD;
}

/* Runs it in a process of its own, to its end. */
static bool boot(struct test *t, struct boot *b)
{
	int console[2], result[2];
	bool ok;

	b->config.ram_size = RAM;
	if (b->config.vcpus == 0)
		b->config.vcpus = 1;
	if (!CHECK(pipe2(console, O_CLOEXEC) == 0) || !CHECK(pipe2(result, O_CLOEXEC) == 0))
		return false;
	b->config.console = console[1];
	b->began = clock_now_ns();
	b->pid = fork();
	if (b->pid == 0)
		machine_process(b, result[1]);
	close(console[1]);
	close(result[1]);
	attend(b, console[0], result[0]);
	close(console[0]);
	close(result[0]);
	ok = CHECK_INT(b->status, 0);
	ok = CHECK_INT(b->outcome.r, 0) && ok;
	printf("# %s: %s (%s); console after %.2f s, init %.2f s, end %.2f s, %ld KiB without the guest's memory\n", b->what,
	       machine_end_name(b->outcome.end), b->outcome.reason, b->to_console, b->to_init, b->to_end, b->own_kib);
	fflush(stdout);
	return ok;
}

static void finish(struct test *t, struct boot *b)
{
	if (t->failures > 0 && b->console.len > 0)
		printf("# console:\n%s\n", b->console.data);
	buf_deinit(&b->console);
}

#define BOOT(what_, ...) { .what = (what_), .config = { .channel = FD_NONE, .fs = FD_NONE, .control = FD_NONE, .stop = FD_NONE, __VA_ARGS__ } }

/* ---- ends ---- */

static void boots_to_power_off(struct test *t, unsigned int vcpus, const char *cpus)
{
	struct boot b = BOOT("what=nothing", .vcpus = vcpus);

	if (!can_boot())
		return;
	if (boot(t, &b)) {
		CHECK_INT(b.outcome.end, MACHINE_POWER_OFF);
		CHECK_STR(b.outcome.reason, "the guest switched itself off");
		CHECK(console_has(&b, cpus));
		CHECK(!console_has(&b, "failed"));
	}
	finish(t, &b);
}

TEST(one_processor)
{
	boots_to_power_off(t, 1, "CPUS 1\r\n");
}

TEST(two_processors)
{
	boots_to_power_off(t, 2, "CPUS 2\r\n");
}

static void ends_by(struct test *t, const char *what, enum machine_end end, const char *text)
{
	struct boot b = BOOT(what, .vcpus = 2);

	if (!can_boot())
		return;
	if (boot(t, &b)) {
		CHECK_INT(b.outcome.end, end);
		CHECK(console_has(&b, text));
	}
	finish(t, &b);
}

TEST(panic)
{
	ends_by(t, "what=panic", MACHINE_RESET, "Kernel panic - not syncing: Attempted to kill init!");
}

TEST(reboot)
{
	ends_by(t, "what=reboot", MACHINE_RESET, "CPUS 2");
}

/* The kernel has no other way left than to destroy itself. */
TEST(triple_fault)
{
	ends_by(t, "what=reboot reboot=t", MACHINE_TRIPLE_FAULT, "CPUS 2");
}

static void stop_when_up(struct boot *b)
{
	const uint64_t one = 1;

	if (console_has(b, "CPUS"))
		(void)!write(b->config.stop, &one, sizeof(one));
}

TEST(stopped)
{
	struct boot b = BOOT("what=stay", .vcpus = 2);

	if (!can_boot())
		return;
	b.config.stop = eventfd(0, EFD_CLOEXEC);
	b.turn = stop_when_up;
	if (boot(t, &b))
		CHECK_INT(b.outcome.end, MACHINE_STOPPED);
	finish(t, &b);
	close(b.config.stop);
}

/* ---- devices ---- */

struct talk {
	int fd;			/* the host's end of the channel */
	bool asked;
	char line[128];		/* the guest's answer */
	size_t len, zeros;	/* bytes of it, and after it */
};

/* Says something once the guest has booted, and collects what comes back. */
static void talk(struct boot *b)
{
	struct talk *k = b->data;
	char data[65536];
	ssize_t n;

	if (!k->asked && console_has(b, "CPUS")) {
		k->asked = true;
		(void)!write(k->fd, "hello\n", 6);
	}
	while ((n = recv(k->fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (memchr(k->line, '\n', k->len) != NULL)
				k->zeros += data[i] == '\0';
			else if (k->len < sizeof(k->line) - 1)
				k->line[k->len++] = data[i];
		}
}

TEST(channel)
{
	struct talk k = { .len = 0 };
	struct boot b = BOOT("what=echo", .vcpus = 2);
	int fds[2];

	if (!can_boot() || !CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0))
		return;
	b.config.channel = fds[0];
	k.fd = fds[1];
	b.turn = talk;
	b.data = &k;
	if (boot(t, &b)) {
		talk(&b);
		CHECK_STR(k.line, "guest got hello\n");
		CHECK_INT(k.zeros, 300000);
		CHECK_INT(b.outcome.end, MACHINE_POWER_OFF);
	}
	finish(t, &b);
	close(fds[0]);
	close(fds[1]);
}

struct share {
	char folder[64];
	pid_t pid;		/* of virtiofsd */
	int socket;		/* connected to it */
};

static void exec_virtiofsd(const struct share *s, int listener)
{
	char fd[32], source[96];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(listener, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "--fd=%d", listener);
	snprintf(source, sizeof(source), "source=%s", s->folder);
	execl("/usr/lib/qemu/virtiofsd", "virtiofsd", fd, "-o", source, "-o", "sandbox=chroot", "-o", "log_level=err", (char *)NULL);
	snprintf(source, sizeof(source), "--shared-dir=%s", s->folder);
	execl("/usr/libexec/virtiofsd", "virtiofsd", fd, source, "--sandbox=chroot", "--log-level=error", (char *)NULL);
	_exit(127);
}

static bool start_share(struct share *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[96];

	snprintf(s->folder, sizeof(s->folder), "/tmp/machine.XXXXXX");
	if (mkdtemp(s->folder) == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/from-host", s->folder);
	if (file_create(AT_FDCWD, path, "written by the host\n", 20, 0644) < 0)
		return false;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s.sock", s->folder);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0)
		return false;
	s->pid = fork();
	if (s->pid == 0)
		exec_virtiofsd(s, listener);
	close(listener);
	s->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return connect(s->socket, (struct sockaddr *)&a, sizeof(a)) == 0 && unlink(a.sun_path) == 0;
}

static void end_share(const struct share *s)
{
	char command[128];

	close(s->socket);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->folder);
	(void)!system(command);
}

static bool has_virtiofsd(void)
{
	if (access("/usr/lib/qemu/virtiofsd", X_OK) == 0 || access("/usr/libexec/virtiofsd", X_OK) == 0)
		return true;
	test_skip("there is no virtiofsd");
	return false;
}

static void check_share(struct test *t, const struct share *s)
{
	char path[96];
	char *text = NULL;
	size_t len;
	struct stat st;

	snprintf(path, sizeof(path), "%s/from-guest", s->folder);
	if (CHECK_INT(file_read(AT_FDCWD, path, 100, &text, &len), 0))
		CHECK_STR(text, "written by the guest\n");
	free(text);
	snprintf(path, sizeof(path), "%s/big", s->folder);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_size, 8 << 20);
}

TEST(shared_files)
{
	struct boot b = BOOT("what=fs", .vcpus = 2);
	struct share s;

	if (!can_boot() || !has_virtiofsd() || !CHECK(start_share(&s)))
		return;
	b.config.fs = s.socket;
	if (boot(t, &b)) {
		CHECK_INT(b.outcome.end, MACHINE_POWER_OFF);
		CHECK(console_has(&b, "written by the host\r\n"));
		CHECK(console_has(&b, "written by the guest\r\n"));
		check_share(t, &s);
	}
	finish(t, &b);
	end_share(&s);
}

static void kill_when_mounted(struct boot *b)
{
	const struct share *s = b->data;

	if (console_has(b, "written by the guest"))
		kill(s->pid, SIGKILL);
}

TEST(share_dies)
{
	struct boot b = BOOT("what=fs linger=1", .vcpus = 1);
	struct share s;

	if (!can_boot() || !has_virtiofsd() || !CHECK(start_share(&s)))
		return;
	b.config.fs = s.socket;
	b.turn = kill_when_mounted;
	b.data = &s;
	if (boot(t, &b)) {
		CHECK_INT(b.outcome.end, MACHINE_BACKEND_GONE);
		CHECK_STR(b.outcome.reason, "file system \"nacre\": the back end closed the connection");
	}
	finish(t, &b);
	end_share(&s);
}

TEST(disk)
{
	char sectors[1024] = "disk of host", after[12];
	const struct machine_disk disk = { .image = memfd_create("disk", MFD_CLOEXEC), .serial = "first" };
	struct boot b = BOOT("what=disk", .disks = &disk, .n_disks = 1);

	if (can_boot() && CHECK_INT(fd_write_all(disk.image, sectors, sizeof(sectors)), 0)) {
		if (boot(t, &b)) {
			CHECK(console_has(&b, "disk of host\r\n"));
			CHECK(console_has(&b, "RANDOM\r\n"));
			CHECK(pread(disk.image, after, sizeof(after), 512) == sizeof(after));
			CHECK(memcmp(after, "to the disk\n", sizeof(after)) == 0);
		}
		finish(t, &b);
	}
	close(disk.image);
}

TEST_MAIN(CASE(one_processor), CASE(two_processors), CASE(channel), CASE(shared_files), CASE(share_dies), CASE(disk), CASE(panic),
	  CASE(reboot), CASE(triple_fault), CASE(stopped))
